// SPDX-License-Identifier: LGPL-2.1-or-later
// Where exported bytes go: a descriptor, sought over holes where it can be, or a zstd stream.
// Always forward. Short writes are completed; a full disk is an error; the host gets no SIGPIPE or
// SIGXFSZ. zstd has two threads of its own, which take no signals, and uses malloc: only here, only
// if asked.
#ifndef PSS_SINK_H
#define PSS_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/diag.h"

struct pss_sink_options {
	bool compress;         /**< write one zstd frame */
	int compression_level; /**< zstd's, used if compress */
	/** Takes the bytes in place of the descriptor: all @size of them, or -errno. */
	int (*deliver)(void *context, const void *bytes, size_t size, uint64_t position);
	void *deliver_context;
};

/** A stream being written. @fd is borrowed. */
struct pss_sink {
	int fd;
	bool can_seek;          /**< a regular file: holes cost nothing */
	uint64_t base;          /**< where in that file the stream begins */
	uint64_t position;      /**< bytes of the stream, before compression */
	uint64_t bytes_written; /**< bytes handed to the descriptor; holes are not */
	int (*deliver)(void *context, const void *bytes, size_t size, uint64_t position);
	void *deliver_context;
	void *zstd;
	struct pss_buf buffer; /**< the last bytes of the stream, not handed on yet */
	struct pss_diag *diag;
};

#define PSS_SINK_EMPTY ((struct pss_sink){ .fd = -EBADF })

/**
 * Starts a stream on @fd, which may be blocking or not. Holes are left only in a regular file that
 * has nothing beyond its offset yet and is not open for appending. -EOPNOTSUPP if compression is
 * asked for and was not built in.
 */
int pss_sink_open(int fd, const struct pss_sink_options *options, struct pss_diag *diag,
		  struct pss_sink *ret);

/** Appends bytes; pages of zeroes among them become holes where there can be holes. */
int pss_sink_write(struct pss_sink *sink, const void *bytes, size_t size);

/** Zeroes: a hole where the descriptor has holes, bytes elsewhere. */
int pss_sink_skip(struct pss_sink *sink, uint64_t size);

/** Ends the stream: flushes, sets the file's size if it ends in a hole, and its offset to the end.
 */
int pss_sink_finish(struct pss_sink *sink);

/** Lets go of what the sink holds itself; writes nothing, closes no descriptor. */
void pss_sink_close(struct pss_sink *sink);

#define _cleanup_sink_ _cleanup_(pss_sink_close)

#endif
