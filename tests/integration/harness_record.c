// SPDX-License-Identifier: LGPL-2.1-or-later
// Records of a patient and of the host: texts made from /proc, one line an item, so that a
// difference can be shown as it is. Reading them disturbs nobody.
#include "harness.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { RECORD_PATIENCE_MS = 5000 };

// A growing text.
struct text {
	char *bytes;
	size_t size;
};

struct patient {
	pid_t pid;
	struct text text;
};

struct host {
	struct text text;
};

static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
	char line[8192];
	va_list arguments;
	size_t length;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	length = strlen(line);
	text->bytes = realloc(text->bytes, text->size + length + 1);
	memcpy(text->bytes + text->size, line, length + 1);
	text->size += length;
}

static int by_number(const void *left, const void *right)
{
	const long *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

// The entries of a folder that are numbers, sorted; to be freed.
static long *list_numbers(const char *path, size_t *count_ret)
{
	DIR *folder = opendir(path);
	size_t count = 0, room = 64;
	long *numbers = calloc(room, sizeof(*numbers));
	struct dirent *entry;

	while (folder && (entry = readdir(folder))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		if (count == room)
			numbers = realloc(numbers, (room *= 2) * sizeof(*numbers));
		numbers[count++] = strtol(entry->d_name, NULL, 10);
	}
	if (folder)
		closedir(folder);
	qsort(numbers, count, sizeof(*numbers), by_number);
	*count_ret = count;
	return numbers;
}

// Lines of a status file that must not change. The state letter comes first: @first is 1 without
// it.
static void add_status(struct text *text, pid_t pid, long tid, size_t first)
{
	static const char *const keys[] = { "State",  "TracerPid", "SigPnd",  "ShdPnd", "SigBlk",
					    "SigIgn", "SigCgt",    "Seccomp", "Uid",    "Name" };
	char path[64], *status, *line, *rest;

	snprintf(path, sizeof(path), "/proc/%d/task/%ld/status", pid, tid);
	status = rest = harness_read_file(path);
	while (status && (line = strsep(&rest, "\n")))
		for (size_t i = first; i < sizeof(keys) / sizeof(keys[0]); i++) {
			size_t length = strlen(keys[i]);

			if (strncmp(line, keys[i], length) || line[length] != ':')
				continue;
			// A thread that computes is now on a CPU, now waiting for memory.
			if (i == 0 && (strchr(line, 'R') || strchr(line, 'D')))
				continue;
			add(text, "thread %ld %s\n", tid, line);
		}
	free(status);
}

// The call a thread is in, with arguments, stack pointer and instruction pointer.
static void add_syscall(struct text *text, pid_t pid, long tid)
{
	char path[64], *call, *arguments;
	long number;

	snprintf(path, sizeof(path), "/proc/%d/task/%ld/syscall", pid, tid);
	call = harness_read_file(path);
	if (!call)
		return;
	number = strtol(call, &arguments, 10);
	// The kernel's own way to go on with a sleep: the same call by another number.
	if (number == SYS_nanosleep || number == SYS_clock_nanosleep || number == SYS_futex ||
#ifdef SYS_poll
	    number == SYS_poll ||
#endif
	    number == SYS_restart_syscall)
		add(text, "thread %ld sleeps%s", tid, arguments);
	else if (isdigit((unsigned char)call[0]))
		add(text, "thread %ld in %s", tid, call);
	free(call);
}

// The threads of a patient sleep where they slept; those of the host run this.
static void add_threads(struct text *text, pid_t pid, bool is_host)
{
	char path[64];
	size_t count;
	long *tids;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tids = list_numbers(path, &count);
	for (size_t i = 0; i < count; i++) {
		add_status(text, pid, tids[i], is_host ? 1 : 0);
		if (!is_host)
			add_syscall(text, pid, tids[i]);
	}
	free(tids);
}

// FNV-1a of a readable, executable, unwritable mapping.
static void add_text_sum(struct text *text, int mem_fd, const char *line)
{
	static uint8_t page[4096];
	uint64_t sum = 0xcbf29ce484222325u;
	unsigned long start, end;
	char mode[5];

	if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) != 3 || strncmp(mode, "r-x", 3))
		return;
	for (unsigned long at = start; at < end; at += sizeof(page)) {
		if (pread(mem_fd, page, sizeof(page), (off_t)at) != sizeof(page))
			continue;
		for (size_t i = 0; i < sizeof(page); i++)
			sum = (sum ^ page[i]) * 0x100000001b3u;
	}
	add(text, "text %lx %016llx\n", start, (unsigned long long)sum);
}

static void add_memory(struct text *text, pid_t pid, long tid)
{
	char path[64], *maps, *line, *rest;
	int mem_fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%ld/mem", pid, tid);
	mem_fd = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/%d/task/%ld/maps", pid, tid);
	maps = rest = harness_read_file(path);
	while (maps && (line = strsep(&rest, "\n"))) {
		add(text, "map %s\n", line);
		if (mem_fd >= 0)
			add_text_sum(text, mem_fd, line);
	}
	free(maps);
	if (mem_fd >= 0)
		close(mem_fd);
}

static void add_descriptors(struct text *text, pid_t pid, long tid)
{
	char path[96], link[4096], *info;
	size_t count;
	long *fds;

	snprintf(path, sizeof(path), "/proc/%d/task/%ld/fd", pid, tid);
	fds = list_numbers(path, &count);
	for (size_t i = 0; i < count; i++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%d/task/%ld/fd/%ld", pid, tid, fds[i]);
		length = readlink(path, link, sizeof(link) - 1);
		link[length > 0 ? length : 0] = '\0';
		snprintf(path, sizeof(path), "/proc/%d/task/%ld/fdinfo/%ld", pid, tid, fds[i]);
		info = harness_read_file(path);
		add(text, "fd %ld %.3000s %.*s\n", fds[i], link,
		    info ? (int)strcspn(strchr(info, '\n') ? strchr(info, '\n') + 1 : "", "\n") : 0,
		    info && strchr(info, '\n') ? strchr(info, '\n') + 1 : "");
		free(info);
	}
	free(fds);
}

static void add_children(struct text *text, pid_t pid)
{
	pid_t children[64];
	size_t count = patient_children(pid, children, 64);

	for (size_t i = 0; i < count && i < 64; i++)
		add(text, "child %d\n", children[i]);
}

// Lines of /proc/locks that name the process; their first number is only a position.
static void add_locks(struct text *text, pid_t pid)
{
	char *locks = harness_read_file("/proc/locks"), *rest = locks, *line;

	while (locks && (line = strsep(&rest, "\n"))) {
		char *lock = strchr(line, ':');
		char owner[32];

		snprintf(owner, sizeof(owner), " %d ", pid);
		if (lock && strstr(lock, owner))
			add(text, "lock%s\n", lock);
	}
	free(locks);
}

// A thread whose /proc files hold memory and descriptors: the leader, unless it is gone.
static long living_thread(pid_t pid)
{
	pid_t tids[2] = { pid, pid };
	char path[64], *maps;
	bool is_empty;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = harness_read_file(path);
	is_empty = !maps || !maps[0];
	free(maps);
	if (is_empty)
		patient_threads(pid, tids, 2);
	return tids[is_empty ? 1 : 0];
}

static struct text describe_patient(pid_t pid)
{
	struct text text = { 0 };
	long tid = living_thread(pid);

	add_threads(&text, pid, false);
	add_memory(&text, pid, tid);
	add_descriptors(&text, pid, tid);
	add_children(&text, pid);
	add_locks(&text, pid);
	return text;
}

struct patient *patient_record(pid_t pid)
{
	struct patient *patient = calloc(1, sizeof(*patient));

	patient->pid = pid;
	patient->text = describe_patient(pid);
	return patient;
}

void patient_free(struct patient *patient)
{
	if (!patient)
		return;
	free(patient->text.bytes);
	free(patient);
}

// Says which lines of one text the other lacks.
static void print_missing(const char *sign, const struct text *from, const struct text *in)
{
	char *copy = strdup(from->bytes), *rest = copy, *line;

	while ((line = strsep(&rest, "\n")))
		if (line[0] && !strstr(in->bytes, line))
			print_error("%s %s\n", sign, line);
	free(copy);
}

void patient_assert_same(const struct patient *before)
{
	uint64_t since = harness_now_ns();

	for (;;) {
		struct text now = describe_patient(before->pid);

		if (now.bytes && !strcmp(now.bytes, before->text.bytes)) {
			free(now.bytes);
			return;
		}
		if (harness_is_past(since, RECORD_PATIENCE_MS)) {
			print_error("process %d is not as it was (- before, + after):\n",
				    before->pid);
			print_missing("-", &before->text, &now);
			print_missing("+", &now, &before->text);
			free(now.bytes);
			fail();
		}
		free(now.bytes);
		harness_breathe();
	}
}

size_t patient_threads(pid_t pid, pid_t *tids, size_t room)
{
	char path[64];
	size_t count;
	long *numbers;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	numbers = list_numbers(path, &count);
	for (size_t i = 0; i < count && i < room; i++)
		tids[i] = (pid_t)numbers[i];
	free(numbers);
	return count;
}

size_t patient_children(pid_t pid, pid_t *children, size_t room)
{
	char path[64];
	size_t count, found = 0;
	long *tids;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tids = list_numbers(path, &count);
	for (size_t i = 0; i < count; i++) {
		char *text, *rest;

		snprintf(path, sizeof(path), "/proc/%d/task/%ld/children", pid, tids[i]);
		text = rest = harness_read_file(path);
		while (text && rest[strspn(rest, " ")]) {
			pid_t child = (pid_t)strtol(rest, &rest, 10);

			if (found < room)
				children[found] = child;
			found++;
		}
		free(text);
	}
	free(tids);
	return found;
}

bool patient_is_traced(pid_t pid)
{
	pid_t tids[256];
	size_t count = patient_threads(pid, tids, 256);

	for (size_t i = 0; i < count && i < 256; i++) {
		char path[64], *status, *line;
		bool traced;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tids[i]);
		status = harness_read_file(path);
		line = status ? strstr(status, "\nTracerPid:") : NULL;
		traced = line && strtol(line + 11, NULL, 10) != 0;
		free(status);
		if (traced)
			return true;
	}
	return false;
}

size_t harness_count_fds(pid_t pid)
{
	char path[64];
	size_t count;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	free(list_numbers(path, &count));
	// The folder itself is open while it is listed.
	return pid == getpid() ? count - 1 : count;
}

size_t harness_count_maps(pid_t pid)
{
	char path[64], *maps;
	size_t count = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = harness_read_file(path);
	for (const char *at = maps; at && (at = strchr(at, '\n')); at++)
		count++;
	free(maps);
	return count;
}

// What strace would show of a library that takes liberties: descriptors, threads, children,
// signals.
static struct text describe_host(void)
{
	struct text text = { 0 };
	char path[4096];
	mode_t mask = umask(0);

	umask(mask);
	add(&text, "descriptors %zu\n", harness_count_fds(getpid()));
	add(&text, "directory %s\n", getcwd(path, sizeof(path)) ? path : "?");
	add(&text, "umask %o\n", mask);
	add(&text, "last error %u\n", GetLastError());
	for (int i = 1; i < SIGRTMAX; i++) {
		struct sigaction action = { 0 };

		if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
			add(&text, "handler of %d %p\n", i, (void *)(uintptr_t)action.sa_handler);
	}
	add_threads(&text, getpid(), true);
	add_children(&text, getpid());
	return text;
}

struct host *host_record(void)
{
	struct host *host = calloc(1, sizeof(*host));

	host->text = describe_host();
	return host;
}

void host_free(struct host *host)
{
	if (!host)
		return;
	free(host->text.bytes);
	free(host);
}

void host_assert_same(const struct host *before)
{
	struct text now = describe_host();
	bool same = !strcmp(now.bytes, before->text.bytes);

	if (!same) {
		print_error("this process is not as it was (- before, + after):\n");
		print_missing("-", &before->text, &now);
		print_missing("+", &now, &before->text);
	}
	free(now.bytes);
	assert_true(same);
}
