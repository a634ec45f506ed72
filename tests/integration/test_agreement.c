// SPDX-License-Identifier: LGPL-2.1-or-later
// A process with 2,000 descriptors, 200 threads and 5,000 mappings, held still by SIGSTOP: what a
// capture with every flag says of it, entry by entry, against what /proc says.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

enum { DESCRIPTORS = 2000, THREADS = 200, MAPPINGS = 5000 };

static const uint32_t EVERY_FLAG =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
	PSS_CAPTURE_HANDLE_BASIC_INFORMATION | PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION |
	PSS_CAPTURE_HANDLE_TRACE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
	PSS_CAPTURE_THREAD_CONTEXT_EXTENDED | PSS_CAPTURE_VA_SPACE |
	PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CAPTURE_IPT_TRACE |
	PSS_CREATE_USE_VM_ALLOCATIONS | PSS_CREATE_MEASURE_PERFORMANCE | PSS_CREATE_RELEASE_SECTION;

static struct target *target;
static HPSS snapshot;
static HPSSWALK marker;

static int stop_and_capture(void **state)
{
	int status;

	(void)state;
	target = target_start("crowd", NULL);
	kill(target->pid, SIGSTOP);
	assert_int_equal(waitpid(target->pid, &status, WUNTRACED), target->pid);
	assert_true(WIFSTOPPED(status));
	snapshot = harness_capture(target, EVERY_FLAG);
	assert_success(PssWalkMarkerCreate(NULL, &marker));
	return 0;
}

static int go_on(void **state)
{
	(void)state;
	assert_success(PssWalkMarkerFree(marker));
	harness_free_snapshot(snapshot);
	kill(target->pid, SIGCONT);
	target_assert_unharmed(target);
	target_stop(target);
	return 0;
}

/** A file of the target's; @folder, a number and @file may each be left out. */
static char *read_proc(const char *folder, long number, const char *file)
{
	char path[128], *text;

	snprintf(path, sizeof(path), "/proc/%d", target->pid);
	if (folder)
		snprintf(path + strlen(path), 64, "/%s/%ld", folder, number);
	if (file)
		snprintf(path + strlen(path), 32, "/%s", file);
	text = harness_read_file(path);
	if (!text)
		harness_fail("cannot read %s", path);
	return text;
}

static DWORD next(int class, void *entry, size_t size)
{
	return PssWalkSnapshot(snapshot, (PSS_WALK_INFORMATION_CLASS) class, marker, entry,
			       (DWORD)size);
}

static void assert_text(const WCHAR *text, WORD size, const char *expected)
{
	char found[8192];

	PssxUtf16ToUtf8(text, size / sizeof(WCHAR), found, sizeof(found));
	assert_string_equal(found, expected);
}

/** A line of maps. */
struct map {
	uint64_t start, end, offset, inode;
	char mode[5];
	unsigned major, minor;
	char path[4096];
};

static bool parse_map(const char *line, struct map *ret)
{
	int path = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %x:%x %" SCNu64 " %n",
		   &ret->start, &ret->end, ret->mode, &ret->offset, &ret->major, &ret->minor,
		   &ret->inode, &path) != 7)
		return false;
	snprintf(ret->path, sizeof(ret->path), "%s", path ? line + path : "");
	return true;
}

static DWORD protection_of(const char *mode)
{
	if (mode[1] == 'w')
		return mode[2] == 'x' ? PAGE_EXECUTE_READWRITE : PAGE_READWRITE;
	if (mode[0] == 'r')
		return mode[2] == 'x' ? PAGE_EXECUTE_READ : PAGE_READONLY;
	return mode[2] == 'x' ? PAGE_EXECUTE : PAGE_NOACCESS;
}

static void assert_region(const struct map *map, const PSS_VA_SPACE_ENTRY *region,
			  const PSSX_REGION *native)
{
	bool is_writable = map->mode[1] == 'w', is_private = map->mode[3] == 'p';
	bool is_file = map->inode != 0;
	DWORD protect = protection_of(map->mode);

	if (is_writable && is_private && is_file)
		protect = protect == PAGE_READWRITE ? PAGE_WRITECOPY : PAGE_EXECUTE_WRITECOPY;
	assert_int_equal((uintptr_t)region->BaseAddress, map->start);
	assert_int_equal(region->RegionSize, map->end - map->start);
	assert_int_equal(region->Type == MEM_PRIVATE, !is_file);
	if (region->State == MEM_COMMIT)
		assert_int_equal(region->Protect, protect);
	else
		assert_string_equal(map->mode, "---p");
	if (is_file)
		assert_text(region->MappedFileName, region->MappedFileNameLength, map->path);
	else
		assert_int_equal(region->MappedFileNameLength, 0);
	assert_int_equal(native->Start, map->start);
	assert_int_equal(native->End, map->end);
	assert_int_equal(native->FileOffset, map->offset);
	assert_int_equal(native->Inode, map->inode);
	assert_int_equal(!!(native->Flags & PSSX_REGION_SHARED), !is_private);
	assert_string_equal(native->Path, map->path);
}

static void regions_are_those_of_maps(void **state)
{
	char *maps = read_proc(NULL, 0, "maps"), *rest = maps, *line;
	PSSX_REGION native = { .Size = sizeof(native) };
	PSS_VA_SPACE_INFORMATION information;
	PSS_VA_SPACE_ENTRY region;
	unsigned count = 0;
	struct map map;

	(void)state;
	while ((line = strsep(&rest, "\n")) && line[0]) {
		assert_true(parse_map(line, &map));
		assert_success(next(PSS_WALK_VA_SPACE, &region, sizeof(region)));
		assert_success(PssxQueryRegion(snapshot, count, &native));
		assert_region(&map, &region, &native);
		count++;
	}
	assert_true(count >= MAPPINGS);
	assert_int_equal(next(PSS_WALK_VA_SPACE, &region, sizeof(region)), ERROR_NO_MORE_ITEMS);
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_VA_SPACE_INFORMATION, &information,
					sizeof(information)));
	assert_int_equal(information.RegionCount, count);
	free(maps);
}

static uint64_t ticks(FILETIME time)
{
	return (uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime;
}

/** What is compared of a thread's stat. */
struct thread_stat {
	char comm[64];
	char state;
	uint64_t user, kernel, start;
	long nice;
};

static void read_stat(pid_t tid, struct thread_stat *ret)
{
	char *text = read_proc("task", tid, "stat"), *name = strchr(text, '('),
	     *end = strrchr(text, ')');

	assert_true(name && end && end > name);
	snprintf(ret->comm, sizeof(ret->comm), "%.*s", (int)(end - name - 1), name + 1);
	assert_int_equal(sscanf(end,
				") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
				" %*d %*d %*d %ld %*d %*d %" SCNu64,
				&ret->state, &ret->user, &ret->kernel, &ret->nice, &ret->start),
			 5);
	free(text);
}

// CPU time is told finer than by clock ticks; what remains may fall to either of the two.
static void assert_cpu_time(const PSS_THREAD_ENTRY *entry, const struct thread_stat *stat)
{
	uint64_t per_tick = 10000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t found = ticks(entry->UserTime) + ticks(entry->KernelTime);
	uint64_t expected = (stat->user + stat->kernel) * per_tick;

	assert_true(found + 2 * per_tick >= expected && found <= expected + 2 * per_tick);
}

static void assert_thread(const PSS_THREAD_ENTRY *entry, const PSS_THREAD_NAME *name,
			  const PSSX_THREAD *native)
{
	char *call = read_proc("task", (long)entry->ThreadId, "syscall");
	struct thread_stat stat;
	uint64_t stack, code;
	char *last;

	read_stat((pid_t)entry->ThreadId, &stat);
	assert_int_equal(entry->ProcessId, target->pid);
	assert_int_equal(entry->ExitStatus, STILL_ACTIVE);
	assert_int_equal(stat.state, 'T');
	assert_int_equal(entry->SuspendCount, 1);
	assert_int_equal(native->State, stat.state);
	assert_int_equal(native->Nice, stat.nice);
	assert_text(name->ThreadName, name->ThreadNameSize, stat.comm);
	assert_string_equal(native->Name, stat.comm);
	assert_cpu_time(entry, &stat);
	// The last two numbers of a call are where the thread is.
	last = strrchr(call, ' ');
	assert_non_null(last);
	code = strtoull(last, NULL, 16);
	*last = '\0';
	last = strrchr(call, ' ');
	assert_non_null(last);
	stack = strtoull(last, NULL, 16);
	assert_int_equal(native->InstructionPointer, code);
	assert_int_equal(native->StackPointer, stack);
	assert_non_null(entry->ContextRecord);
#ifdef __x86_64__
	assert_int_equal(entry->ContextRecord->Rip, code);
	assert_int_equal(entry->ContextRecord->Rsp, stack);
#endif
	free(call);
}

static void threads_are_those_of_task(void **state)
{
	PSSX_THREAD native = { .Size = sizeof(native) };
	pid_t tids[2 * THREADS];
	size_t expected = patient_threads(target->pid, tids, 2 * THREADS);
	struct thread_stat first, stat;
	PSS_THREAD_ENTRY entry;
	PSS_THREAD_NAME name;
	uint64_t created = 0;
	size_t count = 0;

	(void)state;
	assert_int_equal(expected, THREADS);
	read_stat(target->pid, &first);
	while (next(PSS_WALK_THREADS, &entry, sizeof(entry)) == ERROR_SUCCESS) {
		bool is_known = false;

		for (size_t i = 0; i < expected; i++) {
			is_known |= tids[i] == (pid_t)entry.ThreadId;
			tids[i] = tids[i] == (pid_t)entry.ThreadId ? 0 : tids[i];
		}
		assert_true(is_known);
		assert_success(next(PSS_WALK_THREAD_NAME, &name, sizeof(name)));
		assert_success(PssxQueryThread(snapshot, (DWORD)count, &native));
		assert_int_equal(native.ThreadId, entry.ThreadId);
		assert_thread(&entry, &name, &native);
		if (count++ == 0)
			created = ticks(entry.CreateTime);
		read_stat((pid_t)entry.ThreadId, &stat);
		assert_int_equal(ticks(entry.CreateTime) - created,
				 (stat.start - first.start) *
					 (10000000 / (uint64_t)sysconf(_SC_CLK_TCK)));
	}
	assert_int_equal(count, expected);
	assert_int_equal(next(PSS_WALK_THREAD_NAME, &name, sizeof(name)), ERROR_NO_MORE_ITEMS);
}

static void assert_handle(const PSS_HANDLE_ENTRY *entry, const PSSX_HANDLE *native, DWORD index)
{
	int fd = (int)(intptr_t)entry->Handle;
	char path[64], link[4096] = { 0 }, info[8192], *expected = read_proc("fdinfo", fd, NULL);
	SIZE_T length = sizeof(info) - 1;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", target->pid, fd);
	assert_true(readlink(path, link, sizeof(link) - 1) > 0);
	assert_string_equal(native->Link, link);
	assert_true(entry->Flags & PSS_HANDLE_HAVE_TYPE);
	assert_true(entry->TypeNameLength > 0);
	if (link[0] == '/' && entry->Flags & PSS_HANDLE_HAVE_NAME &&
	    native->Kind != PSSX_HANDLE_KIND_SECTION)
		assert_text(entry->ObjectName, entry->ObjectNameLength, link);
	// Objects without a file share one inode, which says nothing of them.
	if (strncmp(link, "anon_inode:", 11)) {
		assert_int_equal(stat(path, &st), 0);
		if (!(native->Flags & PSSX_HANDLE_HAS_INODE))
			harness_fail("descriptor %d, %s, has no inode", fd, link);
		assert_int_equal(native->Inode, st.st_ino);
		assert_int_equal(native->Mode, st.st_mode);
		assert_int_equal(native->DeviceMajor, major(st.st_dev));
		assert_int_equal(native->DeviceMinor, minor(st.st_dev));
	}
	assert_success(PssxQueryHandleInfo(snapshot, index, info, &length));
	info[length] = '\0';
	assert_string_equal(info, expected);
	assert_int_equal(native->OpenFlags & ~(unsigned)O_CLOEXEC,
			 strtoul(strstr(expected, "flags:") + 6, NULL, 8) & ~(unsigned)O_CLOEXEC);
	assert_int_equal(!!(native->Flags & PSSX_HANDLE_CLOSE_ON_EXEC),
			 !!(strtoul(strstr(expected, "flags:") + 6, NULL, 8) & O_CLOEXEC));
	free(expected);
}

static int by_number(const void *left, const void *right)
{
	return *(const int *)left - *(const int *)right;
}

static size_t list_fds(int *fds, size_t room)
{
	char path[64];
	struct dirent *entry;
	size_t count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", target->pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)) && count < room)
		if (entry->d_name[0] != '.')
			fds[count++] = atoi(entry->d_name);
	closedir(dir);
	qsort(fds, count, sizeof(*fds), by_number);
	return count;
}

static void handles_are_those_of_fd(void **state)
{
	static int fds[2 * DESCRIPTORS];
	size_t expected = list_fds(fds, 2 * DESCRIPTORS);
	PSSX_HANDLE native = { .Size = sizeof(native) };
	PSS_HANDLE_INFORMATION information;
	PSS_HANDLE_ENTRY entry;

	(void)state;
	assert_true(expected >= DESCRIPTORS);
	for (size_t i = 0; i < expected; i++) {
		assert_success(next(PSS_WALK_HANDLES, &entry, sizeof(entry)));
		assert_success(PssxQueryHandle(snapshot, (DWORD)i, &native));
		assert_int_equal((intptr_t)entry.Handle, fds[i]);
		assert_int_equal(native.Descriptor, fds[i]);
		assert_handle(&entry, &native, (DWORD)i);
	}
	assert_int_equal(next(PSS_WALK_HANDLES, &entry, sizeof(entry)), ERROR_NO_MORE_ITEMS);
	assert_success(PssQuerySnapshot(snapshot, PSS_QUERY_HANDLE_INFORMATION, &information,
					sizeof(information)));
	assert_int_equal(information.HandlesCaptured, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(regions_are_those_of_maps),
		cmocka_unit_test(threads_are_those_of_task),
		cmocka_unit_test(handles_are_those_of_fd),
	};

	harness_begin("test_agreement");
	return cmocka_run_group_tests(tests, stop_and_capture, go_on);
}
