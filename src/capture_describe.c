// SPDX-License-Identifier: LGPL-2.1-or-later
// The steps of a capture that turn what was found into records; see capture_describe.h. Nothing
// here stops, changes or lets go of anything.
#include "capture_describe.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "capture_pages.h"
#include "collect.h"
#include "processsnapshot.h"

bool pss_capture_wants(const struct capture *capture, uint32_t flags)
{
	return (capture->request->capture_flags & flags) == flags;
}

bool pss_capture_wants_contexts(const struct capture *capture)
{
	return pss_capture_wants(capture, PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT) ||
	       pss_capture_wants(capture,
				 PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT_EXTENDED);
}

bool pss_capture_needs_instant(const struct capture *capture)
{
	return pss_capture_wants(capture, PSS_CAPTURE_VA_CLONE) ||
	       pss_capture_wants_contexts(capture);
}

struct pss_cost pss_capture_cost_now(const struct capture *capture)
{
	return (struct pss_cost){
		.cycles = capture->arch->cycles(),
		.wall_ns = pss_clock_ns(CLOCK_MONOTONIC),
	};
}

void pss_capture_add_cost(const struct capture *capture, struct pss_cost since,
			  struct pss_cost *total)
{
	struct pss_cost now = pss_capture_cost_now(capture);

	total->cycles += now.cycles - since.cycles;
	total->wall_ns += now.wall_ns - since.wall_ns;
}

int pss_capture_read_handles(struct capture *capture)
{
	struct pss_cost start = pss_capture_cost_now(capture);

	if (!pss_capture_wants(capture, PSS_CAPTURE_HANDLES))
		return 0;
	int r = pss_handles_read(&capture->handles, &capture->target,
				 pss_capture_needs_instant(capture), capture->diag);
	pss_capture_add_cost(capture, start, &capture->figures.handles);
	return r;
}

static int describe_space(struct capture *capture, const struct pss_collect *context)
{
	struct pss_cost start = pss_capture_cost_now(capture);

	if (!pss_capture_wants(capture, PSS_CAPTURE_VA_SPACE) &&
	    !pss_capture_wants(capture, PSS_CAPTURE_VA_CLONE))
		return 0;
	int r = pss_collect_vaspace(
		context, pss_capture_wants(capture, PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION));
	pss_capture_add_cost(capture, start, &capture->figures.va_space);
	return r;
}

// What the stop itself hides: how the leader stood before it.
static void add_earlier_state(const struct capture *capture, struct pss_collect *context)
{
	for (uint32_t i = 0; i < pss_tracee_count(&capture->tracee); i++) {
		const struct pss_tracee_thread *thread = pss_tracee_thread(&capture->tracee, i);

		if (thread->tid == capture->target.pid)
			context->process_state = thread->stat.state;
		if (thread->was_group_stopped)
			context->process_flags |= PSS_PROCESS_FROZEN;
	}
}

static struct pss_collect collect_context(struct capture *capture)
{
	bool has_clone = capture->clone.proc_fd >= 0;

	return (struct pss_collect){
		.pid = capture->target.pid,
		.proc_fd = capture->target.proc_fd,
		.space_fd = has_clone ? capture->clone.proc_fd : capture->target.space_fd,
		.has_clone = has_clone,
		.unforked = &capture->unforked,
		.capture_flags = capture->request->capture_flags,
		.caller_tid = capture->target.caller_tid,
		.section = &capture->section,
		.scratch = &capture->scratch,
		.diag = capture->diag,
	};
}

int pss_capture_describe_stopped(struct capture *capture)
{
	struct pss_collect context = collect_context(capture);

	if (pss_capture_wants(capture, PSS_CAPTURE_VA_CLONE))
		return 0;
	return describe_space(capture, &context);
}

static int add_patch(struct capture *capture, uint64_t address, const void *bytes, size_t size)
{
	struct pss_patch_record patch = { .address = address };
	int r;

	if (size == 0)
		return 0;
	r = pss_section_add_bytes(&capture->section, bytes, size, &patch.bytes);
	if (r == 0)
		r = pss_section_add(&capture->section, PSS_PART_PATCHES, &patch, sizeof patch);
	return r;
}

// With the bytes that the clone had to change in its memory, as they were.
static int describe_clone(struct capture *capture)
{
	const struct pss_inject *inject = &capture->inject;
	int r = pss_section_add(&capture->section, PSS_PART_CLONE, &capture->clone.record,
				sizeof capture->clone.record);

	if (r == 0)
		r = add_patch(capture, inject->room, inject->saved.data, inject->saved.size);
	if (r == 0 && inject->rseq_area)
		r = add_patch(capture, inject->rseq_area, inject->rseq_saved, inject->rseq_size);
	return r;
}

// The kernel's clock, [vvar]: through /proc nobody can read it. For want of it no capture fails.
static int keep_kernel_pages(struct capture *capture)
{
	struct pss_cost start = pss_capture_cost_now(capture);
	int r = pss_capture_pages_keep(&capture->clone, &capture->section);

	pss_capture_add_cost(capture, start, &capture->figures.aux_pages);
	if (r == -ENOMEM)
		return pss_fail(capture->diag, r, "cannot keep the clock pages of process %d",
				capture->target.pid);
	return 0;
}

static int describe_threads(struct capture *capture, const struct pss_collect *context)
{
	struct pss_cost start = pss_capture_cost_now(capture);
	int r = 0;

	if (!pss_capture_wants(capture, PSS_CAPTURE_THREADS))
		return 0;
	if (pss_capture_needs_instant(capture))
		r = pss_collect_tracee_threads(context, &capture->tracee);
	else
		r = pss_collect_threads(context);
	pss_capture_add_cost(capture, start, &capture->figures.threads);
	return r;
}

static int describe_handles(struct capture *capture, const struct pss_collect *context)
{
	struct pss_cost start = pss_capture_cost_now(capture);
	struct pss_collect_handles_options options = {
		.with_names = pss_capture_wants(capture, PSS_CAPTURE_HANDLE_NAME_INFORMATION),
		.with_values =
			pss_capture_wants(capture, PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION),
		.instant_realtime_ns = capture->tracee.instant_realtime_ns,
	};

	if (!pss_capture_wants(capture, PSS_CAPTURE_HANDLES))
		return 0;
	int r = pss_handles_describe(&capture->handles, &capture->target, context, &options);
	pss_capture_add_cost(capture, start, &capture->figures.handles);
	return r;
}

int pss_capture_describe(struct capture *capture)
{
	struct pss_collect context = collect_context(capture);
	bool is_undumpable = false;
	int r = 0;

	add_earlier_state(capture, &context);
	if (context.has_clone)
		r = pss_clone_is_undumpable(&capture->clone, &is_undumpable);
	if (is_undumpable)
		context.process_flags |= PSS_PROCESS_NOT_DUMPABLE;
	if (r == 0)
		r = pss_collect_process(&context, capture->tracee.instant_realtime_ns);
	if (r == 0)
		r = describe_threads(capture, &context);
	if (r == 0 && !pss_capture_needs_instant(capture))
		r = pss_capture_read_handles(capture);
	if (r == 0)
		r = describe_handles(capture, &context);
	if (r == 0 && (context.has_clone || !pss_capture_needs_instant(capture)))
		r = describe_space(capture, &context);
	if (r == 0 && context.has_clone)
		r = keep_kernel_pages(capture);
	if (r == 0 && context.has_clone)
		r = describe_clone(capture);
	return r;
}
