// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: mappings that clone(2) leaves out (MADV_DONTFORK): private and sparse, read-only,
// shared without a file, of a file, and one larger than what a capture keeps. Each page that was
// touched holds its own address in every word. "change" inverts what is writable; "none" takes the
// advice back.
#include <fcntl.h>

#include "target.h"

enum { PAGE = 4096, SMALL = 8 * PAGE, LARGE = 8 << 20 };

static struct {
	const char *name;
	uint8_t *memory;
	size_t size;
	size_t stride; // between pages that are touched
	int protection;
} ranges[] = {
	{ "private", NULL, SMALL, 2 * PAGE, PROT_READ | PROT_WRITE },
	{ "read_only", NULL, SMALL, PAGE, PROT_READ },
	{ "shared", NULL, SMALL, PAGE, PROT_READ | PROT_WRITE },
	{ "file", NULL, SMALL, PAGE, PROT_READ | PROT_WRITE },
	{ "large", NULL, LARGE, PAGE, PROT_READ | PROT_WRITE },
};
enum { RANGE_COUNT = sizeof(ranges) / sizeof(ranges[0]) };

static void fill(int index, uint64_t inversion)
{
	for (size_t at = 0; at < ranges[index].size; at += ranges[index].stride) {
		volatile uint64_t *words = (void *)(ranges[index].memory + at);

		for (size_t i = 0; i < PAGE / sizeof(*words); i++)
			words[i] = (uintptr_t)&words[i] ^ inversion;
	}
}

static int open_file(void)
{
	char path[] = "/tmp/procsnap-unforked-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	if (fd < 0 || unlink(path) < 0 || ftruncate(fd, SMALL) < 0)
		target_fail("make a file");
	return fd;
}

static void map_range(int index)
{
	bool is_file = strcmp(ranges[index].name, "file") == 0;
	bool is_shared = is_file || strcmp(ranges[index].name, "shared") == 0;
	int fd = is_file ? open_file() : -1;
	// Room on both sides, so that the kernel joins it to no neighbour.
	uint8_t *room = mmap(NULL, ranges[index].size + 2 * PAGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (room == MAP_FAILED ||
	    mmap(room + PAGE, ranges[index].size, PROT_READ | PROT_WRITE,
		 MAP_FIXED | (is_shared ? MAP_SHARED : MAP_PRIVATE) | (is_file ? 0 : MAP_ANONYMOUS),
		 fd, 0) == MAP_FAILED)
		target_fail("map");
	ranges[index].memory = room + PAGE;
	fill(index, 0);
	if (mprotect(ranges[index].memory, ranges[index].size, ranges[index].protection) < 0 ||
	    madvise(ranges[index].memory, ranges[index].size, MADV_DONTFORK) < 0)
		target_fail("protect or advise");
	target_say_address(ranges[index].name, ranges[index].memory);
}

static bool command(const char *text)
{
	bool is_change = !strcmp(text, "change");

	if (!is_change && strcmp(text, "none"))
		return false;
	for (int i = 0; i < RANGE_COUNT; i++) {
		if (!is_change)
			(void)madvise(ranges[i].memory, ranges[i].size, MADV_DOFORK);
		else if (ranges[i].protection & PROT_WRITE)
			fill(i, UINT64_MAX);
	}
	return true;
}

int main(void)
{
	target_begin();
	for (int i = 0; i < RANGE_COUNT; i++)
		map_range(i);
	target_ready();
	target_serve(command);
}
