// SPDX-License-Identifier: LGPL-2.1-or-later
// A snapshot that frees itself.
#ifndef PSS_CLI_SNAPSHOT_H
#define PSS_CLI_SNAPSHOT_H

#include <stddef.h>

#include <processsnapshot.h>

/** Frees the snapshot a variable holds, if any, when its scope ends. */
static inline void pss_snapshot_free_ptr(HPSS *snapshot)
{
	if (*snapshot)
		(void)PssFreeSnapshot(GetCurrentProcess(), *snapshot);
	*snapshot = NULL;
}

#define _cleanup_snapshot_ __attribute__((cleanup(pss_snapshot_free_ptr)))

#endif
