// SPDX-License-Identifier: LGPL-2.1-or-later
// A capture from beginning to end: look, stop, clone, let go, describe, seal, park.
#ifndef PSS_CAPTURE_H
#define PSS_CAPTURE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"
#include "guard.h"

/** Clones that a process may have at a time if nothing else is asked for. */
enum { PSS_CAPTURE_MAX_CLONES = 8 };

struct pss_capture_request {
	int pidfd; /**< borrowed; -EBADF: the calling process */
	uint32_t capture_flags;
	uint32_t thread_context_flags;
	uint64_t max_pause_ns;   /**< how long any thread of it may be held; 0: no limit */
	uint32_t max_clones;     /**< that it may have, with this one; 0: PSS_CAPTURE_MAX_CLONES */
	bool ignores_memory;     /**< no forecast of memory is made, and none is watched */
	bool keeps_guard;        /**< the watch goes on afterwards */
	uint64_t memory_reserve; /**< bytes to be left for the target; 0: a default */
};

/**
 * Captures the process into a sealed section. The caller owns *section_fd_ret; the clone, if one
 * was made, goes away when the last duplicate of it is closed. -ESRCH, -EPERM, -PSS_ETRACED
 * (already traced), -EOPNOTSUPP, -ETIMEDOUT, -ENOMEM, .... -ETIME: it would be, or would have been,
 * held too long. -EDQUOT: it has its clones already, or memory would not do, or has not done.
 * *guard_ret, which may be NULL without keeps_guard, gets the caller a guard if it asked for it and
 * there is a clone.
 */
int pss_capture(const struct pss_capture_request *request, struct pss_diag *diag,
		int *section_fd_ret, struct pss_guard **guard_ret);

/**
 * Closes @section_fd, which the caller must not use any more. If that was the last duplicate, the
 * clone exits and its zombie is reaped from the target. Never fails for the caller's purposes: a
 * zombie that can't be reaped now is reaped by the next capture of that target.
 */
void pss_capture_free(int section_fd);

#endif
