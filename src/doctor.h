// SPDX-License-Identifier: LGPL-2.1-or-later
// Would a capture work here? One table of checks, each of which looks at one thing that stands in
// the way or may do so, and says what it found and what cures it. The words are those of the error
// line when a capture fails. Reads /proc only: nothing is stopped, traced or changed.
#ifndef PSS_DOCTOR_H
#define PSS_DOCTOR_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/diag.h"

enum pss_doctor_severity {
	PSS_DOCTOR_OK,
	PSS_DOCTOR_UNKNOWN, /**< it can't be seen from here, mostly for lack of rights */
	PSS_DOCTOR_WARNING, /**< a capture works, at a price */
	PSS_DOCTOR_PROBLEM, /**< a capture of memory fails */
};

/** What a problem would make fail; a set. */
enum pss_doctor_cause {
	PSS_DOCTOR_DENIED = 0x1, /**< tracing, or reading what needs the same right */
	PSS_DOCTOR_TRACED = 0x2, /**< tracing: there is a tracer */
	PSS_DOCTOR_UNCLONABLE =
		0x4,               /**< making a clone; so is refused before anything is stopped */
	PSS_DOCTOR_FILTERED = 0x8, /**< making a clone: a seccomp filter */
	PSS_DOCTOR_NO_THREAD = 0x10, /**< making a clone: which thread should? */
	PSS_DOCTOR_LIMITED = 0x20,   /**< clone(2) itself: a limit */
	PSS_DOCTOR_SHORT = 0x40,     /**< anything: the caller lacks descriptors */
	PSS_DOCTOR_FROZEN = 0x80,    /**< making a thread call: none can run */
	PSS_DOCTOR_MEMORY = 0x100,   /**< making a clone: there is too little for both */
};

enum { PSS_DOCTOR_TEXT_SIZE = 512 };

/** What a check found. "It" is the target, "you" the caller; no full stop at the end. */
struct pss_doctor_finding {
	const char *id; /**< constant */
	enum pss_doctor_severity severity;
	char text[PSS_DOCTOR_TEXT_SIZE];
	char cure[PSS_DOCTOR_TEXT_SIZE]; /**< empty if there is none, or no need of one */
};

/** What the checks look at; tests make one of folders of their own. */
struct pss_doctor {
	pid_t pid;
	int proc_fd;             /**< /proc/PID; borrowed */
	int space_fd;            /**< folder of a thread that has the address space; borrowed */
	int root_fd;             /**< /proc */
	uint64_t memory_reserve; /**< bytes that a capture is to leave free; 0: a default */
	int access; /**< 0, or -errno of opening the target's memory: as the kernel decides */
};

#define PSS_DOCTOR_EMPTY                                                                           \
	((struct pss_doctor){ .proc_fd = -EBADF, .space_fd = -EBADF, .root_fd = -EBADF })

/** Borrows both descriptors until pss_doctor_close(). */
int pss_doctor_open(pid_t pid, int proc_fd, int space_fd, struct pss_doctor *ret);

void pss_doctor_close(struct pss_doctor *doctor);

#define _cleanup_doctor_ _cleanup_(pss_doctor_close)

/** Makes check number @index. -ENODATA past the last. */
int pss_doctor_examine(const struct pss_doctor *doctor, unsigned index,
		       struct pss_doctor_finding *ret);

/** Makes the check called @id. -ENOENT if there is none. */
int pss_doctor_check(const struct pss_doctor *doctor, const char *id,
		     struct pss_doctor_finding *ret);

/**
 * Adds to a recorded failure the first problem of one of @causes, and its cure. False if there is
 * none.
 */
bool pss_doctor_explain(const struct pss_doctor *doctor, unsigned causes, struct pss_diag *diag);

#endif
