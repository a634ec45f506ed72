// SPDX-License-Identifier: LGPL-2.1-or-later
// The process that does the tracing for us: it shares the host's memory and descriptors, but ptrace
// stops are its own business, never seen by the host's waitpid(), and so a process can be captured
// by itself with all its threads.
#ifndef PSS_HELPER_H
#define PSS_HELPER_H

#include <stdbool.h>

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
 * -EOPNOTSUPP, and why, if a child of the calling thread would be in another PID namespace, after
 * unshare(CLONE_NEWPID) or setns(2): as a helper it would see none of our processes, and as the
 * first one there it would take the namespace with it when it ends.
 */
int pss_helper_check_namespace(struct pss_diag *diag);

/**
 * Runs @work(@context) in a helper and waits for it; *result_ret is what it returned. The helper
 * has a small stack of its own, no malloc and no lock of the host; signals are blocked in it and,
 * until it ends, in the calling thread. When it ends, the kernel lets go of whatever it still
 * traces. -EOWNERDEAD if it was killed before it returned, -ENOMEM, -EAGAIN, -EOPNOTSUPP.
 */
int pss_helper_run(enum pss_helper_kind kind, int (*work)(void *context), void *context,
		   struct pss_diag *diag, int *result_ret);

/**
 * Waits while *@word is @value, until it is woken or for a moment, and at most @at_most_ms: the
 * caller looks again. A wake that gets lost so costs time, and does not hang anybody.
 */
void pss_helper_wait(const int *word, int value, unsigned at_most_ms);

/** A second helper, which does what it is asked to and nothing in between; it may trace. */
struct pss_helper_aside {
	void *stack;                 /**< its mapping, or NULL: there is none */
	struct helper_aside *shared; /**< within it */
	int pid;
	bool is_given_up; /**< it took too long, and was killed */
};

#define PSS_HELPER_ASIDE_EMPTY ((struct pss_helper_aside){ 0 })

/**
 * Starts one in the folder @dir_fd, with our memory but a table of descriptors of its own, empty
 * and as large as it may be: what it opens is not seen in the host's. 0, -ENOMEM, -EAGAIN,
 * -EOWNERDEAD, -EOPNOTSUPP.
 */
int pss_helper_aside_start(int dir_fd, struct pss_helper_aside *ret);

/**
 * Has it run @work(@context) and waits, which is why it may use libc. *result_ret is what it
 * returned. -EOWNERDEAD if it was killed. -ETIMEDOUT if it is still at it after @patience_ms: it is
 * killed, and asked again says the same. It may hang in the kernel still, which may write to
 * @context until it is ended.
 */
int pss_helper_aside_ask(struct pss_helper_aside *aside, int (*work)(void *context), void *context,
			 unsigned patience_ms, int *result_ret);

/** Ends it, after what it may still be at. From the thread that started it. */
void pss_helper_aside_end(struct pss_helper_aside *aside);

#endif
