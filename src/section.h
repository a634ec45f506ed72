// SPDX-License-Identifier: LGPL-2.1-or-later
// Building a section, sealing it into a memfd, and reading one that nobody vouches for.
#ifndef PSS_SECTION_H
#define PSS_SECTION_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/diag.h"
#include "section_format.h"

/** A section being written: one growing buffer a part. No malloc. */
struct pss_section_builder {
	uint32_t machine;
	uint32_t capture_flags;
	uint32_t thread_context_flags;
	int32_t capturer_pid;
	uint64_t capturer_start_ticks;
	struct pss_buf parts[PSS_PART_COUNT];
};

#define PSS_SECTION_BUILDER_EMPTY ((struct pss_section_builder){ 0 })

void pss_section_builder_deinit(struct pss_section_builder *builder);

#define _cleanup_section_builder_ _cleanup_(pss_section_builder_deinit)

/** Appends one record (or blob) of @size bytes to @part. 0, -ENOMEM. */
int pss_section_add(struct pss_section_builder *builder, enum pss_part part, const void *record,
		    size_t size);

/** Keeps @size bytes in PSS_PART_BYTES; *ret refers to them. 0, -ENOMEM. */
int pss_section_add_bytes(struct pss_section_builder *builder, const void *bytes, size_t size,
			  struct pss_bytes_ref *ret);

/**
 * Appends one register set to the end of PSS_PART_REGISTERS. A thread's chain is what was appended
 * between two readings of pss_section_registers_end(). 0, -ENOMEM.
 */
int pss_section_add_regset(struct pss_section_builder *builder, uint32_t note_type,
			   const void *bytes, size_t size);

/** Offset at which the next register set will begin. */
uint64_t pss_section_registers_end(const struct pss_section_builder *builder);

/**
 * Writes everything into a new memfd (close-on-exec, descriptor 3 or higher) and seals it against
 * writing, growing and shrinking. The caller owns *fd_ret. 0, -ENOMEM, -EMFILE.
 */
int pss_section_seal(const struct pss_section_builder *builder, struct pss_diag *diag, int *fd_ret);

/** A sealed section, mapped for reading. Holds no descriptor. */
struct pss_section {
	const uint8_t *data;
	size_t size;
	dev_t device; /**< of the memfd: with inode, the section's identity */
	ino_t inode;
	uid_t owner; /**< who made it: believed as far as what he could have done himself */
};

#define PSS_SECTION_EMPTY ((struct pss_section){ 0 })

/**
 * Maps the section behind @fd and checks everything that its accessors rely on: seals, magic,
 * version, the table of parts, record sizes. Contents of records are not trusted any further: each
 * reference is checked when it is followed. -EBADF if @fd is no descriptor or no section.
 */
int pss_section_open(int fd, struct pss_section *ret);

/** The same over bytes in memory, which must stay as they are; for tests and fuzzing. */
int pss_section_open_bytes(const void *bytes, size_t size, struct pss_section *ret);

/** Unmaps what pss_section_open() mapped. */
void pss_section_close(struct pss_section *section);

#define _cleanup_section_ _cleanup_(pss_section_close)

/** The checked header. Never NULL for an open section. */
const struct pss_section_header *pss_section_header(const struct pss_section *section);

/** Entries of a part, 0 if it was not captured. */
uint32_t pss_section_count(const struct pss_section *section, enum pss_part part);

/** Record @index of @part, or NULL past its end. Borrowed from @section. */
const void *pss_section_record(const struct pss_section *section, enum pss_part part,
			       uint32_t index);

/** The one process record: always there in an open section. */
const struct pss_process_record *pss_section_process(const struct pss_section *section);

/** NULL if there is none (past the end, or not captured). */
const struct pss_clone_record *pss_section_clone(const struct pss_section *section);
const struct pss_figures_record *pss_section_figures(const struct pss_section *section);
const struct pss_thread_record *pss_section_thread(const struct pss_section *section,
						   uint32_t index);
const struct pss_region_record *pss_section_region(const struct pss_section *section,
						   uint32_t index);
/** How many regions begin at or below @address. Of records in no order, some number. */
uint32_t pss_section_regions_up_to(const struct pss_section *section, uint64_t address);

/** The region that holds @address, or NULL. Of records in no order it may find none. */
const struct pss_region_record *pss_section_region_at(const struct pss_section *section,
						      uint64_t address);
const struct pss_handle_record *pss_section_handle(const struct pss_section *section,
						   uint32_t index);
const struct pss_aux_page_record *pss_section_aux_page(const struct pss_section *section,
						       uint32_t index);
const struct pss_patch_record *pss_section_patch(const struct pss_section *section, uint32_t index);

/** Bytes behind a reference, borrowed from @section. -EBADMSG if it leads outside. */
int pss_section_bytes(const struct pss_section *section, struct pss_bytes_ref ref,
		      const void **bytes_ret);

/** The whole of a part of bytes (auxv), borrowed; size 0 if it was not captured. */
const void *pss_section_blob(const struct pss_section *section, enum pss_part part,
			     size_t *size_ret);

/**
 * One register set of a thread, borrowed. -ENOENT if the thread has none of that type, -EBADMSG if
 * its chain leads outside.
 */
int pss_section_regset(const struct pss_section *section, const struct pss_thread_record *thread,
		       uint32_t note_type, const void **bytes_ret, size_t *size_ret);

/** One register set of a chain. */
struct pss_section_regset {
	uint32_t note_type;
	const void *bytes; /**< borrowed from the section */
	size_t size;
};

/**
 * The register set at *cursor of a thread's chain, 0 at first; moves *cursor on. -ENOENT at the
 * end, -EBADMSG if the chain leads outside.
 */
int pss_section_next_regset(const struct pss_section *section,
			    const struct pss_thread_record *thread, uint64_t *cursor,
			    struct pss_section_regset *ret);

#endif
