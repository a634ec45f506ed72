// SPDX-License-Identifier: LGPL-2.1-or-later
// The handle entries of walk.h.
#ifndef PSS_WALK_HANDLES_H
#define PSS_WALK_HANDLES_H

#include "walk.h"

/** Entry @index of the handles, zeroed before; its ObjectName still NULL. */
void pss_walk_handles_fill(const struct pss_section *section, uint32_t index,
			   struct pss_walk_entry *entry);

#endif
