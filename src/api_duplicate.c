// SPDX-License-Identifier: LGPL-2.1-or-later
// Snapshots and handles across processes: PssDuplicateSnapshot, DuplicateHandle, and the freeing of
// a snapshot that another process holds. A handle is a descriptor number of the process it is for.
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>

#include <processsnapshot.h>

#include "capture_free.h"
#include "capture_target.h"
#include "procfs.h"
#include "remote.h"
#include "section.h"
#include "snapshot.h"

enum { LOWEST_FD = 3 };

// One process of a duplication, and a descriptor of it.
struct side {
	bool is_self;
	int pidfd; // borrowed
	struct pss_target target;
	int number; // in that process, or -EBADF: it has none, there is nothing to close there
	int fd;     // the same here: ours, unless it is that very number
};

#define SIDE_EMPTY ((struct side){ .pidfd = -EBADF, .target = PSS_TARGET_EMPTY, .fd = -EBADF })

static void side_drop_fd(struct side *side)
{
	if (side->is_self && side->fd == side->number)
		side->fd = -EBADF;
	side->fd = pss_close(side->fd);
}

static void side_close(struct side *side)
{
	side_drop_fd(side);
	pss_target_close(&side->target);
}

#define _cleanup_side_ _cleanup_(side_close)

static int side_open(HANDLE process, const char *what, struct pss_diag *diag, struct side *side)
{
	pid_t pid;
	int r = pss_api_process(process, &pid, &side->pidfd);

	if (r < 0)
		return pss_api_process_fail(diag, r, what, process);
	side->is_self = side->pidfd < 0;
	return side->is_self ? 0 : pss_target_open(side->pidfd, diag, &side->target);
}

static int side_take(struct side *side, const void *handle, struct pss_diag *diag)
{
	int r = pss_snapshot_fd(handle, &side->number);

	if (r < 0)
		return pss_fail(diag, r, "handle %#lx can't be a descriptor",
				(unsigned long)(uintptr_t)handle);
	if (!side->is_self)
		return pss_remote_take(&side->target, side->number, diag, &side->fd);
	if (fcntl(side->number, F_GETFD) < 0)
		return pss_fail(diag, -EBADF, "there is no descriptor %d", side->number);
	side->fd = side->number;
	return 0;
}

static int side_take_snapshot(struct side *side, HPSS snapshot, struct pss_diag *diag,
			      struct pss_section_header *header_ret)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	int r = pss_snapshot_fd(snapshot, &side->number);

	if (r == 0 && !side->is_self && !pss_remote_is_section(&side->target, side->number))
		r = -EBADF;
	if (r == 0)
		r = side_take(side, snapshot, diag);
	if (r == 0)
		r = pss_section_open(side->fd, &section);
	if (r < 0)
		return pss_fail(diag, r, "%#lx is no snapshot handle of %s",
				(unsigned long)(uintptr_t)snapshot,
				side->is_self ? "this process" : "that process");
	*header_ret = *pss_section_header(&section);
	return 0;
}

static int side_give(struct side *side, int fd, bool is_inherited, struct pss_diag *diag,
		     int *number_ret)
{
	if (!side->is_self)
		return pss_remote_give(&side->target, fd, is_inherited, diag, number_ret);
	int number = fcntl(fd, is_inherited ? F_DUPFD : F_DUPFD_CLOEXEC, LOWEST_FD);
	if (number < 0)
		return pss_fail(diag, -errno, "cannot duplicate descriptor %d", fd);
	*number_ret = number;
	return 0;
}

// Closes what was taken from @side, there. If it was the last descriptor of a snapshot, its clone
// goes as well; for that, ours must be closed in between.
static int side_free(struct side *side, struct pss_diag *diag)
{
	struct pss_capture_free ending;

	if (side->number < 0)
		return 0;
	if (side->is_self) {
		pss_api_close(side->number);
		side->fd = -EBADF;
		return 0;
	}
	pss_capture_free_begin(side->fd, &ending);
	int r = pss_remote_close(&side->target, side->number, side->fd, diag);
	side_drop_fd(side);
	pss_capture_free_end(&ending);
	// Gone with its process: so it is closed.
	if (r == -ESRCH && pss_target_check_traceable(&side->target, NULL) == -ESRCH)
		return 0;
	return r;
}

// Nothing may be changed on failure: takes back what was given.
static void side_take_back(struct side *side, int number, int fd)
{
	struct pss_diag diag = { 0 };

	if (side->is_self)
		(void)pss_close(number);
	else
		(void)pss_remote_close(&side->target, number, fd, &diag);
}

struct copying {
	bool is_inherited;
	bool close_source;
};

static int copy(struct side *source, struct side *target, const struct copying *how,
		struct pss_diag *diag, int *number_ret)
{
	_cleanup_close_ int kept = -EBADF;
	struct pss_diag second = { 0 };
	int number = -EBADF;
	int r = side_give(target, source->fd, how->is_inherited, diag, &number);

	if (how->close_source) {
		// The descriptor by which a duplicate elsewhere would be known.
		if (r == 0 && !source->is_self)
			kept = fcntl(source->fd, F_DUPFD_CLOEXEC, LOWEST_FD);
		int error = side_free(source, r < 0 ? &second : diag);
		if (r == 0 && error < 0) {
			side_take_back(target, number, kept);
			return error;
		}
	}
	if (r == 0)
		*number_ret = number;
	return r;
}

// A receiver that has ended is no wrong argument: the source is freed even so.
static void free_without_receiver(struct side *source, const struct copying *how)
{
	struct pss_diag second = { 0 };

	if (how->close_source)
		(void)side_free(source, &second);
}

// A process that has ended has no handles.
static int without_process(int error)
{
	return error == -ESRCH ? -EBADF : error;
}

struct duplication {
	HANDLE source;
	HANDLE target;
	struct copying how;
};

static int check_duplication(uint32_t flags, uint32_t capture_flags, const HPSS *ret,
			     struct pss_diag *diag)
{
	if (flags & ~(uint32_t)PSS_DUPLICATE_CLOSE_SOURCE)
		return pss_fail(diag, -EINVAL, "duplicate flags 0x%x are unknown", flags);
	if (!ret)
		return pss_fail(diag, -EINVAL, "no room for the snapshot handle");
	if ((flags & PSS_DUPLICATE_CLOSE_SOURCE) &&
	    !(capture_flags & PSS_CREATE_USE_VM_ALLOCATIONS))
		return pss_fail(diag, -EOPNOTSUPP,
				"the source can be closed on the way only if the snapshot was "
				"captured with PSS_CREATE_USE_VM_ALLOCATIONS");
	return 0;
}

static int duplicate_snapshot(const struct duplication *what, HPSS snapshot, uint32_t flags,
			      struct pss_diag *diag, HPSS *ret)
{
	_cleanup_side_ struct side source = SIDE_EMPTY;
	_cleanup_side_ struct side target = SIDE_EMPTY;
	struct pss_section_header header = { 0 };
	int number;
	int r = side_open(what->source, "cannot duplicate from", diag, &source);

	if (r == 0)
		r = side_take_snapshot(&source, snapshot, diag, &header);
	if (r < 0)
		return r;
	r = side_open(what->target, "cannot duplicate into", diag, &target);
	if (r == -ESRCH && check_duplication(flags, header.capture_flags, ret, NULL) == 0)
		free_without_receiver(&source, &what->how);
	if (r == 0)
		r = check_duplication(flags, header.capture_flags, ret, diag);
	if (r == 0)
		r = copy(&source, &target, &what->how, diag, &number);
	if (r == 0)
		*ret = (HPSS)(intptr_t)number;
	return r;
}

DWORD WINAPI PssDuplicateSnapshot(HANDLE SourceProcessHandle, HPSS SnapshotHandle,
				  HANDLE TargetProcessHandle, HPSS *TargetSnapshotHandle,
				  PSS_DUPLICATE_FLAGS Flags)
{
	PSS_API_SCOPE;
	const struct duplication what = {
		.source = SourceProcessHandle,
		.target = TargetProcessHandle,
		.how.close_source = (uint32_t)Flags & PSS_DUPLICATE_CLOSE_SOURCE,
	};
	struct pss_diag diag = { 0 };
	int r = duplicate_snapshot(&what, SnapshotHandle, (uint32_t)Flags, &diag,
				   TargetSnapshotHandle);

	return pss_api_result(&diag, "cannot duplicate the snapshot", without_process(r));
}

// Whether the holder is the process that captured it. That one is named as it counts itself.
static bool is_where_captured(const struct pss_target *holder,
			      const struct pss_section_header *header)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	struct pss_procfs_status status;
	struct pss_procfs_stat stat;

	return pss_procfs_read(holder->proc_fd, "status", &text) == 0 &&
	       pss_procfs_parse_status((const char *)text.data, text.size, &status) == 0 &&
	       status.innermost_pid == header->capturer_pid &&
	       pss_procfs_read(holder->proc_fd, "stat", &text) == 0 &&
	       pss_procfs_parse_stat((const char *)text.data, text.size, &stat) == 0 &&
	       stat.start_ticks == header->capturer_start_ticks;
}

// Whether what is open here under that number is a snapshot of @holder: then that is what is meant,
// and @holder, the captured process, may have another one under the same number by chance.
static bool is_of_holder(const struct pss_target *holder, HPSS snapshot)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	struct pss_procfs_stat stat;
	int number;

	if (pss_snapshot_fd(snapshot, &number) < 0 || pss_section_open(number, &section) < 0 ||
	    pss_section_process(&section)->pid != holder->pid)
		return false;
	return pss_procfs_read(holder->proc_fd, "stat", &text) == 0 &&
	       pss_procfs_parse_stat((const char *)text.data, text.size, &stat) == 0 &&
	       stat.start_ticks == pss_section_process(&section)->start_ticks;
}

static int free_in(struct side *holder, HPSS snapshot, struct pss_diag *diag)
{
	struct pss_section_header header = { 0 };

	if (!holder->is_self && is_of_holder(&holder->target, snapshot))
		return pss_fail(diag, -EBADF,
				"%#lx is a snapshot of process %d that this process holds: it is "
				"freed with the handle of this process",
				(unsigned long)(uintptr_t)snapshot, holder->target.pid);
	int r = side_take_snapshot(holder, snapshot, diag, &header);
	if (r < 0)
		return r;
	if (!holder->is_self && !(header.capture_flags & PSS_CREATE_USE_VM_ALLOCATIONS) &&
	    is_where_captured(&holder->target, &header))
		return pss_fail(diag, -EOPNOTSUPP,
				"process %d has captured that snapshot itself, and without "
				"PSS_CREATE_USE_VM_ALLOCATIONS: only it can free it",
				holder->target.pid);
	return side_free(holder, diag);
}

DWORD WINAPI PssFreeSnapshot(HANDLE ProcessHandle, HPSS SnapshotHandle)
{
	PSS_API_SCOPE;
	_cleanup_side_ struct side holder = SIDE_EMPTY;
	struct pss_diag diag = { 0 };
	int r = side_open(ProcessHandle, "cannot free in", &diag, &holder);

	if (r == 0)
		r = free_in(&holder, SnapshotHandle, &diag);
	return pss_api_result(&diag, "cannot free the snapshot", without_process(r));
}

// The pseudo handle stands for the source process, and becomes a real handle of it.
static int take_handle(struct side *source, HANDLE handle, struct pss_diag *diag)
{
	if (handle != GetCurrentProcess())
		return side_take(source, handle, diag);

	_cleanup_close_ int own = -EBADF;
	if (source->is_self)
		own = (int)syscall(SYS_pidfd_open, getpid(), 0);
	int pidfd = source->is_self ? own : source->pidfd;
	source->number = -EBADF;
	source->fd = pidfd < 0 ? -errno : fcntl(pidfd, F_DUPFD_CLOEXEC, LOWEST_FD);
	if (source->fd < 0)
		return pss_fail(diag, -errno, "cannot open process %d", source->target.pid);
	return 0;
}

static int duplicate_handle(const struct duplication *what, HANDLE handle, DWORD options,
			    struct pss_diag *diag, HANDLE *ret)
{
	_cleanup_side_ struct side source = SIDE_EMPTY;
	_cleanup_side_ struct side target = SIDE_EMPTY;
	int number;
	int r = side_open(what->source, "cannot duplicate from", diag, &source);

	if (r == 0)
		r = take_handle(&source, handle, diag);
	if (r < 0)
		return r;
	if (options & ~(DWORD)(DUPLICATE_CLOSE_SOURCE | DUPLICATE_SAME_ACCESS))
		return pss_fail(diag, -EINVAL, "duplicate options 0x%x are unknown", options);
	// The way to close a handle of another process.
	if (what->how.close_source && !ret)
		return side_free(&source, diag);
	r = side_open(what->target, "cannot duplicate into", diag, &target);
	if (r == -ESRCH && ret)
		free_without_receiver(&source, &what->how);
	if (r < 0)
		return r;
	if (!ret)
		return pss_fail(diag, -EINVAL, "no room for the handle");
	r = copy(&source, &target, &what->how, diag, &number);
	if (r == 0)
		*ret = (HANDLE)(intptr_t)number;
	return r;
}

// NOLINTNEXTLINE(readability-function-size): the parameters are Windows' own
BOOL WINAPI DuplicateHandle(HANDLE hSourceProcessHandle, HANDLE hSourceHandle,
			    HANDLE hTargetProcessHandle, LPHANDLE lpTargetHandle,
			    DWORD dwDesiredAccess, BOOL bInheritHandle, DWORD dwOptions)
{
	PSS_API_SCOPE;
	const struct duplication what = {
		.source = hSourceProcessHandle,
		.target = hTargetProcessHandle,
		.how.is_inherited = bInheritHandle != FALSE,
		.how.close_source = dwOptions & DUPLICATE_CLOSE_SOURCE,
	};
	struct pss_diag diag = { 0 };
	int r = duplicate_handle(&what, hSourceHandle, dwOptions, &diag, lpTargetHandle);

	(void)dwDesiredAccess;
	return pss_api_finish(&diag, "cannot duplicate the handle", without_process(r));
}
