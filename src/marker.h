// SPDX-License-Identifier: LGPL-2.1-or-later
// A walk marker: one position for each class, and the memory of everything that its walks handed
// out. The memory comes from the caller's PSS_ALLOCATOR or the default heap, and goes back to it
// only when the marker is destroyed. One thread at a time.
#ifndef PSS_MARKER_H
#define PSS_MARKER_H

#include <stddef.h>
#include <stdint.h>

#include <processsnapshot.h>

#include "section.h"

enum { PSS_MARKER_CLASS_COUNT = 5 };

/** Index of the next entry of each class. */
struct pss_marker_positions {
	uint32_t next[PSS_MARKER_CLASS_COUNT];
};

struct pss_marker {
	uint64_t magic;
	const PSS_ALLOCATOR *allocator; /**< borrowed, NULL: the default heap */
	struct pss_marker_positions positions;
	struct pss_marker_block *blocks;
	struct pss_marker_saved *saved;
	/** The section walked last, kept mapped between calls; empty at first. Owned. */
	struct pss_section section;
	/** The text converted last: neighbours often name the same file. */
	struct pss_bytes_ref text_ref;
	const WCHAR *text;
	uint16_t text_size;
};

/** Makes a marker at the beginning. -EINVAL if a routine is missing, -ENOMEM. */
int pss_marker_create(const PSS_ALLOCATOR *allocator, struct pss_marker **ret);

/** Frees the marker and everything it handed out. */
void pss_marker_destroy(struct pss_marker *marker);

/** The marker behind a handle. -EBADF if there is none, as far as can be seen. */
int pss_marker_from_handle(HPSSWALK handle, struct pss_marker **ret);

/** @size bytes that live as long as the marker, aligned to 16 and zeroed. -ENOMEM. */
int pss_marker_allocate(struct pss_marker *marker, size_t size, void **ret);

/**
 * The UTF-8 text at @ref of marker->section as UTF-16, terminated, living as long as the marker.
 * *size_ret is in bytes, without terminator; a text too long for it is cut at a whole character.
 * -ENOMEM; a reference that leads outside the section gives an empty text.
 */
int pss_marker_text(struct pss_marker *marker, struct pss_bytes_ref ref, const WCHAR **ret,
		    uint16_t *size_ret);

/** Gives up the kept section, if any, for @section, which the marker takes over. */
void pss_marker_set_section(struct pss_marker *marker, const struct pss_section *section);

/** The positions of all classes as one opaque number. -ENOMEM. */
int pss_marker_save(struct pss_marker *marker, ULONG_PTR *ret);

/** Goes to saved positions. -EINVAL if @saved is none. */
int pss_marker_restore(struct pss_marker *marker, ULONG_PTR saved);

/** Goes to the beginning in all classes. */
void pss_marker_rewind(struct pss_marker *marker);

#endif
