// SPDX-License-Identifier: LGPL-2.1-or-later
// PSS_CAPTURE_FLAGS one by one and in the combinations that are allowed or not, and the fields of
// PSS_PROCESS_INFORMATION and PSS_THREAD_ENTRY that they or the target's state decide. Names quote
// the rule.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conformance.h"

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

static DWORD capture_of(HANDLE process, uint32_t flags, HPSS *ret)
{
	return PssCaptureSnapshot(process, (PSS_CAPTURE_FLAGS)flags, CONTEXT_ALL, ret);
}

static DWORD query(HPSS snapshot, int class)
{
	union any value;

	return PssQuerySnapshot(snapshot, (PSS_QUERY_INFORMATION_CLASS) class, &value,
				query_lengths[class]);
}

static DWORD walk(HPSS snapshot, int class)
{
	HPSSWALK marker = NULL;
	union any entry;
	DWORD code;

	assert_success(PssWalkMarkerCreate(NULL, &marker));
	code = PssWalkSnapshot(snapshot, (PSS_WALK_INFORMATION_CLASS) class, marker, &entry,
			       walk_lengths[class]);
	assert_success(PssWalkMarkerFree(marker));
	return code;
}

static void each_kind_is_there_if_its_flag_was_given_and_only_then(void **state)
{
	static const struct {
		uint32_t flag;
		int query, walk;
	} kinds[] = {
		{ PSS_CAPTURE_VA_CLONE, PSS_QUERY_VA_CLONE_INFORMATION, -1 },
		{ PSS_CAPTURE_VA_SPACE, PSS_QUERY_VA_SPACE_INFORMATION, PSS_WALK_VA_SPACE },
		{ PSS_CAPTURE_HANDLES, PSS_QUERY_HANDLE_INFORMATION, PSS_WALK_HANDLES },
		{ PSS_CAPTURE_THREADS, PSS_QUERY_THREAD_INFORMATION, PSS_WALK_THREADS },
		{ PSS_CAPTURE_THREADS, PSS_QUERY_THREAD_INFORMATION, PSS_WALK_THREAD_NAME },
		{ PSS_CREATE_MEASURE_PERFORMANCE, PSS_QUERY_PERFORMANCE_COUNTERS, -1 },
	};
	enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

	(void)state;
	for (int asked = 0; asked < KINDS; asked++) {
		HPSS snapshot = harness_capture(target, kinds[asked].flag);

		assert_success(query(snapshot, PSS_QUERY_PROCESS_INFORMATION));
		for (int kind = 0; kind < KINDS; kind++) {
			DWORD expected = kinds[kind].flag == kinds[asked].flag ? ERROR_SUCCESS
									       : ERROR_NOT_FOUND;

			assert_int_equal(query(snapshot, kinds[kind].query), expected);
			assert_int_equal(
				PssQuerySnapshot(snapshot,
						 (PSS_QUERY_INFORMATION_CLASS)kinds[kind].query,
						 NULL, query_lengths[kinds[kind].query]),
				expected == ERROR_SUCCESS ? ERROR_INVALID_PARAMETER : expected);
			if (kinds[kind].walk >= 0)
				assert_int_equal(walk(snapshot, kinds[kind].walk), expected);
		}
		harness_free_snapshot(snapshot);
	}
}

static void handle_flags_without_HANDLES_succeed_and_bring_no_handles(void **state)
{
	static const uint32_t flags[] = { PSS_CAPTURE_HANDLE_NAME_INFORMATION,
					  PSS_CAPTURE_HANDLE_BASIC_INFORMATION,
					  PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION,
					  PSS_CAPTURE_HANDLE_NAME_INFORMATION |
						  PSS_CAPTURE_HANDLE_BASIC_INFORMATION };

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		HPSS snapshot = harness_capture(target, flags[i]);

		assert_int_equal(query(snapshot, PSS_QUERY_HANDLE_INFORMATION), ERROR_NOT_FOUND);
		assert_int_equal(walk(snapshot, PSS_WALK_HANDLES), ERROR_NOT_FOUND);
		harness_free_snapshot(snapshot);
	}
}

static void SECTION_INFORMATION_without_VA_SPACE_is_ignored(void **state)
{
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION);

	(void)state;
	assert_int_equal(query(snapshot, PSS_QUERY_VA_SPACE_INFORMATION), ERROR_NOT_FOUND);
	assert_int_equal(walk(snapshot, PSS_WALK_VA_SPACE), ERROR_NOT_FOUND);
	harness_free_snapshot(snapshot);
}

static void THREAD_CONTEXT_without_THREADS_brings_no_threads(void **state)
{
	static const uint32_t flags[] = { PSS_CAPTURE_THREAD_CONTEXT,
					  PSS_CAPTURE_THREAD_CONTEXT_EXTENDED,
					  PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREAD_CONTEXT };

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		HPSS snapshot = harness_capture(target, flags[i]);

		assert_int_equal(query(snapshot, PSS_QUERY_THREAD_INFORMATION), ERROR_NOT_FOUND);
		assert_int_equal(walk(snapshot, PSS_WALK_THREADS), ERROR_NOT_FOUND);
		assert_int_equal(walk(snapshot, PSS_WALK_THREAD_NAME), ERROR_NOT_FOUND);
		harness_free_snapshot(snapshot);
	}
}

static void BREAKAWAY_OPTIONAL_alone_is_an_invalid_parameter(void **state)
{
	HPSS snapshot = (HPSS)1;

	(void)state;
	assert_int_equal(
		capture_of(target_handle(target), PSS_CREATE_BREAKAWAY_OPTIONAL, &snapshot),
		ERROR_INVALID_PARAMETER);
	assert_int_equal(capture_of(target_handle(target),
				    PSS_CAPTURE_VA_CLONE | PSS_CREATE_BREAKAWAY_OPTIONAL,
				    &snapshot),
			 ERROR_INVALID_PARAMETER);
	assert_ptr_equal(snapshot, (HPSS)1);
}

static void every_single_reserved_or_unknown_bit_is_an_invalid_parameter(void **state)
{
	const uint32_t known = every_flag | PSS_CREATE_BREAKAWAY | PSS_CREATE_FORCE_BREAKAWAY |
			       PSS_CREATE_BREAKAWAY_OPTIONAL;

	(void)state;
	for (int bit = 0; bit < 32; bit++) {
		HPSS snapshot = (HPSS)1;

		if (known & UINT32_C(1) << bit)
			continue;
		// Alone and beside good ones.
		assert_int_equal(capture_of(target_handle(target), UINT32_C(1) << bit, &snapshot),
				 ERROR_INVALID_PARAMETER);
		assert_int_equal(capture_of(target_handle(target),
					    UINT32_C(1) << bit | PSS_CAPTURE_THREADS, &snapshot),
				 ERROR_INVALID_PARAMETER);
		assert_ptr_equal(snapshot, (HPSS)1);
	}
}

static void bad_process_handle_before_bad_flags_before_no_room_for_the_result(void **state)
{
	const uint32_t reserved = PSS_CAPTURE_RESERVED_00000002;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t child = harness_fork();
	HANDLE gone;

	(void)state;
	if (child == 0)
		_exit(0);
	gone = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)child);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(capture_of(NULL, reserved, NULL), ERROR_INVALID_HANDLE);
	assert_int_equal(capture_of((HANDLE)(intptr_t)fd, reserved, NULL), ERROR_INVALID_HANDLE);
	assert_int_equal(capture_of(target_handle(target), reserved, NULL),
			 ERROR_INVALID_PARAMETER);
	assert_int_equal(capture_of(target_handle(target), PSS_CAPTURE_NONE, NULL),
			 ERROR_INVALID_PARAMETER);
	// A good handle to a process that is no more.
	assert_int_equal(capture_of(gone, PSS_CAPTURE_NONE, NULL), ERROR_INVALID_PARAMETER);
	assert_true(CloseHandle(gone));
	close(fd);
}

static void RELEASE_SECTION_has_no_effect_without_VA_CLONE_and_the_clone_reads_with_it(void **state)
{
	HPSS snapshot = harness_capture(target, PSS_CREATE_RELEASE_SECTION);

	(void)state;
	assert_success(query(snapshot, PSS_QUERY_PROCESS_INFORMATION));
	assert_int_equal(query(snapshot, PSS_QUERY_VA_CLONE_INFORMATION), ERROR_NOT_FOUND);
	harness_free_snapshot(snapshot);
	snapshot = harness_capture(target, PSS_CREATE_RELEASE_SECTION | PSS_CAPTURE_VA_CLONE);
	assert_int_equal(harness_read_clone_word(snapshot, target_value(target, "pattern")),
			 0x9e3779b97f4a7c15u);
	harness_free_snapshot(snapshot);
}

static void IPT_TRACE_and_HANDLE_TRACE_succeed_beside_everything(void **state)
{
	HPSS snapshot = harness_capture(target, every_flag);

	(void)state;
	assert_int_equal(query(snapshot, PSS_QUERY_HANDLE_TRACE_INFORMATION), ERROR_NOT_FOUND);
	harness_free_snapshot(snapshot);
}

static PSS_PROCESS_INFORMATION information_of(pid_t pid)
{
	HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)pid);
	PSS_PROCESS_INFORMATION information;
	HPSS snapshot = NULL;

	assert_non_null(process);
	assert_success(capture_of(process, PSS_CAPTURE_NONE, &snapshot));
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &information,
					sizeof(information)));
	assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
	assert_true(CloseHandle(process));
	return information;
}

static void wait_until(pid_t pid, int event)
{
	siginfo_t info;

	assert_int_equal(waitid(P_PID, (id_t)pid, &info, event | WNOWAIT), 0);
}

static pid_t fork_sleeper(void)
{
	pid_t child = harness_fork();

	while (child == 0)
		pause();
	return child;
}

static void kill_and_reap(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void FROZEN_is_a_process_that_was_stopped_before(void **state)
{
	pid_t child = fork_sleeper();

	(void)state;
	assert_int_equal(information_of(child).Flags, PSS_PROCESS_FLAGS_NONE);
	kill(child, SIGSTOP);
	wait_until(child, WSTOPPED);
	assert_int_equal(information_of(child).Flags, PSS_PROCESS_FLAGS_FROZEN);
	kill(child, SIGCONT);
	wait_until(child, WCONTINUED);
	assert_int_equal(information_of(child).Flags, PSS_PROCESS_FLAGS_NONE);
	kill_and_reap(child);
}

static void PROTECTED_is_a_process_that_is_not_dumpable(void **state)
{
	// Of an ordinary user: the files of root in /proc do not tell.
	const struct target_options options = { .uid = 65534 };
	struct target *protected;

	(void)state;
	if (geteuid() != 0)
		skip();
	protected = target_start_with(&options, "undumpable", NULL);
	assert_true(information_of(protected->pid).Flags & PSS_PROCESS_FLAGS_PROTECTED);
	target_stop(protected);
}

static void AffinityMask_and_PriorityClass_are_the_targets(void **state)
{
	static const struct {
		int nice;
		DWORD class;
		LONG level;
	} rows[] = {
		{ 0, NORMAL_PRIORITY_CLASS, 8 },
		{ 19, IDLE_PRIORITY_CLASS, 4 },
		{ -11, HIGH_PRIORITY_CLASS, 13 },
	};
	pid_t child = fork_sleeper();
	cpu_set_t first;

	(void)state;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	assert_int_equal(sched_setaffinity(child, sizeof(first), &first), 0);
	assert_int_equal(information_of(child).AffinityMask, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (setpriority(PRIO_PROCESS, (id_t)child, rows[i].nice) < 0)
			continue; // an ordinary user cannot raise it
		assert_int_equal(information_of(child).PriorityClass, rows[i].class);
		assert_int_equal(information_of(child).BasePriority, rows[i].level);
	}
	kill_and_reap(child);
}

static void ExitStatus_and_ExitTime_are_those_of_a_process_that_has_ended(void **state)
{
	pid_t child = harness_fork();
	PSS_PROCESS_INFORMATION information;

	(void)state;
	if (child == 0)
		_exit(42);
	wait_until(child, WEXITED);
	information = information_of(child);
	assert_int_equal(information.ExitStatus, 42);
	assert_int_equal(information.ProcessId, child);
	assert_int_equal(information.ParentProcessId, getpid());
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static uint64_t ticks(FILETIME time)
{
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

static void KernelTime_and_UserTime_are_durations_in_units_of_100_ns(void **state)
{
	PSS_PROCESS_INFORMATION before = information_of(getpid()), after;
	uint64_t since = harness_now_ns();
	struct rusage usage;
	uint64_t used;

	(void)state;
	while (!harness_is_past(since, 100))
		;
	after = information_of(getpid());
	getrusage(RUSAGE_SELF, &usage);
	used = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 10000000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 10;
	assert_true(ticks(after.UserTime) + ticks(after.KernelTime) <= used + 1000000);
	assert_true(ticks(after.UserTime) + ticks(after.KernelTime) >
		    ticks(before.UserTime) + ticks(before.KernelTime));
}

static void PageFaultCount_counts_soft_and_hard_faults(void **state)
{
	struct rusage before, after;
	PSS_PROCESS_INFORMATION information;

	(void)state;
	getrusage(RUSAGE_SELF, &before);
	information = information_of(getpid());
	getrusage(RUSAGE_SELF, &after);
	assert_in_range(information.PageFaultCount, before.ru_minflt + before.ru_majflt,
			after.ru_minflt + after.ru_majflt);
}

static void context_flags_of_0_give_contexts_without_groups(void **state)
{
	HPSSWALK marker = NULL;
	PSS_THREAD_ENTRY entry;
	HPSS snapshot = NULL;

	(void)state;
	assert_success(PssCaptureSnapshot(target_handle(target),
					  PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT, 0,
					  &snapshot));
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	while (PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, &entry, sizeof(entry)) ==
	       ERROR_SUCCESS) {
		assert_int_equal(entry.SizeOfContextRecord, sizeof(CONTEXT));
		assert_int_equal(entry.ContextRecord->ContextFlags & CONTEXT_ALL & 0xffff, 0);
	}
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(snapshot);
}

// Threads that live and have been stopped, and threads that have ended.
static void count_threads(const struct target *of, unsigned *stopped_ret, unsigned *ended_ret)
{
	HPSS snapshot = harness_capture(of, PSS_CAPTURE_THREADS);
	PSS_THREAD_ENTRY entry;
	HPSSWALK marker = NULL;

	*stopped_ret = *ended_ret = 0;
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	while (PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, &entry, sizeof(entry)) ==
	       ERROR_SUCCESS) {
		assert_true(entry.SuspendCount <= 1);
		*stopped_ret += entry.SuspendCount;
		if (entry.Flags & PSS_THREAD_FLAGS_TERMINATED) {
			assert_int_equal(entry.ThreadId, of->pid);
			assert_int_not_equal(entry.ExitStatus, STILL_ACTIVE);
			++*ended_ret;
		} else {
			assert_int_equal(entry.ExitStatus, STILL_ACTIVE);
		}
	}
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(snapshot);
}

static void TERMINATED_is_a_leader_that_ended_and_SuspendCount_one_stop_of_job_control(void **state)
{
	struct target *headless = target_start("leader_gone", NULL);
	uint64_t since = harness_now_ns();
	unsigned stopped, ended;

	(void)state;
	count_threads(headless, &stopped, &ended);
	assert_int_equal(stopped, 0);
	assert_int_equal(ended, 1);
	kill(headless->pid, SIGSTOP);
	do {
		count_threads(headless, &stopped, &ended);
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("%d does not stop", headless->pid);
	} while (stopped == 0);
	assert_int_equal(ended, 1);
	kill(headless->pid, SIGCONT);
	target_stop(headless);
}

static void PssFreeSnapshot_takes_any_handle_of_the_own_process(void **state)
{
	const DWORD rights[] = { PROCESS_ALL_ACCESS,
				 PROCESS_VM_READ | PROCESS_VM_OPERATION | PROCESS_DUP_HANDLE };

	(void)state;
	for (size_t i = 0; i < sizeof(rights) / sizeof(rights[0]); i++) {
		HANDLE own = OpenProcess(rights[i], FALSE, GetCurrentProcessId());

		assert_non_null(own);
		assert_success(PssFreeSnapshot(own, harness_capture(target, PSS_CAPTURE_VA_CLONE)));
		assert_true(CloseHandle(own));
	}
}

static void a_snapshot_does_not_change_after_the_capture(void **state)
{
	HPSS snapshot = harness_capture(target, every_flag & ~PSS_CAPTURE_HANDLES);
	union any before, after;

	(void)state;
	memset(&before, 0, sizeof(before));
	memset(&after, 0, sizeof(after));
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &before,
					sizeof(before.process)));
	target_wait_for_beat(target);
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &after,
					sizeof(after.process)));
	assert_memory_equal(&before, &after, sizeof(before));
	harness_free_snapshot(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_is_there_if_its_flag_was_given_and_only_then),
		cmocka_unit_test(handle_flags_without_HANDLES_succeed_and_bring_no_handles),
		cmocka_unit_test(SECTION_INFORMATION_without_VA_SPACE_is_ignored),
		cmocka_unit_test(THREAD_CONTEXT_without_THREADS_brings_no_threads),
		cmocka_unit_test(BREAKAWAY_OPTIONAL_alone_is_an_invalid_parameter),
		cmocka_unit_test(every_single_reserved_or_unknown_bit_is_an_invalid_parameter),
		cmocka_unit_test(bad_process_handle_before_bad_flags_before_no_room_for_the_result),
		cmocka_unit_test(
			RELEASE_SECTION_has_no_effect_without_VA_CLONE_and_the_clone_reads_with_it),
		cmocka_unit_test(IPT_TRACE_and_HANDLE_TRACE_succeed_beside_everything),
		cmocka_unit_test(FROZEN_is_a_process_that_was_stopped_before),
		cmocka_unit_test(PROTECTED_is_a_process_that_is_not_dumpable),
		cmocka_unit_test(AffinityMask_and_PriorityClass_are_the_targets),
		cmocka_unit_test(ExitStatus_and_ExitTime_are_those_of_a_process_that_has_ended),
		cmocka_unit_test(KernelTime_and_UserTime_are_durations_in_units_of_100_ns),
		cmocka_unit_test(PageFaultCount_counts_soft_and_hard_faults),
		cmocka_unit_test(context_flags_of_0_give_contexts_without_groups),
		cmocka_unit_test(
			TERMINATED_is_a_leader_that_ended_and_SuspendCount_one_stop_of_job_control),
		cmocka_unit_test(PssFreeSnapshot_takes_any_handle_of_the_own_process),
		cmocka_unit_test(a_snapshot_does_not_change_after_the_capture),
	};

	harness_begin("test_flags");
	return cmocka_run_group_tests(tests, start_target, stop_target);
}
