// SPDX-License-Identifier: LGPL-2.1-or-later
// The section: what goes in comes out, wherever it is mapped; whatever is damaged is refused.
#include "section.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ALL_SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static const char general[] = "27 general registers, let us say";
static const char signal_info[] = "siginfo";

static void add_thread(struct pss_section_builder *builder, int tid)
{
	struct pss_thread_record thread = {
		.tid = tid,
		.flags = PSS_THREAD_HAS_REGISTERS,
		.registers_offset = pss_section_registers_end(builder),
	};

	assert_int_equal(pss_section_add_regset(builder, NT_PRSTATUS, general, sizeof general), 0);
	assert_int_equal(
		pss_section_add_regset(builder, NT_SIGINFO, signal_info, sizeof signal_info), 0);
	thread.registers_size = pss_section_registers_end(builder) - thread.registers_offset;
	assert_int_equal(pss_section_add_bytes(builder, "worker", 6, &thread.name), 0);
	assert_int_equal(pss_section_add(builder, PSS_PART_THREADS, &thread, sizeof thread), 0);
}

static void fill(struct pss_section_builder *builder)
{
	struct pss_process_record process = { .pid = 4711, .start_ticks = 99 };
	struct pss_region_record region = { .start = 0x1000, .end = 0x3000 };
	struct pss_patch_record patch = { .address = 0x1800 };

	builder->machine = EM_X86_64;
	builder->capture_flags = 5;
	assert_int_equal(pss_section_add_bytes(builder, "a name", 6, &process.comm), 0);
	assert_int_equal(pss_section_add(builder, PSS_PART_PROCESS, &process, sizeof process), 0);
	add_thread(builder, 4711);
	add_thread(builder, 4712);
	assert_int_equal(pss_section_add(builder, PSS_PART_REGIONS, &region, sizeof region), 0);
	assert_int_equal(pss_section_add_bytes(builder, "old", 3, &patch.bytes), 0);
	assert_int_equal(pss_section_add(builder, PSS_PART_PATCHES, &patch, sizeof patch), 0);
	assert_int_equal(pss_section_add(builder, PSS_PART_AUXV, "0123456789abcde", 16), 0);
}

static int sealed_fd(void)
{
	_cleanup_section_builder_ struct pss_section_builder builder = PSS_SECTION_BUILDER_EMPTY;
	struct pss_diag diag = { 0 };
	int fd = -EBADF;

	fill(&builder);
	assert_int_equal(pss_section_seal(&builder, &diag, &fd), 0);
	return fd;
}

// The bytes of a good section in memory of our own, aligned, to be damaged.
static uint8_t *good_bytes(size_t *size_ret)
{
	_cleanup_close_ int fd = sealed_fd();
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	uint8_t *bytes = aligned_alloc(64, ((size_t)st.st_size + 63) / 64 * 64);
	assert_non_null(bytes);
	assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	*size_ret = (size_t)st.st_size;
	return bytes;
}

static void check_text(const struct pss_section *section, struct pss_bytes_ref ref,
		       const char *expected)
{
	const void *bytes = NULL;

	assert_int_equal(ref.size, strlen(expected));
	assert_int_equal(pss_section_bytes(section, ref, &bytes), 0);
	assert_memory_equal(bytes, expected, ref.size);
}

static void check_contents(const struct pss_section *section)
{
	const struct pss_thread_record *thread = pss_section_thread(section, 1);
	const void *bytes = NULL;
	size_t size = 0;

	assert_int_equal(pss_section_header(section)->machine, EM_X86_64);
	assert_int_equal(pss_section_header(section)->capture_flags, 5);
	assert_int_equal(pss_section_process(section)->pid, 4711);
	check_text(section, pss_section_process(section)->comm, "a name");

	assert_int_equal(pss_section_count(section, PSS_PART_THREADS), 2);
	assert_int_equal(thread->tid, 4712);
	check_text(section, thread->name, "worker");
	assert_null(pss_section_thread(section, 2));
	assert_int_equal(pss_section_regset(section, thread, NT_SIGINFO, &bytes, &size), 0);
	assert_int_equal(size, sizeof signal_info);
	assert_memory_equal(bytes, signal_info, size);
	assert_int_equal(pss_section_regset(section, thread, NT_PRSTATUS, &bytes, &size), 0);
	assert_int_equal(size, sizeof general);
	assert_memory_equal(bytes, general, size);
	assert_int_equal(pss_section_regset(section, thread, NT_PRFPREG, &bytes, &size), -ENOENT);

	assert_int_equal(pss_section_region(section, 0)->end, 0x3000);
	check_text(section, pss_section_patch(section, 0)->bytes, "old");
	assert_memory_equal(pss_section_blob(section, PSS_PART_AUXV, &size), "0123456789abcde", 16);
	assert_int_equal(size, 16);

	assert_null(pss_section_clone(section));
	assert_null(pss_section_figures(section));
	assert_int_equal(pss_section_count(section, PSS_PART_HANDLES), 0);
}

static void test_round_trip(void **state)
{
	(void)state;
	_cleanup_close_ int fd = sealed_fd();
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	struct stat st;

	assert_true(fd >= 3);
	assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(fd, F_GET_SEALS) & ALL_SEALS, ALL_SEALS);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(pss_section_open(fd, &section), 0);
	assert_int_equal(section.inode, st.st_ino);
	assert_int_equal(section.device, st.st_dev);
	check_contents(&section);

	uint8_t byte = 0;
	assert_int_equal(pwrite(fd, &byte, 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
}

static void test_position_independent(void **state)
{
	(void)state;
	size_t size;
	uint8_t *bytes = good_bytes(&size);
	uint8_t *moved =
		mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct pss_section section;

	assert_ptr_not_equal(moved, MAP_FAILED);
	memcpy(moved + 16, bytes, size);
	free(bytes);
	assert_int_equal(pss_section_open_bytes(moved + 16, size, &section), 0);
	check_contents(&section);
	pss_section_close(&section);
	assert_null(section.data);
	assert_int_equal(munmap(moved, size + 4096), 0);
}

static void test_parts_are_aligned(void **state)
{
	(void)state;
	size_t size;
	uint8_t *bytes = good_bytes(&size);
	const struct pss_section_header *header = (const void *)bytes;

	for (int part = 0; part < PSS_PART_COUNT; part++)
		assert_int_equal(header->parts[part].offset % PSS_SECTION_ALIGNMENT, 0);
	assert_int_equal(header->total_size, size);
	free(bytes);
}

static void test_high_descriptor(void **state)
{
	(void)state;
	int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 100);

	assert_true(saved >= 100);
	assert_int_equal(close(STDIN_FILENO), 0);
	int fd = sealed_fd();
	assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
	assert_int_equal(close(saved), 0);
	assert_true(fd >= 3);
	assert_int_equal(close(fd), 0);
}

// One field of the header set to a bad value at a time.
struct damage {
	const char *what;
	size_t offset;
	size_t size;
	uint64_t value;
};

#define HEADER(field, bad)                                                                         \
	{                                                                                          \
#field, offsetof(struct pss_section_header, field),                                \
			sizeof((struct pss_section_header *)0)->field, bad,                        \
	}

static const struct damage damages[] = {
	HEADER(magic, 0x20202020),
	HEADER(version, 0),
	HEADER(version, PSS_SECTION_VERSION + 1),
	HEADER(part_count, 0),
	HEADER(part_count, PSS_PART_COUNT + 1),
	HEADER(page_size, 0),
	HEADER(page_size, 4097),
	HEADER(page_size, UINT32_MAX),
	HEADER(total_size, 0),
	HEADER(total_size, 1 << 20),
	HEADER(total_size, UINT64_MAX),
	HEADER(parts[PSS_PART_PROCESS].count, 0),
	HEADER(parts[PSS_PART_PROCESS].count, 2),
	HEADER(parts[PSS_PART_PROCESS].size, 0),
	HEADER(parts[PSS_PART_PROCESS].offset, 0),
	HEADER(parts[PSS_PART_PROCESS].offset, 24),
	HEADER(parts[PSS_PART_THREADS].record_size, 0),
	HEADER(parts[PSS_PART_THREADS].record_size, 8),
	HEADER(parts[PSS_PART_THREADS].record_size, UINT32_MAX),
	HEADER(parts[PSS_PART_THREADS].count, 1),
	HEADER(parts[PSS_PART_THREADS].count, UINT32_MAX),
	HEADER(parts[PSS_PART_THREADS].size, UINT64_MAX),
	HEADER(parts[PSS_PART_REGIONS].offset, UINT64_MAX - 15),
	HEADER(parts[PSS_PART_REGIONS].offset, 1 << 20),
	HEADER(parts[PSS_PART_REGIONS].offset, 1),
	HEADER(parts[PSS_PART_CLONE].count, 1),
	HEADER(parts[PSS_PART_CLONE].size, 1),
	HEADER(parts[PSS_PART_HANDLES].count, 1),
	HEADER(parts[PSS_PART_BYTES].count, 1 << 20),
	HEADER(parts[PSS_PART_BYTES].size, 1 << 20),
};

static void test_damage_refused(void **state)
{
	(void)state;
	size_t size;
	uint8_t *good = good_bytes(&size);
	uint8_t *bad = aligned_alloc(64, (size + 63) / 64 * 64);

	assert_non_null(bad);
	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		const struct damage *damage = &damages[i];
		struct pss_section section = PSS_SECTION_EMPTY;

		memcpy(bad, good, size);
		memcpy(bad + damage->offset, &damage->value, damage->size);
		if (memcmp(bad, good, size) == 0)
			fail_msg("%s: the damage changes nothing", damage->what);
		if (pss_section_open_bytes(bad, size, &section) != -EBADF)
			fail_msg("%s = %#llx was accepted", damage->what,
				 (unsigned long long)damage->value);
		assert_null(section.data);
	}
	free(bad);
	free(good);
}

// A table that is sound record by record, but whose one process record is a clone too many.
static void test_one_process_record(void **state)
{
	(void)state;
	size_t size;
	uint8_t *bytes = good_bytes(&size);
	struct pss_section_header *header = (void *)bytes;
	struct pss_section_part *process = &header->parts[PSS_PART_PROCESS];
	struct pss_section section;

	process->offset = (sizeof *header + 15) / 16 * 16;
	process->count = 2;
	process->size = 2 * sizeof(struct pss_process_record);
	assert_true(process->offset >= sizeof *header);
	assert_true(process->offset + process->size <= size);
	assert_int_equal(pss_section_open_bytes(bytes, size, &section), -EBADF);
	process->count = 0;
	process->size = 0;
	assert_int_equal(pss_section_open_bytes(bytes, size, &section), -EBADF);
	free(bytes);
}

static void test_short_refused(void **state)
{
	(void)state;
	size_t size;
	uint8_t *bytes = good_bytes(&size);
	struct pss_section section;

	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(pss_section_open_bytes(bytes, cut, &section), -EBADF);
	assert_int_equal(pss_section_open_bytes(bytes + 8, size - 8, &section), -EBADF);
	free(bytes);
}

static int memfd_with(const uint8_t *bytes, size_t size, int seals)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, 0), size);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void test_unsealed_refused(void **state)
{
	(void)state;
	static const int missing[] = { F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL };
	size_t size;
	uint8_t *bytes = good_bytes(&size);
	struct pss_section section = PSS_SECTION_EMPTY;

	for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
		int fd = memfd_with(bytes, size, ALL_SEALS & ~missing[i]);
		assert_int_equal(pss_section_open(fd, &section), -EBADF);
		assert_int_equal(close(fd), 0);
	}
	int fd = memfd_with(bytes, size, ALL_SEALS);
	assert_int_equal(pss_section_open(fd, &section), 0);
	pss_section_close(&section);
	assert_int_equal(close(fd), 0);

	// Sealed, but shorter than its header says.
	fd = memfd_with(bytes, size - 1, ALL_SEALS);
	assert_int_equal(pss_section_open(fd, &section), -EBADF);
	assert_int_equal(close(fd), 0);
	fd = memfd_with(bytes, 0, ALL_SEALS);
	assert_int_equal(pss_section_open(fd, &section), -EBADF);
	assert_int_equal(close(fd), 0);
	free(bytes);
}

static void test_other_descriptors_refused(void **state)
{
	(void)state;
	size_t size;
	uint8_t *bytes = good_bytes(&size);
	char path[] = "/tmp/test_section_XXXXXX";
	struct pss_section section = PSS_SECTION_EMPTY;
	_cleanup_close_ int file = mkstemp(path);
	int ends[2];

	assert_true(file >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(file, bytes, size), size);
	assert_int_equal(pss_section_open(file, &section), -EBADF);
	free(bytes);

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(pss_section_open(ends[0], &section), -EBADF);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(close(ends[1]), 0);
	assert_int_equal(pss_section_open(ends[0], &section), -EBADF);
	assert_int_equal(pss_section_open(-1, &section), -EBADF);
	assert_null(section.data);
}

static void test_references_outside_refused(void **state)
{
	(void)state;
	static const struct pss_bytes_ref outside[] = {
		{ .offset = 0, .size = 1 << 20 },
		{ .offset = 1 << 20, .size = 0 },
		{ .offset = UINT64_MAX, .size = 1 },
		{ .offset = 1, .size = UINT64_MAX },
	};
	_cleanup_close_ int fd = sealed_fd();
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	const void *bytes = &section;
	size_t size = 1234;

	assert_int_equal(pss_section_open(fd, &section), 0);
	for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
		assert_int_equal(pss_section_bytes(&section, outside[i], &bytes), -EBADMSG);

	const struct pss_thread_record good = *pss_section_thread(&section, 0);
	struct pss_thread_record bad = good;
	bad.registers_size = 1 << 20;
	assert_int_equal(pss_section_regset(&section, &bad, 9, &bytes, &size), -EBADMSG);
	bad.registers_size = good.registers_size - 8;
	assert_int_equal(pss_section_regset(&section, &bad, 9, &bytes, &size), -EBADMSG);
	bad.registers_size = 4;
	assert_int_equal(pss_section_regset(&section, &bad, 9, &bytes, &size), -EBADMSG);
	bad = good;
	bad.registers_offset = UINT64_MAX - 7;
	assert_int_equal(pss_section_regset(&section, &bad, 9, &bytes, &size), -EBADMSG);
	bad.registers_offset = 4;
	assert_int_equal(pss_section_regset(&section, &bad, 9, &bytes, &size), -EBADMSG);
	bad.registers_size = 0;
	assert_int_equal(pss_section_regset(&section, &bad, 9, &bytes, &size), -ENOENT);
	assert_ptr_equal(bytes, &section);
	assert_int_equal(size, 1234);
}

static void test_empty_bytes(void **state)
{
	(void)state;
	_cleanup_section_builder_ struct pss_section_builder builder = PSS_SECTION_BUILDER_EMPTY;
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	_cleanup_close_ int fd = -EBADF;
	struct pss_process_record process = { .pid = 1 };
	const void *bytes = NULL;
	size_t size = 1;

	assert_int_equal(pss_section_add_bytes(&builder, "", 0, &process.comm), 0);
	assert_int_equal(pss_section_add(&builder, PSS_PART_PROCESS, &process, sizeof process), 0);
	assert_int_equal(pss_section_seal(&builder, NULL, &fd), 0);
	assert_int_equal(pss_section_open(fd, &section), 0);
	assert_int_equal(pss_section_bytes(&section, process.comm, &bytes), 0);
	assert_non_null(bytes);
	assert_non_null(pss_section_blob(&section, PSS_PART_AUXV, &size));
	assert_int_equal(size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_position_independent),
		cmocka_unit_test(test_parts_are_aligned),
		cmocka_unit_test(test_high_descriptor),
		cmocka_unit_test(test_damage_refused),
		cmocka_unit_test(test_one_process_record),
		cmocka_unit_test(test_short_refused),
		cmocka_unit_test(test_unsealed_refused),
		cmocka_unit_test(test_other_descriptors_refused),
		cmocka_unit_test(test_references_outside_refused),
		cmocka_unit_test(test_empty_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
