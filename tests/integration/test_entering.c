// SPDX-License-Identifier: LGPL-2.1-or-later
// A thread of the target makes calls for us, and it does not go as usual: there is no place for the
// frames that lead it home, a call does not end in time, all threads are frozen.
#include <errno.h>
#include <fcntl.h>
#include <procsnap.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "inject.h"
#include "procfs.h"

static const uint32_t FULL = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
			     PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;

// Before anything is stopped, with the reason.
static void without_a_stack_nothing_is_injected(void **state)
{
	_cleanup_target_ struct target *target = target_start("full_stack", "lost", NULL);
	HPSS snapshot = NULL;

	(void)state;
	assert_int_equal(PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)FULL,
					    CONTEXT_ALL, &snapshot),
			 ERROR_NOT_SUPPORTED);
	assert_non_null(strstr(PssxErrorText(), "[stack]"));
	assert_success(PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_NONE, 0, &snapshot));
	HPSS there = NULL;
	assert_int_equal(PssDuplicateSnapshot(GetCurrentProcess(), snapshot, target_handle(target),
					      &there, PSS_DUPLICATE_NONE),
			 ERROR_NOT_SUPPORTED);
	assert_non_null(strstr(PssxErrorText(), "[stack]"));
	harness_free_snapshot(snapshot);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

static size_t count_pages(const struct target *target, uint64_t address, uint64_t size)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	size_t present = 0;
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%d/pagemap", target->pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (uint64_t at = address; at < address + size; at += page) {
		uint64_t entry = 0;

		assert_int_equal(pread(fd, &entry, sizeof entry, (off_t)(at / page * 8)), 8);
		present += entry >> 63;
	}
	close(fd);
	return present;
}

// A read-only mapping of the program's is no room for frames, though a tracer may write there, and
// no foot that [stack] has just got, though it has the size of one and nothing in it.
static void what_is_mapped_right_below_the_stack_is_not_used(void **state)
{
	_cleanup_target_ struct target *target = target_start("full_stack", "walled", NULL);
	const uint64_t wall = target_value(target, "wall");
	const uint64_t size = target_value(target, "wall_size");
	struct patient *patient = patient_record(target->pid);
	HPSS snapshot = NULL;

	(void)state;
	assert_int_not_equal(PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)FULL,
						CONTEXT_ALL, &snapshot),
			     ERROR_SUCCESS);
	assert_non_null(strstr(PssxErrorText(), "[stack]"));
	assert_int_equal(count_pages(target, wall, size), 0);
	patient_assert_same(patient);
	patient_free(patient);
	target_wait_for_beat(target);
	target_assert_unharmed(target);
}

static char folder[100]; // of a control group that can be frozen, of version 2 or 1

static bool write_to(const char *file, const char *text)
{
	char path[300];

	(void)snprintf(path, sizeof path, "%s/%s", folder, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return is_done;
}

static bool put_into_group(pid_t pid)
{
	char text[16];

	(void)snprintf(text, sizeof text, "%d", pid);
	return write_to("cgroup.procs", text);
}

static bool make_group(void)
{
	static const char *const mounts[] = { "", "/unified", "/freezer" };
	for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++) {
		(void)snprintf(folder, sizeof folder, "/sys/fs/cgroup%s/procsnap-frames-%d",
			       mounts[i], getpid());
		if (mkdir(folder, 0755) < 0)
			continue;
		if (write_to("cgroup.freeze", "0") || write_to("freezer.state", "THAWED"))
			return true;
		(void)rmdir(folder);
	}
	return false;
}

static bool is_frozen(void)
{
	char path[300];

	(void)snprintf(path, sizeof path, "%s/cgroup.events", folder);
	char *text = harness_read_file(path);
	if (!text) {
		(void)snprintf(path, sizeof path, "%s/freezer.state", folder);
		text = harness_read_file(path);
	}
	bool is = text && (strstr(text, "frozen 1") || strstr(text, "FROZEN"));
	free(text);
	return is;
}

static void freeze(void)
{
	assert_true(write_to("cgroup.freeze", "1") || write_to("freezer.state", "FROZEN"));
	for (uint64_t since = harness_now_ns(); !is_frozen();)
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("%s does not freeze", folder);
}

static bool thaw(void)
{
	return write_to("cgroup.freeze", "0") || write_to("freezer.state", "THAWED");
}

static void remove_group(void)
{
	for (uint64_t since = harness_now_ns(); rmdir(folder) < 0;)
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("%s does not get empty", folder);
}

// A thread of the target held by us, ready to make calls that last too long.
struct entry {
	struct pss_tracee tracee;
	struct pss_inject_site site;
	struct pss_inject inject;
	struct pss_diag diag;
	int proc_fd, mem_fd;
};

enum { SHORT_MS = 100 };

static int enter(const struct target *target, struct entry *entry)
{
	struct pss_tracee_thread *thread = NULL;

	*entry = (struct entry){ .tracee = PSS_TRACEE_EMPTY, .inject = PSS_INJECT_EMPTY };
	int r = pss_procfs_open(target->pid, &entry->proc_fd);
	if (r < 0)
		return r;
	entry->mem_fd = openat(entry->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	entry->tracee.pid = target->pid;
	entry->tracee.proc_fd = entry->proc_fd;
	entry->tracee.mem_fd = entry->mem_fd;
	entry->tracee.arch = entry->inject.arch = pss_arch_native();
	entry->tracee.diag = entry->inject.diag = &entry->diag;
	entry->inject.site = &entry->site;
	r = pss_inject_survey(entry->proc_fd, entry->mem_fd, pss_arch_native(), &entry->diag,
			      &entry->site);
	if (r == 0)
		r = pss_tracee_stop_one(&entry->tracee, target->pid, &thread);
	if (r == 0)
		r = pss_inject_begin(&entry->inject, &entry->tracee, thread, false);
	entry->inject.deadline_ms = SHORT_MS;
	return r;
}

// A call that can be interrupted is, and nothing is to be seen of it.
static int call_pause(struct target *target)
{
	const uint64_t arguments[6] = { 0 };
	struct entry entry;
	int64_t result;

	if (enter(target, &entry) < 0)
		return 1;
	if (pss_inject_call(&entry.inject, SYS_pause, arguments, &result) != -ETIMEDOUT)
		return 2;
	entry.inject.deadline_ms = HARNESS_PATIENCE_MS;
	if (!entry.inject.is_late || pss_inject_end(&entry.inject) < 0)
		return 3;
	pss_tracee_end(&entry.tracee);
	return 0;
}

// One that can't lasts longer than we do: a vfork whose child is frozen.
static int call_vfork(struct target *target)
{
	const uint64_t options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEVFORK;
	struct entry entry;
	pid_t child = 0;
	int64_t result;
	int status;

	if (enter(target, &entry) < 0)
		return 1;
	const uint64_t arguments[6] = { CLONE_VFORK | CLONE_FILES, entry.inject.exit_frame };
	if (ptrace(PTRACE_SETOPTIONS, target->pid, 0, options) < 0 ||
	    pss_inject_call(&entry.inject, SYS_clone, arguments, &result) != -ETIMEDOUT ||
	    !entry.inject.is_late)
		return 2;
	if (patient_children(target->pid, &child, 1) != 1 ||
	    waitpid(child, &status, __WALL) != child || !WIFSTOPPED(status) ||
	    !put_into_group(child) || ptrace(PTRACE_DETACH, child, 0, 0) < 0)
		return 3;
	if (pss_inject_end(&entry.inject) != -ETIMEDOUT)
		return 4;
	pss_tracee_end(&entry.tracee);
	return 0;
}

static void a_call_past_its_deadline_is_interrupted(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_waits", "epoll", NULL);
	struct patient *patient = patient_record(target->pid);

	(void)state;
	assert_int_equal(harness_run_apart(target, call_pause), 0);
	patient_assert_same(patient);
	patient_free(patient);
	target_assert_unharmed(target);
}

static void a_call_that_outlasts_us_is_led_home_by_its_frame(void **state)
{
	_cleanup_target_ struct target *target = target_start("leader_waits", "epoll", NULL);
	struct patient *patient = patient_record(target->pid);

	(void)state;
	if (!make_group())
		skip();
	freeze();
	assert_int_equal(harness_run_apart(target, call_vfork), 0);
	assert_false(patient_is_traced(target->pid));
	assert_int_equal(patient_children(target->pid, NULL, 0), 1);
	assert_true(thaw());
	remove_group();
	// It has exited as a clone does, and the next capture takes it away.
	harness_free_snapshot(harness_capture(target, FULL));
	patient_assert_same(patient);
	patient_free(patient);
	target_assert_unharmed(target);
}

static void a_frozen_receiver_is_refused_before_it_is_seized(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS snapshot = NULL, there = NULL;

	(void)state;
	if (!make_group())
		skip();
	assert_success(PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_NONE, 0, &snapshot));
	assert_true(put_into_group(target->pid));
	freeze();
	DWORD code = PssDuplicateSnapshot(GetCurrentProcess(), snapshot, target_handle(target),
					  &there, PSS_DUPLICATE_NONE);
	bool has_reason = strstr(PssxErrorText(), "frozen") != NULL;
	bool is_traced = patient_is_traced(target->pid);
	assert_true(thaw());
	assert_int_equal(code, ERROR_NOT_SUPPORTED);
	assert_true(has_reason);
	assert_false(is_traced);
	assert_success(PssDuplicateSnapshot(GetCurrentProcess(), snapshot, target_handle(target),
					    &there, PSS_DUPLICATE_NONE));
	assert_success(PssFreeSnapshot(target_handle(target), there));
	harness_free_snapshot(snapshot);
	target_assert_unharmed(target);
	kill(target->pid, SIGKILL);
	remove_group();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_stack_nothing_is_injected),
		cmocka_unit_test(what_is_mapped_right_below_the_stack_is_not_used),
		cmocka_unit_test(a_call_past_its_deadline_is_interrupted),
		cmocka_unit_test(a_call_that_outlasts_us_is_led_home_by_its_frame),
		cmocka_unit_test(a_frozen_receiver_is_refused_before_it_is_seized),
	};

	harness_begin("test_entering");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
