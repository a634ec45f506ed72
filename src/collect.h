// SPDX-License-Identifier: LGPL-2.1-or-later
// A collector turns facts about the process into records of the section. Each reads what the
// context names and adds to context->section; none stops, traces or injects anything.
#ifndef PSS_COLLECT_H
#define PSS_COLLECT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/diag.h"
#include "procfs.h"
#include "section.h"

struct pss_collect_unforked;
struct pss_tracee;

/** Where to look. All descriptors are borrowed. */
struct pss_collect {
	pid_t pid;      /**< of the target */
	int proc_fd;    /**< /proc/PID of the target: numbers about the process */
	int space_fd;   /**< /proc/PID whose address space to describe: the clone's, else proc_fd */
	bool has_clone; /**< space_fd is a clone's: smaps may be read, bytes are point-in-time */
	/** What the clone lacks, to be listed all the same; or NULL. */
	const struct pss_collect_unforked *unforked;
	uint32_t process_flags; /**< enum pss_process_flag that are known already */
	char process_state;     /**< letter before it was stopped, or 0: as it is now */
	uint32_t capture_flags;
	pid_t caller_tid; /**< set if the target is the calling process, else 0 */
	struct pss_section_builder *section;
	struct pss_buf *scratch; /**< for texts; contents are lost at each step */
	struct pss_diag *diag;
};

/**
 * The process record (with @instant_realtime_ns as its capture time, or now if 0) and, if there is
 * a clone or the address space may be read, the auxiliary vector and the loader's debug address.
 */
int pss_collect_process(const struct pss_collect *context, uint64_t instant_realtime_ns);

/** One record for each thread, read from /proc without stopping anything. */
int pss_collect_threads(const struct pss_collect *context);

/**
 * One record for each thread that @tracee holds or held, with its registers: where @tracee kept
 * any, that was in the section's PSS_PART_REGISTERS.
 */
int pss_collect_tracee_threads(const struct pss_collect *context, const struct pss_tracee *tracee);

/**
 * One record for each mapping of the address space. @with_section_information also reads build IDs
 * and headers of ELF objects (from the mapped memory, else the file) and counts resident pages.
 */
int pss_collect_vaspace(const struct pss_collect *context, bool with_section_information);

/** What lies at an address of a live process. */
struct pss_collect_place {
	uint64_t address;
	bool is_mapped;
	bool has_space; /**< the process has mappings at all */
	/** If mapped: what pss_collect_vaspace() records, without path and section information. */
	struct pss_region_record region;
	uint64_t next; /**< if not mapped: start of the next mapping, UINT64_MAX if there is none */
};

/**
 * Finds the region at @address, reading maps no further than that takes. The context needs pid,
 * space_fd, caller_tid, and a section and a scratch that are empty and only for this. -ESRCH if the
 * process has no address space: it has ended, or is one of the kernel's; -EACCES.
 */
int pss_collect_vaspace_at(const struct pss_collect *context, uint64_t address,
			   struct pss_collect_place *ret);

#endif
