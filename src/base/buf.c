// SPDX-License-Identifier: LGPL-2.1-or-later
// The growing buffer of buf.h, straight on mmap and mremap.
#include "base/buf.h"

#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"

enum { FIRST_CAPACITY = 64 * 1024 };

void pss_buf_deinit(struct pss_buf *buf)
{
	if (buf->data) {
		int saved = errno;
		(void)munmap(buf->data, buf->capacity);
		errno = saved;
	}
	*buf = PSS_BUF_EMPTY;
}

static int grow(struct pss_buf *buf, size_t capacity)
{
	void *data;

	if (buf->data)
		data = mremap(buf->data, buf->capacity, capacity, MREMAP_MAYMOVE);
	else
		data = mmap(NULL, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
	if (data == MAP_FAILED)
		return -ENOMEM;
	buf->data = data;
	buf->capacity = capacity;
	return 0;
}

int pss_buf_reserve(struct pss_buf *buf, size_t extra)
{
	uint64_t needed;

	if (pss_add(buf->size, extra, &needed) < 0 || needed > SIZE_MAX / 2)
		return -ENOMEM;
	if (needed <= buf->capacity)
		return 0;

	size_t capacity = buf->capacity ? buf->capacity : FIRST_CAPACITY;
	while (capacity < needed)
		capacity *= 2;
	return grow(buf, capacity);
}

int pss_buf_append(struct pss_buf *buf, const void *bytes, size_t size)
{
	int r = pss_buf_reserve(buf, size);

	if (r < 0)
		return r;
	if (size == 0)
		return 0;
	if (bytes)
		memcpy(buf->data + buf->size, bytes, size);
	else
		memset(buf->data + buf->size, 0, size);
	buf->size += size;
	return 0;
}

int pss_buf_align(struct pss_buf *buf, size_t alignment)
{
	size_t aligned = pss_align_up(buf->size, alignment);

	return pss_buf_append(buf, NULL, aligned - buf->size);
}
