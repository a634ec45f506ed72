// SPDX-License-Identifier: LGPL-2.1-or-later
// Tables of names. A new machine is a new table of registers; system calls come from the compiler's
// headers.
#include "machine.h"

#include <elf.h>
#include <link.h>
#include <sys/syscall.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const syscall_names[] = {
#include "syscall_names.inc"
};

// The linker puts this at our own ELF header, which says what machine we were built for.
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

// The order of struct user_regs_struct.
static const char *const x86_64_names[] = {
	"r15",    "r14", "r13", "r12",     "rbp",     "rbx", "r11",      "r10", "r9",
	"r8",     "rax", "rcx", "rdx",     "rsi",     "rdi", "orig_rax", "rip", "cs",
	"eflags", "rsp", "ss",  "fs_base", "gs_base", "ds",  "es",       "fs",  "gs",
};

static const char *const i386_names[] = {
	"ebx", "ecx", "edx",      "esi", "edi", "ebp",    "eax", "ds", "es",
	"fs",  "gs",  "orig_eax", "eip", "cs",  "eflags", "esp", "ss",
};

static const char *const aarch64_names[] = {
	"x0",  "x1",  "x2",  "x3",  "x4",  "x5",  "x6",  "x7",  "x8",  "x9",     "x10", "x11",
	"x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21",    "x22", "x23",
	"x24", "x25", "x26", "x27", "x28", "x29", "x30", "sp",  "pc",  "pstate",
};

static const struct pss_machine_registers machines[] = {
	{ EM_X86_64, 8, COUNT(x86_64_names), x86_64_names },
	{ EM_386, 4, COUNT(i386_names), i386_names },
	{ EM_AARCH64, 8, COUNT(aarch64_names), aarch64_names },
};

const char *pss_machine_syscall(uint32_t machine, int64_t number)
{
	if (machine != __ehdr_start.e_machine || number < 0 ||
	    (uint64_t)number >= COUNT(syscall_names))
		return NULL;
	return syscall_names[number];
}

const struct pss_machine_registers *pss_machine_find_registers(uint32_t machine)
{
	for (size_t i = 0; i < COUNT(machines); i++)
		if (machines[i].machine == machine)
			return &machines[i];
	return NULL;
}
