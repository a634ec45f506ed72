// SPDX-License-Identifier: LGPL-2.1-or-later
// The life of a clone, from the injected clone(2) to the injected wait4(2); see clone.h.
#include "clone.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "procfs.h"

static const char clone_name[] = PSS_CLONE_NAME;

enum {
	SIGNAL_COUNT = 64,
	SIGNAL_SET_SIZE = 8,
	EXIT_DEADLINE_MS = 10000,
	LATER_DEADLINE_MS = 60000,
};

// One call in the clone that has to succeed.
static int must_call(struct pss_clone *clone, const char *what, long number,
		     const uint64_t arguments[6])
{
	int64_t result;
	int r = pss_inject_call(&clone->inject, number, arguments, &result);

	if (r < 0)
		return r;
	if (result < 0)
		return pss_fail(clone->diag, (int)result, "%s failed in the clone %d", what,
				clone->record.pid);
	return 0;
}

#define CALL(clone, what, number, ...)                                                             \
	must_call((clone), (what), (number), (const uint64_t[6]){ __VA_ARGS__ })

// Unshared first, then closed: the target's table and its POSIX locks stay as they are, and no
// descriptor of the target is held for a moment.
static int drop_descriptors(struct pss_clone *clone)
{
	return CALL(clone, "close_range", SYS_close_range, 0, UINT32_MAX, CLOSE_RANGE_UNSHARE);
}

// Should memory run out, the clone goes first, never the patient: from the moment on at which the
// patient writes again. Without the right the clone is no likelier a victim than the target itself.
static void offer_to_oom_killer(const struct pss_clone *clone)
{
	_cleanup_close_ int fd = openat(clone->proc_fd, "oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0)
		(void)!write(fd, "1000", 4);
}

static int identify(struct pss_clone *clone, pid_t own_pid)
{
	struct pss_procfs_stat stat;
	int r = pss_procfs_open(clone->inject.pid, &clone->proc_fd);

	if (r == 0)
		r = pss_procfs_read_stat(clone->proc_fd, "stat", NULL, &stat);
	// The target's text is its owner's to change at any moment, and what the call made may be a
	// thread of the target. That one must not be parked, moved or ended in place of a clone.
	if (r == 0 && stat.exit_signal != 0)
		r = -EPROTO;
	if (r < 0)
		return pss_fail(clone->diag, r, "cannot look at the clone %d", clone->inject.pid);
	clone->record = (struct pss_clone_record){
		.pid = clone->inject.pid,
		.target_pid_ns_pid = own_pid,
		.start_ticks = stat.start_ticks,
		.section_fd = PSS_CLONE_SECTION_FD,
	};
	return 0;
}

int pss_clone_make(struct pss_inject *target, struct pss_diag *diag, struct pss_clone *ret)
{
	pid_t own_pid = 0;
	int r;

	ret->diag = diag;
	r = pss_inject_clone(target, &ret->inject, &own_pid);
	ret->record.pid = ret->inject.pid;
	ret->record.target_pid_ns_pid = own_pid;
	if (r == 0)
		r = drop_descriptors(ret);
	if (r == 0)
		r = identify(ret, own_pid);
	if (r == 0)
		offer_to_oom_killer(ret);
	// Its other calls are made when the target runs again: nobody waits for it any more.
	ret->inject.deadline_ms = LATER_DEADLINE_MS;
	return r;
}

int pss_clone_is_undumpable(struct pss_clone *clone, bool *ret)
{
	const uint64_t arguments[6] = { PR_GET_DUMPABLE };
	int64_t result;
	int r = pss_inject_call(&clone->inject, SYS_prctl, arguments, &result);

	if (r == 0)
		*ret = result != 1;
	return r;
}

static int set_name(struct pss_clone *clone)
{
	int r = pss_inject_write(&clone->inject, clone->inject.arguments, clone_name,
				 sizeof clone_name);

	if (r < 0)
		return pss_fail(clone->diag, r, "cannot write to the clone %d", clone->record.pid);
	return CALL(clone, "prctl", SYS_prctl, PR_SET_NAME, clone->inject.arguments);
}

// The program's handlers must never run in the clone; what has none keeps its default.
static int clear_handlers(struct pss_clone *clone)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	uint64_t default_action[4] = { 0 }; // the kernel's struct sigaction: SIG_DFL, no flags
	struct pss_procfs_status status;
	int r = pss_procfs_read(clone->proc_fd, "status", &text);

	if (r == 0)
		r = pss_procfs_parse_status((const char *)text.data, text.size, &status);
	if (r == 0)
		r = pss_inject_write(&clone->inject, clone->inject.arguments, default_action,
				     sizeof default_action);
	if (r < 0)
		return pss_fail(clone->diag, r, "cannot clear signal handlers of the clone %d",
				clone->record.pid);
	for (unsigned signal = 1; signal <= SIGNAL_COUNT && r == 0; signal++) {
		if (status.signals_caught & (1ull << (signal - 1)))
			r = CALL(clone, "rt_sigaction", SYS_rt_sigaction, signal,
				 clone->inject.arguments, 0, SIGNAL_SET_SIZE);
	}
	return r;
}

// Stopping the target's service must not be held up by a clone that ignores the request.
static int let_end_signals_in(struct pss_clone *clone)
{
	uint64_t mask = UINT64_MAX;

	mask &= ~((1ull << (SIGTERM - 1)) | (1ull << (SIGHUP - 1)) | (1ull << (SIGINT - 1)));
	if (ptrace(PTRACE_SETSIGMASK, clone->inject.tid, SIGNAL_SET_SIZE, &mask) < 0)
		return pss_fail(clone->diag, -errno, "cannot set the signal mask of the clone %d",
				clone->record.pid);
	return 0;
}

// The clone has no descriptor: two are the socket pair on the way, and the section gets the next.
static int give_section(struct pss_clone *clone, int section_fd)
{
	_cleanup_close_ int read_only = -EBADF;
	struct pss_inject_gift gift = { .socket = -EBADF };
	int number = -EBADF;
	char path[32];

	// A description of its own, read-only: the lock is ours, and nobody writes.
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", section_fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	if (read_only < 0)
		return pss_fail(clone->diag, -errno, "cannot open the section for the clone %d",
				clone->record.pid);
	gift.fd = read_only;
	int r = pss_inject_give(&clone->inject, &gift, &number);
	if (r < 0)
		return r;
	if (number != PSS_CLONE_SECTION_FD)
		return pss_fail(clone->diag, -EPROTO, "the clone %d has descriptors of its own",
				clone->record.pid);
	return 0;
}

// Whether the clone sleeps: it has got past its seccomp filter, and waits.
static bool is_asleep(const struct pss_clone *clone, struct pss_buf *text)
{
	struct pss_procfs_stat stat;

	return pss_procfs_read_stat(clone->proc_fd, "stat", text, &stat) == 0 && stat.state == 'S';
}

// The shared lock is not to be had before the last duplicate of the section is closed. Shared, so
// that whoever frees the snapshot can tell by a lock of the same kind whether it was the last.
static int wait_for_lock(struct pss_clone *clone)
{
	const uint64_t arguments[6] = { PSS_CLONE_SECTION_FD, LOCK_SH };
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	uint64_t deadline = pss_clock_ns(CLOCK_MONOTONIC) + EXIT_DEADLINE_MS * NS_PER_MS;
	int r = pss_inject_leave(&clone->inject, SYS_flock, arguments);

	// A suspended filter is back in force when this process ends, which lets go of the clone.
	while (r == 0 && clone->inject.suspend_seccomp && !is_asleep(clone, &text)) {
		if (pss_clock_ns(CLOCK_MONOTONIC) > deadline)
			return pss_fail(clone->diag, -ETIMEDOUT, "the clone %d does not wait",
					clone->record.pid);
		pss_tracee_pause();
	}
	return r;
}

int pss_clone_park(struct pss_clone *clone, int section_fd)
{
	int r = CALL(clone, "setsid", SYS_setsid, 0);

	if (r == 0)
		r = set_name(clone);
	if (r == 0)
		r = clear_handlers(clone);
	if (r == 0)
		r = give_section(clone, section_fd);
	if (r == 0)
		r = let_end_signals_in(clone);
	if (r < 0)
		return r;
	r = wait_for_lock(clone);
	if (r == 0)
		clone->inject.tid = 0; // it is its own now
	return r;
}

// False if it is still ours, and lives: then its number is nobody else's.
static bool wait_for_exit(const struct pss_clone *clone)
{
	uint64_t deadline = pss_clock_ns(CLOCK_MONOTONIC) + EXIT_DEADLINE_MS * NS_PER_MS;
	int status = 0;
	int r;

	while ((r = pss_tracee_wait(clone->inject.tid, deadline, &status)) == 0) {
		if (!WIFSTOPPED(status))
			return true;
		(void)ptrace(PTRACE_CONT, clone->inject.tid, 0, 0);
	}
	return r != -ETIMEDOUT;
}

// Let run, it comes to its exit frame. Only one that is stuck is killed, for its zombie would not
// show whose it was.
static void end_clone(const struct pss_clone *clone)
{
	if (clone->inject.is_lost) {
		(void)ptrace(PTRACE_DETACH, clone->inject.tid, 0, 0);
		return;
	}
	(void)ptrace(PTRACE_CONT, clone->inject.tid, 0, 0);
	if (wait_for_exit(clone))
		return;
	(void)kill(clone->inject.tid, SIGKILL);
	(void)wait_for_exit(clone);
}

void pss_clone_deinit(struct pss_clone *clone)
{
	if (clone->inject.tid > 0)
		end_clone(clone);
	clone->proc_fd = pss_close(clone->proc_fd);
	clone->inject = PSS_INJECT_EMPTY;
}

int pss_clone_reap(struct pss_inject *target, pid_t own_pid)
{
	const uint64_t arguments[6] = { (uint64_t)own_pid, 0, WNOHANG | __WALL };
	int64_t result;
	int r = pss_inject_call(target, SYS_wait4, arguments, &result);

	if (r < 0)
		return r;
	// No such child: another capturer has been quicker.
	return result == own_pid || result == -ECHILD ? 0 : -EAGAIN;
}

static bool has_name(const struct pss_procfs_stat *stat)
{
	return stat->comm_size == sizeof clone_name - 1 &&
	       memcmp(stat->comm, clone_name, stat->comm_size) == 0;
}

// A clone that had no time to take its name is known by the status of its exit frame.
static bool is_ours(const struct pss_procfs_stat *stat)
{
	return has_name(stat) || stat->exit_code == PSS_INJECT_EXIT_STATUS << 8;
}

bool pss_clone_is_ending(pid_t pid)
{
	_cleanup_close_ int fd = -EBADF;
	struct pss_procfs_stat stat;

	if (pss_procfs_open(pid, &fd) < 0 || pss_procfs_read_stat(fd, "stat", NULL, &stat) < 0)
		return false;
	return stat.exit_signal == 0 && is_ours(&stat) &&
	       (stat.state == 'Z' || pss_procfs_is_dying(fd));
}

bool pss_clone_is_zombie(pid_t pid, pid_t *own_pid_ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	_cleanup_close_ int fd = -EBADF;
	struct pss_procfs_stat stat;
	struct pss_procfs_status status;

	if (pss_procfs_open(pid, &fd) < 0 || pss_procfs_read_stat(fd, "stat", &text, &stat) < 0)
		return false;
	if (stat.state != 'Z' || stat.exit_signal != 0 || !is_ours(&stat))
		return false;
	if (pss_procfs_read(fd, "status", &text) < 0 ||
	    pss_procfs_parse_status((const char *)text.data, text.size, &status) < 0)
		return false;
	*own_pid_ret = status.innermost_pid;
	return true;
}

// One that was just made has its maker for a tracer, and no name yet.
static bool is_traced(int fd, struct pss_buf *text)
{
	struct pss_procfs_status status;

	return pss_procfs_read(fd, "status", text) == 0 &&
	       pss_procfs_parse_status((const char *)text->data, text->size, &status) == 0 &&
	       status.tracer_pid != 0;
}

static bool is_living(pid_t pid, struct pss_clone_sibling *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	_cleanup_close_ int fd = -EBADF;
	struct pss_procfs_stat stat;

	if (pss_procfs_open(pid, &fd) < 0 || pss_procfs_read_stat(fd, "stat", &text, &stat) < 0 ||
	    stat.exit_signal != 0 || stat.state == 'Z' || stat.state == 'X')
		return false;
	*ret = (struct pss_clone_sibling){ .pid = pid, .start_ticks = stat.start_ticks };
	return has_name(&stat) ? !pss_procfs_is_dying(fd) : is_traced(fd, &text);
}

static int add_child(pid_t pid, struct pss_buf *dead_own_pids, struct pss_buf *living)
{
	struct pss_clone_sibling sibling;
	pid_t own_pid;

	if (is_living(pid, &sibling))
		return pss_buf_append(living, &sibling, sizeof sibling);
	if (dead_own_pids && pss_clone_is_zombie(pid, &own_pid))
		return pss_buf_append(dead_own_pids, &own_pid, sizeof own_pid);
	return 0;
}

static int find_among_children(int proc_fd, pid_t tid, struct pss_buf *scratch,
			       struct pss_buf *dead_own_pids, struct pss_buf *living)
{
	char path[64];
	pid_t pid = 0;

	(void)snprintf(path, sizeof path, "task/%d/children", tid);
	int r = pss_procfs_read(proc_fd, path, scratch);
	// The thread has ended, or there is no CONFIG_PROC_CHILDREN.
	if (r < 0)
		return r == -ENOENT || r == -ESRCH ? 0 : r;
	for (size_t i = 0; i < scratch->size && r == 0; i++) {
		if (scratch->data[i] >= '0' && scratch->data[i] <= '9') {
			pid = pid * 10 + (scratch->data[i] - '0');
			continue;
		}
		if (pid > 0)
			r = add_child(pid, dead_own_pids, living);
		pid = 0;
	}
	return r;
}

int pss_clone_find(int proc_fd, struct pss_buf *dead_own_pids, struct pss_buf *living)
{
	_cleanup_buf_ struct pss_buf tids = PSS_BUF_EMPTY;
	_cleanup_buf_ struct pss_buf scratch = PSS_BUF_EMPTY;
	int r = pss_procfs_list(proc_fd, "task", &tids);

	for (size_t i = 0; r == 0 && i < tids.size / sizeof(int32_t); i++)
		r = find_among_children(proc_fd, ((const int32_t *)(const void *)tids.data)[i],
					&scratch, dead_own_pids, living);
	return r;
}
