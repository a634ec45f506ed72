// SPDX-License-Identifier: LGPL-2.1-or-later
// The patient's record: everything that must be as it was after a capture, as text, one line an
// item, so that a difference can be shown as it is. The only checker of that there is: harness.h
// makes assertions of it, the walks of tests/fault call it after each point.
//
// Who checks what:
//   number of the call, arguments, stack and program pointer    every thread that is blocked, from
//                                                    /proc/PID/task/TID/syscall; disturbs nobody
//   general, FP and extended registers, signal mask as ptrace tells it, rseq registration
//                                                    threads blocked in calls that a stop makes
//                                                    again (harness_registers.c): by stopping them
//   the same of threads that compute, or block in calls that a stop ends with EINTR
//                                                    the specimens: what they load or have computed
//                                                    is compared by themselves: counter `wrong`
//   masks, pending signals, stop state, tracer       all threads, from status
//   mappings, checksum of text, descriptors with position, flags and locks, children, /proc/locks
//   what a specimen counts itself                    struct target_counters of targets/target.h
// tests/integration/test_patient.c changes each of these on purpose.
#ifndef HARNESS_PATIENT_H
#define HARNESS_PATIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** A growing text. */
struct text {
	char *bytes;
	size_t size;
	size_t room;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_clear(struct text *text);
void text_deinit(struct text *text);

/** What of a process is looked at. */
enum patient_depth {
	PATIENT_QUIETLY, // from /proc alone
	PATIENT_DEEPLY,  // and the registers of threads that can be stopped without their noticing
};

/** What was recorded. @counters_at is 0 where the process keeps none. */
struct patient {
	pid_t pid;
	uint64_t counters_at;
	enum patient_depth depth;
	struct text text;
};

/** Records process @pid; to be freed with patient_free() of harness.h. */
struct patient *patient_look(pid_t pid, uint64_t counters_at, enum patient_depth depth);

/** Which differences may be. @sign is '-' for a line that is gone and '+' for one that is new. */
struct patient_pardon {
	bool (*is_pardoned)(void *context, char sign, const char *line);
	void *context;
};

/**
 * Compares. Calls that were interrupted are made again only some time after a capture, and what
 * dies takes its time, so differences get @patience_ms to go away. Lines that differ, less those
 * that @pardon (which may be NULL) lets be, are in @ret, cleared first; whether there are none.
 */
bool patient_compare(const struct patient *before, unsigned patience_ms,
		     const struct patient_pardon *pardon, struct text *ret);

/** Adds to @ret a line `<sign> <line>` for each that only one of two texts has. */
void text_compare(const struct text *before, const struct text *after,
		  const struct patient_pardon *pardon, struct text *ret);

/** The longest that any thread of a specimen says it was held up, in ns. */
uint64_t patient_longest_stall(const struct patient *patient);

/** Adds the registers of those @tids that can be stopped without their noticing. */
void patient_add_registers(struct text *text, pid_t pid, const long *tids, size_t count);

/** Adds what the status of a thread says, and the children of a process, dead ones too. */
void patient_add_status(struct text *text, pid_t pid, long tid, bool with_state);
void patient_add_children(struct text *text, pid_t pid);

/** The entries of a folder that are numbers, sorted; to be freed. */
long *harness_list_numbers(const char *path, size_t *count_ret);

#endif
