// SPDX-License-Identifier: LGPL-2.1-or-later
// Finds the pages of a mapping that hold something. A page that nobody has touched is not read: the
// read would make it, in the clone or, in shared memory, for the target itself.
#include "memory_runs.h"

#include <errno.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"

int pss_memory_runs_begin(struct pss_memory_runs *runs, const struct pss_memory *memory,
			  const struct pss_region_record *region, enum pss_memory_source source)
{
	int fd = -EBADF;

	if (source == PSS_MEMORY_SHARED) {
		int r = pss_memory_open_mapping(memory, region->start, region->end, &fd);
		if (r < 0)
			return r;
	}
	pss_memory_runs_end(runs);
	runs->source = source;
	runs->page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	runs->address_of_file = region->start - region->file_offset; // may wrap: so does its use
	runs->object_fd = fd;
	runs->section = memory->section;
	pss_pagemap_init(&runs->pagemap, memory->pagemap_fd);
	runs->pagemap.joins_files = source == PSS_MEMORY_RESIDENT;
	pss_memory_runs_seek(runs, region->start, region->end);
	return 0;
}

void pss_memory_runs_end(struct pss_memory_runs *runs)
{
	runs->object_fd = pss_close(runs->object_fd);
}

void pss_memory_runs_seek(struct pss_memory_runs *runs, uint64_t start, uint64_t end)
{
	runs->position = start;
	runs->end = end;
	pss_pagemap_seek(&runs->pagemap, start, end);
}

static bool is_wanted(enum pss_memory_source source, enum pss_page_kind kind)
{
	// The zero page is what an untouched page becomes by being looked at.
	if (source == PSS_MEMORY_PRIVATE)
		return kind == PSS_PAGES_PRIVATE;
	return kind == PSS_PAGES_PRIVATE || kind == PSS_PAGES_FILE;
}

static int next_resident(struct pss_memory_runs *runs, uint64_t *start_ret, uint64_t *end_ret)
{
	struct pss_page_range range;
	int r;

	do {
		r = pss_pagemap_next(&runs->pagemap, &range);
		if (r < 0)
			return r;
	} while (!is_wanted(runs->source, range.kind));
	*start_ret = range.start;
	*end_ret = range.end;
	return 0;
}

static int next_shared(struct pss_memory_runs *runs, uint64_t *start_ret, uint64_t *end_ret)
{
	uint64_t base = runs->address_of_file;
	off_t data = lseek(runs->object_fd, (off_t)(runs->position - base), SEEK_DATA);

	if (data < 0)
		return errno == ENXIO ? -ENODATA : -errno;
	off_t hole = lseek(runs->object_fd, data, SEEK_HOLE);
	if (hole < 0)
		return errno == ENXIO ? -ENODATA : -errno;

	uint64_t start = base + pss_align_down((uint64_t)data, runs->page_size);
	uint64_t end = base + pss_align_up((uint64_t)hole, runs->page_size);
	if (start >= runs->end)
		return -ENODATA;
	*start_ret = start;
	*end_ret = end < runs->end ? end : runs->end;
	runs->position = *end_ret;
	return 0;
}

// The lowest one that begins at or above the position: few mappings are kept, and small ones.
static int next_kept(struct pss_memory_runs *runs, uint64_t *start_ret, uint64_t *end_ret)
{
	uint64_t start = runs->end;

	for (uint32_t i = 0; i < pss_section_count(runs->section, PSS_PART_AUX_PAGES); i++) {
		uint64_t address = pss_section_aux_page(runs->section, i)->address;

		if (address >= runs->position && address < start && address % runs->page_size == 0)
			start = address;
	}
	if (start >= runs->end)
		return -ENODATA;
	*start_ret = start;
	*end_ret = start + runs->page_size;
	runs->position = *end_ret;
	return 0;
}

int pss_memory_runs_next(struct pss_memory_runs *runs, uint64_t *start_ret, uint64_t *end_ret)
{
	switch (runs->source) {
	case PSS_MEMORY_RESIDENT:
	case PSS_MEMORY_PRIVATE:
		return next_resident(runs, start_ret, end_ret);
	case PSS_MEMORY_KEPT:
		return next_kept(runs, start_ret, end_ret);
	case PSS_MEMORY_SHARED:
		return runs->position < runs->end ? next_shared(runs, start_ret, end_ret)
						  : -ENODATA;
	case PSS_MEMORY_EVERY:
		if (runs->position >= runs->end)
			return -ENODATA;
		*start_ret = runs->position;
		*end_ret = runs->end;
		runs->position = runs->end;
		return 0;
	case PSS_MEMORY_OMITTED:
		break;
	}
	return -ENODATA;
}
