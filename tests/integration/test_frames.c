// SPDX-License-Identifier: LGPL-2.1-or-later
// The way home where the leader's stack will not do: it has exited, runs elsewhere, has used its
// stack up. Whoever enters the target is killed at any system call of his, and no thread is lost;
// what others have on that stack does not change.
#include <procsnap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness_killer.h"

enum { POINTS = 20, ROUNDS = 20 };

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;

static int capture_and_free(struct target *target)
{
	HPSS snapshot = NULL;

	if (PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)FULL, CONTEXT_ALL,
			       &snapshot) != ERROR_SUCCESS) {
		print_error("%s\n", PssxErrorText());
		return 1;
	}
	return PssFreeSnapshot(GetCurrentProcess(), snapshot) == ERROR_SUCCESS ? 0 : 2;
}

static int give_and_free(struct target *target)
{
	HPSS snapshot = NULL, there = NULL;
	DWORD code = PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_NONE, 0, &snapshot);

	if (code == ERROR_SUCCESS)
		code = PssDuplicateSnapshot(GetCurrentProcess(), snapshot, target_handle(target),
					    &there, PSS_DUPLICATE_NONE);
	if (code == ERROR_SUCCESS)
		code = PssFreeSnapshot(target_handle(target), there);
	if (code != ERROR_SUCCESS)
		print_error("%s\n", PssxErrorText());
	return code != ERROR_SUCCESS;
}

static const struct specimen {
	const char *name;
	const char *argument;
} specimens[] = {
	{ "leader_gone", NULL },  { "small_stack", "4" },      { "full_stack", "deep" },
	{ "full_stack", "gone" }, { "full_stack", "away" },    { "rseq_spin", "4" },
	{ "vector", "2" },        { "leader_waits", "epoll" }, { "storm", NULL },
};

static const char *only; // the one specimen to be looked at, or NULL

static void for_each(void (*look)(struct target *target))
{
	int count = 0;

	for (size_t i = 0; i < sizeof(specimens) / sizeof(specimens[0]); i++) {
		if (only && strcmp(only, specimens[i].name) != 0)
			continue;
		_cleanup_target_ struct target *target =
			target_start(specimens[i].name, specimens[i].argument, NULL);
		if (!target)
			continue;
		print_message("%s %s\n", specimens[i].name,
			      specimens[i].argument ? specimens[i].argument : "");
		look(target);
		count++;
	}
	assert_true(count > 0);
}

static void capture_many(struct target *target)
{
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(capture_and_free(target), 0);
	target_assert_unharmed(target);
}

static void enter_many(struct target *target)
{
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(give_and_free(target), 0);
	target_assert_unharmed(target);
}

static void kill_capturers(struct target *target)
{
	killer_walk(target, capture_and_free, POINTS);
	assert_int_equal(capture_and_free(target), 0);
	assert_int_equal(target_counters(target).wrong, 0);
}

static void kill_givers(struct target *target)
{
	killer_walk(target, give_and_free, POINTS);
	assert_int_equal(give_and_free(target), 0);
	assert_int_equal(target_counters(target).wrong, 0);
}

static void a_capture_finds_a_place_for_frames(void **state)
{
	(void)state;
	for_each(capture_many);
}

static void a_capturer_killed_at_any_step_loses_no_thread(void **state)
{
	(void)state;
	for_each(kill_capturers);
}

static void an_errand_finds_a_place_for_frames(void **state)
{
	(void)state;
	for_each(enter_many);
}

static void a_giver_killed_at_any_step_loses_no_thread(void **state)
{
	(void)state;
	for_each(kill_givers);
}

// test_frames [SPECIMEN]; with PROCSNAP_KILL_ALL at each stop there is, which takes many minutes.
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_capture_finds_a_place_for_frames),
		cmocka_unit_test(a_capturer_killed_at_any_step_loses_no_thread),
		cmocka_unit_test(an_errand_finds_a_place_for_frames),
		cmocka_unit_test(a_giver_killed_at_any_step_loses_no_thread),
	};

	only = argc > 1 ? argv[1] : NULL;
	harness_begin("test_frames", getenv("PROCSNAP_KILL_ALL") ? 7200 : 115);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
