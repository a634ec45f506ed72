// SPDX-License-Identifier: LGPL-2.1-or-later
// A capture from beginning to end; see capture.h. Read take_snapshot() first: it is the table of
// contents. What is held lives in struct capture, owned by the calling thread; what is done to the
// target is undone by the helper that did it, on every path.
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "capture_target.h"
#include "clone.h"
#include "collect.h"
#include "helper.h"
#include "inject.h"
#include "processsnapshot.h"
#include "section.h"
#include "tracee.h"

#define PATIENCE_NS 20000000000ull

struct capture {
	const struct pss_capture_request *request;
	struct pss_diag *diag;
	const struct pss_arch *arch;
	struct pss_target target;
	struct pss_tracee tracee;
	struct pss_inject_site site;
	struct pss_inject inject;
	struct pss_clone clone;
	struct pss_buf zombies; // of earlier clones, to be reaped on the way
	struct pss_buf scratch;
	struct pss_section_builder section;
	struct pss_figures_record figures;
	struct pss_cost started;
	pid_t capturer_pid;
	uint64_t capturer_start_ticks;
	int section_fd;
};

#define CAPTURE_EMPTY                                                                              \
	((struct capture){                                                                         \
		.target = PSS_TARGET_EMPTY,                                                        \
		.tracee = PSS_TRACEE_EMPTY,                                                        \
		.clone = PSS_CLONE_EMPTY,                                                          \
		.section_fd = -EBADF,                                                              \
	})

static void capture_deinit(struct capture *capture)
{
	pss_inject_deinit(&capture->inject);
	pss_tracee_end(&capture->tracee);
	pss_clone_deinit(&capture->clone);
	pss_buf_deinit(&capture->zombies);
	pss_buf_deinit(&capture->scratch);
	pss_section_builder_deinit(&capture->section);
	pss_target_close(&capture->target);
	capture->section_fd = pss_close(capture->section_fd);
}

static bool wants(const struct capture *capture, uint32_t flag)
{
	return (capture->request->capture_flags & flag) == flag;
}

static bool wants_contexts(const struct capture *capture)
{
	return wants(capture, PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT) ||
	       wants(capture, PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT_EXTENDED);
}

// Memory and registers need an instant; lists are read while everything runs.
static bool needs_instant(const struct capture *capture)
{
	return wants(capture, PSS_CAPTURE_VA_CLONE) || wants_contexts(capture);
}

static struct pss_cost cost_now(const struct capture *capture)
{
	return (struct pss_cost){
		.cycles = capture->arch->cycles(),
		.wall_ns = pss_tracee_now(CLOCK_MONOTONIC),
	};
}

static void add_cost(const struct capture *capture, struct pss_cost since, struct pss_cost *total)
{
	struct pss_cost now = cost_now(capture);

	total->cycles += now.cycles - since.cycles;
	total->wall_ns += now.wall_ns - since.wall_ns;
}

// Everything that can be found out while the target still runs, so that a refusal leaves it alone.
static int look(struct capture *capture)
{
	int r = pss_target_check_traceable(&capture->target, capture->diag);

	if (r < 0 || !wants(capture, PSS_CAPTURE_VA_CLONE))
		return r;
	r = pss_target_check_userfaultfd(&capture->target, capture->diag);
	if (r == 0)
		r = pss_target_open_memory(&capture->target, capture->diag);
	if (r < 0)
		return r;
	r = pss_inject_survey(capture->target.space_fd, capture->target.mem_fd, capture->arch,
			      capture->diag, &capture->site);
	if (r < 0)
		return r;
	// No reason to fail: an old zombie costs the target one entry in a table.
	(void)pss_clone_find_zombies(capture->target.proc_fd, capture->target.pid,
				     &capture->zombies);
	return 0;
}

static int stop(struct capture *capture)
{
	struct pss_cost start = cost_now(capture);

	capture->tracee.pid = capture->target.pid;
	capture->tracee.proc_fd = capture->target.proc_fd;
	capture->tracee.mem_fd = capture->target.mem_fd;
	capture->tracee.arch = capture->arch;
	capture->tracee.diag = capture->diag;
	capture->tracee.options.want_registers = wants_contexts(capture);
	capture->tracee.options.want_extended = wants(capture, PSS_CAPTURE_THREAD_CONTEXT_EXTENDED);

	int r = pss_tracee_stop(&capture->tracee);
	if (r == -EPERM)
		pss_target_explain_denial(&capture->target, capture->diag);
	add_cost(capture, start, &capture->figures.threads);
	return r;
}

// The thread to make the calls: the leader if it will do, else the first that will.
static struct pss_tracee_thread *choose_thread(struct capture *capture, bool want_stack)
{
	for (uint32_t i = 0; i < pss_tracee_count(&capture->tracee); i++) {
		struct pss_tracee_thread *thread = pss_tracee_thread(&capture->tracee, i);

		if (pss_inject_is_fit(&capture->tracee, thread, &capture->site, want_stack))
			return thread;
	}
	return NULL;
}

static int refuse_unfit(struct capture *capture)
{
	bool is_alive = false;

	for (uint32_t i = 0; i < pss_tracee_count(&capture->tracee); i++) {
		struct pss_tracee_thread *thread = pss_tracee_thread(&capture->tracee, i);

		is_alive |= thread->state == PSS_TRACEE_STOPPED ||
			    thread->state == PSS_TRACEE_UNSTOPPABLE;
		if (thread->has_registers && capture->arch->is_32bit(&thread->general))
			return pss_fail(
				capture->diag, -EOPNOTSUPP,
				"process %d is a 32-bit program: its memory can't be cloned",
				capture->target.pid);
	}
	if (!is_alive)
		return pss_fail(capture->diag, -ESRCH, "process %d has ended meanwhile",
				capture->target.pid);
	return pss_fail(capture->diag, -EAGAIN,
			"no thread of process %d can make the clone now: each is in a restartable "
			"sequence, has a shadow stack, dispatches its own calls, or does not stop",
			capture->target.pid);
}

static int begin_injection(struct capture *capture)
{
	int r = pss_inject_verify(&capture->site, capture->target.space_fd, capture->arch,
				  capture->diag);

	if (r < 0)
		return r;
	struct pss_tracee_thread *thread = choose_thread(capture, true);
	bool on_mapping = !thread;
	if (on_mapping)
		thread = choose_thread(capture, false);
	if (!thread)
		return refuse_unfit(capture);
	capture->inject.site = &capture->site;
	capture->inject.diag = capture->diag;
	return pss_inject_begin(&capture->inject, &capture->tracee, thread, on_mapping);
}

// Zombies that a killed owner has left. A clone is the child of the thread that made it: mostly the
// leader, whose children were looked through before the stop.
static void reap_earlier_clones(struct capture *capture)
{
	if (capture->inject.tid != capture->target.pid)
		(void)pss_clone_find_zombies(capture->target.proc_fd, capture->inject.tid,
					     &capture->zombies);

	const pid_t *own_pids = (const void *)capture->zombies.data;

	for (size_t i = 0; i < capture->zombies.size / sizeof *own_pids; i++)
		(void)pss_clone_reap(&capture->inject, own_pids[i]);
}

static int make_clone(struct capture *capture)
{
	struct pss_cost start = cost_now(capture);

	if (!wants(capture, PSS_CAPTURE_VA_CLONE))
		return 0;
	int r = begin_injection(capture);
	if (r == 0) {
		reap_earlier_clones(capture);
		r = pss_clone_make(&capture->inject, capture->diag, &capture->clone);
	}
	if (r == 0)
		r = pss_inject_end(&capture->inject);
	add_cost(capture, start, &capture->figures.va_clone);
	return r;
}

static int describe_space(struct capture *capture, const struct pss_collect *context)
{
	struct pss_cost start = cost_now(capture);

	if (!wants(capture, PSS_CAPTURE_VA_SPACE) && !wants(capture, PSS_CAPTURE_VA_CLONE))
		return 0;
	int r = pss_collect_vaspace(context,
				    wants(capture, PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION));
	add_cost(capture, start, &capture->figures.va_space);
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
		.hidden_start = capture->inject.is_mapping ? capture->inject.room : 0,
		.capture_flags = capture->request->capture_flags,
		.caller_tid = capture->target.caller_tid,
		.section = &capture->section,
		.scratch = &capture->scratch,
		.diag = capture->diag,
	};
}

// Without a clone the address space has to be read before it moves again.
static int describe_space_while_stopped(struct capture *capture)
{
	struct pss_collect context = collect_context(capture);

	if (wants(capture, PSS_CAPTURE_VA_CLONE))
		return 0;
	return describe_space(capture, &context);
}

static void let_go(struct capture *capture)
{
	struct pss_tracee *tracee = &capture->tracee;

	(void)pss_tracee_release(tracee);
	capture->figures.hold_ns = tracee->last_release_ns - tracee->first_stop_ns;
	capture->figures.pause_ns =
		tracee->first_runner_stop_ns
			? tracee->runners_release_ns - tracee->first_runner_stop_ns
			: capture->figures.hold_ns;
	for (uint32_t i = 0; i < pss_tracee_count(tracee); i++) {
		const struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);

		if (!thread->has_registers)
			continue;
		capture->figures.threads_stopped++;
		if (thread->stat.state == 'R')
			capture->figures.threads_running++;
	}
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

static int describe_threads(struct capture *capture, const struct pss_collect *context)
{
	struct pss_cost start = cost_now(capture);
	int r = 0;

	if (!wants(capture, PSS_CAPTURE_THREADS))
		return 0;
	if (needs_instant(capture))
		r = pss_collect_tracee_threads(context, &capture->tracee);
	else
		r = pss_collect_threads(context);
	add_cost(capture, start, &capture->figures.threads);
	return r;
}

static int describe(struct capture *capture)
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
	if (r == 0 && (context.has_clone || !needs_instant(capture)))
		r = describe_space(capture, &context);
	if (r == 0 && context.has_clone)
		r = describe_clone(capture);
	return r;
}

static int seal(struct capture *capture)
{
	capture->section.capturer_pid = capture->capturer_pid;
	capture->section.capturer_start_ticks = capture->capturer_start_ticks;
	capture->section.machine = capture->arch->elf_machine;
	capture->section.capture_flags = capture->request->capture_flags;
	capture->section.thread_context_flags = capture->request->thread_context_flags;
	add_cost(capture, capture->started, &capture->figures.total);

	int r = pss_section_add(&capture->section, PSS_PART_FIGURES, &capture->figures,
				sizeof capture->figures);
	if (r == 0)
		r = pss_section_seal(&capture->section, capture->diag, &capture->section_fd);
	return r;
}

// The lock belongs to the open file description, so it lasts as long as any duplicate of it.
static int park(struct capture *capture)
{
	if (!wants(capture, PSS_CAPTURE_VA_CLONE))
		return 0;
	if (flock(capture->section_fd, LOCK_EX | LOCK_NB) < 0)
		return pss_fail(capture->diag, -errno, "cannot lock the section");
	return pss_clone_park(&capture->clone, capture->section_fd);
}

static int take_snapshot(struct capture *capture)
{
	int r = look(capture);

	if (r == 0)
		r = stop(capture);
	if (r == 0)
		r = make_clone(capture);
	if (r == 0)
		r = describe_space_while_stopped(capture);
	if (r < 0)
		return r;
	let_go(capture);
	r = describe(capture);
	pss_tracee_release_rest(&capture->tracee);
	if (r == 0)
		r = seal(capture);
	if (r == 0)
		r = park(capture);
	return r;
}

// The helper's work. What it has done to the target it undoes before it ends, whatever happened.
static int take_in_helper(void *context)
{
	struct capture *capture = context;
	int r = take_snapshot(capture);
	pid_t zombie = capture->clone.inject.tid > 0 ? capture->clone.record.target_pid_ns_pid : 0;

	(void)pss_inject_end(&capture->inject);
	pss_tracee_end(&capture->tracee);
	pss_clone_deinit(&capture->clone);
	if (zombie > 0)
		pss_target_reap(&capture->target, capture->arch, zombie);
	return r;
}

// The helper died in the middle of it. The target came home by its frame and the clone is leaving
// by its own; what is traced by nobody any more must not be touched by pid.
static void disown(struct capture *capture)
{
	capture->clone.inject.tid = 0;
	capture->inject.is_begun = false;
	pss_buf_clear(&capture->tracee.threads);
}

static int run_helper(struct capture *capture, enum pss_helper_kind kind)
{
	int result = 0;
	int r = pss_helper_run(kind, take_in_helper, capture, capture->diag, &result);

	if (r < 0) {
		disown(capture);
		return r;
	}
	return result;
}

static void start_anew(struct capture *capture)
{
	pss_inject_deinit(&capture->inject);
	pss_tracee_end(&capture->tracee);
	pss_clone_deinit(&capture->clone);
	pss_section_builder_deinit(&capture->section);
	pss_buf_clear(&capture->zombies);
	*capture->diag = (struct pss_diag){ 0 };
	capture->tracee = PSS_TRACEE_EMPTY;
	capture->clone = PSS_CLONE_EMPTY;
	capture->site = PSS_INJECT_SITE_EMPTY;
	capture->section = PSS_SECTION_BUILDER_EMPTY;
	capture->figures = (struct pss_figures_record){ 0 };
}

// Another capture of the same target is a matter of milliseconds; a debugger is not.
static int run_helper_patiently(struct capture *capture, enum pss_helper_kind kind)
{
	uint64_t deadline = pss_tracee_now(CLOCK_MONOTONIC) + PATIENCE_NS;
	int r = run_helper(capture, kind);

	while (r == -EBUSY && pss_tracee_now(CLOCK_MONOTONIC) < deadline &&
	       pss_target_wait_for_tracer(&capture->target)) {
		start_anew(capture);
		r = run_helper(capture, kind);
	}
	return r;
}

static int take_with_stop(struct capture *capture)
{
	// Naming the helper to Yama overwrites what the host may have named itself: only if it must
	// be.
	bool is_refused_self = capture->target.caller_tid && pss_target_wants_ancestor();
	enum pss_helper_kind kind = is_refused_self ? PSS_HELPER_OF_HOST : PSS_HELPER_PROCESS;
	int r = run_helper_patiently(capture, kind);

	// Yama may let the host trace its own children, but not another child of the host.
	if ((r == -EPERM || r == -EACCES) && kind == PSS_HELPER_PROCESS &&
	    pss_target_wants_ancestor()) {
		start_anew(capture);
		r = run_helper(capture, PSS_HELPER_THREAD);
	}
	return r;
}

static int take_without_stop(struct capture *capture)
{
	int r = describe(capture);

	if (r == -EACCES || r == -EPERM)
		pss_target_explain_denial(&capture->target, capture->diag);
	if (r == 0)
		r = seal(capture);
	return r;
}

// So that it can be told whether a snapshot is where it was captured, or was put there. The helper
// is another process.
static void sign(struct capture *capture)
{
	struct pss_procfs_stat stat;

	capture->capturer_pid = getpid();
	if (pss_procfs_read(AT_FDCWD, "/proc/self/stat", &capture->scratch) == 0 &&
	    pss_procfs_parse_stat((const char *)capture->scratch.data, capture->scratch.size,
				  &stat) == 0)
		capture->capturer_start_ticks = stat.start_ticks;
}

int pss_capture(const struct pss_capture_request *request, struct pss_diag *diag,
		int *section_fd_ret)
{
	_cleanup_(capture_deinit) struct capture capture = CAPTURE_EMPTY;
	struct pss_diag unused = { 0 };

	capture.request = request;
	capture.diag = diag ? diag : &unused;
	capture.arch = pss_arch_native();
	capture.started = cost_now(&capture);
	sign(&capture);
	int r = pss_target_open(request->pidfd, capture.diag, &capture.target);
	if (r < 0)
		return r;
	r = needs_instant(&capture) ? take_with_stop(&capture) : take_without_stop(&capture);
	if (r < 0)
		return r;
	*section_fd_ret = TAKE_FD(capture.section_fd);
	return 0;
}
