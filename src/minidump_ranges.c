// SPDX-License-Identifier: LGPL-2.1-or-later
// The sets of minidump_ranges.h. Sorted in place: the C library's qsort() uses the heap.
#include "minidump_ranges.h"

#include <errno.h>

void pss_minidump_ranges_deinit(struct pss_minidump_ranges *ranges)
{
	pss_buf_deinit(&ranges->segments);
	ranges->count = 0;
}

int pss_minidump_ranges_add(struct pss_minidump_ranges *ranges,
			    const struct pss_memory_segment *segment)
{
	int r = pss_buf_append(&ranges->segments, segment, sizeof *segment);

	if (r == 0)
		ranges->count++;
	return r;
}

// Lets the entry at @root of a heap of @count sink to its place.
static void sift(struct pss_memory_segment *heap, uint32_t root, uint32_t count)
{
	struct pss_memory_segment moving = heap[root];

	for (;;) {
		uint64_t child = 2 * (uint64_t)root + 1;

		if (child >= count)
			break;
		if (child + 1 < count && heap[child].start < heap[child + 1].start)
			child++;
		if (heap[child].start <= moving.start)
			break;
		heap[root] = heap[child];
		root = (uint32_t)child;
	}
	heap[root] = moving;
}

static void sort(struct pss_memory_segment *segments, uint32_t count)
{
	for (uint32_t root = count / 2; root-- > 0;)
		sift(segments, root, count);
	for (uint32_t last = count; last-- > 1;) {
		struct pss_memory_segment highest = segments[0];

		segments[0] = segments[last];
		segments[last] = highest;
		sift(segments, 0, last);
	}
}

void pss_minidump_ranges_sort(struct pss_minidump_ranges *ranges)
{
	struct pss_memory_segment *segments = (struct pss_memory_segment *)ranges->segments.data;
	uint32_t kept = 0;

	sort(segments, ranges->count);
	for (uint32_t i = 0; i < ranges->count; i++) {
		struct pss_memory_segment *last = kept > 0 ? &segments[kept - 1] : NULL;

		if (last && last->region == segments[i].region &&
		    last->source == segments[i].source && segments[i].start <= last->end) {
			if (segments[i].end > last->end)
				last->end = segments[i].end;
		} else {
			segments[kept++] = segments[i];
		}
	}
	ranges->count = kept;
	ranges->segments.size = kept * sizeof *segments;
}

// Adds to @to what is left of one range; *next is the first of @other that may still matter.
static int add_rest(struct pss_minidump_ranges *to, struct pss_memory_segment segment,
		    const struct pss_minidump_ranges *other, uint32_t *next)
{
	struct pss_memory_segment piece = segment;
	int r = 0;

	while (*next < other->count && pss_minidump_ranges_at(other, *next)->end <= segment.start)
		(*next)++;
	for (uint32_t i = *next; r == 0 && i < other->count && piece.start < segment.end; i++) {
		const struct pss_memory_segment *gone = pss_minidump_ranges_at(other, i);

		if (gone->start >= segment.end)
			break;
		piece.end = gone->start;
		if (piece.start < piece.end)
			r = pss_minidump_ranges_add(to, &piece);
		if (gone->end > piece.start)
			piece.start = gone->end;
	}
	piece.end = segment.end;
	return r == 0 && piece.start < piece.end ? pss_minidump_ranges_add(to, &piece) : r;
}

int pss_minidump_ranges_subtract(struct pss_minidump_ranges *ranges,
				 const struct pss_minidump_ranges *other)
{
	struct pss_minidump_ranges rest = PSS_MINIDUMP_RANGES_EMPTY;
	uint32_t next = 0;
	int r = 0;

	if (other->count == 0)
		return 0;
	for (uint32_t i = 0; r == 0 && i < ranges->count; i++)
		r = add_rest(&rest, *pss_minidump_ranges_at(ranges, i), other, &next);
	if (r < 0) {
		pss_minidump_ranges_deinit(&rest);
		return r;
	}
	pss_minidump_ranges_deinit(ranges);
	*ranges = rest;
	return 0;
}

const struct pss_memory_segment *pss_minidump_ranges_find(const struct pss_minidump_ranges *ranges,
							  uint64_t address)
{
	uint32_t low = 0, high = ranges->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct pss_memory_segment *segment = pss_minidump_ranges_at(ranges, middle);

		if (address < segment->start)
			high = middle;
		else if (address >= segment->end)
			low = middle + 1;
		else
			return segment;
	}
	return NULL;
}
