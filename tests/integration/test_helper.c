// SPDX-License-Identifier: LGPL-2.1-or-later
// The tracing helper, in its kinds: it shares the host's memory, is not seen by the host's wait,
// and its death is an error and no more. The thread that stands in for it under Yama can trace as
// well.
#include "harness.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "helper.h"
#include "procfs.h"
#include "tracee.h"

struct seen {
	pid_t pid;
	pid_t tid;
	uint64_t blocked;
	int waited_error;
};

static int look_around(void *context)
{
	struct seen *seen = context;

	seen->pid = (pid_t)syscall(SYS_getpid);
	seen->tid = (pid_t)syscall(SYS_gettid);
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &seen->blocked, 8);
	return 42;
}

static void runs_as(enum pss_helper_kind kind, struct seen *seen)
{
	struct pss_diag diag = { 0 };
	int result = 0;

	assert_int_equal(pss_helper_run(kind, look_around, seen, &diag, &result), 0);
	assert_int_equal(result, 42);
	// SIGKILL and SIGSTOP can't be blocked.
	assert_int_equal(seen->blocked, ~((1ull << (SIGKILL - 1)) | (1ull << (SIGSTOP - 1))));
	assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void a_process_of_its_own_with_our_memory(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	runs_as(PSS_HELPER_PROCESS, &seen);
	assert_int_not_equal(seen.pid, getpid());
	runs_as(PSS_HELPER_OF_HOST, &seen);
	assert_int_not_equal(seen.pid, getpid());
}

static void a_thread_of_the_host_where_the_tracer_must_be_an_ancestor(void **state)
{
	struct seen seen = { 0 };

	(void)state;
	runs_as(PSS_HELPER_THREAD, &seen);
	assert_int_equal(seen.pid, getpid());
	assert_int_not_equal(seen.tid, getpid());
}

static int ask_for_death(void *context)
{
	(void)context;
	(void)kill((pid_t)syscall(SYS_getpid), SIGKILL);
	return 0;
}

static void killed_helper_is_an_error_with_a_text(void **state)
{
	struct pss_diag diag = { 0 };
	int result = 0;

	(void)state;
	assert_int_equal(pss_helper_run(PSS_HELPER_PROCESS, ask_for_death, NULL, &diag, &result),
			 -EOWNERDEAD);
	assert_non_null(strstr(diag.text, "killed"));
	assert_int_equal(waitpid(-1, NULL, __WALL | WNOHANG), -1);
}

struct stop {
	struct pss_tracee tracee;
	uint32_t stopped;
};

static int stop_and_release(void *context)
{
	struct stop *stop = context;
	int r = pss_tracee_stop(&stop->tracee);

	for (uint32_t i = 0; r == 0 && i < pss_tracee_count(&stop->tracee); i++)
		stop->stopped += pss_tracee_thread(&stop->tracee, i)->has_registers;
	pss_tracee_end(&stop->tracee);
	return r;
}

static void each_kind_can_stop_and_release_a_target(void **state)
{
	const enum pss_helper_kind kinds[] = { PSS_HELPER_PROCESS, PSS_HELPER_THREAD };
	struct target *target = target_start("vector", "2", NULL);

	(void)state;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		struct pss_diag diag = { 0 };
		struct stop stop = { .tracee = PSS_TRACEE_EMPTY };
		int proc_fd = -EBADF;
		int result = -1;

		assert_int_equal(pss_procfs_open(target->pid, &proc_fd), 0);
		stop.tracee.pid = target->pid;
		stop.tracee.proc_fd = proc_fd;
		stop.tracee.arch = pss_arch_native();
		stop.tracee.diag = &diag;
		assert_int_equal(pss_helper_run(kinds[i], stop_and_release, &stop, &diag, &result),
				 0);
		assert_int_equal(result, 0);
		assert_int_equal(stop.stopped, 3);
		(void)pss_close(proc_fd);
	}
	target_assert_unharmed(target);
	target_stop(target);
}

int main(void)
{
	harness_begin("helper");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_process_of_its_own_with_our_memory),
		cmocka_unit_test(a_thread_of_the_host_where_the_tracer_must_be_an_ancestor),
		cmocka_unit_test(killed_helper_is_an_error_with_a_text),
		cmocka_unit_test(each_kind_can_stop_and_release_a_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
