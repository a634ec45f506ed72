/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints what a snapshot of a process holds: snapshot PID. Strict C99; of Linux it needs no more
 * than the conversion of texts.
 *
 *     cc -std=c99 -pedantic snapshot.c $(pkg-config --cflags --libs procsnap) -o snapshot
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <procsnap.h>

#if defined(__aarch64__)
#define INSTRUCTION_POINTER(context) ((context)->Pc)
#else
#define INSTRUCTION_POINTER(context) ((context)->Rip)
#endif

static const PSS_CAPTURE_FLAGS flags =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
	PSS_CAPTURE_HANDLE_BASIC_INFORMATION | PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION |
	PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE |
	PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CREATE_MEASURE_PERFORMANCE;

/* The functions return their error: GetLastError() knows nothing of it, PssxErrorText() does. */
static int fail(const char *what, DWORD error)
{
	fprintf(stderr, "%s: error %u: %s\n", what, error, PssxErrorText());
	return 1;
}

/* Texts are UTF-16, their lengths bytes. Whoever named the thing may have tried to fool us. */
static const char *utf8(WCHAR const *text, size_t bytes, char *buffer, size_t room)
{
	char *c;

	buffer[0] = '\0';
	if (text)
		PssxUtf16ToUtf8(text, bytes / sizeof(WCHAR), buffer, room);
	for (c = buffer; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	return buffer;
}

/* Two halves that are aligned to four bytes: never read them as one number in place. */
static uint64_t ticks(FILETIME time)
{
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

static size_t units(WCHAR const *text, size_t room)
{
	size_t length = 0;

	while (length < room && text[length] != 0)
		length++;
	return length;
}

static int query(HPSS snapshot, PSS_QUERY_INFORMATION_CLASS kind, void *buffer, DWORD length)
{
	DWORD error = PssQuerySnapshot(snapshot, kind, buffer, length);

	return error == ERROR_SUCCESS ? 0 : fail("PssQuerySnapshot", error);
}

static int print_process(HPSS snapshot)
{
	PSS_PROCESS_INFORMATION process;
	char path[MAX_PATH * 3];

	if (query(snapshot, PSS_QUERY_PROCESS_INFORMATION, &process, sizeof(process)))
		return 1;
	utf8(process.ImageFileName, sizeof(WCHAR) * units(process.ImageFileName, MAX_PATH), path,
	     sizeof(path));
	printf("process %u parent %u created %" PRIu64 " %s\n", process.ProcessId,
	       process.ParentProcessId, ticks(process.CreateTime), path);
	return 0;
}

static int print_counts(HPSS snapshot)
{
	PSS_THREAD_INFORMATION threads;
	PSS_VA_SPACE_INFORMATION regions;
	PSS_HANDLE_INFORMATION handles;
	PSS_AUXILIARY_PAGES_INFORMATION pages = { 0 };
	DWORD error;

	if (query(snapshot, PSS_QUERY_THREAD_INFORMATION, &threads, sizeof(threads)) ||
	    query(snapshot, PSS_QUERY_VA_SPACE_INFORMATION, &regions, sizeof(regions)) ||
	    query(snapshot, PSS_QUERY_HANDLE_INFORMATION, &handles, sizeof(handles)))
		return 1;
	/* That there is nothing of a kind is an answer. */
	error = PssQuerySnapshot(snapshot, PSS_QUERY_AUXILIARY_PAGES_INFORMATION, &pages,
				 sizeof(pages));
	if (error != ERROR_SUCCESS && error != ERROR_NOT_FOUND)
		return fail("PssQuerySnapshot", error);
	printf("holds %u threads, %u regions, %u handles, %u auxiliary pages\n",
	       threads.ThreadsCaptured, regions.RegionCount, handles.HandlesCaptured,
	       pages.AuxPagesCaptured);
	return 0;
}

static int print_clone(HPSS snapshot)
{
	PSS_VA_CLONE_INFORMATION clone;
	PSS_PERFORMANCE_COUNTERS counters;

	if (query(snapshot, PSS_QUERY_VA_CLONE_INFORMATION, &clone, sizeof(clone)) ||
	    query(snapshot, PSS_QUERY_PERFORMANCE_COUNTERS, &counters, sizeof(counters)))
		return 1;
	/* The handle reads the frozen memory. It belongs to the snapshot: nothing to be closed. */
	printf("clone %u\n", GetProcessId(clone.VaCloneHandle));
	printf("took %" PRIu64 " us, %" PRIu64 " of them for the clone\n",
	       counters.TotalWallClockPeriod, counters.VaCloneWallClockPeriod);
	return 0;
}

static int print_threads(HPSS snapshot, HPSSWALK marker)
{
	PSS_THREAD_ENTRY thread;
	PSS_THREAD_NAME name, unnamed = { 0, NULL };
	char text[256];
	DWORD error;

	while ((error = PssWalkSnapshot(snapshot, PSS_WALK_THREADS, marker, &thread,
					sizeof(thread))) == ERROR_SUCCESS) {
		/* Names come in the order of the threads; a marker has a place for each kind. */
		if (PssWalkSnapshot(snapshot, PSS_WALK_THREAD_NAME, marker, &name, sizeof(name)) !=
		    ERROR_SUCCESS)
			name = unnamed;
		printf("thread %u cpu %" PRIu64 " ip 0x%" PRIx64 " %s\n", thread.ThreadId,
		       ticks(thread.KernelTime) + ticks(thread.UserTime),
		       thread.ContextRecord ? INSTRUCTION_POINTER(thread.ContextRecord) : 0,
		       utf8(name.ThreadName, name.ThreadNameSize, text, sizeof(text)));
	}
	return error == ERROR_NO_MORE_ITEMS ? 0 : fail("walking the threads", error);
}

static int print_regions(HPSS snapshot, HPSSWALK marker)
{
	PSS_VA_SPACE_ENTRY region;
	char path[4096];
	DWORD error;

	while ((error = PssWalkSnapshot(snapshot, PSS_WALK_VA_SPACE, marker, &region,
					sizeof(region))) == ERROR_SUCCESS)
		printf("region 0x%" PRIxPTR " size 0x%" PRIxPTR " protect 0x%x %s %s\n",
		       (uintptr_t)region.BaseAddress, region.RegionSize, region.Protect,
		       region.Type == MEM_IMAGE    ? "image"
		       : region.Type == MEM_MAPPED ? "mapped"
						   : "private",
		       utf8(region.MappedFileName, region.MappedFileNameLength, path,
			    sizeof(path)));
	return error == ERROR_NO_MORE_ITEMS ? 0 : fail("walking the regions", error);
}

static int print_handles(HPSS snapshot, HPSSWALK marker)
{
	PSS_HANDLE_ENTRY handle;
	char type[64], name[4096];
	DWORD error;

	/* Flags tells which fields hold something; a name that is not there has length 0. */
	while ((error = PssWalkSnapshot(snapshot, PSS_WALK_HANDLES, marker, &handle,
					sizeof(handle))) == ERROR_SUCCESS)
		printf("handle %" PRIdPTR " %s access 0x%x %s\n", (intptr_t)handle.Handle,
		       utf8(handle.TypeName, handle.TypeNameLength, type, sizeof(type)),
		       handle.GrantedAccess,
		       utf8(handle.ObjectName, handle.ObjectNameLength, name, sizeof(name)));
	return error == ERROR_NO_MORE_ITEMS ? 0 : fail("walking the handles", error);
}

static int print_pages(HPSS snapshot, HPSSWALK marker)
{
	PSS_AUXILIARY_PAGE_ENTRY page;
	DWORD error;

	while ((error = PssWalkSnapshot(snapshot, PSS_WALK_AUXILIARY_PAGES, marker, &page,
					sizeof(page))) == ERROR_SUCCESS)
		printf("page 0x%" PRIxPTR " size 0x%x\n", (uintptr_t)page.Address, page.PageSize);
	return error == ERROR_NO_MORE_ITEMS || error == ERROR_NOT_FOUND
		       ? 0
		       : fail("walking the auxiliary pages", error);
}

static int print_walks(HPSS snapshot)
{
	HPSSWALK marker = NULL;
	DWORD error = PssWalkMarkerCreate(NULL, &marker);
	int status;

	if (error != ERROR_SUCCESS)
		return fail("a walk marker", error);
	status = print_threads(snapshot, marker) || print_regions(snapshot, marker) ||
		 print_handles(snapshot, marker) || print_pages(snapshot, marker);
	/* Only now do the texts and registers that were handed out become invalid. */
	PssWalkMarkerFree(marker);
	return status;
}

int main(int argc, char **argv)
{
	HANDLE process;
	HPSS snapshot = NULL;
	DWORD error;
	int status;

	if (argc != 2) {
		fprintf(stderr, "usage: %s PID\n", argv[0]);
		return 2;
	}
	process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)strtoul(argv[1], NULL, 10));
	if (!process)
		return fail("OpenProcess", GetLastError());
	error = PssCaptureSnapshot(process, flags, CONTEXT_ALL, &snapshot);
	CloseHandle(process);
	if (error != ERROR_SUCCESS)
		return fail("PssCaptureSnapshot", error);
	/* The process runs on. All that follows reads the snapshot. */
	status = print_process(snapshot) || print_counts(snapshot) || print_clone(snapshot) ||
		 print_walks(snapshot);
	/* The process that holds the snapshot is meant, not the captured one. */
	error = PssFreeSnapshot(GetCurrentProcess(), snapshot);
	return error == ERROR_SUCCESS ? status : fail("PssFreeSnapshot", error);
}
