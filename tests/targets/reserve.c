// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a huge reservation of which next to nothing is used, as Go, ZGC and sanitizers make:
// reserve [GIB [MIB [rw [KIB]]]]. With rw the reservation could be touched, and with KIB it is: a
// page each so many, which holds its number; else it is PROT_NONE.
#include "target.h"

int main(int argc, char **argv)
{
	size_t reserved = target_number(argc, argv, 1, 100) << 30;
	size_t resident = target_number(argc, argv, 2, 8) << 20;
	bool writable = argc > 3 && !strcmp(argv[3], "rw");
	size_t stride = target_number(argc, argv, 4, 0) << 10;
	uint64_t *memory, *island;
	char *hole;

	target_begin();
	hole = mmap(NULL, reserved, writable ? PROT_READ | PROT_WRITE : PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (hole == MAP_FAILED)
		target_fail("reserve");
	madvise(hole, reserved, MADV_NOHUGEPAGE);
	for (size_t at = 0; writable && stride > 0 && at < reserved; at += stride)
		*(uint64_t *)(hole + at) = at / stride;
	// One page in the middle of nothing.
	island = (uint64_t *)(hole + reserved / 2);
	if (mprotect(island, 4096, PROT_READ | PROT_WRITE) < 0)
		target_fail("mprotect");
	island[0] = 0x151a4d151a4d15;
	memory = target_map(resident);
	for (uint64_t i = 0; i < resident / 8; i++)
		memory[i] = i;
	target_say_address("reserved", hole);
	target_say("reserved_size", reserved);
	target_say_address("island", island);
	target_say_address("memory", memory);
	target_say("memory_size", resident);
	target_ready();
	target_serve(NULL);
}
