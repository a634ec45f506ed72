// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: private memory in huge pages of the pool: huge_pages COUNT. "change" rewrites each,
// for which the kernel takes another page of the pool if the page is shared with a clone.
#include "target.h"

enum { HUGE = 2 << 20 };

static volatile uint64_t *memory;
static uint64_t count;

static void fill(uint64_t seed)
{
	for (uint64_t page = 0; page < count; page++)
		for (uint64_t word = 0; word < HUGE / 8; word++)
			memory[page * (HUGE / 8) + word] = seed + page;
}

static bool command(const char *text)
{
	if (strcmp(text, "change") && strcmp(text, "check"))
		return false;
	if (text[1] == 'h' && text[2] == 'a')
		fill(0x2000);
	for (uint64_t page = 0; page < count; page++)
		if (memory[page * (HUGE / 8)] != 0x2000 + page)
			target_counters.wrong++;
	return true;
}

int main(int argc, char **argv)
{
	count = target_number(argc, argv, 1, 2);
	target_begin();
	memory = mmap(NULL, count * HUGE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (memory == MAP_FAILED) {
		target_send("skipped: no huge pages in the pool");
		return 0;
	}
	fill(0x1000);
	target_say_address("memory", memory);
	target_ready();
	target_serve(command);
}
