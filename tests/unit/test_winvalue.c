// SPDX-License-Identifier: LGPL-2.1-or-later
// Linux' priorities, times, exit statuses and regions in Windows' words.
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "winvalue.h"

static void test_bands_of_nice_values(void **state)
{
	static const struct {
		int nice;
		uint32_t class;
		int level;
	} rows[] = {
		{ -20, REALTIME_PRIORITY_CLASS, 24 },     { -16, REALTIME_PRIORITY_CLASS, 24 },
		{ -15, HIGH_PRIORITY_CLASS, 13 },         { -11, HIGH_PRIORITY_CLASS, 13 },
		{ -10, ABOVE_NORMAL_PRIORITY_CLASS, 10 }, { -6, ABOVE_NORMAL_PRIORITY_CLASS, 10 },
		{ -5, NORMAL_PRIORITY_CLASS, 8 },         { 0, NORMAL_PRIORITY_CLASS, 8 },
		{ 1, BELOW_NORMAL_PRIORITY_CLASS, 6 },    { 10, BELOW_NORMAL_PRIORITY_CLASS, 6 },
		{ 11, IDLE_PRIORITY_CLASS, 4 },           { 19, IDLE_PRIORITY_CLASS, 4 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(pss_winvalue_priority_class(SCHED_OTHER, rows[i].nice),
				 rows[i].class);
		assert_int_equal(pss_winvalue_base_priority(SCHED_OTHER, rows[i].nice),
				 rows[i].level);
		assert_int_equal(pss_winvalue_priority(SCHED_OTHER, rows[i].nice, 0),
				 rows[i].level);
	}
}

static void test_policies(void **state)
{
	(void)state;
	assert_int_equal(pss_winvalue_priority_class(SCHED_IDLE, -20), IDLE_PRIORITY_CLASS);
	assert_int_equal(pss_winvalue_priority_class(SCHED_FIFO, 0), REALTIME_PRIORITY_CLASS);
	assert_int_equal(pss_winvalue_priority_class(SCHED_RR, 19), REALTIME_PRIORITY_CLASS);
	assert_int_equal(pss_winvalue_priority(SCHED_FIFO, 0, 1), 16);
	assert_int_equal(pss_winvalue_priority(SCHED_FIFO, 0, 99), 31);
	assert_int_equal(pss_winvalue_priority(SCHED_FIFO, 0, 4000000000u), 31);
}

static void test_time_is_cut_into_halves(void **state)
{
	FILETIME time = pss_winvalue_filetime(0x0123456789abcdef);

	(void)state;
	assert_int_equal(time.dwHighDateTime, 0x01234567);
	assert_int_equal(time.dwLowDateTime, 0x89abcdef);
}

static void test_exit_codes(void **state)
{
	(void)state;
	assert_int_equal(pss_winvalue_exit_code(0), 0);
	assert_int_equal(pss_winvalue_exit_code(3 << 8), 3);
	assert_int_equal(pss_winvalue_exit_code(9), 137);
	assert_int_equal(pss_winvalue_exit_code(11 | 0x80), 139);
}

static MEMORY_BASIC_INFORMATION basic_of(struct pss_region_record region)
{
	MEMORY_BASIC_INFORMATION basic;

	memset(&basic, 0xa5, sizeof basic);
	pss_winvalue_region(&region, &basic);
	return basic;
}

static void test_regions(void **state)
{
	static const struct {
		struct pss_region_record region;
		DWORD state, protect, type;
	} rows[] = {
		{ { .protection = PSS_REGION_READ | PSS_REGION_WRITE },
		  MEM_COMMIT,
		  PAGE_READWRITE,
		  MEM_PRIVATE },
		{ { 0 }, MEM_RESERVE, PAGE_NOACCESS, MEM_PRIVATE },
		{ { .resident_bytes = PSS_RESIDENT_UNKNOWN },
		  MEM_RESERVE,
		  PAGE_NOACCESS,
		  MEM_PRIVATE },
		{ { .resident_bytes = 1 }, MEM_COMMIT, PAGE_NOACCESS, MEM_PRIVATE },
		{ { .flags = PSS_REGION_SHARED }, MEM_COMMIT, PAGE_NOACCESS, MEM_PRIVATE },
		{ { .kind = PSS_REGION_MAPPED, .protection = PSS_REGION_READ | PSS_REGION_WRITE },
		  MEM_COMMIT,
		  PAGE_WRITECOPY,
		  MEM_MAPPED },
		{ { .kind = PSS_REGION_MAPPED,
		    .flags = PSS_REGION_SHARED,
		    .protection = PSS_REGION_WRITE },
		  MEM_COMMIT,
		  PAGE_READWRITE,
		  MEM_MAPPED },
		{ { .kind = PSS_REGION_IMAGE, .protection = 7 },
		  MEM_COMMIT,
		  PAGE_EXECUTE_WRITECOPY,
		  MEM_IMAGE },
		{ { .kind = PSS_REGION_IMAGE, .protection = PSS_REGION_EXECUTE },
		  MEM_COMMIT,
		  PAGE_EXECUTE,
		  MEM_IMAGE },
		{ { .kind = PSS_REGION_SPECIAL,
		    .protection = PSS_REGION_READ | PSS_REGION_EXECUTE },
		  MEM_COMMIT,
		  PAGE_EXECUTE_READ,
		  MEM_PRIVATE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		MEMORY_BASIC_INFORMATION basic = basic_of(rows[i].region);

		assert_int_equal(basic.State, rows[i].state);
		assert_int_equal(basic.Protect, rows[i].protect);
		assert_int_equal(basic.AllocationProtect, rows[i].protect);
		assert_int_equal(basic.Type, rows[i].type);
	}
}

static void test_a_region_writes_every_byte(void **state)
{
	const struct pss_region_record region = { .start = 0x2000,
						  .end = 0x5000,
						  .allocation_base = 0x1000 };
	MEMORY_BASIC_INFORMATION basic = basic_of(region);
	uint8_t padding[4] = { 0 };

	(void)state;
	assert_int_equal(basic.PartitionId, 0);
	assert_ptr_equal(basic.BaseAddress, 0x2000);
	assert_ptr_equal(basic.AllocationBase, 0x1000);
	assert_int_equal(basic.RegionSize, 0x3000);
	assert_memory_equal((uint8_t *)&basic + 44, padding, sizeof padding);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bands_of_nice_values),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_time_is_cut_into_halves),
		cmocka_unit_test(test_exit_codes),
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_a_region_writes_every_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
