// SPDX-License-Identifier: LGPL-2.1-or-later
// Work on a section made by hand, the same each time, for counting its instructions:
//
//     synthetic section|walk|plan COUNT
//
// COUNT threads with registers, and as many mappings; only measured_*() is counted. No process but
// this one. "synthetic build" tells what it was built with.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <procsnap.h>

#include "arch.h"
#include "elfcore_notes.h"
#include "elfcore_plan.h"
#include "section.h"

enum {
	PAGE = 4096,
	PAGES_A_REGION = 4,
	GENERAL_SIZE = 216,
	FLOATING_SIZE = 512,
	FILTER = 0x33,
};

// The mappings lie in an area of our own, every other page of which is there.
struct area {
	uint8_t *base;
	size_t size;
};

int measured_section(struct pss_section_builder *builder, struct area area, uint32_t count);
void measured_walk(HPSS snapshot, uint32_t count);
void measured_plan(const struct pss_section *section, const struct pss_memory *memory);

static void die(const char *what)
{
	fprintf(stderr, "synthetic: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must(int result, const char *what)
{
	if (result >= 0)
		return;
	errno = -result;
	die(what);
}

static struct area make_area(uint32_t count)
{
	struct area area = { .size = (size_t)count * PAGES_A_REGION * PAGE };

	area.base =
		mmap(NULL, area.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area.base == MAP_FAILED)
		die("mmap");
	(void)madvise(area.base, area.size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < area.size; i += 2 * PAGE)
		area.base[i] = 1;
	return area;
}

static void add_process(struct pss_section_builder *builder, uint32_t count)
{
	struct pss_process_record process = {
		.pid = 4711,
		.state = 'S',
		.coredump_filter = FILTER,
		.thread_count = count,
	};
	static const Elf64_auxv_t auxv[] = { { .a_type = AT_PAGESZ, .a_un.a_val = PAGE },
					     { .a_type = AT_NULL } };

	must(pss_section_add_bytes(builder, "target", 6, &process.comm), "comm");
	must(pss_section_add(builder, PSS_PART_PROCESS, &process, sizeof process), "process");
	must(pss_section_add(builder, PSS_PART_AUXV, auxv, sizeof auxv), "auxv");
}

static void add_thread(struct pss_section_builder *builder, uint32_t number, uint64_t stack)
{
	static uint8_t general[GENERAL_SIZE], floating[FLOATING_SIZE];
	struct pss_thread_record thread = {
		.tid = (int32_t)(4711 + number),
		.flags = PSS_THREAD_HAS_REGISTERS,
		.state = 'S',
		.stack_pointer = stack,
		.registers_offset = pss_section_registers_end(builder),
	};

	must(pss_section_add_regset(builder, NT_PRSTATUS, general, sizeof general), "registers");
	must(pss_section_add_regset(builder, NT_PRFPREG, floating, sizeof floating), "registers");
	thread.registers_size = pss_section_registers_end(builder) - thread.registers_offset;
	must(pss_section_add_bytes(builder, "worker", 6, &thread.name), "name");
	must(pss_section_add(builder, PSS_PART_THREADS, &thread, sizeof thread), "thread");
}

static void add_region(struct pss_section_builder *builder, uint32_t number, uint64_t start)
{
	struct pss_region_record region = {
		.start = start,
		.end = start + PAGES_A_REGION * PAGE,
		.allocation_base = start,
		.protection = PSS_REGION_READ | PSS_REGION_WRITE,
		.kind = PSS_REGION_PRIVATE,
		.content = PSS_CONTENT_POINT_IN_TIME,
	};
	char path[32];
	int length = snprintf(path, sizeof path, "[anon:%u]", number);

	must(pss_section_add_bytes(builder, path, (size_t)length, &region.path), "path");
	must(pss_section_add(builder, PSS_PART_REGIONS, &region, sizeof region), "region");
}

__attribute__((noinline)) int measured_section(struct pss_section_builder *builder,
					       struct area area, uint32_t count)
{
	int fd;

	add_process(builder, count);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t start = (uintptr_t)area.base + (uint64_t)i * PAGES_A_REGION * PAGE;

		add_thread(builder, i, start + PAGE);
		add_region(builder, i, start);
	}
	must(pss_section_seal(builder, NULL, &fd), "seal");
	return fd;
}

static uint32_t walk(HPSS snapshot, PSS_WALK_INFORMATION_CLASS class, void *entry, DWORD size)
{
	uint32_t count = 0;
	HPSSWALK marker;

	if (PssWalkMarkerCreate(NULL, &marker) != ERROR_SUCCESS)
		die("marker");
	while (PssWalkSnapshot(snapshot, class, marker, entry, size) == ERROR_SUCCESS)
		count++;
	PssWalkMarkerFree(marker);
	return count;
}

__attribute__((noinline)) void measured_walk(HPSS snapshot, uint32_t count)
{
	PSS_THREAD_ENTRY thread;
	PSS_VA_SPACE_ENTRY region;

	if (walk(snapshot, PSS_WALK_THREADS, &thread, sizeof thread) != count ||
	    walk(snapshot, PSS_WALK_VA_SPACE, &region, sizeof region) != count)
		die("a walk told less than there is");
}

__attribute__((noinline)) void measured_plan(const struct pss_section *section,
					     const struct pss_memory *memory)
{
	_cleanup_elfcore_plan_ struct pss_elfcore_plan plan = PSS_ELFCORE_PLAN_EMPTY;
	const struct pss_memory_choice all = { .filter = UINT64_MAX };
	uint64_t notes_size = 0;

	must(pss_memory_plan_make(section, memory, &all, NULL, &plan.memory), "plan");
	must(pss_elfcore_notes_write(section, &plan, NULL, &notes_size), "notes");
	must(pss_elfcore_plan_offsets(&plan, notes_size, PAGE), "offsets");
}

static void plan(int fd)
{
	struct pss_section section = PSS_SECTION_EMPTY;
	struct pss_memory memory = {
		.mem_fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC),
		.pagemap_fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC),
		.dir_fd = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.section = &section,
	};

	must(pss_section_open(fd, &section), "section");
	measured_plan(&section, &memory);
	pss_section_close(&section);
	pss_memory_close(&memory);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "build") == 0) {
		printf("%s, %s\n", BENCH_COMPILER, BENCH_BUILDTYPE);
		return 0;
	}
	if (argc != 3)
		return 2;
	uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10);
	struct area area = make_area(count);
	_cleanup_section_builder_ struct pss_section_builder builder = {
		.machine = pss_arch_native()->elf_machine,
		.capture_flags = PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
				 PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_VA_CLONE,
		.thread_context_flags = CONTEXT_ALL,
	};
	int fd = measured_section(&builder, area, count);

	if (strcmp(argv[1], "walk") == 0)
		measured_walk((HPSS)(intptr_t)fd, count);
	else if (strcmp(argv[1], "plan") == 0)
		plan(fd);
	else if (strcmp(argv[1], "section") != 0)
		return 2;
	return 0;
}
