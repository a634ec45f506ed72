// SPDX-License-Identifier: LGPL-2.1-or-later
// Which pages of a range are worth reading: one question with three ways to answer it.
#ifndef PSS_ELFCORE_RUNS_H
#define PSS_ELFCORE_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "memory.h"
#include "pagemap.h"
#include "section.h"

/** Where the bytes of a range come from. */
enum pss_elfcore_source {
	PSS_ELFCORE_OMITTED,  /**< nowhere: the file has none */
	PSS_ELFCORE_EVERY,    /**< every page is read */
	PSS_ELFCORE_RESIDENT, /**< pages that the clone has; the rest reads as zeroes */
	PSS_ELFCORE_PRIVATE,  /**< of those, pages that differ from their file */
	PSS_ELFCORE_KEPT,     /**< auxiliary pages: what the clone could not be given */
	PSS_ELFCORE_SHARED,   /**< pages that the shared object has; the rest reads as zeroes */
};

/** A cursor over runs of pages. Fields are private. */
struct pss_elfcore_runs {
	enum pss_elfcore_source source;
	uint64_t page_size;
	uint64_t position;
	uint64_t end;
	uint64_t address_of_file; /**< where the start of the shared object would be mapped */
	int object_fd;
	const struct pss_section *section;
	struct pss_pagemap pagemap;
};

#define PSS_ELFCORE_RUNS_EMPTY ((struct pss_elfcore_runs){ .object_fd = -EBADF })

/**
 * Stands at the beginning of [start, end), a part of @region. PSS_ELFCORE_SHARED may need rights
 * that we lack: then a negative errno.
 */
int pss_elfcore_runs_begin(struct pss_elfcore_runs *runs, const struct pss_memory *memory,
			   const struct pss_region_record *region, enum pss_elfcore_source source);
void pss_elfcore_runs_end(struct pss_elfcore_runs *runs);

#define _cleanup_elfcore_runs_ _cleanup_(pss_elfcore_runs_end)

/** Narrows the cursor to [start, end) and stands at its beginning. */
void pss_elfcore_runs_seek(struct pss_elfcore_runs *runs, uint64_t start, uint64_t end);

/** The next run of pages to read. -ENODATA at the end, -ESRCH if the clone has died. */
int pss_elfcore_runs_next(struct pss_elfcore_runs *runs, uint64_t *start_ret, uint64_t *end_ret);

#endif
