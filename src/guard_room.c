// SPDX-License-Identifier: LGPL-2.1-or-later
// What memory there is for a process: the files of memory control groups of both versions, and
// meminfo. The reading makes no call of the C library: see guard.h. Does not judge.
#include "guard.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "arch_raw.h"
#include "cgroup.h"
#include "procfs_text.h"

enum { TEXT_ROOM = 8192, KIB = 1024, STALLED_PERCENT = 40 };

// What the kernel of version 1 says where there is no limit is a little less than INT64_MAX.
#define NO_LIMIT (UINT64_C(1) << 62)

/** A whole file, or its beginning. */
struct file {
	struct pss_text text;
	char bytes[TEXT_ROOM];
};

static bool read_file(int dir_fd, const char *path, struct file *file)
{
	long size = 0;
	long fd = PSS_ARCH_RAW(SYS_openat, (uint64_t)dir_fd, (uintptr_t)path, O_RDONLY | O_CLOEXEC);

	*file = (struct file){ .text = { file->bytes, 0 } };
	if (fd < 0)
		return false;
	do {
		size = PSS_ARCH_RAW(SYS_read, (uint64_t)fd,
				    (uintptr_t)file->bytes + file->text.size,
				    TEXT_ROOM - file->text.size);
		if (size > 0)
			file->text.size += (size_t)size;
	} while (size > 0 && file->text.size < TEXT_ROOM);
	(void)PSS_ARCH_RAW(SYS_close, (uint64_t)fd);
	return size >= 0;
}

// The number after @key at the beginning of a line.
static bool find_number(struct pss_text text, const char *key, uint64_t *ret)
{
	struct pss_text line;

	while (text_take_line(&text, &line)) {
		if (!text_take_prefix(&line, key))
			continue;
		text_skip_blanks(&line);
		return text_take_number(&line, 10, ret);
	}
	return false;
}

// A file that is a number; "max" is none.
static bool read_number(int dir_fd, const char *path, uint64_t *ret)
{
	struct file file;

	return read_file(dir_fd, path, &file) && text_take_number(&file.text, 10, ret);
}

static uint64_t less(uint64_t from, uint64_t what)
{
	return from > what ? from - what : 0;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

// Memory that holds files gives way.
static uint64_t read_files(const struct pss_guard_place *place)
{
	struct file file;
	uint64_t inactive = 0, active = 0;
	bool is_new = place->is_version_2;

	if (!read_file(place->dir_fd, "memory.stat", &file))
		return 0;
	(void)find_number(file.text, is_new ? "inactive_file " : "total_inactive_file ", &inactive);
	(void)find_number(file.text, is_new ? "active_file " : "total_active_file ", &active);
	return inactive + active;
}

static uint64_t read_free_swap(const struct pss_guard_place *place)
{
	struct file file;
	uint64_t kib = 0;

	if (read_file(place->root_fd, "meminfo", &file))
		(void)find_number(file.text, "SwapFree:", &kib);
	return kib * KIB;
}

// What may be swapped out of the group still.
static uint64_t read_swap_2(const struct pss_guard_place *place)
{
	uint64_t available = read_free_swap(place);
	uint64_t limit, used;

	if (available && read_number(place->dir_fd, "memory.swap.max", &limit) &&
	    read_number(place->dir_fd, "memory.swap.current", &used))
		return smaller(available, less(limit, used));
	return available;
}

// Above memory.high processes are made to wait: a limit too, unless they wait anyway.
static bool look_at_version_2(const struct pss_guard_place *place, struct pss_guard_room *ret)
{
	uint64_t used, high, limit = UINT64_MAX;

	if (!read_number(place->dir_fd, "memory.current", &used))
		return false;
	(void)read_number(place->dir_fd, "memory.max", &limit);
	if (!place->is_above_high && read_number(place->dir_fd, "memory.high", &high))
		limit = smaller(limit, high);
	if (limit >= NO_LIMIT)
		return false;
	ret->limit = limit;
	ret->room = less(limit, less(used, read_files(place))) + read_swap_2(place);
	return true;
}

// Two limits: of memory, and of memory and swap together.
static bool look_at_version_1(const struct pss_guard_place *place, struct pss_guard_room *ret)
{
	uint64_t used, limit, both_used, both_limit;

	if (!read_number(place->dir_fd, "memory.limit_in_bytes", &limit) || limit >= NO_LIMIT ||
	    !read_number(place->dir_fd, "memory.usage_in_bytes", &used))
		return false;
	uint64_t files = read_files(place);
	uint64_t room = less(limit, less(used, files)) + read_free_swap(place);
	if (read_number(place->dir_fd, "memory.memsw.limit_in_bytes", &both_limit) &&
	    both_limit < NO_LIMIT &&
	    read_number(place->dir_fd, "memory.memsw.usage_in_bytes", &both_used))
		room = smaller(room, less(both_limit, less(both_used, files)));
	ret->limit = limit;
	ret->room = room;
	return true;
}

static bool look_at_machine(const struct pss_guard_place *place, struct pss_guard_room *ret)
{
	struct file file;
	uint64_t total, available, swap = 0;

	if (!read_file(place->root_fd, "meminfo", &file) ||
	    !find_number(file.text, "MemTotal:", &total) ||
	    !find_number(file.text, "MemAvailable:", &available))
		return false;
	(void)find_number(file.text, "SwapFree:", &swap);
	ret->limit = total * KIB;
	ret->room = (available + swap) * KIB;
	return true;
}

bool pss_guard_look(const struct pss_guard_place *place, struct pss_guard_room *ret)
{
	if (place->is_machine)
		return look_at_machine(place, ret);
	return place->is_version_2 ? look_at_version_2(place, ret) : look_at_version_1(place, ret);
}

uint64_t pss_guard_count_kills(const struct pss_guard_place *place)
{
	struct file file;
	uint64_t kills = 0, under = 0;

	if (place->is_machine)
		return 0;
	if (place->is_version_2) {
		if (read_file(place->dir_fd, "memory.events", &file))
			(void)find_number(file.text, "oom ", &kills);
		return kills;
	}
	if (!read_file(place->dir_fd, "memory.oom_control", &file))
		return 0;
	(void)find_number(file.text, "oom_kill ", &kills);
	(void)find_number(file.text, "under_oom ", &under);
	return kills + under;
}

// "full avg10=0.00 avg60=0.00 avg300=0.00 total=0"
static uint64_t read_pressure(const struct pss_guard_place *place, const char *key)
{
	struct file file;
	struct pss_text line, word;
	uint64_t value = 0;
	bool is_read =
		place->is_machine
			? read_file(place->root_fd, "pressure/memory", &file)
			: place->is_version_2 && read_file(place->dir_fd, "memory.pressure", &file);

	while (is_read && text_take_line(&file.text, &line)) {
		if (!text_take_prefix(&line, "full "))
			continue;
		while (text_take_word(&line, &word))
			if (text_take_prefix(&word, key))
				(void)text_take_number(&word, 10, &value);
	}
	return value;
}

uint64_t pss_guard_stalled_us(const struct pss_guard_place *place)
{
	return read_pressure(place, "total=");
}

static int add(struct pss_guard_places *places, const struct pss_guard_place *place)
{
	if (places->count == PSS_GUARD_PLACES_MAX)
		return -E2BIG;
	places->places[places->count++] = *place;
	return 0;
}

static void open_group(const struct pss_cgroup_walk *walk, int root_fd, struct pss_guard_place *ret)
{
	uint64_t used, high;

	*ret = (struct pss_guard_place){ .dir_fd = -EBADF,
					 .root_fd = root_fd,
					 .is_version_2 = walk->is_version_2 };
	if (strlen(walk->path) >= sizeof ret->name)
		return;
	(void)snprintf(ret->name, sizeof ret->name, "%.*s", PSS_GUARD_NAME_SIZE - 1, walk->path);
	ret->dir_fd = open(walk->path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (ret->dir_fd < 0)
		return;
	ret->kills_before = pss_guard_count_kills(ret);
	ret->is_stalled = read_pressure(ret, "avg10=") >= STALLED_PERCENT;
	ret->is_above_high = walk->is_version_2 &&
			     read_number(ret->dir_fd, "memory.current", &used) &&
			     read_number(ret->dir_fd, "memory.high", &high) && used >= high;
}

// Without the controller a group has no such file; the mount's root never has it.
static bool has_memory(const struct pss_guard_place *place)
{
	return place->dir_fd >= 0 &&
	       faccessat(place->dir_fd,
			 place->is_version_2 ? "memory.max" : "memory.limit_in_bytes", F_OK,
			 0) == 0;
}

static int add_groups(int proc_fd, int root_fd, const char *controller,
		      struct pss_guard_places *places)
{
	struct pss_cgroup_walk walk;
	int r = 0;

	for (bool is_there = pss_cgroup_walk_begin(proc_fd, root_fd, controller, &walk);
	     is_there && r == 0; is_there = pss_cgroup_walk_up(&walk)) {
		struct pss_guard_place place;

		open_group(&walk, root_fd, &place);
		r = has_memory(&place) ? add(places, &place) : -ENOENT;
		if (r < 0)
			place.dir_fd = pss_close(place.dir_fd);
		if (r == -ENOENT)
			r = 0;
	}
	return r;
}

int pss_guard_places_open(int proc_fd, int root_fd, struct pss_guard_places *ret)
{
	struct pss_guard_place machine = {
		.dir_fd = -EBADF,
		.root_fd = root_fd,
		.is_machine = true,
		.name = "the machine",
	};
	_cleanup_places_ struct pss_guard_places places = PSS_GUARD_PLACES_EMPTY;
	int r = add_groups(proc_fd, root_fd, NULL, &places);

	machine.is_stalled = read_pressure(&machine, "avg10=") >= STALLED_PERCENT;

	if (r == 0)
		r = add_groups(proc_fd, root_fd, "memory", &places);
	if (r == 0)
		r = add(&places, &machine);
	if (r < 0)
		return r;
	*ret = places;
	places = PSS_GUARD_PLACES_EMPTY;
	return 0;
}

void pss_guard_places_close(struct pss_guard_places *places)
{
	pss_guard_places_shut(places);
	*places = PSS_GUARD_PLACES_EMPTY;
}

void pss_guard_places_shut(struct pss_guard_places *places)
{
	for (unsigned i = 0; i < places->count; i++)
		places->places[i].dir_fd = pss_close(places->places[i].dir_fd);
}

static int open_folder(const char *path)
{
	long fd = PSS_ARCH_RAW(SYS_openat, (uint64_t)AT_FDCWD, (uintptr_t)path,
			       O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -EBADF : (int)fd;
}

void pss_guard_places_reopen(struct pss_guard_places *places)
{
	int root_fd = open_folder("/proc");

	for (unsigned i = 0; i < places->count; i++) {
		struct pss_guard_place *place = &places->places[i];

		place->root_fd = root_fd;
		if (!place->is_machine)
			place->dir_fd = open_folder(place->name);
	}
}

bool pss_guard_read_stat(pid_t pid, struct pss_procfs_stat *ret)
{
	char path[32] = "/proc/";
	char digits[16];
	struct file file;
	size_t count = 0, at = 6;

	for (unsigned rest = (unsigned)pid; rest; rest /= 10)
		digits[count++] = (char)('0' + rest % 10);
	while (count)
		path[at++] = digits[--count];
	for (const char *rest = "/stat"; *rest; rest++)
		path[at++] = *rest;
	return read_file(AT_FDCWD, path, &file) &&
	       pss_procfs_parse_stat(file.bytes, file.text.size, ret) == 0;
}
