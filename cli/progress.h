// SPDX-License-Identifier: LGPL-2.1-or-later
// How far long work has come: one line on a terminal, which is gone at the end.
#ifndef PSS_CLI_PROGRESS_H
#define PSS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct pss_progress {
	bool is_shown;
	bool is_on_screen;
	uint64_t start_ns;
	uint64_t last_ns;  /**< when the line was last written */
	const char *label; /**< borrowed */
};

/** Starts the clock. Shows nothing if not @wanted or if standard error is no terminal. */
void pss_progress_begin(struct pss_progress *progress, bool wanted, const char *label);

/** Shows @done of @total bytes, at most twice a second. */
void pss_progress_update(struct pss_progress *progress, uint64_t done, uint64_t total);

/** Takes the line off the screen. */
void pss_progress_end(struct pss_progress *progress);

#endif
