// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: not dumpable, so its /proc files belong to root and no one else may trace it.
#include "target.h"

static const uint64_t secret[4] = { 1, 2, 3, 4 };

int main(void)
{
	target_begin();
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		target_fail("PR_SET_DUMPABLE");
	target_say_address("secret", secret);
	target_ready();
	target_serve(NULL);
}
