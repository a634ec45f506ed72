// SPDX-License-Identifier: LGPL-2.1-or-later
// Descriptors in other processes: taken from there, put there, closed there. Knows nothing of what
// they are descriptors of.
#ifndef PSS_REMOTE_H
#define PSS_REMOTE_H

#include <stdbool.h>

#include "base/diag.h"
#include "capture_target.h"

/**
 * A duplicate, here, of descriptor @number of the process; number 3 or higher, close-on-exec, the
 * caller's. The process is not touched. -EBADF if it has no such descriptor, -EPERM, -ESRCH,
 * -EMFILE.
 */
int pss_remote_take(const struct pss_target *holder, int number, struct pss_diag *diag, int *ret);

/**
 * A duplicate, there, of our @fd; *number_ret, 3 or higher, is its number in that process. One
 * thread of it is stopped for some calls. It is close-on-exec unless @is_inherited. Errors of
 * pss_errand_send(), -EMFILE. If we are killed meanwhile, the process may keep the duplicate.
 */
int pss_remote_give(struct pss_target *receiver, int fd, bool is_inherited, struct pss_diag *diag,
		    int *number_ret);

/**
 * Closes descriptor @number of the process if it still is a duplicate of our @same, which is looked
 * at when the thread that closes it stands; if it is not, somebody else has closed it, which is as
 * well. Errors of pss_errand_send().
 */
int pss_remote_close(struct pss_target *holder, int number, int same, struct pss_diag *diag);

/**
 * Whether descriptor @number of the process looks like a section: for taking one that is not, and
 * closing ours again, would release POSIX locks that we hold on that file.
 */
bool pss_remote_is_section(const struct pss_target *holder, int number);

#endif
