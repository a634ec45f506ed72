// SPDX-License-Identifier: LGPL-2.1-or-later
// Stopping one thread of a running process for a few calls; see capture_errand.h. What is held
// belongs to the caller of the helper, which outlives it.
#include "capture_errand.h"

#include <errno.h>
#include <linux/kcmp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "helper.h"
#include "procfs.h"
#include "tracee.h"

#define PATIENCE_NS 20000000000ull
// A thread that does not stop takes 50 ms to find out: so there is one more try.
#define STUCK_PATIENCE_NS 40000000ull
// An execve takes a moment, and so does the end of a process.
#define CHANGE_PATIENCE_NS 250000000ull
#define BREATH_NS          2000000

enum { TRIES = 5, END_PATIENCE_MS = 100 };

struct session {
	struct pss_target *target;
	const struct pss_errand *errand;
	struct pss_inject_site site;
	struct pss_tracee tracee;
	struct pss_inject inject;
	struct pss_buf tids;
	struct pss_buf stuck; // threads that would not stop, pid_t each: ours until the helper ends
	struct pss_buf scratch;
	struct pss_diag diag; // of the latest try
	uint64_t patience_ns; // for so long after the beginning another helper may do better
	bool is_32bit;        // a thread was seen that runs such code
	bool has_foot;        // the lock on the foot of [stack]
	bool is_done;         // the work was begun, and its result is final
};

static void let_go(struct session *session)
{
	pss_inject_deinit(&session->inject);
	if (session->has_foot)
		(void)flock(session->target->mem_fd, LOCK_UN);
	session->has_foot = false;
	pss_tracee_end(&session->tracee);
	session->tracee = PSS_TRACEE_EMPTY;
}

static void session_deinit(struct session *session)
{
	let_go(session);
	pss_buf_deinit(&session->tids);
	pss_buf_deinit(&session->stuck);
	pss_buf_deinit(&session->scratch);
}

static int read_state(struct session *session, pid_t tid, char *ret)
{
	struct pss_procfs_stat stat;
	char path[32];

	(void)snprintf(path, sizeof path, "task/%d/stat", tid);
	int r = pss_procfs_read_stat(session->target->proc_fd, path, &session->scratch, &stat);
	if (r == 0)
		*ret = stat.state;
	return r;
}

static bool is_stuck(const struct session *session, pid_t tid)
{
	const pid_t *stuck = (const void *)session->stuck.data;

	for (size_t i = 0; i < session->stuck.size / sizeof *stuck; i++)
		if (stuck[i] == tid)
			return true;
	return false;
}

static void remember_stuck(struct session *session)
{
	const struct pss_tracee *tracee = &session->tracee;
	uint32_t count = pss_tracee_count(tracee);
	const struct pss_tracee_thread *last = count ? pss_tracee_thread(tracee, count - 1) : NULL;

	if (last && (last->state == PSS_TRACEE_UNSTOPPABLE || last->state == PSS_TRACEE_SEIZED))
		(void)pss_buf_append(&session->stuck, &last->tid, sizeof last->tid);
}

// The threads that are not held by us may be entered by others, and the foot of [stack] is one for
// all. The lock is on the folder's own file, so that whoever may trace the process meets it there.
static bool take_foot(struct session *session)
{
	session->has_foot = flock(session->target->mem_fd, LOCK_EX | LOCK_NB) == 0;
	return session->has_foot;
}

// Stops the thread and makes it ready for calls. -EAGAIN and -ESRCH: another may do.
static int enter(struct session *session, pid_t tid, bool at_foot)
{
	struct pss_tracee *tracee = &session->tracee;
	struct pss_tracee_thread *thread;

	tracee->pid = session->target->pid;
	tracee->proc_fd = session->target->proc_fd;
	tracee->arch = pss_arch_native();
	tracee->diag = &session->diag;
	session->inject.site = &session->site;
	session->inject.diag = &session->diag;
	session->inject.has_undo_room = session->errand->has_undo;
	int r = pss_tracee_stop_one(tracee, tid, &thread);
	if (r < 0) {
		remember_stuck(session);
		return r;
	}
	session->is_32bit |= tracee->arch->is_32bit(&thread->general);
	pss_target_reopen_memory(session->target);
	tracee->mem_fd = session->target->mem_fd;
	r = pss_inject_verify(&session->site, tracee->mem_fd, tracee->arch, &session->diag);
	if (r == 0 && at_foot && !take_foot(session))
		r = -EAGAIN;
	if (r == 0 && at_foot)
		pss_inject_find_foot(tracee, tid, &session->site);
	if (r == 0 && !pss_inject_is_fit(tracee, thread, &session->site, !at_foot))
		r = -EAGAIN;
	if (r == 0)
		r = pss_inject_begin(&session->inject, tracee, thread, at_foot);
	return r;
}

static int try_thread(struct session *session, pid_t tid, bool at_foot)
{
	session->diag = (struct pss_diag){ 0 };
	int r = enter(session, tid, at_foot);

	if (r == 0) {
		r = session->errand->work(&session->inject, session->errand->context);
		session->is_done = r != -EAGAIN;
		int error = pss_inject_end(&session->inject);
		r = r < 0 ? r : error;
	}
	let_go(session);
	return r;
}

static bool is_final(const struct session *session, int r)
{
	return r == 0 || session->is_done || (r != -EAGAIN && r != -ESRCH && r != -EFAULT);
}

static int try_threads(struct session *session, bool asleep)
{
	const int32_t *tids = (const void *)session->tids.data;
	int r = -EAGAIN;

	for (size_t i = 0; i < session->tids.size / sizeof *tids; i++) {
		char state = 0;

		if (is_stuck(session, tids[i]) || read_state(session, tids[i], &state) < 0 ||
		    state == 'Z' || state == 'X' || (state == 'R') == asleep)
			continue;
		r = try_thread(session, tids[i], true);
		if (is_final(session, r))
			return r;
	}
	return r == -ESRCH || r == -EFAULT ? -EAGAIN : r;
}

// The leader on its own stack first: of the foot of it there is one for all.
static int try_all(struct session *session)
{
	const struct pss_target *target = session->target;
	int r = pss_procfs_list(target->proc_fd, "task", &session->tids);

	if (r < 0)
		return pss_fail(&session->diag, r, "cannot list the threads of process %d",
				target->pid);
	r = is_stuck(session, target->pid) ? -ESRCH : try_thread(session, target->pid, false);
	if (!is_final(session, r))
		r = try_threads(session, true);
	if (!is_final(session, r))
		r = try_threads(session, false);
	return r;
}

// Anew for each round: the process may have called execve.
static int look(struct session *session)
{
	struct pss_target *target = session->target;
	int r = pss_target_check_traceable(target, &session->diag);

	// A thread that is seized while it is frozen does not stop, and does not get free either.
	if (r == 0)
		r = pss_target_check_enterable(target, &session->diag);
	if (r == 0)
		r = pss_target_open_memory(target, &session->diag);
	if (r == 0)
		r = pss_inject_survey(target->space_fd, target->mem_fd, pss_arch_native(),
				      &session->diag, &session->site);
	return r;
}

static int refuse(struct session *session)
{
	session->diag = (struct pss_diag){ 0 };
	if (session->is_32bit)
		return pss_fail(&session->diag, -EOPNOTSUPP,
				"process %d is a 32-bit program: it can't be entered",
				session->target->pid);
	return pss_fail(
		&session->diag, -EAGAIN,
		"no thread of process %d can make a call now: each is in a restartable "
		"sequence, has a shadow stack, dispatches its own calls, or does not stop; or "
		"[stack] has no place for the frames that lead it home",
		session->target->pid);
}

static int try_until_done(struct session *session)
{
	uint64_t deadline = pss_clock_ns(CLOCK_MONOTONIC) + PATIENCE_NS;
	unsigned tries = 0;
	int r;

	for (;;) {
		session->diag = (struct pss_diag){ 0 };
		r = look(session);
		if (r == 0)
			r = try_all(session);
		if (session->is_done)
			return r;
		// This helper can only look on from here: by what it holds it would meet itself.
		if (session->stuck.size) {
			session->patience_ns = STUCK_PATIENCE_NS;
			break;
		}
		// EPERM is said of a thread that another capturer holds, too, who may be gone by
		// the time that one looks who it was.
		if ((r == -EPERM || (r == -EAGAIN && !session->is_32bit)) && ++tries < TRIES) {
			pss_tracee_pause();
			continue;
		}
		// By a thread that we had, under the number that an execve has given it.
		if (r == -PSS_ETRACED && tries > 0)
			return -ESRCH;
		// Another capturer has it for a moment.
		if (r != -PSS_ETRACED || pss_clock_ns(CLOCK_MONOTONIC) > deadline ||
		    !pss_target_wait_for_tracer(session->target))
			break;
	}
	if (r == -EPERM || r == -EACCES)
		(void)pss_target_explain(session->target, PSS_DOCTOR_DENIED | PSS_DOCTOR_FILTERED,
					 &session->diag);
	return r == -EAGAIN ? refuse(session) : r;
}

// A dying process first loses its memory, and with it the link to its program: what failed by then
// has failed for that. In an execve, though, the thread that calls it has memory while the leader
// is a zombie.
static bool has_ended(struct session *session)
{
	const struct pss_target *target = session->target;

	if (pss_procfs_list(target->proc_fd, "task", &session->tids) < 0)
		return true;
	for (size_t i = 0; i < session->tids.size / sizeof(int32_t); i++) {
		char path[32], byte;

		(void)snprintf(path, sizeof path, "task/%d/exe",
			       ((const int32_t *)(const void *)session->tids.data)[i]);
		if (readlinkat(target->proc_fd, path, &byte, 1) >= 0 ||
		    (errno != ENOENT && errno != ESRCH))
			return false;
	}
	return true;
}

// A thread that is being killed still shows the tracer that it had, maybe a helper of ours.
static void let_end(const struct session *session)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, session->target->pid, 0);
	struct pollfd end = { .fd = fd, .events = POLLIN };

	(void)poll(&end, 1, END_PATIENCE_MS);
}

static int run(void *context)
{
	struct session *session = context;
	int r = try_until_done(session);

	if (r == 0)
		return 0;
	if (r == -PSS_ETRACED)
		let_end(session);
	if (has_ended(session)) {
		session->diag = (struct pss_diag){ 0 };
		return pss_fail(&session->diag, -ESRCH, "process %d has ended meanwhile",
				session->target->pid);
	}
	// It lives, but a thread or the program text of a moment ago is no more.
	// What was begun is not begun again: a gift may have arrived.
	if (!session->is_done && (r == -ESRCH || r == -ENOENT || r == -EFAULT)) {
		session->patience_ns = CHANGE_PATIENCE_NS;
		session->diag = (struct pss_diag){ 0 };
		return pss_fail(&session->diag, -EAGAIN,
				"process %d has begun to execute another program meanwhile, or "
				"its program has no instructions to make a call with",
				session->target->pid);
	}
	return r;
}

static int report(const struct session *session, int r, struct pss_diag *diag)
{
	if (r < 0 && diag && !diag->error)
		*diag = session->diag;
	return r;
}

#define SESSION(its_target, its_errand)                                                            \
	{                                                                                          \
		.target = (its_target), .errand = (its_errand), .tracee = PSS_TRACEE_EMPTY,        \
		.inject = PSS_INJECT_EMPTY,                                                        \
	}

int pss_errand_run(struct pss_target *target, const struct pss_errand *errand,
		   struct pss_diag *diag)
{
	_cleanup_(session_deinit) struct session session = SESSION(target, errand);

	return report(&session, run(&session), diag);
}

// The helper died in the middle of it. The thread came home by its frame; what is traced by nobody
// any more must not be touched by its number.
static void disown(struct session *session)
{
	session->inject.is_begun = false;
	pss_buf_clear(&session->tracee.threads);
}

static int run_helper(struct session *session, enum pss_helper_kind kind)
{
	int result = 0;
	int r = pss_helper_run(kind, run, session, &session->diag, &result);

	if (r < 0) {
		disown(session);
		return r;
	}
	return result;
}

// One helper for it, or two. *may_retry_ret: it could not be done, but later on may.
static int send_once(struct pss_target *target, const struct pss_errand *errand, uint64_t start_ns,
		     struct pss_diag *diag, bool *may_retry_ret)
{
	_cleanup_(session_deinit) struct session session = SESSION(target, errand);
	int r = run_helper(&session, PSS_HELPER_PROCESS);

	// Yama may let us trace our own children, but not another child of ours.
	if ((r == -EPERM || r == -EACCES) && !session.is_done && pss_target_wants_ancestor())
		r = run_helper(&session, PSS_HELPER_THREAD);
	*may_retry_ret =
		r == -EAGAIN && pss_clock_ns(CLOCK_MONOTONIC) < start_ns + session.patience_ns;
	return *may_retry_ret ? r : report(&session, r, diag);
}

int pss_errand_send(struct pss_target *target, const struct pss_errand *errand,
		    struct pss_diag *diag)
{
	const struct timespec breath = { .tv_nsec = BREATH_NS };
	uint64_t start_ns = pss_clock_ns(CLOCK_MONOTONIC);
	bool may_retry = false;
	int r;

	// The kernel has let go of what a helper held when the next one looks.
	while ((r = send_once(target, errand, start_ns, diag, &may_retry)) < 0 && may_retry)
		(void)nanosleep(&breath, NULL);
	return r;
}

bool pss_errand_shares_descriptors(const struct pss_target *target, pid_t tid)
{
	// 0: the same table. A kernel that can't compare says so; a leader that has exited has
	// none.
	return tid == target->pid || syscall(SYS_kcmp, target->pid, tid, KCMP_FILES, 0, 0) <= 0 ||
	       pss_target_has_lost_leader(target);
}
