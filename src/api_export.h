// SPDX-License-Identifier: LGPL-2.1-or-later
// What goes on beside the writing of a dump, whatever its format: the watch over the memory of the
// target, and the draining of the clone.
#ifndef PSS_API_EXPORT_H
#define PSS_API_EXPORT_H

#include <stdint.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "drain.h"
#include "guard.h"
#include "section.h"

struct pss_api_export {
	struct pss_guard *guard; /**< NULL: nobody watches */
	struct pss_drain drain;
};

#define PSS_API_EXPORT_EMPTY ((struct pss_api_export){ .drain = PSS_DRAIN_EMPTY })

/** Ends both, whatever has become of the dump. */
void pss_api_export_deinit(struct pss_api_export *export);

#define _cleanup_export_ _cleanup_(pss_api_export_deinit)

/** Begins to watch, so that @reserve bytes stay; a process that has ended needs nobody. */
int pss_api_export_watch(struct pss_api_export *export, const struct pss_section *section,
			 uint64_t reserve, struct pss_diag *diag);

/** The hook of a pour: @context is a pss_api_export. -EDQUOT if the watch has given up. */
int pss_api_export_written(void *context, uint32_t region, uint64_t start, uint64_t end);

/** Ends both. @error or what the watch says of it. */
int pss_api_export_finish(struct pss_api_export *export, const struct pss_section *section,
			  int error, struct pss_diag *diag);

#endif
