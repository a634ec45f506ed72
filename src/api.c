// SPDX-License-Identifier: LGPL-2.1-or-later
// The functions on whole snapshots: capture, with options of ours or without, and query. Each
// checks its arguments in the documented order, calls one thing, and maps its error.
#include "api.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <procsnap.h>

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

enum {
	OPTIONS_LEAST_SIZE = 8,
	OPTION_FLAGS = PSSX_CAPTURE_IGNORE_MEMORY | PSSX_CAPTURE_KEEP_WATCH,
};

_Static_assert(sizeof(PSSX_CAPTURE_OPTIONS) == 32, "as documented");

// A copy: what the caller's structure does not reach is 0.
static int take_options(const PSSX_CAPTURE_OPTIONS *options, struct pss_diag *diag,
			PSSX_CAPTURE_OPTIONS *ret)
{
	*ret = (PSSX_CAPTURE_OPTIONS){ .Size = sizeof *ret };
	if (!options)
		return 0;
	int r = pss_api_check_size(options->Size, OPTIONS_LEAST_SIZE, sizeof *options);
	if (r < 0)
		return pss_fail(diag, r, "cannot capture: Size of the options is %u, not %zu",
				options->Size, sizeof *options);
	memcpy(ret, options, options->Size);
	if (ret->Flags & ~(uint32_t)OPTION_FLAGS)
		return pss_fail(diag, -EINVAL, "option flags 0x%x are unknown", ret->Flags);
	if (ret->Reserved)
		return pss_fail(diag, -EINVAL, "reserved capture options are not 0");
	return 0;
}

static int check_flags(uint32_t flags, struct pss_diag *diag)
{
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
	return 0;
}

static int capture(HANDLE process, struct pss_capture_request *request,
		   const PSSX_CAPTURE_OPTIONS *options, struct pss_diag *diag, HPSS *ret)
{
	PSSX_CAPTURE_OPTIONS taken = { 0 };
	struct pss_guard *guard = NULL;
	pid_t pid;
	int fd;
	int r = pss_api_process(process, &pid, &request->pidfd);

	if (r < 0)
		return pss_api_process_fail(diag, r, "cannot capture", process);
	r = check_flags(request->capture_flags, diag);
	if (r == 0)
		r = take_options(options, diag, &taken);
	if (r < 0)
		return r;
	request->max_pause_ns = taken.MaxPauseNs;
	request->max_clones = taken.MaxClones;
	request->ignores_memory = taken.Flags & PSSX_CAPTURE_IGNORE_MEMORY;
	request->keeps_guard = taken.Flags & PSSX_CAPTURE_KEEP_WATCH;
	request->memory_reserve = taken.MemoryReserveBytes;
	if (!ret)
		return pss_fail(diag, -EINVAL, "no room for the snapshot handle");
	r = pss_capture(request, diag, &fd, &guard);
	if (r < 0)
		return r;
	if (guard)
		pss_handle_table_keep_guard(fd, guard);
	*ret = (HPSS)(intptr_t)fd;
	return 0;
}

DWORD WINAPI PssCaptureSnapshot(HANDLE ProcessHandle, PSS_CAPTURE_FLAGS CaptureFlags,
				DWORD ThreadContextFlags, HPSS *SnapshotHandle)
{
	PSS_API_SCOPE;
	struct pss_capture_request request = {
		.capture_flags = (uint32_t)CaptureFlags,
		.thread_context_flags = ThreadContextFlags,
	};
	struct pss_diag diag = { 0 };
	int r = capture(ProcessHandle, &request, NULL, &diag, SnapshotHandle);

	return pss_api_result(&diag, "cannot capture", r);
}

DWORD WINAPI PssxCaptureSnapshot(HANDLE ProcessHandle, PSS_CAPTURE_FLAGS CaptureFlags,
				 DWORD ThreadContextFlags, const PSSX_CAPTURE_OPTIONS *Options,
				 HPSS *SnapshotHandle)
{
	PSS_API_SCOPE;
	struct pss_capture_request request = {
		.capture_flags = (uint32_t)CaptureFlags,
		.thread_context_flags = ThreadContextFlags,
	};
	struct pss_diag diag = { 0 };
	int r = capture(ProcessHandle, &request, Options, &diag, SnapshotHandle);

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
