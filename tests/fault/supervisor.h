// SPDX-License-Identifier: LGPL-2.1-or-later
// Runs a program, all its threads and children traced, and makes one thing go wrong at its n-th
// system call. Counted are the calls from the first pidfd_open on, which is where OpenProcess looks
// for the target, of all its tasks together; messages (writes to 0, 1 and 2) are not, they have
// nobody to report to. What it traces may itself trace others, the target for one.
#ifndef SUPERVISOR_H
#define SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SUPERVISOR_CALLS = 512 };

/** Who is killed. */
enum {
	KILL_CAPTURER = 1 << 0, // the process that was started
	KILL_HELPER = 1 << 1,   // its children that trace
	KILL_READER = 1 << 2,   // its child with descriptors of its own
	KILL_CLONE = 1 << 3,    // children of the target that it did not have
	KILL_TARGET = 1 << 4,
};

enum fault_kind {
	FAULT_NONE,
	FAULT_ERROR, // the n-th call of one kind is not made, and fails
	FAULT_SHORT, // the n-th call of one kind writes half of what it is given
	FAULT_KILL,  // after the n-th call, of whatever kind, has returned, SIGKILL is sent
};

struct fault {
	enum fault_kind kind;
	int call;
	int error;
	bool is_for_ever; // the n-th and all that follow
	unsigned whom;
	uint64_t n; // from 1
};

/** What came of a run. */
struct run {
	bool is_hit;    // there was an n-th call; for kills: and somebody to be killed
	bool is_past;   // there were not so many
	bool is_hung;   // it had to be ended
	int status;     // of wait(2)
	uint64_t calls; // made and counted
	uint32_t made[SUPERVISOR_CALLS];
	uint64_t first_clone; // after that many calls a clone was there; 0: never. Only for kills
	char text[8192];      // all that it said
};

/** The process that is looked at, and the children that it has anyway. */
struct subject {
	pid_t pid;
	pid_t children[16];
	size_t count;
};

/** Runs @command (its path first, a NULL last) against @subject. Kills all of it in the end. */
void supervisor_run(const struct fault *fault, char *const *command, const struct subject *subject,
		    struct run *ret);

/**
 * Reaps what was left to us, as the next reaper of orphans, and waits until nothing is left but
 * @keep (0: none). False if something lives on for too long; *left_ret is its number.
 */
bool supervisor_is_alone(pid_t keep, pid_t *left_ret);

#endif
