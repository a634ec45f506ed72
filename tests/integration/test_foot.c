// SPDX-License-Identifier: LGPL-2.1-or-later
// While all threads stand, the foot of [stack] is looked at once, however many threads are asked
// whether their calls could be made there: a look reads the page map and 32 KiB of memory.
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"

static unsigned looks; // the helper that looks shares our memory

int __wrap_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_openat64(int dir_fd, const char *path, int flags, ...);

// Only who looks at the foot opens the page map of one thread by that thread's number.
static int open_and_count(int dir_fd, const char *path, int flags, unsigned mode)
{
	const char *last = strrchr(path, '/');

	if (strncmp(path, "task/", 5) == 0 && last && strcmp(last, "/pagemap") == 0)
		__atomic_add_fetch(&looks, 1, __ATOMIC_RELAXED);
	return (int)syscall(SYS_openat, dir_fd, path, flags, mode);
}

int __wrap_openat(int dir_fd, const char *path, int flags, ...)
{
	va_list rest;

	va_start(rest, flags);
	unsigned mode = va_arg(rest, unsigned);
	va_end(rest);
	return open_and_count(dir_fd, path, flags, mode);
}

int __wrap_openat64(int dir_fd, const char *path, int flags, ...)
{
	va_list rest;

	va_start(rest, flags);
	unsigned mode = va_arg(rest, unsigned);
	va_end(rest);
	return open_and_count(dir_fd, path, flags, mode);
}

static void the_foot_is_looked_at_once(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_gone", NULL);

	(void)state;
	looks = 0;
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
							PSS_CAPTURE_THREAD_CONTEXT);
	assert_int_equal(looks, 1);
	harness_free_snapshot(snapshot);
}

static void nor_at_all_where_the_leader_is_on_its_stack(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);

	(void)state;
	looks = 0;
	harness_free_snapshot(harness_capture(target, PSS_CAPTURE_VA_CLONE));
	assert_int_equal(looks, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_foot_is_looked_at_once),
		cmocka_unit_test(nor_at_all_where_the_leader_is_on_its_stack),
	};

	harness_begin("test_foot");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
