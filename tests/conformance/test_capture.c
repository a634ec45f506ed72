// SPDX-License-Identifier: LGPL-2.1-or-later
// PssCaptureSnapshot, PssQuerySnapshot and PssFreeSnapshot as they are documented: flags, order of
// checks, what is present when, and process information that agrees with /proc. Names quote the
// clause.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../integration/harness.h"

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE |
			     PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION |
			     PSS_CREATE_MEASURE_PERFORMANCE;

// Each class with its structure's size.
static const struct {
	PSS_QUERY_INFORMATION_CLASS class;
	DWORD length;
} queries[] = {
	{ PSS_QUERY_PROCESS_INFORMATION, sizeof(PSS_PROCESS_INFORMATION) },
	{ PSS_QUERY_VA_CLONE_INFORMATION, sizeof(PSS_VA_CLONE_INFORMATION) },
	{ PSS_QUERY_AUXILIARY_PAGES_INFORMATION, sizeof(PSS_AUXILIARY_PAGES_INFORMATION) },
	{ PSS_QUERY_VA_SPACE_INFORMATION, sizeof(PSS_VA_SPACE_INFORMATION) },
	{ PSS_QUERY_HANDLE_INFORMATION, sizeof(PSS_HANDLE_INFORMATION) },
	{ PSS_QUERY_THREAD_INFORMATION, sizeof(PSS_THREAD_INFORMATION) },
	{ PSS_QUERY_HANDLE_TRACE_INFORMATION, sizeof(PSS_HANDLE_TRACE_INFORMATION) },
	{ PSS_QUERY_PERFORMANCE_COUNTERS, sizeof(PSS_PERFORMANCE_COUNTERS) },
};
enum { QUERIES = sizeof(queries) / sizeof(queries[0]) };

static struct target *target;

static int start_target(void **state)
{
	(void)state;
	target = target_start("plain", NULL);
	return target ? 0 : -1;
}

static int stop_target(void **state)
{
	(void)state;
	target_assert_unharmed(target);
	target_stop(target);
	return 0;
}

static DWORD query(HPSS snapshot, PSS_QUERY_INFORMATION_CLASS class, void *buffer, DWORD length)
{
	return PssQuerySnapshot(snapshot, class, buffer, length);
}

static PSS_PROCESS_INFORMATION process_information(HPSS snapshot)
{
	PSS_PROCESS_INFORMATION information;

	assert_success(
		query(snapshot, PSS_QUERY_PROCESS_INFORMATION, &information, sizeof(information)));
	return information;
}

static void none_succeeds_and_process_information_is_queryable(void **state)
{
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_NONE);

	(void)state;
	assert_int_equal(process_information(snapshot).ProcessId, target->pid);
	for (int i = 1; i < QUERIES; i++) {
		uint8_t buffer[1024];

		assert_int_equal(query(snapshot, queries[i].class, buffer, queries[i].length),
				 ERROR_NOT_FOUND);
	}
	harness_free_snapshot(snapshot);
}

static void a_bad_process_handle_is_an_invalid_handle(void **state)
{
	HPSS snapshot = (HPSS)1;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const HANDLE bad[] = { NULL, (HANDLE)(intptr_t)fd, (HANDLE)12345, (HANDLE)-2 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(PssCaptureSnapshot(bad[i], PSS_CAPTURE_NONE, 0, &snapshot),
				 ERROR_INVALID_HANDLE);
	assert_ptr_equal(snapshot, (HPSS)1);
	close(fd);
}

static void the_flags_of_well_known_programs_are_accepted(void **state)
{
	static const uint32_t seen[] = {
		// ClrMD
		PSS_CAPTURE_VA_CLONE,
		// Kudu
		PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_VA_SPACE |
			PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CAPTURE_THREADS |
			PSS_CAPTURE_THREAD_CONTEXT | PSS_CREATE_USE_VM_ALLOCATIONS,
		// pe-sieve
		PSS_CAPTURE_VA_CLONE | PSS_CREATE_BREAKAWAY | PSS_CREATE_BREAKAWAY_OPTIONAL |
			PSS_CREATE_USE_VM_ALLOCATIONS,
		PSS_CAPTURE_VA_CLONE | PSS_CREATE_RELEASE_SECTION,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++)
		harness_free_snapshot(harness_capture(target, seen[i]));
}

static void checks_come_in_the_order_handle_class_length_presence(void **state)
{
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_NONE);
	uint8_t buffer[1024], untouched[1024];

	(void)state;
	memset(buffer, 0xa5, sizeof(buffer));
	memcpy(untouched, buffer, sizeof(buffer));
	for (int i = 0; i < QUERIES; i++) {
		assert_int_equal(query(NULL, queries[i].class, buffer, 1), ERROR_INVALID_HANDLE);
		assert_int_equal(query(NULL, queries[i].class, buffer, queries[i].length),
				 ERROR_INVALID_HANDLE);
		// Wrong length before absent data, and larger is wrong too.
		assert_int_equal(query(snapshot, queries[i].class, buffer, queries[i].length - 1),
				 ERROR_BAD_LENGTH);
		assert_int_equal(query(snapshot, queries[i].class, buffer, queries[i].length + 1),
				 ERROR_BAD_LENGTH);
		assert_int_equal(query(snapshot, queries[i].class, buffer, 0), ERROR_BAD_LENGTH);
		if (i > 0)
			assert_int_equal(query(snapshot, queries[i].class, NULL, queries[i].length),
					 ERROR_NOT_FOUND);
	}
	assert_int_equal(query(NULL, (PSS_QUERY_INFORMATION_CLASS)8, buffer, 4),
			 ERROR_INVALID_HANDLE);
	for (DWORD length = 0; length < 1024; length += 128)
		assert_int_equal(query(snapshot, (PSS_QUERY_INFORMATION_CLASS)8, buffer, length),
				 ERROR_INVALID_PARAMETER);
	assert_memory_equal(buffer, untouched, sizeof(buffer));
	harness_free_snapshot(snapshot);
}

static void only_the_bytes_of_the_structure_are_written(void **state)
{
	HPSS snapshot = harness_capture(target, FULL);
	uint8_t buffer[1024];

	(void)state;
	for (int i = 0; i < QUERIES; i++) {
		memset(buffer, 0xa5, sizeof(buffer));
		if (query(snapshot, queries[i].class, buffer, queries[i].length) != ERROR_SUCCESS)
			continue;
		for (size_t at = queries[i].length; at < sizeof(buffer); at++)
			assert_int_equal(buffer[at], 0xa5);
	}
	harness_free_snapshot(snapshot);
}

static void errno_and_last_error_are_left_alone(void **state)
{
	HPSS snapshot = NULL;
	uint8_t buffer[1024];

	(void)state;
	errno = 4711;
	SetLastError(0x12345678);
	assert_success(PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)FULL,
					  CONTEXT_ALL, &snapshot));
	assert_int_equal(query(snapshot, PSS_QUERY_PROCESS_INFORMATION, buffer, 3),
			 ERROR_BAD_LENGTH);
	assert_int_equal(PssCaptureSnapshot(NULL, PSS_CAPTURE_NONE, 0, &snapshot),
			 ERROR_INVALID_HANDLE);
	assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
	assert_int_equal(errno, 4711);
	assert_int_equal(GetLastError(), 0x12345678);
}

static void bad_handles_are_refused_and_never_crash(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	const HPSS bad[] = { NULL, (HPSS)(intptr_t)fd, (HPSS)0x7ffe0000, (HPSS)-1,
			     (HPSS)(intptr_t)target->pidfd };
	PSS_PROCESS_INFORMATION information;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(query(bad[i], PSS_QUERY_PROCESS_INFORMATION, &information,
				       sizeof(information)),
				 ERROR_INVALID_HANDLE);
		assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), bad[i]),
				 ERROR_INVALID_HANDLE);
	}
	// What was refused was not closed either.
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(target->pidfd, F_GETFD) >= 0);
	close(fd);
}

static SIZE_T count_units(const WCHAR *text)
{
	SIZE_T count = 0;

	while (text[count])
		count++;
	return count;
}

static uint64_t ticks(FILETIME time)
{
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

static uint64_t status_kib(const char *status, const char *key)
{
	const char *found = strstr(status, key);

	assert_non_null(found);
	return strtoull(found + strlen(key), NULL, 10) << 10;
}

static void process_information_equals_proc(void **state)
{
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_NONE);
	PSS_PROCESS_INFORMATION information = process_information(snapshot);
	char path[64], link[4096] = { 0 }, name[4096], *status;

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/status", target->pid);
	status = harness_read_file(path);
	assert_non_null(status);
	snprintf(path, sizeof(path), "/proc/%d/exe", target->pid);
	assert_true(readlink(path, link, sizeof(link) - 1) > 0);
	PssxUtf16ToUtf8(information.ImageFileName, count_units(information.ImageFileName), name,
			sizeof(name));
	assert_string_equal(name, link);
	assert_int_equal(information.ProcessId, target->pid);
	assert_int_equal(information.ParentProcessId, getpid());
	assert_int_equal(information.ExitStatus, STILL_ACTIVE);
	assert_int_equal(information.Flags, PSS_PROCESS_FLAGS_NONE);
	assert_int_equal(information.VirtualSize, status_kib(status, "VmSize:"));
	assert_int_equal(information.PeakVirtualSize, status_kib(status, "VmPeak:"));
	assert_in_range(information.WorkingSetSize, 1, information.PeakWorkingSetSize);
	assert_int_equal(information.PagefileUsage, information.PrivateUsage);
	assert_int_equal(ticks(information.ExitTime), 0);
	if (getpriority(PRIO_PROCESS, (id_t)target->pid) == 0)
		assert_int_equal(information.PriorityClass, NORMAL_PRIORITY_CLASS);
	assert_true(information.AffinityMask != 0);
	free(status);
	harness_free_snapshot(snapshot);
}

static void create_time_is_the_same_at_each_capture(void **state)
{
	FILETIME created, exited, kernel, user;
	uint64_t first = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		HPSS snapshot = harness_capture(target, i % 2 ? FULL : PSS_CAPTURE_NONE);
		uint64_t now = ticks(process_information(snapshot).CreateTime);

		// Later than 2020, in ticks since 1601.
		assert_true(now > 132223104000000000u);
		assert_true(first == 0 || first == now);
		first = now;
		harness_free_snapshot(snapshot);
	}
	if (harness_is_available(
		    GetProcessTimes(target_handle(target), &created, &exited, &kernel, &user),
		    "GetProcessTimes"))
		assert_int_equal(ticks(created), first);
}

static void performance_counters_only_when_asked_for(void **state)
{
	PSS_PERFORMANCE_COUNTERS counters;
	HPSS snapshot = harness_capture(target, FULL & ~PSS_CREATE_MEASURE_PERFORMANCE);

	(void)state;
	assert_int_equal(
		query(snapshot, PSS_QUERY_PERFORMANCE_COUNTERS, &counters, sizeof(counters)),
		ERROR_NOT_FOUND);
	harness_free_snapshot(snapshot);
	snapshot = harness_capture(target, FULL);
	assert_success(
		query(snapshot, PSS_QUERY_PERFORMANCE_COUNTERS, &counters, sizeof(counters)));
	assert_true(counters.TotalCycleCount > 0 && counters.VaCloneCycleCount > 0);
	assert_true(counters.TotalWallClockPeriod >=
		    counters.VaCloneWallClockPeriod + counters.ThreadsWallClockPeriod);
	harness_free_snapshot(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_succeeds_and_process_information_is_queryable),
		cmocka_unit_test(a_bad_process_handle_is_an_invalid_handle),
		cmocka_unit_test(the_flags_of_well_known_programs_are_accepted),
		cmocka_unit_test(checks_come_in_the_order_handle_class_length_presence),
		cmocka_unit_test(only_the_bytes_of_the_structure_are_written),
		cmocka_unit_test(errno_and_last_error_are_left_alone),
		cmocka_unit_test(bad_handles_are_refused_and_never_crash),
		cmocka_unit_test(process_information_equals_proc),
		cmocka_unit_test(create_time_is_the_same_at_each_capture),
		cmocka_unit_test(performance_counters_only_when_asked_for),
	};

	harness_begin("test_capture");
	return cmocka_run_group_tests(tests, start_target, stop_target);
}
