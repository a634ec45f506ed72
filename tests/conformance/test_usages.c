// SPDX-License-Identifier: LGPL-2.1-or-later
// The documented usages, as programs do them on Windows, from capture to free.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../integration/pass_fd.h"
#include "conformance.h"

static const uint64_t first_word = 0x9e3779b97f4a7c15;

static struct target *target;

static int start_target(void **state)
{
	(void)state;
	target = target_start("plain", "2", NULL);
	return 0;
}

static int stop_target(void **state)
{
	(void)state;
	target_assert_unharmed(target);
	target_stop(target);
	return 0;
}

// The loop of the overview: success, use it and go on; no more items, done; else an error.
static unsigned walk(HPSS snapshot, PSS_WALK_INFORMATION_CLASS class)
{
	HPSSWALK marker = NULL;
	unsigned count = 0;
	union any entry;
	DWORD code;

	assert_success(PssWalkMarkerCreate(NULL, &marker));
	while ((code = PssWalkSnapshot(snapshot, class, marker, &entry, walk_lengths[class])) ==
	       ERROR_SUCCESS)
		count++;
	assert_int_equal(code, ERROR_NO_MORE_ITEMS);
	assert_success(PssWalkMarkerFree(marker));
	return count;
}

static DWORD query_count(HPSS snapshot, PSS_QUERY_INFORMATION_CLASS class)
{
	union any value;

	assert_success(PssQuerySnapshot(snapshot, class, &value, query_lengths[class]));
	return value.count;
}

static void capture_query_all_walk_all_free(void **state)
{
	// As dump writers ask for it.
	const uint32_t flags = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES |
			       PSS_CAPTURE_HANDLE_NAME_INFORMATION |
			       PSS_CAPTURE_HANDLE_BASIC_INFORMATION |
			       PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION |
			       PSS_CAPTURE_HANDLE_TRACE | PSS_CAPTURE_THREADS |
			       PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_THREAD_CONTEXT_EXTENDED |
			       PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION |
			       PSS_CREATE_BREAKAWAY | PSS_CREATE_BREAKAWAY_OPTIONAL |
			       PSS_CREATE_USE_VM_ALLOCATIONS | PSS_CREATE_RELEASE_SECTION;
	HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)target->pid);
	HPSS snapshot = NULL;

	(void)state;
	assert_non_null(process);
	assert_success(
		PssCaptureSnapshot(process, (PSS_CAPTURE_FLAGS)flags, CONTEXT_ALL, &snapshot));
	assert_non_null(snapshot);
	assert_true(query_count(snapshot, PSS_QUERY_PROCESS_INFORMATION) == STILL_ACTIVE);
	assert_int_not_equal(query_count(snapshot, PSS_QUERY_VA_CLONE_INFORMATION), 0);
	assert_int_equal(query_count(snapshot, PSS_QUERY_VA_SPACE_INFORMATION),
			 walk(snapshot, PSS_WALK_VA_SPACE));
	assert_int_equal(query_count(snapshot, PSS_QUERY_HANDLE_INFORMATION),
			 walk(snapshot, PSS_WALK_HANDLES));
	assert_int_equal(query_count(snapshot, PSS_QUERY_THREAD_INFORMATION),
			 walk(snapshot, PSS_WALK_THREADS));
	assert_int_equal(query_count(snapshot, PSS_QUERY_THREAD_INFORMATION), 4);
	assert_int_equal(walk(snapshot, PSS_WALK_THREAD_NAME), 4);
	assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
	assert_true(CloseHandle(process));
}

static void freeze_keep_the_target_running_and_read_through_VaCloneHandle(void **state)
{
	struct target *changing = target_start("plain", "1", NULL);
	uint64_t pattern = target_value(changing, "pattern");
	HPSS snapshot = harness_capture(changing, PSS_CAPTURE_VA_CLONE);
	PSS_VA_CLONE_INFORMATION clone;
	uint64_t words[512];
	SIZE_T got = 0;

	(void)state;
	assert_success(
		PssQuerySnapshot(snapshot, PSS_QUERY_VA_CLONE_INFORMATION, &clone, sizeof(clone)));
	target_ask(changing, "change");
	target_wait_for_beat(changing);
	assert_int_equal(target_read_word(changing, pattern), ~first_word);
	assert_true(ReadProcessMemory(clone.VaCloneHandle, (void *)(uintptr_t)pattern, words,
				      sizeof(words), &got));
	assert_int_equal(got, sizeof(words));
	for (uint64_t i = 0; i < 512; i++)
		assert_int_equal(words[i], first_word * (i + 1));
	// The target may give its memory up altogether.
	target_ask(changing, "unmap");
	assert_true(ReadProcessMemory(clone.VaCloneHandle, (void *)(uintptr_t)pattern, words,
				      sizeof(words), NULL));
	assert_int_equal(words[0], first_word);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(changing);
	target_stop(changing);
}

static void *sleep_until_cancelled(void *arg)
{
	while (!arg)
		pause();
	return NULL;
}

static void list_own_threads(void **state)
{
	HPSS snapshot = NULL;
	HPSSWALK marker = NULL;
	PSS_THREAD_ENTRY entry;
	unsigned alive = 0, own = 0;
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, sleep_until_cancelled, NULL), 0);
	assert_success(PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_THREADS, 0, &snapshot));
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	while (PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, &entry, sizeof(entry)) ==
	       ERROR_SUCCESS) {
		if (entry.Flags & PSS_THREAD_FLAGS_TERMINATED || entry.ExitStatus != STILL_ACTIVE)
			continue;
		assert_int_equal(entry.ProcessId, GetCurrentProcessId());
		assert_null(entry.ContextRecord);
		assert_int_equal(entry.SizeOfContextRecord, 0);
		own += entry.ThreadId == (DWORD)syscall(SYS_gettid);
		alive++;
	}
	assert_int_equal(alive, 4);
	assert_int_equal(own, 1);
	assert_success(PssWalkMarkerFree(marker));
	assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
	for (int i = 0; i < 3; i++) {
		pthread_cancel(threads[i]);
		pthread_join(threads[i], NULL);
	}
}

static void list_own_handles(void **state)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	HPSS snapshot = NULL;
	HPSSWALK marker = NULL;
	PSS_HANDLE_ENTRY entry;
	unsigned found = 0;

	(void)state;
	assert_success(PssCaptureSnapshot(GetCurrentProcess(),
					  PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION,
					  0, &snapshot));
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	while (PssWalkSnapshot(snapshot, PSS_WALK_HANDLES, marker, &entry, sizeof(entry)) ==
	       ERROR_SUCCESS) {
		// Nothing that the capture itself opens.
		assert_true(fcntl((int)(intptr_t)entry.Handle, F_GETFD) >= 0);
		if ((int)(intptr_t)entry.Handle != fd)
			continue;
		assert_true(entry.Flags & PSS_HANDLE_HAVE_NAME);
		assert_int_equal(entry.ObjectNameLength, 2 * strlen("/dev/null"));
		assert_memory_equal(entry.ObjectName, u"/dev/null", entry.ObjectNameLength);
		found++;
	}
	assert_int_equal(found, 1);
	assert_success(PssWalkMarkerFree(marker));
	assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
	close(fd);
}

static void getppid_by_snapshot(void **state)
{
	PSS_PROCESS_INFORMATION information;
	HPSS snapshot = NULL;

	(void)state;
	assert_success(PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_NONE, 0, &snapshot));
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &information,
					sizeof(information)));
	assert_int_equal(information.ProcessId, getpid());
	assert_int_equal(information.ParentProcessId, getppid());
	assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
}

static void kill_the_clone_after_the_free_by_a_handle_of_ones_own(void **state)
{
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	DWORD pid = GetProcessId(harness_clone(snapshot));
	HANDLE own = OpenProcess(PROCESS_TERMINATE, FALSE, pid);

	(void)state;
	assert_non_null(own);
	harness_free_snapshot(snapshot);
	// Gone with the snapshot: there is nothing left to kill, and nothing else is.
	harness_wait_gone((pid_t)pid);
	assert_false(TerminateProcess(own, 0));
	assert_true(CloseHandle(own));
}

// What another process captured, which has died since.
static void use_inherited(HPSS snapshot)
{
	PSS_PROCESS_INFORMATION information;
	uint64_t pattern = target_value(target, "pattern");

	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &information,
					sizeof(information)));
	assert_int_equal(information.ProcessId, target->pid);
	assert_int_equal(walk(snapshot, PSS_WALK_THREADS), 4);
	assert_int_equal(harness_read_clone_word(snapshot, pattern), first_word);
}

static void reap(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		harness_fail("the first process ended with %#x", status);
}

static void hand_a_snapshot_to_another_process_over_a_socket(void **state)
{
	HPSS snapshot;
	int sockets[2];
	pid_t child, clone;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	child = harness_fork();
	if (child == 0) {
		_exit(pass_fd(sockets[1], (int)(intptr_t)harness_capture(target, every_flag)) ? 0
											      : 1);
	}
	snapshot = (HPSS)(intptr_t)receive_fd(sockets[0]);
	reap(child);
	use_inherited(snapshot);
	clone = (pid_t)GetProcessId(harness_clone(snapshot));
	harness_free_snapshot(snapshot);
	harness_wait_gone(clone);
	close(sockets[0]);
	close(sockets[1]);
}

static void duplicate_into(int pipe_fd, pid_t receiver_pid)
{
	HPSS snapshot = harness_capture(target, every_flag), value = NULL;
	HANDLE receiver = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)receiver_pid);
	DWORD code = PssDuplicateSnapshot(GetCurrentProcess(), snapshot, receiver, &value,
					  PSS_DUPLICATE_NONE);

	if (code != ERROR_SUCCESS)
		fprintf(stderr, "%u: %s\n", code, PssxErrorText());
	if (code != ERROR_SUCCESS || write(pipe_fd, &value, sizeof(value)) != sizeof(value))
		_exit(1);
	_exit(0);
}

static void hand_a_snapshot_to_another_process_by_PssDuplicateSnapshot(void **state)
{
	HPSS snapshot = NULL;
	int ends[2];
	pid_t child, clone;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	child = harness_fork();
	if (child == 0)
		duplicate_into(ends[1], getppid());
	close(ends[1]);
	if (read(ends[0], &snapshot, sizeof(snapshot)) != sizeof(snapshot))
		harness_fail("no snapshot came");
	reap(child);
	use_inherited(snapshot);
	clone = (pid_t)GetProcessId(harness_clone(snapshot));
	harness_free_snapshot(snapshot);
	harness_wait_gone(clone);
	close(ends[0]);
}

// Windows programs crash or hang in this one; it must do neither.
static void a_target_just_being_created_is_captured_or_refused(void **state)
{
	unsigned captured = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		pid_t child = harness_fork();
		HANDLE process;
		HPSS snapshot = NULL;

		if (child == 0) {
			execl("/bin/sleep", "sleep", "1000", (char *)NULL);
			_exit(1);
		}
		process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)child);
		assert_non_null(process);
		if (PssCaptureSnapshot(process, (PSS_CAPTURE_FLAGS)every_flag, CONTEXT_ALL,
				       &snapshot) == ERROR_SUCCESS) {
			assert_int_equal(walk(snapshot, PSS_WALK_THREADS), 1);
			harness_free_snapshot(snapshot);
			captured++;
		}
		assert_int_equal(kill(child, SIGKILL), 0);
		assert_int_equal(waitpid(child, NULL, 0), child);
		assert_true(CloseHandle(process));
	}
	assert_true(captured > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capture_query_all_walk_all_free),
		cmocka_unit_test(freeze_keep_the_target_running_and_read_through_VaCloneHandle),
		cmocka_unit_test(list_own_threads),
		cmocka_unit_test(list_own_handles),
		cmocka_unit_test(getppid_by_snapshot),
		cmocka_unit_test(kill_the_clone_after_the_free_by_a_handle_of_ones_own),
		cmocka_unit_test(hand_a_snapshot_to_another_process_over_a_socket),
		cmocka_unit_test(hand_a_snapshot_to_another_process_by_PssDuplicateSnapshot),
		cmocka_unit_test(a_target_just_being_created_is_captured_or_refused),
	};

	harness_begin("test_usages");
	return cmocka_run_group_tests(tests, start_target, stop_target);
}
