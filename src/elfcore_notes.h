// SPDX-License-Identifier: LGPL-2.1-or-later
// The notes of a core: threads, process, auxiliary vector, files, and what only we can tell.
#ifndef PSS_ELFCORE_NOTES_H
#define PSS_ELFCORE_NOTES_H

#include <stdint.h>

#include "elfcore_plan.h"
#include "section.h"
#include "sink.h"

/** Our own note. The type is one that no reader knows: many look at the type alone. */
#define PSS_ELFCORE_NOTE_OWNER "procsnap"
enum { PSS_ELFCORE_NOTE_TYPE = 0x50535331 };

/**
 * Writes all notes into @sink, or, if it is NULL, only measures them. Both give the same size. The
 * plan's segments are known by then, its offsets need not be. -EBADMSG if the section is damaged.
 */
int pss_elfcore_notes_write(const struct pss_section *section, const struct pss_elfcore_plan *plan,
			    struct pss_sink *sink, uint64_t *size_ret);

/** Threads that the notes hold. */
uint32_t pss_elfcore_notes_threads(const struct pss_section *section);

#endif
