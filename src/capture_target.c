// SPDX-License-Identifier: LGPL-2.1-or-later
// Finding, pinning and checking the process; see capture_target.h.
#include "capture_target.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "clone.h"
#include "inject.h"
#include "procfs.h"
#include "tracee.h"

static int read_stat(int proc_fd, struct pss_procfs_stat *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	int r = pss_procfs_read(proc_fd, "stat", &text);

	if (r < 0)
		return r;
	return pss_procfs_parse_stat((const char *)text.data, text.size, ret);
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
	if (r < 0)
		return pss_fail(diag, r, "cannot look at process %d", target.pid);
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

static int refuse_traced(pid_t pid, pid_t tracer, struct pss_diag *diag)
{
	_cleanup_close_ int fd = -EBADF;
	struct pss_procfs_stat stat = { 0 };

	if (pss_procfs_open(tracer, &fd) == 0)
		(void)read_stat(fd, &stat);
	int r = pss_fail(diag, -EBUSY, "process %d is traced by process %d (%.*s)", pid, tracer,
			 (int)stat.comm_size, stat.comm);
	pss_diag_hint(diag, "detach that debugger or tracer first");
	return r;
}

int pss_target_check_traceable(struct pss_target *target, struct pss_diag *diag)
{
	struct pss_procfs_status status;
	struct pss_procfs_stat stat;
	int r = read_status(target->space_fd, &status);

	if (r == 0)
		r = read_stat(target->space_fd, &stat);
	if (r < 0)
		return pss_fail(diag, r, "cannot read the status of process %d", target->pid);
	if (stat.state == 'Z' || stat.state == 'X')
		return pss_fail(diag, -ESRCH, "process %d has exited", target->pid);
	if (status.tracer_pid)
		return refuse_traced(target->pid, status.tracer_pid, diag);
	target->has_seccomp_filter = status.seccomp_mode != 0;
	return 0;
}

int pss_target_open_memory(struct pss_target *target, struct pss_diag *diag)
{
	int fd = openat(target->space_fd, "mem", O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		int r = pss_fail(diag, -errno, "cannot open the memory of process %d", target->pid);
		pss_target_explain_denial(target, diag);
		return r;
	}
	target->mem_fd = fd;
	return 0;
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

void pss_target_explain_denial(const struct pss_target *target, struct pss_diag *diag)
{
	struct pss_procfs_status status;
	struct stat owner;
	uint64_t scope = 0;

	if (read_status(target->proc_fd, &status) < 0 || fstat(target->proc_fd, &owner) < 0)
		return;
	if (status.uid != geteuid())
		pss_diag_hint(diag,
			      "it belongs to user %u and you are %u: run as that user, as root, or "
			      "with CAP_SYS_PTRACE",
			      status.uid, geteuid());
	else if (owner.st_uid != status.uid)
		pss_diag_hint(diag, "it has made itself undumpable, or its program file can't be "
				    "read: run as root or with CAP_SYS_PTRACE");
	else if (read_yama(&scope) == 0 && scope > 0)
		pss_diag_hint(diag,
			      "Yama ptrace_scope is %u: run as its parent, as root, with "
			      "CAP_SYS_PTRACE, or let it call prctl(PR_SET_PTRACER)",
			      (unsigned)scope);
	else
		pss_diag_hint(diag, "it may have capabilities that you lack, or a security module "
				    "forbids it: run as root or with CAP_SYS_PTRACE");
}

static int reap_by(struct pss_target *target, const struct pss_arch *arch,
		   const struct pss_inject_site *site, pid_t tid, pid_t own_pid)
{
	struct pss_diag diag = { 0 };
	_cleanup_tracee_ struct pss_tracee tracee = PSS_TRACEE_EMPTY;
	_cleanup_inject_ struct pss_inject inject = PSS_INJECT_EMPTY;
	struct pss_tracee_thread *thread;

	tracee.pid = target->pid;
	tracee.proc_fd = target->proc_fd;
	tracee.mem_fd = target->mem_fd;
	tracee.arch = arch;
	tracee.diag = &diag;
	inject.site = site;
	inject.diag = &diag;
	inject.suspend_seccomp = target->has_seccomp_filter;
	int r = pss_tracee_stop_one(&tracee, tid, &thread);
	if (r == 0)
		r = pss_inject_verify(site, target->space_fd, arch, &diag);
	if (r == 0 && !pss_inject_is_fit(&tracee, thread, site, true))
		r = -EAGAIN;
	if (r == 0)
		r = pss_inject_begin(&inject, &tracee, thread, false);
	if (r == 0)
		r = pss_clone_reap(&inject, own_pid);
	return r;
}

void pss_target_reap(struct pss_target *target, const struct pss_arch *arch, pid_t own_pid)
{
	_cleanup_(pss_inject_site_deinit) struct pss_inject_site site = PSS_INJECT_SITE_EMPTY;
	_cleanup_buf_ struct pss_buf tids = PSS_BUF_EMPTY;
	struct pss_diag diag = { 0 };

	if (pss_target_check_traceable(target, &diag) < 0 ||
	    (target->mem_fd < 0 && pss_target_open_memory(target, &diag) < 0) ||
	    pss_inject_survey(target->space_fd, target->mem_fd, arch, &diag, &site) < 0 ||
	    pss_procfs_list(target->proc_fd, "task", &tids) < 0)
		return;
	for (size_t i = 0; i < tids.size / sizeof(int32_t); i++) {
		pid_t tid = ((const int32_t *)(const void *)tids.data)[i];

		if (reap_by(target, arch, &site, tid, own_pid) == 0)
			return;
	}
}
