// SPDX-License-Identifier: LGPL-2.1-or-later
// MiniDumpWriteDump of a snapshot and of a live process: what is in the file, and which HRESULT
// says what failed. Each dump is read back by a reader that checks every position.
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "minidump_script.h"

static const uint64_t first_word = 0x9e3779b97f4a7c15;

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
	struct patient *before = patient_record_quietly(target->pid);
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

static void a_process_may_dump_itself_and_each_of_its_threads(void **state)
{
	struct script script = plain_script(GetCurrentProcess());
	uint64_t on_stack = 0x123456789abcdef0;

	(void)state;
	script.is_snapshot = E_NOTIMPL;
	_cleanup_written_ struct written written =
		write_with(GetCurrentProcess(), MiniDumpWithThreadInfo, &script, NULL, NULL);
	assert_written(&written);
	assert_memory_equal(minidump_memory(&written.dump, (uintptr_t)&on_stack, 8), &on_stack, 8);
	const MINIDUMP_THREAD_INFO_LIST *list =
		minidump_stream(&written.dump, ThreadInfoListStream, NULL);
	const MINIDUMP_THREAD_INFO *threads = (const void *)(list + 1);
	bool has_caller = false;
	for (ULONG i = 0; i < list->NumberOfEntries; i++)
		has_caller |= threads[i].ThreadId == (ULONG)gettid() &&
			      threads[i].DumpFlags & MINIDUMP_THREAD_INFO_WRITING_THREAD;
	assert_true(has_caller);
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
		cmocka_unit_test(a_process_may_dump_itself_and_each_of_its_threads),
		cmocka_unit_test(what_is_wrong_is_an_HRESULT_in_the_last_error),
	};

	harness_begin("test_minidump");
	setenv("PROCSNAP_TEST_SECRET", "hunter2", 1);
	return cmocka_run_group_tests(tests, start_target, stop_target);
}
