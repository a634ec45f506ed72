// SPDX-License-Identifier: LGPL-2.1-or-later
// A capture from beginning to end; see capture.h. Read take_snapshot() first: it is the table of
// contents. What is held lives in struct capture, owned by the calling thread; what is done to the
// target is undone by the helper that did it, on every path. The words for what was found are those
// of capture_describe.c.
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "capture_describe.h"
#include "capture_handles.h"
#include "capture_limits.h"
#include "capture_target.h"
#include "cgroup.h"
#include "clone.h"
#include "collect_common.h"
#include "collect_unforked.h"
#include "helper.h"
#include "inject.h"
#include "processsnapshot.h"
#include "section.h"
#include "tracee.h"

#define PATIENCE_NS 20000000000ull

enum { PROGRAM_TRIES = 4 };

#define CAPTURE_EMPTY                                                                              \
	((struct capture){                                                                         \
		.target = PSS_TARGET_EMPTY,                                                        \
		.tracee = PSS_TRACEE_EMPTY,                                                        \
		.inject = PSS_INJECT_EMPTY,                                                        \
		.clone = PSS_CLONE_EMPTY,                                                          \
		.handles = PSS_HANDLES_EMPTY,                                                      \
		.section_fd = -EBADF,                                                              \
	})

static void capture_deinit(struct capture *capture)
{
	pss_inject_deinit(&capture->inject);
	pss_tracee_end(&capture->tracee);
	pss_clone_deinit(&capture->clone);
	pss_handles_deinit(&capture->handles);
	pss_buf_deinit(&capture->zombies);
	pss_buf_deinit(&capture->clones);
	pss_collect_unforked_deinit(&capture->unforked);
	pss_buf_deinit(&capture->scratch);
	pss_section_builder_deinit(&capture->section);
	pss_guard_end_ptr(&capture->guard);
	pss_target_close(&capture->target);
	capture->section_fd = pss_close(capture->section_fd);
}

// Everything that can be found out while the target still runs, so that a refusal leaves it alone.
static int look_at_clonability(struct capture *capture)
{
	int r = pss_target_check_clonable(&capture->target, capture->diag);
	if (r == 0)
		r = pss_target_open_memory(&capture->target, capture->diag);
	if (r < 0)
		return r;
	r = pss_inject_survey(capture->target.space_fd, capture->target.mem_fd, capture->arch,
			      capture->diag, &capture->site);
	if (r == -ENOENT)
		(void)pss_target_explain(&capture->target, PSS_DOCTOR_NO_THREAD, capture->diag);
	return r < 0 ? r : pss_limits_check_clones(capture);
}

static int look(struct capture *capture)
{
	int r = pss_target_check_traceable(&capture->target, capture->diag);

	if (r == 0 && pss_capture_wants(capture, PSS_CAPTURE_VA_CLONE))
		r = look_at_clonability(capture);
	return r < 0 ? r : pss_limits_forecast(capture);
}

static int stop(struct capture *capture)
{
	struct pss_cost start = pss_capture_cost_now(capture);

	capture->tracee.pid = capture->target.pid;
	capture->tracee.proc_fd = capture->target.proc_fd;
	capture->tracee.mem_fd = capture->target.mem_fd;
	capture->tracee.arch = capture->arch;
	capture->tracee.diag = capture->diag;
	if (pss_capture_wants_contexts(capture))
		capture->tracee.regsets = &capture->section.parts[PSS_PART_REGISTERS];
	capture->tracee.options.want_extended =
		pss_capture_wants(capture, PSS_CAPTURE_THREAD_CONTEXT_EXTENDED);
	capture->tracee.options.max_hold_ns = capture->request->max_pause_ns;

	int r = pss_tracee_stop(&capture->tracee);
	if (r == -EPERM)
		(void)pss_target_explain(&capture->target, PSS_DOCTOR_DENIED, capture->diag);
	pss_capture_add_cost(capture, start, &capture->figures.threads);
	return r;
}

static void find_foot(struct capture *capture)
{
	for (uint32_t i = 0; i < pss_tracee_count(&capture->tracee); i++) {
		const struct pss_tracee_thread *thread = pss_tracee_thread(&capture->tracee, i);

		if (thread->state != PSS_TRACEE_STOPPED)
			continue;
		pss_inject_find_foot(&capture->tracee, thread->tid, &capture->site);
		return;
	}
}

// The first thread that will do.
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
			return pss_fail(capture->diag, -EOPNOTSUPP, "cannot clone process %d",
					capture->target.pid);
	}
	if (!is_alive)
		return pss_fail(capture->diag, -ESRCH, "process %d has ended meanwhile",
				capture->target.pid);
	return pss_fail(
		capture->diag, -EAGAIN,
		"no thread of process %d can make the clone now: each is in a restartable "
		"sequence, has a shadow stack, dispatches its own calls, or does not stop; or "
		"[stack] has no place for the frames that lead it home",
		capture->target.pid);
}

// The thread to make the calls: the leader on its stack; else any, at the foot of that stack.
static int begin_injection(struct capture *capture)
{
	pss_target_reopen_memory(&capture->target);
	capture->tracee.mem_fd = capture->target.mem_fd;
	int r = pss_inject_verify(&capture->site, capture->tracee.mem_fd, capture->arch,
				  capture->diag);

	if (r < 0)
		return r;
	struct pss_tracee_thread *thread = choose_thread(capture, true);
	bool at_foot = !thread;
	if (at_foot) {
		find_foot(capture);
		thread = choose_thread(capture, false);
	}
	if (!thread)
		return refuse_unfit(capture);
	capture->inject.site = &capture->site;
	capture->inject.diag = capture->diag;
	return pss_inject_begin(&capture->inject, &capture->tracee, thread, at_foot);
}

// Zombies that a killed owner has left.
static void reap_earlier_clones(struct capture *capture)
{
	const pid_t *own_pids = (const void *)capture->zombies.data;

	for (size_t i = 0; i < capture->zombies.size / sizeof *own_pids; i++)
		(void)pss_clone_reap(&capture->inject, own_pids[i]);
}

// While the kernel copies the page tables: the threads stand, the one in that call too.
static void read_handles_meanwhile(void *context)
{
	struct capture *capture = context;

	capture->handles_result = pss_capture_read_handles(capture);
}

static int make_clone(struct capture *capture)
{
	struct pss_cost start = pss_capture_cost_now(capture);

	if (!pss_capture_wants(capture, PSS_CAPTURE_VA_CLONE))
		return pss_capture_read_handles(capture);
	int r = begin_injection(capture);
	if (r == 0) {
		reap_earlier_clones(capture);
		capture->inject.meanwhile = read_handles_meanwhile;
		capture->inject.meanwhile_context = capture;
		r = pss_limits_check_time(capture);
	}
	if (r == 0) {
		r = pss_clone_make(&capture->inject, capture->diag, &capture->clone);
	}
	if (r == 0)
		r = capture->handles_result;
	pss_capture_add_cost(capture, start, &capture->figures.va_clone);
	return r;
}

static int end_injection(struct capture *capture)
{
	struct pss_cost start = pss_capture_cost_now(capture);
	int r = pss_inject_end(&capture->inject);

	pss_capture_add_cost(capture, start, &capture->figures.va_clone);
	return r;
}

// What the clone was not given, as long as the target holds it still.
static int keep_unforked(struct capture *capture)
{
	struct pss_cost start = pss_capture_cost_now(capture);
	const struct pss_collect_unforked_request request = {
		.target_fd = capture->target.space_fd,
		.clone_fd = capture->clone.proc_fd,
		.capture_time = pss_collect_common_instant(capture->tracee.instant_realtime_ns),
		.is_self = capture->target.caller_tid != 0,
		.section = &capture->section,
		.scratch = &capture->scratch,
	};

	if (!pss_capture_wants(capture, PSS_CAPTURE_VA_CLONE))
		return 0;
	int r = pss_collect_unforked_find(&request, &capture->unforked);
	pss_capture_add_cost(capture, start, &capture->figures.aux_pages);
	// What was not found is marked missing; for that no capture fails.
	if (r == -ENOMEM)
		return pss_fail(capture->diag, r, "cannot read what the clone of process %d lacks",
				capture->target.pid);
	return 0;
}

// From now on the target writes, and each page that it writes is copied.
static void guard_clone(struct capture *capture)
{
	if (capture->clone.inject.tid > 0 && capture->guard)
		pss_guard_set_clone(capture->guard, capture->clone.record.pid,
				    capture->clone.record.start_ticks);
}

static void let_go(struct capture *capture)
{
	struct pss_tracee *tracee = &capture->tracee;

	(void)pss_tracee_release(tracee);
	guard_clone(capture);
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

// Out of the target's control groups, so that neither their limits nor their end are the clone's.
static int break_away(struct capture *capture)
{
	struct pss_diag unused = { 0 };
	bool force = pss_capture_wants(capture, PSS_CREATE_FORCE_BREAKAWAY);
	bool is_optional = pss_capture_wants(capture, PSS_CREATE_BREAKAWAY_OPTIONAL);

	if (!pss_capture_wants(capture, PSS_CAPTURE_VA_CLONE) ||
	    !(force || pss_capture_wants(capture, PSS_CREATE_BREAKAWAY)))
		return 0;
	int r = pss_cgroup_break_away(capture->clone.record.pid, capture->clone.proc_fd, force,
				      is_optional ? &unused : capture->diag);
	return is_optional ? 0 : r;
}

static int seal(struct capture *capture)
{
	capture->section.capturer_pid = capture->capturer_pid;
	capture->section.capturer_start_ticks = capture->capturer_start_ticks;
	capture->section.machine = capture->arch->elf_machine;
	capture->section.capture_flags = capture->request->capture_flags;
	capture->section.thread_context_flags = capture->request->thread_context_flags;
	pss_capture_add_cost(capture, capture->started, &capture->figures.total);

	int r = pss_section_add(&capture->section, PSS_PART_FIGURES, &capture->figures,
				sizeof capture->figures);
	if (r == 0)
		r = pss_section_seal(&capture->section, capture->diag, &capture->section_fd);
	return r;
}

// The lock belongs to the open file description, so it lasts as long as any duplicate of it.
static int park(struct capture *capture)
{
	if (!pss_capture_wants(capture, PSS_CAPTURE_VA_CLONE))
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
	if (r == 0) {
		r = make_clone(capture);
		capture->is_refused_clone = r < 0 && r != -ETIME;
	}
	if (r == 0)
		r = keep_unforked(capture);
	if (r == 0)
		r = end_injection(capture);
	if (r == 0)
		r = pss_capture_describe_stopped(capture);
	if (r < 0)
		return r;
	let_go(capture);
	r = pss_limits_check_rank(capture);
	if (r == 0)
		r = pss_capture_describe(capture);
	pss_tracee_release_rest(&capture->tracee);
	if (r == 0)
		r = break_away(capture);
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
	pid_t zombie = r < 0 ? capture->clone.record.target_pid_ns_pid : 0;

	(void)pss_inject_end(&capture->inject);
	pss_tracee_end(&capture->tracee);
	pss_clone_deinit(&capture->clone);
	if (zombie > 0)
		pss_target_reap(&capture->target, zombie);
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

// Is there memory for a clone? If so, it is watched, by a process of the calling thread's.
static int begin_guard(struct capture *capture)
{
	const struct pss_target *target = &capture->target;
	uint64_t reserve = capture->request->memory_reserve;

	if (!pss_capture_wants(capture, PSS_CAPTURE_VA_CLONE) || capture->request->ignores_memory)
		return 0;
	int r = pss_target_check_memory(target, reserve, capture->diag);
	if (r < 0)
		return r;
	r = pss_guard_begin(target->space_fd, reserve, capture->diag, &capture->guard);
	if (r < 0)
		return pss_fail(capture->diag, r, "cannot watch over the memory of process %d",
				target->pid);
	return 0;
}

// What the guard has killed is not given out.
static int end_guard(struct capture *capture, int r)
{
	struct pss_guard *guard = capture->guard;

	// What it finds from now on is the caller's to conclude.
	if (r == 0 && capture->request->keeps_guard && !pss_guard_has_given_up(guard))
		return 0;
	capture->guard = NULL;
	r = pss_guard_end(guard, capture->target.pid, r, capture->diag);
	if (r == -EDQUOT && capture->section_fd >= 0)
		pss_capture_free(TAKE_FD(capture->section_fd));
	return r;
}

static int run_helper(struct capture *capture, enum pss_helper_kind kind)
{
	int result = 0;
	int r = begin_guard(capture);

	if (r < 0)
		return r;
	r = pss_helper_run(kind, take_in_helper, capture, capture->diag, &result);
	if (r < 0) {
		disown(capture);
		return end_guard(capture, r);
	}
	return end_guard(capture, result);
}

static void start_anew(struct capture *capture)
{
	pss_inject_deinit(&capture->inject);
	pss_tracee_end(&capture->tracee);
	pss_clone_deinit(&capture->clone);
	pss_section_builder_deinit(&capture->section);
	pss_buf_clear(&capture->zombies);
	pss_collect_unforked_deinit(&capture->unforked);
	*capture->diag = (struct pss_diag){ 0 };
	capture->is_refused_clone = false;
	capture->tracee = PSS_TRACEE_EMPTY;
	capture->clone = PSS_CLONE_EMPTY;
	capture->site = PSS_INJECT_SITE_EMPTY;
	capture->section = PSS_SECTION_BUILDER_EMPTY;
	capture->figures = (struct pss_figures_record){ 0 };
}

// Another capture of the same target is a matter of milliseconds; a debugger is not.
static int run_helper_patiently(struct capture *capture, enum pss_helper_kind kind)
{
	uint64_t deadline = pss_clock_ns(CLOCK_MONOTONIC) + PATIENCE_NS;
	int r = run_helper(capture, kind);

	while (r == -PSS_ETRACED && pss_clock_ns(CLOCK_MONOTONIC) < deadline &&
	       pss_target_wait_for_tracer(&capture->target)) {
		start_anew(capture);
		r = run_helper(capture, kind);
	}
	return r;
}

static int open_target(struct capture *capture)
{
	int r = pss_target_open(capture->request->pidfd, capture->diag, &capture->target);

	if (r == 0 && pss_capture_needs_instant(capture) &&
	    pss_capture_wants(capture, PSS_CAPTURE_HANDLES))
		pss_handles_prepare(&capture->handles, &capture->target);
	return r;
}

// A program that has called execve while we looked is another one under the same number: threads,
// text and memory that were found are gone, and its end, so it seemed, was theirs.
static int run_helper_again(struct capture *capture, enum pss_helper_kind kind)
{
	int r = run_helper_patiently(capture, kind);

	for (int tries = 1; tries < PROGRAM_TRIES && !capture->inject.is_refused &&
			    (r == -EAGAIN || r == -ENOENT || r == -ESRCH);
	     tries++) {
		pss_target_close(&capture->target);
		pss_handles_deinit(&capture->handles);
		start_anew(capture);
		r = open_target(capture);
		if (r == 0)
			r = run_helper_patiently(capture, kind);
	}
	return r;
}

// Where the reason that the kernel had is gone by now.
static void hint_at_refusal(int error, struct pss_diag *diag)
{
	if (error == -EAGAIN)
		pss_diag_hint(diag, "its user or cgroup may have no more processes: see "
				    "RLIMIT_NPROC and pids.max");
	else if (error == -ENOMEM)
		pss_diag_hint(diag, "overcommit or its memory cgroup has no room for a copy: see "
				    "vm.overcommit_memory and memory.max");
	else
		pss_diag_hint(diag, "its seccomp filter or a security module may forbid clone");
}

// Why no clone could be made, looked for when the target runs again.
static void explain_clone(struct capture *capture, int error)
{
	bool is_refused = capture->inject.is_refused;
	unsigned causes =
		PSS_DOCTOR_FILTERED | (is_refused ? PSS_DOCTOR_LIMITED : PSS_DOCTOR_NO_THREAD);

	if (!pss_target_explain(&capture->target, causes, capture->diag) && is_refused)
		hint_at_refusal(error, capture->diag);
}

// Looking takes descriptors: those that the capture still has go first.
static void explain_shortage(struct capture *capture)
{
	struct pss_diag said = *capture->diag;

	start_anew(capture);
	*capture->diag = said;
	capture->target.mem_fd = pss_close(capture->target.mem_fd);
	(void)pss_target_explain(&capture->target, PSS_DOCTOR_SHORT, capture->diag);
}

static int take_with_stop(struct capture *capture)
{
	// Naming the helper to Yama overwrites what the host may have named itself: only if it must
	// be.
	bool is_refused_self = capture->target.caller_tid && pss_target_wants_ancestor();
	enum pss_helper_kind kind = is_refused_self ? PSS_HELPER_OF_HOST : PSS_HELPER_PROCESS;
	int r = run_helper_again(capture, kind);

	// Yama may let the host trace its own children, but not another child of the host.
	if ((r == -EPERM || r == -EACCES) && kind == PSS_HELPER_PROCESS &&
	    pss_target_wants_ancestor()) {
		start_anew(capture);
		r = run_helper(capture, PSS_HELPER_THREAD);
	}
	if (r == -EMFILE)
		explain_shortage(capture);
	else if (r < 0 && capture->is_refused_clone)
		explain_clone(capture, r);
	return r;
}

static int take_without_stop(struct capture *capture)
{
	int r = pss_capture_describe(capture);

	if (r == -EACCES || r == -EPERM)
		(void)pss_target_explain(&capture->target, PSS_DOCTOR_DENIED, capture->diag);
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
	if (pss_procfs_read_stat(AT_FDCWD, "/proc/self/stat", &capture->scratch, &stat) == 0)
		capture->capturer_start_ticks = stat.start_ticks;
}

int pss_capture(const struct pss_capture_request *request, struct pss_diag *diag,
		int *section_fd_ret, struct pss_guard **guard_ret)
{
	_cleanup_(capture_deinit) struct capture capture = CAPTURE_EMPTY;
	struct pss_diag unused = { 0 };

	capture.request = request;
	capture.diag = diag ? diag : &unused;
	capture.arch = pss_arch_native();
	capture.started = pss_capture_cost_now(&capture);
	sign(&capture);
	int r = open_target(&capture);
	if (r < 0)
		return r;
	r = pss_capture_needs_instant(&capture) ? take_with_stop(&capture)
						: take_without_stop(&capture);
	if (r < 0)
		return r;
	*section_fd_ret = TAKE_FD(capture.section_fd);
	if (request->keeps_guard) {
		*guard_ret = capture.guard;
		capture.guard = NULL;
	}
	return 0;
}
