// SPDX-License-Identifier: LGPL-2.1-or-later
// Closing descriptors of other processes, below the API: only what is proven to be the same.
#include <errno.h>

#include "harness.h"

// The harness has a cleanup of that name, too.
#undef _cleanup_target_
#include "remote.h"

static HANDLE const self = (HANDLE)(intptr_t)-1;

static int fd_of(const void *handle)
{
	return (int)(intptr_t)handle;
}

// Between the look from outside and the closing, a number may become another thing's.
static void a_number_that_is_another_file_by_now_is_not_closed(void **state)
{
	struct target *keeper = target_start("leader_waits", "read", NULL);
	struct pss_target holder = PSS_TARGET_EMPTY;
	HPSS snapshot = NULL, there = NULL, copy = NULL;
	struct patient *patient;

	(void)state;
	assert_success(PssCaptureSnapshot(self, PSS_CAPTURE_NONE, 0, &snapshot));
	assert_success(PssCaptureSnapshot(self, PSS_CAPTURE_NONE, 0, &copy));
	assert_success(PssDuplicateSnapshot(self, snapshot, target_handle(keeper), &there, 0));
	target_wait_asleep(keeper);
	patient = patient_record(keeper->pid);
	assert_int_equal(pss_target_open(keeper->pidfd, NULL, &holder), 0);
	assert_int_equal(pss_remote_close(&holder, 0, fd_of(snapshot), NULL), 0);
	assert_int_equal(pss_remote_close(&holder, fd_of(there), fd_of(copy), NULL), 0);
	assert_int_equal(pss_remote_close(&holder, 4000, fd_of(snapshot), NULL), 0);
	patient_assert_same(patient);
	patient_free(patient);
	assert_int_equal(pss_remote_close(&holder, fd_of(there), fd_of(snapshot), NULL), 0);
	pss_target_close(&holder);
	harness_free_snapshot(snapshot);
	harness_free_snapshot(copy);
	target_assert_unharmed(keeper);
	target_stop(keeper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_that_is_another_file_by_now_is_not_closed),
	};

	harness_begin("test_remote_close");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
