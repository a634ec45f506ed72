// SPDX-License-Identifier: LGPL-2.1-or-later
// Minidumps of sections made by hand: which memory goes where, positions of 32 bits at their limit,
// the sets of ranges, and the same bytes through a pipe.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture_minidump.h"
#include "minidump_layout.h"
#include "minidump_ranges.h"

#define GIB (UINT64_C(1) << 30)

static struct pss_memory_segment range(uint64_t start, uint64_t end, uint32_t region)
{
	return (struct pss_memory_segment){ .start = start, .end = end, .region = region };
}

static void add(struct pss_minidump_ranges *ranges, uint64_t start, uint64_t end, uint32_t region)
{
	const struct pss_memory_segment segment = range(start, end, region);

	assert_int_equal(pss_minidump_ranges_add(ranges, &segment), 0);
}

static void assert_range(const struct pss_minidump_ranges *ranges, uint32_t index, uint64_t start,
			 uint64_t end)
{
	assert_true(index < ranges->count);
	assert_int_equal(pss_minidump_ranges_at(ranges, index)->start, start);
	assert_int_equal(pss_minidump_ranges_at(ranges, index)->end, end);
}

static void test_ranges_are_sorted_and_joined_within_a_region(void **state)
{
	_cleanup_minidump_ranges_ struct pss_minidump_ranges ranges = PSS_MINIDUMP_RANGES_EMPTY;

	(void)state;
	add(&ranges, 90, 100, 2);
	add(&ranges, 10, 20, 0);
	add(&ranges, 50, 60, 1);
	add(&ranges, 15, 30, 0);
	add(&ranges, 60, 90, 2);
	add(&ranges, 12, 14, 0);
	pss_minidump_ranges_sort(&ranges);
	assert_int_equal(ranges.count, 3);
	assert_range(&ranges, 0, 10, 30);
	assert_range(&ranges, 1, 50, 60);
	assert_range(&ranges, 2, 60, 100);
	assert_ptr_equal(pss_minidump_ranges_find(&ranges, 59), pss_minidump_ranges_at(&ranges, 1));
	assert_null(pss_minidump_ranges_find(&ranges, 30));
	assert_null(pss_minidump_ranges_find(&ranges, 100));
}

// Against a table of which number is in and which is not.
static void test_ranges_subtract_like_sets(void **state)
{
	enum { SPAN = 64 };

	(void)state;
	srandom(1);
	for (int round = 0; round < 2000; round++) {
		_cleanup_minidump_ranges_ struct pss_minidump_ranges from =
			PSS_MINIDUMP_RANGES_EMPTY;
		_cleanup_minidump_ranges_ struct pss_minidump_ranges gone =
			PSS_MINIDUMP_RANGES_EMPTY;
		bool expected[SPAN] = { false }, found[SPAN] = { false };

		for (int i = 0; i < 6; i++) {
			uint64_t start = (uint64_t)random() % SPAN;
			uint64_t end = start + 1 + (uint64_t)random() % (SPAN - start);

			add(i % 2 ? &from : &gone, start, end < SPAN ? end : SPAN, 0);
		}
		pss_minidump_ranges_sort(&from);
		pss_minidump_ranges_sort(&gone);
		for (uint64_t at = 0; at < SPAN; at++)
			expected[at] = pss_minidump_ranges_find(&from, at) &&
				       !pss_minidump_ranges_find(&gone, at);
		assert_int_equal(pss_minidump_ranges_subtract(&from, &gone), 0);
		for (uint64_t at = 0; at < SPAN; at++)
			found[at] = pss_minidump_ranges_find(&from, at) != NULL;
		assert_memory_equal(found, expected, sizeof found);
	}
}

static void test_a_position_that_takes_more_than_32_bits_is_EFBIG_and_never_wraps(void **state)
{
	_cleanup_minidump_layout_ struct pss_minidump_layout layout = PSS_MINIDUMP_LAYOUT_EMPTY;
	const RVA relative = 0xfffff000;
	RVA value;

	(void)state;
	RVA at = pss_minidump_layout_put(&layout, &relative, sizeof relative);
	pss_minidump_layout_relocate(&layout, at);
	assert_int_equal(pss_minidump_layout_settle(&layout, 0x1000), -EFBIG);
	memcpy(&value, layout.bytes.data + at, sizeof value);
	assert_int_equal(value, relative);
	assert_int_equal(pss_minidump_layout_settle(&layout, 0xfff), 0);
	memcpy(&value, layout.bytes.data + at, sizeof value);
	assert_int_equal(value, 0xffffffff);
}

static void test_texts_are_UTF16_with_their_size_and_a_terminator(void **state)
{
	_cleanup_minidump_layout_ struct pss_minidump_layout layout = PSS_MINIDUMP_LAYOUT_EMPTY;
	static const char text[] = "a\xc3\xa4\xf0\x9f\x98\x80";
	static const uint8_t expected[] = { 8, 0,    0,    0,    'a',  0, 0xe4,
					    0, 0x3d, 0xd8, 0x00, 0xde, 0, 0 };

	(void)state;
	(void)pss_minidump_layout_put(&layout, "x", 1);
	RVA at = pss_minidump_layout_put_text(&layout, text, sizeof text - 1);
	assert_int_equal(at, 4);
	assert_int_equal(layout.bytes.size, at + sizeof expected);
	assert_memory_equal(layout.bytes.data + at, expected, sizeof expected);
}

// --- whole dumps

static void test_a_normal_dump_has_stacks_from_the_pointer_up_and_nothing_else(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;

	(void)state;
	core_setup(&fixture, 8 * MIB);
	memset(fixture.area, 1, 8 * MIB);
	minidump_add_region(&fixture, 0, 2 * MIB);
	minidump_add_region(&fixture, 4 * MIB, 6 * MIB);
	minidump_add_thread(&fixture, PID, core_address(&fixture, MIB + 1000));
	minidump_add_thread(&fixture, TID,
			    core_address(&fixture, 2 * MIB - 8)); // in the same mapping
	core_seal(&fixture);
	struct minidump dump = minidump_write(&fixture, MiniDumpNormal, &result);
	assert_int_equal(result.threads, 2);
	assert_int_equal(result.ranges, 1);
	minidump_assert_memory(&fixture, &dump, MIB, MIB);
	assert_false(minidump_has_byte(&fixture, &dump, MIB - 1));
	assert_false(minidump_has_byte(&fixture, &dump, 4 * MIB));
	assert_null(minidump_stream(&dump, Memory64ListStream, NULL));
	minidump_forget(&dump);
	core_teardown(&fixture);
}

static void test_pages_that_stacks_point_to_are_there_if_asked_for(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;

	(void)state;
	core_setup(&fixture, 8 * MIB);
	memset(fixture.area, 1, 8 * MIB);
	minidump_add_region(&fixture, 0, MIB);
	minidump_add_region(&fixture, 4 * MIB, 6 * MIB);
	minidump_add_thread(&fixture, PID, core_address(&fixture, MIB - 4096));
	uint64_t address = core_address(&fixture, 5 * MIB + 2000);
	memcpy(fixture.area + MIB - 512, &address, sizeof address);
	core_seal(&fixture);
	struct minidump dump =
		minidump_write(&fixture, MiniDumpWithIndirectlyReferencedMemory, &result);
	minidump_assert_memory(&fixture, &dump, 5 * MIB, PAGE);
	assert_false(minidump_has_byte(&fixture, &dump, 5 * MIB + PAGE));
	minidump_forget(&dump);
	core_teardown(&fixture);
}

static void test_memory_that_32_bits_cannot_place_goes_into_the_other_list(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;

	(void)state;
	core_setup(&fixture, 5 * GIB);
	// Gaps of less than a MiB are written as zeroes.
	for (uint64_t at = MIB; at < 5 * GIB; at += MIB - PAGE)
		fixture.area[at] = (uint8_t)(at / MIB + 1);
	memset(fixture.area, 7, MIB);
	minidump_add_region(&fixture, 0, MIB);
	minidump_add_region(&fixture, MIB, 5 * GIB);
	minidump_add_thread(&fixture, PID, core_address(&fixture, MIB - 8 * PAGE));
	core_seal(&fixture);
	struct minidump dump =
		minidump_write(&fixture, MiniDumpWithPrivateReadWriteMemory, &result);
	assert_non_null(minidump_stream(&dump, Memory64ListStream, NULL));
	assert_true(dump.size > 4 * GIB);
	const MINIDUMP_THREAD *thread = minidump_thread(&dump, 0);
	assert_int_equal(thread->Stack.Memory.DataSize, 9 * PAGE);
	assert_memory_equal(dump.bytes + thread->Stack.Memory.Rva, fixture.area + MIB - 9 * PAGE,
			    9 * PAGE);
	uint64_t last = MIB + (5 * GIB - 1 - MIB) / (MIB - PAGE) * (MIB - PAGE);
	minidump_assert_memory(&fixture, &dump, last, 1);
	minidump_forget(&dump);
	core_teardown(&fixture);
}

static void test_more_stacks_than_32_bits_can_place_are_refused(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;
	_cleanup_close_ int fd = core_temporary_file();

	(void)state;
	core_setup(&fixture, 4 * GIB);
	for (uint64_t i = 0; i < 200; i++) {
		minidump_add_region(&fixture, i * 20 * MIB, (i + 1) * 20 * MIB);
		minidump_add_thread(&fixture, (int)(PID + i), core_address(&fixture, i * 20 * MIB));
	}
	core_seal(&fixture);
	assert_int_equal(minidump_write_to(&fixture, fd, MiniDumpNormal, &result), -EFBIG);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0);
	core_teardown(&fixture);
}

static void test_an_object_ends_where_the_next_begins_whatever_its_file_says(void **state)
{
	static const uint32_t said[] = { 64 * MIB, 0, 3 * PAGE };
	struct core_fixture fixture;
	struct pss_minidump_result result;

	(void)state;
	core_setup(&fixture, 8 * MIB);
	for (uint64_t i = 0; i < 3; i++) {
		uint64_t start = core_address(&fixture, i * 16 * PAGE);

		core_add_region(&fixture,
				(struct pss_region_record){ .start = start,
							    .end = start + PAGE,
							    .kind = PSS_REGION_IMAGE,
							    .allocation_base = start,
							    .image_size = said[i],
							    .build_id = { .size = 20 } },
				"/usr/lib/object.so");
	}
	core_seal(&fixture);
	struct minidump dump = minidump_write(&fixture, MiniDumpNormal, &result);
	assert_int_equal(minidump_module_count(&dump), 3);
	assert_int_equal(minidump_module(&dump, 0)->SizeOfImage, 16 * PAGE);
	assert_int_equal(minidump_module(&dump, 1)->SizeOfImage, PAGE);
	assert_int_equal(minidump_module(&dump, 2)->SizeOfImage, 3 * PAGE);
	minidump_forget(&dump);
	core_teardown(&fixture);
}

struct drain {
	int fd;
	uint8_t *bytes;
	size_t size;
	size_t room;
};

static void *drain_pipe(void *context)
{
	struct drain *drain = context;
	ssize_t n;

	while ((n = read(drain->fd, drain->bytes + drain->size, drain->room - drain->size)) > 0)
		drain->size += (size_t)n;
	return NULL;
}

static void test_a_pipe_gets_the_same_bytes_as_a_file(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;
	struct drain drain = { .room = 64 * MIB };
	pthread_t reader;
	int ends[2];

	(void)state;
	core_setup_mixed(&fixture);
	struct minidump dump = minidump_write(&fixture, MiniDumpWithFullMemory, &result);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	drain.fd = ends[0];
	drain.bytes = malloc(drain.room);
	assert_non_null(drain.bytes);
	assert_int_equal(pthread_create(&reader, NULL, drain_pipe, &drain), 0);
	assert_int_equal(minidump_write_to(&fixture, ends[1], MiniDumpWithFullMemory, &result), 0);
	close(ends[1]);
	assert_int_equal(pthread_join(reader, NULL), 0);
	close(ends[0]);
	assert_int_equal(drain.size, dump.size);
	assert_memory_equal(drain.bytes, dump.bytes, dump.size);
	free(drain.bytes);
	minidump_forget(&dump);
	core_teardown(&fixture);
}

static void test_a_full_disk_is_an_error_and_so_is_a_section_without_mappings(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	core_setup_mixed(&fixture);
	assert_int_equal(minidump_write_to(&fixture, full, MiniDumpNormal, &result), -ENOSPC);
	core_teardown(&fixture);
	core_setup(&fixture, MIB);
	core_seal(&fixture);
	assert_int_equal(minidump_write_to(&fixture, full, MiniDumpNormal, &result), -ENOENT);
	core_teardown(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges_are_sorted_and_joined_within_a_region),
		cmocka_unit_test(test_ranges_subtract_like_sets),
		cmocka_unit_test(
			test_a_position_that_takes_more_than_32_bits_is_EFBIG_and_never_wraps),
		cmocka_unit_test(test_texts_are_UTF16_with_their_size_and_a_terminator),
		cmocka_unit_test(
			test_a_normal_dump_has_stacks_from_the_pointer_up_and_nothing_else),
		cmocka_unit_test(test_pages_that_stacks_point_to_are_there_if_asked_for),
		cmocka_unit_test(test_memory_that_32_bits_cannot_place_goes_into_the_other_list),
		cmocka_unit_test(test_more_stacks_than_32_bits_can_place_are_refused),
		cmocka_unit_test(test_an_object_ends_where_the_next_begins_whatever_its_file_says),
		cmocka_unit_test(test_a_pipe_gets_the_same_bytes_as_a_file),
		cmocka_unit_test(test_a_full_disk_is_an_error_and_so_is_a_section_without_mappings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
