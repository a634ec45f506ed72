// SPDX-License-Identifier: LGPL-2.1-or-later
// Names of what a machine has: system calls and general registers.
#ifndef PSS_CLI_MACHINE_H
#define PSS_CLI_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/**
 * Name of a system call of a process whose ELF machine is @machine; NULL if it has none or if the
 * machine is not the one this program was built for.
 */
const char *pss_machine_syscall(uint32_t machine, int64_t number);

/** General registers in the order in which PTRACE_GETREGSET with NT_PRSTATUS gives them. */
struct pss_machine_registers {
	uint32_t machine;     /**< EM_* */
	size_t register_size; /**< bytes of each */
	size_t count;
	const char *const *names;
};

/** Registers of @machine; NULL if it is not known. */
const struct pss_machine_registers *pss_machine_find_registers(uint32_t machine);

enum { PSS_MACHINE_REGISTERS_MAX = 34 };

#endif
