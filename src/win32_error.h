// SPDX-License-Identifier: LGPL-2.1-or-later
// From the numbers used inside, 0 or -errno, to the codes that the public functions return, and
// from codes to words. The only such tables.
#ifndef PSS_WIN32_ERROR_H
#define PSS_WIN32_ERROR_H

#include <stdint.h>

/**
 * The ERROR_ code of 0 or a negative errno. ERROR_INTERNAL_ERROR for one that the table lacks,
 * which is a mistake of ours: a check reads the sources for it.
 */
unsigned pss_win32_error(int negative_errno);

/** What a code or an HRESULT made of one means: constant text, never NULL. */
const char *pss_win32_error_text(uint32_t code);

#endif
