// SPDX-License-Identifier: LGPL-2.1-or-later
// A process of 50 threads captures itself: all threads are listed, the caller is marked, the memory
// is that of the instant, and no call of any thread is disturbed.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

enum { SLEEPERS = 44, RUNNERS = 4, THREADS = 1 + SLEEPERS + RUNNERS };

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;

static _Atomic uint64_t started, interrupted, beats[RUNNERS], sigchlds;
static volatile uint64_t value = 1;

static void *sleep_long(void *arg)
{
	struct timespec day = { .tv_sec = 86400 };
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	started++;
	for (;;) {
		if ((uintptr_t)arg % 2)
			nanosleep(&day, NULL);
		else
			epoll_wait(fd, &event, 1, -1);
		interrupted++;
	}
	return NULL;
}

static void *run(void *arg)
{
	_Atomic uint64_t *mine = arg;

	started++;
	for (;;)
		(*mine)++;
	return NULL;
}

static void count_sigchld(int signal_number)
{
	(void)signal_number;
	sigchlds++;
}

static void start(void *(*function)(void *), void *arg)
{
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, function, arg), 0);
	pthread_detach(thread);
}

static int start_threads(void **state)
{
	(void)state;
	signal(SIGCHLD, count_sigchld);
	for (uintptr_t i = 0; i < SLEEPERS; i++)
		start(sleep_long, (void *)i);
	for (int i = 0; i < RUNNERS; i++)
		start(run, &beats[i]);
	while (started < SLEEPERS + RUNNERS)
		harness_breathe();
	return 0;
}

static void assert_undisturbed(void)
{
	for (int i = 0; i < RUNNERS; i++) {
		uint64_t before = beats[i];
		uint64_t since = harness_now_ns();

		while (beats[i] == before)
			if (harness_is_past(since, HARNESS_PATIENCE_MS))
				harness_fail("runner %d does not run on", i);
	}
	assert_int_equal(interrupted, 0);
	assert_int_equal(sigchlds, 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_false(patient_is_traced(getpid()));
}

static void own_threads_are_listed_and_the_caller_marked(void **state)
{
	PSS_THREAD_INFORMATION information;
	struct host *host = host_record();
	HPSS snapshot = NULL;
	unsigned callers = 0;
	PSSX_THREAD thread = { .Size = sizeof(thread) };

	(void)state;
	assert_success(PssCaptureSnapshot(GetCurrentProcess(), FULL, CONTEXT_ALL, &snapshot));
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_THREAD_INFORMATION, &information,
					sizeof(information)));
	assert_int_equal(information.ThreadsCaptured, THREADS);
	for (DWORD i = 0; i < THREADS; i++) {
		assert_success(PssxQueryThread(snapshot, i, &thread));
		if (!(thread.Flags & PSSX_THREAD_CALLER))
			continue;
		callers++;
		assert_int_equal(thread.ThreadId, syscall(SYS_gettid));
	}
	assert_int_equal(callers, 1);
	harness_free_snapshot(snapshot);
	host_assert_same(host);
	host_free(host);
	assert_undisturbed();
}

static void own_memory_is_that_of_the_instant(void **state)
{
	HPSS snapshot = NULL;

	(void)state;
	for (int i = 0; i < 50; i++) {
		uint64_t then = ++value;

		assert_success(
			PssCaptureSnapshot(GetCurrentProcess(), FULL, CONTEXT_ALL, &snapshot));
		value++;
		assert_int_equal(harness_read_clone_word(snapshot, (uintptr_t)&value), then);
		harness_free_snapshot(snapshot);
	}
	assert_undisturbed();
}

static void a_real_handle_to_oneself_is_as_good(void **state)
{
	HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
	HPSS snapshot = NULL;

	(void)state;
	assert_non_null(process);
	assert_success(PssCaptureSnapshot(process, FULL, CONTEXT_ALL, &snapshot));
	assert_int_equal(harness_read_clone_word(snapshot, (uintptr_t)&value), value);
	assert_success(PssFreeSnapshot(process, snapshot));
	assert_true(CloseHandle(process));
	assert_undisturbed();
}

// The most frequent use: own threads, without an instant.
static void own_threads_alone(void **state)
{
	PSS_THREAD_INFORMATION information;
	PSSX_FIGURES figures = { .Size = sizeof(figures) };
	HPSS snapshot = NULL;

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_success(
			PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_THREADS, 0, &snapshot));
		assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_THREAD_INFORMATION,
						&information, sizeof(information)));
		assert_int_equal(information.ThreadsCaptured, THREADS);
		assert_success(PssxQueryFigures(snapshot, &figures));
		assert_int_equal(figures.ThreadsStopped, 0);
		harness_free_snapshot(snapshot);
	}
	assert_undisturbed();
}

static _Atomic uint64_t captures_done, captures_failed;

static void *capture_itself(void *arg)
{
	(void)arg;
	for (int i = 0; i < 20; i++) {
		HPSS snapshot = NULL;
		DWORD code = PssCaptureSnapshot(GetCurrentProcess(), FULL, CONTEXT_ALL, &snapshot);

		if (code == ERROR_SUCCESS &&
		    PssFreeSnapshot(GetCurrentProcess(), snapshot) == ERROR_SUCCESS)
			continue;
		print_error("capture %d gives %u: %s\n", i, code, PssxErrorText());
		captures_failed++;
	}
	captures_done++;
	return NULL;
}

static void two_threads_at_once(void **state)
{
	pthread_t threads[2];

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, capture_itself, NULL), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(captures_failed, 0);
	assert_undisturbed();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_threads_are_listed_and_the_caller_marked),
		cmocka_unit_test(own_memory_is_that_of_the_instant),
		cmocka_unit_test(a_real_handle_to_oneself_is_as_good),
		cmocka_unit_test(own_threads_alone),
		cmocka_unit_test(two_threads_at_once),
	};

	harness_begin("test_self");
	return cmocka_run_group_tests(tests, start_threads, NULL);
}
