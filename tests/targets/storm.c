// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a signal storm. Real-time signals, which queue and carry a number, go to three threads:
// one computing and one blocked, whose handlers run on alternate stacks, and one that waits for
// them. None may be lost, doubled or out of order: storm [PER_SECOND]. The leader counts in
// `outside` how often SIGRTMIN + 1 came, which others send.
#include <sys/epoll.h>

#include "target.h"

enum { RECEIVERS = 3 };

static struct receiver {
	pid_t tid;
	_Atomic uint64_t sent;
	_Atomic uint64_t received;
	_Atomic uint64_t disorder; // lost, doubled, or in the wrong place
} receivers[RECEIVERS];

static __thread struct receiver *me;
static __thread char *my_stack;
static _Atomic uint64_t quiet;
static _Atomic uint64_t is_quiet;
static long period_ns;
static _Atomic uint64_t outside;

static void count_outside(int signal_number)
{
	(void)signal_number;
	outside++;
}

static void receive(const siginfo_t *info)
{
	uint64_t number = (uint64_t)(uintptr_t)info->si_value.sival_ptr;

	if (number != me->received) {
		target_counters.repeated++;
		me->disorder++;
	}
	me->received++;
	target_counters.received++;
}

static void handle(int signal_number, siginfo_t *info, void *context)
{
	volatile char here;

	(void)signal_number;
	(void)context;
	if (&here < my_stack || &here >= my_stack + (64 << 10))
		target_counters.wrong++;
	receive(info);
}

static void enter(struct receiver *receiver)
{
	stack_t stack = { .ss_size = 64 << 10 };

	me = receiver;
	my_stack = stack.ss_sp = target_map(stack.ss_size);
	if (sigaltstack(&stack, NULL) < 0)
		target_fail("sigaltstack");
	__atomic_store_n(&me->tid, target_tid(), __ATOMIC_RELEASE);
}

static void *compute(void *arg)
{
	enter(arg);
	for (;;) {
		double sum = 0, same = 0;

		for (int i = 1; i < 10000; i++)
			sum += 1.0 / i;
		for (int i = 1; i < 10000; i++)
			same += 1.0 / i;
		target_counters.wrong += sum != same;
		target_beat();
	}
	return NULL;
}

static void *block(void *arg)
{
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	enter(arg);
	for (;;) {
		uint64_t before = me->received;

		// EINTR is right if a signal was handled, and wrong if not.
		if (epoll_wait(fd, &event, 1, -1) < 0 && me->received == before)
			target_count_eintr(SYS_epoll_wait);
	}
	return NULL;
}

static void *wait_for_them(void *arg)
{
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	enter(arg);
	for (;;) {
		if (sigwaitinfo(&set, &info) == SIGRTMIN)
			receive(&info);
		else
			target_count_eintr(SYS_rt_sigtimedwait);
	}
	return NULL;
}

static bool send_one(struct receiver *receiver)
{
	siginfo_t info = { .si_code = SI_QUEUE, .si_pid = getpid(), .si_uid = getuid() };

	info.si_value.sival_ptr = (void *)(uintptr_t)receiver->sent;
	if (syscall(SYS_rt_tgsigqueueinfo, getpid(), receiver->tid, SIGRTMIN, &info) < 0) {
		if (errno == EAGAIN)
			return false; // the queue is full: later
		target_fail("rt_tgsigqueueinfo");
	}
	receiver->sent++;
	target_counters.sent++;
	return true;
}

static void *storm(void *arg)
{
	struct timespec period = { .tv_nsec = period_ns };

	(void)arg;
	for (;;) {
		is_quiet = quiet;
		for (int i = 0; i < RECEIVERS && !is_quiet; i++)
			send_one(&receivers[i]);
		nanosleep(&period, NULL);
	}
	return NULL;
}

// "quiet" ends the storm and answers when all that was sent has come; "go" starts it again.
static bool command(const char *text)
{
	uint64_t sent = 0, disorder = 0;

	if (strcmp(text, "quiet") && strcmp(text, "go"))
		return false;
	quiet = text[0] == 'q';
	while (is_quiet != quiet)
		sched_yield();
	if (!quiet)
		return true;
	for (int i = 0; i < RECEIVERS; i++) {
		while (receivers[i].received < receivers[i].sent)
			sched_yield();
		sent += receivers[i].sent;
		disorder += receivers[i].disorder;
	}
	target_say("sent", sent);
	target_say("disorder", disorder);
	return true;
}

int main(int argc, char **argv)
{
	static void *(*const run[RECEIVERS])(void *) = { compute, block, wait_for_them };
	struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction count = { .sa_handler = count_outside, .sa_flags = SA_RESTART };

	period_ns = (long)(1000000000u / target_number(argc, argv, 1, 1000));
	target_begin();
	sigaction(SIGRTMIN, &action, NULL);
	sigaction(SIGRTMIN + 1, &count, NULL);
	for (int i = 0; i < RECEIVERS; i++) {
		target_thread(run[i], &receivers[i]);
		while (!__atomic_load_n(&receivers[i].tid, __ATOMIC_ACQUIRE))
			sched_yield();
	}
	target_thread(storm, NULL);
	while (!receivers[1].received)
		sched_yield();
	target_say_address("outside", &outside);
	target_ready();
	target_serve(command);
}
