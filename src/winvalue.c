// SPDX-License-Identifier: LGPL-2.1-or-later
// The conversions of winvalue.h.
#include "winvalue.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
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

/** PAGE_* of a mapping. Linux knows no page that can be written and not read. */
static DWORD page_protection(const struct pss_region_record *region)
{
	// In a private mapping of a file, writing makes a copy.
	bool is_copied = !(region->flags & PSS_REGION_SHARED) &&
			 (region->kind == PSS_REGION_MAPPED || region->kind == PSS_REGION_IMAGE);
	bool is_executable = region->protection & PSS_REGION_EXECUTE;

	if (region->protection & PSS_REGION_WRITE) {
		if (is_executable)
			return is_copied ? PAGE_EXECUTE_WRITECOPY : PAGE_EXECUTE_READWRITE;
		return is_copied ? PAGE_WRITECOPY : PAGE_READWRITE;
	}
	if (region->protection & PSS_REGION_READ)
		return is_executable ? PAGE_EXECUTE_READ : PAGE_READONLY;
	return is_executable ? PAGE_EXECUTE : PAGE_NOACCESS;
}

/** Address space set aside: nothing can be there, and nothing is. */
static bool is_reserved(const struct pss_region_record *region)
{
	return region->kind == PSS_REGION_PRIVATE && region->protection == 0 &&
	       !(region->flags & PSS_REGION_SHARED) &&
	       (region->resident_bytes == 0 || region->resident_bytes == PSS_RESIDENT_UNKNOWN);
}

static DWORD region_type(const struct pss_region_record *region)
{
	switch (region->kind) {
	case PSS_REGION_IMAGE:
		return MEM_IMAGE;
	case PSS_REGION_MAPPED:
		return MEM_MAPPED;
	default:
		return MEM_PRIVATE;
	}
}

void pss_winvalue_region(const struct pss_region_record *region, MEMORY_BASIC_INFORMATION *ret)
{
	// Padding goes out to the caller as well: it must not carry our stack.
	memset(ret, 0, sizeof *ret);
	ret->BaseAddress = (void *)(uintptr_t)region->start;
	ret->AllocationBase = (void *)(uintptr_t)region->allocation_base;
	ret->AllocationProtect = page_protection(region);
	ret->RegionSize = region->end - region->start;
	ret->State = is_reserved(region) ? MEM_RESERVE : MEM_COMMIT;
	ret->Protect = ret->AllocationProtect;
	ret->Type = region_type(region);
}
