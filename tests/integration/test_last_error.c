// SPDX-License-Identifier: LGPL-2.1-or-later
// How failure is told: the last-error value, which is a thread's own and which only companion
// functions set, and texts that help.
#include <pthread.h>
#include <string.h>

#include "harness.h"

static void *fail_in_another_thread(void *arg)
{
	(void)arg;
	assert_int_equal(GetLastError(), ERROR_SUCCESS); // of a new thread
	assert_false(CloseHandle(NULL));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	return NULL;
}

static void the_last_error_is_the_threads_own(void **state)
{
	pthread_t thread;

	(void)state;
	SetLastError(0x12345678);
	assert_int_equal(pthread_create(&thread, NULL, fail_in_another_thread, NULL), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(GetLastError(), 0x12345678);
}

static void success_and_the_pss_functions_leave_the_last_error_alone(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	PSS_PROCESS_INFORMATION information;
	MEMORY_BASIC_INFORMATION basic;
	HPSSWALK marker;
	ULONG_PTR position;
	HPSS snapshot, copy;
	FILETIME times[4];
	uint8_t byte;
	DWORD code;

	(void)state;
	SetLastError(4711);
	// What works:
	snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_VA_SPACE);
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &information,
					sizeof(information)));
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	assert_success(PssWalkMarkerGetPosition(marker, &position));
	assert_true(GetExitCodeProcess(harness_clone(snapshot), &code));
	assert_true(GetProcessTimes(harness_clone(snapshot), &times[0], &times[1], &times[2],
				    &times[3]));
	assert_int_equal(GetProcessId(target_handle(target)), target->pid);
	assert_int_equal(VirtualQueryEx(GetCurrentProcess(), &byte, &basic, sizeof(basic)),
			 sizeof(basic));
	assert_int_equal(GetLastError(), 4711);
	// What does not:
	assert_int_equal(PssCaptureSnapshot(NULL, PSS_CAPTURE_NONE, 0, &copy),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssQuerySnapshot(snapshot, PSS_QUERY_HANDLE_INFORMATION, &information, 1),
			 ERROR_BAD_LENGTH);
	assert_int_equal(PssQuerySnapshot(NULL, PSS_QUERY_PROCESS_INFORMATION, &information, 1),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, NULL, 1),
			 ERROR_BAD_LENGTH);
	assert_int_not_equal(PssWalkMarkerSetPosition(NULL, position), ERROR_SUCCESS);
	assert_int_not_equal(PssDuplicateSnapshot(NULL, snapshot, NULL, &copy, PSS_DUPLICATE_NONE),
			     ERROR_SUCCESS);
	assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), NULL), ERROR_INVALID_HANDLE);
	assert_int_equal(PssxWriteElfCore(snapshot, -1, NULL, NULL), ERROR_INVALID_PARAMETER);
	assert_int_equal(GetLastError(), 4711);
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(snapshot);
	assert_int_equal(GetLastError(), 4711);
}

static void texts_name_the_thing_the_cause_and_the_cure(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE), copy;
	HANDLE gone = OpenProcess(PROCESS_ALL_ACCESS, FALSE, 0x7ffffff0);

	(void)state;
	assert_null(gone);
	assert_non_null(strstr(PssxErrorText(), "2147483632"));
	assert_int_equal(PssCaptureSnapshot(gone, PSS_CAPTURE_NONE, 0, &copy),
			 ERROR_INVALID_HANDLE);
	assert_non_null(strstr(PssxErrorText(), "process handle is NULL"));
	assert_non_null(strstr(PssxErrorText(), "OpenProcess"));
	assert_int_equal(
		PssCaptureSnapshot((HANDLE)(intptr_t)target->answers, PSS_CAPTURE_NONE, 0, &copy),
		ERROR_INVALID_HANDLE);
	assert_non_null(strstr(PssxErrorText(), "not that of a process"));
	assert_int_equal(PssQuerySnapshot(NULL, PSS_QUERY_PROCESS_INFORMATION, NULL, 0),
			 ERROR_INVALID_HANDLE);
	assert_non_null(strstr(PssxErrorText(), "the handle is NULL"));
	assert_int_equal(PssQuerySnapshot(snapshot, PSS_QUERY_THREAD_INFORMATION, NULL,
					  sizeof(PSS_THREAD_INFORMATION)),
			 ERROR_NOT_FOUND);
	assert_non_null(strstr(PssxErrorText(), "capture flag"));
	assert_int_equal(PssxWriteElfCore(snapshot, -1, NULL, NULL), ERROR_INVALID_PARAMETER);
	assert_non_null(strstr(PssxErrorText(), "-1"));
	assert_int_equal(PssxWriteElfCore(snapshot, 999, NULL, NULL), ERROR_INVALID_PARAMETER);
	assert_non_null(strstr(PssxErrorText(), "999"));
	// Open, but only for reading.
	assert_int_equal(PssxWriteElfCore(snapshot, target->answers, NULL, NULL),
			 ERROR_INVALID_PARAMETER);
	assert_non_null(strstr(PssxErrorText(), "not open for writing"));
	harness_free_snapshot(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_error_is_the_threads_own),
		cmocka_unit_test(success_and_the_pss_functions_leave_the_last_error_alone),
		cmocka_unit_test(texts_name_the_thing_the_cause_and_the_cure),
	};

	harness_begin("test_last_error");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
