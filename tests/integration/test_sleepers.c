// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads in blocking calls: none sees EINTR, none times out before its time, and those whose
// remaining time the kernel keeps do not sleep longer either.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../targets/sleepers.h"
#include "harness.h"

static const uint32_t FLAGS =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT;

#define NAME(name, kept) #name,
#define KEPT(name, kept) kept,
static const char *const names[] = { SLEEPERS_KINDS(NAME) };
static const bool is_kept[] = { SLEEPERS_KINDS(KEPT) };

static void read_figures(const struct target *target, struct sleeper_figures *figures)
{
	target_read(target, target_value(target, "kinds"), figures,
		    SLEEPER_COUNT * sizeof(*figures));
}

static void assert_none_disturbed(const struct target *target)
{
	struct sleeper_figures figures[SLEEPER_COUNT];
	unsigned disturbed = 0;

	read_figures(target, figures);
	for (int i = 0; i < SLEEPER_COUNT; i++) {
		if (!figures[i].eintr && !figures[i].other && !figures[i].early)
			continue;
		disturbed++;
		print_error("%s: %llu EINTR, %llu early, %llu other in %llu threads\n", names[i],
			    (unsigned long long)figures[i].eintr,
			    (unsigned long long)figures[i].early,
			    (unsigned long long)figures[i].other,
			    (unsigned long long)figures[i].threads);
	}
	assert_int_equal(disturbed, 0);
	assert_int_equal(target_counters(target).eintr, 0);
	assert_int_equal(target_counters(target).sigchld, 0);
}

static void no_call_is_interrupted(void **state)
{
	_cleanup_target_ struct target *target = target_start("sleepers", NULL);
	struct sleeper_figures figures[SLEEPER_COUNT];
	struct patient *patient;

	(void)state;
	target_wait_asleep(target);
	patient = patient_record(target->pid);
	for (int i = 0; i < 20; i++)
		harness_free_snapshot(harness_capture(target, FLAGS));
	patient_assert_same(patient);
	patient_free(patient);
	assert_none_disturbed(target);
	read_figures(target, figures);
	for (int i = 0; i < SLEEPER_COUNT; i++)
		if (!figures[i].threads)
			print_message("not on this kernel: %s\n", names[i]);
}

// A call stopped again while it starts once more must not show it either.
static void no_call_is_interrupted_by_captures_in_a_row(void **state)
{
	_cleanup_target_ struct target *target = target_start("sleepers", "40", NULL);

	(void)state;
	target_wait_asleep(target);
	for (int i = 0; i < 200; i++)
		harness_free_snapshot(
			harness_capture(target, PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT));
	target_wait_asleep(target);
	assert_none_disturbed(target);
}

static void timeouts_come_neither_early_nor_late(void **state)
{
	enum { TIMEOUT_MS = 400 };
	_cleanup_target_ struct target *target = target_start("sleepers", "0", "400", NULL);
	struct sleeper_figures figures[SLEEPER_COUNT];
	uint64_t held_ns = 0;
	uint64_t since = harness_now_ns();

	(void)state;
	target_ask(target, "clear");
	// A call that starts over with its full time at each stop would never end here.
	while (!harness_is_past(since, 5 * TIMEOUT_MS)) {
		PSSX_FIGURES held = { .Size = sizeof(held) };
		HPSS snapshot = harness_capture(target, FLAGS);

		assert_success(PssxQueryFigures(snapshot, &held));
		held_ns += held.HoldNs;
		harness_free_snapshot(snapshot);
		harness_breathe();
	}
	assert_none_disturbed(target);
	read_figures(target, figures);
	for (int i = 0; i < SLEEPER_COUNT; i++) {
		if (!is_kept[i] || !figures[i].threads)
			continue;
		if (!figures[i].timeouts)
			harness_fail("%s never timed out", names[i]);
		// Some calls wait for what remained when they were stopped: they end as much later
		// as they were held.
		if (figures[i].latest_ns > (uint64_t)TIMEOUT_MS * 1000000u / 2 + held_ns)
			harness_fail("%s timed out %llu us late", names[i],
				     (unsigned long long)figures[i].latest_ns / 1000);
	}
}

static void five_thousand_threads(void **state)
{
	_cleanup_target_ struct target *target = target_start("sleepers", "5000", NULL);
	PSS_THREAD_INFORMATION information;
	HPSS snapshot;

	(void)state;
	target_wait_asleep(target);
	for (int i = 0; i < 3; i++) {
		snapshot = harness_capture(target, FLAGS);
		assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_THREAD_INFORMATION,
						&information, sizeof(information)));
		assert_int_equal(information.ThreadsCaptured,
				 patient_threads(target->pid, NULL, 0));
		harness_free_snapshot(snapshot);
	}
	target_wait_asleep(target);
	assert_none_disturbed(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_call_is_interrupted),
		cmocka_unit_test(no_call_is_interrupted_by_captures_in_a_row),
		cmocka_unit_test(timeouts_come_neither_early_nor_late),
		cmocka_unit_test(five_thousand_threads),
	};

	harness_begin("test_sleepers");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
