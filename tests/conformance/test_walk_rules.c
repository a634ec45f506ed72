// SPDX-License-Identifier: LGPL-2.1-or-later
// PssWalkSnapshot and the markers, rule by rule: every class, every order of wrong arguments, what
// is left alone on failure, positions, allocators. Names quote the rule.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

static struct target *target;
static HPSS everything, nothing;

static int start_target(void **state)
{
	(void)state;
	target = target_start("plain", "5", NULL);
	everything = harness_capture(target, every_flag);
	nothing = harness_capture(target, PSS_CAPTURE_NONE);
	return 0;
}

static int stop_target(void **state)
{
	(void)state;
	harness_free_snapshot(everything);
	harness_free_snapshot(nothing);
	target_assert_unharmed(target);
	target_stop(target);
	return 0;
}

static DWORD walk(HPSS snapshot, int class, HPSSWALK marker, void *buffer, DWORD length)
{
	return PssWalkSnapshot(snapshot, (PSS_WALK_INFORMATION_CLASS) class, marker, buffer,
			       length);
}

static HPSSWALK new_marker(void)
{
	HPSSWALK marker = NULL;

	assert_success(PssWalkMarkerCreate(NULL, &marker));
	return marker;
}

static void bad_handle_before_bad_class_before_bad_length_before_absence(void **state)
{
	HPSSWALK marker = new_marker();
	union any entry;

	(void)state;
	for (int class = 0; class <= WALK_CLASSES; class ++) {
		bool is_known = class < WALK_CLASSES;
		DWORD length = is_known ? walk_lengths[class] : 4;

		assert_int_equal(walk(NULL, class, marker, &entry, length), ERROR_INVALID_HANDLE);
		assert_int_equal(walk(NULL, class, marker, &entry, length + 1),
				 ERROR_INVALID_HANDLE);
		assert_int_equal(walk(nothing, class, NULL, &entry, length), ERROR_INVALID_HANDLE);
		assert_int_equal(walk(NULL, class, NULL, NULL, 0), ERROR_INVALID_HANDLE);
		for (DWORD wrong = 0; wrong < 300; wrong++) {
			if (wrong == length && is_known)
				continue;
			// Larger is as wrong as smaller, and so it is without a buffer.
			assert_int_equal(walk(nothing, class, marker, &entry, wrong),
					 is_known ? ERROR_BAD_LENGTH : ERROR_INVALID_PARAMETER);
			assert_int_equal(walk(everything, class, marker, NULL, wrong),
					 is_known ? ERROR_BAD_LENGTH : ERROR_INVALID_PARAMETER);
		}
		if (!is_known)
			continue;
		assert_int_equal(walk(nothing, class, marker, &entry, length), ERROR_NOT_FOUND);
		assert_int_equal(walk(nothing, class, marker, NULL, length), ERROR_NOT_FOUND);
	}
	assert_success(PssWalkMarkerFree(marker));
}

static void on_failure_buffer_and_position_are_as_before(void **state)
{
	HPSSWALK marker = new_marker();
	union any entry, untouched;
	ULONG_PTR before, after;

	(void)state;
	memset(&entry, 0xa5, sizeof(entry));
	untouched = entry;
	assert_success(
		walk(everything, PSS_WALK_THREADS, marker, &entry, walk_lengths[PSS_WALK_THREADS]));
	entry = untouched;
	assert_success(PssWalkMarkerGetPosition(marker, &before));
	for (int class = 0; class < WALK_CLASSES; class ++) {
		DWORD length = walk_lengths[class];

		assert_int_equal(walk(nothing, class, marker, &entry, length), ERROR_NOT_FOUND);
		assert_int_equal(walk(everything, class, marker, &entry, length - 1),
				 ERROR_BAD_LENGTH);
		assert_int_equal(walk(NULL, class, marker, &entry, length), ERROR_INVALID_HANDLE);
	}
	assert_int_equal(walk(everything, WALK_CLASSES, marker, &entry, 8),
			 ERROR_INVALID_PARAMETER);
	assert_memory_equal(&entry, &untouched, sizeof(entry));
	assert_success(PssWalkMarkerGetPosition(marker, &after));
	assert_int_equal(before, after);
	assert_success(PssWalkMarkerFree(marker));
}

static void only_the_bytes_of_the_entry_are_written(void **state)
{
	HPSSWALK marker = new_marker();
	union any entry;

	(void)state;
	for (int class = 0; class < WALK_CLASSES; class ++) {
		memset(&entry, 0xa5, sizeof(entry));
		while (walk(everything, class, marker, &entry, walk_lengths[class]) ==
		       ERROR_SUCCESS)
			;
		for (size_t i = walk_lengths[class]; i < sizeof(entry); i++)
			assert_int_equal(entry.bytes[i], 0xa5);
	}
	assert_success(PssWalkMarkerFree(marker));
}

static void a_NULL_buffer_is_more_data_in_every_class_and_nothing_at_the_end(void **state)
{
	HPSSWALK marker = new_marker();
	union any entry;

	(void)state;
	for (int class = PSS_WALK_VA_SPACE; class < WALK_CLASSES; class ++) {
		DWORD length = walk_lengths[class];

		assert_int_equal(walk(everything, class, marker, NULL, length), ERROR_MORE_DATA);
		while (walk(everything, class, marker, &entry, length) == ERROR_SUCCESS)
			;
		assert_int_equal(walk(everything, class, marker, NULL, length),
				 ERROR_NO_MORE_ITEMS);
	}
	assert_success(PssWalkMarkerFree(marker));
}

static void NO_MORE_ITEMS_is_repeatable_in_every_class(void **state)
{
	HPSSWALK marker = new_marker();
	union any entry;

	(void)state;
	for (int class = PSS_WALK_VA_SPACE; class < WALK_CLASSES; class ++) {
		DWORD length = walk_lengths[class];

		while (walk(everything, class, marker, &entry, length) == ERROR_SUCCESS)
			;
		for (int i = 0; i < 3; i++)
			assert_int_equal(walk(everything, class, marker, &entry, length),
					 ERROR_NO_MORE_ITEMS);
	}
	assert_success(PssWalkMarkerSeekToBeginning(marker));
	for (int class = PSS_WALK_VA_SPACE; class < WALK_CLASSES; class ++)
		assert_success(walk(everything, class, marker, &entry, walk_lengths[class]));
	assert_success(PssWalkMarkerFree(marker));
}

static void a_kind_captured_but_empty_has_no_more_items(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_HANDLE_INFORMATION information = { .HandlesCaptured = 99 };
	union any entry;
	HPSS snapshot = NULL;
	HANDLE process;
	int ends[2];
	char byte;
	pid_t child;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	child = harness_fork();
	if (child == 0) {
		close_range(0, ~0U, 0); // which ends our read below
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)child);
	assert_success(PssCaptureSnapshot(process, PSS_CAPTURE_HANDLES, 0, &snapshot));
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_HANDLE_INFORMATION, &information,
					sizeof(information)));
	assert_int_equal(information.HandlesCaptured, 0);
	assert_int_equal(
		walk(snapshot, PSS_WALK_HANDLES, marker, &entry, walk_lengths[PSS_WALK_HANDLES]),
		ERROR_NO_MORE_ITEMS);
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(snapshot);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_true(CloseHandle(process));
}

static uint64_t ticks(FILETIME time)
{
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

// Of a target that is not stopped. Stopped threads are all of one instant, and come leader first.
static void entries_come_in_the_order_of_their_capture_times(void **state)
{
	HPSS running = harness_capture(target, PSS_CAPTURE_THREADS | PSS_CAPTURE_HANDLES);
	HPSSWALK marker = new_marker();
	PSS_THREAD_ENTRY thread;
	PSS_HANDLE_ENTRY handle;
	uint64_t last = 0;

	(void)state;
	while (walk(running, PSS_WALK_THREADS, marker, &thread, sizeof(thread)) == ERROR_SUCCESS) {
		assert_true(ticks(thread.CaptureTime) >= last);
		last = ticks(thread.CaptureTime);
	}
	assert_true(last > 0);
	last = 0;
	while (walk(running, PSS_WALK_HANDLES, marker, &handle, sizeof(handle)) == ERROR_SUCCESS) {
		assert_true(ticks(handle.CaptureTime) >= last);
		last = ticks(handle.CaptureTime);
	}
	assert_true(last > 0);
	assert_success(PssWalkMarkerSeekToBeginning(marker));
	assert_success(walk(everything, PSS_WALK_THREADS, marker, &thread, sizeof(thread)));
	assert_int_equal(thread.ThreadId, target->pid);
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(running);
}

static void a_marker_is_bound_to_no_snapshot(void **state)
{
	// Made before the snapshot is, used on two in turn, and there may be any number of them.
	HPSSWALK marker = new_marker(), others[64];
	HPSS second = harness_capture(target, PSS_CAPTURE_THREADS);
	PSS_THREAD_ENTRY entry;
	unsigned count = 0;

	(void)state;
	for (int i = 0; i < 64; i++)
		others[i] = new_marker();
	while (walk(count % 2 ? second : everything, PSS_WALK_THREADS, marker, &entry,
		    sizeof(entry)) == ERROR_SUCCESS)
		count++;
	assert_int_equal(count, 7);
	for (int i = 0; i < 64; i++) {
		assert_success(walk(second, PSS_WALK_THREADS, others[i], &entry, sizeof(entry)));
		assert_int_equal(entry.ThreadId, target->pid);
		assert_success(PssWalkMarkerFree(others[i]));
	}
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(second);
}

static void GetPosition_SeekToBeginning_SetPosition_in_sequence_succeed(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_VA_SPACE_ENTRY entry, expected;
	ULONG_PTR position;

	(void)state;
	// At the beginning, in the middle, and at the end.
	for (int walked = 0;; walked++) {
		DWORD code, again;

		assert_success(PssWalkMarkerGetPosition(marker, &position));
		code = walk(everything, PSS_WALK_VA_SPACE, marker, &expected, sizeof(expected));
		assert_success(PssWalkMarkerSeekToBeginning(marker));
		assert_success(PssWalkMarkerSetPosition(marker, position));
		again = walk(everything, PSS_WALK_VA_SPACE, marker, &entry, sizeof(entry));
		assert_int_equal(code, again);
		if (code != ERROR_SUCCESS)
			break;
		assert_ptr_equal(entry.BaseAddress, expected.BaseAddress);
	}
	assert_success(PssWalkMarkerFree(marker));
}

static void a_position_from_nowhere_is_an_invalid_parameter_and_moves_nothing(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_THREAD_ENTRY first, second, entry;

	(void)state;
	assert_success(walk(everything, PSS_WALK_THREADS, marker, &first, sizeof(first)));
	assert_int_equal(PssWalkMarkerSetPosition(marker, UINTPTR_MAX), ERROR_INVALID_PARAMETER);
	assert_int_equal(PssWalkMarkerSetPosition(marker, 12345), ERROR_INVALID_PARAMETER);
	assert_success(walk(everything, PSS_WALK_THREADS, marker, &second, sizeof(second)));
	assert_int_not_equal(first.ThreadId, second.ThreadId);
	assert_success(PssWalkMarkerSeekToBeginning(marker));
	assert_success(walk(everything, PSS_WALK_THREADS, marker, &entry, sizeof(entry)));
	assert_int_equal(entry.ThreadId, first.ThreadId);
	assert_success(PssWalkMarkerFree(marker));
}

static void what_is_no_marker_is_an_invalid_handle(void **state)
{
	static _Alignas(16) uint8_t zeroes[256];
	const HPSSWALK bad[] = { NULL, (HPSSWALK)zeroes, (HPSSWALK)(zeroes + 1) };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ULONG_PTR position = 4711;

		assert_int_equal(PssWalkMarkerFree(bad[i]), ERROR_INVALID_HANDLE);
		assert_int_equal(PssWalkMarkerGetPosition(bad[i], &position), ERROR_INVALID_HANDLE);
		assert_int_equal(position, 4711);
		assert_int_equal(PssWalkMarkerSetPosition(bad[i], 0), ERROR_INVALID_HANDLE);
		assert_int_equal(PssWalkMarkerSeekToBeginning(bad[i]), ERROR_INVALID_HANDLE);
	}
}

static void no_room_for_a_result_is_an_invalid_parameter(void **state)
{
	HPSSWALK marker = new_marker();

	(void)state;
	assert_int_equal(PssWalkMarkerCreate(NULL, NULL), ERROR_INVALID_PARAMETER);
	assert_int_equal(PssWalkMarkerGetPosition(marker, NULL), ERROR_INVALID_PARAMETER);
	assert_success(PssWalkMarkerFree(marker));
}

static struct {
	pthread_t thread;
	unsigned allocations, frees;
	bool is_elsewhere;
} used;

static void *WINAPI allocate(void *context, DWORD size)
{
	used.is_elsewhere |= !pthread_equal(pthread_self(), used.thread);
	used.allocations += context == &used;
	return malloc(size);
}

static void WINAPI release(void *context, void *address)
{
	used.is_elsewhere |= !pthread_equal(pthread_self(), used.thread);
	used.frees += context == &used && address;
	free(address);
}

static void routines_are_called_from_create_walk_and_free_on_the_calling_thread(void **state)
{
	const PSS_ALLOCATOR allocator = { &used, allocate, release };
	HPSSWALK marker = NULL;
	PSS_THREAD_ENTRY entry;
	unsigned after_create, after_walk;

	(void)state;
	used.thread = pthread_self();
	assert_success(PssWalkMarkerCreate(&allocator, &marker));
	after_create = used.allocations;
	assert_true(after_create > 0);
	while (walk(everything, PSS_WALK_THREADS, marker, &entry, sizeof(entry)) == ERROR_SUCCESS)
		;
	after_walk = used.allocations;
	assert_true(after_walk > after_create);
	// What it handed out lives until the marker is freed.
	assert_int_equal(used.frees, 0);
	assert_success(PssWalkMarkerFree(marker));
	assert_int_equal(used.frees, after_walk);
	assert_int_equal(used.allocations, after_walk);
	assert_false(used.is_elsewhere);
}

static void an_allocator_without_a_routine_is_an_invalid_parameter(void **state)
{
	const PSS_ALLOCATOR none = { NULL, NULL, NULL };
	const PSS_ALLOCATOR no_free = { &used, allocate, NULL };
	const PSS_ALLOCATOR no_alloc = { &used, NULL, release };
	HPSSWALK marker = (HPSSWALK)1;

	(void)state;
	assert_int_equal(PssWalkMarkerCreate(&none, &marker), ERROR_INVALID_PARAMETER);
	assert_int_equal(PssWalkMarkerCreate(&no_free, &marker), ERROR_INVALID_PARAMETER);
	assert_int_equal(PssWalkMarkerCreate(&no_alloc, &marker), ERROR_INVALID_PARAMETER);
	assert_ptr_equal(marker, (HPSSWALK)1);
}

static void lengths_are_in_bytes_and_texts_terminated_beyond_them(void **state)
{
	HPSSWALK marker = new_marker();
	PSS_VA_SPACE_ENTRY region;
	PSS_THREAD_NAME name;
	unsigned named = 0;

	(void)state;
	while (walk(everything, PSS_WALK_VA_SPACE, marker, &region, sizeof(region)) ==
	       ERROR_SUCCESS) {
		if (region.MappedFileNameLength == 0)
			continue;
		assert_int_equal(region.MappedFileNameLength % sizeof(WCHAR), 0);
		assert_int_equal(region.MappedFileName[region.MappedFileNameLength / 2], 0);
		assert_int_not_equal(region.MappedFileName[region.MappedFileNameLength / 2 - 1], 0);
		named++;
	}
	assert_true(named > 0);
	assert_success(walk(everything, PSS_WALK_THREAD_NAME, marker, &name, sizeof(name)));
	assert_int_equal(name.ThreadNameSize, 2 * strlen("plain"));
	assert_memory_equal(name.ThreadName, u"plain", sizeof(u"plain"));
	assert_success(PssWalkMarkerFree(marker));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_handle_before_bad_class_before_bad_length_before_absence),
		cmocka_unit_test(on_failure_buffer_and_position_are_as_before),
		cmocka_unit_test(only_the_bytes_of_the_entry_are_written),
		cmocka_unit_test(a_NULL_buffer_is_more_data_in_every_class_and_nothing_at_the_end),
		cmocka_unit_test(NO_MORE_ITEMS_is_repeatable_in_every_class),
		cmocka_unit_test(a_kind_captured_but_empty_has_no_more_items),
		cmocka_unit_test(entries_come_in_the_order_of_their_capture_times),
		cmocka_unit_test(a_marker_is_bound_to_no_snapshot),
		cmocka_unit_test(GetPosition_SeekToBeginning_SetPosition_in_sequence_succeed),
		cmocka_unit_test(a_position_from_nowhere_is_an_invalid_parameter_and_moves_nothing),
		cmocka_unit_test(what_is_no_marker_is_an_invalid_handle),
		cmocka_unit_test(no_room_for_a_result_is_an_invalid_parameter),
		cmocka_unit_test(
			routines_are_called_from_create_walk_and_free_on_the_calling_thread),
		cmocka_unit_test(an_allocator_without_a_routine_is_an_invalid_parameter),
		cmocka_unit_test(lengths_are_in_bytes_and_texts_terminated_beyond_them),
	};

	harness_begin("test_walk_rules");
	return cmocka_run_group_tests(tests, start_target, stop_target);
}
