// SPDX-License-Identifier: LGPL-2.1-or-later
// The forecast of a pause: what is counted of this very process, what that is reckoned to cost, and
// what is said of it.
#include "forecast.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "pagemap.h"
#include "procfs.h"

#define MIB  (UINT64_C(1) << 20)
#define HUGE (2 * MIB)

enum { ENTRY_NS = 100 };

static const struct pss_forecast_facts small = {
	.small_bytes = 1024 * MIB,
	.table_bytes = 2 * MIB,
	.mappings = 30,
	.threads = 1,
	.with_clone = true,
};

static uint64_t hold_of(struct pss_forecast_facts facts)
{
	return pss_forecast_make(&facts, ENTRY_NS).hold_ns;
}

static void test_each_thing_adds_its_cost(void **state)
{
	struct pss_forecast_facts more = small;
	uint64_t before = hold_of(small);

	(void)state;
	// 262,144 entries, and no cheaper.
	assert_true(before > 1024 * MIB / 4096 * ENTRY_NS);
	more.small_bytes += 4096;
	assert_true(hold_of(more) > before);
	more = small;
	more.threads++;
	assert_true(hold_of(more) > before);
	more = small;
	more.mappings++;
	assert_true(hold_of(more) > before);
	more = small;
	more.descriptors++;
	assert_true(hold_of(more) > before);
}

static void test_huge_pages_cost_far_less(void **state)
{
	struct pss_forecast_facts huge = small;

	(void)state;
	huge.huge_bytes = huge.small_bytes;
	huge.small_bytes = 0;
	assert_true(hold_of(huge) < hold_of(small) / 8);
}

static void test_without_a_clone_memory_costs_nothing(void **state)
{
	struct pss_forecast_facts facts = small;

	(void)state;
	facts.with_clone = false;
	uint64_t before = hold_of(facts);
	facts.small_bytes *= 2;
	facts.table_bytes *= 2;
	assert_int_equal(hold_of(facts), before);
}

static void test_the_clone_is_part_of_the_hold(void **state)
{
	struct pss_forecast forecast = pss_forecast_make(&small, ENTRY_NS);

	(void)state;
	assert_true(forecast.clone_ns < forecast.hold_ns);
	assert_true(forecast.clone_ns > 1024 * MIB / 4096 * ENTRY_NS);
	assert_int_equal(pss_forecast_make(&small, 2 * ENTRY_NS).hold_ns, 2 * forecast.hold_ns);
}

static void test_the_main_cause_is_told_with_its_cure(void **state)
{
	struct pss_forecast_facts facts = small;
	struct pss_forecast forecast = pss_forecast_make(&facts, ENTRY_NS);
	char text[96];

	(void)state;
	assert_int_equal(forecast.cause, PSS_FORECAST_MEMORY);
	pss_forecast_describe(&forecast, text, sizeof text);
	assert_non_null(strstr(text, "1024 MiB"));
	assert_non_null(strstr(pss_forecast_cure(&forecast), "transparent_hugepage"));

	facts.threads = 5000;
	forecast = pss_forecast_make(&facts, ENTRY_NS);
	assert_int_equal(forecast.cause, PSS_FORECAST_THREADS);
	pss_forecast_describe(&forecast, text, sizeof text);
	assert_string_equal(text, "5000 threads");
	assert_string_equal(pss_forecast_cure(&forecast), "");
}

static struct pss_forecast_facts count_self(void)
{
	struct pss_forecast_facts facts = { .with_clone = true };
	_cleanup_buf_ struct pss_buf scratch = PSS_BUF_EMPTY;
	_cleanup_close_ int dir_fd = -EBADF;

	assert_int_equal(pss_procfs_open(getpid(), &dir_fd), 0);
	assert_int_equal(pss_forecast_count(dir_fd, &scratch, &facts), 0);
	return facts;
}

// @size bytes, touched, from an address that huge pages can begin at.
static uint8_t *touch(size_t size, int advice)
{
	uint8_t *room =
		mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(room != MAP_FAILED);
	uint8_t *pages = (uint8_t *)(((uintptr_t)room + HUGE - 1) & ~(uintptr_t)(HUGE - 1));
	(void)madvise(pages, size, advice);
	memset(pages, 1, size);
	return pages;
}

static void test_what_is_resident_is_counted(void **state)
{
	struct pss_forecast_facts before = count_self();
	struct pss_forecast_facts after;

	(void)state;
	assert_int_equal(before.threads, 1);
	assert_true(before.mappings > 5);
	(void)touch(64 * MIB, MADV_NOHUGEPAGE);
	after = count_self();
	assert_true(after.small_bytes >= before.small_bytes + 63 * MIB);
	assert_true(after.small_bytes <= before.small_bytes + 65 * MIB);
	assert_true(after.table_bytes >= before.table_bytes + 64 * MIB / 512);
	assert_true(after.mappings > before.mappings);
}

static void test_huge_pages_are_told_from_small_ones(void **state)
{
	struct pss_forecast_facts before = count_self();
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t bytes = 0;
	uint8_t *pages = touch(64 * MIB, MADV_HUGEPAGE);
	struct pss_forecast_facts after = count_self();
	int r = pss_pagemap_huge(fd, (uintptr_t)pages, (uintptr_t)pages + 64 * MIB, &bytes);

	(void)state;
	if (r < 0 || bytes == 0)
		skip(); // no PAGEMAP_SCAN, or no huge page was to be had
	assert_int_equal(bytes % HUGE, 0);
	assert_int_equal(after.huge_bytes - before.huge_bytes, bytes);
	// All that was added is in one of the two.
	assert_true(after.small_bytes + bytes >= before.small_bytes + 63 * MIB);
	assert_true(after.small_bytes + bytes <= before.small_bytes + 65 * MIB);
}

static void test_terabytes_that_hold_nothing_are_passed_over(void **state)
{
	size_t size = (size_t)1 << 42;
	void *room =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	_cleanup_close_ int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t bytes = 1;

	(void)state;
	assert_true(room != MAP_FAILED);
	int r = pss_pagemap_huge(fd, (uintptr_t)room, (uintptr_t)room + size, &bytes);
	if (r < 0)
		skip();
	assert_int_equal(bytes, 0);
	(void)munmap(room, size);
}

static void test_an_entry_costs_something(void **state)
{
	uint64_t ns = pss_forecast_measure_entry();

	(void)state;
	assert_true(ns >= 10 && ns <= 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_thing_adds_its_cost),
		cmocka_unit_test(test_huge_pages_cost_far_less),
		cmocka_unit_test(test_without_a_clone_memory_costs_nothing),
		cmocka_unit_test(test_the_clone_is_part_of_the_hold),
		cmocka_unit_test(test_the_main_cause_is_told_with_its_cure),
		cmocka_unit_test(test_what_is_resident_is_counted),
		cmocka_unit_test(test_huge_pages_are_told_from_small_ones),
		cmocka_unit_test(test_terabytes_that_hold_nothing_are_passed_over),
		cmocka_unit_test(test_an_entry_costs_something),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
