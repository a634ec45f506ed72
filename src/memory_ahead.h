// SPDX-License-Identifier: LGPL-2.1-or-later
// Reads ahead: a thread that fills buffers with what comes next while what came before is written.
// Knows nothing of memory or files: what to read is asked of a function.
#ifndef PSS_MEMORY_AHEAD_H
#define PSS_MEMORY_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** What was read in one go. */
struct pss_memory_piece {
	uint8_t *bytes;
	uint64_t start; /**< address of the first byte */
	size_t wanted;  /**< bytes there */
	size_t done;    /**< bytes that could be read */
	int result;     /**< 0, -EFAULT if not all could, -ENODATA past the end, other errors */
};

struct pss_memory_ahead;

/**
 * Starts the thread, without signals and with @count buffers of @size bytes. NULL if there is no
 * memory or thread to be had: then the caller reads for itself.
 */
struct pss_memory_ahead *pss_memory_ahead_start(size_t count, size_t size);

/**
 * Has it call @read with a piece again and again, until one's result is an error other than
 * -EFAULT. From then until that piece is taken, what @context leads to is the thread's.
 */
void pss_memory_ahead_begin(struct pss_memory_ahead *ahead,
			    void (*read)(void *context, struct pss_memory_piece *piece),
			    void *context);

/** The next piece, when it is read. Until it is given back it is the caller's. */
struct pss_memory_piece *pss_memory_ahead_take(struct pss_memory_ahead *ahead);
void pss_memory_ahead_give_back(struct pss_memory_ahead *ahead);

/** Ends the thread, whatever it is at. NULL is nothing. */
void pss_memory_ahead_end(struct pss_memory_ahead *ahead);

#endif
