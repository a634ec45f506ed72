// SPDX-License-Identifier: LGPL-2.1-or-later
// What the parts of the target share: what was asked for, the clock, and each part's few calls.
#ifndef PSS_BENCH_PATIENT_H
#define PSS_BENCH_PATIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MIB  ((size_t)1 << 20)
#define PAGE ((size_t)4096)

/** More than any thread can write in a second: it never waits. */
#define FLAT_OUT ((size_t)1 << 20)

struct options {
	size_t mib;
	const char *pages; // 4k, thp, hugetlb, or the size of a folio that the kernel is set to
	const char *fill;  // random, or half: one half of each page is the same in all
	unsigned sleepers;
	unsigned runners;
	size_t reserve_gib;
	unsigned descriptors;
	unsigned mappings;
	size_t write_mib; // a second; 0: no writer
	bool has_spinner;
};

uint64_t patient_now(void);
void patient_die(const char *what) __attribute__((noreturn));

/** Makes the memory, the mappings and the descriptors that were asked for. */
void memory_make(const struct options *options);
unsigned char *memory_base(void);
size_t memory_size(void);

/** Writes to each page, so that each is the process's own again, as in a program that works. */
void memory_touch(void);

/** write() of all of it to a file; memcpy of all of it. Nanoseconds. */
uint64_t memory_write(const char *path);
uint64_t memory_copy(void);

/** Starts the threads that measure, those that run and those that sleep. */
void meters_start(const struct options *options);

/** Begins all figures again; prints them. */
void meters_reset(void);
void meters_report(void);

/** fork() by the thread that computes, or by the caller where there is none. Nanoseconds. */
uint64_t meters_fork(void);

#endif
