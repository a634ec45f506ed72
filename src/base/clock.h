// SPDX-License-Identifier: LGPL-2.1-or-later
// A clock as one number.
#ifndef PSS_BASE_CLOCK_H
#define PSS_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define NS_PER_SECOND UINT64_C(1000000000)
#define NS_PER_MS     UINT64_C(1000000)

/** Nanoseconds of a clock that cannot fail: CLOCK_MONOTONIC, CLOCK_REALTIME and their like. */
static inline uint64_t pss_clock_ns(clockid_t clock)
{
	struct timespec now = { 0 };

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/** Milliseconds of CLOCK_MONOTONIC. */
static inline uint64_t pss_clock_ms(void)
{
	return pss_clock_ns(CLOCK_MONOTONIC) / NS_PER_MS;
}

#endif
