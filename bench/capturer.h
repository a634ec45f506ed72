// SPDX-License-Identifier: LGPL-2.1-or-later
// What capturer.c and references.c share.
#ifndef PSS_BENCH_CAPTURER_H
#define PSS_BENCH_CAPTURER_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <procsnap.h>

void capturer_die(const char *what) __attribute__((noreturn));
void capturer_must(DWORD error, const char *what);
uint64_t capturer_now(void);

/** Reads memory of a process once, a MiB at a time, as an export does. Nanoseconds. */
uint64_t references_read(int pid, uint64_t address, uint64_t size);

/** Reads, and throws away, the files of /proc that a list of the threads of @pid comes from. */
void references_list_threads(const char *pid);

#endif
