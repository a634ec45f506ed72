// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: [stack] is used down to its lowest page: full_stack deep|walled|gone|locked|lost|away.
// With deep the leader waits down there. With walled it does, and a mapping of the program's own,
// read-only, is right below, as large as a foot that [stack] may get. With gone it was down there
// once, and has exited; with locked all memory is locked, too; with lost [stack] is unmapped then.
// With away it runs on memory of its own and has left data in use down there, which must not
// change. Another thread serves, a third one computes.
#include <ucontext.h>

#include "target.h"

enum {
	PAGE = 4096,
	DEPTH = 400 << 10,
	WORDS = DEPTH / 8,
	OWN_STACK = 64 << 10,
	WALL = 80 << 10,
};

static volatile uint64_t *data; // DEPTH bytes on [stack], if away
static ucontext_t context, back;
static bool is_lost, is_walled;

static void *compute(void *arg)
{
	(void)arg;
	for (;;) {
		for (uint64_t i = 0; data && i < WORDS; i++)
			target_counters.wrong += data[i] != ~i;
		target_counters.beats++;
	}
	return NULL;
}

static void find_stack(unsigned long *start, unsigned long *end)
{
	FILE *maps = fopen("/proc/thread-self/maps", "re");
	char line[256];
	bool is_found = false;

	while (maps && !is_found && fgets(line, sizeof(line), maps))
		is_found = strstr(line, "[stack]") && sscanf(line, "%lx-%lx", start, end) == 2;
	if (maps)
		fclose(maps);
	if (!is_found)
		target_fail("[stack]");
}

static void unmap_stack(void)
{
	unsigned long start, end;

	find_stack(&start, &end);
	munmap((void *)start, end - start);
}

static void build_wall(void)
{
	unsigned long start, end;

	find_stack(&start, &end);
	void *wall = mmap((void *)(start - WALL), WALL, PROT_READ,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (wall != (void *)(start - WALL))
		target_fail("mmap below [stack]");
	target_say_address("wall", wall);
	target_say("wall_size", WALL);
}

static void *serve(void *arg)
{
	target_wait_state(getpid(), *(const char *)arg);
	if (is_lost)
		unmap_stack();
	if (is_walled)
		build_wall();
	target_wait_beat();
	target_say("server_tid", (uint64_t)target_tid());
	target_ready();
	target_serve(NULL);
	return NULL;
}

// Nothing is called from here that could go deeper.
static __attribute__((noinline)) void wait_here(int fd)
{
	for (;;) {
		char byte;
		long ret;

#if defined(__x86_64__)
		__asm__ volatile("syscall"
				 : "=a"(ret)
				 : "a"(SYS_read), "D"(fd), "S"(&byte), "d"(1)
				 : "rcx", "r11", "memory");
#else
		ret = read(fd, &byte, 1);
#endif
		if (ret == -EINTR)
			target_counters.eintr++;
		else
			target_counters.wrong++;
	}
}

// To 512 bytes above the lowest page that was ever touched.
static __attribute__((noinline)) void go_down_and_wait(int fd)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uintptr_t goal = ((here - DEPTH) & ~(uintptr_t)(PAGE - 1)) + 512;
	volatile char *room = __builtin_alloca(here - goal);

	for (uintptr_t at = here - PAGE; at > goal; at -= PAGE)
		*(volatile char *)at = 1;
	room[0] = 1;
	wait_here(fd);
}

static __attribute__((noinline)) void go_down_and_up(void)
{
	volatile uint64_t used[WORDS];

	for (uint64_t i = 0; i < WORDS; i++)
		used[i] = ~i;
	(void)used;
}

static void wait_away(void)
{
	int ends[2];

	if (pipe(ends) < 0)
		target_fail("pipe");
	wait_here(ends[0]);
}

static void run_away(void)
{
	volatile uint64_t used[WORDS];

	for (uint64_t i = 0; i < WORDS; i++)
		used[i] = ~i;
	data = used;
	getcontext(&context);
	context.uc_stack.ss_sp = target_map(OWN_STACK);
	context.uc_stack.ss_size = OWN_STACK;
	context.uc_link = &back;
	makecontext(&context, wait_away, 0);
	target_thread(compute, NULL);
	target_thread(serve, "S");
	swapcontext(&back, &context);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	int ends[2];

	target_begin();
	if (!strcmp(mode, "away"))
		run_away();
	target_thread(compute, NULL);
	is_lost = !strcmp(mode, "lost");
	if (!strcmp(mode, "locked") && mlockall(MCL_CURRENT | MCL_FUTURE) < 0) {
		puts("skipped: memory can't be locked");
		return 77;
	}
	if (is_lost || !strcmp(mode, "gone") || !strcmp(mode, "locked")) {
		go_down_and_up();
		target_thread(serve, "Z");
		pthread_exit(NULL);
	}
	is_walled = !strcmp(mode, "walled");
	if ((strcmp(mode, "deep") && !is_walled) || pipe(ends) < 0)
		return 2;
	target_thread(serve, "S");
	go_down_and_wait(ends[0]);
}
