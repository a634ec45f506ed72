// SPDX-License-Identifier: LGPL-2.1-or-later
// A user's first program, compiled as C and as C++: takes a snapshot of itself.
#include <processsnapshot.h>
#include <stdio.h>

int main(void)
{
	HPSS snapshot = 0;
	DWORD error = PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_THREADS, 0, &snapshot);

	printf("capture: %u\n", (unsigned)error);
	return error || PssFreeSnapshot(GetCurrentProcess(), snapshot);
}
