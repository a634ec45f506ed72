// SPDX-License-Identifier: LGPL-2.1-or-later
// The host program: its reaper, its handlers and its children notice nothing of a capture. And who
// may capture what: two at once, an ordinary user his own, threads alone of anybody.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

enum { NOBODY = 65534 };

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;

static _Atomic uint64_t sigchlds, strangers;
static _Atomic enum { STOPPED, STARTED, RUNNING } reaping;

static void count_sigchld(int signal_number)
{
	(void)signal_number;
	sigchlds++;
}

// What many a server has: a thread that takes every child there is.
static void *reap_all(void *arg)
{
	(void)arg;
	reaping = RUNNING;
	while (reaping != STOPPED) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid > 0)
			strangers++;
	}
	return NULL;
}

static void a_reaper_of_all_children_finds_none(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	struct sigaction action = { .sa_handler = count_sigchld }, old;
	struct host *host;
	pthread_t reaper;

	(void)state;
	sigaction(SIGCHLD, &action, &old);
	reaping = STARTED;
	assert_int_equal(pthread_create(&reaper, NULL, reap_all, NULL), 0);
	while (reaping != RUNNING)
		sched_yield();
	host = host_record();
	for (int i = 0; i < 50; i++)
		harness_free_snapshot(harness_capture(target, FULL));
	host_assert_same(host);
	host_free(host);
	reaping = STOPPED;
	pthread_join(reaper, NULL);
	sigaction(SIGCHLD, &old, NULL);
	assert_int_equal(strangers, 0);
	assert_int_equal(sigchlds, 0);
	target_assert_unharmed(target);
}

// Ten thousand a second, so that some come at every step.
static void send_for_ever(pid_t pid)
{
	const struct timespec period = { .tv_nsec = 100000 };

	while (kill(pid, SIGUSR1) == 0)
		nanosleep(&period, NULL);
	_exit(0);
}

// A signal that comes while the host captures must not make it fail.
static void signals_to_the_host_do_not_spoil_a_capture(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	struct sigaction action = { .sa_handler = count_sigchld }, old;
	pid_t parent = getpid(), child;

	(void)state;
	sigaction(SIGUSR1, &action, &old);
	child = harness_fork();
	if (child == 0)
		send_for_ever(parent);
	while (!sigchlds)
		sched_yield();
	for (int i = 0; i < 50; i++)
		harness_free_snapshot(harness_capture(target, FULL));
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	sigaction(SIGUSR1, &old, NULL);
	sigchlds = 0;
	target_assert_unharmed(target);
}

// Of two at once one waits, or is told why not; the target is fine.
static void capture_often(const struct target *target)
{
	for (int i = 0; i < 50; i++) {
		HPSS snapshot = NULL;
		DWORD code = PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)FULL,
						CONTEXT_ALL, &snapshot);

		if (code == ERROR_SUCCESS)
			code = PssFreeSnapshot(GetCurrentProcess(), snapshot);
		else if ((code == ERROR_BUSY || code == ERROR_ACCESS_DENIED) && PssxErrorText()[0])
			code = ERROR_SUCCESS;
		if (code != ERROR_SUCCESS) {
			fprintf(stderr, "capture %d gives %u: %s\n", i, code, PssxErrorText());
			_exit(1);
		}
	}
	_exit(0);
}

static void two_capturers_at_once(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "10", NULL);
	struct patient *patient = patient_record(target->pid);
	pid_t children[2];
	int status;

	(void)state;
	for (int i = 0; i < 2; i++) {
		children[i] = harness_fork();
		if (children[i] == 0)
			capture_often(target);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	// A zombie of a loser is taken away by the next.
	harness_free_snapshot(harness_capture(target, FULL));
	patient_assert_same(patient);
	patient_free(patient);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

// Runs @test as nobody in a child; the child's exit status is the result.
static void run_as_nobody(int (*test)(const struct target *), const struct target *target)
{
	pid_t child = harness_fork();
	int status;

	if (child == 0) {
		if (setgid(NOBODY) < 0 || setuid(NOBODY) < 0)
			_exit(126);
		prctl(PR_SET_PDEATHSIG, SIGKILL); // lost with the user
		_exit(test(target));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		harness_fail("as nobody: status %#x", status);
}

static int say_failure(DWORD code, const char *what)
{
	if (code != ERROR_SUCCESS)
		fprintf(stderr, "%s gives %u: %s\n", what, code, PssxErrorText());
	return code != ERROR_SUCCESS;
}

static int capture_own(const struct target *target)
{
	HPSS snapshot = NULL;
	HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)target->pid);
	DWORD code = PssCaptureSnapshot(process, (PSS_CAPTURE_FLAGS)FULL, CONTEXT_ALL, &snapshot);
	PSS_VA_CLONE_INFORMATION information;
	uint64_t word = 0;

	if (say_failure(code, "capture") ||
	    say_failure(PssQuerySnapshot(snapshot, PSS_QUERY_VA_CLONE_INFORMATION, &information,
					 sizeof(information)),
			"query"))
		return 1;
	ReadProcessMemory(information.VaCloneHandle,
			  (void *)(uintptr_t)target_value(target, "pattern"), &word, sizeof(word),
			  NULL);
	if (word != 0x9e3779b97f4a7c15u) {
		fprintf(stderr, "pattern is %#llx\n", (unsigned long long)word);
		return 1;
	}
	return say_failure(PssFreeSnapshot(GetCurrentProcess(), snapshot), "free");
}

static int capture_others_threads(const struct target *target)
{
	PSS_THREAD_INFORMATION information;
	HPSS snapshot = NULL;
	HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)target->pid);
	DWORD code = PssCaptureSnapshot(process, PSS_CAPTURE_THREADS, 0, &snapshot);

	if (say_failure(code, "threads alone") ||
	    say_failure(PssQuerySnapshot(snapshot, PSS_QUERY_THREAD_INFORMATION, &information,
					 sizeof(information)),
			"query"))
		return 1;
	if (information.ThreadsCaptured != 5) {
		fprintf(stderr, "%u threads\n", information.ThreadsCaptured);
		return 1;
	}
	say_failure(PssFreeSnapshot(GetCurrentProcess(), snapshot), "free");
	// But not its memory, and the reason is told.
	code = PssCaptureSnapshot(process, PSS_CAPTURE_VA_CLONE, 0, &snapshot);
	if (code != ERROR_ACCESS_DENIED || !PssxErrorText()[0]) {
		fprintf(stderr, "memory of another user: %u %s\n", code, PssxErrorText());
		return 1;
	}
	return 0;
}

static void an_ordinary_user_captures_his_own(void **state)
{
	const struct target_options as_nobody = { .uid = NOBODY };
	_cleanup_target_ struct target *target = NULL;

	(void)state;
	if (geteuid() != 0)
		skip();
	target = target_start_with(&as_nobody, "plain", NULL);
	run_as_nobody(capture_own, target);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

static void threads_of_another_user_need_no_right_to_trace(void **state)
{
	_cleanup_target_ struct target *target = NULL;

	(void)state;
	if (geteuid() != 0)
		skip();
	target = target_start("plain", NULL);
	run_as_nobody(capture_others_threads, target);
	target_assert_unharmed(target);
}

static char directory[] = "/tmp/procsnap-locks-XXXXXX";
static const char *const files[] = { "posix", "ofd", "flock", "fifo" };

static void in_directory(char path[128], int index)
{
	snprintf(path, 128, "%s/%s", directory, files[index]);
}

// The lock of each of the three sorts is free or not, seen from another open file.
static void assert_locks(bool held)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[128];

	for (int i = 0; i < 3; i++) {
		int fd, ret;

		in_directory(path, i);
		fd = open(path, O_RDWR | O_CLOEXEC);
		assert_true(fd >= 0);
		if (i == 2)
			ret = flock(fd, LOCK_EX | LOCK_NB);
		else
			ret = fcntl(fd, F_OFD_SETLK, &whole);
		if ((ret < 0) != held)
			harness_fail("%s lock is %s", files[i], held ? "lost" : "still held");
		close(fd);
	}
}

static bool port_is_free(in_port_t port)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_free;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	is_free = bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(fd);
	return is_free;
}

// Locks, ports and pipes: not released by the capture, not kept by the clone.
static void locks_ports_and_pipes_stay_the_targets_own(void **state)
{
	struct target *target;
	char path[128], byte;
	HPSS snapshot;
	int fifo;

	(void)state;
	assert_non_null(mkdtemp(directory));
	in_directory(path, 3);
	assert_int_equal(mkfifo(path, 0600), 0);
	fifo = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	target = target_start("locks", directory, NULL);
	assert_locks(true);
	snapshot = harness_capture(target, FULL);
	assert_locks(true);
	assert_false(port_is_free((in_port_t)target_value(target, "port")));
	target_ask(target, "release");
	assert_locks(false);
	assert_true(port_is_free((in_port_t)target_value(target, "port")));
	// 0: the last writing end is closed. EAGAIN: somebody still has one.
	assert_int_equal(read(fifo, &byte, 1), 0);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
	target_stop(target);
	close(fifo);
	for (int i = 0; i < 4; i++) {
		in_directory(path, i);
		unlink(path);
	}
	rmdir(directory);
}

static void assert_refused_for_namespace(const struct target *target)
{
	HPSS snapshot = NULL;
	DWORD code = PssCaptureSnapshot(target_handle(target),
					PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES, 0, &snapshot);

	if (code != ERROR_NOT_SUPPORTED || !strstr(PssxErrorText(), "PID namespace"))
		_exit(3);
	// What needs no helper is to be had.
	if (PssCaptureSnapshot(target_handle(target), PSS_CAPTURE_THREADS, 0, &snapshot) ||
	    PssFreeSnapshot(GetCurrentProcess(), snapshot))
		_exit(4);
}

// A helper would be its first process, and the namespace would end with it.
static int unshare_and_capture(const struct target *target)
{
	int pipe_fds[2], status;
	char byte;

	if (unshare(CLONE_NEWPID) < 0)
		return 77;
	assert_refused_for_namespace(target);
	if (pipe(pipe_fds) < 0)
		return 5;
	// Not by the harness, whose children look for their parent's number.
	pid_t first = fork();
	if (first == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pipe_fds[1]);
		_exit(getpid() == 1 && read(pipe_fds[0], &byte, 1) == 0 ? 0 : 1);
	}
	assert_refused_for_namespace(target);
	pid_t second = fork();
	if (second == 0)
		_exit(getpid() == 2 ? 0 : 1);
	if (waitpid(second, &status, 0) != second || status != 0)
		return 6;
	close(pipe_fds[1]);
	return waitpid(first, &status, 0) == first && status == 0 ? 0 : 7;
}

static void a_pid_namespace_of_the_hosts_is_not_entered(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	pid_t pid = harness_fork();
	int status;

	(void)state;
	if (pid == 0)
		_exit(unshare_and_capture(target));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
	target_assert_unharmed(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reaper_of_all_children_finds_none),
		cmocka_unit_test(signals_to_the_host_do_not_spoil_a_capture),
		cmocka_unit_test(two_capturers_at_once),
		cmocka_unit_test(an_ordinary_user_captures_his_own),
		cmocka_unit_test(threads_of_another_user_need_no_right_to_trace),
		cmocka_unit_test(locks_ports_and_pipes_stay_the_targets_own),
		cmocka_unit_test(a_pid_namespace_of_the_hosts_is_not_entered),
	};

	harness_begin("test_host");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
