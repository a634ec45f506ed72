// SPDX-License-Identifier: LGPL-2.1-or-later
// The text of a failure: written once, where the name of the thing is known, into a struct of
// fixed size that travels with a capture or an export. Nothing here prints.
#ifndef PSS_BASE_DIAG_H
#define PSS_BASE_DIAG_H

#include <errno.h>

/**
 * An error of our own: another process was seen to trace the target. EBUSY, which calls give for
 * reasons of theirs, would not tell; a number that no call on Linux gives does.
 */
#define PSS_ETRACED EISNAM

enum { PSS_DIAG_TEXT_SIZE = 512 };

/** What went wrong first. Starts as {0}; an empty text means that nothing did. */
struct pss_diag {
	int error;                     /**< -errno of the first failure, or 0 */
	char text[PSS_DIAG_TEXT_SIZE]; /**< what failed, on what; the reason is appended */
};

/**
 * Records the first failure and returns @error, a negative errno, so that a caller can write
 * `return pss_fail(...)`. The reason of @error is appended to the text. Later failures leave the
 * first one in place. @diag may be NULL. Allocates nothing.
 */
int pss_fail(struct pss_diag *diag, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/** Appends " (hint)" to the recorded failure: what may help. Does nothing if there is none. */
void pss_diag_hint(struct pss_diag *diag, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
