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

/** Offsets of the ranges are relative to where memory begins. */
struct pss_minidump_plan {
	struct pss_minidump_ranges near; /**< stacks and what belongs to them */
	struct pss_minidump_ranges far;  /**< what else the type asks for; no page is in both */
	uint64_t memory_bytes;           /**< to be read, at most */
	uint64_t size;                   /**< of both in the file */
	bool is_64;                      /**< all of it stands in a list with 64 bits, too */
};

#define PSS_MINIDUMP_PLAN_EMPTY ((struct pss_minidump_plan){ .size = 0 })

void pss_minidump_plan_deinit(struct pss_minidump_plan *plan);

/** Makes dump->plan, once threads and modules are chosen. */
int pss_minidump_plan_make(struct pss_minidump *dump);

/** A region as a minidump describes it. */
void pss_minidump_plan_describe(const struct pss_region_record *region, MINIDUMP_MEMORY_INFO *ret);

#endif
