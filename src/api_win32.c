// SPDX-License-Identifier: LGPL-2.1-or-later
// The functions of win32.h: processes and clones by handle. These speak of failure through the
// thread's last-error value, as on Windows.
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "capture.h"
#include "capture_target.h"
#include "clone.h"
#include "handle_table.h"
#include "memory.h"
#include "procfs.h"
#include "section.h"
#include "snapshot.h"

enum { LOWEST_FD = 3 };

HANDLE WINAPI GetCurrentProcess(void)
{
	return (HANDLE)(intptr_t)-1;
}

DWORD WINAPI GetCurrentProcessId(void)
{
	return (DWORD)getpid();
}

static int open_process(pid_t pid, bool is_inherited, int *ret)
{
	_cleanup_close_ int fd = -EBADF;
	int low;

	if (pid <= 0)
		return -EINVAL;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0)
		return -errno;
	if (fd < LOWEST_FD) {
		low = fd;
		fd = fcntl(low, F_DUPFD_CLOEXEC, LOWEST_FD);
		int error = fd < 0 ? -errno : 0;
		(void)pss_close(low);
		if (error)
			return error;
	}
	if (is_inherited && fcntl(fd, F_SETFD, 0) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

HANDLE WINAPI OpenProcess(DWORD dwDesiredAccess, BOOL bInheritHandle, DWORD dwProcessId)
{
	PSS_API_SCOPE;
	struct pss_diag diag = { 0 };
	int fd = -EBADF;
	int r = open_process((pid_t)dwProcessId, bInheritHandle != FALSE, &fd);

	(void)dwDesiredAccess;
	if (r < 0)
		(void)pss_fail(&diag, r, "cannot open process %u", dwProcessId);
	return pss_api_finish(&diag, NULL, r) ? (HANDLE)(intptr_t)fd : NULL;
}

// Programs kill what they get here: of a section, the clone and nothing else is told.
static int process_id(HANDLE handle, struct pss_diag *diag, pid_t *ret)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	const char *what = "cannot tell the process id";
	struct pss_procfs_stat stat;
	int fd;
	int r;

	if (pss_api_is_section(handle, &fd)) {
		r = pss_api_open_clone(fd, what, diag, &target);
		// Once it is reaped, its number may be another's.
		if (r == 0)
			r = pss_procfs_read_stat(target.proc_fd, "stat", NULL, &stat);
		if (r == 0)
			*ret = target.pid;
		return r;
	}
	r = pss_api_process(handle, ret, NULL);
	return r < 0 ? pss_api_process_fail(diag, r, what, handle) : 0;
}

DWORD WINAPI GetProcessId(HANDLE Process)
{
	PSS_API_SCOPE;
	struct pss_diag diag = { 0 };
	pid_t pid = 0;
	int r = process_id(Process, &diag, &pid);

	return pss_api_finish(&diag, "cannot tell the process id", r) ? (DWORD)pid : 0;
}

static int close_handle(HANDLE handle)
{
	int fd;

	if (handle == GetCurrentProcess())
		return 0;
	int r = pss_snapshot_fd(handle, &fd);
	if (r < 0)
		return r;
	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	pss_api_close(fd);
	return 0;
}

BOOL WINAPI CloseHandle(HANDLE hObject)
{
	PSS_API_SCOPE;

	return pss_api_finish(NULL, "cannot close the handle", close_handle(hObject));
}

/** Reads from @mem_fd until @size bytes are done. -EFAULT where it stops before. */
static int read_all(int mem_fd, uint64_t address, void *buffer, size_t size, size_t *done_ret)
{
	size_t done = 0;

	while (done < size && address + done <= INT64_MAX) {
		ssize_t n = pread(mem_fd, (uint8_t *)buffer + done, size - done,
				  (off_t)(address + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	*done_ret = done;
	return done == size ? 0 : -EFAULT;
}

static int read_process(HANDLE handle, uint64_t address, void *buffer, size_t size,
			struct pss_diag *diag, size_t *done_ret)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	int pidfd;
	pid_t pid;
	int r = pss_api_process(handle, &pid, &pidfd);

	if (r < 0)
		return pss_api_process_fail(diag, r, "cannot read memory", handle);
	r = pss_target_open(pidfd, diag, &target);
	if (r == 0)
		r = pss_target_open_memory(&target, diag);
	return r < 0 ? r : read_all(target.mem_fd, address, buffer, size, done_ret);
}

static int read_clone(int fd, uint64_t address, void *buffer, size_t size, struct pss_diag *diag,
		      size_t *done_ret)
{
	_cleanup_lease_ struct pss_handle_table_lease lease = PSS_HANDLE_TABLE_LEASE_EMPTY;
	int r = pss_handle_table_lease(fd, diag, &lease);

	// Without a clone it stands for no process.
	if (r == -ENOENT)
		return pss_api_fail_without_clone(diag, "cannot read memory");
	if (r == 0)
		r = pss_memory_read(lease.memory, address, buffer, size, done_ret);
	// A dead clone has no memory, as a dead process has none on Windows.
	return r == -ESRCH ? -EFAULT : r;
}

static int read_memory(HANDLE handle, uint64_t address, void *buffer, size_t size,
		       struct pss_diag *diag, size_t *done_ret)
{
	int fd;

	if (!buffer && size > 0)
		return -EINVAL;
	if (pss_api_is_section(handle, &fd))
		return read_clone(fd, address, buffer, size, diag, done_ret);
	return read_process(handle, address, buffer, size, diag, done_ret);
}

BOOL WINAPI ReadProcessMemory(HANDLE hProcess, LPCVOID lpBaseAddress, LPVOID lpBuffer, SIZE_T nSize,
			      SIZE_T *lpNumberOfBytesRead)
{
	PSS_API_SCOPE;
	struct pss_diag diag = { 0 };
	size_t done = 0;
	int r = read_memory(hProcess, (uintptr_t)lpBaseAddress, lpBuffer, nSize, &diag, &done);

	if (lpNumberOfBytesRead)
		*lpNumberOfBytesRead = done;
	return pss_api_finish(&diag, "cannot read all of the memory", r);
}

static int kill_pidfd(int pidfd)
{
	// A zombie takes signals as if it lived.
	if (pss_api_has_ended(pidfd))
		return -EACCES;
	if (syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0) == 0)
		return 0;
	// What Windows says of a process that has ended.
	return errno == ESRCH ? -EACCES : -errno;
}

static int kill_clone(const struct pss_section *section, struct pss_diag *diag)
{
	const struct pss_clone_record *clone = pss_section_clone(section);
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	_cleanup_close_ int pidfd = -EBADF;

	if (!clone)
		return pss_api_fail_without_clone(diag, "cannot terminate");
	if (clone->pid <= 0)
		return -EBADMSG;
	pidfd = (int)syscall(SYS_pidfd_open, clone->pid, 0);
	if (pidfd < 0)
		return errno == ESRCH ? -EACCES : -errno;
	// Opening its memory proves that the number is the clone's now, so it was when the pidfd
	// was made: the clone is older than that.
	int r = pss_memory_open_clone(section, diag, &memory);
	if (r < 0)
		return r == -ESRCH ? -EACCES : r;
	return kill_pidfd(pidfd);
}

static int terminate(HANDLE handle, struct pss_diag *diag)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	pid_t pid;
	int pidfd;

	if (pss_snapshot_open(handle, &section) == 0)
		return kill_clone(&section, diag);
	int r = pss_api_process(handle, &pid, &pidfd);
	if (r < 0) {
		(void)pss_api_process_fail(diag, r, "cannot terminate", handle);
		return r == -ESRCH ? -EACCES : r;
	}
	if (pidfd < 0)
		return PSS_RET_ERRNO(kill(pid, SIGKILL));
	return kill_pidfd(pidfd);
}

BOOL WINAPI TerminateProcess(HANDLE hProcess, UINT uExitCode)
{
	PSS_API_SCOPE;
	struct pss_diag diag = { 0 };

	(void)uExitCode;
	return pss_api_finish(&diag, "cannot terminate the process", terminate(hProcess, &diag));
}
