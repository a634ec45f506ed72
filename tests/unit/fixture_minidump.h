// SPDX-License-Identifier: LGPL-2.1-or-later
// Minidumps of the address spaces and sections of fixture_core.h, read back and checked.
#ifndef PSS_TESTS_FIXTURE_MINIDUMP_H
#define PSS_TESTS_FIXTURE_MINIDUMP_H

#include <sys/resource.h>

#include "fixture_core.h"
#include "minidump.h"
#include "minidump_reader.h"

#define GIB (UINT64_C(1) << 30)

/** Adds a thread with registers and that stack pointer. */
void minidump_add_thread(struct core_fixture *fixture, int tid, uint64_t stack_pointer);

/** Adds a private mapping between two offsets of the area. */
void minidump_add_region(struct core_fixture *fixture, uint64_t start, uint64_t end);

/** Writes the dump to a descriptor; the result of pss_minidump_write(). */
int minidump_write_to(struct core_fixture *fixture, int fd, uint64_t type,
		      struct pss_minidump_result *ret);

/** The same with all there is to choose; the callback is nobody if there is none. */
int minidump_write_with(struct core_fixture *fixture, int fd,
			const struct pss_minidump_options *options,
			struct pss_minidump_result *ret);

/** A dump that must come about, checked and mapped; minidump_forget() gives it back. */
struct minidump minidump_write(struct core_fixture *fixture, uint64_t type,
			       struct pss_minidump_result *ret);
struct minidump minidump_of_file(int fd);
void minidump_forget(const struct minidump *dump);

/** Of the area it has these bytes, as they are. */
void minidump_assert_memory(const struct core_fixture *fixture, const struct minidump *dump,
			    uint64_t offset, size_t size);

bool minidump_has_byte(const struct core_fixture *fixture, const struct minidump *dump,
		       uint64_t offset);

/** Until the limit is given back, this process gets @extra bytes of address space more. */
struct rlimit minidump_allow_only(uint64_t extra);
void minidump_allow_again(const struct rlimit *before);

#endif
