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
#include <sys/wait.h>
#include <unistd.h>

#include "harness_killer.h"

enum { TARGET_DEATHS = 60, KILL_POINTS = 90 };

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

static int capture_and_free(struct target *target)
{
	HPSS snapshot = NULL;

	if (PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)FULL, CONTEXT_ALL,
			       &snapshot) != ERROR_SUCCESS)
		return 1;
	return PssFreeSnapshot(GetCurrentProcess(), snapshot) == ERROR_SUCCESS ? 0 : 2;
}

static void a_capturer_killed_at_any_step(void **state)
{
	_cleanup_target_ struct target *target = target_start("vector", "2", NULL);
	struct patient *patient;

	(void)state;
	if (!target)
		skip();
	patient = patient_record(target->pid);
	killer_walk(target, capture_and_free, KILL_POINTS);
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
	stops = killer_count_stops(target, capture_and_free);
	for (int i = 0; i < KILL_POINTS / 2; i++) {
		int stop = 1 + (int)((int64_t)stops * (2 * i + 1) / KILL_POINTS);

		killer_kill_at(target, capture_and_free, stop);
		target_ask(target, "check");
		if (target_answer(target, "wrong"))
			harness_fail("stop %d: registers changed", stop);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_target_killed_during_its_capture),
		cmocka_unit_test(a_capturer_killed_at_any_step),
		cmocka_unit_test(blocked_registers_survive_the_capturers_death),
	};

	harness_begin("test_death");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
