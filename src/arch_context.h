// SPDX-License-Identifier: LGPL-2.1-or-later
// Windows' CONTEXT out of Linux register sets, one function a machine. Pure; behind struct
// pss_arch.
#ifndef PSS_ARCH_CONTEXT_H
#define PSS_ARCH_CONTEXT_H

#include <stddef.h>
#include <stdint.h>

#include "arch.h"

enum {
	PSS_ARCH_X86_64_CONTEXT_SIZE = 1232,
	PSS_ARCH_AARCH64_CONTEXT_SIZE = 912,
};

/** See build_context of struct pss_arch. */
void pss_arch_x86_64_build_context(const struct pss_arch_registers *registers,
				   uint32_t context_flags, void *context);
void pss_arch_aarch64_build_context(const struct pss_arch_registers *registers,
				    uint32_t context_flags, void *context);

#endif
