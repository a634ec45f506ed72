// SPDX-License-Identifier: LGPL-2.1-or-later
// An address space, a section that describes it, and the core of both: for the tests of ELF cores.
// The address space is a range of the test's own; what stands in the section is each test's affair.
#ifndef PSS_TESTS_FIXTURE_CORE_H
#define PSS_TESTS_FIXTURE_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elfcore.h"
#include "memory.h"
#include "section.h"

enum {
	PAGE = 4096,
	PID = 4711,
	TID = 4712, // of a thread that is not the leader
	GENERAL_SIZE = 216,
	FLOATING_SIZE = 512,
	FILTER_DEFAULT = 0x33,
};

#define MIB (UINT64_C(1) << 20)

// The range that stands for the target's address space.
struct core_fixture {
	uint8_t *area;
	size_t size;
	struct pss_section_builder builder;
	struct pss_process_record process;
	const char *comm;
	struct pss_section section;
	struct pss_memory memory;
	struct pss_elfcore_options options;
	struct pss_elfcore_result result;
	struct pss_diag diag;
	int section_fd;
};

/** An area of @size bytes, untouched; a process, and no mappings or threads yet. */
void core_setup(struct core_fixture *fixture, size_t size);
void core_teardown(struct core_fixture *fixture);

/** Address of the byte at @offset of the area. */
uint64_t core_address(const struct core_fixture *fixture, uint64_t offset);

/** Adds a mapping: readable, writable and of the instant unless it says otherwise. */
void core_add_region(struct core_fixture *fixture, struct pss_region_record region,
		     const char *path);

/** Adds a thread; its registers, if it has any, are filled with the low byte of @tid. */
void core_add_thread(struct core_fixture *fixture, int tid, uint32_t flags);

/** Ends the section. Nothing can be added after it. */
void core_seal(struct core_fixture *fixture);

/** A section with data, gaps, zeroes and a thread, for tests of where it goes. */
void core_setup_mixed(struct core_fixture *fixture);

/** Writes the core to a descriptor; the result of pss_elfcore_write(). */
int core_write_to(struct core_fixture *fixture, int fd, bool compress);

/** A file without a name; the caller closes it. */
int core_temporary_file(void);

/** Writes the core into such a file; the test fails if that does. */
int core_write_file(struct core_fixture *fixture);

/** Bytes of the target as the core tells them, read by libelf; false if it holds none there. */
bool core_read(int fd, uint64_t at, void *bytes, size_t size);

/** Checks what holds for every core, and returns the number of its program headers. */
size_t core_check_shape(const struct core_fixture *fixture, int fd);

#endif
