// SPDX-License-Identifier: LGPL-2.1-or-later
// The values that the threads of regs.c hold, shared with the test that looks for them.
#ifndef REGS_H
#define REGS_H

#include <stdint.h>

// All general registers but the stack pointer, in this order.
enum regs_general {
	REGS_RAX,
	REGS_RBX,
	REGS_RCX,
	REGS_RDX,
	REGS_RSI,
	REGS_RDI,
	REGS_RBP,
	REGS_R8,
	REGS_R9,
	REGS_R10,
	REGS_R11,
	REGS_R12,
	REGS_R13,
	REGS_R14,
	REGS_R15,
	REGS_COUNT,
};

#define REGS_GENERAL(number)      (0xc0de000000000000u | (uint64_t)(number) << 32 | 0x89abcdefu)
#define REGS_VECTOR(number, word) (0xfeed000000000000u | (uint64_t)(number) << 8 | (uint64_t)(word))

#endif
