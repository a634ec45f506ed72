// SPDX-License-Identifier: LGPL-2.1-or-later
// A system call without a C library: for a process that shares our memory, thread-local storage and
// errno in it, and runs at the same time as we do.
#ifndef PSS_ARCH_RAW_H
#define PSS_ARCH_RAW_H

#include <stdint.h>

/** Makes the call. What the kernel returned: a value or -errno. Touches no memory of ours. */
long pss_arch_raw_call(long number, const uint64_t arguments[6]);

#define PSS_ARCH_RAW(number, ...) pss_arch_raw_call((number), (const uint64_t[6]){ __VA_ARGS__ })

#endif
