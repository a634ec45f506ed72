// SPDX-License-Identifier: LGPL-2.1-or-later
// Which pages of an address space hold something, asked from /proc/PID/pagemap: by the PAGEMAP_SCAN
// ioctl (Linux 6.7) where there is one, else entry by entry. Reads no memory.
#ifndef PSS_PAGEMAP_H
#define PSS_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>

enum pss_page_kind {
	PSS_PAGES_ABSENT,  /**< never touched: zeroes, or what its file says */
	PSS_PAGES_PRIVATE, /**< anonymous memory of this process, present or swapped */
	PSS_PAGES_FILE,    /**< a page of a file or of shared memory, mapped */
	PSS_PAGES_ZERO,    /**< the kernel's zero page; PRIVATE where only entries can be read */
};

/** A run of pages of one kind. */
struct pss_page_range {
	uint64_t start;
	uint64_t end;
	enum pss_page_kind kind;
};

/** How the kernel is asked. A cursor begins with the best and goes down by itself. */
enum pss_pagemap_method {
	PSS_PAGEMAP_SCAN_GUARD, /**< PAGEMAP_SCAN that knows guard regions (Linux 6.15) */
	PSS_PAGEMAP_SCAN,       /**< PAGEMAP_SCAN (Linux 6.7) */
	PSS_PAGEMAP_ENTRIES,    /**< reading the file, eight bytes a page */
};

/** Ranges fetched at once. */
enum { PSS_PAGEMAP_BATCH = 256 };

/**
 * A cursor over the pages of one address space; some 6 KiB, owns nothing. Fields are private, but
 * for @method, which tests set, and @joins_files, for who need not know a file's pages from others:
 * the kernel then looks up no page's description, and takes a fraction of the time.
 *
 *	struct pss_pagemap pagemap;
 *	struct pss_page_range range;
 *	pss_pagemap_init(&pagemap, pagemap_fd);		// once for an address space
 *	pss_pagemap_seek(&pagemap, start, end);		// once for a mapping
 *	while ((r = pss_pagemap_next(&pagemap, &range)) == 0)
 *		...
 *	if (r != -ENODATA)
 *		return r;
 */
struct pss_pagemap {
	int fd; /**< borrowed */
	enum pss_pagemap_method method;
	bool joins_files; /**< set after init: pages of files are PRIVATE, too */
	uint64_t page_size;
	uint64_t position; /**< everything of the range below it has been fetched */
	uint64_t start;
	uint64_t end;
	uint32_t taken;
	uint32_t count;
	struct pss_page_range ranges[PSS_PAGEMAP_BATCH];
};

/** Makes a cursor that stands on nothing. @pagemap_fd is borrowed for the life of the cursor. */
void pss_pagemap_init(struct pss_pagemap *pagemap, int pagemap_fd);

/** Puts the cursor at the beginning of [start, end). */
void pss_pagemap_seek(struct pss_pagemap *pagemap, uint64_t start, uint64_t end);

/**
 * The next run of pages that hold something (never PSS_PAGES_ABSENT), cut to the range sought.
 * Neighbouring runs differ in kind, but where two fetches meet. -ENODATA at the end, -ESRCH if the
 * process is gone: nothing can be said then. With PAGEMAP_SCAN the cost follows the pages that are
 * there, not the range.
 */
int pss_pagemap_next(struct pss_pagemap *pagemap, struct pss_page_range *ret);

/** Bytes of the pages in [start, end) that hold something. Moves the cursor. */
int pss_pagemap_resident(struct pss_pagemap *pagemap, uint64_t start, uint64_t end,
			 uint64_t *bytes_ret);

/**
 * Bytes in [start, end) that are private memory in transparent huge pages. Asked for piece by
 * piece, so that the process is never kept from changing its mappings for long. -ENOTTY before
 * Linux 6.7.
 */
int pss_pagemap_huge(int pagemap_fd, uint64_t start, uint64_t end, uint64_t *bytes_ret);

#endif
