// SPDX-License-Identifier: LGPL-2.1-or-later
// The shared part of the API layer: errors and process handles; see api.h.
#include "api.h"

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>

#include <procsnap.h>

#include "capture.h"
#include "capture_target.h"
#include "clone.h"
#include "handle_table.h"
#include "memory.h"
#include "procfs.h"
#include "section.h"
#include "snapshot.h"
#include "win32_error.h"

// Per thread, as documented. First touched when something fails: a library that was loaded late
// gets its thread's storage from the heap, which a successful capture must not use.
static _Thread_local struct pss_diag last_failure;

static _Thread_local DWORD last_error;

// Where the number is all that is known: what it means here, which its own words do not say.
static const struct {
	int error;
	const char *hint;
} hints[] = {
	{ -EBADF, "the handle is NULL, was closed, or is of another sort" },
	{ -EBADMSG, "what is behind the handle contradicts itself" },
	{ -EMSGSIZE, "a length or Size is not that of the structure" },
	{ -ENOENT, "the snapshot does not hold such data: each kind has its capture flag" },
};

// Structures grow by whole 8 bytes.
int pss_api_check_size(uint32_t size, size_t least, size_t newest)
{
	return size >= least && size <= newest && size % 8 == 0 ? 0 : -EMSGSIZE;
}

DWORD pss_api_result(const struct pss_diag *diag, const char *what, int error)
{
	if (error == 0 || error == -ENODATA)
		return pss_win32_error(error);
	if (diag && diag->error) {
		last_failure = *diag;
	} else {
		last_failure.error = 0;
		(void)pss_fail(&last_failure, error, "%s", what);
		for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
			if (hints[i].error == error)
				pss_diag_hint(&last_failure, "%s", hints[i].hint);
	}
	return pss_win32_error(error);
}

const char *WINAPI PssxErrorText(void)
{
	return last_failure.text;
}

const char *WINAPI PssxErrorMessage(DWORD Code)
{
	return pss_win32_error_text(Code);
}

BOOL pss_api_finish(const struct pss_diag *diag, const char *what, int error)
{
	if (error == 0)
		return TRUE;
	last_error = pss_api_result(diag, what, error);
	return FALSE;
}

DWORD WINAPI GetLastError(void)
{
	return last_error;
}

void WINAPI SetLastError(DWORD dwErrCode)
{
	last_error = dwErrCode;
}

int pss_api_process_fail(struct pss_diag *diag, int error, const char *what, HANDLE handle)
{
	if (!handle) {
		(void)pss_fail(diag, error, "%s: the process handle is NULL", what);
		pss_diag_hint(diag, "did OpenProcess fail?");
	} else if (error == -EBADF) {
		(void)pss_fail(diag, error, "%s: handle %#lx is not that of a process", what,
			       (unsigned long)(uintptr_t)handle);
		pss_diag_hint(diag, "a process handle comes from OpenProcess or pidfd_open(2), and "
				    "is good until it is closed");
	} else if (error == -ESRCH) {
		(void)pss_fail(diag, error,
			       "%s: the process of handle %#lx has ended, or is in a PID namespace "
			       "that cannot be seen from here",
			       what, (unsigned long)(uintptr_t)handle);
	} else if (error == -EOPNOTSUPP) {
		(void)pss_fail(diag, error, "%s: there is no /proc", what);
		pss_diag_hint(diag, "mount -t proc proc /proc");
	}
	return pss_fail(diag, error, "%s: cannot tell the process of handle %#lx", what,
			(unsigned long)(uintptr_t)handle);
}

void pss_api_close(int fd)
{
	struct pss_section section;

	pss_handle_table_forget(fd);
	if (pss_section_open(fd, &section) < 0) {
		(void)pss_close(fd);
		return;
	}
	// It may be the last descriptor of the snapshot: then the clone goes as well.
	pss_section_close(&section);
	pss_capture_free(fd);
}

int pss_api_process(HANDLE handle, pid_t *pid_ret, int *pidfd_ret)
{
	pid_t pid = getpid();
	int pidfd = -EBADF;

	if (handle != GetCurrentProcess()) {
		int r = pss_snapshot_fd(handle, &pidfd);
		if (r < 0)
			return r;
		r = pss_procfs_pid_of_pidfd(pidfd, &pid);
		if (r < 0)
			return r;
		if (pid == getpid())
			pidfd = -EBADF;
	}
	*pid_ret = pid;
	if (pidfd_ret)
		*pidfd_ret = pidfd;
	return 0;
}
bool pss_api_is_section(HANDLE handle, int *fd_ret)
{
	return pss_snapshot_fd(handle, fd_ret) == 0 && fcntl(*fd_ret, F_GET_SEALS) >= 0;
}

int pss_api_fail_without_clone(struct pss_diag *diag, const char *what)
{
	*diag = (struct pss_diag){ 0 };
	(void)pss_fail(diag, -EBADF, "%s: the snapshot has no clone", what);
	pss_diag_hint(diag, "capture with PSS_CAPTURE_VA_CLONE");
	return -EBADF;
}

// Dead or dying when first asked for: what is left of another process than a clone is not shown.
static int open_zombie(const struct pss_section *section, const char *what, struct pss_diag *diag,
		       struct pss_target *ret)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	const struct pss_clone_record *clone = pss_section_clone(section);
	int r = pss_clone_is_ending(clone->pid)
			? pss_target_open_pid(clone->pid, clone->start_ticks, &target)
			: -ESRCH;

	if (r == 0)
		r = pss_memory_check_owner(target.proc_fd, section);
	if (r == -ESRCH)
		return pss_fail(diag, r, "%s: the clone %d has ended, and nothing is left of it",
				what, clone->pid);
	if (r < 0)
		return r;
	*ret = target;
	target = PSS_TARGET_EMPTY;
	return 0;
}

int pss_api_open_clone(int fd, const char *what, struct pss_diag *diag, struct pss_target *ret)
{
	_cleanup_lease_ struct pss_handle_table_lease lease = PSS_HANDLE_TABLE_LEASE_EMPTY;
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	struct pss_diag unused = { 0 };
	int r = pss_section_open(fd, &section);

	if (r < 0)
		return r;
	const struct pss_clone_record *clone = pss_section_clone(&section);
	if (!clone)
		return pss_api_fail_without_clone(diag, what);
	r = pss_handle_table_lease(fd, &unused, &lease);
	if (r == -ESRCH)
		return open_zombie(&section, what, diag, ret);
	if (r < 0) {
		*diag = unused;
		return r;
	}
	ret->pid = clone->pid;
	ret->proc_fd = fcntl(lease.memory->dir_fd, F_DUPFD_CLOEXEC, 3);
	return PSS_RET_ERRNO(ret->proc_fd);
}

bool pss_api_has_ended(int pidfd)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLIN | POLLHUP));
}
