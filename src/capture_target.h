// SPDX-License-Identifier: LGPL-2.1-or-later
// The process to be captured, or entered: found, pinned, checked before it is touched. Also has it
// reap the zombie of a clone.
#ifndef PSS_CAPTURE_TARGET_H
#define PSS_CAPTURE_TARGET_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"
#include "doctor.h"

/** Descriptors on it; they pin the process, a reused pid is never taken for it. */
struct pss_target {
	pid_t pid;
	pid_t caller_tid; /**< the calling thread if the process captures itself, else 0 */
	int proc_fd;      /**< /proc/PID */
	int space_fd;     /**< a thread's folder that still has the address space, else a copy */
	int mem_fd;       /**< -EBADF until pss_target_open_memory() */
};

#define PSS_TARGET_EMPTY                                                                           \
	((struct pss_target){ .proc_fd = -EBADF, .space_fd = -EBADF, .mem_fd = -EBADF })

/** Opens the process of @pidfd, or the calling one if it is negative. -ESRCH if it is gone. */
int pss_target_open(int pidfd, struct pss_diag *diag, struct pss_target *ret);

/** Opens the process @pid if it still is the one that started at @start_ticks. -ESRCH if not. */
int pss_target_open_pid(pid_t pid, uint64_t start_ticks, struct pss_target *ret);

void pss_target_close(struct pss_target *target);

#define _cleanup_target_ _cleanup_(pss_target_close)

/** -PSS_ETRACED if another process traces it, -ESRCH if it has exited. */
int pss_target_check_traceable(struct pss_target *target, struct pss_diag *diag);

/**
 * If another capturer traces it: waits for that one to end, as it will soon. True if nobody traces
 * it any more; false if a debugger does, or we ourselves.
 */
bool pss_target_wait_for_tracer(const struct pss_target *target);

/**
 * -EOPNOTSUPP if something is known to keep a clone from ever being made: to be asked before the
 * process is stopped.
 */
int pss_target_check_clonable(const struct pss_target *target, struct pss_diag *diag);

/** -EOPNOTSUPP if no thread of it can make a call, however long one waits: asked as above. */
int pss_target_check_enterable(const struct pss_target *target, struct pss_diag *diag);

/**
 * -EDQUOT if a clone would take more memory than there is for the process and @reserve bytes, 0 for
 * a default, beside: to be asked before the process is stopped.
 */
int pss_target_check_memory(const struct pss_target *target, uint64_t reserve,
			    struct pss_diag *diag);

/** Opens its memory for reading. */
int pss_target_open_memory(struct pss_target *target, struct pss_diag *diag);

/**
 * Opens it anew, for writing too where that may be: once a thread of it stands. A descriptor shows
 * the program that there was when it was opened, whatever the process executes meanwhile. mem_fd is
 * -EBADF if that fails.
 */
void pss_target_reopen_memory(struct pss_target *target);

/**
 * Adds to a recorded failure which of @causes (enum pss_doctor_cause) it has, and what helps. False
 * if none is found.
 */
bool pss_target_explain(const struct pss_target *target, unsigned causes, struct pss_diag *diag);

/** Whether Yama wants a tracer to be an ancestor of what it traces. */
bool pss_target_wants_ancestor(void);

/** Whether the leader has exited while other threads live: then it has nothing of its own. */
bool pss_target_has_lost_leader(const struct pss_target *target);

/**
 * Has one thread of the process reap the dead clone that it knows as @own_pid. To be called from a
 * helper. If no thread will do now, the zombie waits for the next capture.
 */
void pss_target_reap(struct pss_target *target, pid_t own_pid);

/** The same in a helper started for it. */
void pss_target_reap_by_helper(struct pss_target *target, pid_t own_pid);

#endif
