// SPDX-License-Identifier: LGPL-2.1-or-later
// The parts of what procsnap show prints; each reads one kind of data of a snapshot.
#ifndef PSS_CLI_SHOW_H
#define PSS_CLI_SHOW_H

#include <procsnap.h>

#include "output.h"

/** Facts of the process. */
void pss_show_process(const PSSX_PROCESS *process, struct pss_output *output);

/** A word for the letter that proc(5) has for the state of a process or thread. */
const char *pss_show_state_word(char letter);

/** A line for each thread of @process. Returns an exit status. */
int pss_show_threads(HPSS snapshot, const PSSX_PROCESS *process, struct pss_output *output);

/** A line for each open descriptor. Returns an exit status. */
int pss_show_handles(HPSS snapshot, struct pss_output *output);

/** General registers of each thread. Returns an exit status. */
int pss_show_registers(HPSS snapshot, uint32_t machine, struct pss_output *output);

/** A line for each kind of memory. Returns an exit status. */
int pss_show_memory_kinds(HPSS snapshot, struct pss_output *output);

/** A line for each region. Returns an exit status. */
int pss_show_regions(HPSS snapshot, struct pss_output *output);

#endif
