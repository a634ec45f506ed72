// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the API layer share: the frame around every exported function, and the way from
// -errno to the caller's code.
#ifndef PSS_API_H
#define PSS_API_H

#include <errno.h>
#include <pthread.h>
#include <sys/types.h>

#include <win32.h>

#include "base/cleanup.h"
#include "base/diag.h"

/** What an exported function leaves as it found it. */
struct pss_api_scope {
	int saved_errno;
	int cancel_state;
};

static inline struct pss_api_scope pss_api_begin(void)
{
	struct pss_api_scope scope = { .saved_errno = errno };

	// A thread cancelled half-way through would leave a lock held, or a target stopped.
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &scope.cancel_state);
	return scope;
}

static inline void pss_api_end(struct pss_api_scope *scope)
{
	(void)pthread_setcancelstate(scope->cancel_state, NULL);
	errno = scope->saved_errno;
}

/** First declaration of every exported function that does more than arithmetic. */
#define PSS_API_SCOPE                                                                              \
	_cleanup_(pss_api_end) __attribute__((unused)) struct pss_api_scope scope_ = pss_api_begin()

/**
 * The code for @error, 0 or -errno. On failure keeps the text for PssxErrorText(): that of @diag,
 * or, where nobody wrote one, "@what: reason". The end of a walk is no failure.
 */
DWORD pss_api_result(const struct pss_diag *diag, const char *what, int error);

/**
 * The process behind a process handle. *pidfd_ret, which may be NULL, gets the borrowed descriptor,
 * or -EBADF for the calling process. -EBADF if it is no process handle, -ESRCH if the process is
 * gone.
 */
int pss_api_process(HANDLE handle, pid_t *pid_ret, int *pidfd_ret);

#endif
