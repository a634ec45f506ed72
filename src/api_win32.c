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
#include "handle_table.h"
#include "memory.h"
#include "procfs.h"
#include "section.h"
#include "snapshot.h"

enum { LOWEST_FD = 3 };

static _Thread_local DWORD last_error;

/** FALSE and the last-error value for -errno, TRUE for 0. */
static BOOL finish(const struct pss_diag *diag, const char *what, int error)
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
	return finish(&diag, NULL, r) ? (HANDLE)(intptr_t)fd : NULL;
}

/** The clone of the section behind @handle. -EBADF if it is no section, or has no clone. */
static int clone_pid(HANDLE handle, pid_t *ret)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	int r = pss_snapshot_open(handle, &section);

	if (r < 0)
		return r;
	const struct pss_clone_record *clone = pss_section_clone(&section);
	if (!clone)
		return -EBADF;
	*ret = clone->pid;
	return 0;
}

DWORD WINAPI GetProcessId(HANDLE Process)
{
	PSS_API_SCOPE;
	pid_t pid = 0;
	int r = clone_pid(Process, &pid);

	if (r < 0)
		r = pss_api_process(Process, &pid, NULL);
	return finish(NULL, "cannot tell the process id", r) ? (DWORD)pid : 0;
}

static int close_handle(HANDLE handle)
{
	struct pss_section section;
	int fd;

	if (handle == GetCurrentProcess())
		return 0;
	int r = pss_snapshot_fd(handle, &fd);
	if (r < 0)
		return r;
	if (fcntl(fd, F_GETFD) < 0)
		return -EBADF;
	pss_handle_table_forget(fd);
	if (pss_section_open(fd, &section) < 0) {
		(void)pss_close(fd);
		return 0;
	}
	// It may be the last descriptor of the snapshot: then the clone goes as well.
	pss_section_close(&section);
	pss_capture_free(fd);
	return 0;
}

BOOL WINAPI CloseHandle(HANDLE hObject)
{
	PSS_API_SCOPE;

	return finish(NULL, "cannot close the handle", close_handle(hObject));
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
	_cleanup_close_ int proc_fd = -EBADF;
	_cleanup_close_ int mem_fd = -EBADF;
	pid_t pid, again;
	int r = pss_api_process(handle, &pid, NULL);

	if (r < 0)
		return pss_fail(diag, r, "cannot read memory: the process handle is not valid");
	r = pss_procfs_open(pid, &proc_fd);
	if (r < 0)
		return pss_fail(diag, r, "cannot read memory of process %d", pid);
	mem_fd = openat(proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	if (mem_fd < 0)
		return pss_fail(diag, -errno, "cannot open the memory of process %d", pid);
	// Still the process of the handle: so the number was not another's when it was opened.
	r = pss_api_process(handle, &again, NULL);
	if (r < 0)
		return pss_fail(diag, r, "process %d is gone", pid);
	return read_all(mem_fd, address, buffer, size, done_ret);
}

static int read_clone(int fd, uint64_t address, void *buffer, size_t size, struct pss_diag *diag,
		      size_t *done_ret)
{
	_cleanup_lease_ struct pss_handle_table_lease lease = PSS_HANDLE_TABLE_LEASE_EMPTY;
	int r = pss_handle_table_lease(fd, diag, &lease);

	// Without a clone it stands for no process.
	if (r == -ENOENT)
		return -EBADF;
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
	if (handle != GetCurrentProcess()) {
		int r = pss_snapshot_fd(handle, &fd);
		if (r < 0)
			return r;
		if (fcntl(fd, F_GET_SEALS) >= 0)
			return read_clone(fd, address, buffer, size, diag, done_ret);
	}
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
	return finish(&diag, "cannot read all of the memory", r);
}

static int kill_pidfd(int pidfd)
{
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
		return -EBADF;
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
	if (r < 0)
		return r == -ESRCH ? -EACCES : r;
	if (pidfd < 0)
		return PSS_RET_ERRNO(kill(pid, SIGKILL));
	return kill_pidfd(pidfd);
}

BOOL WINAPI TerminateProcess(HANDLE hProcess, UINT uExitCode)
{
	PSS_API_SCOPE;
	struct pss_diag diag = { 0 };

	(void)uExitCode;
	return finish(&diag, "cannot terminate the process", terminate(hProcess, &diag));
}

// NOLINTNEXTLINE(readability-function-size): the parameters are Windows' own
BOOL WINAPI DuplicateHandle(HANDLE hSourceProcessHandle, HANDLE hSourceHandle,
			    HANDLE hTargetProcessHandle, LPHANDLE lpTargetHandle,
			    DWORD dwDesiredAccess, BOOL bInheritHandle, DWORD dwOptions)
{
	PSS_API_SCOPE;

	(void)hSourceProcessHandle;
	(void)hSourceHandle;
	(void)hTargetProcessHandle;
	(void)lpTargetHandle;
	(void)dwDesiredAccess;
	(void)bInheritHandle;
	(void)dwOptions;
	return finish(NULL, "DuplicateHandle is not in this release", -EOPNOTSUPP);
}

SIZE_T WINAPI VirtualQueryEx(HANDLE hProcess, LPCVOID lpAddress, PMEMORY_BASIC_INFORMATION lpBuffer,
			     SIZE_T dwLength)
{
	PSS_API_SCOPE;

	(void)hProcess;
	(void)lpAddress;
	(void)lpBuffer;
	(void)dwLength;
	return (SIZE_T)finish(NULL, "VirtualQueryEx is not in this release", -EOPNOTSUPP);
}

BOOL WINAPI GetExitCodeProcess(HANDLE hProcess, LPDWORD lpExitCode)
{
	PSS_API_SCOPE;

	(void)hProcess;
	(void)lpExitCode;
	return finish(NULL, "GetExitCodeProcess is not in this release", -EOPNOTSUPP);
}

BOOL WINAPI GetProcessTimes(HANDLE hProcess, LPFILETIME lpCreationTime, LPFILETIME lpExitTime,
			    LPFILETIME lpKernelTime, LPFILETIME lpUserTime)
{
	PSS_API_SCOPE;

	(void)hProcess;
	(void)lpCreationTime;
	(void)lpExitTime;
	(void)lpKernelTime;
	(void)lpUserTime;
	return finish(NULL, "GetProcessTimes is not in this release", -EOPNOTSUPP);
}
