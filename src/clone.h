// SPDX-License-Identifier: LGPL-2.1-or-later
// The copy-on-write clone: made while the target stands, parked on the section's lock, gone when
// the last duplicate of the section is. It never runs the program's code.
#ifndef PSS_CLONE_H
#define PSS_CLONE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/diag.h"
#include "inject.h"
#include "section_format.h"

/** A clone that is still traced by us. */
struct pss_clone {
	struct pss_inject inject;
	int proc_fd; /**< /proc of the clone */
	struct pss_clone_record record;
	struct pss_diag *diag;
};

#define PSS_CLONE_EMPTY ((struct pss_clone){ .inject = PSS_INJECT_EMPTY, .proc_fd = -EBADF })

/**
 * Has @target's thread clone the process. On success the clone has no descriptor left, is the OOM
 * killer's first choice and stands traced; every error is one of clone(2) or of ptrace.
 */
int pss_clone_make(struct pss_inject *target, struct pss_diag *diag, struct pss_clone *ret);

/**
 * Whether the target has made itself undumpable, asked of the clone, which is as the target is:
 * /proc does not tell for processes of root's.
 */
int pss_clone_is_undumpable(struct pss_clone *clone, bool *ret);

/**
 * Gives the clone its own session, name and default signals, hands it
 * @section_fd read-only and lets it go, waiting for the section's lock. The caller holds that lock.
 */
int pss_clone_park(struct pss_clone *clone, int section_fd);

/** Ends a clone that was not parked, and frees. What is left is a zombie for pss_clone_reap(). */
void pss_clone_deinit(struct pss_clone *clone);

#define _cleanup_clone_ _cleanup_(pss_clone_deinit)

/** Has a thread of the target reap the zombie of a clone, if it is still there; @own_pid is as the
 *  target counts. */
int pss_clone_reap(struct pss_inject *target, pid_t own_pid);

/** Whether process @pid is a clone that is dead, or dying: it holds nothing any more. */
bool pss_clone_is_ending(pid_t pid);

/** Whether process @pid is a dead clone, and its pid as its own namespace counts. */
bool pss_clone_is_zombie(pid_t pid, pid_t *own_pid_ret);

/** A living clone of the same process. */
struct pss_clone_sibling {
	int32_t pid;
	uint64_t start_ticks; /**< field 22 of its /proc/PID/stat */
};

/**
 * Finds clones among the children of all threads. @dead_own_pids, which may be NULL, gets the pids
 * of the dead as their own namespace counts, int32_t each; @living, struct pss_clone_sibling of the
 * others, such among them as are just being made by another capturer.
 */
int pss_clone_find(int proc_fd, struct pss_buf *dead_own_pids, struct pss_buf *living);

#endif
