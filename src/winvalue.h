// SPDX-License-Identifier: LGPL-2.1-or-later
// Values of Linux in the words of Windows: priority classes and levels, times, exit codes, regions.
// Pure; whatever answers in Windows' words shares them.
#ifndef PSS_WINVALUE_H
#define PSS_WINVALUE_H

#include <stdint.h>

#include <win32.h>

#include "section_format.h"

/**
 * The Win32 priority class for a policy and a nice value. The bands are those by which .NET's
 * Process.PriorityClass reads nice values on Linux, but for -5 to -1: .NET calls them below normal,
 * though they are more urgent than 0; here they are normal. Policies are ours: .NET does not look
 * at them. The levels are Windows' own for a thread of normal priority in such a class.
 *
 *	policy or nice                class          level
 *	FIFO, RR, DEADLINE            REALTIME       24
 *	-20 to -16                    REALTIME       24
 *	-15 to -11                    HIGH           13
 *	-10 to -6                     ABOVE_NORMAL   10
 *	-5 to 0                       NORMAL         8
 *	1 to 10                       BELOW_NORMAL   6
 *	11 to 19                      IDLE           4
 *	IDLE                          IDLE           4
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

/** A region as VirtualQuery describes it from its first byte on. Every byte of *ret is set. */
void pss_winvalue_region(const struct pss_region_record *region, MEMORY_BASIC_INFORMATION *ret);

#endif
