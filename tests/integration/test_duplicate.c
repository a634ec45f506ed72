// SPDX-License-Identifier: LGPL-2.1-or-later
// Snapshots and handles across processes: a duplicate is a snapshot of its own, wherever it came
// from, and whoever has ended since; which flags allow what; nothing is left when the last has
// gone.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "harness.h"
#include "harness_peer.h"

static HPSS capture_and_duplicate_to_parent(const struct target *target, int commands)
{
	HPSS snapshot = harness_capture(target, PEER_FLAGS);
	HANDLE parent = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)getppid());
	HPSS there = NULL;

	(void)commands;
	if (PssDuplicateSnapshot(peer_self, snapshot, parent, &there, PSS_DUPLICATE_NONE)) {
		print_error("%s\n", PssxErrorText());
		_exit(1);
	}
	return there;
}

// Waits for a handle to be put into it, and says NULL if that is no good snapshot of @target.
static HPSS use_what_comes(const struct target *target, int commands)
{
	HPSS snapshot = NULL;

	if (read(commands, &snapshot, sizeof(snapshot)) != sizeof(snapshot))
		_exit(1);
	return peer_is_usable(snapshot, target) ? snapshot : NULL;
}

static void arguments_are_checked_in_order(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_NONE);
	HANDLE process = target_handle(target);
	HPSS copy = (HPSS)(intptr_t)-7;
	size_t fds = harness_count_fds(getpid());
	const PSS_DUPLICATE_FLAGS unknown = (PSS_DUPLICATE_FLAGS)2;

	(void)state;
	// Source process, snapshot, target process, flags, result; the first that is wrong counts.
	assert_int_equal(PssDuplicateSnapshot(NULL, NULL, NULL, NULL, unknown),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssDuplicateSnapshot((HANDLE)snapshot, snapshot, peer_self, &copy, 0),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssDuplicateSnapshot(peer_self, NULL, peer_self, NULL, unknown),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssDuplicateSnapshot(peer_self, (HPSS)process, peer_self, &copy, 0),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(
		PssDuplicateSnapshot(peer_self, (HPSS)(intptr_t)0x7fffffff, peer_self, &copy, 0),
		ERROR_INVALID_HANDLE);
	assert_int_equal(PssDuplicateSnapshot(peer_self, (HPSS)(intptr_t)-7, peer_self, &copy, 0),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssDuplicateSnapshot(peer_self, snapshot, NULL, NULL, unknown),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssDuplicateSnapshot(peer_self, snapshot, peer_self, &copy, unknown),
			 ERROR_INVALID_PARAMETER);
	assert_int_equal(PssDuplicateSnapshot(peer_self, snapshot, peer_self, NULL, 0),
			 ERROR_INVALID_PARAMETER);
	// The target has descriptors 0 to 2, and they are no snapshots.
	for (intptr_t number = 0; number < 3; number++)
		assert_int_equal(PssDuplicateSnapshot(process, (HPSS)number, peer_self, &copy, 0),
				 ERROR_INVALID_HANDLE);
	assert_int_equal((intptr_t)copy, -7);
	assert_int_equal(harness_count_fds(getpid()), fds);
	assert_true(peer_is_open(snapshot));
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void within_a_process(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PEER_FLAGS);
	pid_t clone = peer_clone_pid(snapshot);
	HANDLE real = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
	HPSS copy = peer_duplicate(peer_self, snapshot, peer_self, 0);
	HPSS second = peer_duplicate(real, copy, real, 0);

	(void)state;
	assert_ptr_not_equal(copy, snapshot);
	assert_true(fcntl(peer_fd_of(copy), F_GETFD) & FD_CLOEXEC);
	harness_free_snapshot(snapshot);
	assert_true(peer_is_usable(copy, target));
	harness_free_snapshot(copy);
	assert_true(peer_is_usable(second, target));
	harness_free_snapshot(second);
	harness_wait_gone(clone);
	assert_true(CloseHandle(real));
	target_assert_unharmed(target);
}

static void a_duplicate_outlives_source_and_target(void **state)
{
	struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PEER_FLAGS);
	HPSS copy = peer_duplicate(peer_self, snapshot, peer_self, 0);
	uint64_t address = target_value(target, "pattern");
	pid_t clone = peer_clone_pid(snapshot);

	(void)state;
	harness_free_snapshot(snapshot);
	target_stop(target);
	assert_int_equal(harness_read_clone_word(copy, address), PEER_PATTERN);
	harness_free_snapshot(copy);
	harness_wait_gone(clone);
}

// The parent is held meanwhile, by its own child, in the call in which it waits for the answer.
static void a_duplicate_outlives_the_process_that_captured(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	struct host *host = host_record();
	struct peer peer = peer_start(capture_and_duplicate_to_parent, target);
	pid_t clone;

	(void)state;
	peer_hear(&peer);
	peer_stop(&peer);
	assert_true(fcntl(peer_fd_of(peer.snapshot), F_GETFD) & FD_CLOEXEC);
	assert_true(peer_is_usable(peer.snapshot, target));
	clone = peer_clone_pid(peer.snapshot);
	harness_free_snapshot(peer.snapshot);
	harness_wait_gone(clone);
	host_assert_same(host);
	host_free(host);
	target_assert_unharmed(target);
}

static void from_another_process(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	struct peer peer = peer_start(peer_capture, target);
	struct patient *patient;
	HPSS copy;
	pid_t clone;

	(void)state;
	peer_hear(&peer);
	patient = patient_record(peer.pid);
	copy = peer_duplicate(peer.process, peer.snapshot, peer_self, 0);
	patient_assert_same(patient);
	patient_free(patient);
	peer_stop(&peer);
	assert_true(peer_is_usable(copy, target));
	clone = peer_clone_pid(copy);
	harness_free_snapshot(copy);
	harness_wait_gone(clone);
	target_assert_unharmed(target);
}

static void into_another_process_that_uses_it(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	struct peer peer = peer_start(use_what_comes, target);
	HPSS snapshot = harness_capture(target, PEER_FLAGS);
	pid_t clone = peer_clone_pid(snapshot);
	HPSS there = peer_duplicate(peer_self, snapshot, peer.process, 0);

	(void)state;
	harness_free_snapshot(snapshot);
	assert_int_equal(write(peer.commands, &there, sizeof(there)), sizeof(there));
	peer_hear(&peer);
	assert_ptr_equal(peer.snapshot, there);
	assert_int_equal(kill(clone, 0), 0);
	peer_stop(&peer);
	// Its last holder was killed: a zombie is left, for the next capture of the target.
	harness_wait_for_state(clone, 'Z');
	harness_free_snapshot(harness_capture(target, PEER_FLAGS));
	harness_wait_gone(clone);
	target_assert_unharmed(target);
}

static void between_two_other_processes(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	_cleanup_target_ struct target *keeper = target_start("plain", NULL);
	struct peer peer = peer_start(peer_capture, target);
	HPSS there, back;
	pid_t clone;

	(void)state;
	peer_hear(&peer);
	there = peer_duplicate(peer.process, peer.snapshot, target_handle(keeper), 0);
	peer_stop(&peer);
	back = peer_duplicate(target_handle(keeper), there, peer_self, 0);
	assert_true(peer_is_usable(back, target));
	clone = peer_clone_pid(back);
	harness_free_snapshot(back);
	assert_int_equal(kill(clone, 0), 0);
	// The keeper is no capturer: it was put there, so it may be freed there.
	assert_success(PssFreeSnapshot(target_handle(keeper), there));
	harness_wait_gone(clone);
	target_assert_unharmed(target);
	target_assert_unharmed(keeper);
}

// It may keep the captured process's own snapshot.
static void into_the_captured_process(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PEER_FLAGS);
	pid_t clone = peer_clone_pid(snapshot);
	HPSS there = peer_duplicate(peer_self, snapshot, target_handle(target), 0);

	(void)state;
	harness_free_snapshot(snapshot);
	assert_int_equal(kill(clone, 0), 0);
	assert_success(PssFreeSnapshot(target_handle(target), there));
	harness_wait_gone(clone);
	target_assert_unharmed(target);
}

// With its own PIDs and its own /proc, a receiver may not see the clone; it holds it all the same.
static HPSS use_in_other_namespaces(const struct target *target, int commands)
{
	HPSS snapshot = NULL;
	PSS_PROCESS_INFORMATION process;

	if (unshare(CLONE_NEWNS) < 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) < 0 ||
	    read(commands, &snapshot, sizeof(snapshot)) != sizeof(snapshot))
		_exit(1);
	if (PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &process, sizeof(process)) ||
	    !harness_find_thread(snapshot, target->pid, NULL, NULL) ||
	    peer_is_usable(snapshot, target))
		return NULL;
	// What a holder has borrowed itself, only it can give up.
	return CloseHandle(harness_clone(snapshot)) ? snapshot : NULL;
}

static void into_other_namespaces(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PEER_FLAGS), there;
	int old = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	pid_t clone = peer_clone_pid(snapshot);
	struct peer peer;

	(void)state;
	// Of the children born from here on.
	if (unshare(CLONE_NEWPID) < 0) {
		close(old);
		harness_free_snapshot(snapshot);
		print_message("skipped: needs the right to make a PID namespace\n");
		skip();
	}
	assert_true(CloseHandle(harness_clone(snapshot)));
	peer_unwanted_fd = peer_fd_of(snapshot);
	peer = peer_start(use_in_other_namespaces, target);
	peer_unwanted_fd = -1;
	assert_int_equal(setns(old, CLONE_NEWPID), 0);
	close(old);
	there = peer_duplicate(peer_self, snapshot, peer.process, 0);
	harness_free_snapshot(snapshot);
	assert_int_equal(write(peer.commands, &there, sizeof(there)), sizeof(there));
	peer_hear(&peer);
	assert_ptr_equal(peer.snapshot, there);
	assert_int_equal(kill(clone, 0), 0);
	assert_success(PssFreeSnapshot(peer.process, there));
	harness_wait_gone(clone);
	peer_stop(&peer);
	target_assert_unharmed(target);
}

static void a_duplicated_handle_of_the_clone_keeps_it(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PEER_FLAGS);
	pid_t clone = peer_clone_pid(snapshot);
	HANDLE copy = NULL;
	uint64_t word = 0;
	SIZE_T got = 0;

	(void)state;
	assert_true(DuplicateHandle(peer_self, harness_clone(snapshot), peer_self, &copy, 0, FALSE,
				    DUPLICATE_SAME_ACCESS));
	harness_free_snapshot(snapshot);
	assert_int_equal(GetProcessId(copy), clone);
	assert_true(ReadProcessMemory(copy, (void *)(uintptr_t)target_value(target, "pattern"),
				      &word, sizeof(word), &got));
	assert_int_equal(word, PEER_PATTERN);
	assert_int_equal(kill(clone, 0), 0);
	assert_true(CloseHandle(copy));
	assert_int_equal(kill(clone, 0), -1);
	target_assert_unharmed(target);
}

static void the_clone_lives_by_a_handle_in_another_process(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	_cleanup_target_ struct target *keeper = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PEER_FLAGS);
	pid_t clone = peer_clone_pid(snapshot);
	HANDLE there = NULL, back = NULL;

	(void)state;
	assert_true(DuplicateHandle(peer_self, harness_clone(snapshot), target_handle(keeper),
				    &there, 0, FALSE, DUPLICATE_SAME_ACCESS));
	harness_free_snapshot(snapshot);
	assert_true(DuplicateHandle(target_handle(keeper), there, peer_self, &back, 0, FALSE,
				    DUPLICATE_SAME_ACCESS | DUPLICATE_CLOSE_SOURCE));
	assert_int_equal(GetProcessId(back), clone);
	assert_true(TerminateProcess(back, 1));
	assert_true(CloseHandle(back));
	harness_wait_gone(clone);
	target_assert_unharmed(target);
	target_assert_unharmed(keeper);
}

static void any_descriptor_is_a_handle(void **state)
{
	_cleanup_target_ struct target *keeper = target_start("leader_waits", "epoll", NULL);
	struct patient *patient;
	HANDLE there = NULL, back = NULL;
	int ends[2];
	char byte = 0;

	(void)state;
	target_wait_asleep(keeper);
	patient = patient_record(keeper->pid);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_true(DuplicateHandle(peer_self, (HANDLE)(intptr_t)ends[1], target_handle(keeper),
				    &there, 0, FALSE, DUPLICATE_SAME_ACCESS));
	close(ends[1]);
	assert_true(DuplicateHandle(target_handle(keeper), there, peer_self, &back, 0, TRUE,
				    DUPLICATE_SAME_ACCESS));
	assert_false(fcntl(peer_fd_of(back), F_GETFD) & FD_CLOEXEC);
	// The usual way to close a handle of another process.
	assert_true(DuplicateHandle(target_handle(keeper), there, NULL, NULL, 0, FALSE,
				    DUPLICATE_CLOSE_SOURCE));
	patient_assert_same(patient);
	patient_free(patient);
	assert_int_equal(write(peer_fd_of(back), "y", 1), 1);
	assert_true(DuplicateHandle(peer_self, back, NULL, NULL, 0, FALSE, DUPLICATE_CLOSE_SOURCE));
	assert_int_equal(read(ends[0], &byte, 1), 1);
	assert_int_equal(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	target_assert_unharmed(keeper);
}

static void handles_of_processes(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HANDLE copy = NULL;

	(void)state;
	assert_true(DuplicateHandle(peer_self, target_handle(target), peer_self, &copy, 0, FALSE,
				    DUPLICATE_SAME_ACCESS));
	assert_int_equal(GetProcessId(copy), target->pid);
	assert_true(fcntl(peer_fd_of(copy), F_GETFD) & FD_CLOEXEC);
	assert_true(CloseHandle(copy));
	// The pseudo handle becomes a real one: of the process that it is meant in.
	assert_true(DuplicateHandle(peer_self, GetCurrentProcess(), peer_self, &copy, 0, FALSE,
				    DUPLICATE_SAME_ACCESS | DUPLICATE_CLOSE_SOURCE));
	assert_ptr_not_equal(copy, GetCurrentProcess());
	assert_int_equal(GetProcessId(copy), getpid());
	assert_true(CloseHandle(copy));
	assert_true(DuplicateHandle(target_handle(target), GetCurrentProcess(), peer_self, &copy, 0,
				    FALSE, DUPLICATE_SAME_ACCESS));
	assert_int_equal(GetProcessId(copy), target->pid);
	assert_true(CloseHandle(copy));
	target_assert_unharmed(target);
}

static void handles_are_checked(void **state)
{
	HANDLE copy = (HANDLE)(intptr_t)-7;
	size_t fds = harness_count_fds(getpid());
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	HANDLE handle = (HANDLE)(intptr_t)ends[0];
	assert_false(DuplicateHandle(NULL, handle, peer_self, &copy, 0, FALSE, 2));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	assert_false(DuplicateHandle(peer_self, NULL, peer_self, &copy, 0, FALSE, 2));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	assert_false(DuplicateHandle(peer_self, (HANDLE)(intptr_t)0x7ffffff0, peer_self, &copy, 0,
				     FALSE, 2));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	assert_false(DuplicateHandle(peer_self, handle, handle, &copy, 0, FALSE, 2));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	assert_false(DuplicateHandle(peer_self, handle, peer_self, NULL, 0, FALSE, 2));
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	assert_false(DuplicateHandle(peer_self, handle, peer_self, &copy, 0, FALSE, 4));
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	assert_false(DuplicateHandle(peer_self, handle, NULL, NULL, 0, FALSE,
				     4 | DUPLICATE_CLOSE_SOURCE));
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	assert_int_equal((intptr_t)copy, -7);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
	assert_int_equal(harness_count_fds(getpid()), fds);
	SetLastError(0);
}

static void errno_and_last_error_stay(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_NONE);
	HPSS there = NULL;

	(void)state;
	SetLastError(4711);
	errno = 42;
	assert_int_equal(PssDuplicateSnapshot(peer_self, NULL, peer_self, &there, 0),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(errno, 42);
	assert_success(PssDuplicateSnapshot(peer_self, snapshot, target_handle(target), &there, 0));
	assert_int_equal(errno, 42);
	assert_success(PssFreeSnapshot(target_handle(target), there));
	assert_int_equal(errno, 42);
	assert_int_equal(GetLastError(), 4711);
	SetLastError(0);
	harness_free_snapshot(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arguments_are_checked_in_order),
		cmocka_unit_test(within_a_process),
		cmocka_unit_test(a_duplicate_outlives_source_and_target),
		cmocka_unit_test(a_duplicate_outlives_the_process_that_captured),
		cmocka_unit_test(from_another_process),
		cmocka_unit_test(into_another_process_that_uses_it),
		cmocka_unit_test(between_two_other_processes),
		cmocka_unit_test(into_the_captured_process),
		cmocka_unit_test(into_other_namespaces),
		cmocka_unit_test(a_duplicated_handle_of_the_clone_keeps_it),
		cmocka_unit_test(the_clone_lives_by_a_handle_in_another_process),
		cmocka_unit_test(any_descriptor_is_a_handle),
		cmocka_unit_test(handles_of_processes),
		cmocka_unit_test(handles_are_checked),
		cmocka_unit_test(errno_and_last_error_stay),
	};

	harness_begin("test_duplicate");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
