/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public structures and constants are Windows' own, byte for byte. Compared with the tables in
 * tests/data; compiled as C99 and, by test_layout_cpp.cpp, as C++11.
 */
#include <stddef.h>
#include <stdio.h>
#include <windows.h>

#include <dbghelp.h>
#include <processsnapshot.h>

struct layout_row {
	const char *name;
	size_t offset;
	size_t size;
	size_t our_offset;
	size_t our_size;
};

struct value_row {
	const char *name;
	unsigned value;
	unsigned our_value;
};

#include "layout_rows.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static unsigned check_layouts(void)
{
	unsigned failed = 0;
	size_t i;

	for (i = 0; i < COUNT(layout_rows); i++) {
		const struct layout_row *row = &layout_rows[i];

		if (row->offset == row->our_offset && row->size == row->our_size)
			continue;
		failed++;
		printf("%s: offset %zu size %zu, must be %zu %zu\n", row->name, row->our_offset,
		       row->our_size, row->offset, row->size);
	}
	return failed;
}

static unsigned check_values(void)
{
	unsigned failed = 0;
	size_t i;

	for (i = 0; i < COUNT(value_rows); i++) {
		const struct value_row *row = &value_rows[i];

		if (row->value == row->our_value)
			continue;
		failed++;
		printf("%s: %#x, must be %#x\n", row->name, row->our_value, row->value);
	}
	return failed;
}

/* The alignment of a type, in a way that C99 and C++11 share. */
#define CHECK_ALIGNMENT(type, alignment)                                                           \
	do {                                                                                       \
		struct probe {                                                                     \
			char before;                                                               \
			type value;                                                                \
		};                                                                                 \
		if (offsetof(struct probe, value) != (alignment)) {                                \
			failed++;                                                                  \
			printf("%s: alignment %zu, must be %d\n", #type,                           \
			       offsetof(struct probe, value), (alignment));                        \
		}                                                                                  \
	} while (0)

static unsigned check_alignments(void)
{
	unsigned failed = 0;

	CHECK_ALIGNMENT(FILETIME, 4);
	CHECK_ALIGNMENT(LARGE_INTEGER, 8);
	CHECK_ALIGNMENT(M128A, 16);
	CHECK_ALIGNMENT(XMM_SAVE_AREA32, 16);
	CHECK_ALIGNMENT(AMD64_NT_CONTEXT, 16);
	CHECK_ALIGNMENT(ARM64_NT_CONTEXT, 16);
	CHECK_ALIGNMENT(CONTEXT, 16);
	CHECK_ALIGNMENT(PSS_PROCESS_INFORMATION, 8);
	CHECK_ALIGNMENT(PSS_THREAD_ENTRY, 8);
	return failed;
}

static unsigned check_unsigned_flags(void)
{
	/* Bit 31 is a flag: a set of flags must not become negative on its way to 64 bits. */
	PSS_CAPTURE_FLAGS flags =
		(PSS_CAPTURE_FLAGS)(PSS_CREATE_RELEASE_SECTION | PSS_CAPTURE_VA_CLONE);

	if ((uint64_t)flags == 0x80000001u)
		return 0;
	printf("PSS_CAPTURE_FLAGS is signed\n");
	return 1;
}

int main(void)
{
	unsigned failed =
		check_layouts() + check_values() + check_alignments() + check_unsigned_flags();

	printf("%zu layouts and %zu values compared, %u differ\n", COUNT(layout_rows),
	       COUNT(value_rows), failed);
	return failed ? 1 : 0;
}
