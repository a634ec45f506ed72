// SPDX-License-Identifier: LGPL-2.1-or-later
// Values of Linux in the words of Windows: priority classes and levels, times, exit codes. Pure;
// query and walk share them.
#ifndef PSS_WINVALUE_H
#define PSS_WINVALUE_H

#include <stdint.h>

#include <win32.h>

/**
 * The Win32 priority class for a policy and a nice value, by the bands that .NET uses on Linux:
 * real-time policies and nice below -15 are real-time, below -10 high, below -5 above normal, up to
 * 0 normal, up to 10 below normal; the rest and SCHED_IDLE are idle.
 */
uint32_t pss_winvalue_priority_class(uint32_t policy, int32_t nice);

/** The level (0 to 31) that Windows gives a thread of that class: 24, 13, 10, 8, 6 or 4. */
int pss_winvalue_base_priority(uint32_t policy, int32_t nice);

/** The level now: the base, and for real-time policies 16 to 31 by the real-time priority. */
int pss_winvalue_priority(uint32_t policy, int32_t nice, uint32_t rt_priority);

/** 100 ns ticks as Windows stores them. */
FILETIME pss_winvalue_filetime(uint64_t ticks);

/** A wait(2) status as an exit code: the code itself, or 128 plus the signal. */
uint32_t pss_winvalue_exit_code(uint32_t wait_status);

#endif
