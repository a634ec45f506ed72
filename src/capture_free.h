// SPDX-License-Identifier: LGPL-2.1-or-later
// The end of a snapshot around the closing of one of its descriptors, by whomever, wherever. The
// plain case, a descriptor of our own, is pss_capture_free() in capture.h.
#ifndef PSS_CAPTURE_FREE_H
#define PSS_CAPTURE_FREE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "section_format.h"

/** What must be known after the section is closed. */
struct pss_capture_free {
	bool has_clone; /**< one that is alive, or a zombie, and is this section's */
	struct pss_clone_record clone;
	pid_t target_pid;
	uint64_t target_start_ticks;
	int clone_pidfd;
	int probe_fd; /**< another open file description of the section, for its lock */
};

#define PSS_CAPTURE_FREE_EMPTY                                                                     \
	((struct pss_capture_free){ .clone_pidfd = -EBADF, .probe_fd = -EBADF })

/** Before a duplicate of @fd is closed. @fd may be anything: what is no section ends quietly. */
void pss_capture_free_begin(int fd, struct pss_capture_free *ret);

/**
 * Afterwards: if no duplicate is left anywhere, waits for the clone to exit and has its zombie
 * reaped. One that is stopped, or takes seconds, is left to the next capture. Frees. Accepts the
 * empty one.
 */
void pss_capture_free_end(struct pss_capture_free *ending);

#endif
