/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A minidump of a process by way of a snapshot, as programs write it on Windows: capture, write,
 * free. The process is held for the capture only; it runs on while the dump is written.
 *
 *     cc -std=c99 -pedantic minidump.c $(pkg-config --cflags --libs procsnap) -o minidump
 *     ./minidump PID FILE
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <windows.h>

#include <dbghelp.h>
#include <processsnapshot.h>
#include <procsnap.h>

static int fail(const char *what, DWORD error)
{
	fprintf(stderr, "%s: error %#" PRIx32 ": %s\n", what, error, PssxErrorText());
	return 1;
}

/* Counts the threads on the way; the rest of what it is asked is left as it is. */
static BOOL CALLBACK on_question(PVOID param, PMINIDUMP_CALLBACK_INPUT input,
				 PMINIDUMP_CALLBACK_OUTPUT output)
{
	unsigned *threads = (unsigned *)param;

	switch (input->CallbackType) {
	case IsProcessSnapshotCallback:
		/* The process handle is that of a snapshot. */
		output->Status = S_FALSE;
		break;
	case ThreadCallback:
		++*threads;
		break;
	case ReadMemoryFailureCallback:
		/* Zeroes will do. */
		output->Status = S_OK;
		break;
	}
	return TRUE;
}

static int write_dump(HPSS snapshot, DWORD pid, HANDLE file)
{
	MINIDUMP_TYPE type = (MINIDUMP_TYPE)(MiniDumpWithDataSegs | MiniDumpWithHandleData |
					     MiniDumpWithFullMemoryInfo | MiniDumpWithThreadInfo);
	unsigned threads = 0;
	MINIDUMP_CALLBACK_INFORMATION callback;

	callback.CallbackRoutine = on_question;
	callback.CallbackParam = &threads;
	if (!MiniDumpWriteDump((HANDLE)snapshot, pid, file, type, NULL, NULL, &callback))
		return fail("MiniDumpWriteDump", GetLastError());
	printf("dumped %u threads\n", threads);
	return 0;
}

static int capture_and_write(HANDLE process, HANDLE file)
{
	HPSS snapshot = NULL;
	DWORD error = PssCaptureSnapshot(
		process,
		(PSS_CAPTURE_FLAGS)(PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES |
				    PSS_CAPTURE_HANDLE_NAME_INFORMATION |
				    PSS_CAPTURE_HANDLE_BASIC_INFORMATION | PSS_CAPTURE_THREADS |
				    PSS_CAPTURE_THREAD_CONTEXT),
		CONTEXT_ALL, &snapshot);
	int status;

	if (error != ERROR_SUCCESS)
		return fail("PssCaptureSnapshot", error);
	status = write_dump(snapshot, GetProcessId(process), file);
	PssFreeSnapshot(GetCurrentProcess(), snapshot);
	return status;
}

int main(int argc, char **argv)
{
	HANDLE process;
	int fd, status;

	if (argc != 3) {
		fprintf(stderr, "usage: minidump PID FILE\n");
		return 2;
	}
	process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)strtoul(argv[1], NULL, 10));
	if (!process)
		return fail("OpenProcess", GetLastError());
	/* It holds what the process holds: for its owner's eyes only, and never over another. */
	fd = open(argv[2], O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0) {
		perror(argv[2]);
		CloseHandle(process);
		return 1;
	}
	status = capture_and_write(process, (HANDLE)(intptr_t)fd);
	if (close(fd) != 0 || status != 0) {
		unlink(argv[2]);
		status = 1;
	}
	CloseHandle(process);
	return status;
}
