// SPDX-License-Identifier: LGPL-2.1-or-later
// The table from -errno to Win32 codes.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <win32.h>

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success_is_zero),
		cmocka_unit_test(test_results_of_checks),
		cmocka_unit_test(test_target_and_machine),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_a_failure_never_becomes_success),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
