// SPDX-License-Identifier: LGPL-2.1-or-later
// Builds a section in memory, seals it into a memfd, and reads one back. The reader trusts nothing:
// the image may come from another process. It does not judge what records say, only where they lie.
#include "section.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"

// Since Linux 6.3; where vm.memfd_noexec is 2, a memfd can't be had without it.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

enum {
	LOWEST_FD = 3,
	REGSET_ALIGNMENT = 8,
	STAT_BLOCK_SIZE = 512,
	SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
};

// 0: the part is reserved and must be empty. 1: bytes.
static const uint32_t record_sizes[PSS_PART_COUNT] = {
	[PSS_PART_PROCESS] = sizeof(struct pss_process_record),
	[PSS_PART_CLONE] = sizeof(struct pss_clone_record),
	[PSS_PART_FIGURES] = sizeof(struct pss_figures_record),
	[PSS_PART_THREADS] = sizeof(struct pss_thread_record),
	[PSS_PART_REGIONS] = sizeof(struct pss_region_record),
	[PSS_PART_HANDLES] = sizeof(struct pss_handle_record),
	[PSS_PART_AUX_PAGES] = sizeof(struct pss_aux_page_record),
	[PSS_PART_PATCHES] = sizeof(struct pss_patch_record),
	[PSS_PART_AUXV] = 1,
	[PSS_PART_REGISTERS] = 1,
	[PSS_PART_BYTES] = 1,
};

// Auxiliary pages are looked up one after the other: more than a budget's worth is a hang.
enum { AUX_PAGES_MAX = 4096 };

// Parts that hold one record and no more, and others with a limit.
static uint32_t count_max(enum pss_part part)
{
	switch (part) {
	case PSS_PART_PROCESS:
	case PSS_PART_CLONE:
	case PSS_PART_FIGURES:
		return 1;
	case PSS_PART_AUX_PAGES:
		return AUX_PAGES_MAX;
	default:
		return UINT32_MAX;
	}
}

void pss_section_builder_deinit(struct pss_section_builder *builder)
{
	if (!builder)
		return;
	for (int part = 0; part < PSS_PART_COUNT; part++)
		pss_buf_deinit(&builder->parts[part]);
	*builder = PSS_SECTION_BUILDER_EMPTY;
}

int pss_section_add(struct pss_section_builder *builder, enum pss_part part, const void *record,
		    size_t size)
{
	assert(part < PSS_PART_COUNT && record_sizes[part] > 0);
	assert(record_sizes[part] == 1 || size == record_sizes[part]);
	return pss_buf_append(&builder->parts[part], record, size);
}

int pss_section_add_bytes(struct pss_section_builder *builder, const void *bytes, size_t size,
			  struct pss_bytes_ref *ret)
{
	if (size == 0) {
		*ret = (struct pss_bytes_ref){ 0 };
		return 0;
	}

	uint64_t offset = builder->parts[PSS_PART_BYTES].size;
	int r = pss_buf_append(&builder->parts[PSS_PART_BYTES], bytes, size);
	if (r < 0)
		return r;
	*ret = (struct pss_bytes_ref){ .offset = offset, .size = size };
	return 0;
}

int pss_section_add_regset(struct pss_section_builder *builder, uint32_t note_type,
			   const void *bytes, size_t size)
{
	struct pss_buf *buf = &builder->parts[PSS_PART_REGISTERS];
	struct pss_regset_record head = { .note_type = note_type };

	if (pss_u32(size, &head.size) < 0)
		return -ENOMEM;
	// Room for all of it first: half a register set would break the chain.
	int r = pss_buf_reserve(buf, sizeof head + size + REGSET_ALIGNMENT);
	if (r < 0)
		return r;
	(void)pss_buf_append(buf, &head, sizeof head);
	(void)pss_buf_append(buf, bytes, size);
	return pss_buf_align(buf, REGSET_ALIGNMENT);
}

uint64_t pss_section_registers_end(const struct pss_section_builder *builder)
{
	return builder->parts[PSS_PART_REGISTERS].size;
}

static int plan(const struct pss_section_builder *builder, struct pss_section_header *ret)
{
	struct pss_section_header header = {
		.magic = PSS_SECTION_MAGIC,
		.version = PSS_SECTION_VERSION,
		.part_count = PSS_PART_COUNT,
		.machine = builder->machine,
		.page_size = (uint32_t)sysconf(_SC_PAGESIZE),
		.capture_flags = builder->capture_flags,
		.thread_context_flags = builder->thread_context_flags,
		.capturer_pid = builder->capturer_pid,
		.capturer_start_ticks = builder->capturer_start_ticks,
	};
	uint64_t end = sizeof header;

	for (unsigned part = 0; part < PSS_PART_COUNT; part++) {
		struct pss_section_part *entry = &header.parts[part];
		uint64_t size = builder->parts[part].size;

		if (size == 0)
			continue;
		end = pss_align_up(end, PSS_SECTION_ALIGNMENT);
		entry->offset = end;
		entry->size = size;
		entry->record_size = record_sizes[part];
		if (pss_u32(size / record_sizes[part], &entry->count) < 0)
			return -ENOMEM;
		assert(entry->count <= count_max(part));
		end += size;
	}
	header.total_size = end;
	*ret = header;
	return 0;
}

static int write_at(int fd, const void *bytes, size_t size, uint64_t offset)
{
	const uint8_t *from = bytes;

	while (size > 0) {
		ssize_t n = pwrite(fd, from, size, (off_t)offset);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno != ENOSPC ? -errno : -ENOMEM;
		from += n;
		size -= (size_t)n;
		offset += (size_t)n;
	}
	return 0;
}

static int create_memfd(int *ret)
{
	const unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	_cleanup_close_ int fd = memfd_create("procsnap", flags | MFD_NOEXEC_SEAL);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("procsnap", flags);
	if (fd < 0)
		return -errno;
	// A HANDLE of 0 is NULL, and 0 to 2 are where programs put their streams.
	if (fd < LOWEST_FD) {
		int high = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
		if (high < 0)
			return -errno;
		pss_close(fd);
		fd = high;
	}
	// The clone holds it, and with the clone its owner: nobody is to open it for writing there,
	// not even in vain.
	if (fchmod(fd, S_IRUSR | S_IRGRP | S_IROTH) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

int pss_section_seal(const struct pss_section_builder *builder, struct pss_diag *diag, int *fd_ret)
{
	struct pss_section_header header;
	_cleanup_close_ int fd = -EBADF;

	int r = plan(builder, &header);
	if (r < 0)
		return pss_fail(diag, r, "cannot lay out the snapshot");
	r = create_memfd(&fd);
	if (r < 0)
		return pss_fail(diag, r, "cannot create a memfd for the snapshot");
	r = write_at(fd, &header, sizeof header, 0);
	for (int part = 0; r == 0 && part < PSS_PART_COUNT; part++)
		r = write_at(fd, builder->parts[part].data, builder->parts[part].size,
			     header.parts[part].offset);
	if (r < 0)
		return pss_fail(diag, r, "cannot write %llu bytes of snapshot",
				(unsigned long long)header.total_size);
	if (fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		return pss_fail(diag, -errno, "cannot seal the snapshot");
	*fd_ret = TAKE_FD(fd);
	return 0;
}

static bool part_is_sound(const struct pss_section_header *header, enum pss_part part)
{
	const struct pss_section_part *entry = &header->parts[part];
	uint64_t size;

	if (entry->count == 0)
		return entry->size == 0;
	return record_sizes[part] > 0 && entry->record_size == record_sizes[part] &&
	       entry->count <= count_max(part) && entry->offset >= sizeof *header &&
	       entry->offset % PSS_SECTION_ALIGNMENT == 0 &&
	       pss_mul(entry->record_size, entry->count, &size) == 0 && size == entry->size &&
	       pss_in_range(entry->offset, entry->size, header->total_size);
}

static bool is_sound(const void *data, size_t size)
{
	const struct pss_section_header *header = data;

	if (size < sizeof *header || (uintptr_t)data % PSS_SECTION_ALIGNMENT != 0)
		return false;
	if (memcmp(header->magic, PSS_SECTION_MAGIC, sizeof header->magic) != 0 ||
	    header->version != PSS_SECTION_VERSION || header->part_count != PSS_PART_COUNT ||
	    header->total_size != size)
		return false;
	// A power of two that all arithmetic on pages may rely on.
	if (header->page_size < 4096 || header->page_size > 65536 ||
	    (header->page_size & (header->page_size - 1)) != 0)
		return false;
	for (unsigned part = 0; part < PSS_PART_COUNT; part++)
		if (!part_is_sound(header, part))
			return false;
	return header->parts[PSS_PART_PROCESS].count == 1;
}

int pss_section_open_bytes(const void *bytes, size_t size, struct pss_section *ret)
{
	if (!is_sound(bytes, size))
		return -EBADF;
	*ret = (struct pss_section){ .data = bytes, .size = size };
	return 0;
}

int pss_section_open(int fd, struct pss_section *ret)
{
	struct stat st;

	// Only a file that nobody can change or cut any more may be mapped and believed.
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS)
		return -EBADF;
	if (fstat(fd, &st) < 0 || st.st_size < (off_t)sizeof(struct pss_section_header))
		return -EBADF;
	// One with holes is not ours: a walk would fill them, and they may be larger than memory.
	if ((uint64_t)st.st_blocks * STAT_BLOCK_SIZE < (uint64_t)st.st_size)
		return -EBADF;

	size_t size = (size_t)st.st_size;
	void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED)
		return errno == EACCES ? -EBADF : -ENOMEM;
	if (!is_sound(data, size)) {
		(void)munmap(data, size);
		return -EBADF;
	}
	*ret = (struct pss_section){
		.data = data,
		.size = size,
		.device = st.st_dev,
		.inode = st.st_ino,
		.owner = st.st_uid,
	};
	return 0;
}

void pss_section_close(struct pss_section *section)
{
	// One that was opened over bytes has no device, and nothing to unmap.
	if (section && section->data && section->device != 0) {
		int saved = errno;
		(void)munmap((void *)section->data, section->size);
		errno = saved;
	}
	if (section)
		*section = PSS_SECTION_EMPTY;
}

const struct pss_section_header *pss_section_header(const struct pss_section *section)
{
	return (const struct pss_section_header *)section->data;
}

uint32_t pss_section_count(const struct pss_section *section, enum pss_part part)
{
	assert(part < PSS_PART_COUNT);
	return pss_section_header(section)->parts[part].count;
}

const void *pss_section_record(const struct pss_section *section, enum pss_part part,
			       uint32_t index)
{
	assert(part < PSS_PART_COUNT);
	const struct pss_section_part *entry = &pss_section_header(section)->parts[part];

	if (index >= entry->count)
		return NULL;
	return section->data + entry->offset + (uint64_t)index * entry->record_size;
}

const struct pss_process_record *pss_section_process(const struct pss_section *section)
{
	return pss_section_record(section, PSS_PART_PROCESS, 0);
}

const struct pss_clone_record *pss_section_clone(const struct pss_section *section)
{
	return pss_section_record(section, PSS_PART_CLONE, 0);
}

const struct pss_figures_record *pss_section_figures(const struct pss_section *section)
{
	return pss_section_record(section, PSS_PART_FIGURES, 0);
}

const struct pss_thread_record *pss_section_thread(const struct pss_section *section,
						   uint32_t index)
{
	return pss_section_record(section, PSS_PART_THREADS, index);
}

const struct pss_region_record *pss_section_region(const struct pss_section *section,
						   uint32_t index)
{
	return pss_section_record(section, PSS_PART_REGIONS, index);
}

uint32_t pss_section_regions_up_to(const struct pss_section *section, uint64_t address)
{
	uint32_t low = 0;
	uint32_t high = pss_section_count(section, PSS_PART_REGIONS);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct pss_region_record *region = pss_section_region(section, middle);

		if (region && region->start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct pss_region_record *pss_section_region_at(const struct pss_section *section,
						      uint64_t address)
{
	uint32_t count = pss_section_regions_up_to(section, address);
	const struct pss_region_record *region =
		count > 0 ? pss_section_region(section, count - 1) : NULL;

	return region && address < region->end ? region : NULL;
}

const struct pss_handle_record *pss_section_handle(const struct pss_section *section,
						   uint32_t index)
{
	return pss_section_record(section, PSS_PART_HANDLES, index);
}

const struct pss_aux_page_record *pss_section_aux_page(const struct pss_section *section,
						       uint32_t index)
{
	return pss_section_record(section, PSS_PART_AUX_PAGES, index);
}

const struct pss_patch_record *pss_section_patch(const struct pss_section *section, uint32_t index)
{
	return pss_section_record(section, PSS_PART_PATCHES, index);
}

int pss_section_bytes(const struct pss_section *section, struct pss_bytes_ref ref,
		      const void **bytes_ret)
{
	const struct pss_section_part *entry = &pss_section_header(section)->parts[PSS_PART_BYTES];

	if (!pss_in_range(ref.offset, ref.size, entry->size))
		return -EBADMSG;
	// An empty part may have any offset: it is never added to anything.
	*bytes_ret = section->data + (entry->size > 0 ? entry->offset + ref.offset : 0);
	return 0;
}

const void *pss_section_blob(const struct pss_section *section, enum pss_part part,
			     size_t *size_ret)
{
	assert(part < PSS_PART_COUNT);
	const struct pss_section_part *entry = &pss_section_header(section)->parts[part];

	*size_ret = entry->size;
	return section->data + (entry->size > 0 ? entry->offset : 0);
}

int pss_section_regset(const struct pss_section *section, const struct pss_thread_record *thread,
		       uint32_t note_type, const void **bytes_ret, size_t *size_ret)
{
	struct pss_section_regset regset;
	uint64_t cursor = 0;
	int r;

	while ((r = pss_section_next_regset(section, thread, &cursor, &regset)) == 0) {
		if (regset.note_type != note_type)
			continue;
		*bytes_ret = regset.bytes;
		*size_ret = regset.size;
		return 0;
	}
	return r;
}

int pss_section_next_regset(const struct pss_section *section,
			    const struct pss_thread_record *thread, uint64_t *cursor,
			    struct pss_section_regset *ret)
{
	struct pss_regset_record head;
	size_t all;
	const uint8_t *blob = pss_section_blob(section, PSS_PART_REGISTERS, &all);

	if (*cursor >= thread->registers_size)
		return -ENOENT;
	uint64_t left = thread->registers_size - *cursor;
	if (!pss_in_range(thread->registers_offset, thread->registers_size, all) ||
	    thread->registers_offset % REGSET_ALIGNMENT != 0 || left < sizeof head)
		return -EBADMSG;

	const uint8_t *at = blob + thread->registers_offset + *cursor;
	memcpy(&head, at, sizeof head);
	uint64_t step = sizeof head + pss_align_up(head.size, REGSET_ALIGNMENT);
	if (step > left)
		return -EBADMSG;
	*ret = (struct pss_section_regset){
		.note_type = head.note_type,
		.bytes = at + sizeof head,
		.size = head.size,
	};
	*cursor += step;
	return 0;
}
