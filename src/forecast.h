// SPDX-License-Identifier: LGPL-2.1-or-later
// For how long a capture would hold a process, told before anything of it is stopped: from what
// its memory, threads and mappings are, and from what a page table entry costs on this machine.
#ifndef PSS_FORECAST_H
#define PSS_FORECAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/** What a capture costs by. */
struct pss_forecast_facts {
	uint64_t small_bytes; /**< private memory in pages of the usual size, or swapped */
	uint64_t huge_bytes;  /**< private memory in transparent huge pages */
	uint64_t table_bytes; /**< page tables that a clone has to be given */
	uint32_t mappings;
	uint32_t threads;
	uint32_t descriptors; /**< to be read while all stand */
	bool with_clone;      /**< a clone is made */
	bool with_mappings;   /**< the list of mappings is read while all stand */
};

/** What of it costs most. */
enum pss_forecast_cause {
	PSS_FORECAST_MEMORY,
	PSS_FORECAST_THREADS,
	PSS_FORECAST_MAPPINGS,
	PSS_FORECAST_DESCRIPTORS,
	PSS_FORECAST_CAPTURE, /**< what any capture costs */
	PSS_FORECAST_CAUSE_COUNT,
};

struct pss_forecast {
	uint64_t hold_ns;  /**< from the first thread stopped to the last let go */
	uint64_t clone_ns; /**< of that, from when all stand */
	uint64_t entry_ns; /**< what it was reckoned with */
	enum pss_forecast_cause cause;
	struct pss_forecast_facts facts;
};

/** Nanoseconds that one page table entry costs here and now, measured on memory of our own. */
uint64_t pss_forecast_measure_entry(void);

/**
 * Counts memory, threads and mappings of the process of @dir_fd, a /proc/PID; the rest of *facts is
 * the caller's. @scratch loses its contents. Errors of pss_procfs_read().
 */
int pss_forecast_count(int dir_fd, struct pss_buf *scratch, struct pss_forecast_facts *facts);

/** Reckons. */
struct pss_forecast pss_forecast_make(const struct pss_forecast_facts *facts, uint64_t entry_ns);

/** Puts the main cause into words, such as "4096 MiB of memory in small pages". */
void pss_forecast_describe(const struct pss_forecast *forecast, char *text, size_t room);

/** What would make it shorter; "" if nothing does. */
const char *pss_forecast_cure(const struct pss_forecast *forecast);

#endif
