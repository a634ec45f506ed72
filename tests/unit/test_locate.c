// SPDX-License-Identifier: LGPL-2.1-or-later
// What lies at an address, from the records of a section: regions, the free ranges between them,
// the end of user space; and sections whose records are in no order, which must not hold a scan
// for ever.
#include "locate.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <elf.h>

#include "arch.h"

enum { PAGE = 4096 };

/** Opens a section with these regions; close it with pss_section_close(). */
static struct pss_section open_regions(const uint64_t (*bounds)[2], size_t count)
{
	_cleanup_section_builder_ struct pss_section_builder builder = PSS_SECTION_BUILDER_EMPTY;
	struct pss_process_record process = { .pid = 4711 };
	struct pss_section section;
	int fd;

	builder.machine = EM_X86_64;
	assert_int_equal(pss_section_add(&builder, PSS_PART_PROCESS, &process, sizeof process), 0);
	for (size_t i = 0; i < count; i++) {
		struct pss_region_record region = {
			.start = bounds[i][0],
			.end = bounds[i][1],
			.allocation_base = bounds[i][0],
			.protection = PSS_REGION_READ,
			.inode = i,
		};

		assert_int_equal(
			pss_section_add(&builder, PSS_PART_REGIONS, &region, sizeof region), 0);
	}
	assert_int_equal(pss_section_seal(&builder, NULL, &fd), 0);
	assert_int_equal(pss_section_open(fd, &section), 0);
	assert_int_equal(close(fd), 0);
	return section;
}

static const uint64_t ordinary[][2] = {
	{ 0x10000, 0x12000 },
	{ 0x12000, 0x15000 }, // the next one begins where this begins to end
	{ 0x7ff000000000, 0x7ff000004000 },
	{ 0xffffffffff600000, 0xffffffffff601000 }, // [vsyscall]
};

static void assert_mapped(const struct pss_section *section, uint64_t address, uint64_t index)
{
	struct pss_locate_place place;

	assert_int_equal(pss_locate_in_section(section, address, &place), 0);
	assert_true(place.is_mapped);
	assert_int_equal(place.region.inode, index);
	assert_int_equal(place.start, address & ~(uint64_t)(PAGE - 1));
	assert_int_equal(place.end, pss_section_region(section, (uint32_t)index)->end);
}

static void assert_free(const struct pss_section *section, uint64_t address, uint64_t end)
{
	struct pss_locate_place place;

	assert_int_equal(pss_locate_in_section(section, address, &place), 0);
	assert_false(place.is_mapped);
	assert_int_equal(place.start, address & ~(uint64_t)(PAGE - 1));
	assert_int_equal(place.end, end);
}

static void assert_none(const struct pss_section *section, uint64_t address)
{
	struct pss_locate_place place = { .start = 77 };

	assert_int_equal(pss_locate_in_section(section, address, &place), -EINVAL);
	assert_int_equal(place.start, 77);
}

static void a_region_reaches_from_the_page_asked_for_to_its_end(void **state)
{
	_cleanup_section_ struct pss_section section = open_regions(ordinary, 4);

	(void)state;
	assert_mapped(&section, 0x10000, 0);
	assert_mapped(&section, 0x11fff, 0);
	assert_mapped(&section, 0x12000, 1);
	assert_mapped(&section, 0x13001, 1);
	assert_mapped(&section, 0x14fff, 1);
	assert_mapped(&section, 0x7ff000003fff, 2);
}

static void what_is_free_reaches_to_the_next_region_or_the_end_of_user_space(void **state)
{
	_cleanup_section_ struct pss_section section = open_regions(ordinary, 4);
	uint64_t user_end = pss_arch_native()->user_end;

	(void)state;
	assert_free(&section, 0, 0x10000);
	assert_free(&section, 0xffff, 0x10000);
	assert_free(&section, 0x15000, 0x7ff000000000);
	assert_free(&section, 0x7ff000004000, user_end);
	assert_free(&section, user_end - 1, user_end);
}

static void above_user_space_only_what_is_mapped_is_there(void **state)
{
	_cleanup_section_ struct pss_section section = open_regions(ordinary, 4);
	uint64_t user_end = pss_arch_native()->user_end;

	(void)state;
	assert_none(&section, user_end);
	assert_none(&section, UINT64_C(1) << 63);
	assert_none(&section, 0xffffffffff5fffff);
	assert_mapped(&section, 0xffffffffff600000, 3);
	assert_none(&section, 0xffffffffff601000);
	assert_none(&section, UINT64_MAX);
}

// A program may ask for addresses beyond 47 bits where the machine has them.
static void a_mapping_high_up_is_reached_by_a_scan(void **state)
{
	static const uint64_t bounds[][2] = { { 0x10000, 0x12000 },
					      { 0x80000000000000, 0x80000000001000 } };
	_cleanup_section_ struct pss_section section = open_regions(bounds, 2);

	(void)state;
	assert_free(&section, 0x12000, 0x80000000000000);
	assert_mapped(&section, 0x80000000000000, 1);
	assert_none(&section, 0x80000000001000);
}

static void a_section_without_regions_is_all_free(void **state)
{
	_cleanup_section_ struct pss_section section = open_regions(NULL, 0);

	(void)state;
	assert_free(&section, 0x1234, pss_arch_native()->user_end);
	assert_none(&section, UINT64_MAX);
}

/** As programs scan. Fails if it does not go up at each step, or takes too many. */
static void scan(const struct pss_section *section)
{
	uint32_t left = 2 * pss_section_count(section, PSS_PART_REGIONS) + 3;
	struct pss_locate_place place;
	uint64_t address = 0;

	while (pss_locate_in_section(section, address, &place) == 0) {
		assert_true(place.start <= address);
		assert_true(place.end > address);
		assert_true(left-- > 0);
		address = place.end;
	}
}

static void a_hostile_section_ends_a_scan_all_the_same(void **state)
{
	static const uint64_t nasty[][2] = {
		{ 0x5000, 0x1000 },                // backwards
		{ 0x3000, UINT64_MAX },            // over everything
		{ 0, 0 },                          // empty
		{ 0x9001, 0x9003 },                // less than a page
		{ UINT64_MAX, 0 },                 // beyond the end
		{ 0x2000, 0x4000 },                // in no order, overlapping
		{ UINT64_MAX - PAGE, UINT64_MAX }, // up to the end
	};
	const size_t count = sizeof nasty / sizeof nasty[0];
	uint64_t bounds[40][2];

	(void)state;
	for (unsigned seed = 1; seed <= 500; seed++) {
		unsigned random = seed;

		for (size_t i = 0; i < 40; i++) {
			const uint64_t *pair = nasty[(size_t)rand_r(&random) % count];

			bounds[i][0] = pair[0] + (rand_r(&random) % 3 ? 0 : 0x1000 * i);
			bounds[i][1] = pair[1] + (rand_r(&random) % 3 ? 0 : 0x777 * i);
		}
		_cleanup_section_ struct pss_section section =
			open_regions((const uint64_t(*)[2])bounds, (size_t)rand_r(&random) % 41);
		scan(&section);
		for (int i = 0; i < 20; i++) {
			struct pss_locate_place place;
			uint64_t address = (uint64_t)rand_r(&random) << (rand_r(&random) % 33);

			if (pss_locate_in_section(&section, address, &place) == 0)
				assert_true(place.start <= address && address < place.end);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_region_reaches_from_the_page_asked_for_to_its_end),
		cmocka_unit_test(what_is_free_reaches_to_the_next_region_or_the_end_of_user_space),
		cmocka_unit_test(above_user_space_only_what_is_mapped_is_there),
		cmocka_unit_test(a_mapping_high_up_is_reached_by_a_scan),
		cmocka_unit_test(a_section_without_regions_is_all_free),
		cmocka_unit_test(a_hostile_section_ends_a_scan_all_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
