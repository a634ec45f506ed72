// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading what only the clone itself can read, while it is still traced.
#ifndef PSS_CAPTURE_PAGES_H
#define PSS_CAPTURE_PAGES_H

#include "clone.h"
#include "section.h"

/**
 * Adds the pages of the kernel's clocks to PSS_PART_AUX_PAGES, for each region of the section that
 * is named so. They go on ticking: each page is as of its capture time. -ENOMEM, or an error of the
 * clone's calls: then some are missing.
 */
int pss_capture_pages_keep(struct pss_clone *clone, struct pss_section_builder *section);

#endif
