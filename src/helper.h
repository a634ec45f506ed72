// SPDX-License-Identifier: LGPL-2.1-or-later
// The process that does the tracing for us: it shares the host's memory and descriptors, but ptrace
// stops are its own business, never seen by the host's waitpid(), and so a process can be captured
// by itself with all its threads.
#ifndef PSS_HELPER_H
#define PSS_HELPER_H

#include "base/diag.h"

/** What ps shows of a helper process, and other capturers know it by. */
#define PSS_HELPER_NAME "procsnap-helper"

enum pss_helper_kind {
	PSS_HELPER_PROCESS, /**< a child without exit signal: the rule */
	PSS_HELPER_OF_HOST, /**< the same, to trace the host itself: Yama is told to let it */
	PSS_HELPER_THREAD,  /**< a thread of the host: where Yama wants the tracer to be an ancestor
			     */
};

/**
 * Runs @work(@context) in a helper and waits for it; *result_ret is what it returned. The helper
 * has a small stack of its own, no malloc and no lock of the host; signals are blocked in it and,
 * until it ends, in the calling thread. When it ends, the kernel lets go of whatever it still
 * traces. -EOWNERDEAD if it was killed before it returned, -ENOMEM, -EAGAIN.
 */
int pss_helper_run(enum pss_helper_kind kind, int (*work)(void *context), void *context,
		   struct pss_diag *diag, int *result_ret);

#endif
