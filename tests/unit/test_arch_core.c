// SPDX-License-Identifier: LGPL-2.1-or-later
// x86's extended state in core files: from any CPU's layout into the one that debuggers know.
#include "arch_core.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <elf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { MASK = 464, IN_USE = 512, HEADER_END = 576, LARGEST = 11008 };

// AMD's Zen 4: no MPX, and no gap where it would be.
static const struct pss_arch_xsave_layout amd = {
	.parts = { [2] = { 576, 256 },
		   [5] = { 832, 64 },
		   [6] = { 896, 512 },
		   [7] = { 1408, 1024 },
		   [9] = { 2432, 8 } },
};

// Intel's Sapphire Rapids: everything in its old place, and tiles behind it.
static const struct pss_arch_xsave_layout intel = {
	.parts = { [2] = { 576, 256 },
		   [5] = { 1088, 64 },
		   [6] = { 1152, 512 },
		   [7] = { 1664, 1024 },
		   [9] = { 2688, 8 },
		   [17] = { 2752, 64 },
		   [18] = { 2816, 8192 } },
};

static void put_u64(uint8_t *bytes, uint64_t value)
{
	memcpy(bytes, &value, sizeof value);
}

// State of a CPU with the parts @mask; each part in use is filled with its number.
static size_t make(const struct pss_arch_xsave_layout *layout, uint64_t mask, uint64_t in_use,
		   uint8_t *bytes)
{
	size_t size = HEADER_END;

	memset(bytes, 0, LARGEST);
	memset(bytes, 0x11, MASK);
	put_u64(bytes + MASK, mask);
	put_u64(bytes + IN_USE, in_use);
	for (unsigned part = 2; part < PSS_ARCH_XSAVE_PARTS; part++) {
		uint32_t end = layout->parts[part].offset + layout->parts[part].size;

		if (!(mask >> part & 1))
			continue;
		size = end > size ? end : size;
		if (in_use >> part & 1)
			memset(bytes + layout->parts[part].offset, (int)part,
			       layout->parts[part].size);
	}
	return size;
}

static void check_part(const uint8_t *bytes, size_t offset, size_t size, uint8_t value)
{
	for (size_t i = 0; i < size; i++)
		assert_int_equal(bytes[offset + i], value);
}

static void test_amd(void **state)
{
	(void)state;
	static uint8_t bytes[LARGEST], out[4096];
	size_t size = make(&amd, 0xe7, 0xe7, bytes);

	assert_int_equal(size, 2432);
	assert_int_equal(pss_arch_x86_64_core_xstate(&amd, bytes, size, out, sizeof out), 2688);
	assert_memory_equal(out, bytes, HEADER_END);
	check_part(out, 576, 256, 2);
	check_part(out, 832, 1088 - 832, 0);
	check_part(out, 1088, 64, 5);
	check_part(out, 1152, 512, 6);
	check_part(out, 1664, 1024, 7);
}

static void test_amd_with_keys(void **state)
{
	(void)state;
	static uint8_t bytes[LARGEST], out[4096];
	size_t size = make(&amd, 0x2e7, 0x204, bytes);

	assert_int_equal(size, 2440);
	assert_int_equal(pss_arch_x86_64_core_xstate(&amd, bytes, size, out, sizeof out), 2696);
	check_part(out, 2688, 8, 9);
	check_part(out, 576, 256, 2);
	check_part(out, 1088, 1600, 0);
}

static void test_unused_tiles_are_cut(void **state)
{
	(void)state;
	static uint8_t bytes[LARGEST], out[4096];
	size_t size = make(&intel, 0x602e7, 0x2e7, bytes);

	assert_int_equal(size, 11008);
	assert_int_equal(pss_arch_x86_64_core_xstate(&intel, bytes, size, out, sizeof out), 2696);
	assert_memory_equal(out, bytes, 2696);
	// Without protection keys, shorter.
	size = make(&intel, 0x600e7, 0xe7, bytes);
	assert_int_equal(pss_arch_x86_64_core_xstate(&intel, bytes, size, out, sizeof out), 2688);
	assert_memory_equal(out, bytes, 2688);
}

static void test_used_tiles_stay(void **state)
{
	(void)state;
	static uint8_t bytes[LARGEST], out[4096];
	size_t size = make(&intel, 0x602e7, 0x402e7, bytes);

	assert_int_equal(pss_arch_x86_64_core_xstate(&intel, bytes, size, out, sizeof out), 0);
	size = make(&intel, 0x602e7, 0x202e7, bytes);
	assert_int_equal(pss_arch_x86_64_core_xstate(&intel, bytes, size, out, sizeof out), 0);
}

static void test_small_cpus(void **state)
{
	(void)state;
	static uint8_t bytes[LARGEST], out[4096];

	assert_int_equal(make(&intel, 0x7, 0x7, bytes), 832);
	assert_int_equal(pss_arch_x86_64_core_xstate(&intel, bytes, 832, out, sizeof out), 832);
	assert_int_equal(make(&intel, 0x3, 0x3, bytes), 576);
	assert_int_equal(pss_arch_x86_64_core_xstate(&intel, bytes, 576, out, sizeof out), 576);
}

static void test_foreign_state_stays(void **state)
{
	(void)state;
	static uint8_t bytes[LARGEST], out[4096];
	size_t size = make(&amd, 0xe7, 0xe7, bytes);

	// From another CPU's layout; with a part nobody knows; cut short; no room.
	assert_int_equal(pss_arch_x86_64_core_xstate(&intel, bytes, size, out, sizeof out), 0);
	put_u64(bytes + MASK, 0xe7 | UINT64_C(1) << 40);
	assert_int_equal(pss_arch_x86_64_core_xstate(&amd, bytes, size, out, sizeof out), 0);
	put_u64(bytes + MASK, 0xe7);
	put_u64(bytes + IN_USE, 0xe7 | UINT64_C(1) << 40);
	assert_int_equal(pss_arch_x86_64_core_xstate(&amd, bytes, size, out, sizeof out), 0);
	put_u64(bytes + IN_USE, 0xe7);
	assert_int_equal(pss_arch_x86_64_core_xstate(&amd, bytes, size - 1, out, sizeof out), 0);
	assert_int_equal(pss_arch_x86_64_core_xstate(&amd, bytes, 100, out, sizeof out), 0);
	assert_int_equal(pss_arch_x86_64_core_xstate(&amd, bytes, size, out, 2687), 0);
	assert_int_equal(pss_arch_x86_64_core_xstate(&amd, bytes, size, out, 2688), 2688);
}

// The layout of this machine's own CPU is one that its states fit, and the note says so.
static void test_this_machine(void **state)
{
	(void)state;
	static uint8_t bytes[LARGEST], out[4096];
	struct pss_arch_xsave_layout layout;
	uint64_t mask = 3;
	uint32_t type = 0, note[256];

	pss_arch_x86_64_xsave_layout(&layout);
	for (unsigned part = 2; part < 8; part++)
		if (layout.parts[part].size > 0)
			mask |= UINT64_C(1) << part;
	if (mask == 3)
		skip();
	size_t size = make(&layout, mask, mask, bytes);
	size_t changed = pss_arch_x86_64_core_regset(NT_X86_XSTATE, bytes, size, out, sizeof out);
	assert_true(changed >= size);
	assert_int_equal(pss_arch_x86_64_core_regset(NT_PRFPREG, bytes, size, out, sizeof out), 0);

	size = pss_arch_x86_64_core_layout(bytes, size, &type, note, sizeof note);
	assert_int_equal(type, 0x205);
	assert_int_equal(size % 16, 0);
	assert_true(size >= 16);
	for (size_t i = 0; i < size / 4; i += 4) // part, size, offset, flags
		check_part(out, note[i + 2], note[i + 1], (uint8_t)note[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_amd),
		cmocka_unit_test(test_amd_with_keys),
		cmocka_unit_test(test_unused_tiles_are_cut),
		cmocka_unit_test(test_used_tiles_stay),
		cmocka_unit_test(test_small_cpus),
		cmocka_unit_test(test_foreign_state_stays),
		cmocka_unit_test(test_this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
