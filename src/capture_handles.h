// SPDX-License-Identifier: LGPL-2.1-or-later
// The descriptors of the target, on the way through a capture: prepared while it runs, read raw at
// the instant, described when it has been let go.
#ifndef PSS_CAPTURE_HANDLES_H
#define PSS_CAPTURE_HANDLES_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/diag.h"
#include "capture_target.h"
#include "collect.h"
#include "collect_handles.h"
#include "helper.h"
#include "procfs_fds.h"

struct pss_handles {
	struct pss_helper_aside reader;
	struct pss_procfs_fds fds; /**< the reader's own, in its table */
	struct pss_buf list;       /**< what was read */
	/** What the reader is asked to look at. Here, as it may answer when nobody waits any more.
	 */
	struct {
		int dir_fd;
		char path[32];
		unsigned mask;
		struct statx status;
	} look;
};

#define PSS_HANDLES_EMPTY ((struct pss_handles){ .fds = PSS_PROCFS_FDS_EMPTY })

/**
 * Makes the reading at the instant short: a helper opens all that it will read. If it can't be had,
 * the reading takes longer.
 */
void pss_handles_prepare(struct pss_handles *handles, const struct pss_target *target);

/**
 * Reads all descriptors of the target, but for those that hold @target, if they are in its own
 * table. @is_still: no thread runs that could change them.
 */
int pss_handles_read(struct pss_handles *handles, const struct pss_target *target, bool is_still,
		     struct pss_diag *diag);

/** The records of what was read; sockets are asked for by name in their network namespace. */
int pss_handles_describe(struct pss_handles *handles, const struct pss_target *target,
			 const struct pss_collect *context,
			 const struct pss_collect_handles_options *options);

/** Ends the helper and forgets everything. */
void pss_handles_deinit(struct pss_handles *handles);

#endif
