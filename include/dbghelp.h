/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lets unchanged Windows sources say #include <dbghelp.h>. Of that library there is here what
 * writes minidumps; see minidumpapiset.h.
 */
#ifndef PSS_DBGHELP_H
#define PSS_DBGHELP_H

#include "minidumpapiset.h"

#endif /* PSS_DBGHELP_H */
