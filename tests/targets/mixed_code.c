// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a thread of a 64-bit program that has gone over to 32-bit code, as Wine and emulators
// do: mixed_code [leader]. It counts up `low`, below 4 GiB. With leader it is the first thread, and
// another serves.
#include "target.h"

#if defined(__x86_64__)

enum { PAGE = 4096, CODE_SEGMENT_32 = 0x23, DATA_SEGMENT = 0x2b };

static volatile uint32_t *low;
static char *code;

// lock incl LOW; jmp back. An address is absolute in such code.
static void write_code(void)
{
	static const unsigned char head[] = { 0xf0, 0xff, 0x05 }, tail[] = { 0xeb, 0xf7 };
	uint32_t address = (uint32_t)(uintptr_t)low;

	memcpy(code, head, sizeof(head));
	memcpy(code + sizeof(head), &address, sizeof(address));
	memcpy(code + sizeof(head) + sizeof(address), tail, sizeof(tail));
	if (mprotect(code, PAGE, PROT_READ | PROT_EXEC) < 0)
		target_fail("mprotect");
}

static void *go_over(void *arg)
{
	(void)arg;
	// Such code reads through segments that 64-bit code leaves empty.
	__asm__ volatile("mov %2, %%ds\n\t"
			 "pushq %0\n\t"
			 "pushq %1\n\t"
			 "lretq"
			 :
			 : "r"((uint64_t)CODE_SEGMENT_32), "r"((uint64_t)(uintptr_t)code),
			   "r"(DATA_SEGMENT)
			 : "memory");
	return NULL;
}

static void *serve(void *arg)
{
	(void)arg;
	while (!*low)
		sched_yield();
	target_say("server_tid", (uint64_t)target_tid());
	target_say_address("low", low);
	target_ready();
	target_serve(NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	(void)argv;
	target_begin();
	if (memory == MAP_FAILED)
		target_fail("mmap");
	code = memory;
	low = (volatile uint32_t *)(void *)(memory + PAGE);
	write_code();
	if (argc > 1) {
		target_thread(serve, NULL);
		go_over(NULL);
	}
	target_thread(go_over, NULL);
	serve(NULL);
}

#else

int main(void)
{
	target_send("skipped: x86-64 only");
	return 77;
}

#endif
