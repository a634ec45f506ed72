// SPDX-License-Identifier: LGPL-2.1-or-later
// The limits of PssxCaptureSnapshot that protect the target: on the pause, told before or noticed
// on the way, and on the clones that it may have at a time.
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness.h"
#include "helper.h"
#include "procfs.h"
#include "tracee.h"

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;

static const uint64_t MS = 1000000;

#define UNTOUCHED ((HPSS)(intptr_t)0x5a5a)

static DWORD capture(const struct target *target, uint64_t max_pause_ns, uint32_t max_clones,
		     HPSS *snapshot)
{
	const PSSX_CAPTURE_OPTIONS options = {
		.Size = sizeof(options),
		.MaxPauseNs = max_pause_ns,
		.MaxClones = max_clones,
	};

	*snapshot = UNTOUCHED;
	return PssxCaptureSnapshot(target_handle(target), FULL, CONTEXT_ALL, &options, snapshot);
}

static void assert_says(const char *part)
{
	if (!strstr(PssxErrorText(), part))
		harness_fail("\"%s\" is not in: %s", part, PssxErrorText());
}

// From here on a call of ptrace is the end of the process, and of its helpers.
static void forbid_ptrace(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ptrace, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		_exit(120);
}

// The code of a capture in a process that must not trace.
static int code_without_ptrace(const struct target *target, uint64_t max_pause_ns,
			       uint32_t max_clones)
{
	pid_t pid = harness_fork();
	HPSS snapshot;
	int status;

	if (pid == 0) {
		forbid_ptrace();
		DWORD code = capture(target, max_pause_ns, max_clones, &snapshot);

		_exit(code == ERROR_TIMEOUT ? 1 : code == ERROR_NOT_ENOUGH_QUOTA ? 2 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_forecast_beyond_the_limit_is_refused_and_nothing_is_touched(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "4", NULL);
	struct patient *patient = patient_record(target->pid);
	HPSS snapshot;
	char pid[16];

	(void)state;
	assert_int_equal(capture(target, 1000, 0, &snapshot), ERROR_TIMEOUT);
	assert_ptr_equal(snapshot, UNTOUCHED);
	// The process, the forecast, the limit and what may help.
	snprintf(pid, sizeof(pid), "%d", target->pid);
	assert_says(pid);
	assert_says("would be held for about ");
	assert_says("where 0.001 ms are allowed");
	assert_says("allow more");
	assert_int_equal(code_without_ptrace(target, 1000, 0), 1);
	// The filter works: with a limit that allows it, the capture goes on to trace.
	assert_int_not_equal(code_without_ptrace(target, 60000 * MS, 0), 1);
	patient_assert_same(patient);
	patient_free(patient);
	target_assert_unharmed(target);
}

static void without_memory_there_is_a_forecast_as_well(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "4", NULL);
	const PSSX_CAPTURE_OPTIONS options = { .Size = sizeof(options), .MaxPauseNs = 1000 };
	HPSS snapshot = UNTOUCHED;

	(void)state;
	assert_int_equal(PssxCaptureSnapshot(target_handle(target),
					     PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT,
					     CONTEXT_ALL, &options, &snapshot),
			 ERROR_TIMEOUT);
	assert_ptr_equal(snapshot, UNTOUCHED);
	// What stops nothing takes no time.
	assert_int_equal(PssxCaptureSnapshot(target_handle(target), PSS_CAPTURE_THREADS, 0,
					     &options, &snapshot),
			 ERROR_SUCCESS);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

static void under_a_generous_limit_the_figures_have_forecast_and_limit(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "4", NULL);
	PSSX_FIGURES figures = { .Size = sizeof(figures) };
	PSSX_FIGURES old = { .Size = 48, .ForecastNs = 7, .MaxPauseNs = 8 };
	HPSS snapshot;

	(void)state;
	assert_success(capture(target, 60000 * MS, 0, &snapshot));
	assert_success(PssxQueryFigures(snapshot, &figures));
	assert_int_equal(figures.MaxPauseNs, 60000 * MS);
	assert_in_range(figures.ForecastNs, 1, 60000 * MS);
	assert_in_range(figures.HoldNs, 1, 60000 * MS);
	// Of an earlier release: no more than that is written.
	assert_success(PssxQueryFigures(snapshot, &old));
	assert_int_equal(old.HoldNs, figures.HoldNs);
	assert_int_equal(old.ForecastNs, 7);
	assert_int_equal(old.MaxPauseNs, 8);
	harness_free_snapshot(snapshot);

	snapshot = harness_capture(target, FULL);
	assert_success(PssxQueryFigures(snapshot, &figures));
	assert_int_equal(figures.MaxPauseNs, 0);
	assert_true(figures.ForecastNs > 0);
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
}

// It would be waited for longer than the limit.
static void a_thread_that_does_not_stop_in_time_has_all_let_go(void **state)
{
	_cleanup_target_ struct target *target = target_start("vfork", NULL);
	struct patient *patient = patient_record(target->pid);
	HPSS snapshot;

	(void)state;
	assert_int_equal(capture(target, 40 * MS, 0, &snapshot), ERROR_TIMEOUT);
	assert_ptr_equal(snapshot, UNTOUCHED);
	assert_says("gave up stopping process");
	assert_false(patient_is_traced(target->pid));
	patient_assert_same(patient);
	patient_free(patient);

	assert_success(capture(target, 60000 * MS, 0, &snapshot));
	harness_free_snapshot(snapshot);
	target_ask(target, "release");
	assert_int_equal(target_counters(target).eintr, 0);
}

struct stop {
	struct pss_tracee tracee;
	uint64_t held_ns;
};

static int stop_too_long(void *context)
{
	struct stop *stop = context;
	int r = pss_tracee_stop(&stop->tracee);

	pss_tracee_end(&stop->tracee);
	if (stop->tracee.first_stop_ns)
		stop->held_ns = pss_clock_ns(CLOCK_MONOTONIC) - stop->tracee.first_stop_ns;
	return r;
}

static void stopping_a_crowd_of_threads_is_given_up_at_the_limit(void **state)
{
	_cleanup_target_ struct target *target = target_start("crowd", "8", "400", "8", NULL);
	struct patient *patient = patient_record(target->pid);
	struct pss_diag diag = { 0 };
	struct stop stop = { .tracee = PSS_TRACEE_EMPTY };
	int proc_fd = -EBADF;
	int result = 0;

	(void)state;
	assert_int_equal(pss_procfs_open(target->pid, &proc_fd), 0);
	stop.tracee.pid = target->pid;
	stop.tracee.proc_fd = proc_fd;
	stop.tracee.arch = pss_arch_native();
	stop.tracee.diag = &diag;
	stop.tracee.options.max_hold_ns = 200 * 1000;
	assert_int_equal(pss_helper_run(PSS_HELPER_PROCESS, stop_too_long, &stop, &diag, &result),
			 0);
	assert_int_equal(result, -ETIME);
	assert_non_null(strstr(diag.text, "gave up stopping"));
	assert_true(stop.held_ns > stop.tracee.options.max_hold_ns);
	close(proc_fd);
	assert_false(patient_is_traced(target->pid));
	patient_assert_same(patient);
	patient_free(patient);
}

static void as_many_clones_as_allowed_and_no_more(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "4", NULL);
	HPSS held[2], snapshot;
	char pid[16];

	(void)state;
	assert_success(capture(target, 0, 2, &held[0]));
	assert_success(capture(target, 0, 2, &held[1]));
	assert_int_equal(capture(target, 0, 2, &snapshot), ERROR_NOT_ENOUGH_QUOTA);
	assert_ptr_equal(snapshot, UNTOUCHED);
	assert_says("has 2 clones of snapshots, where 2 are allowed");
	for (int i = 0; i < 2; i++) {
		snprintf(pid, sizeof(pid), "%u", GetProcessId(harness_clone(held[i])));
		assert_says(pid);
	}
	assert_says("free snapshots of it, or end clones with kill");
	assert_int_equal(code_without_ptrace(target, 0, 2), 2);
	// Each capture has its own limit, and what makes no clone has none.
	assert_success(capture(target, 0, 3, &snapshot));
	harness_free_snapshot(snapshot);
	assert_success(PssCaptureSnapshot(target_handle(target),
					  PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT,
					  CONTEXT_ALL, &snapshot));
	harness_free_snapshot(snapshot);

	harness_free_snapshot(held[0]);
	assert_success(capture(target, 0, 2, &held[0]));
	// A clone that was killed does not count.
	kill((pid_t)GetProcessId(harness_clone(held[1])), SIGKILL);
	while (patient_children(target->pid, NULL, 0) > 1 &&
	       capture(target, 0, 2, &snapshot) == ERROR_NOT_ENOUGH_QUOTA)
		harness_breathe();
	harness_free_snapshot(snapshot);
	harness_free_snapshot(held[0]);
	assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), held[1]), ERROR_SUCCESS);
	target_assert_unharmed(target);
}

static void eight_clones_where_nothing_else_is_said(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "1", NULL);
	enum { USUAL = 8 };
	HPSS held[USUAL], snapshot = UNTOUCHED;

	(void)state;
	for (int i = 0; i < USUAL; i++)
		held[i] = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	assert_int_equal(
		PssCaptureSnapshot(target_handle(target), PSS_CAPTURE_VA_CLONE, 0, &snapshot),
		ERROR_NOT_ENOUGH_QUOTA);
	assert_ptr_equal(snapshot, UNTOUCHED);
	assert_success(capture(target, 0, USUAL + 1, &snapshot));
	harness_free_snapshot(snapshot);
	for (int i = 0; i < USUAL; i++)
		harness_free_snapshot(held[i]);
	target_assert_unharmed(target);
}

// Captures, says how that went, and holds the snapshot until told to go.
static void compete(const struct target *target, int start, int results, int end)
{
	HPSS snapshot;
	char byte;

	if (read(start, &byte, 1) != 0)
		_exit(1);
	DWORD code = capture(target, 0, 2, &snapshot);
	byte = code == ERROR_SUCCESS ? 's' : code == ERROR_NOT_ENOUGH_QUOTA ? 'q' : '?';
	if (byte == '?')
		fprintf(stderr, "%u: %s\n", code, PssxErrorText());
	if (write(results, &byte, 1) != 1 || read(end, &byte, 1) != 0)
		_exit(1);
	if (code == ERROR_SUCCESS)
		(void)PssFreeSnapshot(GetCurrentProcess(), snapshot);
	_exit(0);
}

static void of_many_capturers_at_once_as_many_succeed_as_are_allowed(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "4", NULL);
	enum { CAPTURERS = 6 };
	int start[2], results[2], end[2], succeeded = 0, refused = 0;
	pid_t pids[CAPTURERS];

	(void)state;
	assert_int_equal(pipe(start) | pipe(results) | pipe(end), 0);
	for (int i = 0; i < CAPTURERS; i++) {
		pids[i] = harness_fork();
		if (pids[i] == 0) {
			close(start[1]);
			close(end[1]);
			compete(target, start[0], results[1], end[0]);
		}
	}
	close(start[1]);
	for (int i = 0; i < CAPTURERS; i++) {
		char byte = 0;

		assert_int_equal(read(results[0], &byte, 1), 1);
		succeeded += byte == 's';
		refused += byte == 'q';
	}
	close(end[1]);
	for (int i = 0; i < CAPTURERS; i++)
		assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
	assert_int_equal(succeeded, 2);
	assert_int_equal(refused, CAPTURERS - 2);
	close(start[0]);
	close(results[0]);
	close(results[1]);
	close(end[0]);
	target_assert_unharmed(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_forecast_beyond_the_limit_is_refused_and_nothing_is_touched),
		cmocka_unit_test(without_memory_there_is_a_forecast_as_well),
		cmocka_unit_test(under_a_generous_limit_the_figures_have_forecast_and_limit),
		cmocka_unit_test(a_thread_that_does_not_stop_in_time_has_all_let_go),
		cmocka_unit_test(stopping_a_crowd_of_threads_is_given_up_at_the_limit),
		cmocka_unit_test(as_many_clones_as_allowed_and_no_more),
		cmocka_unit_test(eight_clones_where_nothing_else_is_said),
		cmocka_unit_test(of_many_capturers_at_once_as_many_succeed_as_are_allowed),
	};

	harness_begin("test_limits");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
