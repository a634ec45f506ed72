// SPDX-License-Identifier: LGPL-2.1-or-later
// A snapshot is one instant: 1,000 captures of a target whose state only holds together at one, and
// afterwards no process, zombie, descriptor or mapping is left anywhere.
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "harness.h"

enum { CAPTURES = 1000, WORDS = 511, TIME_FOR_CAPTURES_MS = 40000 };

static const uint32_t FLAGS =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT;

// struct counters_state of tests/targets/counters.c.
struct counters_state {
	uint64_t first;
	uint64_t inside;
	uint64_t writing;
	uint64_t leader;
};

static void assert_counters(HPSS snapshot, const struct target *target)
{
	struct counters_state seen;
	uint64_t second, follower;

	harness_read_clone(snapshot, target_value(target, "near"), &seen, sizeof(seen));
	second = harness_read_clone_word(snapshot, target_value(target, "second"));
	follower = harness_read_clone_word(snapshot, target_value(target, "follower"));
	assert_in_range(seen.first - second, 0, seen.inside);
	assert_true(follower <= seen.leader);
}

static void assert_page(HPSS snapshot, const struct target *target)
{
	uint64_t words[WORDS + 1], sum = 0;
	struct counters_state seen;

	harness_read_clone(snapshot, target_value(target, "near"), &seen, sizeof(seen));
	if (seen.writing)
		return;
	harness_read_clone(snapshot, target_value(target, "page"), words, sizeof(words));
	for (int i = 0; i < WORDS; i++)
		sum += words[i];
	assert_int_equal(sum, words[WORDS]);
}

// The counting register and the memory it is stored to are of one instant.
static void assert_pulse(HPSS snapshot, const struct target *target)
{
	uint64_t memory = harness_read_clone_word(snapshot, target_value(target, "pulse"));
	pid_t tid = (pid_t)target_value(target, "pulse_tid");
	PSS_THREAD_ENTRY entry;
	HPSSWALK marker;

	assert_success(PssWalkMarkerCreate(NULL, &marker));
	do
		assert_success(
			PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, &entry, sizeof(entry)));
	while (entry.ThreadId != (DWORD)tid);
	assert_non_null(entry.ContextRecord);
#if defined(__x86_64__)
	assert_in_range(entry.ContextRecord->R15 - memory, 0, 1);
#else
	assert_in_range(entry.ContextRecord->X19 - memory, 0, 1);
#endif
	assert_success(PssWalkMarkerFree(marker));
}

// Parked clones and zombies below the target or below us, to whom orphans fall.
static unsigned count_leftovers(pid_t target)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	unsigned count = 0;

	while ((entry = readdir(folder))) {
		char path[300], *stat, *end;

		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		stat = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? harness_read_file(path)
									  : NULL;
		end = stat ? strrchr(stat, ')') : NULL;
		pid_t parent = end ? (pid_t)strtol(end + 4, NULL, 10) : 0;
		bool is_ours = parent == target || parent == getpid();

		if (is_ours && (strstr(stat, "(procsnap-clone") || end[2] == 'Z'))
			count++;
		free(stat);
	}
	closedir(folder);
	return count;
}

static void a_thousand_captures_are_not_torn_and_leave_nothing(void **state)
{
	(void)state;
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);

	_cleanup_target_ struct target *target = target_start("counters", NULL);
	struct patient *patient = patient_record(target->pid);
	unsigned leftovers = count_leftovers(target->pid);
	size_t fds, maps;
	uint64_t since;

	// The first capture may keep a mapping for the next ones.
	harness_free_snapshot(harness_capture(target, FLAGS));
	fds = harness_count_fds(getpid());
	maps = harness_count_maps(getpid());
	since = harness_now_ns();
	for (int i = 0; i < CAPTURES; i++) {
		HPSS snapshot;

		// On a machine with much else to do, each of three runners waits long for a CPU.
		if (i >= CAPTURES / 10 && harness_is_past(since, TIME_FOR_CAPTURES_MS)) {
			print_message("only %d captures in the time there is\n", i);
			break;
		}
		snapshot = harness_capture(target, FLAGS);

		assert_counters(snapshot, target);
		assert_page(snapshot, target);
		assert_pulse(snapshot, target);
		harness_free_snapshot(snapshot);
	}
	assert_int_equal(harness_count_fds(getpid()), fds);
	// The heap may grow by a region, not by one a capture.
	assert_in_range(harness_count_maps(getpid()), 0, maps + 4);
	patient_assert_same(patient);
	patient_free(patient);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
	since = harness_now_ns();
	while (count_leftovers(target->pid) > leftovers) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("%u clones or zombies are left",
				     count_leftovers(target->pid) - leftovers);
		harness_breathe();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thousand_captures_are_not_torn_and_leave_nothing),
	};

	harness_begin("test_torn");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
