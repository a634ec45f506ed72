// SPDX-License-Identifier: LGPL-2.1-or-later
// Captures one process with all that can be captured, and frees the snapshot: capture_once PID.
// Exit status 0 if both worked, 1 with the error's text if not. The victim of walk.
#include <processsnapshot.h>
#include <procsnap.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	const PSS_CAPTURE_FLAGS flags =
		PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
		PSS_CAPTURE_THREAD_CONTEXT_EXTENDED | PSS_CAPTURE_VA_SPACE |
		PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CAPTURE_HANDLES |
		PSS_CAPTURE_HANDLE_NAME_INFORMATION | PSS_CAPTURE_HANDLE_BASIC_INFORMATION |
		PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION | PSS_CREATE_BREAKAWAY |
		PSS_CREATE_BREAKAWAY_OPTIONAL | PSS_CREATE_MEASURE_PERFORMANCE;
	HPSS snapshot = NULL;
	HANDLE process = argc == 2 ? OpenProcess(PROCESS_ALL_ACCESS, FALSE,
						 (DWORD)strtoul(argv[1], NULL, 10))
				   : NULL;
	DWORD error = process ? PssCaptureSnapshot(process, flags, CONTEXT_ALL, &snapshot)
			      : ERROR_INVALID_PARAMETER;

	if (error == ERROR_SUCCESS)
		error = PssFreeSnapshot(GetCurrentProcess(), snapshot);
	if (error != ERROR_SUCCESS)
		printf("%u: %s\n", (unsigned)error, PssxErrorText());
	if (process)
		CloseHandle(process);
	return error != ERROR_SUCCESS;
}
