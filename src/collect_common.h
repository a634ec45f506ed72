// SPDX-License-Identifier: LGPL-2.1-or-later
// What the collectors of processes and of threads share: the section's units of time, and affinity.
#ifndef PSS_COLLECT_COMMON_H
#define PSS_COLLECT_COMMON_H

#include <stdint.h>
#include <sys/types.h>

/** CLOCK_REALTIME in nanoseconds as an instant of the section: 100 ns ticks since 1601. */
uint64_t pss_collect_common_instant(uint64_t realtime_ns);

/**
 * When a process or thread was created, from the whole seconds at which the machine booted and
 * field 22 of its stat. Nothing else goes in, so it is the same at every capture and can serve as
 * identity.
 */
uint64_t pss_collect_common_created(uint64_t boot_seconds, uint64_t start_ticks);

/** A CPU time, split. In 100 ns ticks. */
struct pss_collect_times {
	uint64_t kernel;
	uint64_t user;
};

/**
 * @total_ns on a CPU, split as the ticks of stat are: the kernel counts time in all exactly, and
 * only samples which part was spent where. 0 for @total_ns says that it is not known: the ticks
 * count.
 */
struct pss_collect_times pss_collect_common_times(uint64_t total_ns, uint64_t kernel_ticks,
						  uint64_t user_ticks);

/** The CPUs 0 to 63 that thread @tid may run on; 0 if it is gone. */
uint64_t pss_collect_common_affinity(pid_t tid);

/** A clock in nanoseconds, 0 if there is no such clock. */
uint64_t pss_collect_common_clock(clockid_t clock);

/**
 * Nanoseconds that the threads of process @pid, dead ones too, have been on a CPU, by the kernel's
 * clock of that process: finer than the ticks of stat. 0 if it is gone.
 */
uint64_t pss_collect_common_cpu_ns(pid_t pid);

#endif
