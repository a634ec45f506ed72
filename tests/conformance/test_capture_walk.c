// SPDX-License-Identifier: LGPL-2.1-or-later
// PssWalkSnapshot and the walk markers as they are documented, and the VA clone handle: lifetimes,
// lengths, exhausted walks, custom allocators, regions that equal /proc/PID/maps. Names quote the
// clause.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../integration/harness.h"

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE |
			     PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION;

enum { THREADS = 7 };

static struct target *target;
static HPSS snapshot;

static int start_target(void **state)
{
	(void)state;
	target = target_start("plain", "5", NULL);
	snapshot = harness_capture(target, FULL);
	return 0;
}

static int stop_target(void **state)
{
	(void)state;
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
	target_stop(target);
	return 0;
}

static DWORD walk_threads(HPSS from, HPSSWALK marker, PSS_THREAD_ENTRY *entry)
{
	return PssWalkSnapshot(from, PSS_WALK_THREADS, marker, entry, sizeof(*entry));
}

static HPSSWALK new_marker(void)
{
	HPSSWALK marker = NULL;

	assert_success(PssWalkMarkerCreate(NULL, &marker));
	assert_non_null(marker);
	return marker;
}

static void a_walk_has_as_many_entries_as_the_query_says_and_stays_exhausted(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_THREAD_INFORMATION information;
	PSS_THREAD_ENTRY entry;
	unsigned count = 0;

	(void)state;
	while (walk_threads(snapshot, marker, &entry) == ERROR_SUCCESS) {
		assert_int_equal(entry.ProcessId, target->pid);
		assert_int_equal(entry.ExitStatus, STILL_ACTIVE);
		assert_int_equal(entry.Flags, PSS_THREAD_FLAGS_NONE);
		assert_int_equal(entry.SuspendCount, 0);
		count++;
	}
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_THREAD_INFORMATION, &information,
					sizeof(information)));
	assert_int_equal(count, THREADS);
	assert_int_equal(information.ThreadsCaptured, count);
	assert_int_equal(information.ContextLength, sizeof(CONTEXT));
	for (int i = 0; i < 3; i++)
		assert_int_equal(walk_threads(snapshot, marker, &entry), ERROR_NO_MORE_ITEMS);
	assert_success(PssWalkMarkerSeekToBeginning(marker));
	assert_success(walk_threads(snapshot, marker, &entry));
	assert_success(PssWalkMarkerFree(marker));
}

static void a_null_buffer_probes_and_does_not_advance(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_THREAD_ENTRY first, entry;

	(void)state;
	assert_success(walk_threads(snapshot, marker, &first));
	assert_success(PssWalkMarkerSeekToBeginning(marker));
	for (int i = 0; i < 3; i++)
		assert_int_equal(PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, NULL,
						 sizeof(PSS_THREAD_ENTRY)),
				 ERROR_MORE_DATA);
	assert_success(walk_threads(snapshot, marker, &entry));
	assert_int_equal(entry.ThreadId, first.ThreadId);
	assert_success(PssWalkMarkerFree(marker));
}

static void one_marker_serves_one_class_after_another(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_VA_SPACE_ENTRY region;
	PSS_THREAD_ENTRY entry;
	unsigned threads = 0, regions = 0;

	(void)state;
	while (PssWalkSnapshot(snapshot, PSS_WALK_VA_SPACE, marker, &region, sizeof(region)) ==
	       ERROR_SUCCESS)
		regions++;
	while (walk_threads(snapshot, marker, &entry) == ERROR_SUCCESS)
		threads++;
	assert_true(regions > 10);
	assert_int_equal(threads, THREADS);
	assert_success(PssWalkMarkerFree(marker));
}

static void thread_names_come_in_the_order_of_threads(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_THREAD_NAME name;
	unsigned sleepers = 0, count = 0;

	(void)state;
	while (PssWalkSnapshot(snapshot, PSS_WALK_THREAD_NAME, marker, &name, sizeof(name)) ==
	       ERROR_SUCCESS) {
		// Bytes of UTF-16; "sleeper ä" has nine units.
		sleepers += name.ThreadNameSize == 18 &&
			    !memcmp(name.ThreadName, u"sleeper \u00e4", 18);
		count++;
	}
	assert_int_equal(count, THREADS);
	assert_int_equal(sleepers, 5);
	assert_success(PssWalkMarkerFree(marker));
}

static void pointers_live_as_long_as_the_marker(void **state)
{
	HPSS mine = harness_capture(target, FULL);
	HPSSWALK marker = new_marker();
	PSS_THREAD_ENTRY entries[THREADS];
	PSS_VA_SPACE_ENTRY region, named = { 0 };

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_success(walk_threads(mine, marker, &entries[i]));
	while (PssWalkSnapshot(mine, PSS_WALK_VA_SPACE, marker, &region, sizeof(region)) ==
	       ERROR_SUCCESS)
		if (region.Type == MEM_IMAGE && !named.MappedFileName)
			named = region;
	harness_free_snapshot(mine);
	for (int i = 0; i < THREADS; i++) {
		assert_non_null(entries[i].ContextRecord);
		assert_int_equal((uintptr_t)entries[i].ContextRecord % 16, 0);
		assert_int_equal(entries[i].SizeOfContextRecord, sizeof(CONTEXT));
		// ContextFlags says what is filled; debug registers are not taken.
		assert_int_equal(entries[i].ContextRecord->ContextFlags & CONTEXT_FULL,
				 CONTEXT_FULL);
		for (int other = 0; other < i; other++)
			assert_ptr_not_equal(entries[i].ContextRecord,
					     entries[other].ContextRecord);
	}
	assert_non_null(named.MappedFileName);
	assert_int_equal(named.MappedFileName[0], u'/');
	assert_int_equal(named.MappedFileNameLength % 2, 0);
	assert_success(PssWalkMarkerFree(marker));
}

static struct {
	unsigned allocated, freed, failing;
	void *context;
} counted;

static void *WINAPI allocate(void *context, DWORD size)
{
	assert_ptr_equal(context, &counted);
	if (counted.failing)
		return NULL;
	counted.allocated++;
	return malloc(size);
}

static void WINAPI release(void *context, void *address)
{
	assert_ptr_equal(context, &counted);
	if (address)
		counted.freed++;
	free(address);
}

static void a_custom_allocator_gets_back_what_it_gave(void **state)
{
	const PSS_ALLOCATOR allocator = { &counted, allocate, release };
	PSS_THREAD_ENTRY entry;
	HPSSWALK marker = NULL;

	(void)state;
	assert_success(PssWalkMarkerCreate(&allocator, &marker));
	assert_true(counted.allocated > 0);
	while (walk_threads(snapshot, marker, &entry) == ERROR_SUCCESS)
		;
	assert_success(PssWalkMarkerFree(marker));
	assert_int_equal(counted.allocated, counted.freed);
	counted.failing = 1;
	marker = (HPSSWALK)1;
	assert_int_equal(PssWalkMarkerCreate(&allocator, &marker), ERROR_NOT_ENOUGH_MEMORY);
	assert_ptr_equal(marker, (HPSSWALK)1);
	counted.failing = 0;
	// A failure in the middle of a walk does not lose the place.
	assert_success(PssWalkMarkerCreate(&allocator, &marker));
	counted.failing = 1;
	assert_int_equal(walk_threads(snapshot, marker, &entry), ERROR_NOT_ENOUGH_MEMORY);
	counted.failing = 0;
	for (int i = 0; i < THREADS; i++)
		assert_success(walk_threads(snapshot, marker, &entry));
	assert_int_equal(walk_threads(snapshot, marker, &entry), ERROR_NO_MORE_ITEMS);
	assert_success(PssWalkMarkerFree(marker));
	assert_int_equal(counted.allocated, counted.freed);
}

static DWORD expected_protection(const char *mode)
{
	bool write = mode[1] == 'w', execute = mode[2] == 'x';

	if (execute)
		return write            ? PAGE_EXECUTE_READWRITE
		       : mode[0] == 'r' ? PAGE_EXECUTE_READ
					: PAGE_EXECUTE;
	if (write)
		return PAGE_READWRITE;
	return mode[0] == 'r' ? PAGE_READONLY : PAGE_NOACCESS;
}

// A private mapping of a file that can be written is copied at the first write.
static DWORD with_write_copy(DWORD protection, const char *mode, bool is_file)
{
	if (mode[3] != 'p' || !is_file)
		return protection;
	if (protection == PAGE_READWRITE)
		return PAGE_WRITECOPY;
	return protection == PAGE_EXECUTE_READWRITE ? PAGE_EXECUTE_WRITECOPY : protection;
}

static void the_va_walk_equals_maps_of_a_stopped_target(void **state)
{
	struct target *stopped = target_start("plain", NULL);
	HPSSWALK marker = new_marker();
	HPSS mine;
	char path[64], *maps, *rest, *line;

	(void)state;
	kill(stopped->pid, SIGSTOP);
	assert_int_equal(waitpid(stopped->pid, NULL, WUNTRACED), stopped->pid);
	mine = harness_capture(stopped, PSS_CAPTURE_VA_SPACE);
	snprintf(path, sizeof(path), "/proc/%d/maps", stopped->pid);
	maps = rest = harness_read_file(path);
	while ((line = strsep(&rest, "\n")) && line[0]) {
		unsigned long start, end, inode;
		PSS_VA_SPACE_ENTRY region;
		char mode[5];

		assert_int_equal(
			sscanf(line, "%lx-%lx %4s %*x %*s %lu", &start, &end, mode, &inode), 4);
		if (strstr(line, "[vsyscall]"))
			continue;
		assert_success(
			PssWalkSnapshot(mine, PSS_WALK_VA_SPACE, marker, &region, sizeof(region)));
		assert_int_equal((uintptr_t)region.BaseAddress, start);
		assert_int_equal(region.RegionSize, end - start);
		assert_true((uintptr_t)region.AllocationBase <= start);
		assert_true(region.State == MEM_COMMIT || region.State == MEM_RESERVE);
		assert_int_equal(region.Type == MEM_PRIVATE, inode == 0);
		if (region.State == MEM_COMMIT)
			assert_int_equal(region.Protect, with_write_copy(expected_protection(mode),
									 mode, inode != 0));
	}
	free(maps);
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(mine);
	kill(stopped->pid, SIGCONT);
	target_assert_unharmed(stopped);
	target_stop(stopped);
}

static void the_clone_handle_is_the_same_at_each_query(void **state)
{
	HANDLE clone = harness_clone(snapshot);
	DWORD code = 0;

	(void)state;
	assert_ptr_equal(clone, harness_clone(snapshot));
	assert_int_not_equal(GetProcessId(clone), 0);
	assert_int_not_equal(GetProcessId(clone), target->pid);
	assert_int_equal(GetProcessId(target_handle(target)), target->pid);
	if (harness_is_available(GetExitCodeProcess(clone, &code), "GetExitCodeProcess"))
		assert_int_equal(code, STILL_ACTIVE);
}

// Where the mappings that follow each other without a gap from @address on come to an end.
static uint64_t end_of_region(uint64_t address)
{
	PSS_VA_SPACE_ENTRY region;
	HPSSWALK marker = new_marker();

	while (PssWalkSnapshot(snapshot, PSS_WALK_VA_SPACE, marker, &region, sizeof(region)) ==
	       ERROR_SUCCESS)
		if ((uintptr_t)region.BaseAddress <= address &&
		    (uintptr_t)region.BaseAddress + region.RegionSize > address)
			address = (uintptr_t)region.BaseAddress + region.RegionSize;
	assert_success(PssWalkMarkerFree(marker));
	return address;
}

static void reading_past_the_end_is_a_partial_copy(void **state)
{
	uint64_t bulk = target_value(target, "bulk"), size = target_value(target, "bulk_size");
	HANDLE clone = harness_clone(snapshot);
	uint64_t words[2], end;
	SIZE_T got = 0;

	(void)state;
	assert_true(ReadProcessMemory(clone, (void *)(uintptr_t)bulk, words, sizeof(words), &got));
	assert_int_equal(got, sizeof(words));
	assert_int_equal(words[1], 1 ^ 0x5555555555555555u);
	// The hole behind a region: the part before it is copied and counted.
	end = end_of_region(bulk);
	assert_true(end >= bulk + size);
	got = 99;
	assert_false(
		ReadProcessMemory(clone, (void *)(uintptr_t)(end - 8), words, sizeof(words), &got));
	assert_int_equal(GetLastError(), ERROR_PARTIAL_COPY);
	assert_int_equal(got, 8);
	assert_false(ReadProcessMemory(clone, NULL, words, sizeof(words), &got));
	assert_int_equal(GetLastError(), ERROR_PARTIAL_COPY);
	assert_int_equal(got, 0);
	assert_false(ReadProcessMemory(NULL, (void *)(uintptr_t)bulk, words, sizeof(words), &got));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
}

static void virtual_query_describes_the_region_in_the_clone(void **state)
{
	uint64_t bulk = target_value(target, "bulk");
	MEMORY_BASIC_INFORMATION region;
	SIZE_T size = VirtualQueryEx(harness_clone(snapshot), (void *)(uintptr_t)bulk, &region,
				     sizeof(region));

	(void)state;
	if (!harness_is_available(size > 0, "VirtualQueryEx"))
		return;
	assert_int_equal(size, sizeof(region));
	assert_int_equal(region.State, MEM_COMMIT);
	assert_int_equal(region.Type, MEM_PRIVATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_walk_has_as_many_entries_as_the_query_says_and_stays_exhausted),
		cmocka_unit_test(a_null_buffer_probes_and_does_not_advance),
		cmocka_unit_test(one_marker_serves_one_class_after_another),
		cmocka_unit_test(thread_names_come_in_the_order_of_threads),
		cmocka_unit_test(pointers_live_as_long_as_the_marker),
		cmocka_unit_test(a_custom_allocator_gets_back_what_it_gave),
		cmocka_unit_test(the_va_walk_equals_maps_of_a_stopped_target),
		cmocka_unit_test(the_clone_handle_is_the_same_at_each_query),
		cmocka_unit_test(reading_past_the_end_is_a_partial_copy),
		cmocka_unit_test(virtual_query_describes_the_region_in_the_clone),
	};

	harness_begin("test_capture_walk");
	return cmocka_run_group_tests(tests, start_target, stop_target);
}
