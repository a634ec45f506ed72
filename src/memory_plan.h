// SPDX-License-Identifier: LGPL-2.1-or-later
// Which memory an export holds, whatever its format: every mapping, cut into pieces that are
// written or left out.
#ifndef PSS_MEMORY_PLAN_H
#define PSS_MEMORY_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/diag.h"
#include "memory.h"
#include "memory_runs.h"
#include "section.h"

/** Bits of core(5)'s coredump_filter. 7 and 8 are about DAX, which a snapshot cannot tell from
 * other files. */
enum pss_memory_filter {
	PSS_MEMORY_ANON_PRIVATE = 1 << 0,
	PSS_MEMORY_ANON_SHARED = 1 << 1,
	PSS_MEMORY_FILE_PRIVATE = 1 << 2,
	PSS_MEMORY_FILE_SHARED = 1 << 3,
	PSS_MEMORY_ELF_HEADERS = 1 << 4,
	PSS_MEMORY_HUGE_PRIVATE = 1 << 5,
	PSS_MEMORY_HUGE_SHARED = 1 << 6,
};

/** What is wanted. */
struct pss_memory_choice {
	uint64_t filter;        /**< enum pss_memory_filter; UINT64_MAX: the target's own */
	bool include_dont_dump; /**< also what the target marked with MADV_DONTDUMP */
	/** NULL, or whether anything of region number @region may go in. */
	bool (*is_wanted)(const void *context, uint32_t region);
	const void *context;
};

/** A piece of a mapping: all of its bytes are in the file, or none. */
struct pss_memory_segment {
	uint64_t start;
	uint64_t end;
	uint64_t offset; /**< in the file: the exporter's affair */
	uint32_t region; /**< index of the mapping it is part of */
	uint32_t source; /**< enum pss_memory_source */
};

struct pss_memory_plan {
	struct pss_buf segments; /**< struct pss_memory_segment, by address */
	struct pss_buf unknown;  /**< uint32_t: regions left out because nobody knows their pages */
	uint32_t segment_count;
	uint64_t memory_bytes; /**< of pages to be read */
};

#define PSS_MEMORY_PLAN_EMPTY ((struct pss_memory_plan){ 0 })

void pss_memory_plan_deinit(struct pss_memory_plan *plan);

#define _cleanup_memory_plan_ _cleanup_(pss_memory_plan_deinit)

/**
 * Chooses what goes in; together the segments cover every mapping. *ret must be empty, and is to be
 * given back by the caller on failure too.
 */
int pss_memory_plan_make(const struct pss_section *section, const struct pss_memory *memory,
			 const struct pss_memory_choice *choice, struct pss_diag *diag,
			 struct pss_memory_plan *ret);

/**
 * -EBADMSG if an export of @bytes describes more memory than the clone has mapped: a section may
 * come from somebody who made it up, and reading that, page by page, would take for ever.
 */
int pss_memory_plan_check(const struct pss_section *section, const struct pss_memory *memory,
			  uint64_t bytes, struct pss_diag *diag);

/** Segment @index, which there must be. */
static inline struct pss_memory_segment *pss_memory_plan_segment(const struct pss_memory_plan *plan,
								 uint32_t index)
{
	return (struct pss_memory_segment *)plan->segments.data + index;
}

#endif
