// SPDX-License-Identifier: LGPL-2.1-or-later
// The functions of win32.h that ask about a process, live, ended or a clone: what lies at an
// address, how it ended, how long it ran. Nothing is changed or reaped.
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "capture_target.h"
#include "collect_common.h"
#include "handle_table.h"
#include "locate.h"
#include "memory.h"
#include "procfs.h"
#include "section.h"
#include "snapshot.h"
#include "winvalue.h"

// Linux 6.15, include/uapi/linux/pidfd.h: how a process ended, after it was reaped as well.
struct pidfd_info {
	uint64_t mask;
	uint64_t cgroup;
	uint32_t pid;
	uint32_t ids[10];
	int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_info) == 64, "layout of the kernel");

#define GET_INFO  _IOWR(0xFF, 11, struct pidfd_info)
#define INFO_EXIT (UINT64_C(1) << 3)

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

// An address where nothing ever is: a living clone says EFAULT there, and nothing is touched.
static bool is_alive(const struct pss_memory *memory)
{
	const uint64_t nowhere = INT64_MAX & ~UINT64_C(0xffff);
	uint8_t byte;
	size_t done;

	return pss_memory_read(memory, nowhere, &byte, 1, &done) != -ESRCH;
}

static int locate_in_clone(int fd, uint64_t address, struct pss_diag *diag,
			   struct pss_locate_place *ret)
{
	_cleanup_lease_ struct pss_handle_table_lease lease = PSS_HANDLE_TABLE_LEASE_EMPTY;
	int r = pss_handle_table_lease(fd, diag, &lease);

	if (r == -ENOENT)
		return pss_api_fail_without_clone(diag, "cannot tell what is mapped");
	if (r == -ESRCH || (r == 0 && !is_alive(lease.memory))) {
		// As of a process that has ended, on Windows. Its text may have been written.
		*diag = (struct pss_diag){ 0 };
		(void)pss_fail(diag, -ESRCH,
			       "cannot tell what is mapped: the clone of the snapshot has ended");
		return -EACCES;
	}
	if (r < 0)
		return r;
	return pss_locate_in_section(lease.memory->section, address, ret);
}

static int locate(HANDLE handle, uint64_t address, struct pss_diag *diag,
		  struct pss_locate_place *ret)
{
	int pidfd;
	pid_t pid;
	int fd;

	if (pss_api_is_section(handle, &fd))
		return locate_in_clone(fd, address, diag, ret);
	int r = pss_api_process(handle, &pid, &pidfd);
	if (r < 0) {
		(void)pss_api_process_fail(diag, r, "cannot tell what is mapped", handle);
		return r == -ESRCH ? -EACCES : r;
	}
	return pss_locate_in_process(pidfd, address, diag, ret);
}

static void fill_place(const struct pss_locate_place *place, MEMORY_BASIC_INFORMATION *ret)
{
	if (place->is_mapped)
		pss_winvalue_region(&place->region, ret);
	else
		*ret = (MEMORY_BASIC_INFORMATION){ .State = MEM_FREE, .Protect = PAGE_NOACCESS };
	ret->BaseAddress = (void *)(uintptr_t)place->start;
	ret->RegionSize = place->end - place->start;
}

static int query_address(HANDLE handle, uint64_t address, MEMORY_BASIC_INFORMATION *buffer,
			 size_t length, struct pss_diag *diag)
{
	// Filled on success; the analyzer does not see that pss_fail() never returns 0.
	struct pss_locate_place place = { 0 };

	if (!buffer)
		return pss_fail(diag, -EINVAL, "no room for what lies at an address");
	if (length < sizeof *buffer)
		return pss_fail(diag, -EMSGSIZE, "what lies at an address takes %zu bytes, not %zu",
				sizeof *buffer, length);
	int r = locate(handle, address, diag, &place);
	if (r == -EINVAL)
		return pss_fail(diag, r, "address %#llx is above user space",
				(unsigned long long)address);
	if (r < 0)
		return r;
	fill_place(&place, buffer);
	return 0;
}

SIZE_T WINAPI VirtualQueryEx(HANDLE hProcess, LPCVOID lpAddress, PMEMORY_BASIC_INFORMATION lpBuffer,
			     SIZE_T dwLength)
{
	PSS_API_SCOPE;
	struct pss_diag diag = { 0 };
	int r = query_address(hProcess, (uintptr_t)lpAddress, lpBuffer, dwLength, &diag);

	return pss_api_finish(&diag, "cannot tell what is mapped", r) ? sizeof *lpBuffer : 0;
}

/** Opens what a handle stands for. *pidfd_ret is -EBADF for the calling process and for clones. */
static int open_process(HANDLE handle, struct pss_diag *diag, int *pidfd_ret,
			struct pss_target *ret)
{
	pid_t pid;
	int fd;

	*pidfd_ret = -EBADF;
	if (pss_api_is_section(handle, &fd))
		return pss_api_open_clone(fd, "cannot tell the times", diag, ret);
	int r = pss_api_process(handle, &pid, pidfd_ret);
	return r < 0 ? r : pss_target_open(*pidfd_ret, diag, ret);
}

// stat shows 0 to those who may not look; the link of the program's file says who they are.
static bool may_see_exit_code(int proc_fd)
{
	char target[1];

	return readlinkat(proc_fd, "exe", target, sizeof target) >= 0 ||
	       (errno != EACCES && errno != EPERM);
}

/** The wait(2) status of a process that has ended and was not reaped. -EBUSY if it runs. */
static int status_from_stat(const struct pss_target *target, struct pss_diag *diag, int *ret)
{
	struct pss_procfs_stat stat;
	int r = pss_procfs_read_stat(target->proc_fd, "stat", NULL, &stat);

	if (r < 0)
		return r;
	if (stat.state != 'Z' && stat.state != 'X')
		return -EBUSY;
	if (!may_see_exit_code(target->proc_fd))
		return pss_fail(diag, -EACCES, "the exit code of process %d is not shown to us",
				target->pid);
	*ret = stat.exit_code;
	return 0;
}

static int status_of_child(int pidfd, int *ret)
{
	siginfo_t info = { 0 };

	if (waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOWAIT | WNOHANG | __WALL) < 0)
		return -errno;
	if (info.si_pid == 0)
		return -ECHILD;
	*ret = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
	return 0;
}

static int status_of_reaped(int pidfd, int *ret)
{
	struct pidfd_info info = { .mask = INFO_EXIT };

	if (ioctl(pidfd, GET_INFO, &info) < 0)
		return -errno;
	if (!(info.mask & INFO_EXIT))
		return -ENOENT;
	*ret = info.exit_code;
	return 0;
}

/** How the process of a pidfd ended, by whoever knows. */
static int status_of_ended(int pidfd, struct pss_diag *diag, int *ret)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	struct pss_diag unused = { 0 };

	if (status_of_child(pidfd, ret) == 0)
		return 0;
	int r = pss_target_open(pidfd, &unused, &target);
	if (r == 0)
		r = status_from_stat(&target, diag, ret);
	if (r != -ESRCH || status_of_reaped(pidfd, ret) == 0)
		return r == -ESRCH ? 0 : r;
	(void)pss_fail(diag, r,
		       "the process of handle %d has ended, and its exit code is no longer known",
		       pidfd);
	pss_diag_hint(diag,
		      "its parent has taken it; Linux 6.15 and later keep it for open pidfds");
	return r;
}

static int exit_code(HANDLE handle, struct pss_diag *diag, DWORD *ret)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	int status = 0;
	int pidfd;
	int fd;
	int r;

	if (pss_api_is_section(handle, &fd)) {
		r = pss_api_open_clone(fd, "cannot tell the exit code", diag, &target);
		if (r == 0)
			r = status_from_stat(&target, diag, &status);
	} else {
		pid_t pid;

		r = pss_api_process(handle, &pid, &pidfd);
		// Gone, or not to be seen from here: the descriptor knows all the same.
		if (r < 0 && r != -ESRCH)
			return pss_api_process_fail(diag, r, "cannot tell the exit code", handle);
		if (r == -ESRCH)
			(void)pss_snapshot_fd(handle, &pidfd);
		r = pidfd < 0 || !pss_api_has_ended(pidfd) ? -EBUSY
							   : status_of_ended(pidfd, diag, &status);
	}
	if (r < 0 && r != -EBUSY)
		return r == -ESRCH ? -ENOENT : r;
	*ret = r == 0 ? pss_winvalue_exit_code((uint32_t)status) : STILL_ACTIVE;
	return 0;
}

BOOL WINAPI GetExitCodeProcess(HANDLE hProcess, LPDWORD lpExitCode)
{
	PSS_API_SCOPE;
	struct pss_diag diag = { 0 };
	int r = lpExitCode ? exit_code(hProcess, &diag, lpExitCode)
			   : pss_fail(&diag, -EINVAL, "no room for the exit code");

	return pss_api_finish(&diag, "cannot tell the exit code", r);
}

/** What GetProcessTimes gives out, as 100 ns ticks. */
struct process_times {
	uint64_t created;
	struct pss_collect_times cpu;
};

static int read_times(HANDLE handle, struct pss_diag *diag, struct process_times *ret)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	_cleanup_buf_ struct pss_buf scratch = PSS_BUF_EMPTY;
	struct pss_procfs_stat stat;
	uint64_t boot_seconds = 0;
	int pidfd;
	int r = open_process(handle, diag, &pidfd, &target);

	if (r == -EBADF || r == -ESRCH)
		return pss_api_process_fail(diag, r, "cannot tell the times", handle);
	if (r == 0)
		r = pss_procfs_boot_time(&scratch, &boot_seconds);
	if (r < 0)
		return r;
	// By its number; that stat can be read afterwards says that the number was still its own.
	uint64_t cpu_ns = pss_collect_common_cpu_ns(target.pid);
	r = pss_procfs_read_stat(target.proc_fd, "stat", &scratch, &stat);
	if (r < 0)
		return r;
	ret->created = pss_collect_common_created(boot_seconds, stat.start_ticks);
	ret->cpu = pss_collect_common_times(cpu_ns, stat.kernel_ticks, stat.user_ticks);
	return 0;
}

BOOL WINAPI GetProcessTimes(HANDLE hProcess, LPFILETIME lpCreationTime, LPFILETIME lpExitTime,
			    LPFILETIME lpKernelTime, LPFILETIME lpUserTime)
{
	PSS_API_SCOPE;
	struct process_times times = { 0 };
	struct pss_diag diag = { 0 };

	if (!lpCreationTime || !lpExitTime || !lpKernelTime || !lpUserTime)
		return pss_api_finish(NULL, "no room for one of the times", -EINVAL);
	int r = read_times(hProcess, &diag, &times);
	// Its number or its folder is gone: it has been reaped, and its times with it.
	if (r == -ESRCH)
		r = -ENOENT;
	if (!pss_api_finish(&diag, "cannot tell the times of the process", r))
		return FALSE;
	*lpCreationTime = pss_winvalue_filetime(times.created);
	// Linux keeps no time of exit.
	*lpExitTime = pss_winvalue_filetime(0);
	*lpKernelTime = pss_winvalue_filetime(times.cpu.kernel);
	*lpUserTime = pss_winvalue_filetime(times.cpu.user);
	return TRUE;
}
