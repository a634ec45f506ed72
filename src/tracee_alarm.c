// SPDX-License-Identifier: LGPL-2.1-or-later
// An alarm that interrupts a seizing that waits, for an execve which waits for us; see tracee.h.
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tracee.h"

enum {
	ALARM_NS = 20 * 1000 * 1000,
	SIGNAL_SET_SIZE = 8,
};

// Takes what threads that die while we seize leave behind, those that stood already too: an execve
// waits for them to be gone, and our seizing waits for the execve. Looked at first, for a wait
// would take a thread's stop as well.
static void reap_the_dead(int signal, siginfo_t *cause, void *context)
{
	static const struct itimerspec again = { .it_value.tv_nsec = ALARM_NS };
	const struct pss_tracee *tracee = cause->si_value.sival_ptr;
	int saved = errno;

	(void)signal;
	(void)context;
	for (uint32_t i = 0; i < pss_tracee_count(tracee); i++) {
		const struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);
		const int look = WEXITED | WNOHANG | WNOWAIT | __WALL;
		siginfo_t info = { 0 };

		if (thread->state != PSS_TRACEE_NEW && thread->state != PSS_TRACEE_RELEASED &&
		    waitid(P_PID, (id_t)thread->tid, &info, look) == 0 && info.si_pid &&
		    info.si_code != CLD_TRAPPED && info.si_code != CLD_STOPPED)
			(void)waitpid(thread->tid, NULL, WNOHANG | __WALL);
	}
	// From now: with many threads this may take longer than that, and seizing has to go on.
	(void)timer_settime(tracee->alarm, 0, &again, NULL);
	errno = saved;
}

// Only in a helper process: its handlers and its timers are its own.
int pss_tracee_begin_alarm(struct pss_tracee *tracee)
{
	const struct itimerspec once = { .it_value.tv_nsec = ALARM_NS };
	struct sigaction action = { .sa_sigaction = reap_the_dead,
				    .sa_flags = SA_RESTART | SA_SIGINFO };
	struct sigevent event = {
		.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIGALRM,
		.sigev_value.sival_ptr = tracee,
	};
	uint64_t alarm = 1ull << (SIGALRM - 1);

	if (syscall(SYS_gettid) != getpid() ||
	    timer_create(CLOCK_MONOTONIC, &event, &tracee->alarm) < 0)
		return -EAGAIN;
	(void)sigaction(SIGALRM, &action, NULL);
	(void)syscall(SYS_rt_sigprocmask, SIG_UNBLOCK, &alarm, NULL, SIGNAL_SET_SIZE);
	(void)timer_settime(tracee->alarm, 0, &once, NULL);
	return 0;
}

void pss_tracee_end_alarm(struct pss_tracee *tracee)
{
	uint64_t alarm = 1ull << (SIGALRM - 1);

	(void)syscall(SYS_rt_sigprocmask, SIG_BLOCK, &alarm, NULL, SIGNAL_SET_SIZE);
	(void)timer_delete(tracee->alarm);
}
