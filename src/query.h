// SPDX-License-Identifier: LGPL-2.1-or-later
// The information classes of PssQuerySnapshot, made from a section. Pure: no descriptor, no
// process.
#ifndef PSS_QUERY_H
#define PSS_QUERY_H

#include <stddef.h>

#include "section.h"

/**
 * The documented checks in their order: -EINVAL for an unknown class, -EMSGSIZE if @length is not
 * exactly that of the class, -ENOENT if the section does not hold it.
 */
int pss_query_check(const struct pss_section *section, unsigned class, size_t length);

/**
 * Fills the structure of a class that pss_query_check() accepted. Of the VA clone it knows nothing
 * but that there is one: its handle belongs to the calling process, and the caller stores it.
 */
void pss_query_fill(const struct pss_section *section, unsigned class, void *buffer);

#endif
