// SPDX-License-Identifier: LGPL-2.1-or-later
// The watcher of the memory guard sleeps until it is told of the clone: told while it sleeps, it is
// woken, and told on its way to sleep, it does not sleep. It is traced, to be met at either moment.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "guard.h"

// A wait may end by time just before it would be woken.
enum { SECONDS = 60, TRIES = 20 };

static struct pss_guard *guard;
static pid_t clone_pid; // what stands for a clone

// Runs on to the next begin or end of a system call.
static struct __ptrace_syscall_info next_edge(void)
{
	struct __ptrace_syscall_info info = { 0 };
	int status = 0;

	assert_int_equal(ptrace(PTRACE_SYSCALL, guard->watcher, 0, 0), 0);
	assert_int_equal(waitpid(guard->watcher, &status, __WALL), guard->watcher);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
	assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, guard->watcher, sizeof info, &info) > 0);
	return info;
}

static void run_to_its_sleep(void)
{
	struct __ptrace_syscall_info info;

	do
		info = next_edge();
	while (info.op != PTRACE_SYSCALL_INFO_ENTRY || info.entry.nr != SYS_futex);
}

static int begin(void **state)
{
	_cleanup_close_ int self = open("/proc/self", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	int status = 0;

	(void)state;
	(void)alarm(SECONDS);
	clone_pid = fork();
	if (clone_pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	assert_true(clone_pid > 0);
	assert_int_equal(pss_guard_begin(self, 1, NULL, &guard), 0);
	if (ptrace(PTRACE_SEIZE, guard->watcher, 0, PTRACE_O_TRACESYSGOOD) < 0 ||
	    ptrace(PTRACE_INTERRUPT, guard->watcher, 0, 0) < 0)
		return -1;
	return waitpid(guard->watcher, &status, __WALL) == guard->watcher ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	(void)ptrace(PTRACE_DETACH, guard->watcher, 0, 0);
	int r = pss_guard_end(guard, 1, 0, NULL);
	(void)kill(clone_pid, SIGKILL);
	return waitpid(clone_pid, NULL, 0) == clone_pid ? r : -1;
}

static void tell(void)
{
	struct pss_procfs_stat stat;

	assert_true(pss_guard_read_stat(clone_pid, &stat));
	pss_guard_set_clone(guard, clone_pid, stat.start_ticks);
}

static bool is_asleep(void)
{
	struct pss_procfs_stat stat;

	return pss_guard_read_stat(guard->watcher, &stat) && stat.state == 'S';
}

static bool has_stopped(void)
{
	siginfo_t info = { 0 };
	const int look = WEXITED | WSTOPPED | WNOHANG | WNOWAIT | __WALL;

	return waitid(P_PID, (id_t)guard->watcher, &info, look) == 0 && info.si_pid;
}

// Lets it go to sleep, tells it, and returns what ended its sleep.
static int64_t wake_from_sleep(void)
{
	struct __ptrace_syscall_info info = { 0 };

	run_to_its_sleep();
	assert_int_equal(ptrace(PTRACE_SYSCALL, guard->watcher, 0, 0), 0);
	while (!is_asleep() && !has_stopped())
		(void)sched_yield();
	tell();
	assert_int_equal(waitpid(guard->watcher, NULL, __WALL), guard->watcher);
	assert_true(ptrace(PTRACE_GET_SYSCALL_INFO, guard->watcher, sizeof info, &info) > 0);
	assert_int_equal(info.op, PTRACE_SYSCALL_INFO_EXIT);
	return info.exit.rval;
}

static void told_while_it_sleeps_it_is_woken(void **state)
{
	int64_t ended_by = -ETIMEDOUT;

	(void)state;
	for (unsigned i = 0; i < TRIES && ended_by == -ETIMEDOUT; i++)
		ended_by = wake_from_sleep();
	assert_int_equal(ended_by, 0);
}

static void told_on_its_way_to_sleep_it_does_not_sleep(void **state)
{
	(void)state;
	run_to_its_sleep();
	tell();
	struct __ptrace_syscall_info info = next_edge();
	assert_int_equal(info.op, PTRACE_SYSCALL_INFO_EXIT);
	assert_int_equal(info.exit.rval, -EAGAIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(told_while_it_sleeps_it_is_woken, begin, end),
		cmocka_unit_test_setup_teardown(told_on_its_way_to_sleep_it_does_not_sleep, begin,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
