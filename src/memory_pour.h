// SPDX-License-Identifier: LGPL-2.1-or-later
// Pours planned memory into a sink, forward only, whatever the format around it: reads what is
// there, leaves holes where nothing is, counts what could not be read, tells how far it is.
#ifndef PSS_MEMORY_POUR_H
#define PSS_MEMORY_POUR_H

#include <stdint.h>

#include "base/buf.h"
#include "base/diag.h"
#include "memory.h"
#include "memory_ahead.h"
#include "memory_plan.h"
#include "memory_runs.h"
#include "section.h"
#include "sink.h"

/** What others have to say while memory is written. Each may be NULL. */
struct pss_memory_hooks {
	/** Called now and then with bytes of memory written and to write; nonzero cancels. */
	int (*progress)(void *context, uint64_t done, uint64_t total);
	void *progress_context;
	/**
	 * Told of memory that has been written and is not read again: from @start to @end, in
	 * region number @region, in the order of addresses. -errno ends the export.
	 */
	int (*written)(void *context, uint32_t region, uint64_t start, uint64_t end);
	void *written_context;
	/** Reads in place of pss_memory_read(), with the same results. */
	int (*read)(void *context, uint64_t address, void *buffer, size_t size, size_t *done_ret);
	/** Told of a page that cannot be read and will be zeroes. -errno ends the export. */
	int (*unreadable)(void *context, uint64_t address, uint64_t size);
	void *read_context;
};

/** A pour under way. Fields above the line are the caller's. */
struct pss_memory_pour {
	const struct pss_section *section;
	const struct pss_memory *memory;
	const struct pss_memory_hooks *hooks;
	const char *what; /**< that is not complete if it is cancelled: "core" */
	struct pss_sink *sink;
	struct pss_diag *diag;
	uint64_t total; /**< bytes that are to be read */
	/* ---- */
	uint64_t page_size;
	uint64_t done;
	uint64_t unreadable;  /**< bytes planned, but not to be had: zeroes in the file */
	uint64_t reported_ms; /**< when progress was last told */
	struct pss_memory_runs runs;
	uint64_t run_start; /**< what is not read yet of the run that the cursor found last */
	uint64_t run_end;
	struct pss_buf buffer;
	struct pss_memory_piece piece;  /**< read by ourselves, into the buffer */
	struct pss_memory_ahead *ahead; /**< or NULL */
	bool has_tried_ahead;
};

/** Begins, with what is above the line filled in and the rest empty; tells of progress. */
int pss_memory_pour_begin(struct pss_memory_pour *pour);

/** Writes one segment: as many bytes as it spans. -ECANCELED, -ESRCH (the clone died), others. */
int pss_memory_pour_segment(struct pss_memory_pour *pour, const struct pss_memory_segment *segment);

/** Tells that all is written. */
int pss_memory_pour_finish(struct pss_memory_pour *pour);

void pss_memory_pour_end(struct pss_memory_pour *pour);

#endif
