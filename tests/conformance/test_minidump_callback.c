// SPDX-License-Identifier: LGPL-2.1-or-later
// What the callback of MiniDumpWriteDump and its caller's streams do to a dump, question by
// question.
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "minidump_script.h"

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

static void a_callback_that_knows_no_ThreadEx_loses_no_thread(void **state)
{
	HPSS snapshot = capture_as_documented(0);
	struct script script = plain_script(snapshot);

	(void)state;
	script.is_of_x86 = true;
	_cleanup_written_ struct written written = write_with(snapshot, 0, &script, NULL, NULL);
	assert_written(&written);
	assert_int_equal(minidump_thread_count(&written.dump), 5);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_and_modules_that_the_callback_refuses_are_not_in_it),
		cmocka_unit_test(a_callback_that_knows_no_ThreadEx_loses_no_thread),
		cmocka_unit_test(memory_is_added_removed_and_narrowed_by_the_callback),
		cmocka_unit_test(reads_may_be_answered_and_changed_by_the_callback),
		cmocka_unit_test(the_callback_may_take_the_bytes_and_they_are_the_same),
		cmocka_unit_test(cancelling_is_ERROR_CANCELLED),
		cmocka_unit_test(user_streams_and_an_exception_are_in_it),
		cmocka_unit_test(
			memory_that_cannot_be_read_ends_it_unless_somebody_allows_for_that),
	};

	harness_begin("test_minidump_callback");
	return cmocka_run_group_tests(tests, start_target, stop_target);
}
