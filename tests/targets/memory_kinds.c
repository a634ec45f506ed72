// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: memory of every sort, each with a pattern of its own (memory_kinds.h). "change" inverts
// whatever is writable. An address of 0 says that the kernel here does not have that sort.
#include <fcntl.h>
#include <linux/memfd.h>

#include "target.h"

#include "memory_kinds.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
enum { NR_MSEAL = 462, HUGE_SIZE = 2 << 20 };

static void *regions[MEMORY_KIND_COUNT];

static void fill(enum memory_kind kind)
{
	volatile uint64_t *words = regions[kind];

	for (uint64_t i = 0; i < MEMORY_SIZE / 8; i++)
		words[i] = memory_word(kind, i);
}

static void *map(int prot, int flags, int fd)
{
	void *memory = mmap(NULL, MEMORY_SIZE, prot, flags, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void *map_private(void)
{
	return map(PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void advise(enum memory_kind kind, int advice)
{
	regions[kind] = map_private();
	fill(kind);
	if (madvise(regions[kind], MEMORY_SIZE, advice) < 0)
		regions[kind] = NULL;
}

// A file of @kind's pattern; the caller closes it.
static int make_file(enum memory_kind kind, int fd)
{
	if (fd < 0)
		target_fail("make a file");
	for (uint64_t i = 0; i < MEMORY_SIZE / 8; i++) {
		uint64_t word = memory_word(kind, i);

		if (write(fd, &word, sizeof(word)) != sizeof(word))
			target_fail("write a file");
	}
	return fd;
}

static void map_file(enum memory_kind kind, int fd, int flags)
{
	make_file(kind, fd);
	regions[kind] = map(PROT_READ | PROT_WRITE, flags, fd);
	close(fd);
}

static int make_temporary(bool deleted)
{
	char path[] = "/tmp/procsnap-kinds-XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	if (deleted)
		unlink(path);
	return fd;
}

static void map_files(void)
{
	// All have no name, so that nothing stays behind; a file on disk differs in nothing here.
	map_file(MEMORY_KIND_shared_file, make_temporary(true), MAP_SHARED);
	map_file(MEMORY_KIND_private_file_clean, make_temporary(true), MAP_PRIVATE);
	map_file(MEMORY_KIND_private_file_dirty, make_temporary(true), MAP_PRIVATE);
	map_file(MEMORY_KIND_deleted_file, make_temporary(true), MAP_PRIVATE);
	map_file(MEMORY_KIND_memfd_shared, memfd_create("kinds", MFD_CLOEXEC), MAP_SHARED);
	map_file(MEMORY_KIND_memfd_private, memfd_create("kinds", MFD_CLOEXEC), MAP_PRIVATE);
	// Dirty: the same words, but in pages of our own.
	fill(MEMORY_KIND_private_file_dirty);
}

static void map_huge(void)
{
	char *memory = target_map(2 * HUGE_SIZE);

	memory = (char *)(((uintptr_t)memory + HUGE_SIZE - 1) & ~(uintptr_t)(HUGE_SIZE - 1));
	madvise(memory, HUGE_SIZE, MADV_HUGEPAGE);
	regions[MEMORY_KIND_huge] = memory;
	fill(MEMORY_KIND_huge);
}

static void map_secret(void)
{
	int fd = (int)syscall(SYS_memfd_secret, O_CLOEXEC);

	if (fd < 0 || ftruncate(fd, MEMORY_SIZE) < 0)
		return;
	regions[MEMORY_KIND_secret] = map(PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	close(fd);
	if (regions[MEMORY_KIND_secret])
		fill(MEMORY_KIND_secret);
}

// The third page is a guard region: the others must be readable all the same.
static void map_guarded(void)
{
	char *memory = map_private();

	regions[MEMORY_KIND_guarded] = memory;
	fill(MEMORY_KIND_guarded);
	if (madvise(memory + 2 * MEMORY_PAGE, MEMORY_PAGE, MADV_GUARD_INSTALL) < 0)
		regions[MEMORY_KIND_guarded] = NULL;
}

static void map_all(void)
{
	static const enum memory_kind plain[] = { MEMORY_KIND_private, MEMORY_KIND_read_only,
						  MEMORY_KIND_no_access, MEMORY_KIND_sealed };

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		regions[plain[i]] = map_private();
		fill(plain[i]);
	}
	mprotect(regions[MEMORY_KIND_read_only], MEMORY_SIZE, PROT_READ);
	mprotect(regions[MEMORY_KIND_no_access], MEMORY_SIZE, PROT_NONE);
	syscall(NR_MSEAL, regions[MEMORY_KIND_sealed], (size_t)MEMORY_SIZE, 0ul);
	regions[MEMORY_KIND_untouched] = map_private();
	advise(MEMORY_KIND_dont_fork, MADV_DONTFORK);
	advise(MEMORY_KIND_wipe_on_fork, MADV_WIPEONFORK);
	advise(MEMORY_KIND_dont_dump, MADV_DONTDUMP);
	regions[MEMORY_KIND_shared_anonymous] =
		map(PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	fill(MEMORY_KIND_shared_anonymous);
	map_files();
	map_huge();
	map_secret();
	map_guarded();
}

static bool can_change(int kind)
{
	return regions[kind] && kind != MEMORY_KIND_read_only && kind != MEMORY_KIND_no_access &&
	       kind != MEMORY_KIND_private_file_clean;
}

static bool command(const char *text)
{
	if (strcmp(text, "change"))
		return false;
	for (int kind = 0; kind < MEMORY_KIND_COUNT; kind++) {
		volatile uint64_t *words = regions[kind];

		if (!can_change(kind))
			continue;
		for (uint64_t i = 0; i < MEMORY_SIZE / 8; i++) {
			bool is_guard = i * 8 / MEMORY_PAGE == 2;

			if (kind != MEMORY_KIND_guarded || !is_guard)
				words[i] = ~words[i];
		}
	}
	return true;
}

#define SAY(name, expectation) target_say_address(#name, regions[MEMORY_KIND_##name]);

int main(void)
{
	target_begin();
	map_all();
	MEMORY_KINDS(SAY)
	target_ready();
	target_serve(command);
}
