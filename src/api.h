// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of the API layer share: the frame around every exported function, and the way from
// -errno to the caller's code.
#ifndef PSS_API_H
#define PSS_API_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
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
 * Checks the Size of a structure of the caller's that may be of an earlier release, whose size was
 * at least @least: -EMSGSIZE if it is of none.
 */
int pss_api_check_size(uint32_t size, size_t least, size_t newest);

/**
 * The code for @error, 0 or -errno. On failure keeps the text for PssxErrorText(): that of @diag,
 * or, where nobody wrote one, "@what: reason". The end of a walk is no failure.
 */
DWORD pss_api_result(const struct pss_diag *diag, const char *what, int error);

/**
 * The result of a companion function: TRUE for 0; else FALSE, with the code as the thread's last
 * error and the text kept as pss_api_result() keeps it.
 */
BOOL pss_api_finish(const struct pss_diag *diag, const char *what, int error);

/**
 * Writes the failure @error of a process handle that pss_api_process() did not take, and returns
 * it: "@what: " and what is wrong with the handle, with the cure as a hint.
 */
int pss_api_process_fail(struct pss_diag *diag, int error, const char *what, HANDLE handle);

/**
 * The process behind a process handle. *pidfd_ret, which may be NULL, gets the borrowed descriptor,
 * or -EBADF for the calling process. -EBADF if it is no process handle, -ESRCH if the process is
 * gone.
 */
int pss_api_process(HANDLE handle, pid_t *pid_ret, int *pidfd_ret);

/**
 * Closes the descriptor behind a handle of any kind. What the table keeps for it is given up, and
 * if it was the last one of a snapshot, the clone is seen out.
 */
void pss_api_close(int fd);

/** Whether the handle is of a section, be it the HPSS or a VaCloneHandle: it stands for a clone. */
bool pss_api_is_section(HANDLE handle, int *fd_ret);

/** Writes that a section has no clone, and returns -EBADF: it stands for no process. */
int pss_api_fail_without_clone(struct pss_diag *diag, const char *what);

struct pss_target;

/**
 * Opens the clone of the section behind @fd, alive or not yet reaped; pid and proc_fd of *ret are
 * set, and the process is the clone for certain: a section may name whom it likes. -EBADF if it is
 * no section or has no clone, -ESRCH if nothing is left of it.
 */
int pss_api_open_clone(int fd, const char *what, struct pss_diag *diag, struct pss_target *ret);

/** Whether the process of a pidfd has ended, with all its threads, reaped or not. */
bool pss_api_has_ended(int pidfd);

#endif
