// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting targets and talking to them; what is common to all live tests. Records are in
// harness_record.c.
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_ARGUMENTS = 4, MAX_TARGETS = 256 };

// Those that run, so that a record finds what they count.
static struct target *running[MAX_TARGETS];

static char test_name[128];

static void say_deadline(int signal_number)
{
	ssize_t ignored;

	(void)signal_number;
	ignored = write(STDERR_FILENO, test_name, strlen(test_name));
	ignored = write(STDERR_FILENO, ": deadline passed\n", 18);
	(void)ignored;
	_exit(1);
}

void harness_begin(const char *name)
{
	struct sigaction action = { .sa_handler = say_deadline };

	snprintf(test_name, sizeof(test_name), "%s", name);
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGALRM, &action, NULL);
	alarm(HARNESS_SECONDS);
}

pid_t harness_fork(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(126);
	}
	return pid;
}

int harness_run_apart(struct target *target, int (*visit)(struct target *target))
{
	int status = 0;
	pid_t pid = harness_fork();

	if (pid == 0)
		_exit(visit(target));
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		harness_fail("a child has ended with status %#x", (unsigned)status);
	return WEXITSTATUS(status);
}

uint64_t harness_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

bool harness_is_past(uint64_t since_ns, unsigned ms)
{
	return harness_now_ns() - since_ns > (uint64_t)ms * 1000000u;
}

void harness_breathe(void)
{
	poll(NULL, 0, 1);
}

void harness_fail(const char *format, ...)
{
	char text[4096];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	print_error("%s\n", text);
	fail();
	abort();
}

char *harness_read_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t size = 0, room = 1 << 16;
	char *text = malloc(room);
	ssize_t got = -1;

	while (fd >= 0 && text && (got = read(fd, text + size, room - size - 1)) > 0) {
		size += (size_t)got;
		if (room - size < 4096)
			text = realloc(text, room *= 2);
	}
	if (fd >= 0)
		close(fd);
	if (got < 0 || !text) {
		free(text);
		return NULL;
	}
	text[size] = '\0';
	return text;
}

// Reads one line into @line, a byte at a time: lines are short and few. False at the end.
static bool read_line(const struct target *target, char *line, size_t room)
{
	uint64_t since = harness_now_ns();
	size_t used = 0;

	while (used < room - 1) {
		struct pollfd ready = { .fd = target->answers, .events = POLLIN };
		ssize_t got;

		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("target %s: no answer after %d ms", target->name,
				     HARNESS_PATIENCE_MS);
		if (poll(&ready, 1, 1000) <= 0)
			continue;
		got = read(target->answers, line + used, 1);
		if (got == 0)
			return false;
		if (got < 0)
			continue;
		if (line[used] == '\n')
			break;
		used++;
	}
	line[used] = '\0';
	return true;
}

// The tree of the project may lie in a folder that only its owner may enter.
static void copy_for_other_user(const char *path, struct target *target)
{
	char command[1024];

	snprintf(target->copy, sizeof(target->copy), "/tmp/target-XXXXXX");
	if (!mkdtemp(target->copy))
		harness_fail("mkdtemp: %s", strerror(errno));
	snprintf(command, sizeof(command), "chmod 755 %s && install -m 755 %s %s/", target->copy,
		 path, target->copy);
	if (system(command) != 0)
		harness_fail("cannot copy %s", path);
}

static void remove_copy(struct target *target)
{
	char path[256];

	if (!target->copy[0])
		return;
	snprintf(path, sizeof(path), "%s/%s", target->copy, target->name);
	(void)unlink(path);
	(void)rmdir(target->copy);
	target->copy[0] = '\0';
}

// Runs in the child between fork and exec.
static void become_target(const struct target_options *options, const int pipes[4], pid_t parent,
			  const char *path, char **arguments)
{
	dup2(pipes[0], STDIN_FILENO);
	dup2(pipes[3], STDOUT_FILENO);
	alarm(0);
	signal(SIGPIPE, SIG_DFL);
	if (options->uid && (setgid(options->uid) < 0 || setuid(options->uid) < 0))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	execv(path, arguments);
	perror(path);
	_exit(127);
}

static struct target *spawn(const struct target_options *options, char **arguments)
{
	struct target *target = calloc(1, sizeof(*target));
	const char *folder = getenv("PROCSNAP_TARGETS");
	pid_t parent = getpid();
	char path[512];
	int pipes[4];

	assert_non_null(target);
	snprintf(target->name, sizeof(target->name), "%s", arguments[0]);
	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "tests/targets", arguments[0]);
	if (options->uid) {
		copy_for_other_user(path, target);
		snprintf(path, sizeof(path), "%s/%s", target->copy, arguments[0]);
	}
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(pipe2(pipes + 2, O_CLOEXEC), 0);
	target->pid = fork();
	if (target->pid == 0)
		become_target(options, pipes, parent, path, arguments);
	assert_true(target->pid > 0);
	close(pipes[0]);
	close(pipes[3]);
	target->commands = pipes[1];
	target->answers = pipes[2];
	target->mem_fd = -1;
	target->pidfd = (int)syscall(SYS_pidfd_open, target->pid, 0);
	assert_true(target->pidfd >= 0);
	return target;
}

// /proc shows the call that a thread is in, or "running".
static void wait_until_asleep(const struct target *target, pid_t tid)
{
	uint64_t since = harness_now_ns();
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", target->pid, tid);
	for (;;) {
		char *call = harness_read_file(path);
		bool runs = call && !strncmp(call, "running", 7);

		free(call);
		if (!runs)
			return;
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("target %s: thread %d does not sleep", target->name, tid);
		harness_breathe();
	}
}

void target_wait_asleep(const struct target *target)
{
	static pid_t tids[8192];
	size_t count = patient_threads(target->pid, tids, 8192);

	for (size_t i = 0; i < count && i < 8192; i++)
		wait_until_asleep(target, tids[i]);
}

// Of a leader that is gone, /proc/PID/mem is empty; another thread's is not.
static void open_memory(struct target *target)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/mem", target->pid, target->server);
	target->mem_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (target->mem_fd < 0)
		harness_fail("open %s: %s", path, strerror(errno));
}

static void enroll(struct target *target, struct target *instead)
{
	for (int i = 0; i < MAX_TARGETS; i++)
		if (running[i] == instead) {
			running[i] = target;
			return;
		}
}

uint64_t harness_counters_of(pid_t pid)
{
	for (int i = 0; i < MAX_TARGETS; i++)
		if (running[i] && running[i]->pid == pid && strstr(running[i]->ready, " counters="))
			return target_value(running[i], "counters");
	return 0;
}

static struct target *wait_until_ready(struct target *target)
{
	bool is_ready = read_line(target, target->ready, sizeof(target->ready));

	remove_copy(target);
	if (!is_ready)
		harness_fail("target %s ended before it was ready", target->name);
	if (!strncmp(target->ready, "skipped", 7)) {
		print_message("target %s %s\n", target->name, target->ready);
		target_stop(target);
		return NULL;
	}
	if (strncmp(target->ready, "ready", 5))
		harness_fail("target %s said: %s", target->name, target->ready);
	target->server = target->pid;
	if (strstr(target->ready, " server_tid="))
		target->server = (pid_t)target_value(target, "server_tid");
	open_memory(target);
	wait_until_asleep(target, target->server);
	enroll(target, NULL);
	return target;
}

static struct target *start(const struct target_options *options, const char *name, va_list list)
{
	char *arguments[MAX_ARGUMENTS + 2] = { (char *)name };

	for (int i = 1; i <= MAX_ARGUMENTS; i++) {
		arguments[i] = va_arg(list, char *);
		if (!arguments[i])
			break;
	}
	return wait_until_ready(spawn(options, arguments));
}

struct target *target_start(const char *name, ...)
{
	const struct target_options options = { 0 };
	struct target *target;
	va_list list;

	va_start(list, name);
	target = start(&options, name, list);
	va_end(list);
	return target;
}

struct target *target_start_with(const struct target_options *options, const char *name, ...)
{
	struct target *target;
	va_list list;

	va_start(list, name);
	target = start(options, name, list);
	va_end(list);
	return target;
}

// System V objects outlive the process that made them.
static void remove_ipc(const struct target *target)
{
	if (strstr(target->ready, " sem_id="))
		semctl((int)target_value(target, "sem_id"), 0, IPC_RMID);
	if (strstr(target->ready, " queue_id="))
		msgctl((int)target_value(target, "queue_id"), IPC_RMID, NULL);
}

void target_stop(struct target *target)
{
	if (!target)
		return;
	enroll(NULL, target);
	remove_ipc(target);
	// By its pidfd: if it ended before, its number may be another's.
	syscall(SYS_pidfd_send_signal, target->pidfd, SIGKILL, NULL, 0);
	waitpid(target->pid, NULL, 0);
	close(target->pidfd);
	close(target->commands);
	close(target->answers);
	if (target->mem_fd >= 0)
		close(target->mem_fd);
	free(target);
}

void target_stop_ptr(struct target **target)
{
	target_stop(*target);
}

static uint64_t find_value(const struct target *target, const char *line, const char *key)
{
	char pattern[80];
	const char *found;

	snprintf(pattern, sizeof(pattern), " %s=", key);
	found = strstr(line, pattern);
	if (!found)
		harness_fail("target %s: no %s in \"%s\"", target->name, key, line);
	return strtoull(found + strlen(pattern), NULL, 16);
}

uint64_t target_value(const struct target *target, const char *key)
{
	return find_value(target, target->ready, key);
}

void target_ask(struct target *target, const char *command)
{
	char line[128];
	int length = snprintf(line, sizeof(line), "%s\n", command);

	if (write(target->commands, line, (size_t)length) != length)
		harness_fail("target %s does not listen: %s", target->name, strerror(errno));
	if (!read_line(target, target->answer, sizeof(target->answer)))
		harness_fail("target %s ended at command %s", target->name, command);
	// Back at its pipe: a record taken next finds it there.
	wait_until_asleep(target, target->server);
	if (strstr(target->answer, " unknown="))
		harness_fail("target %s does not know command %s", target->name, command);
}

uint64_t target_answer(const struct target *target, const char *key)
{
	return find_value(target, target->answer, key);
}

void target_read(const struct target *target, uint64_t address, void *buffer, size_t size)
{
	ssize_t got = pread(target->mem_fd, buffer, size, (off_t)address);

	if (got != (ssize_t)size)
		harness_fail("target %s: cannot read %zu bytes at %#llx: %s", target->name, size,
			     (unsigned long long)address, got < 0 ? strerror(errno) : "short");
}

uint64_t target_read_word(const struct target *target, uint64_t address)
{
	uint64_t word;

	target_read(target, address, &word, sizeof(word));
	return word;
}

struct harness_counters target_counters(const struct target *target)
{
	struct harness_counters counters;

	target_read(target, target_value(target, "counters"), &counters, sizeof(counters));
	return counters;
}

void target_wait_for_beat(const struct target *target)
{
	uint64_t before = target_counters(target).beats;
	uint64_t since = harness_now_ns();

	while (target_counters(target).beats < before + 2) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("target %s does not run on", target->name);
		harness_breathe();
	}
}

HANDLE target_handle(const struct target *target)
{
	return (HANDLE)(intptr_t)target->pidfd;
}

void target_assert_unharmed(struct target *target)
{
	struct harness_counters counters = target_counters(target);

	if (counters.eintr || counters.sigchld || counters.wrong)
		harness_fail("target %s: %llu EINTR, %llu SIGCHLD, %llu values wrong", target->name,
			     (unsigned long long)counters.eintr,
			     (unsigned long long)counters.sigchld,
			     (unsigned long long)counters.wrong);
	target_ask(target, "children");
	if (!target_answer(target, "plain_none"))
		harness_fail("target %s sees a child: %s", target->name, target->answer);
	if (!target_answer(target, "all_none"))
		harness_fail("target %s has a child left: %s", target->name, target->answer);
}

void harness_assert_success(DWORD code, const char *what, const char *file, int line)
{
	if (code == ERROR_SUCCESS)
		return;
	print_error("%s:%d: %s gives %u: %s\n", file, line, what, code, PssxErrorText());
	fail();
}

bool harness_is_available(bool success, const char *what)
{
	if (success)
		return true;
	if (GetLastError() != ERROR_NOT_SUPPORTED)
		harness_fail("%s gives %u: %s", what, GetLastError(), PssxErrorText());
	print_message("not in this release: %s\n", what);
	return false;
}

HPSS harness_capture(const struct target *target, uint32_t flags)
{
	HPSS snapshot = NULL;
	struct patient *before = patient_record_quietly(target->pid);
	DWORD code =
		PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)flags,
				   flags & PSS_CAPTURE_THREAD_CONTEXT ? CONTEXT_ALL : 0, &snapshot);

	if (code != ERROR_SUCCESS)
		harness_fail("capture of %s with %#x gives %u: %s", target->name, flags, code,
			     PssxErrorText());
	assert_non_null(snapshot);
	patient_assert_unharmed(before);
	patient_free(before);
	return snapshot;
}

void harness_free_snapshot(HPSS snapshot)
{
	PSSX_PROCESS process = { .Size = sizeof(process) };
	struct patient *before = NULL;

	// It may have ended since, and its number be another's: then nothing is to be looked after.
	if (PssxQueryProcess(snapshot, &process) == ERROR_SUCCESS &&
	    harness_counters_of((pid_t)process.Pid))
		before = patient_record_quietly((pid_t)process.Pid);
	assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
	if (before)
		patient_assert_unharmed(before);
	patient_free(before);
}

HANDLE harness_clone(HPSS snapshot)
{
	PSS_VA_CLONE_INFORMATION information = { 0 };

	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_VA_CLONE_INFORMATION, &information,
					sizeof(information)));
	assert_non_null(information.VaCloneHandle);
	return information.VaCloneHandle;
}

void harness_read_clone(HPSS snapshot, uint64_t address, void *buffer, size_t size)
{
	SIZE_T got = 0;

	if (!ReadProcessMemory(harness_clone(snapshot), (void *)(uintptr_t)address, buffer, size,
			       &got) ||
	    got != size)
		harness_fail("clone: %zu of %zu bytes at %#llx, error %u: %s", (size_t)got, size,
			     (unsigned long long)address, GetLastError(), PssxErrorText());
}

uint64_t harness_read_clone_word(HPSS snapshot, uint64_t address)
{
	uint64_t word;

	harness_read_clone(snapshot, address, &word, sizeof(word));
	return word;
}

bool harness_find_thread(HPSS snapshot, pid_t tid, PSSX_THREAD *ret, DWORD *index_ret)
{
	for (DWORD index = 0;; index++) {
		PSSX_THREAD thread = { .Size = sizeof(thread) };
		DWORD code = PssxQueryThread(snapshot, index, &thread);

		if (code == ERROR_NO_MORE_ITEMS)
			return false;
		assert_success(code);
		if (thread.ThreadId != tid)
			continue;
		if (ret)
			*ret = thread;
		if (index_ret)
			*index_ret = index;
		return true;
	}
}

void harness_wait_gone(pid_t pid)
{
	uint64_t since = harness_now_ns();
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	while (access(path, F_OK) == 0) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("process %d is still there", pid);
		harness_breathe();
	}
}

unsigned long harness_switches_of(pid_t pid)
{
	char path[64], *status, *line;
	unsigned long count;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = harness_read_file(path);
	line = status ? strstr(status, "\nvoluntary_ctxt_switches:") : NULL;
	if (!line)
		harness_fail("no count of switches in %s", path);
	count = strtoul(strchr(line, ':') + 1, NULL, 10);
	free(status);
	return count;
}
