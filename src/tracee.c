// SPDX-License-Identifier: LGPL-2.1-or-later
// All threads of one process, held; see tracee.h. PTRACE_SEIZE and PTRACE_INTERRUPT only: an attach
// would send a SIGSTOP that the target's parent can see.
#include "tracee.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "section_format.h"

enum {
	// A thread that can run stops within microseconds of getting a CPU; this bounds starvation.
	STOP_DEADLINE_MS = 5000,
	// A thread in D state may never stop. The rest of the target waits for it at most so long,
	// and it never runs the program's code before it has been let go.
	BLOCK_DEADLINE_MS = 50,
	// The signal tells. Who looks besides, and often, takes time from the very thread that is
	// waited for, where both share a core.
	WAIT_NS = 5 * 1000 * 1000,
	WAIT_SLICE_NS = 200 * 1000,
	SEIZE_TRIES = 5,
	REGSET_ROOM = 64 * 1024,
	SIGNAL_SET_SIZE = 8,
	EVENT_SHIFT = 16,
};

// The kernel's limit on pids, PID_MAX_LIMIT: one bit for each takes 512 KiB, mostly never touched.
#define PID_LIMIT (1u << 22)

uint32_t pss_tracee_count(const struct pss_tracee *tracee)
{
	return (uint32_t)(tracee->threads.size / sizeof(struct pss_tracee_thread));
}

struct pss_tracee_thread *pss_tracee_thread(const struct pss_tracee *tracee, uint32_t index)
{
	return (struct pss_tracee_thread *)(void *)tracee->threads.data + index;
}

int pss_tracee_get_general(pid_t tid, struct pss_general *ret)
{
	struct iovec room = { ret->bytes, sizeof ret->bytes };

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &room) < 0)
		return -errno;
	ret->size = (uint32_t)room.iov_len;
	return 0;
}

int pss_tracee_set_general(pid_t tid, const struct pss_general *general)
{
	struct iovec bytes = { (void *)general->bytes, general->size };

	return PSS_RET_ERRNO(ptrace(PTRACE_SETREGSET, tid, NT_PRSTATUS, &bytes));
}

// In the helper process SIGCHLD is blocked, and taking it wakes us at once: time is for who takes
// it from us. In a plain thread of the host it is the host's to take, so that only time wakes us.
static void pause_for(uint64_t ns)
{
	bool is_helper = syscall(SYS_gettid) == getpid();
	uint64_t slice = is_helper ? WAIT_NS : WAIT_SLICE_NS;
	struct timespec time = { .tv_nsec = (long)(ns < slice ? ns : slice) };
	sigset_t set;

	if (!is_helper) {
		(void)nanosleep(&time, NULL);
		return;
	}
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	(void)sigtimedwait(&set, NULL, &time);
}

void pss_tracee_pause(void)
{
	pause_for(WAIT_SLICE_NS);
}

int pss_tracee_wait(pid_t tid, uint64_t deadline_ns, int *status_ret)
{
	for (;;) {
		int status = 0;
		pid_t pid = waitpid(tid, &status, __WALL | WNOHANG);

		if (pid == tid) {
			*status_ret = status;
			return 0;
		}
		if (pid < 0 && errno != EINTR)
			return errno == ECHILD ? -ESRCH : -errno;
		uint64_t now = pss_clock_ns(CLOCK_MONOTONIC);
		if (now > deadline_ns)
			return -ETIMEDOUT;
		pause_for(deadline_ns - now + 1);
	}
}

static bool is_known(const struct pss_tracee *tracee, pid_t tid)
{
	return tracee->known.data[tid / 8] & (1u << (tid % 8));
}

static int read_thread_stat(struct pss_tracee *tracee, pid_t tid, struct pss_procfs_stat *ret)
{
	char path[64];

	(void)snprintf(path, sizeof path, "task/%d/stat", tid);
	return pss_procfs_read_stat(tracee->proc_fd, path, &tracee->scratch, ret);
}

static int add_thread(struct pss_tracee *tracee, pid_t tid)
{
	struct pss_tracee_thread thread = { .tid = tid, .state = PSS_TRACEE_NEW };
	int r = read_thread_stat(tracee, tid, &thread.stat);

	if (r == -ESRCH || r == -ENOENT)
		return 0; // gone already: never part of the snapshot
	if (r < 0)
		return pss_fail(tracee->diag, r, "cannot read the state of thread %d of %d", tid,
				tracee->pid);
	if (thread.stat.state == 'Z' || thread.stat.state == 'X')
		thread.state = PSS_TRACEE_DEAD;
	thread.was_running = thread.stat.state == 'R';
	tracee->known.data[tid / 8] |= (uint8_t)(1u << (tid % 8));
	return pss_buf_append(&tracee->threads, &thread, sizeof thread);
}

// Adds the threads that are not known yet.
static int find_threads(struct pss_tracee *tracee, uint32_t *found_ret)
{
	_cleanup_buf_ struct pss_buf tids = PSS_BUF_EMPTY;
	uint32_t before = pss_tracee_count(tracee);
	int r;

	if (!tracee->known.data) {
		r = pss_buf_reserve(&tracee->known, PID_LIMIT / 8);
		if (r < 0)
			return r;
	}
	r = pss_procfs_list(tracee->proc_fd, "task", &tids);
	if (r < 0)
		return pss_fail(tracee->diag, r, "cannot list the threads of process %d",
				tracee->pid);
	for (size_t i = 0; i < tids.size / sizeof(int32_t); i++) {
		int32_t tid = ((const int32_t *)(const void *)tids.data)[i];

		if (tid <= 0 || (uint32_t)tid >= PID_LIMIT || is_known(tracee, tid))
			continue;
		r = add_thread(tracee, tid);
		if (r < 0)
			return r;
	}
	*found_ret = pss_tracee_count(tracee) - before;
	return 0;
}

static pid_t tracer_of(struct pss_tracee *tracee, pid_t tid)
{
	struct pss_procfs_status status = { 0 };
	char path[64];

	(void)snprintf(path, sizeof path, "task/%d/status", tid);
	if (pss_procfs_read(tracee->proc_fd, path, &tracee->scratch) < 0 ||
	    pss_procfs_parse_status((const char *)tracee->scratch.data, tracee->scratch.size,
				    &status) < 0)
		return 0;
	return status.tracer_pid;
}

// EPERM is said of a thread that another capturer holds, too, and he may have let go of it by the
// time one looks for him. -PSS_ETRACED with that tracer if there is one.
static int try_to_seize(struct pss_tracee *tracee, pid_t tid, pid_t *tracer_ret)
{
	for (int tries = 1;; tries++) {
		if (ptrace(PTRACE_SEIZE, tid, 0, 0) == 0)
			return 0;
		if (errno != EPERM || tries == SEIZE_TRIES)
			return -errno;
		*tracer_ret = tracer_of(tracee, tid);
		if (*tracer_ret)
			return -PSS_ETRACED;
	}
}

static int refuse_seizing(struct pss_tracee *tracee, const struct pss_tracee_thread *thread,
			  int error, pid_t tracer)
{
	if (error == -PSS_ETRACED)
		return pss_fail(tracee->diag, error,
				"cannot seize thread %d of process %d, which process %d traces",
				thread->tid, tracee->pid, tracer);
	return pss_fail(tracee->diag, error, "cannot seize thread %d of process %d", thread->tid,
			tracee->pid);
}

static int seize(struct pss_tracee *tracee, struct pss_tracee_thread *thread)
{
	pid_t tracer = 0;
	int error = try_to_seize(tracee, thread->tid, &tracer);

	if (error == 0) {
		thread->state = PSS_TRACEE_SEIZED;
		return 0;
	}

	struct pss_procfs_stat stat;
	if (error == -ESRCH || read_thread_stat(tracee, thread->tid, &stat) < 0) {
		thread->state = PSS_TRACEE_GONE;
		return 0;
	}
	// A thread that is just exiting may not be seized either.
	if (stat.state == 'Z' || stat.state == 'X') {
		thread->state = thread->tid == tracee->pid ? PSS_TRACEE_DEAD : PSS_TRACEE_GONE;
		return 0;
	}
	return refuse_seizing(tracee, thread, error, tracer);
}

// When what is held must be let go again. 0 as long as nothing is, or there is no limit.
static uint64_t hold_deadline(const struct pss_tracee *tracee)
{
	if (!tracee->options.max_hold_ns || !tracee->first_stop_ns)
		return 0;
	return tracee->first_stop_ns + tracee->options.max_hold_ns;
}

static int check_hold(struct pss_tracee *tracee, const struct pss_tracee_thread *thread)
{
	uint64_t deadline = hold_deadline(tracee);

	if (!deadline || pss_clock_ns(CLOCK_MONOTONIC) <= deadline)
		return 0;
	return pss_fail(tracee->diag, -ETIME,
			"gave up stopping process %d: thread %d has not stopped in the time "
			"allowed, and it runs on unharmed",
			tracee->pid, thread->tid);
}

static void interrupt(struct pss_tracee *tracee, struct pss_tracee_thread *thread)
{
	uint64_t now = pss_clock_ns(CLOCK_MONOTONIC);

	if (!tracee->first_stop_ns)
		tracee->first_stop_ns = now;
	if (thread->was_running && !tracee->first_runner_stop_ns)
		tracee->first_runner_stop_ns = now;
	thread->was_told = true;
	if (ptrace(PTRACE_INTERRUPT, thread->tid, 0, 0) < 0)
		thread->state = PSS_TRACEE_GONE;
}

// Takes one event of a thread on its way to the stop. True if there is nothing more to wait for.
static bool take_event(struct pss_tracee_thread *thread, int status)
{
	if (!WIFSTOPPED(status)) {
		thread->state = PSS_TRACEE_GONE;
		return true;
	}
	if (status >> EVENT_SHIFT == PTRACE_EVENT_STOP) {
		thread->state = PSS_TRACEE_STOPPED;
		thread->was_group_stopped = WSTOPSIG(status) != SIGTRAP;
		return true;
	}
	// A signal was on its way: deliver it. The stop comes right after, before the next
	// instruction of the program or the first of its handler.
	(void)ptrace(PTRACE_CONT, thread->tid, 0, WSTOPSIG(status));
	return false;
}

// What has become of a thread that does not stop: it may be asleep where nothing reaches it, or be
// the leader and have exited while others live, of which a tracer is not told.
static void judge_straggler(struct pss_tracee *tracee, struct pss_tracee_thread *thread)
{
	struct pss_procfs_stat stat;

	if (read_thread_stat(tracee, thread->tid, &stat) < 0)
		thread->state = PSS_TRACEE_GONE;
	else if (stat.state == 'D')
		thread->state = PSS_TRACEE_UNSTOPPABLE;
	else if (stat.state == 'Z' || stat.state == 'X')
		thread->state = PSS_TRACEE_DEAD;
}

// @deadline is for all that may be in D state; each gets one more look after it.
static int wait_stopped(struct pss_tracee *tracee, struct pss_tracee_thread *thread,
			uint64_t deadline)
{
	uint64_t start = pss_clock_ns(CLOCK_MONOTONIC);
	uint64_t last = hold_deadline(tracee);

	while (thread->state == PSS_TRACEE_SEIZED) {
		int status = 0;
		int r = pss_tracee_wait(thread->tid, last && last < deadline ? last : deadline,
					&status);

		if (r == 0) {
			(void)take_event(thread, status);
			continue;
		}
		if (r == -ESRCH) {
			thread->state = PSS_TRACEE_GONE;
			return 0;
		}
		if (r != -ETIMEDOUT)
			return pss_fail(tracee->diag, r, "cannot wait for thread %d", thread->tid);
		r = check_hold(tracee, thread);
		if (r < 0)
			return r;
		judge_straggler(tracee, thread);
		if (thread->state == PSS_TRACEE_SEIZED &&
		    pss_clock_ns(CLOCK_MONOTONIC) > start + STOP_DEADLINE_MS * NS_PER_MS)
			return pss_fail(tracee->diag, -ETIMEDOUT,
					"thread %d of process %d does not stop", thread->tid,
					tracee->pid);
		deadline = pss_clock_ns(CLOCK_MONOTONIC) + BLOCK_DEADLINE_MS * NS_PER_MS;
	}
	return 0;
}

static int ask_regset(struct pss_buf *regsets, pid_t tid, uint32_t note_type)
{
	struct pss_regset_record head = { .note_type = note_type };
	int r = pss_buf_reserve(regsets, sizeof head + REGSET_ROOM);

	if (r < 0)
		return r;
	struct iovec room = { regsets->data + regsets->size + sizeof head, REGSET_ROOM };
	// Not every CPU has every set.
	if (ptrace(PTRACE_GETREGSET, tid, note_type, &room) < 0)
		return errno == ESRCH ? -ESRCH : 0;
	head.size = (uint32_t)room.iov_len;
	memcpy(regsets->data + regsets->size, &head, sizeof head);
	regsets->size += sizeof head + head.size;
	return pss_buf_align(regsets, 8);
}

// As they were found, before the repair of a call.
static int keep_general(struct pss_buf *regsets, const struct pss_general *general)
{
	const struct pss_regset_record head = { .note_type = NT_PRSTATUS, .size = general->size };

	int r = pss_buf_append(regsets, &head, sizeof head);
	if (r == 0)
		r = pss_buf_append(regsets, general->bytes, general->size);
	return r < 0 ? r : pss_buf_align(regsets, 8);
}

static int read_regsets(struct pss_tracee *tracee, struct pss_tracee_thread *thread)
{
	const struct pss_arch_regset *set = tracee->arch->regsets;
	struct pss_buf *regsets = tracee->regsets;

	if (!regsets)
		return 0;
	thread->regsets_offset = regsets->size;
	for (; set->note_type; set++) {
		if (set->is_extended && !tracee->options.want_extended)
			continue;
		int r = set->note_type == NT_PRSTATUS
				? keep_general(regsets, &thread->general)
				: ask_regset(regsets, thread->tid, set->note_type);
		if (r < 0)
			return r;
	}
	thread->regsets_size = regsets->size - thread->regsets_offset;
	return 0;
}

// The call is repaired at once, not when the thread is let go: should we be killed, it stays so.
static int repair_call(const struct pss_tracee *tracee, struct pss_tracee_thread *thread)
{
	return pss_tracee_repair_call(tracee->arch, &thread->general)
		       ? pss_tracee_set_general(thread->tid, &thread->general)
		       : 0;
}

// What a stopped thread tells about itself. A thread killed meanwhile is gone, not an error.
static int read_registers(struct pss_tracee *tracee, struct pss_tracee_thread *thread)
{
	if (thread->state != PSS_TRACEE_STOPPED || thread->has_registers)
		return 0;

	int r = pss_tracee_get_general(thread->tid, &thread->general);
	if (r == 0)
		r = read_regsets(tracee, thread);
	if (r == 0)
		r = repair_call(tracee, thread);
	if (r == 0)
		r = PSS_RET_ERRNO(ptrace(PTRACE_GETSIGMASK, thread->tid, SIGNAL_SET_SIZE,
					 &thread->signal_mask));
	if (r == -ESRCH) {
		thread->state = PSS_TRACEE_GONE;
		return 0;
	}
	if (r < 0)
		return pss_fail(tracee->diag, r, "cannot read the registers of thread %d",
				thread->tid);
	thread->capture_ns = pss_clock_ns(CLOCK_REALTIME);
	thread->has_registers = true;
	return 0;
}

// Stops every thread for which @running is was_running: all are told first, then waited for.
static int stop_threads(struct pss_tracee *tracee, bool running)
{
	uint32_t count = pss_tracee_count(tracee);
	bool has_alarm = pss_tracee_begin_alarm(tracee) == 0;
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0; i++) {
		struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);

		if (thread->state == PSS_TRACEE_NEW && thread->was_running == running)
			r = seize(tracee, thread);
	}
	if (has_alarm)
		pss_tracee_end_alarm(tracee);
	for (uint32_t i = 0; i < count && r == 0; i++) {
		struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);

		if (thread->state == PSS_TRACEE_SEIZED)
			interrupt(tracee, thread);
		r = check_hold(tracee, thread);
	}
	uint64_t deadline = pss_clock_ns(CLOCK_MONOTONIC) + BLOCK_DEADLINE_MS * NS_PER_MS;
	for (uint32_t i = 0; i < count && r == 0; i++) {
		struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);

		if (thread->state == PSS_TRACEE_SEIZED)
			r = wait_stopped(tracee, thread, deadline);
	}
	return r;
}

static int read_all_registers(struct pss_tracee *tracee)
{
	int r = 0;

	for (uint32_t i = 0; i < pss_tracee_count(tracee) && r == 0; i++) {
		r = read_registers(tracee, pss_tracee_thread(tracee, i));
		if (r == 0)
			r = check_hold(tracee, pss_tracee_thread(tracee, i));
	}
	return r;
}

// Whether the threads found are all there are. The count of the kernel costs the same however many
// there are; a listing of thousands inside the pause would cost as much as the clone.
static bool holds_all(struct pss_tracee *tracee)
{
	struct pss_procfs_status status;
	uint32_t held = 0;

	for (uint32_t i = 0; i < pss_tracee_count(tracee); i++)
		if (pss_tracee_thread(tracee, i)->state != PSS_TRACEE_GONE)
			held++;
	return pss_procfs_read(tracee->proc_fd, "status", &tracee->scratch) == 0 &&
	       pss_procfs_parse_status((const char *)tracee->scratch.data, tracee->scratch.size,
				       &status) == 0 &&
	       status.thread_count == held;
}

// Runners may give birth until each has stopped, so: stop, and look again until nothing is new.
static int stop_runners(struct pss_tracee *tracee)
{
	uint32_t found = 0;
	// Whoever was missed by a count that fits by chance is missed again when all stand.
	int r = holds_all(tracee) ? 0 : find_threads(tracee, &found);

	while (r == 0) {
		// What turns up from here on is stopped like a runner, asleep or not.
		for (uint32_t i = 0; i < pss_tracee_count(tracee); i++)
			if (pss_tracee_thread(tracee, i)->state == PSS_TRACEE_NEW)
				pss_tracee_thread(tracee, i)->was_running = true;
		r = stop_threads(tracee, true);
		if (r < 0 || holds_all(tracee))
			break;
		r = find_threads(tracee, &found);
		if (r == 0 && found == 0)
			break;
	}
	return r;
}

static bool is_in_execve(struct pss_tracee *tracee, pid_t tid)
{
	struct pss_procfs_syscall call;
	char path[64];

	(void)snprintf(path, sizeof path, "task/%d/syscall", tid);
	return pss_procfs_read(tracee->proc_fd, path, &tracee->scratch) == 0 &&
	       pss_procfs_parse_syscall((const char *)tracee->scratch.data, tracee->scratch.size,
					&call) == 0 &&
	       !call.is_running && (call.number == SYS_execve || call.number == SYS_execveat);
}

// A thread that waits in execve, for a slow disk or for the other threads to be gone, would make
// the process another program while we make calls in it: the registers that we give back would be
// that one's.
static int refuse_execve(struct pss_tracee *tracee)
{
	for (uint32_t i = 0; i < pss_tracee_count(tracee); i++) {
		const struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);

		if (thread->state == PSS_TRACEE_UNSTOPPABLE && is_in_execve(tracee, thread->tid))
			return pss_fail(tracee->diag, -EAGAIN,
					"process %d is about to execute another program",
					tracee->pid);
	}
	return 0;
}

int pss_tracee_stop(struct pss_tracee *tracee)
{
	uint32_t found = 0;
	int r = find_threads(tracee, &found);

	if (r == 0)
		r = stop_threads(tracee, false);
	if (r == 0)
		r = read_all_registers(tracee);
	if (r == 0)
		r = stop_runners(tracee);
	if (r < 0)
		return r;
	tracee->last_stop_ns = pss_clock_ns(CLOCK_MONOTONIC);
	tracee->instant_realtime_ns = pss_clock_ns(CLOCK_REALTIME);
	r = refuse_execve(tracee);
	return r < 0 ? r : read_all_registers(tracee);
}

int pss_tracee_stop_one(struct pss_tracee *tracee, pid_t tid, struct pss_tracee_thread **ret)
{
	int r = 0;

	if (!tracee->known.data)
		r = pss_buf_reserve(&tracee->known, PID_LIMIT / 8);
	if (r == 0)
		r = add_thread(tracee, tid);
	if (r < 0)
		return r;

	uint32_t count = pss_tracee_count(tracee);
	if (count == 0 || pss_tracee_thread(tracee, count - 1)->tid != tid)
		return -ESRCH;
	struct pss_tracee_thread *thread = pss_tracee_thread(tracee, count - 1);
	if (thread->state == PSS_TRACEE_NEW)
		r = seize(tracee, thread);
	if (r == 0 && thread->state == PSS_TRACEE_SEIZED) {
		interrupt(tracee, thread);
		r = wait_stopped(tracee, thread,
				 pss_clock_ns(CLOCK_MONOTONIC) + BLOCK_DEADLINE_MS * NS_PER_MS);
	}
	if (r == 0)
		r = read_registers(tracee, thread);
	if (r < 0)
		return r;
	if (thread->state != PSS_TRACEE_STOPPED)
		return -ESRCH;
	*ret = thread;
	return 0;
}

static void release_thread(struct pss_tracee *tracee, struct pss_tracee_thread *thread)
{
	if (thread->state != PSS_TRACEE_STOPPED)
		return;
	if (!thread->has_registers && pss_tracee_get_general(thread->tid, &thread->general) == 0)
		(void)repair_call(tracee, thread);
	(void)ptrace(PTRACE_DETACH, thread->tid, 0, 0);
	thread->state = PSS_TRACEE_RELEASED;
}

// A thread that is held but not stopped: on a failed way, or in D state. One that has stopped by
// @deadline is let go; the kernel lets go the others when this process ends.
static void release_unstopped(struct pss_tracee *tracee, struct pss_tracee_thread *thread,
			      uint64_t deadline)
{
	int status = 0;

	if (thread->state == PSS_TRACEE_SEIZED && ptrace(PTRACE_INTERRUPT, thread->tid, 0, 0) < 0)
		return;
	if (thread->state == PSS_TRACEE_UNSTOPPABLE)
		deadline = 0;
	while (pss_tracee_wait(thread->tid, deadline, &status) == 0) {
		if (take_event(thread, status))
			break;
	}
	release_thread(tracee, thread);
}

// One that does not stop must not keep those that have.
static void release_told(struct pss_tracee *tracee)
{
	for (uint32_t i = 0; i < pss_tracee_count(tracee); i++) {
		struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);

		if (thread->state == PSS_TRACEE_SEIZED && thread->was_told)
			release_unstopped(tracee, thread, 0);
	}
}

void pss_tracee_release_rest(struct pss_tracee *tracee)
{
	release_told(tracee);

	uint64_t deadline = pss_clock_ns(CLOCK_MONOTONIC) + BLOCK_DEADLINE_MS * NS_PER_MS;

	for (uint32_t i = 0; i < pss_tracee_count(tracee); i++) {
		struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);

		if (thread->state == PSS_TRACEE_SEIZED || thread->state == PSS_TRACEE_UNSTOPPABLE)
			release_unstopped(tracee, thread, deadline);
	}
}

static void release_where(struct pss_tracee *tracee, bool running)
{
	for (uint32_t i = 0; i < pss_tracee_count(tracee); i++) {
		struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);

		if (thread->was_running == running)
			release_thread(tracee, thread);
	}
}

int pss_tracee_release(struct pss_tracee *tracee)
{
	release_where(tracee, true);
	tracee->runners_release_ns = pss_clock_ns(CLOCK_MONOTONIC);
	release_where(tracee, false);
	tracee->last_release_ns = pss_clock_ns(CLOCK_MONOTONIC);
	pss_tracee_release_rest(tracee);
	return 0;
}

void pss_tracee_end(struct pss_tracee *tracee)
{
	if (tracee->threads.data)
		(void)pss_tracee_release(tracee);
	pss_buf_deinit(&tracee->threads);
	pss_buf_deinit(&tracee->scratch);
	pss_buf_deinit(&tracee->known);
}
