// SPDX-License-Identifier: LGPL-2.1-or-later
// How snapshots and clones end: in whatever order handles are closed, clones killed and snapshots
// freed, and when their owner is killed, nothing is left, in the target least of all.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static const uint32_t FLAGS =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT;

struct fixture {
	struct target *target;
	HPSS snapshot;
	HANDLE clone;
	pid_t clone_pid;
	size_t fds;
};

static struct fixture begin(void)
{
	struct fixture fixture = { .target = target_start("plain", NULL) };

	// What the library keeps for good it keeps after the first.
	harness_free_snapshot(harness_capture(fixture.target, FLAGS));
	fixture.fds = harness_count_fds(getpid());
	fixture.snapshot = harness_capture(fixture.target, FLAGS);
	fixture.clone = harness_clone(fixture.snapshot);
	fixture.clone_pid = (pid_t)GetProcessId(fixture.clone);
	assert_true(fixture.clone_pid > 0);
	return fixture;
}

static void end(struct fixture *fixture)
{
	harness_wait_gone(fixture->clone_pid);
	assert_int_equal(harness_count_fds(getpid()), fixture->fds);
	target_wait_for_beat(fixture->target);
	target_assert_unharmed(fixture->target);
	target_stop(fixture->target);
}

static uint64_t read_pattern(HANDLE clone, const struct target *target)
{
	uint64_t address = target_value(target, "pattern"), word = 0;
	SIZE_T got = 0;

	if (!ReadProcessMemory(clone, (void *)(uintptr_t)address, &word, sizeof(word), &got))
		return 0;
	return word;
}

static void kill_close_free(void **state)
{
	struct fixture fixture = begin();

	(void)state;
	assert_true(TerminateProcess(fixture.clone, 0));
	assert_true(CloseHandle(fixture.clone));
	harness_free_snapshot(fixture.snapshot);
	end(&fixture);
}

static void kill_free(void **state)
{
	struct fixture fixture = begin();
	uint64_t since = harness_now_ns();

	(void)state;
	assert_true(TerminateProcess(fixture.clone, 0));
	// It dies as any process does, a moment later.
	while (read_pattern(fixture.clone, fixture.target) != 0)
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("a killed clone is still readable");
	harness_free_snapshot(fixture.snapshot);
	end(&fixture);
}

static void close_free(void **state)
{
	struct fixture fixture = begin();

	(void)state;
	assert_true(CloseHandle(fixture.clone));
	harness_free_snapshot(fixture.snapshot);
	end(&fixture);
}

static void free_close_kill(void **state)
{
	struct fixture fixture = begin();

	(void)state;
	harness_free_snapshot(fixture.snapshot);
	// The number belongs to nobody now: closing it may fail and must harm nothing.
	(void)CloseHandle(fixture.clone);
	end(&fixture);
}

static void kill_by_pid_free(void **state)
{
	struct fixture fixture = begin();

	(void)state;
	assert_int_equal(kill(fixture.clone_pid, SIGKILL), 0);
	harness_free_snapshot(fixture.snapshot);
	end(&fixture);
}

// The borrowed number was closed and is something else now: the free must not close that.
static void close_reuse_free(void **state)
{
	struct fixture fixture = begin();
	int borrowed = (int)(intptr_t)fixture.clone;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_true(CloseHandle(fixture.clone));
	assert_int_equal(dup2(ends[0], borrowed), borrowed);
	harness_free_snapshot(fixture.snapshot);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(close(borrowed), 0);
	close(ends[0]);
	close(ends[1]);
	end(&fixture);
}

static void a_duplicated_handle_keeps_the_clone(void **state)
{
	struct fixture fixture = begin();
	HANDLE copy = NULL;
	DWORD code = 0;

	(void)state;
	assert_true(DuplicateHandle(GetCurrentProcess(), fixture.clone, GetCurrentProcess(), &copy,
				    0, FALSE, DUPLICATE_SAME_ACCESS));
	harness_free_snapshot(fixture.snapshot);
	assert_int_equal(read_pattern(copy, fixture.target), 0x9e3779b97f4a7c15u);
	assert_int_equal(GetProcessId(copy), fixture.clone_pid);
	assert_true(GetExitCodeProcess(copy, &code));
	assert_int_equal(code, STILL_ACTIVE);
	assert_true(CloseHandle(copy));
	end(&fixture);
}

static void a_duplicated_snapshot_is_independent(void **state)
{
	struct fixture fixture = begin();
	HPSS copy = NULL;

	(void)state;
	assert_success(PssDuplicateSnapshot(GetCurrentProcess(), fixture.snapshot,
					    GetCurrentProcess(), &copy, PSS_DUPLICATE_NONE));
	assert_ptr_not_equal(copy, fixture.snapshot);
	harness_free_snapshot(fixture.snapshot);
	assert_int_equal(read_pattern(harness_clone(copy), fixture.target), 0x9e3779b97f4a7c15u);
	assert_true(harness_find_thread(copy, fixture.target->pid, NULL, NULL));
	harness_free_snapshot(copy);
	end(&fixture);
}

static void many_snapshots_of_one_target(void **state)
{
	enum { COUNT = 8 };
	struct target *target = target_start("plain", NULL);
	HPSS snapshots[COUNT];
	pid_t clones[COUNT];

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		snapshots[i] = harness_capture(target, FLAGS);
		clones[i] = (pid_t)GetProcessId(harness_clone(snapshots[i]));
	}
	assert_int_equal(patient_children(target->pid, NULL, 0), COUNT);
	// From the middle outwards.
	for (int i = 0; i < COUNT; i++) {
		int at = (i * 3 + 4) % COUNT;

		harness_free_snapshot(snapshots[at]);
		harness_wait_gone(clones[at]);
	}
	target_assert_unharmed(target);
	target_stop(target);
}

// Captures in a child, says the clone's pid through the pipe, and waits there to be killed.
static void capture_and_wait(const struct target *target, int pipe_fd)
{
	HPSS snapshot = NULL;
	PSS_VA_CLONE_INFORMATION information;
	DWORD clone;

	if (PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)FLAGS, CONTEXT_ALL,
			       &snapshot) ||
	    PssQuerySnapshot(snapshot, PSS_QUERY_VA_CLONE_INFORMATION, &information,
			     sizeof(information)))
		_exit(1);
	clone = GetProcessId(information.VaCloneHandle);
	if (write(pipe_fd, &clone, sizeof(clone)) != sizeof(clone))
		_exit(1);
	for (;;)
		pause();
}

// One of the letters in @states, or gone.
static void wait_for_state(pid_t pid, const char *states)
{
	uint64_t since = harness_now_ns();

	for (;;) {
		char path[64], *stat, *end;
		bool gone;

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		stat = harness_read_file(path);
		end = stat ? strrchr(stat, ')') : NULL;
		gone = !end || strchr(states, end[2]);
		free(stat);
		if (gone)
			return;
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("clone %d does not come to a state of %s", pid, states);
		harness_breathe();
	}
}

// At most a zombie is left, which the next capture of that target takes away.
static void a_killed_owner_takes_the_clone_along(void **state)
{
	struct target *target = target_start("plain", NULL);
	struct patient *patient = patient_record(target->pid);
	int ends[2];
	DWORD clone;
	pid_t owner;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	owner = harness_fork();
	if (owner == 0)
		capture_and_wait(target, ends[1]);
	close(ends[1]);
	assert_int_equal(read(ends[0], &clone, sizeof(clone)), sizeof(clone));
	close(ends[0]);
	assert_int_equal(kill((pid_t)clone, 0), 0);
	kill(owner, SIGKILL);
	assert_int_equal(waitpid(owner, NULL, 0), owner);
	wait_for_state((pid_t)clone, "Z"); // with its owner
	harness_free_snapshot(harness_capture(target, FLAGS));
	harness_wait_gone((pid_t)clone);
	patient_assert_same(patient);
	patient_free(patient);
	target_assert_unharmed(target);
	target_stop(target);
}

// It can't end before it may run, and is not waited for. Then it ends by itself.
static void a_stopped_clone_is_left_to_the_next_capture(void **state)
{
	struct fixture fixture = begin();
	uint64_t since;

	(void)state;
	// By a debugger: of a signal the kernel would tell the target.
	assert_int_equal(ptrace(PTRACE_SEIZE, fixture.clone_pid, 0, 0), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, fixture.clone_pid, 0, 0), 0);
	assert_int_equal(waitpid(fixture.clone_pid, NULL, __WALL), fixture.clone_pid);
	since = harness_now_ns();
	harness_free_snapshot(fixture.snapshot);
	assert_false(harness_is_past(since, 1500));
	assert_int_equal(ptrace(PTRACE_DETACH, fixture.clone_pid, 0, 0), 0);
	wait_for_state(fixture.clone_pid, "Z");
	harness_free_snapshot(harness_capture(fixture.target, FLAGS));
	end(&fixture);
}

static void a_free_by_the_captured_process_handle_fails(void **state)
{
	struct fixture fixture = begin();

	(void)state;
	assert_int_not_equal(PssFreeSnapshot(target_handle(fixture.target), fixture.snapshot),
			     ERROR_SUCCESS);
	assert_int_equal(read_pattern(fixture.clone, fixture.target), 0x9e3779b97f4a7c15u);
	harness_free_snapshot(fixture.snapshot);
	end(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kill_close_free),
		cmocka_unit_test(kill_free),
		cmocka_unit_test(close_free),
		cmocka_unit_test(free_close_kill),
		cmocka_unit_test(kill_by_pid_free),
		cmocka_unit_test(close_reuse_free),
		cmocka_unit_test(a_duplicated_handle_keeps_the_clone),
		cmocka_unit_test(a_duplicated_snapshot_is_independent),
		cmocka_unit_test(many_snapshots_of_one_target),
		cmocka_unit_test(a_killed_owner_takes_the_clone_along),
		cmocka_unit_test(a_stopped_clone_is_left_to_the_next_capture),
		cmocka_unit_test(a_free_by_the_captured_process_handle_fails),
	};

	harness_begin("test_lifetime");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
