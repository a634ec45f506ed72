// SPDX-License-Identifier: LGPL-2.1-or-later
// Opens the clone's memory, once it is proven to be this section's clone, and reads it. Reading
// never writes to the clone, and never reaches another process: the descriptors pin its address
// space.
#include "memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/cleanup.h"
#include "procfs.h"

enum { FD_PATH_SIZE = 32, MAPPING_PATH_SIZE = 64 };

// 0 if the process behind @dir_fd was started at that tick, still runs, and calls itself a clone.
static int check_start(int dir_fd, const struct pss_clone_record *clone)
{
	struct pss_procfs_stat stat;
	int r = pss_procfs_read_stat(dir_fd, "stat", NULL, &stat);

	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	if (stat.start_ticks != clone->start_ticks || stat.state == 'Z' || stat.state == 'X')
		return -ESRCH;
	// Whoever is sent a section holds it, and may be named in it by who wants him read or
	// ended.
	if (stat.comm_size != sizeof PSS_CLONE_NAME - 1 ||
	    memcmp(stat.comm, PSS_CLONE_NAME, stat.comm_size) != 0 ||
	    clone->section_fd != PSS_CLONE_SECTION_FD)
		return -ESRCH;
	return 0;
}

// 0 if it holds the section under the number that the section says.
static int check_section(int dir_fd, const struct pss_clone_record *clone,
			 const struct pss_section *section)
{
	char path[FD_PATH_SIZE];
	struct stat st;

	(void)snprintf(path, sizeof path, "fd/%d", clone->section_fd);
	if (fstatat(dir_fd, path, &st, 0) < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	return st.st_dev == section->device && st.st_ino == section->inode ? 0 : -ESRCH;
}

static int open_file(int dir_fd, const char *path, int *fd_ret)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	*fd_ret = fd;
	return 0;
}

// The folder itself is always the effective user's, of a zombie and of what can't be dumped as
// well.
int pss_memory_check_owner(int dir_fd, const struct pss_section *section)
{
	struct stat st;

	if (section->owner == 0 || section->owner == geteuid())
		return 0;
	if (fstat(dir_fd, &st) < 0)
		return -errno;
	return st.st_uid == section->owner ? 0 : -ESRCH;
}

static int check_clone(int dir_fd, const struct pss_clone_record *clone,
		       const struct pss_section *section)
{
	int r = check_start(dir_fd, clone);

	if (r == 0)
		r = check_section(dir_fd, clone, section);
	return r < 0 ? r : pss_memory_check_owner(dir_fd, section);
}

static int open_checked(const struct pss_section *section, const struct pss_clone_record *clone,
			struct pss_memory *memory)
{
	int r = pss_procfs_open(clone->pid, &memory->dir_fd);
	if (r == 0)
		r = check_clone(memory->dir_fd, clone, section);
	if (r == 0)
		r = open_file(memory->dir_fd, "mem", &memory->mem_fd);
	if (r == 0)
		r = open_file(memory->dir_fd, "pagemap", &memory->pagemap_fd);
	// Once more: what has passed may have become a program of another user by execve since.
	if (r == 0)
		r = check_clone(memory->dir_fd, clone, section);
	// Its files in /proc are root's alone once a process has given up its memory.
	return r == -EACCES && pss_procfs_is_dying(memory->dir_fd) ? -ESRCH : r;
}

int pss_memory_open_clone(const struct pss_section *section, struct pss_diag *diag,
			  struct pss_memory *ret)
{
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	const struct pss_clone_record *clone = pss_section_clone(section);

	if (!clone)
		return pss_fail(diag, -ENOENT, "the snapshot was taken without a clone");
	int r = open_checked(section, clone, &memory);
	if (r == -ESRCH) {
		(void)pss_fail(diag, r, "the clone of process %d, process %d, is gone",
			       pss_section_process(section)->pid, clone->pid);
		pss_diag_hint(diag, "it was killed, perhaps for want of memory; capture again");
	}
	if (r < 0)
		return pss_fail(diag, r, "cannot open the memory of clone %d", clone->pid);

	memory.section = section;
	*ret = memory;
	memory = PSS_MEMORY_EMPTY;
	return 0;
}

void pss_memory_close(struct pss_memory *memory)
{
	if (!memory)
		return;
	(void)pss_close(memory->mem_fd);
	(void)pss_close(memory->pagemap_fd);
	(void)pss_close(memory->dir_fd);
	*memory = PSS_MEMORY_EMPTY;
}

static void apply_patch(const struct pss_memory *memory, const struct pss_patch_record *patch,
			uint64_t address, uint8_t *buffer, size_t size)
{
	uint64_t patch_end;
	const void *bytes;

	if (pss_section_bytes(memory->section, patch->bytes, &bytes) < 0 ||
	    pss_add(patch->address, patch->bytes.size, &patch_end) < 0)
		return;

	uint64_t start = patch->address > address ? patch->address : address;
	uint64_t end = patch_end < address + size ? patch_end : address + size;
	if (start >= end)
		return;
	memcpy(buffer + (start - address), (const uint8_t *)bytes + (start - patch->address),
	       end - start);
}

// Last to first: where two overlap, the bytes saved first are the target's own.
static void apply_patches(const struct pss_memory *memory, uint64_t address, uint8_t *buffer,
			  size_t size)
{
	if (!memory->section)
		return;
	for (uint32_t i = pss_section_count(memory->section, PSS_PART_PATCHES); i-- > 0;)
		apply_patch(memory, pss_section_patch(memory->section, i), address, buffer, size);
}

// A page that the clone could not be given, from the section. 0 if it has none for @address.
static size_t read_aux_page(const struct pss_memory *memory, uint64_t address, void *buffer,
			    size_t size)
{
	if (!memory->section)
		return 0;
	for (uint32_t i = 0; i < pss_section_count(memory->section, PSS_PART_AUX_PAGES); i++) {
		const struct pss_aux_page_record *page = pss_section_aux_page(memory->section, i);
		const void *bytes;

		if (address < page->address || address - page->address >= page->contents.size ||
		    pss_section_bytes(memory->section, page->contents, &bytes) < 0)
			continue;
		uint64_t offset = address - page->address;
		size_t n = page->contents.size - offset;
		n = n < size ? n : size;
		memcpy(buffer, (const uint8_t *)bytes + offset, n);
		return n;
	}
	return 0;
}

int pss_memory_read(const struct pss_memory *memory, uint64_t address, void *buffer, size_t size,
		    size_t *done_ret)
{
	uint8_t *to = buffer;
	size_t done = 0;
	uint64_t end;
	int r = 0;

	if (pss_add(address, size, &end) < 0) {
		*done_ret = 0;
		return -EFAULT;
	}
	// A read ends early before a page it cannot have, and where the kernel felt like it: only
	// the next one, which begins there, tells which it was.
	while (r == 0 && done < size) {
		ssize_t n = pread(memory->mem_fd, to + done, size - done, (off_t)(address + done));

		if (n > 0) {
			done += (size_t)n;
		} else if (n == 0) {
			return -ESRCH; // the address space is gone
		} else if (errno == EIO || errno == EFAULT || errno == EINVAL) {
			// EINVAL: an address in the upper half
			size_t kept = read_aux_page(memory, address + done, to + done, size - done);
			done += kept;
			r = kept > 0 ? 0 : -EFAULT;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	apply_patches(memory, address, to, done);
	*done_ret = done;
	return r;
}

int pss_memory_open_mapping(const struct pss_memory *memory, uint64_t start, uint64_t end,
			    int *fd_ret)
{
	char path[MAPPING_PATH_SIZE];

	(void)snprintf(path, sizeof path, "map_files/%llx-%llx", (unsigned long long)start,
		       (unsigned long long)end);
	// Not open_file(): without such a mapping there is no such name, and the clone may be well.
	int fd = openat(memory->dir_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*fd_ret = fd;
	return 0;
}

int pss_memory_extent(const struct pss_memory *memory, uint64_t *bytes_ret)
{
	int r = pss_procfs_read_space_size(memory->dir_fd, NULL, bytes_ret);

	return r == -ENOENT ? -ESRCH : r;
}

int pss_memory_fail(const struct pss_section *section, int error, struct pss_diag *diag)
{
	const struct pss_clone_record *clone = pss_section_clone(section);

	if (error != -ESRCH)
		return pss_fail(diag, error, "cannot read the snapshot's memory");
	(void)pss_fail(diag, error, "the clone, process %d, was killed while its memory was read",
		       clone ? clone->pid : 0);
	pss_diag_hint(diag, "perhaps for want of memory; the snapshot is lost, capture again");
	return error;
}
