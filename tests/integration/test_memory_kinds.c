// SPDX-License-Identifier: LGPL-2.1-or-later
// Every sort of memory in a snapshot: what it holds after the target has changed everything, what
// the snapshot says it is worth, and that reservations and thousands of mappings cost what they
// should.
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../targets/memory_kinds.h"
#include "harness.h"

static const uint32_t FLAGS =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION;

#define NAME(name, expectation)        #name,
#define EXPECTATION(name, expectation) expectation,
static const char *const names[] = { MEMORY_KINDS(NAME) };
static const enum memory_expectation expectations[] = { MEMORY_KINDS(EXPECTATION) };

// What word @index must be after "change".
static uint64_t expected_word(int kind, uint64_t index)
{
	switch (expectations[kind]) {
	case MEMORY_LIVE:
		return ~memory_word(kind, index);
	case MEMORY_POINT_IN_TIME:
		return memory_word(kind, index);
	default:
		return 0;
	}
}

static void assert_page(HPSS snapshot, int kind, uint64_t address, uint64_t page)
{
	uint64_t words[MEMORY_PAGE / 8];
	const uint64_t count = MEMORY_PAGE / 8;

	harness_read_clone(snapshot, address + page * MEMORY_PAGE, words, sizeof(words));
	for (uint64_t i = 0; i < count; i++)
		if (words[i] != expected_word(kind, page * count + i))
			harness_fail("%s: word %llu is %#llx, not %#llx", names[kind],
				     (unsigned long long)(page * count + i),
				     (unsigned long long)words[i],
				     (unsigned long long)expected_word(kind, page * count + i));
}

static void assert_unreadable(HPSS snapshot, const char *name, uint64_t address)
{
	uint8_t bytes[16];
	SIZE_T got = 99;

	if (ReadProcessMemory(harness_clone(snapshot), (void *)(uintptr_t)address, bytes,
			      sizeof(bytes), &got))
		harness_fail("%s is readable in the clone", name);
	assert_int_equal(GetLastError(), ERROR_PARTIAL_COPY);
	assert_int_equal(got, 0);
}

static void assert_kind(HPSS snapshot, int kind, uint64_t address)
{
	if (expectations[kind] == MEMORY_MISSING) {
		assert_unreadable(snapshot, names[kind], address);
		return;
	}
	for (uint64_t page = 0; page < MEMORY_PAGES; page++) {
		if (kind == MEMORY_KIND_guarded && page == 2)
			assert_unreadable(snapshot, "a guard page", address + page * MEMORY_PAGE);
		else
			assert_page(snapshot, kind, address, page);
	}
}

static void each_sort_holds_what_it_must(void **state)
{
	_cleanup_target_ struct target *target = target_start("memory_kinds", NULL);
	HPSS snapshot = harness_capture(target, FLAGS);

	(void)state;
	target_ask(target, "change");
	for (int kind = 0; kind < MEMORY_KIND_COUNT; kind++) {
		uint64_t address = target_value(target, names[kind]);

		if (address)
			assert_kind(snapshot, kind, address);
		else
			print_message("not on this kernel: %s\n", names[kind]);
	}
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static bool find_region(HPSS snapshot, uint64_t address, PSSX_REGION *ret)
{
	for (DWORD i = 0;; i++) {
		*ret = (PSSX_REGION){ .Size = sizeof(*ret) };
		if (PssxQueryRegion(snapshot, i, ret) != ERROR_SUCCESS)
			return false;
		if (address >= ret->Start && address < ret->End)
			return true;
	}
}

static void the_snapshot_says_what_bytes_are_worth(void **state)
{
	static const struct {
		const char *name;
		PSSX_CONTENT content;
	} worth[] = {
		{ "private", PSSX_CONTENT_POINT_IN_TIME },
		{ "private_file_dirty", PSSX_CONTENT_POINT_IN_TIME },
		{ "shared_anonymous", PSSX_CONTENT_LIVE },
		{ "shared_file", PSSX_CONTENT_LIVE },
		{ "memfd_shared", PSSX_CONTENT_LIVE },
		{ "wipe_on_fork", PSSX_CONTENT_WIPED },
	};
	_cleanup_target_ struct target *target = target_start("memory_kinds", NULL);
	HPSS snapshot = harness_capture(target, FLAGS);
	PSSX_REGION region;

	(void)state;
	for (size_t i = 0; i < sizeof(worth) / sizeof(worth[0]); i++) {
		if (!find_region(snapshot, target_value(target, worth[i].name), &region))
			harness_fail("no region for %s", worth[i].name);
		if (region.Content != worth[i].content)
			harness_fail("%s: content is %d, not %d", worth[i].name,
				     (int)region.Content, (int)worth[i].content);
	}
	assert_true(find_region(snapshot, target_value(target, "dont_dump"), &region));
	assert_true(region.Flags & PSSX_REGION_DONT_DUMP);
	// Not in the clone, and said to be missing there.
	assert_true(find_region(snapshot, target_value(target, "dont_fork"), &region));
	assert_int_equal(region.Content, PSSX_CONTENT_MISSING);
	harness_free_snapshot(snapshot);
}

// The bytes of @address in the core, NULL if it has none.
static const void *find_in_core(const uint8_t *core, uint64_t address)
{
	const Elf64_Ehdr *header = (const void *)core;
	const Elf64_Phdr *segments = (const void *)(core + header->e_phoff);

	for (int i = 0; i < header->e_phnum; i++)
		if (segments[i].p_type == PT_LOAD && address >= segments[i].p_vaddr &&
		    address < segments[i].p_vaddr + segments[i].p_filesz)
			return core + segments[i].p_offset + (address - segments[i].p_vaddr);
	return NULL;
}

static void assert_kind_in_core(const uint8_t *core, int kind, uint64_t address)
{
	for (uint64_t index = 0; index < MEMORY_SIZE / 8; index++) {
		const uint64_t *word = find_in_core(core, address + index * 8);
		bool is_guard = kind == MEMORY_KIND_guarded && index / (MEMORY_PAGE / 8) == 2;
		bool is_left_out = is_guard || kind == MEMORY_KIND_dont_dump;
		uint64_t expected = is_left_out ? 0 : expected_word(kind, index);

		// A hole reads as zeroes, or is not there.
		if ((word ? *word : 0) != expected)
			harness_fail("%s: word %llu is %#llx in the core, not %#llx", names[kind],
				     (unsigned long long)index,
				     (unsigned long long)(word ? *word : 0),
				     (unsigned long long)expected);
	}
}

// What nobody can read is a hole, and takes nothing of the rest with it. What the target wants out
// of its cores is out.
static void a_core_has_each_sort(void **state)
{
	_cleanup_target_ struct target *target = target_start("memory_kinds", NULL);
	HPSS snapshot = harness_capture(target, FLAGS);
	const PSSX_CORE_OPTIONS everything = {
		.Size = sizeof(everything),
		.UseFilter = 1,
		.Filter = 0x7f,
	};
	int fd = memfd_create("core", MFD_CLOEXEC);
	const uint8_t *core;
	size_t size;

	(void)state;
	target_ask(target, "change");
	assert_success(PssxWriteElfCore(snapshot, fd, &everything, NULL));
	size = (size_t)lseek(fd, 0, SEEK_END);
	core = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(core != MAP_FAILED);
	for (int kind = 0; kind < MEMORY_KIND_COUNT; kind++)
		if (target_value(target, names[kind]))
			assert_kind_in_core(core, kind, target_value(target, names[kind]));
	munmap((void *)core, size);
	close(fd);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void assert_reservation(const char *writable)
{
	_cleanup_target_ struct target *target =
		target_start("reserve", "100", "8", writable, NULL);
	HPSS snapshot = harness_capture(target, FLAGS);
	pid_t clone = (pid_t)GetProcessId(harness_clone(snapshot));
	uint64_t island = target_value(target, "island");
	PSSX_PROCESS process = { .Size = sizeof(process) };
	PSSX_REGION region;
	char path[64], *status;

	assert_int_equal(harness_read_clone_word(snapshot, island), 0x151a4d151a4d15);
	assert_int_equal(
		harness_read_clone_word(snapshot, target_value(target, "memory") + (8 << 20) - 8),
		(8 << 20) / 8 - 1);
	assert_success(PssxQueryProcess(snapshot, &process));
	assert_true(process.VirtualBytes >= 100ull << 30);
	assert_true(process.ResidentBytes < 64 << 20);
	assert_true(find_region(snapshot, island, &region));
	if (region.ResidentBytes != PSSX_RESIDENT_UNKNOWN)
		assert_int_equal(region.ResidentBytes, MEMORY_PAGE);
	// Nobody read the nothing: page tables of it would show.
	snprintf(path, sizeof(path), "/proc/%d/status", clone);
	status = harness_read_file(path);
	assert_non_null(status);
	assert_true(strtoul(strstr(status, "VmPTE:") + 6, NULL, 10) < 1024);
	free(status);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void a_huge_reservation_costs_nothing(void **state)
{
	(void)state;
	assert_reservation(NULL);
	assert_reservation("rw");
}

static void thousands_of_mappings_are_all_there(void **state)
{
	_cleanup_target_ struct target *target = target_start("many_maps", "20000", NULL);
	PSS_VA_SPACE_INFORMATION information;
	uint64_t memory = target_value(target, "memory");
	HPSS snapshot = harness_capture(target, FLAGS);

	(void)state;
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_VA_SPACE_INFORMATION, &information,
					sizeof(information)));
	assert_true(information.RegionCount >= 20000);
	for (uint64_t i = 0; i < 20000; i += 2)
		assert_int_equal(harness_read_clone_word(snapshot, memory + i * MEMORY_PAGE), i);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_sort_holds_what_it_must),
		cmocka_unit_test(the_snapshot_says_what_bytes_are_worth),
		cmocka_unit_test(a_core_has_each_sort),
		cmocka_unit_test(a_huge_reservation_costs_nothing),
		cmocka_unit_test(thousands_of_mappings_are_all_there),
	};

	harness_begin("test_memory_kinds");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
