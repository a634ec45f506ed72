// SPDX-License-Identifier: LGPL-2.1-or-later
// Auxiliary pages: what a clone cannot hold is kept beside it as it was at the instant, within the
// budget, and is found by queries, walks, reads through the clone, and in a core.
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

enum { PAGE = 4096, SMALL_PAGES = 8 };

static const uint32_t FLAGS = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_VA_SPACE |
			      PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CAPTURE_THREADS;

static PSS_AUXILIARY_PAGE_ENTRY *walk_pages(HPSS snapshot, HPSSWALK marker, DWORD *count_ret)
{
	PSS_AUXILIARY_PAGES_INFORMATION info;
	PSS_AUXILIARY_PAGE_ENTRY *pages;
	DWORD count = 0;

	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_AUXILIARY_PAGES_INFORMATION, &info,
					sizeof info));
	pages = calloc(info.AuxPagesCaptured, sizeof *pages);
	while (count < info.AuxPagesCaptured &&
	       PssWalkSnapshot(snapshot, PSS_WALK_AUXILIARY_PAGES, marker, &pages[count],
			       sizeof *pages) == ERROR_SUCCESS)
		count++;
	assert_int_equal(count, info.AuxPagesCaptured);
	assert_int_equal(
		PssWalkSnapshot(snapshot, PSS_WALK_AUXILIARY_PAGES, marker, pages, sizeof *pages),
		ERROR_NO_MORE_ITEMS);
	*count_ret = count;
	return pages;
}

static const PSS_AUXILIARY_PAGE_ENTRY *find_page(const PSS_AUXILIARY_PAGE_ENTRY *pages, DWORD count,
						 uint64_t address)
{
	for (DWORD i = 0; i < count; i++)
		if ((uintptr_t)pages[i].Address == address)
			return &pages[i];
	return NULL;
}

// Each word holds its own address.
static void assert_pattern(const uint64_t *words, uint64_t address, const char *where)
{
	for (size_t i = 0; i < PAGE / sizeof *words; i++)
		if (words[i] != address + i * sizeof *words)
			harness_fail("%s: %#llx holds %#llx", where,
				     (unsigned long long)(address + i * sizeof *words),
				     (unsigned long long)words[i]);
}

static const PSS_AUXILIARY_PAGE_ENTRY *assert_page(const PSS_AUXILIARY_PAGE_ENTRY *pages,
						   DWORD count, uint64_t address)
{
	const PSS_AUXILIARY_PAGE_ENTRY *page = find_page(pages, count, address);

	if (!page)
		harness_fail("no page at %#llx", (unsigned long long)address);
	assert_int_equal(page->PageSize, PAGE);
	assert_pattern(page->PageContents, address, "the page");
	assert_ptr_equal(page->BasicInformation.BaseAddress, page->Address);
	assert_int_equal(page->BasicInformation.RegionSize, PAGE);
	assert_int_equal(page->BasicInformation.State, MEM_COMMIT);
	return page;
}

static void pages_of_unforked_memory_are_kept_as_they_were(void **state)
{
	_cleanup_target_ struct target *target = target_start("unforked", NULL);
	HPSS snapshot = harness_capture(target, FLAGS);
	PSS_AUXILIARY_PAGE_ENTRY *pages;
	uint64_t words[PAGE / 8];
	HPSSWALK marker;
	DWORD count;

	(void)state;
	target_ask(target, "change");
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	pages = walk_pages(snapshot, marker, &count);
	for (int i = 0; i < SMALL_PAGES; i++) {
		uint64_t shared = target_value(target, "shared") + i * PAGE;
		uint64_t sparse = target_value(target, "private") + i * PAGE;
		uint64_t read_only = target_value(target, "read_only") + i * PAGE;

		assert_page(pages, count, shared);
		assert_int_equal(assert_page(pages, count, read_only)->BasicInformation.Protect,
				 PAGE_READONLY);
		// Every other page was never touched.
		if (i % 2 == 1)
			assert_null(find_page(pages, count, sparse));
		else
			assert_page(pages, count, sparse);
		harness_read_clone(snapshot, shared, words, PAGE);
		assert_pattern(words, shared, "the clone");
	}
	// Through page boundaries, and not in step with them.
	harness_read_clone(snapshot, target_value(target, "shared") + 24, words, PAGE);
	assert_pattern(words, target_value(target, "shared") + 24, "the clone");
	// Nobody may read a file's device through us; what is larger than the budget stays out.
	assert_null(find_page(pages, count, target_value(target, "file")));
	assert_null(find_page(pages, count, target_value(target, "large")));
	assert_success(PssWalkMarkerFree(marker));
	free(pages);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void regions_that_the_clone_lacks_are_listed(void **state)
{
	static const char *const names[] = { "private", "read_only", "shared", "file", "large" };
	_cleanup_target_ struct target *target = target_start("unforked", NULL);
	HPSS snapshot = harness_capture(target, FLAGS);
	uint64_t end = 0;
	unsigned found = 0;
	PSSX_REGION region = { .Size = sizeof region };

	(void)state;
	for (DWORD i = 0; PssxQueryRegion(snapshot, i, &region) == ERROR_SUCCESS; i++) {
		if (region.Start < end)
			harness_fail("region %u is out of order", i);
		end = region.End;
		for (size_t name = 0; name < sizeof names / sizeof *names; name++) {
			if (region.Start != target_value(target, names[name]))
				continue;
			found |= 1u << name;
			assert_int_equal(region.Content, PSSX_CONTENT_MISSING);
			assert_true(region.Flags & PSSX_REGION_DONT_FORK);
		}
		region.Size = sizeof region;
	}
	assert_int_equal(found, (1u << (sizeof names / sizeof *names)) - 1);
	harness_free_snapshot(snapshot);
}

// Offset of @address in the core at @core, or 0.
static uint64_t offset_in_core(const uint8_t *core, uint64_t address)
{
	const Elf64_Ehdr *header = (const void *)core;
	const Elf64_Phdr *segments = (const void *)(core + header->e_phoff);

	for (int i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == PT_LOAD && address >= segments[i].p_vaddr &&
		    address < segments[i].p_vaddr + segments[i].p_filesz)
			return segments[i].p_offset + (address - segments[i].p_vaddr);
	return 0;
}

static void a_core_has_them(void **state)
{
	_cleanup_target_ struct target *target = target_start("unforked", NULL);
	HPSS snapshot = harness_capture(target, FLAGS);
	int fd = memfd_create("core", MFD_CLOEXEC);
	const uint8_t *core;
	off_t size;

	(void)state;
	target_ask(target, "change");
	assert_success(PssxWriteElfCore(snapshot, fd, NULL, NULL));
	size = lseek(fd, 0, SEEK_END);
	core = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(core != MAP_FAILED);
	for (int i = 0; i < SMALL_PAGES; i++) {
		uint64_t shared = target_value(target, "shared") + i * PAGE;
		uint64_t offset = offset_in_core(core, shared);

		assert_int_not_equal(offset, 0);
		assert_pattern((const void *)(core + offset), shared, "the core");
	}
	assert_int_equal(offset_in_core(core, target_value(target, "large")), 0);
	munmap((void *)core, (size_t)size);
	close(fd);
	harness_free_snapshot(snapshot);
}

// The address of [vvar] in this process; 0 if this kernel has none.
static uint64_t own_clock(void)
{
	char *maps = harness_read_file("/proc/self/maps");
	char *end = strstr(maps, "[vvar]");
	uint64_t address = 0;

	if (end) {
		while (end > maps && end[-1] != '\n')
			end--;
		address = strtoull(end, NULL, 16);
	}
	free(maps);
	return address;
}

// The first page of [vvar] is the same in every process, but for what ticks in it.
static void the_kernels_clock_is_kept(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	const uint8_t *own = (const uint8_t *)(uintptr_t)own_clock();
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	PSS_AUXILIARY_PAGE_ENTRY *pages;
	unsigned different = 0;
	unsigned filled = 0;
	HPSSWALK marker;
	DWORD count;

	(void)state;
	if (!own) {
		print_message("no [vvar] on this machine\n");
		harness_free_snapshot(snapshot);
		return;
	}
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	pages = walk_pages(snapshot, marker, &count);
	assert_int_not_equal(count, 0);
	assert_int_equal(pages[0].PageSize, PAGE);
	assert_true(pages[0].CaptureTime.dwHighDateTime > 0);
	for (int i = 0; i < PAGE; i++) {
		different += ((const uint8_t *)pages[0].PageContents)[i] != own[i];
		filled += own[i] != 0;
	}
	print_message("%u bytes of the clock's page are not zero, %u ticked\n", filled, different);
	assert_true(filled > 0 && different < PAGE / 16);
	assert_success(PssWalkMarkerFree(marker));
	free(pages);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void not_found_without_a_clone(void **state)
{
	_cleanup_target_ struct target *target = target_start("unforked", NULL);
	HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_THREADS);
	PSS_AUXILIARY_PAGES_INFORMATION info = { 77 };
	PSS_AUXILIARY_PAGE_ENTRY page;
	HPSSWALK marker;

	(void)state;
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	assert_int_equal(PssQuerySnapshot(snapshot, PSS_QUERY_AUXILIARY_PAGES_INFORMATION, &info,
					  sizeof info),
			 ERROR_NOT_FOUND);
	assert_int_equal(info.AuxPagesCaptured, 77);
	assert_int_equal(
		PssWalkSnapshot(snapshot, PSS_WALK_AUXILIARY_PAGES, marker, &page, sizeof page),
		ERROR_NOT_FOUND);
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(snapshot);
}

// The library maps and unmaps in the same process meanwhile: none of that may be taken for memory
// that the clone was not given.
static void of_our_own_process_too(void **state)
{
	uint64_t *words =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	PSS_AUXILIARY_PAGE_ENTRY *pages;
	PSSX_REGION region = { .Size = sizeof region };
	uint64_t end = 0;
	HPSSWALK marker;
	HPSS snapshot;
	DWORD count;

	(void)state;
	assert_true(words != MAP_FAILED);
	assert_int_equal(madvise(words, PAGE, MADV_DONTFORK), 0);
	for (size_t i = 0; i < PAGE / sizeof *words; i++)
		words[i] = (uintptr_t)&words[i];
	assert_success(PssCaptureSnapshot(GetCurrentProcess(), FLAGS, 0, &snapshot));
	memset(words, 0, PAGE);
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	pages = walk_pages(snapshot, marker, &count);
	assert_page(pages, count, (uintptr_t)words);
	for (DWORD i = 0; PssxQueryRegion(snapshot, i, &region) == ERROR_SUCCESS; i++) {
		if (region.Start < end)
			harness_fail("region %u is out of order", i);
		if (region.Flags & PSSX_REGION_DONT_FORK)
			assert_int_equal(region.Start, (uintptr_t)words);
		end = region.End;
		region.Size = sizeof region;
	}
	assert_success(PssWalkMarkerFree(marker));
	free(pages);
	harness_free_snapshot(snapshot);
	munmap(words, PAGE);
}

static void nothing_is_kept_of_what_is_forked(void **state)
{
	_cleanup_target_ struct target *target = target_start("unforked", NULL);
	PSS_AUXILIARY_PAGE_ENTRY *pages;
	HPSSWALK marker;
	HPSS snapshot;
	DWORD count;

	(void)state;
	target_ask(target, "none");
	snapshot = harness_capture(target, FLAGS);
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	pages = walk_pages(snapshot, marker, &count);
	assert_null(find_page(pages, count, target_value(target, "shared")));
	assert_null(find_page(pages, count, target_value(target, "private")));
	assert_success(PssWalkMarkerFree(marker));
	free(pages);
	harness_free_snapshot(snapshot);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_of_unforked_memory_are_kept_as_they_were),
		cmocka_unit_test(regions_that_the_clone_lacks_are_listed),
		cmocka_unit_test(a_core_has_them),
		cmocka_unit_test(the_kernels_clock_is_kept),
		cmocka_unit_test(not_found_without_a_clone),
		cmocka_unit_test(of_our_own_process_too),
		cmocka_unit_test(nothing_is_kept_of_what_is_forked),
	};

	harness_begin("aux_pages");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
