// SPDX-License-Identifier: LGPL-2.1-or-later
// Pages of this very process, asked by PAGEMAP_SCAN and entry by entry: what was touched is found,
// and nothing else.
#include "pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

enum { PAGES = 4096 };

static const enum pss_pagemap_method methods[] = {
	PSS_PAGEMAP_SCAN_GUARD,
	PSS_PAGEMAP_SCAN,
	PSS_PAGEMAP_ENTRIES,
};

static uint64_t page_size;

static int open_pagemap(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

// Without huge pages: a touch shall bring one page.
static char *map_pages(size_t count, int flags)
{
	char *pages = mmap(NULL, count * page_size, PROT_READ | PROT_WRITE,
			   flags | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	assert_true(pages != MAP_FAILED);
	(void)madvise(pages, count * page_size, MADV_NOHUGEPAGE);
	return pages;
}

static void unmap_pages(char *pages, size_t count)
{
	assert_int_equal(munmap(pages, count * page_size), 0);
}

static void begin(struct pss_pagemap *pagemap, int fd, enum pss_pagemap_method method,
		  const char *pages, size_t count)
{
	pss_pagemap_init(pagemap, fd);
	pagemap->method = method;
	pss_pagemap_seek(pagemap, (uintptr_t)pages, (uintptr_t)pages + count * page_size);
}

// The next range is pages [first, end) of @pages.
static void assert_next(struct pss_pagemap *pagemap, const char *pages, size_t first, size_t end,
			enum pss_page_kind kind)
{
	struct pss_page_range range;

	assert_int_equal(pss_pagemap_next(pagemap, &range), 0);
	assert_int_equal((range.start - (uintptr_t)pages) / page_size, first);
	assert_int_equal((range.end - (uintptr_t)pages) / page_size, end);
	assert_int_equal(range.kind, kind);
}

static void assert_end(struct pss_pagemap *pagemap)
{
	struct pss_page_range range = { .start = 7 };

	assert_int_equal(pss_pagemap_next(pagemap, &range), -ENODATA);
	assert_int_equal(pss_pagemap_next(pagemap, &range), -ENODATA);
	assert_int_equal(range.start, 7);
}

static void touched_pages_are_found(void **state)
{
	_cleanup_close_ int fd = open_pagemap();
	char *pages = map_pages(PAGES, MAP_PRIVATE);

	(void)state;
	memset(pages + 3 * page_size, 1, 2 * page_size);
	memset(pages + 2047 * page_size, 1, 2 * page_size); // where two reads of entries meet
	pages[(PAGES - 1) * page_size] = 1;
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		struct pss_pagemap pagemap;
		uint64_t bytes = 0;

		begin(&pagemap, fd, methods[i], pages, PAGES);
		assert_next(&pagemap, pages, 3, 5, PSS_PAGES_PRIVATE);
		// Two fetches may cut this run; their sum counts.
		struct pss_page_range range;
		size_t found = 0;
		while (pss_pagemap_next(&pagemap, &range) == 0)
			found += (range.end - range.start) / page_size;
		assert_int_equal(found, 3);
		assert_int_equal(pss_pagemap_resident(&pagemap, (uintptr_t)pages,
						      (uintptr_t)pages + PAGES * page_size, &bytes),
				 0);
		assert_int_equal(bytes, 5 * page_size);
	}
	unmap_pages(pages, PAGES);
}

static void nothing_in_untouched_memory(void **state)
{
	_cleanup_close_ int fd = open_pagemap();
	char *pages = map_pages(PAGES, MAP_PRIVATE);

	(void)state;
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		struct pss_pagemap pagemap;

		begin(&pagemap, fd, methods[i], pages, PAGES);
		assert_end(&pagemap);
		begin(&pagemap, fd, methods[i], pages, 0);
		assert_end(&pagemap);
	}
	unmap_pages(pages, PAGES);
}

// More runs than a batch holds.
static void every_other_page(void **state)
{
	_cleanup_close_ int fd = open_pagemap();
	char *pages = map_pages(PAGES, MAP_PRIVATE);

	(void)state;
	for (size_t i = 0; i < PAGES; i += 2)
		pages[i * page_size] = 1;
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		struct pss_pagemap pagemap;

		begin(&pagemap, fd, methods[i], pages, PAGES);
		for (size_t j = 0; j < PAGES; j += 2)
			assert_next(&pagemap, pages, j, j + 1, PSS_PAGES_PRIVATE);
		assert_end(&pagemap);
	}
	unmap_pages(pages, PAGES);
}

static void ranges_are_cut_to_what_is_sought(void **state)
{
	_cleanup_close_ int fd = open_pagemap();
	char *pages = map_pages(16, MAP_PRIVATE);
	uint64_t base = (uintptr_t)pages;

	(void)state;
	memset(pages, 1, 16 * page_size);
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		struct pss_pagemap pagemap;
		struct pss_page_range range;

		begin(&pagemap, fd, methods[i], pages, 0);
		pss_pagemap_seek(&pagemap, base + 100, base + 2 * page_size + 5);
		assert_int_equal(pss_pagemap_next(&pagemap, &range), 0);
		assert_int_equal(range.start, base + 100);
		assert_int_equal(range.end, base + 2 * page_size + 5);
		assert_end(&pagemap);

		pss_pagemap_seek(&pagemap, base + 5, base + 6);
		assert_int_equal(pss_pagemap_next(&pagemap, &range), 0);
		assert_int_equal(range.start, base + 5);
		assert_int_equal(range.end, base + 6);
		assert_end(&pagemap);
	}
	unmap_pages(pages, 16);
}

static void kinds_are_told_apart(void **state)
{
	_cleanup_close_ int fd = open_pagemap();
	char *shared = map_pages(8, MAP_SHARED);
	char *private = map_pages(8, MAP_PRIVATE);
	volatile char read = private[2 * page_size]; // the zero page

	(void)state;
	(void)read;
	private[3 * page_size] = 1;
	shared[1 * page_size] = 1;
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		struct pss_pagemap pagemap;

		begin(&pagemap, fd, methods[i], shared, 8);
		assert_next(&pagemap, shared, 1, 2, PSS_PAGES_FILE);
		assert_end(&pagemap);

		begin(&pagemap, fd, methods[i], private, 8);
		struct pss_page_range probe;
		assert_int_equal(pss_pagemap_next(&pagemap, &probe), 0);
		// A kernel without the ioctl shows what is left of the method.
		begin(&pagemap, fd, pagemap.method, private, 8);
		if (pagemap.method == PSS_PAGEMAP_ENTRIES) {
			assert_next(&pagemap, private, 2, 4, PSS_PAGES_PRIVATE);
		} else {
			assert_next(&pagemap, private, 2, 3, PSS_PAGES_ZERO);
			assert_next(&pagemap, private, 3, 4, PSS_PAGES_PRIVATE);
		}
		assert_end(&pagemap);
	}
	unmap_pages(shared, 8);
	unmap_pages(private, 8);
}

static void files_are_joined_with_the_rest(void **state)
{
	_cleanup_close_ int fd = open_pagemap();
	char *shared = map_pages(8, MAP_SHARED);

	(void)state;
	shared[1 * page_size] = 1;
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		struct pss_pagemap pagemap;

		begin(&pagemap, fd, methods[i], shared, 8);
		pagemap.joins_files = true;
		assert_next(&pagemap, shared, 1, 2, PSS_PAGES_PRIVATE);
		assert_end(&pagemap);
	}
	unmap_pages(shared, 8);
}

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static void guards_hold_nothing(void **state)
{
	_cleanup_close_ int fd = open_pagemap();
	char *pages = map_pages(8, MAP_PRIVATE);
	struct pss_pagemap pagemap;

	(void)state;
	if (madvise(pages + page_size, 2 * page_size, MADV_GUARD_INSTALL) < 0) {
		print_message("skipped: no guard regions before Linux 6.13\n");
		unmap_pages(pages, 8);
		skip();
	}
	pages[5 * page_size] = 1;
	begin(&pagemap, fd, PSS_PAGEMAP_SCAN_GUARD, pages, 8);
	assert_next(&pagemap, pages, 5, 6, PSS_PAGES_PRIVATE);
	assert_end(&pagemap);
	begin(&pagemap, fd, PSS_PAGEMAP_ENTRIES, pages, 8);
	assert_next(&pagemap, pages, 5, 6, PSS_PAGES_PRIVATE);
	assert_end(&pagemap);
	unmap_pages(pages, 8);
}

// A terabyte: by the ioctl this must not cost. (By entries it would take two gigabytes of them.)
static void huge_reservation_is_skipped(void **state)
{
	_cleanup_close_ int fd = open_pagemap();
	size_t count = ((size_t)1 << 40) / page_size;
	struct pss_pagemap pagemap;
	char *pages = map_pages(count, MAP_PRIVATE);

	(void)state;
	pages[(count - 1) * page_size] = 1;
	begin(&pagemap, fd, PSS_PAGEMAP_SCAN_GUARD, pages + (count - 1) * page_size, 1);
	assert_next(&pagemap, pages, count - 1, count, PSS_PAGES_PRIVATE);
	if (pagemap.method != PSS_PAGEMAP_ENTRIES) {
		begin(&pagemap, fd, PSS_PAGEMAP_SCAN_GUARD, pages, count);
		assert_next(&pagemap, pages, count - 1, count, PSS_PAGES_PRIVATE);
		assert_end(&pagemap);
	}
	unmap_pages(pages, count);
}

static void outside_user_space_is_nothing(void **state)
{
	_cleanup_close_ int fd = open_pagemap();

	(void)state;
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		struct pss_pagemap pagemap;

		begin(&pagemap, fd, methods[i], NULL, 0);
		pss_pagemap_seek(&pagemap, 0xffffffffff600000, 0xffffffffff601000);
		assert_end(&pagemap);
		pss_pagemap_seek(&pagemap, UINT64_MAX - 5, UINT64_MAX);
		assert_end(&pagemap);
	}
}

static void dead_process_is_not_empty(void **state)
{
	_cleanup_close_ int fd = -EBADF;
	char path[64];
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	snprintf(path, sizeof path, "/proc/%d/pagemap", child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
		struct pss_pagemap pagemap;
		struct pss_page_range range;

		begin(&pagemap, fd, methods[i], (char *)page_size, 1 << 20);
		assert_int_equal(pss_pagemap_next(&pagemap, &range), -ESRCH);
	}
}

static void other_files_are_refused(void **state)
{
	struct pss_pagemap pagemap;
	struct pss_page_range range;

	(void)state;
	begin(&pagemap, -1, PSS_PAGEMAP_SCAN_GUARD, (char *)page_size, 1);
	assert_int_equal(pss_pagemap_next(&pagemap, &range), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(touched_pages_are_found),
		cmocka_unit_test(nothing_in_untouched_memory),
		cmocka_unit_test(every_other_page),
		cmocka_unit_test(ranges_are_cut_to_what_is_sought),
		cmocka_unit_test(kinds_are_told_apart),
		cmocka_unit_test(files_are_joined_with_the_rest),
		cmocka_unit_test(guards_hold_nothing),
		cmocka_unit_test(huge_reservation_is_skipped),
		cmocka_unit_test(outside_user_space_is_nothing),
		cmocka_unit_test(dead_process_is_not_empty),
		cmocka_unit_test(other_files_are_refused),
	};

	page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
