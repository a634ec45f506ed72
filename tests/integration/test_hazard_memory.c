// SPDX-License-Identifier: LGPL-2.1-or-later
// Hazards of memory. Huge pages of a pool that is used up may be taken from a clone, and are never
// missing without a word. What is reserved and not used costs neither time nor space.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_VA_SPACE;
static const char pool_file[] = "/proc/sys/vm/nr_hugepages";

enum { HUGE = 2 << 20, PAGES = 3 };

static unsigned long read_pool(void)
{
	char *text = harness_read_file(pool_file);
	unsigned long pages = text ? strtoul(text, NULL, 10) : 0;

	free(text);
	return pages;
}

// False if the machine does not give them.
static bool set_pool(unsigned long pages)
{
	char text[24];
	int fd = open(pool_file, O_WRONLY | O_CLOEXEC);
	int length = snprintf(text, sizeof(text), "%lu", pages);
	bool is_set = fd >= 0 && write(fd, text, (size_t)length) == length && read_pool() == pages;

	if (fd >= 0)
		close(fd);
	return is_set;
}

static PSSX_CONTENT content_at(HPSS snapshot, uint64_t address)
{
	for (DWORD i = 0;; i++) {
		PSSX_REGION region = { .Size = sizeof(region) };

		assert_success(PssxQueryRegion(snapshot, i, &region));
		if (address >= region.Start && address < region.End)
			return region.Content;
	}
}

static bool manifest_says_missing(HPSS snapshot, uint64_t address)
{
	char path[] = "/tmp/procsnap-huge-XXXXXX", line[64], *core;
	int fd = mkostemp(path, O_CLOEXEC);
	struct stat status;
	bool says;

	assert_true(fd >= 0);
	unlink(path);
	assert_success(PssxWriteElfCore(snapshot, fd, NULL, NULL));
	assert_int_equal(fstat(fd, &status), 0);
	core = malloc((size_t)status.st_size);
	assert_int_equal(pread(fd, core, (size_t)status.st_size, 0), status.st_size);
	int length =
		snprintf(line, sizeof(line), "region %llx-%llx missing\n",
			 (unsigned long long)address, (unsigned long long)address + PAGES * HUGE);
	says = memmem(core, (size_t)status.st_size, line, (size_t)length);
	free(core);
	close(fd);
	return says;
}

// Each page is as it was, or said to be missing, in the snapshot and in a core.
static void assert_no_silent_hole(HPSS snapshot, uint64_t memory, bool is_enough)
{
	PSSX_CONTENT content = content_at(snapshot, memory);
	unsigned readable = 0;

	for (uint64_t page = 0; page < PAGES; page++) {
		uint64_t word = 0;
		bool is_read = ReadProcessMemory(harness_clone(snapshot),
						 (void *)(uintptr_t)(memory + page * HUGE), &word,
						 sizeof(word), NULL);

		if (is_read)
			assert_int_equal(word, 0x1000 + page);
		readable += is_read;
	}
	print_message("%u of %d pages are left, content %d\n", readable, PAGES, (int)content);
	if (is_enough) {
		assert_int_equal(readable, PAGES);
		assert_int_equal(content, PSSX_CONTENT_POINT_IN_TIME);
		assert_false(manifest_says_missing(snapshot, memory));
	} else {
		assert_int_equal(content, PSSX_CONTENT_MISSING);
		assert_true(manifest_says_missing(snapshot, memory));
	}
}

static unsigned long pool_before;
static bool is_pool_changed;

// So that a test that fails keeps no memory from others.
static int give_pool_back(void **state)
{
	(void)state;
	if (is_pool_changed)
		(void)set_pool(pool_before);
	is_pool_changed = false;
	return 0;
}

static unsigned long free_pages(void)
{
	char *text = harness_read_file("/proc/meminfo");
	char *line = text ? strstr(text, "HugePages_Free:") : NULL;
	unsigned long pages = line ? strtoul(line + 15, NULL, 10) : 0;

	free(text);
	return pages;
}

// A pool where the target's pages are free, and @more.
static void with_pool_of(unsigned long more, bool is_enough)
{
	_cleanup_target_ struct target *target = NULL;

	pool_before = read_pool();
	is_pool_changed = true;
	if (geteuid() != 0 || !set_pool(pool_before - free_pages() + PAGES + more)) {
		print_message("no pool of huge pages\n");
		skip();
	}
	target = target_start("huge_pages", "3", NULL);
	assert_non_null(target);
	HPSS snapshot = harness_capture(target, FULL);
	// The target gets its pages in any case.
	target_ask(target, "change");
	target_ask(target, "check");
	assert_no_silent_hole(snapshot, target_value(target, "memory"), is_enough);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void a_pool_used_up_leaves_no_silent_hole(void **state)
{
	(void)state;
	with_pool_of(0, false);
}

static void a_pool_with_room_for_the_copies_keeps_all(void **state)
{
	(void)state;
	with_pool_of(PAGES, true);
}

// 20 TiB as ZGC and sanitizers reserve, 8 MiB of it used: the dump is of the second size.
static void a_dump_is_as_large_as_what_is_resident(void **state)
{
	static const char *const ways[] = { NULL, "rw" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		_cleanup_target_ struct target *target =
			target_start("reserve", "20480", "8", ways[i], NULL);
		PSSX_CORE_RESULT result = { .Size = sizeof(result) };
		uint64_t since = harness_now_ns();
		HPSS snapshot = harness_capture(target, FULL);
		char path[] = "/tmp/procsnap-dump-XXXXXX";
		int fd = mkostemp(path, O_CLOEXEC);
		struct stat status;

		assert_true(fd >= 0);
		unlink(path);
		assert_success(PssxWriteElfCore(snapshot, fd, NULL, &result));
		assert_int_equal(fstat(fd, &status), 0);
		assert_true(status.st_blocks * 512 < 16 << 20);
		assert_true(status.st_blocks * 512 > 8 << 20);
		assert_false(harness_is_past(since, 10000));
		close(fd);
		harness_free_snapshot(snapshot);
		target_assert_unharmed(target);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_pool_used_up_leaves_no_silent_hole, give_pool_back),
		cmocka_unit_test_teardown(a_pool_with_room_for_the_copies_keeps_all,
					  give_pool_back),
		cmocka_unit_test(a_dump_is_as_large_as_what_is_resident),
	};

	harness_begin("test_hazard_memory");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
