// SPDX-License-Identifier: LGPL-2.1-or-later
// Handles: the borrowed VaCloneHandle, freeing in every order that programs use, and the companion
// functions on the calling process.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <processsnapshot.h>

#include "fixture_section.h"
#include "procfs.h"

static HPSS make(void)
{
	return (HPSS)(intptr_t)fixture_section(FIXTURE_ALL_FLAGS, 0);
}

static int fd_of(const void *handle)
{
	return (int)(intptr_t)handle;
}

static bool is_open(const void *handle)
{
	return fcntl(fd_of(handle), F_GETFD) >= 0;
}

static HANDLE query_clone(HPSS snapshot)
{
	PSS_VA_CLONE_INFORMATION info = { 0 };

	assert_int_equal(
		PssQuerySnapshot(snapshot, PSS_QUERY_VA_CLONE_INFORMATION, &info, sizeof info),
		ERROR_SUCCESS);
	assert_true(fd_of(info.VaCloneHandle) >= 3);
	return info.VaCloneHandle;
}

static DWORD free_here(HPSS snapshot)
{
	return PssFreeSnapshot(GetCurrentProcess(), snapshot);
}

static void test_repeated_queries_return_the_same_handle_value(void **state)
{
	HPSS snapshot = make();
	HPSS other = make();
	HANDLE clone = query_clone(snapshot);

	(void)state;
	assert_ptr_not_equal(clone, snapshot);
	assert_ptr_equal(query_clone(snapshot), clone);
	assert_ptr_not_equal(query_clone(other), clone);
	assert_ptr_equal(query_clone(snapshot), clone);
	assert_int_equal(free_here(snapshot), ERROR_SUCCESS);
	assert_int_equal(free_here(other), ERROR_SUCCESS);
	assert_false(is_open(clone));
}

static void test_free_drops_the_borrowed_handle(void **state)
{
	HPSS snapshot = make();
	HANDLE clone = query_clone(snapshot);

	(void)state;
	assert_int_equal(free_here(snapshot), ERROR_SUCCESS);
	assert_false(is_open(snapshot));
	assert_false(is_open(clone));
}

static void test_free_succeeds_when_the_caller_already_closed_the_borrowed_handle(void **state)
{
	HPSS snapshot = make();
	HANDLE clone = query_clone(snapshot);

	(void)state;
	assert_true(CloseHandle(clone));
	assert_false(is_open(clone));
	// The number now belongs to somebody else, who keeps it.
	int stranger = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(stranger, fd_of(clone));
	assert_int_equal(free_here(snapshot), ERROR_SUCCESS);
	assert_int_equal(fcntl(stranger, F_GETFD), FD_CLOEXEC);
	close(stranger);
}

static void test_a_number_closed_behind_our_back_and_reused_is_not_closed(void **state)
{
	HPSS snapshot = make();
	HANDLE clone = query_clone(snapshot);

	(void)state;
	close(fd_of(clone));
	int stranger = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_int_equal(stranger, fd_of(clone));
	// The next query sees it and lends another.
	assert_int_not_equal(fd_of(query_clone(snapshot)), stranger);
	close(fd_of(query_clone(snapshot)));
	assert_int_equal(free_here(snapshot), ERROR_SUCCESS);
	assert_int_equal(fcntl(stranger, F_GETFD), FD_CLOEXEC);
	close(stranger);
}

static void test_closing_after_the_free_is_harmless(void **state)
{
	HPSS snapshot = make();
	HANDLE clone = query_clone(snapshot);

	(void)state;
	assert_int_equal(free_here(snapshot), ERROR_SUCCESS);
	SetLastError(0);
	assert_false(CloseHandle(clone));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
}

static void test_a_duplicate_of_the_clone_handle_survives_the_free(void **state)
{
	HPSS snapshot = make();
	int copy = dup(fd_of(query_clone(snapshot)));

	(void)state;
	assert_int_equal(free_here(snapshot), ERROR_SUCCESS);
	// It stands for the clone, of which nothing is left: it is not merely a bad handle.
	assert_int_equal(GetProcessId((HANDLE)(intptr_t)copy), 0);
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	assert_true(CloseHandle((HANDLE)(intptr_t)copy));
	assert_int_equal(fcntl(copy, F_GETFD), -1);
}

static void test_a_snapshot_closed_by_the_program_leaves_nothing(void **state)
{
	HPSS snapshot = make();
	HANDLE clone = query_clone(snapshot);

	(void)state;
	close(fd_of(snapshot));
	// Seen when the table is used next.
	HPSS next = make();
	(void)query_clone(next);
	assert_int_equal(fd_of(next), fd_of(snapshot));
	assert_true(fd_of(query_clone(next)) == fd_of(clone) || !is_open(clone));
	assert_int_equal(free_here(next), ERROR_SUCCESS);
	assert_false(is_open(clone));
}

static void test_free_names_the_holder_not_the_captured_process(void **state)
{
	HPSS snapshot = make();
	HANDLE self = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
	HANDLE other = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)getppid());

	(void)state;
	assert_non_null(self);
	assert_non_null(other);
	assert_int_equal(PssFreeSnapshot(other, snapshot), ERROR_INVALID_HANDLE);
	assert_int_equal(PssFreeSnapshot(NULL, snapshot), ERROR_INVALID_HANDLE);
	assert_int_equal(PssFreeSnapshot((HANDLE)snapshot, snapshot), ERROR_INVALID_HANDLE);
	assert_true(is_open(snapshot));
	assert_int_equal(PssFreeSnapshot(self, snapshot), ERROR_SUCCESS);
	assert_false(is_open(snapshot));
	assert_true(CloseHandle(self));
	assert_true(CloseHandle(other));
}

static void test_a_dead_clone_reads_as_partial_copy_with_0_bytes(void **state)
{
	HPSS snapshot = make();
	HPSS without = (HPSS)(intptr_t)fixture_section(PSS_CAPTURE_NONE, 0);
	char buffer[16];
	SIZE_T done = 99;

	(void)state;
	assert_false(ReadProcessMemory(query_clone(snapshot), (void *)0x1000, buffer, 16, &done));
	assert_int_equal(GetLastError(), ERROR_PARTIAL_COPY);
	assert_int_equal(done, 0);
	assert_false(ReadProcessMemory((HANDLE)without, (void *)0x1000, buffer, 16, &done));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	assert_false(TerminateProcess(query_clone(snapshot), 1));
	assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
	assert_int_equal(free_here(snapshot), ERROR_SUCCESS);
	assert_int_equal(free_here(without), ERROR_SUCCESS);
}

// A child that shares our descriptors, so that it holds a section under our number of it.
static pid_t start_holder(const char *name, int exit_signal)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | exit_signal, 0, 0, 0, 0);

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)prctl(PR_SET_NAME, name);
		(void)kill(getpid(), SIGSTOP); // ready
		for (;;)
			(void)pause();
	}
	assert_int_equal(waitpid(pid, NULL, WUNTRACED | __WALL), pid);
	assert_int_equal(kill(pid, SIGCONT), 0);
	return pid;
}

static uint64_t start_ticks_of(pid_t pid)
{
	_cleanup_close_ int dir = -EBADF;
	struct pss_procfs_stat stat;

	assert_int_equal(pss_procfs_open(pid, &dir), 0);
	assert_int_equal(pss_procfs_read_stat(dir, "stat", NULL, &stat), 0);
	return stat.start_ticks;
}

// The descriptor 2 that clones hold their section under is ours here, and so the child's.
static int seal_about(pid_t pid, int section_fd)
{
	_cleanup_section_builder_ struct pss_section_builder builder = PSS_SECTION_BUILDER_EMPTY;
	struct pss_process_record process = { .pid = FIXTURE_PID };
	struct pss_clone_record clone = {
		.pid = pid,
		.start_ticks = start_ticks_of(pid),
		.section_fd = section_fd,
	};
	int fd;

	assert_int_equal(pss_section_add(&builder, PSS_PART_PROCESS, &process, sizeof process), 0);
	assert_int_equal(pss_section_add(&builder, PSS_PART_CLONE, &clone, sizeof clone), 0);
	assert_int_equal(pss_section_seal(&builder, NULL, &fd), 0);
	assert_int_equal(dup2(fd, section_fd), section_fd);
	return fd;
}

static BOOL try_to_kill(const char *name, int section_fd, int *status_ret)
{
	pid_t pid = start_holder(name, SIGCHLD);
	int saved = dup(section_fd);
	int fd = seal_about(pid, section_fd);

	SetLastError(ERROR_SUCCESS);
	BOOL is_killed = TerminateProcess((HANDLE)(intptr_t)fd, 0);
	close(fd);
	if (saved >= 0)
		dup2(saved, section_fd);
	else
		close(section_fd);
	close(saved);
	kill(pid, SIGUSR1); // after SIGKILL it comes too late
	assert_int_equal(waitpid(pid, status_ret, 0), pid);
	return is_killed;
}

static void test_a_section_can_only_have_a_clone_terminated(void **state)
{
	int status;

	(void)state;
	// It holds the section, which says that it is the clone.
	assert_false(try_to_kill("innocent", 50, &status));
	assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
	assert_int_equal(WTERMSIG(status), SIGUSR1);
	assert_false(try_to_kill("innocent", 2, &status));
	assert_int_equal(GetLastError(), ERROR_ACCESS_DENIED);
	assert_int_equal(WTERMSIG(status), SIGUSR1);
	assert_false(try_to_kill("procsnap-clone", 50, &status));
	assert_int_equal(WTERMSIG(status), SIGUSR1);
	// That was what saved it.
	assert_true(try_to_kill("procsnap-clone", 2, &status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

/** A process that a section says is its clone. Standard error is the section meanwhile. */
struct false_clone {
	pid_t pid;
	int saved;
	HPSS snapshot;
};

static struct false_clone start_false_clone(void)
{
	struct false_clone clone = {
		.pid = start_holder("procsnap-clone", 0),
		.saved = dup(2),
	};

	clone.snapshot = (HPSS)(intptr_t)seal_about(clone.pid, 2);
	return clone;
}

static void end_false_clone(const struct false_clone *clone)
{
	assert_int_equal(dup2(clone->saved, 2), 2);
	close(clone->saved);
	assert_int_equal(kill(clone->pid, SIGKILL), 0);
	assert_int_equal(waitpid(clone->pid, NULL, __WALL), clone->pid);
}

static long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

// Programs kill what it gives: the number may be another's by then.
static void test_a_clone_that_was_reaped_has_no_process_id(void **state)
{
	struct false_clone clone = start_false_clone();

	(void)state;
	assert_int_equal(GetProcessId((HANDLE)clone.snapshot), clone.pid);
	end_false_clone(&clone);
	SetLastError(ERROR_SUCCESS);
	assert_int_equal(GetProcessId((HANDLE)clone.snapshot), 0);
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	assert_int_equal(free_here(clone.snapshot), ERROR_SUCCESS);
}

static volatile sig_atomic_t ticks;
static volatile pid_t too_late;

static void count_tick(int signal)
{
	(void)signal;
	if (++ticks == 100)
		(void)kill(too_late, SIGKILL);
}

// Each tick of the program's own timer interrupts the wait.
static void test_a_free_waits_seconds_at_most_for_a_clone_that_stays(void **state)
{
	const struct itimerval off = { 0 }, on = { { 0, 100000 }, { 0, 100000 } };
	struct sigaction action = { .sa_handler = count_tick, .sa_flags = SA_RESTART }, old;
	struct false_clone clone = start_false_clone();

	(void)state;
	too_late = clone.pid;
	ticks = 0;
	assert_int_equal(sigaction(SIGALRM, &action, &old), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &on, NULL), 0);
	assert_int_equal(free_here(clone.snapshot), ERROR_SUCCESS);
	assert_int_equal(setitimer(ITIMER_REAL, &off, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
	// It was interrupted, and neither gave up at once nor began anew.
	assert_in_range(ticks, 2, 60);
	end_false_clone(&clone);
}

static void test_a_free_does_not_wait_for_a_clone_that_is_stopped(void **state)
{
	struct false_clone clone = start_false_clone();

	(void)state;
	assert_int_equal(kill(clone.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(clone.pid, NULL, WUNTRACED | __WALL), clone.pid);
	long since = now_ms();
	assert_int_equal(free_here(clone.snapshot), ERROR_SUCCESS);
	assert_in_range(now_ms() - since, 0, 1500);
	end_false_clone(&clone);
}

// It has no program and sends no signal when it ends, just as a clone that is about to end.
static void test_a_free_does_not_wait_for_a_kernel_thread(void **state)
{
	const pid_t kthreadd = 2;
	char byte;

	(void)state;
	if (readlink("/proc/2/exe", &byte, 1) >= 0 || errno != ENOENT ||
	    access("/proc/2/stat", R_OK) < 0)
		skip();
	int fd = seal_about(kthreadd, 50);
	assert_int_equal(close(50), 0);
	long since = now_ms();
	assert_int_equal(free_here((HPSS)(intptr_t)fd), ERROR_SUCCESS);
	assert_in_range(now_ms() - since, 0, 1500);
}

static void test_capture_checks_its_arguments(void **state)
{
	HPSS snapshot = (HPSS)(intptr_t)77;

	(void)state;
	assert_int_equal(PssCaptureSnapshot(NULL, PSS_CAPTURE_NONE, 0, &snapshot),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_RESERVED_00000400, 0,
					    &snapshot),
			 ERROR_INVALID_PARAMETER);
	assert_int_equal(
		PssCaptureSnapshot(GetCurrentProcess(), (PSS_CAPTURE_FLAGS)0x8000, 0, &snapshot),
		ERROR_INVALID_PARAMETER);
	assert_int_equal(PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_NONE, 0, NULL),
			 ERROR_INVALID_PARAMETER);
	assert_int_equal(fd_of(snapshot), 77);
}

static void test_process_handles(void **state)
{
	HANDLE self = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
	HANDLE inherited = OpenProcess(PROCESS_ALL_ACCESS, TRUE, GetCurrentProcessId());

	(void)state;
	assert_true(fd_of(self) >= 3);
	assert_int_equal(GetProcessId(self), getpid());
	assert_int_equal(GetProcessId(GetCurrentProcess()), getpid());
	assert_int_equal(fcntl(fd_of(self), F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(fd_of(inherited), F_GETFD), 0);
	assert_true(CloseHandle(GetCurrentProcess()));
	assert_true(CloseHandle(self));
	assert_true(CloseHandle(inherited));
	assert_false(CloseHandle(self));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	assert_false(CloseHandle(NULL));
	assert_int_equal(GetProcessId(self), 0);
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
	assert_null(OpenProcess(PROCESS_ALL_ACCESS, FALSE, 0));
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
	assert_null(OpenProcess(PROCESS_ALL_ACCESS, FALSE, 0x7ffffff0));
	assert_int_equal(GetLastError(), ERROR_INVALID_PARAMETER);
}

static void test_a_handle_is_never_0_to_2(void **state)
{
	(void)state;
	int saved = fcntl(0, F_DUPFD_CLOEXEC, 3);
	close(0);
	HANDLE self = OpenProcess(PROCESS_ALL_ACCESS, FALSE, GetCurrentProcessId());
	assert_true(fd_of(self) >= 3);
	assert_int_equal(fcntl(0, F_GETFD), -1);
	assert_true(CloseHandle(self));
	if (saved >= 0)
		dup2(saved, 0);
	close(saved);
}

static void test_reading_the_calling_process(void **state)
{
	char from[] = "bytes of ours";
	char to[sizeof from];
	SIZE_T done = 0;

	(void)state;
	assert_true(ReadProcessMemory(GetCurrentProcess(), from, to, sizeof to, &done));
	assert_int_equal(done, sizeof from);
	assert_string_equal(to, from);
	assert_true(ReadProcessMemory(GetCurrentProcess(), from, to, 1, NULL));
	assert_false(ReadProcessMemory(GetCurrentProcess(), (void *)16, to, 1, &done));
	assert_int_equal(GetLastError(), ERROR_PARTIAL_COPY);
	assert_int_equal(done, 0);
	assert_false(ReadProcessMemory(GetCurrentProcess(), (void *)UINTPTR_MAX, to, 4, &done));
	assert_int_equal(GetLastError(), ERROR_PARTIAL_COPY);
	assert_false(ReadProcessMemory(NULL, from, to, sizeof to, &done));
	assert_int_equal(GetLastError(), ERROR_INVALID_HANDLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_repeated_queries_return_the_same_handle_value),
		cmocka_unit_test(test_free_drops_the_borrowed_handle),
		cmocka_unit_test(
			test_free_succeeds_when_the_caller_already_closed_the_borrowed_handle),
		cmocka_unit_test(test_a_number_closed_behind_our_back_and_reused_is_not_closed),
		cmocka_unit_test(test_closing_after_the_free_is_harmless),
		cmocka_unit_test(test_a_duplicate_of_the_clone_handle_survives_the_free),
		cmocka_unit_test(test_a_snapshot_closed_by_the_program_leaves_nothing),
		cmocka_unit_test(test_free_names_the_holder_not_the_captured_process),
		cmocka_unit_test(test_a_dead_clone_reads_as_partial_copy_with_0_bytes),
		cmocka_unit_test(test_a_section_can_only_have_a_clone_terminated),
		cmocka_unit_test(test_a_clone_that_was_reaped_has_no_process_id),
		cmocka_unit_test(test_a_free_waits_seconds_at_most_for_a_clone_that_stays),
		cmocka_unit_test(test_a_free_does_not_wait_for_a_clone_that_is_stopped),
		cmocka_unit_test(test_a_free_does_not_wait_for_a_kernel_thread),
		cmocka_unit_test(test_capture_checks_its_arguments),
		cmocka_unit_test(test_process_handles),
		cmocka_unit_test(test_a_handle_is_never_0_to_2),
		cmocka_unit_test(test_reading_the_calling_process),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
