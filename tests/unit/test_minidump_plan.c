// SPDX-License-Identifier: LGPL-2.1-or-later
// Which memory a minidump holds, and in which of its two lists: what the callback adds and narrows,
// what stacks point to, lists that grow too long for their readers, and how many bytes it all is.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture_minidump.h"

// A callback's answers.
struct script {
	const struct core_fixture *fixture;
	uint64_t memory[2]; // where ranges of @memory_size begin that it wants; 0: none
	uint64_t memory_size;
	bool narrows;      // each region, to nothing
	uint64_t bad_page; // that it fails to read
};

static void answer_read(const struct script *script, const MINIDUMP_CALLBACK_INPUT *input,
			MINIDUMP_CALLBACK_OUTPUT *output)
{
	uint64_t at = input->VmPreRead.Offset, end = at + input->VmPreRead.Size;

	if (script->bad_page >= at && script->bad_page < end)
		end = script->bad_page;
	memcpy(input->VmPreRead.Buffer, (const void *)(uintptr_t)at, end - at);
	output->VmReadStatus = S_OK;
	output->VmReadBytesCompleted = (ULONG)(end - at);
}

static BOOL WINAPI answer(PVOID context, PMINIDUMP_CALLBACK_INPUT input,
			  PMINIDUMP_CALLBACK_OUTPUT output)
{
	struct script *script = context;

	switch (input->CallbackType) {
	case MemoryCallback:
		output->MemoryBase = script->memory[0];
		output->MemorySize = script->memory[0] ? (ULONG)script->memory_size : 0;
		script->memory[0] = script->memory[1];
		script->memory[1] = 0;
		break;
	case IncludeVmRegionCallback:
		if (script->narrows)
			output->VmRegion.RegionSize = 0;
		break;
	case VmPreReadCallback:
		answer_read(script, input, output);
		break;
	default:
		break;
	}
	return TRUE;
}

static struct minidump write_asking(struct core_fixture *fixture, uint64_t type,
				    struct script *script, struct pss_minidump_result *ret)
{
	const MINIDUMP_CALLBACK_INFORMATION callback = { answer, script };
	struct pss_minidump_ask ask = { .callback = &callback,
					.ignores_holes = true,
					.has_vm = script->bad_page != 0 };
	const struct pss_minidump_options options = { .type = type, .ask = &ask };
	_cleanup_close_ int fd = core_temporary_file();

	if (minidump_write_with(fixture, fd, &options, ret) < 0)
		fail_msg("%s", fixture->diag.text);
	return minidump_of_file(fd);
}

static uint32_t listed(const struct minidump *dump)
{
	const MINIDUMP_MEMORY_LIST *list = minidump_stream(dump, MemoryListStream, NULL);

	return list->NumberOfMemoryRanges;
}

static uint64_t listed_64(const struct minidump *dump)
{
	const MINIDUMP_MEMORY64_LIST *list = minidump_stream(dump, Memory64ListStream, NULL);

	return list ? list->NumberOfMemoryRanges : 0;
}

// A heap of so many pages, each too far from the next to be written with it, and a stack.
static void set_up_scattered(struct core_fixture *fixture, uint64_t pages)
{
	core_setup(fixture, (pages + 1) * 2 * MIB);
	memset(fixture->area, 1, MIB);
	for (uint64_t i = 1; i <= pages; i++)
		fixture->area[i * 2 * MIB] = (uint8_t)(i % 255 + 1);
	minidump_add_region(fixture, 0, MIB);
	minidump_add_region(fixture, MIB + PAGE, (pages + 1) * 2 * MIB);
	minidump_add_thread(fixture, PID, core_address(fixture, MIB - 8 * PAGE));
	core_seal(fixture);
}

// Breakpad refuses a list of more than 4,096 ranges.
static void test_a_list_that_readers_take_holds_all_and_a_longer_one_what_is_near(void **state)
{
	enum { MOST = 4096 };
	const uint64_t type = MiniDumpWithPrivateReadWriteMemory;

	(void)state;
	// The stack, and what lies before it in its mapping.
	for (uint64_t pages = MOST - 2; pages <= MOST - 1; pages++) {
		bool is_too_much = pages + 2 > MOST;
		struct core_fixture fixture;
		struct pss_minidump_result result;

		set_up_scattered(&fixture, pages);
		struct minidump dump = minidump_write(&fixture, type, &result);
		assert_int_equal(result.ranges, pages + 2);
		assert_int_equal(listed(&dump), is_too_much ? 1 : pages + 2);
		assert_int_equal(listed_64(&dump), is_too_much ? pages + 2 : 0);
		minidump_assert_memory(&fixture, &dump, MIB - 9 * PAGE, 9 * PAGE);
		minidump_assert_memory(&fixture, &dump, 2 * MIB, 1);
		minidump_assert_memory(&fixture, &dump, pages * 2 * MIB, 1);
		minidump_forget(&dump);
		core_teardown(&fixture);
	}
}

static void test_of_thousands_of_stacks_each_thread_says_where_its_own_lies(void **state)
{
	enum { COUNT = 5000 };
	struct core_fixture fixture;
	struct pss_minidump_result result;

	(void)state;
	core_setup(&fixture, COUNT * 4 * (uint64_t)PAGE);
	memset(fixture.area, 3, fixture.size);
	for (uint64_t i = 0; i < COUNT; i++) {
		minidump_add_region(&fixture, i * 4 * PAGE, (i * 4 + 2) * PAGE);
		minidump_add_thread(&fixture, (int)(PID + i),
				    core_address(&fixture, (i * 4 + 1) * PAGE + 512));
	}
	core_seal(&fixture);
	struct minidump dump = minidump_write(&fixture, MiniDumpNormal, &result);
	assert_int_equal(listed(&dump), 4096);
	assert_int_equal(listed_64(&dump), COUNT);
	for (uint32_t i = 0; i < COUNT; i++) {
		const MINIDUMP_THREAD *thread = minidump_thread(&dump, i);

		assert_int_equal(thread->Stack.Memory.DataSize, PAGE);
		assert_memory_equal(dump.bytes + thread->Stack.Memory.Rva, fixture.area, PAGE);
	}
	minidump_forget(&dump);
	core_teardown(&fixture);
}

static void test_the_callback_may_add_more_than_32_bits_can_place(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;
	struct script script = { .memory_size = 3 * GIB };

	(void)state;
	core_setup(&fixture, 7 * GIB);
	memset(fixture.area, 1, MIB);
	fixture.area[6 * GIB] = 42;
	minidump_add_region(&fixture, 0, MIB);
	minidump_add_region(&fixture, MIB, 7 * GIB);
	minidump_add_thread(&fixture, PID, core_address(&fixture, MIB - PAGE));
	core_seal(&fixture);
	script.memory[0] = core_address(&fixture, MIB);
	script.memory[1] = core_address(&fixture, 4 * GIB);
	struct minidump dump = write_asking(&fixture, MiniDumpNormal, &script, &result);
	assert_true(dump.size > 6 * GIB);
	minidump_assert_memory(&fixture, &dump, 6 * GIB, 1);
	assert_false(minidump_has_byte(&fixture, &dump, 4 * GIB - 1));
	assert_int_equal(listed(&dump), 1);
	minidump_forget(&dump);
	core_teardown(&fixture);
}

static void test_memory_that_comes_in_twice_is_there_once(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;
	struct script script = { .memory_size = 6 * MIB };

	(void)state;
	core_setup(&fixture, 8 * MIB);
	memset(fixture.area, 1, 8 * MIB);
	minidump_add_region(&fixture, 0, 2 * MIB);
	minidump_add_region(&fixture, 2 * MIB, 8 * MIB);
	minidump_add_thread(&fixture, PID, core_address(&fixture, MIB));
	core_seal(&fixture);
	script.memory[0] = core_address(&fixture, MIB / 2);
	script.memory[1] = core_address(&fixture, MIB);
	struct minidump dump =
		write_asking(&fixture, MiniDumpWithPrivateReadWriteMemory, &script, &result);
	assert_int_equal(result.memory_bytes, 8 * MIB);
	assert_true(result.file_size < 8 * MIB + 256 * 1024);
	minidump_forget(&dump);
	core_teardown(&fixture);
}

// Reading holes of shared memory would fill them: that it has them is found out first.
static void test_a_page_of_shared_memory_that_is_added_leaves_the_holes_around_it(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;
	struct script script = { .memory_size = PAGE };
	_cleanup_close_ int fd = memfd_create("shared", MFD_CLOEXEC);
	struct stat status;

	(void)state;
	core_setup(&fixture, 8 * MIB);
	assert_int_equal(ftruncate(fd, 4 * MIB), 0);
	uint8_t *shared = mmap(fixture.area + 2 * MIB, 4 * MIB, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_FIXED, fd, 0);
	assert_ptr_equal(shared, fixture.area + 2 * MIB);
	memset(shared + 2 * MIB, 1, PAGE);
	memset(shared + 2 * MIB + 128 * PAGE, 2, PAGE);
	core_add_region(&fixture,
			(struct pss_region_record){ .start = core_address(&fixture, 2 * MIB),
						    .end = core_address(&fixture, 6 * MIB),
						    .flags = PSS_REGION_SHARED,
						    .kind = PSS_REGION_MAPPED,
						    .content = PSS_CONTENT_LIVE },
			"/memfd:shared (deleted)");
	core_seal(&fixture);
	script.memory[0] = core_address(&fixture, 4 * MIB - PAGE);
	script.memory[1] = core_address(&fixture, 4 * MIB + PAGE);
	struct minidump dump = write_asking(&fixture, MiniDumpWithFullMemory, &script, &result);
	minidump_assert_memory(&fixture, &dump, 4 * MIB, PAGE);
	minidump_assert_memory(&fixture, &dump, 4 * MIB + 128 * PAGE, PAGE);
	minidump_forget(&dump);
	assert_int_equal(fstat(fd, &status), 0);
	// Two that were there, and the one that was asked for.
	if (geteuid() == 0) {
		assert_int_equal(result.memory_bytes, 3 * PAGE);
		assert_int_equal(status.st_blocks * 512, 3 * PAGE);
	}
	core_teardown(&fixture);
}

static void test_regions_are_narrowed_and_stacks_are_not(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;
	struct script script = { .narrows = true, .memory_size = PAGE };

	(void)state;
	core_setup(&fixture, 8 * MIB);
	memset(fixture.area, 1, 8 * MIB);
	minidump_add_region(&fixture, 0, 2 * MIB);
	minidump_add_region(&fixture, 4 * MIB, 6 * MIB);
	minidump_add_thread(&fixture, PID, core_address(&fixture, MIB));
	core_seal(&fixture);
	script.memory[0] = core_address(&fixture, 5 * MIB);
	struct minidump dump = write_asking(&fixture, MiniDumpWithFullMemory, &script, &result);
	minidump_assert_memory(&fixture, &dump, MIB, MIB);
	minidump_assert_memory(&fixture, &dump, 5 * MIB, PAGE);
	assert_false(minidump_has_byte(&fixture, &dump, MIB / 2));
	assert_false(minidump_has_byte(&fixture, &dump, 4 * MIB));
	minidump_forget(&dump);
	core_teardown(&fixture);
}

static void put_address(struct core_fixture *fixture, uint64_t at, uint64_t of)
{
	uint64_t address = core_address(fixture, of);

	memcpy(fixture->area + at, &address, sizeof address);
}

static void test_behind_a_page_that_cannot_be_read_stacks_are_searched_on(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;
	struct script script = { 0 };

	(void)state;
	core_setup(&fixture, 4 * MIB);
	memset(fixture.area, 1, 4 * MIB);
	put_address(&fixture, MIB - 16 * PAGE + 512, 2 * MIB + 2000);
	put_address(&fixture, MIB - 512, 3 * MIB + 2000);
	minidump_add_region(&fixture, 0, MIB);
	minidump_add_region(&fixture, 2 * MIB, 4 * MIB);
	minidump_add_thread(&fixture, PID, core_address(&fixture, MIB - 15 * PAGE));
	core_seal(&fixture);
	script.bad_page = core_address(&fixture, MIB - 14 * PAGE);
	struct minidump dump =
		write_asking(&fixture, MiniDumpWithIndirectlyReferencedMemory, &script, &result);
	assert_int_equal(result.unreadable_bytes, PAGE);
	minidump_assert_memory(&fixture, &dump, 2 * MIB, PAGE);
	minidump_assert_memory(&fixture, &dump, 3 * MIB, PAGE);
	minidump_forget(&dump);
	core_teardown(&fixture);
}

// A stack of 16 MiB with nothing but addresses: two million of them, and two pages.
static void test_a_page_that_is_pointed_to_a_million_times_costs_no_more_than_one(void **state)
{
	struct core_fixture fixture;
	struct pss_minidump_result result;
	_cleanup_close_ int fd = core_temporary_file();

	(void)state;
	core_setup(&fixture, 32 * MIB);
	memset(fixture.area + 20 * MIB, 1, MIB);
	for (uint64_t at = 0; at < 16 * MIB; at += 16) {
		put_address(&fixture, at, 20 * MIB + 2000);
		put_address(&fixture, at + 8, 20 * MIB + 10 * PAGE + 2000);
	}
	minidump_add_region(&fixture, 0, 16 * MIB);
	minidump_add_region(&fixture, 20 * MIB, 32 * MIB);
	minidump_add_thread(&fixture, PID, core_address(&fixture, 0));
	core_seal(&fixture);
	struct rlimit before = minidump_allow_only(24 * MIB);
	int r = minidump_write_to(&fixture, fd, MiniDumpWithIndirectlyReferencedMemory, &result);
	minidump_allow_again(&before);
	assert_int_equal(r, 0);
	assert_int_equal(result.ranges, 3);
	core_teardown(&fixture);
}

struct progress {
	uint64_t done, total;
};

static int note_progress(void *context, uint64_t done, uint64_t total)
{
	*(struct progress *)context = (struct progress){ done, total };
	return 0;
}

static void test_memory_bytes_are_those_that_are_there_each_once(void **state)
{
	enum { TOUCHED = 10 };
	static const uint64_t types[] = { MiniDumpWithFullMemory,
					  MiniDumpWithPrivateReadWriteMemory };

	(void)state;
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		struct core_fixture fixture;
		struct pss_minidump_result result;
		struct progress progress = { 0 };
		_cleanup_close_ int fd = core_temporary_file();
		const struct pss_minidump_options options = {
			.type = types[i],
			.hooks.progress = note_progress,
			.hooks.progress_context = &progress,
		};

		core_setup(&fixture, 8 * MIB);
		// Of the stack and of the heap every second page was touched.
		for (uint64_t page = 0; page < TOUCHED; page++) {
			fixture.area[2 * MIB - (page * 2 + 1) * PAGE] = 1;
			fixture.area[4 * MIB + page * 2 * PAGE] = 1;
		}
		minidump_add_region(&fixture, 0, 2 * MIB);
		minidump_add_region(&fixture, 4 * MIB, 6 * MIB);
		minidump_add_thread(&fixture, PID, core_address(&fixture, 2 * MIB - 8 * PAGE));
		core_seal(&fixture);
		assert_int_equal(minidump_write_with(&fixture, fd, &options, &result), 0);
		assert_int_equal(result.memory_bytes, 2 * TOUCHED * PAGE);
		assert_int_equal(progress.total, 2 * TOUCHED * PAGE);
		assert_int_equal(progress.done, progress.total);
		core_teardown(&fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			test_a_list_that_readers_take_holds_all_and_a_longer_one_what_is_near),
		cmocka_unit_test(test_of_thousands_of_stacks_each_thread_says_where_its_own_lies),
		cmocka_unit_test(test_the_callback_may_add_more_than_32_bits_can_place),
		cmocka_unit_test(test_memory_that_comes_in_twice_is_there_once),
		cmocka_unit_test(
			test_a_page_of_shared_memory_that_is_added_leaves_the_holes_around_it),
		cmocka_unit_test(test_regions_are_narrowed_and_stacks_are_not),
		cmocka_unit_test(test_behind_a_page_that_cannot_be_read_stacks_are_searched_on),
		cmocka_unit_test(
			test_a_page_that_is_pointed_to_a_million_times_costs_no_more_than_one),
		cmocka_unit_test(test_memory_bytes_are_those_that_are_there_each_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
