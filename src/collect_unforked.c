// SPDX-License-Identifier: LGPL-2.1-or-later
// What clone(2) leaves out: mappings with MADV_DONTFORK. Found by comparing the target's mappings
// with its clone's while both stand; their pages are kept as auxiliary pages, within a budget.
// Changes nothing.
#include "collect_unforked.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "pagemap.h"

void pss_collect_unforked_deinit(struct pss_collect_unforked *unforked)
{
	pss_buf_deinit(&unforked->maps);
	pss_buf_deinit(&unforked->paths);
	*unforked = PSS_COLLECT_UNFORKED_EMPTY;
}

static struct pss_procfs_map *map_at(const struct pss_collect_unforked *unforked, uint32_t index)
{
	return (struct pss_procfs_map *)(void *)unforked->maps.data + index;
}

uint32_t pss_collect_unforked_count(const struct pss_collect_unforked *unforked)
{
	return (uint32_t)(unforked->maps.size / sizeof(struct pss_procfs_map));
}

const struct pss_procfs_map *pss_collect_unforked_map(const struct pss_collect_unforked *unforked,
						      uint32_t index)
{
	return index < pss_collect_unforked_count(unforked) ? map_at(unforked, index) : NULL;
}

static int keep_map(struct pss_collect_unforked *unforked, struct pss_procfs_map *map)
{
	size_t offset = unforked->paths.size;

	map->region_flags |= PSS_REGION_DONT_FORK;
	int r = pss_buf_append(&unforked->paths, map->path.data, map->path.size);

	if (r < 0)
		return r;
	map->path.size = pss_procfs_unescape(map->path, (char *)unforked->paths.data + offset);
	unforked->paths.size = offset + map->path.size;
	return pss_buf_append(&unforked->maps, map, sizeof *map);
}

// The paths' buffer has its final place now.
static void place_paths(struct pss_collect_unforked *unforked)
{
	const char *path = (const char *)unforked->paths.data;

	for (uint32_t i = 0; i < pss_collect_unforked_count(unforked); i++) {
		map_at(unforked, i)->path.data = path;
		path += map_at(unforked, i)->path.size;
	}
}

// In our own process, what has been mapped since the clone was made is missing in it as well: there
// the flag in smaps tells, which is not asked of others, for it takes a walk through their pages.
static bool is_unforked(const struct pss_collect_unforked_request *request,
			const struct pss_procfs_map *map)
{
	return !request->is_self || (map->region_flags & PSS_REGION_DONT_FORK);
}

// Both lists are by address, and the clone's has nothing that the target's has not.
static int compare_maps(const struct pss_collect_unforked_request *request,
			struct pss_collect_unforked *unforked)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	_cleanup_buf_ struct pss_buf clone_text = PSS_BUF_EMPTY;
	_cleanup_maps_ struct pss_procfs_maps maps = PSS_PROCFS_MAPS_EMPTY;
	_cleanup_maps_ struct pss_procfs_maps clone_maps = PSS_PROCFS_MAPS_EMPTY;
	struct pss_procfs_map map, clone_map = { 0 };
	int clone_r;
	int r = pss_procfs_maps_open(request->target_fd, request->is_self ? "smaps" : "maps", &text,
				     &maps);

	if (r == 0)
		r = pss_procfs_maps_open(request->clone_fd, "maps", &clone_text, &clone_maps);
	if (r < 0)
		return r;
	clone_r = pss_procfs_maps_next(&clone_maps, &clone_map);
	while (r == 0 && (r = pss_procfs_maps_next(&maps, &map)) == 0) {
		while (clone_r == 0 && clone_map.start < map.start)
			clone_r = pss_procfs_maps_next(&clone_maps, &clone_map);
		if (clone_r < 0 && clone_r != -ENODATA)
			return clone_r;
		if ((clone_r == -ENODATA || clone_map.start != map.start) &&
		    is_unforked(request, &map))
			r = keep_map(unforked, &map);
	}
	place_paths(unforked);
	return r == -ENODATA ? 0 : r;
}

static bool begins_with(struct pss_text text, const char *prefix)
{
	size_t size = strlen(prefix);

	return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

// Reading a device's memory can do things, and its flags are in smaps alone, which would walk all
// pages of the target. So only what is memory by its name is read.
static bool is_memory(const struct pss_procfs_map *map)
{
	static const char *const names[] = { "/memfd:", "/dev/zero", "/dev/shm/", "/SYSV" };

	if (map->inode == 0)
		return map->path.size == 0 || begins_with(map->path, "[anon") ||
		       begins_with(map->path, "[heap]") || begins_with(map->path, "[stack");
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (begins_with(map->path, names[i]))
			return true;
	return false;
}

static int keep_page(const struct pss_collect_unforked_request *request, uint64_t address,
		     const void *page, size_t size)
{
	struct pss_aux_page_record record = {
		.address = address,
		.capture_time = request->capture_time,
	};
	int r = pss_section_add_bytes(request->section, page, size, &record.contents);

	if (r < 0)
		return r;
	return pss_section_add(request->section, PSS_PART_AUX_PAGES, &record, sizeof record);
}

static int keep_range(const struct pss_collect_unforked_request *request, int mem_fd,
		      size_t page_size, const struct pss_page_range *range)
{
	uint8_t page[PSS_COLLECT_UNFORKED_PAGE_MAX];
	int r = 0;

	for (uint64_t at = range->start; r == 0 && at < range->end; at += page_size) {
		ssize_t n = pread(mem_fd, page, page_size, (off_t)at);

		// A page that can't be read stays out: of hardware that failed, or secret.
		if (n == (ssize_t)page_size)
			r = keep_page(request, at, page, page_size);
	}
	return r;
}

static int keep_pages(const struct pss_collect_unforked_request *request, int mem_fd,
		      struct pss_pagemap *pagemap, const struct pss_procfs_map *map)
{
	struct pss_page_range range;
	int r;

	pss_pagemap_seek(pagemap, map->start, map->end);
	while ((r = pss_pagemap_next(pagemap, &range)) == 0) {
		r = range.kind == PSS_PAGES_ZERO
			    ? 0
			    : keep_range(request, mem_fd, pagemap->page_size, &range);
		if (r < 0)
			return r;
	}
	return r == -ENODATA ? 0 : r;
}

// A mapping that does not fit into what is left is left out as a whole: half of it is worth little.
// Its size is what counts, not its pages: counting those takes as long as there are many, and a
// virtual machine's memory, which is never forked, may be hundreds of gigabytes.
static int keep_contents(const struct pss_collect_unforked_request *request,
			 struct pss_collect_unforked *unforked)
{
	_cleanup_close_ int mem_fd = openat(request->target_fd, "mem", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int pagemap_fd =
		openat(request->target_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	struct pss_pagemap pagemap;
	uint64_t left = PSS_COLLECT_UNFORKED_BUDGET;
	int r = 0;

	if (mem_fd < 0 || pagemap_fd < 0)
		return -errno;
	pss_pagemap_init(&pagemap, pagemap_fd);
	for (uint32_t i = 0; r == 0 && i < pss_collect_unforked_count(unforked); i++) {
		const struct pss_procfs_map *map = map_at(unforked, i);

		if (!is_memory(map) || map->end - map->start > left)
			continue;
		left -= map->end - map->start;
		r = keep_pages(request, mem_fd, &pagemap, map);
	}
	return r;
}

int pss_collect_unforked_find(const struct pss_collect_unforked_request *request,
			      struct pss_collect_unforked *ret)
{
	uint64_t target_size = 0, clone_size = 0;
	int r = pss_procfs_read_space_size(request->target_fd, request->scratch, &target_size);

	if (r == 0)
		r = pss_procfs_read_space_size(request->clone_fd, request->scratch, &clone_size);
	// The usual case costs two small reads.
	if (r < 0 || target_size == clone_size)
		return r;
	r = compare_maps(request, ret);
	return r < 0 ? r : keep_contents(request, ret);
}
