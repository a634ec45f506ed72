// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: threads that are nearly always inside a restartable sequence. Each adds to a counter of
// its CPU; if one is ever resumed within the sequence without the kernel's protection, an addition
// of another thread gets lost and the sums differ: rseq_spin [THREADS].
#include <sched.h>
#include <sys/rseq.h>

#include "target.h"

#if defined(__x86_64__)

enum { CPUS = 1024, SPINS = 3000, MAX_THREADS = 64 };

static struct slot {
	uint64_t count;
	char pad[56];
} per_cpu[CPUS], per_thread[MAX_THREADS];
static _Atomic uint64_t halt, halted;

// One addition, or false if the sequence was aborted before it.
static bool add_once(struct rseq *area)
{
	__asm__ goto volatile(".pushsection __rseq_cs, \"aw\"\n"
			      ".balign 32\n"
			      "3: .long 0, 0\n"
			      ".quad 1f, 2f - 1f, 4f\n"
			      ".popsection\n"
			      "lea 3b(%%rip), %%rax\n"
			      "mov %%rax, %[cs]\n"
			      "1: mov %[cpu], %%eax\n"
			      "shl $6, %%rax\n"
			      "add %[base], %%rax\n"
			      "mov (%%rax), %%rcx\n"
			      "mov %[spins], %%edx\n"
			      "5: pause\n"
			      "dec %%edx\n"
			      "jnz 5b\n"
			      "inc %%rcx\n"
			      "mov %%rcx, (%%rax)\n"
			      "2:\n"
			      ".pushsection .text.rseq_abort, \"ax\"\n"
			      ".byte 0x0f, 0xb9, 0x3d\n"
			      ".long 0x53053053\n"
			      "4: jmp %l[aborted]\n"
			      ".popsection\n"
			      :
			      : [cs] "m"(area->rseq_cs), [cpu] "m"(area->cpu_id),
				[base] "r"(per_cpu), [spins] "i"(SPINS)
			      : "rax", "rcx", "rdx", "memory", "cc"
			      : aborted);
	return true;
aborted:
	return false;
}

static void *add(void *arg)
{
	struct slot *mine = arg;
	struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);

	for (;;) {
		if (halt) {
			halted++;
			while (halt)
				sched_yield();
			halted--;
		}
		mine->count += add_once(area);
		target_counters.beats++;
	}
	return NULL;
}

static uint64_t threads;

// "check" halts all, compares the sums, and lets them go on.
static bool command(const char *text)
{
	uint64_t by_cpu = 0, by_thread = 0;

	if (strcmp(text, "check"))
		return false;
	halt = 1;
	while (halted < threads)
		sched_yield();
	for (int i = 0; i < CPUS; i++)
		by_cpu += per_cpu[i].count;
	for (int i = 0; i < MAX_THREADS; i++)
		by_thread += per_thread[i].count;
	halt = 0;
	while (halted)
		sched_yield();
	target_say("by_cpu", by_cpu);
	target_say("by_thread", by_thread);
	return true;
}

int main(int argc, char **argv)
{
	threads = target_number(argc, argv, 1, 4);
	target_begin();
	if (__rseq_size == 0 || threads > MAX_THREADS) {
		puts("skipped: no restartable sequences");
		return 77;
	}
	for (uint64_t i = 0; i < threads; i++)
		target_thread(add, &per_thread[i]);
	target_ready();
	target_serve(command);
}

#else

int main(void)
{
	puts("skipped: written for x86-64 only");
	return 77;
}

#endif
