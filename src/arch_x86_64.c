// SPDX-License-Identifier: LGPL-2.1-or-later
// x86-64: where registers lie in PTRACE_GETREGSET's sets, how a stopped thread is made to call the
// kernel, and the signal frame that its rt_sigreturn takes back. See struct pss_arch in arch.h.
#include "arch.h"

#if defined(__x86_64__)

#include <assert.h>
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/user.h>
#include <x86intrin.h>

#include "arch_context.h"
#include "arch_core.h"
#include "base/checked.h"

#ifndef NT_X86_SHSTK
#define NT_X86_SHSTK 0x204 // Linux 6.6
#endif
#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif

enum {
	ERESTARTSYS_KERNEL = 512, // include/linux/errno.h: never seen by programs, but by ptrace
	ERESTARTNOINTR_KERNEL = 513,
	ERESTARTNOHAND_KERNEL = 514,
	ERESTART_RESTARTBLOCK_KERNEL = 516,
	SYSCALL_INSTRUCTION_SIZE = 2,
	USER_CS_32BIT = 0x23,
	RED_ZONE = 128,
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
	return load(general).rip;
}

static uint64_t stack_pointer(const struct pss_general *general)
{
	return load(general).rsp;
}

static uint64_t thread_pointer(const struct pss_general *general)
{
	return load(general).fs_base;
}

static bool is_restart(int64_t result)
{
	return result == -ERESTARTSYS_KERNEL || result == -ERESTARTNOINTR_KERNEL ||
	       result == -ERESTARTNOHAND_KERNEL || result == -ERESTART_RESTARTBLOCK_KERNEL;
}

static bool in_syscall(const struct pss_general *general, int64_t *number_ret,
		       uint64_t arguments_ret[6])
{
	struct user_regs_struct regs = load(general);
	int64_t result = (int64_t)regs.rax;

	// orig_rax is -1 or another negative number unless the thread came by a system call. A call
	// that had ended when the thread was stopped shows its result here instead.
	if ((int64_t)regs.orig_rax < 0 || !(is_restart(result) || result == -EINTR))
		return false;
	*number_ret = (int64_t)regs.orig_rax;
	uint64_t arguments[6] = { regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9 };
	memcpy(arguments_ret, arguments, sizeof arguments);
	return true;
}

static int64_t syscall_result(const struct pss_general *general)
{
	return (int64_t)load(general).rax;
}

static void set_call(struct pss_general *general, const struct pss_arch_call *call)
{
	struct user_regs_struct regs = load(general);

	regs.rax = (uint64_t)call->number;
	regs.rdi = call->arguments[0];
	regs.rsi = call->arguments[1];
	regs.rdx = call->arguments[2];
	regs.r10 = call->arguments[3];
	regs.r8 = call->arguments[4];
	regs.r9 = call->arguments[5];
	regs.rip = call->instruction;
	regs.rsp = call->stack;
	regs.orig_rax = UINT64_MAX; // no call to restart
	store(general, &regs);
}

static bool restart_interrupted(struct pss_general *general)
{
	struct user_regs_struct regs = load(general);

	if ((int64_t)regs.orig_rax < 0 || (int64_t)regs.rax != -EINTR)
		return false;
	regs.rax = (uint64_t)-ERESTARTNOHAND_KERNEL;
	store(general, &regs);
	return true;
}

static void rewind_call(struct pss_general *general)
{
	struct user_regs_struct regs = load(general);

	if ((int64_t)regs.orig_rax < 0 || !is_restart((int64_t)regs.rax))
		return;
	regs.rax = regs.orig_rax;
	regs.rip -= SYSCALL_INSTRUCTION_SIZE;
	regs.orig_rax = UINT64_MAX;
	store(general, &regs);
}

static bool is_32bit(const struct pss_general *general)
{
	return load(general).cs == USER_CS_32BIT;
}

// The frame as arch/x86/kernel/signal_64.c reads it back. rt_sigreturn is called with the stack
// pointer just above return_code.
struct frame {
	uint64_t return_code;
	uint64_t uc_flags;
	uint64_t uc_link;
	uint64_t uc_stack_pointer;
	uint32_t uc_stack_flags;
	uint32_t uc_stack_pad;
	uint64_t uc_stack_size;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, eflags;
	uint16_t cs, gs, fs, ss;
	uint64_t error, trap, old_mask, cr2;
	uint64_t fpstate;
	uint64_t reserved[8];
	uint64_t signal_mask;
};
static_assert(sizeof(struct frame) == 8 + 304, "rt_sigframe up to uc_sigmask");

enum {
	UC_FP_XSTATE = 1,
	UC_SIGCONTEXT_SS = 2,
	UC_STRICT_RESTORE_SS = 4,
	// No such mode: sigaltstack refuses it, and rt_sigreturn ignores the refusal. So the thread
	// keeps the alternate stack it has, which ptrace cannot tell us.
	STACK_FLAGS_INVALID = 0x7ffffff0,
};

// The software-reserved bytes at 464 of the FXSAVE area, as the kernel's struct _fpx_sw_bytes.
struct xsave_words {
	uint32_t magic1;
	uint32_t extended_size;
	uint64_t features;
	uint32_t xstate_size;
	uint32_t padding[7];
};
static_assert(sizeof(struct xsave_words) == 48, "sw_reserved of FXSAVE");

enum {
	XSAVE_WORDS_OFFSET = 464,
	XSAVE_HEADER_OFFSET = 512,
	XSAVE_LEGACY_SIZE = 576,
	XSAVE_ALIGNMENT = 64,
	XSAVE_MAGIC1 = 0x46505853,
	XSAVE_MAGIC2 = 0x46505845,
	XSAVE_MAGIC2_SIZE = 4,
	XSAVE_LEAF = 0xd,
	XSAVE_FEATURE_PKRU = 9,
	XSAVE_FEATURES_LEGACY = 3, // x87 and SSE
};

// The components that the frame has to restore. PKRU is always among them where it exists: the
// kernel fills in its value even when the header says that it is in its initial state.
static uint64_t frame_features(const uint8_t *xsave)
{
	uint32_t eax, ebx, ecx, edx;
	uint64_t features;

	memcpy(&features, xsave + XSAVE_HEADER_OFFSET, sizeof features);
	if (__get_cpuid_count(XSAVE_LEAF, 0, &eax, &ebx, &ecx, &edx) &&
	    (eax & (1u << XSAVE_FEATURE_PKRU)))
		features |= 1u << XSAVE_FEATURE_PKRU;
	return features | XSAVE_FEATURES_LEGACY;
}

// Bytes of the standard format up to the end of the last of @features. Never more than the thread's
// own signal frames have, since those hold every component that it may use.
static size_t xsave_size(uint64_t features)
{
	size_t size = XSAVE_LEGACY_SIZE;

	for (unsigned i = 2; i < 63; i++) {
		uint32_t eax, ebx, ecx, edx;

		if (!(features & (1ull << i)) ||
		    !__get_cpuid_count(XSAVE_LEAF, i, &eax, &ebx, &ecx, &edx))
			continue;
		if ((size_t)eax + ebx > size)
			size = (size_t)eax + ebx;
	}
	return size;
}

static size_t frame_size(const void *extended, size_t extended_size)
{
	size_t size = sizeof(struct frame);

	if (extended && extended_size >= XSAVE_LEGACY_SIZE)
		size += XSAVE_ALIGNMENT + xsave_size(frame_features(extended)) + XSAVE_MAGIC2_SIZE;
	return pss_align_up(size, 16);
}

static uint64_t frame_address(uint64_t bottom, size_t size)
{
	(void)size;
	return pss_align_up(bottom, 16);
}

// Copies the extended state and marks it as a complete one. Returns its offset in the frame.
static int build_xsave(const struct pss_arch_frame *frame, uint8_t *bytes, size_t size,
		       uint64_t *offset_ret)
{
	uint64_t features = frame_features(frame->extended);
	size_t state_size = xsave_size(features);
	uint64_t address = pss_align_up(frame->address + sizeof(struct frame), XSAVE_ALIGNMENT);
	uint64_t offset = address - frame->address;
	uint32_t magic2 = XSAVE_MAGIC2;
	struct xsave_words words = {
		.magic1 = XSAVE_MAGIC1,
		.extended_size = (uint32_t)(state_size + XSAVE_MAGIC2_SIZE),
		.features = features,
		.xstate_size = (uint32_t)state_size,
	};

	if (state_size > frame->extended_size ||
	    !pss_in_range(offset, state_size + XSAVE_MAGIC2_SIZE, size))
		return -ENOSPC;
	memcpy(bytes + offset, frame->extended, state_size);
	memcpy(bytes + offset + XSAVE_WORDS_OFFSET, &words, sizeof words);
	memcpy(bytes + offset + XSAVE_HEADER_OFFSET, &features, sizeof features);
	memcpy(bytes + offset + state_size, &magic2, sizeof magic2);
	*offset_ret = offset;
	return 0;
}

static int build_frame(const struct pss_arch_frame *frame, uint8_t *bytes, size_t size)
{
	struct user_regs_struct regs = load(frame->general);
	struct frame image = {
		.return_code = frame->return_code,
		.uc_flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
		.uc_stack_flags = STACK_FLAGS_INVALID,
		.r8 = regs.r8,
		.r9 = regs.r9,
		.r10 = regs.r10,
		.r11 = regs.r11,
		.r12 = regs.r12,
		.r13 = regs.r13,
		.r14 = regs.r14,
		.r15 = regs.r15,
		.rdi = regs.rdi,
		.rsi = regs.rsi,
		.rbp = regs.rbp,
		.rbx = regs.rbx,
		.rdx = regs.rdx,
		.rax = regs.rax,
		.rcx = regs.rcx,
		.rsp = regs.rsp,
		.rip = regs.rip,
		.eflags = regs.eflags,
		.cs = (uint16_t)regs.cs,
		.ss = (uint16_t)regs.ss,
		.signal_mask = frame->signal_mask,
	};

	if (size < sizeof image)
		return -ENOSPC;
	if (frame->extended && frame->extended_size >= XSAVE_LEGACY_SIZE) {
		uint64_t offset;
		int r = build_xsave(frame, bytes, size, &offset);

		if (r < 0)
			return r;
		image.uc_flags |= UC_FP_XSTATE;
		image.fpstate = frame->address + offset;
	}
	memcpy(bytes, &image, sizeof image);
	return 0;
}

static uint64_t cycles(void)
{
	return __rdtsc();
}

const struct pss_arch pss_arch_x86_64 = {
	.name = "x86-64",
	.elf_machine = EM_X86_64,
	.windows_machine = 9,
	.regsets = {
		{ .note_type = NT_PRSTATUS },
		{ .note_type = NT_PRFPREG },
		{ .note_type = NT_X86_XSTATE, .is_extended = true },
	},
	.call_code = {
		{ .bytes = { 0x0f, 0x05, 0xc3 }, .size = 3 }, // syscall; ret
	},
	.return_code = {
		// mov $15,%rax; syscall
		{ .bytes = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 }, .size = 9 },
		// mov $15,%eax; syscall
		{ .bytes = { 0xb8, 0x0f, 0, 0, 0, 0x0f, 0x05 }, .size = 7 },
	},
	.shadow_stack_note_type = NT_X86_SHSTK,
	.frame_note_type = NT_X86_XSTATE,
	.user_end = 0x7ffffffff000,
	.red_zone = RED_ZONE,
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
	.context_size = PSS_ARCH_X86_64_CONTEXT_SIZE,
	.build_context = pss_arch_x86_64_build_context,
	.cycles = cycles,
	.core_regset = pss_arch_x86_64_core_regset,
	.core_layout = pss_arch_x86_64_core_layout,
};

const struct pss_arch *pss_arch_native(void)
{
	return &pss_arch_x86_64;
}

#endif
