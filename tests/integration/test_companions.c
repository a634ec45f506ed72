// SPDX-License-Identifier: LGPL-2.1-or-later
// The companion functions on processes that live, have ended or are clones: how they ended, how
// long they ran, and ending them.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static const uint64_t TICKS_PER_SECOND = 10000000; // of FILETIME

static HANDLE open_handle(pid_t pid)
{
	HANDLE handle = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)pid);

	if (!handle)
		harness_fail("OpenProcess of %d: %s", pid, PssxErrorText());
	return handle;
}

static DWORD exit_code(HANDLE handle)
{
	DWORD code = 0xa5a5a5a5;

	if (!GetExitCodeProcess(handle, &code))
		harness_fail("GetExitCodeProcess: %u: %s", GetLastError(), PssxErrorText());
	return code;
}

static void assert_no_exit_code(HANDLE handle, DWORD error)
{
	DWORD code = 0xa5a5a5a5;

	SetLastError(ERROR_SUCCESS);
	assert_false(GetExitCodeProcess(handle, &code));
	assert_int_equal(GetLastError(), error);
	assert_int_equal(code, 0xa5a5a5a5);
}

/** Waits until the child is a zombie, and leaves it one. */
static void wait_zombie(pid_t child)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
}

static void wait_state(pid_t pid, char state)
{
	uint64_t since = harness_now_ns();
	char path[64], *stat = NULL;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("process %d does not get into state %c", pid, state);
		free(stat);
		stat = harness_read_file(path);
		assert_non_null(stat);
	} while (strrchr(stat, ')')[2] != state);
	free(stat);
}

static pid_t child_that_exits(int code)
{
	pid_t child = harness_fork();

	if (child == 0)
		_exit(code);
	return child;
}

static pid_t child_that_waits(void)
{
	pid_t child = harness_fork();

	if (child == 0)
		for (;;)
			pause();
	return child;
}

static void reap(pid_t child)
{
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void a_running_process_is_still_active(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	_cleanup_target_ struct target *leaderless = target_start("leader_gone", NULL);
	HANDLE self = open_handle(getpid());

	(void)state;
	assert_int_equal(exit_code(target_handle(target)), STILL_ACTIVE);
	assert_int_equal(exit_code(target_handle(leaderless)), STILL_ACTIVE);
	assert_int_equal(exit_code(GetCurrentProcess()), STILL_ACTIVE);
	assert_int_equal(exit_code(self), STILL_ACTIVE);
	assert_true(CloseHandle(self));
}

static void a_child_that_ended_tells_its_code_and_stays_to_be_reaped(void **state)
{
	static const int codes[] = { 0, 3, 255 };

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		pid_t child = child_that_exits(codes[i]);
		HANDLE handle = open_handle(child);
		int status = -1;

		wait_zombie(child);
		assert_int_equal(exit_code(handle), codes[i]);
		assert_int_equal(exit_code(handle), codes[i]);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(WEXITSTATUS(status), codes[i]);
		assert_true(CloseHandle(handle));
	}
}

static void death_by_a_signal_is_128_plus_its_number(void **state)
{
	pid_t child = child_that_waits();
	HANDLE handle = open_handle(child);

	(void)state;
	assert_int_equal(exit_code(handle), STILL_ACTIVE);
	assert_int_equal(kill(child, SIGTERM), 0);
	wait_zombie(child);
	assert_int_equal(exit_code(handle), 128 + SIGTERM);
	reap(child);
	assert_true(CloseHandle(handle));
}

/** Whether this kernel keeps the exit code of what an open pidfd stood for: since Linux 6.15. */
static bool kernel_keeps_exit_codes(HANDLE of_reaped)
{
	struct {
		uint64_t mask;
		uint64_t others[7];
	} info = { .mask = 1 << 3 }; // PIDFD_INFO_EXIT

	// PIDFD_GET_INFO
	return ioctl((int)(intptr_t)of_reaped, _IOWR(0xFF, 11, info), &info) == 0 &&
	       (info.mask & 1 << 3);
}

static void after_reaping_the_code_is_kept_by_the_kernel_or_said_to_be_lost(void **state)
{
	pid_t child = child_that_exits(7);
	HANDLE handle = open_handle(child);
	DWORD code = 0;

	(void)state;
	reap(child);
	if (kernel_keeps_exit_codes(handle)) {
		assert_int_equal(exit_code(handle), 7);
	} else {
		assert_false(GetExitCodeProcess(handle, &code));
		assert_int_equal(GetLastError(), ERROR_NOT_FOUND);
		assert_non_null(strstr(PssxErrorText(), "no longer known"));
	}
	assert_true(CloseHandle(handle));
}

/** A child that has a zombie child, whose pid it says, and waits. */
static pid_t parent_of_zombie(int code, uid_t uid, pid_t *zombie_ret)
{
	int ends[2];
	pid_t parent, zombie;

	assert_int_equal(pipe(ends), 0);
	parent = harness_fork();
	if (parent == 0) {
		siginfo_t info;

		if (uid && setuid(uid) < 0)
			_exit(1);
		zombie = child_that_exits(code);
		waitid(P_PID, (id_t)zombie, &info, WEXITED | WNOWAIT);
		if (write(ends[1], &zombie, sizeof(zombie)) != sizeof(zombie))
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ends[0], zombie_ret, sizeof(*zombie_ret)), sizeof(*zombie_ret));
	close(ends[0]);
	close(ends[1]);
	return parent;
}

static void a_zombie_of_another_parent_tells_its_code(void **state)
{
	pid_t zombie, parent = parent_of_zombie(42, 0, &zombie);
	HANDLE handle = open_handle(zombie);

	(void)state;
	assert_int_equal(exit_code(handle), 42);
	assert_true(CloseHandle(handle));
	kill(parent, SIGKILL);
	reap(parent);
}

static void a_zombies_code_that_we_may_not_see_is_denied_and_never_0(void **state)
{
	pid_t zombie, parent, child;
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: needs root, to become another user\n");
		return;
	}
	parent = parent_of_zombie(42, 0, &zombie);
	child = harness_fork();
	if (child == 0) {
		HANDLE handle = open_handle(zombie);
		DWORD code = 1;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		_exit(!GetExitCodeProcess(handle, &code) && GetLastError() == ERROR_ACCESS_DENIED &&
				      code == 1
			      ? 0
			      : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	kill(parent, SIGKILL);
	reap(parent);
}

// What waitid(2) tells a parent needs no right to look.
static void a_child_of_another_user_tells_its_code_to_its_parent(void **state)
{
	pid_t child;
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: needs root, to become another user\n");
		return;
	}
	child = harness_fork();
	if (child == 0) {
		pid_t zombie = child_that_exits(9);
		HANDLE handle = open_handle(zombie);
		DWORD code = 0;

		wait_zombie(zombie);
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		_exit(GetExitCodeProcess(handle, &code) && code == 9 ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void what_is_no_process_has_no_exit_code(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS without = harness_capture(target, PSS_CAPTURE_THREADS);

	(void)state;
	assert_no_exit_code(NULL, ERROR_INVALID_HANDLE);
	assert_no_exit_code((HANDLE)(intptr_t)target->answers, ERROR_INVALID_HANDLE);
	assert_no_exit_code((HANDLE)without, ERROR_INVALID_HANDLE);
	assert_false(GetExitCodeProcess(target_handle(target), NULL));
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	harness_free_snapshot(without);
}

static void a_clone_is_still_active_until_it_is_ended(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	HANDLE clone = harness_clone(snapshot);
	uint64_t since = harness_now_ns();

	(void)state;
	assert_int_equal(exit_code(clone), STILL_ACTIVE);
	assert_int_equal(exit_code((HANDLE)snapshot), STILL_ACTIVE);
	assert_true(TerminateProcess(clone, 5));
	while (exit_code(clone) == STILL_ACTIVE)
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("a terminated clone is still active");
	assert_int_equal(exit_code(clone), 128 + SIGKILL);
	assert_int_equal(exit_code(target_handle(target)), STILL_ACTIVE);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void a_clone_that_died_before_it_was_asked_for_tells_its_end(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	PSSX_PROCESS process = { .Size = sizeof(process) };
	FILETIME times[4];
	pid_t clone;
	DWORD code;

	(void)state;
	// Asked of the record alone: the library must not have looked at the clone.
	assert_success(PssxQueryProcess(snapshot, &process));
	clone = process.ClonePid;
	assert_int_equal(kill(clone, SIGKILL), 0);
	wait_state(clone, 'Z');
	assert_int_equal(GetProcessId((HANDLE)snapshot), clone);
	assert_int_equal(exit_code((HANDLE)snapshot), 128 + SIGKILL);
	assert_true(GetProcessTimes((HANDLE)snapshot, &times[0], &times[1], &times[2], &times[3]));
	// The next capture has it reaped: nothing is left to tell.
	harness_free_snapshot(harness_capture(target, PSS_CAPTURE_VA_CLONE));
	harness_wait_gone(clone);
	assert_false(GetExitCodeProcess((HANDLE)snapshot, &code));
	assert_int_equal(GetLastError(), ERROR_NOT_FOUND);
	assert_false(GetProcessTimes((HANDLE)snapshot, &times[0], &times[1], &times[2], &times[3]));
	assert_int_equal(GetLastError(), ERROR_NOT_FOUND);
	harness_free_snapshot(snapshot);
}

struct times {
	uint64_t created, ended, kernel, user;
};

static uint64_t ticks(FILETIME time)
{
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

static struct times times_of(HANDLE handle)
{
	FILETIME created, ended, kernel, user;

	if (!GetProcessTimes(handle, &created, &ended, &kernel, &user))
		harness_fail("GetProcessTimes: %u: %s", GetLastError(), PssxErrorText());
	return (struct times){ ticks(created), ticks(ended), ticks(kernel), ticks(user) };
}

static void the_creation_time_is_the_very_value_of_the_snapshot(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	const HANDLE handles[] = { target_handle(target), GetCurrentProcess() };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		PSS_PROCESS_INFORMATION information;
		HPSS snapshot = NULL;

		assert_success(PssCaptureSnapshot(handles[i], PSS_CAPTURE_NONE, 0, &snapshot));
		assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION,
						&information, sizeof(information)));
		assert_int_equal(times_of(handles[i]).created, ticks(information.CreateTime));
		assert_int_equal(times_of(handles[i]).ended, 0);
		harness_free_snapshot(snapshot);
	}
}

/** utime and stime of /proc/PID/stat, in ticks of FILETIME. */
static void times_in_proc(pid_t pid, uint64_t *kernel, uint64_t *user)
{
	unsigned long long values[2];
	char path[64], *stat;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	stat = harness_read_file(path);
	assert_non_null(stat);
	assert_int_equal(sscanf(strrchr(stat, ')'),
				") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
				&values[0], &values[1]),
			 2);
	free(stat);
	*user = values[0] * TICKS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK);
	*kernel = values[1] * TICKS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK);
}

static void cpu_times_are_those_of_proc_and_finer(void **state)
{
	_cleanup_target_ struct target *target = target_start("busy", "2", NULL);
	uint64_t tick = TICKS_PER_SECOND / (uint64_t)sysconf(_SC_CLK_TCK);
	struct times first, second;
	uint64_t before[2], after[2];

	(void)state;
	// Long enough for /proc to count several ticks.
	do {
		target_wait_for_beat(target);
		times_in_proc(target->pid, &before[0], &before[1]);
	} while (before[1] < 10 * tick);
	first = times_of(target_handle(target));
	times_in_proc(target->pid, &after[0], &after[1]);
	assert_true(first.kernel + first.user + 2 * tick >= before[0] + before[1]);
	assert_true(first.kernel + first.user <= after[0] + after[1] + 2 * tick);
	assert_true(first.user > first.kernel);
	do
		second = times_of(target_handle(target));
	while (second.user + second.kernel == first.user + first.kernel);
	assert_true(second.user + second.kernel > first.user + first.kernel);
	assert_int_equal(second.created, first.created);
	// Never whole ticks of /proc, but by the rarest chance.
	assert_true((second.user + second.kernel) % tick != 0 ||
		    (first.user + first.kernel) % tick != 0);
}

static void a_zombie_has_the_times_it_ended_with(void **state)
{
	pid_t child = harness_fork();
	struct times first;
	FILETIME times[4];
	HANDLE handle;

	(void)state;
	if (child == 0) {
		uint64_t since = harness_now_ns();

		while (!harness_is_past(since, 50))
			;
		_exit(0);
	}
	handle = open_handle(child);
	wait_zombie(child);
	first = times_of(handle);
	assert_true(first.created > 0);
	assert_true(first.kernel + first.user > 0);
	struct times again = times_of(handle);
	assert_memory_equal(&again, &first, sizeof(first));
	reap(child);
	assert_false(GetProcessTimes(handle, &times[0], &times[1], &times[2], &times[3]));
	assert_int_equal(GetLastError(), ERROR_NOT_FOUND);
	assert_true(CloseHandle(handle));
}

static void a_null_pointer_is_refused_and_nothing_written(void **state)
{
	for (int missing = 0; missing < 4; missing++) {
		FILETIME times[4];
		FILETIME *pointers[4];

		(void)state;
		memset(times, 0xa5, sizeof(times));
		for (int i = 0; i < 4; i++)
			pointers[i] = i == missing ? NULL : &times[i];
		SetLastError(ERROR_SUCCESS);
		assert_false(GetProcessTimes(GetCurrentProcess(), pointers[0], pointers[1],
					     pointers[2], pointers[3]));
		assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
		for (size_t i = 0; i < sizeof(times); i++)
			assert_int_equal(((uint8_t *)times)[i], 0xa5);
	}
}

static void a_clone_has_times_of_its_own(void **state)
{
	_cleanup_target_ struct target *target = target_start("busy", "1", NULL);
	struct times of_target, of_clone, again;
	HPSS snapshot;

	(void)state;
	// More than a clone can use up on its way to sleep.
	do
		target_wait_for_beat(target);
	while (times_of(target_handle(target)).user < TICKS_PER_SECOND / 5);
	snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	wait_state((pid_t)GetProcessId(harness_clone(snapshot)), 'S');
	of_target = times_of(target_handle(target));
	of_clone = times_of(harness_clone(snapshot));
	assert_true(of_clone.created >= of_target.created);
	assert_true(of_clone.user + of_clone.kernel < of_target.user + of_target.kernel);
	// It never runs.
	target_wait_for_beat(target);
	again = times_of(harness_clone(snapshot));
	assert_memory_equal(&again, &of_clone, sizeof(again));
	harness_free_snapshot(snapshot);
}

static void times_of_what_is_no_process_are_refused(void **state)
{
	FILETIME times[4];

	(void)state;
	assert_false(GetProcessTimes(NULL, &times[0], &times[1], &times[2], &times[3]));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	assert_non_null(strstr(PssxErrorText(), "OpenProcess"));
}

static void terminating_what_has_ended_is_denied(void **state)
{
	pid_t child = child_that_waits();
	HANDLE handle = open_handle(child);
	int status;

	(void)state;
	assert_true(TerminateProcess(handle, 9));
	wait_zombie(child);
	for (int i = 0; i < 2; i++) {
		SetLastError(ERROR_SUCCESS);
		assert_false(TerminateProcess(handle, 9));
		assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
		if (i == 0)
			assert_int_equal(waitpid(child, &status, 0), child);
	}
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_true(CloseHandle(handle));
}

static void a_process_can_terminate_itself(void **state)
{
	(void)state;
	for (int is_opened = 0; is_opened < 2; is_opened++) {
		pid_t child = harness_fork();
		int status;

		if (child == 0) {
			HANDLE self = is_opened ? open_handle(getpid()) : GetCurrentProcess();

			(void)TerminateProcess(self, 0);
			_exit(1);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

static void every_handle_of_a_clone_terminates_the_clone_alone(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);

	(void)state;
	for (int which = 0; which < 3; which++) {
		HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
		pid_t clone = (pid_t)GetProcessId(harness_clone(snapshot));
		HANDLE copy = (HANDLE)(intptr_t)dup((int)(intptr_t)harness_clone(snapshot));
		const HANDLE handles[] = { (HANDLE)snapshot, harness_clone(snapshot), copy };
		uint64_t since = harness_now_ns();

		assert_true(TerminateProcess(handles[which], 0));
		while (exit_code(handles[which]) == STILL_ACTIVE)
			if (harness_is_past(since, HARNESS_PATIENCE_MS))
				harness_fail("clone %d was not terminated", clone);
		assert_false(TerminateProcess(handles[which], 0));
		assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
		assert_true(CloseHandle(copy));
		harness_free_snapshot(snapshot);
		harness_wait_gone(clone);
		target_wait_for_beat(target);
	}
	target_assert_unharmed(target);
}

static void another_users_process_is_not_terminated(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	pid_t child;
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: needs root, to become another user\n");
		return;
	}
	child = harness_fork();
	if (child == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(1);
		_exit(!TerminateProcess(target_handle(target), 0) &&
				      GetLastError() == ERROR_ACCESS_DENIED
			      ? 0
			      : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	target_wait_for_beat(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_running_process_is_still_active),
		cmocka_unit_test(a_child_that_ended_tells_its_code_and_stays_to_be_reaped),
		cmocka_unit_test(death_by_a_signal_is_128_plus_its_number),
		cmocka_unit_test(after_reaping_the_code_is_kept_by_the_kernel_or_said_to_be_lost),
		cmocka_unit_test(a_zombie_of_another_parent_tells_its_code),
		cmocka_unit_test(a_zombies_code_that_we_may_not_see_is_denied_and_never_0),
		cmocka_unit_test(a_child_of_another_user_tells_its_code_to_its_parent),
		cmocka_unit_test(what_is_no_process_has_no_exit_code),
		cmocka_unit_test(a_clone_is_still_active_until_it_is_ended),
		cmocka_unit_test(a_clone_that_died_before_it_was_asked_for_tells_its_end),
		cmocka_unit_test(the_creation_time_is_the_very_value_of_the_snapshot),
		cmocka_unit_test(cpu_times_are_those_of_proc_and_finer),
		cmocka_unit_test(a_zombie_has_the_times_it_ended_with),
		cmocka_unit_test(a_null_pointer_is_refused_and_nothing_written),
		cmocka_unit_test(a_clone_has_times_of_its_own),
		cmocka_unit_test(times_of_what_is_no_process_are_refused),
		cmocka_unit_test(terminating_what_has_ended_is_denied),
		cmocka_unit_test(a_process_can_terminate_itself),
		cmocka_unit_test(every_handle_of_a_clone_terminates_the_clone_alone),
		cmocka_unit_test(another_users_process_is_not_terminated),
	};

	harness_begin("test_companions");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
