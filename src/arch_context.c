// SPDX-License-Identifier: LGPL-2.1-or-later
// Windows' CONTEXT out of Linux register sets: copies, no machine of its own needed, so both
// machines' functions are built and tested everywhere.
#include "arch_context.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "win32.h"

static_assert(sizeof(AMD64_NT_CONTEXT) == PSS_ARCH_X86_64_CONTEXT_SIZE, "winnt.h");
static_assert(sizeof(ARM64_NT_CONTEXT) == PSS_ARCH_AARCH64_CONTEXT_SIZE, "winnt.h");

// struct user_regs_struct of x86-64.
enum x86_64_general {
	R15,
	R14,
	R13,
	R12,
	RBP,
	RBX,
	R11,
	R10,
	R9,
	R8,
	RAX,
	RCX,
	RDX,
	RSI,
	RDI,
	ORIG_RAX,
	RIP,
	CS,
	EFLAGS,
	RSP,
	SS,
	FS_BASE,
	GS_BASE,
	DS,
	ES,
	FS,
	GS,
	X86_64_GENERAL_COUNT,
};

static bool wants(uint32_t asked, uint32_t group)
{
	return (asked & group) == group;
}

static void build_x86_64_general(const uint64_t *regs, uint32_t flags, AMD64_NT_CONTEXT *context)
{
	if (wants(flags, CONTEXT_AMD64_CONTROL)) {
		context->SegCs = (WORD)regs[CS];
		context->SegSs = (WORD)regs[SS];
		context->EFlags = (DWORD)regs[EFLAGS];
		context->Rsp = regs[RSP];
		context->Rip = regs[RIP];
		context->ContextFlags |= CONTEXT_AMD64_CONTROL;
	}
	if (wants(flags, CONTEXT_AMD64_INTEGER)) {
		context->Rax = regs[RAX];
		context->Rcx = regs[RCX];
		context->Rdx = regs[RDX];
		context->Rbx = regs[RBX];
		context->Rbp = regs[RBP];
		context->Rsi = regs[RSI];
		context->Rdi = regs[RDI];
		context->R8 = regs[R8];
		context->R9 = regs[R9];
		context->R10 = regs[R10];
		context->R11 = regs[R11];
		context->R12 = regs[R12];
		context->R13 = regs[R13];
		context->R14 = regs[R14];
		context->R15 = regs[R15];
		context->ContextFlags |= CONTEXT_AMD64_INTEGER;
	}
	if (wants(flags, CONTEXT_AMD64_SEGMENTS)) {
		context->SegDs = (WORD)regs[DS];
		context->SegEs = (WORD)regs[ES];
		context->SegFs = (WORD)regs[FS];
		context->SegGs = (WORD)regs[GS];
		context->ContextFlags |= CONTEXT_AMD64_SEGMENTS;
	}
}

void pss_arch_x86_64_build_context(const struct pss_arch_registers *registers, uint32_t flags,
				   void *context)
{
	AMD64_NT_CONTEXT result = { .ContextFlags = CONTEXT_AMD64 };
	uint64_t regs[X86_64_GENERAL_COUNT];

	if (registers->general && registers->general_size >= sizeof regs) {
		memcpy(regs, registers->general, sizeof regs);
		build_x86_64_general(regs, flags, &result);
	}
	// NT_PRFPREG is an FXSAVE image, which is what XMM_SAVE_AREA32 describes.
	if (wants(flags, CONTEXT_AMD64_FLOATING_POINT) && registers->floating &&
	    registers->floating_size >= sizeof result.FltSave) {
		memcpy(&result.FltSave, registers->floating, sizeof result.FltSave);
		result.MxCsr = result.FltSave.MxCsr;
		result.ContextFlags |= CONTEXT_AMD64_FLOATING_POINT;
	}
	memcpy(context, &result, sizeof result);
}

// struct user_pt_regs and struct user_fpsimd_state of aarch64.
struct aarch64_general {
	uint64_t x[31];
	uint64_t sp;
	uint64_t pc;
	uint64_t pstate;
};

struct aarch64_floating {
	uint8_t v[32][16];
	uint32_t fpsr;
	uint32_t fpcr;
};

static void build_aarch64_general(const struct aarch64_general *regs, uint32_t flags,
				  ARM64_NT_CONTEXT *context)
{
	enum { FRAME_POINTER = 29, LINK_REGISTER = 30 };

	if (wants(flags, CONTEXT_ARM64_CONTROL)) {
		context->X[FRAME_POINTER] = regs->x[FRAME_POINTER];
		context->X[LINK_REGISTER] = regs->x[LINK_REGISTER];
		context->Sp = regs->sp;
		context->Pc = regs->pc;
		context->Cpsr = (DWORD)regs->pstate;
		context->ContextFlags |= CONTEXT_ARM64_CONTROL;
	}
	if (wants(flags, CONTEXT_ARM64_INTEGER)) {
		memcpy(context->X, regs->x, FRAME_POINTER * sizeof regs->x[0]);
		context->ContextFlags |= CONTEXT_ARM64_INTEGER;
	}
}

void pss_arch_aarch64_build_context(const struct pss_arch_registers *registers, uint32_t flags,
				    void *context)
{
	ARM64_NT_CONTEXT result = { .ContextFlags = CONTEXT_ARM64 };
	struct aarch64_general general;
	struct aarch64_floating floating;

	if (registers->general && registers->general_size >= sizeof general) {
		memcpy(&general, registers->general, sizeof general);
		build_aarch64_general(&general, flags, &result);
	}
	if (wants(flags, CONTEXT_ARM64_FLOATING_POINT) && registers->floating &&
	    registers->floating_size >= sizeof floating) {
		memcpy(&floating, registers->floating, sizeof floating);
		memcpy(result.V, floating.v, sizeof result.V);
		result.Fpsr = floating.fpsr;
		result.Fpcr = floating.fpcr;
		result.ContextFlags |= CONTEXT_ARM64_FLOATING_POINT;
	}
	memcpy(context, &result, sizeof result);
}
