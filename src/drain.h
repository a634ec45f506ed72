// SPDX-License-Identifier: LGPL-2.1-or-later
// Draining a clone: memory that has been written out is given back by it while the rest is still to
// be written, so that the target's next write to such a page copies nothing. It consumes the
// snapshot's memory.
#ifndef PSS_DRAIN_H
#define PSS_DRAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch.h"
#include "helper.h"
#include "inject.h"
#include "memory.h"
#include "section.h"

enum { PSS_DRAIN_RANGES_MAX = 16 };

struct pss_drain_range {
	uint64_t start;
	uint64_t end;
	uint32_t region; /**< the last one that it reaches into */
};

/** A clone being drained, or, where that can't be, one that is left as it is. */
struct pss_drain {
	const struct pss_section *section; /**< borrowed */
	struct pss_helper_aside helper;
	struct pss_inject_site site;
	struct pss_drain_range ranges[PSS_DRAIN_RANGES_MAX]; /**< written, not given back yet */
	unsigned count;
	uint64_t pending_bytes;
	uint64_t drained_bytes;
	pid_t pid;
	uint64_t start_ticks;
	bool has_filter; /**< it has inherited a seccomp filter, to be suspended */
	bool is_seized;  /**< held between two batches, running: only with a filter */
	bool is_on;
};

#define PSS_DRAIN_EMPTY ((struct pss_drain){ .helper = PSS_HELPER_ASIDE_EMPTY })

/**
 * Makes ready to drain the clone behind @memory. If that is not possible (no right to trace it, no
 * memory for a helper), nothing will be drained, and that is no failure. @section is borrowed.
 */
void pss_drain_begin(struct pss_drain *drain, const struct pss_section *section,
		     const struct pss_memory *memory);

/**
 * What lies from @start to @end, in region number @region, is not needed any more. To be told in
 * the order of addresses. Given back now and then, many at a time; only private memory that the
 * target may write is.
 */
void pss_drain_add(struct pss_drain *drain, uint32_t region, uint64_t start, uint64_t end);

/** Gives the rest back and leaves the clone as it was found, waiting. From the thread that began.
 */
void pss_drain_end(struct pss_drain *drain);

#define _cleanup_drain_ _cleanup_(pss_drain_end)

#endif
