// SPDX-License-Identifier: LGPL-2.1-or-later
// The scan of minidump_referenced.h: stacks word by word, what was found sorted and joined whenever
// it has doubled.
#include "minidump_referenced.h"

#include <errno.h>

#include "base/checked.h"
#include "memory_runs.h"
#include "minidump_plan.h"
#include "minidump_streams.h"

enum {
	// Around an address: what Windows takes, too.
	BEFORE_REFERENCE = 256,
	AFTER_REFERENCE = 768,
	SCAN_PIECE = 65536,
	COMPACT_FIRST = 4096,
};

struct scan {
	struct pss_minidump *dump;
	struct pss_minidump_ranges *to;
	uint64_t limit; // of ranges, before they are joined
	struct pss_memory_runs runs;
	struct pss_buf piece;
};

static int add_references(struct scan *scan, const uint64_t *words, size_t count)
{
	struct pss_minidump *dump = scan->dump;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		const struct pss_region_record *region =
			pss_section_region_at(dump->section, words[i]);

		if (region && region->kind == PSS_REGION_PRIVATE &&
		    region->protection & PSS_REGION_WRITE)
			r = pss_minidump_plan_add_around(dump, scan->to, words[i], BEFORE_REFERENCE,
							 AFTER_REFERENCE);
	}
	// Stacks point to few places, many times.
	if (scan->to->count > scan->limit) {
		pss_minidump_ranges_sort(scan->to);
		scan->limit = 2 * (uint64_t)scan->to->count + COMPACT_FIRST;
	}
	return r;
}

// A page that cannot be read is passed over.
static int scan_run(struct scan *scan, uint64_t start, uint64_t end)
{
	uint64_t page_size = scan->dump->page_size;
	int r = 0;

	while (r == 0 && start < end) {
		size_t wanted = end - start < SCAN_PIECE ? end - start : SCAN_PIECE;
		size_t done = 0;

		r = pss_minidump_read(scan->dump, start, scan->piece.data, wanted, &done);
		if (r < 0 && r != -EFAULT)
			return r;
		start += done;
		if (r == -EFAULT)
			start = pss_align_down(start, page_size) + page_size;
		r = add_references(scan, (const uint64_t *)(void *)scan->piece.data,
				   done / sizeof(uint64_t));
	}
	return r;
}

static int scan_range(struct scan *scan, const struct pss_memory_segment *segment)
{
	const struct pss_region_record *region =
		pss_section_region(scan->dump->section, segment->region);
	uint64_t start = 0, end = 0;
	int r = pss_memory_runs_begin(&scan->runs, scan->dump->memory, region,
				      (enum pss_memory_source)segment->source);

	if (r < 0)
		return r;
	pss_memory_runs_seek(&scan->runs, segment->start, segment->end);
	while ((r = pss_memory_runs_next(&scan->runs, &start, &end)) == 0) {
		r = scan_run(scan, start, end);
		if (r < 0)
			return r;
	}
	return r == -ENODATA ? 0 : r;
}

static void scan_end(struct scan *scan)
{
	pss_memory_runs_end(&scan->runs);
	pss_buf_deinit(&scan->piece);
}

int pss_minidump_referenced_add(struct pss_minidump *dump, struct pss_minidump_ranges *to)
{
	const struct pss_minidump_ranges *near = &dump->plan.near;
	_cleanup_(scan_end) struct scan scan = {
		.dump = dump,
		.to = to,
		.limit = COMPACT_FIRST,
		.runs = PSS_MEMORY_RUNS_EMPTY,
		.piece = PSS_BUF_EMPTY,
	};
	int r = pss_buf_reserve(&scan.piece, SCAN_PIECE);

	for (uint32_t i = 0; r == 0 && i < near->count; i++) {
		const struct pss_memory_segment *segment = pss_minidump_ranges_at(near, i);

		if (segment->source == PSS_MEMORY_RESIDENT)
			r = scan_range(&scan, segment);
	}
	return r;
}
