// SPDX-License-Identifier: LGPL-2.1-or-later
// The layout of a core before a byte of it is written: every segment, offset and size.
#ifndef PSS_ELFCORE_PLAN_H
#define PSS_ELFCORE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/diag.h"
#include "elfcore.h"
#include "elfcore_runs.h"

/** One PT_LOAD: all of its bytes are in the file, or none. */
struct pss_elfcore_segment {
	uint64_t start;
	uint64_t end;
	uint64_t offset;
	uint32_t region; /**< index of the mapping it is part of */
	uint32_t source; /**< enum pss_elfcore_source */
};

/** Positions are of the uncompressed file. */
struct pss_elfcore_plan {
	struct pss_buf segments; /**< struct pss_elfcore_segment, by address */
	struct pss_buf unknown;  /**< uint32_t: regions left out because nobody knows their pages */
	uint32_t segment_count;
	bool is_extended; /**< more headers than e_phnum can say: section header 0 says it */
	uint64_t notes_offset;
	uint64_t notes_size;
	uint64_t data_offset;
	uint64_t file_size;
	uint64_t memory_bytes; /**< of pages to be read */
};

#define PSS_ELFCORE_PLAN_EMPTY ((struct pss_elfcore_plan){ 0 })

void pss_elfcore_plan_deinit(struct pss_elfcore_plan *plan);

#define _cleanup_elfcore_plan_ _cleanup_(pss_elfcore_plan_deinit)

/** Chooses what goes in. *ret must be empty, and is to be given back by the caller on failure too.
 */
int pss_elfcore_plan_segments(const struct pss_section *section, const struct pss_memory *memory,
			      const struct pss_elfcore_options *options, struct pss_diag *diag,
			      struct pss_elfcore_plan *ret);

/** Gives everything its place, once the size of the notes is known. */
int pss_elfcore_plan_offsets(struct pss_elfcore_plan *plan, uint64_t notes_size,
			     uint32_t page_size);

/** Segment @index, which there must be. */
static inline struct pss_elfcore_segment *
pss_elfcore_plan_segment(const struct pss_elfcore_plan *plan, uint32_t index)
{
	return (struct pss_elfcore_segment *)plan->segments.data + index;
}

/** Says of @error, which a read of the clone gave, what it means. Returns it. */
int pss_elfcore_fail(const struct pss_section *section, int error, struct pss_diag *diag);

#endif
