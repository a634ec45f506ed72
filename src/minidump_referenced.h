// SPDX-License-Identifier: LGPL-2.1-or-later
// MiniDumpWithIndirectlyReferencedMemory: data that stacks may point to. Nobody can tell an address
// from another number, so each word that could be one is taken for one.
#ifndef PSS_MINIDUMP_REFERENCED_H
#define PSS_MINIDUMP_REFERENCED_H

#include "minidump_ranges.h"

struct pss_minidump;

/**
 * Adds to @to the pages around what the chosen stacks hold, in any order; of one page many times
 * never more than a few. -ENOMEM, -ESRCH.
 */
int pss_minidump_referenced_add(struct pss_minidump *dump, struct pss_minidump_ranges *to);

#endif
