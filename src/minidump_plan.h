// SPDX-License-Identifier: LGPL-2.1-or-later
// Which memory a minidump holds, and where. Two sets: what every reader must reach, stacks above
// all, comes first, so that 32 bits hold its positions; then the rest.
#ifndef PSS_MINIDUMP_PLAN_H
#define PSS_MINIDUMP_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include <minidumpapiset.h>

#include "minidump_ranges.h"
#include "section_format.h"

struct pss_minidump;

enum {
	/** What Breakpad takes of a list with positions of 32 bits, and of one range in it. */
	PSS_MINIDUMP_RANGES_MOST = 4096,
	PSS_MINIDUMP_PIECE_MOST = 64 * 1024 * 1024,
};

/** Offsets of the ranges are relative to where memory begins. */
struct pss_minidump_plan {
	struct pss_minidump_ranges near; /**< stacks and what belongs to them */
	struct pss_minidump_ranges far;  /**< what else the type asks for; no page is in both */
	uint64_t memory_bytes;           /**< to be read */
	uint64_t size;                   /**< of both in the file */
	bool is_64; /**< all of it stands in a list with 64 bits, and in the other only what is near
		     */
};

#define PSS_MINIDUMP_PLAN_EMPTY ((struct pss_minidump_plan){ .size = 0 })

void pss_minidump_plan_deinit(struct pss_minidump_plan *plan);

/** Makes dump->plan, once threads and modules are chosen. */
int pss_minidump_plan_make(struct pss_minidump *dump);

/**
 * Adds to @to the pages from @start to @end, as far as they are of the region that holds @address
 * and may be in a dump.
 */
int pss_minidump_plan_add(struct pss_minidump *dump, struct pss_minidump_ranges *to,
			  uint64_t address, uint64_t start, uint64_t end);

/** The same with so many bytes before and after @address. */
int pss_minidump_plan_add_around(struct pss_minidump *dump, struct pss_minidump_ranges *to,
				 uint64_t address, uint64_t before, uint64_t after);

/** A region as a minidump describes it. */
void pss_minidump_plan_describe(const struct pss_region_record *region, MINIDUMP_MEMORY_INFO *ret);

#endif
