// SPDX-License-Identifier: LGPL-2.1-or-later
// What the tests of collectors share: a collection with its section, and children to collect from.
#ifndef PSS_FIXTURE_COLLECT_H
#define PSS_FIXTURE_COLLECT_H

#include <sys/types.h>

#include "base/cleanup.h"
#include "collect.h"

/** One collection and what came of it. */
struct fixture {
	int proc_fd;
	struct pss_buf scratch;
	struct pss_diag diag;
	struct pss_section_builder builder;
	struct pss_collect context;
	int section_fd;
	struct pss_section section;
};

/** Ready to collect from @pid, without a clone. */
struct fixture *fixture_create(pid_t pid);

void fixture_destroy(struct fixture **fixture);

#define _cleanup_fixture_ _cleanup_(fixture_destroy)

/** The section of what was collected, with a process record in any case. Lives with @fixture. */
const struct pss_section *sealed(struct fixture *fixture);

/** The reference leads to just these bytes. */
void assert_bytes(const struct pss_section *section, struct pss_bytes_ref ref, const void *bytes,
		  size_t size);

/** The address leads to the list of objects, whose first one is this program. */
void assert_debug_address(const struct pss_process_record *process);

/** A child that has run @prepare, if it is not NULL, and waits; it dies with us. */
pid_t make_child(void (*prepare)(void));

/** Kills the child and reaps it. */
void end_child(pid_t child);

#endif
