// SPDX-License-Identifier: LGPL-2.1-or-later
// Which pages of a range are worth reading: one question with three ways to answer it.
#ifndef PSS_MEMORY_RUNS_H
#define PSS_MEMORY_RUNS_H

#include <stdbool.h>
#include <stdint.h>

#include "memory.h"
#include "pagemap.h"
#include "section.h"

/** Where the bytes of a range come from. */
enum pss_memory_source {
	PSS_MEMORY_OMITTED,  /**< nowhere: the file has none */
	PSS_MEMORY_EVERY,    /**< every page is read */
	PSS_MEMORY_RESIDENT, /**< pages that the clone has; the rest reads as zeroes */
	PSS_MEMORY_PRIVATE,  /**< of those, pages that differ from their file */
	PSS_MEMORY_KEPT,     /**< auxiliary pages: what the clone could not be given */
	PSS_MEMORY_SHARED,   /**< pages that the shared object has; the rest reads as zeroes */
};

/** A cursor over runs of pages. Fields are private. */
struct pss_memory_runs {
	enum pss_memory_source source;
	uint64_t page_size;
	uint64_t position;
	uint64_t end;
	uint64_t address_of_file; /**< where the start of the shared object would be mapped */
	int object_fd;
	const struct pss_section *section;
	struct pss_pagemap pagemap;
};

#define PSS_MEMORY_RUNS_EMPTY ((struct pss_memory_runs){ .object_fd = -EBADF })

/**
 * Stands at the beginning of [start, end), a part of @region. PSS_MEMORY_SHARED may need rights
 * that we lack: then a negative errno.
 */
int pss_memory_runs_begin(struct pss_memory_runs *runs, const struct pss_memory *memory,
			  const struct pss_region_record *region, enum pss_memory_source source);
void pss_memory_runs_end(struct pss_memory_runs *runs);

#define _cleanup_memory_runs_ _cleanup_(pss_memory_runs_end)

/** Narrows the cursor to [start, end) and stands at its beginning. */
void pss_memory_runs_seek(struct pss_memory_runs *runs, uint64_t start, uint64_t end);

/** The next run of pages to read. -ENODATA at the end, -ESRCH if the clone has died. */
int pss_memory_runs_next(struct pss_memory_runs *runs, uint64_t *start_ret, uint64_t *end_ret);

#endif
