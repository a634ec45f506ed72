// SPDX-License-Identifier: LGPL-2.1-or-later
// The checker, checked: each thing that a capture must leave as it was is changed on purpose, and
// the patient's record has to object, and to say to what. Nothing is captured here.
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "harness_patient.h"
#include "harness_peer.h"

enum { AT_ONCE_MS = 300, LOOKS = 20, LOOKS_LEAST = 5, TIME_FOR_LOOKS_MS = 10000 };

static struct patient *record(const struct target *target)
{
	return patient_look(target->pid, harness_counters_of(target->pid), PATIENT_DEEPLY);
}

// The record differs, and in a line that begins so.
static void expect_objection(const struct patient *before, const char *what, const char *line)
{
	struct text differences = { 0 };
	char with_sign[2][64];

	if (patient_compare(before, AT_ONCE_MS, NULL, &differences))
		harness_fail("%s is not noticed", what);
	snprintf(with_sign[0], sizeof(with_sign[0]), "+ %s", line);
	snprintf(with_sign[1], sizeof(with_sign[1]), "- %s", line);
	if (!strstr(differences.bytes, with_sign[0]) && !strstr(differences.bytes, with_sign[1]))
		harness_fail("%s is noticed, but not in a line \"%s\":\n%s", what, line,
			     differences.bytes);
	text_deinit(&differences);
}

static void expect_no_objection(const struct patient *before)
{
	struct text differences = { 0 };

	if (!patient_compare(before, HARNESS_PATIENCE_MS, NULL, &differences))
		harness_fail("objects to nothing:\n%s", differences.bytes);
	text_deinit(&differences);
}

static void what_was_left_alone_is_the_same(void **state)
{
	static const char *const names[] = { "mutant", "plain", "vector", "sleepers", "storm" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct target *target = target_start(names[i], NULL);
		struct patient *before;

		if (!target)
			continue;
		// A signal that was on its way at the first look would be missed ever after.
		if (!strcmp(names[i], "storm"))
			target_ask(target, "quiet");
		before = record(target);
		// Where a computing thread keeps the CPU, each look waits for it.
		uint64_t since = harness_now_ns();
		for (int times = 0; times < LOOKS; times++) {
			if (times >= LOOKS_LEAST && harness_is_past(since, TIME_FOR_LOOKS_MS))
				break;
			expect_no_objection(before);
		}
		patient_free(before);
		target_stop(target);
	}
}

static void what_a_program_changes_itself_is_noticed(void **state)
{
	static const struct {
		const char *command;
		const char *line;
	} changes[] = {
		{ "map", "map " },
		{ "open", "fd " },
		{ "close", "fd " },
		{ "seek", "fd " },
		{ "append", "fd " },
		{ "keep", "fd " },
		{ "flock", "lock " },
		{ "posix", "lock " },
		{ "ofd", "fd " },
		{ "child", "child " },
		{ "zombie", "child " },
		{ "handler", "handlers " },
		{ "block", "mask " },
		{ "name", "name " },
		{ "rseq", "rseq " },
		{ "unheard", "counter signals missing" },
		{ "unsent", "counter signals too many" },
		{ "stranger", "counter strange waits" },
		{ "stall", "counter longest stall" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		_cleanup_target_ struct target *target = target_start("mutant", NULL);
		struct patient *before = record(target);

		target_ask(target, changes[i].command);
		expect_objection(before, changes[i].command, changes[i].line);
		patient_free(before);
	}
}

#if defined(__x86_64__)

static void stop(pid_t tid)
{
	assert_int_equal(ptrace(PTRACE_SEIZE, tid, 0, 0), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, tid, 0, 0), 0);
	assert_int_equal(waitpid(tid, NULL, __WALL), tid);
}

static void change_general(pid_t tid)
{
	struct user_regs_struct regs;

	assert_int_equal(ptrace(PTRACE_GETREGS, tid, 0, &regs), 0);
	regs.r12 ^= 1;
	assert_int_equal(ptrace(PTRACE_SETREGS, tid, 0, &regs), 0);
}

static void change_x87(pid_t tid)
{
	struct user_fpregs_struct regs;

	assert_int_equal(ptrace(PTRACE_GETFPREGS, tid, 0, &regs), 0);
	regs.cwd ^= 0x400;
	assert_int_equal(ptrace(PTRACE_SETFPREGS, tid, 0, &regs), 0);
}

// The upper half of ymm15, where FPREGSET has nothing.
static void change_extended(pid_t tid)
{
	static uint8_t state[64 << 10];
	struct iovec vector = { state, sizeof(state) };
	const size_t ymm15 = 576 + 15 * 16, in_use = 512;

	assert_int_equal(ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &vector), 0);
	state[ymm15] ^= 1;
	state[in_use] |= 4;
	assert_int_equal(ptrace(PTRACE_SETREGSET, tid, NT_X86_XSTATE, &vector), 0);
}

static void change_mask(pid_t tid)
{
	uint64_t mask = 1 << (SIGUSR1 - 1);

	assert_int_equal(ptrace(PTRACE_SETSIGMASK, tid, sizeof(mask), &mask), 0);
}

static void change_argument(pid_t tid)
{
	struct user_regs_struct regs;

	assert_int_equal(ptrace(PTRACE_GETREGS, tid, 0, &regs), 0);
	regs.rdx ^= 2;
	assert_int_equal(ptrace(PTRACE_SETREGS, tid, 0, &regs), 0);
}

static void a_blocked_threads_registers_are_compared(void **state)
{
	static const struct {
		const char *what;
		void (*change)(pid_t tid);
		const char *line;
	} changes[] = {
		{ "a general register", change_general, "regs " },
		{ "an argument of the call", change_argument, "call " },
		{ "the x87's rounding", change_x87, "fp " },
		{ "a vector register", change_extended, "extended " },
		{ "the signal mask", change_mask, "sigmask " },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		_cleanup_target_ struct target *target = target_start("mutant", NULL);
		pid_t tid = (pid_t)target_value(target, "waits");
		struct patient *before = record(target);

		stop(tid);
		changes[i].change(tid);
		assert_int_equal(ptrace(PTRACE_DETACH, tid, 0, 0), 0);
		expect_objection(before, changes[i].what, changes[i].line);
		patient_free(before);
	}
}

static void change_vectors_of_runner(const struct target *target)
{
	static pid_t tids[64];
	size_t count = patient_threads(target->pid, tids, 64);

	for (size_t i = 0; i < count; i++) {
		if (tids[i] == target->server)
			continue;
		stop(tids[i]);
		change_x87(tids[i]);
		assert_int_equal(ptrace(PTRACE_DETACH, tids[i], 0, 0), 0);
	}
}

// Nobody but itself can say what its registers have to be.
static void a_computing_threads_registers_are_compared_by_itself(void **state)
{
	_cleanup_target_ struct target *target = target_start("vector", NULL);
	uint64_t since = harness_now_ns();
	struct patient *before;

	(void)state;
	if (!target)
		return;
	before = record(target);
	change_vectors_of_runner(target);
	while (!target_counters(target).wrong)
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("the specimen does not notice");
	expect_objection(before, "a computing thread's register", "counter wrong");
	patient_free(before);
}

#endif

static void change_text(const struct target *target)
{
	uint64_t address = target_value(target, "text");
	char path[64];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", target->pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, &byte, 1, (off_t)address), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, (off_t)address), 1);
	close(fd);
}

static void send_blocked(const struct target *target)
{
	assert_int_equal(kill(target->pid, SIGUSR1), 0);
}

static void stop_it(const struct target *target)
{
	assert_int_equal(kill(target->pid, SIGSTOP), 0);
	assert_int_equal(waitpid(target->pid, NULL, WUNTRACED), target->pid);
}

static void send_sigchld(const struct target *target)
{
	assert_int_equal(kill(target->pid, SIGCHLD), 0);
}

// A tracer that only looks: its stop ends a wait for events with EINTR.
static void interrupt_epoll(const struct target *target)
{
	static pid_t tids[64];
	size_t count = patient_threads(target->pid, tids, 64);

	for (size_t i = 0; i < count; i++) {
		assert_int_equal(ptrace(PTRACE_SEIZE, tids[i], 0, 0), 0);
		assert_int_equal(ptrace(PTRACE_INTERRUPT, tids[i], 0, 0), 0);
		assert_int_equal(waitpid(tids[i], NULL, __WALL), tids[i]);
		assert_int_equal(ptrace(PTRACE_DETACH, tids[i], 0, 0), 0);
	}
}

static int steal_fd(const struct target *target)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%llu", target->pid,
		 (unsigned long long)target_value(target, "hand"));
	return open(path, O_RDWR | O_CLOEXEC);
}

static void put_work(const struct target *target, uint64_t number)
{
	int fd = steal_fd(target);

	assert_int_equal(write(fd, &number, sizeof(number)), sizeof(number));
	close(fd);
}

static void repeat_work(const struct target *target)
{
	put_work(target, 0);
	put_work(target, 0);
}

static void lose_work(const struct target *target)
{
	put_work(target, 0);
	put_work(target, 2);
}

static void what_others_do_to_it_is_noticed(void **state)
{
	static const struct {
		const char *what;
		void (*change)(const struct target *target);
		const char *line;
	} changes[] = {
		{ "changed text", change_text, "text " },
		{ "a pending signal", send_blocked, "pending " },
		{ "a stop", stop_it, "state " },
		{ "a SIGCHLD", send_sigchld, "counter sigchld" },
		{ "an interrupted call", interrupt_epoll, "counter eintr of call " },
		{ "work done twice", repeat_work, "counter work repeated" },
		{ "work not done", lose_work, "counter work lost" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		_cleanup_target_ struct target *target = target_start("mutant", NULL);
		struct patient *before;

		target_ask(target, "block");
		before = record(target);
		changes[i].change(target);
		expect_objection(before, changes[i].what, changes[i].line);
		patient_free(before);
	}
}

static void a_tracer_is_noticed(void **state)
{
	_cleanup_target_ struct target *target = target_start("mutant", NULL);
	struct patient *before = record(target);
	pid_t tracer = harness_start_tracer(target->pid);

	(void)state;
	expect_objection(before, "a tracer", "tracer ");
	harness_end_tracer(tracer);
	expect_no_objection(before);
	patient_free(before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_left_alone_is_the_same),
		cmocka_unit_test(what_a_program_changes_itself_is_noticed),
		cmocka_unit_test(what_others_do_to_it_is_noticed),
		cmocka_unit_test(a_tracer_is_noticed),
#if defined(__x86_64__)
		cmocka_unit_test(a_blocked_threads_registers_are_compared),
		cmocka_unit_test(a_computing_threads_registers_are_compared_by_itself),
#endif
	};

	harness_begin("test_patient");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
