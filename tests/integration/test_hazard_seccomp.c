// SPDX-License-Identifier: LGPL-2.1-or-later
// Hazard: a seccomp filter that forbids the calls of a capture, by every action that a filter has.
// With CAP_SYS_ADMIN it is suspended and nobody hears of the calls; without, the capture is refused
// before a thread is stopped.
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_HANDLES |
			     PSS_CAPTURE_VA_SPACE;
static const char *const actions[] = { "errno", "trap", "kill", "kill_process", "trace", "notify" };

enum { ACTION_COUNT = sizeof(actions) / sizeof(actions[0]) };

static void capture_thrice(const char *action, const char *who)
{
	_cleanup_target_ struct target *target = target_start("filtered", action, who, NULL);
	struct patient *patient = patient_record(target->pid);

	print_message("%s of %s\n", action, who);
	for (int i = 0; i < 3; i++)
		harness_free_snapshot(harness_capture(target, FULL));
	patient_assert_same(patient);
	patient_free(patient);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

static void filters_are_suspended_whatever_they_do(void **state)
{
	(void)state;
	for (int i = 0; i < ACTION_COUNT; i++) {
		capture_thrice(actions[i], "all");
		capture_thrice(actions[i], "leader");
	}
}

static void a_filter_of_a_worker_alone_does_not_matter(void **state)
{
	(void)state;
	for (int i = 0; i < ACTION_COUNT; i++)
		capture_thrice(actions[i], "worker");
}

// It was not asked, so it is not stuck: what a thread asked it before it answers afterwards.
static void a_call_that_waits_for_its_supervisor_gets_its_answer(void **state)
{
	_cleanup_target_ struct target *target = target_start("filtered", "notify", "all", NULL);

	(void)state;
	target_ask(target, "waits");
	for (int i = 0; i < 3; i++)
		harness_free_snapshot(harness_capture(target, FULL));
	target_ask(target, "answer");
	assert_int_equal(target_answer(target, "result"), 4711);
	target_assert_unharmed(target);
}

// In a child of ours: a capability that is given up does not come back.
static void give_up_sys_admin(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data) < 0)
		_exit(100);
	data[0].effective &= ~(1u << CAP_SYS_ADMIN);
	data[0].permitted &= ~(1u << CAP_SYS_ADMIN);
	data[0].inheritable = 0;
	if (syscall(SYS_capset, &head, data) < 0)
		_exit(101);
}

static int capture_without_sys_admin(const struct target *target)
{
	HPSS snapshot = NULL;
	DWORD code;

	give_up_sys_admin();
	code = PssCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &snapshot);
	printf("refused with %u: %s\n", code, PssxErrorText());
	fflush(stdout);
	if (code != ERROR_ACCESS_DENIED)
		return 1;
	return strstr(PssxErrorText(), "seccomp filter") && strstr(PssxErrorText(), "CAP_SYS_ADMIN")
		       ? 0
		       : 2;
}

static void without_the_right_it_is_refused_before_a_thread_is_stopped(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	for (int i = 0; i < ACTION_COUNT; i++) {
		_cleanup_target_ struct target *target =
			target_start("filtered", actions[i], "all", NULL);
		struct patient *patient = patient_record(target->pid);
		unsigned long switches = harness_switches_of(target->pid);
		int status;

		pid_t pid = harness_fork();
		if (pid == 0)
			_exit(capture_without_sys_admin(target));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(harness_switches_of(target->pid), switches);
		patient_assert_same(patient);
		patient_free(patient);
		target_wait_for_beat(target);
		target_assert_unharmed(target);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(filters_are_suspended_whatever_they_do),
		cmocka_unit_test(a_filter_of_a_worker_alone_does_not_matter),
		cmocka_unit_test(a_call_that_waits_for_its_supervisor_gets_its_answer),
		cmocka_unit_test(without_the_right_it_is_refused_before_a_thread_is_stopped),
	};

	harness_begin("test_hazard_seccomp");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
