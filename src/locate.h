// SPDX-License-Identifier: LGPL-2.1-or-later
// What lies at an address: a region or a free range, in a section or in a live process. Both give
// the same answer for the same address space.
#ifndef PSS_LOCATE_H
#define PSS_LOCATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"
#include "section.h"

/** A region, or the free range around the address; from the page of the address to its end. */
struct pss_locate_place {
	bool is_mapped;
	uint64_t start;                  /**< of the page */
	uint64_t end;                    /**< higher than the address, whatever a section says */
	struct pss_region_record region; /**< if mapped; its references lead nowhere */
};

/**
 * Looks in the records of a section. Takes a number of steps that grows with the logarithm of their
 * number. The records of a section that nobody vouches for may be in no order: then an answer may
 * be wrong, and a walk from end to end still comes to an end. -EINVAL if nothing is mapped there
 * and the address lies above user space.
 */
int pss_locate_in_section(const struct pss_section *section, uint64_t address,
			  struct pss_locate_place *ret);

/**
 * Looks in the process of @pidfd, or in the calling one if that is negative, as it is now. -EINVAL
 * as above; -EACCES if it may not be looked at, or has no address space: it has ended, or is one of
 * the kernel's own.
 */
int pss_locate_in_process(int pidfd, uint64_t address, struct pss_diag *diag,
			  struct pss_locate_place *ret);

#endif
