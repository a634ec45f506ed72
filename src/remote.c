// SPDX-License-Identifier: LGPL-2.1-or-later
// Taking, giving and closing descriptors of other processes; see remote.h.
#include "remote.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "capture_errand.h"
#include "procfs.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL // Linux 6.9
#endif

enum { LOWEST_FD = 3 };

static bool is_alive(int dir_fd, pid_t *tid_ret)
{
	struct pss_procfs_stat stat;

	if (pss_procfs_read_stat(dir_fd, "stat", NULL, &stat) < 0)
		return false;
	*tid_ret = stat.pid;
	return stat.state != 'Z' && stat.state != 'X';
}

// Of a thread that has descriptors: a leader that has exited has none. The folder in /proc is that
// one thread's for good, so a number that it still shows afterwards has not been another's.
static int open_pidfd(const struct pss_target *holder, int *ret)
{
	_cleanup_close_ int pidfd = -EBADF;
	pid_t tid;

	if (!is_alive(holder->space_fd, &tid))
		return -ESRCH;
	pidfd = (int)syscall(SYS_pidfd_open, tid, tid == holder->pid ? 0 : PIDFD_THREAD);
	if (pidfd < 0)
		return errno == EINVAL ? -EOPNOTSUPP : -errno;
	if (!is_alive(holder->space_fd, &tid))
		return -ESRCH;
	*ret = TAKE_FD(pidfd);
	return 0;
}

static int take(const struct pss_target *holder, int number, int *ret)
{
	_cleanup_close_ int pidfd = -EBADF;
	int r = open_pidfd(holder, &pidfd);

	if (r < 0)
		return r;
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	if (fd < 0)
		return -errno;
	if (fd < LOWEST_FD) {
		int high = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
		if (high < 0)
			return -errno;
		(void)pss_close(fd);
		fd = high;
	}
	*ret = TAKE_FD(fd);
	return 0;
}

int pss_remote_take(const struct pss_target *holder, int number, struct pss_diag *diag, int *ret)
{
	int r = take(holder, number, ret);

	if (r == -EBADF)
		return pss_fail(diag, r, "process %d has no descriptor %d", holder->pid, number);
	if (r < 0) {
		(void)pss_fail(diag, r, "cannot duplicate descriptor %d of process %d", number,
			       holder->pid);
		if (r == -EPERM || r == -EACCES)
			(void)pss_target_explain(holder, PSS_DOCTOR_DENIED, diag);
	}
	return r;
}

static int call(struct pss_inject *inject, long number, uint64_t first, uint64_t second,
		uint64_t third)
{
	const uint64_t arguments[6] = { first, second, third };
	int64_t result;
	int r = pss_inject_call(inject, number, arguments, &result);

	return r < 0 ? r : (int)result;
}

struct giving {
	const struct pss_target *receiver;
	struct pss_inject_gift gift;
	int number;
};

static void giving_deinit(struct giving *giving)
{
	giving->gift.socket = pss_close(giving->gift.socket);
}

struct closing {
	const struct pss_target *holder;
	int number;
	int same;
};

// Whether it is the same open file, or, if the kernel can't compare those, the same file. -errno if
// that can't be told: then it may well be.
static int is_same(const struct closing *closing, pid_t tid)
{
	char path[64];
	struct stat there, here;
	long r = syscall(SYS_kcmp, getpid(), tid, KCMP_FILE, closing->same, closing->number);

	if (r >= 0)
		return r == 0;
	(void)snprintf(path, sizeof path, "task/%d/fd/%d", tid, closing->number);
	if (fstatat(closing->holder->proc_fd, path, &there, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(closing->same, &here) < 0)
		return -errno;
	return there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

static int close_there(struct pss_inject *inject, void *context)
{
	const struct closing *closing = context;

	if (!pss_errand_shares_descriptors(closing->holder, inject->tid))
		return -EAGAIN;
	int r = is_same(closing, inject->tid);
	if (r <= 0)
		return r;
	// It is closed even if it says EINTR.
	r = call(inject, SYS_close, (uint64_t)closing->number, 0, 0);
	return r == -EINTR ? 0 : r;
}

int pss_remote_close(struct pss_target *holder, int number, int same, struct pss_diag *diag)
{
	struct closing closing = { .holder = holder, .number = number, .same = same };
	const struct pss_errand errand = { .work = close_there, .context = &closing };
	int r = pss_errand_send(holder, &errand, diag);

	// The helper was killed, before the call or after it: once more does no harm, and tells.
	if (r == -EOWNERDEAD) {
		if (diag)
			*diag = (struct pss_diag){ 0 };
		r = pss_errand_send(holder, &errand, diag);
	}
	return r;
}

static int give(struct pss_inject *inject, void *context)
{
	struct giving *giving = context;

	if (!pss_errand_shares_descriptors(giving->receiver, inject->tid))
		return -EAGAIN;
	// The process has called execve since, and may have kept what is inherited.
	if (giving->number >= 0) {
		struct closing closing = { giving->receiver, giving->number, giving->gift.fd };

		if (is_same(&closing, inject->tid) > 0)
			(void)call(inject, SYS_close, (uint64_t)giving->number, 0, 0);
		giving->number = -EBADF;
	}
	return pss_inject_give(inject, &giving->gift, &giving->number);
}

int pss_remote_give(struct pss_target *receiver, int fd, bool is_inherited, struct pss_diag *diag,
		    int *number_ret)
{
	_cleanup_(giving_deinit) struct giving giving = {
		.receiver = receiver,
		.gift = { .fd = fd,
			  .socket = -EBADF,
			  .is_inherited = is_inherited,
			  .is_raised = true },
		.number = -EBADF,
	};
	const struct pss_errand errand = { .work = give, .context = &giving, .has_undo = true };
	int r = pss_errand_send(receiver, &errand, diag);

	// It got there, but something failed afterwards, or the helper was killed.
	if (r < 0 && giving.number >= 0)
		(void)pss_remote_close(receiver, giving.number, fd, NULL);
	if (r == 0)
		*number_ret = giving.number;
	return r;
}

bool pss_remote_is_section(const struct pss_target *holder, int number)
{
	static const char name[] = "/memfd:procsnap (deleted)";
	_cleanup_buf_ struct pss_buf link = PSS_BUF_EMPTY;
	char path[32];

	(void)snprintf(path, sizeof path, "fd/%d", number);
	return pss_procfs_read_link(holder->space_fd, path, &link) == 0 &&
	       link.size == sizeof name - 1 && memcmp(link.data, name, link.size) == 0;
}
