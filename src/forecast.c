// SPDX-License-Identifier: LGPL-2.1-or-later
// What fork(2) costs is counted in page table entries; everything else in how many entries take as
// long. The table in docs/design.md, "The pause contract", tells how good that is. See forecast.h.
#include "forecast.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "pagemap.h"
#include "procfs.h"

// In page table entries. Measured side by side, where an entry took 100 ns.
enum {
	COST_TABLE = 17,
	COST_HUGE_PAGE = 12,
	COST_MAPPING = 14,
	COST_LISTED_MAPPING = 200,
	COST_THREAD = 350,
	COST_DESCRIPTOR = 40,
	COST_CAPTURE = 8000, // the injected calls, and a clone of nothing
	COST_CLONE = 4000,   // of that, from when all stand
};

// Taken on top of what is reckoned: the same thing takes longer one time than the next.
enum { MARGIN_PERCENT = 35 };

enum {
	TRIALS = 3,
	TRIAL_PAGES = 128,
	UNMAP_TO_COPY_PERCENT =
		30, // giving a page back takes so much longer than copying its entry
	ENTRY_NS_LEAST = 10,
	ENTRY_NS_MOST = 2000,
	ENTRY_NS_UNKNOWN = 200,
};

#define HUGE_SIZE     (UINT64_C(2) << 20)
#define WORTH_LOOKING (UINT64_C(16) << 20) // less costs nothing, whatever the size of its pages
#define COUNT_HUGE_NS UINT64_C(200000000)  // what has not been looked at by then is small pages
#define PERCENT       UINT64_C(100)

// Like a fork, mprotect() takes the right to write out of each entry, and munmap() looks up each
// page's description and counts it down. A fork of our own would be nearer, but it would copy all
// of the host's memory.
static int try_entries(size_t page_size, uint64_t *ns_ret)
{
	size_t size = TRIAL_PAGES * page_size;
	volatile uint8_t *pages =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return -ENOMEM;
	(void)madvise((void *)pages, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < TRIAL_PAGES; i++)
		pages[i * page_size] = 1;

	uint64_t start = pss_clock_ns(CLOCK_MONOTONIC);
	int r = PSS_RET_ERRNO(mprotect((void *)pages, size, PROT_READ));
	uint64_t protected = pss_clock_ns(CLOCK_MONOTONIC);
	(void)munmap((void *)pages, size);
	uint64_t end = pss_clock_ns(CLOCK_MONOTONIC);
	uint64_t unmap_ns = (end - protected) * UNMAP_TO_COPY_PERCENT / PERCENT;

	*ns_ret = (protected - start > unmap_ns ? protected - start : unmap_ns) / TRIAL_PAGES;
	return r;
}

uint64_t pss_forecast_measure_entry(void)
{
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < TRIALS; i++) {
		uint64_t ns;

		if (try_entries(page_size, &ns) < 0)
			return ENTRY_NS_UNKNOWN;
		least = ns < least ? ns : least;
	}
	if (least < ENTRY_NS_LEAST)
		return ENTRY_NS_LEAST;
	return least > ENTRY_NS_MOST ? ENTRY_NS_MOST : least;
}

// Where the kernel can't tell (before Linux 6.7) or does not let us see, all pages are small ones.
static uint64_t count_huge(int pagemap_fd, const struct pss_procfs_map *map)
{
	uint64_t bytes = 0;

	if (pagemap_fd < 0 || map->end - map->start < HUGE_SIZE)
		return 0;
	return pss_pagemap_huge(pagemap_fd, map->start, map->end, &bytes) == 0 ? bytes : 0;
}

static int count_mappings(int dir_fd, struct pss_buf *scratch, bool wants_huge,
			  struct pss_forecast_facts *facts)
{
	_cleanup_close_ int pagemap_fd =
		wants_huge ? openat(dir_fd, "pagemap", O_RDONLY | O_CLOEXEC) : -EBADF;
	_cleanup_maps_ struct pss_procfs_maps maps = PSS_PROCFS_MAPS_EMPTY;
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t span = page_size / sizeof(uint64_t) * page_size; // of one table
	uint64_t deadline = pss_clock_ns(CLOCK_MONOTONIC) + COUNT_HUGE_NS;
	struct pss_procfs_map map;
	uint64_t tables = 0;
	int r = pss_procfs_maps_open(dir_fd, "maps", scratch, &maps);

	if (r < 0)
		return r;
	while ((r = pss_procfs_maps_next(&maps, &map)) == 0) {
		facts->mappings++;
		if (map.is_shared)
			continue;
		tables += (map.end - 1) / span - map.start / span + 1;
		if (pss_clock_ns(CLOCK_MONOTONIC) < deadline)
			facts->huge_bytes += count_huge(pagemap_fd, &map);
	}
	if (tables < facts->table_bytes / page_size)
		facts->table_bytes = tables * page_size;
	return r == -ENODATA ? 0 : r;
}

int pss_forecast_count(int dir_fd, struct pss_buf *scratch, struct pss_forecast_facts *facts)
{
	struct pss_procfs_status status = { 0 };
	int r = pss_procfs_read(dir_fd, "status", scratch);

	if (r == 0)
		r = pss_procfs_parse_status((const char *)scratch->data, scratch->size, &status);
	if (r < 0)
		return r;
	facts->threads = status.thread_count;
	facts->small_bytes = status.rss_anon + status.vm_swap;
	facts->table_bytes = status.vm_pte;
	facts->mappings = 0;
	facts->huge_bytes = 0;
	r = count_mappings(dir_fd, scratch, facts->with_clone && status.rss_anon > WORTH_LOOKING,
			   facts);
	if (r < 0)
		return r;
	// Pages of both sizes come and go while we count.
	if (facts->huge_bytes > status.rss_anon)
		facts->huge_bytes = status.rss_anon;
	facts->small_bytes -= facts->huge_bytes;
	return 0;
}

// In page table entries, by cause.
static void reckon(const struct pss_forecast_facts *facts, uint64_t costs[PSS_FORECAST_CAUSE_COUNT])
{
	uint64_t page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t pages = facts->small_bytes / page_size;
	uint64_t tables = facts->table_bytes / page_size;

	for (int i = 0; i < PSS_FORECAST_CAUSE_COUNT; i++)
		costs[i] = 0;
	costs[PSS_FORECAST_CAPTURE] = COST_CAPTURE;
	costs[PSS_FORECAST_THREADS] = facts->threads * (uint64_t)COST_THREAD;
	costs[PSS_FORECAST_DESCRIPTORS] = facts->descriptors * (uint64_t)COST_DESCRIPTOR;
	if (facts->with_mappings)
		costs[PSS_FORECAST_MAPPINGS] = facts->mappings * (uint64_t)COST_LISTED_MAPPING;
	if (!facts->with_clone)
		return;
	// A table without a page that is copied is not copied.
	costs[PSS_FORECAST_MEMORY] = pages + (tables < pages ? tables : pages) * COST_TABLE +
				     facts->huge_bytes / HUGE_SIZE * COST_HUGE_PAGE;
	costs[PSS_FORECAST_MAPPINGS] += facts->mappings * (uint64_t)COST_MAPPING;
}

static uint64_t in_ns(uint64_t entries, uint64_t entry_ns)
{
	return entries * entry_ns / PERCENT * (PERCENT + MARGIN_PERCENT);
}

struct pss_forecast pss_forecast_make(const struct pss_forecast_facts *facts, uint64_t entry_ns)
{
	struct pss_forecast forecast = { .entry_ns = entry_ns, .facts = *facts };
	uint64_t costs[PSS_FORECAST_CAUSE_COUNT];
	uint64_t sum = 0;

	reckon(facts, costs);
	for (unsigned i = 0; i < PSS_FORECAST_CAUSE_COUNT; i++) {
		sum += costs[i];
		if (costs[i] > costs[forecast.cause])
			forecast.cause = (enum pss_forecast_cause)i;
	}
	forecast.hold_ns = in_ns(sum, entry_ns);
	forecast.clone_ns =
		in_ns(sum - costs[PSS_FORECAST_THREADS] - costs[PSS_FORECAST_CAPTURE] + COST_CLONE,
		      entry_ns);
	return forecast;
}

void pss_forecast_describe(const struct pss_forecast *forecast, char *text, size_t room)
{
	const struct pss_forecast_facts *facts = &forecast->facts;
	unsigned long long small_mib = facts->small_bytes >> 20;
	unsigned long long huge_mib = facts->huge_bytes >> 20;

	switch (forecast->cause) {
	case PSS_FORECAST_MEMORY:
		(void)snprintf(text, room,
			       "%llu MiB of memory in small pages, %llu MiB in huge ones",
			       small_mib, huge_mib);
		break;
	case PSS_FORECAST_THREADS:
		(void)snprintf(text, room, "%u threads", facts->threads);
		break;
	case PSS_FORECAST_MAPPINGS:
		(void)snprintf(text, room, "%u mappings", facts->mappings);
		break;
	case PSS_FORECAST_DESCRIPTORS:
		(void)snprintf(text, room, "%u descriptors", facts->descriptors);
		break;
	default:
		(void)snprintf(text, room, "what any capture takes");
	}
}

const char *pss_forecast_cure(const struct pss_forecast *forecast)
{
	if (forecast->cause == PSS_FORECAST_MEMORY &&
	    forecast->facts.small_bytes > forecast->facts.huge_bytes)
		return "huge pages take a tenth of that: "
		       "/sys/kernel/mm/transparent_hugepage/enabled, MADV_HUGEPAGE";
	if (forecast->cause == PSS_FORECAST_DESCRIPTORS)
		return "capture without descriptors";
	return "";
}
