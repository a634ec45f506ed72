// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: thousands of mappings, no two neighbours alike: many_maps [COUNT]. Page i of each pair
// is written and holds its own index, the other is read-only and untouched.
#include "target.h"

int main(int argc, char **argv)
{
	uint64_t count = target_number(argc, argv, 1, 5000) & ~1ull;
	long page = sysconf(_SC_PAGESIZE);
	char *memory;

	target_begin();
	memory = target_map(count * (uint64_t)page);
	for (uint64_t i = 0; i < count; i += 2) {
		*(uint64_t *)(memory + i * (uint64_t)page) = i;
		if (mprotect(memory + (i + 1) * (uint64_t)page, (size_t)page, PROT_READ) < 0)
			target_fail("mprotect");
	}
	target_say_address("memory", memory);
	target_say("count", count);
	target_ready();
	target_serve(NULL);
}
