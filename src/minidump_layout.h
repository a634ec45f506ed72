// SPDX-License-Identifier: LGPL-2.1-or-later
// The part of a minidump before its memory: made in a buffer, so that each thing can say where in
// the file another one lies. Positions have 32 bits and are checked, never wrapped.
#ifndef PSS_MINIDUMP_LAYOUT_H
#define PSS_MINIDUMP_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include <minidumpapiset.h>

#include "base/buf.h"

/** What has been laid out. The first failure stays in error; what comes after does nothing. */
struct pss_minidump_layout {
	struct pss_buf bytes;  /**< the file from its beginning */
	struct pss_buf fixups; /**< RVA: fields that hold positions relative to the memory */
	uint64_t most;         /**< bytes; lowered by who knows better */
	int error;             /**< 0, -ENOMEM, -EFBIG */
};

/** More than any process has of threads, modules, descriptors and mappings. */
#define PSS_MINIDUMP_LAYOUT_MOST (UINT64_C(1) << 30)

/** What is taken of a text: no path is longer. */
enum { PSS_MINIDUMP_TEXT_MOST = 4096 };

#define PSS_MINIDUMP_LAYOUT_EMPTY ((struct pss_minidump_layout){ .most = PSS_MINIDUMP_LAYOUT_MOST })

void pss_minidump_layout_deinit(struct pss_minidump_layout *layout);

#define _cleanup_minidump_layout_ _cleanup_(pss_minidump_layout_deinit)

/** Appends @size bytes, zeroes if @bytes is NULL, at a multiple of 4. Returns where they lie. */
RVA pss_minidump_layout_put(struct pss_minidump_layout *layout, const void *bytes, size_t size);

/** The same at a multiple of 16. */
RVA pss_minidump_layout_put_aligned(struct pss_minidump_layout *layout, const void *bytes,
				    size_t size);

/** Appends @size bytes straight after what is there. */
void pss_minidump_layout_add(struct pss_minidump_layout *layout, const void *bytes, size_t size);

/** Appends a MINIDUMP_STRING of @size bytes of UTF-8, or what is taken of them. Returns where. */
RVA pss_minidump_layout_put_text(struct pss_minidump_layout *layout, const char *text, size_t size);

/** Overwrites @size bytes at @rva, which have been put. */
void pss_minidump_layout_set(struct pss_minidump_layout *layout, RVA rva, const void *bytes,
			     size_t size);

/** What lies from @rva on to the end, as a stream is located. */
MINIDUMP_LOCATION_DESCRIPTOR pss_minidump_layout_since(const struct pss_minidump_layout *layout,
						       RVA rva);

/** The RVA at @field is relative to where memory begins, and to be made absolute. */
void pss_minidump_layout_relocate(struct pss_minidump_layout *layout, RVA field);

/** Makes such fields absolute: memory begins at @base. -EFBIG if one has too few bits. */
int pss_minidump_layout_settle(struct pss_minidump_layout *layout, uint64_t base);

#endif
