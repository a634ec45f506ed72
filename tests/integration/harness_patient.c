// SPDX-License-Identifier: LGPL-2.1-or-later
// Records of a patient and their comparison; see harness_patient.h. Each line begins with what it
// is about, so that a difference can be judged by its first word.
#include "harness_patient.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../targets/counters.h"
#include "harness.h"

enum { BLOCK = 64 << 10 };

// A thread that computes beats all the time. Held longer than this, it was not let go in time, on
// however busy a machine.
#define STALL_LIMIT_NS 60000000000ull

void text_add(struct text *text, const char *format, ...)
{
	static const size_t more = 8192;
	va_list arguments;
	int length;

	if (text->room - text->size < more) {
		text->room = text->room * 2 + 2 * more;
		text->bytes = realloc(text->bytes, text->room);
		text->bytes[text->size] = '\0';
	}
	va_start(arguments, format);
	length = vsnprintf(text->bytes + text->size, more, format, arguments);
	va_end(arguments);
	text->size += (size_t)length < more ? (size_t)length : more - 1;
}

void text_clear(struct text *text)
{
	text->size = 0;
	text_add(text, "%s", "");
}

void text_deinit(struct text *text)
{
	free(text->bytes);
	*text = (struct text){ 0 };
}

static int by_number(const void *left, const void *right)
{
	const long *a = left, *b = right;

	return (*a > *b) - (*a < *b);
}

// The entries of a folder that are numbers, sorted; to be freed.
long *harness_list_numbers(const char *path, size_t *count_ret)
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

// Lines of a status file that must not change, under the name each has in a record.
static const char *const kept[][2] = {
	{ "State", "state" },       { "TracerPid", "tracer" }, { "SigPnd", "pending" },
	{ "ShdPnd", "pending" },    { "SigBlk", "mask" },      { "SigIgn", "handlers" },
	{ "SigCgt", "handlers" },   { "Seccomp", "seccomp" },  { "Uid", "user" },
	{ "CapEff", "privileges" }, { "Name", "name" },
};

static void add_status_line(struct text *text, long tid, const char *line, bool with_state)
{
	for (size_t i = with_state ? 0 : 1; i < sizeof(kept) / sizeof(kept[0]); i++) {
		size_t length = strlen(kept[i][0]);

		if (strncmp(line, kept[i][0], length) || line[length] != ':')
			continue;
		// A thread that computes is now on a CPU, now waiting for memory.
		if (i == 0 && (strchr(line, 'R') || strchr(line, 'D')))
			continue;
		text_add(text, "%s of %ld: %s\n", kept[i][1], tid, line);
	}
}

void patient_add_status(struct text *text, pid_t pid, long tid, bool with_state)
{
	char path[64], *status, *line, *rest;

	snprintf(path, sizeof(path), "/proc/%d/task/%ld/status", pid, tid);
	status = rest = harness_read_file(path);
	while (status && (line = strsep(&rest, "\n")))
		add_status_line(text, tid, line, with_state);
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
		text_add(text, "call of %ld: sleeps%s", tid, arguments);
	else if (isdigit((unsigned char)call[0]))
		text_add(text, "call of %ld: %s", tid, call);
	free(call);
}

static void add_threads(struct text *text, pid_t pid, enum patient_depth depth)
{
	char path[64];
	size_t count;
	long *tids;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tids = harness_list_numbers(path, &count);
	// Before anything is asked that shows where a thread is: it is stopped for this.
	if (depth == PATIENT_DEEPLY)
		patient_add_registers(text, pid, tids, count);
	for (size_t i = 0; i < count; i++) {
		patient_add_status(text, pid, tids[i], true);
		add_syscall(text, pid, tids[i]);
	}
	free(tids);
}

// A readable, executable, unwritable mapping.
static void add_text_sum(struct text *text, int mem_fd, const char *line)
{
	static uint64_t block[BLOCK / 8];
	uint64_t sum = 0xcbf29ce484222325u;
	unsigned long start, end;
	char mode[5];

	if (sscanf(line, "%lx-%lx %4s", &start, &end, mode) != 3 || strncmp(mode, "r-x", 3))
		return;
	for (unsigned long at = start; at < end;) {
		size_t size = end - at < BLOCK ? end - at : BLOCK;
		ssize_t got = pread(mem_fd, block, size, (off_t)at);

		for (ssize_t i = 0; i < got / 8; i++)
			sum = (sum ^ block[i]) * 0x100000001b3u ^ sum >> 29;
		at += got > 0 ? (size_t)got : 4096;
	}
	text_add(text, "text at %lx: %016llx\n", start, (unsigned long long)sum);
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
		if (!line[0])
			continue;
		text_add(text, "map %s\n", line);
		if (mem_fd >= 0)
			add_text_sum(text, mem_fd, line);
	}
	free(maps);
	if (mem_fd >= 0)
		close(mem_fd);
}

// Position, flags, mount and inode; and the locks held through it, of all kinds. Standard files are
// shared with the test, and so is their position.
static void add_fdinfo(struct text *text, const char *path, bool is_standard)
{
	char *info = harness_read_file(path), *rest = info, *line;

	while (info && (line = strsep(&rest, "\n")))
		if ((!strncmp(line, "pos:", 4) && !is_standard) || !strncmp(line, "flags:", 6) ||
		    !strncmp(line, "mnt_id:", 7) || !strncmp(line, "ino:", 4) ||
		    !strncmp(line, "lock:", 5))
			text_add(text, " %s", line);
	text_add(text, "\n");
	free(info);
}

static void add_descriptors(struct text *text, pid_t pid, long tid)
{
	char path[96], link[4096];
	size_t count;
	long *fds;

	snprintf(path, sizeof(path), "/proc/%d/task/%ld/fd", pid, tid);
	fds = harness_list_numbers(path, &count);
	for (size_t i = 0; i < count; i++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%d/task/%ld/fd/%ld", pid, tid, fds[i]);
		length = readlink(path, link, sizeof(link) - 1);
		link[length > 0 ? length : 0] = '\0';
		text_add(text, "fd %ld %.3000s", fds[i], link);
		snprintf(path, sizeof(path), "/proc/%d/task/%ld/fdinfo/%ld", pid, tid, fds[i]);
		add_fdinfo(text, path, fds[i] <= STDERR_FILENO);
	}
	free(fds);
}

// Zombies are told from the living: their names are the same.
void patient_add_children(struct text *text, pid_t pid)
{
	pid_t children[64];
	size_t count = patient_children(pid, children, 64);

	for (size_t i = 0; i < count && i < 64; i++) {
		char path[64], *stat, *end;

		snprintf(path, sizeof(path), "/proc/%d/stat", children[i]);
		stat = harness_read_file(path);
		end = stat ? strrchr(stat, ')') : NULL;
		if (end && strchr("ZX", end[2]))
			text_add(text, "child %d is a zombie\n", children[i]);
		else if (end)
			text_add(text, "child %d %.*s\n", children[i],
				 (int)(end + 1 - strchr(stat, '(')), strchr(stat, '('));
		free(stat);
	}
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
			text_add(text, "lock %s\n", lock);
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

static bool read_counters(const struct patient *patient, struct target_counters *ret)
{
	char path[64];
	ssize_t got;
	int fd;

	if (!patient->counters_at)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task/%ld/mem", patient->pid,
		 living_thread(patient->pid));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = pread(fd, ret, sizeof(*ret), (off_t)patient->counters_at);
	close(fd);
	return got == sizeof(*ret);
}

// What the specimen itself has counted. A signal sent has to have come, work handed over to have
// been done: at the instant of a look either may be on its way, so this too is looked for again.
static void add_counters(struct text *text, const struct patient *patient)
{
	static struct target_counters now;

	if (!read_counters(patient, &now))
		return;
	text_add(text, "counter eintr: %llu\n", (unsigned long long)now.eintr);
	for (int i = 0; i < TARGET_CALLS; i++)
		if (now.eintr_of[i])
			text_add(text, "counter eintr of call %d: %llu\n", i,
				 (unsigned long long)now.eintr_of[i]);
	text_add(text, "counter sigchld: %llu\n", (unsigned long long)now.sigchld);
	text_add(text, "counter strange waits: %llu\n", (unsigned long long)now.waits);
	text_add(text, "counter wrong: %llu\n", (unsigned long long)now.wrong);
	text_add(text, "counter work lost: %llu\n", (unsigned long long)now.lost);
	text_add(text, "counter work repeated: %llu\n", (unsigned long long)now.repeated);
	if (now.sent < now.received)
		text_add(text, "counter signals too many: %llu\n",
			 (unsigned long long)(now.received - now.sent));
	if (now.sent > now.received)
		text_add(text, "counter signals missing: %llu\n",
			 (unsigned long long)(now.sent - now.received));
	if (now.stall_ns > STALL_LIMIT_NS)
		text_add(text, "counter longest stall: %llu ms\n",
			 (unsigned long long)now.stall_ns / 1000000);
}

uint64_t patient_longest_stall(const struct patient *patient)
{
	static struct target_counters now;

	return read_counters(patient, &now) ? now.stall_ns : 0;
}

static void describe(const struct patient *patient, struct text *ret)
{
	long tid = living_thread(patient->pid);

	text_clear(ret);
	add_threads(ret, patient->pid, patient->depth);
	add_memory(ret, patient->pid, tid);
	add_descriptors(ret, patient->pid, tid);
	patient_add_children(ret, patient->pid);
	add_locks(ret, patient->pid);
	add_counters(ret, patient);
}

// At the moment of the look a signal may have been on its way: that is no property of the patient.
static void forget_under_way(struct text *text)
{
	char *line = strstr(text->bytes, "counter signals missing");

	if (line) {
		char *next = strchr(line, '\n') + 1;

		memmove(line, next, strlen(next) + 1);
		text->size = strlen(text->bytes);
	}
}

struct patient *patient_look(pid_t pid, uint64_t counters_at, enum patient_depth depth)
{
	struct patient *patient = calloc(1, sizeof(*patient));

	patient->pid = pid;
	patient->counters_at = counters_at;
	patient->depth = depth;
	describe(patient, &patient->text);
	forget_under_way(&patient->text);
	return patient;
}

static int by_text(const void *left, const void *right)
{
	return strcmp(*(char *const *)left, *(char *const *)right);
}

// Cuts a copy into lines and sorts them.
static char **sort_lines(char *copy, size_t *count_ret)
{
	size_t count = 0, room = 256;
	char **lines = calloc(room, sizeof(*lines)), *line;

	while ((line = strsep(&copy, "\n"))) {
		if (!line[0])
			continue;
		if (count == room)
			lines = realloc(lines, (room *= 2) * sizeof(*lines));
		lines[count++] = line;
	}
	qsort(lines, count, sizeof(*lines), by_text);
	*count_ret = count;
	return lines;
}

static void add_difference(struct text *ret, const struct patient_pardon *pardon, char sign,
			   const char *line)
{
	if (!pardon || !pardon->is_pardoned(pardon->context, sign, line))
		text_add(ret, "%c %s\n", sign, line);
}

void text_compare(const struct text *before, const struct text *after,
		  const struct patient_pardon *pardon, struct text *ret)
{
	char *copies[2] = { strdup(before->bytes), strdup(after->bytes) };
	size_t counts[2], i = 0, j = 0;
	char **old = sort_lines(copies[0], &counts[0]);
	char **new = sort_lines(copies[1], &counts[1]);

	while (i < counts[0] || j < counts[1]) {
		int order = i == counts[0] ? 1 : j == counts[1] ? -1 : strcmp(old[i], new[j]);

		if (order < 0)
			add_difference(ret, pardon, '-', old[i]);
		else if (order > 0)
			add_difference(ret, pardon, '+', new[j]);
		i += order <= 0;
		j += order >= 0;
	}
	free(old);
	free(new);
	free(copies[0]);
	free(copies[1]);
}

bool patient_compare(const struct patient *before, unsigned patience_ms,
		     const struct patient_pardon *pardon, struct text *ret)
{
	uint64_t since = harness_now_ns();
	struct text now = { 0 };

	for (;;) {
		describe(before, &now);
		text_clear(ret);
		if (strcmp(now.bytes, before->text.bytes))
			text_compare(&before->text, &now, pardon, ret);
		if (ret->size == 0 || harness_is_past(since, patience_ms))
			break;
		harness_breathe();
	}
	text_deinit(&now);
	return ret->size == 0;
}
