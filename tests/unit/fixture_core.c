// SPDX-License-Identifier: LGPL-2.1-or-later
// See fixture_core.h.
#include "fixture_core.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch.h"

void core_setup(struct core_fixture *fixture, size_t size)
{
	*fixture = (struct core_fixture){
		.size = size,
		.process = { .pid = PID,
			     .parent_pid = 1,
			     .process_group = 4700,
			     .session = 4600,
			     .state = 'S',
			     .uid = 1000,
			     .coredump_filter = FILTER_DEFAULT,
			     .capture_time = 133500000000000000 },
		.comm = "target",
		.memory = PSS_MEMORY_EMPTY,
		.options = { .choice.filter = UINT64_MAX },
		.section_fd = -EBADF,
	};
	fixture->builder.machine = pss_arch_native()->elf_machine;
	fixture->area = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(fixture->area, MAP_FAILED);
	(void)madvise(fixture->area, size, MADV_NOHUGEPAGE);
	fixture->memory.mem_fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	fixture->memory.pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	fixture->memory.dir_fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fixture->memory.mem_fd >= 0 && fixture->memory.pagemap_fd >= 0);
}

void core_teardown(struct core_fixture *fixture)
{
	pss_section_builder_deinit(&fixture->builder);
	pss_section_close(&fixture->section);
	pss_memory_close(&fixture->memory);
	(void)pss_close(fixture->section_fd);
	assert_int_equal(munmap(fixture->area, fixture->size), 0);
}

uint64_t core_address(const struct core_fixture *fixture, uint64_t offset)
{
	return (uintptr_t)fixture->area + offset;
}

void core_add_region(struct core_fixture *fixture, struct pss_region_record region,
		     const char *path)
{
	if (region.content == PSS_CONTENT_NONE)
		region.content = PSS_CONTENT_POINT_IN_TIME;
	if (region.protection == 0)
		region.protection = PSS_REGION_READ | PSS_REGION_WRITE;
	if (path)
		assert_int_equal(
			pss_section_add_bytes(&fixture->builder, path, strlen(path), &region.path),
			0);
	assert_int_equal(
		pss_section_add(&fixture->builder, PSS_PART_REGIONS, &region, sizeof region), 0);
}

void core_add_thread(struct core_fixture *fixture, int tid, uint32_t flags)
{
	uint8_t general[GENERAL_SIZE], floating[FLOATING_SIZE];
	struct pss_thread_record thread = {
		.tid = tid,
		.flags = flags,
		.registers_offset = pss_section_registers_end(&fixture->builder),
		.user_time = 12345678,
		.signal_mask = 0xabcdef,
	};

	memset(general, tid, sizeof general);
	memset(floating, tid + 1, sizeof floating);
	if (flags & PSS_THREAD_HAS_REGISTERS) {
		assert_int_equal(pss_section_add_regset(&fixture->builder, NT_PRSTATUS, general,
							sizeof general),
				 0);
		assert_int_equal(pss_section_add_regset(&fixture->builder, NT_PRFPREG, floating,
							sizeof floating),
				 0);
	}
	thread.registers_size =
		pss_section_registers_end(&fixture->builder) - thread.registers_offset;
	assert_int_equal(
		pss_section_add(&fixture->builder, PSS_PART_THREADS, &thread, sizeof thread), 0);
}

static void add_process(struct core_fixture *fixture)
{
	static const Elf64_auxv_t auxv[] = {
		{ .a_type = AT_PAGESZ, .a_un.a_val = PAGE },
		{ .a_type = AT_ENTRY, .a_un.a_val = 0x1234 },
		{ .a_type = AT_PAGESZ, .a_un.a_val = 1 },
		{ .a_type = AT_NULL },
	};
	static const char arguments[] = "/usr/bin/target\0--option\0value\0";
	struct pss_section_builder *builder = &fixture->builder;

	assert_int_equal(pss_section_add_bytes(builder, fixture->comm, strlen(fixture->comm),
					       &fixture->process.comm),
			 0);
	assert_int_equal(pss_section_add_bytes(builder, arguments, sizeof arguments - 1,
					       &fixture->process.command_line),
			 0);
	assert_int_equal(pss_section_add(builder, PSS_PART_PROCESS, &fixture->process,
					 sizeof fixture->process),
			 0);
	assert_int_equal(pss_section_add(builder, PSS_PART_AUXV, auxv, sizeof auxv), 0);
}

void core_seal(struct core_fixture *fixture)
{
	add_process(fixture);
	assert_int_equal(pss_section_seal(&fixture->builder, NULL, &fixture->section_fd), 0);
	assert_int_equal(pss_section_open(fixture->section_fd, &fixture->section), 0);
	fixture->memory.section = &fixture->section;
}

// A core with some of everything, for the tests of where it goes.
void core_setup_mixed(struct core_fixture *fixture)
{
	core_setup(fixture, 16 * MIB);
	for (uint64_t at = 0; at < 4 * MIB; at += 3 * PAGE)
		memset(fixture->area + at, (int)(at / PAGE) + 1, PAGE);
	memset(fixture->area + 12 * MIB, 0, MIB); // there, but zeroes
	memset(fixture->area + 13 * MIB, 5, 100);
	core_add_region(fixture,
			(struct pss_region_record){ .start = core_address(fixture, 0),
						    .end = core_address(fixture, 16 * MIB) },
			NULL);
	core_add_thread(fixture, PID, PSS_THREAD_HAS_REGISTERS);
	core_seal(fixture);
}

int core_write_to(struct core_fixture *fixture, int fd, bool compress)
{
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	const struct pss_sink_options options = { .compress = compress };

	fixture->diag = (struct pss_diag){ 0 };
	assert_int_equal(pss_sink_open(fd, &options, &fixture->diag, &sink), 0);
	return pss_elfcore_write(&fixture->section, &fixture->memory, &fixture->options, &sink,
				 &fixture->diag, &fixture->result);
}

int core_temporary_file(void)
{
	char path[] = "/tmp/test_elfcore_XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	return fd;
}

int core_write_file(struct core_fixture *fixture)
{
	int fd = core_temporary_file();

	if (core_write_to(fixture, fd, false) < 0)
		fail_msg("%s", fixture->diag.text);
	return fd;
}

// Byte for byte what the file says of the target's memory; filled with 0xff where it says nothing.
bool core_read(int fd, uint64_t at, void *bytes, size_t size)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	size_t count = 0;
	bool is_found = false;

	assert_non_null(elf);
	assert_int_equal(elf_getphdrnum(elf, &count), 0);
	for (size_t i = 0; i < count && !is_found; i++) {
		GElf_Phdr header;

		assert_non_null(gelf_getphdr(elf, (int)i, &header));
		if (header.p_type != PT_LOAD || at < header.p_vaddr ||
		    at + size > header.p_vaddr + header.p_filesz)
			continue;
		off_t offset = (off_t)(header.p_offset + (at - header.p_vaddr));
		assert_int_equal(pread(fd, bytes, size, offset), size);
		is_found = true;
	}
	(void)elf_end(elf);
	return is_found;
}

// What every core must be, whatever is in it.
size_t core_check_shape(const struct core_fixture *fixture, int fd)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	GElf_Ehdr header;
	GElf_Phdr segment;
	struct stat st;
	size_t count = 0;
	uint64_t end = 0, offset = 0;

	assert_non_null(elf);
	assert_non_null(gelf_getehdr(elf, &header));
	assert_int_equal(header.e_type, ET_CORE);
	assert_int_equal(header.e_machine, fixture->builder.machine);
	assert_int_equal(elf_getphdrnum(elf, &count), 0);
	assert_int_equal(count, fixture->result.segments + 1);
	assert_non_null(gelf_getphdr(elf, 0, &segment));
	assert_int_equal(segment.p_type, PT_NOTE);
	offset = segment.p_offset + segment.p_filesz;
	for (size_t i = 1; i < count; i++) {
		assert_non_null(gelf_getphdr(elf, (int)i, &segment));
		assert_int_equal(segment.p_type, PT_LOAD);
		assert_int_equal(segment.p_align, PAGE);
		assert_int_equal(segment.p_offset % PAGE, 0);
		assert_int_equal(segment.p_vaddr % PAGE, 0);
		assert_int_equal(segment.p_paddr, 0);
		assert_true(segment.p_vaddr >= end);
		assert_true(segment.p_offset >= offset);
		assert_true(segment.p_filesz == 0 || segment.p_filesz == segment.p_memsz);
		assert_true(segment.p_memsz > 0);
		end = segment.p_vaddr + segment.p_memsz;
		offset = segment.p_offset + segment.p_filesz;
	}
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, fixture->result.file_size);
	assert_int_equal(fixture->result.file_size, offset);
	(void)elf_end(elf);
	return count;
}
