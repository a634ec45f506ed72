// SPDX-License-Identifier: LGPL-2.1-or-later
// The markers of marker.h. Memory is taken in blocks, cut up from front to back, and never given
// back singly.
#include "marker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "utf.h"

enum {
	ALIGNMENT = 16, // what a CONTEXT needs
	BLOCK_SIZE = 16 * 1024,
	// The longest text whose size in bytes a WORD holds, terminator included.
	TEXT_UNITS_MAX = UINT16_MAX / sizeof(WCHAR),
};

#define MAGIC      0x6B72616D73736B77u
#define MAGIC_DEAD 0x6461656473736B77u

/** Memory from the allocator. What is handed out lies behind the head. */
struct pss_marker_block {
	struct pss_marker_block *next;
	size_t used; /**< counted from the block's own address, as size is */
	size_t size;
};

/** Positions that do not fit a number. */
struct pss_marker_saved {
	struct pss_marker_saved *next;
	uint32_t id;
	struct pss_marker_positions positions;
};

// A saved position: kind << 56 | value. With one class under way, which is the rule, kind is its
// number plus one and value its index; at the beginning all is 0. Otherwise value is the id of a
// struct pss_marker_saved.
enum {
	SAVED_SHIFT = 56,
	SAVED_SEVERAL = 0xFF,
};

static void *take(const PSS_ALLOCATOR *allocator, size_t size)
{
	uint32_t narrow;

	if (!allocator)
		return malloc(size);
	if (pss_u32(size, &narrow) < 0)
		return NULL;
	return allocator->AllocRoutine(allocator->Context, narrow);
}

static void give_back(const PSS_ALLOCATOR *allocator, void *memory)
{
	if (!allocator)
		free(memory);
	else
		allocator->FreeRoutine(allocator->Context, memory);
}

int pss_marker_create(const PSS_ALLOCATOR *allocator, struct pss_marker **ret)
{
	if (allocator && (!allocator->AllocRoutine || !allocator->FreeRoutine))
		return -EINVAL;

	struct pss_marker *marker = take(allocator, sizeof *marker);
	if (!marker)
		return -ENOMEM;
	*marker = (struct pss_marker){ .magic = MAGIC, .allocator = allocator };
	*ret = marker;
	return 0;
}

void pss_marker_destroy(struct pss_marker *marker)
{
	if (!marker)
		return;

	const PSS_ALLOCATOR *allocator = marker->allocator;
	struct pss_marker_block *block = marker->blocks;
	while (block) {
		struct pss_marker_block *next = block->next;
		give_back(allocator, block);
		block = next;
	}
	pss_section_close(&marker->section);
	// So that a second free is refused for as long as nobody has taken the memory.
	marker->magic = MAGIC_DEAD;
	give_back(allocator, marker);
}

int pss_marker_from_handle(HPSSWALK handle, struct pss_marker **ret)
{
	struct pss_marker *marker = (struct pss_marker *)handle;

	if (!marker || (uintptr_t)marker % _Alignof(struct pss_marker) != 0 ||
	    marker->magic != MAGIC)
		return -EBADF;
	*ret = marker;
	return 0;
}

static int add_block(struct pss_marker *marker, size_t room)
{
	size_t size = sizeof(struct pss_marker_block) + ALIGNMENT + room;
	struct pss_marker_block *block;

	if (size < BLOCK_SIZE)
		size = BLOCK_SIZE;
	block = take(marker->allocator, size);
	if (!block)
		return -ENOMEM;
	*block = (struct pss_marker_block){
		.next = marker->blocks,
		.used = sizeof *block,
		.size = size,
	};
	marker->blocks = block;
	return 0;
}

/** Cuts @size bytes off @block, or returns NULL. The allocator may align to less than we do. */
static void *cut(struct pss_marker_block *block, size_t size)
{
	uintptr_t base = (uintptr_t)block;
	size_t start = pss_align_up(base + block->used, ALIGNMENT) - base;

	if (!pss_in_range(start, size, block->size))
		return NULL;
	block->used = start + size;
	return (uint8_t *)block + start;
}

int pss_marker_allocate(struct pss_marker *marker, size_t size, void **ret)
{
	void *memory = marker->blocks ? cut(marker->blocks, size) : NULL;

	if (!memory) {
		int r = add_block(marker, size);
		if (r < 0)
			return r;
		memory = cut(marker->blocks, size);
		if (!memory)
			return -ENOMEM;
	}
	memset(memory, 0, size);
	*ret = memory;
	return 0;
}

int pss_marker_text(struct pss_marker *marker, struct pss_bytes_ref ref, const WCHAR **ret,
		    uint16_t *size_ret)
{
	const void *bytes;
	void *memory;

	if (pss_section_bytes(&marker->section, ref, &bytes) < 0)
		ref = (struct pss_bytes_ref){ 0 };
	if (!marker->text || ref.offset != marker->text_ref.offset ||
	    ref.size != marker->text_ref.size) {
		size_t room = (ref.size ? pss_utf_to_utf16(bytes, ref.size, NULL, 0) : 0) + 1;

		if (room > TEXT_UNITS_MAX)
			room = TEXT_UNITS_MAX;
		int r = pss_marker_allocate(marker, room * sizeof(WCHAR), &memory);
		if (r < 0)
			return r;

		WCHAR *text = memory;
		size_t length = 0;
		if (ref.size)
			(void)pss_utf_to_utf16(bytes, ref.size, text, room);
		// Not what the conversion wanted to write, but what it wrote: it may have cut.
		// Zeroes cannot be part of a name or a path.
		while (length < room && text[length])
			length++;
		marker->text = text;
		marker->text_size = (uint16_t)(length * sizeof(WCHAR));
		marker->text_ref = ref;
	}
	*ret = marker->text;
	*size_ret = marker->text_size;
	return 0;
}

void pss_marker_set_section(struct pss_marker *marker, const struct pss_section *section)
{
	pss_section_close(&marker->section);
	marker->section = *section;
	marker->text = NULL; // its reference is into the section before
}

static int save_several(struct pss_marker *marker, ULONG_PTR *ret)
{
	struct pss_marker_saved *saved = marker->saved;
	void *memory;

	if (!saved || memcmp(&saved->positions, &marker->positions, sizeof saved->positions) != 0) {
		int r = pss_marker_allocate(marker, sizeof *saved, &memory);
		if (r < 0)
			return r;
		uint32_t id = saved ? saved->id + 1 : 0;
		saved = memory;
		*saved = (struct pss_marker_saved){
			.next = marker->saved,
			.id = id,
			.positions = marker->positions,
		};
		marker->saved = saved;
	}
	*ret = (ULONG_PTR)SAVED_SEVERAL << SAVED_SHIFT | saved->id;
	return 0;
}

int pss_marker_save(struct pss_marker *marker, ULONG_PTR *ret)
{
	ULONG_PTR value = 0;

	for (unsigned class = 0; class < PSS_MARKER_CLASS_COUNT; class ++) {
		uint32_t next = marker->positions.next[class];

		if (next == 0)
			continue;
		if (value != 0)
			return save_several(marker, ret);
		value = (ULONG_PTR)(class + 1) << SAVED_SHIFT | next;
	}
	*ret = value;
	return 0;
}

static int restore_several(struct pss_marker *marker, uint64_t id)
{
	for (const struct pss_marker_saved *saved = marker->saved; saved; saved = saved->next) {
		if (saved->id != id)
			continue;
		marker->positions = saved->positions;
		return 0;
	}
	return -EINVAL;
}

int pss_marker_restore(struct pss_marker *marker, ULONG_PTR saved)
{
	uint64_t kind = saved >> SAVED_SHIFT;
	uint64_t value = saved & ~(UINT64_MAX << SAVED_SHIFT);
	struct pss_marker_positions positions = { { 0 } };

	if (kind == SAVED_SEVERAL)
		return restore_several(marker, value);
	if (kind > PSS_MARKER_CLASS_COUNT || (kind == 0) != (value == 0))
		return -EINVAL;
	if (kind > 0 && pss_u32(value, &positions.next[kind - 1]) < 0)
		return -EINVAL;
	marker->positions = positions;
	return 0;
}

void pss_marker_rewind(struct pss_marker *marker)
{
	marker->positions = (struct pss_marker_positions){ { 0 } };
}
