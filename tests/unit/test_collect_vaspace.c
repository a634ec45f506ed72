// SPDX-License-Identifier: LGPL-2.1-or-later
// The collector of mappings on this very process, compared with what the loader, the process and
// /proc know of them, and on a child, whose memory is a copy as a clone's is.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "fixture_collect.h"

static uint64_t page_size;
static bool is_memory_denied;

// Stands before openat(), so that memory can't be opened: as under Yama, for one's own processes.
static int open_unless_denied(int dir_fd, const char *path, int flags)
{
	if (is_memory_denied && strcmp(path, "mem") == 0) {
		errno = EACCES;
		return -1;
	}
	return (int)syscall(SYS_openat, dir_fd, path, flags, 0);
}

int __wrap_openat(int dir_fd, const char *path, int flags, ...);
int __wrap_openat64(int dir_fd, const char *path, int flags, ...);

int __wrap_openat(int dir_fd, const char *path, int flags, ...)
{
	return open_unless_denied(dir_fd, path, flags);
}

int __wrap_openat64(int dir_fd, const char *path, int flags, ...)
{
	return open_unless_denied(dir_fd, path, flags);
}

static const struct pss_region_record *find_region(const struct pss_section *section,
						   const void *address)
{
	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_REGIONS); i++) {
		const struct pss_region_record *region = pss_section_region(section, i);
		if ((uintptr_t)address >= region->start && (uintptr_t)address < region->end)
			return region;
	}
	fail_msg("no region at %p", address);
	return NULL;
}

static void *map(size_t pages, int protection, int flags, int fd)
{
	void *memory = mmap(NULL, pages * page_size, protection, flags, fd, 0);

	assert_true(memory != MAP_FAILED);
	return memory;
}

static void regions_are_the_lines_of_maps(void **state)
{
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	_cleanup_buf_ struct pss_buf maps = PSS_BUF_EMPTY;
	uint64_t previous_end = 0;

	(void)state;
	// Room first, so that collecting maps nothing new.
	assert_int_equal(pss_buf_reserve(&maps, 1 << 20), 0);
	assert_int_equal(pss_buf_reserve(&fixture->scratch, 1 << 20), 0);
	assert_int_equal(pss_buf_reserve(&fixture->builder.parts[PSS_PART_REGIONS], 1), 0);
	assert_int_equal(pss_buf_reserve(&fixture->builder.parts[PSS_PART_BYTES], 1), 0);
	assert_int_equal(pss_procfs_read(fixture->proc_fd, "maps", &maps), 0);
	assert_int_equal(pss_collect_vaspace(&fixture->context, false), 0);

	const struct pss_section *section = sealed(fixture);
	struct pss_text cursor = { (char *)maps.data, maps.size };
	struct pss_procfs_map line;
	uint32_t count = 0;
	while (pss_procfs_next_map(&cursor, &line) == 0) {
		const struct pss_region_record *region = pss_section_region(section, count++);

		assert_non_null(region);
		assert_true(region->start == line.start && region->end == line.end);
		assert_true(region->start >= previous_end);
		assert_int_equal(region->protection, line.protection);
		assert_int_equal(region->inode, line.inode);
		assert_int_equal(region->content, PSS_CONTENT_NONE);
		assert_true(region->allocation_base <= region->start);
		assert_true(region->resident_bytes == PSS_RESIDENT_UNKNOWN);
		assert_bytes(section, region->path, line.path.data, line.path.size);
		previous_end = region->end;
	}
	assert_int_equal(count, pss_section_count(section, PSS_PART_REGIONS));
}

static void kinds_of_regions(void **state)
{
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	_cleanup_close_ int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int memfd = memfd_create("a\nb", MFD_CLOEXEC);
	char *anonymous = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *reserved = map(4, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *shared = map(4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	char *data = map(1, PROT_READ, MAP_PRIVATE, exe);

	(void)state;
	assert_true(memfd >= 0);
	assert_int_equal(ftruncate(memfd, 8 * page_size), 0);
	char *file = map(8, PROT_READ, MAP_PRIVATE, memfd);
	assert_int_equal(mprotect(file + 2 * page_size, page_size, PROT_READ | PROT_WRITE), 0);
	(void)madvise(anonymous, 4 * page_size, MADV_NOHUGEPAGE);
	anonymous[page_size] = 1;
	assert_int_equal(pss_collect_vaspace(&fixture->context, true), 0);
	const struct pss_section *section = sealed(fixture);

	const struct pss_region_record *region = find_region(section, anonymous + page_size);
	assert_int_equal(region->kind, PSS_REGION_PRIVATE);
	assert_true(region->resident_bytes >= page_size);
	assert_int_equal(region->protection, PSS_REGION_READ | PSS_REGION_WRITE);
	assert_true(region->allocation_base == region->start);

	region = find_region(section, reserved);
	assert_int_equal(region->kind, PSS_REGION_PRIVATE);
	assert_int_equal(region->protection, 0);
	assert_int_equal(region->resident_bytes, 0);

	region = find_region(section, shared);
	assert_int_equal(region->kind, PSS_REGION_MAPPED);
	assert_true(region->flags & PSS_REGION_SHARED);

	// One mmap() in three pieces.
	region = find_region(section, file + 5 * page_size);
	assert_int_equal(region->kind, PSS_REGION_MAPPED);
	assert_true(region->start == (uintptr_t)file + 3 * page_size);
	assert_true(region->allocation_base == (uintptr_t)file);
	assert_bytes(section, region->path, "/memfd:a\nb (deleted)", 20);
	assert_true(find_region(section, file + 2 * page_size)->allocation_base == (uintptr_t)file);

	// An ELF file read as data is no image.
	assert_int_equal(find_region(section, data)->kind, PSS_REGION_MAPPED);

	region = find_region(section, (void *)getauxval(AT_SYSINFO_EHDR));
	assert_int_equal(region->kind, PSS_REGION_SPECIAL);
	assert_int_equal(find_region(section, &section)->kind, PSS_REGION_PRIVATE);
	munmap(anonymous, 4 * page_size);
	munmap(reserved, 4 * page_size);
	munmap(shared, 4 * page_size);
	munmap(data, page_size);
	munmap(file, 8 * page_size);
}

struct object {
	const struct pss_section *section;
	unsigned checked;
};

static const uint8_t *find_build_id(const struct dl_phdr_info *info, size_t *size_ret)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		const uint8_t *note = (const uint8_t *)info->dlpi_addr + header->p_vaddr;

		if (header->p_type != PT_NOTE)
			continue;
		for (const uint8_t *end = note + header->p_memsz; note < end;) {
			const ElfW(Nhdr) *head = (const void *)note;
			size_t align = header->p_align == 8 ? 7 : 3;
			size_t description = (sizeof *head + head->n_namesz + align) & ~align;
			if (head->n_type == NT_GNU_BUILD_ID && head->n_namesz == 4 &&
			    memcmp(head + 1, "GNU", 4) == 0) {
				*size_ret = head->n_descsz;
				return note + description;
			}
			note += (description + head->n_descsz + align) & ~align;
		}
	}
	return NULL;
}

static int check_object(struct dl_phdr_info *info, size_t size, void *argument)
{
	struct object *object = argument;
	uint64_t low = UINT64_MAX;
	uint64_t high = 0;
	size_t id_size;
	const uint8_t *id = find_build_id(info, &id_size);

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		if (header->p_type != PT_LOAD)
			continue;
		if (header->p_vaddr < low)
			low = header->p_vaddr;
		if (header->p_vaddr + header->p_memsz > high)
			high = header->p_vaddr + header->p_memsz;
	}
	if (info->dlpi_addr == getauxval(AT_SYSINFO_EHDR))
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		if (header->p_type != PT_LOAD)
			continue;
		const struct pss_region_record *region = find_region(
			object->section, (const char *)info->dlpi_addr + header->p_vaddr);
		assert_int_equal(region->kind, PSS_REGION_IMAGE);
		assert_true(region->allocation_base ==
			    ((info->dlpi_addr + low) & ~(page_size - 1)));
		assert_true(region->image_base == low);
		assert_true(region->image_size == high - low);
		if (id) {
			assert_bytes(object->section, region->build_id, id, id_size);
			assert_true(region->image_timestamp ==
				    ((uint32_t)id[0] << 24 | (uint32_t)id[1] << 16 |
				     (uint32_t)id[2] << 8 | id[3]));
		}
		object->checked++;
	}
	return 0;
}

static void images_are_what_the_loader_loaded(void **state)
{
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	struct object object = { 0 };

	(void)state;
	assert_int_equal(pss_collect_vaspace(&fixture->context, true), 0);
	object.section = sealed(fixture);
	dl_iterate_phdr(check_object, &object);
	assert_true(object.checked >= 8); // the program, libc, the loader
}

static void images_are_found_without_memory(void **state)
{
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	struct object object = { 0 };

	(void)state;
	is_memory_denied = true;
	int r = pss_collect_vaspace(&fixture->context, true);
	object.section = sealed(fixture);
	is_memory_denied = false;
	assert_int_equal(r, 0);
	assert_true(pss_section_process(object.section)->debug_address == 0);
	dl_iterate_phdr(check_object, &object);
	assert_true(object.checked >= 8);
}

// A child's memory is a copy, as a clone's is.
static void contents_of_a_copy(void **state)
{
	char *private = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char *shared = map(4, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1);
	char *wiped = map(4, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	(void)state;
	assert_int_equal(madvise(private, 4 * page_size, MADV_DONTDUMP), 0);
	assert_int_equal(madvise(wiped, 4 * page_size, MADV_WIPEONFORK), 0);
	(void)madvise(private, 4 * page_size, MADV_NOHUGEPAGE);
	memset(private, 1, 2 * page_size);

	pid_t child = make_child(NULL);
	_cleanup_close_ int space_fd = -EBADF;
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	assert_int_equal(pss_procfs_open(child, &space_fd), 0);
	fixture->context.space_fd = space_fd;
	fixture->context.has_clone = true;
	assert_int_equal(pss_collect_process(&fixture->context, 0), 0);
	assert_int_equal(pss_collect_vaspace(&fixture->context, true), 0);
	const struct pss_section *section = sealed(fixture);

	const struct pss_region_record *region = find_region(section, private);
	assert_int_equal(region->content, PSS_CONTENT_POINT_IN_TIME);
	assert_int_equal(region->flags, PSS_REGION_HAS_VM_FLAGS | PSS_REGION_DONT_DUMP);
	assert_int_equal(region->resident_bytes, 2 * page_size);
	assert_int_equal(find_region(section, shared)->content, PSS_CONTENT_LIVE);
	region = find_region(section, wiped);
	assert_int_equal(region->content, PSS_CONTENT_WIPED);
	assert_true(region->flags & PSS_REGION_WIPE_ON_FORK);
	region = find_region(section, (void *)getauxval(AT_SYSINFO_EHDR));
	assert_int_equal(region->content, PSS_CONTENT_POINT_IN_TIME);
	assert_debug_address(pss_section_process(section));
	assert_int_equal(pss_section_process(section)->pid, getpid());

	end_child(child);
	munmap(private, 4 * page_size);
	munmap(shared, 4 * page_size);
	munmap(wiped, 4 * page_size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_the_lines_of_maps),
		cmocka_unit_test(kinds_of_regions),
		cmocka_unit_test(images_are_what_the_loader_loaded),
		cmocka_unit_test(images_are_found_without_memory),
		cmocka_unit_test(contents_of_a_copy),
	};

	page_size = (uint64_t)sysconf(_SC_PAGESIZE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
