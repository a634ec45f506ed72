// SPDX-License-Identifier: LGPL-2.1-or-later
// The parsers of procfs.h on any bytes. The first byte chooses the parser, the rest is the text.
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "procfs.h"
#include "procfs_fds.h"
#include "section_format.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is_true)
{
	if (!is_true)
		__builtin_trap();
}

static bool is_result(int r)
{
	return r == 0 || r == -EBADMSG;
}

static void fuzz_stat(const char *text, size_t size)
{
	struct pss_procfs_stat stat;
	int r = pss_procfs_parse_stat(text, size, &stat);

	must(is_result(r));
	if (r < 0)
		return;
	must(stat.comm_size <= sizeof stat.comm);
	must(memmem(text, size, stat.comm, stat.comm_size) != NULL);
	must(memchr(text, stat.state, size) != NULL);
}

static void fuzz_status(const char *text, size_t size)
{
	struct pss_procfs_status status;
	int r = pss_procfs_parse_status(text, size, &status);

	must(is_result(r));
	if (r < 0)
		return;
	must(status.thread_group_id > 0);
	must(status.vm_rss % 1024 == 0 && status.vm_peak % 1024 == 0);
}

static void check_map(struct pss_text text, struct pss_text rest, const struct pss_procfs_map *map)
{
	const uint32_t known_protection = PSS_REGION_READ | PSS_REGION_WRITE | PSS_REGION_EXECUTE;

	must(rest.size < text.size && rest.data + rest.size == text.data + text.size);
	must(map->start < map->end);
	must((map->protection & ~known_protection) == 0);
	must(map->has_vm_flags == ((map->region_flags & PSS_REGION_HAS_VM_FLAGS) != 0));
	must(map->has_resident || map->resident_bytes == 0);
	must(map->path.data >= text.data && map->path.data + map->path.size < rest.data);
	must(!memchr(map->path.data, '\n', map->path.size));

	char *copy = malloc(map->path.size ? map->path.size : 1);
	must(copy != NULL);
	size_t size = pss_procfs_unescape(map->path, copy);
	must(size <= map->path.size);
	must(!memmem(map->path.data, map->path.size, "\\012", 4) == (size == map->path.size));
	// In place it must come out the same.
	char *in_place = malloc(map->path.size ? map->path.size : 1);
	must(in_place != NULL);
	memcpy(in_place, map->path.data, map->path.size);
	must(pss_procfs_unescape((struct pss_text){ in_place, map->path.size }, in_place) == size);
	must(memcmp(copy, in_place, size) == 0);
	free(in_place);
	free(copy);
}

static void fuzz_maps(const char *data, size_t size)
{
	struct pss_text text = { data, size };
	struct pss_procfs_map map;

	for (;;) {
		struct pss_text rest = text;
		int r = pss_procfs_next_map(&rest, &map);

		must(r == 0 || r == -ENODATA || r == -EBADMSG);
		must((r == -ENODATA) == (text.size == 0));
		if (r < 0) {
			must(rest.data == text.data && rest.size == text.size);
			return;
		}
		check_map(text, rest, &map);
		text = rest;
	}
}

static void fuzz_syscall(const char *text, size_t size)
{
	struct pss_procfs_syscall call;
	int r = pss_procfs_parse_syscall(text, size, &call);

	must(is_result(r));
	if (r == 0 && call.number == -1) {
		for (size_t i = 0; i < 6; i++)
			must(call.arguments[i] == 0);
	}
}

static void fuzz_numbers(const char *text, size_t size)
{
	static const unsigned bases[] = { 0, 10, 16 };
	uint64_t value;
	int32_t pid;

	for (size_t i = 0; i < sizeof bases / sizeof bases[0]; i++)
		must(is_result(pss_procfs_parse_number(text, size, bases[i], &value)));
	must(is_result(pss_procfs_parse_schedstat(text, size, &value)));
	must(is_result(pss_procfs_parse_boot_time(text, size, &value)));
	int r = pss_procfs_parse_fdinfo_pid(text, size, &pid);
	must(is_result(r));
	must(r < 0 || pid == -1 || pid > 0);
}

static void fuzz_fdinfo(const char *text, size_t size)
{
	const uint32_t known = PSS_FDINFO_INODE | PSS_FDINFO_COUNT | PSS_FDINFO_PID |
			       PSS_FDINFO_CLOCK | PSS_FDINFO_BPF;
	struct pss_procfs_fdinfo info;
	int r = pss_procfs_parse_fdinfo(text, size, &info);

	must(is_result(r));
	if (r < 0)
		return;
	must((info.fields & ~known) == 0);
	must(memmem(text, size, "flags:", 6) != NULL);
	must(info.count == 0 || info.fields & PSS_FDINFO_COUNT);
	must(info.inode == 0 || info.fields & PSS_FDINFO_INODE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(const char *text, size_t size) = {
		fuzz_stat, fuzz_status, fuzz_maps, fuzz_syscall, fuzz_numbers, fuzz_fdinfo,
	};

	if (size == 0)
		return 0;
	// Letters, so that inputs can be read: 'a' is the first.
	size_t choice = (uint8_t)(data[0] - 'a');
	if (choice < sizeof parsers / sizeof parsers[0])
		parsers[choice]((const char *)data + 1, size - 1);
	return 0;
}
