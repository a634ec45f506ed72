// SPDX-License-Identifier: LGPL-2.1-or-later
// Freeing what another process holds: by PSS_DUPLICATE_CLOSE_SOURCE and by PssFreeSnapshot; which
// flags and which duplicates allow it, and that the wrong process is left alone.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "harness_peer.h"

static HPSS capture_for_others(const struct target *target, int commands)
{
	(void)commands;
	return harness_capture(target, PEER_FLAGS | PSS_CREATE_USE_VM_ALLOCATIONS);
}

static void close_source_needs_vm_allocations(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = harness_capture(target, PEER_FLAGS);
	HPSS copy = (HPSS)(intptr_t)-7;
	size_t fds = harness_count_fds(getpid());

	(void)state;
	assert_int_equal(PssDuplicateSnapshot(peer_self, snapshot, peer_self, &copy,
					      PSS_DUPLICATE_CLOSE_SOURCE),
			 ERROR_NOT_SUPPORTED);
	assert_int_equal((intptr_t)copy, -7);
	assert_int_equal(harness_count_fds(getpid()), fds);
	assert_true(peer_is_usable(snapshot, target));
	harness_free_snapshot(snapshot);

	snapshot = harness_capture(target, PEER_FLAGS | PSS_CREATE_USE_VM_ALLOCATIONS);
	copy = peer_duplicate(peer_self, snapshot, peer_self, PSS_DUPLICATE_CLOSE_SOURCE);
	assert_false(peer_is_open(snapshot));
	assert_true(peer_is_usable(copy, target));
	harness_free_snapshot(copy);
	target_assert_unharmed(target);
}

static void close_source_in_another_process(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	struct peer plainly = peer_start(peer_capture, target);
	struct peer peer = peer_start(capture_for_others, target);
	size_t fds;
	HPSS copy;
	pid_t clone;

	(void)state;
	peer_hear(&plainly);
	copy = (HPSS)(intptr_t)-7;
	fds = harness_count_fds(plainly.pid);
	assert_int_equal(PssDuplicateSnapshot(plainly.process, plainly.snapshot, peer_self, &copy,
					      PSS_DUPLICATE_CLOSE_SOURCE),
			 ERROR_NOT_SUPPORTED);
	assert_int_equal(harness_count_fds(plainly.pid), fds);
	copy = peer_duplicate(plainly.process, plainly.snapshot, peer_self, 0);
	peer_stop(&plainly);
	harness_free_snapshot(copy);

	peer_hear(&peer);
	fds = harness_count_fds(peer.pid);
	copy = peer_duplicate(peer.process, peer.snapshot, peer_self, PSS_DUPLICATE_CLOSE_SOURCE);
	assert_int_equal(harness_count_fds(peer.pid), fds - 1);
	assert_true(peer_is_usable(copy, target));
	clone = peer_clone_pid(copy);
	harness_free_snapshot(copy);
	harness_wait_gone(clone);
	peer_stop(&peer);
	target_assert_unharmed(target);
}

static void close_source_happens_even_if_duplicating_fails(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	_cleanup_target_ struct target *traced = target_start("leader_waits", "read", NULL);
	pid_t tracer = harness_start_tracer(traced->pid);
	struct peer peer = peer_start(capture_for_others, target);
	HPSS snapshot = harness_capture(target, PEER_FLAGS | PSS_CREATE_USE_VM_ALLOCATIONS);
	HPSS copy = (HPSS)(intptr_t)-7;
	pid_t clone = peer_clone_pid(snapshot);
	size_t fds;

	(void)state;
	assert_int_equal(PssDuplicateSnapshot(peer_self, snapshot, target_handle(traced), &copy,
					      PSS_DUPLICATE_CLOSE_SOURCE),
			 ERROR_BUSY);
	assert_false(peer_is_open(snapshot));

	peer_hear(&peer);
	fds = harness_count_fds(peer.pid);
	assert_int_equal(PssDuplicateSnapshot(peer.process, peer.snapshot, target_handle(traced),
					      &copy, PSS_DUPLICATE_CLOSE_SOURCE),
			 ERROR_BUSY);
	assert_int_equal(harness_count_fds(peer.pid), fds - 1);
	assert_int_equal((intptr_t)copy, -7);
	peer_stop(&peer);
	harness_wait_gone(clone);
	harness_end_tracer(tracer);
	target_assert_unharmed(traced);
	target_assert_unharmed(target);
}

// If the source can't be closed, nothing is changed: the duplicate is taken back.
static void a_source_that_cannot_be_closed_is_an_error(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	_cleanup_target_ struct target *keeper = target_start("leader_waits", "read", NULL);
	struct peer peer = peer_start(capture_for_others, target);
	HPSS copy = (HPSS)(intptr_t)-7;
	size_t fds = harness_count_fds(getpid()), kept = harness_count_fds(keeper->pid);
	pid_t tracer;

	(void)state;
	peer_hear(&peer);
	tracer = harness_start_tracer(peer.pid);
	assert_int_equal(PssDuplicateSnapshot(peer.process, peer.snapshot, peer_self, &copy,
					      PSS_DUPLICATE_CLOSE_SOURCE),
			 ERROR_BUSY);
	assert_int_equal(PssDuplicateSnapshot(peer.process, peer.snapshot, target_handle(keeper),
					      &copy, PSS_DUPLICATE_CLOSE_SOURCE),
			 ERROR_BUSY);
	assert_int_equal((intptr_t)copy, -7);
	assert_int_equal(harness_count_fds(getpid()), fds);
	assert_int_equal(harness_count_fds(keeper->pid), kept);
	harness_end_tracer(tracer);
	copy = peer_duplicate(peer.process, peer.snapshot, peer_self, PSS_DUPLICATE_CLOSE_SOURCE);
	assert_true(peer_is_usable(copy, target));
	peer_stop(&peer);
	harness_free_snapshot(copy);
	target_assert_unharmed(keeper);
	target_assert_unharmed(target);
}

static void a_free_where_it_was_captured_needs_vm_allocations(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	const peer_work works[] = { peer_capture, capture_for_others };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct peer peer = peer_start(works[i], target);
		HPSS copy;
		pid_t clone;

		peer_hear(&peer);
		copy = peer_duplicate(peer.process, peer.snapshot, peer_self, 0);
		clone = peer_clone_pid(copy);
		harness_free_snapshot(copy);
		assert_int_equal(PssFreeSnapshot(peer.process, peer.snapshot),
				 i == 0 ? ERROR_NOT_SUPPORTED : ERROR_SUCCESS);
		if (i == 0) {
			assert_int_equal(kill(clone, 0), 0);
			copy = peer_duplicate(peer.process, peer.snapshot, peer_self, 0);
			assert_true(peer_is_usable(copy, target));
		} else {
			// The clone is seen out, and its zombie reaped, as by a free of one's own.
			assert_int_equal(kill(clone, 0), -1);
			target_assert_unharmed(target);
			assert_int_equal(PssFreeSnapshot(peer.process, peer.snapshot),
					 ERROR_INVALID_HANDLE);
		}
		peer_stop(&peer);
		// Not before: whom a killed holder leaves a clone to is another test.
		if (i == 0)
			harness_free_snapshot(copy);
	}
}

static void what_was_put_there_can_be_freed_there(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	_cleanup_target_ struct target *keeper = target_start("plain", NULL);
	const uint32_t kinds[] = { 0, PSS_CREATE_USE_VM_ALLOCATIONS };

	(void)state;
	for (int i = 0; i < 2; i++) {
		HPSS snapshot = harness_capture(target, PEER_FLAGS | kinds[i]);
		HPSS there = peer_duplicate(peer_self, snapshot, target_handle(keeper), 0);
		pid_t clone = peer_clone_pid(snapshot);

		harness_free_snapshot(snapshot);
		assert_int_equal(kill(clone, 0), 0);
		assert_success(PssFreeSnapshot(target_handle(keeper), there));
		assert_int_equal(kill(clone, 0), -1);
	}
	target_assert_unharmed(target);
	target_assert_unharmed(keeper);
}

static void a_free_by_the_captured_process_fails_and_touches_nothing(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_waits", "read", NULL);
	HPSS snapshot = harness_capture(target, PEER_FLAGS | PSS_CREATE_USE_VM_ALLOCATIONS);
	struct patient *patient;

	(void)state;
	target_wait_asleep(target);
	patient = patient_record(target->pid);
	assert_int_equal(PssFreeSnapshot(target_handle(target), snapshot), ERROR_INVALID_HANDLE);
	// Numbers coincide easily: under these the target has a file, pipes.
	for (intptr_t number = 1; number < 5; number++)
		assert_int_equal(PssFreeSnapshot(target_handle(target), (HPSS)number),
				 ERROR_INVALID_HANDLE);
	patient_assert_same(patient);
	patient_free(patient);
	assert_true(peer_is_open(snapshot));
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static HPSS capture_itself(const struct target *target, int commands)
{
	HPSS snapshot = NULL;

	(void)target;
	(void)commands;
	assert_success(PssCaptureSnapshot(peer_self, PSS_CREATE_USE_VM_ALLOCATIONS, 0, &snapshot));
	return snapshot;
}

// Under the number of our snapshot of it, the captured process may hold one of its own.
static void a_free_by_the_captured_process_spares_its_own_snapshot(void **state)
{
	struct peer peer = peer_start(capture_itself, NULL);
	HPSS snapshot = NULL;
	size_t fds;

	(void)state;
	peer_hear(&peer);
	assert_success(
		PssCaptureSnapshot(peer.process, PSS_CREATE_USE_VM_ALLOCATIONS, 0, &snapshot));
	if (snapshot != peer.snapshot) {
		assert_false(peer_is_open(peer.snapshot));
		assert_int_equal(dup2(peer_fd_of(snapshot), peer_fd_of(peer.snapshot)),
				 peer_fd_of(peer.snapshot));
		harness_free_snapshot(snapshot);
	}
	fds = harness_count_fds(peer.pid);
	assert_int_equal(PssFreeSnapshot(peer.process, peer.snapshot), ERROR_INVALID_HANDLE);
	assert_int_equal(harness_count_fds(peer.pid), fds);
	assert_true(peer_is_open(peer.snapshot));
	harness_free_snapshot(peer.snapshot);
	assert_success(PssFreeSnapshot(peer.process, peer.snapshot));
	assert_int_equal(harness_count_fds(peer.pid), fds - 1);
	peer_stop(&peer);
}

static void close_source_happens_even_if_the_receiver_has_ended(void **state)
{
	pid_t pid = harness_fork();
	HPSS snapshot = NULL, copy = (HPSS)(intptr_t)-7;
	HANDLE ended, handle = NULL;

	(void)state;
	if (pid == 0)
		for (;;)
			pause();
	ended = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)pid);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_success(PssCaptureSnapshot(peer_self, PSS_CREATE_USE_VM_ALLOCATIONS, 0, &snapshot));
	assert_int_equal(
		PssDuplicateSnapshot(peer_self, snapshot, ended, NULL, PSS_DUPLICATE_CLOSE_SOURCE),
		ERROR_INVALID_HANDLE);
	assert_int_equal(
		PssDuplicateSnapshot(peer_self, snapshot, NULL, &copy, PSS_DUPLICATE_CLOSE_SOURCE),
		ERROR_INVALID_HANDLE);
	assert_true(peer_is_open(snapshot));
	assert_int_equal(
		PssDuplicateSnapshot(peer_self, snapshot, ended, &copy, PSS_DUPLICATE_CLOSE_SOURCE),
		ERROR_INVALID_HANDLE);
	assert_false(peer_is_open(snapshot));
	assert_int_equal((intptr_t)copy, -7);
	handle = (HANDLE)(intptr_t)dup(STDERR_FILENO);
	assert_false(DuplicateHandle(peer_self, handle, ended, &handle, 0, FALSE,
				     DUPLICATE_CLOSE_SOURCE));
	assert_false(peer_is_open(handle));
	assert_true(CloseHandle(ended));
	SetLastError(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(close_source_needs_vm_allocations),
		cmocka_unit_test(close_source_in_another_process),
		cmocka_unit_test(close_source_happens_even_if_duplicating_fails),
		cmocka_unit_test(a_source_that_cannot_be_closed_is_an_error),
		cmocka_unit_test(a_free_where_it_was_captured_needs_vm_allocations),
		cmocka_unit_test(what_was_put_there_can_be_freed_there),
		cmocka_unit_test(a_free_by_the_captured_process_fails_and_touches_nothing),
		cmocka_unit_test(a_free_by_the_captured_process_spares_its_own_snapshot),
		cmocka_unit_test(close_source_happens_even_if_the_receiver_has_ended),
	};

	harness_begin("test_remote_free");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
