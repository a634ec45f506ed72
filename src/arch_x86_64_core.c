// SPDX-License-Identifier: LGPL-2.1-or-later
// x86-64's extended state for core files. The kernel gives it as the CPU lays it out: without gaps
// on AMD, with 8 KiB of tiles on CPUs with AMX. Debuggers have Intel's offsets written in: gdb up
// to 13 warns of any other size, and would take AVX-512 registers from the wrong place.
#include "arch_core.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

// Linux 6.12. Where each part of NT_X86_XSTATE lies, as CPUID would say.
#ifndef NT_X86_XSAVE_LAYOUT
#define NT_X86_XSAVE_LAYOUT 0x205
#endif

enum {
	CPUID_XSAVE = 0xd,
	LEGACY_SIZE = 512,
	HEADER_END = 576,
	MASK_OFFSET = 464,   // what the kernel saves: XCR0, in the legacy part's unused bytes
	IN_USE_OFFSET = 512, // xstate_bv: parts that are not in their initial state

	PART_PKRU = 9,
	PARTS_SSE = 0x3,
	PARTS_AVX = 0x4,
	PARTS_MPX = 0x18,
	PARTS_AVX512 = 0xe0,
	PARTS_PKRU = 1 << PART_PKRU,
};

// Intel's offsets. Part 19, APX, took over the bytes of MPX, which no CPU has together with it.
static const struct pss_arch_xsave_layout standard = {
	.parts = {
		[2] = { .offset = 576, .size = 256 },	// AVX
		[3] = { .offset = 960, .size = 64 },	// MPX bounds
		[4] = { .offset = 1024, .size = 64 },	// MPX configuration
		[5] = { .offset = 1088, .size = 64 },	// AVX-512 masks
		[6] = { .offset = 1152, .size = 512 },	// upper halves of ZMM0 to 15
		[7] = { .offset = 1664, .size = 1024 }, // ZMM16 to 31
		[9] = { .offset = 2688, .size = 8 },	// protection keys
		[19] = { .offset = 960, .size = 128 },	// APX
	},
};

static uint64_t read_u64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof value);
	return value;
}

void pss_arch_x86_64_xsave_layout(struct pss_arch_xsave_layout *ret)
{
	*ret = (struct pss_arch_xsave_layout){ 0 };
#if defined(__x86_64__)
	for (unsigned part = 2; part < PSS_ARCH_XSAVE_PARTS; part++) {
		unsigned size = 0, offset = 0, flags = 0, unused = 0;

		// Bit 0 of flags: a part of the kernel's, which ptrace never shows.
		if (__get_cpuid_count(CPUID_XSAVE, part, &size, &offset, &flags, &unused) &&
		    !(flags & 1) && size > 0) {
			ret->parts[part].offset = offset;
			ret->parts[part].size = size;
		}
	}
#endif
}

// The size that gdb expects for this set of parts.
static size_t short_size(uint64_t mask)
{
	if (mask & PARTS_PKRU)
		return standard.parts[PART_PKRU].offset + standard.parts[PART_PKRU].size;
	if (mask & PARTS_AVX512)
		return 2688;
	if (mask & PARTS_MPX)
		return 1088;
	return mask & PARTS_AVX ? 832 : HEADER_END;
}

static bool has_part(uint64_t mask, unsigned part)
{
	return mask & UINT64_C(1) << part;
}

// Whether state with these parts, of this size, can have come from a CPU of that layout.
static bool is_layout_of(const struct pss_arch_xsave_layout *layout, uint64_t mask, size_t size)
{
	size_t end = HEADER_END;

	for (unsigned part = 2; part < PSS_ARCH_XSAVE_PARTS; part++) {
		size_t part_end = (size_t)layout->parts[part].offset + layout->parts[part].size;

		if (!has_part(mask, part))
			continue;
		if (layout->parts[part].size == 0)
			return false;
		end = part_end > end ? part_end : end;
	}
	return mask >> PSS_ARCH_XSAVE_PARTS == 0 && end == size;
}

// Whether the short form has a place for all that is in use.
static bool fits(const struct pss_arch_xsave_layout *layout, uint64_t in_use, size_t room)
{
	for (unsigned part = 2; part < PSS_ARCH_XSAVE_PARTS; part++) {
		const uint32_t size = standard.parts[part].size;

		if (has_part(in_use, part) && (size == 0 || size != layout->parts[part].size ||
					       standard.parts[part].offset + size > room))
			return false;
	}
	return in_use >> PSS_ARCH_XSAVE_PARTS == 0;
}

size_t pss_arch_x86_64_core_xstate(const struct pss_arch_xsave_layout *layout, const void *bytes,
				   size_t size, void *out, size_t room)
{
	const uint8_t *from = bytes;
	uint8_t *to = out;

	if (size < HEADER_END)
		return 0;
	uint64_t mask = read_u64(from + MASK_OFFSET);
	uint64_t in_use = read_u64(from + IN_USE_OFFSET);
	size_t wanted = short_size(mask);
	if (wanted > room || !is_layout_of(layout, mask, size) || (in_use & ~mask & ~PARTS_SSE) ||
	    !fits(layout, in_use, wanted))
		return 0;

	memset(to, 0, wanted);
	memcpy(to, from, HEADER_END);
	for (unsigned part = 2; part < PSS_ARCH_XSAVE_PARTS; part++)
		if (has_part(in_use, part))
			memcpy(to + standard.parts[part].offset, from + layout->parts[part].offset,
			       standard.parts[part].size);
	return wanted;
}

size_t pss_arch_x86_64_core_regset(uint32_t note_type, const void *bytes, size_t size, void *out,
				   size_t room)
{
	struct pss_arch_xsave_layout layout;

	if (note_type != NT_X86_XSTATE)
		return 0;
	pss_arch_x86_64_xsave_layout(&layout);
	return pss_arch_x86_64_core_xstate(&layout, bytes, size, out, room);
}

size_t pss_arch_x86_64_core_layout(const void *extended, size_t size, uint32_t *note_type_ret,
				   void *out, size_t room)
{
	struct entry {
		uint32_t part;
		uint32_t size;
		uint32_t offset;
		uint32_t flags;
	};
	struct pss_arch_xsave_layout native;
	uint8_t scratch[LEGACY_SIZE * 8];
	uint8_t *to = out;
	size_t used = 0;

	if (size < HEADER_END)
		return 0;
	pss_arch_x86_64_xsave_layout(&native);
	uint64_t mask = read_u64((const uint8_t *)extended + MASK_OFFSET);
	if (!is_layout_of(&native, mask, size))
		return 0;
	bool is_short =
		pss_arch_x86_64_core_xstate(&native, extended, size, scratch, sizeof scratch) > 0;

	for (unsigned part = 2; part < PSS_ARCH_XSAVE_PARTS; part++) {
		bool is_standard = is_short && standard.parts[part].size > 0;
		const struct entry entry = {
			.part = part,
			.size = native.parts[part].size,
			.offset = (is_standard ? &standard : &native)->parts[part].offset,
		};

		if (!has_part(mask, part) || used + sizeof entry > room)
			continue;
		memcpy(to + used, &entry, sizeof entry);
		used += sizeof entry;
	}
	*note_type_ret = NT_X86_XSAVE_LAYOUT;
	return used;
}
