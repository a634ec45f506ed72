// SPDX-License-Identifier: LGPL-2.1-or-later
// See pagemap.h. Ranges are fetched a batch at a time, so that one system call serves hundreds.
#include "pagemap.h"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"

// Headers older than Linux 6.7 lack these.
#ifndef PAGEMAP_SCAN
struct page_region {
	uint64_t start;
	uint64_t end;
	uint64_t categories;
};

struct pm_scan_arg {
	uint64_t size;
	uint64_t flags;
	uint64_t start;
	uint64_t end;
	uint64_t walk_end;
	uint64_t vec;
	uint64_t vec_len;
	uint64_t max_pages;
	uint64_t category_inverted;
	uint64_t category_mask;
	uint64_t category_anyof_mask;
	uint64_t return_mask;
};

#define PAGEMAP_SCAN    _IOWR('f', 16, struct pm_scan_arg)
#define PAGE_IS_FILE    (1 << 2)
#define PAGE_IS_PRESENT (1 << 3)
#define PAGE_IS_SWAPPED (1 << 4)
#define PAGE_IS_PFNZERO (1 << 5)
#define PAGE_IS_HUGE    (1 << 6)
#endif

// Linux 6.15.
#ifndef PAGE_IS_GUARD
#define PAGE_IS_GUARD (1 << 8)
#endif

// Bits of an entry of the file, from Documentation/admin-guide/mm/pagemap.rst.
#define ENTRY_GUARD   (UINT64_C(1) << 58)
#define ENTRY_FILE    (UINT64_C(1) << 61)
#define ENTRY_SWAPPED (UINT64_C(1) << 62)
#define ENTRY_PRESENT (UINT64_C(1) << 63)

enum { ENTRIES_AT_ONCE = 2048 };

// Walked at once, with the lock of the address space held: pages of what is looked for, some 50 us;
// and bytes to begin with, a millisecond if all are there in small pages. More as long as it takes
// no longer: programs reserve terabytes, and what is not there takes no time.
enum { HUGE_SCAN_PAGES = 16384 };
#define HUGE_SCAN_SPAN (UINT64_C(1) << 30)
#define HUGE_SCAN_NS   UINT64_C(1000000)

void pss_pagemap_init(struct pss_pagemap *pagemap, int pagemap_fd)
{
	pagemap->fd = pagemap_fd;
	pagemap->method = PSS_PAGEMAP_SCAN_GUARD;
	pagemap->joins_files = false;
	pagemap->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	pss_pagemap_seek(pagemap, 0, 0);
}

void pss_pagemap_seek(struct pss_pagemap *pagemap, uint64_t start, uint64_t end)
{
	pagemap->start = start;
	pagemap->end = end;
	pagemap->position = pss_align_down(start, pagemap->page_size);
	pagemap->taken = 0;
	pagemap->count = 0;
}

// The end of the range in whole pages. Near the top of the address space it can't be rounded up.
static uint64_t scan_end(const struct pss_pagemap *pagemap)
{
	uint64_t down = pss_align_down(pagemap->end, pagemap->page_size);

	if (down == pagemap->end || down > UINT64_MAX - pagemap->page_size)
		return down;
	return down + pagemap->page_size;
}

// Adds a range, or makes the last one longer. False if there is no room.
static bool add_range(struct pss_pagemap *pagemap, uint64_t start, uint64_t end,
		      enum pss_page_kind kind)
{
	if (pagemap->count > 0) {
		struct pss_page_range *last = &pagemap->ranges[pagemap->count - 1];
		if (last->end == start && last->kind == kind) {
			last->end = end;
			return true;
		}
	}
	if (pagemap->count == PSS_PAGEMAP_BATCH)
		return false;
	pagemap->ranges[pagemap->count++] = (struct pss_page_range){ start, end, kind };
	return true;
}

static enum pss_page_kind kind_of_categories(uint64_t categories)
{
	if (categories & PAGE_IS_PFNZERO)
		return PSS_PAGES_ZERO;
	return categories & PAGE_IS_FILE ? PSS_PAGES_FILE : PSS_PAGES_PRIVATE;
}

static int scan(struct pss_pagemap *pagemap)
{
	struct page_region regions[PSS_PAGEMAP_BATCH];
	struct pm_scan_arg arg = {
		.size = sizeof arg,
		.start = pagemap->position,
		.end = scan_end(pagemap),
		.vec = (uintptr_t)regions,
		.vec_len = PSS_PAGEMAP_BATCH,
		.category_anyof_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
		.return_mask = PAGE_IS_PRESENT | PAGE_IS_SWAPPED | PAGE_IS_PFNZERO |
			       (pagemap->joins_files ? 0 : PAGE_IS_FILE),
	};
	int count;

	// A guard marker lies where a swap entry would: it holds nothing, and reading it faults.
	if (pagemap->method == PSS_PAGEMAP_SCAN_GUARD) {
		arg.category_inverted = PAGE_IS_GUARD;
		arg.category_mask = PAGE_IS_GUARD;
	}
	do {
		count = ioctl(pagemap->fd, PAGEMAP_SCAN, &arg);
	} while (count < 0 && errno == EINTR);
	if (count < 0)
		return -errno;
	for (int i = 0; i < count; i++)
		(void)add_range(pagemap, regions[i].start, regions[i].end,
				kind_of_categories(regions[i].categories));
	// Without progress the walk would never end.
	if (arg.walk_end <= pagemap->position)
		return -EIO;
	pagemap->position = arg.walk_end;
	return 0;
}

static ssize_t read_entries(const struct pss_pagemap *pagemap, uint64_t page, uint64_t *entries,
			    size_t count)
{
	ssize_t size;

	do {
		size = pread(pagemap->fd, entries, count * sizeof *entries,
			     (off_t)(page * sizeof *entries));
	} while (size < 0 && errno == EINTR);
	return size < 0 ? -errno : size / (ssize_t)sizeof *entries;
}

// A dead process has no pages; its file ends at once, where a living one has an entry for page 0.
static int check_alive(const struct pss_pagemap *pagemap)
{
	uint64_t entry;
	ssize_t count = read_entries(pagemap, 0, &entry, 1);

	if (count < 0)
		return (int)count;
	return count == 1 ? 0 : -ESRCH;
}

static bool holds_something(uint64_t entry)
{
	return (entry & (ENTRY_PRESENT | ENTRY_SWAPPED)) && !(entry & ENTRY_GUARD);
}

static int fetch_entries(struct pss_pagemap *pagemap)
{
	uint64_t entries[ENTRIES_AT_ONCE];
	uint64_t pages = (scan_end(pagemap) - pagemap->position) / pagemap->page_size;
	size_t wanted = pages < ENTRIES_AT_ONCE ? (size_t)pages : ENTRIES_AT_ONCE;
	ssize_t count =
		read_entries(pagemap, pagemap->position / pagemap->page_size, entries, wanted);

	if (count < 0)
		return (int)count;
	// Past the end of user space, or the process is gone; the end of the range tells which.
	if (count == 0)
		pagemap->position = scan_end(pagemap);
	for (ssize_t i = 0; i < count; i++, pagemap->position += pagemap->page_size) {
		if (!holds_something(entries[i]))
			continue;
		enum pss_page_kind kind = entries[i] & ENTRY_FILE && !pagemap->joins_files
						  ? PSS_PAGES_FILE
						  : PSS_PAGES_PRIVATE;
		if (!add_range(pagemap, pagemap->position, pagemap->position + pagemap->page_size,
			       kind))
			break; // this page will be the next batch's first
	}
	return 0;
}

// Gets the next batch by the best method that works, moving the position.
static int fetch(struct pss_pagemap *pagemap)
{
	pagemap->taken = 0;
	pagemap->count = 0;
	while (pagemap->method != PSS_PAGEMAP_ENTRIES) {
		int r = scan(pagemap);
		if (r == 0)
			return 0;
		// Outside user space the ioctl says EFAULT; the next range may be inside.
		if (r == -EFAULT)
			break;
		// EINVAL: an unknown category. Anything else: no such ioctl, or it is forbidden.
		pagemap->method = r == -EINVAL && pagemap->method == PSS_PAGEMAP_SCAN_GUARD
					  ? PSS_PAGEMAP_SCAN
					  : PSS_PAGEMAP_ENTRIES;
	}
	return fetch_entries(pagemap);
}

int pss_pagemap_next(struct pss_pagemap *pagemap, struct pss_page_range *ret)
{
	while (pagemap->taken == pagemap->count) {
		if (pagemap->position >= scan_end(pagemap)) {
			int r = check_alive(pagemap);
			return r < 0 ? r : -ENODATA;
		}
		int r = fetch(pagemap);
		if (r < 0)
			return r;
	}

	struct pss_page_range range = pagemap->ranges[pagemap->taken++];
	if (range.start < pagemap->start)
		range.start = pagemap->start;
	if (range.end > pagemap->end)
		range.end = pagemap->end;
	*ret = range;
	return 0;
}

int pss_pagemap_resident(struct pss_pagemap *pagemap, uint64_t start, uint64_t end,
			 uint64_t *bytes_ret)
{
	struct pss_page_range range;
	uint64_t bytes = 0;
	int r;

	pss_pagemap_seek(pagemap, start, end);
	while ((r = pss_pagemap_next(pagemap, &range)) == 0)
		bytes += range.end - range.start;
	if (r != -ENODATA)
		return r;
	*bytes_ret = bytes;
	return 0;
}

struct category {
	uint64_t wanted;   // all of these
	uint64_t unwanted; // none of these
};

// The next regions of it; their number.
static int find_regions(int fd, uint64_t start, uint64_t end, struct category category,
			struct page_region *regions, uint64_t *walk_end_ret)
{
	struct pm_scan_arg arg = {
		.size = sizeof arg,
		.start = start,
		.end = end,
		.vec = (uintptr_t)regions,
		.vec_len = PSS_PAGEMAP_BATCH,
		.max_pages = HUGE_SCAN_PAGES,
		.category_inverted = category.unwanted,
		.category_mask = category.wanted | category.unwanted,
		.return_mask = category.wanted,
	};
	int count;

	do {
		count = ioctl(fd, PAGEMAP_SCAN, &arg);
	} while (count < 0 && errno == EINTR);
	// Without progress the walk would never end.
	if (count >= 0 && arg.walk_end <= start)
		return -EIO;
	*walk_end_ret = arg.walk_end;
	return count < 0 ? -errno : count;
}

// Bytes of those pages.
static int count_bytes(int fd, uint64_t start, uint64_t end, struct category category,
		       uint64_t *bytes)
{
	struct page_region regions[PSS_PAGEMAP_BATCH];

	while (start < end) {
		int count = find_regions(fd, start, end, category, regions, &start);

		if (count < 0)
			return count;
		for (int i = 0; i < count; i++)
			*bytes += regions[i].end - regions[i].start;
	}
	return 0;
}

// To ask of each page whether it is a file's makes the kernel look up its description, which takes
// many times as long as to see how large it is: so only huge pages are asked for that.
int pss_pagemap_huge(int pagemap_fd, uint64_t start, uint64_t end, uint64_t *bytes_ret)
{
	static const struct category huge = { .wanted = PAGE_IS_HUGE };
	static const struct category private_huge = {
		.wanted = PAGE_IS_PRESENT | PAGE_IS_HUGE,
		.unwanted = PAGE_IS_FILE | PAGE_IS_PFNZERO,
	};
	struct page_region regions[PSS_PAGEMAP_BATCH];
	uint64_t span = HUGE_SCAN_SPAN, bytes = 0;

	while (start < end) {
		uint64_t until = end - start < span ? end : start + span;
		uint64_t begin_ns = pss_clock_ns(CLOCK_MONOTONIC);
		int count = find_regions(pagemap_fd, start, until, huge, regions, &start);
		int r = count < 0 ? count : 0;

		span = pss_clock_ns(CLOCK_MONOTONIC) - begin_ns < HUGE_SCAN_NS ? span * 2
									       : HUGE_SCAN_SPAN;

		for (int i = 0; i < count && r == 0; i++)
			r = count_bytes(pagemap_fd, regions[i].start, regions[i].end, private_huge,
					&bytes);
		if (r < 0)
			return r;
	}
	*bytes_ret = bytes;
	return 0;
}
