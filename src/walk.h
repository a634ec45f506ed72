// SPDX-License-Identifier: LGPL-2.1-or-later
// The entries of PssWalkSnapshot, made from a section. Pure: positions and memory that outlives the
// call are the marker's business, so texts and registers come out as references first.
#ifndef PSS_WALK_H
#define PSS_WALK_H

#include <stddef.h>
#include <stdint.h>

#include <processsnapshot.h>

#include "section.h"

enum { PSS_WALK_CLASS_COUNT = 5 };

/** One entry: the public structure, and what its pointers are to be made from. */
struct pss_walk_entry {
	union {
		PSS_AUXILIARY_PAGE_ENTRY aux_page;
		PSS_VA_SPACE_ENTRY region;
		PSS_HANDLE_ENTRY handle;
		PSS_THREAD_ENTRY thread;
		PSS_THREAD_NAME name;
	} value;
	size_t size;                   /**< of the structure */
	struct pss_bytes_ref text;     /**< UTF-8 for its one text, or nothing */
	struct pss_bytes_ref contents; /**< of an auxiliary page, or nothing */
	/** Borrowed from the section: the thread whose registers make the ContextRecord, or NULL.
	 */
	const struct pss_thread_record *context_thread;
	size_t context_size; /**< bytes of that record */
};

/**
 * The documented checks in their order: -EINVAL for an unknown class, -EMSGSIZE if @length is not
 * exactly that of the class, -ENOENT if the kind was not captured.
 */
int pss_walk_check(const struct pss_section *section, unsigned class, size_t length);

/** Entries of a class that pss_walk_check() accepted. */
uint32_t pss_walk_count(const struct pss_section *section, unsigned class);

/** Entry @index, less than pss_walk_count(), its pointers still NULL. */
void pss_walk_fill(const struct pss_section *section, unsigned class, uint32_t index,
		   struct pss_walk_entry *ret);

/** Puts a text of @size bytes, terminator not counted, into an entry of @class. */
void pss_walk_set_text(struct pss_walk_entry *entry, unsigned class, const WCHAR *text,
		       uint16_t size);

/** Puts a copy of entry->contents into the entry of an auxiliary page. */
void pss_walk_set_contents(struct pss_walk_entry *entry, void *contents);

/** Makes the ContextRecord at @context, entry->context_size bytes aligned to 16. */
void pss_walk_set_context(const struct pss_section *section, struct pss_walk_entry *entry,
			  void *context);

#endif
