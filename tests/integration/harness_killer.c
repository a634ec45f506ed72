// SPDX-License-Identifier: LGPL-2.1-or-later
// See harness_killer.h. Every system call of the victim and of its helpers stops twice. Counted are
// the stops of those that change something in the target.
#include "harness_killer.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_TRACED = 8 };

// A victim under our own ptrace, with all it starts.
struct capturer {
	pid_t traced[MAX_TRACED]; // 0 is the capturer, then its helpers
	int count;
	bool in_change[MAX_TRACED]; // its stop at the entry was counted
	int stops;
};

static void run_victim(killer_victim *victim, struct target *target, int start_fd)
{
	char byte;

	alarm(60);
	if (read(start_fd, &byte, 1) != 1)
		_exit(3);
	_exit(victim(target));
}

static void start_capturer(struct capturer *capturer, struct target *target, killer_victim *victim)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = harness_fork();
	if (pid == 0)
		run_victim(victim, target, ends[0]);
	assert_int_equal(ptrace(PTRACE_SEIZE, pid, 0, options), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, 0, 0), 0);
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	assert_int_equal(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	close(ends[0]);
	close(ends[1]);
	*capturer = (struct capturer){ .traced = { pid }, .count = 1 };
}

static int find_traced(struct capturer *capturer, pid_t pid)
{
	for (int i = 0; i < capturer->count; i++)
		if (capturer->traced[i] == pid)
			return i;
	return -1;
}

// Known before it stops for the first time, so that it is killed with the others.
static int add_traced(struct capturer *capturer, pid_t pid)
{
	int index = find_traced(capturer, pid);

	if (index >= 0)
		return index;
	assert_true(capturer->count < MAX_TRACED);
	capturer->traced[capturer->count] = pid;
	return capturer->count++;
}

static void add_helper(struct capturer *capturer, pid_t parent)
{
	unsigned long pid = 0;

	if (ptrace(PTRACE_GETEVENTMSG, parent, 0, &pid) == 0 && pid)
		add_traced(capturer, (pid_t)pid);
}

// Next stop or end of one of them; its index. New helpers are taken up as they stop first.
static int wait_for_any(struct capturer *capturer, const struct target *target, int *status)
{
	uint64_t since = harness_now_ns();

	for (;;) {
		// Never -1 alone: the target is a child of ours too.
		siginfo_t info = { 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WNOWAIT | WNOHANG | __WALL) < 0 ||
		    info.si_pid == 0) {
			if (harness_is_past(since, HARNESS_PATIENCE_MS))
				harness_fail("the capturer hangs at stop %d", capturer->stops);
			sched_yield();
			continue;
		}
		if (info.si_pid == target->pid)
			harness_fail("the target died at stop %d", capturer->stops);
		assert_int_equal(waitpid(info.si_pid, status, __WALL), info.si_pid);
		return add_traced(capturer, info.si_pid);
	}
}

// Asking, waiting and reading change nothing: killed there, the victim leaves what was before.
static bool is_change(pid_t pid, bool *is_entry_ret)
{
	struct __ptrace_syscall_info info = { 0 };

	if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0)
		return false;
	*is_entry_ret = info.op == PTRACE_SYSCALL_INFO_ENTRY;
	if (!*is_entry_ret)
		return false;
	if (info.entry.nr != SYS_ptrace)
		return info.entry.nr == SYS_pwrite64 || info.entry.nr == SYS_sendmsg ||
		       info.entry.nr == SYS_pidfd_getfd || info.entry.nr == SYS_flock;
	return info.entry.args[0] != PTRACE_GETREGSET && info.entry.args[0] != PTRACE_GETSIGMASK &&
	       info.entry.args[0] != PTRACE_GETEVENTMSG;
}

static bool is_counted(struct capturer *capturer, int index)
{
	bool is_entry = false;
	bool counts = is_change(capturer->traced[index], &is_entry);

	if (!is_entry)
		counts = capturer->in_change[index];
	capturer->in_change[index] = is_entry && counts;
	return counts;
}

static long signal_to_deliver(int status)
{
	int number = WSTOPSIG(status);

	// System call stops, and events of ptrace itself, deliver nothing.
	return status >> 16 || number == (SIGTRAP | 0x80) || number == SIGTRAP ? 0 : number;
}

// Runs until stop @kill_at, or to the end (0); its exit status, or -1 if it was stopped for the
// kill.
static int run_capturer(struct capturer *capturer, const struct target *target, int kill_at)
{
	for (;;) {
		int status;
		int index = wait_for_any(capturer, target, &status);

		if (!WIFSTOPPED(status)) {
			capturer->traced[index] = 0;
			if (index == 0)
				return status;
			continue;
		}
		if (status >> 16 == PTRACE_EVENT_CLONE || status >> 16 == PTRACE_EVENT_FORK ||
		    status >> 16 == PTRACE_EVENT_VFORK)
			add_helper(capturer, capturer->traced[index]);
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) && is_counted(capturer, index) &&
		    ++capturer->stops == kill_at)
			return -1;
		ptrace(PTRACE_SYSCALL, capturer->traced[index], 0, signal_to_deliver(status));
	}
}

static void kill_and_reap(struct capturer *capturer)
{
	for (int i = 0; i < capturer->count; i++)
		if (capturer->traced[i])
			kill(capturer->traced[i], SIGKILL);
	for (int i = 0; i < capturer->count; i++) {
		int status;

		// Stops that were on the way come first.
		while (capturer->traced[i] &&
		       waitpid(capturer->traced[i], &status, __WALL) == capturer->traced[i] &&
		       WIFSTOPPED(status))
			;
	}
}

static bool all_children_are_zombies(pid_t pid)
{
	pid_t children[16];
	size_t count = patient_children(pid, children, 16);

	for (size_t i = 0; i < count && i < 16; i++) {
		char path[64], *stat, *end;
		bool is_zombie;

		snprintf(path, sizeof(path), "/proc/%d/stat", children[i]);
		stat = harness_read_file(path);
		end = stat ? strrchr(stat, ')') : NULL;
		is_zombie = !end || end[2] == 'Z';
		free(stat);
		if (!is_zombie)
			return false;
	}
	return true;
}

// What is known of the children that should not be there.
static void print_children(pid_t pid)
{
	static const char *const files[] = { "stat", "syscall" };
	pid_t children[16];
	size_t count = patient_children(pid, children, 16);

	for (size_t i = 0; i < count && i < 16; i++)
		for (size_t f = 0; f < 2; f++) {
			char path[64], *text;

			snprintf(path, sizeof(path), "/proc/%d/%s", children[i], files[f]);
			text = harness_read_file(path);
			print_error("%s: %s", path, text ? text : "gone\n");
			free(text);
		}
}

// Whether a thread has all signals blocked, as one has that makes our calls: it is on its way home,
// and may be about to make the clone yet.
static bool is_a_thread_away(pid_t pid)
{
	static const uint64_t never_blocked = 1 << (SIGKILL - 1) | 1 << (SIGSTOP - 1);
	pid_t tids[64];
	size_t count = patient_threads(pid, tids, 64);

	for (size_t i = 0; i < count && i < 64; i++) {
		char path[64], *text, *mask;
		bool is_away;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tids[i]);
		text = harness_read_file(path);
		mask = text ? strstr(text, "SigBlk:") : NULL;
		is_away = mask && !~(strtoull(mask + 7, NULL, 16) | never_blocked);
		free(text);
		if (is_away)
			return true;
	}
	return false;
}

static void assert_target_goes_on(struct target *target, bool computes, int stop)
{
	uint64_t since = harness_now_ns();

	while (patient_is_traced(target->pid) || is_a_thread_away(target->pid) ||
	       !all_children_are_zombies(target->pid)) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS)) {
			print_children(target->pid);
			harness_fail("killed at stop %d: %s", stop,
				     patient_is_traced(target->pid)  ? "a tracer is left"
				     : is_a_thread_away(target->pid) ? "a thread is away"
								     : "a clone is left");
		}
		harness_breathe();
	}
	if (computes)
		target_wait_for_beat(target);
	if (target_counters(target).wrong)
		harness_fail("killed at stop %d: a register of the target changed", stop);
}

int killer_count_stops(struct target *target, killer_victim *victim)
{
	struct capturer capturer;
	int status;

	start_capturer(&capturer, target, victim);
	status = run_capturer(&capturer, target, 0);
	if (status != 0)
		harness_fail("the traced capturer ends with %#x", status);
	return capturer.stops;
}

void killer_kill_at(struct target *target, killer_victim *victim, int stop)
{
	bool computes = target_counters(target).beats > 0;
	struct capturer capturer;

	start_capturer(&capturer, target, victim);
	run_capturer(&capturer, target, stop);
	kill_and_reap(&capturer);
	assert_target_goes_on(target, computes, stop);
}

void killer_walk(struct target *target, killer_victim *victim, int points)
{
	int stops = killer_count_stops(target, victim);
	const char *all = getenv("PROCSNAP_KILL_ALL");

	if (all && *all)
		points = stops;
	for (int i = 0; i < points; i++) {
		size_t before = patient_children(target->pid, NULL, 0);

		killer_kill_at(target, victim, 1 + (int)((int64_t)stops * i / points));
		// One more zombie at most, for the next capture to take away if it lives to.
		if (patient_children(target->pid, NULL, 0) > before + 1) {
			print_children(target->pid);
			harness_fail("killed at stop %d: two more zombies",
				     1 + (int)((int64_t)stops * i / points));
		}
	}
	print_message("killed at %d of %d stops\n", points, stops);
}
