// SPDX-License-Identifier: LGPL-2.1-or-later
// Which system calls a capture, a duplicate or an export makes, and how each may fail.
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stddef.h>

/** A kind of call: the errors that its manual page lists, 0 after the last, or why it has none. */
struct fault_call {
	long number;
	const char *name;
	const int *errors;
	const char *excuse;
};

extern const struct fault_call fault_calls[];
extern const size_t fault_call_count;

/** The entry of call @number, or NULL: nobody has thought about how it fails. */
const struct fault_call *fault_find(long number);

/** Whether the error passes by its nature: a call that fails so for ever is no fault to survive. */
bool fault_is_passing(int error);

#endif
