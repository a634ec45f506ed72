// SPDX-License-Identifier: LGPL-2.1-or-later
// An ELF core file of a snapshot: planned from the section, then poured into a sink, forward only.
// Knows no process: section and memory are all it sees.
#ifndef PSS_ELFCORE_H
#define PSS_ELFCORE_H

#include <stdint.h>

#include "base/diag.h"
#include "memory.h"
#include "memory_plan.h"
#include "memory_pour.h"
#include "section.h"
#include "sink.h"

struct pss_elfcore_options {
	struct pss_memory_choice choice;
	struct pss_memory_hooks hooks;
};

struct pss_elfcore_result {
	uint64_t file_size;        /**< apparent size, before compression */
	uint64_t memory_bytes;     /**< bytes of memory in it */
	uint64_t unreadable_bytes; /**< planned, but the clone would not give them: holes */
	uint32_t segments;
	uint32_t threads;
};

/** Writes the core into @sink and finishes it. -ECANCELED, -ESRCH (clone died), write errors. */
int pss_elfcore_write(const struct pss_section *section, const struct pss_memory *memory,
		      const struct pss_elfcore_options *options, struct pss_sink *sink,
		      struct pss_diag *diag, struct pss_elfcore_result *ret);

#endif
