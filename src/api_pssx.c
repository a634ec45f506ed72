// SPDX-License-Identifier: LGPL-2.1-or-later
// The functions of procsnap.h: Linux' own view of a snapshot, an ELF core of it, conversions.
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>

#include <procsnap.h>

#include "api_export.h"
#include "capture_target.h"
#include "config.h"
#include "elfcore.h"
#include "guard.h"
#include "handle_table.h"
#include "memory.h"
#include "native.h"
#include "section.h"
#include "sink.h"
#include "snapshot.h"
#include "utf.h"

// The structure up to TotalNs: that much it has always had.
enum { FIGURES_LEAST_SIZE = 48 };

const char *WINAPI PssxVersion(void)
{
	return PROCSNAP_VERSION;
}

/**
 * Opens the section and checks the structure for a result: -EBADF, -EINVAL if there is none,
 * -EMSGSIZE if it is of another version of this library.
 */
static int open_for(HPSS snapshot, const uint32_t *size, size_t expected,
		    struct pss_section *section_ret)
{
	int r = pss_snapshot_open(snapshot, section_ret);

	if (r < 0)
		return r;
	if (!size)
		return -EINVAL;
	return *size == expected ? 0 : -EMSGSIZE;
}

DWORD WINAPI PssxQueryFigures(HPSS SnapshotHandle, PSSX_FIGURES *Figures)
{
	PSS_API_SCOPE;
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	PSSX_FIGURES figures;
	int r = pss_snapshot_open(SnapshotHandle, &section);

	if (r == 0 && !Figures)
		r = -EINVAL;
	if (r == 0)
		r = pss_api_check_size(Figures->Size, FIGURES_LEAST_SIZE, sizeof figures);
	if (r == 0) {
		figures.Size = Figures->Size;
		r = pss_native_figures(&section, &figures);
	}
	if (r == 0)
		memcpy(Figures, &figures, figures.Size);
	return pss_api_result(NULL, "cannot query the snapshot's figures", r);
}

DWORD WINAPI PssxQueryProcess(HPSS SnapshotHandle, PSSX_PROCESS *Process)
{
	PSS_API_SCOPE;
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	int r = open_for(SnapshotHandle, Process ? &Process->Size : NULL, sizeof *Process,
			 &section);

	if (r == 0)
		pss_native_process(&section, Process);
	return pss_api_result(NULL, "cannot query the snapshot's process", r);
}

DWORD WINAPI PssxQueryThread(HPSS SnapshotHandle, DWORD Index, PSSX_THREAD *Thread)
{
	PSS_API_SCOPE;
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	int r = open_for(SnapshotHandle, Thread ? &Thread->Size : NULL, sizeof *Thread, &section);

	if (r == 0)
		r = pss_native_thread(&section, Index, Thread);
	return pss_api_result(NULL, "cannot query a thread of the snapshot", r);
}

DWORD WINAPI PssxQueryRegion(HPSS SnapshotHandle, DWORD Index, PSSX_REGION *Region)
{
	PSS_API_SCOPE;
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	int r = open_for(SnapshotHandle, Region ? &Region->Size : NULL, sizeof *Region, &section);

	if (r == 0)
		r = pss_native_region(&section, Index, Region);
	return pss_api_result(NULL, "cannot query a region of the snapshot", r);
}

/** The documented way out for bytes of any size: *length is the room, and then the size. */
static int copy_out(const void *bytes, size_t size, void *buffer, SIZE_T *length)
{
	SIZE_T room = *length;

	*length = size;
	if (room < size || !buffer)
		return -ENOBUFS;
	memcpy(buffer, bytes, size);
	return 0;
}

static int query_registers(HPSS snapshot, DWORD index, DWORD note_type, void *buffer,
			   SIZE_T *length)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	const void *bytes;
	size_t size;
	int r = pss_snapshot_open(snapshot, &section);

	if (r < 0)
		return r;
	if (!length)
		return -EINVAL;
	r = pss_native_registers(&section, index, note_type, &bytes, &size);
	return r < 0 ? r : copy_out(bytes, size, buffer, length);
}

DWORD WINAPI PssxQueryRegisters(HPSS SnapshotHandle, DWORD Index, DWORD NoteType, void *Buffer,
				SIZE_T *Length)
{
	PSS_API_SCOPE;
	int r = query_registers(SnapshotHandle, Index, NoteType, Buffer, Length);

	return pss_api_result(NULL, "cannot query registers of the snapshot", r);
}

DWORD WINAPI PssxQueryHandle(HPSS SnapshotHandle, DWORD Index, PSSX_HANDLE *Handle)
{
	PSS_API_SCOPE;
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	int r = open_for(SnapshotHandle, Handle ? &Handle->Size : NULL, sizeof *Handle, &section);

	if (r == 0)
		r = pss_native_handle(&section, Index, Handle);
	return pss_api_result(NULL, "cannot query a descriptor of the snapshot", r);
}

static int query_handle_info(HPSS snapshot, DWORD index, void *buffer, SIZE_T *length)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	const void *bytes;
	size_t size;
	int r = pss_snapshot_open(snapshot, &section);

	if (r < 0)
		return r;
	if (!length)
		return -EINVAL;
	r = pss_native_handle_info(&section, index, &bytes, &size);
	return r < 0 ? r : copy_out(bytes, size, buffer, length);
}

DWORD WINAPI PssxQueryHandleInfo(HPSS SnapshotHandle, DWORD Index, void *Buffer, SIZE_T *Length)
{
	PSS_API_SCOPE;
	int r = query_handle_info(SnapshotHandle, Index, Buffer, Length);

	return pss_api_result(NULL, "cannot query a descriptor of the snapshot", r);
}

enum {
	CORE_OPTIONS_LEAST_SIZE = offsetof(PSSX_CORE_OPTIONS, MemoryReserveBytes),
	CORE_FLAGS = PSSX_CORE_DRAIN | PSSX_CORE_IGNORE_MEMORY,
};

static int check_core_arguments(int fd, const PSSX_CORE_OPTIONS *options,
				const PSSX_CORE_RESULT *result, struct pss_diag *diag)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY || flags & O_PATH) {
		(void)pss_fail(diag, -EBADF, "cannot write a core: descriptor %d is not open%s", fd,
			       flags < 0 ? "" : " for writing");
		return -EINVAL;
	}
	int r = options ? pss_api_check_size(options->Size, CORE_OPTIONS_LEAST_SIZE,
					     sizeof *options)
			: 0;
	if (r < 0)
		return r;
	if (options && options->Flags & ~(uint32_t)CORE_FLAGS)
		return pss_fail(diag, -EINVAL, "option flags 0x%x are unknown", options->Flags);
	return result && result->Size != sizeof *result ? -EMSGSIZE : 0;
}

// The clone's, if it lives.
static int open_clone(const struct pss_section *section, struct pss_diag *diag, int *pidfd_ret)
{
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	_cleanup_close_ int pidfd = -EBADF;
	const struct pss_clone_record *clone = pss_section_clone(section);

	if (clone)
		pidfd = (int)syscall(SYS_pidfd_open, clone->pid, 0);
	// Looked at after it was opened: it is the clone's, then, and nobody else's.
	int r = pss_memory_open_clone(section, diag, &memory);
	if (r == 0)
		*pidfd_ret = TAKE_FD(pidfd);
	return r;
}

/** Writes and finishes the core; fills *result, if any. */
static int write_core(const struct pss_section *section, int fd, const PSSX_CORE_OPTIONS *options,
		      struct pss_diag *diag, PSSX_CORE_RESULT *result)
{
	struct pss_sink_options sink_options = {
		.compress = options->Compress != 0,
		.compression_level = options->Level,
	};
	_cleanup_export_ struct pss_api_export export = PSS_API_EXPORT_EMPTY;
	struct pss_elfcore_options core_options = {
		.choice.filter = options->UseFilter ? options->Filter : UINT64_MAX,
		.choice.include_dont_dump = options->IncludeDontDump != 0,
		.hooks.progress = options->Progress,
		.hooks.progress_context = options->ProgressContext,
		.hooks.written = pss_api_export_written,
		.hooks.written_context = &export,
	};
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	struct pss_elfcore_result written;
	int r = pss_memory_open_clone(section, diag, &memory);

	if (r == 0)
		r = pss_sink_open(fd, &sink_options, diag, &sink);
	if (r == 0 && !(options->Flags & PSSX_CORE_IGNORE_MEMORY))
		r = pss_api_export_watch(&export, section, options->MemoryReserveBytes, diag);
	if (r < 0)
		return r;
	if (options->Flags & PSSX_CORE_DRAIN)
		pss_drain_begin(&export.drain, section, &memory);
	r = pss_elfcore_write(section, &memory, &core_options, &sink, diag, &written);
	r = pss_api_export_finish(&export, section, r, diag);
	if (r < 0 || !result)
		return r;
	*result = (PSSX_CORE_RESULT){
		.Size = result->Size,
		.Threads = written.threads,
		.Segments = written.segments,
		.FileBytes = written.file_size,
		.MemoryBytes = written.memory_bytes,
		.OutputBytes = sink.bytes_written,
		.UnreadableBytes = written.unreadable_bytes,
	};
	return 0;
}

DWORD WINAPI PssxWriteElfCore(HPSS SnapshotHandle, int Fd, const PSSX_CORE_OPTIONS *Options,
			      PSSX_CORE_RESULT *Result)
{
	PSS_API_SCOPE;
	// Mapped through the HPSS' own open file: the clone stays for as long as we write.
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	PSSX_CORE_OPTIONS options = { .Size = sizeof options };
	int fd = -EBADF;
	struct pss_diag diag = { 0 };
	int r = pss_snapshot_open(SnapshotHandle, &section);

	if (r == 0)
		r = check_core_arguments(Fd, Options, Result, &diag);
	if (r == 0 && Options)
		memcpy(&options, Options, Options->Size);
	if (r == 0) {
		(void)pss_snapshot_fd(SnapshotHandle, &fd);
		// One watcher is enough.
		if (pss_handle_table_is_guarded(fd))
			options.Flags |= PSSX_CORE_IGNORE_MEMORY;
		r = write_core(&section, Fd, &options, &diag, Result);
		r = pss_handle_table_conclude(fd, r, &diag);
	}
	return pss_api_result(&diag, "cannot write a core of the snapshot", r);
}

static int watch_memory(const struct pss_section *section, int stop_fd, uint64_t reserve,
			struct pss_diag *diag)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	_cleanup_close_ int clone_pidfd = -EBADF;
	const struct pss_process_record *process = pss_section_process(section);
	int r = open_clone(section, diag, &clone_pidfd);

	if (r < 0)
		return r;
	r = pss_target_open_pid(process->pid, process->start_ticks, &target);
	if (r < 0)
		return pss_fail(diag, r, "cannot watch over the memory of process %d",
				process->pid);
	return pss_guard_run(target.pid, target.space_fd, reserve, TAKE_FD(clone_pidfd), stop_fd,
			     diag);
}

DWORD WINAPI PssxWatchMemory(HPSS SnapshotHandle, int StopFd, uint64_t ReserveBytes)
{
	PSS_API_SCOPE;
	// A section of its own keeps no clone: if the snapshot is freed, watching ends.
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	struct pss_diag diag = { 0 };
	int r = pss_snapshot_open_detached(SnapshotHandle, &section);

	if (r == 0)
		r = watch_memory(&section, StopFd, ReserveBytes, &diag);
	return pss_api_result(&diag, "cannot watch over the memory of the process", r);
}

SIZE_T WINAPI PssxUtf16ToUtf8(const WCHAR *Source, SIZE_T Length, char *Target, SIZE_T Room)
{
	return pss_utf_to_utf8(Source, Length, Target, Room);
}

SIZE_T WINAPI PssxUtf8ToUtf16(const char *Source, SIZE_T Length, WCHAR *Target, SIZE_T Room)
{
	return pss_utf_to_utf16(Source, Length, Target, Room);
}
