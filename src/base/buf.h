// SPDX-License-Identifier: LGPL-2.1-or-later
// A growing buffer in memory mapped for it alone. The capture engine never calls malloc: the host's
// heap may be locked by a stopped thread, or damaged.
#ifndef PSS_BASE_BUF_H
#define PSS_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/** Bytes and how many of them are used. Starts as PSS_BUF_EMPTY. Growing moves the bytes. */
struct pss_buf {
	uint8_t *data;
	size_t size;
	size_t capacity;
};

#define PSS_BUF_EMPTY ((struct pss_buf){ 0 })

/** Gives the memory back and empties @buf. Accepts an empty one. */
void pss_buf_deinit(struct pss_buf *buf);

#define _cleanup_buf_ _cleanup_(pss_buf_deinit)

/** Makes room for @extra more bytes without changing the size. 0 or -ENOMEM. */
int pss_buf_reserve(struct pss_buf *buf, size_t extra);

/** Appends @size bytes, zeroed if @bytes is NULL. 0 or -ENOMEM, with nothing appended. */
int pss_buf_append(struct pss_buf *buf, const void *bytes, size_t size);

/** Appends zeroes until the size is a multiple of @alignment, a power of two. */
int pss_buf_align(struct pss_buf *buf, size_t alignment);

/** Forgets the contents, keeps the memory. */
static inline void pss_buf_clear(struct pss_buf *buf)
{
	buf->size = 0;
}

#endif
