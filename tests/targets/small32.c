// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a 32-bit program on x86-64. Without a C library, which would be one more package; it
// says "ready" and answers each line with "done"; `beats` are the bytes that it has read.

#define NULL ((void *)0)

enum { CALL_READ = 3, CALL_WRITE = 4, CALL_EXIT_GROUP = 252, CALL_PRCTL = 172 };
enum { SET_PDEATHSIG = 1, KILL = 9 };

static volatile unsigned long long counters[4];

static int call(int number, long first, const volatile void *second, long third)
{
	int ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(number), "b"(first), "c"(second), "d"(third)
			 : "memory");
	return ret;
}

static void say(const char *text)
{
	long size = 0;

	while (text[size])
		size++;
	if (call(CALL_WRITE, 1, text, size) != size)
		call(CALL_EXIT_GROUP, 1, NULL, 0);
}

static void say_ready(void)
{
	static const char digits[] = "0123456789abcdef";
	static char line[] = "ready counters=00000000\n";
	unsigned long address = (unsigned long)counters;

	for (int i = 0; i < 8; i++)
		line[15 + i] = digits[address >> (28 - 4 * i) & 15];
	say(line);
}

__attribute__((noreturn)) void _start(void);

void _start(void)
{
	char byte = 0;

	call(CALL_PRCTL, SET_PDEATHSIG, (void *)KILL, 0);
	say_ready();
	for (;;) {
		int got = call(CALL_READ, 0, &byte, 1);

		if (got == 0)
			call(CALL_EXIT_GROUP, 0, NULL, 0);
		else if (got < 0)
			counters[0]++; // eintr
		else
			counters[3]++;
		if (got == 1 && byte == '\n')
			say("done plain_none=1 plain_pid=0 all_none=1 all_pid=0\n");
	}
}
