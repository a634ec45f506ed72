// SPDX-License-Identifier: LGPL-2.1-or-later
// What goes into an ELF core: core(5)'s filter, only pages that are there, and a layout that
// readers accept. libelf reads it back.
#include "elfcore.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libelf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture_core.h"

static void test_resident_only(void **state)
{
	(void)state;
	struct core_fixture fixture;
	struct stat st;
	uint32_t marker = 0;

	core_setup(&fixture, 64 * 1024 * MIB); // 64 GiB, of which three pages are used
	memset(fixture.area + 5 * 1024 * MIB, 1, 1);
	memset(fixture.area + 5 * 1024 * MIB + 2 * PAGE, 2, 4);
	memset(fixture.area + 40 * 1024 * MIB, 3, 4);
	core_add_region(&fixture,
			(struct pss_region_record){ .start = core_address(&fixture, 0),
						    .end = core_address(&fixture, fixture.size) },
			NULL);
	core_seal(&fixture);
	_cleanup_close_ int fd = core_write_file(&fixture);

	(void)core_check_shape(&fixture, fd);
	assert_int_equal(fixture.result.segments, 5); // absent, used, absent, used, absent
	assert_int_equal(fixture.result.memory_bytes, 3 * PAGE);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size < 32 * PAGE);
	assert_true(core_read(fd, core_address(&fixture, 5 * 1024 * MIB + 2 * PAGE), &marker, 4));
	assert_int_equal(marker, 0x02020202);
	assert_true(core_read(fd, core_address(&fixture, 40 * 1024 * MIB), &marker, 4));
	assert_int_equal(marker, 0x03030303);
	// A small gap reads as the zeroes it is; a large one is not in the file.
	assert_true(core_read(fd, core_address(&fixture, 5 * 1024 * MIB + PAGE), &marker, 4));
	assert_int_equal(marker, 0);
	assert_false(core_read(fd, core_address(&fixture, 20 * 1024 * MIB), &marker, 4));
	core_teardown(&fixture);
}

// Many regions in one area, page by page, each with a page of its own number.
static void add_kinds(struct core_fixture *fixture)
{
	static const struct {
		struct pss_region_record region;
		const char *path;
	} kinds[] = {
		{ { .kind = PSS_REGION_PRIVATE }, NULL },
		{ { .kind = PSS_REGION_PRIVATE, .flags = PSS_REGION_DONT_DUMP }, NULL },
		{ { .kind = PSS_REGION_PRIVATE, .content = PSS_CONTENT_WIPED }, NULL },
		{ { .kind = PSS_REGION_PRIVATE, .content = PSS_CONTENT_MISSING }, NULL },
		{ { .kind = PSS_REGION_MAPPED,
		    .content = PSS_CONTENT_EXCLUDED,
		    .flags = PSS_REGION_DEVICE },
		  "/dev/dri/card0" },
		{ { .kind = PSS_REGION_SPECIAL, .content = PSS_CONTENT_EXCLUDED }, "[vvar]" },
		{ { .kind = PSS_REGION_SPECIAL,
		    .protection = PSS_REGION_READ | PSS_REGION_EXECUTE },
		  "[vdso]" },
		{ { .kind = PSS_REGION_IMAGE, .protection = PSS_REGION_READ }, "/lib/changed.so" },
		{ { .kind = PSS_REGION_MAPPED,
		    .content = PSS_CONTENT_LIVE,
		    .flags = PSS_REGION_SHARED },
		  "/memfd:shared (deleted)" },
		{ { .kind = PSS_REGION_MAPPED,
		    .content = PSS_CONTENT_LIVE,
		    .flags = PSS_REGION_SHARED },
		  "/var/lib/shared" },
		{ { .kind = PSS_REGION_PRIVATE, .flags = PSS_REGION_HUGETLB }, "/anon_hugepage" },
	};

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct pss_region_record region = kinds[i].region;

		// One page of two, so that no neighbours touch.
		region.start = core_address(fixture, 2 * i * PAGE);
		region.end = region.start + PAGE;
		memset(fixture->area + 2 * i * PAGE, (int)i + 1, PAGE);
		core_add_region(fixture, region, kinds[i].path);
	}
}

// Which of add_kinds()'s regions are in the core, as a mask.
static unsigned kinds_in_core(struct core_fixture *fixture)
{
	_cleanup_close_ int fd = core_write_file(fixture);
	unsigned mask = 0;

	(void)core_check_shape(fixture, fd);
	for (unsigned i = 0; i < 11; i++) {
		uint8_t byte = 0;

		if (core_read(fd, core_address(fixture, 2 * i * PAGE + 17), &byte, 1)) {
			assert_int_equal(byte, i + 1);
			mask |= 1U << i;
		}
	}
	return mask;
}

static void test_filter(void **state)
{
	(void)state;
	enum {
		PRIVATE = 1,
		DONT_DUMP = 2,
		VDSO = 64,
		CHANGED = 128,
		SHM = 256,
		FILE = 512,
		HUGE = 1024
	};
	struct core_fixture fixture;

	core_setup(&fixture, 64 * PAGE);
	// No map_files: the regions here are not what they say they are.
	fixture.memory.dir_fd = pss_close(fixture.memory.dir_fd);
	add_kinds(&fixture);
	core_seal(&fixture);
	assert_int_equal(kinds_in_core(&fixture), PRIVATE | VDSO | CHANGED | SHM | HUGE);
	fixture.options.choice.filter = 0;
	assert_int_equal(kinds_in_core(&fixture), VDSO);
	fixture.options.choice.filter = 1;
	assert_int_equal(kinds_in_core(&fixture), PRIVATE | VDSO | CHANGED);
	fixture.options.choice.filter = 2;
	assert_int_equal(kinds_in_core(&fixture), VDSO | SHM);
	fixture.options.choice.filter = 4;
	assert_int_equal(kinds_in_core(&fixture), VDSO | CHANGED);
	fixture.options.choice.filter = 8;
	assert_int_equal(kinds_in_core(&fixture), VDSO | FILE);
	fixture.options.choice.filter = 0x10; // its first page, which is all of it
	assert_int_equal(kinds_in_core(&fixture), VDSO | CHANGED);
	fixture.options.choice.filter = 0x20;
	assert_int_equal(kinds_in_core(&fixture), VDSO | HUGE);
	fixture.options.choice.filter = 1;
	fixture.options.choice.include_dont_dump = true;
	assert_int_equal(kinds_in_core(&fixture), PRIVATE | DONT_DUMP | VDSO | CHANGED);
	core_teardown(&fixture);
}

// Whatever the filter says: the region a thread's stack pointer points into.
static void test_stacks_always(void **state)
{
	(void)state;
	struct core_fixture fixture;
	uint8_t byte = 0;

	core_setup(&fixture, 16 * PAGE);
	memset(fixture.area, 7, 16 * PAGE);
	for (unsigned i = 0; i < 2; i++)
		core_add_region(&fixture,
				(struct pss_region_record){
					.start = core_address(&fixture, 8 * i * PAGE),
					.end = core_address(&fixture, 8 * i * PAGE + 4 * PAGE) },
				NULL);
	struct pss_thread_record thread = { .tid = PID,
					    .stack_pointer = core_address(&fixture, 10 * PAGE) };
	assert_int_equal(
		pss_section_add(&fixture.builder, PSS_PART_THREADS, &thread, sizeof thread), 0);
	core_seal(&fixture);
	fixture.options.choice.filter = 0;
	_cleanup_close_ int fd = core_write_file(&fixture);
	assert_true(core_read(fd, core_address(&fixture, 8 * PAGE), &byte, 1));
	assert_int_equal(byte, 7);
	assert_false(core_read(fd, core_address(&fixture, 0), &byte, 1));
	core_teardown(&fixture);
}

static void test_elf_header_page(void **state)
{
	(void)state;
	struct core_fixture fixture;
	uint8_t bytes[4] = { 0 };

	// A file mapped by itself, unchanged: of it, the first page only.
	core_setup(&fixture, 16 * PAGE);
	_cleanup_close_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	assert_true(self >= 0);
	void *image = mmap(fixture.area, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, self, 0);
	assert_ptr_equal(image, fixture.area);
	core_add_region(&fixture,
			(struct pss_region_record){ .start = core_address(&fixture, 0),
						    .end = core_address(&fixture, 4 * PAGE),
						    .kind = PSS_REGION_IMAGE,
						    .protection = PSS_REGION_READ },
			"/usr/bin/target");
	core_seal(&fixture);
	_cleanup_close_ int fd = core_write_file(&fixture);
	assert_int_equal(core_check_shape(&fixture, fd), 3);
	assert_true(core_read(fd, core_address(&fixture, 0), bytes, 4));
	assert_memory_equal(bytes, ELFMAG, 4);
	assert_false(core_read(fd, core_address(&fixture, PAGE), bytes, 4));
	fixture.options.choice.filter = 0x3f & ~0x14;
	_cleanup_close_ int without = core_write_file(&fixture);
	assert_false(core_read(without, core_address(&fixture, 0), bytes, 4));
	fixture.options.choice.filter = 0x04;
	_cleanup_close_ int whole = core_write_file(&fixture);
	assert_int_equal(core_check_shape(&fixture, whole), 2);
	assert_true(core_read(whole, core_address(&fixture, 3 * PAGE), bytes, 4));
	core_teardown(&fixture);
}

// Shared memory: its holes are asked for, not read; for reading would fill them.
static void test_shared_holes(void **state)
{
	(void)state;
	struct core_fixture fixture;
	struct stat before, after;
	uint8_t byte = 0;

	core_setup(&fixture, 64 * MIB);
	_cleanup_close_ int shared = memfd_create("shared", MFD_CLOEXEC);
	assert_true(shared >= 0);
	assert_int_equal(ftruncate(shared, 64 * MIB), 0);
	void *area = mmap(fixture.area, 64 * MIB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			  shared, 0);
	assert_ptr_equal(area, fixture.area);
	memset(fixture.area + 32 * MIB, 9, PAGE);
	core_add_region(&fixture,
			(struct pss_region_record){ .start = core_address(&fixture, 0),
						    .end = core_address(&fixture, 64 * MIB),
						    .kind = PSS_REGION_MAPPED,
						    .flags = PSS_REGION_SHARED,
						    .content = PSS_CONTENT_LIVE },
			"/memfd:shared (deleted)");
	core_seal(&fixture);
	int probe = -EBADF;
	int r = pss_memory_open_mapping(&fixture.memory, core_address(&fixture, 0),
					core_address(&fixture, 64 * MIB), &probe);
	if (r < 0) {
		core_teardown(&fixture);
		print_message("cannot open map_files: %s\n", strerror(-r));
		skip();
	}
	assert_int_equal(close(probe), 0);
	assert_int_equal(fstat(shared, &before), 0);
	_cleanup_close_ int fd = core_write_file(&fixture);
	assert_int_equal(fstat(shared, &after), 0);
	assert_int_equal(before.st_blocks, after.st_blocks);
	assert_int_equal(fixture.result.memory_bytes, PAGE);
	assert_int_equal(core_check_shape(&fixture, fd), 4);
	assert_true(core_read(fd, core_address(&fixture, 32 * MIB), &byte, 1));
	assert_int_equal(byte, 9);
	core_teardown(&fixture);
}

static void test_unreadable_pages(void **state)
{
	(void)state;
	struct core_fixture fixture;
	uint8_t byte = 0xff;

	core_setup(&fixture, 8 * PAGE);
	memset(fixture.area, 6, 8 * PAGE);
	// Past the end of a file there is nothing to read.
	_cleanup_close_ int empty = memfd_create("empty", MFD_CLOEXEC);
	assert_true(empty >= 0);
	assert_ptr_not_equal(mmap(fixture.area + 3 * PAGE, 2 * PAGE, PROT_READ,
				  MAP_SHARED | MAP_FIXED, empty, 0),
			     MAP_FAILED);
	core_add_region(&fixture,
			(struct pss_region_record){ .start = core_address(&fixture, 0),
						    .end = core_address(&fixture, 8 * PAGE),
						    .kind = PSS_REGION_SPECIAL },
			"[vdso]"); // every page is read
	core_seal(&fixture);
	_cleanup_close_ int fd = core_write_file(&fixture);
	(void)core_check_shape(&fixture, fd);
	assert_int_equal(fixture.result.unreadable_bytes, 2 * PAGE);
	assert_int_equal(fixture.result.memory_bytes, 6 * PAGE);
	assert_true(core_read(fd, core_address(&fixture, 4 * PAGE), &byte, 1));
	assert_int_equal(byte, 0);
	assert_true(core_read(fd, core_address(&fixture, 5 * PAGE), &byte, 1));
	assert_int_equal(byte, 6);
	core_teardown(&fixture);
}

static void test_extended_numbering(void **state)
{
	(void)state;
	enum { REGIONS = 70000 };
	struct core_fixture fixture;
	uint8_t byte = 0;

	core_setup(&fixture, REGIONS * UINT64_C(2) * PAGE);
	memset(fixture.area + UINT64_C(69999) * 2 * PAGE, 8, PAGE);
	for (uint64_t i = 0; i < REGIONS; i++)
		core_add_region(&fixture,
				(struct pss_region_record){
					.start = core_address(&fixture, i * 2 * PAGE),
					.end = core_address(&fixture, (i * 2 + 1) * PAGE) },
				NULL);
	core_seal(&fixture);
	_cleanup_close_ int fd = core_write_file(&fixture);
	assert_int_equal(core_check_shape(&fixture, fd), REGIONS + 1);
	Elf64_Ehdr header;
	assert_int_equal(pread(fd, &header, sizeof header, 0), sizeof header);
	assert_int_equal(header.e_phnum, PN_XNUM);
	assert_int_equal(header.e_shnum, 1);
	assert_int_equal(header.e_shoff, sizeof header + (REGIONS + 1) * sizeof(Elf64_Phdr));
	assert_true(core_read(fd, core_address(&fixture, UINT64_C(69999) * 2 * PAGE), &byte, 1));
	assert_int_equal(byte, 8);
	core_teardown(&fixture);
}

static void test_refused(void **state)
{
	(void)state;
	struct core_fixture fixture;
	_cleanup_close_ int fd = core_temporary_file();

	// No mappings.
	core_setup(&fixture, PAGE);
	core_seal(&fixture);
	assert_int_equal(core_write_to(&fixture, fd, false), -ENOENT);
	core_teardown(&fixture);

	// Mappings that overlap.
	core_setup(&fixture, 8 * PAGE);
	for (int i = 0; i < 2; i++)
		core_add_region(
			&fixture,
			(struct pss_region_record){ .start = core_address(&fixture, 0),
						    .end = core_address(&fixture, 2 * PAGE) },
			NULL);
	core_seal(&fixture);
	assert_int_equal(core_write_to(&fixture, fd, false), -EBADMSG);
	core_teardown(&fixture);

	// Half a page.
	core_setup(&fixture, 8 * PAGE);
	core_add_region(&fixture,
			(struct pss_region_record){ .start = core_address(&fixture, 0),
						    .end = core_address(&fixture, 100) },
			NULL);
	core_seal(&fixture);
	assert_int_equal(core_write_to(&fixture, fd, false), -EBADMSG);
	core_teardown(&fixture);

	// A 32-bit process.
	core_setup(&fixture, PAGE);
	fixture.process.flags = PSS_PROCESS_32BIT;
	core_add_region(&fixture,
			(struct pss_region_record){ .start = core_address(&fixture, 0),
						    .end = core_address(&fixture, PAGE) },
			NULL);
	core_seal(&fixture);
	assert_int_equal(core_write_to(&fixture, fd, false), -EOPNOTSUPP);
	assert_non_null(strstr(fixture.diag.text, "32-bit"));
	core_teardown(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_resident_only),      cmocka_unit_test(test_filter),
		cmocka_unit_test(test_stacks_always),      cmocka_unit_test(test_elf_header_page),
		cmocka_unit_test(test_shared_holes),       cmocka_unit_test(test_unreadable_pages),
		cmocka_unit_test(test_extended_numbering), cmocka_unit_test(test_refused),
	};

	(void)elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
