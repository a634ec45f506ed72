// SPDX-License-Identifier: LGPL-2.1-or-later
// The functions of processsnapshot.h on whole snapshots: capture and query. Each
// checks its arguments in the documented order, calls one thing, and maps its error.
#include "api.h"

#include <errno.h>
#include <stdint.h>

#include <processsnapshot.h>

#include "capture.h"
#include "handle_table.h"
#include "query.h"
#include "section.h"
#include "snapshot.h"

static const uint32_t reserved_flags = PSS_CAPTURE_RESERVED_00000002 |
				       PSS_CAPTURE_RESERVED_00000400 |
				       PSS_CAPTURE_RESERVED_00004000;

static const uint32_t known_flags =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
	PSS_CAPTURE_HANDLE_BASIC_INFORMATION | PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION |
	PSS_CAPTURE_HANDLE_TRACE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
	PSS_CAPTURE_THREAD_CONTEXT_EXTENDED | PSS_CAPTURE_VA_SPACE |
	PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CAPTURE_IPT_TRACE |
	PSS_CREATE_BREAKAWAY_OPTIONAL | PSS_CREATE_BREAKAWAY | PSS_CREATE_FORCE_BREAKAWAY |
	PSS_CREATE_USE_VM_ALLOCATIONS | PSS_CREATE_MEASURE_PERFORMANCE | PSS_CREATE_RELEASE_SECTION;

static int capture(HANDLE process, uint32_t flags, uint32_t context_flags, struct pss_diag *diag,
		   HPSS *ret)
{
	struct pss_capture_request request = {
		.capture_flags = flags,
		.thread_context_flags = context_flags,
	};
	pid_t pid;
	int fd;
	int r = pss_api_process(process, &pid, &request.pidfd);

	if (r < 0)
		return pss_api_process_fail(diag, r, "cannot capture", process);
	if (flags & reserved_flags)
		return pss_fail(diag, -EINVAL, "capture flags 0x%x are reserved",
				flags & reserved_flags);
	if (flags & ~known_flags)
		return pss_fail(diag, -EINVAL, "capture flags 0x%x are unknown",
				flags & ~known_flags);
	if ((flags & PSS_CREATE_BREAKAWAY_OPTIONAL) &&
	    !(flags & (PSS_CREATE_BREAKAWAY | PSS_CREATE_FORCE_BREAKAWAY)))
		return pss_fail(diag, -EINVAL,
				"PSS_CREATE_BREAKAWAY_OPTIONAL says nothing without "
				"PSS_CREATE_BREAKAWAY or PSS_CREATE_FORCE_BREAKAWAY");
	if (!ret)
		return pss_fail(diag, -EINVAL, "no room for the snapshot handle");
	r = pss_capture(&request, diag, &fd);
	if (r < 0)
		return r;
	*ret = (HPSS)(intptr_t)fd;
	return 0;
}

DWORD WINAPI PssCaptureSnapshot(HANDLE ProcessHandle, PSS_CAPTURE_FLAGS CaptureFlags,
				DWORD ThreadContextFlags, HPSS *SnapshotHandle)
{
	PSS_API_SCOPE;
	struct pss_diag diag = { 0 };
	int r = capture(ProcessHandle, (uint32_t)CaptureFlags, ThreadContextFlags, &diag,
			SnapshotHandle);

	return pss_api_result(&diag, "cannot capture", r);
}

static int query(HPSS snapshot, unsigned class, void *buffer, DWORD length)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	int clone_fd = -EBADF;
	int r = pss_snapshot_open(snapshot, &section);

	if (r < 0)
		return r;
	r = pss_query_check(&section, class, length);
	if (r < 0)
		return r;
	if (!buffer)
		return -EINVAL;
	if (class == PSS_QUERY_VA_CLONE_INFORMATION) {
		int fd;

		(void)pss_snapshot_fd(snapshot, &fd);
		r = pss_handle_table_borrow(fd, &clone_fd);
		if (r < 0)
			return r;
	}
	pss_query_fill(&section, class, buffer);
	if (class == PSS_QUERY_VA_CLONE_INFORMATION)
		((PSS_VA_CLONE_INFORMATION *)buffer)->VaCloneHandle = (HANDLE)(intptr_t)clone_fd;
	return 0;
}

DWORD WINAPI PssQuerySnapshot(HPSS SnapshotHandle, PSS_QUERY_INFORMATION_CLASS InformationClass,
			      void *Buffer, DWORD BufferLength)
{
	PSS_API_SCOPE;
	int r = query(SnapshotHandle, InformationClass, Buffer, BufferLength);

	return pss_api_result(NULL, "cannot query the snapshot", r);
}
