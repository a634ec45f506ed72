// SPDX-License-Identifier: LGPL-2.1-or-later
// See fixture_minidump.h.
#include "fixture_minidump.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "procfs.h"

void minidump_add_thread(struct core_fixture *fixture, int tid, uint64_t stack_pointer)
{
	uint8_t general[GENERAL_SIZE];
	struct pss_thread_record thread = {
		.tid = tid,
		.flags = PSS_THREAD_HAS_REGISTERS,
		.stack_pointer = stack_pointer,
		.registers_offset = pss_section_registers_end(&fixture->builder),
	};

	memset(general, tid, sizeof general);
	assert_int_equal(
		pss_section_add_regset(&fixture->builder, NT_PRSTATUS, general, sizeof general), 0);
	thread.registers_size =
		pss_section_registers_end(&fixture->builder) - thread.registers_offset;
	assert_int_equal(
		pss_section_add(&fixture->builder, PSS_PART_THREADS, &thread, sizeof thread), 0);
}

void minidump_add_region(struct core_fixture *fixture, uint64_t start, uint64_t end)
{
	core_add_region(fixture,
			(struct pss_region_record){ .start = core_address(fixture, start),
						    .end = core_address(fixture, end) },
			NULL);
}

int minidump_write_with(struct core_fixture *fixture, int fd,
			const struct pss_minidump_options *options, struct pss_minidump_result *ret)
{
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	struct pss_minidump_ask nobody = { .ignores_holes = true };
	const struct pss_sink_options plain = { 0 };
	struct pss_minidump_options all = *options;

	if (!all.ask)
		all.ask = &nobody;
	fixture->diag = (struct pss_diag){ 0 };
	assert_int_equal(pss_sink_open(fd, &plain, &fixture->diag, &sink), 0);
	return pss_minidump_write(&fixture->section, &fixture->memory, &all, &sink, &fixture->diag,
				  ret);
}

int minidump_write_to(struct core_fixture *fixture, int fd, uint64_t type,
		      struct pss_minidump_result *ret)
{
	const struct pss_minidump_options options = { .type = type };

	return minidump_write_with(fixture, fd, &options, ret);
}

struct minidump minidump_of_file(int fd)
{
	struct minidump dump = { .size = (size_t)lseek(fd, 0, SEEK_END) };

	dump.bytes = mmap(NULL, dump.size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(dump.bytes, MAP_FAILED);
	if (!minidump_check(&dump))
		fail_msg("%s", dump.fault);
	return dump;
}

struct minidump minidump_write(struct core_fixture *fixture, uint64_t type,
			       struct pss_minidump_result *ret)
{
	_cleanup_close_ int fd = core_temporary_file();

	if (minidump_write_to(fixture, fd, type, ret) < 0)
		fail_msg("%s", fixture->diag.text);
	assert_int_equal(lseek(fd, 0, SEEK_END), ret->file_size);
	return minidump_of_file(fd);
}

void minidump_forget(const struct minidump *dump)
{
	assert_int_equal(munmap((void *)(uintptr_t)dump->bytes, dump->size), 0);
}

void minidump_assert_memory(const struct core_fixture *fixture, const struct minidump *dump,
			    uint64_t offset, size_t size)
{
	const void *bytes = minidump_memory(dump, core_address(fixture, offset), size);

	assert_non_null(bytes);
	assert_memory_equal(bytes, fixture->area + offset, size);
}

bool minidump_has_byte(const struct core_fixture *fixture, const struct minidump *dump,
		       uint64_t offset)
{
	return minidump_memory(dump, core_address(fixture, offset), 1) != NULL;
}

struct rlimit minidump_allow_only(uint64_t extra)
{
	_cleanup_buf_ struct pss_buf scratch = PSS_BUF_EMPTY;
	_cleanup_close_ int dir = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct rlimit before, limit;
	uint64_t used;

	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(pss_procfs_read_space_size(dir, &scratch, &used), 0);
	limit = (struct rlimit){ .rlim_cur = used + extra, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	return before;
}

void minidump_allow_again(const struct rlimit *before)
{
	assert_int_equal(setrlimit(RLIMIT_AS, before), 0);
}
