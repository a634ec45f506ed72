// SPDX-License-Identifier: LGPL-2.1-or-later
// Registers: a snapshot has the values that the threads hold, in Windows' form and in the kernel's,
// and the threads have them still, vector registers and rounding modes too.
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/user.h>

#include "../targets/regs.h"
#include "harness.h"

#if defined(__x86_64__)

static const uint32_t FLAGS = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			      PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_THREAD_CONTEXT_EXTENDED;

// Copies the entry of thread @tid; its CONTEXT lives as long as @marker.
static PSS_THREAD_ENTRY walk_to(HPSS snapshot, HPSSWALK marker, pid_t tid)
{
	PSS_THREAD_ENTRY entry;

	do
		assert_success(
			PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, &entry, sizeof(entry)));
	while (entry.ThreadId != (DWORD)tid);
	return entry;
}

static uint64_t wanted(enum regs_general number, bool blocked, const struct target *target)
{
	if (blocked && number == REGS_RDI)
		return target_value(target, "pipe");
	if (blocked && number == REGS_RSI)
		return target_value(target, "byte");
	if (blocked && number == REGS_RDX)
		return 1;
	return REGS_GENERAL(number);
}

// rax, rcx and r11 of a thread in a system call are the kernel's.
static bool is_known(enum regs_general number, bool blocked)
{
	return !blocked || (number != REGS_RAX && number != REGS_RCX && number != REGS_R11);
}

static void assert_general(const uint64_t found[REGS_COUNT], bool blocked,
			   const struct target *target)
{
	for (int i = 0; i < REGS_COUNT; i++)
		if (is_known(i, blocked) && found[i] != wanted(i, blocked, target))
			harness_fail("register %d is %#llx, not %#llx", i,
				     (unsigned long long)found[i],
				     (unsigned long long)wanted(i, blocked, target));
}

static void assert_context(const CONTEXT *context, bool blocked, const struct target *target)
{
	const uint64_t found[REGS_COUNT] = {
		context->Rax, context->Rbx, context->Rcx, context->Rdx, context->Rsi,
		context->Rdi, context->Rbp, context->R8,  context->R9,  context->R10,
		context->R11, context->R12, context->R13, context->R14, context->R15,
	};
	const M128A *xmm = context->FltSave.XmmRegisters;

	assert_int_equal((uintptr_t)context % 16, 0);
	assert_int_equal(context->ContextFlags & CONTEXT_FULL, CONTEXT_FULL);
	assert_general(found, blocked, target);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(xmm[i].Low, REGS_VECTOR(i, 0));
		assert_int_equal((uint64_t)xmm[i].High, REGS_VECTOR(i, 1));
	}
	if (blocked)
		assert_int_equal(context->Rip, target_value(target, "block_at"));
	else
		assert_in_range(context->Rip - target_value(target, "spin_at"), 0, 16);
}

static void assert_kernel_form(HPSS snapshot, pid_t tid, bool blocked, const struct target *target)
{
	struct user_regs_struct regs;
	struct user_fpregs_struct fp;
	SIZE_T length = sizeof(regs);
	DWORD index;

	assert_true(harness_find_thread(snapshot, tid, NULL, &index));
	assert_success(PssxQueryRegisters(snapshot, index, NT_PRSTATUS, &regs, &length));
	assert_int_equal(length, sizeof(regs));
	const uint64_t found[REGS_COUNT] = {
		regs.rax, regs.rbx, regs.rcx, regs.rdx, regs.rsi, regs.rdi, regs.rbp, regs.r8,
		regs.r9,  regs.r10, regs.r11, regs.r12, regs.r13, regs.r14, regs.r15,
	};
	assert_general(found, blocked, target);
	length = sizeof(fp);
	assert_success(PssxQueryRegisters(snapshot, index, NT_PRFPREG, &fp, &length));
	for (int i = 0; i < 16; i++) {
		uint64_t low;

		memcpy(&low, &fp.xmm_space[i * 4], sizeof(low));
		assert_int_equal(low, REGS_VECTOR(i, 0));
	}
}

// The upper half of ymm0 to ymm15 lies at 576 in the standard layout that the kernel gives.
static void assert_upper_halves(HPSS snapshot, pid_t tid)
{
	static uint8_t xstate[65536];
	SIZE_T length = 0;
	DWORD index;

	assert_true(harness_find_thread(snapshot, tid, NULL, &index));
	assert_int_equal(PssxQueryRegisters(snapshot, index, NT_X86_XSTATE, xstate, &length),
			 ERROR_INSUFFICIENT_BUFFER);
	assert_in_range(length, 832, sizeof(xstate));
	assert_success(PssxQueryRegisters(snapshot, index, NT_X86_XSTATE, xstate, &length));
	for (int i = 0; i < 16; i++) {
		uint64_t upper[2];

		memcpy(upper, xstate + 576 + i * 16, sizeof(upper));
		assert_int_equal(upper[0], REGS_VECTOR(i, 2));
		assert_int_equal(upper[1], REGS_VECTOR(i, 3));
	}
}

static void snapshot_has_the_registers(void **state)
{
	_cleanup_target_ struct target *target = target_start("regs", NULL);
	pid_t tids[2];
	HPSSWALK marker;
	HPSS snapshot;

	(void)state;
	if (!target)
		skip();
	tids[0] = (pid_t)target_value(target, "spin_tid");
	tids[1] = (pid_t)target_value(target, "block_tid");
	for (int round = 0; round < 20; round++) {
		snapshot = harness_capture(target, FLAGS);
		for (int blocked = 0; blocked < 2; blocked++) {
			assert_success(PssWalkMarkerCreate(NULL, &marker));
			PSS_THREAD_ENTRY entry = walk_to(snapshot, marker, tids[blocked]);
			PSSX_THREAD thread;

			assert_true(entry.SizeOfContextRecord >= sizeof(CONTEXT));
			assert_context(entry.ContextRecord, blocked, target);
			assert_kernel_form(snapshot, tids[blocked], blocked, target);
			assert_upper_halves(snapshot, tids[blocked]);
			assert_true(harness_find_thread(snapshot, tids[blocked], &thread, NULL));
			assert_int_equal(thread.SyscallNumber, blocked ? 0 : -1);
			assert_success(PssWalkMarkerFree(marker));
		}
		harness_free_snapshot(snapshot);
	}
	target_ask(target, "check");
	assert_int_equal(target_answer(target, "wrong"), 0);
	target_assert_unharmed(target);
}

static void context_flags_choose_the_groups(void **state)
{
	_cleanup_target_ struct target *target = target_start("regs", NULL);
	HPSS snapshot = NULL;
	HPSSWALK marker;
	PSS_THREAD_ENTRY entry;

	(void)state;
	if (!target)
		skip();
	assert_success(PssCaptureSnapshot(target_handle(target),
					  PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT,
					  CONTEXT_CONTROL, &snapshot));
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	entry = walk_to(snapshot, marker, (pid_t)target_value(target, "spin_tid"));
	assert_int_equal(entry.ContextRecord->ContextFlags & CONTEXT_ALL, CONTEXT_CONTROL);
	assert_int_not_equal(entry.ContextRecord->Rip, 0);
	assert_int_equal(entry.ContextRecord->Rbx, 0);
	assert_int_equal(entry.ContextRecord->FltSave.XmmRegisters[1].Low, 0);
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(snapshot);
	target_ask(target, "check");
	assert_int_equal(target_answer(target, "wrong"), 0);
}

static void computing_threads_notice_nothing(void **state)
{
	_cleanup_target_ struct target *target = target_start("vector", "3", NULL);

	(void)state;
	if (!target)
		skip();
	for (int i = 0; i < 100; i++) {
		harness_free_snapshot(harness_capture(target, FLAGS));
		if (i % 10 == 0)
			target_wait_for_beat(target);
	}
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snapshot_has_the_registers),
		cmocka_unit_test(context_flags_choose_the_groups),
		cmocka_unit_test(computing_threads_notice_nothing),
	};

	harness_begin("test_registers");
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
	puts("skipped: written for x86-64 only");
	return 77;
}

#endif
