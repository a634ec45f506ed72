// SPDX-License-Identifier: LGPL-2.1-or-later
// A section made by hand, for tests that need a snapshot and no process. Each test changes what it
// is about before sealing.
#ifndef PSS_TESTS_FIXTURE_SECTION_H
#define PSS_TESTS_FIXTURE_SECTION_H

#include <stdint.h>

#include <processsnapshot.h>

#include "section.h"

enum {
	FIXTURE_PID = 4711,
	FIXTURE_PARENT = 4000,
	FIXTURE_CLONE_PID = 4999,
	FIXTURE_THREADS = 3,
	FIXTURE_REGIONS = 6,
	FIXTURE_ALL_FLAGS =
		(int)(PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
		      PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION |
		      PSS_CREATE_MEASURE_PERFORMANCE),
};

#define FIXTURE_EXE         "/usr/bin/s\xc3\xa4ge"
#define FIXTURE_CREATE_TIME 133000000000000001u

/**
 * Seals a section with those parts that @capture_flags asks for; the process record is always
 * there. The caller closes the descriptor. Aborts the test on failure.
 */
int fixture_section(uint32_t capture_flags, uint32_t thread_context_flags);

/** The same, with a path of the test's choice for the executable and for region 1. */
int fixture_section_with_path(uint32_t capture_flags, const char *path, size_t size);

#endif
