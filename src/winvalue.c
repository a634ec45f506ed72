// SPDX-License-Identifier: LGPL-2.1-or-later
// The conversions of winvalue.h.
#include "winvalue.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/wait.h>

#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif

/** Bands by nice value, from the most urgent; each reaches up to nice_max. */
static const struct band {
	int32_t nice_max;
	uint32_t class;
	int level;
} bands[] = {
	{ -16, REALTIME_PRIORITY_CLASS, 24 },    { -11, HIGH_PRIORITY_CLASS, 13 },
	{ -6, ABOVE_NORMAL_PRIORITY_CLASS, 10 }, { 0, NORMAL_PRIORITY_CLASS, 8 },
	{ 10, BELOW_NORMAL_PRIORITY_CLASS, 6 },  { INT32_MAX, IDLE_PRIORITY_CLASS, 4 },
};

static bool is_realtime(uint32_t policy)
{
	return policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

static const struct band *find_band(uint32_t policy, int32_t nice)
{
	const struct band *band = bands;

	if (is_realtime(policy))
		nice = INT32_MIN;
	if (policy == SCHED_IDLE)
		nice = INT32_MAX;
	while (nice > band->nice_max)
		band++;
	return band;
}

uint32_t pss_winvalue_priority_class(uint32_t policy, int32_t nice)
{
	return find_band(policy, nice)->class;
}

int pss_winvalue_base_priority(uint32_t policy, int32_t nice)
{
	return find_band(policy, nice)->level;
}

int pss_winvalue_priority(uint32_t policy, int32_t nice, uint32_t rt_priority)
{
	if (!is_realtime(policy))
		return pss_winvalue_base_priority(policy, nice);
	if (rt_priority > 99)
		rt_priority = 99;
	// Linux' real-time priorities are 1 to 99, those of Windows 16 to 31.
	return 16 + (int)(rt_priority * 15 / 99);
}

FILETIME pss_winvalue_filetime(uint64_t ticks)
{
	return (FILETIME){
		.dwLowDateTime = (DWORD)ticks,
		.dwHighDateTime = (DWORD)(ticks >> 32),
	};
}

uint32_t pss_winvalue_exit_code(uint32_t wait_status)
{
	int status = (int)wait_status;

	if (WIFSIGNALED(status))
		return 128u + (uint32_t)WTERMSIG(status);
	return (uint32_t)WEXITSTATUS(status);
}
