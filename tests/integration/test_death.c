// SPDX-License-Identifier: LGPL-2.1-or-later
// Sudden death: the target is killed while it is captured, and the capturer or its helper is killed
// at one system call after another. A surviving target goes on as if nothing had been; a clone goes
// away.
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

enum { TARGET_DEATHS = 60, KILL_POINTS = 90, MAX_TRACED = 8 };

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;

// What the killer waits for before it kills the target.
enum moment { AT_ONCE, WHEN_TRACED, WHEN_CLONED, MOMENT_COUNT };

struct killer {
	const struct target *target;
	enum moment moment;
	_Atomic int is_ready;
	_Atomic int is_over;
};

static bool has_come(const struct killer *killer)
{
	if (killer->moment == WHEN_TRACED)
		return patient_is_traced(killer->target->pid);
	if (killer->moment == WHEN_CLONED)
		return patient_children(killer->target->pid, NULL, 0) > 0;
	return true;
}

static void *kill_target(void *arg)
{
	struct killer *killer = arg;

	killer->is_ready = 1;
	while (!has_come(killer) && !killer->is_over)
		;
	kill(killer->target->pid, SIGKILL);
	return NULL;
}

static void capture_dying(enum moment moment)
{
	_cleanup_target_ struct target *target = target_start("plain", "20", "32", NULL);
	struct killer killer = { .target = target, .moment = moment };
	pthread_t thread;
	HPSS snapshot = NULL;
	pid_t clone = 0;
	DWORD code;

	assert_int_equal(pthread_create(&thread, NULL, kill_target, &killer), 0);
	while (!killer.is_ready)
		sched_yield();
	code = PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)FULL, CONTEXT_ALL,
				  &snapshot);
	killer.is_over = 1;
	pthread_join(thread, NULL);
	if (code != ERROR_SUCCESS) {
		assert_null(snapshot);
		if (!PssxErrorText()[0])
			harness_fail("code %u without a word", code);
		return;
	}
	clone = (pid_t)GetProcessId(harness_clone(snapshot));
	harness_free_snapshot(snapshot);
	if (clone > 0)
		harness_wait_gone(clone);
}

static void a_target_killed_during_its_capture(void **state)
{
	struct host *host;

	(void)state;
	capture_dying(AT_ONCE);
	host = host_record();
	for (int i = 0; i < TARGET_DEATHS; i++)
		capture_dying(i % MOMENT_COUNT);
	host_assert_same(host);
	host_free(host);
}

// A capturer under our own ptrace, with all it starts.
struct capturer {
	pid_t traced[MAX_TRACED]; // 0 is the capturer, then its helpers
	int count;
	int syscalls; // stops at the entry or the exit of one
};

static void capture_in_child(const struct target *target, int start_fd)
{
	HPSS snapshot = NULL;
	char byte;

	alarm(60);
	if (read(start_fd, &byte, 1) != 1)
		_exit(3);
	if (PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)FULL, CONTEXT_ALL,
			       &snapshot) != ERROR_SUCCESS)
		_exit(1);
	_exit(PssFreeSnapshot(GetCurrentProcess(), snapshot) == ERROR_SUCCESS ? 0 : 2);
}

static void start_capturer(struct capturer *capturer, const struct target *target)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK | PTRACE_O_EXITKILL;
	int ends[2], status;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = harness_fork();
	if (pid == 0)
		capture_in_child(target, ends[0]);
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
				harness_fail("the capturer hangs at stop %d", capturer->syscalls);
			sched_yield();
			continue;
		}
		if (info.si_pid == target->pid)
			harness_fail("the target died at stop %d", capturer->syscalls);
		assert_int_equal(waitpid(info.si_pid, status, __WALL), info.si_pid);
		return add_traced(capturer, info.si_pid);
	}
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
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) && ++capturer->syscalls == kill_at)
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

static void assert_target_goes_on(struct target *target, const char *who, int stop)
{
	uint64_t since = harness_now_ns();

	while (patient_is_traced(target->pid) || !all_children_are_zombies(target->pid)) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS)) {
			print_children(target->pid);
			harness_fail("%s killed at stop %d: %s", who, stop,
				     patient_is_traced(target->pid) ? "a tracer is left"
								    : "a clone is left");
		}
		harness_breathe();
	}
	target_wait_for_beat(target);
	if (target_counters(target).wrong)
		harness_fail("%s killed at stop %d: a register of the target changed", who, stop);
}

static int count_stops(struct target *target)
{
	struct capturer capturer;
	int status;

	start_capturer(&capturer, target);
	status = run_capturer(&capturer, target, 0);
	if (status != 0)
		harness_fail("the traced capturer ends with %#x", status);
	return capturer.syscalls;
}

static void kill_capturer_at(struct target *target, int stop)
{
	struct capturer capturer;

	size_t before = patient_children(target->pid, NULL, 0);

	start_capturer(&capturer, target);
	run_capturer(&capturer, target, stop);
	kill_and_reap(&capturer);
	assert_target_goes_on(target, "capturer", stop);
	// One zombie entry at most, for the next capture to take away if it lives to.
	assert_in_range(patient_children(target->pid, NULL, 0), 0, before + 1);
}

static void a_capturer_killed_at_any_step(void **state)
{
	_cleanup_target_ struct target *target = target_start("vector", "2", NULL);
	struct patient *patient;
	int stops;

	(void)state;
	if (!target)
		skip();
	patient = patient_record(target->pid);
	stops = count_stops(target);
	print_message("a capture makes %d system call stops\n", stops);
	for (int i = 0; i < KILL_POINTS; i++)
		kill_capturer_at(target, 1 + (int)((int64_t)stops * i / KILL_POINTS));
	harness_free_snapshot(harness_capture(target, FULL));
	patient_assert_same(patient);
	patient_free(patient);
	assert_int_equal(target_counters(target).wrong, 0);
	target_ask(target, "children");
	assert_int_equal(target_answer(target, "all_none"), 1);
}

static void blocked_registers_survive_the_capturers_death(void **state)
{
	_cleanup_target_ struct target *target = target_start("regs", NULL);
	int stops;

	(void)state;
	if (!target)
		skip();
	stops = count_stops(target);
	for (int i = 0; i < KILL_POINTS / 2; i++) {
		struct capturer capturer;

		start_capturer(&capturer, target);
		run_capturer(&capturer, target,
			     1 + (int)((int64_t)stops * (2 * i + 1) / KILL_POINTS));
		kill_and_reap(&capturer);
		target_ask(target, "check");
		if (target_answer(target, "wrong"))
			harness_fail("stop %d: registers changed", capturer.syscalls);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_killed_during_its_capture),
		cmocka_unit_test(a_capturer_killed_at_any_step),
		cmocka_unit_test(blocked_registers_survive_the_capturers_death),
	};

	harness_begin("test_death", 115);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
