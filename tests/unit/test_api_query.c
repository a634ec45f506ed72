// SPDX-License-Identifier: LGPL-2.1-or-later
// PssQuerySnapshot and the queries of procsnap.h on a section made by hand, clause by clause.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <procsnap.h>

#include "fixture_section.h"

enum { CLASSES = 8, CANARY = 0xA5 };

static const DWORD lengths[CLASSES] = { 704, 8, 4, 4, 4, 8, 16, 96 };

static HPSS handle_of(int fd)
{
	return (HPSS)(intptr_t)fd;
}

static void free_snapshot(HPSS snapshot)
{
	assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), snapshot), ERROR_SUCCESS);
}

static DWORD query(HPSS snapshot, unsigned class, void *buffer, DWORD length)
{
	return PssQuerySnapshot(snapshot, (PSS_QUERY_INFORMATION_CLASS) class, buffer, length);
}

static void test_null_snapshot_is_invalid_handle_for_every_class_and_length(void **state)
{
	uint8_t buffer[1024];

	(void)state;
	for (unsigned class = 0; class <= CLASSES; class ++) {
		assert_int_equal(query(NULL, class, buffer, 0), ERROR_INVALID_HANDLE);
		assert_int_equal(query(NULL, class, buffer, 704), ERROR_INVALID_HANDLE);
		assert_int_equal(query(NULL, class, NULL, 8), ERROR_INVALID_HANDLE);
	}
}

static void test_what_is_no_snapshot_is_invalid_handle(void **state)
{
	PSS_PROCESS_INFORMATION info;
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int unsealed = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int sealed = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	HPSS others[] = { handle_of(null_fd),          handle_of(unsealed),
			  handle_of(sealed),           handle_of(123456),
			  (HPSS)GetCurrentProcess(),   (HPSS)(uintptr_t)0x7fff12345678,
			  (HPSS)(uintptr_t)0x100000003 };

	(void)state;
	assert_int_equal(ftruncate(sealed, 8192), 0);
	assert_int_equal(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK), 0);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		assert_int_equal(query(others[i], 0, &info, sizeof info), ERROR_INVALID_HANDLE);
		assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), others[i]),
				 ERROR_INVALID_HANDLE);
	}
	close(null_fd);
	close(unsealed);
	close(sealed);
}

static void test_unknown_class_is_invalid_parameter_whatever_the_length(void **state)
{
	HPSS snapshot = handle_of(fixture_section(FIXTURE_ALL_FLAGS, 0));
	uint8_t buffer[1024];

	(void)state;
	assert_int_equal(query(snapshot, CLASSES, buffer, 0), ERROR_INVALID_PARAMETER);
	assert_int_equal(query(snapshot, CLASSES, NULL, 704), ERROR_INVALID_PARAMETER);
	assert_int_equal(query(snapshot, 0xFFFFFFFF, buffer, 8), ERROR_INVALID_PARAMETER);
	free_snapshot(snapshot);
}

static void test_length_must_be_exact_and_is_checked_before_presence(void **state)
{
	HPSS all = handle_of(fixture_section(FIXTURE_ALL_FLAGS, 0));
	HPSS none = handle_of(fixture_section(PSS_CAPTURE_NONE, 0));
	uint8_t buffer[1024];

	(void)state;
	for (unsigned class = 0; class < CLASSES; class ++) {
		for (int delta = -1; delta <= 1; delta += 2) {
			DWORD length = lengths[class] + (DWORD)delta;

			assert_int_equal(query(all, class, buffer, length), ERROR_BAD_LENGTH);
			assert_int_equal(query(none, class, buffer, length), ERROR_BAD_LENGTH);
		}
		assert_int_equal(query(all, class, buffer, 0), ERROR_BAD_LENGTH);
		assert_int_equal(query(all, class, buffer, UINT32_MAX), ERROR_BAD_LENGTH);
	}
	free_snapshot(all);
	free_snapshot(none);
}

static void test_absent_data_is_not_found_even_with_null_buffer(void **state)
{
	HPSS snapshot = handle_of(fixture_section(PSS_CAPTURE_NONE, 0));
	uint8_t buffer[1024];

	(void)state;
	for (unsigned class = 1; class < CLASSES; class ++) {
		assert_int_equal(query(snapshot, class, buffer, lengths[class]), ERROR_NOT_FOUND);
		assert_int_equal(query(snapshot, class, NULL, lengths[class]), ERROR_NOT_FOUND);
	}
	assert_int_equal(query(snapshot, 0, buffer, lengths[0]), ERROR_SUCCESS);
	assert_int_equal(query(snapshot, 0, NULL, lengths[0]), ERROR_INVALID_PARAMETER);
	free_snapshot(snapshot);
}

static void test_handle_trace_and_auxiliary_pages_are_never_found(void **state)
{
	HPSS snapshot = handle_of(
		fixture_section((uint32_t)FIXTURE_ALL_FLAGS | PSS_CAPTURE_HANDLE_TRACE, 0));
	uint8_t buffer[16];

	(void)state;
	assert_int_equal(query(snapshot, PSS_QUERY_HANDLE_TRACE_INFORMATION, buffer, 16),
			 ERROR_NOT_FOUND);
	assert_int_equal(query(snapshot, PSS_QUERY_AUXILIARY_PAGES_INFORMATION, buffer, 4),
			 ERROR_NOT_FOUND);
	free_snapshot(snapshot);
}

static void test_buffer_is_untouched_on_failure_and_past_the_structure(void **state)
{
	HPSS snapshot = handle_of(fixture_section(PSS_CAPTURE_THREADS, 0));
	uint8_t buffer[1024];

	(void)state;
	memset(buffer, CANARY, sizeof buffer);
	(void)query(NULL, 0, buffer, 704);
	(void)query(snapshot, 99, buffer, 704);
	(void)query(snapshot, 0, buffer, 705);
	(void)query(snapshot, PSS_QUERY_VA_SPACE_INFORMATION, buffer, 4);
	for (size_t i = 0; i < sizeof buffer; i++)
		assert_int_equal(buffer[i], CANARY);
	assert_int_equal(query(snapshot, 0, buffer, 704), ERROR_SUCCESS);
	for (size_t i = 704; i < sizeof buffer; i++)
		assert_int_equal(buffer[i], CANARY);
	free_snapshot(snapshot);
}

static uint64_t ticks(FILETIME time)
{
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

static void test_process_information_describes_the_original_process(void **state)
{
	HPSS snapshot = handle_of(fixture_section(PSS_CAPTURE_NONE, 0));
	PSS_PROCESS_INFORMATION info;

	(void)state;
	assert_int_equal(query(snapshot, 0, &info, sizeof info), ERROR_SUCCESS);
	assert_int_equal(info.ExitStatus, STILL_ACTIVE);
	assert_ptr_equal(info.PebBaseAddress, 0x7f0000001000);
	assert_int_equal(info.AffinityMask, 0xF);
	assert_int_equal(info.BasePriority, 8);
	assert_int_equal(info.ProcessId, FIXTURE_PID);
	assert_int_equal(info.ParentProcessId, FIXTURE_PARENT);
	assert_int_equal(info.Flags, PSS_PROCESS_FLAGS_NONE);
	assert_int_equal(ticks(info.CreateTime), FIXTURE_CREATE_TIME);
	assert_int_equal(ticks(info.ExitTime), 0);
	assert_int_equal(ticks(info.KernelTime), 11);
	assert_int_equal(ticks(info.UserTime), 0x100000002);
	assert_int_equal(info.PriorityClass, NORMAL_PRIORITY_CLASS);
	assert_int_equal(info.PeakVirtualSize, 9 << 20);
	assert_int_equal(info.PageFaultCount, 12345);
	assert_int_equal(info.PagefileUsage, 4 << 20);
	assert_int_equal(info.PrivateUsage, info.PagefileUsage);
	assert_memory_equal(info.ImageFileName, u"/usr/bin/s\u00e4ge", 14 * sizeof(WCHAR));
	free_snapshot(snapshot);
}

static void test_image_file_name_is_cut_at_a_whole_character_and_terminated(void **state)
{
	char path[4 * MAX_PATH];
	PSS_PROCESS_INFORMATION info;
	size_t size = 0;

	(void)state;
	// One unit, then pairs: the last unit that fits would be the first half of one.
	path[size++] = '/';
	while (size + 4 <= sizeof path) {
		memcpy(path + size, "\xf0\x9f\x98\x80", 4);
		size += 4;
	}
	HPSS snapshot = handle_of(fixture_section_with_path(0, path, size));
	assert_int_equal(query(snapshot, 0, &info, sizeof info), ERROR_SUCCESS);
	assert_int_equal(info.ImageFileName[MAX_PATH - 1], 0);
	assert_int_equal(info.ImageFileName[MAX_PATH - 2], 0xDE00);
	assert_int_equal(info.ImageFileName[MAX_PATH - 3], 0xD83D);
	free_snapshot(snapshot);

	path[size - 4] = 'x';
	snapshot = handle_of(fixture_section_with_path(0, path + 1, size - 1));
	assert_int_equal(query(snapshot, 0, &info, sizeof info), ERROR_SUCCESS);
	assert_int_equal(info.ImageFileName[MAX_PATH - 1], 0);
	assert_int_equal(info.ImageFileName[MAX_PATH - 2], 0);
	assert_int_equal(info.ImageFileName[MAX_PATH - 3], 0xDE00);
	free_snapshot(snapshot);
}

static void test_counts_equal_the_entries_of_the_walks(void **state)
{
	HPSS snapshot = handle_of(fixture_section(FIXTURE_ALL_FLAGS, CONTEXT_ALL));
	PSS_VA_SPACE_INFORMATION space;
	PSS_THREAD_INFORMATION threads;

	(void)state;
	assert_int_equal(query(snapshot, 3, &space, sizeof space), ERROR_SUCCESS);
	assert_int_equal(space.RegionCount, FIXTURE_REGIONS);
	assert_int_equal(query(snapshot, 5, &threads, sizeof threads), ERROR_SUCCESS);
	assert_int_equal(threads.ThreadsCaptured, FIXTURE_THREADS);
	assert_int_equal(threads.ContextLength, sizeof(CONTEXT));
	free_snapshot(snapshot);

	snapshot = handle_of(fixture_section(PSS_CAPTURE_THREADS, 0));
	assert_int_equal(query(snapshot, 5, &threads, sizeof threads), ERROR_SUCCESS);
	assert_int_equal(threads.ContextLength, 0);
	free_snapshot(snapshot);
}

static void test_wall_clock_counts_ticks_of_PSS_PERF_RESOLUTION(void **state)
{
	HPSS snapshot = handle_of(fixture_section(FIXTURE_ALL_FLAGS, 0));
	PSS_PERFORMANCE_COUNTERS counters;

	(void)state;
	assert_int_equal(query(snapshot, 7, &counters, sizeof counters), ERROR_SUCCESS);
	assert_int_equal(counters.TotalCycleCount, 1000);
	assert_int_equal(counters.TotalWallClockPeriod, 5000);
	assert_int_equal(counters.VaCloneWallClockPeriod, 2000);
	assert_int_equal(counters.VaSpaceWallClockPeriod, 1);
	assert_int_equal(counters.ThreadsWallClockPeriod, 0);
	assert_int_equal(counters.HandlesCycleCount, 0);
	free_snapshot(snapshot);
}

static void test_last_error_and_errno_are_left_alone(void **state)
{
	HPSS snapshot = handle_of(fixture_section(FIXTURE_ALL_FLAGS, 0));
	PSS_PROCESS_INFORMATION info;

	(void)state;
	SetLastError(0xC0FFEE);
	errno = EXDEV;
	assert_int_equal(query(snapshot, 0, &info, sizeof info), ERROR_SUCCESS);
	assert_int_equal(query(snapshot, 0, &info, 1), ERROR_BAD_LENGTH);
	assert_int_equal(query(handle_of(123456), 0, &info, sizeof info), ERROR_INVALID_HANDLE);
	free_snapshot(snapshot);
	assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), snapshot), ERROR_INVALID_HANDLE);
	assert_int_equal(errno, EXDEV);
	assert_int_equal(GetLastError(), 0xC0FFEE);
}

static void test_a_duplicate_works_after_the_source_is_freed(void **state)
{
	int fd = fixture_section(FIXTURE_ALL_FLAGS, 0);
	HPSS copy = handle_of(dup(fd));
	PSS_PROCESS_INFORMATION info;

	(void)state;
	free_snapshot(handle_of(fd));
	assert_int_equal(query(handle_of(fd), 0, &info, sizeof info), ERROR_INVALID_HANDLE);
	assert_int_equal(query(copy, 0, &info, sizeof info), ERROR_SUCCESS);
	free_snapshot(copy);
}

static void test_error_text_names_the_failure(void **state)
{
	PSS_PROCESS_INFORMATION info;

	(void)state;
	assert_int_equal(query(NULL, 0, &info, sizeof info), ERROR_INVALID_HANDLE);
	assert_non_null(strstr(PssxErrorText(), "query"));
	assert_null(OpenProcess(PROCESS_ALL_ACCESS, FALSE, 0x7ffffff0));
	assert_non_null(strstr(PssxErrorText(), "2147483632"));
}

static void test_native_views(void **state)
{
	HPSS snapshot = handle_of(fixture_section(FIXTURE_ALL_FLAGS, 0));
	PSSX_PROCESS *process = calloc(1, sizeof *process);
	PSSX_REGION *region = calloc(1, sizeof *region);
	PSSX_THREAD thread = { .Size = sizeof thread };
	PSSX_FIGURES figures = { .Size = sizeof figures - 1 };

	(void)state;
	assert_int_equal(PssxQueryFigures(snapshot, &figures), ERROR_BAD_LENGTH);
	figures.Size = sizeof figures;
	assert_int_equal(PssxQueryFigures(snapshot, &figures), ERROR_SUCCESS);
	assert_int_equal(figures.PauseNs, 777);
	process->Size = sizeof *process;
	assert_int_equal(PssxQueryProcess(snapshot, process), ERROR_SUCCESS);
	assert_string_equal(process->CommandLine, "saege -v");
	assert_string_equal(process->Executable, FIXTURE_EXE);
	assert_int_equal(process->Pid, FIXTURE_PID);
	assert_int_equal(PssxQueryThread(snapshot, 1, &thread), ERROR_SUCCESS);
	assert_string_equal(thread.Name, "w\xc3\xb6rker");
	assert_int_equal(thread.SyscallNumber, 202);
	assert_int_equal(thread.SyscallArguments[0], 0xabcdef);
	assert_int_equal(PssxQueryThread(snapshot, FIXTURE_THREADS, &thread), ERROR_NO_MORE_ITEMS);
	region->Size = sizeof *region;
	assert_int_equal(PssxQueryRegion(snapshot, 4, region), ERROR_SUCCESS);
	assert_int_equal(region->Content, PSSX_CONTENT_LIVE);
	assert_int_equal(region->Flags, PSSX_REGION_READ | PSSX_REGION_WRITE | PSSX_REGION_SHARED);
	assert_string_equal(region->Path, FIXTURE_EXE);
	free_snapshot(snapshot);
	snapshot = handle_of(fixture_section(PSS_CAPTURE_NONE, 0));
	assert_int_equal(PssxQueryThread(snapshot, 0, &thread), ERROR_NOT_FOUND);
	assert_int_equal(PssxQueryRegion(snapshot, 0, region), ERROR_NOT_FOUND);
	free_snapshot(snapshot);
	free(process);
	free(region);
}

static void test_registers_tell_their_length(void **state)
{
	HPSS snapshot = handle_of(fixture_section(FIXTURE_ALL_FLAGS, 0));
	uint64_t registers[64];
	SIZE_T length = 8;

	(void)state;
	assert_int_equal(PssxQueryRegisters(snapshot, 0, NT_PRSTATUS, registers, &length),
			 ERROR_INSUFFICIENT_BUFFER);
	assert_in_range(length, 200, sizeof registers);
	assert_int_equal(PssxQueryRegisters(snapshot, 0, NT_PRSTATUS, registers, &length),
			 ERROR_SUCCESS);
	assert_int_equal(registers[1], 0x1000 * FIXTURE_PID + 1);
	assert_int_equal(PssxQueryRegisters(snapshot, 2, NT_PRSTATUS, registers, &length),
			 ERROR_NOT_FOUND);
	free_snapshot(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_null_snapshot_is_invalid_handle_for_every_class_and_length),
		cmocka_unit_test(test_what_is_no_snapshot_is_invalid_handle),
		cmocka_unit_test(test_unknown_class_is_invalid_parameter_whatever_the_length),
		cmocka_unit_test(test_length_must_be_exact_and_is_checked_before_presence),
		cmocka_unit_test(test_absent_data_is_not_found_even_with_null_buffer),
		cmocka_unit_test(test_handle_trace_and_auxiliary_pages_are_never_found),
		cmocka_unit_test(test_buffer_is_untouched_on_failure_and_past_the_structure),
		cmocka_unit_test(test_process_information_describes_the_original_process),
		cmocka_unit_test(test_image_file_name_is_cut_at_a_whole_character_and_terminated),
		cmocka_unit_test(test_counts_equal_the_entries_of_the_walks),
		cmocka_unit_test(test_wall_clock_counts_ticks_of_PSS_PERF_RESOLUTION),
		cmocka_unit_test(test_last_error_and_errno_are_left_alone),
		cmocka_unit_test(test_a_duplicate_works_after_the_source_is_freed),
		cmocka_unit_test(test_error_text_names_the_failure),
		cmocka_unit_test(test_native_views),
		cmocka_unit_test(test_registers_tell_their_length),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
