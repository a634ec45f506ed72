// SPDX-License-Identifier: LGPL-2.1-or-later
// Something small that a running process does for us, outside a capture: one of its threads is
// stopped for a few calls, the others run on.
#ifndef PSS_CAPTURE_ERRAND_H
#define PSS_CAPTURE_ERRAND_H

#include "base/diag.h"
#include "capture_target.h"
#include "inject.h"

/** What is to be done. */
struct pss_errand {
	/**
	 * Makes the calls. -EAGAIN: by another thread, please; any other result is final, but that
	 * it may be called again if an execve came between. Runs in a helper, which may be killed
	 * in the middle: what must be closed then belongs to @context.
	 */
	int (*work)(struct pss_inject *inject, void *context);
	void *context;
	bool has_undo; /**< it uses pss_inject_push_undo() */
};

/**
 * Has a thread of @target do it: the leader if its stack is fit for the frames, else one asleep,
 * else any, at the foot of [stack]. Waits while another capturer holds the process. To be called
 * in a helper. The result is that of the work, or -EAGAIN (no thread will do now, the process has
 * called execve meanwhile), -PSS_ETRACED,
 * -EPERM, -ESRCH, -EOPNOTSUPP (32-bit), -ETIMEDOUT.
 */
int pss_errand_run(struct pss_target *target, const struct pss_errand *errand,
		   struct pss_diag *diag);

/** The same in a helper started for it. -EOWNERDEAD if that was killed. */
int pss_errand_send(struct pss_target *target, const struct pss_errand *errand,
		    struct pss_diag *diag);

/** Whether thread @tid has the descriptors that the process is known by: a few have their own. */
bool pss_errand_shares_descriptors(const struct pss_target *target, pid_t tid);

#endif
