// SPDX-License-Identifier: LGPL-2.1-or-later
// The text of /proc/PID/cgroup, and which group lies within which.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cgroup.h"

static struct pss_text text(const char *string)
{
	return (struct pss_text){ string, strlen(string) };
}

static void assert_text(struct pss_text found, const char *expected)
{
	assert_int_equal(found.size, strlen(expected));
	assert_memory_equal(found.data, expected, found.size);
}

static void each_line_is_a_hierarchy(void **state)
{
	struct pss_text cursor =
		text("12:cpu,cpuacct:/a b\n1:name=systemd:/user.slice/c:d\n0::/\n");
	struct pss_cgroup group;

	(void)state;
	assert_int_equal(pss_cgroup_next(&cursor, &group), 0);
	assert_text(group.controllers, "cpu,cpuacct");
	assert_text(group.path, "/a b");
	assert_int_equal(pss_cgroup_next(&cursor, &group), 0);
	assert_text(group.controllers, "name=systemd");
	assert_text(group.path, "/user.slice/c:d");
	assert_int_equal(pss_cgroup_next(&cursor, &group), 0);
	assert_text(group.controllers, "");
	assert_text(group.path, "/");
	assert_int_equal(pss_cgroup_next(&cursor, &group), -ENODATA);
}

static void what_is_no_such_line_is_refused(void **state)
{
	static const char *const bad[] = { "0::/", "0:\n", "0::\n", "0::relative\n", "\n", "::\n" };
	struct pss_cgroup group;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct pss_text cursor = text(bad[i]);

		assert_int_equal(pss_cgroup_next(&cursor, &group), -EBADMSG);
	}
}

static void a_group_lies_within_those_above_it(void **state)
{
	(void)state;
	assert_true(pss_cgroup_is_within(text("/a/b"), text("/a")));
	assert_true(pss_cgroup_is_within(text("/a"), text("/a")));
	assert_true(pss_cgroup_is_within(text("/a"), text("/")));
	assert_false(pss_cgroup_is_within(text("/ab"), text("/a")));
	assert_false(pss_cgroup_is_within(text("/a"), text("/a/b")));
	assert_false(pss_cgroup_is_within(text("/"), text("/a")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_line_is_a_hierarchy),
		cmocka_unit_test(what_is_no_such_line_is_refused),
		cmocka_unit_test(a_group_lies_within_those_above_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
