// SPDX-License-Identifier: LGPL-2.1-or-later
// Getting at the files of /proc: whole files, links and lists of numbers under a directory
// descriptor. What their text means is procfs_parse.c and procfs_maps.c.
#include "procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "procfs_text.h"

enum {
	READ_SIZE = 4096, // room offered to each read, at least
	LIST_SIZE = 8192, // directory entries fetched at once
};

// As getdents64(2) lays it out; <dirent.h> names it differently from libc to libc.
struct directory_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

// A /proc/PID directory whose process is gone says ENOENT to everything, as a missing file does.
static int open_failed(int dir_fd, const char *path, int error)
{
	struct stat status;

	if (error == -ENOENT && path[0] != '/' && fstatat(dir_fd, "stat", &status, 0) < 0)
		return -ESRCH;
	return error;
}

static int open_under(int dir_fd, const char *path, int flags, int *fd_ret)
{
	int fd;

	do {
		fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | flags);
	} while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return open_failed(dir_fd, path, -errno);
	*fd_ret = fd;
	return 0;
}

int pss_procfs_open(pid_t pid, int *fd_ret)
{
	char path[32];
	int r;

	if (pid <= 0)
		return -ESRCH;
	(void)snprintf(path, sizeof path, "/proc/%d", pid);
	r = open_under(AT_FDCWD, path, O_DIRECTORY, fd_ret);
	return r == -ENOENT ? -ESRCH : r;
}

// Appends what one read gives; *size_ret is 0 at the end of the file.
static int read_more(int fd, struct pss_buf *buf, size_t *size_ret)
{
	ssize_t size;
	int r = pss_buf_reserve(buf, READ_SIZE);

	if (r < 0)
		return r;
	do {
		size = read(fd, buf->data + buf->size, buf->capacity - buf->size);
	} while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	buf->size += (size_t)size;
	*size_ret = (size_t)size;
	return 0;
}

int pss_procfs_read(int dir_fd, const char *path, struct pss_buf *buf)
{
	_cleanup_close_ int fd = -EBADF;
	size_t size = 0;
	int r;

	pss_buf_clear(buf);
	r = open_under(dir_fd, path, 0, &fd);
	if (r < 0)
		return r;
	do {
		r = read_more(fd, buf, &size);
	} while (r == 0 && size > 0);
	return r;
}

int pss_procfs_read_link(int dir_fd, const char *path, struct pss_buf *buf)
{
	for (size_t room = READ_SIZE;; room *= 2) {
		pss_buf_clear(buf);
		int r = pss_buf_reserve(buf, room);
		if (r < 0)
			return r;

		ssize_t size = readlinkat(dir_fd, path, (char *)buf->data, buf->capacity);
		if (size < 0)
			return open_failed(dir_fd, path, -errno);
		// As long as the room: it may have been cut.
		if ((size_t)size < buf->capacity) {
			buf->size = (size_t)size;
			return 0;
		}
	}
}

int pss_procfs_read_stat(int dir_fd, const char *path, struct pss_buf *scratch,
			 struct pss_procfs_stat *ret)
{
	_cleanup_buf_ struct pss_buf own = PSS_BUF_EMPTY;
	struct pss_buf *text = scratch ? scratch : &own;
	int r = pss_procfs_read(dir_fd, path, text);

	return r < 0 ? r : pss_procfs_parse_stat((const char *)text->data, text->size, ret);
}

int pss_procfs_read_space_size(int dir_fd, struct pss_buf *scratch, uint64_t *bytes_ret)
{
	_cleanup_buf_ struct pss_buf own = PSS_BUF_EMPTY;
	struct pss_buf *text = scratch ? scratch : &own;
	uint64_t pages;
	int r = pss_procfs_read(dir_fd, "statm", text);

	if (r < 0)
		return r;
	const char *start = (const char *)text->data;
	const char *end = text->size ? memchr(start, ' ', text->size) : NULL;
	if (!end)
		return -EBADMSG;
	r = pss_procfs_parse_number(start, (size_t)(end - start), 10, &pages);
	return r < 0 ? r : pss_mul(pages, (uint64_t)sysconf(_SC_PAGESIZE), bytes_ret);
}

bool pss_procfs_is_dying(int dir_fd)
{
	char byte;

	return readlinkat(dir_fd, "exe", &byte, 1) < 0 && (errno == ENOENT || errno == ESRCH);
}

static int add_numeric(const char *name, struct pss_buf *buf)
{
	struct pss_text text = { name, strlen(name) };
	int32_t number;

	if (text_digit(name[0]) > 9 || !text_take_int32(&text, &number) || text.size > 0)
		return 0;
	return pss_buf_append(buf, &number, sizeof number);
}

// readdir() would call malloc.
int pss_procfs_list(int dir_fd, const char *path, struct pss_buf *buf)
{
	_Alignas(struct directory_entry) char entries[LIST_SIZE];
	_cleanup_close_ int fd = -EBADF;
	int r;

	pss_buf_clear(buf);
	r = open_under(dir_fd, path, O_DIRECTORY, &fd);
	if (r < 0)
		return r;
	for (;;) {
		long size = syscall(SYS_getdents64, fd, entries, sizeof entries);
		if (size < 0)
			return -errno;
		if (size == 0)
			return 0;
		for (long offset = 0; offset < size;) {
			const struct directory_entry *entry = (const void *)(entries + offset);
			r = add_numeric(entry->name, buf);
			if (r < 0)
				return r;
			offset += entry->size;
		}
	}
}

int pss_procfs_maps_open(int dir_fd, const char *path, struct pss_buf *buf,
			 struct pss_procfs_maps *ret)
{
	int fd;
	int r = open_under(dir_fd, path, 0, &fd);

	if (r < 0)
		return r;
	pss_buf_clear(buf);
	*ret = (struct pss_procfs_maps){ .fd = fd, .buf = buf };
	return 0;
}

void pss_procfs_maps_close(struct pss_procfs_maps *maps)
{
	maps->fd = pss_close(maps->fd);
}

// The unread part of what the buffer holds, up to the end of its last complete line.
static struct pss_text unread_lines(const struct pss_procfs_maps *maps)
{
	const char *data = (const char *)maps->buf->data + maps->position;
	size_t size = maps->buf->size - maps->position;
	const char *newline = size && !maps->is_at_end ? memrchr(data, '\n', size) : NULL;

	if (!maps->is_at_end)
		size = newline ? (size_t)(newline - data) + 1 : 0;
	return (struct pss_text){ data, size };
}

static int refill(struct pss_procfs_maps *maps)
{
	struct pss_buf *buf = maps->buf;
	size_t size = 0;
	int r;

	if (maps->position > 0)
		memmove(buf->data, buf->data + maps->position, buf->size - maps->position);
	buf->size -= maps->position;
	maps->position = 0;
	r = read_more(maps->fd, buf, &size);
	if (r == 0 && size == 0)
		maps->is_at_end = true;
	return r;
}

int pss_procfs_maps_next(struct pss_procfs_maps *maps, struct pss_procfs_map *ret)
{
	for (;;) {
		struct pss_text lines = unread_lines(maps);
		struct pss_text rest = lines;
		struct pss_procfs_map map;
		int r = pss_procfs_next_map(&rest, &map);

		// Only what comes after a mapping tells that no more lines belong to it.
		if (maps->is_at_end || (r == 0 && rest.size > 0) || r == -EBADMSG) {
			maps->position += lines.size - rest.size;
			if (r == 0)
				*ret = map;
			return r;
		}
		r = refill(maps);
		if (r < 0)
			return r;
	}
}

int pss_procfs_boot_time(struct pss_buf *scratch, uint64_t *seconds_ret)
{
	// The kernel's btime is the whole seconds of (real time - time since boot). A reading of
	// one clock between two of the other brackets that difference; the margin is for rounding.
	const int64_t margin = 1000, second = (int64_t)NS_PER_SECOND;
	int64_t before = (int64_t)pss_clock_ns(CLOCK_BOOTTIME);
	int64_t now = (int64_t)pss_clock_ns(CLOCK_REALTIME);
	int64_t after = (int64_t)pss_clock_ns(CLOCK_BOOTTIME);
	int64_t low = now - after - margin;
	int64_t high = now - before + margin;

	if (low > 0 && low / second == high / second) {
		*seconds_ret = (uint64_t)(low / second);
		return 0;
	}

	int r = pss_procfs_read(AT_FDCWD, "/proc/stat", scratch);
	if (r < 0)
		return r;
	return pss_procfs_parse_boot_time((const char *)scratch->data, scratch->size, seconds_ret);
}

int pss_procfs_pid_of_pidfd(int pidfd, pid_t *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	char path[48];
	int32_t pid;
	int r;

	if (pidfd < 0)
		return -EBADF;
	(void)snprintf(path, sizeof path, "/proc/self/fdinfo/%d", pidfd);
	r = pss_procfs_read(AT_FDCWD, path, &text);
	if (r == -ENOENT) // of the number, or of all of /proc
		return access("/proc/self", F_OK) < 0 ? -EOPNOTSUPP : -EBADF;
	if (r < 0)
		return r;
	if (pss_procfs_parse_fdinfo_pid((const char *)text.data, text.size, &pid) < 0)
		return -EBADF;
	if (pid <= 0)
		return -ESRCH;
	*ret = pid;
	return 0;
}
