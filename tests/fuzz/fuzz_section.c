// SPDX-License-Identifier: LGPL-2.1-or-later
// The section's reader on any bytes: what it accepts, every accessor must get through, and nothing
// it gives out may lie outside.
#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "section.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { REGSETS_MAX = 1 << 16 };

static void must(bool is_true)
{
	if (!is_true)
		__builtin_trap();
}

// Reads all of it, so that a sanitizer sees what is not ours.
static void touch(const struct pss_section *section, const void *bytes, size_t size)
{
	const uint8_t *from = bytes;
	volatile uint8_t sum = 0;

	must(from >= section->data && from + size <= section->data + section->size);
	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + from[i]);
}

static void follow(const struct pss_section *section, struct pss_bytes_ref ref)
{
	const void *bytes;
	int r = pss_section_bytes(section, ref, &bytes);

	must(r == 0 || r == -EBADMSG);
	if (r == 0)
		touch(section, bytes, ref.size);
}

static void check_regsets(const struct pss_section *section, const struct pss_thread_record *thread)
{
	static const uint32_t types[] = { NT_PRSTATUS, NT_FPREGSET, NT_SIGINFO, NT_X86_XSTATE };
	struct pss_section_regset regset;
	uint64_t cursor = 0;
	int r;

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		const void *bytes;
		size_t size;

		r = pss_section_regset(section, thread, types[i], &bytes, &size);
		must(r == 0 || r == -ENOENT || r == -EBADMSG);
		if (r == 0)
			touch(section, bytes, size);
	}
	for (size_t i = 0; i < REGSETS_MAX; i++) {
		uint64_t before = cursor;

		r = pss_section_next_regset(section, thread, &cursor, &regset);
		must(r == 0 || r == -ENOENT || r == -EBADMSG);
		if (r < 0)
			return;
		must(cursor > before && cursor <= thread->registers_size);
		touch(section, regset.bytes, regset.size);
	}
}

static void check_parts(const struct pss_section *section)
{
	for (int part = 0; part < PSS_PART_COUNT; part++) {
		uint32_t count = pss_section_count(section, part);
		uint32_t record_size = pss_section_header(section)->parts[part].record_size;
		size_t size;
		const void *blob = pss_section_blob(section, part, &size);

		touch(section, blob, size);
		for (uint32_t i = 0; i < count; i++)
			touch(section, pss_section_record(section, part, i), record_size);
		must(!pss_section_record(section, part, count));
		must(!pss_section_record(section, part, UINT32_MAX));
	}
}

static void check_section(const struct pss_section *section)
{
	const struct pss_process_record *process = pss_section_process(section);
	const struct pss_thread_record *thread;
	const struct pss_region_record *region;
	const struct pss_handle_record *handle;
	const struct pss_aux_page_record *page;
	const struct pss_patch_record *patch;

	check_parts(section);
	must(process != NULL);
	follow(section, process->comm);
	follow(section, process->exe);
	follow(section, process->command_line);
	if (pss_section_clone(section))
		touch(section, pss_section_clone(section), sizeof *pss_section_clone(section));
	if (pss_section_figures(section))
		touch(section, pss_section_figures(section), sizeof *pss_section_figures(section));
	for (uint32_t i = 0; (thread = pss_section_thread(section, i)); i++) {
		follow(section, thread->name);
		check_regsets(section, thread);
	}
	for (uint32_t i = 0; (region = pss_section_region(section, i)); i++) {
		follow(section, region->path);
		follow(section, region->build_id);
	}
	for (uint32_t i = 0; (handle = pss_section_handle(section, i)); i++) {
		follow(section, handle->link);
		follow(section, handle->name);
		follow(section, handle->info);
	}
	for (uint32_t i = 0; (page = pss_section_aux_page(section, i)); i++)
		follow(section, page->contents);
	for (uint32_t i = 0; (patch = pss_section_patch(section, i)); i++)
		follow(section, patch->bytes);
}

static void check_bytes(const void *bytes, size_t size)
{
	struct pss_section section = PSS_SECTION_EMPTY;
	int r = pss_section_open_bytes(bytes, size, &section);

	must(r == 0 || r == -EBADF);
	if (r == 0)
		check_section(&section);
	pss_section_close(&section);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct pss_section_header good = {
		.magic = PSS_SECTION_MAGIC,
		.version = PSS_SECTION_VERSION,
		.part_count = PSS_PART_COUNT,
		.total_size = size,
	};
	struct pss_section_header header;

	check_bytes(data, size);
	if (size < sizeof header)
		return 0;

	// Once more with what a mutation always breaks put right. malloc aligns as a mapping does.
	uint8_t *copy = malloc(size);
	must(copy != NULL);
	memcpy(copy, data, size);
	memcpy(&header, copy, sizeof header);
	memcpy(header.magic, good.magic, sizeof header.magic);
	header.version = good.version;
	header.part_count = good.part_count;
	header.total_size = good.total_size;
	memcpy(copy, &header, sizeof header);
	check_bytes(copy, size);
	free(copy);
	return 0;
}
