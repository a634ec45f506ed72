// SPDX-License-Identifier: LGPL-2.1-or-later
// The second helper: it does what it is asked to in a table of descriptors of its own, and whoever
// asks one that has died is told so.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "helper.h"

struct errand {
	int calls;
	int fd;
	pid_t pid;
	struct stat folder;
};

static int run_errand(void *context)
{
	struct errand *errand = context;

	errand->calls++;
	errand->pid = (pid_t)getpid();
	errand->fd = open("/dev/null", O_RDONLY);
	if (stat(".", &errand->folder) < 0)
		return -errno;
	return 42;
}

static void it_works_in_its_own_table_and_folder(void **state)
{
	_cleanup_close_ int folder = open("/proc/self", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pss_helper_aside aside = PSS_HELPER_ASIDE_EMPTY;
	struct errand errand = { 0 };
	struct stat expected;
	int result = 0;

	(void)state;
	assert_int_equal(fstat(folder, &expected), 0);
	assert_int_equal(pss_helper_aside_start(folder, &aside), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pss_helper_aside_ask(&aside, run_errand, &errand, 20000, &result),
				 0);
		assert_int_equal(result, 42);
		assert_int_equal(errand.calls, i + 1);
		// Its table was empty, and keeps what it opened before.
		assert_int_equal(errand.fd, i);
		assert_int_equal(errand.folder.st_ino, expected.st_ino);
		assert_int_not_equal(errand.pid, getpid());
	}
	// Ours has neither lost nor gained one.
	assert_true(fcntl(STDERR_FILENO, F_GETFD) >= 0);
	pss_helper_aside_end(&aside);
	assert_int_equal(kill(errand.pid, 0), -1);
	assert_int_equal(errno, ESRCH);
	assert_int_equal(waitpid(-1, NULL, __WALL), -1);
	assert_int_equal(errno, ECHILD);
}

static int die(void *context)
{
	(void)context;
	(void)kill(getpid(), SIGKILL);
	return 0;
}

static void one_that_was_killed_says_so(void **state)
{
	struct pss_helper_aside aside = PSS_HELPER_ASIDE_EMPTY;
	struct errand errand = { 0 };
	int result = 7;

	(void)state;
	assert_int_equal(pss_helper_aside_start(AT_FDCWD, &aside), -EOWNERDEAD);
	assert_null(aside.stack);
	_cleanup_close_ int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(pss_helper_aside_start(folder, &aside), 0);
	assert_int_equal(pss_helper_aside_ask(&aside, die, NULL, 20000, &result), -EOWNERDEAD);
	assert_int_equal(pss_helper_aside_ask(&aside, run_errand, &errand, 20000, &result),
			 -EOWNERDEAD);
	assert_int_equal(errand.calls, 0);
	assert_int_equal(result, 7);
	pss_helper_aside_end(&aside);
	assert_int_equal(waitpid(-1, NULL, __WALL), -1);
	assert_int_equal(errno, ECHILD);
	// One that was never started.
	assert_int_equal(pss_helper_aside_ask(&aside, run_errand, &errand, 1, &result),
			 -EOWNERDEAD);
	pss_helper_aside_end(&aside);
}

static volatile bool was_back;

static int read_byte(void *context)
{
	char byte = 0;

	// The pipe is in the host's table, which it has left: through its own open file of it.
	int fd = open(context, O_RDONLY);
	(void)read(fd, &byte, 1);
	was_back = true;
	return byte;
}

// It would use our errno while we do.
static void one_that_takes_too_long_never_comes_back(void **state)
{
	_cleanup_close_ int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct pss_helper_aside aside = PSS_HELPER_ASIDE_EMPTY;
	char path[64];
	int ends[2], result = 7;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)snprintf(path, sizeof path, "/proc/%d/fd/%d", getpid(), ends[0]);
	assert_int_equal(pss_helper_aside_start(folder, &aside), 0);
	assert_int_equal(pss_helper_aside_ask(&aside, read_byte, path, 10, &result), -ETIMEDOUT);
	assert_int_equal(result, 7);
	// What it was at may be half done: not the same as one that was never there.
	assert_int_equal(pss_helper_aside_ask(&aside, read_byte, path, 10, &result), -ETIMEDOUT);
	assert_int_equal(write(ends[1], "x", 1), 1);
	pss_helper_aside_end(&aside);
	assert_false(was_back);
	assert_int_equal(result, 7);
	assert_int_equal(waitpid(-1, NULL, __WALL), -1);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_works_in_its_own_table_and_folder),
		cmocka_unit_test(one_that_was_killed_says_so),
		cmocka_unit_test(one_that_takes_too_long_never_comes_back),
	};

	return cmocka_run_group_tests_name("helper_aside", tests, NULL, NULL);
}
