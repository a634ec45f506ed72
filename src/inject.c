// SPDX-License-Identifier: LGPL-2.1-or-later
// Calls made by a stopped thread, and the way home that stands on its stack before the first; see
// inject.h.
//
// The order of steps is the safety: the frame stands before the registers lead to it, the registers
// before the signal mask is changed, and back again in the opposite order. Between any two steps
// the thread can be let run, by us or by our death, and comes home.
#include "inject.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

enum {
	// Only a supervisor of system calls or a CPU starved for seconds makes a call take so long.
	CALL_DEADLINE_MS = 5000,
	// Copying page tables takes some 10 ms a GiB.
	CLONING_DEADLINE_MS = 30000,
	CLONE_TRIES = 5,
	LOOK_MS = 20,
	ERESTARTNOINTR_KERNEL = 513, // include/linux/errno.h
	SIGNAL_SET_SIZE = 8,
	EVENT_SHIFT = 16,
	SYSCALL_STOP = SIGTRAP | 0x80,
	EXTENDED_STATE_ROOM = 64 * 1024,
};

// Word by word into the memory of a thread that stands: the kernel does that for its tracer only.
static int poke(pid_t tid, uint64_t address, const uint8_t *bytes, size_t size)
{
	for (size_t done = 0; done < size; done += sizeof(long)) {
		size_t part = size - done < sizeof(long) ? size - done : sizeof(long);
		long word = 0;

		errno = 0;
		if (part < sizeof word)
			word = ptrace(PTRACE_PEEKDATA, tid, address + done, 0);
		memcpy(&word, bytes + done, part);
		if (errno || ptrace(PTRACE_POKEDATA, tid, address + done, word) < 0)
			return errno == EIO ? -EFAULT : -errno;
	}
	return 0;
}

// Not by the thread's number. If another thread calls execve, the leader ends, and its number is
// the new program's in that moment; a descriptor of the memory leads to what it was opened for, and
// to nothing when that is gone.
int pss_inject_write(const struct pss_inject *inject, uint64_t address, const void *bytes,
		     size_t size)
{
	if (inject->is_lost)
		return -ESRCH;
	ssize_t done = pwrite(inject->mem_fd, bytes, size, (off_t)address);
	if (done < 0 && errno == EBADF)
		return poke(inject->tid, address, bytes, size);
	if (done < 0)
		return errno == EIO ? -EFAULT : -errno;
	if (done == 0)
		return -ESRCH;
	return (size_t)done == size ? 0 : -EFAULT;
}

int pss_inject_read(const struct pss_inject *inject, uint64_t address, void *bytes, size_t size)
{
	struct iovec local = { bytes, size };
	struct iovec remote = { (void *)(uintptr_t)address, size };
	ssize_t done = process_vm_readv(inject->tid, &local, 1, &remote, 1, 0);

	if (done < 0)
		return -errno;
	return (size_t)done == size ? 0 : -EFAULT;
}

static int set_signal_mask(pid_t tid, uint64_t mask)
{
	return PSS_RET_ERRNO(ptrace(PTRACE_SETSIGMASK, tid, SIGNAL_SET_SIZE, &mask));
}

static bool is_dead(pid_t tid)
{
	_cleanup_close_ int fd = -EBADF;
	struct pss_procfs_stat stat = { 0 };
	int r = pss_procfs_open(tid, &fd);

	if (r == 0)
		r = pss_procfs_read_stat(fd, "stat", NULL, &stat);
	// One that we only could not look at may well live, and is waited for.
	return r == 0 ? stat.state == 'Z' || stat.state == 'X' : r == -ESRCH || r == -ENOENT;
}

// The end of a leader is not told while its other threads are not reaped, and those may be ours.
static int wait_alive(pid_t tid, uint64_t deadline, int *status_ret)
{
	for (;;) {
		uint64_t now = pss_clock_ns(CLOCK_MONOTONIC);
		uint64_t look = now + LOOK_MS * NS_PER_MS;
		int r = pss_tracee_wait(tid, look < deadline ? look : deadline, status_ret);

		if (r != -ETIMEDOUT)
			return r;
		if (is_dead(tid))
			return -ESRCH;
		if (now > deadline)
			return -ETIMEDOUT;
	}
}

// Waits for the next stop that is ours: a system call's begin or end, or an event. SIGSTOP, which
// can't be blocked, is let through: its group stop is one more event. Any other signal is a fault
// of the thread itself, which must not run on. Who changes the target's text while we are at it can
// have it execute another program in place of our call, one of more rights than its owner has: that
// one is left as it is.
static int next_stop(struct pss_inject *inject, int *status_ret)
{
	uint64_t deadline = pss_clock_ns(CLOCK_MONOTONIC) + inject->deadline_ms * NS_PER_MS;

	for (;;) {
		int status = 0;
		int r = wait_alive(inject->tid, deadline, &status);

		if (r < 0)
			return r;
		inject->is_lost |= status >> EVENT_SHIFT == PTRACE_EVENT_EXEC;
		if (!WIFSTOPPED(status) || inject->is_lost)
			return -ESRCH;
		if (WSTOPSIG(status) == SYSCALL_STOP || status >> EVENT_SHIFT) {
			*status_ret = status;
			return 0;
		}
		if (WSTOPSIG(status) != SIGSTOP)
			return -EPROTO;
		if (ptrace(PTRACE_SYSCALL, inject->tid, 0, SIGSTOP) < 0)
			return -errno;
	}
}

// Copying page tables takes milliseconds, in which we would only wait.
static void use_time(struct pss_inject *inject)
{
	void (*meanwhile)(void *context) = inject->meanwhile;

	inject->meanwhile = NULL;
	if (meanwhile)
		meanwhile(inject->meanwhile_context);
}

// Runs on to the begin or end of a system call, or to the birth of a clone. Other event stops in
// between, such as those that SIGCONT makes, are passed over.
static int run_on(struct pss_inject *inject, bool is_cloning, bool *has_cloned_ret)
{
	int status = 0;

	do {
		int r;

		if (ptrace(PTRACE_SYSCALL, inject->tid, 0, 0) < 0)
			return -errno;
		if (is_cloning)
			use_time(inject);
		r = next_stop(inject, &status);
		inject->is_late = r == -ETIMEDOUT;
		if (r < 0)
			return r;
	} while (WSTOPSIG(status) != SYSCALL_STOP && status >> EVENT_SHIFT != PTRACE_EVENT_CLONE);
	*has_cloned_ret = WSTOPSIG(status) != SYSCALL_STOP;
	return 0;
}

static int run_to_edge_of_call(struct pss_inject *inject)
{
	bool has_cloned;

	return run_on(inject, false, &has_cloned);
}

// Sets the registers for a call and runs to its entry.
static int enter_call(struct pss_inject *inject, uint64_t stack, long number,
		      const uint64_t arguments[6])
{
	struct pss_general general = inject->original;
	struct pss_arch_call call = {
		.number = number,
		.instruction = inject->site->call_code,
		.stack = stack,
		.return_to = inject->site->return_code,
	};
	int r;

	if (inject->is_lost)
		return -ESRCH;
	memcpy(call.arguments, arguments, sizeof call.arguments);
	inject->arch->set_call(&general, &call);
	inject->is_changed = true;
	r = pss_tracee_set_general(inject->tid, &general);
	if (r == 0 && !inject->has_run)
		r = set_signal_mask(inject->tid, UINT64_MAX);
	if (r < 0)
		return r;
	inject->has_run = true;
	return run_to_edge_of_call(inject);
}

static int read_result(const struct pss_inject *inject, int64_t *result_ret)
{
	struct pss_general general;
	int r = pss_tracee_get_general(inject->tid, &general);

	if (r == 0)
		*result_ret = inject->arch->syscall_result(&general);
	return r;
}

static int make_call(struct pss_inject *inject, uint64_t stack, long number,
		     const uint64_t arguments[6], int64_t *result_ret)
{
	int r = enter_call(inject, stack, number, arguments);

	if (r == 0)
		r = run_to_edge_of_call(inject);
	if (r == 0)
		r = read_result(inject, result_ret);
	return r;
}

int pss_inject_call(struct pss_inject *inject, long number, const uint64_t arguments[6],
		    int64_t *result_ret)
{
	int r = make_call(inject, inject->way_back, number, arguments, result_ret);

	if (r < 0)
		return pss_fail(inject->diag, r, "system call %ld in thread %d did not end", number,
				inject->tid);
	return 0;
}

static int trace_options(const struct pss_inject *inject)
{
	uint64_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC;

	if (inject->suspend_seccomp)
		options |= PTRACE_O_SUSPEND_SECCOMP;
	// A filter may kill the target for the call: without leave to suspend it, none is made.
	return PSS_RET_ERRNO(ptrace(PTRACE_SETOPTIONS, inject->tid, 0, options));
}

// The extended registers, read anew whatever the capture asks for: the frame must restore them.
static int read_extended(const struct pss_inject *inject, struct pss_buf *ret)
{
	int r = pss_buf_reserve(ret, EXTENDED_STATE_ROOM);

	if (r < 0)
		return r;
	struct iovec room = { ret->data, EXTENDED_STATE_ROOM };
	if (ptrace(PTRACE_GETREGSET, inject->tid, inject->arch->frame_note_type, &room) < 0)
		return -errno;
	ret->size = room.iov_len;
	return 0;
}

static int build_frame(const struct pss_inject *inject, const struct pss_general *general,
		       const struct pss_buf *extended, uint64_t address, struct pss_buf *image)
{
	struct pss_arch_frame frame = {
		.address = address,
		.return_code = inject->site->return_code,
		.signal_mask = extended ? inject->signal_mask : UINT64_MAX,
		.general = general,
		.extended = extended ? extended->data : NULL,
		.extended_size = extended ? extended->size : 0,
	};
	size_t offset = address - inject->room;

	return inject->arch->build_frame(&frame, image->data + offset, image->size - offset);
}

// Both frames, as bytes to be copied to the room.
static int build_frames(const struct pss_inject *inject, const struct pss_buf *extended,
			struct pss_buf *image)
{
	struct pss_general home = inject->original;
	struct pss_general last = inject->original;
	struct pss_arch_call leave = {
		.number = SYS_exit_group,
		.arguments = { PSS_INJECT_EXIT_STATUS },
		.instruction = inject->site->call_code,
		.stack = inject->exit_frame,
		.return_to = inject->site->return_code,
	};
	int r = pss_buf_append(image, NULL, inject->room_size);

	if (r < 0)
		return r;
	// Should this frame ever be used, an interrupted call is made again from its beginning.
	inject->arch->rewind_call(&home);
	r = build_frame(inject, &home, extended, inject->frame, image);
	if (r < 0)
		return r;
	inject->arch->set_call(&last, &leave);
	r = build_frame(inject, &last, NULL, inject->exit_frame, image);
	if (r == 0)
		pss_inject_mark_room(inject, image);
	return r;
}

// The kernel writes the clone's CPU into the clone's copy of the area when it runs.
static void save_rseq_area(struct pss_inject *inject)
{
	uint32_t size = 0;
	uint64_t area = pss_inject_rseq_area(inject->tid, &size);

	if (!area || size > PSS_INJECT_RSEQ_MAX ||
	    pss_inject_read(inject, area, inject->rseq_saved, size) < 0)
		return;
	inject->rseq_area = area;
	inject->rseq_size = size;
}

static int write_frames(struct pss_inject *inject, const struct pss_buf *extended)
{
	_cleanup_buf_ struct pss_buf image = PSS_BUF_EMPTY;
	int r = build_frames(inject, extended, &image);

	if (r < 0)
		return r;
	return pss_inject_write(inject, inject->room, image.data, image.size);
}

// Asked of this very thread now that it stands: filters are a thread's own, and may be new.
static int look_for_filter(struct pss_inject *inject, const struct pss_tracee *tracee)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	struct pss_procfs_status status = { 0 };
	char path[64];

	(void)snprintf(path, sizeof path, "task/%d/status", inject->tid);
	int r = pss_procfs_read(tracee->proc_fd, path, &text);
	if (r == 0)
		r = pss_procfs_parse_status((const char *)text.data, text.size, &status);
	if (r == 0)
		inject->suspend_seccomp = status.seccomp_mode != 0;
	return r;
}

// A thread that has called execve since it was stopped is another program under the same number.
static int check_unchanged(const struct pss_inject *inject)
{
	struct pss_general now;
	int r = pss_tracee_get_general(inject->tid, &now);

	if (r < 0)
		return r;
	return now.size == inject->original.size &&
			       memcmp(now.bytes, inject->original.bytes, now.size) == 0
		       ? 0
		       : -EAGAIN;
}

static void start(struct pss_inject *inject, const struct pss_tracee *tracee,
		  const struct pss_tracee_thread *thread)
{
	inject->pid = tracee->pid;
	inject->tid = thread->tid;
	inject->mem_fd = tracee->mem_fd;
	inject->arch = tracee->arch;
	inject->deadline_ms = CALL_DEADLINE_MS;
	inject->original = thread->general;
	inject->signal_mask = thread->signal_mask;
	inject->is_changed = false;
	inject->has_run = false;
	inject->is_late = false;
	inject->is_lost = false;
	inject->undo_count = 0;
	pss_buf_clear(&inject->saved);
}

int pss_inject_begin(struct pss_inject *inject, const struct pss_tracee *tracee,
		     const struct pss_tracee_thread *thread, bool at_foot)
{
	_cleanup_buf_ struct pss_buf extended = PSS_BUF_EMPTY;
	int r;

	start(inject, tracee, thread);
	r = check_unchanged(inject);
	if (r == 0)
		r = look_for_filter(inject, tracee);
	if (r == 0)
		r = trace_options(inject);
	if (r == 0)
		r = read_extended(inject, &extended);
	if (r < 0)
		return pss_fail(inject->diag, r, "cannot prepare thread %d for a system call",
				inject->tid);
	inject->is_begun = true;
	save_rseq_area(inject);
	r = pss_inject_take_room(inject, tracee, thread, at_foot, &extended);
	if (r == 0)
		r = write_frames(inject, &extended);
	if (r < 0) {
		(void)pss_inject_end(inject);
		return pss_fail(inject->diag, r, "cannot write frames for thread %d", inject->tid);
	}
	return 0;
}

// The clone as a thread that makes calls: same text, same frames, its own copy of the stack.
static struct pss_inject adopt(const struct pss_inject *parent, pid_t pid)
{
	struct pss_inject clone = *parent;

	clone.pid = pid;
	clone.tid = pid;
	clone.mem_fd = -EBADF;
	clone.saved = PSS_BUF_EMPTY;
	clone.frame = parent->exit_frame;
	clone.way_back = parent->exit_frame;
	clone.has_undo_room = false;
	clone.has_run = true;
	clone.deadline_ms = CALL_DEADLINE_MS;
	return clone;
}

static int wait_for_clone(struct pss_inject *clone)
{
	int status = 0;
	int r = next_stop(clone, &status);

	if (r == 0 && status >> EVENT_SHIFT != PTRACE_EVENT_STOP)
		r = -EPROTO;
	return r;
}

// The clone exists, stopped by the kernel; the thread is still inside its call.
static int meet_clone(struct pss_inject *inject, struct pss_inject *clone_ret)
{
	unsigned long pid = 0;

	if (ptrace(PTRACE_GETEVENTMSG, inject->tid, 0, &pid) < 0)
		return -errno;
	if (pid == 0)
		return -EPROTO;
	*clone_ret = adopt(inject, (pid_t)pid);
	return wait_for_clone(clone_ret);
}

static int refuse_clone(struct pss_inject *inject, int error)
{
	inject->is_refused = true;
	return pss_fail(inject->diag, error, "cannot clone process %d", inject->pid);
}

// One try. The kernel takes a clone back, with a code that asks for another, if a stop signal or
// its end was on the way. A clone that has died at once has a number all the same, by which the
// target has to reap it.
static int try_clone(struct pss_inject *inject, struct pss_inject *clone_ret, int64_t *result_ret)
{
	const uint64_t arguments[6] = { CLONE_FILES, inject->exit_frame };
	bool has_cloned = false;
	int met = 0;
	int r = enter_call(inject, inject->frame, SYS_clone, arguments);

	if (r == 0)
		r = run_on(inject, true, &has_cloned);
	if (r == 0 && has_cloned) {
		met = meet_clone(inject, clone_ret);
		r = run_to_edge_of_call(inject);
	}
	if (r == 0)
		r = read_result(inject, result_ret);
	return r < 0 ? r : met;
}

int pss_inject_clone(struct pss_inject *inject, struct pss_inject *clone_ret, pid_t *own_pid_ret)
{
	int64_t result = 0;
	int r;

	inject->deadline_ms = CLONING_DEADLINE_MS;
	for (unsigned tries = 0; tries < CLONE_TRIES; tries++) {
		r = try_clone(inject, clone_ret, &result);
		if (r < 0 || result != -ERESTARTNOINTR_KERNEL)
			break;
	}
	inject->deadline_ms = CALL_DEADLINE_MS;
	if (result > 0)
		*own_pid_ret = (pid_t)result;
	if (r < 0)
		return pss_fail(inject->diag, r, "cloning process %d did not end", inject->pid);
	return result < 0 ? refuse_clone(inject, (int)result) : 0;
}

// From wherever a call has left it to a signal-delivery stop: only from there does the kernel's own
// restart of an interrupted call run. A call that took too long first ends in a stop of its own,
// for which the kernel forgets our request; one must not pass over that stop unseen.
static int stop_before_user_mode(struct pss_inject *inject)
{
	bool runs = inject->is_late;
	int status = 0;
	int r;

	do {
		if (ptrace(PTRACE_INTERRUPT, inject->tid, 0, 0) < 0)
			return -errno;
		if (!runs && ptrace(PTRACE_CONT, inject->tid, 0, 0) < 0)
			return -errno;
		runs = false;
		r = next_stop(inject, &status);
	} while (r == 0 && status >> EVENT_SHIFT != PTRACE_EVENT_STOP);
	return r;
}

int pss_inject_settle(struct pss_inject *inject)
{
	int r = inject->is_late ? stop_before_user_mode(inject) : 0;

	inject->is_late = r < 0;
	return r;
}

// With calls. A thread that can make none now has the frames of the undos on its way home.
static void take_back(struct pss_inject *inject)
{
	if (inject->is_lost || pss_inject_settle(inject) < 0)
		return;
	while (inject->undo_count && !inject->is_late)
		(void)pss_inject_pop_undo(inject);
}

int pss_inject_end(struct pss_inject *inject)
{
	int r = 0;

	if (!inject->is_begun)
		return 0;
	inject->is_begun = false;
	take_back(inject);
	if (inject->is_changed) {
		// Before its first call the thread still is in the stop where it was found.
		if (inject->is_lost)
			r = -ESRCH;
		else if (inject->has_run)
			r = inject->is_late ? -ETIMEDOUT : stop_before_user_mode(inject);
		if (r == 0)
			r = set_signal_mask(inject->tid, inject->signal_mask);
		if (r == 0)
			r = pss_tracee_set_general(inject->tid, &inject->original);
	}
	// Not before the registers lead elsewhere: the frame is the way home until then, and stays
	// it if they could not be given back.
	if (r == 0)
		r = pss_inject_give_back_room(inject);
	(void)ptrace(PTRACE_SETOPTIONS, inject->tid, 0, 0);
	if (r < 0)
		return pss_fail(inject->diag, r, "cannot give thread %d its registers back",
				inject->tid);
	return 0;
}

void pss_inject_deinit(struct pss_inject *inject)
{
	(void)pss_inject_end(inject);
	pss_buf_deinit(&inject->saved);
	*inject = PSS_INJECT_EMPTY;
}

int pss_inject_leave(struct pss_inject *clone, long number, const uint64_t arguments[6])
{
	int r = enter_call(clone, clone->frame, number, arguments);

	// With its filter suspended the clone stays traced until the call is under way: it is let
	// go when this process ends.
	if (r == 0)
		r = PSS_RET_ERRNO(ptrace(clone->suspend_seccomp ? PTRACE_CONT : PTRACE_DETACH,
					 clone->tid, 0, 0));
	if (r < 0)
		return pss_fail(clone->diag, r, "cannot let go of the clone %d", clone->tid);
	return 0;
}
