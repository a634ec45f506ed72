// SPDX-License-Identifier: LGPL-2.1-or-later
// Peers and tracers; see harness_peer.h.
#include "harness_peer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int peer_unwanted_fd = -1;

int peer_fd_of(const void *handle)
{
	return (int)(intptr_t)handle;
}

bool peer_is_open(const void *handle)
{
	return fcntl(peer_fd_of(handle), F_GETFD) >= 0;
}

pid_t peer_clone_pid(HPSS snapshot)
{
	return (pid_t)GetProcessId(harness_clone(snapshot));
}

bool peer_is_usable(HPSS snapshot, const struct target *target)
{
	PSS_VA_CLONE_INFORMATION clone = { 0 };
	uint64_t word = 0;
	SIZE_T got = 0;

	return PssQuerySnapshot(snapshot, PSS_QUERY_VA_CLONE_INFORMATION, &clone, sizeof(clone)) ==
		       ERROR_SUCCESS &&
	       ReadProcessMemory(clone.VaCloneHandle,
				 (void *)(uintptr_t)target_value(target, "pattern"), &word,
				 sizeof(word), &got) &&
	       word == PEER_PATTERN && harness_find_thread(snapshot, target->pid, NULL, NULL);
}

HPSS peer_duplicate(HANDLE from, HPSS snapshot, HANDLE to, PSS_DUPLICATE_FLAGS flags)
{
	HPSS copy = NULL;

	assert_success(PssDuplicateSnapshot(from, snapshot, to, &copy, flags));
	assert_true(peer_fd_of(copy) >= 3);
	return copy;
}

HPSS peer_capture(const struct target *target, int commands)
{
	(void)commands;
	return harness_capture(target, PEER_FLAGS);
}

struct peer peer_start(peer_work work, const struct target *target)
{
	int answers[2], commands[2];
	struct peer peer;

	assert_int_equal(pipe2(answers, O_CLOEXEC), 0);
	assert_int_equal(pipe2(commands, O_CLOEXEC), 0);
	// Not harness_fork(): in a PID namespace of its own a child does not see its parent.
	peer.pid = fork();
	if (peer.pid == 0) {
		HPSS snapshot;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(peer_unwanted_fd);
		snapshot = work(target, commands[0]);
		if (write(answers[1], &snapshot, sizeof(snapshot)) != sizeof(snapshot))
			_exit(1);
		for (;;)
			pause();
	}
	close(answers[1]);
	close(commands[0]);
	peer.answers = answers[0];
	peer.commands = commands[1];
	peer.process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)peer.pid);
	assert_non_null(peer.process);
	peer.snapshot = NULL;
	return peer;
}

void peer_hear(struct peer *peer)
{
	if (read(peer->answers, &peer->snapshot, sizeof(peer->snapshot)) != sizeof(peer->snapshot))
		harness_fail("the other process ended early");
	harness_wait_for_state(peer->pid, 'S');
}

void peer_stop(struct peer *peer)
{
	kill(peer->pid, SIGKILL);
	assert_int_equal(waitpid(peer->pid, NULL, 0), peer->pid);
	assert_true(CloseHandle(peer->process));
	close(peer->answers);
	close(peer->commands);
}

void harness_wait_for_state(pid_t tid, char wanted)
{
	uint64_t since = harness_now_ns();
	char found = '?';

	while (found != wanted) {
		char path[64], *stat, *end;

		snprintf(path, sizeof(path), "/proc/%d/stat", tid);
		stat = harness_read_file(path);
		end = stat ? strrchr(stat, ')') : NULL;
		found = end ? end[2] : '?';
		free(stat);
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("thread %d is in state %c, not %c", tid, found, wanted);
		harness_breathe();
	}
}

pid_t harness_start_tracer(pid_t pid)
{
	int ends[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = harness_fork();
	if (child == 0) {
		if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0 || write(ends[1], "x", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	return child;
}

void harness_end_tracer(pid_t tracer)
{
	kill(tracer, SIGKILL);
	assert_int_equal(waitpid(tracer, NULL, 0), tracer);
}
