// SPDX-License-Identifier: LGPL-2.1-or-later
// Targets in odd states: stopped by a signal, without a leader, waiting in vfork, traced by
// another, not dumpable, threads born all the time, next to no stack, restartable sequences.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;

static void wait_for(pid_t pid, int options, int *status)
{
	uint64_t since = harness_now_ns();

	while (waitpid(pid, status, options | WNOHANG) == 0) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("process %d does not change its state", pid);
		harness_breathe();
	}
}

static void a_stopped_target_stays_stopped(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "5", NULL);
	PSS_PROCESS_INFORMATION information;
	struct patient *patient;
	HPSS snapshot;
	int status;

	(void)state;
	kill(target->pid, SIGSTOP);
	wait_for(target->pid, WUNTRACED, &status);
	assert_true(WIFSTOPPED(status));
	patient = patient_record(target->pid);
	for (int i = 0; i < 5; i++) {
		PSSX_THREAD thread;

		snapshot = harness_capture(target, FULL);
		assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION,
						&information, sizeof(information)));
		assert_true(information.Flags & PSS_PROCESS_FLAGS_FROZEN);
		assert_true(harness_find_thread(snapshot, target->pid, &thread, NULL));
		assert_true(thread.Flags & PSSX_THREAD_GROUP_STOPPED);
		harness_free_snapshot(snapshot);
		// All threads are in state T still, and the parent was told nothing new.
		patient_assert_same(patient);
		assert_int_equal(waitpid(target->pid, &status, WUNTRACED | WNOHANG), 0);
	}
	patient_free(patient);
	kill(target->pid, SIGCONT);
	wait_for(target->pid, WCONTINUED, &status);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

static void a_target_whose_leader_is_gone(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_gone", NULL);
	struct patient *patient = patient_record(target->pid);
	PSSX_THREAD thread;
	HPSS snapshot;

	(void)state;
	for (int i = 0; i < 5; i++) {
		snapshot = harness_capture(target, FULL);
		assert_int_equal(
			harness_read_clone_word(snapshot, target_value(target, "pattern") + 8),
			0x9e3779b97f4a7c15u * 2);
		assert_true(harness_find_thread(snapshot, target->pid, &thread, NULL));
		assert_true(thread.Flags & PSSX_THREAD_TERMINATED);
		assert_true(harness_find_thread(snapshot, (pid_t)target_value(target, "server_tid"),
						&thread, NULL));
		assert_true(thread.Flags & PSSX_THREAD_HAS_REGISTERS);
		harness_free_snapshot(snapshot);
	}
	patient_assert_same(patient);
	patient_free(patient);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

// Without the leader's stack the frames stand at the foot of it: no region is made of that.
static void regions_are_the_targets_own(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_gone", NULL);
	char path[64], line[128];
	PSSX_REGION region = { .Size = sizeof(region) };
	DWORD index = 0;

	(void)state;
	HPSS snapshot = harness_capture(target, FULL | PSS_CAPTURE_VA_SPACE);
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/maps", target->pid,
		       (pid_t)target_value(target, "server_tid"));
	char *maps = harness_read_file(path);
	for (char *at = maps; at && *at; at = strchr(at, '\n') + 1) {
		assert_success(PssxQueryRegion(snapshot, index++, &region));
		int length =
			snprintf(line, sizeof(line), "%08llx-%08llx ",
				 (unsigned long long)region.Start, (unsigned long long)region.End);
		if (strncmp(at, line, (size_t)length) != 0)
			harness_fail("region %u is %s, not %.40s", index - 1, line, at);
		region.Size = sizeof(region);
	}
	assert_int_equal(PssxQueryRegion(snapshot, index, &region), ERROR_NO_MORE_ITEMS);
	free(maps);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

// Either the rest is captured and the thread is marked, or the time-out is reported; the target
// goes on in both cases.
static void a_thread_in_vfork_does_not_hang_the_capture(void **state)
{
	_cleanup_target_ struct target *target = target_start("vfork", NULL);
	struct patient *patient = patient_record(target->pid);
	uint64_t since = harness_now_ns();
	HPSS snapshot = NULL;
	DWORD code = PssCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &snapshot);

	(void)state;
	assert_false(harness_is_past(since, HARNESS_PATIENCE_MS));
	if (code == ERROR_SUCCESS) {
		unsigned unstoppable = 0;
		PSSX_THREAD thread = { .Size = sizeof(thread) };

		for (DWORD i = 0; PssxQueryThread(snapshot, i, &thread) == ERROR_SUCCESS; i++)
			unstoppable += (thread.Flags & PSSX_THREAD_UNSTOPPABLE) != 0;
		assert_int_equal(unstoppable, 1);
		harness_free_snapshot(snapshot);
	} else {
		assert_int_equal(code, ERROR_TIMEOUT);
		assert_null(snapshot);
	}
	assert_false(patient_is_traced(target->pid));
	patient_assert_same(patient);
	patient_free(patient);
	target_ask(target, "release");
	assert_int_equal(target_counters(target).eintr, 0);
}

static void a_traced_target_is_refused_by_name(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = (HPSS)1;
	DWORD code;
	char pid[16];

	(void)state;
	assert_int_equal(ptrace(PTRACE_SEIZE, target->pid, 0, 0), 0);
	code = PssCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &snapshot);
	assert_true(code == ERROR_ACCESS_DENIED || code == ERROR_BUSY);
	assert_ptr_equal(snapshot, (HPSS)1);
	// We are the tracer: its number and its name are ours.
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (!strstr(PssxErrorText(), pid) || !strstr(PssxErrorText(), "test_states"))
		harness_fail("does not name the tracer: %s", PssxErrorText());
	// Reading /proc is no reason to refuse.
	harness_free_snapshot(harness_capture(target, PSS_CAPTURE_THREADS));
	assert_int_equal(ptrace(PTRACE_INTERRUPT, target->pid, 0, 0), 0);
	assert_int_equal(waitpid(target->pid, NULL, __WALL), target->pid);
	assert_int_equal(ptrace(PTRACE_DETACH, target->pid, 0, 0), 0);
	harness_free_snapshot(harness_capture(target, FULL));
	target_wait_for_beat(target);
}

static void an_undumpable_target_is_captured_by_root(void **state)
{
	// As another user: /proc shows that a process is not dumpable by giving its files to root.
	const struct target_options as_nobody = { .uid = 65534 };
	_cleanup_target_ struct target *target = NULL;
	PSS_PROCESS_INFORMATION information;
	HPSS snapshot;

	(void)state;
	if (geteuid() != 0)
		skip();
	target = target_start_with(&as_nobody, "undumpable", NULL);
	snapshot = harness_capture(target, FULL);
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &information,
					sizeof(information)));
	assert_true(information.Flags & PSS_PROCESS_FLAGS_PROTECTED);
	assert_int_equal(harness_read_clone_word(snapshot, target_value(target, "secret") + 24), 4);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

// Whoever is there before and after was there all the time.
static void threads_that_live_on_are_never_missed(void **state)
{
	_cleanup_target_ struct target *target = target_start("births", "4", "20", NULL);
	static pid_t before[4096];

	(void)state;
	for (int i = 0; i < 100; i++) {
		size_t count = patient_threads(target->pid, before, 4096);
		HPSS snapshot = harness_capture(target, FULL);

		for (size_t t = 0; t < count; t++) {
			char path[64];

			snprintf(path, sizeof(path), "/proc/%d/task/%d", target->pid, before[t]);
			if (access(path, F_OK) < 0)
				continue;
			if (!harness_find_thread(snapshot, before[t], NULL, NULL))
				harness_fail("capture %d misses thread %d", i, before[t]);
		}
		harness_free_snapshot(snapshot);
		target_wait_for_beat(target);
	}
	target_assert_unharmed(target);
}

static void data_below_small_stacks_is_not_touched(void **state)
{
	_cleanup_target_ struct target *target = target_start("small_stack", "4", NULL);
	uint64_t chunk = target_value(target, "chunk");

	(void)state;
	for (int i = 0; i < 20; i++) {
		HPSS snapshot = NULL;
		DWORD code =
			PssCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &snapshot);

		// No room anywhere is a reason to refuse, never to take room in use.
		if (code == ERROR_SUCCESS) {
			for (uint64_t word = 0; word < 2048; word += 97)
				assert_int_equal(
					harness_read_clone_word(snapshot, chunk + word * 8),
					0xda7a00000000u | word);
			harness_free_snapshot(snapshot);
		}
		target_ask(target, "check");
		assert_int_equal(target_answer(target, "wrong"), 0);
	}
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

static void restartable_sequences_are_not_resumed_unprotected(void **state)
{
	_cleanup_target_ struct target *target = target_start("rseq_spin", "4", NULL);

	(void)state;
	if (!target)
		skip();
	for (int i = 0; i < 200; i++)
		harness_free_snapshot(harness_capture(target, FULL));
	target_wait_for_beat(target);
	target_ask(target, "check");
	assert_int_equal(target_answer(target, "by_cpu"), target_answer(target, "by_thread"));
	target_assert_unharmed(target);
}

// Ends as an error that says why, before anything is stopped; the target must not wait for it.
static void a_process_that_watches_its_forks_is_refused(void **state)
{
	_cleanup_target_ struct target *target = target_start("uffd_fork", NULL);
	HPSS snapshot = NULL;

	(void)state;
	if (!target)
		skip();
	assert_int_equal(PssCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &snapshot),
			 ERROR_NOT_SUPPORTED);
	assert_non_null(strstr(PssxErrorText(), "userfaultfd"));
	target_assert_unharmed(target);
}

static void calls_are_not_made_where_they_are_dispatched(void **state)
{
	_cleanup_target_ struct target *target = target_start("dispatch", NULL);

	(void)state;
	if (!target)
		skip();
	for (int i = 0; i < 20; i++)
		harness_free_snapshot(harness_capture(target, FULL));
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

static void a_filter_of_the_thread_that_makes_the_call_counts(void **state)
{
	_cleanup_target_ struct target *target = target_start("worker_filter", NULL);

	(void)state;
	for (int i = 0; i < 5; i++)
		harness_free_snapshot(harness_capture(target, FULL));
	target_assert_unharmed(target);
}

struct stopper {
	const struct target *target;
	_Atomic int is_over;
};

// Stops the target as soon as it is traced, and has it go on as soon as it is cloned.
static void *stop_and_go_on(void *arg)
{
	struct stopper *stopper = arg;
	pid_t pid = stopper->target->pid;

	while (!patient_is_traced(pid) && !stopper->is_over)
		;
	kill(pid, SIGSTOP);
	while (!patient_children(pid, NULL, 0) && !stopper->is_over)
		;
	kill(pid, SIGCONT);
	return NULL;
}

static void a_stop_that_is_over_stays_over(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "4", "64", NULL);

	(void)state;
	for (int i = 0; i < 20; i++) {
		struct stopper stopper = { .target = target };
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, stop_and_go_on, &stopper), 0);
		harness_free_snapshot(harness_capture(target, FULL));
		stopper.is_over = 1;
		pthread_join(thread, NULL);
		target_wait_for_beat(target);
	}
	target_assert_unharmed(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stopped_target_stays_stopped),
		cmocka_unit_test(a_target_whose_leader_is_gone),
		cmocka_unit_test(regions_are_the_targets_own),
		cmocka_unit_test(a_thread_in_vfork_does_not_hang_the_capture),
		cmocka_unit_test(a_traced_target_is_refused_by_name),
		cmocka_unit_test(an_undumpable_target_is_captured_by_root),
		cmocka_unit_test(threads_that_live_on_are_never_missed),
		cmocka_unit_test(data_below_small_stacks_is_not_touched),
		cmocka_unit_test(restartable_sequences_are_not_resumed_unprotected),
		cmocka_unit_test(a_process_that_watches_its_forks_is_refused),
		cmocka_unit_test(calls_are_not_made_where_they_are_dispatched),
		cmocka_unit_test(a_filter_of_the_thread_that_makes_the_call_counts),
		cmocka_unit_test(a_stop_that_is_over_stays_over),
	};

	harness_begin("test_states");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
