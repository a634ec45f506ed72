// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a leader whose system calls made outside the program's own text come back as SIGSYS, as
// Wine has it. A call injected into it would be one.
#include "target.h"

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#endif

extern char __executable_start, etext;
static volatile char selector; // 1: dispatch

static void count_dispatched(int signal_number)
{
	(void)signal_number;
	target_counters.wrong++;
}

// From the program's own text: allowed.
static void sleep_a_little(void)
{
	struct timespec moment = { .tv_nsec = 1000000 };
#if defined(__x86_64__)
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_nanosleep), "D"(&moment), "S"(NULL)
			 : "rcx", "r11", "memory");
#else
	nanosleep(&moment, NULL);
#endif
}

static void *serve(void *arg)
{
	(void)arg;
	target_wait_beat();
	target_ready();
	target_serve(NULL);
	return NULL;
}

int main(void)
{
	struct sigaction count = { .sa_handler = count_dispatched };

	target_begin();
	sigaction(SIGSYS, &count, NULL);
	target_thread(serve, NULL);
	if (prctl(PR_SET_SYSCALL_USER_DISPATCH, 1, &__executable_start,
		  (unsigned long)(&etext - &__executable_start), &selector) < 0) {
		target_send("skipped: no syscall user dispatch");
		return 0;
	}
	selector = 1;
	for (;;) {
		sleep_a_little();
		target_counters.beats++;
	}
}
