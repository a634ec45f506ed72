// SPDX-License-Identifier: LGPL-2.1-or-later
// What the product's calls are compared with: the same reads, made by hand.
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "capturer.h"

enum { PIECE = 1 << 20 };

uint64_t references_read(int pid, uint64_t address, uint64_t size)
{
	static char piece[PIECE];
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%d/mem", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	memset(piece, 1, sizeof piece);
	if (fd < 0)
		capturer_die(path);
	uint64_t start = capturer_now();

	for (uint64_t at = address; at < address + size; at += PIECE)
		if (pread(fd, piece, PIECE, (off_t)at) != PIECE)
			capturer_die(path);
	uint64_t end = capturer_now();

	close(fd);
	return end - start;
}

static void read_away(int folder, const char *name)
{
	static char text[65536];
	int fd = openat(folder, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		capturer_die(name);
	while (read(fd, text, sizeof text) > 0)
		;
	close(fd);
}

// Of each thread PSS_CAPTURE_THREADS tells state, priority, times, and where it waits.
static void read_threads(int process)
{
	static const char *const names[] = { "stat", "schedstat", "syscall" };
	int tasks = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *list = tasks < 0 ? NULL : fdopendir(tasks);
	struct dirent *entry;

	if (!list)
		capturer_die("task");
	while ((entry = readdir(list))) {
		for (size_t i = 0; entry->d_name[0] != '.' && i < 3; i++) {
			char path[512];

			(void)snprintf(path, sizeof path, "task/%s/%s", entry->d_name, names[i]);
			read_away(process, path);
		}
	}
	closedir(list);
}

void references_list_threads(const char *pid)
{
	static const char *const names[] = { "stat", "status", "cmdline", "auxv" };
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%s", pid);
	int process = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (process < 0)
		capturer_die(path);
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		read_away(process, names[i]);
	read_threads(process);
	close(process);
}
