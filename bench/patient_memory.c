// SPDX-License-Identifier: LGPL-2.1-or-later
// What the target consists of besides threads: memory in pages of a size, memory that is reserved
// only, many small mappings, descriptors.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "patient.h"

#define HUGE_PAGE (2 * MIB)

static unsigned char *base;
static size_t size;

unsigned char *memory_base(void)
{
	return base;
}

size_t memory_size(void)
{
	return size;
}

static void fill(const char *kind)
{
	uint64_t x = 0x9e3779b97f4a7c15u, *words = (uint64_t *)base;
	size_t words_a_page = PAGE / sizeof *words;
	size_t random_a_page = strcmp(kind, "half") == 0 ? words_a_page / 2 : words_a_page;

	for (size_t i = 0; i < size / sizeof *words; i++) {
		x ^= x << 13, x ^= x >> 7, x ^= x << 17;
		words[i] = i % words_a_page < random_a_page ? x : 0x0101010101010101u * (i % 7);
	}
}

static void make_region(const struct options *options)
{
	bool is_hugetlb = strcmp(options->pages, "hugetlb") == 0;
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | (is_hugetlb ? MAP_HUGETLB : MAP_NORESERVE);

	size = options->mib * MIB;
	size_t room_size = is_hugetlb ? size : size + HUGE_PAGE;
	unsigned char *room = mmap(NULL, room_size, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (room == MAP_FAILED)
		patient_die("mmap");
	base = (void *)(((uintptr_t)room + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	if (!is_hugetlb)
		madvise(room, room_size,
			strcmp(options->pages, "4k") == 0 ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
	fill(options->fill);
}

// Neighbours of different protection are not joined.
static void make_mappings(unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char *page = mmap(NULL, PAGE, i % 2 ? PROT_READ : PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED)
			patient_die("mmap of one of many");
		if (i % 2 == 0)
			*page = 1;
	}
}

static int open_descriptor(unsigned kind)
{
	int ends[2] = { -1, -1 };

	switch (kind) {
	case 0:
		return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	case 1:
		return eventfd(0, EFD_CLOEXEC);
	case 2:
		if (pipe2(ends, O_CLOEXEC) == 0)
			close(ends[1]);
		return ends[0];
	default:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	}
}

static void open_descriptors(unsigned count)
{
	const rlim_t most = count + 1024;

	if (count && setrlimit(RLIMIT_NOFILE, &(struct rlimit){ most, most }) < 0)
		patient_die("the limit of descriptors");
	for (unsigned i = 0; i < count; i++)
		if (open_descriptor(i % 4) < 0)
			patient_die("a descriptor");
}

void memory_make(const struct options *options)
{
	make_region(options);
	if (options->reserve_gib &&
	    mmap(NULL, options->reserve_gib << 30, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED)
		patient_die("mmap of what is reserved");
	make_mappings(options->mappings);
	open_descriptors(options->descriptors);
}

void memory_touch(void)
{
	for (size_t i = 0; i < size; i += PAGE)
		((volatile unsigned char *)base)[i]++;
}

uint64_t memory_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0)
		patient_die(path);
	uint64_t start = patient_now();

	for (size_t i = 0; i < size; i += MIB)
		if (write(fd, base + i, MIB) != (ssize_t)MIB)
			patient_die(path);
	uint64_t end = patient_now();

	close(fd);
	return end - start;
}

uint64_t memory_copy(void)
{
	unsigned char *to = malloc(MIB);

	if (!to)
		patient_die("malloc");
	memset(to, 1, MIB);
	uint64_t start = patient_now();

	for (size_t i = 0; i < size; i += MIB) {
		memcpy(to, base + i, MIB);
		// So that no compiler finds out that nobody looks at it.
		__asm__ volatile("" : : "r"(to) : "memory");
	}
	uint64_t end = patient_now();

	free(to);
	return end - start;
}
