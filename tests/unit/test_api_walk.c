// SPDX-License-Identifier: LGPL-2.1-or-later
// PssWalkSnapshot and the walk markers on a section made by hand, clause by clause.
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <procsnap.h>

#include "fixture_section.h"

enum { CLASSES = 5, CANARY = 0xA5 };

static const DWORD lengths[CLASSES] = { 80, 80, 136, 120, 16 };

static HPSS make(uint32_t flags)
{
	return (HPSS)(intptr_t)fixture_section(flags, CONTEXT_ALL);
}

static HPSSWALK make_marker(void)
{
	HPSSWALK marker;

	assert_int_equal(PssWalkMarkerCreate(NULL, &marker), ERROR_SUCCESS);
	return marker;
}

static void drop(HPSS snapshot, HPSSWALK marker)
{
	assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), snapshot), ERROR_SUCCESS);
	assert_int_equal(PssWalkMarkerFree(marker), ERROR_SUCCESS);
}

static DWORD walk(HPSS snapshot, unsigned class, HPSSWALK marker, void *buffer, DWORD length)
{
	return PssWalkSnapshot(snapshot, (PSS_WALK_INFORMATION_CLASS) class, marker, buffer,
			       length);
}

static DWORD walk_thread(HPSS snapshot, HPSSWALK marker, PSS_THREAD_ENTRY *entry)
{
	return walk(snapshot, PSS_WALK_THREADS, marker, entry, sizeof *entry);
}

static DWORD walk_region(HPSS snapshot, HPSSWALK marker, PSS_VA_SPACE_ENTRY *entry)
{
	return walk(snapshot, PSS_WALK_VA_SPACE, marker, entry, sizeof *entry);
}

static void test_checks_handle_then_class_then_length_then_presence(void **state)
{
	HPSS none = make(PSS_CAPTURE_NONE);
	HPSS all = make(FIXTURE_ALL_FLAGS);
	HPSSWALK marker = make_marker();
	uint8_t buffer[256];

	(void)state;
	for (unsigned class = 0; class <= CLASSES; class ++) {
		assert_int_equal(walk(NULL, class, marker, buffer, 1), ERROR_INVALID_HANDLE);
		assert_int_equal(walk(all, class, NULL, buffer, 1), ERROR_INVALID_HANDLE);
	}
	assert_int_equal(walk(none, CLASSES, marker, buffer, 1), ERROR_INVALID_PARAMETER);
	assert_int_equal(walk(all, UINT32_MAX, marker, NULL, 0), ERROR_INVALID_PARAMETER);
	for (unsigned class = 0; class < CLASSES; class ++) {
		DWORD length = lengths[class];

		assert_int_equal(walk(none, class, marker, buffer, length - 1), ERROR_BAD_LENGTH);
		assert_int_equal(walk(all, class, marker, buffer, length + 1), ERROR_BAD_LENGTH);
		assert_int_equal(walk(all, class, marker, NULL, 0), ERROR_BAD_LENGTH);
		assert_int_equal(walk(none, class, marker, buffer, length), ERROR_NOT_FOUND);
		assert_int_equal(walk(none, class, marker, NULL, length), ERROR_NOT_FOUND);
	}
	assert_int_equal(walk(all, PSS_WALK_AUXILIARY_PAGES, marker, buffer, 80), ERROR_NOT_FOUND);
	assert_int_equal(walk(all, PSS_WALK_HANDLES, marker, buffer, 136), ERROR_NOT_FOUND);
	assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), none), ERROR_SUCCESS);
	drop(all, marker);
}

static void test_buffer_is_untouched_on_failure(void **state)
{
	HPSS snapshot = make(PSS_CAPTURE_THREADS);
	HPSSWALK marker = make_marker();
	uint8_t buffer[256];

	(void)state;
	memset(buffer, CANARY, sizeof buffer);
	(void)walk(NULL, 3, marker, buffer, 120);
	(void)walk(snapshot, 77, marker, buffer, 120);
	(void)walk(snapshot, 3, marker, buffer, 121);
	(void)walk(snapshot, 1, marker, buffer, 80);
	for (size_t i = 0; i < sizeof buffer; i++)
		assert_int_equal(buffer[i], CANARY);
	while (walk(snapshot, 3, marker, buffer, 120) == ERROR_SUCCESS)
		memset(buffer, CANARY, 120);
	for (size_t i = 0; i < sizeof buffer; i++)
		assert_int_equal(buffer[i], CANARY);
	drop(snapshot, marker);
}

static void test_null_buffer_is_more_data_and_does_not_advance(void **state)
{
	HPSS snapshot = make(FIXTURE_ALL_FLAGS);
	HPSSWALK marker = make_marker();
	PSS_THREAD_ENTRY entry;

	(void)state;
	for (int i = 0; i < FIXTURE_THREADS; i++) {
		assert_int_equal(walk_thread(snapshot, marker, NULL), ERROR_MORE_DATA);
		assert_int_equal(walk_thread(snapshot, marker, NULL), ERROR_MORE_DATA);
		assert_int_equal(walk_thread(snapshot, marker, &entry), ERROR_SUCCESS);
		assert_int_equal(entry.ThreadId, FIXTURE_PID + i);
	}
	assert_int_equal(walk_thread(snapshot, marker, NULL), ERROR_NO_MORE_ITEMS);
	drop(snapshot, marker);
}

static void test_exhausted_marker_stays_exhausted_until_it_is_moved(void **state)
{
	HPSS snapshot = make(FIXTURE_ALL_FLAGS);
	HPSSWALK marker = make_marker();
	PSS_THREAD_ENTRY entry;
	ULONG_PTR start;

	(void)state;
	assert_int_equal(PssWalkMarkerGetPosition(marker, &start), ERROR_SUCCESS);
	while (walk_thread(snapshot, marker, &entry) == ERROR_SUCCESS)
		;
	for (int i = 0; i < 3; i++)
		assert_int_equal(walk_thread(snapshot, marker, &entry), ERROR_NO_MORE_ITEMS);
	assert_int_equal(PssWalkMarkerSeekToBeginning(marker), ERROR_SUCCESS);
	assert_int_equal(walk_thread(snapshot, marker, &entry), ERROR_SUCCESS);
	assert_int_equal(entry.ThreadId, FIXTURE_PID);
	assert_int_equal(walk_thread(snapshot, marker, &entry), ERROR_SUCCESS);
	assert_int_equal(PssWalkMarkerSetPosition(marker, start), ERROR_SUCCESS);
	assert_int_equal(walk_thread(snapshot, marker, &entry), ERROR_SUCCESS);
	assert_int_equal(entry.ThreadId, FIXTURE_PID);
	drop(snapshot, marker);
}

static void test_one_marker_walks_one_class_after_another(void **state)
{
	HPSS snapshot = make(FIXTURE_ALL_FLAGS);
	HPSSWALK marker = make_marker();
	PSS_VA_SPACE_ENTRY region;
	PSS_THREAD_ENTRY thread;
	int regions = 0, threads = 0;

	(void)state;
	while (walk_region(snapshot, marker, &region) == ERROR_SUCCESS)
		regions++;
	while (walk_thread(snapshot, marker, &thread) == ERROR_SUCCESS)
		threads++;
	assert_int_equal(regions, FIXTURE_REGIONS);
	assert_int_equal(threads, FIXTURE_THREADS);
	drop(snapshot, marker);
}

static void test_a_position_covers_all_classes(void **state)
{
	HPSS snapshot = make(FIXTURE_ALL_FLAGS);
	HPSSWALK marker = make_marker();
	PSS_VA_SPACE_ENTRY region;
	PSS_THREAD_ENTRY thread;
	ULONG_PTR one, several, again;

	(void)state;
	(void)walk_region(snapshot, marker, &region);
	assert_int_equal(PssWalkMarkerGetPosition(marker, &one), ERROR_SUCCESS);
	(void)walk_thread(snapshot, marker, &thread);
	assert_int_equal(PssWalkMarkerGetPosition(marker, &several), ERROR_SUCCESS);
	assert_int_equal(PssWalkMarkerSeekToBeginning(marker), ERROR_SUCCESS);
	assert_int_equal(PssWalkMarkerSetPosition(marker, several), ERROR_SUCCESS);
	(void)walk_region(snapshot, marker, &region);
	(void)walk_thread(snapshot, marker, &thread);
	assert_ptr_equal(region.BaseAddress, 0x3000);
	assert_int_equal(thread.ThreadId, FIXTURE_PID + 1);
	assert_int_equal(PssWalkMarkerGetPosition(marker, &again), ERROR_SUCCESS);
	assert_int_equal(PssWalkMarkerSetPosition(marker, one), ERROR_SUCCESS);
	(void)walk_region(snapshot, marker, &region);
	(void)walk_thread(snapshot, marker, &thread);
	assert_ptr_equal(region.BaseAddress, 0x3000);
	assert_int_equal(thread.ThreadId, FIXTURE_PID);
	assert_int_equal(PssWalkMarkerSetPosition(marker, again), ERROR_SUCCESS);
	(void)walk_thread(snapshot, marker, &thread);
	assert_int_equal(thread.ThreadId, FIXTURE_PID + 2);
	drop(snapshot, marker);
}

static void test_what_is_no_position_is_refused(void **state)
{
	static const ULONG_PTR foreign[] = {
		1,
		42,
		UINT32_MAX,
		(ULONG_PTR)6 << 56 | 1,
		(ULONG_PTR)1 << 56,
		(ULONG_PTR)2 << 56 | (ULONG_PTR)1 << 32,
		(ULONG_PTR)0xFF << 56,
		UINT64_MAX,
	};
	HPSSWALK marker = make_marker();

	(void)state;
	for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
		assert_int_equal(PssWalkMarkerSetPosition(marker, foreign[i]),
				 ERROR_INVALID_PARAMETER);
	assert_int_equal(PssWalkMarkerGetPosition(marker, NULL), ERROR_INVALID_PARAMETER);
	assert_int_equal(PssWalkMarkerFree(marker), ERROR_SUCCESS);
	assert_int_equal(PssWalkMarkerFree(NULL), ERROR_INVALID_HANDLE);
	assert_int_equal(PssWalkMarkerSeekToBeginning(NULL), ERROR_INVALID_HANDLE);
	assert_int_equal(PssWalkMarkerCreate(NULL, NULL), ERROR_INVALID_PARAMETER);
}

static uint64_t ticks(FILETIME time)
{
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

static void test_thread_entries(void **state)
{
	HPSS snapshot = make(FIXTURE_ALL_FLAGS);
	HPSSWALK marker = make_marker();
	PSS_THREAD_ENTRY entry[FIXTURE_THREADS];

	(void)state;
	for (int i = 0; i < FIXTURE_THREADS; i++)
		assert_int_equal(walk_thread(snapshot, marker, &entry[i]), ERROR_SUCCESS);
	assert_int_equal(entry[0].ExitStatus, STILL_ACTIVE);
	assert_ptr_equal(entry[0].TebBaseAddress, 0x7f0000002000);
	assert_int_equal(entry[0].ProcessId, FIXTURE_PID);
	assert_int_equal(entry[0].LastSyscallNumber, 0);
	assert_int_equal(entry[0].SuspendCount, 0);
	assert_int_equal(ticks(entry[1].CreateTime), FIXTURE_CREATE_TIME + 1);
	assert_int_equal(ticks(entry[1].CaptureTime), FIXTURE_CREATE_TIME + 1000);
	assert_int_equal(entry[1].LastSyscallNumber, 202);
	assert_ptr_equal(entry[1].LastSyscallFirstArgument, 0xabcdef);
	assert_int_equal(entry[1].SuspendCount, 1);
	assert_int_equal(entry[1].Flags, PSS_THREAD_FLAGS_NONE);
	assert_int_equal(entry[2].Flags, PSS_THREAD_FLAGS_TERMINATED);
	assert_int_equal(entry[2].ExitStatus, 0);
	drop(snapshot, marker);
}

static uint64_t instruction_pointer(const CONTEXT *context)
{
#if defined(__x86_64__)
	return context->Rip;
#else
	return context->Pc;
#endif
}

static void test_context_is_aligned_and_says_what_is_filled(void **state)
{
#if defined(__x86_64__)
	const uint64_t position = 16; // rip in user_regs_struct
#else
	const uint64_t position = 32; // pc in user_pt_regs
#endif
	HPSS snapshot = make(FIXTURE_ALL_FLAGS);
	HPSSWALK marker = make_marker();
	PSS_THREAD_ENTRY entry[FIXTURE_THREADS];

	(void)state;
	for (int i = 0; i < FIXTURE_THREADS; i++)
		assert_int_equal(walk_thread(snapshot, marker, &entry[i]), ERROR_SUCCESS);
	for (int i = 0; i < 2; i++) {
		const CONTEXT *context = entry[i].ContextRecord;

		assert_int_equal(entry[i].SizeOfContextRecord, sizeof(CONTEXT));
		assert_int_equal((uintptr_t)context % 16, 0);
		assert_int_equal(context->ContextFlags & CONTEXT_FULL, CONTEXT_FULL);
		assert_int_equal(instruction_pointer(context),
				 0x1000 * (uint64_t)(FIXTURE_PID + i) + position);
	}
	// No registers were taken of the one that has ended.
	assert_int_equal(entry[2].SizeOfContextRecord, 0);
	assert_null(entry[2].ContextRecord);
	drop(snapshot, marker);
}

static void test_no_context_without_the_flag(void **state)
{
	HPSS snapshot = make(PSS_CAPTURE_THREADS);
	HPSSWALK marker = make_marker();
	PSS_THREAD_ENTRY entry;

	(void)state;
	assert_int_equal(walk_thread(snapshot, marker, &entry), ERROR_SUCCESS);
	assert_int_equal(entry.SizeOfContextRecord, 0);
	assert_null(entry.ContextRecord);
	drop(snapshot, marker);
}

static void test_region_entries(void **state)
{
	static const struct {
		DWORD protection, state, type;
	} expected[FIXTURE_REGIONS] = {
		{ PAGE_EXECUTE_READ, MEM_COMMIT, MEM_IMAGE },
		{ PAGE_WRITECOPY, MEM_COMMIT, MEM_IMAGE },
		{ PAGE_READWRITE, MEM_COMMIT, MEM_PRIVATE },
		{ PAGE_NOACCESS, MEM_RESERVE, MEM_PRIVATE },
		{ PAGE_READWRITE, MEM_COMMIT, MEM_MAPPED },
		{ PAGE_NOACCESS, MEM_COMMIT, MEM_PRIVATE },
	};
	HPSS snapshot = make(FIXTURE_ALL_FLAGS);
	HPSSWALK marker = make_marker();
	PSS_VA_SPACE_ENTRY entry[FIXTURE_REGIONS];

	(void)state;
	for (int i = 0; i < FIXTURE_REGIONS; i++) {
		assert_int_equal(walk_region(snapshot, marker, &entry[i]), ERROR_SUCCESS);
		assert_int_equal(entry[i].Protect, expected[i].protection);
		assert_int_equal(entry[i].State, expected[i].state);
		assert_int_equal(entry[i].Type, expected[i].type);
	}
	assert_ptr_equal(entry[1].BaseAddress, 0x3000);
	assert_ptr_equal(entry[1].AllocationBase, 0x1000);
	assert_int_equal(entry[1].RegionSize, 0x1000);
	assert_int_equal(entry[1].TimeDateStamp, 0xdeadbeef);
	assert_int_equal(entry[1].SizeOfImage, 0x3000);
	assert_ptr_equal(entry[1].ImageBase, 0x400000);
	assert_int_equal(entry[1].MappedFileNameLength, 13 * 2);
	assert_memory_equal(entry[1].MappedFileName, u"/usr/bin/s\u00e4ge", 14 * sizeof(WCHAR));
	// [heap] is no file; a mapped file is no image.
	assert_null(entry[2].MappedFileName);
	assert_int_equal(entry[4].MappedFileNameLength, 13 * 2);
	assert_int_equal(entry[4].SizeOfImage, 0);
	drop(snapshot, marker);
}

static void test_no_names_without_section_information(void **state)
{
	HPSS snapshot = make(PSS_CAPTURE_VA_SPACE);
	HPSSWALK marker = make_marker();
	PSS_VA_SPACE_ENTRY entry;

	(void)state;
	assert_int_equal(walk_region(snapshot, marker, &entry), ERROR_SUCCESS);
	assert_null(entry.MappedFileName);
	assert_int_equal(entry.MappedFileNameLength, 0);
	assert_int_equal(entry.SizeOfImage, 0);
	drop(snapshot, marker);
}

static void test_a_text_too_long_for_a_WORD_is_cut(void **state)
{
	size_t size = 40000;
	char *path = malloc(size);
	HPSSWALK marker = make_marker();
	PSS_VA_SPACE_ENTRY entry;

	(void)state;
	memset(path, 'x', size);
	HPSS snapshot = (HPSS)(intptr_t)fixture_section_with_path(FIXTURE_ALL_FLAGS, path, size);
	assert_int_equal(walk_region(snapshot, marker, &entry), ERROR_SUCCESS);
	assert_in_range(entry.MappedFileNameLength, 65000, 65535);
	assert_int_equal(entry.MappedFileName[entry.MappedFileNameLength / 2 - 1], 'x');
	assert_int_equal(entry.MappedFileName[entry.MappedFileNameLength / 2], 0);
	drop(snapshot, marker);
	free(path);
}

static void test_thread_names_come_in_the_order_of_threads(void **state)
{
	static const WCHAR *const expected[FIXTURE_THREADS] = { u"saege", u"w\u00f6rker", u"" };
	static const WORD sizes[FIXTURE_THREADS] = { 10, 12, 0 };
	HPSS snapshot = make(PSS_CAPTURE_THREADS);
	HPSSWALK marker = make_marker();
	PSS_THREAD_NAME name;

	(void)state;
	for (int i = 0; i < FIXTURE_THREADS; i++) {
		assert_int_equal(walk(snapshot, PSS_WALK_THREAD_NAME, marker, &name, 16),
				 ERROR_SUCCESS);
		assert_int_equal(name.ThreadNameSize, sizes[i]);
		assert_memory_equal(name.ThreadName, expected[i], sizes[i] + sizeof(WCHAR));
	}
	drop(snapshot, marker);
}

static void test_pointers_stay_valid_until_PssWalkMarkerFree(void **state)
{
	HPSS snapshot = make(FIXTURE_ALL_FLAGS);
	HPSSWALK marker = make_marker();
	PSS_VA_SPACE_ENTRY regions[FIXTURE_REGIONS];
	PSS_THREAD_ENTRY threads[FIXTURE_THREADS];
	PSS_THREAD_NAME name;

	(void)state;
	for (int i = 0; i < FIXTURE_REGIONS; i++)
		assert_int_equal(walk_region(snapshot, marker, &regions[i]), ERROR_SUCCESS);
	for (int i = 0; i < FIXTURE_THREADS; i++)
		assert_int_equal(walk_thread(snapshot, marker, &threads[i]), ERROR_SUCCESS);
	assert_int_equal(walk(snapshot, PSS_WALK_THREAD_NAME, marker, &name, 16), ERROR_SUCCESS);
	assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), snapshot), ERROR_SUCCESS);
	assert_int_equal(walk_thread(snapshot, marker, &threads[2]), ERROR_INVALID_HANDLE);

	assert_memory_equal(regions[0].MappedFileName, u"/usr", 8);
	assert_memory_equal(regions[4].MappedFileName, u"/usr", 8);
	assert_int_equal(threads[0].ContextRecord->ContextFlags & CONTEXT_FULL, CONTEXT_FULL);
	assert_memory_equal(name.ThreadName, u"saege", 12);
	assert_int_equal(PssWalkMarkerFree(marker), ERROR_SUCCESS);
}

static void test_one_marker_over_two_snapshots(void **state)
{
	HPSS first = make(FIXTURE_ALL_FLAGS);
	HPSS second = make(PSS_CAPTURE_THREADS);
	HPSSWALK marker = make_marker();
	PSS_THREAD_ENTRY entry;

	(void)state;
	assert_int_equal(walk_thread(first, marker, &entry), ERROR_SUCCESS);
	assert_non_null(entry.ContextRecord);
	assert_int_equal(PssWalkMarkerSeekToBeginning(marker), ERROR_SUCCESS);
	assert_int_equal(walk_thread(second, marker, &entry), ERROR_SUCCESS);
	assert_null(entry.ContextRecord);
	assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), first), ERROR_SUCCESS);
	drop(second, marker);
}

/** An allocator that counts, gives memory that is badly aligned and dirty, and fails on demand. */
struct counting {
	int live;
	int calls;
	int fail_at; /**< the n-th call from 1, 0: none */
};

static void *counting_alloc(void *context, DWORD size)
{
	struct counting *counting = context;
	uint8_t *block;

	if (++counting->calls == counting->fail_at)
		return NULL;
	counting->live++;
	block = malloc((size_t)size + 8);
	memset(block, 0xEE, (size_t)size + 8);
	return block + 8;
}

static void counting_free(void *context, void *address)
{
	struct counting *counting = context;

	if (!address)
		return;
	counting->live--;
	free((uint8_t *)address - 8);
}

static void test_allocator_serves_everything_and_gets_it_back(void **state)
{
	struct counting counting = { 0 };
	PSS_ALLOCATOR allocator = { &counting, counting_alloc, counting_free };
	HPSS snapshot = make(FIXTURE_ALL_FLAGS);
	PSS_VA_SPACE_ENTRY region;
	PSS_THREAD_ENTRY thread;
	HPSSWALK marker;
	int threads = 0;

	(void)state;
	assert_int_equal(PssWalkMarkerCreate(&allocator, &marker), ERROR_SUCCESS);
	assert_int_equal(counting.live, 1);
	for (int round = 0; round < 20; round++) {
		while (walk_thread(snapshot, marker, &thread) == ERROR_SUCCESS) {
			assert_int_equal((uintptr_t)thread.ContextRecord % 16, 0);
			threads++;
		}
		while (walk_region(snapshot, marker, &region) == ERROR_SUCCESS)
			;
		(void)PssWalkMarkerSeekToBeginning(marker);
	}
	assert_int_equal(threads, 20 * FIXTURE_THREADS);
	assert_in_range(counting.live, 3, 100);
	drop(snapshot, marker);
	assert_int_equal(counting.live, 0);
}

static void test_allocator_failure_is_not_enough_memory_and_does_not_advance(void **state)
{
	struct counting counting = { .fail_at = 1 };
	PSS_ALLOCATOR allocator = { &counting, counting_alloc, counting_free };
	PSS_ALLOCATOR incomplete = { &counting, counting_alloc, NULL };
	HPSS snapshot = make(FIXTURE_ALL_FLAGS);
	PSS_THREAD_ENTRY entry;
	HPSSWALK marker = NULL;

	(void)state;
	assert_int_equal(PssWalkMarkerCreate(&incomplete, &marker), ERROR_INVALID_PARAMETER);
	assert_int_equal(PssWalkMarkerCreate(&allocator, &marker), ERROR_NOT_ENOUGH_MEMORY);
	assert_null(marker);
	counting.fail_at = 3;
	assert_int_equal(PssWalkMarkerCreate(&allocator, &marker), ERROR_SUCCESS);
	memset(&entry, CANARY, sizeof entry);
	assert_int_equal(walk_thread(snapshot, marker, &entry), ERROR_NOT_ENOUGH_MEMORY);
	assert_int_equal(*(uint8_t *)&entry, CANARY);
	assert_int_equal(walk_thread(snapshot, marker, &entry), ERROR_SUCCESS);
	assert_int_equal(entry.ThreadId, FIXTURE_PID);
	drop(snapshot, marker);
	assert_int_equal(counting.live, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checks_handle_then_class_then_length_then_presence),
		cmocka_unit_test(test_buffer_is_untouched_on_failure),
		cmocka_unit_test(test_null_buffer_is_more_data_and_does_not_advance),
		cmocka_unit_test(test_exhausted_marker_stays_exhausted_until_it_is_moved),
		cmocka_unit_test(test_one_marker_walks_one_class_after_another),
		cmocka_unit_test(test_a_position_covers_all_classes),
		cmocka_unit_test(test_what_is_no_position_is_refused),
		cmocka_unit_test(test_thread_entries),
		cmocka_unit_test(test_context_is_aligned_and_says_what_is_filled),
		cmocka_unit_test(test_no_context_without_the_flag),
		cmocka_unit_test(test_region_entries),
		cmocka_unit_test(test_no_names_without_section_information),
		cmocka_unit_test(test_a_text_too_long_for_a_WORD_is_cut),
		cmocka_unit_test(test_thread_names_come_in_the_order_of_threads),
		cmocka_unit_test(test_pointers_stay_valid_until_PssWalkMarkerFree),
		cmocka_unit_test(test_one_marker_over_two_snapshots),
		cmocka_unit_test(test_allocator_serves_everything_and_gets_it_back),
		cmocka_unit_test(test_allocator_failure_is_not_enough_memory_and_does_not_advance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
