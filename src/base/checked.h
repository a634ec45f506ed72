// SPDX-License-Identifier: LGPL-2.1-or-later
// Arithmetic that says no instead of wrapping, for offsets, counts and sizes that came from
// outside or go into a format with narrower fields.
#ifndef PSS_BASE_CHECKED_H
#define PSS_BASE_CHECKED_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

/** *ret = a + b, or -EOVERFLOW. */
static inline int pss_add(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t sum;

	if (__builtin_add_overflow(a, b, &sum))
		return -EOVERFLOW;
	*ret = sum;
	return 0;
}

/** *ret = a * b, or -EOVERFLOW. */
static inline int pss_mul(uint64_t a, uint64_t b, uint64_t *ret)
{
	uint64_t product;

	if (__builtin_mul_overflow(a, b, &product))
		return -EOVERFLOW;
	*ret = product;
	return 0;
}

/** *ret = value if 32 bits hold it, else -EOVERFLOW. */
static inline int pss_u32(uint64_t value, uint32_t *ret)
{
	if (value > UINT32_MAX)
		return -EOVERFLOW;
	*ret = (uint32_t)value;
	return 0;
}

/** Whether the @length bytes from @offset lie inside @size bytes. */
static inline bool pss_in_range(uint64_t offset, uint64_t length, uint64_t size)
{
	return offset <= size && length <= size - offset;
}

/** @value rounded up to a multiple of @alignment, a power of two; the caller rules out overflow. */
static inline uint64_t pss_align_up(uint64_t value, uint64_t alignment)
{
	return (value + alignment - 1) & ~(alignment - 1);
}

/** @value rounded down to a multiple of @alignment, a power of two. */
static inline uint64_t pss_align_down(uint64_t value, uint64_t alignment)
{
	return value & ~(alignment - 1);
}

#endif
