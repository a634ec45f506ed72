// SPDX-License-Identifier: LGPL-2.1-or-later
// Register sets as core files should hold them, where the kernel's own form is one that debuggers
// stumble over. Only arch_*.c and tests include this; others go through struct pss_arch.
#ifndef PSS_ARCH_CORE_H
#define PSS_ARCH_CORE_H

#include <stddef.h>
#include <stdint.h>

enum { PSS_ARCH_XSAVE_PARTS = 20 };

/** Where an x86 CPU keeps the parts of its extended state; size 0: it has no such part. */
struct pss_arch_xsave_layout {
	struct {
		uint32_t offset;
		uint32_t size;
	} parts[PSS_ARCH_XSAVE_PARTS];
};

/** The layout of the CPU that runs us, as CPUID tells it; all zero on another architecture. */
void pss_arch_x86_64_xsave_layout(struct pss_arch_xsave_layout *ret);

/**
 * Copies extended state of @layout into the layout of Intel's first AVX-512 CPUs, cut after what
 * debuggers read. Returns its size; 0 if the state is of another layout, or holds something that
 * the short form has no place for: then it must be used as it is.
 */
size_t pss_arch_x86_64_core_xstate(const struct pss_arch_xsave_layout *layout, const void *bytes,
				   size_t size, void *out, size_t room);

/** For pss_arch.core_regset and pss_arch.core_layout. */
size_t pss_arch_x86_64_core_regset(uint32_t note_type, const void *bytes, size_t size, void *out,
				   size_t room);
size_t pss_arch_x86_64_core_layout(const void *extended, size_t size, uint32_t *note_type_ret,
				   void *out, size_t room);

#endif
