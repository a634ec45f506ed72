// SPDX-License-Identifier: LGPL-2.1-or-later
// The sorts of memory that memory_kinds.c has, shared with the test that reads them in a snapshot.
#ifndef MEMORY_KINDS_H
#define MEMORY_KINDS_H

#include <stdint.h>

/** What a snapshot must hold of it. */
enum memory_expectation {
	MEMORY_POINT_IN_TIME, // the pattern, whatever the target did afterwards
	MEMORY_LIVE,          // shared: what the target wrote afterwards
	MEMORY_ZERO,          // zeroes
	MEMORY_MISSING,       // not in the clone, or not readable by anybody
};

#define MEMORY_KINDS(X)                                                                            \
	X(private, MEMORY_POINT_IN_TIME)                                                           \
	X(read_only, MEMORY_POINT_IN_TIME)                                                         \
	X(no_access, MEMORY_POINT_IN_TIME)                                                         \
	X(untouched, MEMORY_ZERO)                                                                  \
	X(dont_fork, MEMORY_POINT_IN_TIME)                                                         \
	X(wipe_on_fork, MEMORY_ZERO)                                                               \
	X(dont_dump, MEMORY_POINT_IN_TIME)                                                         \
	X(shared_anonymous, MEMORY_LIVE)                                                           \
	X(shared_file, MEMORY_LIVE)                                                                \
	X(private_file_clean, MEMORY_POINT_IN_TIME)                                                \
	X(private_file_dirty, MEMORY_POINT_IN_TIME)                                                \
	X(deleted_file, MEMORY_POINT_IN_TIME)                                                      \
	X(memfd_shared, MEMORY_LIVE)                                                               \
	X(memfd_private, MEMORY_POINT_IN_TIME)                                                     \
	X(sealed, MEMORY_POINT_IN_TIME)                                                            \
	X(huge, MEMORY_POINT_IN_TIME)                                                              \
	X(secret, MEMORY_MISSING)                                                                  \
	X(guarded, MEMORY_POINT_IN_TIME)

#define MEMORY_ENUM(name, expectation) MEMORY_KIND_##name,
enum memory_kind { MEMORY_KINDS(MEMORY_ENUM) MEMORY_KIND_COUNT };

enum { MEMORY_PAGE = 4096, MEMORY_PAGES = 4, MEMORY_SIZE = MEMORY_PAGE * MEMORY_PAGES };

/** Word @index of memory of a kind, as filled; the target later inverts what it can write. */
static inline uint64_t memory_word(enum memory_kind kind, uint64_t index)
{
	return (uint64_t)(kind + 1) << 48 | 0xa5a500000000u | index;
}

#endif
