// SPDX-License-Identifier: LGPL-2.1-or-later
// The callback of a minidump: the questions it is asked, and what its answers mean. Without a
// callback every question has the answer that Windows gives then.
#ifndef PSS_MINIDUMP_ASK_H
#define PSS_MINIDUMP_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <minidumpapiset.h>

/** Whom to ask, and what he has said. */
struct pss_minidump_ask {
	const MINIDUMP_CALLBACK_INFORMATION *callback; /**< NULL: nobody */
	ULONG process_id;
	HANDLE process; /**< as MiniDumpWriteDump was given it */
	HANDLE file;
	HRESULT failure;    /**< why he ended it: his own word, or 0 */
	bool ignores_holes; /**< memory that cannot be read is no reason to end */
	bool has_vm;        /**< he wants to be asked at each read */
	bool is_done_with_cancel;
	bool is_done_with_regions;
};

/** Whether the process handle is that of a snapshot, by his word. */
bool pss_minidump_ask_is_snapshot(struct pss_minidump_ask *ask);

/** The first questions that every dump asks. */
void pss_minidump_ask_begin(struct pss_minidump_ask *ask, bool is_snapshot);

/** -ECANCELED if he wants no more of it. */
int pss_minidump_ask_cancel(struct pss_minidump_ask *ask);

/** Whether he takes the bytes himself, by pss_minidump_ask_write(). */
bool pss_minidump_ask_io_start(struct pss_minidump_ask *ask);

/** Hands him @size bytes of the dump, as a sink's function. @context is a pss_minidump_ask. */
int pss_minidump_ask_write(void *context, const void *bytes, size_t size, uint64_t position);

int pss_minidump_ask_io_finish(struct pss_minidump_ask *ask);

/**
 * Whether @thread is to be in it, and which of @flags, THREAD_WRITE_FLAGS, he leaves. @thread goes
 * to him as it is.
 */
bool pss_minidump_ask_thread(struct pss_minidump_ask *ask,
			     const MINIDUMP_THREAD_EX_CALLBACK *thread, ULONG *flags);

/** The same for a module and MODULE_WRITE_FLAGS. */
bool pss_minidump_ask_module(struct pss_minidump_ask *ask, const MINIDUMP_MODULE_CALLBACK *module,
			     ULONG *flags);

/** One more range that he wants in it; false if there is none. */
bool pss_minidump_ask_memory(struct pss_minidump_ask *ask, uint64_t *base_ret, uint64_t *size_ret);

/** One more range that he wants kept out of it; false if there is none. */
bool pss_minidump_ask_remove(struct pss_minidump_ask *ask, uint64_t *base_ret, uint64_t *size_ret);

/** What of a region whose memory would be written he leaves: @region itself, narrowed. */
void pss_minidump_ask_region(struct pss_minidump_ask *ask, MINIDUMP_MEMORY_INFO *region);

/** What he makes of the description of a region. */
void pss_minidump_ask_vm_query(struct pss_minidump_ask *ask, MINIDUMP_MEMORY_INFO *region);

/** Before a read: true if he has given the bytes himself, *done_ret of them. */
bool pss_minidump_ask_pre_read(struct pss_minidump_ask *ask, uint64_t address, void *buffer,
			       size_t size, size_t *done_ret);

/** After a read of @done bytes that ended with @error: he may change them. */
void pss_minidump_ask_post_read(struct pss_minidump_ask *ask, uint64_t address, void *buffer,
				size_t size, size_t done, int error);

/** A page that cannot be read: 0 to go on with zeroes, -EFAULT to end. As a hook of a pour. */
int pss_minidump_ask_unreadable(void *context, uint64_t address, uint64_t size);

#endif
