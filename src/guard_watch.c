// SPDX-License-Identifier: LGPL-2.1-or-later
// Watching the memory of a target while its clone lives, and giving the clone up; see guard.h.
//
// What the watcher runs makes system calls without the C library: it shares our thread-local
// storage, errno in it, while we run.
#include "guard.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "arch_raw.h"
#include "helper.h"

#ifndef SYS_process_mrelease
#define SYS_process_mrelease 448 // Linux 5.15, the same number on every machine
#endif

enum {
	STACK_SIZE = 128 * 1024,
	GUARD_SIZE = 64 * 1024, // a multiple of every page size
	SIGNAL_SET_SIZE = 8,
	GUARD_ROOM = 16 * 1024, // for the guard itself, above the stack
	PRIORITY_MOST = -20,

	// Bytes a millisecond that one thread writes at most where each page is copied: measured
	// 1.6 GB/s.
	RATE_OF_THREAD = 2 * 1024 * 1024,
	WAIT_LEAST_US = 250,
	WAIT_MOST_US = 50000,
	WAIT_FOR_CLONE_US = 500000, // it is told of: nothing of it is to be looked for
	US_PER_MS = 1000,
	NS_PER_US = 1000,
	US_PER_SECOND = 1000000,

	// From the look that finds too little to the last page of the clone given back: 1 ms where
	// a CPU is free.
	REACTION_MS = 20,
	RATE_FADE = 8,

	// Stalls are judged over so long a time, and are too much from such a share of it.
	STALL_TIME_US = 500000,
	STALL_SHARE = 2,
	// Only where memory is short can the clone be to blame.
	STALL_ROOM_SHARE = 8,

	MIB_SHIFT = 20,
};

static_assert(sizeof(struct pss_guard) <= GUARD_ROOM, "there is room for it");

/** What was seen of each place before. */
struct past {
	uint64_t looked_us;
	uint64_t first_room[PSS_GUARD_PLACES_MAX];
	uint64_t last_room[PSS_GUARD_PLACES_MAX];
	uint64_t rate[PSS_GUARD_PLACES_MAX]; // bytes a millisecond that it lost of late
	uint64_t stalls_us;                  // when stalls were looked at
	uint64_t stalled_us[PSS_GUARD_PLACES_MAX];
};

static uint64_t now_us(void)
{
	struct timespec now = { 0 };

	(void)PSS_ARCH_RAW(SYS_clock_gettime, CLOCK_MONOTONIC, (uintptr_t)&now);
	return (uint64_t)now.tv_sec * US_PER_SECOND + (uint64_t)now.tv_nsec / NS_PER_US;
}

static bool is_over(const struct pss_guard_watch *watch)
{
	return __atomic_load_n(&watch->is_over, __ATOMIC_ACQUIRE);
}

static bool started_at(pid_t pid, uint64_t ticks)
{
	struct pss_procfs_stat stat;

	return pss_guard_read_stat(pid, &stat) && stat.start_ticks == ticks;
}

// False if there is none yet, or no more: then it is over.
static bool has_clone(struct pss_guard_watch *watch)
{
	pid_t pid = __atomic_load_n(&watch->clone_pid, __ATOMIC_ACQUIRE);

	if (watch->clone_pidfd < 0 && pid > 0) {
		long fd = PSS_ARCH_RAW(SYS_pidfd_open, (uint64_t)pid, 0);

		// Looked at after it was opened: it is the clone's, then, and nobody else's.
		watch->clone_pidfd = fd < 0 ? -EBADF : (int)fd;
		if (fd < 0 || !started_at(pid, watch->clone_start_ticks))
			watch->is_over = 1;
	}
	return watch->clone_pidfd >= 0 && !is_over(watch);
}

static bool is_reason(struct pss_guard_watch *watch, enum pss_guard_reason reason, unsigned place,
		      uint64_t room)
{
	watch->place = place;
	watch->room = room;
	__atomic_store_n(&watch->reason, reason, __ATOMIC_RELEASE);
	return true;
}

// As fast as it went, or nearly so if it rests.
static void note_rate(struct past *past, unsigned place, uint64_t room, uint64_t us)
{
	uint64_t lost = past->last_room[place] > room ? past->last_room[place] - room : 0;
	uint64_t rate = us ? lost * US_PER_MS / us : 0;
	uint64_t faded = past->rate[place] - past->rate[place] / RATE_FADE;

	if (past->looked_us == 0)
		past->first_room[place] = room;
	else
		past->rate[place] = rate > faded ? rate : faded;
	past->last_room[place] = room;
}

// The reserve, and what will be written before a clone that is killed now has gone; not more than
// the clone can cost still.
static uint64_t needed(const struct pss_guard_watch *watch, const struct past *past, unsigned place)
{
	uint64_t soon = past->rate[place] * REACTION_MS;
	uint64_t room = past->last_room[place];
	uint64_t taken = past->first_room[place] > room ? past->first_room[place] - room : 0;
	uint64_t rest = watch->later > taken ? watch->later - taken : 0;

	return watch->reserve + (soon < rest ? soon : rest);
}

// *spare_ret: how much may be taken before it is short, where that is least.
static bool is_short(struct pss_guard_watch *watch, struct past *past, uint64_t *spare_ret)
{
	uint64_t least = UINT64_MAX;
	uint64_t now = now_us();

	for (unsigned i = 0; i < watch->places->count; i++) {
		const struct pss_guard_place *place = &watch->places->places[i];
		struct pss_guard_room room;

		if (!pss_guard_look(place, &room))
			continue;
		if (pss_guard_count_kills(place) > place->kills_before)
			return is_reason(watch, PSS_GUARD_KILLS, i, room.room);
		note_rate(past, i, room.room, now - past->looked_us);
		uint64_t need = needed(watch, past, i);
		if (room.room < need)
			return is_reason(watch, PSS_GUARD_ROOM, i, room.room);
		if (room.room - need < least)
			least = room.room - need;
	}
	past->looked_us = now;
	*spare_ret = least;
	return false;
}

// Where memory is short and all wait for it more than half of the time, nobody is killed, and yet
// nothing works. A place where that was so before is no worse for the clone.
static bool is_stalled(struct pss_guard_watch *watch, struct past *past)
{
	uint64_t now = now_us();
	uint64_t elapsed = now - past->stalls_us;
	bool is_first = past->stalls_us == 0;

	if (!is_first && elapsed < STALL_TIME_US)
		return false;
	past->stalls_us = now;
	for (unsigned i = 0; i < watch->places->count; i++) {
		const struct pss_guard_place *place = &watch->places->places[i];
		uint64_t total = pss_guard_stalled_us(place);
		uint64_t stalled = total - past->stalled_us[i];
		struct pss_guard_room room;

		past->stalled_us[i] = total;
		if (is_first || stalled <= elapsed / STALL_SHARE || place->is_stalled)
			continue;
		if (pss_guard_look(place, &room) && room.room < room.limit / STALL_ROOM_SHARE)
			return is_reason(watch, PSS_GUARD_STALL, i, room.room);
	}
	return false;
}

static uint64_t time_to_wait(const struct pss_guard_watch *watch, uint64_t spare)
{
	// Half of the time that it takes to fill what is spare.
	uint64_t us =
		spare < UINT64_MAX / US_PER_MS ? spare * US_PER_MS / watch->rate / 2 : WAIT_MOST_US;

	if (us < WAIT_LEAST_US)
		return WAIT_LEAST_US;
	return us < WAIT_MOST_US ? us : WAIT_MOST_US;
}

// False if it is over: we were told to stop, or the clone has ended.
static bool wait_a_while(const struct pss_guard_watch *watch, int news, uint64_t us)
{
	// ppoll writes what is left into it.
	struct timespec left = {
		.tv_nsec = (long)(us * NS_PER_US),
	};
	struct pollfd events[2] = {
		{ .fd = watch->stop_fd, .events = POLLIN },
		{ .fd = watch->clone_pidfd, .events = POLLIN },
	};

	// Without a descriptor to wait for there is a word; the end of the clone can wait.
	if (watch->stop_fd < 0) {
		(void)PSS_ARCH_RAW(SYS_futex, (uintptr_t)&watch->news, FUTEX_WAIT, (uint64_t)news,
				   (uintptr_t)&left);
		left = (struct timespec){ 0 };
	}
	long r =
		PSS_ARCH_RAW(SYS_ppoll, (uintptr_t)events, 2, (uintptr_t)&left, 0, SIGNAL_SET_SIZE);

	return (r == 0 || r == -EINTR) && !is_over(watch);
}

static void give_up(const struct pss_guard_watch *watch)
{
	uint64_t pidfd = (uint64_t)watch->clone_pidfd;

	(void)PSS_ARCH_RAW(SYS_pidfd_send_signal, pidfd, SIGKILL, 0, 0);
	// Its memory, before it has got a CPU to end itself.
	(void)PSS_ARCH_RAW(SYS_process_mrelease, pidfd, 0);
}

void pss_guard_watch(struct pss_guard_watch *watch)
{
	struct past past = { 0 };
	uint64_t us = WAIT_FOR_CLONE_US;
	int news;

	do {
		uint64_t spare = 0;

		news = __atomic_load_n(&watch->news, __ATOMIC_ACQUIRE);

		if (!has_clone(watch))
			continue;
		if (is_short(watch, &past, &spare) || is_stalled(watch, &past)) {
			give_up(watch);
			return;
		}
		us = time_to_wait(watch, spare);
	} while (wait_a_while(watch, news, us));
}

struct pss_guard_watch pss_guard_watch_of(const struct pss_guard_places *places,
					  const struct pss_procfs_status *status, uint64_t reserve)
{
	struct pss_guard_watch watch = PSS_GUARD_WATCH_EMPTY;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t writers = cpus > 0 ? (uint64_t)cpus : 1;
	struct pss_guard_cost cost = pss_guard_cost_of(status, 0, reserve);

	if (status->thread_count < writers)
		writers = status->thread_count ? status->thread_count : 1;
	watch.places = places;
	watch.reserve = cost.reserve;
	watch.later = cost.later;
	watch.rate = writers * RATE_OF_THREAD;
	return watch;
}

static uint64_t mib(uint64_t bytes)
{
	return bytes >> MIB_SHIFT;
}

int pss_guard_conclude(const struct pss_guard_watch *watch, pid_t pid, int error,
		       struct pss_diag *diag)
{
	struct pss_diag unused = { 0 };

	if (watch->reason == PSS_GUARD_NO_REASON)
		return error;
	const struct pss_guard_place *place = &watch->places->places[watch->place];
	const char *whose = place->is_machine ? "" : "its control group ";

	diag = diag ? diag : &unused;
	*diag = (struct pss_diag){ 0 };
	if (watch->reason == PSS_GUARD_ROOM)
		(void)pss_fail(diag, -EDQUOT,
			       "gave up the snapshot of process %d: %s%s has %" PRIu64
			       " MiB of memory left, and at least %" PRIu64 " MiB are kept for it",
			       pid, whose, place->name, mib(watch->room), mib(watch->reserve));
	else if (watch->reason == PSS_GUARD_KILLS)
		(void)pss_fail(diag, -EDQUOT,
			       "gave up the snapshot of process %d: %s%s has run out of memory",
			       pid, whose, place->name);
	else
		(void)pss_fail(diag, -EDQUOT,
			       "gave up the snapshot of process %d: the processes of %s%s wait for "
			       "memory most of the time",
			       pid, whose, place->name);
	pss_diag_hint(diag, "what it writes while a snapshot exists is kept twice; it would have "
			    "been killed for want of memory: give it more, or write to where it "
			    "is faster");
	return -EDQUOT;
}

static int watcher_main(void *argument)
{
	const struct sched_param first = { .sched_priority = 1 };
	struct pss_guard *guard = argument;

	(void)PSS_ARCH_RAW(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
	(void)PSS_ARCH_RAW(SYS_prctl, PR_SET_NAME, (uintptr_t)PSS_HELPER_NAME);
	// If it may: where every CPU is busy, it must not be the last. It hardly ever runs.
	if (PSS_ARCH_RAW(SYS_sched_setscheduler, 0, SCHED_FIFO, (uintptr_t)&first) < 0)
		(void)PSS_ARCH_RAW(SYS_setpriority, PRIO_PROCESS, 0, (uint64_t)PRIORITY_MOST);
	// An empty table. Nothing of the host's may be copied, and so closed again: to some files
	// that means something.
	if (PSS_ARCH_RAW(SYS_getppid, 0) == guard->parent &&
	    PSS_ARCH_RAW(SYS_close_range, 0, UINT32_MAX, CLOSE_RANGE_UNSHARE) == 0) {
		pss_guard_places_reopen(&guard->places);
		pss_guard_watch(&guard->watch);
	}
	return 0;
}

static int start(struct pss_guard *guard)
{
	int flags = CLONE_VM | CLONE_FILES | CLONE_CHILD_CLEARTID;
	uint64_t all = UINT64_MAX, mask;

	guard->parent = getpid();
	guard->alive = 1;
	// No handler of the host's may run in it. Not through libc, which keeps two signals out.
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &mask, SIGNAL_SET_SIZE);
	// The stack grows down from the guard's own description.
	pid_t pid = clone(watcher_main, guard, flags, guard, NULL, NULL, &guard->alive);
	int r = PSS_RET_ERRNO(pid);
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGNAL_SET_SIZE);
	if (r == 0)
		guard->watcher = pid;
	return r;
}

// *root_ret is the caller's, and in use until the places are closed.
static int prepare(struct pss_guard *guard, int space_fd, uint64_t reserve, int *root_ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	struct pss_procfs_status status = { 0 };
	int r = pss_procfs_read(space_fd, "status", &text);

	if (r == 0)
		r = pss_procfs_parse_status((const char *)text.data, text.size, &status);
	if (r < 0)
		return r;
	*root_ret = open("/proc", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (*root_ret < 0)
		return -errno;
	r = pss_guard_places_open(space_fd, *root_ret, &guard->places);
	if (r == 0)
		guard->watch = pss_guard_watch_of(&guard->places, &status, reserve);
	return r;
}

// In the mapping with the watcher's stack, at its end.
static int create(struct pss_guard **ret)
{
	uint8_t *base = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (base == MAP_FAILED)
		return -ENOMEM;
	if (mprotect(base, GUARD_SIZE, PROT_NONE) < 0) {
		(void)munmap(base, GUARD_SIZE + STACK_SIZE);
		return -ENOMEM;
	}
	*ret = (void *)(base + GUARD_SIZE + STACK_SIZE - GUARD_ROOM);
	**ret = (struct pss_guard){
		.watch = PSS_GUARD_WATCH_EMPTY,
	};
	return 0;
}

static void destroy(struct pss_guard *guard)
{
	uint8_t *base = (uint8_t *)guard + GUARD_ROOM - STACK_SIZE - GUARD_SIZE;

	(void)munmap(base, GUARD_SIZE + STACK_SIZE);
}

int pss_guard_begin(int space_fd, uint64_t reserve, struct pss_diag *diag, struct pss_guard **ret)
{
	_cleanup_guard_ struct pss_guard *guard = NULL;
	_cleanup_close_ int root_fd = -EBADF;
	int r = pss_helper_check_namespace(diag);

	if (r == 0)
		r = create(&guard);
	if (r == 0)
		r = prepare(guard, space_fd, reserve, &root_fd);
	if (r == 0) {
		// The watcher has its own.
		pss_guard_places_shut(&guard->places);
		r = start(guard);
	}
	if (r < 0)
		return r;
	*ret = guard;
	guard = NULL;
	return 0;
}

int pss_guard_run(pid_t pid, int space_fd, uint64_t reserve, int clone_pidfd, int stop_fd,
		  struct pss_diag *diag)
{
	_cleanup_guard_ struct pss_guard *guard = NULL;
	_cleanup_close_ int root_fd = -EBADF;
	int r = create(&guard);

	if (r == 0)
		r = prepare(guard, space_fd, reserve, &root_fd);
	if (r < 0)
		return pss_fail(diag, r, "cannot watch over the memory of process %d", pid);
	guard->watch.clone_pidfd = clone_pidfd;
	guard->watch.stop_fd = stop_fd;
	pss_guard_watch(&guard->watch);
	pss_guard_places_shut(&guard->places);
	return pss_guard_conclude(&guard->watch, pid, 0, diag);
}

bool pss_guard_has_given_up(const struct pss_guard *guard)
{
	return guard &&
	       __atomic_load_n(&guard->watch.reason, __ATOMIC_ACQUIRE) != PSS_GUARD_NO_REASON;
}

static void tell(struct pss_guard_watch *watch)
{
	__atomic_add_fetch(&watch->news, 1, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, &watch->news, FUTEX_WAKE, 1);
}

void pss_guard_set_clone(struct pss_guard *guard, pid_t pid, uint64_t start_ticks)
{
	guard->watch.clone_start_ticks = start_ticks;
	__atomic_store_n(&guard->watch.clone_pid, pid, __ATOMIC_RELEASE);
	tell(&guard->watch);
}

static void wait_until_ended(struct pss_guard *guard)
{
	int alive;

	__atomic_store_n(&guard->watch.is_over, 1, __ATOMIC_RELEASE);
	tell(&guard->watch);
	while ((alive = __atomic_load_n(&guard->alive, __ATOMIC_ACQUIRE)) != 0)
		(void)syscall(SYS_futex, &guard->alive, FUTEX_WAIT, alive, NULL);
	while (waitpid(guard->watcher, NULL, __WCLONE) < 0 && errno == EINTR)
		;
}

int pss_guard_end(struct pss_guard *guard, pid_t pid, int error, struct pss_diag *diag)
{
	int saved = errno;

	if (!guard)
		return error;
	// A child that the host has forked since has our memory, and no watcher.
	if (guard->watcher > 0 && guard->parent == getpid())
		wait_until_ended(guard);
	error = pss_guard_conclude(&guard->watch, pid, error, diag);
	destroy(guard);
	errno = saved;
	return error;
}
