// SPDX-License-Identifier: LGPL-2.1-or-later
// The sink: the same bytes wherever they go, holes where there can be holes, and failures that come
// back as errors, never as signals.
#include "sink.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

enum {
	PAGE = 4096,
	LARGE = 3 * 1024 * 1024 + 4321,
	STREAM_SIZE = 100 + 3 * PAGE + LARGE + 5 * 1024 * 1024 + 7,
};

static int temporary_file(int flags)
{
	char path[] = "/tmp/test_sink_XXXXXX";
	int fd = mkostemp(path, O_CLOEXEC | flags);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	return fd;
}

static void fill(uint8_t *bytes, size_t size)
{
	uint32_t value = 1;

	for (size_t i = 0; i < size; i++) {
		value = value * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(value >> 24);
	}
}

// A stream with all there is: small and large pieces, zeroes among data, holes small and large.
// Returns what must come out; the caller frees it.
static uint8_t *write_stream(struct pss_sink *sink)
{
	uint8_t *expected = calloc(1, STREAM_SIZE);
	size_t at = 0;

	assert_non_null(expected);
	fill(expected, 100);
	fill(expected + 100 + 3 * PAGE, LARGE);
	memset(expected + 100 + 3 * PAGE + PAGE * 2, 0, 10 * PAGE);
	fill(expected + STREAM_SIZE - 7, 3);

	for (int i = 0; i < 100; i++)
		assert_int_equal(pss_sink_write(sink, expected + i, 1), 0);
	at = 100;
	assert_int_equal(pss_sink_skip(sink, 3 * PAGE), 0);
	at += 3 * PAGE;
	assert_int_equal(pss_sink_write(sink, expected + at, LARGE), 0);
	at += LARGE;
	assert_int_equal(pss_sink_write(sink, NULL, 0), 0);
	assert_int_equal(pss_sink_skip(sink, 0), 0);
	assert_int_equal(pss_sink_skip(sink, 5 * 1024 * 1024), 0);
	at += 5 * 1024 * 1024;
	assert_int_equal(sink->position, at);
	assert_int_equal(pss_sink_write(sink, expected + at, 3), 0);
	assert_int_equal(pss_sink_skip(sink, 4), 0);
	assert_int_equal(sink->position, STREAM_SIZE);
	return expected;
}

static void check_file(int fd, off_t offset, const uint8_t *expected, size_t size)
{
	uint8_t *bytes = malloc(size + 1);
	size_t done = 0;

	assert_non_null(bytes);
	while (done <= size) {
		ssize_t n = pread(fd, bytes + done, size + 1 - done, offset + (off_t)done);
		assert_true(n >= 0);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	assert_int_equal(done, size);
	assert_int_equal(memcmp(bytes, expected, size), 0);
	free(bytes);
}

static void test_file(void **state)
{
	(void)state;
	_cleanup_close_ int fd = temporary_file(0);
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	struct stat st;

	assert_int_equal(pss_sink_open(fd, &(struct pss_sink_options){ 0 }, NULL, &sink), 0);
	assert_true(sink.can_seek);
	uint8_t *expected = write_stream(&sink);
	assert_int_equal(pss_sink_finish(&sink), 0);
	check_file(fd, 0, expected, STREAM_SIZE);
	free(expected);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), STREAM_SIZE);
	assert_int_equal(fstat(fd, &st), 0);
	// The five MiB, and most of the zeroes among the data, take no room.
	assert_true(st.st_blocks * 512 < LARGE - 6 * PAGE + 64 * 1024);
	assert_true(sink.bytes_written < LARGE);
}

static void test_ends_in_hole(void **state)
{
	(void)state;
	_cleanup_close_ int fd = temporary_file(0);
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	struct stat st;

	assert_int_equal(pss_sink_open(fd, NULL, NULL, &sink), 0);
	assert_int_equal(pss_sink_write(&sink, "x", 1), 0);
	assert_int_equal(pss_sink_skip(&sink, UINT64_C(1) << 32), 0);
	assert_int_equal(pss_sink_finish(&sink), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, (INT64_C(1) << 32) + 1);
	assert_true(st.st_blocks * 512 <= 16 * PAGE);
}

// Beyond the offset there is something, or the offset does not count: zeroes must be written.
static void test_old_contents(void **state)
{
	(void)state;
	static const int flags[] = { 0, O_APPEND };

	for (int i = 0; i < 2; i++) {
		_cleanup_close_ int fd = temporary_file(flags[i]);
		_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
		uint8_t old[2 * PAGE], expected[2 * PAGE] = "new";

		memset(old, 0xee, sizeof old);
		assert_int_equal(write(fd, old, sizeof old), sizeof old);
		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		assert_int_equal(pss_sink_open(fd, NULL, NULL, &sink), 0);
		assert_false(sink.can_seek);
		assert_int_equal(pss_sink_write(&sink, "new", 3), 0);
		assert_int_equal(pss_sink_skip(&sink, 2 * PAGE - 3), 0);
		assert_int_equal(pss_sink_finish(&sink), 0);
		if (flags[i] & O_APPEND)
			check_file(fd, sizeof old, expected, sizeof expected);
		else
			check_file(fd, 0, expected, sizeof expected);
	}
}

static void test_after_other_output(void **state)
{
	(void)state;
	_cleanup_close_ int fd = temporary_file(0);
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;

	assert_int_equal(write(fd, "12345", 5), 5);
	assert_int_equal(pss_sink_open(fd, NULL, NULL, &sink), 0);
	assert_true(sink.can_seek);
	uint8_t *expected = write_stream(&sink);
	assert_int_equal(pss_sink_finish(&sink), 0);
	check_file(fd, 5, expected, STREAM_SIZE);
	free(expected);
	char head[5];
	assert_int_equal(pread(fd, head, 5, 0), 5);
	assert_memory_equal(head, "12345", 5);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 5 + STREAM_SIZE);
}

// Reads a pipe to its end on a thread of its own.
struct drain {
	pthread_t thread;
	int fd;
	uint8_t *bytes;
	size_t size;
};

static void *run_drain(void *argument)
{
	struct drain *drain = argument;
	ssize_t n;

	while ((n = read(drain->fd, drain->bytes + drain->size, 2 * STREAM_SIZE - drain->size)) > 0)
		drain->size += (size_t)n;
	return NULL;
}

static int drain_begin(struct drain *drain, int flags)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, flags), 0);
	*drain = (struct drain){ .fd = ends[0], .bytes = malloc(2 * STREAM_SIZE) };
	assert_non_null(drain->bytes);
	assert_int_equal(pthread_create(&drain->thread, NULL, run_drain, drain), 0);
	return ends[1];
}

static void drain_end(struct drain *drain, int fd, const uint8_t *expected)
{
	assert_int_equal(close(fd), 0);
	assert_int_equal(pthread_join(drain->thread, NULL), 0);
	assert_int_equal(drain->size, STREAM_SIZE);
	assert_int_equal(memcmp(drain->bytes, expected, STREAM_SIZE), 0);
	assert_int_equal(close(drain->fd), 0);
	free(drain->bytes);
}

static void test_pipe(void **state)
{
	(void)state;
	static const int flags[] = { 0, O_NONBLOCK };

	for (int i = 0; i < 2; i++) {
		_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
		struct drain drain;
		int fd = drain_begin(&drain, flags[i]);

		assert_int_equal(pss_sink_open(fd, NULL, NULL, &sink), 0);
		assert_false(sink.can_seek);
		uint8_t *expected = write_stream(&sink);
		assert_int_equal(pss_sink_finish(&sink), 0);
		assert_int_equal(sink.bytes_written, STREAM_SIZE);
		drain_end(&drain, fd, expected);
		free(expected);
	}
}

static void test_full(void **state)
{
	(void)state;
	_cleanup_close_ int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	struct pss_diag diag = { 0 };

	assert_true(fd >= 0);
	assert_int_equal(pss_sink_open(fd, NULL, &diag, &sink), 0);
	assert_int_equal(pss_sink_write(&sink, "x", 1), 0); // gathered
	assert_int_equal(pss_sink_finish(&sink), -ENOSPC);
	assert_int_equal(diag.error, -ENOSPC);
	assert_non_null(strstr(diag.text, "No space left on device"));
}

static bool is_pending(int number)
{
	sigset_t pending;

	assert_int_equal(sigpending(&pending), 0);
	return sigismember(&pending, number);
}

static int write_to_closed_pipe(void)
{
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	struct pss_diag diag = { 0 };
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(pss_sink_open(ends[1], NULL, &diag, &sink), 0);
	assert_int_equal(pss_sink_write(&sink, "x", 1), 0);
	int r = pss_sink_finish(&sink);
	assert_int_equal(diag.error, r);
	assert_int_equal(close(ends[1]), 0);
	return r;
}

// SIGPIPE has its default action here: the test would die of it.
static void test_closed_pipe(void **state)
{
	(void)state;
	sigset_t before, after;

	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &before), 0);
	assert_int_equal(write_to_closed_pipe(), -EPIPE);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	for (int number = 1; number < NSIG; number++)
		assert_int_equal(sigismember(&before, number), sigismember(&after, number));
	assert_false(is_pending(SIGPIPE));
}

static void test_pending_sigpipe_stays(void **state)
{
	(void)state;
	sigset_t set;

	assert_int_equal(sigemptyset(&set), 0);
	assert_int_equal(sigaddset(&set, SIGPIPE), 0);
	assert_int_equal(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
	assert_int_equal(raise(SIGPIPE), 0);
	assert_int_equal(write_to_closed_pipe(), -EPIPE);
	assert_true(is_pending(SIGPIPE));
	assert_int_equal(sigwaitinfo(&set, NULL), SIGPIPE);
	assert_int_equal(pthread_sigmask(SIG_UNBLOCK, &set, NULL), 0);
}

// SIGXFSZ, too, would end the test.
static void test_file_size_limit(void **state)
{
	(void)state;
	_cleanup_close_ int fd = temporary_file(0);
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	struct rlimit before, small;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = (struct rlimit){ .rlim_cur = 10 * PAGE, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(pss_sink_open(fd, NULL, NULL, &sink), 0);
	assert_int_equal(pss_sink_skip(&sink, 20 * PAGE), 0);
	int ends_in_hole = pss_sink_finish(&sink);
	assert_int_equal(pss_sink_write(&sink, "x", 1), 0);
	int ends_in_data = pss_sink_finish(&sink);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(ends_in_hole, -EFBIG);
	assert_int_equal(ends_in_data, -EFBIG);
	assert_false(is_pending(SIGXFSZ));
}

#ifdef HAVE_ZSTD
static void test_zstd(void **state)
{
	(void)state;
	_cleanup_close_ int fd = temporary_file(0);
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	const struct pss_sink_options options = { .compress = true };
	uint8_t *bytes = malloc(2 * STREAM_SIZE), *packed = malloc(2 * STREAM_SIZE);

	assert_non_null(bytes);
	assert_non_null(packed);
	assert_int_equal(pss_sink_open(fd, &options, NULL, &sink), 0);
	uint8_t *expected = write_stream(&sink);
	assert_int_equal(pss_sink_finish(&sink), 0);

	ssize_t size = pread(fd, packed, 2 * STREAM_SIZE, 0);
	assert_int_equal(size, sink.bytes_written);
	// One frame, and the whole stream in it.
	assert_int_equal(ZSTD_findFrameCompressedSize(packed, (size_t)size), size);
	ZSTD_DCtx *context = ZSTD_createDCtx();
	size_t got = ZSTD_decompressDCtx(context, bytes, 2 * STREAM_SIZE, packed, (size_t)size);
	assert_false(ZSTD_isError(got));
	assert_int_equal(got, STREAM_SIZE);
	assert_int_equal(memcmp(bytes, expected, STREAM_SIZE), 0);
	(void)ZSTD_freeDCtx(context);
	free(expected);
	free(packed);
	free(bytes);
}

static void test_zstd_full(void **state)
{
	(void)state;
	_cleanup_close_ int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;
	const struct pss_sink_options options = { .compress = true, .compression_level = 1 };

	assert_true(fd >= 0);
	assert_int_equal(pss_sink_open(fd, &options, NULL, &sink), 0);
	assert_int_equal(pss_sink_write(&sink, "x", 1), 0);
	assert_int_equal(pss_sink_finish(&sink), -ENOSPC);
}
#else
static void test_zstd_missing(void **state)
{
	(void)state;
	const struct pss_sink_options options = { .compress = true };
	struct pss_sink sink = PSS_SINK_EMPTY;

	assert_int_equal(pss_sink_open(STDOUT_FILENO, &options, NULL, &sink), -EOPNOTSUPP);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_ends_in_hole),
		cmocka_unit_test(test_old_contents),
		cmocka_unit_test(test_after_other_output),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_closed_pipe),
		cmocka_unit_test(test_pending_sigpipe_stays),
		cmocka_unit_test(test_file_size_limit),
#ifdef HAVE_ZSTD
		cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_zstd_full),
#else
		cmocka_unit_test(test_zstd_missing),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
