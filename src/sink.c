// SPDX-License-Identifier: LGPL-2.1-or-later
// The stream of sink.h: gathers small pieces, hands large ones on as they are, leaves holes for
// pages of zeroes, and keeps the signals that a failed write raises away from the host.
#include "sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "config.h"

#ifdef HAVE_ZSTD
#include <zstd.h>
#include <zstd_errors.h>
#endif

enum {
	BUFFER_SIZE = 1024 * 1024,
	JOB_SIZE = 2 * 1024 * 1024,
	// What file systems allocate in; a hole of less saves nothing. Not the page size.
	HOLE_UNIT = 4096,
};

static const uint8_t zeroes[HOLE_UNIT];

static int fail(struct pss_sink *sink, int error)
{
	int r = pss_fail(sink->diag, error, "cannot write the output after %llu bytes",
			 (unsigned long long)sink->bytes_written);

	// A user's share of the disk is full. As a result, EDQUOT is for limits on captures.
	return r == -EDQUOT ? -ENOSPC : r;
}

// While it lasts, a failed write raises nothing: SIGPIPE of a pipe and SIGXFSZ of a file-size limit
// would kill a host that does not expect them.
struct quiet {
	sigset_t before;
	sigset_t pending;
};

static void quiet_begin(struct quiet *quiet)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGPIPE);
	(void)sigaddset(&set, SIGXFSZ);
	(void)pthread_sigmask(SIG_BLOCK, &set, &quiet->before);
	(void)sigpending(&quiet->pending);
}

// Takes away the signal that @error has raised, unless one was pending before. Keeps errno.
static void quiet_end(const struct quiet *quiet, int error)
{
	int saved = errno;
	int raised = error == -EPIPE ? SIGPIPE : error == -EFBIG ? SIGXFSZ : 0;
	sigset_t set;

	if (raised && !sigismember(&quiet->pending, raised)) {
		(void)sigemptyset(&set);
		(void)sigaddset(&set, raised);
		(void)sigtimedwait(&set, NULL, &(struct timespec){ 0 });
	}
	(void)pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
	errno = saved;
}

static ssize_t write_quietly(const struct pss_sink *sink, const void *bytes, size_t size,
			     uint64_t position)
{
	struct quiet quiet;

	quiet_begin(&quiet);
	ssize_t n = sink->can_seek ? pwrite(sink->fd, bytes, size, (off_t)(sink->base + position))
				   : write(sink->fd, bytes, size);
	quiet_end(&quiet, n < 0 ? -errno : 0);
	return n;
}

static int set_end(const struct pss_sink *sink)
{
	off_t end = (off_t)(sink->base + sink->position);
	struct quiet quiet;

	quiet_begin(&quiet);
	int r = PSS_RET_ERRNO(ftruncate(sink->fd, end));
	quiet_end(&quiet, r);
	return r < 0 ? r : PSS_RET_ERRNO(lseek(sink->fd, end, SEEK_SET));
}

static int wait_writable(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };

	return poll(&poll_fd, 1, -1) < 0 && errno != EINTR ? -errno : 0;
}

// Hands on all of @bytes; in a file that can be sought, at @position of the stream.
static int put(struct pss_sink *sink, const uint8_t *bytes, size_t size, uint64_t position)
{
	if (sink->deliver && size > 0) {
		int r = sink->deliver(sink->deliver_context, bytes, size, position);

		sink->bytes_written += r < 0 ? 0 : size;
		return r < 0 ? fail(sink, r) : 0;
	}
	while (size > 0) {
		ssize_t n = write_quietly(sink, bytes, size, position);
		int r = 0;

		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
			position += (size_t)n;
			sink->bytes_written += (size_t)n;
		} else if (n == 0) {
			r = -ENOSPC; // nothing that can be waited for
		} else if (errno == EAGAIN) {
			r = wait_writable(sink->fd);
		} else if (errno != EINTR) {
			r = -errno;
		}
		if (r < 0)
			return fail(sink, r);
	}
	return 0;
}

static int flush(struct pss_sink *sink)
{
	size_t size = sink->buffer.size;

	pss_buf_clear(&sink->buffer);
	return put(sink, sink->buffer.data, size, sink->position - size);
}

// Bytes at the stream's end: gathered if few, handed on straight away if many.
static int append(struct pss_sink *sink, const uint8_t *bytes, size_t size)
{
	if (sink->buffer.size + size > BUFFER_SIZE) {
		int r = flush(sink);
		if (r < 0)
			return r;
	}
	if (size >= BUFFER_SIZE) {
		int r = put(sink, bytes, size, sink->position);
		if (r < 0)
			return r;
	} else {
		(void)pss_buf_append(&sink->buffer, bytes, size); // there is room
	}
	sink->position += size;
	return 0;
}

static int append_zeroes(struct pss_sink *sink, uint64_t size)
{
	while (size > 0) {
		size_t piece = size < sizeof zeroes ? size : sizeof zeroes;
		int r = append(sink, zeroes, piece);
		if (r < 0)
			return r;
		size -= piece;
	}
	return 0;
}

static int leave_hole(struct pss_sink *sink, uint64_t size)
{
	int r = flush(sink);

	if (r == 0)
		sink->position += size;
	return r;
}

static bool is_zero_unit(const uint8_t *bytes)
{
	// Most pages that are not zero show it at once; memcmp is for the others.
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, HOLE_UNIT - 1) == 0;
}

// Bytes at the beginning of @bytes that are all data, or, with *is_hole_ret, all hole. The stream
// stands at a multiple of HOLE_UNIT.
static size_t measure(const uint8_t *bytes, size_t size, bool *is_hole_ret)
{
	size_t run = 0;

	*is_hole_ret = size >= HOLE_UNIT && is_zero_unit(bytes);
	while (size - run >= HOLE_UNIT && is_zero_unit(bytes + run) == *is_hole_ret)
		run += HOLE_UNIT;
	// What is left over at the end is data.
	return size - run < HOLE_UNIT && !*is_hole_ret ? size : run;
}

static int write_sparse(struct pss_sink *sink, const uint8_t *bytes, size_t size)
{
	// Up to the next unit of the file first.
	uint64_t lead = pss_align_up(sink->position, HOLE_UNIT) - sink->position;
	size_t run = lead < size ? lead : size;
	bool is_hole = false;
	int r = 0;

	while (size > 0) {
		if (run == 0)
			run = measure(bytes, size, &is_hole);
		r = is_hole ? leave_hole(sink, run) : append(sink, bytes, run);
		if (r < 0)
			return r;
		bytes += run;
		size -= run;
		run = 0;
	}
	return 0;
}

#ifdef HAVE_ZSTD

static int zstd_error(struct pss_sink *sink, size_t code)
{
	int error = ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation ? -ENOMEM : -EIO;

	return pss_fail(sink->diag, error, "zstd: %s", ZSTD_getErrorName(code));
}

// Feeds zstd and hands on what it gives, until the input is taken or, at the end, all is out.
static int compress(struct pss_sink *sink, const void *bytes, size_t size, ZSTD_EndDirective end)
{
	ZSTD_inBuffer in = { .src = bytes, .size = size };
	size_t left = 0;

	do {
		ZSTD_outBuffer out = { .dst = sink->buffer.data, .size = BUFFER_SIZE };

		left = ZSTD_compressStream2(sink->zstd, &out, &in, end);
		if (ZSTD_isError(left))
			return zstd_error(sink, left);
		int r = put(sink, sink->buffer.data, out.pos, 0);
		if (r < 0)
			return r;
	} while (in.pos < in.size || (end == ZSTD_e_end && left > 0));
	sink->position += size;
	return 0;
}

static int start_zstd(struct pss_sink *sink, int level)
{
	sigset_t all, before;

	sink->zstd = ZSTD_createCCtx();
	if (!sink->zstd)
		return fail(sink, -ENOMEM);
	size_t code = ZSTD_CCtx_setParameter(sink->zstd, ZSTD_c_compressionLevel, level);
	if (ZSTD_isError(code))
		return zstd_error(sink, code);
	(void)ZSTD_CCtx_setParameter(sink->zstd, ZSTD_c_checksumFlag, 1);
	// Fails in a libzstd built without threads, which then works in ours. A job of one window:
	// the default of four costs 40 MiB more memory for a tenth of speed, half a window a fifth.
	(void)ZSTD_CCtx_setParameter(sink->zstd, ZSTD_c_nbWorkers, 2);
	(void)ZSTD_CCtx_setParameter(sink->zstd, ZSTD_c_jobSize, JOB_SIZE);

	// The workers are born at the first call, and must leave all signals to the host's threads.
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = compress(sink, NULL, 0, ZSTD_e_continue);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

static int compress_zeroes(struct pss_sink *sink, uint64_t size)
{
	while (size > 0) {
		size_t piece = size < sizeof zeroes ? size : sizeof zeroes;
		int r = compress(sink, zeroes, piece, ZSTD_e_continue);
		if (r < 0)
			return r;
		size -= piece;
	}
	return 0;
}

static int sink_put(struct pss_sink *sink, const void *bytes, size_t size)
{
	return compress(sink, bytes, size, ZSTD_e_continue);
}

static int finish_zstd(struct pss_sink *sink)
{
	return compress(sink, NULL, 0, ZSTD_e_end);
}

static void free_zstd(struct pss_sink *sink)
{
	(void)ZSTD_freeCCtx(sink->zstd);
}

#else

static int start_zstd(struct pss_sink *sink, int level)
{
	(void)level;
	return pss_fail(sink->diag, -EOPNOTSUPP, "this procsnap was built without zstd");
}

static int compress_zeroes(struct pss_sink *sink, uint64_t size)
{
	(void)size;
	return fail(sink, -EOPNOTSUPP);
}

static int sink_put(struct pss_sink *sink, const void *bytes, size_t size)
{
	(void)bytes;
	(void)size;
	return fail(sink, -EOPNOTSUPP);
}

static int finish_zstd(struct pss_sink *sink)
{
	return fail(sink, -EOPNOTSUPP);
}

static void free_zstd(struct pss_sink *sink)
{
	(void)sink;
}

#endif

// Whether holes can be left, and from where on. Beyond the offset there must be nothing yet: a hole
// over old contents would show them.
static bool find_base(int fd, uint64_t *base_ret)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || (flags & O_APPEND) || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	off_t offset = lseek(fd, 0, SEEK_CUR);
	if (offset < 0 || offset < st.st_size)
		return false;
	*base_ret = (uint64_t)offset;
	return true;
}

int pss_sink_open(int fd, const struct pss_sink_options *options, struct pss_diag *diag,
		  struct pss_sink *ret)
{
	_cleanup_sink_ struct pss_sink sink = PSS_SINK_EMPTY;

	sink.fd = fd;
	sink.diag = diag;
	sink.deliver_context = options ? options->deliver_context : NULL;
	int r = pss_buf_reserve(&sink.buffer, BUFFER_SIZE);
	if (r < 0)
		return pss_fail(diag, r, "cannot get %d bytes for output", BUFFER_SIZE);
	if (options && options->compress)
		r = start_zstd(&sink, options->compression_level);
	else if (options && options->deliver)
		sink.deliver = options->deliver;
	else
		sink.can_seek = find_base(fd, &sink.base);
	if (r < 0)
		return r;
	*ret = sink;
	sink = PSS_SINK_EMPTY;
	return 0;
}

int pss_sink_write(struct pss_sink *sink, const void *bytes, size_t size)
{
	if (size == 0)
		return 0;
	if (sink->zstd)
		return sink_put(sink, bytes, size);
	return sink->can_seek ? write_sparse(sink, bytes, size) : append(sink, bytes, size);
}

int pss_sink_skip(struct pss_sink *sink, uint64_t size)
{
	if (size == 0)
		return 0;
	if (sink->zstd)
		return compress_zeroes(sink, size);
	// Less than a unit would end in the middle of a block anyway: better to stay in the buffer.
	if (!sink->can_seek || size < HOLE_UNIT)
		return append_zeroes(sink, size);
	return leave_hole(sink, size);
}

int pss_sink_finish(struct pss_sink *sink)
{
	if (sink->zstd)
		return finish_zstd(sink);

	int r = flush(sink);
	if (r < 0 || !sink->can_seek)
		return r;
	r = set_end(sink);
	return r < 0 ? fail(sink, r) : 0;
}

void pss_sink_close(struct pss_sink *sink)
{
	if (!sink)
		return;
	if (sink->zstd)
		free_zstd(sink);
	pss_buf_deinit(&sink->buffer);
	*sink = PSS_SINK_EMPTY;
}
