// SPDX-License-Identifier: LGPL-2.1-or-later
// MiniDumpWriteDump of a snapshot and of a live process: what is in the file, what the callback is
// asked and what its answers do, and which HRESULT says what failed. Each dump is read back by a
// reader that checks every position.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dbghelp.h>

#include "../unit/minidump_reader.h"
#include "conformance.h"

enum { QUESTIONS = VmPostReadCallback + 1, PAGE = 4096, IO_ROOM = 64 << 20 };

static const uint64_t first_word = 0x9e3779b97f4a7c15;

static struct target *target;

// A callback's script, and what it was asked.
struct script {
	unsigned asked[QUESTIONS];
	HANDLE process;
	ULONG process_id; // of the last ordinary question
	HRESULT is_snapshot;
	HRESULT vm_start;
	HRESULT io_start;
	HRESULT read_failure;
	ULONG excluded_thread;
	ULONG64 excluded_module;
	BOOL cancels;
	ULONG64 memory, removed, region; // pages
	ULONG64 patched; // an address whose word is replaced before or after reading
	BOOL patches_after;
	uint8_t *io;
	size_t io_size;
	bool is_io_finished;
};

static void preset(struct script *script, const MINIDUMP_CALLBACK_INPUT *input,
		   MINIDUMP_CALLBACK_OUTPUT *output)
{
	ULONG type = input->CallbackType;

	if (type == IsProcessSnapshotCallback || type == VmStartCallback) {
		assert_int_equal(input->ProcessId, 0);
		assert_int_equal((uint32_t)output->Status, (uint32_t)E_NOTIMPL);
	} else {
		script->process_id = input->ProcessId;
	}
	assert_ptr_equal(input->ProcessHandle, script->process);
}

static void answer_memory(struct script *script, ULONG64 *page, MINIDUMP_CALLBACK_OUTPUT *output)
{
	(void)script;
	output->MemoryBase = *page;
	output->MemorySize = *page ? PAGE : 0;
	*page = 0;
}

static void answer_io(struct script *script, const MINIDUMP_CALLBACK_INPUT *input,
		      MINIDUMP_CALLBACK_OUTPUT *output)
{
	if (input->CallbackType == IoFinishCallback) {
		script->is_io_finished = true;
	} else {
		assert_true(input->Io.Offset + input->Io.BufferBytes <= IO_ROOM);
		memcpy(script->io + input->Io.Offset, input->Io.Buffer, input->Io.BufferBytes);
		if (script->io_size < input->Io.Offset + input->Io.BufferBytes)
			script->io_size = input->Io.Offset + input->Io.BufferBytes;
	}
	output->Status = S_OK;
}

static void answer_reads(struct script *script, const MINIDUMP_CALLBACK_INPUT *input,
			 MINIDUMP_CALLBACK_OUTPUT *output)
{
	bool is_before = input->CallbackType == VmPreReadCallback;
	ULONG64 at = is_before ? input->VmPreRead.Offset : input->VmPostRead.Offset;
	ULONG size = is_before ? input->VmPreRead.Size : input->VmPostRead.Completed;
	uint8_t *buffer = is_before ? input->VmPreRead.Buffer : input->VmPostRead.Buffer;

	if (!script->patched || at > script->patched || at + size < script->patched + 8 ||
	    is_before == script->patches_after)
		return;
	if (is_before)
		memset(buffer, 0x5a, size);
	else
		memset(buffer + (script->patched - at), 0xa5, 8);
	output->VmReadStatus = S_OK;
	output->VmReadBytesCompleted = size;
}

static BOOL WINAPI callback(PVOID param, PMINIDUMP_CALLBACK_INPUT input,
			    PMINIDUMP_CALLBACK_OUTPUT output)
{
	struct script *script = param;

	assert_true(input->CallbackType < QUESTIONS);
	script->asked[input->CallbackType]++;
	preset(script, input, output);
	switch (input->CallbackType) {
	case IsProcessSnapshotCallback:
		output->Status = script->is_snapshot;
		break;
	case VmStartCallback:
		output->Status = script->vm_start;
		break;
	case IoStartCallback:
		output->Status = script->io_start;
		break;
	case IoWriteAllCallback:
	case IoFinishCallback:
		answer_io(script, input, output);
		break;
	case ReadMemoryFailureCallback:
		output->Status = script->read_failure;
		break;
	case IncludeThreadCallback:
		return input->IncludeThread.ThreadId != script->excluded_thread;
	case IncludeModuleCallback:
		return input->IncludeModule.BaseOfImage != script->excluded_module;
	case CancelCallback:
		output->CheckCancel = TRUE;
		output->Cancel = script->cancels;
		break;
	case MemoryCallback:
		answer_memory(script, &script->memory, output);
		break;
	case RemoveMemoryCallback:
		answer_memory(script, &script->removed, output);
		break;
	case IncludeVmRegionCallback:
		if (script->region >= output->VmRegion.BaseAddress &&
		    script->region < output->VmRegion.BaseAddress + output->VmRegion.RegionSize) {
			output->VmRegion.BaseAddress = script->region;
			output->VmRegion.RegionSize = PAGE;
		}
		break;
	case VmPreReadCallback:
	case VmPostReadCallback:
		answer_reads(script, input, output);
		break;
	default:
		break;
	}
	return TRUE;
}

static struct script plain_script(HANDLE process)
{
	return (struct script){
		.process = process,
		.is_snapshot = S_FALSE,
		.vm_start = S_OK,
		.read_failure = E_NOTIMPL,
	};
}

// A dump that a call has written.
struct written {
	struct minidump dump;
	int fd;
	BOOL result;
	DWORD error;
};

static struct written write_with(HANDLE process, uint32_t type, struct script *script,
				 MINIDUMP_EXCEPTION_INFORMATION *exception,
				 MINIDUMP_USER_STREAM_INFORMATION *streams)
{
	MINIDUMP_CALLBACK_INFORMATION information = { callback, script };
	struct written written = { .fd = memfd_create("dump", MFD_CLOEXEC) };
	struct stat status;

	assert_true(written.fd >= 3);
	SetLastError(4711);
	written.result = MiniDumpWriteDump(process, (DWORD)target->pid,
					   (HANDLE)(intptr_t)written.fd, (MINIDUMP_TYPE)type,
					   exception, streams, script ? &information : NULL);
	written.error = GetLastError();
	assert_int_equal(fstat(written.fd, &status), 0);
	written.dump.size = (size_t)status.st_size;
	if (written.dump.size > 0) {
		written.dump.bytes =
			mmap(NULL, written.dump.size, PROT_READ, MAP_PRIVATE, written.fd, 0);
		assert_ptr_not_equal(written.dump.bytes, MAP_FAILED);
	}
	if (written.result && written.dump.size > 0 && !minidump_check(&written.dump))
		harness_fail("the dump is damaged: %s", written.dump.fault);
	return written;
}

static void forget(struct written *written)
{
	if (written->dump.size > 0)
		munmap((void *)(uintptr_t)written->dump.bytes, written->dump.size);
	close(written->fd);
}

#define _cleanup_written_ __attribute__((cleanup(forget)))

static void assert_written(const struct written *written)
{
	if (!written->result)
		harness_fail("no dump: %#x, %s", written->error, PssxErrorText());
	assert_int_equal(written->error, 4711);
	assert_true(written->dump.size > 0);
}

static void assert_failed(const struct written *written, uint32_t result)
{
	assert_false(written->result);
	assert_int_equal(written->error, result);
	assert_true(PssxErrorText()[0] != '\0');
}

// As dump writers ask for it: without PSS_CAPTURE_VA_SPACE.
static HPSS capture_as_documented(uint32_t without)
{
	uint32_t flags = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES |
			 PSS_CAPTURE_HANDLE_NAME_INFORMATION |
			 PSS_CAPTURE_HANDLE_BASIC_INFORMATION |
			 PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION | PSS_CAPTURE_HANDLE_TRACE |
			 PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
			 PSS_CAPTURE_THREAD_CONTEXT_EXTENDED | PSS_CREATE_USE_VM_ALLOCATIONS |
			 PSS_CREATE_RELEASE_SECTION;

	return harness_capture(target, flags & ~without);
}

static int start_target(void **state)
{
	(void)state;
	target = target_start("plain", "3", NULL);
	return 0;
}

static int stop_target(void **state)
{
	(void)state;
	target_assert_unharmed(target);
	target_stop(target);
	return 0;
}

static void a_snapshot_is_dumped_as_the_documented_sample_does(void **state)
{
	HPSS snapshot = capture_as_documented(0);
	struct script script = plain_script(snapshot);
	_cleanup_written_ struct written written =
		write_with(snapshot, MiniDumpWithHandleData, &script, NULL, NULL);

	(void)state;
	assert_written(&written);
	for (ULONG type = 0; type < QUESTIONS; type++)
		if (type == IsProcessSnapshotCallback || type == VmStartCallback ||
		    type == IoStartCallback || type == SecondaryFlagsCallback)
			assert_int_equal(script.asked[type], 1);
	assert_int_equal(script.process_id, target->pid);
	assert_int_equal(minidump_thread_count(&written.dump), 5);
	assert_int_equal(script.asked[IncludeThreadCallback], 5);
	assert_int_equal(script.asked[ThreadCallback], 5);
	assert_int_equal(script.asked[ThreadExCallback], 5);
	assert_non_null(minidump_stream(&written.dump, HandleDataStream, NULL));
	harness_free_snapshot(snapshot);
}

static void contexts_and_stacks_are_those_of_the_snapshot(void **state)
{
	HPSS snapshot = capture_as_documented(0);
	_cleanup_written_ struct written written = write_with(snapshot, 0, NULL, NULL, NULL);
	PSSX_THREAD thread = { .Size = sizeof(thread) };

	(void)state;
	assert_written(&written);
	for (DWORD i = 0; PssxQueryThread(snapshot, i, &thread) == ERROR_SUCCESS; i++) {
		const MINIDUMP_THREAD *entry = minidump_thread(&written.dump, i);
		uint8_t bytes[64];
		CONTEXT context;

		assert_int_equal(entry->ThreadId, thread.ThreadId);
		memcpy(&context, written.dump.bytes + entry->ThreadContext.Rva, sizeof(context));
#ifdef __x86_64__
		assert_int_equal(context.Rip, thread.InstructionPointer);
		assert_int_equal(context.Rsp, thread.StackPointer);
		XMM_SAVE_AREA32 floating;
		SIZE_T length = sizeof(floating);
		assert_success(PssxQueryRegisters(snapshot, i, NT_PRFPREG, &floating, &length));
		assert_memory_equal(&context.FltSave, &floating, sizeof(floating));
#else
		assert_int_equal(context.Pc, thread.InstructionPointer);
#endif
		harness_read_clone(snapshot, thread.StackPointer, bytes, sizeof(bytes));
		assert_memory_equal(
			minidump_memory(&written.dump, thread.StackPointer, sizeof(bytes)), bytes,
			sizeof(bytes));
		assert_non_null(minidump_memory(&written.dump, thread.InstructionPointer - 16, 32));
	}
	harness_free_snapshot(snapshot);
}

static void a_snapshot_without_a_clone_is_ERROR_NOT_FOUND_and_the_file_stays_empty(void **state)
{
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_THREADS);
	struct script script = plain_script(snapshot);
	_cleanup_written_ struct written written = write_with(snapshot, 0, &script, NULL, NULL);

	(void)state;
	assert_failed(&written, 0x80070490);
	assert_int_equal(written.dump.size, 0);
	harness_free_snapshot(snapshot);
}

static void without_threads_the_list_is_there_and_empty_and_nobody_is_asked(void **state)
{
	HPSS snapshot = capture_as_documented(PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
					      PSS_CAPTURE_THREAD_CONTEXT_EXTENDED);
	struct script script = plain_script(snapshot);
	_cleanup_written_ struct written written = write_with(snapshot, 0, &script, NULL, NULL);

	(void)state;
	assert_written(&written);
	assert_non_null(minidump_stream(&written.dump, ThreadListStream, NULL));
	assert_int_equal(minidump_thread_count(&written.dump), 0);
	assert_int_equal(script.asked[IncludeThreadCallback] + script.asked[ThreadCallback], 0);
	harness_free_snapshot(snapshot);
}

static uint64_t ticks(FILETIME time)
{
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

static void MiscInfo_equals_the_snapshots_process_information(void **state)
{
	HPSS snapshot = capture_as_documented(0);
	_cleanup_written_ struct written written = write_with(snapshot, 0, NULL, NULL, NULL);
	const MINIDUMP_MISC_INFO_4 *info = minidump_stream(&written.dump, MiscInfoStream, NULL);
	PSS_PROCESS_INFORMATION process;

	(void)state;
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &process,
					sizeof(process)));
	assert_int_equal(info->ProcessId, target->pid);
	assert_int_equal(info->ProcessCreateTime,
			 (ticks(process.CreateTime) - UINT64_C(116444736000000000)) / 10000000);
	assert_int_equal(info->ProcessUserTime, ticks(process.UserTime) / 10000000);
	assert_int_equal(info->ProcessKernelTime, ticks(process.KernelTime) / 10000000);
	harness_free_snapshot(snapshot);
}

static void modules_are_one_a_file_the_program_first_with_whole_build_ids(void **state)
{
	HPSS snapshot = capture_as_documented(0);
	_cleanup_written_ struct written written = write_with(snapshot, 0, NULL, NULL, NULL);
	char name[512], other[512];

	(void)state;
	assert_written(&written);
	uint32_t count = minidump_module_count(&written.dump);
	assert_true(count >= 4);
	minidump_text(&written.dump, minidump_module(&written.dump, 0)->ModuleNameRva, name,
		      sizeof(name));
	assert_non_null(strstr(name, "/plain"));
	for (uint32_t i = 0; i < count; i++) {
		const MINIDUMP_MODULE *module = minidump_module(&written.dump, i);

		minidump_text(&written.dump, module->ModuleNameRva, name, sizeof(name));
		for (uint32_t j = 0; j < i; j++) {
			minidump_text(&written.dump,
				      minidump_module(&written.dump, j)->ModuleNameRva, other,
				      sizeof(other));
			assert_string_not_equal(name, other);
		}
		if (strstr(name, "libc.so"))
			assert_int_equal(module->CvRecord.DataSize, 4 + 20);
	}
	harness_free_snapshot(snapshot);
}

static void full_memory_has_what_the_process_held_at_the_instant(void **state)
{
	uint64_t pattern = target_value(target, "pattern");
	HPSS snapshot = capture_as_documented(0);
	struct script script = plain_script(snapshot);
	_cleanup_written_ struct written written =
		write_with(snapshot, MiniDumpWithFullMemory, &script, NULL, NULL);
	uint64_t word;

	(void)state;
	assert_written(&written);
	assert_non_null(minidump_stream(&written.dump, Memory64ListStream, NULL));
	const void *bytes = minidump_memory(&written.dump, pattern, sizeof(word));
	assert_non_null(bytes);
	memcpy(&word, bytes, sizeof(word));
	assert_int_equal(word, first_word);
	assert_true(script.asked[IncludeVmRegionCallback] > 0);
	harness_free_snapshot(snapshot);
}

static void a_small_dump_has_no_heap_and_no_environment(void **state)
{
	HPSS snapshot = capture_as_documented(0);
	_cleanup_written_ struct written written = write_with(snapshot, 0, NULL, NULL, NULL);
	_cleanup_written_ struct written all =
		write_with(snapshot, MiniDumpWithProcessThreadData, NULL, NULL, NULL);
	static const char secret[] = "PROCSNAP_TEST_SECRET=hunter2";

	(void)state;
	assert_written(&written);
	assert_written(&all);
	assert_null(minidump_memory(&written.dump, target_value(target, "pattern"), 8));
	assert_null(memmem(written.dump.bytes, written.dump.size, secret, sizeof(secret) - 1));
	assert_non_null(memmem(all.dump.bytes, all.dump.size, secret, sizeof(secret) - 1));
	harness_free_snapshot(snapshot);
}

static void a_live_process_is_captured_dumped_and_left_as_it_was(void **state)
{
	struct patient *before = patient_record(target->pid);
	HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)target->pid);
	struct script script = plain_script(process);
	size_t children;
	pid_t list[4];

	(void)state;
	script.is_snapshot = E_NOTIMPL;
	assert_non_null(process);
	size_t fds = harness_count_fds(getpid());
	{
		_cleanup_written_ struct written written = write_with(
			process, MiniDumpWithHandleData | MiniDumpWithPrivateReadWriteMemory,
			&script, NULL, NULL);

		assert_written(&written);
		assert_int_equal(minidump_thread_count(&written.dump), 5);
		assert_non_null(minidump_memory(&written.dump, target_value(target, "pattern"), 8));
		assert_int_equal(script.asked[VmStartCallback], 0);
	}
	assert_int_equal(harness_count_fds(getpid()), fds);
	children = patient_children(target->pid, list, 4);
	assert_int_equal(children, 0);
	patient_assert_unharmed(before);
	patient_free(before);
	assert_true(CloseHandle(process));
}

static void threads_and_modules_that_the_callback_refuses_are_not_in_it(void **state)
{
	HPSS snapshot = capture_as_documented(0);
	_cleanup_written_ struct written all = write_with(snapshot, 0, NULL, NULL, NULL);
	struct script script = plain_script(snapshot);

	(void)state;
	script.excluded_thread = minidump_thread(&all.dump, 1)->ThreadId;
	script.excluded_module = minidump_module(&all.dump, 1)->BaseOfImage;
	_cleanup_written_ struct written written = write_with(snapshot, 0, &script, NULL, NULL);
	assert_written(&written);
	assert_int_equal(minidump_thread_count(&written.dump),
			 minidump_thread_count(&all.dump) - 1);
	assert_int_equal(minidump_module_count(&written.dump),
			 minidump_module_count(&all.dump) - 1);
	for (uint32_t i = 0; i < minidump_thread_count(&written.dump); i++)
		assert_int_not_equal(minidump_thread(&written.dump, i)->ThreadId,
				     script.excluded_thread);
	harness_free_snapshot(snapshot);
}

static void memory_is_added_removed_and_narrowed_by_the_callback(void **state)
{
	uint64_t pattern = target_value(target, "pattern");
	uint64_t bulk = target_value(target, "bulk");
	HPSS snapshot = capture_as_documented(0);
	struct script script = plain_script(snapshot);

	(void)state;
	script.memory = pattern;
	{
		_cleanup_written_ struct written written =
			write_with(snapshot, 0, &script, NULL, NULL);
		assert_written(&written);
		assert_non_null(minidump_memory(&written.dump, pattern, PAGE));
	}
	script.removed = pattern;
	script.region = bulk + PAGE;
	{
		_cleanup_written_ struct written written =
			write_with(snapshot, MiniDumpWithFullMemory, &script, NULL, NULL);
		assert_written(&written);
		assert_null(minidump_memory(&written.dump, pattern, 8));
		assert_null(minidump_memory(&written.dump, bulk, 8));
		assert_non_null(minidump_memory(&written.dump, bulk + PAGE, PAGE));
		assert_null(minidump_memory(&written.dump, bulk + 2 * PAGE, 8));
	}
	harness_free_snapshot(snapshot);
}

static void reads_may_be_answered_and_changed_by_the_callback(void **state)
{
	uint64_t pattern = target_value(target, "pattern");
	HPSS snapshot = capture_as_documented(0);
	struct script script = plain_script(snapshot);

	(void)state;
	script.vm_start = S_FALSE;
	script.patched = pattern;
	for (int after = 0; after < 2; after++) {
		uint8_t expected[8];

		script.patches_after = after;
		memset(expected, after ? 0xa5 : 0x5a, sizeof(expected));
		_cleanup_written_ struct written written = write_with(
			snapshot, MiniDumpWithPrivateReadWriteMemory | MiniDumpWithFullMemoryInfo,
			&script, NULL, NULL);
		assert_written(&written);
		assert_memory_equal(minidump_memory(&written.dump, pattern, 8), expected, 8);
	}
	assert_true(script.asked[VmQueryCallback] > 0);
	assert_true(script.asked[VmPreReadCallback] >= script.asked[VmPostReadCallback]);
	harness_free_snapshot(snapshot);
}

static void the_callback_may_take_the_bytes_and_they_are_the_same(void **state)
{
	HPSS snapshot = capture_as_documented(0);
	struct script script = plain_script(snapshot);

	(void)state;
	_cleanup_written_ struct written plain = write_with(snapshot, 0, NULL, NULL, NULL);
	script.io_start = S_FALSE;
	script.io = mmap(NULL, IO_ROOM, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(script.io, MAP_FAILED);
	_cleanup_written_ struct written written = write_with(snapshot, 0, &script, NULL, NULL);
	assert_true(written.result);
	assert_int_equal(written.dump.size, 0);
	assert_true(script.is_io_finished);
	assert_int_equal(script.io_size, plain.dump.size);
	assert_memory_equal(script.io, plain.dump.bytes, plain.dump.size);
	munmap(script.io, IO_ROOM);
	harness_free_snapshot(snapshot);
}

static void cancelling_is_ERROR_CANCELLED(void **state)
{
	HPSS snapshot = capture_as_documented(0);
	struct script script = plain_script(snapshot);

	(void)state;
	script.cancels = TRUE;
	_cleanup_written_ struct written written = write_with(snapshot, 0, &script, NULL, NULL);
	assert_failed(&written, 0x800704C7);
	harness_free_snapshot(snapshot);
}

static void user_streams_and_an_exception_are_in_it(void **state)
{
	static char note[] = "a stream of the program's own";
	MINIDUMP_USER_STREAM user[] = {
		{ LastReservedStream + 7, sizeof(note), note },
		{ CommentStreamA, 6, note },
	};
	MINIDUMP_USER_STREAM_INFORMATION streams = { 2, user };
	EXCEPTION_RECORD record = { .ExceptionCode = 0xC0000005, .NumberParameters = 2 };
	CONTEXT context = { .ContextFlags = CONTEXT_FULL };
	EXCEPTION_POINTERS pointers = { &record, &context };
	MINIDUMP_EXCEPTION_INFORMATION exception = { (DWORD)target->pid, &pointers, FALSE };
	HPSS snapshot = capture_as_documented(0);
	uint32_t size = 0;

	(void)state;
	record.ExceptionInformation[1] = 0x1234;
	_cleanup_written_ struct written written =
		write_with(snapshot, 0, NULL, &exception, &streams);
	assert_written(&written);
	assert_memory_equal(minidump_stream(&written.dump, LastReservedStream + 7, &size), note,
			    sizeof(note));
	assert_int_equal(size, sizeof(note));
	(void)minidump_stream(&written.dump, CommentStreamA, &size);
	assert_int_equal(size, 6);
	const MINIDUMP_EXCEPTION_STREAM *stream =
		minidump_stream(&written.dump, ExceptionStream, NULL);
	assert_non_null(stream);
	assert_int_equal(stream->ThreadId, target->pid);
	assert_int_equal(stream->ExceptionRecord.ExceptionCode, 0xC0000005);
	assert_int_equal(stream->ExceptionRecord.ExceptionInformation[1], 0x1234);
	assert_int_equal(stream->ThreadContext.DataSize, sizeof(CONTEXT));
	harness_free_snapshot(snapshot);
}

// Two pages of a file that has one: the second can't be read.
static uint8_t *map_past_the_end(void)
{
	int fd = memfd_create("short", MFD_CLOEXEC);
	uint8_t *pages;

	assert_int_equal(ftruncate(fd, 2 * PAGE), 0);
	pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(pages, MAP_FAILED);
	pages[0] = 1;
	assert_int_equal(ftruncate(fd, PAGE), 0);
	close(fd);
	return pages;
}

static void memory_that_cannot_be_read_ends_it_unless_somebody_allows_for_that(void **state)
{
	uint8_t *pages = map_past_the_end();
	const uint32_t type = MiniDumpWithPrivateWriteCopyMemory;
	HPSS snapshot = NULL;

	(void)state;
	assert_success(PssCaptureSnapshot(
		GetCurrentProcess(), PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_VA_SPACE, 0, &snapshot));
	struct script script = plain_script(snapshot);
	{
		_cleanup_written_ struct written written =
			write_with(snapshot, type, &script, NULL, NULL);
		assert_failed(&written, 0x8007012B);
		assert_int_equal(script.asked[ReadMemoryFailureCallback], 1);
	}
	script.read_failure = E_FAIL;
	{
		_cleanup_written_ struct written written =
			write_with(snapshot, type, &script, NULL, NULL);
		assert_failed(&written, (uint32_t)E_FAIL);
	}
	script.read_failure = S_OK;
	{
		_cleanup_written_ struct written written =
			write_with(snapshot, type, &script, NULL, NULL);
		assert_written(&written);
	}
	_cleanup_written_ struct written written =
		write_with(snapshot, type | MiniDumpIgnoreInaccessibleMemory, NULL, NULL, NULL);
	assert_written(&written);
	const uint8_t *bytes = minidump_memory(&written.dump, (uintptr_t)pages, 2 * PAGE);
	assert_non_null(bytes);
	assert_int_equal(bytes[0], 1);
	assert_int_equal(bytes[PAGE], 0);
	assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
	munmap(pages, 2 * PAGE);
}

static void what_is_wrong_is_an_HRESULT_in_the_last_error(void **state)
{
	HPSS snapshot = capture_as_documented(0);
	HANDLE process = target_handle(target);
	struct script script = plain_script(process);

	(void)state;
	{
		_cleanup_written_ struct written written =
			write_with(snapshot, 0x02000000, NULL, NULL, NULL);
		assert_failed(&written, 0x80070057);
	}
	{
		_cleanup_written_ struct written written =
			write_with((HANDLE)(intptr_t)9999, 0, NULL, NULL, NULL);
		assert_failed(&written, 0x80070006);
	}
	{
		// A process that the callback calls a snapshot.
		_cleanup_written_ struct written written =
			write_with(process, 0, &script, NULL, NULL);
		assert_failed(&written, 0x80070006);
	}
	SetLastError(0);
	assert_false(MiniDumpWriteDump(snapshot, 1, (HANDLE)(intptr_t)9999, MiniDumpNormal, NULL,
				       NULL, NULL));
	assert_int_equal(GetLastError(), 0x80070006);
	harness_free_snapshot(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_snapshot_is_dumped_as_the_documented_sample_does),
		cmocka_unit_test(contexts_and_stacks_are_those_of_the_snapshot),
		cmocka_unit_test(
			a_snapshot_without_a_clone_is_ERROR_NOT_FOUND_and_the_file_stays_empty),
		cmocka_unit_test(without_threads_the_list_is_there_and_empty_and_nobody_is_asked),
		cmocka_unit_test(MiscInfo_equals_the_snapshots_process_information),
		cmocka_unit_test(modules_are_one_a_file_the_program_first_with_whole_build_ids),
		cmocka_unit_test(full_memory_has_what_the_process_held_at_the_instant),
		cmocka_unit_test(a_small_dump_has_no_heap_and_no_environment),
		cmocka_unit_test(a_live_process_is_captured_dumped_and_left_as_it_was),
		cmocka_unit_test(threads_and_modules_that_the_callback_refuses_are_not_in_it),
		cmocka_unit_test(memory_is_added_removed_and_narrowed_by_the_callback),
		cmocka_unit_test(reads_may_be_answered_and_changed_by_the_callback),
		cmocka_unit_test(the_callback_may_take_the_bytes_and_they_are_the_same),
		cmocka_unit_test(cancelling_is_ERROR_CANCELLED),
		cmocka_unit_test(user_streams_and_an_exception_are_in_it),
		cmocka_unit_test(
			memory_that_cannot_be_read_ends_it_unless_somebody_allows_for_that),
		cmocka_unit_test(what_is_wrong_is_an_HRESULT_in_the_last_error),
	};

	harness_begin("test_minidump");
	setenv("PROCSNAP_TEST_SECRET", "hunter2", 1);
	return cmocka_run_group_tests(tests, start_target, stop_target);
}
