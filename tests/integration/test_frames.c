// SPDX-License-Identifier: LGPL-2.1-or-later
// The way home where the leader's stack will not do: it has exited, runs elsewhere, has used its
// stack up. Whoever enters the target is killed at any system call of his, and no thread is lost;
// what others have on that stack does not change.
#include <fcntl.h>
#include <procsnap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "harness_killer.h"

enum { POINTS = 10, ROUNDS = 5 };

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
	{ "full_stack", "gone" }, { "full_stack", "locked" },  { "full_stack", "away" },
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

// What the specimen itself can tell: data that is not ours, signals lost, doubled or out of order.
static void check_work(struct target *target)
{
	if (strcmp(target->name, "storm") == 0) {
		target_ask(target, "quiet");
		assert_true(target_answer(target, "sent") > 0);
		assert_int_equal(target_answer(target, "disorder"), 0);
		target_ask(target, "go");
	}
	if (strcmp(target->name, "small_stack") == 0) {
		target_ask(target, "check");
		assert_int_equal(target_answer(target, "wrong"), 0);
	}
	assert_int_equal(target_counters(target).wrong, 0);
}

static void kill_capturers(struct target *target)
{
	killer_walk(target, capture_and_free, POINTS);
	assert_int_equal(capture_and_free(target), 0);
	check_work(target);
}

static void kill_givers(struct target *target)
{
	killer_walk(target, give_and_free, POINTS);
	assert_int_equal(give_and_free(target), 0);
	check_work(target);
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

// Pages of the lowest 48 KiB of [stack] that were ever touched. All have to be zero.
static int count_foot_pages(const struct target *target)
{
	enum { FOOT = 48 << 10, PAGE = 4096 };
	uint64_t entries[FOOT / PAGE], start = 0;
	uint8_t page[PAGE];
	char path[64];
	int count = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/maps", target->pid, target->server);
	char *maps = harness_read_file(path);
	char *line = maps ? strstr(maps, "[stack]") : NULL;
	while (line && line > maps && line[-1] != '\n')
		line--;
	assert_non_null(line);
	start = strtoull(line, NULL, 16);
	free(maps);
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/pagemap", target->pid, target->server);
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, entries, sizeof(entries), (off_t)(start / PAGE * 8)),
			 sizeof(entries));
	for (int i = 0; i < FOOT / PAGE; i++) {
		if (!(entries[i] >> 63))
			continue;
		count++;
		target_read(target, start + (uint64_t)i * PAGE, page, PAGE);
		assert_true(page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0);
	}
	return count;
}

static void the_leader_is_used_on_its_own_stack_and_others_at_the_foot(void **state)
{
	_cleanup_target_ struct target *fit = target_start("plain", NULL);
	_cleanup_target_ struct target *gone = target_start("leader_gone", NULL);
	_cleanup_target_ struct target *away = target_start("small_stack", "4", NULL);

	(void)state;
	assert_int_equal(count_foot_pages(gone), 0);
	assert_int_equal(count_foot_pages(away), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(capture_and_free(fit), 0);
		assert_int_equal(give_and_free(fit), 0);
		assert_int_equal(count_foot_pages(fit), 0);
	}
	assert_int_equal(capture_and_free(gone), 0);
	assert_true(count_foot_pages(gone) > 0);
	assert_int_equal(give_and_free(away), 0);
	assert_true(count_foot_pages(away) > 0);
}

// test_frames [SPECIMEN]; with PROCSNAP_KILL_ALL at each stop there is, which takes many minutes.
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_leader_is_used_on_its_own_stack_and_others_at_the_foot),
		cmocka_unit_test(a_capture_finds_a_place_for_frames),
		cmocka_unit_test(a_capturer_killed_at_any_step_loses_no_thread),
		cmocka_unit_test(an_errand_finds_a_place_for_frames),
		cmocka_unit_test(a_giver_killed_at_any_step_loses_no_thread),
	};

	only = argc > 1 ? argv[1] : NULL;
	harness_begin("test_frames");
	if (getenv("PROCSNAP_KILL_ALL"))
		(void)alarm(7200);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
