// SPDX-License-Identifier: LGPL-2.1-or-later
// Finds a process by PID or by name in /proc. Everything else about it comes from the library.
#include "target.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "message.h"
#include "text.h"

enum { LISTED_MAX = 20, COMMAND_WIDTH = 60, NAME_ROOM = 64 };

// What the library calls the clones that hold snapshots; they share their original's executable.
static const char clone_name[] = "procsnap-clone";

// Processes that match, as far as they are listed.
struct matches {
	size_t count;
	int pids[LISTED_MAX];
};

// The beginning of /proc/PID/@file, terminated. Its length; 0 if it cannot be read.
static size_t read_file(int pid, const char *file, char *buffer, size_t room)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, buffer, room - 1);

	if (fd >= 0)
		(void)close(fd);
	if (length < 0)
		length = 0;
	buffer[length] = '\0';
	return (size_t)length;
}

static void read_comm(int pid, char *buffer, size_t room)
{
	size_t length = read_file(pid, "comm", buffer, room);

	// A newline may be part of the name; the last one is not.
	if (length > 0 && buffer[length - 1] == '\n')
		buffer[length - 1] = '\0';
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool has_executable(int pid, const char *name)
{
	static const char deleted[] = " (deleted)";
	char link[64], path[PATH_MAX];

	(void)snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	ssize_t length = readlink(link, path, sizeof(path) - 1);

	if (length <= 0)
		return false;
	path[length] = '\0';
	char *end = path + length - (sizeof(deleted) - 1);

	if (end > path && strcmp(end, deleted) == 0)
		*end = '\0';
	return strcmp(last_part(path), name) == 0;
}

static bool is_called(int pid, const char *name)
{
	char buffer[PATH_MAX];

	read_comm(pid, buffer, sizeof(buffer));
	if (strcmp(buffer, name) == 0)
		return true;
	if (strcmp(buffer, clone_name) == 0)
		return false;
	if (has_executable(pid, name))
		return true;
	// Arguments are separated by terminators, so this is argv[0].
	return read_file(pid, "cmdline", buffer, sizeof(buffer)) > 0 &&
	       strcmp(last_part(buffer), name) == 0;
}

static int find_matches(const char *name, struct matches *ret)
{
	DIR *proc = opendir("/proc");

	if (!proc)
		return pss_message_fail("cannot read /proc: %s", strerror(errno));
	const struct dirent *entry;

	*ret = (struct matches){ .count = 0 };
	while ((entry = readdir(proc)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		int pid = (int)strtol(entry->d_name, NULL, 10);

		if (pid == getpid() || !is_called(pid, name))
			continue;
		if (ret->count < LISTED_MAX)
			ret->pids[ret->count] = pid;
		ret->count++;
	}
	(void)closedir(proc);
	return PSS_STATUS_DONE;
}

// A process whose name holds @part, at the beginning if there is such a one. Its PID, or 0.
static int find_similar(const char *part, char name_ret[NAME_ROOM])
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	bool is_beginning = false;
	int found = 0;

	while (proc && !is_beginning && (entry = readdir(proc)) != NULL) {
		int pid = (int)strtol(entry->d_name, NULL, 10);
		char name[NAME_ROOM] = "";

		if (pid > 0 && pid != getpid())
			read_comm(pid, name, sizeof(name));
		const char *place = strstr(name, part);

		if (!place || strcmp(name, clone_name) == 0 || (found > 0 && place != name))
			continue;
		is_beginning = place == name;
		memcpy(name_ret, name, sizeof(name));
		found = pid;
	}
	if (proc)
		(void)closedir(proc);
	return found;
}

static int refuse_unknown(const char *name)
{
	char similar[NAME_ROOM];
	int pid = find_similar(name, similar);

	if (pid > 0)
		return pss_message_fail("no process is called '%s'; '%s' runs, PID %d", name,
					similar, pid);
	return pss_message_fail("no process is called '%s'; 'ps -e' lists what runs", name);
}

static void list_process(int pid)
{
	char command[PATH_MAX];
	size_t length = read_file(pid, "cmdline", command, sizeof(command));

	for (size_t i = 0; i + 1 < length; i++)
		if (command[i] == '\0')
			command[i] = ' ';
	// Programs that set their title fill what is left of the old one with blanks.
	for (length = strlen(command); length > 0 && command[length - 1] == ' ';)
		command[--length] = '\0';
	if (length == 0)
		read_comm(pid, command, sizeof(command));
	_cleanup_text_ char *safe = pss_text_escape(command);

	(void)fprintf(stderr, "%9d  %.*s%s\n", pid, COMMAND_WIDTH, safe,
		      strlen(safe) > COMMAND_WIDTH ? "..." : "");
}

static int refuse_several(const char *name, const struct matches *matches)
{
	int status = pss_message_usage(
		"%zu processes are called '%s'; give the PID of one:", matches->count, name);

	for (size_t i = 0; i < matches->count && i < LISTED_MAX; i++)
		list_process(matches->pids[i]);
	if (matches->count > LISTED_MAX)
		(void)fprintf(stderr, "%9s  and %zu more\n", "", matches->count - LISTED_MAX);
	return status;
}

static int open_pid(int pid, struct pss_target *ret)
{
	if (pid == getpid())
		return pss_message_usage("%d is procsnap itself; give the PID of another process",
					 pid);
	struct pss_target target = {
		.process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)pid),
		.pid = pid,
	};

	if (!target.process)
		return pss_message_library(NULL);
	read_comm(pid, target.name, sizeof(target.name));
	*ret = target;
	return PSS_STATUS_DONE;
}

static int open_name(const char *name, struct pss_target *ret)
{
	struct matches matches = { .count = 0 };
	int status = find_matches(name, &matches);

	if (status != PSS_STATUS_DONE)
		return status;
	if (matches.count == 0)
		return refuse_unknown(name);
	if (matches.count > 1)
		return refuse_several(name, &matches);

	struct pss_target target = PSS_TARGET_EMPTY;

	status = open_pid(matches.pids[0], &target);
	if (status != PSS_STATUS_DONE)
		return status;
	// Between the look and the opening the PID may have gone to another process.
	if (!is_called(target.pid, name)) {
		pss_target_close(&target);
		return pss_message_fail("process %d, called '%s', has ended", matches.pids[0],
					name);
	}
	*ret = target;
	return PSS_STATUS_DONE;
}

int pss_target_open(const char *text, struct pss_target *ret)
{
	if (*text == '\0')
		return pss_message_usage("an empty name means no process");
	if (text[strspn(text, "0123456789")] != '\0')
		return open_name(text, ret);

	errno = 0;
	long long pid = strtoll(text, NULL, 10);

	if (errno != 0 || pid == 0 || pid > INT_MAX)
		return pss_message_usage("%s is no PID", text);
	return open_pid((int)pid, ret);
}

void pss_target_close(struct pss_target *target)
{
	if (target->process)
		(void)CloseHandle(target->process);
	*target = PSS_TARGET_EMPTY;
}
