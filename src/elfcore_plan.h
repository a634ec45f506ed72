// SPDX-License-Identifier: LGPL-2.1-or-later
// The layout of a core before a byte of it is written: every segment, offset and size.
#ifndef PSS_ELFCORE_PLAN_H
#define PSS_ELFCORE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "memory_plan.h"

/** Positions are of the uncompressed file. */
struct pss_elfcore_plan {
	struct pss_memory_plan memory; /**< one PT_LOAD a segment: all of it in the file, or none */
	bool is_extended; /**< more headers than e_phnum can say: section header 0 says it */
	uint64_t notes_offset;
	uint64_t notes_size;
	uint64_t data_offset;
	uint64_t file_size;
};

#define PSS_ELFCORE_PLAN_EMPTY ((struct pss_elfcore_plan){ 0 })

void pss_elfcore_plan_deinit(struct pss_elfcore_plan *plan);

#define _cleanup_elfcore_plan_ _cleanup_(pss_elfcore_plan_deinit)

/** Gives everything its place, once the size of the notes is known. */
int pss_elfcore_plan_offsets(struct pss_elfcore_plan *plan, uint64_t notes_size,
			     uint32_t page_size);

#endif
