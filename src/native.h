// SPDX-License-Identifier: LGPL-2.1-or-later
// The structures of procsnap.h, which speak Linux, made from a section. Pure. The Size fields are
// the caller's and stay as they are.
#ifndef PSS_NATIVE_H
#define PSS_NATIVE_H

#include <stdint.h>

#include <procsnap.h>

#include "section.h"

/** -ENOENT if the section has none. */
int pss_native_figures(const struct pss_section *section, PSSX_FIGURES *ret);

void pss_native_process(const struct pss_section *section, PSSX_PROCESS *ret);

/** -ENOENT if threads were not captured, -ENODATA past the last. */
int pss_native_thread(const struct pss_section *section, uint32_t index, PSSX_THREAD *ret);

/** The same for regions. */
int pss_native_region(const struct pss_section *section, uint32_t index, PSSX_REGION *ret);

/** The same for descriptors. */
int pss_native_handle(const struct pss_section *section, uint32_t index, PSSX_HANDLE *ret);

/** The text of fdinfo of a descriptor, borrowed from @section. Errors as above. */
int pss_native_handle_info(const struct pss_section *section, uint32_t index,
			   const void **bytes_ret, size_t *size_ret);

/**
 * One register set of a thread, borrowed from @section. Errors of pss_native_thread(); -ENOENT also
 * if the thread has no set of that type.
 */
int pss_native_registers(const struct pss_section *section, uint32_t index, uint32_t note_type,
			 const void **bytes_ret, size_t *size_ret);

#endif
