// SPDX-License-Identifier: LGPL-2.1-or-later
// MiniDumpWriteDump as Windows has it, of a snapshot or of a process that lives, and the same of a
// snapshot as Linux would ask for it.
#include "api.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>

#include <dbghelp.h>
#include <procsnap.h>

#include "api_export.h"
#include "handle_table.h"
#include "memory.h"
#include "minidump.h"
#include "minidump_ask.h"
#include "section.h"
#include "sink.h"
#include "snapshot.h"
#include "win32_error.h"

enum {
	MINIDUMP_FLAGS = PSSX_MINIDUMP_DRAIN | PSSX_MINIDUMP_IGNORE_MEMORY |
			 PSSX_MINIDUMP_ENVIRONMENT | PSSX_MINIDUMP_INCLUDE_DONTDUMP,
};

_Static_assert(sizeof(PSSX_MINIDUMP_OPTIONS) == 48, "as documented");
_Static_assert(sizeof(PSSX_MINIDUMP_RESULT) == 56, "as documented");

// One dump to be written, whoever asked for it.
struct job {
	struct pss_minidump_options options;
	struct pss_sink_options sink;
	struct pss_minidump_ask ask;
	int fd; // -EBADF: the callback takes the bytes
	bool is_drained;
	bool ignores_memory;
	uint64_t memory_reserve;
	uint64_t output_bytes; // handed on
};

static int check_file(int fd, struct pss_diag *diag)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !(flags & O_PATH))
		return 0;
	return pss_fail(diag, -EBADF, "cannot write a minidump: descriptor %d is not open%s", fd,
			flags < 0 ? "" : " for writing");
}

static int pour(const struct pss_section *section, struct job *job, struct pss_diag *diag,
		struct pss_minidump_result *ret)
{
	_cleanup_export_ struct pss_api_export export = PSS_API_EXPORT_EMPTY;
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	int r = pss_memory_open_clone(section, diag, &memory);

	if (r == 0)
		r = pss_sink_open(job->fd, &job->sink, diag, &sink);
	if (r == 0 && !job->ignores_memory)
		r = pss_api_export_watch(&export, section, job->memory_reserve, diag);
	if (r < 0)
		return r;
	if (job->is_drained)
		pss_drain_begin(&export.drain, section, &memory);
	job->options.hooks.written = pss_api_export_written;
	job->options.hooks.written_context = &export;
	job->options.ask = &job->ask;
	r = pss_minidump_write(section, &memory, &job->options, &sink, diag, ret);
	job->output_bytes = sink.bytes_written;
	return pss_api_export_finish(&export, section, r, diag);
}

// Writes and finishes the dump of the snapshot behind @fd.
static int write_snapshot(int fd, struct job *job, struct pss_diag *diag,
			  struct pss_minidump_result *ret)
{
	// Mapped through the HPSS' own open file: the clone stays for as long as we write.
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	int r = pss_section_open(fd, &section);

	if (r < 0)
		return r;
	// One watcher is enough.
	if (pss_handle_table_is_guarded(fd))
		job->ignores_memory = true;
	r = pour(&section, job, diag, ret);
	return pss_handle_table_conclude(fd, r, diag);
}

static uint32_t capture_flags(uint64_t type)
{
	uint32_t flags = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
			 PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION |
			 PSS_CREATE_MEASURE_PERFORMANCE;

	if (type & MiniDumpWithHandleData)
		flags |= PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
			 PSS_CAPTURE_HANDLE_BASIC_INFORMATION;
	return flags;
}

// Of a process that lives: a snapshot that is ours alone, and so may be drained.
static DWORD write_process(HANDLE process, struct job *job, struct pss_diag *diag, int *error_ret)
{
	struct pss_minidump_result written = { 0 };
	HPSS snapshot = NULL;
	int fd = -EBADF;
	DWORD code =
		PssCaptureSnapshot(process, (PSS_CAPTURE_FLAGS)capture_flags(job->options.type),
				   CONTEXT_ALL, &snapshot);

	if (code != ERROR_SUCCESS)
		return code;
	(void)pss_snapshot_fd(snapshot, &fd);
	job->is_drained = true;
	*error_ret = write_snapshot(fd, job, diag, &written);
	(void)PssFreeSnapshot(GetCurrentProcess(), snapshot);
	return ERROR_SUCCESS;
}

// What the callback says first, and where the bytes go.
static int begin(struct job *job, HANDLE process, HANDLE file, bool *is_snapshot_ret,
		 struct pss_diag *diag)
{
	int section_fd;
	bool is_section = pss_api_is_section(process, &section_fd);

	if (job->options.type & ~(uint64_t)MiniDumpValidTypeFlags)
		return pss_fail(diag, -EINVAL, "minidump type %#llx is unknown",
				(unsigned long long)job->options.type);
	*is_snapshot_ret = pss_minidump_ask_is_snapshot(&job->ask) || is_section;
	if (*is_snapshot_ret && !is_section)
		return pss_fail(diag, -EBADF, "handle %#lx is not that of a snapshot",
				(unsigned long)(uintptr_t)process);
	job->options.is_snapshot = *is_snapshot_ret;
	pss_minidump_ask_begin(&job->ask, *is_snapshot_ret);
	job->ask.ignores_holes = job->options.type & MiniDumpIgnoreInaccessibleMemory;
	if (pss_minidump_ask_io_start(&job->ask)) {
		job->sink.deliver = pss_minidump_ask_write;
		job->sink.deliver_context = &job->ask;
		return 0;
	}
	if (pss_snapshot_fd(file, &job->fd) < 0)
		return pss_fail(diag, -EBADF,
				"cannot write a minidump: the file handle is not valid");
	return check_file(job->fd, diag);
}

static BOOL fail_with(const struct job *job, const struct pss_diag *diag, DWORD code, int error)
{
	if (error < 0)
		code = pss_api_result(diag, "cannot write a minidump", error);
	HRESULT result = job->ask.failure < 0 ? job->ask.failure : HRESULT_FROM_WIN32(code);

	SetLastError((DWORD)result);
	return FALSE;
}

// NOLINTNEXTLINE(readability-function-size): seven parameters, as on Windows
BOOL WINAPI MiniDumpWriteDump(HANDLE hProcess, DWORD ProcessId, HANDLE hFile,
			      MINIDUMP_TYPE DumpType,
			      PMINIDUMP_EXCEPTION_INFORMATION ExceptionParam,
			      PMINIDUMP_USER_STREAM_INFORMATION UserStreamParam,
			      PMINIDUMP_CALLBACK_INFORMATION CallbackParam)
{
	PSS_API_SCOPE;
	struct job job = {
		.options.type = (uint32_t)DumpType,
		.options.exception = ExceptionParam,
		.options.user_streams = UserStreamParam,
		.ask.callback =
			CallbackParam && CallbackParam->CallbackRoutine ? CallbackParam : NULL,
		.ask.process_id = ProcessId,
		.ask.process = hProcess,
		.ask.file = hFile,
		.fd = -EBADF,
	};
	struct pss_minidump_result written = { 0 };
	struct pss_diag diag = { 0 };
	DWORD code = ERROR_SUCCESS;
	bool is_snapshot = false;
	int fd = -EBADF;
	int r = begin(&job, hProcess, hFile, &is_snapshot, &diag);

	if (r == 0 && is_snapshot) {
		(void)pss_snapshot_fd(hProcess, &fd);
		r = write_snapshot(fd, &job, &diag, &written);
	} else if (r == 0) {
		code = write_process(hProcess, &job, &diag, &r);
	}
	if (r == 0 && code == ERROR_SUCCESS && job.sink.deliver)
		r = pss_minidump_ask_io_finish(&job.ask);
	return r < 0 || code != ERROR_SUCCESS ? fail_with(&job, &diag, code, r) : TRUE;
}

static int take_options(const PSSX_MINIDUMP_OPTIONS *options, struct job *job,
			struct pss_diag *diag)
{
	if (options->Size != sizeof *options)
		return -EMSGSIZE;
	if (options->Flags & ~(uint32_t)MINIDUMP_FLAGS)
		return pss_fail(diag, -EINVAL, "option flags 0x%x are unknown", options->Flags);
	if (options->Type & ~(uint32_t)MiniDumpValidTypeFlags)
		return pss_fail(diag, -EINVAL, "minidump type 0x%x is unknown", options->Type);
	job->options.type = options->Type;
	job->options.has_environment = options->Flags & PSSX_MINIDUMP_ENVIRONMENT;
	job->options.include_dont_dump = options->Flags & PSSX_MINIDUMP_INCLUDE_DONTDUMP;
	job->options.hooks.progress = options->Progress;
	job->options.hooks.progress_context = options->ProgressContext;
	job->sink.compress = options->Compress != 0;
	job->sink.compression_level = options->Level;
	job->is_drained = options->Flags & PSSX_MINIDUMP_DRAIN;
	job->ignores_memory = options->Flags & PSSX_MINIDUMP_IGNORE_MEMORY;
	job->memory_reserve = options->MemoryReserveBytes;
	return 0;
}

static int write_minidump(HPSS snapshot, struct job *job, const PSSX_MINIDUMP_OPTIONS *options,
			  struct pss_diag *diag, PSSX_MINIDUMP_RESULT *result)
{
	struct pss_minidump_result written = { 0 };
	int fd;

	if (!pss_api_is_section(snapshot, &fd))
		return -EBADF;
	int r = options ? take_options(options, job, diag) : 0;
	if (r == 0 && result && result->Size != sizeof *result)
		r = -EMSGSIZE;
	if (r == 0 && check_file(job->fd, diag) < 0)
		r = -EINVAL;
	if (r == 0)
		r = write_snapshot(fd, job, diag, &written);
	if (r < 0 || !result)
		return r;
	*result = (PSSX_MINIDUMP_RESULT){
		.Size = result->Size,
		.Threads = written.threads,
		.Modules = written.modules,
		.Ranges = written.ranges,
		.Streams = written.streams,
		.FileBytes = written.file_size,
		.MemoryBytes = written.memory_bytes,
		.OutputBytes = job->output_bytes,
		.UnreadableBytes = written.unreadable_bytes,
	};
	return 0;
}

DWORD WINAPI PssxWriteMinidump(HPSS SnapshotHandle, int Fd, const PSSX_MINIDUMP_OPTIONS *Options,
			       PSSX_MINIDUMP_RESULT *Result)
{
	PSS_API_SCOPE;
	struct job job = { .fd = Fd, .ask.ignores_holes = true };
	struct pss_diag diag = { 0 };
	int r = write_minidump(SnapshotHandle, &job, Options, &diag, Result);

	return pss_api_result(&diag, "cannot write a minidump of the snapshot", r);
}
