/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What programs ask of a snapshot most often, all about themselves: the parent's PID, the own
 * threads, the own open files. Nothing is stopped for that, and no right is needed.
 *
 *     cc -std=c99 -pedantic own.c $(pkg-config --cflags --libs procsnap) -o own
 */
#include <inttypes.h>
#include <stdio.h>

#include <procsnap.h>

static int fail(const char *what, DWORD error)
{
	fprintf(stderr, "%s: error %u: %s\n", what, error, PssxErrorText());
	return 1;
}

static int print_parent(void)
{
	PSS_PROCESS_INFORMATION process;
	HPSS snapshot = NULL;
	/* Facts of the process are in every snapshot. */
	DWORD error = PssCaptureSnapshot(GetCurrentProcess(), PSS_CAPTURE_NONE, 0, &snapshot);

	if (error != ERROR_SUCCESS)
		return fail("capturing nothing", error);
	error = PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &process,
				 sizeof(process));
	PssFreeSnapshot(GetCurrentProcess(), snapshot);
	if (error != ERROR_SUCCESS)
		return fail("the process", error);
	printf("parent %u\n", process.ParentProcessId);
	return 0;
}

static int print_threads(HPSS snapshot, HPSSWALK marker)
{
	PSS_THREAD_ENTRY thread;
	DWORD error;

	while ((error = PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, &thread,
					sizeof(thread))) == ERROR_SUCCESS)
		if (!(thread.Flags & PSS_THREAD_FLAGS_TERMINATED))
			printf("thread %u\n", thread.ThreadId);
	return error == ERROR_NO_MORE_ITEMS ? 0 : fail("walking the threads", error);
}

static int print_handles(HPSS snapshot, HPSSWALK marker)
{
	PSS_HANDLE_ENTRY handle;
	char name[4096] = "";
	DWORD error;

	while ((error = PssWalkSnapshot(snapshot, PSS_WALK_HANDLES, marker, &handle,
					sizeof(handle))) == ERROR_SUCCESS) {
		if (!(handle.Flags & PSS_HANDLE_HAVE_NAME))
			continue;
		PssxUtf16ToUtf8(handle.ObjectName, handle.ObjectNameLength / sizeof(WCHAR), name,
				sizeof(name));
		printf("handle %" PRIdPTR " %s\n", (intptr_t)handle.Handle, name);
	}
	return error == ERROR_NO_MORE_ITEMS ? 0 : fail("walking the handles", error);
}

int main(void)
{
	HPSS snapshot = NULL;
	HPSSWALK marker = NULL;
	DWORD error;
	int status;

	if (print_parent() != 0)
		return 1;
	error = PssCaptureSnapshot(GetCurrentProcess(),
				   PSS_CAPTURE_THREADS | PSS_CAPTURE_HANDLES |
					   PSS_CAPTURE_HANDLE_NAME_INFORMATION,
				   0, &snapshot);
	if (error != ERROR_SUCCESS)
		return fail("PssCaptureSnapshot", error);
	error = PssWalkMarkerCreate(NULL, &marker);
	if (error == ERROR_SUCCESS) {
		status = print_threads(snapshot, marker) || print_handles(snapshot, marker);
		PssWalkMarkerFree(marker);
	} else {
		status = fail("PssWalkMarkerCreate", error);
	}
	PssFreeSnapshot(GetCurrentProcess(), snapshot);
	return status;
}
