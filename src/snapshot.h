// SPDX-License-Identifier: LGPL-2.1-or-later
// What an HPSS points at: the descriptor behind the handle, and the section behind the descriptor.
#ifndef PSS_SNAPSHOT_H
#define PSS_SNAPSHOT_H

#include <stdbool.h>

#include "section.h"

/** The descriptor in a HANDLE or HPSS. -EBADF if the value can't be one; 0 can't: it is NULL. */
int pss_snapshot_fd(const void *handle, int *ret);

/**
 * Maps the section behind a handle for a moment. -EBADF if it is none, -ENOMEM. The mapping keeps
 * the open file alive, and with it the clone: close it before the call that opened it returns.
 */
int pss_snapshot_open(const void *handle, struct pss_section *ret);

/**
 * The same through an open file of its own, so that the mapping may be kept without keeping the
 * clone. -EBADF if it is no section; other errors if the file can't be opened anew.
 */
int pss_snapshot_open_detached(const void *handle, struct pss_section *ret);

/** Whether @fd is a descriptor of @section. */
bool pss_snapshot_is_section(int fd, const struct pss_section *section);

#endif
