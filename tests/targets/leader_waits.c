// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: the leader waits in one call, with signals pending that it has blocked, and another
// thread serves: leader_waits read|epoll|nanosleep|futex|low_fds|vfork. With low_fds, 0 to 2 are
// free and nobody serves. With vfork, the leader can't be stopped, and the first of the others has
// descriptors of its own.
#include <limits.h>
#include <linux/futex.h>
#include <sys/epoll.h>

#include "target.h"

static void count(long number, long result)
{
	if (result < 0 && errno == EINTR)
		target_count_eintr(number);
	else
		target_counters.wrong++;
}

static void wait_in_read(void)
{
	int ends[2];
	char byte;

	if (pipe(ends) < 0)
		target_fail("pipe");
	for (;;)
		count(SYS_read, read(ends[0], &byte, 1));
}

static void wait_in_epoll(void)
{
	struct epoll_event event;
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	for (;;)
		count(SYS_epoll_wait, epoll_wait(epoll, &event, 1, INT_MAX));
}

static void wait_in_nanosleep(void)
{
	struct timespec day = { .tv_sec = 86400 };

	for (;;)
		count(SYS_nanosleep, nanosleep(&day, NULL));
}

static void wait_in_futex(void)
{
	static uint32_t word;

	for (;;)
		count(SYS_futex, syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL));
}

static void wait_without_low_fds(void)
{
	close(0);
	close(1);
	close(2);
	for (;;)
		pause();
}

static void *sleep_apart(void *arg)
{
	(void)arg;
	if (unshare(CLONE_FILES) < 0)
		target_fail("unshare");
	for (;;)
		pause();
	return NULL;
}

static void wait_in_vfork(void)
{
	if (vfork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

static const struct {
	const char *name;
	void (*wait)(void);
} modes[] = {
	{ "read", wait_in_read },
	{ "epoll", wait_in_epoll },
	{ "nanosleep", wait_in_nanosleep },
	{ "futex", wait_in_futex },
	{ "low_fds", wait_without_low_fds },
	{ "vfork", wait_in_vfork },
};

static void *serve(void *arg)
{
	target_wait_state(getpid(), *(const char *)arg);
	target_say("server_tid", (uint64_t)target_tid());
	target_ready();
	target_serve(NULL);
	return NULL;
}

static void leave_signals_pending(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (kill(getpid(), SIGUSR1) < 0 || raise(SIGUSR2) < 0)
		target_fail("kill");
}

int main(int argc, char **argv)
{
	target_begin();
	leave_signals_pending();
	for (size_t i = 0; argc > 1 && i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(argv[1], modes[i].name))
			continue;
		if (modes[i].wait == wait_in_vfork)
			target_wait_asleep(target_thread(sleep_apart, NULL));
		if (modes[i].wait == wait_without_low_fds)
			target_ready();
		else
			target_thread(serve, modes[i].wait == wait_in_vfork ? "D" : "S");
		modes[i].wait();
	}
	return 2;
}
