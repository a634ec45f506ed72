// SPDX-License-Identifier: LGPL-2.1-or-later
// Sets of memory ranges: gathered in any order, then sorted, merged and taken from one another.
// Knows nothing of dumps.
#ifndef PSS_MINIDUMP_RANGES_H
#define PSS_MINIDUMP_RANGES_H

#include <stdint.h>

#include "base/buf.h"
#include "memory_plan.h"

/** struct pss_memory_segment, whole pages; of one region never two that overlap once sorted. */
struct pss_minidump_ranges {
	struct pss_buf segments;
	uint32_t count;
};

#define PSS_MINIDUMP_RANGES_EMPTY ((struct pss_minidump_ranges){ .count = 0 })

void pss_minidump_ranges_deinit(struct pss_minidump_ranges *ranges);

#define _cleanup_minidump_ranges_ _cleanup_(pss_minidump_ranges_deinit)

/** Adds a range that is not empty. -ENOMEM. */
int pss_minidump_ranges_add(struct pss_minidump_ranges *ranges,
			    const struct pss_memory_segment *segment);

/** Sorts by address; joins what overlaps or touches, if it is of the same region and source. */
void pss_minidump_ranges_sort(struct pss_minidump_ranges *ranges);

/** Takes from @ranges what @other holds; both are sorted, and stay so. -ENOMEM. */
int pss_minidump_ranges_subtract(struct pss_minidump_ranges *ranges,
				 const struct pss_minidump_ranges *other);

/** Of sorted ranges the one that holds @address, or NULL. */
const struct pss_memory_segment *pss_minidump_ranges_find(const struct pss_minidump_ranges *ranges,
							  uint64_t address);

static inline struct pss_memory_segment *
pss_minidump_ranges_at(const struct pss_minidump_ranges *ranges, uint32_t index)
{
	return (struct pss_memory_segment *)ranges->segments.data + index;
}

#endif
