// SPDX-License-Identifier: LGPL-2.1-or-later
// SIGINT, SIGTERM and SIGHUP while there is something to undo.
#ifndef PSS_CLI_INTERRUPT_H
#define PSS_CLI_INTERRUPT_H

/**
 * From now on the first of these signals is remembered, and @fd is made to refuse writing, so that
 * a write that waits for a reader ends too. The second ends the process at once. Ignored signals
 * stay ignored.
 */
void pss_interrupt_catch(int fd);

/** The signal that came, or 0. */
int pss_interrupt_pending(void);

/** Name of that signal. */
const char *pss_interrupt_name(void);

/** If a signal came, ends the process as that signal would have. To be called last. */
void pss_interrupt_finish(void);

#endif
