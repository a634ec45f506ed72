// SPDX-License-Identifier: LGPL-2.1-or-later
// The process that the command line means, by PID or by name.
#ifndef PSS_CLI_TARGET_H
#define PSS_CLI_TARGET_H

#include <processsnapshot.h>

struct pss_target {
	HANDLE process; /**< NULL when empty */
	int pid;
	char name[64]; /**< comm, as the kernel gives it: any bytes */
};

#define PSS_TARGET_EMPTY ((struct pss_target){ .process = NULL })

/**
 * Opens the process that @text names: digits are a PID, anything else the exact name of one
 * process: its comm, or the last part of its executable's path or of its argv[0]. Never this
 * process, nor the clone in a snapshot. Returns an exit status; several processes of that name are
 * listed and are a usage error.
 */
int pss_target_open(const char *text, struct pss_target *ret);

void pss_target_close(struct pss_target *target);

#endif
