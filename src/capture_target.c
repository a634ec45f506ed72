// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding, pinning and checking the process; see capture_target.h.
#include "capture_target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "capture_errand.h"
#include "clone.h"
#include "doctor.h"
#include "helper.h"
#include "procfs.h"

enum {
	TRACER_PATIENCE_MS = 5000,
};

static int read_stat(int proc_fd, struct pss_procfs_stat *ret)
{
	return pss_procfs_read_stat(proc_fd, "stat", NULL, ret);
}

static int read_status(int proc_fd, struct pss_procfs_status *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	int r = pss_procfs_read(proc_fd, "status", &text);

	if (r < 0)
		return r;
	return pss_procfs_parse_status((const char *)text.data, text.size, ret);
}

// A leader that has exited has no address space any more, though its threads do.
static int open_live_thread(int proc_fd, int *ret)
{
	_cleanup_buf_ struct pss_buf tids = PSS_BUF_EMPTY;
	int r = pss_procfs_list(proc_fd, "task", &tids);

	for (size_t i = 0; r == 0 && i < tids.size / sizeof(int32_t); i++) {
		struct pss_procfs_stat stat;
		char path[32];

		(void)snprintf(path, sizeof path, "task/%d",
			       ((const int32_t *)(const void *)tids.data)[i]);
		_cleanup_close_ int fd = openat(proc_fd, path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
		if (fd < 0 || read_stat(fd, &stat) < 0 || stat.state == 'Z' || stat.state == 'X')
			continue;
		*ret = TAKE_FD(fd);
		return 0;
	}
	return r < 0 ? r : -ESRCH;
}

static int open_space(struct pss_target *target)
{
	struct pss_procfs_stat stat;
	int r = read_stat(target->proc_fd, &stat);

	if (r < 0)
		return r;
	if (stat.state == 'Z' && open_live_thread(target->proc_fd, &target->space_fd) == 0)
		return 0;
	target->space_fd = fcntl(target->proc_fd, F_DUPFD_CLOEXEC, 3);
	return target->space_fd < 0 ? -errno : 0;
}

bool pss_target_has_lost_leader(const struct pss_target *target)
{
	struct pss_procfs_stat stat;

	return read_stat(target->proc_fd, &stat) == 0 && stat.state == 'Z';
}

static bool is_alive(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) == 0 || errno != ESRCH;
}

int pss_target_open(int pidfd, struct pss_diag *diag, struct pss_target *ret)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	int r;

	target.pid = getpid();
	if (pidfd >= 0) {
		r = pss_procfs_pid_of_pidfd(pidfd, &target.pid);
		if (r < 0)
			return pss_fail(diag, r, "the process of handle %d is gone", pidfd);
	}
	if (target.pid == getpid())
		target.caller_tid = (pid_t)syscall(SYS_gettid);
	r = pss_procfs_open(target.pid, &target.proc_fd);
	// Asked after the folder is open: now the pid cannot have been another's then.
	if (r == 0 && pidfd >= 0 && !is_alive(pidfd))
		r = -ESRCH;
	if (r == 0)
		r = open_space(&target);
	if (r < 0) {
		bool is_hidden = target.proc_fd < 0 && pidfd >= 0 && is_alive(pidfd);

		r = pss_fail(diag, r, "cannot look at process %d", target.pid);
		if (is_hidden)
			pss_diag_hint(diag, "it is alive, but /proc does not show it: mount /proc "
					    "for this PID namespace, and without hidepid");
		return r;
	}
	*ret = target;
	target = PSS_TARGET_EMPTY;
	return 0;
}

int pss_target_open_pid(pid_t pid, uint64_t start_ticks, struct pss_target *ret)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	struct pss_procfs_stat stat;
	int r;

	target.pid = pid;
	r = pss_procfs_open(pid, &target.proc_fd);
	if (r == 0)
		r = read_stat(target.proc_fd, &stat);
	if (r == 0 && stat.start_ticks != start_ticks)
		r = -ESRCH;
	if (r == 0)
		r = open_space(&target);
	if (r < 0)
		return r;
	*ret = target;
	target = PSS_TARGET_EMPTY;
	return 0;
}

void pss_target_close(struct pss_target *target)
{
	target->proc_fd = pss_close(target->proc_fd);
	target->space_fd = pss_close(target->space_fd);
	target->mem_fd = pss_close(target->mem_fd);
}

// Any thread's: another capturer may hold some and not yet others.
static pid_t find_tracer(const struct pss_target *target)
{
	_cleanup_buf_ struct pss_buf tids = PSS_BUF_EMPTY;

	if (pss_procfs_list(target->proc_fd, "task", &tids) < 0)
		return 0;
	for (size_t i = 0; i < tids.size / sizeof(int32_t); i++) {
		struct pss_procfs_status status = { 0 };
		char path[32];

		(void)snprintf(path, sizeof path, "task/%d",
			       ((const int32_t *)(const void *)tids.data)[i]);
		_cleanup_close_ int fd =
			openat(target->proc_fd, path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read_status(fd, &status) == 0 && status.tracer_pid)
			return status.tracer_pid;
	}
	return 0;
}

static bool is_helper(pid_t pid)
{
	_cleanup_close_ int fd = -EBADF;
	struct pss_procfs_stat stat = { 0 };

	if (pss_procfs_open(pid, &fd) < 0 || read_stat(fd, &stat) < 0)
		return true; // it has ended: a debugger would hardly have in this moment
	return stat.comm_size == sizeof PSS_HELPER_NAME - 1 &&
	       memcmp(stat.comm, PSS_HELPER_NAME, stat.comm_size) == 0;
}

bool pss_target_wait_for_tracer(const struct pss_target *target)
{
	pid_t tracer = find_tracer(target);

	if (!tracer)
		return true;
	// A helper that holds a thread which would not stop must not wait for its own end.
	if (tracer == (pid_t)syscall(SYS_gettid) || !is_helper(tracer))
		return false;
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, tracer, 0);
	if (pidfd < 0)
		return errno == ESRCH; // it has ended meanwhile
	struct pollfd end = { .fd = pidfd, .events = POLLIN };
	return poll(&end, 1, TRACER_PATIENCE_MS) == 1;
}

int pss_target_check_traceable(struct pss_target *target, struct pss_diag *diag)
{
	struct pss_procfs_status status = { 0 };
	struct pss_procfs_stat stat = { 0 };
	int r = read_status(target->space_fd, &status);

	if (r == 0)
		r = read_stat(target->space_fd, &stat);
	if (r < 0)
		return pss_fail(diag, r, "cannot read the status of process %d", target->pid);
	if (stat.state == 'Z' || stat.state == 'X')
		return pss_fail(diag, -ESRCH, "process %d has exited", target->pid);
	if (!status.tracer_pid)
		return 0;
	r = pss_fail(diag, -PSS_ETRACED, "cannot trace process %d", target->pid);
	(void)pss_target_explain(target, PSS_DOCTOR_TRACED, diag);
	return r;
}

int pss_target_open_memory(struct pss_target *target, struct pss_diag *diag)
{
	int fd = openat(target->space_fd, "mem", O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		int r = pss_fail(diag, -errno, "cannot open the memory of process %d", target->pid);
		(void)pss_target_explain(
			target, r == -ESRCH ? PSS_DOCTOR_NO_THREAD : PSS_DOCTOR_DENIED, diag);
		return r;
	}
	(void)pss_close(target->mem_fd);
	target->mem_fd = fd;
	return 0;
}

void pss_target_reopen_memory(struct pss_target *target)
{
	target->mem_fd = pss_close(target->mem_fd);
	int fd = openat(target->space_fd, "mem", O_RDWR | O_CLOEXEC);

	// A read-only /proc, or a security module that has its say.
	if (fd < 0 && (errno == EROFS || errno == EACCES || errno == EPERM))
		fd = openat(target->space_fd, "mem", O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		target->mem_fd = fd;
}

// @error and why, if the process has one of @causes.
static int refuse(const struct pss_target *target, const char *verb, unsigned causes,
		  uint64_t reserve, int error, struct pss_diag *diag)
{
	_cleanup_doctor_ struct pss_doctor doctor = PSS_DOCTOR_EMPTY;
	struct pss_diag refusal = { 0 };

	(void)pss_fail(&refusal, error, "cannot %s process %d", verb, target->pid);
	if (pss_doctor_open(target->pid, target->proc_fd, target->space_fd, &doctor) < 0)
		return 0;
	doctor.memory_reserve = reserve;
	if (!pss_doctor_explain(&doctor, causes, &refusal))
		return 0;
	if (diag && !diag->error)
		*diag = refusal;
	return refusal.error;
}

int pss_target_check_clonable(const struct pss_target *target, struct pss_diag *diag)
{
	struct pss_procfs_status status = { 0 };
	int r = refuse(target, "clone", PSS_DOCTOR_UNCLONABLE, 0, -EOPNOTSUPP, diag);

	// Of the thread that is first asked to make the clone: to look at all takes as long as all.
	if (r == 0 && read_status(target->space_fd, &status) == 0 && status.seccomp_mode)
		r = refuse(target, "clone", PSS_DOCTOR_FILTERED, 0, -EPERM, diag);
	return r;
}

int pss_target_check_enterable(const struct pss_target *target, struct pss_diag *diag)
{
	return refuse(target, "enter", PSS_DOCTOR_FROZEN, 0, -EOPNOTSUPP, diag);
}

int pss_target_check_memory(const struct pss_target *target, uint64_t reserve,
			    struct pss_diag *diag)
{
	return refuse(target, "clone", PSS_DOCTOR_MEMORY, reserve, -EDQUOT, diag);
}

static int read_yama(uint64_t *scope_ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	int r = pss_procfs_read(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", &text);

	if (r < 0)
		return r;
	return pss_procfs_parse_number((const char *)text.data, text.size, 10, scope_ret);
}

bool pss_target_wants_ancestor(void)
{
	uint64_t scope;

	return read_yama(&scope) == 0 && scope == 1;
}

bool pss_target_explain(const struct pss_target *target, unsigned causes, struct pss_diag *diag)
{
	_cleanup_doctor_ struct pss_doctor doctor = PSS_DOCTOR_EMPTY;

	return pss_doctor_open(target->pid, target->proc_fd, target->space_fd, &doctor) == 0 &&
	       pss_doctor_explain(&doctor, causes, diag);
}

static int reap(struct pss_inject *inject, void *context)
{
	const pid_t *own_pid = context;

	return pss_clone_reap(inject, *own_pid);
}

void pss_target_reap(struct pss_target *target, pid_t own_pid)
{
	const struct pss_errand errand = { .work = reap, .context = &own_pid };

	(void)pss_errand_run(target, &errand, NULL);
}

void pss_target_reap_by_helper(struct pss_target *target, pid_t own_pid)
{
	const struct pss_errand errand = { .work = reap, .context = &own_pid };

	(void)pss_errand_send(target, &errand, NULL);
}
