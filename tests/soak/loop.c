// SPDX-License-Identifier: LGPL-2.1-or-later
// Captures a process with every flag and frees the snapshot, again and again: loop PID COUNT
// [moving|server]. In the end nothing may have grown: in this process, in the target, in the
// system. Of a target that is `moving`, memory, mappings and threads are its own affair, of a
// `server` descriptors and children too. Prints one line of JSON; exit status 1 if something has
// grown or a capture failed. With SOAK_SHARED in the environment others use the machine too, and
// what belongs to the system is told, not judged.
#include <dirent.h>
#include <processsnapshot.h>
#include <procsnap.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { RSS_ROOM_KIB = 1024, SLAB_ROOM_KIB = 64 * 1024, FILES_ROOM = 512, TASKS_ROOM = 64 };

static const PSS_CAPTURE_FLAGS every_flag =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
	PSS_CAPTURE_THREAD_CONTEXT_EXTENDED | PSS_CAPTURE_VA_SPACE |
	PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CAPTURE_HANDLES |
	PSS_CAPTURE_HANDLE_NAME_INFORMATION | PSS_CAPTURE_HANDLE_BASIC_INFORMATION |
	PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION | PSS_CREATE_MEASURE_PERFORMANCE;

struct process {
	long rss, fds, maps, children, threads;
};

struct record {
	struct process own, target;
	long slab, files, tasks;
};

// The number behind @key in a file of lines "key: number", or the first number if @key is NULL.
static long read_number(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[4096];
	long number = -1;

	while (file && number < 0 && fgets(line, sizeof(line), file)) {
		if (!key)
			number = strtol(line, NULL, 10);
		else if (!strncmp(line, key, strlen(key)))
			number = strtol(line + strlen(key), NULL, 10);
	}
	if (file)
		fclose(file);
	return number;
}

static long count_entries(const char *path)
{
	DIR *folder = opendir(path);
	long count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

// Lines, or words.
static long count_in(const char *path, char what)
{
	FILE *file = fopen(path, "re");
	long count = 0;
	int c;

	while (file && (c = getc(file)) != EOF)
		count += c == what;
	if (file)
		fclose(file);
	return count;
}

static long count_children(int pid)
{
	char path[300];
	long count = 0;
	struct dirent *entry;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/children", pid, entry->d_name);
		count += count_in(path, ' ');
	}
	if (folder)
		closedir(folder);
	return count;
}

static struct process look_at(int pid)
{
	struct process process;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	process.rss = read_number(path, "VmRSS:");
	process.threads = read_number(path, "Threads:");
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	process.fds = count_entries(path);
	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	process.maps = count_in(path, '\n');
	process.children = count_children(pid);
	return process;
}

static struct record take_record(int pid)
{
	struct record record = { look_at(getpid()), look_at(pid), 0, 0, 0 };
	FILE *file = fopen("/proc/loadavg", "re");

	record.slab = read_number("/proc/meminfo", "Slab:");
	record.files = read_number("/proc/sys/fs/file-nr", NULL);
	if (!file || fscanf(file, "%*f %*f %*f %*d/%ld", &record.tasks) != 1)
		record.tasks = -1;
	if (file)
		fclose(file);
	return record;
}

static bool judge(const char *what, long before, long after, long room)
{
	bool is_well = before >= 0 && after >= 0 && after <= before + room;

	if (!is_well)
		printf("GROWN: %s: %ld, then %ld\n", what, before, after);
	return is_well;
}

static bool compare(const struct record *before, const struct record *after, const char *target)
{
	bool is_well = judge("memory here, KiB", before->own.rss, after->own.rss, RSS_ROOM_KIB);

	is_well &= judge("descriptors here", before->own.fds, after->own.fds, 0);
	is_well &= judge("mappings here", before->own.maps, after->own.maps, 0);
	is_well &= judge("children here", before->own.children, after->own.children, 0);
	if (strcmp(target, "server") != 0) {
		is_well &= judge("descriptors there", before->target.fds, after->target.fds, 0);
		is_well &=
			judge("children there", before->target.children, after->target.children, 0);
	}
	if (!*target) {
		is_well &= judge("memory there, KiB", before->target.rss, after->target.rss,
				 RSS_ROOM_KIB);
		is_well &= judge("mappings there", before->target.maps, after->target.maps, 0);
		is_well &= judge("threads there", before->target.threads, after->target.threads, 0);
	}
	if (getenv("SOAK_SHARED"))
		return is_well;
	is_well &= judge("slab, KiB", before->slab, after->slab, SLAB_ROOM_KIB);
	is_well &= judge("open files", before->files, after->files, FILES_ROOM);
	return is_well & judge("tasks", before->tasks, after->tasks, TASKS_ROOM);
}

static bool capture_and_free(HANDLE process)
{
	HPSS snapshot = NULL;
	DWORD error = PssCaptureSnapshot(process, every_flag, CONTEXT_ALL, &snapshot);

	if (error == ERROR_SUCCESS)
		error = PssFreeSnapshot(GetCurrentProcess(), snapshot);
	if (error != ERROR_SUCCESS)
		printf("FAILED: %u: %s\n", (unsigned)error, PssxErrorText());
	return error == ERROR_SUCCESS;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void print_process(const char *name, const struct process *before,
			  const struct process *after)
{
	printf("\"%s\": {\"rss_kib\": [%ld, %ld], \"fds\": [%ld, %ld], \"maps\": [%ld, %ld], "
	       "\"children\": [%ld, %ld], \"threads\": [%ld, %ld]}, ",
	       name, before->rss, after->rss, before->fds, after->fds, before->maps, after->maps,
	       before->children, after->children, before->threads, after->threads);
}

int main(int argc, char **argv)
{
	int pid = argc > 2 ? atoi(argv[1]) : 0;
	long count = argc > 2 ? atol(argv[2]) : 0;
	const char *target = argc > 3 ? argv[3] : "";
	long warm_up = count < 10 ? 1 : count < 1000 ? count / 10 : 100;
	HANDLE process = pid > 0 ? OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)pid) : NULL;
	long failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!process || count < 1)
		return 2;
	for (long i = 0; i < warm_up; i++)
		failed += !capture_and_free(process);
	struct record before = take_record(pid);
	double start = now();
	for (long i = 0; i < count; i++)
		failed += !capture_and_free(process);
	double seconds = now() - start;
	struct record after = take_record(pid);
	bool is_well = compare(&before, &after, target) && failed == 0;
	printf("{\"captures\": %ld, \"failed\": %ld, \"per_second\": %.1f, ", count, failed,
	       (double)count / seconds);
	print_process("capturer", &before.own, &after.own);
	print_process("target", &before.target, &after.target);
	printf("\"slab_kib\": [%ld, %ld], \"open_files\": [%ld, %ld], \"tasks\": [%ld, %ld], "
	       "\"well\": %s}\n",
	       before.slab, after.slab, before.files, after.files, before.tasks, after.tasks,
	       is_well ? "true" : "false");
	CloseHandle(process);
	return !is_well;
}
