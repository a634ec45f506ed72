// SPDX-License-Identifier: LGPL-2.1-or-later
// The tables from -errno to Win32 codes, and from those to words.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <procsnap.h>

#include "win32_error.h"

static void test_success_is_zero(void **state)
{
	(void)state;
	assert_int_equal(pss_win32_error(0), ERROR_SUCCESS);
}

static void test_results_of_checks(void **state)
{
	(void)state;
	assert_int_equal(pss_win32_error(-EINVAL), ERROR_INVALID_PARAMETER);
	assert_int_equal(pss_win32_error(-EMSGSIZE), ERROR_BAD_LENGTH);
	assert_int_equal(pss_win32_error(-ENODATA), ERROR_NO_MORE_ITEMS);
	assert_int_equal(pss_win32_error(-ENOENT), ERROR_NOT_FOUND);
	assert_int_equal(pss_win32_error(-EBADF), ERROR_INVALID_HANDLE);
	assert_int_equal(pss_win32_error(-EBADMSG), ERROR_INVALID_HANDLE);
}

static void test_target_and_machine(void **state)
{
	(void)state;
	assert_int_equal(pss_win32_error(-EPERM), ERROR_ACCESS_DENIED);
	assert_int_equal(pss_win32_error(-EACCES), ERROR_ACCESS_DENIED);
	assert_int_equal(pss_win32_error(-ESRCH), ERROR_INVALID_PARAMETER);
	assert_int_equal(pss_win32_error(-ENOMEM), ERROR_NOT_ENOUGH_MEMORY);
	assert_int_equal(pss_win32_error(-EOPNOTSUPP), ERROR_NOT_SUPPORTED);
	assert_int_equal(pss_win32_error(-EFAULT), ERROR_PARTIAL_COPY);
	assert_int_equal(pss_win32_error(-ETIMEDOUT), ERROR_TIMEOUT);
	assert_int_equal(pss_win32_error(-ETIME), ERROR_TIMEOUT);
	assert_int_equal(pss_win32_error(-EDQUOT), ERROR_NOT_ENOUGH_QUOTA);
	assert_int_equal(pss_win32_error(-EMFILE), ERROR_TOO_MANY_OPEN_FILES);
}

static void test_files(void **state)
{
	(void)state;
	assert_int_equal(pss_win32_error(-ENOSPC), ERROR_DISK_FULL);
	assert_int_equal(pss_win32_error(-EPIPE), ERROR_BROKEN_PIPE);
	assert_int_equal(pss_win32_error(-EEXIST), ERROR_FILE_EXISTS);
	assert_int_equal(pss_win32_error(-ECANCELED), ERROR_CANCELLED);
}

static void test_a_failure_never_becomes_success(void **state)
{
	(void)state;
	for (int error = 1; error < 4096; error++)
		assert_int_not_equal(pss_win32_error(-error), ERROR_SUCCESS);
	assert_int_equal(pss_win32_error(-4000), ERROR_INTERNAL_ERROR);
	assert_int_equal(pss_win32_error(INT32_MIN + 1), ERROR_INTERNAL_ERROR);
}

// The codes of win32.h, with their numbers.
static void test_every_code_of_ours_has_a_text(void **state)
{
	FILE *values = fopen("../data/values.tsv", "re");
	unsigned long codes = 0;
	char line[256];

	(void)state;
	assert_non_null(values);
	while (fgets(line, sizeof line, values)) {
		if (strncmp(line, "ERROR_", 6) != 0)
			continue;
		unsigned long code = strtoul(strchr(line, '\t') + 1, NULL, 16);
		const char *text = pss_win32_error_text((uint32_t)code);

		if (strcmp(text, "unknown error code") == 0)
			fail_msg("no text for %s", line);
		assert_true(strlen(text) > 4);
		codes++;
	}
	assert_true(codes > 30);
	assert_int_equal(fclose(values), 0);
}

static void test_every_code_of_the_table_has_a_text(void **state)
{
	(void)state;
	for (int error = 0; error < 4096; error++)
		assert_string_not_equal(pss_win32_error_text(pss_win32_error(-error)),
					"unknown error code");
}

static void test_texts(void **state)
{
	(void)state;
	assert_string_equal(pss_win32_error_text(ERROR_ACCESS_DENIED), "access is denied");
	// HRESULTs, as MiniDumpWriteDump leaves them.
	assert_ptr_equal(pss_win32_error_text(0x80070005),
			 pss_win32_error_text(ERROR_ACCESS_DENIED));
	assert_ptr_equal(pss_win32_error_text(0x8007012B),
			 pss_win32_error_text(ERROR_PARTIAL_COPY));
	assert_string_equal(pss_win32_error_text(0x80004001), "not implemented");
	assert_string_equal(pss_win32_error_text(0x80080005), "unknown error code");
	assert_string_equal(pss_win32_error_text(UINT32_MAX), "unknown error code");
	assert_ptr_equal(PssxErrorMessage(ERROR_BUSY), pss_win32_error_text(ERROR_BUSY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success_is_zero),
		cmocka_unit_test(test_results_of_checks),
		cmocka_unit_test(test_target_and_machine),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_a_failure_never_becomes_success),
		cmocka_unit_test(test_every_code_of_ours_has_a_text),
		cmocka_unit_test(test_every_code_of_the_table_has_a_text),
		cmocka_unit_test(test_texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
