// SPDX-License-Identifier: LGPL-2.1-or-later
// Does to a target what is to be measured: the product's calls, and what they are compared with.
// Obeys one command a line from stdin and answers each with one line of JSON:
//
//     capture PID WHAT         captures and frees; WHAT: nothing, threads, handles, clone, memory,
//                              most, all
//     take PID WHAT | free     the same in two steps
//     walk                     walks all lists of the snapshot taken
//     core PATH LEVEL DRAIN    writes its core; LEVEL of zstd, -1: not compressed
//     read ADDRESS SIZE        reads memory of its clone, once
//     proc PID                 reads the files of /proc that a list of threads comes from
//     threads COUNT            starts threads of its own that sleep; PID may be "self"
//
// Or, as capturer run PROGRAM [ARGUMENT...]: runs a program and tells its peak of memory.
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capturer.h"

static HPSS taken;

void capturer_die(const char *what)
{
	fprintf(stderr, "capturer: %s: %s\n", what, strerror(errno));
	exit(1);
}

void capturer_must(DWORD error, const char *what)
{
	if (error == ERROR_SUCCESS)
		return;
	fprintf(stderr, "capturer: %s: %u: %s\n", what, (unsigned)error, PssxErrorText());
	exit(1);
}

uint64_t capturer_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static PSS_CAPTURE_FLAGS flags_of(const char *name)
{
	const PSS_CAPTURE_FLAGS memory = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
					 PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;
	const PSS_CAPTURE_FLAGS most = memory | PSS_CAPTURE_THREAD_CONTEXT_EXTENDED |
				       PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION;
	const PSS_CAPTURE_FLAGS handles =
		PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
		PSS_CAPTURE_HANDLE_BASIC_INFORMATION | PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION;
	const struct {
		const char *name;
		PSS_CAPTURE_FLAGS flags;
	} all[] = {
		{ "nothing", PSS_CAPTURE_NONE },
		{ "threads", PSS_CAPTURE_THREADS },
		{ "handles", handles },
		{ "clone", PSS_CAPTURE_VA_CLONE },
		{ "memory", memory },
		{ "most", most },
		{ "all", most | handles },
	};

	for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
		if (strcmp(all[i].name, name) == 0)
			return all[i].flags | PSS_CREATE_MEASURE_PERFORMANCE;
	errno = EINVAL;
	capturer_die(name);
}

static HANDLE open_process(const char *pid)
{
	if (strcmp(pid, "self") == 0)
		return GetCurrentProcess();
	HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)strtoul(pid, NULL, 10));

	if (!process)
		capturer_must(GetLastError(), "open");
	return process;
}

static uint64_t take(const char *pid, const char *what)
{
	HANDLE process = open_process(pid);
	uint64_t start = capturer_now();

	capturer_must(PssCaptureSnapshot(process, flags_of(what), CONTEXT_ALL, &taken), "capture");
	uint64_t end = capturer_now();

	if (process != GetCurrentProcess())
		CloseHandle(process);
	return end - start;
}

static uint64_t give_back(void)
{
	uint64_t start = capturer_now();

	capturer_must(PssFreeSnapshot(GetCurrentProcess(), taken), "free");
	taken = NULL;
	return capturer_now() - start;
}

// What the product tells of a capture, by cause in units of PSS_PERF_RESOLUTION, microseconds.
static void print_figures(uint64_t capture_ns)
{
	PSSX_FIGURES figures = { .Size = sizeof figures };
	PSS_PERFORMANCE_COUNTERS counters;
	struct stat section;

	capturer_must(PssxQueryFigures(taken, &figures), "figures");
	capturer_must(
		PssQuerySnapshot(taken, PSS_QUERY_PERFORMANCE_COUNTERS, &counters, sizeof counters),
		"counters");
	if (fstat((int)(intptr_t)taken, &section) < 0)
		capturer_die("fstat of the section");
	printf("\"capture_ns\":%llu,\"pause_ns\":%llu,\"hold_ns\":%llu,\"clone_ns\":%llu,"
	       "\"section_bytes\":%lld,\"threads_us\":%llu,\"space_us\":%llu,\"handles_us\":%llu,"
	       "\"va_clone_us\":%llu,\"aux_pages_us\":%llu",
	       (unsigned long long)capture_ns, (unsigned long long)figures.PauseNs,
	       (unsigned long long)figures.HoldNs, (unsigned long long)figures.CloneNs,
	       (long long)section.st_size, (unsigned long long)counters.ThreadsWallClockPeriod,
	       (unsigned long long)counters.VaSpaceWallClockPeriod,
	       (unsigned long long)counters.HandlesWallClockPeriod,
	       (unsigned long long)counters.VaCloneWallClockPeriod,
	       (unsigned long long)counters.AuxPagesWallClockPeriod);
}

static void do_take(char **arguments)
{
	uint64_t capture_ns = take(arguments[0], arguments[1]);

	printf("{");
	print_figures(capture_ns);
	printf("}\n");
}

static void do_free(char **unused)
{
	(void)unused;
	printf("{\"free_ns\":%llu}\n", (unsigned long long)give_back());
}

static void do_capture(char **arguments)
{
	uint64_t capture_ns = take(arguments[0], arguments[1]);

	printf("{");
	print_figures(capture_ns);
	printf(",\"free_ns\":%llu}\n", (unsigned long long)give_back());
}

static size_t walk_all(PSS_WALK_INFORMATION_CLASS class, size_t entry_size)
{
	union {
		PSS_THREAD_ENTRY thread;
		PSS_VA_SPACE_ENTRY region;
		PSS_HANDLE_ENTRY handle;
	} entry;
	HPSSWALK marker;
	size_t count = 0;
	DWORD error;

	capturer_must(PssWalkMarkerCreate(NULL, &marker), "marker");
	while ((error = PssWalkSnapshot(taken, class, marker, &entry, (DWORD)entry_size)) ==
	       ERROR_SUCCESS)
		count++;
	if (error != ERROR_NO_MORE_ITEMS && error != ERROR_NOT_FOUND)
		capturer_must(error, "walk");
	capturer_must(PssWalkMarkerFree(marker), "marker");
	return count;
}

static void do_walk(char **unused)
{
	uint64_t start = capturer_now();
	size_t threads = walk_all(PSS_WALK_THREADS, sizeof(PSS_THREAD_ENTRY));
	size_t regions = walk_all(PSS_WALK_VA_SPACE, sizeof(PSS_VA_SPACE_ENTRY));
	size_t handles = walk_all(PSS_WALK_HANDLES, sizeof(PSS_HANDLE_ENTRY));

	(void)unused;
	printf("{\"walk_ns\":%llu,\"threads\":%zu,\"regions\":%zu,\"handles\":%zu}\n",
	       (unsigned long long)(capturer_now() - start), threads, regions, handles);
}

static void do_core(char **arguments)
{
	int level = atoi(arguments[1]);
	PSSX_CORE_OPTIONS options = {
		.Size = sizeof options,
		.Compress = level >= 0,
		.Level = level >= 0 ? level : 0,
		.Flags = strcmp(arguments[2], "drain") == 0 ? PSSX_CORE_DRAIN : 0,
	};
	PSSX_CORE_RESULT result = { .Size = sizeof result };
	int fd = open(arguments[0], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct stat status;

	if (fd < 0)
		capturer_die(arguments[0]);
	uint64_t start = capturer_now();

	capturer_must(PssxWriteElfCore(taken, fd, &options, &result), "core");
	uint64_t end = capturer_now();

	if (fstat(fd, &status) < 0 || close(fd) < 0)
		capturer_die(arguments[0]);
	printf("{\"write_ns\":%llu,\"memory_bytes\":%llu,\"output_bytes\":%llu,\"disk_bytes\":%llu}"
	       "\n",
	       (unsigned long long)(end - start), (unsigned long long)result.MemoryBytes,
	       (unsigned long long)result.OutputBytes, (unsigned long long)status.st_blocks * 512);
}

static void do_read(char **arguments)
{
	uint64_t address = strtoull(arguments[0], NULL, 0), size = strtoull(arguments[1], NULL, 0);
	PSSX_PROCESS process = { .Size = sizeof process };

	capturer_must(PssxQueryProcess(taken, &process), "process");
	printf("{\"read_ns\":%llu}\n",
	       (unsigned long long)references_read(process.ClonePid, address, size));
}

static void do_proc(char **arguments)
{
	uint64_t start = capturer_now();

	references_list_threads(arguments[0]);
	printf("{\"read_ns\":%llu}\n", (unsigned long long)(capturer_now() - start));
}

static void *sleep_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void do_threads(char **arguments)
{
	for (int i = atoi(arguments[0]); i > 0; i--) {
		pthread_t thread;

		errno = pthread_create(&thread, NULL, sleep_for_ever, NULL);
		if (errno)
			capturer_die("pthread_create");
	}
	printf("{}\n");
}

static void obey(char *line)
{
	static const struct {
		const char *name;
		unsigned arguments;
		void (*work)(char **arguments);
	} commands[] = {
		{ "capture", 2, do_capture }, { "take", 2, do_take },       { "free", 0, do_free },
		{ "walk", 0, do_walk },       { "core", 3, do_core },       { "read", 2, do_read },
		{ "proc", 1, do_proc },       { "threads", 1, do_threads },
	};
	enum { WORDS = 5 };
	char *words[WORDS] = { NULL };
	unsigned count = 0;

	for (char *word = strtok(line, " \n"); word && count < WORDS; word = strtok(NULL, " \n"))
		words[count++] = word;
	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (count == commands[i].arguments + 1 && strcmp(commands[i].name, words[0]) == 0) {
			commands[i].work(words + 1);
			fflush(stdout);
			return;
		}
	errno = EINVAL;
	capturer_die(count ? words[0] : "an empty line");
}

// Not by the driver: what a program's peak is, the kernel first takes over from who executed it.
static int run(char **arguments)
{
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		int nowhere = open("/dev/null", O_WRONLY);

		dup2(nowhere, STDOUT_FILENO);
		dup2(nowhere, STDERR_FILENO);
		execvp(arguments[0], arguments);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
		capturer_die(arguments[0]);
	printf("{\"status\":%d,\"peak_bytes\":%ld}\n", WEXITSTATUS(status), usage.ru_maxrss * 1024);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	char line[8192];

	if (argc > 2 && strcmp(argv[1], "run") == 0)
		return run(argv + 2);
	if (argc != 1)
		return 2;
	while (fgets(line, sizeof line, stdin))
		obey(line);
	_exit(0);
}
