// SPDX-License-Identifier: LGPL-2.1-or-later
// The hand-made section of fixture_section.h.
#include "fixture_section.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "arch.h"

static struct pss_bytes_ref add_text(struct pss_section_builder *builder, const char *text,
				     size_t size)
{
	struct pss_bytes_ref ref;

	assert_int_equal(pss_section_add_bytes(builder, text, size, &ref), 0);
	return ref;
}

static void add_process(struct pss_section_builder *builder, const char *exe, size_t exe_size)
{
	struct pss_process_record process = {
		.pid = FIXTURE_PID,
		.parent_pid = FIXTURE_PARENT,
		.state = 'S',
		.affinity_mask = 0xF,
		.create_time = FIXTURE_CREATE_TIME,
		.kernel_time = 11,
		.user_time = 0x100000002,
		.vm_peak = 9 << 20,
		.vm_size = 8 << 20,
		.vm_hwm = 5 << 20,
		.vm_rss = 4 << 20,
		.rss_anon = 3 << 20,
		.vm_swap = 1 << 20,
		.vm_pte = 4096,
		.page_faults = 12345,
		.debug_address = 0x7f0000001000,
		.thread_count = FIXTURE_THREADS,
		.comm = add_text(builder, "saege", 5),
		.exe = add_text(builder, exe, exe_size),
		.command_line = add_text(builder, "saege\0-v\0", 9),
	};

	assert_int_equal(pss_section_add(builder, PSS_PART_PROCESS, &process, sizeof process), 0);
}

static void add_clone(struct pss_section_builder *builder)
{
	// No such process: the number is above every pid_max.
	struct pss_clone_record clone = {
		.pid = FIXTURE_CLONE_PID + (1 << 23),
		.section_fd = 3,
	};

	assert_int_equal(pss_section_add(builder, PSS_PART_CLONE, &clone, sizeof clone), 0);
}

static void add_figures(struct pss_section_builder *builder)
{
	struct pss_figures_record figures = {
		.total = { 1000, 5000999 },
		.va_clone = { 400, 2000000 },
		.va_space = { 300, 1000 },
		.threads = { 200, 999 },
		.pause_ns = 777,
		.threads_stopped = 3,
		.threads_running = 1,
	};

	assert_int_equal(pss_section_add(builder, PSS_PART_FIGURES, &figures, sizeof figures), 0);
}

static void add_registers(struct pss_section_builder *builder, struct pss_thread_record *thread)
{
	uint64_t general[34];
	uint8_t floating[528];

	for (size_t i = 0; i < sizeof general / sizeof general[0]; i++)
		general[i] = 0x1000 * (uint64_t)thread->tid + i;
	memset(floating, 0x5a, sizeof floating);
	thread->registers_offset = pss_section_registers_end(builder);
	size_t size = pss_arch_native()->elf_machine == EM_X86_64 ? 27 * 8 : 34 * 8;
	assert_int_equal(pss_section_add_regset(builder, NT_PRSTATUS, general, size), 0);
	size = pss_arch_native()->elf_machine == EM_X86_64 ? 512 : 528;
	assert_int_equal(pss_section_add_regset(builder, NT_PRFPREG, floating, size), 0);
	thread->registers_size = pss_section_registers_end(builder) - thread->registers_offset;
	thread->flags |= PSS_THREAD_HAS_REGISTERS;
}

static void add_threads(struct pss_section_builder *builder)
{
	static const char *const names[FIXTURE_THREADS] = { "saege", "w\xc3\xb6rker", "" };

	for (int i = 0; i < FIXTURE_THREADS; i++) {
		struct pss_thread_record thread = {
			.tid = FIXTURE_PID + i,
			.state = 'S',
			.affinity_mask = 3,
			.create_time = FIXTURE_CREATE_TIME + (uint64_t)i,
			.capture_time = FIXTURE_CREATE_TIME + 1000,
			.thread_pointer = 0x7f0000002000u + (uint64_t)i,
			.syscall_number = -1,
			.name = add_text(builder, names[i], strlen(names[i])),
		};
		if (i == 1) {
			thread.flags = PSS_THREAD_HAS_SYSCALL | PSS_THREAD_GROUP_STOPPED;
			thread.syscall_number = 202;
			thread.syscall_arguments[0] = 0xabcdef;
		}
		if (i == 2)
			thread.flags = PSS_THREAD_TERMINATED;
		else
			add_registers(builder, &thread);
		assert_int_equal(pss_section_add(builder, PSS_PART_THREADS, &thread, sizeof thread),
				 0);
	}
}

static void add_regions(struct pss_section_builder *builder, const char *path, size_t path_size)
{
	struct pss_bytes_ref file = add_text(builder, path, path_size);
	struct pss_bytes_ref heap = add_text(builder, "[heap]", 6);
	const struct pss_region_record regions[FIXTURE_REGIONS] = {
		{ .start = 0x1000,
		  .end = 0x3000,
		  .allocation_base = 0x1000,
		  .protection = PSS_REGION_READ | PSS_REGION_EXECUTE,
		  .kind = PSS_REGION_IMAGE,
		  .path = file,
		  .image_base = 0x400000,
		  .image_size = 0x3000,
		  .image_timestamp = 0xdeadbeef,
		  .content = PSS_CONTENT_POINT_IN_TIME },
		{ .start = 0x3000,
		  .end = 0x4000,
		  .allocation_base = 0x1000,
		  .protection = PSS_REGION_READ | PSS_REGION_WRITE,
		  .kind = PSS_REGION_IMAGE,
		  .path = file,
		  .image_base = 0x400000,
		  .image_size = 0x3000,
		  .image_timestamp = 0xdeadbeef,
		  .content = PSS_CONTENT_POINT_IN_TIME },
		{ .start = 0x5000,
		  .end = 0x6000,
		  .allocation_base = 0x5000,
		  .protection = PSS_REGION_READ | PSS_REGION_WRITE,
		  .kind = PSS_REGION_PRIVATE,
		  .path = heap,
		  .content = PSS_CONTENT_POINT_IN_TIME },
		{ .start = 0x10000,
		  .end = 0x20000,
		  .allocation_base = 0x10000,
		  .protection = 0,
		  .kind = PSS_REGION_PRIVATE },
		{ .start = 0x20000,
		  .end = 0x21000,
		  .allocation_base = 0x20000,
		  .protection = PSS_REGION_READ | PSS_REGION_WRITE,
		  .kind = PSS_REGION_MAPPED,
		  .flags = PSS_REGION_SHARED,
		  .path = file,
		  .content = PSS_CONTENT_LIVE },
		{ .start = 0x30000,
		  .end = 0x31000,
		  .allocation_base = 0x30000,
		  .protection = 0,
		  .kind = PSS_REGION_PRIVATE,
		  .resident_bytes = 4096 },
	};

	for (int i = 0; i < FIXTURE_REGIONS; i++)
		assert_int_equal(
			pss_section_add(builder, PSS_PART_REGIONS, &regions[i], sizeof regions[i]),
			0);
}

static int build(uint32_t capture_flags, uint32_t context_flags, const char *path, size_t size)
{
	_cleanup_section_builder_ struct pss_section_builder builder = {
		.machine = pss_arch_native()->elf_machine,
		.capture_flags = capture_flags,
		.thread_context_flags = context_flags,
	};
	struct pss_diag diag = { 0 };
	int fd;

	add_process(&builder, path, size);
	add_figures(&builder);
	if (capture_flags & PSS_CAPTURE_VA_CLONE)
		add_clone(&builder);
	if (capture_flags & PSS_CAPTURE_THREADS)
		add_threads(&builder);
	if (capture_flags & PSS_CAPTURE_VA_SPACE)
		add_regions(&builder, path, size);
	assert_int_equal(pss_section_seal(&builder, &diag, &fd), 0);
	return fd;
}

int fixture_section(uint32_t capture_flags, uint32_t thread_context_flags)
{
	return build(capture_flags, thread_context_flags, FIXTURE_EXE, strlen(FIXTURE_EXE));
}

int fixture_section_with_path(uint32_t capture_flags, const char *path, size_t size)
{
	return build(capture_flags, 0, path, size);
}
