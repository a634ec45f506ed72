// SPDX-License-Identifier: LGPL-2.1-or-later
// aarch64: where registers lie in PTRACE_GETREGSET's sets, how a stopped thread is made to call the
// kernel, and the signal frame that its rt_sigreturn takes back. See struct pss_arch in arch.h.
#include "arch.h"

#if defined(__aarch64__)

#include <assert.h>
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/user.h>

#include "arch_context.h"
#include "base/checked.h"

enum {
	X_ARGUMENTS = 6,
	X_SYSCALL_NUMBER = 8,
	X_LINK = 30,
	PSTATE_32BIT = 0x10,
};

static struct user_regs_struct load(const struct pss_general *general)
{
	struct user_regs_struct regs;

	memcpy(&regs, general->bytes, sizeof regs);
	return regs;
}

static void store(struct pss_general *general, const struct user_regs_struct *regs)
{
	memcpy(general->bytes, regs, sizeof *regs);
}

static uint64_t instruction_pointer(const struct pss_general *general)
{
	return load(general).pc;
}

static uint64_t stack_pointer(const struct pss_general *general)
{
	return load(general).sp;
}

// TPIDR_EL0 is in a set of its own (NT_ARM_TLS), which is stored with the others.
static uint64_t thread_pointer(const struct pss_general *general)
{
	(void)general;
	return 0;
}

// The kernel has rewound a call that is to be restarted before a tracer sees the thread, so that x8
// still tells the number; whether the thread is in a call at all it does not tell.
static bool in_syscall(const struct pss_general *general, int64_t *number_ret,
		       uint64_t arguments_ret[6])
{
	(void)general;
	(void)number_ret;
	(void)arguments_ret;
	return false;
}

static int64_t syscall_result(const struct pss_general *general)
{
	return (int64_t)load(general).regs[0];
}

static void set_call(struct pss_general *general, const struct pss_arch_call *call)
{
	struct user_regs_struct regs = load(general);

	memcpy(regs.regs, call->arguments, X_ARGUMENTS * sizeof regs.regs[0]);
	regs.regs[X_SYSCALL_NUMBER] = (uint64_t)call->number;
	regs.regs[X_LINK] = call->return_to;
	regs.pc = call->instruction;
	regs.sp = call->stack;
	store(general, &regs);
}

// A bare -EINTR has overwritten x0, the call's first argument: it can't be made again from here.
static bool restart_interrupted(struct pss_general *general)
{
	(void)general;
	return false;
}

// Already done by the kernel; see in_syscall().
static void rewind_call(struct pss_general *general)
{
	(void)general;
}

static bool is_32bit(const struct pss_general *general)
{
	return (load(general).pstate & PSTATE_32BIT) != 0;
}

// The frame as arch/arm64/kernel/signal.c reads it back, the stack pointer at its start.
struct frame {
	uint8_t siginfo[128];
	uint64_t uc_flags;
	uint64_t uc_link;
	uint64_t uc_stack_pointer;
	uint32_t uc_stack_flags;
	uint32_t uc_stack_pad;
	uint64_t uc_stack_size;
	uint64_t signal_mask;
	uint8_t signal_mask_pad[120];
	_Alignas(16) uint64_t fault_address;
	uint64_t regs[31];
	uint64_t sp;
	uint64_t pc;
	uint64_t pstate;
	_Alignas(16) uint32_t fpsimd_magic;
	uint32_t fpsimd_size;
	uint32_t fpsr;
	uint32_t fpcr;
	uint8_t v[512];
	uint32_t end_magic;
	uint32_t end_size;
	// The kernel checks access to the whole of uc_mcontext.__reserved.
	uint8_t reserved[4096 - 528 - 8];
};
static_assert(offsetof(struct frame, fault_address) == 128 + 176, "uc_mcontext");
static_assert(offsetof(struct frame, fpsimd_magic) == 128 + 176 + 288, "__reserved");

enum {
	STACK_FLAGS_INVALID = 0x7ffffff0, // refused by sigaltstack: the thread keeps what it has
	FPSIMD_MAGIC = 0x46508001,
	FPSIMD_SIZE = 528,
	FPSIMD_V_SIZE = 512,
};

static size_t frame_size(const void *extended, size_t extended_size)
{
	(void)extended;
	(void)extended_size;
	return sizeof(struct frame) + 16;
}

static uint64_t frame_address(uint64_t bottom, size_t size)
{
	(void)size;
	return pss_align_up(bottom, 16);
}

static int build_frame(const struct pss_arch_frame *frame, uint8_t *bytes, size_t size)
{
	struct user_regs_struct regs = load(frame->general);
	struct frame image = {
		.uc_stack_flags = STACK_FLAGS_INVALID,
		.signal_mask = frame->signal_mask,
		.sp = regs.sp,
		.pc = regs.pc,
		.pstate = regs.pstate,
		.fpsimd_magic = FPSIMD_MAGIC,
		.fpsimd_size = FPSIMD_SIZE,
	};

	if (size < sizeof image)
		return -ENOSPC;
	memcpy(image.regs, regs.regs, sizeof image.regs);
	// NT_PRFPREG: 32 vector registers, fpsr, fpcr.
	if (frame->extended && frame->extended_size >= FPSIMD_V_SIZE + 8) {
		const uint8_t *state = frame->extended;

		memcpy(image.v, state, FPSIMD_V_SIZE);
		memcpy(&image.fpsr, state + FPSIMD_V_SIZE, 4);
		memcpy(&image.fpcr, state + FPSIMD_V_SIZE + 4, 4);
	}
	memcpy(bytes, &image, sizeof image);
	return 0;
}

static uint64_t cycles(void)
{
	uint64_t ticks;

	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
}

const struct pss_arch pss_arch_aarch64 = {
	.name = "aarch64",
	.elf_machine = EM_AARCH64,
	.windows_machine = 12,
	.regsets = {
		{ .note_type = NT_PRSTATUS },
		{ .note_type = NT_PRFPREG },
		{ .note_type = NT_ARM_TLS },
		{ .note_type = NT_ARM_PAC_MASK },
		{ .note_type = NT_ARM_SVE, .is_extended = true },
	},
	.call_code = {
		{ .bytes = { 0x01, 0, 0, 0xd4, 0xc0, 0x03, 0x5f, 0xd6 }, .size = 8 }, // svc #0; ret
	},
	.return_code = {
		// mov x8, #139; svc #0: the vDSO's __kernel_rt_sigreturn
		{ .bytes = { 0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4 }, .size = 8 },
	},
	.frame_note_type = NT_PRFPREG,
	.user_end = 0x1000000000000,
	.red_zone = 0,
	.instruction_pointer = instruction_pointer,
	.stack_pointer = stack_pointer,
	.thread_pointer = thread_pointer,
	.in_syscall = in_syscall,
	.syscall_result = syscall_result,
	.set_call = set_call,
	.restart_interrupted = restart_interrupted,
	.rewind_call = rewind_call,
	.is_32bit = is_32bit,
	.frame_size = frame_size,
	.frame_address = frame_address,
	.build_frame = build_frame,
	.context_size = PSS_ARCH_AARCH64_CONTEXT_SIZE,
	.build_context = pss_arch_aarch64_build_context,
	.cycles = cycles,
};

const struct pss_arch *pss_arch_native(void)
{
	return &pss_arch_aarch64;
}

#endif
