// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a leader that waits inside a restartable sequence until a gate opens. Each time that it
// enters the sequence it counts `entries`; whoever stops it there must make it enter anew, as the
// kernel does. "open" lets it pass once and answers `entries` at that moment.
#include <sys/rseq.h>

#include "target.h"

#if defined(__x86_64__)

static _Atomic uint64_t entries, gate, passes;

// False if the sequence was aborted.
static bool pass_gate(struct rseq *area)
{
	__asm__ goto volatile(".pushsection __rseq_cs, \"aw\"\n"
			      ".balign 32\n"
			      "3: .long 0, 0\n"
			      ".quad 1f, 2f - 1f, 4f\n"
			      ".popsection\n"
			      "lea 3b(%%rip), %%rax\n"
			      "mov %%rax, %[cs]\n"
			      "1: incq %[entries]\n"
			      "5: pause\n"
			      "cmpq $0, %[gate]\n"
			      "je 5b\n"
			      "2:\n"
			      ".pushsection .text.rseq_abort, \"ax\"\n"
			      ".byte 0x0f, 0xb9, 0x3d\n"
			      ".long 0x53053053\n"
			      "4: jmp %l[aborted]\n"
			      ".popsection\n"
			      :
			      : [cs] "m"(area->rseq_cs), [entries] "m"(entries), [gate] "m"(gate)
			      : "rax", "memory", "cc"
			      : aborted);
	return true;
aborted:
	return false;
}

static bool command(const char *text)
{
	uint64_t before = passes;

	if (strcmp(text, "open"))
		return false;
	gate = 1;
	while (passes == before)
		sched_yield();
	target_say("entries", entries);
	gate = 0;
	passes++;
	return true;
}

static void *serve(void *arg)
{
	(void)arg;
	while (!entries)
		sched_yield();
	target_say("server_tid", (uint64_t)target_tid());
	target_say_address("entries", &entries);
	target_ready();
	target_serve(command);
	return NULL;
}

int main(void)
{
	struct rseq *area = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);

	target_begin();
	if (__rseq_size == 0) {
		puts("skipped: no restartable sequences");
		return 77;
	}
	target_thread(serve, NULL);
	for (;;) {
		uint64_t seen;

		if (!pass_gate(area))
			continue;
		// Odd: passed, and the server has not taken note.
		seen = ++passes;
		while (passes == seen)
			sched_yield();
		target_counters.beats++;
	}
}

#else

int main(void)
{
	puts("skipped: written for x86-64 only");
	return 77;
}

#endif
