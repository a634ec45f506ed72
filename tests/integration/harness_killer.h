// SPDX-License-Identifier: LGPL-2.1-or-later
// Kills whoever captures or enters a target, with all that it has started, before or after any of
// its system calls that change something there, and looks whether the target goes on as if nothing
// had been.
#ifndef HARNESS_KILLER_H
#define HARNESS_KILLER_H

#include "harness.h"

/** What is killed: run in a child; its result is the child's exit status, 0 for success. */
typedef int killer_victim(struct target *target);

/** Lets it run to its end, which must be a success: how often it can be stopped at a call. */
int killer_count_stops(struct target *target, killer_victim *victim);

/**
 * Kills it at its @stop-th stop. Fails unless the target then goes on, is traced by nobody and has
 * no clone that lives.
 */
void killer_kill_at(struct target *target, killer_victim *victim, int stop);

/**
 * Kills it at @points stops, evenly from the first to the last; at each if PROCSNAP_KILL_ALL is
 * set. Each kill may leave one zombie, for the next capture.
 */
void killer_walk(struct target *target, killer_victim *victim, int points);

#endif
