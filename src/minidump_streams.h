// SPDX-License-Identifier: LGPL-2.1-or-later
// A minidump in the making, as its parts see it: what has been chosen, and the functions that put
// one stream each into the layout.
#ifndef PSS_MINIDUMP_STREAMS_H
#define PSS_MINIDUMP_STREAMS_H

#include <stdbool.h>
#include <stdint.h>

#include <minidumpapiset.h>
#include <processsnapshot.h>

#include "base/buf.h"
#include "base/diag.h"
#include "collect_image.h"
#include "memory.h"
#include "minidump.h"
#include "minidump_layout.h"
#include "minidump_plan.h"
#include "section.h"

/** What readers know as Linux. Microsoft has no number for it; Breakpad has. */
enum { PSS_MINIDUMP_PLATFORM_LINUX = 0x8201 };

/** Breakpad's streams of Linux: text as /proc gives it, but for the last one. */
enum pss_minidump_linux_stream {
	PSS_MINIDUMP_LINUX_CPU_INFO = 0x47670003,
	PSS_MINIDUMP_LINUX_PROC_STATUS = 0x47670004,
	PSS_MINIDUMP_LINUX_CMD_LINE = 0x47670006,
	PSS_MINIDUMP_LINUX_ENVIRON = 0x47670007,
	PSS_MINIDUMP_LINUX_AUXV = 0x47670008,
	PSS_MINIDUMP_LINUX_MAPS = 0x47670009,
	PSS_MINIDUMP_LINUX_DSO_DEBUG = 0x4767000A,
};

/** A thread that is in the dump. */
struct pss_minidump_thread {
	uint32_t index;       /**< of its record in the section */
	ULONG flags;          /**< THREAD_WRITE_FLAGS that are left */
	uint64_t stack_start; /**< what of its stack is in the dump; equal: nothing */
	uint64_t stack_end;
};

/** An object that is in the dump. */
struct pss_minidump_module {
	uint64_t base;
	uint64_t end;
	uint32_t size; /**< as its file says, or of what is mapped */
	uint32_t timestamp;
	ULONG flags; /**< MODULE_WRITE_FLAGS that are left */
	bool is_vdso;
	struct pss_bytes_ref path;
	uint32_t build_id_size; /**< 0: none */
	uint8_t build_id[PSS_IMAGE_BUILD_ID_MAX];
};

struct pss_minidump {
	const struct pss_section *section;
	const struct pss_memory *memory;
	const struct pss_minidump_options *options;
	struct pss_minidump_ask *ask;
	struct pss_diag *diag;
	uint64_t page_size;
	struct pss_buf threads; /**< struct pss_minidump_thread */
	uint32_t thread_count;
	struct pss_buf modules; /**< struct pss_minidump_module, the program first */
	uint32_t module_count;
	struct pss_minidump_plan plan;
	struct pss_minidump_layout layout;
	MINIDUMP_LOCATION_DESCRIPTOR stream; /**< of the stream that was put last */
	uint64_t
		hidden_start; /**< memory that reads as zeroes: the environment, unless asked for */
	uint64_t hidden_end;
	RVA base_field; /**< of the list of full memory: where it says where memory begins; or 0 */
};

static inline struct pss_minidump_thread *pss_minidump_thread_at(const struct pss_minidump *dump,
								 uint32_t index)
{
	return (struct pss_minidump_thread *)dump->threads.data + index;
}

static inline struct pss_minidump_module *pss_minidump_module_at(const struct pss_minidump *dump,
								 uint32_t index)
{
	return (struct pss_minidump_module *)dump->modules.data + index;
}

/** Whether the type has @flag, a MINIDUMP_TYPE. */
static inline bool pss_minidump_has(const struct pss_minidump *dump, uint64_t flag)
{
	return dump->options->type & flag;
}

/** Reads memory of the snapshot, past the callback. Results of pss_memory_read(). */
int pss_minidump_read(void *context, uint64_t address, void *buffer, size_t size, size_t *done_ret);

/**
 * Finds the environment in memory and hides it, unless the dump is to have it. -EACCES if it cannot
 * be found.
 */
int pss_minidump_hide_environment(struct pss_minidump *dump);

/** Chooses the threads, and what of their stacks. */
int pss_minidump_threads_choose(struct pss_minidump *dump);

/** Whether a region is the kernel's own code for the target. */
bool pss_minidump_is_vdso(const struct pss_section *section,
			  const struct pss_region_record *region);

/** Chooses the objects. */
int pss_minidump_modules_choose(struct pss_minidump *dump);

/**
 * The streams. Each puts itself at the end of the layout, with what it refers to behind it, and
 * says in dump->stream where it lies. Failures are the layout's, or returned. -ENOENT: there is
 * nothing to say.
 */
int pss_minidump_put_system(struct pss_minidump *dump);
int pss_minidump_put_misc(struct pss_minidump *dump);
int pss_minidump_put_vm_counters(struct pss_minidump *dump);
int pss_minidump_put_memory_info(struct pss_minidump *dump);
int pss_minidump_put_exception(struct pss_minidump *dump);
int pss_minidump_put_comment(struct pss_minidump *dump);
int pss_minidump_put_threads(struct pss_minidump *dump);
int pss_minidump_put_thread_info(struct pss_minidump *dump);
int pss_minidump_put_thread_names(struct pss_minidump *dump);
int pss_minidump_put_modules(struct pss_minidump *dump);
int pss_minidump_put_handles(struct pss_minidump *dump);
int pss_minidump_put_memory(struct pss_minidump *dump);
int pss_minidump_put_memory64(struct pss_minidump *dump);
int pss_minidump_put_cpu_info(struct pss_minidump *dump);
int pss_minidump_put_proc_status(struct pss_minidump *dump);
int pss_minidump_put_cmd_line(struct pss_minidump *dump);
int pss_minidump_put_environ(struct pss_minidump *dump);
int pss_minidump_put_auxv(struct pss_minidump *dump);
int pss_minidump_put_maps(struct pss_minidump *dump);
int pss_minidump_put_dso_debug(struct pss_minidump *dump);

#endif
