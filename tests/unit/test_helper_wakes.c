// SPDX-License-Identifier: LGPL-2.1-or-later
// Both helpers where every wake of a futex fails: it costs time, and nobody hangs.
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "helper.h"

enum { SECONDS = 60, ROUNDS = 3 };

static int lost;

long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
	if (number == SYS_futex && b == FUTEX_WAKE) {
		lost++;
		errno = ENOSYS;
		return -1;
	}
	return __real_syscall(number, a, b, c, d, e, f);
}

static int count(void *context)
{
	(*(int *)context)++;
	return 42;
}

static void the_tracing_helper_does_its_work(void **state)
{
	int calls = 0, result = 0;

	(void)state;
	lost = 0;
	assert_int_equal(pss_helper_run(PSS_HELPER_PROCESS, count, &calls, NULL, &result), 0);
	assert_int_equal(result, 42);
	assert_int_equal(pss_helper_run(PSS_HELPER_THREAD, count, &calls, NULL, &result), 0);
	assert_int_equal(calls, 2);
	assert_true(lost >= 2);
}

static void the_helper_aside_starts_answers_and_ends(void **state)
{
	_cleanup_close_ int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pss_helper_aside aside = PSS_HELPER_ASIDE_EMPTY;
	int calls = 0, result = 0;

	(void)state;
	lost = 0;
	assert_int_equal(pss_helper_aside_start(folder, &aside), 0);
	for (int i = 1; i <= ROUNDS; i++) {
		assert_int_equal(
			pss_helper_aside_ask(&aside, count, &calls, SECONDS * 1000, &result), 0);
		assert_int_equal(result, 42);
		assert_int_equal(calls, i);
	}
	pss_helper_aside_end(&aside);
	assert_true(lost > ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tracing_helper_does_its_work),
		cmocka_unit_test(the_helper_aside_starts_answers_and_ends),
	};

	// Who waits for a wake alone waits for ever.
	(void)alarm(SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
