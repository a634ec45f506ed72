// SPDX-License-Identifier: LGPL-2.1-or-later
// What comes between two steps of a capture, and is made to come just there: a thread is born after
// the threads were listed, or after all but its mother stand; another capturer has the process, or
// takes it between the look and the first thread seized.
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static const PSS_CAPTURE_FLAGS FLAGS =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT;

// Before the next such call of the helper, which shares our memory. Of thread @tid, if not 0.
static struct {
	int request;
	pid_t tid;
	void (*act)(void);
} hook;
static void (*before_waiting)(int fd); // and before a wait for another tracer's end

long __real_ptrace(int request, pid_t pid, void *address, void *data);
long __wrap_ptrace(int request, pid_t pid, void *address, void *data);
int __real_poll(struct pollfd *events, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *events, nfds_t count, int timeout);

long __wrap_ptrace(int request, pid_t pid, void *address, void *data)
{
	void (*act)(void) = hook.act;

	if (act && request == hook.request && (!hook.tid || hook.tid == pid)) {
		hook.act = NULL;
		act();
	}
	return __real_ptrace(request, pid, address, data);
}

int __wrap_poll(struct pollfd *events, nfds_t count, int timeout)
{
	void (*act)(int fd) = before_waiting;

	if (act && count == 1 && timeout > 0) {
		before_waiting = NULL;
		act(events->fd);
	}
	return __real_poll(events, count, timeout);
}

static struct target *midwife;
static int memory = -1; // of the midwife
static pid_t newborn;

// Has a thread born, and waits until it lives.
static void give_birth(void)
{
	const uint64_t wanted = target_value(midwife, "wanted"),
		       born = target_value(midwife, "born");
	uint64_t count = 0, tid = 0;

	(void)!pread(memory, &count, sizeof count, (off_t)wanted);
	count++;
	(void)!pwrite(memory, &count, sizeof count, (off_t)wanted);
	while (pread(memory, &tid, sizeof tid, (off_t)born) == sizeof tid && (pid_t)tid == newborn)
		(void)sched_yield();
	newborn = (pid_t)tid;
}

static void capture_with_a_birth(int request, const char *of)
{
	_cleanup_target_ struct target *target = target_start("midwife", NULL);
	HPSS snapshot = NULL;
	PSSX_THREAD thread;
	DWORD index;
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%d/mem", target->pid);
	memory = open(path, O_RDWR | O_CLOEXEC);
	assert_true(memory >= 0);
	midwife = target;
	newborn = 0;
	hook.request = request;
	hook.tid = of ? (pid_t)target_value(target, of) : 0;
	hook.act = give_birth;
	assert_success(PssCaptureSnapshot(target_handle(target), FLAGS, CONTEXT_ALL, &snapshot));
	assert_true(newborn > 0);
	assert_true(harness_find_thread(snapshot, newborn, &thread, &index));
	assert_true(thread.Flags & PSSX_THREAD_HAS_REGISTERS);
	harness_free_snapshot(snapshot);
	assert_int_equal(close(memory), 0);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

static void one_born_after_the_listing_is_held(void **state)
{
	(void)state;
	capture_with_a_birth(PTRACE_SEIZE, NULL);
}

static void one_born_when_all_but_its_mother_stand_is_held(void **state)
{
	(void)state;
	capture_with_a_birth(PTRACE_INTERRUPT, "runner");
}

// The other capturer, a process of its own. It begins when it is told to, says that it holds all
// threads, and goes on when it is told to.
static struct {
	pid_t pid;
	int commands[2];
	int answers[2];
} other;

static void hold(void)
{
	char byte;

	if (write(other.answers[1], "h", 1) != 1 || read(other.commands[0], &byte, 1) != 1)
		_exit(3);
}

static void capture_as_the_other(const struct target *target)
{
	HPSS snapshot = NULL;
	char byte;

	// Should the test end, it and its helper read an end of file.
	(void)close(other.commands[1]);
	(void)close(other.answers[0]);
	if (read(other.commands[0], &byte, 1) != 1)
		_exit(2);
	// The first step after all are stopped.
	hook.request = PTRACE_SETOPTIONS;
	hook.tid = 0;
	hook.act = hold;
	if (PssCaptureSnapshot(target_handle(target), FLAGS, CONTEXT_ALL, &snapshot) !=
		    ERROR_SUCCESS ||
	    hook.act || read(other.commands[0], &byte, 1) != 1)
		_exit(4);
	_exit(PssFreeSnapshot(GetCurrentProcess(), snapshot) == ERROR_SUCCESS ? 0 : 5);
}

static void start_other(const struct target *target)
{
	hook.act = NULL;
	assert_int_equal(pipe(other.commands), 0);
	assert_int_equal(pipe(other.answers), 0);
	other.pid = harness_fork();
	if (other.pid == 0)
		capture_as_the_other(target);
}

static void end_other(void)
{
	int status = 0;

	assert_int_equal(write(other.commands[1], "e", 1), 1);
	assert_int_equal(waitpid(other.pid, &status, 0), other.pid);
	assert_int_equal(status, 0);
	for (int i = 0; i < 2; i++) {
		(void)close(other.commands[i]);
		(void)close(other.answers[i]);
	}
}

static void let_it_hold(void)
{
	char byte;

	if (write(other.commands[1], "b", 1) != 1 || read(other.answers[0], &byte, 1) != 1)
		_exit(6);
}

// We wait for its helper: only now it goes on, and however slow it is, it ends.
static void let_it_end(int fd)
{
	struct pollfd end = { .fd = fd, .events = POLLIN };

	if (write(other.commands[1], "g", 1) != 1 || __real_poll(&end, 1, -1) != 1)
		_exit(7);
}

static void capture_beside(void (*begin)(void))
{
	_cleanup_target_ struct target *target = target_start("plain", "10", NULL);
	struct patient *patient = patient_record(target->pid);
	HPSS snapshot = NULL;

	start_other(target);
	begin();
	before_waiting = let_it_end;
	DWORD code = PssCaptureSnapshot(target_handle(target), FLAGS, CONTEXT_ALL, &snapshot);
	if (code != ERROR_SUCCESS)
		harness_fail("refused: %s", PssxErrorText());
	assert_null(before_waiting);
	assert_null(hook.act);
	end_other();
	harness_free_snapshot(snapshot);
	patient_assert_same(patient);
	patient_free(patient);
	target_assert_unharmed(target);
}

static void a_second_capturer_waits_for_the_first(void **state)
{
	(void)state;
	capture_beside(let_it_hold);
}

// Held when we have looked, and before we have seized a thread.
static void let_it_hold_in_between(void)
{
	hook.request = PTRACE_SEIZE;
	hook.tid = 0;
	hook.act = let_it_hold;
}

static void and_so_if_the_first_came_after_its_look(void **state)
{
	(void)state;
	capture_beside(let_it_hold_in_between);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_born_after_the_listing_is_held),
		cmocka_unit_test(one_born_when_all_but_its_mother_stand_is_held),
		cmocka_unit_test(a_second_capturer_waits_for_the_first),
		cmocka_unit_test(and_so_if_the_first_came_after_its_look),
	};

	harness_begin("test_between");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
