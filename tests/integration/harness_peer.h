// SPDX-License-Identifier: LGPL-2.1-or-later
// Other processes of a test's own making: peers that hold snapshots as any program of the library
// would, and tracers that stand in the way.
#ifndef HARNESS_PEER_H
#define HARNESS_PEER_H

#include "harness.h"

/** A process of ours that holds a snapshot. */
struct peer {
	pid_t pid;
	HANDLE process;
	HPSS snapshot; // as it counts
	int answers;
	int commands;
};

typedef HPSS (*peer_work)(const struct target *target, int commands);

/** A descriptor that peers would inherit and are not meant to hold, or -1. */
extern int peer_unwanted_fd;

/**
 * Starts a peer: it does @work, says the snapshot that this returns, then waits to be killed.
 * @commands is what the test writes to peer.commands.
 */
struct peer peer_start(peer_work work, const struct target *target);

/** Waits for what the peer says, into peer->snapshot, and until it sleeps. */
void peer_hear(struct peer *peer);

/** Kills it, with whatever it still holds. */
void peer_stop(struct peer *peer);

/** Waits until thread @tid is in a state of proc(5). */
void harness_wait_for_state(pid_t tid, char wanted);

/** A child of ours that traces @pid until harness_end_tracer(). */
pid_t harness_start_tracer(pid_t pid);
void harness_end_tracer(pid_t tracer);

#endif
