// SPDX-License-Identifier: LGPL-2.1-or-later
// The VA clone, the regions of the target, and what the capture cost, rule by rule. What each sort
// of memory holds is in the integration test of memory kinds. Names quote the rule.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

static struct target *target;
static HPSS snapshot;

static int start_target(void **state)
{
	(void)state;
	target = target_start("plain", "3", NULL);
	snapshot = harness_capture(target, every_flag);
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

static HPSSWALK new_marker(void)
{
	HPSSWALK marker = NULL;

	assert_success(PssWalkMarkerCreate(NULL, &marker));
	return marker;
}

static void repeated_queries_return_the_same_handle_and_no_new_reference(void **state)
{
	HANDLE first = harness_clone(snapshot);
	size_t fds = harness_count_fds(getpid());

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_ptr_equal(harness_clone(snapshot), first);
	assert_int_equal(harness_count_fds(getpid()), fds);
}

static uint64_t field_of_stat(pid_t pid, int number)
{
	char path[64], *text, *at;
	uint64_t value;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = harness_read_file(path);
	assert_non_null(text);
	at = strrchr(text, ')');
	for (int i = 2; at && i < number; i++)
		at = strchr(at + 1, ' ');
	assert_non_null(at);
	value = strtoull(at, NULL, 10);
	free(text);
	return value;
}

static void the_clone_has_a_pid_of_its_own_and_never_runs(void **state)
{
	pid_t clone = (pid_t)GetProcessId(harness_clone(snapshot)), threads[4];
	uint64_t user = field_of_stat(clone, 14), kernel = field_of_stat(clone, 15);
	DWORD code = 0;

	(void)state;
	assert_int_not_equal(clone, 0);
	assert_int_not_equal(clone, target->pid);
	target_wait_for_beat(target);
	assert_int_equal(patient_threads(clone, threads, 4), 1);
	assert_int_equal(field_of_stat(clone, 14), user);
	assert_int_equal(field_of_stat(clone, 15), kernel);
	assert_true(GetExitCodeProcess(harness_clone(snapshot), &code));
	assert_int_equal(code, STILL_ACTIVE);
}

// The region that @address lies in.
static PSS_VA_SPACE_ENTRY region_at(uint64_t address)
{
	HPSSWALK marker = new_marker();
	PSS_VA_SPACE_ENTRY region;

	do
		assert_success(PssWalkSnapshot(snapshot, PSS_WALK_VA_SPACE, marker, &region,
					       sizeof(region)));
	while (address < (uintptr_t)region.BaseAddress ||
	       address - (uintptr_t)region.BaseAddress >= region.RegionSize);
	assert_success(PssWalkMarkerFree(marker));
	return region;
}

// An image; or the kernel's own, which is of no file, for one that computes asks it for the time.
static DWORD type_of_code(const PSS_VA_SPACE_ENTRY *region)
{
	char magic[4];

	if (region->Type != MEM_PRIVATE)
		return MEM_IMAGE;
	harness_read_clone(snapshot, (uintptr_t)region->BaseAddress, magic, sizeof(magic));
	return memcmp(magic, "\177ELF", sizeof(magic)) == 0 ? MEM_PRIVATE : MEM_IMAGE;
}

static void stacks_of_all_threads_are_there_and_registers_agree_with_them(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_THREAD_ENTRY entry;
	unsigned count = 0;

	(void)state;
	while (PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, &entry, sizeof(entry)) ==
	       ERROR_SUCCESS) {
#ifdef __x86_64__
		uint64_t stack = entry.ContextRecord->Rsp, code = entry.ContextRecord->Rip;
#else
		uint64_t stack = entry.ContextRecord->Sp, code = entry.ContextRecord->Pc;
#endif
		PSS_VA_SPACE_ENTRY region = region_at(stack);
		MEMORY_BASIC_INFORMATION memory;
		uint64_t words[4];

		assert_int_equal(region.State, MEM_COMMIT);
		assert_int_equal(region.Protect, PAGE_READWRITE);
		assert_int_equal(region.Type, MEM_PRIVATE);
		harness_read_clone(snapshot, stack, words, sizeof(words));
		region = region_at(code);
		assert_int_equal(region.Protect, PAGE_EXECUTE_READ);
		assert_int_equal(region.Type, type_of_code(&region));
		assert_int_equal(VirtualQueryEx(harness_clone(snapshot), (void *)(uintptr_t)code,
						&memory, sizeof(memory)),
				 sizeof(memory));
		assert_int_equal(memory.Type, region.Type);
		assert_ptr_equal(memory.AllocationBase, region.AllocationBase);
		count++;
	}
	assert_int_equal(count, 5);
	assert_success(PssWalkMarkerFree(marker));
}

#ifdef __x86_64__
// Both C libraries keep a pointer to the control block of a thread in its first word.
static void TebBaseAddress_matches_the_self_pointer_in_the_clone(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_THREAD_ENTRY entry;
	unsigned count = 0;

	(void)state;
	while (PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, &entry, sizeof(entry)) ==
	       ERROR_SUCCESS) {
		uint64_t teb = (uintptr_t)entry.TebBaseAddress;

		assert_int_equal(harness_read_clone_word(snapshot, teb), teb);
		count++;
	}
	assert_int_equal(count, 5);
	assert_success(PssWalkMarkerFree(marker));
}
#endif

static void AuxPagesCaptured_is_the_entries_of_the_walk_and_contents_live_on(void **state)
{
	HPSS mine = harness_capture(target, every_flag);
	PSS_AUXILIARY_PAGES_INFORMATION information = { 0 };
	PSS_AUXILIARY_PAGE_ENTRY page, first = { 0 };
	static uint8_t copy[65536];
	HPSSWALK marker = new_marker();
	unsigned count = 0;

	(void)state;
	// Absent where this kernel gives the clone everything.
	(void)PssQuerySnapshot(mine, PSS_QUERY_AUXILIARY_PAGES_INFORMATION, &information,
			       sizeof(information));
	while (PssWalkSnapshot(mine, PSS_WALK_AUXILIARY_PAGES, marker, &page, sizeof(page)) ==
	       ERROR_SUCCESS) {
		assert_ptr_equal(page.BasicInformation.BaseAddress, page.Address);
		assert_true(page.CaptureTime.dwHighDateTime > 0);
		assert_int_equal(!page.PageContents, page.PageSize == 0);
		if (page.PageContents && !first.PageContents) {
			first = page;
			memcpy(copy, page.PageContents, page.PageSize);
		}
		count++;
	}
	assert_int_equal(information.AuxPagesCaptured, count);
	harness_free_snapshot(mine);
	if (first.PageContents)
		assert_memory_equal(first.PageContents, copy, first.PageSize);
	assert_success(PssWalkMarkerFree(marker));
}

static void RegionCount_and_ThreadsCaptured_are_the_entries_of_the_walks(void **state)
{
	PSS_VA_SPACE_INFORMATION space;
	PSS_THREAD_INFORMATION threads;
	HPSSWALK marker = new_marker();
	PSS_VA_SPACE_ENTRY region;
	PSS_THREAD_ENTRY thread;
	unsigned count = 0;

	(void)state;
	assert_success(
		PssQuerySnapshot(snapshot, PSS_QUERY_VA_SPACE_INFORMATION, &space, sizeof(space)));
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_THREAD_INFORMATION, &threads,
					sizeof(threads)));
	while (PssWalkSnapshot(snapshot, PSS_WALK_VA_SPACE, marker, &region, sizeof(region)) ==
	       ERROR_SUCCESS)
		count++;
	assert_int_equal(space.RegionCount, count);
	for (count = 0; PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, &thread,
					sizeof(thread)) == ERROR_SUCCESS;
	     count++)
		assert_int_equal(threads.ContextLength, thread.SizeOfContextRecord);
	assert_int_equal(threads.ThreadsCaptured, count);
	assert_success(PssWalkMarkerFree(marker));
}

static void regions_are_in_order_mapped_and_never_MEM_FREE(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_VA_SPACE_ENTRY region;
	uintptr_t end = 0;

	(void)state;
	while (PssWalkSnapshot(snapshot, PSS_WALK_VA_SPACE, marker, &region, sizeof(region)) ==
	       ERROR_SUCCESS) {
		assert_true(region.State == MEM_COMMIT || region.State == MEM_RESERVE);
		assert_true((uintptr_t)region.BaseAddress >= end);
		assert_true(region.AllocationBase <= region.BaseAddress);
		end = (uintptr_t)region.BaseAddress + region.RegionSize;
	}
	assert_success(PssWalkMarkerFree(marker));
}

// The tests are position-independent: their files ask for address 0.
static void ImageBase_is_the_address_the_file_asks_for_and_only_images_have_it(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_VA_SPACE_ENTRY region;
	unsigned images = 0;

	(void)state;
	while (PssWalkSnapshot(snapshot, PSS_WALK_VA_SPACE, marker, &region, sizeof(region)) ==
	       ERROR_SUCCESS) {
		assert_int_equal(region.CheckSum, 0);
		if (region.Type != MEM_IMAGE) {
			assert_int_equal(region.SizeOfImage | region.TimeDateStamp, 0);
			assert_null(region.ImageBase);
			continue;
		}
		assert_ptr_not_equal(region.ImageBase, region.AllocationBase);
		assert_true(region.SizeOfImage >= region.RegionSize);
		assert_non_null(region.MappedFileName);
		images++;
	}
	assert_true(images >= 4);
	assert_success(PssWalkMarkerFree(marker));
}

static void section_information_only_when_asked_for(void **state)
{
	HPSS bare = harness_capture(target, PSS_CAPTURE_VA_SPACE);
	HPSSWALK marker = new_marker();
	PSS_VA_SPACE_ENTRY region;

	(void)state;
	while (PssWalkSnapshot(bare, PSS_WALK_VA_SPACE, marker, &region, sizeof(region)) ==
	       ERROR_SUCCESS) {
		assert_null(region.MappedFileName);
		assert_int_equal(region.MappedFileNameLength | region.SizeOfImage, 0);
	}
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(bare);
}

static void performance_counters_are_in_ticks_of_PSS_PERF_RESOLUTION(void **state)
{
	PSS_PERFORMANCE_COUNTERS counters;
	PSSX_FIGURES figures = { .Size = sizeof(figures) };
	uint64_t since = harness_now_ns(), elapsed;
	HPSS timed = harness_capture(target, every_flag);

	(void)state;
	elapsed = harness_now_ns() - since;
	assert_success(PssQuerySnapshot(timed, PSS_QUERY_PERFORMANCE_COUNTERS, &counters,
					sizeof(counters)));
	assert_success(PssxQueryFigures(timed, &figures));
	assert_int_equal(PSS_PERF_RESOLUTION, 1000000);
	assert_true(counters.TotalWallClockPeriod <= elapsed / 1000);
	assert_int_equal(counters.TotalWallClockPeriod, figures.TotalNs / 1000);
	assert_int_equal(counters.VaCloneWallClockPeriod, figures.CloneNs / 1000);
	assert_true(counters.TotalWallClockPeriod >= counters.VaCloneWallClockPeriod);
	assert_true(counters.TotalCycleCount >= counters.VaCloneCycleCount &&
		    counters.VaCloneCycleCount > 0);
	harness_free_snapshot(timed);
}

// As Kudu, pe-sieve, CORSL, SystemInformer, CopyOnWriteDump and ClrMD do it, and every other order:
// k kills the clone by the borrowed handle, c closes that, f frees, o kills by a handle of one's
// own.
static void kill_close_and_free_in_every_order_leave_nothing(void **state)
{
	static const char *const orders[] = { "f",   "kf",  "cf",  "fc",  "of",  "fo",
					      "kcf", "kfc", "ckf", "cfk", "fkc", "fck",
					      "ocf", "ofc", "cfo", "fco" };

	(void)state;
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		size_t fds = harness_count_fds(getpid());
		HPSS mine = harness_capture(target, PSS_CAPTURE_VA_CLONE);
		HANDLE clone = harness_clone(mine);
		pid_t pid = (pid_t)GetProcessId(clone);
		HANDLE own = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)pid);
		bool is_lent = true, is_there = true;

		assert_non_null(own);
		for (const char *step = orders[i]; *step; step++) {
			if (*step == 'k') {
				assert_int_equal(TerminateProcess(clone, 0), is_lent && is_there);
			} else if (*step == 'c') {
				assert_int_equal(CloseHandle(clone), is_lent);
				is_lent = false;
			} else if (*step == 'o') {
				assert_int_equal(TerminateProcess(own, 0), is_there);
			} else {
				assert_success(PssFreeSnapshot(GetCurrentProcess(), mine));
				is_lent = is_there = false;
			}
		}
		assert_true(CloseHandle(own));
		harness_wait_gone(pid);
		assert_int_equal(harness_count_fds(getpid()), fds);
	}
}

static void what_the_clone_held_stays_when_its_handle_was_closed(void **state)
{
	HPSS mine = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	HANDLE clone = harness_clone(mine);

	(void)state;
	assert_true(CloseHandle(clone));
	// The snapshot lends another one.
	assert_int_equal(harness_read_clone_word(mine, target_value(target, "pattern")),
			 0x9e3779b97f4a7c15u);
	harness_free_snapshot(mine);
}

static void a_terminated_clone_reads_nothing_and_the_rest_is_still_there(void **state)
{
	HPSS mine = harness_capture(target, PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS);
	HANDLE clone = harness_clone(mine);
	uint64_t word;
	SIZE_T got = 1;
	DWORD code = STILL_ACTIVE;

	(void)state;
	assert_true(TerminateProcess(clone, 7));
	for (uint64_t since = harness_now_ns(); code == STILL_ACTIVE;) {
		assert_true(GetExitCodeProcess(clone, &code));
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("the clone does not end");
	}
	assert_false(ReadProcessMemory(clone, (void *)(uintptr_t)target_value(target, "pattern"),
				       &word, sizeof(word), &got));
	assert_int_equal(GetLastError(), ERROR_PARTIAL_COPY);
	assert_int_equal(got, 0);
	assert_success(PssQuerySnapshot(mine, PSS_QUERY_THREAD_INFORMATION,
					&(PSS_THREAD_INFORMATION){ 0 },
					sizeof(PSS_THREAD_INFORMATION)));
	harness_free_snapshot(mine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(repeated_queries_return_the_same_handle_and_no_new_reference),
		cmocka_unit_test(the_clone_has_a_pid_of_its_own_and_never_runs),
		cmocka_unit_test(stacks_of_all_threads_are_there_and_registers_agree_with_them),
#ifdef __x86_64__
		cmocka_unit_test(TebBaseAddress_matches_the_self_pointer_in_the_clone),
#endif
		cmocka_unit_test(AuxPagesCaptured_is_the_entries_of_the_walk_and_contents_live_on),
		cmocka_unit_test(RegionCount_and_ThreadsCaptured_are_the_entries_of_the_walks),
		cmocka_unit_test(regions_are_in_order_mapped_and_never_MEM_FREE),
		cmocka_unit_test(
			ImageBase_is_the_address_the_file_asks_for_and_only_images_have_it),
		cmocka_unit_test(section_information_only_when_asked_for),
		cmocka_unit_test(performance_counters_are_in_ticks_of_PSS_PERF_RESOLUTION),
		cmocka_unit_test(kill_close_and_free_in_every_order_leave_nothing),
		cmocka_unit_test(what_the_clone_held_stays_when_its_handle_was_closed),
		cmocka_unit_test(a_terminated_clone_reads_nothing_and_the_rest_is_still_there),
	};

	harness_begin("test_clone_rules");
	return cmocka_run_group_tests(tests, start_target, stop_target);
}
