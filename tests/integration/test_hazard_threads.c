// SPDX-License-Identifier: LGPL-2.1-or-later
// Hazards of threads: those inside restartable sequences, a thousand of which half are born and die
// all the time, and those that execute another program in the middle of a capture.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "harness.h"

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;

enum {
	SEQUENCE_CAPTURES = 100,
	CROWD_CAPTURES = 50,
	EXEC_CAPTURES = 100,
	CROWD_MS = 40000,
	EXEC_MS = 20000,
	PID_LIMIT = 1 << 22
};

// A capture that works, or says why not.
static bool try_capture(const struct target *target, const char *reason)
{
	HPSS snapshot = NULL;
	DWORD code = PssCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &snapshot);

	if (code == ERROR_SUCCESS) {
		// No record of the patient: another program has other text.
		assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
		return true;
	}
	assert_null(snapshot);
	if (!PssxErrorText()[0] || (reason && !strstr(PssxErrorText(), reason)))
		harness_fail("code %u: %s", code, PssxErrorText());
	return false;
}

// Stopped within, it must begin anew; had it made our calls, it would go on without the kernel's
// protection. Most of the time the kernel has it begin anew before it stops, so: often.
static void a_leader_stopped_in_a_sequence_begins_it_anew(void **state)
{
	_cleanup_target_ struct target *target = target_start("rseq_gate", NULL);

	(void)state;
	if (!target)
		skip();
	for (int i = 0; i < SEQUENCE_CAPTURES; i++) {
		uint64_t entries = target_read_word(target, target_value(target, "entries"));

		(void)try_capture(target, "restartable sequence");
		target_ask(target, "open");
		if (target_answer(target, "entries") <= entries)
			harness_fail("after capture %d the leader went on where it was", i);
	}
	target_assert_unharmed(target);
}

// Whether a thread lives on: one that is on its way out is still listed for a while.
static bool lives_on(pid_t pid, pid_t tid)
{
	const unsigned exiting = 0x4; // the kernel's PF_EXITING
	unsigned flags = exiting;
	char path[64], *text, *end;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	text = harness_read_file(path);
	end = text ? strrchr(text, ')') : NULL;
	if (end && sscanf(end, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		harness_fail("%s: %s", path, text);
	free(text);
	return !(flags & exiting);
}

// The threads of a snapshot, by number.
static uint8_t *mark_threads(HPSS snapshot)
{
	uint8_t *marks = calloc(1, PID_LIMIT);
	PSSX_THREAD thread = { .Size = sizeof(thread) };

	assert_non_null(marks);
	for (DWORD i = 0; PssxQueryThread(snapshot, i, &thread) == ERROR_SUCCESS; i++)
		if (thread.ThreadId < PID_LIMIT)
			marks[thread.ThreadId] = 1;
	return marks;
}

// Whoever is there before and after was there all the time.
static void of_a_thousand_threads_none_is_missed(void **state)
{
	_cleanup_target_ struct target *target = target_start("births", "500", "500", "500", NULL);
	uint64_t since = harness_now_ns();
	static pid_t before[8192];

	(void)state;
	// Where many others compute as well, as many as there is time for.
	for (int i = 0; i < CROWD_CAPTURES && !(i > 10 && harness_is_past(since, CROWD_MS)); i++) {
		size_t count = patient_threads(target->pid, before, 8192);
		HPSS snapshot = harness_capture(target, FULL);
		uint8_t *marks = mark_threads(snapshot);
		unsigned stayed = 0;

		for (size_t t = 0; t < count && t < 8192; t++) {
			if (!lives_on(target->pid, before[t]))
				continue;
			stayed++;
			if (!marks[before[t]])
				harness_fail("capture %d misses thread %d", i, before[t]);
		}
		free(marks);
		assert_true(stayed >= 501);
		harness_free_snapshot(snapshot);
		target_wait_for_beat(target);
	}
	assert_false(patient_is_traced(target->pid));
	target_assert_unharmed(target);
}

// The counters are another mapping in each program, and one file in all. While a worker executes,
// the leader has no descriptors: so our own.
static int counters_fd;

static void open_counters(const struct target *target)
{
	uint64_t since = harness_now_ns();

	while ((counters_fd = (int)syscall(SYS_pidfd_getfd, target->pidfd,
					   (int)target_value(target, "counters_fd"), 0)) < 0) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("no counters of process %d", target->pid);
		harness_breathe();
	}
}

static struct harness_counters read_counters(void)
{
	struct harness_counters counters;

	assert_int_equal(pread(counters_fd, &counters, sizeof(counters), 0), sizeof(counters));
	return counters;
}

static void wait_for_programs(unsigned count)
{
	uint64_t since = harness_now_ns(), first = read_counters().beats;

	while (read_counters().beats < first + count) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("no other program is executed any more");
		harness_breathe();
	}
}

static void assert_execs_survive(const char *who)
{
	_cleanup_target_ struct target *target = target_start("execs", who, NULL);
	uint64_t since = harness_now_ns();
	unsigned done = 0, tries = 0;

	open_counters(target);
	while (tries < EXEC_CAPTURES && !(tries > 10 && harness_is_past(since, EXEC_MS))) {
		done += try_capture(target, NULL);
		tries++;
	}
	print_message("%u of %u captures worked while the %s executes\n", done, tries, who);
	assert_true(done > tries / 2);
	wait_for_programs(5);
	assert_int_equal(read_counters().wrong, 0);
	assert_int_equal(read_counters().eintr, 0);
	assert_false(patient_is_traced(target->pid));
	close(counters_fd);
}

static void a_target_that_executes_itself_goes_on(void **state)
{
	(void)state;
	assert_execs_survive("leader");
	assert_execs_survive("worker");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_leader_stopped_in_a_sequence_begins_it_anew),
		cmocka_unit_test(of_a_thousand_threads_none_is_missed),
		cmocka_unit_test(a_target_that_executes_itself_goes_on),
	};

	harness_begin("test_hazard_threads");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
