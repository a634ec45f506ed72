// SPDX-License-Identifier: LGPL-2.1-or-later
// The target and its owner mean harm, and root captures it: they gain nothing by it, and root loses
// nothing. The lines of SECURITY.md name these tests.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "harness.h"

enum { NOBODY = 65534, OTHER = 65533, ATTACK_TRIES = 50, HUNG_MS = 15000 };

static const uint32_t EVERYTHING =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
	PSS_CAPTURE_HANDLE_BASIC_INFORMATION | PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION |
	PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE |
	PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION;

static const struct target_options as_nobody = { .uid = NOBODY };

static pid_t clone_of(HPSS snapshot)
{
	pid_t pid = (pid_t)GetProcessId(harness_clone(snapshot));

	assert_true(pid > 0);
	return pid;
}

// Runs @work in a child that is user @uid and has no more rights than that; what it returns.
static int as_user(uid_t uid, int (*work)(const void *), const void *context)
{
	int status;
	pid_t pid = harness_fork();

	if (pid == 0) {
		if (close_range(3, ~0U, 0) < 0 || setresgid(uid, uid, uid) < 0 ||
		    setresuid(uid, uid, uid) < 0)
			_exit(126);
		prctl(PR_SET_DUMPABLE,
		      1); // as of a user's own shell; not of a program that was root
		_exit(work(context));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), 126);
	return WEXITSTATUS(status);
}

struct path_request {
	char path[128];
	int flags;
};

static int open_it(const void *context)
{
	const struct path_request *request = context;
	int fd = open(request->path, request->flags | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static int try_open(uid_t uid, pid_t pid, const char *name, int flags)
{
	struct path_request request = { .flags = flags };

	snprintf(request.path, sizeof(request.path), "/proc/%d/%s", pid, name);
	return as_user(uid, open_it, &request);
}

static void the_section_is_nobodys_to_write_or_to_grow(void **state)
{
	_cleanup_target_ struct target *target = target_start_with(&as_nobody, "plain", NULL);
	HPSS snapshot = harness_capture(target, EVERYTHING);
	pid_t clone = clone_of(snapshot);
	int fd = (int)(intptr_t)snapshot;
	struct stat status;

	(void)state;
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_uid, 0);
	assert_int_equal(status.st_mode & 07777, 0444);
	// Who owns the clone reaches the descriptor that it holds; he can look, and that is all.
	assert_int_equal(try_open(NOBODY, clone, "fd/2", O_RDWR), EACCES);
	assert_int_equal(try_open(NOBODY, clone, "fd/2", O_WRONLY | O_TRUNC), EACCES);
	assert_int_equal(try_open(OTHER, clone, "fd/2", O_RDONLY), EACCES);
	assert_true(pwrite(fd, "x", 1, 0) < 0);
	assert_true(ftruncate(fd, status.st_size + 1) < 0);
	assert_true(ftruncate(fd, 0) < 0);
	assert_true(mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	harness_free_snapshot(snapshot);
}

static int disturb_lock(const void *context)
{
	const struct path_request *request = context;
	int fd = open(request->path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 1;
	(void)flock(fd, LOCK_UN);
	return flock(fd, LOCK_SH | LOCK_NB) == 0 ? 2 : 0;
}

static void the_owner_cannot_take_the_lock_while_the_snapshot_lives(void **state)
{
	_cleanup_target_ struct target *target = target_start_with(&as_nobody, "plain", NULL);
	HPSS snapshot = harness_capture(target, EVERYTHING);
	pid_t clone = clone_of(snapshot);
	struct path_request request = { .flags = O_RDONLY };

	(void)state;
	snprintf(request.path, sizeof(request.path), "/proc/%d/fd/2", clone);
	assert_int_equal(as_user(NOBODY, disturb_lock, &request), 0);
	// Its clone is still there, and reads as before.
	assert_int_equal(harness_read_clone_word(snapshot, target_value(target, "pattern")),
			 0x9e3779b97f4a7c15u);
	harness_free_snapshot(snapshot);
	harness_wait_gone(clone);
}

static void the_clone_has_the_rights_of_the_target_and_no_others(void **state)
{
	static const char *const keys[] = { "\nUid:",     "\nGid:",       "\nGroups:", "\nCapInh:",
					    "\nCapPrm:",  "\nCapEff:",    "\nCapBnd:", "\nCapAmb:",
					    "\nSeccomp:", "\nNoNewPrivs:" };
	_cleanup_target_ struct target *target = target_start_with(&as_nobody, "plain", NULL);
	HPSS snapshot = harness_capture(target, EVERYTHING);
	char path[64], *its, *the_clones;

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/status", target->pid);
	its = harness_read_file(path);
	snprintf(path, sizeof(path), "/proc/%d/status", clone_of(snapshot));
	the_clones = harness_read_file(path);
	assert_true(its && the_clones);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		char *a = strstr(its, keys[i]), *b = strstr(the_clones, keys[i]);

		assert_true(a && b);
		assert_memory_equal(a, b, strcspn(a + 1, "\n") + 2);
	}
	free(its);
	free(the_clones);
	harness_free_snapshot(snapshot);
}

static void a_clone_of_what_cannot_be_dumped_cannot_be_looked_at_by_its_owner(void **state)
{
	_cleanup_target_ struct target *target = target_start_with(&as_nobody, "undumpable", NULL);
	HPSS snapshot = harness_capture(target, EVERYTHING);
	pid_t clone = clone_of(snapshot);

	(void)state;
	assert_int_equal(try_open(NOBODY, target->pid, "mem", O_RDONLY), EACCES);
	assert_int_equal(try_open(NOBODY, clone, "mem", O_RDONLY), EACCES);
	assert_int_equal(try_open(NOBODY, clone, "fd/2", O_RDONLY), EACCES);
	assert_int_equal(try_open(NOBODY, clone, "maps", O_RDONLY), EACCES);
	assert_int_equal(try_open(0, clone, "mem", O_RDONLY), 0);
	harness_free_snapshot(snapshot);
}

static void the_clone_stays_in_the_control_group_of_the_target(void **state)
{
	_cleanup_target_ struct target *target = target_start_with(&as_nobody, "plain", NULL);
	HPSS snapshot = harness_capture(target, EVERYTHING);
	char path[64], *its, *the_clones;

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", target->pid);
	its = harness_read_file(path);
	snprintf(path, sizeof(path), "/proc/%d/cgroup", clone_of(snapshot));
	the_clones = harness_read_file(path);
	assert_string_equal(its, the_clones);
	free(its);
	free(the_clones);
	harness_free_snapshot(snapshot);
}

static struct target *start_turncoat(const char *mode, const char *file)
{
	struct target *target = target_start_with(&as_nobody, "turncoat", mode, file, NULL);

	if (!target)
		skip();
	return target;
}

// Captures until a clone has done something else than it was told; each of the captures must end.
static void capture_until_attacked(struct target *target)
{
	for (int i = 0; i < ATTACK_TRIES; i++) {
		uint64_t since = harness_now_ns();
		HPSS snapshot = NULL;

		if (PssCaptureSnapshot(target_handle(target), (PSS_CAPTURE_FLAGS)EVERYTHING,
				       CONTEXT_ALL, &snapshot) == ERROR_SUCCESS)
			harness_free_snapshot(snapshot);
		if (harness_is_past(since, HUNG_MS))
			harness_fail("the capture was held up for more than %d ms", HUNG_MS);
		if (target_read_word(target, target_value(target, "attacks")) > 0)
			return;
	}
	harness_fail("in %d captures no clone turned its coat", ATTACK_TRIES);
}

// The program that the clone executes may be one of more rights than its owner has.
static void a_program_that_is_executed_in_place_of_a_call_is_not_touched(void **state)
{
	char folder[] = "/tmp/threats-XXXXXX", file[64], *text = NULL;
	uint64_t since = harness_now_ns();

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chmod(folder, 0777), 0);
	snprintf(file, sizeof(file), "%s/victim", folder);
	_cleanup_target_ struct target *target = start_turncoat("exec", file);
	capture_until_attacked(target);
	while (!(text = harness_read_file(file)) || strcmp(text, "whole") != 0) {
		free(text);
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("the program that was executed has not come to its end");
		harness_breathe();
	}
	free(text);
	unlink(file);
	rmdir(folder);
}

static void a_pipe_that_gives_nothing_does_not_hold_up_the_capture(void **state)
{
	_cleanup_target_ struct target *target = start_turncoat("pipe", "-");

	(void)state;
	capture_until_attacked(target);
}

static void what_is_given_goes_to_no_socket_of_the_targets_choosing(void **state)
{
	_cleanup_target_ struct target *target = start_turncoat("socket", "-");

	(void)state;
	capture_until_attacked(target);
	assert_int_equal(target_read_word(target, target_value(target, "prey")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_section_is_nobodys_to_write_or_to_grow),
		cmocka_unit_test(the_owner_cannot_take_the_lock_while_the_snapshot_lives),
		cmocka_unit_test(the_clone_has_the_rights_of_the_target_and_no_others),
		cmocka_unit_test(a_clone_of_what_cannot_be_dumped_cannot_be_looked_at_by_its_owner),
		cmocka_unit_test(the_clone_stays_in_the_control_group_of_the_target),
		cmocka_unit_test(a_program_that_is_executed_in_place_of_a_call_is_not_touched),
		cmocka_unit_test(a_pipe_that_gives_nothing_does_not_hold_up_the_capture),
		cmocka_unit_test(what_is_given_goes_to_no_socket_of_the_targets_choosing),
	};

	if (geteuid() != 0) {
		printf("only root has less privileged ones to fear\n");
		return 77;
	}
	harness_begin("test_threats", 110);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
