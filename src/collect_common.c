// SPDX-License-Identifier: LGPL-2.1-or-later
// See collect_common.h. Arithmetic, and two system calls that need no right at all.
#include "collect_common.h"

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

// 1601 to 1970.
#define EPOCH_TICKS      UINT64_C(116444736000000000)
#define TICKS_PER_SECOND UINT64_C(10000000)

enum {
	NS_PER_TICK = 100,
	CPU_WORDS = 128, // 8192 CPUs, the most a kernel can be built for
};

// Of a stat's ticks, not ours.
static uint64_t stat_ticks_to_100ns(uint64_t ticks)
{
	uint64_t per_second = (uint64_t)sysconf(_SC_CLK_TCK);

	return ticks / per_second * TICKS_PER_SECOND +
	       ticks % per_second * TICKS_PER_SECOND / per_second;
}

uint64_t pss_collect_common_instant(uint64_t realtime_ns)
{
	return EPOCH_TICKS + realtime_ns / NS_PER_TICK;
}

uint64_t pss_collect_common_created(uint64_t boot_seconds, uint64_t start_ticks)
{
	return EPOCH_TICKS + boot_seconds * TICKS_PER_SECOND + stat_ticks_to_100ns(start_ticks);
}

struct pss_collect_times pss_collect_common_times(uint64_t total_ns, uint64_t kernel_ticks,
						  uint64_t user_ticks)
{
	struct pss_collect_times times;
	unsigned __int128 ticks = (unsigned __int128)kernel_ticks + user_ticks;

	if (total_ns == 0) {
		times.kernel = stat_ticks_to_100ns(kernel_ticks);
		times.user = stat_ticks_to_100ns(user_ticks);
		return times;
	}

	uint64_t total = total_ns / NS_PER_TICK;
	times.kernel = ticks ? (uint64_t)((unsigned __int128)total * kernel_ticks / ticks) : 0;
	times.user = total - times.kernel;
	return times;
}

uint64_t pss_collect_common_affinity(pid_t tid)
{
	uint64_t mask[CPU_WORDS] = { 0 };

	if (sched_getaffinity(tid, sizeof mask, (cpu_set_t *)(void *)mask) < 0)
		return 0;
	return mask[0];
}

uint64_t pss_collect_common_clock(clockid_t clock)
{
	struct timespec now;

	if (clock_gettime(clock, &now) < 0)
		return 0;
	return (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

uint64_t pss_collect_common_cpu_ns(pid_t pid)
{
	const clockid_t scheduler_clock = 2;

	return pss_collect_common_clock((clockid_t)(~(unsigned)pid << 3) | scheduler_clock);
}
