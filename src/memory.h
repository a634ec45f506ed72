// SPDX-License-Identifier: LGPL-2.1-or-later
// Bytes of the captured address space, from the clone or from nowhere. Reads go through
// /proc/PID/mem: process_vm_readv() pins pages, and a pinned read of a page that clone and target
// share copies it (Linux 5.19 and later).
#ifndef PSS_MEMORY_H
#define PSS_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "section.h"

/** Where the bytes come from. The descriptors pin the process: a reused pid is never read. */
struct pss_memory {
	int mem_fd;
	int pagemap_fd;
	int dir_fd;                        /**< its directory in /proc */
	const struct pss_section *section; /**< borrowed: the patches to undo when reading */
};

#define PSS_MEMORY_EMPTY                                                                           \
	((struct pss_memory){ .mem_fd = -EBADF, .pagemap_fd = -EBADF, .dir_fd = -EBADF })

/**
 * Opens the memory of the section's clone, after checking that the process of that pid is the clone
 * of this very section: same start time, a clone's name, and it holds the section where clones do.
 * @section is borrowed for the life of *ret. -ENOENT without a clone in the section, -ESRCH if the
 * clone is gone or another process has its pid, -EACCES.
 */
int pss_memory_open_clone(const struct pss_section *section, struct pss_diag *diag,
			  struct pss_memory *ret);

void pss_memory_close(struct pss_memory *memory);

/**
 * 0 if the maker of the section could have made a clone of the process whose folder in /proc is
 * @dir_fd: his own, or any if he is root, or if he is us. -ESRCH if not: to this section it is no
 * clone, dead or alive.
 */
int pss_memory_check_owner(int dir_fd, const struct pss_section *section);

#define _cleanup_memory_ _cleanup_(pss_memory_close)

/**
 * Reads up to @size bytes from @address as the target held them. Stops at the first byte that can't
 * be read; *done_ret is set on success and on -EFAULT alike. -EFAULT if not even one byte or not
 * all could be read, -ESRCH if the clone has died.
 */
int pss_memory_read(const struct pss_memory *memory, uint64_t address, void *buffer, size_t size,
		    size_t *done_ret);

/**
 * Opens for reading what the mapping from @start to @end maps, a file or shared memory; the caller
 * owns *fd_ret. For asking where its holes are: reading holes of shared memory would fill them.
 * Needs CAP_CHECKPOINT_RESTORE: any failure but -ESRCH is no reason to give up.
 */
int pss_memory_open_mapping(const struct pss_memory *memory, uint64_t start, uint64_t end,
			    int *fd_ret);

/** Bytes of address space that the clone has mapped, whatever the section says. -ESRCH. */
int pss_memory_extent(const struct pss_memory *memory, uint64_t *bytes_ret);

/** Says of @error, which a read of the clone gave, what it means. Returns it. */
int pss_memory_fail(const struct pss_section *section, int error, struct pss_diag *diag);

#endif
