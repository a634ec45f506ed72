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

/** What they capture of a target whose `pattern` is PEER_PATTERN. */
static const uint32_t PEER_FLAGS =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT;
static const uint64_t PEER_PATTERN = 0x9e3779b97f4a7c15u;

static HANDLE const peer_self = (HANDLE)(intptr_t)-1;

/** The descriptor that a handle or snapshot is, whether it is open, and the clone of a snapshot. */
int peer_fd_of(const void *handle);
bool peer_is_open(const void *handle);
pid_t peer_clone_pid(HPSS snapshot);

/** Whether a snapshot is good for what it must be: memory, threads. */
bool peer_is_usable(HPSS snapshot, const struct target *target);

/** A duplicate in @to, which must come to be. */
HPSS peer_duplicate(HANDLE from, HPSS snapshot, HANDLE to, PSS_DUPLICATE_FLAGS flags);

/** The work of a peer that captures, and no more. */
HPSS peer_capture(const struct target *target, int commands);

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
