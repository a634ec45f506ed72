// SPDX-License-Identifier: LGPL-2.1-or-later
// What a specimen counts of what must never happen to a process that is looked at. It announces
// where as `counters`; the harness reads it there, with no help of the specimen.
#ifndef COUNTERS_H
#define COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

/** System calls are counted by number; there are fewer. */
enum { TARGET_CALLS = 512 };

struct target_counters {
	_Atomic uint64_t eintr;    // a call returned EINTR, and nothing had come
	_Atomic uint64_t sigchld;  // SIGCHLD came
	_Atomic uint64_t wrong;    // a value, a register, a time was not what it had to be
	_Atomic uint64_t beats;    // goes up for ever in targets that compute
	_Atomic uint64_t waits;    // a wait for any child found one that is not its own
	_Atomic uint64_t sent;     // signals
	_Atomic uint64_t received; // signals
	_Atomic uint64_t lost;     // work that was handed over and never came
	_Atomic uint64_t repeated; // work that came twice, or in another order
	_Atomic uint64_t stall_ns; // longest time between two beats of a thread
	_Atomic uint64_t eintr_of[TARGET_CALLS]; // `eintr`, by the number of the call
};

#endif
