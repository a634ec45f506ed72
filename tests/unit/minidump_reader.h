// SPDX-License-Identifier: LGPL-2.1-or-later
// Reads minidumps and believes nothing: every position and size of a dump is checked. For tests of
// whatever writes one. Uses Windows' structures only, nothing of the writer's.
#ifndef PSS_TESTS_MINIDUMP_READER_H
#define PSS_TESTS_MINIDUMP_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dbghelp.h>

/** A dump in memory. */
struct minidump {
	const uint8_t *bytes;
	size_t size;
	char fault[256]; // what is wrong with it; empty: nothing
};

/** Checks everything. False: see fault. */
bool minidump_check(struct minidump *dump);

/** A stream and its size; NULL if there is none. */
const void *minidump_stream(const struct minidump *dump, uint32_t type, uint32_t *size_ret);

/** Bytes of memory of the process, from either list; NULL if not all of them are in it. */
const void *minidump_memory(const struct minidump *dump, uint64_t address, uint64_t size);

/** Entries of the three lists that everybody wants. */
uint32_t minidump_thread_count(const struct minidump *dump);
const MINIDUMP_THREAD *minidump_thread(const struct minidump *dump, uint32_t index);
uint32_t minidump_module_count(const struct minidump *dump);
const MINIDUMP_MODULE *minidump_module(const struct minidump *dump, uint32_t index);

/** A MINIDUMP_STRING as UTF-8, cut to @room. */
void minidump_text(const struct minidump *dump, uint64_t rva, char *text, size_t room);

#endif
