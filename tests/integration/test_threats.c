// SPDX-License-Identifier: LGPL-2.1-or-later
// The target and its owner mean harm, and root captures it: they gain nothing by it, and root loses
// nothing. The lines of SECURITY.md name these tests.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "harness.h"
#include "pass_fd.h"
#include "procfs.h"
#include "section.h"

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
			assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
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
	uint64_t looks = target_read_word(target, target_value(target, "looks"));
	uint64_t since = harness_now_ns();
	while (target_read_word(target, target_value(target, "looks")) < looks + 2) {
		assert_false(harness_is_past(since, HARNESS_PATIENCE_MS));
		harness_breathe();
	}
	assert_int_equal(target_read_word(target, target_value(target, "prey")), 0);
}

// A child that does @prepare and then waits, as a target. *pidfd_ret is its HANDLE.
static pid_t start_child(void (*prepare)(const char *), const char *argument, int *pidfd_ret)
{
	int ends[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = harness_fork();
	if (pid == 0) {
		prepare(argument);
		if (write(ends[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	*pidfd_ret = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(*pidfd_ret >= 0);
	return pid;
}

static void end_child(pid_t pid, int pidfd)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(pidfd);
}

// Of what it has mapped nothing can be read any more, and under the name is a pipe.
static void map_what_becomes_a_pipe(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, 4096) < 0 ||
	    mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ||
	    ftruncate(fd, 0) < 0 || unlink(path) < 0 || mkfifo(path, 0600) < 0)
		_exit(1);
}

static void a_pipe_under_the_name_of_a_library_is_not_opened(void **state)
{
	char folder[] = "/tmp/threats-XXXXXX", path[64];
	HPSS snapshot = NULL;
	int pidfd;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/lib", folder);
	pid_t pid = start_child(map_what_becomes_a_pipe, path, &pidfd);
	uint64_t since = harness_now_ns();
	assert_success(PssCaptureSnapshot((HANDLE)(intptr_t)pidfd, (PSS_CAPTURE_FLAGS)EVERYTHING,
					  CONTEXT_ALL, &snapshot));
	assert_false(harness_is_past(since, HUNG_MS));
	harness_free_snapshot(snapshot);
	end_child(pid, pidfd);
	unlink(path);
	rmdir(folder);
}

enum { WATCHES = 4000, NUMBERS = 160 };

static void have_many_numbers_of_one_large_epoll(const char *unused)
{
	const struct rlimit limit = { 2 * (WATCHES + NUMBERS), 2 * (WATCHES + NUMBERS) };
	struct epoll_event event = { .events = EPOLLIN };
	int epoll = epoll_create1(EPOLL_CLOEXEC);

	(void)unused;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		_exit(1);
	for (int i = 0; i < WATCHES; i++)
		if (epoll_ctl(epoll, EPOLL_CTL_ADD, eventfd(0, EFD_CLOEXEC), &event) < 0)
			_exit(1);
	for (int i = 0; i < NUMBERS; i++)
		if (dup(epoll) < 0)
			_exit(1);
}

static void descriptors_that_say_too_much_are_refused(void **state)
{
	HPSS snapshot = NULL;
	int pidfd;
	pid_t pid = start_child(have_many_numbers_of_one_large_epoll, NULL, &pidfd);

	(void)state;
	assert_int_equal(
		PssCaptureSnapshot((HANDLE)(intptr_t)pidfd, PSS_CAPTURE_HANDLES, 0, &snapshot),
		ERROR_NOT_ENOUGH_MEMORY);
	assert_null(snapshot);
	end_child(pid, pidfd);
}

static bool read_stat(pid_t pid, struct pss_procfs_stat *ret)
{
	_cleanup_close_ int fd = -EBADF;

	return pss_procfs_open(pid, &fd) == 0 && pss_procfs_read_stat(fd, "stat", NULL, ret) == 0;
}

static void make_section(const struct pss_clone_record *clone,
			 const struct pss_process_record *process, int socket)
{
	struct pss_section_builder builder = { .machine = EM_X86_64,
					       .capture_flags = PSS_CAPTURE_VA_CLONE };
	struct pss_diag diag = { 0 };
	int fd = -1;

	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
	    pss_section_add(&builder, PSS_PART_PROCESS, process, sizeof(*process)) < 0 ||
	    pss_section_add(&builder, PSS_PART_CLONE, clone, sizeof(*clone)) < 0 ||
	    pss_section_seal(&builder, &diag, &fd) < 0 || !pass_fd(socket, fd))
		_exit(1);
	_exit(0);
}

// A section that names them, made by an ordinary user.
static HPSS section_of_nobody(const struct pss_clone_record *clone,
			      const struct pss_process_record *process)
{
	int sockets[2], fd;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	pid = harness_fork();
	if (pid == 0)
		make_section(clone, process, sockets[1]);
	fd = receive_fd(sockets[0]);
	assert_true(fd > 2);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	close(sockets[0]);
	close(sockets[1]);
	return (HPSS)(intptr_t)fd;
}

// Held, for its exit code is still to be asked for.
static void the_dead_clone_of_another_snapshot_is_neither_shown_nor_reaped(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	HPSS real = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	pid_t pid = clone_of(real);
	struct pss_process_record process = { .pid = target->pid, .state = 'S' };
	struct pss_clone_record clone = { .pid = pid, .section_fd = PSS_CLONE_SECTION_FD };
	struct pss_procfs_stat stat;
	uint64_t since = harness_now_ns();
	DWORD code = 0;

	(void)state;
	assert_true(read_stat(target->pid, &stat));
	process.start_ticks = stat.start_ticks;
	assert_true(TerminateProcess(harness_clone(real), 1));
	while (!read_stat(pid, &stat) || stat.state != 'Z') {
		assert_false(harness_is_past(since, HARNESS_PATIENCE_MS));
		harness_breathe();
	}
	clone.start_ticks = stat.start_ticks;
	clone.target_pid_ns_pid = pid;
	HPSS forged = section_of_nobody(&clone, &process);
	assert_false(GetExitCodeProcess((HANDLE)forged, &code));
	assert_success(PssFreeSnapshot(GetCurrentProcess(), forged));
	assert_true(read_stat(pid, &stat));
	assert_int_equal(stat.state, 'Z');
	assert_true(GetExitCodeProcess(harness_clone(real), &code));
	harness_free_snapshot(real);
	target_assert_unharmed(target);
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
		cmocka_unit_test(a_pipe_under_the_name_of_a_library_is_not_opened),
		cmocka_unit_test(descriptors_that_say_too_much_are_refused),
		cmocka_unit_test(the_dead_clone_of_another_snapshot_is_neither_shown_nor_reaped),
	};

	if (geteuid() != 0) {
		printf("only root has less privileged ones to fear\n");
		return 77;
	}
	harness_begin("test_threats");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
