// SPDX-License-Identifier: LGPL-2.1-or-later
// Signals and filters: in a storm of signals none is lost, doubled or moved; a target whose seccomp
// filter forbids to clone lives on, whatever the answer.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

static const uint32_t FULL =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT;

static void assert_none_lost(struct target *target)
{
	target_ask(target, "quiet"); // answers when all have come
	assert_true(target_answer(target, "sent") > 0);
	assert_int_equal(target_answer(target, "disorder"), 0);
}

static void no_signal_of_a_storm_is_lost(void **state)
{
	_cleanup_target_ struct target *target = target_start("storm", "1000", NULL);

	(void)state;
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < 30; i++)
			harness_free_snapshot(harness_capture(target, FULL));
		assert_none_lost(target);
		target_ask(target, "go");
	}
	target_wait_for_beat(target);
	assert_none_lost(target);
	target_assert_unharmed(target);
}

// Shared with the process that sends. What it sends queues up, so that each has to come.
struct pouring {
	_Atomic uint64_t sent;
	_Atomic int is_over;
};

static void pour(struct pouring *pouring, pid_t pid)
{
	const struct timespec period = { .tv_nsec = 1000000 };
	siginfo_t info = { .si_code = SI_QUEUE };

	while (!pouring->is_over) {
		// Refused where the queue is full.
		if (syscall(SYS_rt_tgsigqueueinfo, pid, pid, SIGRTMIN + 1, &info) == 0)
			pouring->sent++;
		nanosleep(&period, NULL);
	}
	_exit(0);
}

// Sent by another process, which does not stand as the target does, they come while the leader
// makes our calls. One that is let in there spoils the call, and has no handler to run.
static void signals_to_the_thread_that_makes_the_calls_wait(void **state)
{
	_cleanup_target_ struct target *target = target_start("storm", "1000", NULL);
	struct pouring *pouring = mmap(NULL, sizeof(*pouring), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t since;
	pid_t child;

	(void)state;
	assert_ptr_not_equal(pouring, MAP_FAILED);
	child = harness_fork();
	if (child == 0)
		pour(pouring, target->pid);
	// Without a record of the patient: which signals it has to take changes all the time.
	for (int i = 0; i < 50; i++) {
		HPSS snapshot = NULL;
		DWORD code =
			PssCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &snapshot);

		if (code != ERROR_SUCCESS)
			harness_fail("capture %d gives %u: %s", i, code, PssxErrorText());
		assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
	}
	pouring->is_over = 1;
	assert_int_equal(waitpid(child, NULL, 0), child);
	since = harness_now_ns();
	while (target_read_word(target, target_value(target, "outside")) < pouring->sent &&
	       !harness_is_past(since, HARNESS_PATIENCE_MS))
		harness_breathe();
	assert_true(pouring->sent > 0);
	assert_int_equal(target_read_word(target, target_value(target, "outside")), pouring->sent);
	munmap(pouring, sizeof(*pouring));
	assert_none_lost(target);
	target_assert_unharmed(target);
}

// While the target is stopped or its clone is made, signals from outside must wait, not vanish.
static void signals_from_outside_arrive(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "3", NULL);
	HPSS snapshot;
	int status;

	(void)state;
	for (int i = 0; i < 50; i++) {
		kill(target->pid, SIGSTOP);
		snapshot = harness_capture(target, FULL);
		harness_free_snapshot(snapshot);
		assert_int_equal(waitpid(target->pid, &status, WUNTRACED), target->pid);
		assert_true(WIFSTOPPED(status));
		kill(target->pid, SIGCONT);
		assert_int_equal(waitpid(target->pid, &status, WCONTINUED), target->pid);
	}
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

static void capture_of_filtered_target(const char *action)
{
	_cleanup_target_ struct target *target = target_start("seccomp_errno", action, NULL);
	struct patient *patient = patient_record(target->pid);
	HPSS snapshot = NULL;
	DWORD code = PssCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &snapshot);

	if (code == ERROR_SUCCESS) {
		// By suspending the filter, or by copying without a clone.
		harness_free_snapshot(snapshot);
	} else {
		print_message("refused with %u: %s\n", code, PssxErrorText());
		assert_true(code == ERROR_ACCESS_DENIED || code == ERROR_NOT_SUPPORTED);
		assert_null(snapshot);
		if (!strstr(PssxErrorText(), "seccomp"))
			harness_fail("does not name the reason: %s", PssxErrorText());
	}
	patient_assert_same(patient);
	patient_free(patient);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
	// What needs no clone works in any case.
	harness_free_snapshot(harness_capture(target, PSS_CAPTURE_THREADS));
	harness_free_snapshot(
		harness_capture(target, PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT));
	target_assert_unharmed(target);
}

static void a_filter_that_refuses_to_clone(void **state)
{
	(void)state;
	capture_of_filtered_target("errno");
}

static void a_filter_that_kills_for_cloning(void **state)
{
	(void)state;
	capture_of_filtered_target("kill");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_signal_of_a_storm_is_lost),
		cmocka_unit_test(signals_to_the_thread_that_makes_the_calls_wait),
		cmocka_unit_test(signals_from_outside_arrive),
		cmocka_unit_test(a_filter_that_refuses_to_clone),
		cmocka_unit_test(a_filter_that_kills_for_cloning),
	};

	harness_begin("test_signals");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
