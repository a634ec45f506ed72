// SPDX-License-Identifier: LGPL-2.1-or-later
// PssxCaptureSnapshot: what it makes of its options. Captures facts of this process alone, for
// which nothing is stopped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <procsnap.h>

#define UNTOUCHED ((HPSS)(intptr_t)0x5a5a)

static DWORD capture(const PSSX_CAPTURE_OPTIONS *options, HPSS *snapshot)
{
	*snapshot = UNTOUCHED;
	return PssxCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_NONE, 0, options, snapshot);
}

static void assert_captured(const PSSX_CAPTURE_OPTIONS *options)
{
	PSSX_PROCESS process = { .Size = sizeof process };
	HPSS snapshot;

	assert_int_equal(capture(options, &snapshot), ERROR_SUCCESS);
	assert_int_equal(PssxQueryProcess(snapshot, &process), ERROR_SUCCESS);
	assert_int_equal(process.Pid, getpid());
	assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), snapshot), ERROR_SUCCESS);
}

static void assert_refused(const PSSX_CAPTURE_OPTIONS *options, DWORD expected)
{
	HPSS snapshot;

	assert_int_equal(capture(options, &snapshot), expected);
	assert_ptr_equal(snapshot, UNTOUCHED);
	assert_true(PssxErrorText()[0] != '\0');
}

static void test_no_options_and_options_of_zeroes_are_a_plain_capture(void **state)
{
	PSSX_CAPTURE_OPTIONS options = { .Size = sizeof options };

	(void)state;
	assert_captured(NULL);
	assert_captured(&options);
}

static void test_a_size_of_an_earlier_release_is_taken_and_the_rest_is_zero(void **state)
{
	PSSX_CAPTURE_OPTIONS options;

	(void)state;
	// What lies beyond the size would be refused if it were looked at.
	for (uint32_t size = 8; size < sizeof options; size += 8) {
		memset(&options, 0xff, sizeof options);
		memset(&options, 0, size);
		options.Size = size;
		assert_captured(&options);
	}
}

static void test_any_other_size_is_bad_length(void **state)
{
	PSSX_CAPTURE_OPTIONS options = { 0 };
	const uint32_t sizes[] = { 0, 4, 7, 9, 12, 31, 33, 40, UINT32_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		options.Size = sizes[i];
		assert_refused(&options, ERROR_BAD_LENGTH);
	}
}

static void test_unknown_flags_and_what_is_reserved_are_invalid_parameter(void **state)
{
	const PSSX_CAPTURE_OPTIONS flags = { .Size = sizeof flags, .Flags = 0x80000000 };
	const PSSX_CAPTURE_OPTIONS reserved = { .Size = sizeof reserved, .Reserved = 1 };

	(void)state;
	assert_refused(&flags, ERROR_INVALID_PARAMETER);
	assert_refused(&reserved, ERROR_INVALID_PARAMETER);
}

static void test_other_arguments_are_checked_as_without_options(void **state)
{
	PSSX_CAPTURE_OPTIONS bad = { .Size = 1 };
	HPSS snapshot = UNTOUCHED;

	(void)state;
	assert_int_equal(PssxCaptureSnapshot(NULL, PSS_CAPTURE_NONE, 0, &bad, &snapshot),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssxCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_RESERVED_00000002, 0,
					     &bad, &snapshot),
			 ERROR_INVALID_PARAMETER);
	assert_int_equal(PssxCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_NONE, 0, NULL, NULL),
			 ERROR_INVALID_PARAMETER);
	assert_ptr_equal(snapshot, UNTOUCHED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_options_and_options_of_zeroes_are_a_plain_capture),
		cmocka_unit_test(test_a_size_of_an_earlier_release_is_taken_and_the_rest_is_zero),
		cmocka_unit_test(test_any_other_size_is_bad_length),
		cmocka_unit_test(test_unknown_flags_and_what_is_reserved_are_invalid_parameter),
		cmocka_unit_test(test_other_arguments_are_checked_as_without_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
