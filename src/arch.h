// SPDX-License-Identifier: LGPL-2.1-or-later
// What an architecture is, as a table of facts and pure functions. No other file knows one.
#ifndef PSS_ARCH_H
#define PSS_ARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PSS_ARCH_GENERAL_SIZE_MAX = 512,
	PSS_ARCH_REGSETS_MAX = 8,
	PSS_ARCH_CODE_SIZE_MAX = 16,
};

/** General registers as PTRACE_GETREGSET(NT_PRSTATUS) gives them. */
struct pss_general {
	uint32_t size;
	_Alignas(16) uint8_t bytes[PSS_ARCH_GENERAL_SIZE_MAX];
};

/** A register set to capture. Sizes are asked from the kernel, not written down. */
struct pss_arch_regset {
	uint32_t note_type;
	bool is_extended; /**< captured only with the extended context */
};

/** A machine-code sequence looked for in the target's own text. */
struct pss_arch_code {
	uint8_t bytes[PSS_ARCH_CODE_SIZE_MAX];
	uint8_t size;
};

/** A system call to be made by a stopped thread. */
struct pss_arch_call {
	long number;
	uint64_t arguments[6];
	uint64_t instruction; /**< address of a system call instruction followed by a return */
	uint64_t stack;       /**< stack pointer to make it with: a dead man's frame */
	uint64_t return_to; /**< address of the rt_sigreturn sequence, for link-register machines */
};

/** What a dead man's frame restores. */
struct pss_arch_frame {
	uint64_t address;     /**< where the frame will stand: from pss_arch.frame_address */
	uint64_t return_code; /**< address of the rt_sigreturn sequence */
	uint64_t signal_mask;
	const struct pss_general *general;
	const void *extended; /**< NT_X86_XSTATE or floating point set; NULL: initial state */
	size_t extended_size;
};

/** A thread's register sets as stored in a section; absent ones are NULL and 0. */
struct pss_arch_registers {
	const void *general; /**< NT_PRSTATUS */
	size_t general_size;
	const void *floating; /**< NT_PRFPREG */
	size_t floating_size;
	const void *extended; /**< NT_X86_XSTATE and the like */
	size_t extended_size;
};

/**
 * One machine. To add one: write arch_<name>.c with one const instance; add a line to the choice at
 * the end of this header and to meson.build; give it the code sequences, the register sets that gdb
 * wants in a core, a frame as its kernel's rt_sigreturn reads it, and the unit test of arch_*.
 */
struct pss_arch {
	const char *name;
	uint16_t elf_machine;
	uint32_t windows_machine; /**< PROCESSOR_ARCHITECTURE_*, for minidumps */

	struct pss_arch_regset regsets[PSS_ARCH_REGSETS_MAX]; /**< ends with note_type 0 */

	/** System call instruction followed by a plain return; any of them will do. */
	struct pss_arch_code call_code[2];
	/** A sequence that calls rt_sigreturn; any of them will do. */
	struct pss_arch_code return_code[3];

	/** The set that the kernel gives for a thread with a shadow stack only, or 0. */
	uint32_t shadow_stack_note_type;

	/** The register set that a frame needs beside the general registers. */
	uint32_t frame_note_type;

	/** Where user space ends, for a program that asks for no address above that. */
	uint64_t user_end;

	/** Bytes below the stack pointer that belong to the running function. */
	uint32_t red_zone;

	uint64_t (*instruction_pointer)(const struct pss_general *general);
	uint64_t (*stack_pointer)(const struct pss_general *general);
	uint64_t (*thread_pointer)(const struct pss_general *general);

	/** The system call the thread stopped in: number and arguments. False if in none. */
	bool (*in_syscall)(const struct pss_general *general, int64_t *number_ret,
			   uint64_t arguments_ret[6]);

	/** What a system call that has just returned gave back: a value or -errno. */
	int64_t (*syscall_result)(const struct pss_general *general);

	/** Makes @general carry out @call when the thread is let run. */
	void (*set_call)(struct pss_general *general, const struct pss_arch_call *call);

	/** If the call failed with a bare -EINTR: makes the kernel restart it. Else false. */
	bool (*restart_interrupted)(struct pss_general *general);

	/** As the registers must be for the interrupted call, if any, to be made anew from user
	 * mode. */
	void (*rewind_call)(struct pss_general *general);

	/** Whether the thread runs 32-bit code: another table of system calls. */
	bool (*is_32bit)(const struct pss_general *general);

	/** Room a frame needs below an address, for an extended state of @extended_size bytes. */
	size_t (*frame_size)(const void *extended, size_t extended_size);

	/** Where in the @size bytes at @bottom the frame begins: the stack pointer for set_call. */
	uint64_t (*frame_address)(uint64_t bottom, size_t size);

	/** Size of this machine's Windows CONTEXT. */
	size_t context_size;

	/**
	 * Fills a CONTEXT of context_size bytes from the sets at hand: the groups that
	 * @context_flags (CONTEXT_*) asks for and the sets can give, said so in its ContextFlags.
	 */
	void (*build_context)(const struct pss_arch_registers *registers, uint32_t context_flags,
			      void *context);

	/** The CPU's cycle counter, or one that ticks at a constant rate. */
	uint64_t (*cycles)(void);

	/**
	 * A register set in the form that core files should hold: bytes put in @out, or 0 to use it
	 * as it is. NULL where all are used as they are.
	 */
	size_t (*core_regset)(uint32_t note_type, const void *bytes, size_t size, void *out,
			      size_t room);

	/**
	 * Payload of a note, once in a core, that says how the extended sets in it are laid out; 0
	 * if there is nothing to say. @extended is one of them as the kernel gave it. NULL: never
	 * any.
	 */
	size_t (*core_layout)(const void *extended, size_t size, uint32_t *note_type_ret, void *out,
			      size_t room);

	/** Fills @bytes, which will be copied to frame->address, frame_size() at most. */
	int (*build_frame)(const struct pss_arch_frame *frame, uint8_t *bytes, size_t size);
};

/** The machine this library was built for. */
extern const struct pss_arch pss_arch_x86_64;
extern const struct pss_arch pss_arch_aarch64;

/** The instance for the machine that runs us. */
const struct pss_arch *pss_arch_native(void);

#endif
