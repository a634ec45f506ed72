// SPDX-License-Identifier: LGPL-2.1-or-later
// Captures one process and writes a core of the snapshot into a file: export_once PID FILE. Exit
// status 0 if that worked, 1 with the error's text if not. A victim of walk.
#include <fcntl.h>
#include <processsnapshot.h>
#include <procsnap.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static DWORD export(HANDLE process, int fd)
{
	const PSS_CAPTURE_FLAGS flags = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
					PSS_CAPTURE_THREAD_CONTEXT |
					PSS_CAPTURE_THREAD_CONTEXT_EXTENDED | PSS_CAPTURE_VA_SPACE |
					PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION;
	HPSS snapshot = NULL;
	DWORD error = PssCaptureSnapshot(process, flags, CONTEXT_ALL, &snapshot), freed;

	if (error == ERROR_SUCCESS)
		error = PssxWriteElfCore(snapshot, fd, NULL, NULL);
	if (error != ERROR_SUCCESS)
		printf("%u: %s\n", (unsigned)error, PssxErrorText());
	freed = snapshot ? PssFreeSnapshot(GetCurrentProcess(), snapshot) : ERROR_SUCCESS;
	if (freed != ERROR_SUCCESS)
		printf("%u: %s\n", (unsigned)freed, PssxErrorText());
	return error != ERROR_SUCCESS ? error : freed;
}

int main(int argc, char **argv)
{
	int fd = argc == 3 ? open(argv[2], O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	HANDLE process =
		fd >= 0 ? OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)strtoul(argv[1], NULL, 10))
			: NULL;
	DWORD error;

	if (!process) {
		printf("cannot begin: %s\n", PssxErrorText());
		return 1;
	}
	error = export(process, fd);
	CloseHandle(process);
	// What could not be written for want of room may be told only now.
	if (close(fd) < 0 && error == ERROR_SUCCESS) {
		perror("close");
		return 1;
	}
	return error != ERROR_SUCCESS;
}
