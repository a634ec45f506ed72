// SPDX-License-Identifier: LGPL-2.1-or-later
// Hazards of the processor: 32-bit programs, and 32-bit code in a 64-bit one. Shadow stacks and the
// tiles of AMX are for machines that have them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_THREAD_CONTEXT_EXTENDED |
			     PSS_CAPTURE_VA_SPACE;

enum { CAPTURES = 20 };

static void memory_of_a_32_bit_program_is_refused_before_it_is_stopped(void **state)
{
	_cleanup_target_ struct target *target = target_start("small32", NULL);
	PSS_PROCESS_INFORMATION information;
	struct patient *patient = patient_record(target->pid);
	unsigned long switches = harness_switches_of(target->pid);
	HPSS snapshot = NULL;

	(void)state;
	assert_int_equal(PssCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &snapshot),
			 ERROR_NOT_SUPPORTED);
	assert_null(snapshot);
	if (!strstr(PssxErrorText(), "32-bit") || !strstr(PssxErrorText(), "gcore"))
		harness_fail("does not name reason and cure: %s", PssxErrorText());
	assert_int_equal(harness_switches_of(target->pid), switches);
	// The rest works, and says what it is.
	snapshot = harness_capture(target, PSS_CAPTURE_THREADS | PSS_CAPTURE_VA_SPACE);
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &information,
					sizeof(information)));
	assert_true(information.Flags & PSS_PROCESS_FLAGS_WOW64);
	harness_free_snapshot(snapshot);
	snapshot = harness_capture(target, PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT);
	harness_free_snapshot(snapshot);
	patient_assert_same(patient);
	patient_free(patient);
	target_assert_unharmed(target);
}

static void assert_goes_on(const struct target *target)
{
	uint64_t since = harness_now_ns(), before, low = target_value(target, "low");

	before = target_read_word(target, low);
	while (target_read_word(target, low) == before) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("32-bit code does not go on");
		harness_breathe();
	}
}

static void capture_mixed(const char *who)
{
	_cleanup_target_ struct target *target = target_start("mixed_code", who, NULL);
	struct patient *patient = patient_record(target->pid);
	unsigned in_32_bit_code = 0;

	for (int i = 0; i < CAPTURES; i++) {
		HPSS snapshot = harness_capture(target, FULL);
		PSSX_THREAD thread = { .Size = sizeof(thread) };

		for (DWORD t = 0; PssxQueryThread(snapshot, t, &thread) == ERROR_SUCCESS; t++)
			in_32_bit_code += (thread.Flags & PSSX_THREAD_HAS_REGISTERS) &&
					  (pid_t)thread.ThreadId != target->server;
		harness_free_snapshot(snapshot);
		assert_goes_on(target);
	}
	assert_int_equal(in_32_bit_code, CAPTURES);
	patient_assert_same(patient);
	patient_free(patient);
	target_assert_unharmed(target);
}

static void a_thread_in_32_bit_code_makes_no_calls_for_us(void **state)
{
	(void)state;
	capture_mixed(NULL);
	capture_mixed("leader");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_of_a_32_bit_program_is_refused_before_it_is_stopped),
		cmocka_unit_test(a_thread_in_32_bit_code_makes_no_calls_for_us),
	};

#if !defined(__x86_64__)
	printf("skipped: of x86-64 only\n");
	return 77;
#endif
	harness_begin("test_hazard_arch");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
