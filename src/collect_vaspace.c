// SPDX-License-Identifier: LGPL-2.1-or-later
// The region records: one for each mapping, in one pass over maps or smaps. Mappings of one ELF
// object are found to be one when the object ends, so the cost grows with their number and no
// faster.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "collect.h"
#include "collect_image.h"
#include "collect_unforked.h"
#include "pagemap.h"
#include "procfs_text.h"

// Consecutive mappings of one file that may be one object: anonymous memory may lie between them.
struct group {
	uint32_t first; // index of its first record
	uint32_t last;
	uint32_t count;
	bool is_executable; // a mapping of it is
	bool is_shared;     // a mapping of it is
};

struct space_pass {
	const struct pss_collect *context;
	bool with_section_information;
	int mem_fd;
	struct pss_pagemap *pagemap; // NULL: resident pages can't be or need not be counted
	uint32_t unforked_done;
	uint64_t huge_bytes; // private, in huge pages, so far
	struct group group;
};

static struct pss_region_record *region(const struct space_pass *pass, uint32_t index)
{
	struct pss_buf *part = &pass->context->section->parts[PSS_PART_REGIONS];

	return (struct pss_region_record *)(void *)part->data + index;
}

static uint32_t region_count(const struct space_pass *pass)
{
	const struct pss_buf *part = &pass->context->section->parts[PSS_PART_REGIONS];

	return (uint32_t)(part->size / sizeof(struct pss_region_record));
}

static bool is_same_file(const struct pss_region_record *a, const struct pss_region_record *b)
{
	return a->inode == b->inode && a->device_major == b->device_major &&
	       a->device_minor == b->device_minor;
}

static bool has_prefix(struct pss_text text, const char *prefix)
{
	size_t size = strlen(prefix);

	return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

// Only by name can the kernel's own pages be told from the program's; images are found later.
static enum pss_region_kind kind_of(const struct pss_procfs_map *map)
{
	if (map->inode != 0)
		return PSS_REGION_MAPPED;
	if (map->path.size == 0 || has_prefix(map->path, "[heap]") ||
	    has_prefix(map->path, "[stack") || has_prefix(map->path, "[anon"))
		return PSS_REGION_PRIVATE;
	return has_prefix(map->path, "[") ? PSS_REGION_SPECIAL : PSS_REGION_MAPPED;
}

static enum pss_region_content content_of(const struct space_pass *pass,
					  const struct pss_procfs_map *map)
{
	if (!pass->context->has_clone)
		return PSS_CONTENT_NONE;
	// [vsyscall] lies outside user space, where mem can't reach.
	if (map->region_flags & PSS_REGION_DEVICE || has_prefix(map->path, "[vsyscall]"))
		return PSS_CONTENT_EXCLUDED;
	if (map->region_flags & PSS_REGION_DONT_FORK)
		return PSS_CONTENT_MISSING;
	if (map->region_flags & PSS_REGION_WIPE_ON_FORK)
		return PSS_CONTENT_WIPED;
	// Another process may write to it even where this one may only read.
	return map->is_shared ? PSS_CONTENT_LIVE : PSS_CONTENT_POINT_IN_TIME;
}

static int add_path(const struct space_pass *pass, struct pss_text path,
		    struct pss_region_record *record)
{
	struct pss_section_builder *section = pass->context->section;
	uint32_t count = region_count(pass);
	int r = pss_section_add_bytes(section, path.data, path.size, &record->path);

	if (r < 0 || path.size == 0 || count == 0)
		return r;

	// Neighbours mostly have it in common: keep it once.
	const struct pss_bytes_ref *before = &region(pass, count - 1)->path;
	struct pss_buf *bytes = &section->parts[PSS_PART_BYTES];
	if (before->size == record->path.size &&
	    memcmp(bytes->data + before->offset, path.data, path.size) == 0) {
		bytes->size = record->path.offset;
		record->path = *before;
	}
	return 0;
}

static int count_resident(const struct space_pass *pass, const struct pss_procfs_map *map,
			  struct pss_region_record *record)
{
	if (map->has_resident) {
		record->resident_bytes = map->resident_bytes;
		return 0;
	}
	if (!pass->pagemap || record->kind == PSS_REGION_SPECIAL)
		return 0;
	return pss_pagemap_resident(pass->pagemap, map->start, map->end, &record->resident_bytes);
}

// The target's owner may have put links in the way: they lead no further than the target's root.
static int open_in_root(int space_fd, const char *path)
{
	const struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int root = openat(space_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return -errno;
	int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
	return fd < 0 ? -errno : fd;
}

// The file behind a mapping, if its path still leads there. Looked at before it is opened: opening
// a device or a pipe can do things.
static int open_mapped_file(const struct space_pass *pass, const struct pss_region_record *record,
			    int *fd_ret)
{
	const struct pss_buf *bytes = &pass->context->section->parts[PSS_PART_BYTES];
	_cleanup_close_ int place = -EBADF;
	char path[PATH_MAX];
	struct stat status;

	if (record->path.size == 0 || record->path.size >= sizeof path)
		return -ENOENT;
	memcpy(path, bytes->data + record->path.offset, record->path.size);
	path[record->path.size] = '\0';
	place = open_in_root(pass->context->space_fd, path);
	if (place < 0)
		return place;
	if (fstat(place, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_ino != record->inode)
		return -ENOENT;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", place);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*fd_ret = fd;
	return 0;
}

// From memory if we may, else from the file.
static int read_image(const struct space_pass *pass, const struct pss_region_record *first,
		      struct pss_image *ret)
{
	_cleanup_close_ int fd = -EBADF;

	if (pass->mem_fd >= 0) {
		int r = pss_collect_image_read(pass->mem_fd, first->start, ret);
		if (r != -EFAULT)
			return r;
	}
	if (first->file_offset != 0)
		return -ENOEXEC;
	int r = open_mapped_file(pass, first, &fd);
	if (r == 0)
		r = pss_collect_image_read_file(fd, ret);
	if (r == 0)
		ret->bias += first->start;
	return r;
}

static int fill_image(const struct space_pass *pass, const struct pss_image *image,
		      struct pss_region_record *facts)
{
	if (!pass->with_section_information)
		return 0;
	facts->image_base = image->low;
	// A span that the field can't hold is left unknown.
	(void)pss_u32(image->high - image->low, &facts->image_size);
	if (image->build_id_size >= 4)
		facts->image_timestamp = (uint32_t)image->build_id[0] << 24 |
					 (uint32_t)image->build_id[1] << 16 |
					 (uint32_t)image->build_id[2] << 8 | image->build_id[3];
	return pss_section_add_bytes(pass->context->section, image->build_id, image->build_id_size,
				     &facts->build_id);
}

// Makes the records of the group one image, if it is one. A loader maps code, or several pieces; a
// file merely read through memory is not looked at, for that may go to a disk or a dead server.
static int end_group(struct space_pass *pass)
{
	struct group group = pass->group;
	struct pss_region_record facts = { 0 };
	struct pss_image image = { 0 };

	pass->group = (struct group){ 0 };
	if (group.count == 0 || !(group.is_executable || (group.count > 1 && !group.is_shared)))
		return 0;

	struct pss_region_record first = *region(pass, group.first);
	if (read_image(pass, &first, &image) < 0)
		return 0;
	int r = fill_image(pass, &image, &facts);
	if (r < 0)
		return r;
	for (uint32_t i = group.first; i <= group.last; i++) {
		struct pss_region_record *record = region(pass, i);
		if (!is_same_file(record, &first) || record->start >= image.bias + image.high)
			continue;
		record->kind = PSS_REGION_IMAGE;
		record->allocation_base = first.start;
		record->image_base = facts.image_base;
		record->image_size = facts.image_size;
		record->image_timestamp = facts.image_timestamp;
		record->build_id = facts.build_id;
	}
	return 0;
}

// Pieces of an object come in the order of the file. The same page may be mapped twice in a row,
// where a small object's code and data share it.
static bool continues(const struct pss_region_record *last, const struct pss_region_record *record)
{
	if (!is_same_file(last, record))
		return false;
	return record->file_offset > last->file_offset ||
	       (record->file_offset == last->file_offset && record->start == last->end);
}

// @record is about to get the index @index.
static int join_group(struct space_pass *pass, uint32_t index, struct pss_region_record *record)
{
	struct group *group = &pass->group;
	const struct pss_region_record *last = group->count ? region(pass, group->last) : NULL;

	if (last && continues(last, record)) {
		// One mmap() that mprotect() has divided.
		if (last->end == record->start &&
		    last->file_offset + (last->end - last->start) == record->file_offset)
			record->allocation_base = last->allocation_base;
	} else {
		int r = end_group(pass);
		if (r < 0)
			return r;
		group->first = index;
	}
	group->last = index;
	group->count++;
	group->is_executable |= (record->protection & PSS_REGION_EXECUTE) != 0;
	group->is_shared |= (record->flags & PSS_REGION_SHARED) != 0;
	return 0;
}

static struct pss_region_record make_record(const struct space_pass *pass,
					    const struct pss_procfs_map *map)
{
	return (struct pss_region_record){
		.start = map->start,
		.end = map->end,
		.file_offset = map->offset,
		.inode = map->inode,
		.device_major = map->device_major,
		.device_minor = map->device_minor,
		.protection = map->protection,
		.flags = map->region_flags | (map->is_shared ? PSS_REGION_SHARED : 0),
		.kind = kind_of(map),
		.content = content_of(pass, map),
		.allocation_base = map->start,
		.resident_bytes = PSS_RESIDENT_UNKNOWN,
	};
}

static int add_record(struct space_pass *pass, const struct pss_procfs_map *map,
		      struct pss_region_record *record)
{
	int r = add_path(pass, map->path, record);

	if (r == 0 && record->kind == PSS_REGION_MAPPED)
		r = join_group(pass, region_count(pass), record);
	if (r < 0)
		return r;
	return pss_section_add(pass->context->section, PSS_PART_REGIONS, record, sizeof *record);
}

static bool find_number(const struct pss_buf *text, const char *key, uint64_t *ret)
{
	struct pss_text rest = { (const char *)text->data, text->size };
	struct pss_text line;

	while (text_take_line(&rest, &line)) {
		if (!text_take_prefix(&line, key))
			continue;
		text_skip_blanks(&line);
		return text_take_number(&line, 10, ret);
	}
	return false;
}

// Huge pages in the pool that nobody has a right to.
static uint64_t free_huge_bytes(void)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	uint64_t free_pages, reserved, size_kib;

	if (pss_procfs_read(AT_FDCWD, "/proc/meminfo", &text) < 0 ||
	    !find_number(&text, "HugePages_Free:", &free_pages) ||
	    !find_number(&text, "HugePages_Rsvd:", &reserved) ||
	    !find_number(&text, "Hugepagesize:", &size_kib) || free_pages <= reserved)
		return 0;
	return (free_pages - reserved) * size_kib * 1024;
}

// When the target rewrites a huge page that its clone shares, and the pool has none for the copy,
// the kernel takes the page from the clone, where nothing but a hole is seen afterwards.
static void check_huge(struct space_pass *pass, struct pss_region_record *record)
{
	if (!(record->flags & PSS_REGION_HUGETLB) || record->content != PSS_CONTENT_POINT_IN_TIME)
		return;
	pass->huge_bytes += record->resident_bytes < record->end - record->start
				    ? record->resident_bytes
				    : record->end - record->start;
	if (pass->huge_bytes > free_huge_bytes())
		record->content = PSS_CONTENT_MISSING;
}

static int add_region(struct space_pass *pass, const struct pss_procfs_map *map)
{
	struct pss_region_record record = make_record(pass, map);
	int r = count_resident(pass, map, &record);

	if (r < 0)
		return r;
	check_huge(pass, &record);
	return add_record(pass, map, &record);
}

static int next_map(struct pss_procfs_maps *maps, struct pss_procfs_map *map)
{
	int r = pss_procfs_maps_next(maps, map);

	if (r < 0)
		return r;
	// In place: the text is ours, and undone it is never longer.
	char *path = (char *)maps->buf->data + (map->path.data - (char *)maps->buf->data);
	map->path.size = pss_procfs_unescape(map->path, path);
	return 0;
}

static int open_maps(const struct pss_collect *context, struct pss_procfs_maps *ret)
{
	if (context->has_clone) {
		int r = pss_procfs_maps_open(context->space_fd, "smaps", context->scratch, ret);
		if (r != -ENOENT) // kernels without CONFIG_PROC_PAGE_MONITOR
			return r;
	}
	return pss_procfs_maps_open(context->space_fd, "maps", context->scratch, ret);
}

// Those below @address, at their places between the clone's own.
static int add_unforked(struct space_pass *pass, uint64_t address)
{
	const struct pss_procfs_map *map;
	int r = 0;

	if (!pass->context->unforked)
		return 0;
	while (r == 0 &&
	       (map = pss_collect_unforked_map(pass->context->unforked, pass->unforked_done)) &&
	       map->start < address) {
		pass->unforked_done++;
		r = add_region(pass, map);
	}
	return r;
}

static int add_regions(struct space_pass *pass)
{
	_cleanup_maps_ struct pss_procfs_maps maps = PSS_PROCFS_MAPS_EMPTY;
	struct pss_procfs_map map;
	int r = open_maps(pass->context, &maps);

	while (r == 0) {
		r = next_map(&maps, &map);
		if (r == 0)
			r = add_unforked(pass, map.start);
		if (r == 0)
			r = add_region(pass, &map);
	}
	if (r == -ENODATA)
		r = add_unforked(pass, UINT64_MAX);
	return r < 0 ? r : end_group(pass);
}

int pss_collect_vaspace(const struct pss_collect *context, bool with_section_information)
{
	_cleanup_close_ int mem_fd = openat(context->space_fd, "mem", O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int pagemap_fd = -EBADF;
	struct pss_pagemap pagemap;
	struct space_pass pass = {
		.context = context,
		.with_section_information = with_section_information,
		.mem_fd = mem_fd,
	};

	if (with_section_information)
		pagemap_fd = openat(context->space_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (pagemap_fd >= 0) {
		pss_pagemap_init(&pagemap, pagemap_fd);
		pagemap.joins_files = true;
		pass.pagemap = &pagemap;
	}

	int r = add_regions(&pass);
	if (r < 0)
		return pss_fail(context->diag, r, "cannot read the mappings of process %d",
				context->pid);
	return 0;
}

enum { OWN_BUFFERS = 3 };

// What a search itself maps, which is in the way where it searches its own process.
static void list_own_buffers(const struct pss_collect *context, struct pss_buf *ret[OWN_BUFFERS])
{
	ret[0] = context->scratch;
	ret[1] = &context->section->parts[PSS_PART_REGIONS];
	ret[2] = &context->section->parts[PSS_PART_BYTES];
}

// Without this the kernel would join them to their neighbours, and show other bounds for those.
static int keep_apart(const struct pss_collect *context)
{
	struct pss_buf *buffers[OWN_BUFFERS];

	if (context->caller_tid == 0)
		return 0;
	list_own_buffers(context, buffers);
	for (int i = 0; i < OWN_BUFFERS; i++) {
		int r = pss_buf_reserve(buffers[i], 1);
		if (r < 0)
			return r;
		if (madvise(buffers[i]->data, buffers[i]->capacity, MADV_DONTFORK) < 0)
			return -errno;
	}
	return 0;
}

// They are in maps one by one, or as one where they lie side by side, in any order.
static bool is_ours(const struct pss_collect *context, const struct pss_procfs_map *map)
{
	struct pss_buf *buffers[OWN_BUFFERS];
	uint64_t address = map->start;

	if (context->caller_tid == 0)
		return false;
	list_own_buffers(context, buffers);
	for (int round = 0; round < OWN_BUFFERS; round++)
		for (int i = 0; i < OWN_BUFFERS; i++)
			if ((uintptr_t)buffers[i]->data == address)
				address += buffers[i]->capacity;
	return address == map->end;
}

// Whether address space set aside holds a page all the same. Where the kernel can only be asked
// page by page, a large one is not looked at: Go and Java set terabytes aside.
static int look_for_page(const struct space_pass *pass, struct pss_region_record *record)
{
	const uint64_t entries_max = UINT64_C(1) << 30;
	_cleanup_close_ int fd = -EBADF;
	struct pss_page_range range;
	struct pss_pagemap pagemap;

	if (record->kind != PSS_REGION_PRIVATE || record->protection != 0)
		return 0;
	fd = openat(pass->context->space_fd, "pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	pss_pagemap_init(&pagemap, fd);
	pss_pagemap_seek(&pagemap, record->start, record->start + pagemap.page_size);
	int r = pss_pagemap_next(&pagemap, &range);
	if (r == -ENODATA) {
		if (pagemap.method == PSS_PAGEMAP_ENTRIES &&
		    record->end - record->start > entries_max)
			return 0;
		pss_pagemap_seek(&pagemap, record->start, record->end);
		r = pss_pagemap_next(&pagemap, &range);
	}
	if (r < 0 && r != -ENODATA)
		return r;
	record->resident_bytes = r == 0 ? range.end - range.start : 0;
	return 0;
}

// The group that was open ends before @record: none of it is what is looked for.
static void drop_group(struct space_pass *pass)
{
	struct pss_section_builder *section = pass->context->section;

	pass->group = (struct group){ 0 };
	pss_buf_clear(&section->parts[PSS_PART_REGIONS]);
	pss_buf_clear(&section->parts[PSS_PART_BYTES]);
}

static bool ends_group(const struct space_pass *pass, const struct pss_region_record *record)
{
	return pass->group.count > 0 && !continues(region(pass, pass->group.last), record);
}

// Takes the next mapping in. Anonymous memory is known at once; what is part of a file, only when
// all mappings of that file have been seen.
static int look_at(struct space_pass *pass, const struct pss_procfs_map *map,
		   struct pss_collect_place *place, uint32_t *index, bool *done_ret)
{
	struct pss_region_record record = make_record(pass, map);
	bool is_wanted = map->start <= place->address && place->address < map->end;

	*done_ret = true;
	if (!place->is_mapped && map->start > place->address) {
		place->next = map->start;
		return 0;
	}
	if (is_wanted && record.kind != PSS_REGION_MAPPED) {
		place->is_mapped = true;
		place->region = record;
		return look_for_page(pass, &place->region);
	}
	if (place->is_mapped && ends_group(pass, &record))
		return 0;
	*done_ret = false;
	if (record.kind != PSS_REGION_MAPPED)
		return 0;
	if (ends_group(pass, &record))
		drop_group(pass);
	if (is_wanted) {
		place->is_mapped = true;
		*index = region_count(pass);
	}
	return add_record(pass, map, &record);
}

static int search(struct space_pass *pass, struct pss_collect_place *place)
{
	_cleanup_maps_ struct pss_procfs_maps maps = PSS_PROCFS_MAPS_EMPTY;
	uint32_t index = UINT32_MAX;
	struct pss_procfs_map map;
	bool is_done = false;
	int r = keep_apart(pass->context);

	if (r == 0)
		r = pss_procfs_maps_open(pass->context->space_fd, "maps", pass->context->scratch,
					 &maps);
	while (r == 0 && !is_done) {
		r = next_map(&maps, &map);
		if (r < 0 || is_ours(pass->context, &map))
			continue;
		place->has_space = true;
		r = look_at(pass, &map, place, &index, &is_done);
	}
	if (r < 0 && r != -ENODATA)
		return r;
	if (index == UINT32_MAX)
		return 0;
	r = end_group(pass);
	place->region = *region(pass, index);
	return r;
}

int pss_collect_vaspace_at(const struct pss_collect *context, uint64_t address,
			   struct pss_collect_place *ret)
{
	_cleanup_close_ int mem_fd = openat(context->space_fd, "mem", O_RDONLY | O_CLOEXEC);
	struct space_pass pass = { .context = context, .mem_fd = mem_fd };
	struct pss_collect_place place = { .address = address, .next = UINT64_MAX };
	int r = search(&pass, &place);

	if (r < 0)
		return r;
	// Kernels before 6.18 or so show an empty file where there is no address space.
	if (!place.has_space)
		return -ESRCH;
	*ret = place;
	return 0;
}
