// SPDX-License-Identifier: LGPL-2.1-or-later
// See collect_image.h. All reading goes through a window of one page, and a window gives out: what
// a hostile object can make us do is bounded by it.
#include "collect_image.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/checked.h"

enum {
	WINDOW_SIZE = 4096,
	WINDOW_READS = 64, // per object; real ones take one to five
};

struct window {
	int fd;
	unsigned reads_left;
	uint64_t start;
	size_t size;
	uint8_t bytes[WINDOW_SIZE];
};

// @size bytes at @address, good until the next call; NULL if they can't be read.
static const void *window_get(struct window *window, uint64_t address, size_t size)
{
	if (address >= window->start && pss_in_range(address - window->start, size, window->size))
		return window->bytes + (address - window->start);
	if (window->reads_left == 0 || size > sizeof window->bytes || address > INT64_MAX)
		return NULL;
	window->reads_left--;
	window->size = 0;

	// Up to the end of the page first of all: what lies behind it may not be mapped.
	size_t wanted = sizeof window->bytes - address % sizeof window->bytes;
	if (wanted < size)
		wanted = size;
	ssize_t got = pread(window->fd, window->bytes, wanted, (off_t)address);
	if (got < (ssize_t)size)
		return NULL;
	window->start = address;
	window->size = (size_t)got;
	return window->bytes;
}

struct table {
	uint64_t address;
	uint64_t count;
	uint64_t entry_size;
};

// A program header of either class.
struct segment {
	uint32_t type;
	uint64_t offset;
	uint64_t address;
	uint64_t size; // in memory
	uint64_t file_size;
	uint64_t alignment;
};

static size_t segment_size(bool is_32bit)
{
	return is_32bit ? sizeof(Elf32_Phdr) : sizeof(Elf64_Phdr);
}

static bool get_segment(struct window *window, const struct table *table, bool is_32bit,
			uint64_t index, struct segment *ret)
{
	uint64_t address;

	if (pss_add(table->address, index * table->entry_size, &address) < 0)
		return false;
	const void *bytes = window_get(window, address, segment_size(is_32bit));
	if (!bytes)
		return false;
	if (is_32bit) {
		Elf32_Phdr header;
		memcpy(&header, bytes, sizeof header);
		*ret = (struct segment){ header.p_type,  header.p_offset, header.p_vaddr,
					 header.p_memsz, header.p_filesz, header.p_align };
	} else {
		Elf64_Phdr header;
		memcpy(&header, bytes, sizeof header);
		*ret = (struct segment){ header.p_type,  header.p_offset, header.p_vaddr,
					 header.p_memsz, header.p_filesz, header.p_align };
	}
	return true;
}

static int get_header(struct window *window, uint64_t address, bool *is_32bit_ret,
		      struct table *table_ret)
{
	const unsigned char *bytes = window_get(window, address, sizeof(Elf32_Ehdr));

	if (!bytes)
		return -EFAULT;
	if (memcmp(bytes, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (bytes[EI_DATA] !=
	    (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB))
		return -ENOEXEC;

	uint16_t type;
	bool is_32bit = bytes[EI_CLASS] == ELFCLASS32;
	if (is_32bit) {
		Elf32_Ehdr header;
		memcpy(&header, bytes, sizeof header);
		type = header.e_type;
		*table_ret = (struct table){ header.e_phoff, header.e_phnum, header.e_phentsize };
	} else {
		Elf64_Ehdr header;
		bytes = window_get(window, address, sizeof header);
		if (!bytes)
			return -EFAULT;
		memcpy(&header, bytes, sizeof header);
		type = header.e_type;
		*table_ret = (struct table){ header.e_phoff, header.e_phnum, header.e_phentsize };
	}
	// Others, core files above all, are not laid out in memory as their headers say.
	if ((type != ET_EXEC && type != ET_DYN) || table_ret->entry_size < segment_size(is_32bit))
		return -ENOEXEC;
	*is_32bit_ret = is_32bit;
	return pss_add(table_ret->address, address, &table_ret->address) < 0 ? -ENOEXEC : 0;
}

// The span of the loadable segments, and of them the one that maps the headers at @address.
static int scan_segments(struct window *window, const struct table *table, uint64_t address,
			 struct pss_image *image)
{
	struct segment segment;
	bool has_load = false;

	for (uint64_t i = 0; i < table->count; i++) {
		if (!get_segment(window, table, image->is_32bit, i, &segment))
			return -EFAULT;
		uint64_t end;
		if (pss_add(segment.address, segment.size, &end) < 0)
			return -ENOEXEC;
		if (segment.type == PT_DYNAMIC) {
			image->dynamic = segment.address;
			image->dynamic_size = segment.size;
		}
		if (segment.type != PT_LOAD)
			continue;
		if (!has_load || segment.address < image->low) {
			image->low = segment.address;
			image->bias = address - (segment.address - segment.offset);
		}
		if (!has_load || end > image->high)
			image->high = end;
		has_load = true;
	}
	return 0;
}

// Takes the build ID if the note at @address is one. False if the note can't be read.
static bool take_note(struct window *window, uint64_t address, uint64_t alignment,
		      struct pss_image *image, uint64_t *size_ret)
{
	Elf64_Nhdr note; // the same in both classes
	const void *bytes = window_get(window, address, sizeof note);

	if (!bytes)
		return false;
	memcpy(&note, bytes, sizeof note);
	uint64_t description = pss_align_up(sizeof note + (uint64_t)note.n_namesz, alignment);
	*size_ret = pss_align_up(description + note.n_descsz, alignment);
	if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != sizeof ELF_NOTE_GNU ||
	    note.n_descsz == 0 || note.n_descsz > sizeof image->build_id)
		return true;

	bytes = window_get(window, address, (size_t)description + note.n_descsz);
	if (!bytes)
		return false;
	if (memcmp((const char *)bytes + sizeof note, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0) {
		image->build_id_size = note.n_descsz;
		memcpy(image->build_id, (const char *)bytes + description, note.n_descsz);
	}
	return true;
}

static void scan_notes(struct window *window, uint64_t address, const struct segment *segment,
		       struct pss_image *image)
{
	uint64_t alignment = segment->alignment == 8 ? 8 : 4;
	uint64_t offset = 0;
	uint64_t size;

	while (image->build_id_size == 0 && offset < segment->file_size &&
	       segment->file_size - offset >= sizeof(Elf64_Nhdr)) {
		if (!take_note(window, address + offset, alignment, image, &size))
			return;
		offset += size;
	}
}

// @is_file: contents lie at their file offset, not where the segments are mapped.
static int read_image(int fd, uint64_t address, bool is_file, struct pss_image *ret)
{
	struct window window = { .fd = fd, .reads_left = WINDOW_READS };
	struct pss_image image = { 0 };
	struct segment segment;
	struct table table;
	int r = get_header(&window, address, &image.is_32bit, &table);

	if (r < 0)
		return r;
	r = scan_segments(&window, &table, address, &image);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < table.count && image.build_id_size == 0; i++) {
		if (!get_segment(&window, &table, image.is_32bit, i, &segment))
			break;
		if (segment.type == PT_NOTE)
			scan_notes(&window, is_file ? segment.offset : image.bias + segment.address,
				   &segment, &image);
	}
	*ret = image;
	return 0;
}

int pss_collect_image_read(int mem_fd, uint64_t address, struct pss_image *ret)
{
	return read_image(mem_fd, address, false, ret);
}

int pss_collect_image_read_file(int fd, struct pss_image *ret)
{
	return read_image(fd, 0, true, ret);
}

int pss_collect_image_read_headers(int mem_fd, uint64_t address, uint64_t count, bool is_32bit,
				   struct pss_image *ret)
{
	struct window window = { .fd = mem_fd, .reads_left = WINDOW_READS };
	struct table table = { address, count, segment_size(is_32bit) };
	struct pss_image image = { .is_32bit = is_32bit };
	struct segment segment;
	int r = scan_segments(&window, &table, 0, &image);

	if (r < 0)
		return r;
	// The headers say where they themselves were meant to be; a program at fixed addresses may
	// not.
	image.bias = 0;
	for (uint64_t i = 0; i < count; i++) {
		if (!get_segment(&window, &table, is_32bit, i, &segment))
			return -EFAULT;
		if (segment.type == PT_PHDR)
			image.bias = address - segment.address;
	}
	*ret = image;
	return 0;
}

static bool get_dynamic(struct window *window, uint64_t address, bool is_32bit, int64_t *tag_ret,
			uint64_t *value_ret)
{
	const void *bytes =
		window_get(window, address, is_32bit ? sizeof(Elf32_Dyn) : sizeof(Elf64_Dyn));

	if (!bytes)
		return false;
	if (is_32bit) {
		Elf32_Dyn entry;
		memcpy(&entry, bytes, sizeof entry);
		*tag_ret = entry.d_tag;
		*value_ret = entry.d_un.d_ptr;
	} else {
		Elf64_Dyn entry;
		memcpy(&entry, bytes, sizeof entry);
		*tag_ret = entry.d_tag;
		*value_ret = entry.d_un.d_ptr;
	}
	return true;
}

uint64_t pss_collect_image_debug(int mem_fd, const struct pss_image *image)
{
	struct window window = { .fd = mem_fd, .reads_left = WINDOW_READS };
	uint64_t entry_size = image->is_32bit ? sizeof(Elf32_Dyn) : sizeof(Elf64_Dyn);
	uint64_t count = image->dynamic_size / entry_size;
	uint64_t address = image->bias + image->dynamic;
	uint64_t value;
	int64_t tag;

	for (uint64_t i = 0; i < count; i++) {
		if (!get_dynamic(&window, address + i * entry_size, image->is_32bit, &tag,
				 &value) ||
		    tag == DT_NULL)
			return 0;
		if (tag == DT_DEBUG)
			return value;
	}
	return 0;
}
