// SPDX-License-Identifier: LGPL-2.1-or-later
// Where an ELF core goes: a file, a pipe and a compressed stream get the same bytes; failures and
// cancelling come back as errors.
#include "elfcore.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <libelf.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "fixture_core.h"

#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

static void check_same(int a, int b)
{
	struct stat a_stat, b_stat;
	uint8_t a_bytes[PAGE], b_bytes[PAGE];

	assert_int_equal(fstat(a, &a_stat), 0);
	assert_int_equal(fstat(b, &b_stat), 0);
	assert_int_equal(a_stat.st_size, b_stat.st_size);
	for (off_t at = 0; at < a_stat.st_size; at += PAGE) {
		ssize_t n = pread(a, a_bytes, PAGE, at);
		assert_int_equal(pread(b, b_bytes, PAGE, at), n);
		assert_memory_equal(a_bytes, b_bytes, n);
	}
}

// Copies a pipe into a file on a thread of its own.
struct drain {
	int from;
	int to;
};

static void *run_drain(void *argument)
{
	const struct drain *drain = argument;
	uint8_t bytes[16 * PAGE];
	ssize_t n;

	while ((n = read(drain->from, bytes, sizeof bytes)) > 0)
		if (write(drain->to, bytes, (size_t)n) != n)
			return argument;
	return n < 0 ? argument : NULL;
}

static void test_pipe_same_as_file(void **state)
{
	(void)state;
	struct core_fixture fixture;
	pthread_t thread;
	void *failed = &fixture;
	int ends[2];

	core_setup_mixed(&fixture);
	_cleanup_close_ int file = core_write_file(&fixture);
	_cleanup_close_ int copy = core_temporary_file();
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	struct drain drain = { .from = ends[0], .to = copy };
	assert_int_equal(pthread_create(&thread, NULL, run_drain, &drain), 0);
	assert_int_equal(core_write_to(&fixture, ends[1], false), 0);
	assert_int_equal(close(ends[1]), 0);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
	assert_int_equal(close(ends[0]), 0);
	check_same(file, copy);
	core_teardown(&fixture);
}

static void test_broken_pipe(void **state)
{
	(void)state;
	struct core_fixture fixture;
	int ends[2];

	core_setup_mixed(&fixture);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(core_write_to(&fixture, ends[1], false), -EPIPE);
	assert_int_equal(close(ends[1]), 0);
	core_teardown(&fixture);
}

#ifdef HAVE_ZSTD
static void test_compressed_same_as_file(void **state)
{
	(void)state;
	struct core_fixture fixture;
	struct stat st;

	core_setup_mixed(&fixture);
	_cleanup_close_ int file = core_write_file(&fixture);
	_cleanup_close_ int packed = core_temporary_file();
	_cleanup_close_ int copy = core_temporary_file();
	size_t room = fixture.result.file_size;
	assert_int_equal(core_write_to(&fixture, packed, true), 0);
	assert_int_equal(fixture.result.file_size, room);
	assert_int_equal(fstat(packed, &st), 0);

	uint8_t *bytes = malloc(room), *from = malloc((size_t)st.st_size);
	assert_non_null(bytes);
	assert_non_null(from);
	assert_int_equal(pread(packed, from, (size_t)st.st_size, 0), st.st_size);
	ZSTD_DCtx *context = ZSTD_createDCtx();
	assert_int_equal(ZSTD_decompressDCtx(context, bytes, room, from, (size_t)st.st_size), room);
	(void)ZSTD_freeDCtx(context);
	assert_int_equal(write(copy, bytes, room), room);
	check_same(file, copy);
	free(bytes);
	free(from);
	core_teardown(&fixture);
}

#endif

static void test_zero_pages_are_holes(void **state)
{
	(void)state;
	struct core_fixture fixture;
	struct stat st;

	core_setup_mixed(&fixture);
	_cleanup_close_ int file = core_write_file(&fixture);
	assert_int_equal(fstat(file, &st), 0);
	assert_true(fixture.result.memory_bytes > 2 * MIB);
	assert_true((uint64_t)st.st_blocks * 512 < 4 * MIB / 3 + 256 * 1024);
	core_teardown(&fixture);
}

static void test_full_disk(void **state)
{
	(void)state;
	struct core_fixture fixture;
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	assert_true(full >= 0);
	core_setup_mixed(&fixture);
	assert_int_equal(core_write_to(&fixture, full, false), -ENOSPC);
	assert_int_equal(fixture.diag.error, -ENOSPC);
	core_teardown(&fixture);
}

static int stop_at_once(void *context, uint64_t done, uint64_t total)
{
	assert_int_equal(done, 0);
	assert_true(total > 0);
	++*(int *)context;
	return 1;
}

static int watch(void *context, uint64_t done, uint64_t total)
{
	uint64_t *last = context;

	assert_true(done >= *last && done <= total);
	*last = done;
	return 0;
}

static void test_progress(void **state)
{
	(void)state;
	struct core_fixture fixture;
	_cleanup_close_ int fd = core_temporary_file();
	int calls = 0;
	uint64_t last = 0;

	core_setup_mixed(&fixture);
	fixture.options.hooks.progress = watch;
	fixture.options.hooks.progress_context = &last;
	assert_int_equal(core_write_to(&fixture, fd, false), 0);
	assert_int_equal(last, fixture.result.memory_bytes);
	fixture.options.hooks.progress = stop_at_once;
	fixture.options.hooks.progress_context = &calls;
	assert_int_equal(core_write_to(&fixture, fd, false), -ECANCELED);
	assert_int_equal(calls, 1);
	core_teardown(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipe_same_as_file),
		cmocka_unit_test(test_broken_pipe),
#ifdef HAVE_ZSTD
		cmocka_unit_test(test_compressed_same_as_file),
#endif
		cmocka_unit_test(test_zero_pages_are_holes),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_progress),
	};

	(void)elf_version(EV_CURRENT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
