// SPDX-License-Identifier: LGPL-2.1-or-later
// What the ELF headers of an object say, read where the object lies in a process' memory. Trusts
// nothing it reads, and reads a bounded amount.
#ifndef PSS_COLLECT_IMAGE_H
#define PSS_COLLECT_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

enum { PSS_IMAGE_BUILD_ID_MAX = 64 };

/** An ELF object. Addresses are link-time ones until @bias is added. */
struct pss_image {
	bool is_32bit;
	uint64_t bias;
	uint64_t low;  /**< lowest address of its loadable segments */
	uint64_t high; /**< end of the highest; low == high: there are none */
	uint64_t dynamic;
	uint64_t dynamic_size;  /**< 0 if there is none */
	uint32_t build_id_size; /**< 0 if there is none */
	uint8_t build_id[PSS_IMAGE_BUILD_ID_MAX];
};

/**
 * Reads what describes the object whose first byte is mapped at @address. -ENOEXEC if no program or
 * library of this machine's byte order begins there, -EFAULT if its headers can't be read.
 */
int pss_collect_image_read(int mem_fd, uint64_t address, struct pss_image *ret);

/** The same for a file open as @fd; the bias is as if it were mapped at address 0. */
int pss_collect_image_read_file(int fd, struct pss_image *ret);

/** The program headers alone, @count of them at @address, as the auxiliary vector tells. No notes.
 */
int pss_collect_image_read_headers(int mem_fd, uint64_t address, uint64_t count, bool is_32bit,
				   struct pss_image *ret);

/** DT_DEBUG of the object's dynamic section: where the loader keeps its struct r_debug. 0: unknown.
 */
uint64_t pss_collect_image_debug(int mem_fd, const struct pss_image *image);

#endif
