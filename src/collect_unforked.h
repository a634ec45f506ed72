// SPDX-License-Identifier: LGPL-2.1-or-later
// Mappings that a clone does not have because the target said MADV_DONTFORK, and their pages.
#ifndef PSS_COLLECT_UNFORKED_H
#define PSS_COLLECT_UNFORKED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "procfs.h"
#include "section.h"

enum {
	/** Bytes that are copied while the target stands, all such mappings together: 1 ms or so.
	 */
	PSS_COLLECT_UNFORKED_BUDGET = 4 << 20,
	PSS_COLLECT_UNFORKED_PAGE_MAX = 65536, /**< of any machine */
};

/** The mappings, by address, as maps gave them. Fields are private. */
struct pss_collect_unforked {
	struct pss_buf maps;
	struct pss_buf paths;
};

#define PSS_COLLECT_UNFORKED_EMPTY ((struct pss_collect_unforked){ PSS_BUF_EMPTY, PSS_BUF_EMPTY })

/** Descriptors are borrowed. */
struct pss_collect_unforked_request {
	int target_fd; /**< /proc of the target, which stands */
	int clone_fd;  /**< /proc of its clone */
	bool is_self;  /**< the target is the calling process, which maps things meanwhile */
	uint64_t capture_time;   /**< for the records of pages */
	struct pss_buf *scratch; /**< loses its contents */
	struct pss_section_builder *section;
};

/**
 * Finds the mappings that the clone lacks and adds their resident pages to PSS_PART_AUX_PAGES, each
 * mapping as a whole if it fits into what is left of the budget. Adds to *ret, which starts as
 * PSS_COLLECT_UNFORKED_EMPTY; costs two small reads if there is none.
 */
int pss_collect_unforked_find(const struct pss_collect_unforked_request *request,
			      struct pss_collect_unforked *ret);

uint32_t pss_collect_unforked_count(const struct pss_collect_unforked *unforked);

/** Mapping @index, escapes of its path undone; borrowed. NULL past the last. */
const struct pss_procfs_map *pss_collect_unforked_map(const struct pss_collect_unforked *unforked,
						      uint32_t index);

void pss_collect_unforked_deinit(struct pss_collect_unforked *unforked);

#define _cleanup_unforked_ _cleanup_(pss_collect_unforked_deinit)

#endif
