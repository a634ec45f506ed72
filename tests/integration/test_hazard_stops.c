// SPDX-License-Identifier: LGPL-2.1-or-later
// Hazards: threads that stand still for reasons of their own. One in D state is marked, and the
// rest is captured; a job stopped by SIGTTIN is captured, and stays stopped; of a frozen control
// group's process memory is refused before it is touched, and what needs no call is captured.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;
static const uint32_t STATES = PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT;

// What the whole hold may take with a thread that does not stop: some 50 ms are waited for it.
enum { HOLD_MS_MAX = 2000 };

static void a_thread_in_d_state_is_marked_and_the_rest_captured(void **state)
{
	_cleanup_target_ struct target *target = target_start("blocked", NULL);
	PSSX_FIGURES figures = { .Size = sizeof(figures) };
	struct patient *patient;
	PSSX_THREAD thread;

	(void)state;
	if (!target)
		skip();
	patient = patient_record(target->pid);
	for (int i = 0; i < 5; i++) {
		HPSS snapshot = harness_capture(target, FULL);

		assert_true(harness_find_thread(snapshot, (pid_t)target_value(target, "blocked"),
						&thread, NULL));
		assert_true(thread.Flags & PSSX_THREAD_UNSTOPPABLE);
		assert_false(thread.Flags & PSSX_THREAD_HAS_REGISTERS);
		assert_true(harness_find_thread(snapshot, target->pid, &thread, NULL));
		assert_true(thread.Flags & PSSX_THREAD_HAS_REGISTERS);
		assert_success(PssxQueryFigures(snapshot, &figures));
		assert_true(figures.HoldNs < HOLD_MS_MAX * 1000000ull);
		harness_free_snapshot(snapshot);
		assert_false(patient_is_traced(target->pid));
		patient_assert_same(patient);
	}
	patient_free(patient);
	target_wait_for_beat(target);
	// It was let go: nothing of ours stops it when it wakes.
	target_ask(target, "release");
	target_assert_unharmed(target);
}

static void a_job_stopped_by_sigttin_stays_stopped(void **state)
{
	_cleanup_target_ struct target *target = target_start("background", NULL);
	pid_t job = (pid_t)target_value(target, "stopped");
	HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)job);
	struct patient *patient = patient_record(job), *shell = patient_record(target->pid);
	uint64_t beats = target_read_word(target, target_value(target, "beats"));
	PSSX_THREAD thread;

	(void)state;
	assert_non_null(process);
	for (int i = 0; i < 5; i++) {
		HPSS snapshot = NULL;

		assert_success(PssCaptureSnapshot(process, FULL, CONTEXT_ALL, &snapshot));
		assert_true(harness_find_thread(snapshot, job, &thread, NULL));
		assert_true(thread.Flags & PSSX_THREAD_GROUP_STOPPED);
		assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
		patient_assert_same(patient);
	}
	// Not for a moment did it go on.
	assert_int_equal(target_read_word(target, target_value(target, "beats")), beats);
	patient_assert_same(shell);
	patient_free(patient);
	patient_free(shell);
	target_ask(target, "foreground");
	assert_int_equal(target_answer(target, "wrong"), 0);
	assert_true(CloseHandle(process));
}

struct freezer {
	const char *mounts[3];
	const char *file;   // what freezes
	const char *freeze; // written to it
	const char *thaw;
	const char *state; // what tells
	const char *frozen;
	bool has_registers; // of threads that are frozen
};

static const struct freezer version_1 = {
	.mounts = { "/sys/fs/cgroup/freezer" },
	.file = "freezer.state",
	.freeze = "FROZEN",
	.thaw = "THAWED",
	.state = "freezer.state",
	.frozen = "FROZEN",
	// Such threads are in D state.
};
static const struct freezer version_2 = {
	.mounts = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" },
	.file = "cgroup.freeze",
	.freeze = "1",
	.thaw = "0",
	.state = "cgroup.events",
	.frozen = "frozen 1",
	.has_registers = true,
};

static bool put(const char *group, const char *file, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", group, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return is_done;
}

static bool is_frozen(const struct freezer *freezer, const char *group)
{
	char path[256], *text;
	bool is;

	snprintf(path, sizeof(path), "%s/%s", group, freezer->state);
	text = harness_read_file(path);
	is = text && strstr(text, freezer->frozen);
	free(text);
	return is;
}

static bool make_group(const struct freezer *freezer, pid_t pid, char path_ret[128])
{
	char number[16];

	snprintf(number, sizeof(number), "%d", pid);
	for (int i = 0; freezer->mounts[i]; i++) {
		char path[256];

		snprintf(path_ret, 128, "%s/procsnap-test-%d", freezer->mounts[i], getpid());
		if (mkdir(path_ret, 0755) < 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", path_ret, freezer->file);
		if (access(path, F_OK) == 0 && put(path_ret, "cgroup.procs", number))
			return true;
		rmdir(path_ret);
	}
	return false;
}

static void freeze(const struct freezer *freezer, const char *path)
{
	uint64_t since = harness_now_ns();

	assert_true(put(path, freezer->file, freezer->freeze));
	while (!is_frozen(freezer, path)) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("%s does not freeze", path);
		harness_breathe();
	}
}

// A thread that was only looked at has not been woken: it makes a switch each time.
static char *switches_of(pid_t pid)
{
	char *all = calloc(1, 4096);
	pid_t tids[64];
	size_t count = patient_threads(pid, tids, 64);

	for (size_t i = 0; i < count && i < 64; i++) {
		char path[64], *status, *line;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tids[i]);
		status = harness_read_file(path);
		line = status ? strstr(status, "\nvoluntary_ctxt_switches:") : NULL;
		if (line)
			strncat(all, line, 40);
		free(status);
	}
	return all;
}

static void assert_refused_untouched(const struct target *target)
{
	char *before = switches_of(target->pid), *after;
	HPSS snapshot = NULL;

	assert_int_equal(PssCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &snapshot),
			 ERROR_NOT_SUPPORTED);
	assert_null(snapshot);
	if (!strstr(PssxErrorText(), "is frozen") || !strstr(PssxErrorText(), "thaw it"))
		harness_fail("does not name reason and cure: %s", PssxErrorText());
	after = switches_of(target->pid);
	assert_string_equal(before, after);
	free(before);
	free(after);
}

static void assert_states_captured(const struct target *target, bool has_registers)
{
	PSS_PROCESS_INFORMATION information;
	PSSX_THREAD thread;
	HPSS snapshot = harness_capture(target, STATES);

	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &information,
					sizeof(information)));
	assert_true(information.Flags & PSS_PROCESS_FLAGS_FROZEN);
	assert_true(harness_find_thread(snapshot, target->pid, &thread, NULL));
	assert_int_equal((thread.Flags & PSSX_THREAD_HAS_REGISTERS) != 0, has_registers);
	assert_int_equal((thread.Flags & PSSX_THREAD_UNSTOPPABLE) != 0, !has_registers);
	harness_free_snapshot(snapshot);
}

// What a test froze, so that nothing stays frozen if it fails.
static char folder[128];
static const struct freezer *frozen;
static pid_t frozen_pid;

static int thaw(void **state)
{
	uint64_t since = harness_now_ns();

	(void)state;
	if (!frozen)
		return 0;
	kill(frozen_pid, SIGKILL);
	(void)put(folder, frozen->file, frozen->thaw);
	frozen = NULL;
	while (rmdir(folder) < 0 && !harness_is_past(since, HARNESS_PATIENCE_MS))
		harness_breathe();
	return 0;
}

static void assert_frozen_group(const struct freezer *freezer)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	struct patient *patient, *thawed = patient_record(target->pid);

	if (!make_group(freezer, target->pid, folder)) {
		print_message("no group with %s can be made\n", freezer->file);
		patient_free(thawed);
		skip();
	}
	frozen = freezer;
	frozen_pid = target->pid;
	freeze(freezer, folder);
	patient = patient_record(target->pid);
	uint64_t beats = target_counters(target).beats;
	assert_refused_untouched(target);
	assert_states_captured(target, freezer->has_registers);
	patient_assert_same(patient);
	assert_true(is_frozen(freezer, folder));
	assert_int_equal(target_counters(target).beats, beats);
	assert_true(put(folder, freezer->file, freezer->thaw));
	patient_assert_same(thawed);
	target_wait_for_beat(target);
	harness_free_snapshot(harness_capture(target, FULL));
	target_assert_unharmed(target);
	patient_free(patient);
	patient_free(thawed);
}

static void in_a_frozen_group_of_version_1(void **state)
{
	(void)state;
	assert_frozen_group(&version_1);
}

static void in_a_frozen_group_of_version_2(void **state)
{
	(void)state;
	assert_frozen_group(&version_2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_in_d_state_is_marked_and_the_rest_captured),
		cmocka_unit_test(a_job_stopped_by_sigttin_stays_stopped),
		cmocka_unit_test_teardown(in_a_frozen_group_of_version_1, thaw),
		cmocka_unit_test_teardown(in_a_frozen_group_of_version_2, thaw),
	};

	harness_begin("test_hazard_stops");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
