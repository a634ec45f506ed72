// SPDX-License-Identifier: LGPL-2.1-or-later
// Writes a planned core: headers, notes, then memory, forward only, so that a pipe will do. What
// can still go wrong here is I/O, the clone's death, and pages that cannot be read.
#include "elfcore.h"

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "elfcore_notes.h"
#include "elfcore_plan.h"
#include "memory_plan.h"
#include "memory_pour.h"

enum { NOTE_ALIGNMENT = 4 };

struct writer {
	const struct pss_section *section;
	const struct pss_memory *memory;
	const struct pss_elfcore_options *options;
	const struct pss_elfcore_plan *plan;
	struct pss_sink *sink;
	struct pss_diag *diag;
	uint64_t page_size;
	uint64_t unreadable;
};

static int write_file_header(struct writer *writer)
{
	const struct pss_elfcore_plan *plan = writer->plan;
	uint64_t headers = (uint64_t)plan->memory.segment_count + 1;
	const Elf64_Ehdr header = {
		.e_ident = {
			[EI_MAG0] = ELFMAG0,
			[EI_MAG1] = ELFMAG1,
			[EI_MAG2] = ELFMAG2,
			[EI_MAG3] = ELFMAG3,
			[EI_CLASS] = ELFCLASS64,
			[EI_DATA] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB,
			[EI_VERSION] = EV_CURRENT,
			[EI_OSABI] = ELFOSABI_NONE,
		},
		.e_type = ET_CORE,
		.e_machine = (Elf64_Half)pss_section_header(writer->section)->machine,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof header,
		.e_ehsize = sizeof header,
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = plan->is_extended ? PN_XNUM : (Elf64_Half)headers,
		.e_shoff = plan->is_extended ? sizeof header + headers * sizeof(Elf64_Phdr) : 0,
		.e_shentsize = plan->is_extended ? sizeof(Elf64_Shdr) : 0,
		.e_shnum = plan->is_extended ? 1 : 0,
	};

	return pss_sink_write(writer->sink, &header, sizeof header);
}

static uint32_t segment_flags(const struct pss_region_record *region)
{
	return (region->protection & PSS_REGION_READ ? PF_R : 0U) |
	       (region->protection & PSS_REGION_WRITE ? PF_W : 0U) |
	       (region->protection & PSS_REGION_EXECUTE ? PF_X : 0U);
}

static int write_program_headers(struct writer *writer)
{
	const struct pss_elfcore_plan *plan = writer->plan;
	const Elf64_Phdr note = {
		.p_type = PT_NOTE,
		.p_offset = plan->notes_offset,
		.p_filesz = plan->notes_size,
		.p_align = NOTE_ALIGNMENT,
	};

	int r = pss_sink_write(writer->sink, &note, sizeof note);
	for (uint32_t i = 0; r == 0 && i < plan->memory.segment_count; i++) {
		const struct pss_memory_segment *segment =
			pss_memory_plan_segment(&plan->memory, i);
		uint64_t size = segment->end - segment->start;
		// p_paddr stays 0: a reader that finds one takes all of them for physical
		// addresses.
		const Elf64_Phdr header = {
			.p_type = PT_LOAD,
			.p_flags =
				segment_flags(pss_section_region(writer->section, segment->region)),
			.p_offset = segment->offset,
			.p_vaddr = segment->start,
			.p_filesz = segment->source == PSS_MEMORY_OMITTED ? 0 : size,
			.p_memsz = size,
			.p_align = writer->page_size,
		};

		r = pss_sink_write(writer->sink, &header, sizeof header);
	}
	return r;
}

static int write_extended_count(struct writer *writer)
{
	const Elf64_Shdr header = {
		.sh_type = SHT_NULL,
		.sh_size = 1, // e_shnum
		.sh_info = writer->plan->memory.segment_count + 1,
	};

	return writer->plan->is_extended ? pss_sink_write(writer->sink, &header, sizeof header) : 0;
}

static int write_tables(struct writer *writer)
{
	const struct pss_elfcore_plan *plan = writer->plan;
	uint64_t size = 0;

	int r = write_file_header(writer);
	if (r == 0)
		r = write_program_headers(writer);
	if (r == 0)
		r = write_extended_count(writer);
	assert(r < 0 || writer->sink->position == plan->notes_offset);
	if (r == 0)
		r = pss_elfcore_notes_write(writer->section, plan, writer->sink, &size);
	assert(r < 0 || size == plan->notes_size);
	if (r == 0)
		r = pss_sink_skip(writer->sink, plan->data_offset - plan->notes_offset - size);
	return r;
}

static int write_memory(struct writer *writer)
{
	_cleanup_(pss_memory_pour_end) struct pss_memory_pour pour = {
		.section = writer->section,
		.memory = writer->memory,
		.hooks = &writer->options->hooks,
		.what = "core",
		.sink = writer->sink,
		.diag = writer->diag,
		.total = writer->plan->memory.memory_bytes,
	};

	int r = pss_memory_pour_begin(&pour);
	for (uint32_t i = 0; r == 0 && i < writer->plan->memory.segment_count; i++) {
		const struct pss_memory_segment *segment =
			pss_memory_plan_segment(&writer->plan->memory, i);
		if (segment->source == PSS_MEMORY_OMITTED)
			continue;
		assert(writer->sink->position == segment->offset);
		r = pss_memory_pour_segment(&pour, segment);
	}
	writer->unreadable = pour.unreadable;
	return r == 0 ? pss_memory_pour_finish(&pour) : r;
}

static int make_plan(const struct pss_section *section, const struct pss_memory *memory,
		     const struct pss_elfcore_options *options, struct pss_diag *diag,
		     struct pss_elfcore_plan *plan)
{
	uint64_t notes_size = 0;

	if (pss_section_process(section)->flags & PSS_PROCESS_32BIT)
		return pss_fail(diag, -EOPNOTSUPP, "cannot write a core of a 32-bit process");
	int r = pss_memory_plan_make(section, memory, &options->choice, diag, &plan->memory);
	if (r == 0)
		r = pss_memory_plan_check(section, memory, plan->memory.memory_bytes, diag);
	if (r < 0)
		return r;
	r = pss_elfcore_notes_write(section, plan, NULL, &notes_size);
	if (r == 0)
		r = pss_elfcore_plan_offsets(plan, notes_size,
					     pss_section_header(section)->page_size);
	return r < 0 ? pss_fail(diag, r, "cannot lay out the core") : 0;
}

int pss_elfcore_write(const struct pss_section *section, const struct pss_memory *memory,
		      const struct pss_elfcore_options *options, struct pss_sink *sink,
		      struct pss_diag *diag, struct pss_elfcore_result *ret)
{
	_cleanup_elfcore_plan_ struct pss_elfcore_plan plan = PSS_ELFCORE_PLAN_EMPTY;
	struct writer writer = {
		.section = section,
		.memory = memory,
		.options = options,
		.plan = &plan,
		.sink = sink,
		.diag = diag,
		.page_size = pss_section_header(section)->page_size,
	};

	int r = make_plan(section, memory, options, diag, &plan);
	if (r == 0)
		r = write_tables(&writer);
	if (r == 0)
		r = write_memory(&writer);
	if (r == 0)
		r = pss_sink_finish(sink);
	if (r < 0)
		return r;
	*ret = (struct pss_elfcore_result){
		.file_size = plan.file_size,
		.memory_bytes = plan.memory.memory_bytes - writer.unreadable,
		.unreadable_bytes = writer.unreadable,
		.segments = plan.memory.segment_count,
		.threads = pss_elfcore_notes_threads(section),
	};
	return 0;
}
