// SPDX-License-Identifier: LGPL-2.1-or-later
// The alarm that reaps the dead while threads are seized. However long it takes for thousands of
// threads, on a busy machine or under a tracer, the seizing gets its time in between: the next
// alarm is set when one has ended, not before.
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tracee.h"

enum { THREADS = 3000, ALARMS = 4 };

static struct pss_tracee tracee;
static volatile sig_atomic_t alarms;      // that have begun
static volatile sig_atomic_t looks;       // at threads, by all of them
static volatile sig_atomic_t armed_looks; // while the next alarm was set already

int __real_waitid(idtype_t type, id_t id, siginfo_t *info, int options);
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options);

// The alarm's look at one thread. So slow that it takes longer than the time between two alarms is
// what a tracer makes of it; that the next is not set meanwhile is told without waiting.
int __wrap_waitid(idtype_t type, id_t id, siginfo_t *info, int options)
{
	struct itimerspec left = { 0 };

	if (id == (id_t)pss_tracee_thread(&tracee, 0)->tid)
		alarms++;
	looks++;
	if (timer_gettime(tracee.alarm, &left) < 0 || left.it_value.tv_sec ||
	    left.it_value.tv_nsec || left.it_interval.tv_sec || left.it_interval.tv_nsec)
		armed_looks++;
	return __real_waitid(type, id, info, options);
}

// Numbers of no children of ours: there is nothing to reap.
static void add_threads(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct pss_tracee_thread thread = {
			.tid = getpid(),
			.state = PSS_TRACEE_SEIZED,
		};

		assert_int_equal(pss_buf_append(&tracee.threads, &thread, sizeof thread), 0);
	}
	pss_tracee_thread(&tracee, 0)->tid = getppid();
}

static void wait_for_alarms(int count)
{
	sigset_t all, before;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &before);
	while (alarms < count) {
		sigset_t open = before;

		(void)sigdelset(&open, SIGALRM);
		(void)sigsuspend(&open);
	}
	(void)sigprocmask(SIG_SETMASK, &before, NULL);
}

static int setup(void **state)
{
	(void)state;
	tracee = PSS_TRACEE_EMPTY;
	alarms = looks = armed_looks = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	pss_buf_deinit(&tracee.threads);
	return 0;
}

static void the_next_alarm_is_set_when_one_has_ended(void **state)
{
	(void)state;
	add_threads(THREADS);
	assert_int_equal(pss_tracee_begin_alarm(&tracee), 0);
	wait_for_alarms(ALARMS);
	pss_tracee_end_alarm(&tracee);
	assert_true(looks >= ALARMS * THREADS);
	assert_int_equal(armed_looks, 0);
}

static void it_ends_when_it_is_told_to(void **state)
{
	(void)state;
	add_threads(1);
	assert_int_equal(pss_tracee_begin_alarm(&tracee), 0);
	wait_for_alarms(1);
	pss_tracee_end_alarm(&tracee);
	struct itimerspec left;
	assert_int_equal(timer_gettime(tracee.alarm, &left), -1);
}

static void *begin_in_a_thread(void *argument)
{
	*(int *)argument = pss_tracee_begin_alarm(&tracee);
	return NULL;
}

static void in_a_thread_of_the_host_there_is_none(void **state)
{
	pthread_t thread;
	int result = 0;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, begin_in_a_thread, &result), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(result, -EAGAIN);
}

// A tracee that has died is taken away, one that lives and has stopped is left for who waits for
// it.
static void the_dead_are_reaped_and_the_stopped_are_not(void **state)
{
	pid_t pids[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			if (i == 0)
				_exit(0);
			(void)ptrace(PTRACE_TRACEME, 0, 0, 0);
			(void)raise(SIGSTOP);
			_exit(0);
		}
		const struct pss_tracee_thread thread = {
			.tid = pids[i],
			.state = PSS_TRACEE_SEIZED,
		};
		assert_int_equal(pss_buf_append(&tracee.threads, &thread, sizeof thread), 0);
	}
	siginfo_t info = { 0 };
	assert_int_equal(__real_waitid(P_PID, (id_t)pids[0], &info, WEXITED | WNOWAIT), 0);
	assert_int_equal(__real_waitid(P_PID, (id_t)pids[1], &info, WSTOPPED | WNOWAIT), 0);
	assert_int_equal(pss_tracee_begin_alarm(&tracee), 0);
	// The second begins when the first has done its work.
	wait_for_alarms(2);
	pss_tracee_end_alarm(&tracee);
	assert_int_equal(waitpid(pids[0], NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	int status = 0;
	assert_int_equal(waitpid(pids[1], &status, WNOHANG), pids[1]);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(kill(pids[1], SIGKILL), 0);
	assert_int_equal(waitpid(pids[1], NULL, 0), pids[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_next_alarm_is_set_when_one_has_ended, setup,
						teardown),
		cmocka_unit_test_setup_teardown(it_ends_when_it_is_told_to, setup, teardown),
		cmocka_unit_test_setup_teardown(in_a_thread_of_the_host_there_is_none, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_dead_are_reaped_and_the_stopped_are_not, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
