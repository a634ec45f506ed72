// SPDX-License-Identifier: LGPL-2.1-or-later
// The table of descriptors is that of one instant if anything was stopped, each entry is of one
// file if nothing was, and neither the target's table nor ours is changed by the reading.
#include <sys/eventfd.h>

#include "handles.h"

enum { CHURN_CAPTURES = 100 };

static uint64_t position_of(HPSS snapshot, const struct target *target, const char *kind)
{
	return get_native(snapshot, target, kind)->Position;
}

static uint64_t count_of(HPSS snapshot, const struct target *target, const char *kind)
{
	PSSX_HANDLE *handle = get_native(snapshot, target, kind);

	assert_true(handle->Flags & PSSX_HANDLE_HAS_COUNT);
	return handle->Count;
}

static void assert_untorn(HPSS snapshot, const struct target *target)
{
	uint64_t event = count_of(snapshot, target, "pair_event");
	uint64_t event_other = count_of(snapshot, target, "pair_event_other");
	uint64_t file = position_of(snapshot, target, "pair_file");
	uint64_t file_other = position_of(snapshot, target, "pair_file_other");
	PSSX_HANDLE token;
	bool has_token = find_native(snapshot, target_value(target, "token"), &token);

	if (has_token)
		assert_int_equal(token.Kind, PSSX_HANDLE_KIND_FILE);
	bool has_other = find_native(snapshot, target_value(target, "token_other"), &token);
	if (has_other)
		assert_int_equal(token.Kind, PSSX_HANDLE_KIND_EVENT);
	assert_true(has_token || has_other);
	assert_true(event - event_other <= 1);
	assert_true(file - file_other <= 1);
	assert_true(event_other - file <= 1);
	assert_true(event - file_other <= 1);
}

// Two threads change descriptors all the time; the table of no snapshot is half before and half
// after a change.
static void the_table_is_that_of_one_instant(void **state)
{
	_cleanup_target_ struct target *target = start("churn", NULL);
	uint64_t last = 0;

	(void)state;
	for (int i = 0; i < CHURN_CAPTURES; i++) {
		HPSS snapshot = harness_capture(target, i % 2 ? WITH_STOP
							      : ALL | PSS_CAPTURE_THREADS |
									PSS_CAPTURE_THREAD_CONTEXT);
		uint64_t now = count_of(snapshot, target, "pair_event");

		assert_untorn(snapshot, target);
		assert_true(now >= last);
		last = now;
		harness_free_snapshot(snapshot);
	}
	assert_int_equal(target_counters(target).wrong, 0);
}

// Without an instant each entry is true for itself: never the link of one file with the state of
// another.
static void without_a_stop_each_entry_is_of_one_file(void **state)
{
	_cleanup_target_ struct target *target = start("churn", NULL);

	(void)state;
	for (int i = 0; i < CHURN_CAPTURES; i++) {
		HPSS snapshot = harness_capture(target, ALL);
		PSSX_FIGURES figures = { .Size = sizeof(figures) };
		PSSX_HANDLE token;

		if (find_native(snapshot, target_value(target, "token"), &token))
			assert_int_equal(token.Kind, PSSX_HANDLE_KIND_FILE);
		if (find_native(snapshot, target_value(target, "token_other"), &token))
			assert_true(token.Flags & PSSX_HANDLE_HAS_COUNT);
		assert_success(PssxQueryFigures(snapshot, &figures));
		assert_int_equal(figures.ThreadsStopped, 0);
		harness_free_snapshot(snapshot);
	}
}

static void target_and_host_are_as_before(void **state)
{
	_cleanup_target_ struct target *target = start(NULL, NULL);
	struct patient *patient = patient_record(target->pid);
	struct host *host = host_record();

	(void)state;
	for (int i = 0; i < 20; i++) {
		harness_free_snapshot(harness_capture(target, WITH_STOP));
		host_assert_same(host);
		harness_free_snapshot(harness_capture(target, ALL));
		host_assert_same(host);
	}
	patient_assert_same(patient);
	patient_free(patient);
	host_free(host);
}

// Numbers that the process has open now, without that of the folder itself.
static size_t count_own(void)
{
	return harness_count_fds(getpid());
}

static void own_table_has_nothing_of_the_capture_in_it(void **state)
{
	static const uint32_t flags[] = { ALL, WITH_STOP };
	int event = eventfd(9, EFD_CLOEXEC);
	struct table table;
	HPSS snapshot;

	(void)state;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		size_t count = count_own();

		assert_success(
			PssCaptureSnapshot(GetCurrentProcess(), flags[i], CONTEXT_ALL, &snapshot));
		walk_table(snapshot, &table);
		for (size_t j = 0; j < table.count; j++)
			if (table.entries[j].Flags & PSS_HANDLE_HAVE_NAME &&
			    strstr(name_of(&table.entries[j]), "/proc/"))
				harness_fail("descriptor %p is %s", table.entries[j].Handle,
					     name_of(&table.entries[j]));
		assert_int_equal(table.count, count);
		const PSS_HANDLE_ENTRY *entry = find_fd(&table, (uint64_t)event);
		assert_true(entry && entry->ObjectType == PSS_OBJECT_TYPE_EVENT);
		drop_table(&table);
		assert_int_equal(count_own(), count);
	}
	close(event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HANDLES_TEST(the_table_is_that_of_one_instant),
		HANDLES_TEST(without_a_stop_each_entry_is_of_one_file),
		HANDLES_TEST(target_and_host_are_as_before),
		HANDLES_TEST(own_table_has_nothing_of_the_capture_in_it),
	};

	harness_begin("test_handles_instant");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
