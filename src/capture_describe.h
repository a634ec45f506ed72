// SPDX-License-Identifier: LGPL-2.1-or-later
// The inside of a capture: what its steps share, and those of them that put into words what was
// found. For capture.c alone.
#ifndef PSS_CAPTURE_DESCRIBE_H
#define PSS_CAPTURE_DESCRIBE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "capture.h"
#include "capture_handles.h"
#include "capture_target.h"
#include "clone.h"
#include "collect_unforked.h"
#include "forecast.h"
#include "guard.h"
#include "inject.h"
#include "section.h"
#include "tracee.h"

/** All that a capture holds. */
struct capture {
	struct pss_inject inject;
	struct pss_clone clone;
	const struct pss_capture_request *request;
	struct pss_diag *diag;
	const struct pss_arch *arch;
	uint64_t capturer_start_ticks;
	struct pss_cost started;
	struct pss_buf zombies; // of earlier clones, to be reaped on the way
	struct pss_buf clones;  // that live: struct pss_clone_sibling
	struct pss_buf scratch;
	struct pss_inject_site site;
	struct pss_collect_unforked unforked;
	struct pss_figures_record figures;
	struct pss_forecast forecast;
	struct pss_tracee tracee;
	struct pss_section_builder section;
	struct pss_handles handles;
	struct pss_guard *guard; // over the target's memory, from before the stop to the end
	int handles_result;      // of reading them while the clone is made
	pid_t capturer_pid;
	int section_fd;
	bool is_refused_clone; // the clone was not made
	struct pss_target target;
};

/** Whether all of these capture flags were given. */
bool pss_capture_wants(const struct capture *capture, uint32_t flags);

bool pss_capture_wants_contexts(const struct capture *capture);

/** Memory and registers need an instant; lists are read while everything runs. */
bool pss_capture_needs_instant(const struct capture *capture);

struct pss_cost pss_capture_cost_now(const struct capture *capture);

/** Adds what it has cost since then. */
void pss_capture_add_cost(const struct capture *capture, struct pss_cost since,
			  struct pss_cost *total);

/** Reads what changes of a descriptor, if descriptors are wanted: before the target runs on. */
int pss_capture_read_handles(struct capture *capture);

/** Describes what can't wait until the target has been let go: its address space, without a clone.
 */
int pss_capture_describe_stopped(struct capture *capture);

/** Describes all the rest, into the section. */
int pss_capture_describe(struct capture *capture);

#endif
