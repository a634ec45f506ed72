// SPDX-License-Identifier: LGPL-2.1-or-later
// The second helper of helper.h. It shares our memory, thread-local storage included, so it and
// whoever asks it take turns: one waits while the other runs.
#include "helper.h"

#include <errno.h>
#include <limits.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

enum {
	STACK_SIZE = 128 * 1024,
	GUARD_SIZE = 64 * 1024, // a multiple of every page size
	SIGNAL_SET_SIZE = 8,
	KILL_PATIENCE_MS = 100,
};

// Whose turn it is. The kernel writes the first when the helper has ended.
enum turn {
	TURN_ENDED,
	TURN_STARTING,
	TURN_OURS,
	TURN_ITS,
	TURN_TO_END,
};

// Lives at the top of the helper's stack mapping.
struct helper_aside {
	int dir_fd;
	pid_t parent;
	int (*work)(void *context);
	void *context;
	int result;
	int turn; // a futex
};

static int turn_of(const struct helper_aside *shared)
{
	return __atomic_load_n(&shared->turn, __ATOMIC_ACQUIRE);
}

// Only the helper's end may come between; it is not overwritten.
static bool change_turn(struct helper_aside *shared, int from, int to)
{
	bool is_changed = __atomic_compare_exchange_n(&shared->turn, &from, to, false,
						      __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);

	if (is_changed)
		(void)syscall(SYS_futex, &shared->turn, FUTEX_WAKE, 1);
	return is_changed;
}

// Waits while it is @turn, until @deadline_ms if that is not 0. What it is then.
static int wait_while(struct helper_aside *shared, int turn, uint64_t deadline_ms)
{
	int seen;

	while ((seen = turn_of(shared)) == turn) {
		uint64_t left_ms = UINT_MAX;

		if (deadline_ms) {
			uint64_t now = pss_clock_ms();
			if (now >= deadline_ms)
				return turn;
			left_ms = deadline_ms - now;
		}
		pss_helper_wait(&shared->turn, turn,
				left_ms < UINT_MAX ? (unsigned)left_ms : UINT_MAX);
	}
	return seen;
}

// An empty table of descriptors, and room in it. Nothing of the host's may be copied, and so closed
// again: to some files that means something.
static int leave_table(const struct helper_aside *shared)
{
	struct rlimit limit;

	if (fchdir(shared->dir_fd) < 0 || syscall(SYS_close_range, 0, ~0u, CLOSE_RANGE_UNSHARE) < 0)
		return -errno;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	return 0;
}

static int aside_main(void *argument)
{
	struct helper_aside *shared = argument;

	// Its own table of handlers: with SIGCHLD ignored, nothing would wake it when a tracee
	// stops.
	const struct sigaction action = { .sa_handler = SIG_DFL };

	(void)sigaction(SIGCHLD, &action, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	(void)prctl(PR_SET_NAME, PSS_HELPER_NAME, 0, 0, 0);
	if (getppid() != shared->parent || leave_table(shared) < 0)
		return 1;
	for (int turn = TURN_STARTING; change_turn(shared, turn, TURN_OURS); turn = TURN_ITS) {
		if (wait_while(shared, TURN_OURS, 0) != TURN_ITS)
			break;
		shared->result = shared->work(shared->context);
	}
	return 0;
}

static void set_all_signals_blocked(uint64_t *old)
{
	uint64_t all = UINT64_MAX;

	// Not through libc, which keeps two of its own signals out of every mask.
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, old, SIGNAL_SET_SIZE);
}

static void restore_signals(const uint64_t *mask)
{
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, mask, NULL, SIGNAL_SET_SIZE);
}

// NULL if there is no memory. What was mapped is in *aside in any case.
static struct helper_aside *map_stack(struct pss_helper_aside *aside)
{
	void *base = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (base == MAP_FAILED)
		return NULL;
	aside->stack = base;
	if (mprotect(base, GUARD_SIZE, PROT_NONE) < 0)
		return NULL;
	uintptr_t top = (uintptr_t)base + GUARD_SIZE + STACK_SIZE - sizeof *aside->shared;
	aside->shared = (void *)(top & ~(uintptr_t)63);
	return aside->shared;
}

int pss_helper_aside_start(int dir_fd, struct pss_helper_aside *ret)
{
	int flags = CLONE_VM | CLONE_FILES | CLONE_CHILD_CLEARTID;
	_cleanup_(pss_helper_aside_end) struct pss_helper_aside aside = PSS_HELPER_ASIDE_EMPTY;
	struct helper_aside *shared;
	uint64_t mask;

	if (pss_helper_check_namespace(NULL) < 0)
		return -EOPNOTSUPP;
	shared = map_stack(&aside);
	if (!shared)
		return -ENOMEM;
	*shared = (struct helper_aside){
		.dir_fd = dir_fd,
		.parent = getpid(),
		.turn = TURN_STARTING,
	};
	// It uses our errno until it waits: no handler of ours may run meanwhile.
	set_all_signals_blocked(&mask);
	aside.pid = clone(aside_main, shared, flags, shared, NULL, NULL, &shared->turn);
	int r = aside.pid < 0 ? -errno : 0;
	if (r == 0 && wait_while(shared, TURN_STARTING, 0) != TURN_OURS)
		r = -EOWNERDEAD;
	restore_signals(&mask);
	if (r < 0)
		return r;
	*ret = aside;
	aside = PSS_HELPER_ASIDE_EMPTY;
	return 0;
}

// It shares our errno: two must not run at once. If it does not end, it is in the kernel, and never
// comes back from there.
static void give_up(struct pss_helper_aside *aside)
{
	aside->is_given_up = true;
	(void)kill(aside->pid, SIGKILL);
	(void)wait_while(aside->shared, TURN_ITS, pss_clock_ms() + KILL_PATIENCE_MS);
}

int pss_helper_aside_ask(struct pss_helper_aside *aside, int (*work)(void *context), void *context,
			 unsigned patience_ms, int *result_ret)
{
	struct helper_aside *shared = aside->shared;
	uint64_t mask;

	if (aside->is_given_up)
		return -ETIMEDOUT;
	if (!shared || turn_of(shared) != TURN_OURS)
		return -EOWNERDEAD;
	shared->work = work;
	shared->context = context;
	set_all_signals_blocked(&mask);
	int turn = change_turn(shared, TURN_OURS, TURN_ITS)
			   ? wait_while(shared, TURN_ITS, pss_clock_ms() + patience_ms)
			   : TURN_ENDED;
	if (turn == TURN_ITS)
		give_up(aside);
	restore_signals(&mask);
	if (turn != TURN_OURS)
		return turn == TURN_ITS ? -ETIMEDOUT : -EOWNERDEAD;
	*result_ret = shared->result;
	return 0;
}

static void wait_until_ended(struct pss_helper_aside *aside)
{
	int turn;

	while ((turn = turn_of(aside->shared)) != TURN_ENDED) {
		if (turn == TURN_TO_END)
			(void)wait_while(aside->shared, TURN_TO_END, 0);
		else
			(void)change_turn(aside->shared, turn, TURN_TO_END);
	}
	while (waitpid(aside->pid, NULL, __WCLONE) < 0 && errno == EINTR)
		;
}

void pss_helper_aside_end(struct pss_helper_aside *aside)
{
	int saved = errno;
	uint64_t mask;

	if (aside->pid > 0) {
		set_all_signals_blocked(&mask);
		wait_until_ended(aside);
		restore_signals(&mask);
	}
	if (aside->stack)
		(void)munmap(aside->stack, GUARD_SIZE + STACK_SIZE);
	*aside = PSS_HELPER_ASIDE_EMPTY;
	errno = saved;
}
