// SPDX-License-Identifier: LGPL-2.1-or-later
// Descriptors put into other processes and closed there: whatever the receiver does, it has one
// descriptor more, none afterwards, and nothing else has changed in it.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "harness_peer.h"

enum { ROUNDS = 5, MAX_FDS = 256 };

// Without a clone: what is handed over does not matter here.
static HPSS capture_self(uint32_t flags)
{
	HPSS snapshot = NULL;

	assert_success(
		PssCaptureSnapshot(GetCurrentProcess(), (PSS_CAPTURE_FLAGS)flags, 0, &snapshot));
	return snapshot;
}

static void read_link_of(pid_t pid, int fd, char *link, size_t room)
{
	char path[64];
	ssize_t length;

	// A leader that has exited shows none, its threads do.
	pid_t tids[1] = { pid };
	patient_threads(pid, tids, 1);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/%d", pid, tids[0], fd);
	length = readlink(path, link, room - 1);
	if (length <= 0) {
		pid_t both[2] = { pid, pid };

		patient_threads(pid, both, 2);
		snprintf(path, sizeof(path), "/proc/%d/task/%d/fd/%d", pid, both[1], fd);
		length = readlink(path, link, room - 1);
	}
	link[length > 0 ? length : 0] = '\0';
}

static bool holds_section(pid_t pid, HPSS snapshot)
{
	char link[256];

	read_link_of(pid, (int)(intptr_t)snapshot, link, sizeof(link));
	return !strcmp(link, "/memfd:procsnap (deleted)");
}

// The leader's whole stack, what lies below its stack pointer too; to be freed.
struct bytes {
	uint64_t start;
	size_t size;
	uint8_t *data;
};

static struct bytes read_stack(const struct target *target)
{
	struct bytes stack = { 0 };
	char path[64], *maps, *line, *rest;
	unsigned long start, end;

	snprintf(path, sizeof(path), "/proc/%d/maps", target->pid);
	maps = rest = harness_read_file(path);
	while (maps && (line = strsep(&rest, "\n")))
		if (strstr(line, "[stack]") && sscanf(line, "%lx-%lx", &start, &end) == 2) {
			stack = (struct bytes){ start, end - start, malloc(end - start) };
			target_read(target, start, stack.data, stack.size);
		}
	free(maps);
	return stack;
}

static void assert_same_stack(const struct target *target, const struct bytes *before)
{
	struct bytes now = read_stack(target);

	assert_int_equal(now.start, before->start);
	assert_int_equal(now.size, before->size);
	for (size_t i = 0; i < now.size; i++)
		if (now.data[i] != before->data[i])
			harness_fail("%s: byte %#llx of the stack is %02x, was %02x", target->name,
				     (unsigned long long)(now.start + i), now.data[i],
				     before->data[i]);
	free(now.data);
}

// General registers of the leader, but for those that tell how the kernel restarts a call.
static void read_registers(const struct target *target, uint8_t *registers, size_t room)
{
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT);
	SIZE_T size = room;
	DWORD index = 0;

	assert_true(harness_find_thread(snapshot, target->pid, NULL, &index));
	memset(registers, 0, room);
	assert_success(PssxQueryRegisters(snapshot, index, 1, registers, &size));
#if defined(__x86_64__)
	struct user_regs_struct *general = (void *)registers;

	general->rax = general->orig_rax = 0;
#endif
	harness_free_snapshot(snapshot);
}

static HPSS give(const struct target *receiver, HPSS snapshot)
{
	HPSS there = NULL;

	assert_success(PssDuplicateSnapshot(GetCurrentProcess(), snapshot, target_handle(receiver),
					    &there, PSS_DUPLICATE_NONE));
	assert_true((intptr_t)there >= 3);
	return there;
}

static void give_and_free(const struct target *receiver, HPSS snapshot)
{
	size_t fds = harness_count_fds(receiver->server);
	HPSS there = give(receiver, snapshot);

	assert_true(holds_section(receiver->pid, there));
	assert_int_equal(harness_count_fds(receiver->server), fds + 1);
	assert_success(PssFreeSnapshot(target_handle(receiver), there));
	assert_int_equal(harness_count_fds(receiver->server), fds);
}

// Many times, for what is left by one may be hidden by the next.
static void give_and_free_many(const struct target *receiver)
{
	HPSS snapshot = capture_self(PSS_CAPTURE_NONE);
	struct host *host;

	give_and_free(receiver, snapshot);
	host = host_record();
	for (int i = 0; i < ROUNDS; i++)
		give_and_free(receiver, snapshot);
	host_assert_same(host);
	host_free(host);
	harness_free_snapshot(snapshot);
}

static void check_waiting(const char *mode)
{
	_cleanup_target_ struct target *target = target_start("leader_waits", mode, NULL);
	uint8_t before[1024], after[1024];
	struct patient *patient;
	struct bytes stack;

	target_wait_asleep(target);
	read_registers(target, before, sizeof(before));
	target_wait_asleep(target);
	patient = patient_record(target->pid);
	stack = read_stack(target);
	give_and_free_many(target);
	patient_assert_same(patient);
	assert_same_stack(target, &stack);
	patient_free(patient);
	free(stack.data);
	read_registers(target, after, sizeof(after));
	assert_memory_equal(before, after, sizeof(before));
	target_assert_unharmed(target);
}

static void into_a_leader_that_waits_in_read(void **state)
{
	(void)state;
	check_waiting("read");
}

static void into_a_leader_that_waits_in_epoll(void **state)
{
	(void)state;
	check_waiting("epoll");
}

static void into_a_leader_that_waits_in_nanosleep(void **state)
{
	(void)state;
	check_waiting("nanosleep");
}

static void into_a_leader_that_waits_in_futex(void **state)
{
	(void)state;
	check_waiting("futex");
}

static void into_a_leader_that_computes_with_vector_registers(void **state)
{
	_cleanup_target_ struct target *target = target_start("vector", "1", "leader", NULL);

	(void)state;
	if (!target)
		skip();
	for (int i = 0; i < 20; i++) {
		give_and_free_many(target);
		target_wait_for_beat(target);
	}
	target_assert_unharmed(target);
}

static void among_threads_in_every_kind_of_call(void **state)
{
	_cleanup_target_ struct target *target = target_start("sleepers", NULL);
	struct patient *patient;

	(void)state;
	target_wait_asleep(target);
	patient = patient_record(target->pid);
	give_and_free_many(target);
	patient_assert_same(patient);
	patient_free(patient);
	assert_int_equal(target_counters(target).eintr, 0);
	assert_int_equal(target_counters(target).wrong, 0);
}

static void check_other(const char *name, const char *argument)
{
	_cleanup_target_ struct target *target = target_start(name, argument, NULL);

	if (!target)
		skip();
	give_and_free_many(target);
	target_assert_unharmed(target);
}

static void where_the_leader_has_exited(void **state)
{
	(void)state;
	check_other("leader_gone", NULL);
}

static void where_no_stack_has_room(void **state)
{
	(void)state;
	check_other("small_stack", "4");
}

static void among_restartable_sequences(void **state)
{
	(void)state;
	check_other("rseq_spin", "4");
}

// A filter can be suspended by the powerful only; it must not be met by anybody.
static void check_filtered(const char *name, const char *argument)
{
	_cleanup_target_ struct target *target = target_start(name, argument, NULL);
	HPSS snapshot = capture_self(PSS_CAPTURE_NONE);
	HPSS there = NULL;

	if (geteuid() == 0)
		give_and_free_many(target);
	else
		assert_int_equal(PssDuplicateSnapshot(GetCurrentProcess(), snapshot,
						      target_handle(target), &there,
						      PSS_DUPLICATE_NONE),
				 ERROR_ACCESS_DENIED);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void under_a_filter_that_kills(void **state)
{
	(void)state;
	check_filtered("seccomp_errno", "kill");
	check_filtered("worker_filter", NULL);
}

// Its number is one of the process's, not of the thread that happened to receive it.
static void not_into_the_descriptors_of_one_thread(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_waits", "vfork", NULL);

	(void)state;
	give_and_free_many(target);
}

static void while_signals_pour_in(void **state)
{
	(void)state;
	check_other("storm", NULL);
}

// Closing 0 to 2 is what daemons do: whoever opens something next must not get a snapshot for it.
static void never_as_a_number_below_3(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_waits", "low_fds", NULL);
	HPSS snapshot = capture_self(PSS_CAPTURE_NONE);
	HPSS there = NULL;
	HANDLE handle = NULL;
	uint64_t since = harness_now_ns();
	size_t fds;
	char link[64];

	(void)state;
	for (read_link_of(target->pid, 2, link, sizeof(link)); link[0];
	     read_link_of(target->pid, 2, link, sizeof(link)))
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("descriptor 2 stays open");
	target_wait_asleep(target);
	fds = harness_count_fds(target->pid);
	there = give(target, snapshot);
	assert_true(holds_section(target->pid, there));
	assert_true(DuplicateHandle(GetCurrentProcess(), (HANDLE)snapshot, target_handle(target),
				    &handle, 0, TRUE, DUPLICATE_SAME_ACCESS));
	assert_true((intptr_t)handle >= 3);
	assert_int_equal(harness_count_fds(target->pid), fds + 2);
	assert_success(PssFreeSnapshot(target_handle(target), there));
	assert_success(PssFreeSnapshot(target_handle(target), (HPSS)handle));
	assert_int_equal(harness_count_fds(target->pid), fds);
	harness_free_snapshot(snapshot);
}

static void wait_for_stop(pid_t pid)
{
	pid_t tids[64];
	size_t count = patient_threads(pid, tids, 64);

	for (size_t i = 0; i < count && i < 64; i++)
		harness_wait_for_state(tids[i], 'T');
}

static void into_a_stopped_process_which_stays_stopped(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	struct patient *patient;

	(void)state;
	assert_int_equal(kill(target->pid, SIGSTOP), 0);
	wait_for_stop(target->pid);
	patient = patient_record(target->pid);
	give_and_free_many(target);
	wait_for_stop(target->pid);
	patient_assert_same(patient);
	patient_free(patient);
	assert_int_equal(kill(target->pid, SIGCONT), 0);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

static void a_traced_process_is_left_to_its_tracer(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_waits", "read", NULL);
	HPSS snapshot = capture_self(PSS_CAPTURE_NONE);
	HPSS there = (HPSS)(intptr_t)-7;
	pid_t tracer = harness_start_tracer(target->pid);
	struct patient *patient = patient_record(target->pid);

	(void)state;
	assert_int_equal(PssDuplicateSnapshot(GetCurrentProcess(), snapshot, target_handle(target),
					      &there, PSS_DUPLICATE_NONE),
			 ERROR_BUSY);
	assert_int_equal((intptr_t)there, -7);
	assert_non_null(strstr(PssxErrorText(), "traced by"));
	patient_assert_same(patient);
	patient_free(patient);
	harness_end_tracer(tracer);
	give_and_free_many(target);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void a_process_that_has_ended_is_no_valid_handle(void **state)
{
	struct target *target = target_start("plain", NULL);
	HPSS snapshot = capture_self(PSS_CAPTURE_NONE);
	HPSS there = (HPSS)(intptr_t)-7;
	siginfo_t info;

	(void)state;
	kill(target->pid, SIGKILL);
	assert_int_equal(waitid(P_PID, (id_t)target->pid, &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(PssDuplicateSnapshot(GetCurrentProcess(), snapshot, target_handle(target),
					      &there, PSS_DUPLICATE_NONE),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssDuplicateSnapshot(target_handle(target), snapshot, GetCurrentProcess(),
					      &there, PSS_DUPLICATE_NONE),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssFreeSnapshot(target_handle(target), snapshot), ERROR_INVALID_HANDLE);
	assert_int_equal((intptr_t)there, -7);
	target_stop(target);
	harness_free_snapshot(snapshot);
}

// Numbers of its own that a process may use so that @room are free below the limit.
static void limit_fds(pid_t pid, size_t room)
{
	struct rlimit limit = { .rlim_max = 4096 };

	for (; room || limit.rlim_cur < harness_count_fds(pid); limit.rlim_cur++) {
		char link[256];

		read_link_of(pid, (int)limit.rlim_cur, link, sizeof(link));
		if (link[0])
			continue;
		if (!room)
			break;
		room--;
	}
	assert_int_equal(prlimit(pid, RLIMIT_NOFILE, &limit, NULL), 0);
}

// With room for none, one or two more descriptors the way in, or the duplicate itself, fails.
static void without_room_for_descriptors_nothing_is_left(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_waits", "read", NULL);
	HPSS snapshot = capture_self(PSS_CAPTURE_NONE);
	struct patient *patient = patient_record(target->pid);

	(void)state;
	for (size_t room = 0; room < 3; room++) {
		HPSS there = (HPSS)(intptr_t)-7;

		limit_fds(target->pid, room);
		assert_int_equal(PssDuplicateSnapshot(GetCurrentProcess(), snapshot,
						      target_handle(target), &there,
						      PSS_DUPLICATE_NONE),
				 ERROR_TOO_MANY_OPEN_FILES);
		assert_int_equal((intptr_t)there, -7);
		patient_assert_same(patient);
	}
	patient_free(patient);
	limit_fds(target->pid, 3);
	give_and_free_many(target);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

struct giver {
	const struct target *receiver;
	HPSS snapshot;
	DWORD code;
};

static void *give_until_it_fails(void *arg)
{
	struct giver *giver = arg;
	HPSS there;

	do
		giver->code = PssDuplicateSnapshot(GetCurrentProcess(), giver->snapshot,
						   target_handle(giver->receiver), &there,
						   PSS_DUPLICATE_NONE);
	while (giver->code == ERROR_SUCCESS);
	return NULL;
}

// At whatever step that is: a process that has ended has no handles.
static void a_receiver_may_die_meanwhile(void **state)
{
	HPSS snapshot = capture_self(PSS_CAPTURE_NONE);
	struct host *host = NULL;

	(void)state;
	for (int i = 0; i < 40; i++) {
		struct target *target = target_start("leader_waits", "read", NULL);
		struct giver giver = { .receiver = target, .snapshot = snapshot };
		size_t fds = harness_count_fds(target->pid);
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, give_until_it_fails, &giver), 0);
		while (harness_count_fds(target->pid) <= fds)
			harness_breathe();
		// Another step each time.
		for (uint64_t since = harness_now_ns(); harness_now_ns() - since < i * 10000u;)
			;
		kill(target->pid, SIGKILL);
		pthread_join(thread, NULL);
		assert_int_equal(giver.code, ERROR_INVALID_HANDLE);
		target_stop(target);
		// The first thread of a program makes libc set up a handler.
		if (!host)
			host = host_record();
	}
	host_assert_same(host);
	host_free(host);
	harness_free_snapshot(snapshot);
}

static void *give_in_thread(void *arg)
{
	const struct giver *giver = arg;
	uintptr_t failures = 0;

	for (int i = 0; i < 20; i++) {
		HPSS there = NULL;
		DWORD code = PssDuplicateSnapshot(GetCurrentProcess(), giver->snapshot,
						  target_handle(giver->receiver), &there,
						  PSS_DUPLICATE_NONE);

		if (code == ERROR_SUCCESS)
			code = PssFreeSnapshot(target_handle(giver->receiver), there);
		if (code == ERROR_SUCCESS)
			continue;
		print_error("%u: %s\n", code, PssxErrorText());
		failures++;
	}
	return (void *)failures;
}

static void by_several_threads_at_once(void **state)
{
	enum { THREADS = 4 };
	_cleanup_target_ struct target *target = target_start("leader_waits", "epoll", NULL);
	struct giver giver = { .receiver = target, .snapshot = capture_self(PSS_CAPTURE_NONE) };
	struct patient *patient;
	pthread_t threads[THREADS];
	void *failures;

	(void)state;
	target_wait_asleep(target);
	patient = patient_record(target->pid);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, give_in_thread, &giver), 0);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failures);
		assert_int_equal((uintptr_t)failures, 0);
	}
	patient_assert_same(patient);
	patient_free(patient);
	harness_free_snapshot(giver.snapshot);
	target_assert_unharmed(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(into_a_leader_that_waits_in_read),
		cmocka_unit_test(into_a_leader_that_waits_in_epoll),
		cmocka_unit_test(into_a_leader_that_waits_in_nanosleep),
		cmocka_unit_test(into_a_leader_that_waits_in_futex),
		cmocka_unit_test(into_a_leader_that_computes_with_vector_registers),
		cmocka_unit_test(among_threads_in_every_kind_of_call),
		cmocka_unit_test(where_the_leader_has_exited),
		cmocka_unit_test(where_no_stack_has_room),
		cmocka_unit_test(among_restartable_sequences),
		cmocka_unit_test(under_a_filter_that_kills),
		cmocka_unit_test(not_into_the_descriptors_of_one_thread),
		cmocka_unit_test(while_signals_pour_in),
		cmocka_unit_test(never_as_a_number_below_3),
		cmocka_unit_test(into_a_stopped_process_which_stays_stopped),
		cmocka_unit_test(a_traced_process_is_left_to_its_tracer),
		cmocka_unit_test(a_process_that_has_ended_is_no_valid_handle),
		cmocka_unit_test(without_room_for_descriptors_nothing_is_left),
		cmocka_unit_test(a_receiver_may_die_meanwhile),
		cmocka_unit_test(by_several_threads_at_once),
	};

	harness_begin("test_remote");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
