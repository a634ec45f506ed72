// SPDX-License-Identifier: LGPL-2.1-or-later
// The text of /proc/PID/maps and smaps, one mapping at a time. Pure: reads no file.
#include <errno.h>

#include "base/checked.h"
#include "procfs.h"
#include "procfs_text.h"
#include "section_format.h"

// One "r-xp" letter: @letter sets @flag, '-' does not, anything else is wrong.
static bool take_protection(struct pss_text *line, char letter, uint32_t flag, uint32_t *ret)
{
	if (text_take_char(line, letter)) {
		*ret |= flag;
		return true;
	}
	return text_take_char(line, '-');
}

static bool take_permissions(struct pss_text *line, struct pss_procfs_map *map)
{
	if (!take_protection(line, 'r', PSS_REGION_READ, &map->protection) ||
	    !take_protection(line, 'w', PSS_REGION_WRITE, &map->protection) ||
	    !take_protection(line, 'x', PSS_REGION_EXECUTE, &map->protection))
		return false;
	map->is_shared = text_take_char(line, 's');
	return map->is_shared || text_take_char(line, 'p');
}

// "start-end perms offset major:minor inode path"
static bool parse_map_line(struct pss_text line, struct pss_procfs_map *ret)
{
	struct pss_procfs_map map = { 0 };
	uint64_t major;
	uint64_t minor;

	if (!text_take_number(&line, 16, &map.start) || !text_take_char(&line, '-') ||
	    !text_take_number(&line, 16, &map.end) || !text_take_char(&line, ' ') ||
	    !take_permissions(&line, &map) || !text_take_char(&line, ' ') ||
	    !text_take_number(&line, 16, &map.offset) || !text_take_char(&line, ' ') ||
	    !text_take_number(&line, 16, &major) || !text_take_char(&line, ':') ||
	    !text_take_number(&line, 16, &minor) || !text_take_char(&line, ' ') ||
	    !text_take_number(&line, 10, &map.inode))
		return false;
	if (map.start >= map.end || pss_u32(major, &map.device_major) < 0 ||
	    pss_u32(minor, &map.device_minor) < 0)
		return false;
	if (line.size > 0 && *line.data != ' ')
		return false;
	text_skip_blanks(&line);
	map.path = line;
	*ret = map;
	return true;
}

static const struct {
	char name[3];
	uint32_t flag;
} vm_flags[] = {
	{ "dc", PSS_REGION_DONT_FORK },    { "dd", PSS_REGION_DONT_DUMP },
	{ "gd", PSS_REGION_GROWS_DOWN },   { "ht", PSS_REGION_HUGETLB },
	{ "io", PSS_REGION_DEVICE },       { "pf", PSS_REGION_DEVICE },
	{ "ss", PSS_REGION_SHADOW_STACK }, { "wf", PSS_REGION_WIPE_ON_FORK },
};

static void parse_vm_flags(struct pss_text line, struct pss_procfs_map *map)
{
	struct pss_text word;

	map->has_vm_flags = true;
	map->region_flags |= PSS_REGION_HAS_VM_FLAGS;
	while (text_take_word(&line, &word)) {
		for (size_t i = 0; i < sizeof vm_flags / sizeof vm_flags[0]; i++) {
			if (word.size == 2 && memcmp(word.data, vm_flags[i].name, 2) == 0)
				map->region_flags |= vm_flags[i].flag;
		}
	}
}

// What the kernel does not count as Rss: pages in swap and those of hugetlbfs.
static const char *const resident_keys[] = {
	"Rss:",
	"Swap:",
	"Private_Hugetlb:",
	"Shared_Hugetlb:",
};

static bool parse_resident(struct pss_text line, struct pss_procfs_map *map)
{
	uint64_t bytes;
	uint64_t kilobytes;

	text_skip_blanks(&line);
	if (!text_take_number(&line, 10, &kilobytes) || pss_mul(kilobytes, 1024, &bytes) < 0 ||
	    pss_add(map->resident_bytes, bytes, &map->resident_bytes) < 0)
		return false;
	map->has_resident = true;
	return true;
}

static bool parse_detail_line(struct pss_text line, struct pss_procfs_map *map)
{
	if (text_take_prefix(&line, "VmFlags:")) {
		parse_vm_flags(line, map);
		return true;
	}
	for (size_t i = 0; i < sizeof resident_keys / sizeof resident_keys[0]; i++) {
		if (text_take_prefix(&line, resident_keys[i]))
			return parse_resident(line, map);
	}
	return true;
}

int pss_procfs_next_map(struct pss_text *cursor, struct pss_procfs_map *ret)
{
	struct pss_text rest = *cursor;
	struct pss_procfs_map map;
	struct pss_text line;

	if (rest.size == 0)
		return -ENODATA;
	if (!text_take_line(&rest, &line) || !parse_map_line(line, &map))
		return -EBADMSG;
	// The lines of smaps begin with a capital letter, the next mapping with a small one or a
	// digit.
	while (rest.size > 0 && *rest.data >= 'A' && *rest.data <= 'Z') {
		if (!text_take_line(&rest, &line) || !parse_detail_line(line, &map))
			return -EBADMSG;
	}
	*cursor = rest;
	*ret = map;
	return 0;
}

size_t pss_procfs_unescape(struct pss_text path, char *out)
{
	size_t size = 0;

	while (path.size > 0) {
		if (text_take_prefix(&path, "\\012")) {
			out[size++] = '\n';
			continue;
		}
		out[size++] = *path.data;
		text_advance(&path, 1);
	}
	return size;
}
