// SPDX-License-Identifier: LGPL-2.1-or-later
// How the command ends and what it says when something went wrong: one line on standard error.
#ifndef PSS_CLI_MESSAGE_H
#define PSS_CLI_MESSAGE_H

#include <win32.h>

/** Runs @fn on the address of the variable when its scope ends. */
#define _cleanup_(fn) __attribute__((cleanup(fn)))

/** Exit statuses. Functions of the command return them, their message already printed. */
enum {
	PSS_STATUS_DONE = 0,
	PSS_STATUS_FAILED = 1,
	PSS_STATUS_USAGE = 2,   /**< the command line makes no sense */
	PSS_STATUS_REFUSED = 3, /**< not done, to protect the target */
};

/** Prints "procsnap: ..." and returns PSS_STATUS_FAILED. Control characters are escaped. */
int pss_message_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** The same for a mistake on the command line; returns PSS_STATUS_USAGE. */
int pss_message_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Says what the library says of its last failure, after @subject if not NULL. */
int pss_message_library(const char *subject);

/**
 * Says why a capture failed with @error. PSS_STATUS_REFUSED if the library did not make it, or gave
 * it up, to protect the process; else PSS_STATUS_FAILED.
 */
int pss_message_capture(DWORD error);

/** A line that is no failure. */
void pss_message_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Ends the command. Nothing is left behind: what is unfinished has no name yet. */
void pss_message_no_memory(void) __attribute__((noreturn));

#endif
