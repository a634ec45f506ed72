// SPDX-License-Identifier: LGPL-2.1-or-later
// Sections for the fuzzers to begin with: whole ones and damaged ones, made from today's layouts.
// Without an argument each is run through the harness that this is linked with; with the name of a
// folder they are written there. corpus/section holds what fuzzing has found on top of them.
#include <elf.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <processsnapshot.h>

#include "section.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is_true)
{
	if (!is_true)
		__builtin_trap();
}

static struct pss_bytes_ref text(struct pss_section_builder *builder, const char *bytes,
				 size_t size)
{
	struct pss_bytes_ref ref;

	must(pss_section_add_bytes(builder, bytes, size, &ref) == 0);
	return ref;
}

#define TEXT(literal) text(builder, literal, sizeof(literal) - 1)

static void add(struct pss_section_builder *builder, enum pss_part part, const void *record,
		size_t size)
{
	must(pss_section_add(builder, part, record, size) == 0);
}

static void add_process(struct pss_section_builder *builder)
{
	const struct pss_process_record process = {
		.pid = 4711,
		.parent_pid = 4000,
		.state = 'S',
		.affinity_mask = 3,
		.start_ticks = 100,
		.create_time = 133000000000000001u,
		.vm_peak = 9 << 20,
		.vm_size = 8 << 20,
		.vm_rss = 4 << 20,
		.rss_anon = 3 << 20,
		.page_faults = UINT64_C(1) << 40,
		.debug_address = 0x5000,
		.coredump_filter = 0x33,
		.thread_count = 3,
		.comm = TEXT("s\xc3\xa4ge"),
		.exe = TEXT("/usr/bin/s\xc3\xa4ge"),
		.command_line = TEXT("saege\0-v\0\xff\0"),
	};

	add(builder, PSS_PART_PROCESS, &process, sizeof process);
}

static void add_clone(struct pss_section_builder *builder)
{
	const struct pss_clone_record clone = { .pid = 1 << 23, .start_ticks = 7, .section_fd = 3 };
	const struct pss_patch_record patches[] = {
		{ .address = 0x5010, .bytes = TEXT("saved bytes") },
		{ .address = 0x5ffc, .bytes = TEXT("across a page's end") },
	};

	add(builder, PSS_PART_CLONE, &clone, sizeof clone);
	for (size_t i = 0; i < sizeof patches / sizeof patches[0]; i++)
		add(builder, PSS_PART_PATCHES, &patches[i], sizeof patches[i]);
}

static void add_threads(struct pss_section_builder *builder)
{
	static const uint64_t words[104] = { 1, 2, 3 };
	static const struct {
		uint32_t type;
		size_t size;
	} sets[] = {
		{ NT_PRSTATUS, 27 * 8 },
		{ NT_PRFPREG, 512 },
		{ NT_X86_XSTATE, 832 },
		{ NT_SIGINFO, 128 },
	};

	for (int i = 0; i < 3; i++) {
		struct pss_thread_record thread = {
			.tid = 4711 + i,
			.flags = i == 2 ? PSS_THREAD_TERMINATED
					: PSS_THREAD_HAS_REGISTERS | PSS_THREAD_HAS_SYSCALL,
			.state = i ? 'R' : 'S',
			.syscall_number = i ? -1 : 202,
			.stack_pointer = 0x7000,
			.name = i ? TEXT("worker") : TEXT(""),
			.registers_offset = pss_section_registers_end(builder),
		};
		for (size_t set = 0; i < 2 && set < sizeof sets / sizeof sets[0]; set++)
			must(pss_section_add_regset(builder, sets[set].type, words,
						    sets[set].size) == 0);
		thread.registers_size =
			pss_section_registers_end(builder) - thread.registers_offset;
		add(builder, PSS_PART_THREADS, &thread, sizeof thread);
	}
}

static void add_regions(struct pss_section_builder *builder)
{
	const struct pss_bytes_ref image = TEXT("/usr/bin/s\xc3\xa4ge");
	const struct pss_bytes_ref id = TEXT("\x01\x02\x03\x04\x05\x06\x07\x08");
	const struct pss_region_record regions[] = {
		{ .kind = PSS_REGION_IMAGE, .path = image, .build_id = id, .image_size = 0x2000 },
		{ .kind = PSS_REGION_IMAGE, .path = image, .protection = PSS_REGION_WRITE },
		{ .kind = PSS_REGION_PRIVATE, .path = TEXT("[heap]") },
		{ .kind = PSS_REGION_PRIVATE,
		  .flags = PSS_REGION_DONT_FORK,
		  .content = PSS_CONTENT_MISSING },
		{ .kind = PSS_REGION_MAPPED,
		  .flags = PSS_REGION_SHARED,
		  .path = TEXT("/dev/shm/x (deleted)"),
		  .content = PSS_CONTENT_LIVE },
		{ .kind = PSS_REGION_SPECIAL, .path = TEXT("[vdso]") },
		{ .kind = PSS_REGION_SPECIAL, .path = TEXT("[vvar]") },
		{ .kind = PSS_REGION_PRIVATE, .resident_bytes = PSS_RESIDENT_UNKNOWN },
	};

	for (size_t i = 0; i < sizeof regions / sizeof regions[0]; i++) {
		struct pss_region_record region = regions[i];

		region.start = 0x1000 + 0x3000 * i;
		region.end = region.start + 0x3000 - 0x1000 * (i % 2);
		region.allocation_base = region.start;
		region.protection |= i == 7 ? 0 : PSS_REGION_READ;
		if (region.content == PSS_CONTENT_NONE)
			region.content = PSS_CONTENT_POINT_IN_TIME;
		add(builder, PSS_PART_REGIONS, &region, sizeof region);
	}
}

static void add_handles(struct pss_section_builder *builder)
{
	const struct pss_bytes_ref info = TEXT("pos:\t0\nflags:\t02000002\nmnt_id:\t15\n");

	for (uint32_t kind = 0; kind < PSS_HANDLE_KIND_COUNT; kind++) {
		struct pss_handle_record handle = {
			.fd = (int32_t)kind,
			.kind = kind,
			.flags = kind * 7 % 64,
			.open_flags = kind % 3,
			.link = TEXT("anon_inode:[eventfd]"),
			.name = kind % 4 ? TEXT("tcp 127.0.0.1:80 LISTEN") : TEXT(""),
			.info = info,
		};
		if (kind == PSS_HANDLE_KIND_PROCESS || kind == PSS_HANDLE_KIND_THREAD)
			handle.task.flags = PSS_PROCESS_EXITED;
		add(builder, PSS_PART_HANDLES, &handle, sizeof handle);
	}
}

static void add_aux_pages(struct pss_section_builder *builder)
{
	static const char page[4096] = "a page";
	const struct pss_aux_page_record pages[] = {
		{ .address = 0xa000, .contents = TEXT(page) },
		{ .address = 0xb000 },
		{ .address = 0x13000 },
	};

	for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
		add(builder, PSS_PART_AUX_PAGES, &pages[i], sizeof pages[i]);
}

/** A section being made or damaged. */
struct seed {
	uint8_t *bytes;
	size_t size;
};

/** With the parts that @flags asks for, 0: the process alone. */
static struct seed build(uint32_t flags)
{
	static const uint64_t auxv[] = { 33, 0x10000, 25, 1, 0, 0 };
	struct pss_figures_record figures = { .total = { 1000, 5000 }, .pause_ns = 777 };
	_cleanup_section_builder_ struct pss_section_builder builder = {
		.machine = EM_X86_64,
		.capture_flags = flags,
		.thread_context_flags = UINT32_MAX,
	};
	struct pss_diag diag = { 0 };
	struct stat st;
	struct seed seed;
	int fd;

	add_process(&builder);
	add(&builder, PSS_PART_FIGURES, &figures, sizeof figures);
	if (flags & PSS_CAPTURE_VA_CLONE)
		add_clone(&builder);
	if (flags & PSS_CAPTURE_THREADS)
		add_threads(&builder);
	if (flags & PSS_CAPTURE_VA_SPACE)
		add_regions(&builder);
	if (flags & PSS_CAPTURE_HANDLES)
		add_handles(&builder);
	if (flags == UINT32_MAX) {
		add_aux_pages(&builder);
		add(&builder, PSS_PART_AUXV, auxv, sizeof auxv);
	}
	must(pss_section_seal(&builder, &diag, &fd) == 0 && fstat(fd, &st) == 0);
	seed.size = (size_t)st.st_size;
	seed.bytes = malloc(seed.size);
	must(seed.bytes && pread(fd, seed.bytes, seed.size, 0) == st.st_size);
	close(fd);
	return seed;
}

// The first record of @part, or the header for PSS_PART_COUNT: @size bytes at @offset are replaced.
struct damage {
	const char *name;
	enum pss_part part;
	size_t offset;
	size_t size;
	uint64_t value;
};

#define IN_HEADER(field)                                                                           \
	PSS_PART_COUNT, offsetof(struct pss_section_header, field),                                \
		sizeof(((struct pss_section_header *)0)->field)
#define IN_PART(part, field) IN_HEADER(parts[part].field)
#define IN_FIRST(part, type, field)                                                                \
	part, offsetof(struct type, field), sizeof(((struct type *)0)->field)
#define IN_PROCESS(field) IN_FIRST(PSS_PART_PROCESS, pss_process_record, field)
#define IN_THREAD(field)  IN_FIRST(PSS_PART_THREADS, pss_thread_record, field)
#define IN_REGSET(field)  IN_FIRST(PSS_PART_REGISTERS, pss_regset_record, field)
#define IN_REGION(field)  IN_FIRST(PSS_PART_REGIONS, pss_region_record, field)
#define IN_HANDLE(field)  IN_FIRST(PSS_PART_HANDLES, pss_handle_record, field)
#define IN_PAGE(field)    IN_FIRST(PSS_PART_AUX_PAGES, pss_aux_page_record, field)
#define IN_PATCH(field)   IN_FIRST(PSS_PART_PATCHES, pss_patch_record, field)

static const struct damage damages[] = {
	{ "magic", IN_HEADER(magic[0]), 'p' },
	{ "version", IN_HEADER(version), PSS_SECTION_VERSION + 1 },
	{ "page-size-0", IN_HEADER(page_size), 0 },
	{ "page-size-large", IN_HEADER(page_size), 65536 },
	{ "machine", IN_HEADER(machine), EM_AARCH64 },
	{ "no-process", IN_PART(PSS_PART_PROCESS, count), 0 },
	{ "no-bytes", IN_PART(PSS_PART_BYTES, count), 0 },
	{ "no-threads", IN_PART(PSS_PART_THREADS, count), 0 },
	{ "part-offset-wraps", IN_PART(PSS_PART_THREADS, offset), UINT64_MAX - 15 },
	{ "part-size-wraps", IN_PART(PSS_PART_BYTES, size), UINT64_MAX },
	{ "parts-overlap", IN_PART(PSS_PART_AUX_PAGES, offset), sizeof(struct pss_section_header) },
	{ "record-size-0", IN_PART(PSS_PART_REGIONS, record_size), 0 },
	{ "count-huge", IN_PART(PSS_PART_HANDLES, count), UINT32_MAX },
	{ "exe-long", IN_PROCESS(exe.size), 5000 },
	{ "exe-outside", IN_PROCESS(exe.offset), UINT64_MAX },
	{ "process-32-bit", IN_PROCESS(flags), PSS_PROCESS_32BIT },
	{ "name-outside", IN_THREAD(name.offset), UINT64_MAX },
	{ "name-wraps", IN_THREAD(name.size), UINT64_MAX },
	{ "registers-outside", IN_THREAD(registers_offset), UINT64_MAX - 7 },
	{ "registers-unaligned", IN_THREAD(registers_offset), 4 },
	{ "registers-huge", IN_THREAD(registers_size), UINT64_MAX },
	{ "registers-short", IN_THREAD(registers_size), 4 },
	{ "regset-huge", IN_REGSET(size), UINT32_MAX },
	{ "regset-empty", IN_REGSET(size), 0 },
	{ "regset-odd", IN_REGSET(size), 213 },
	{ "region-backwards", IN_REGION(end), 0x1000 },
	{ "region-everything", IN_REGION(end), UINT64_MAX },
	{ "region-kind", IN_REGION(kind), UINT32_MAX },
	{ "region-path-outside", IN_REGION(path.offset), INT64_MAX },
	{ "build-id-long", IN_REGION(build_id.size), 65 },
	{ "handle-kind", IN_HANDLE(kind), UINT32_MAX },
	{ "handle-negative", IN_HANDLE(fd), UINT32_MAX },
	{ "handle-name-outside", IN_HANDLE(name.offset), UINT64_MAX },
	{ "handle-info-outside", IN_HANDLE(info.size), UINT64_MAX },
	{ "page-too-large", IN_PAGE(contents.size), 8192 },
	{ "page-outside", IN_PAGE(contents.offset), UINT64_MAX },
	{ "patch-wraps", IN_PATCH(address), UINT64_MAX - 3 },
	{ "patch-huge", IN_PATCH(bytes.size), UINT64_MAX },
};

static void apply(const struct damage *damage, const struct seed *seed)
{
	struct pss_section_header header;
	uint64_t offset = damage->offset;

	memcpy(&header, seed->bytes, sizeof header);
	if (damage->part < PSS_PART_COUNT)
		offset += header.parts[damage->part].offset;
	must(offset + damage->size <= seed->size && damage->size <= sizeof damage->value);
	memcpy(seed->bytes + offset, &damage->value, damage->size); // little-endian
}

static void use(const char *folder, const char *name, const struct seed *seed)
{
	char path[4096];

	if (!folder) {
		LLVMFuzzerTestOneInput(seed->bytes, seed->size);
		return;
	}
	must((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) < sizeof path);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, seed->bytes, seed->size) != (ssize_t)seed->size) {
		perror(path);
		exit(1);
	}
	close(fd);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		uint32_t flags;
	} whole[] = {
		{ "process", 0 },
		{ "clone", PSS_CAPTURE_VA_CLONE },
		{ "threads", PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT },
		{ "regions", PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION },
		{ "handles", PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION },
		{ "everything", UINT32_MAX },
	};
	const char *folder = argc > 1 ? argv[1] : NULL;
	struct seed seed;

	for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
		seed = build(whole[i].flags);
		use(folder, whole[i].name, &seed);
		free(seed.bytes);
	}
	for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
		seed = build(UINT32_MAX);
		apply(&damages[i], &seed);
		use(folder, damages[i].name, &seed);
		free(seed.bytes);
	}
	seed = build(UINT32_MAX);
	seed.size = sizeof(struct pss_section_header) / 2;
	use(folder, "cut-header", &seed);
	free(seed.bytes);
	return 0;
}
