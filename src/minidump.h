// SPDX-License-Identifier: LGPL-2.1-or-later
// A Windows minidump of a snapshot: chosen, laid out, then poured into a sink, forward only. Knows
// no process: section and memory are all it sees.
#ifndef PSS_MINIDUMP_H
#define PSS_MINIDUMP_H

#include <stdbool.h>
#include <stdint.h>

#include <minidumpapiset.h>

#include "base/diag.h"
#include "memory.h"
#include "memory_pour.h"
#include "minidump_ask.h"
#include "section.h"
#include "sink.h"

struct pss_minidump_options {
	uint64_t type;          /**< MINIDUMP_TYPE */
	bool has_environment;   /**< also the environment variables as a stream of their own */
	bool include_dont_dump; /**< also what the target marked with MADV_DONTDUMP */
	bool is_snapshot;       /**< the caller gave a snapshot, so the callback may have its say */
	const MINIDUMP_EXCEPTION_INFORMATION *exception;      /**< or NULL */
	const MINIDUMP_USER_STREAM_INFORMATION *user_streams; /**< or NULL */
	struct pss_minidump_ask *ask;
	struct pss_memory_hooks hooks; /**< progress and written; reading is the dump's own */
};

struct pss_minidump_result {
	uint64_t file_size;        /**< apparent size, before compression */
	uint64_t memory_bytes;     /**< bytes of memory read into it */
	uint64_t unreadable_bytes; /**< planned, but the clone would not give them: zeroes */
	uint32_t ranges;
	uint32_t threads;
	uint32_t modules;
	uint32_t streams;
};

/**
 * Writes the dump into @sink and finishes it. -ECANCELED, -EFAULT (memory cannot be read, and the
 * callback does not allow for that), -EFBIG (a position takes more than 32 bits), -ESRCH (clone
 * died), write errors.
 */
int pss_minidump_write(const struct pss_section *section, const struct pss_memory *memory,
		       const struct pss_minidump_options *options, struct pss_sink *sink,
		       struct pss_diag *diag, struct pss_minidump_result *ret);

#endif
