// SPDX-License-Identifier: LGPL-2.1-or-later
// Receivers that make it hard: nothing is waited for without end, nothing is left in them, and what
// could not be done is said to be so.
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "harness_peer.h"

enum { SOON_MS = 3000 };

static HANDLE const self = (HANDLE)(intptr_t)-1;

static HPSS capture_self(void)
{
	HPSS snapshot = NULL;

	assert_success(PssCaptureSnapshot(self, PSS_CAPTURE_NONE, 0, &snapshot));
	return snapshot;
}

// Until the receiver has been quick enough at least once.
static void another_socket_in_place_of_ours_is_not_waited_for(void **state)
{
	struct target *target = target_start("full_socket", NULL);
	HPSS snapshot = capture_self();
	uint64_t since = harness_now_ns();
	DWORD code;

	(void)state;
	do {
		HPSS there = NULL;
		uint64_t start = harness_now_ns();

		code = PssDuplicateSnapshot(self, snapshot, target_handle(target), &there, 0);
		assert_false(harness_is_past(start, SOON_MS));
		if (code == ERROR_SUCCESS)
			(void)PssFreeSnapshot(target_handle(target), there);
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("the receiver was never quick enough");
	} while (code != ERROR_INVALID_DATA);
	harness_free_snapshot(snapshot);
	target_stop(target);
}

// It is held by our own helper, which must not wait for itself.
static void a_leader_that_does_not_stop_is_given_up_soon(void **state)
{
	struct target *target = target_start("vfork", "leader", NULL);
	HPSS snapshot = capture_self(), there = (HPSS)(intptr_t)-7;
	uint64_t start;

	(void)state;
	harness_wait_for_state(target->pid, 'D');
	start = harness_now_ns();
	assert_int_equal(PssDuplicateSnapshot(self, snapshot, target_handle(target), &there, 0),
			 ERROR_NO_SYSTEM_RESOURCES);
	assert_false(harness_is_past(start, SOON_MS));
	assert_false(patient_is_traced(target->pid));
	assert_int_equal((intptr_t)there, -7);
	target_ask(target, "release");
	assert_success(PssDuplicateSnapshot(self, snapshot, target_handle(target), &there, 0));
	assert_success(PssFreeSnapshot(target_handle(target), there));
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
	target_stop(target);
}

static pid_t start_with_lock(int file, const int *to_close)
{
	struct flock lock = { .l_type = F_WRLCK };
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = harness_fork();
	if (pid == 0) {
		if (fcntl(file, F_SETLK, &lock) < 0)
			_exit(1);
		for (; *to_close >= 0; to_close++)
			close(*to_close);
		(void)!write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return pid;
}

static pid_t who_locks(int file)
{
	struct flock lock = { .l_type = F_WRLCK };

	assert_int_equal(fcntl(file, F_GETLK, &lock), 0);
	return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

// Closing any descriptor of a file gives up the locks on it: a duplicate must not be moved.
static void a_receiver_keeps_its_locks_whichever_numbers_are_free(void **state)
{
	static const int free_ones[][4] = { { -1 },       { 0, -1 },      { 1, -1 },
					    { 2, -1 },    { 0, 1, -1 },   { 0, 2, -1 },
					    { 1, 2, -1 }, { 0, 1, 2, -1 } };
	char name[] = "/tmp/procsnap-locked-XXXXXX";
	int file = mkostemp(name, O_CLOEXEC);

	(void)state;
	assert_true(file >= 0);
	unlink(name);
	for (size_t i = 0; i < sizeof(free_ones) / sizeof(free_ones[0]); i++) {
		pid_t pid = start_with_lock(file, free_ones[i]);
		HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)pid), there = NULL;
		size_t fds = harness_count_fds(pid);

		assert_int_equal(who_locks(file), pid);
		assert_true(DuplicateHandle(self, (HANDLE)(intptr_t)file, process, &there, 0, FALSE,
					    DUPLICATE_SAME_ACCESS));
		assert_int_equal(who_locks(file), pid);
		assert_true((intptr_t)there >= 3);
		assert_int_equal(harness_count_fds(pid), fds + 1);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_true(CloseHandle(process));
	}
	close(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_socket_in_place_of_ours_is_not_waited_for),
		cmocka_unit_test(a_leader_that_does_not_stop_is_given_up_soon),
		cmocka_unit_test(a_receiver_keeps_its_locks_whichever_numbers_are_free),
	};

	harness_begin("test_remote_hard");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
