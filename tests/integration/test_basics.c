// SPDX-License-Identifier: LGPL-2.1-or-later
// What every capture must do: hold the memory of the instant, list every thread, leave the target
// and this process as they were, and stop nothing when nothing needs an instant.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

enum { PATTERN_WORDS = 512, MOVING_PAGES = 16, PAGE = 4096 };

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE |
			     PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION;

static void assert_pattern(HPSS snapshot, uint64_t address)
{
	uint64_t words[PATTERN_WORDS];

	harness_read_clone(snapshot, address, words, sizeof(words));
	for (uint64_t i = 0; i < PATTERN_WORDS; i++)
		assert_int_equal(words[i], 0x9e3779b97f4a7c15u * (i + 1));
}

// Page after page gets the same number, so pages further on are never ahead, and at most one
// behind.
static uint64_t assert_moving_is_one_instant(HPSS snapshot, uint64_t address)
{
	uint64_t first = harness_read_clone_word(snapshot, address);
	uint64_t last = first;

	for (uint64_t i = 1; i < MOVING_PAGES; i++) {
		uint64_t word = harness_read_clone_word(snapshot, address + i * PAGE);

		assert_true(word <= last);
		last = word;
	}
	assert_true(first - last <= 1);
	return first;
}

static void clone_holds_the_memory_of_the_instant(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	uint64_t pattern = target_value(target, "pattern");
	uint64_t moving = target_value(target, "moving");
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	uint64_t then = assert_moving_is_one_instant(snapshot, moving);

	(void)state;
	assert_pattern(snapshot, pattern);
	target_ask(target, "change");
	target_wait_for_beat(target);
	assert_true(target_read_word(target, moving) > then);
	assert_int_equal(target_read_word(target, pattern), ~0x9e3779b97f4a7c15u);
	assert_pattern(snapshot, pattern);
	assert_int_equal(assert_moving_is_one_instant(snapshot, moving), then);
	target_ask(target, "unmap");
	assert_pattern(snapshot, pattern);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void target_and_host_are_as_before(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "20", NULL);
	struct patient *patient = patient_record(target->pid);
	struct host *host = host_record();

	(void)state;
	for (int i = 0; i < 20; i++) {
		HPSS snapshot = harness_capture(target, FULL);

		harness_free_snapshot(snapshot);
		host_assert_same(host);
	}
	patient_assert_same(patient);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
	patient_free(patient);
	host_free(host);
}

static void target_runs_on_while_its_snapshot_lives(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, FULL);
	pid_t child = 0;

	(void)state;
	target_wait_for_beat(target);
	assert_false(patient_is_traced(target->pid));
	assert_int_equal(patient_children(target->pid, &child, 1), 1);
	assert_int_equal(GetProcessId(harness_clone(snapshot)), child);
	assert_int_not_equal(child, target->pid);
	// What it sees of that child itself is nothing.
	target_ask(target, "children");
	assert_int_equal(target_answer(target, "plain_none"), 1);
	harness_free_snapshot(snapshot);
	harness_wait_gone(child);
	target_assert_unharmed(target);
}

static void clone_holds_no_descriptor_of_the_target(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	pid_t clone = (pid_t)GetProcessId(harness_clone(snapshot));

	(void)state;
	// Its own of the section, and nothing else.
	assert_true(harness_count_fds(clone) <= 1);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void every_thread_is_listed_with_its_name(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "30", NULL);
	HPSS snapshot = harness_capture(target, FULL);
	pid_t tids[64];
	size_t count = patient_threads(target->pid, tids, 64);
	PSS_THREAD_INFORMATION information;
	unsigned sleepers = 0;

	(void)state;
	assert_int_equal(count, 32);
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_THREAD_INFORMATION, &information,
					sizeof(information)));
	assert_int_equal(information.ThreadsCaptured, count);
	for (size_t i = 0; i < count; i++) {
		PSSX_THREAD thread;

		assert_true(harness_find_thread(snapshot, tids[i], &thread, NULL));
		assert_true(thread.Flags & PSSX_THREAD_HAS_REGISTERS);
		assert_true(thread.InstructionPointer != 0 && thread.StackPointer != 0);
		sleepers += !strcmp(thread.Name, "sleeper \xc3\xa4");
	}
	assert_int_equal(sleepers, 30);
	harness_free_snapshot(snapshot);
}

static void figures_tell_what_was_stopped(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "10", NULL);
	PSSX_FIGURES figures = { .Size = sizeof(figures) };
	HPSS snapshot = harness_capture(target, FULL);

	(void)state;
	assert_success(PssxQueryFigures(snapshot, &figures));
	assert_int_equal(figures.ThreadsStopped, 12);
	assert_true(figures.PauseNs > 0);
	assert_true(figures.PauseNs <= figures.HoldNs);
	assert_true(figures.HoldNs <= figures.TotalNs);
	assert_true(figures.CloneNs <= figures.TotalNs);
	harness_free_snapshot(snapshot);
}

// A thread asleep for a day is switched to only if somebody wakes it: a stop would be seen here.
static uint64_t count_switches(pid_t pid)
{
	char path[64], *status, *voluntary, *other;
	uint64_t count = 0;
	pid_t tids[64];
	size_t threads = patient_threads(pid, tids, 64);

	for (size_t i = 0; i < threads && i < 64; i++) {
		snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tids[i]);
		status = harness_read_file(path);
		assert_non_null(status);
		voluntary = strstr(status, "\nvoluntary_ctxt_switches:");
		other = strstr(status, "nonvoluntary_ctxt_switches:");
		assert_non_null(voluntary);
		assert_non_null(other);
		count += strtoull(voluntary + 25, NULL, 10) + strtoull(other + 27, NULL, 10);
		free(status);
	}
	return count;
}

static void captures_that_need_no_instant_stop_nothing(void **state)
{
	static const uint32_t gentle[] = {
		PSS_CAPTURE_NONE,
		PSS_CAPTURE_THREADS,
		PSS_CAPTURE_VA_SPACE,
		PSS_CAPTURE_THREADS | PSS_CAPTURE_VA_SPACE |
			PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CREATE_MEASURE_PERFORMANCE,
	};
	_cleanup_target_ struct target *target = target_start("sleepers", NULL);
	uint64_t before;

	(void)state;
	target_wait_asleep(target);
	before = count_switches(target->pid);
	for (size_t i = 0; i < sizeof(gentle) / sizeof(gentle[0]); i++) {
		PSSX_FIGURES figures = { .Size = sizeof(figures) };
		HPSS snapshot = harness_capture(target, gentle[i]);

		assert_success(PssxQueryFigures(snapshot, &figures));
		assert_int_equal(figures.ThreadsStopped, 0);
		harness_free_snapshot(snapshot);
	}
	assert_int_equal(count_switches(target->pid), before);
	// The measure measures.
	harness_free_snapshot(harness_capture(target, PSS_CAPTURE_VA_CLONE));
	assert_true(count_switches(target->pid) > before);
}

static void snapshot_outlives_the_target(void **state)
{
	struct target *target = target_start("plain", NULL);
	uint64_t pattern = target_value(target, "pattern");
	HPSS snapshot = harness_capture(target, FULL);
	pid_t clone = (pid_t)GetProcessId(harness_clone(snapshot));
	PSSX_THREAD thread;
	pid_t pid = target->pid;

	(void)state;
	target_stop(target);
	assert_pattern(snapshot, pattern);
	assert_true(harness_find_thread(snapshot, pid, &thread, NULL));
	harness_free_snapshot(snapshot);
	harness_wait_gone(clone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clone_holds_the_memory_of_the_instant),
		cmocka_unit_test(target_and_host_are_as_before),
		cmocka_unit_test(target_runs_on_while_its_snapshot_lives),
		cmocka_unit_test(clone_holds_no_descriptor_of_the_target),
		cmocka_unit_test(every_thread_is_listed_with_its_name),
		cmocka_unit_test(figures_tell_what_was_stopped),
		cmocka_unit_test(captures_that_need_no_instant_stop_nothing),
		cmocka_unit_test(snapshot_outlives_the_target),
	};

	harness_begin("test_basics");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
