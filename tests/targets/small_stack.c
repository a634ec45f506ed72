// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: every thread, the main one too, runs on a small stack out of the heap with next to no
// room below its stack pointer, as Go's and other coroutines do. What lies below is data in use,
// and must not change: small_stack [THREADS].
#include <ucontext.h>

#include "target.h"

enum { STACK = 64 << 10, GUARD_DATA = 16 << 10, ROOM = 512, MAX_THREADS = 64 };

// Data in use, then right above it the stack that grows towards it.
struct chunk {
	uint64_t data[GUARD_DATA / 8];
	char stack[STACK];
	char control_block[4096];
	ucontext_t context, back;
	void (*run)(struct chunk *);
	struct chunk *next;
};

static struct chunk *_Atomic chunks;
static _Atomic uint64_t started;

static uint64_t data_word(uint64_t index)
{
	return 0xda7a00000000 | index;
}

static long raw_read(int fd, void *buffer, size_t size)
{
	long ret;
#if defined(__x86_64__)
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_read), "D"(fd), "S"(buffer), "d"(size)
			 : "rcx", "r11", "memory");
#else
	ret = read(fd, buffer, size);
#endif
	return ret;
}

// As in Go, whose threads have their control blocks in the heap where the stacks are. The caller
// uses nothing of libc's and never returns.
static inline void move_control_block(struct chunk *chunk)
{
#if defined(__x86_64__)
	enum { ARCH_SET_FS_REQUEST = 0x1002 };
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(SYS_arch_prctl), "D"(ARCH_SET_FS_REQUEST), "S"(chunk->control_block)
			 : "rcx", "r11", "memory");
#else
	(void)chunk;
#endif
}

// Uses the stack up down to ROOM bytes above the data, then reads (@fd) or computes for ever (-1).
static __attribute__((noinline)) long at_the_bottom(struct chunk *chunk, int fd, void *buffer)
{
	char *here = __builtin_frame_address(0);
	size_t use = (size_t)(here - chunk->stack) - ROOM;
	volatile char *used = __builtin_alloca(use);

	used[0] = 1;
	if (fd < 0)
		move_control_block(chunk);
	while (fd < 0)
		target_counters.beats++;
	return raw_read(fd, buffer, 1);
}

static void compute(struct chunk *chunk)
{
	at_the_bottom(chunk, -1, NULL);
}

static void block(struct chunk *chunk)
{
	int ends[2];
	char byte;

	if (pipe(ends) < 0)
		target_fail("pipe");
	started++;
	if (at_the_bottom(chunk, ends[0], &byte) < 0)
		target_count_eintr(SYS_read);
}

static void check_data(void)
{
	uint64_t wrong = 0;

	for (const struct chunk *chunk = chunks; chunk; chunk = chunk->next)
		for (uint64_t i = 0; i < GUARD_DATA / 8; i++)
			wrong += chunk->data[i] != data_word(i);
	target_say("wrong", wrong);
}

static void serve(struct chunk *chunk)
{
	char text[64], byte;
	size_t used = 0;

	target_say_address("chunk", chunk);
	target_ready();
	for (;;) {
		long got = at_the_bottom(chunk, STDIN_FILENO, &byte);

		if (got == 0)
			_exit(0);
		if (got < 0) {
			target_count_eintr(SYS_read);
			continue;
		}
		if (byte != '\n') {
			text[used++ % sizeof(text)] = byte;
			continue;
		}
		if (used >= 5 && !memcmp(text, "check", 5))
			check_data();
		else if (used >= 8 && !memcmp(text, "children", 8))
			target_say_children();
		used = 0;
		target_send("done");
	}
}

static void enter(unsigned high, unsigned low)
{
	struct chunk *chunk = (struct chunk *)((uintptr_t)high << 32 | low);

	chunk->run(chunk);
}

// Leaves the thread's own stack for one of the heap.
static void run_on_chunk(void (*run)(struct chunk *))
{
	struct chunk *chunk = target_map(sizeof(*chunk));
	uintptr_t address = (uintptr_t)chunk;

	chunk->run = run;
	for (uint64_t i = 0; i < GUARD_DATA / 8; i++)
		chunk->data[i] = data_word(i);
	chunk->next = chunks;
	while (!atomic_compare_exchange_weak(&chunks, &chunk->next, chunk))
		;
	getcontext(&chunk->context);
	chunk->context.uc_stack.ss_sp = chunk->stack;
	chunk->context.uc_stack.ss_size = sizeof(chunk->stack);
	chunk->context.uc_link = &chunk->back;
	makecontext(&chunk->context, (void (*)(void))enter, 2, (unsigned)(address >> 32),
		    (unsigned)address);
	swapcontext(&chunk->back, &chunk->context);
}

static void *run_thread(void *arg)
{
	if ((uintptr_t)arg % 2)
		run_on_chunk(block);
	started++;
	run_on_chunk(compute);
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t threads = target_number(argc, argv, 1, 2);
	pid_t tids[MAX_THREADS];

	target_begin();
	if (threads > MAX_THREADS)
		return 2;
	for (uint64_t i = 0; i < threads; i++)
		tids[i] = target_thread(run_thread, (void *)(uintptr_t)i);
	while (started < threads)
		sched_yield();
	for (uint64_t i = 1; i < threads; i += 2)
		target_wait_asleep(tids[i]);
	run_on_chunk(serve);
}
