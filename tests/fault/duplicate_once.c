// SPDX-License-Identifier: LGPL-2.1-or-later
// Puts a snapshot into one process, and frees it there: duplicate_once PID. Exit status 0 if both
// worked, 1 with the error's text if not; "kept" then says that the process still has it. A victim
// of walk.
#include <processsnapshot.h>
#include <procsnap.h>
#include <stdio.h>
#include <stdlib.h>

static DWORD put_and_free(HANDLE process, HPSS snapshot)
{
	HPSS there = NULL;
	DWORD error = PssDuplicateSnapshot(GetCurrentProcess(), snapshot, process, &there,
					   PSS_DUPLICATE_NONE);
	DWORD again;

	if (error != ERROR_SUCCESS) {
		printf("%u: %s\n", (unsigned)error, PssxErrorText());
		return error;
	}
	error = PssFreeSnapshot(process, there);
	if (error == ERROR_SUCCESS)
		return error;
	printf("%u: %s\n", (unsigned)error, PssxErrorText());
	again = PssFreeSnapshot(process, there);
	if (again != ERROR_SUCCESS && again != ERROR_INVALID_HANDLE)
		printf("kept: %u: %s\n", (unsigned)again, PssxErrorText());
	return error;
}

int main(int argc, char **argv)
{
	HPSS snapshot = NULL;
	HANDLE process = argc == 2 ? OpenProcess(PROCESS_ALL_ACCESS, FALSE,
						 (DWORD)strtoul(argv[1], NULL, 10))
				   : NULL;
	DWORD error = ERROR_INVALID_PARAMETER;

	if (process)
		error = PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_NONE, 0, &snapshot);
	if (error != ERROR_SUCCESS)
		printf("%u: %s\n", (unsigned)error, PssxErrorText());
	else
		error = put_and_free(process, snapshot);
	if (snapshot)
		PssFreeSnapshot(GetCurrentProcess(), snapshot);
	if (process)
		CloseHandle(process);
	return error != ERROR_SUCCESS;
}
