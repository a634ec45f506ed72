// SPDX-License-Identifier: LGPL-2.1-or-later
// What a minidump makes of a section that somebody made up, and of a process that is strange: how
// much memory it takes of ours, what a name may be, and an environment that cannot be found.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture_minidump.h"
#include "minidump_streams.h"

// Objects that all say that they have the same name, which the section holds once.
static void add_objects(struct core_fixture *fixture, uint32_t count, size_t name_size)
{
	struct pss_bytes_ref name;
	char *bytes = malloc(name_size);

	assert_non_null(bytes);
	memset(bytes, 'a', name_size);
	assert_int_equal(pss_section_add_bytes(&fixture->builder, bytes, name_size, &name), 0);
	free(bytes);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t start = GIB + (uint64_t)i * 2 * PAGE;
		const struct pss_region_record region = {
			.start = start,
			.end = start + PAGE,
			.protection = PSS_REGION_READ,
			.kind = PSS_REGION_IMAGE,
			.content = PSS_CONTENT_POINT_IN_TIME,
			.allocation_base = start,
			.path = name,
			.build_id = { .offset = 0, .size = 20 },
		};

		assert_int_equal(pss_section_add(&fixture->builder, PSS_PART_REGIONS, &region,
						 sizeof region),
				 0);
	}
}

static void test_a_name_is_cut_to_what_a_path_may_be(void **state)
{
	enum { COUNT = 1000 };
	struct core_fixture fixture;
	struct pss_minidump_result result;
	char name[8192];

	(void)state;
	core_setup(&fixture, MIB);
	add_objects(&fixture, COUNT, MIB);
	core_seal(&fixture);
	struct minidump dump = minidump_write(&fixture, MiniDumpNormal, &result);
	assert_int_equal(minidump_module_count(&dump), COUNT);
	minidump_text(&dump, minidump_module(&dump, COUNT - 1)->ModuleNameRva, name, sizeof name);
	assert_int_equal(strlen(name), 4096);
	minidump_forget(&dump);
	core_teardown(&fixture);
}

static void test_a_cut_name_ends_with_a_whole_character(void **state)
{
	_cleanup_minidump_layout_ struct pss_minidump_layout layout = PSS_MINIDUMP_LAYOUT_EMPTY;
	char text[PSS_MINIDUMP_TEXT_MOST + 2];
	uint32_t length;

	(void)state;
	memset(text, 'a', sizeof text);
	memcpy(text + PSS_MINIDUMP_TEXT_MOST - 2, "\xe2\x82\xac", 3); // one that does not fit
	RVA at = pss_minidump_layout_put_text(&layout, text, sizeof text);
	memcpy(&length, layout.bytes.data + at, sizeof length);
	assert_int_equal(length, (PSS_MINIDUMP_TEXT_MOST - 2) * sizeof(WCHAR));
}

static void test_a_section_is_refused_before_its_tables_are_many_times_as_large(void **state)
{
	enum { COUNT = 60000 };
	struct core_fixture fixture;
	struct pss_minidump_result result;
	_cleanup_close_ int fd = core_temporary_file();

	(void)state;
	core_setup(&fixture, MIB);
	add_objects(&fixture, COUNT, PATH_MAX);
	core_seal(&fixture);
	assert_true(fixture.section.size < 8 * MIB);
	// The tables, at most 8 times the section and 16 MiB, and what doubling them takes.
	struct rlimit before = minidump_allow_only(400 * MIB);
	int r = minidump_write_to(&fixture, fd, MiniDumpNormal, &result);
	minidump_allow_again(&before);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	core_teardown(&fixture);
}

// Nothing of a true snapshot takes more tables for what it says.
static void test_threads_without_registers_are_not_too_much_whatever_their_number(void **state)
{
	enum { COUNT = 30000 };
	struct core_fixture fixture;
	struct pss_minidump_result result;
	struct pss_bytes_ref name;

	(void)state;
	core_setup(&fixture, MIB);
	minidump_add_region(&fixture, 0, MIB);
	assert_int_equal(pss_section_add_bytes(&fixture.builder, "fifteen letters", 15, &name), 0);
	for (int i = 0; i < COUNT; i++) {
		const struct pss_thread_record thread = { .tid = PID + i, .name = name };

		assert_int_equal(
			pss_section_add(&fixture.builder, PSS_PART_THREADS, &thread, sizeof thread),
			0);
	}
	core_seal(&fixture);
	struct minidump dump = minidump_write(&fixture, MiniDumpWithThreadInfo, &result);
	assert_int_equal(minidump_thread_count(&dump), COUNT);
	minidump_forget(&dump);
	core_teardown(&fixture);
}

static void test_a_name_in_status_is_one_line_as_the_kernel_writes_it(void **state)
{
	static const char expected[] = "Name:\ta\\nTracerPid:\t7\\\\\nState:\tS\n";
	struct core_fixture fixture;
	struct pss_minidump_result result;
	uint32_t size = 0;

	(void)state;
	core_setup(&fixture, MIB);
	fixture.comm = "a\nTracerPid:\t7\\";
	minidump_add_region(&fixture, 0, MIB);
	core_seal(&fixture);
	struct minidump dump = minidump_write(&fixture, MiniDumpNormal, &result);
	const char *text = minidump_stream(&dump, PSS_MINIDUMP_LINUX_PROC_STATUS, &size);
	assert_non_null(text);
	assert_true(size > sizeof expected);
	assert_memory_equal(text, expected, sizeof expected - 1);
	minidump_forget(&dump);
	core_teardown(&fixture);
}

// A folder like that of a process, whose `stat` says of the environment what it says to those who
// may not see addresses.
static void hide_places(struct core_fixture *fixture, char folder[])
{
	static const char zeroes[] = " 0 0 0 0 0 0 0 0 0 0";
	_cleanup_close_ int fd = -EBADF;

	assert_non_null(mkdtemp(folder));
	pss_close(fixture->memory.dir_fd);
	fixture->memory.dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fixture->memory.dir_fd >= 0);
	fd = openat(fixture->memory.dir_fd, "stat", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "4711 (target) S", 15), 15);
	for (int i = 0; i < 5; i++)
		assert_int_equal(write(fd, zeroes, sizeof zeroes - 1), sizeof zeroes - 1);
}

static void remove_folder(const char *folder)
{
	char path[64];

	assert_true(snprintf(path, sizeof path, "%s/stat", folder) < (int)sizeof path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

static void test_no_dump_where_the_environment_cannot_be_found_and_is_not_wanted(void **state)
{
	char folder[] = "/tmp/test_minidump_XXXXXX";
	struct core_fixture fixture;
	struct pss_minidump_result result;
	_cleanup_close_ int fd = core_temporary_file();

	(void)state;
	core_setup(&fixture, MIB);
	memset(fixture.area, 1, MIB);
	minidump_add_region(&fixture, 0, MIB);
	minidump_add_thread(&fixture, PID, core_address(&fixture, MIB / 2));
	core_seal(&fixture);
	hide_places(&fixture, folder);
	assert_int_equal(minidump_write_to(&fixture, fd, MiniDumpNormal, &result), -EACCES);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	// Who wants all of the memory wants this, too.
	assert_int_equal(minidump_write_to(&fixture, fd, MiniDumpWithFullMemory, &result), 0);
	remove_folder(folder);
	core_teardown(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_is_cut_to_what_a_path_may_be),
		cmocka_unit_test(test_a_cut_name_ends_with_a_whole_character),
		cmocka_unit_test(
			test_a_section_is_refused_before_its_tables_are_many_times_as_large),
		cmocka_unit_test(
			test_threads_without_registers_are_not_too_much_whatever_their_number),
		cmocka_unit_test(test_a_name_in_status_is_one_line_as_the_kernel_writes_it),
		cmocka_unit_test(
			test_no_dump_where_the_environment_cannot_be_found_and_is_not_wanted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
