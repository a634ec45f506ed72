// SPDX-License-Identifier: LGPL-2.1-or-later
// What every specimen shares: it dies with its parent, says "ready" with its addresses in one line
// on stdout, and obeys one command a line from stdin, answering each with one line of key=hex.
#ifndef TARGET_H
#define TARGET_H

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif

#include "counters.h"

static struct target_counters target_counters;
static char target_line[8192];

static inline void target_fail(const char *what)
{
	fprintf(stderr, "target: %s: %s\n", what, strerror(errno));
	_exit(1);
}

/** Adds ` key=hex` to the next line. */
static inline void target_say(const char *key, uint64_t value)
{
	size_t used = strlen(target_line);

	snprintf(target_line + used, sizeof(target_line) - used, " %s=%llx", key,
		 (unsigned long long)value);
}

static inline void target_say_address(const char *key, const volatile void *address)
{
	target_say(key, (uintptr_t)address);
}

/** Sends the line: @word, then what was said. */
static inline void target_send(const char *word)
{
	char text[sizeof(target_line) + 64];
	int length = snprintf(text, sizeof(text), "%s%s\n", word, target_line);

	if (write(STDOUT_FILENO, text, (size_t)length) != length)
		target_fail("write to the harness");
	target_line[0] = '\0';
}

/** A call of the kind @number returned EINTR, and nothing had come. */
static inline void target_count_eintr(long number)
{
	target_counters.eintr++;
	target_counters.eintr_of[number & (TARGET_CALLS - 1)]++;
}

/**
 * The kernel still knows this thread's restartable sequences: asked to register them again, it
 * says so. Where libc has registered none, nothing is asked.
 */
static inline void target_check_rseq(void)
{
#ifdef RSEQ_SIG
	void *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	if (__rseq_size && (syscall(SYS_rseq, area, 32, 0, RSEQ_SIG) == 0 || errno != EBUSY))
		target_counters.wrong++;
#endif
}

static inline uint64_t target_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/** A thread has computed on: how long was it held up? */
static inline void target_beat(void)
{
	static __thread uint64_t last, count;
	uint64_t now = target_now_ns();

	if (last && now - last > target_counters.stall_ns)
		target_counters.stall_ns = now - last;
	last = now;
	if (++count % 1024 == 0)
		target_check_rseq();
	target_counters.beats++;
}

static inline void target_count_sigchld(int signal_number)
{
	(void)signal_number;
	target_counters.sigchld++;
}

/** First call of main(). */
static inline void target_begin(void)
{
	struct sigaction count = { .sa_handler = target_count_sigchld, .sa_flags = SA_RESTART };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigaction(SIGCHLD, &count, NULL);
}

/** Says that everything is in place. */
static inline void target_ready(void)
{
	target_say_address("counters", &target_counters);
	target_send("ready");
}

/** What waitpid(-1) would find, plainly and with __WALL; reaps nothing. */
static inline void target_say_children(void)
{
	siginfo_t info = { 0 };
	int ret = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);

	target_say("plain_none", ret < 0 && errno == ECHILD);
	target_say("plain_pid", ret < 0 ? 0 : (uint64_t)info.si_pid);
	info = (siginfo_t){ 0 };
	ret = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL);
	target_say("all_none", ret < 0 && errno == ECHILD);
	target_say("all_pid", ret < 0 ? 0 : (uint64_t)info.si_pid);
}

/** Reads one byte of a command. Blocked here, a thread must never see EINTR. */
static inline char target_read_byte(void)
{
	char byte;
	ssize_t got;

	while ((got = read(STDIN_FILENO, &byte, 1)) < 0) {
		if (errno != EINTR)
			target_fail("read a command");
		target_count_eintr(SYS_read);
	}
	if (got == 0)
		_exit(0);
	target_check_rseq();
	return byte;
}

/**
 * Obeys commands until stdin ends, then exits. "children" is answered here; @command, which may be
 * NULL, gets the rest, says its answer and returns false for what it does not know.
 */
static inline void target_serve(bool (*command)(const char *text))
{
	char text[128];
	size_t used = 0;

	for (;;) {
		char byte = target_read_byte();

		if (byte != '\n') {
			if (used < sizeof(text) - 1)
				text[used++] = byte;
			continue;
		}
		text[used] = '\0';
		used = 0;
		if (!strcmp(text, "children"))
			target_say_children();
		else if (!command || !command(text))
			target_say("unknown", 1);
		target_send("done");
	}
}

static inline pid_t target_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

struct target_start {
	void *(*run)(void *);
	void *arg;
	_Atomic pid_t tid;
};

static inline void *target_run(void *arg)
{
	struct target_start *start = arg;
	void *(*run)(void *) = start->run;
	void *run_arg = start->arg;

	start->tid = target_tid(); // and *start is gone
	return run(run_arg);
}

/**
 * Starts a detached thread with @stack_size bytes of stack, 0 for 128 KiB, and returns its number
 * when it runs: its name and signal mask are its own by then.
 */
static inline pid_t target_thread_sized(void *(*run)(void *), void *arg, size_t stack_size)
{
	struct target_start start = { .run = run, .arg = arg };
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack_size ? stack_size : 128 << 10);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	errno = pthread_create(&thread, &attr, target_run, &start);
	if (errno)
		target_fail("pthread_create");
	pthread_attr_destroy(&attr);
	while (!start.tid)
		sched_yield();
	return start.tid;
}

static inline pid_t target_thread(void *(*run)(void *), void *arg)
{
	return target_thread_sized(run, arg, 0);
}

/** Waits until thread @tid is in a state of proc(5). */
static inline void target_wait_state(pid_t tid, char state)
{
	char path[64], text[512], *end;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	for (;;) {
		FILE *file = fopen(path, "re");

		if (!file)
			target_fail(path);
		end = fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
		fclose(file);
		if (end && end[2] == state)
			return;
		sched_yield();
	}
}

static inline void target_wait_asleep(pid_t tid)
{
	target_wait_state(tid, 'S');
}

/** Waits until some thread has counted a beat. */
static inline void target_wait_beat(void)
{
	while (!target_counters.beats)
		sched_yield();
}

/** Private anonymous memory. */
static inline void *target_map(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		target_fail("mmap");
	return memory;
}

/** Number argument @index of the command line, or @fallback. */
static inline uint64_t target_number(int argc, char **argv, int index, uint64_t fallback)
{
	return argc > index ? strtoull(argv[index], NULL, 0) : fallback;
}

#endif
