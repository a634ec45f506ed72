// SPDX-License-Identifier: LGPL-2.1-or-later
// A capture from beginning to end: look, stop, clone, let go, describe, seal, park.
#ifndef PSS_CAPTURE_H
#define PSS_CAPTURE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"

struct pss_capture_request {
	int pidfd; /**< borrowed; -EBADF: the calling process */
	uint32_t capture_flags;
	uint32_t thread_context_flags;
};

/**
 * Captures the process into a sealed section. The caller owns *section_fd_ret; the clone, if one
 * was made, goes away when the last duplicate of it is closed. -ESRCH, -EPERM, -EBUSY (already
 * traced), -EOPNOTSUPP, -ETIMEDOUT, -ENOMEM, ....
 */
int pss_capture(const struct pss_capture_request *request, struct pss_diag *diag,
		int *section_fd_ret);

/**
 * Closes @section_fd, which the caller must not use any more. If that was the last duplicate, the
 * clone exits and its zombie is reaped from the target. Never fails for the caller's purposes: a
 * zombie that can't be reaped now is reaped by the next capture of that target.
 */
void pss_capture_free(int section_fd);

#endif
