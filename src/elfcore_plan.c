// SPDX-License-Identifier: LGPL-2.1-or-later
// Gives everything in a core its place, once it is known which memory goes in.
#include "elfcore_plan.h"

#include <elf.h>
#include <errno.h>

#include "base/checked.h"

void pss_elfcore_plan_deinit(struct pss_elfcore_plan *plan)
{
	if (!plan)
		return;
	pss_memory_plan_deinit(&plan->memory);
	*plan = PSS_ELFCORE_PLAN_EMPTY;
}

int pss_elfcore_plan_offsets(struct pss_elfcore_plan *plan, uint64_t notes_size, uint32_t page_size)
{
	// The PT_NOTE counts too. PN_XNUM itself is no number: it says where to look for one.
	uint64_t headers = (uint64_t)plan->memory.segment_count + 1;
	plan->is_extended = headers >= PN_XNUM;

	plan->notes_offset = sizeof(Elf64_Ehdr) + headers * sizeof(Elf64_Phdr) +
			     (plan->is_extended ? sizeof(Elf64_Shdr) : 0);
	plan->notes_size = notes_size;
	plan->data_offset = pss_align_up(plan->notes_offset + notes_size, page_size);

	uint64_t offset = plan->data_offset;
	for (uint32_t i = 0; i < plan->memory.segment_count; i++) {
		struct pss_memory_segment *segment = pss_memory_plan_segment(&plan->memory, i);

		segment->offset = offset;
		if (segment->source != PSS_MEMORY_OMITTED &&
		    pss_add(offset, segment->end - segment->start, &offset) < 0)
			return -EFBIG;
	}
	plan->file_size = offset;
	return offset > INT64_MAX ? -EFBIG : 0;
}
