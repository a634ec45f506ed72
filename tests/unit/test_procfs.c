// SPDX-License-Identifier: LGPL-2.1-or-later
// The parsers of procfs.h on texts as kernels write them, as programs can make kernels write them,
// and cut off. Each text is copied into memory of exactly its size, so that a sanitizer sees
// over-reads.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "procfs.h"
#include "section_format.h"

static void free_ptr(char **text)
{
	free(*text);
}

// Not terminated, and with nothing readable behind it.
static char *exact(const char *text, size_t size)
{
	char *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, text, size);
	return copy;
}

#define _cleanup_text_ _cleanup_(free_ptr)

static int parse_stat(const char *text, struct pss_procfs_stat *ret)
{
	_cleanup_text_ char *copy = exact(text, strlen(text));

	return pss_procfs_parse_stat(copy, strlen(text), ret);
}

static int parse_status(const char *text, struct pss_procfs_status *ret)
{
	_cleanup_text_ char *copy = exact(text, strlen(text));

	return pss_procfs_parse_status(copy, strlen(text), ret);
}

#define STAT_TAIL                                                                                  \
	" S 1 2 3 34816 -1 4194304 101 202 303 404 11 12 13 14 20 -5 7 0 987654 10000000 500 "     \
	"18446744073709551615 94000000000000 94000000001000 140700000000000 0 0 0 0 4096 "         \
	"134433281 "                                                                               \
	"1 0 0 17 3 50 1 0 0 0 94000000002000 94000000003000 94000000004000 140700000001000 "      \
	"140700000002000 140700000003000 140700000004000 256"

static void check_stat_tail(const struct pss_procfs_stat *stat)
{
	assert_int_equal(stat->state, 'S');
	assert_int_equal(stat->parent_pid, 1);
	assert_int_equal(stat->process_group, 2);
	assert_int_equal(stat->session, 3);
	assert_int_equal(stat->minor_faults, 101);
	assert_int_equal(stat->major_faults, 303);
	assert_int_equal(stat->user_ticks, 11);
	assert_int_equal(stat->kernel_ticks, 12);
	assert_int_equal(stat->nice, -5);
	assert_int_equal(stat->thread_count, 7);
	assert_int_equal(stat->start_ticks, 987654);
	assert_int_equal(stat->exit_signal, 17);
	assert_int_equal(stat->rt_priority, 50);
	assert_int_equal(stat->policy, 1);
	assert_int_equal(stat->exit_code, 256);
}

static void stat_fields_are_found(void **state)
{
	struct pss_procfs_stat stat;

	(void)state;
	assert_int_equal(parse_stat("4711 (cat)" STAT_TAIL "\n", &stat), 0);
	assert_int_equal(stat.pid, 4711);
	assert_int_equal(stat.comm_size, 3);
	assert_memory_equal(stat.comm, "cat", 3);
	check_stat_tail(&stat);
}

static void stat_of_any_comm(void **state)
{
	static const char *const names[] = {
		"",
		" ",
		")",
		"(",
		") (",
		") R 1 2 3 (",
		"a) S 1 1 1\n4 (b",
		"\n",
		"line\nline",
		"tab\tend ",
		"\xff\xfe\x80",
		"kworker/u16:3-events_unbound_with_a_long_name_of_64_bytes_or_so",
	};

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char text[1024];
		struct pss_procfs_stat stat;

		snprintf(text, sizeof text, "1 (%s)%s\n", names[i], STAT_TAIL);
		assert_int_equal(parse_stat(text, &stat), 0);
		assert_int_equal(stat.comm_size, strlen(names[i]));
		assert_memory_equal(stat.comm, names[i], strlen(names[i]));
		check_stat_tail(&stat);
	}
}

static void stat_comm_too_long_is_cut(void **state)
{
	char text[1024];
	char name[101];
	struct pss_procfs_stat stat;

	(void)state;
	memset(name, 'n', 100);
	name[100] = '\0';
	snprintf(text, sizeof text, "1 (%s)%s\n", name, STAT_TAIL);
	assert_int_equal(parse_stat(text, &stat), 0);
	assert_int_equal(stat.comm_size, sizeof stat.comm);
	check_stat_tail(&stat);
}

static void stat_with_more_or_fewer_fields(void **state)
{
	struct pss_procfs_stat stat;
	char text[] = "4711 (cat)" STAT_TAIL;

	(void)state;
	assert_int_equal(parse_stat("4711 (cat)" STAT_TAIL " 1 two 3\n", &stat), 0);
	check_stat_tail(&stat);

	// Without the last field, as Linux before 3.5.
	*strrchr(text, ' ') = '\0';
	assert_int_equal(parse_stat(text, &stat), 0);
	assert_int_equal(stat.exit_code, 0);
	assert_int_equal(stat.policy, 1);
}

static void stat_cut_off_anywhere(void **state)
{
	const char text[] = "4711 (a) (b)" STAT_TAIL;
	const char *policy = strstr(text, " 17 3 50 1") + strlen(" 17 3 50 1");

	(void)state;
	for (size_t size = 0; size < sizeof text - 1; size++) {
		_cleanup_text_ char *copy = exact(text, size);
		struct pss_procfs_stat stat = { .pid = -7 };
		int r = pss_procfs_parse_stat(copy, size, &stat);

		if (text + size < policy) {
			assert_int_equal(r, -EBADMSG);
			assert_int_equal(stat.pid, -7);
		} else {
			assert_int_equal(r, 0);
		}
	}
}

static void stat_that_is_none(void **state)
{
	struct pss_procfs_stat stat;

	(void)state;
	assert_int_equal(parse_stat("", &stat), -EBADMSG);
	assert_int_equal(parse_stat("\n", &stat), -EBADMSG);
	assert_int_equal(parse_stat("x (cat)" STAT_TAIL, &stat), -EBADMSG);
	assert_int_equal(parse_stat("1 cat" STAT_TAIL, &stat), -EBADMSG);
	assert_int_equal(parse_stat("4294967297 (cat)" STAT_TAIL, &stat), -EBADMSG);
	assert_int_equal(parse_stat("1 (cat) SS 1 2 3", &stat), -EBADMSG);
	// A number of a field we want that no 64 bits hold.
	assert_int_equal(parse_stat("1 (c) S 1 2 3 4 5 6 18446744073709551616 8 9", &stat),
			 -EBADMSG);
	assert_int_equal(parse_stat("1 (c) S 1 2 3 4 5 6 7x 8 9", &stat), -EBADMSG);
}

static void status_fields_are_found(void **state)
{
	struct pss_procfs_status status;

	(void)state;
	assert_int_equal(parse_status("Name:\tTgid:\\nVmPeak: 3 kB\n"
				      "Umask:\t0022\n"
				      "State:\tS (sleeping)\n"
				      "Tgid:\t4711\n"
				      "TracerPid:\t12\n"
				      "Uid:\t1000\t1001\t1002\t1003\n"
				      "Gid:\t100\t4294967295\t102\t103\n"
				      "FDSize:\t64\n"
				      "Groups:\t \n"
				      "NSpid:\t4711\t25\t1\n"
				      "VmPeak:\t  123456 kB\n"
				      "VmSize:\t   11111 kB\n"
				      "VmPin:\t       8 kB\n"
				      "VmHWM:\t   22222 kB\n"
				      "VmRSS:\t   33333 kB\n"
				      "RssAnon:\t     444 kB\n"
				      "VmPTE:\t      55 kB\n"
				      "VmSwap:\t       6 kB\n"
				      "SigPnd:\t0000000000000400\n"
				      "SigBlk:\tfffffffe7ffbfeff\n"
				      "SigIgn:\t0000000000001000\n"
				      "SigCgt:\t0000000180014a07\n"
				      "CapEff:\t000001ffffffffff\n"
				      "Seccomp:\t2\n"
				      "Something_new:\t???\n",
				      &status),
			 0);
	assert_int_equal(status.thread_group_id, 4711);
	assert_int_equal(status.tracer_pid, 12);
	assert_int_equal(status.uid, 1001);
	assert_int_equal(status.gid, UINT32_MAX);
	assert_int_equal(status.innermost_pid, 1);
	assert_int_equal(status.vm_peak, 123456 * 1024);
	assert_int_equal(status.vm_size, 11111 * 1024);
	assert_int_equal(status.vm_pin, 8 * 1024);
	assert_int_equal(status.vm_hwm, 22222 * 1024);
	assert_int_equal(status.vm_rss, 33333 * 1024);
	assert_int_equal(status.rss_anon, 444 * 1024);
	assert_int_equal(status.vm_pte, 55 * 1024);
	assert_int_equal(status.vm_swap, 6 * 1024);
	assert_int_equal(status.signals_pending, 0x400);
	assert_true(status.signals_blocked == 0xfffffffe7ffbfeff);
	assert_int_equal(status.signals_ignored, 0x1000);
	assert_int_equal(status.signals_caught, 0x180014a07);
	assert_int_equal(status.capabilities_effective, 0x1ffffffffff);
	assert_int_equal(status.seccomp_mode, 2);
}

static void status_lines_may_be_missing(void **state)
{
	struct pss_procfs_status status;

	(void)state;
	assert_int_equal(parse_status("Name:\tkthreadd\nTgid:\t2\n", &status), 0);
	assert_int_equal(status.thread_group_id, 2);
	assert_int_equal(status.vm_rss, 0);
	assert_int_equal(status.innermost_pid, 0);
}

static void status_that_is_none(void **state)
{
	struct pss_procfs_status status = { .thread_group_id = -7 };

	(void)state;
	assert_int_equal(parse_status("", &status), -EBADMSG);
	assert_int_equal(parse_status("Name:\tx\n", &status), -EBADMSG);
	assert_int_equal(parse_status("Tgid:\t1", &status), -EBADMSG);
	assert_int_equal(parse_status("Tgid:\tone\n", &status), -EBADMSG);
	assert_int_equal(parse_status("Tgid:\t1\nUid:\t1000\n", &status), -EBADMSG);
	assert_int_equal(parse_status("Tgid:\t1\nNSpid:\t\n", &status), -EBADMSG);
	assert_int_equal(parse_status("Tgid:\t1\nVmRSS:\t18446744073709551615 kB\n", &status),
			 -EBADMSG);
	assert_int_equal(status.thread_group_id, -7);
}

static void maps_line_by_line(void **state)
{
	static const char text[] =
		"00400000-00452000 r-xp 00001000 fd:1a 173521      /usr/bin/a b  (deleted)\n"
		"7f0000000000-7f0000021000 rw-p 00000000 00:00 0 \n"
		"7f1000000000-7f1000001000 -w-s 3fffff000 00:05 1026   /dev/zero\\012x\\040y "
		"(deleted)\n"
		"7ffc1000-7ffc2000 ---p 00000000 00:00 0    [stack]\n"
		"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  "
		"[vsyscall]\n";
	_cleanup_text_ char *copy = exact(text, sizeof text - 1);
	struct pss_text cursor = { copy, sizeof text - 1 };
	struct pss_procfs_map map;
	char path[64];

	(void)state;
	assert_int_equal(pss_procfs_next_map(&cursor, &map), 0);
	assert_int_equal(map.start, 0x400000);
	assert_int_equal(map.end, 0x452000);
	assert_int_equal(map.offset, 0x1000);
	assert_int_equal(map.inode, 173521);
	assert_int_equal(map.device_major, 0xfd);
	assert_int_equal(map.device_minor, 0x1a);
	assert_int_equal(map.protection, PSS_REGION_READ | PSS_REGION_EXECUTE);
	assert_false(map.is_shared);
	assert_false(map.has_vm_flags);
	assert_false(map.has_resident);
	assert_int_equal(map.path.size, strlen("/usr/bin/a b  (deleted)"));
	assert_memory_equal(map.path.data, "/usr/bin/a b  (deleted)", map.path.size);

	assert_int_equal(pss_procfs_next_map(&cursor, &map), 0);
	assert_int_equal(map.path.size, 0);
	assert_int_equal(map.protection, PSS_REGION_READ | PSS_REGION_WRITE);

	assert_int_equal(pss_procfs_next_map(&cursor, &map), 0);
	assert_true(map.is_shared);
	assert_int_equal(map.protection, PSS_REGION_WRITE);
	assert_true(map.offset == 0x3fffff000);
	size_t size = pss_procfs_unescape(map.path, path);
	assert_int_equal(size, strlen("/dev/zero\nx\\040y (deleted)"));
	assert_memory_equal(path, "/dev/zero\nx\\040y (deleted)", size);

	assert_int_equal(pss_procfs_next_map(&cursor, &map), 0);
	assert_int_equal(map.protection, 0);
	assert_int_equal(pss_procfs_next_map(&cursor, &map), 0);
	assert_true(map.start == 0xffffffffff600000);
	assert_int_equal(pss_procfs_next_map(&cursor, &map), -ENODATA);
}

static void maps_with_a_very_long_path(void **state)
{
	enum { LENGTH = 20000 };
	static char text[LENGTH + 100];
	int head = sprintf(text, "1000-2000 r--p 00000000 00:01 1 ");
	struct pss_text cursor = { text, head + LENGTH + 1 };
	struct pss_procfs_map map;

	(void)state;
	memset(text + head, '/', LENGTH);
	text[head + LENGTH] = '\n';
	assert_int_equal(pss_procfs_next_map(&cursor, &map), 0);
	assert_int_equal(map.path.size, LENGTH);
	assert_ptr_equal(map.path.data, text + head);
}

static void smaps_details_belong_to_their_mapping(void **state)
{
	static const char text[] = "1000-3000 rw-p 00000000 00:00 0 \n"
				   "Size:                  8 kB\n"
				   "Rss:                   4 kB\n"
				   "Swap:                  4 kB\n"
				   "SwapPss:             100 kB\n"
				   "THPeligible:           0\n"
				   "VmFlags: rd wr mr mw me dd wf sd \n"
				   "4000-5000 r--p 00000000 00:00 0 [vvar]\n"
				   "Rss:                   0 kB\n"
				   "Private_Hugetlb:    2048 kB\n"
				   "VmFlags: rd mr io pf de dc gd ht ss xx\n";
	struct pss_text cursor = { text, sizeof text - 1 };
	struct pss_procfs_map map;

	(void)state;
	assert_int_equal(pss_procfs_next_map(&cursor, &map), 0);
	assert_true(map.has_vm_flags && map.has_resident);
	assert_int_equal(map.resident_bytes, 8192);
	assert_int_equal(map.region_flags,
			 PSS_REGION_HAS_VM_FLAGS | PSS_REGION_DONT_DUMP | PSS_REGION_WIPE_ON_FORK);
	assert_int_equal(pss_procfs_next_map(&cursor, &map), 0);
	assert_int_equal(map.start, 0x4000);
	assert_int_equal(map.resident_bytes, 2048 * 1024);
	assert_int_equal(map.region_flags, PSS_REGION_HAS_VM_FLAGS | PSS_REGION_DEVICE |
						   PSS_REGION_DONT_FORK | PSS_REGION_GROWS_DOWN |
						   PSS_REGION_HUGETLB | PSS_REGION_SHADOW_STACK);
	assert_int_equal(pss_procfs_next_map(&cursor, &map), -ENODATA);
}

static void maps_that_are_none(void **state)
{
	static const char *const texts[] = {
		"\n",
		"1000-2000 r--p 00000000 00:00 0",    // no newline: cut off
		"2000-1000 r--p 00000000 00:00 0 \n", // backwards
		"1000-1000 r--p 00000000 00:00 0 \n", // empty
		"1000-2000 rw-x 00000000 00:00 0 \n", // neither shared nor private
		"1000-2000 wr-p 00000000 00:00 0 \n", // letters out of place
		"1000-2000 r-- 00000000 00:00 0 \n",
		"1000 2000 r--p 00000000 00:00 0 \n",
		"1000-2000 r--p 00000000 0000 0 \n",
		"1000-2000 r--p 00000000 100000000:00 0 \n",
		"1000-20000000000000000 r--p 00000000 00:00 0 \n", // more than 64 bits
		"1000-2000 r--p 00000000 00:00 0x \n",
		"1000-2000 r--p 00000000 00:00 18446744073709551616 \n",
		"1000-2000 r--p 00000000 00:00 0 \nRss: x kB\n",
		"1000-2000 r--p 00000000 00:00 0 \nRss: 4 kB",
		"Rss: 4 kB\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		_cleanup_text_ char *copy = exact(texts[i], strlen(texts[i]));
		struct pss_text cursor = { copy, strlen(texts[i]) };
		struct pss_procfs_map map;

		assert_int_equal(pss_procfs_next_map(&cursor, &map), -EBADMSG);
		assert_ptr_equal(cursor.data, copy);
	}
}

static int parse_syscall(const char *text, struct pss_procfs_syscall *ret)
{
	_cleanup_text_ char *copy = exact(text, strlen(text));

	return pss_procfs_parse_syscall(copy, strlen(text), ret);
}

static void syscall_in_its_three_forms(void **state)
{
	struct pss_procfs_syscall call;

	(void)state;
	assert_int_equal(parse_syscall("running\n", &call), 0);
	assert_true(call.is_running);

	assert_int_equal(parse_syscall("-1 0x7ffc0 0x401000\n", &call), 0);
	assert_false(call.is_running);
	assert_int_equal(call.number, -1);
	assert_int_equal(call.stack_pointer, 0x7ffc0);
	assert_int_equal(call.instruction_pointer, 0x401000);

	assert_int_equal(
		parse_syscall("232 0x1 0x2 0x3 0xffffffffffffffff 0x5 0x6 0x7 0x8\n", &call), 0);
	assert_int_equal(call.number, 232);
	assert_int_equal(call.arguments[0], 1);
	assert_true(call.arguments[3] == UINT64_MAX);
	assert_int_equal(call.arguments[5], 6);
	assert_int_equal(call.stack_pointer, 7);
	assert_int_equal(call.instruction_pointer, 8);
}

static void syscall_that_is_none(void **state)
{
	struct pss_procfs_syscall call = { .number = -7 };

	(void)state;
	assert_int_equal(parse_syscall("", &call), -EBADMSG);
	assert_int_equal(parse_syscall("runnin", &call), -EBADMSG);
	assert_int_equal(parse_syscall("232\n", &call), -EBADMSG);
	assert_int_equal(parse_syscall("232 0x1 0x2 0x3 0x4 0x5 0x6 0x7\n", &call), -EBADMSG);
	assert_int_equal(parse_syscall("232 1 2 3 4 5 6 7 8\n", &call), -EBADMSG);
	assert_int_equal(parse_syscall("-1 0x10000000000000000 0x1\n", &call), -EBADMSG);
	assert_int_equal(call.number, -7);
}

static void numbers(void **state)
{
	uint64_t value = 7;

	(void)state;
	assert_int_equal(pss_procfs_parse_schedstat("123456789 0 3\n", 14, &value), 0);
	assert_int_equal(value, 123456789);
	assert_int_equal(pss_procfs_parse_schedstat("", 0, &value), -EBADMSG);
	assert_int_equal(pss_procfs_parse_schedstat("12", 2, &value), -EBADMSG);

	assert_int_equal(pss_procfs_parse_number("00000033\n", 9, 16, &value), 0);
	assert_int_equal(value, 0x33);
	assert_int_equal(pss_procfs_parse_number("0x33", 4, 16, &value), 0);
	assert_int_equal(value, 0x33);
	assert_int_equal(pss_procfs_parse_number("33", 2, 0, &value), 0);
	assert_int_equal(value, 33);
	assert_int_equal(pss_procfs_parse_number("0x33", 4, 0, &value), 0);
	assert_int_equal(value, 0x33);
	assert_int_equal(pss_procfs_parse_number("3", 1, 10, &value), 0);
	assert_int_equal(value, 3);
	assert_int_equal(pss_procfs_parse_number("0x", 2, 0, &value), -EBADMSG);
	assert_int_equal(pss_procfs_parse_number("ff", 2, 10, &value), -EBADMSG);
	assert_int_equal(pss_procfs_parse_number("33 4", 4, 10, &value), -EBADMSG);
	assert_int_equal(pss_procfs_parse_number("-1", 2, 10, &value), -EBADMSG);
	assert_int_equal(pss_procfs_parse_number(NULL, 0, 10, &value), -EBADMSG);
	assert_int_equal(value, 3);
}

static void boot_time_line(void **state)
{
	const char text[] = "cpu  1 2 3\nintr 5 6 7\nctxt 99\nbtime 1700000000\nprocesses 4\n";
	uint64_t seconds = 0;

	(void)state;
	assert_int_equal(pss_procfs_parse_boot_time(text, sizeof text - 1, &seconds), 0);
	assert_int_equal(seconds, 1700000000);
	assert_int_equal(pss_procfs_parse_boot_time(text, 20, &seconds), -EBADMSG);
	assert_int_equal(pss_procfs_parse_boot_time("btime x\n", 8, &seconds), -EBADMSG);
}

static void fdinfo_pid_line(void **state)
{
	const char text[] =
		"pos:\t0\nflags:\t02000002\nmnt_id:\t15\nino:\t42\nPid:\t4711\nNSpid:\t1\n";
	int32_t pid = 0;

	(void)state;
	assert_int_equal(pss_procfs_parse_fdinfo_pid(text, sizeof text - 1, &pid), 0);
	assert_int_equal(pid, 4711);
	assert_int_equal(pss_procfs_parse_fdinfo_pid("Pid:\t-1\n", 8, &pid), 0);
	assert_int_equal(pid, -1);
	assert_int_equal(pss_procfs_parse_fdinfo_pid("Pid:\t0\n", 7, &pid), 0);
	assert_int_equal(pid, -1);
	assert_int_equal(pss_procfs_parse_fdinfo_pid("pos:\t0\n", 7, &pid), -EBADMSG);
	assert_int_equal(pss_procfs_parse_fdinfo_pid("Pid:\t99999999999\n", 17, &pid), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_fields_are_found),
		cmocka_unit_test(stat_of_any_comm),
		cmocka_unit_test(stat_comm_too_long_is_cut),
		cmocka_unit_test(stat_with_more_or_fewer_fields),
		cmocka_unit_test(stat_cut_off_anywhere),
		cmocka_unit_test(stat_that_is_none),
		cmocka_unit_test(status_fields_are_found),
		cmocka_unit_test(status_lines_may_be_missing),
		cmocka_unit_test(status_that_is_none),
		cmocka_unit_test(maps_line_by_line),
		cmocka_unit_test(maps_with_a_very_long_path),
		cmocka_unit_test(smaps_details_belong_to_their_mapping),
		cmocka_unit_test(maps_that_are_none),
		cmocka_unit_test(syscall_in_its_three_forms),
		cmocka_unit_test(syscall_that_is_none),
		cmocka_unit_test(numbers),
		cmocka_unit_test(boot_time_line),
		cmocka_unit_test(fdinfo_pid_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
