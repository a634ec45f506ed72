// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading all descriptors of a process; see procfs_fds.h. A path in /proc costs more to walk than
// what is found there costs to read: hence the doors.
#include "procfs_fds.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"
#include "procfs_text.h"

enum {
	TEXT_ROOM = 4096,  // offered for a link or an fdinfo at first
	ENTRY_ROOM = 256,  // what one descriptor takes, by experience
	LIST_SIZE = 16384, // directory entries fetched at once
	PROBE_SIZE = 256,  // of a link to be compared
	ALIGNMENT = 8,
	// Each takes some 5 KB in the kernel. Of more, the rest is read by path.
	DOORS_MAX = 4096,
	// A process can have each of a million numbers lead to an epoll of a million files: such a
	// list is refused, before it is all our memory.
	LIST_MAX = 32 * 1024 * 1024, // and for each descriptor
	LIST_MAX_EACH = 1024,
};

// As getdents64(2) lays it out.
struct directory_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

int pss_procfs_fds_open(int dir_fd, struct pss_procfs_fds *ret)
{
	struct pss_procfs_fds fds = PSS_PROCFS_FDS_EMPTY;

	fds.list_fd = openat(dir_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fds.list_fd < 0)
		return -errno;
	fds.info_fd = openat(dir_fd, "fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fds.info_fd < 0) {
		int r = -errno;
		pss_procfs_fds_close(&fds);
		return r;
	}
	*ret = fds;
	return 0;
}

static size_t count_doors(const struct pss_procfs_fds *fds)
{
	return fds->doors.size / sizeof(struct pss_procfs_fd_door);
}

static struct pss_procfs_fd_door *door_at(const struct pss_procfs_fds *fds, size_t index)
{
	return (struct pss_procfs_fd_door *)(void *)fds->doors.data + index;
}

void pss_procfs_fds_close(struct pss_procfs_fds *fds)
{
	for (size_t i = 0; i < count_doors(fds); i++) {
		(void)pss_close(door_at(fds, i)->link_fd);
		(void)pss_close(door_at(fds, i)->info_fd);
	}
	pss_buf_deinit(&fds->doors);
	pss_buf_deinit(&fds->numbers);
	fds->list_fd = pss_close(fds->list_fd);
	fds->info_fd = pss_close(fds->info_fd);
}

static int add_number(const char *name, struct pss_buf *numbers)
{
	struct pss_text text = { name, strlen(name) };
	int32_t number;

	if (!text_take_int32(&text, &number) || text.size > 0)
		return 0; // . and ..
	return pss_buf_append(numbers, &number, sizeof number);
}

// All numbers that are open now, in ascending order, as the kernel goes through its table.
static int list_numbers(struct pss_procfs_fds *fds)
{
	_Alignas(struct directory_entry) char entries[LIST_SIZE];

	pss_buf_clear(&fds->numbers);
	if (lseek(fds->list_fd, 0, SEEK_SET) < 0)
		return -errno;
	for (;;) {
		long size = syscall(SYS_getdents64, fds->list_fd, entries, sizeof entries);
		if (size < 0)
			return -errno;
		if (size == 0)
			return 0;
		for (long offset = 0; offset < size;) {
			const struct directory_entry *entry = (const void *)(entries + offset);
			int r = add_number(entry->name, &fds->numbers);
			if (r < 0)
				return r;
			offset += entry->size;
		}
	}
}

static size_t count_numbers(const struct pss_procfs_fds *fds)
{
	return fds->numbers.size / sizeof(int32_t);
}

static int32_t number_at(const struct pss_procfs_fds *fds, size_t index)
{
	return ((const int32_t *)(const void *)fds->numbers.data)[index];
}

static int open_number(int folder_fd, int32_t number, int flags)
{
	char name[16];

	(void)snprintf(name, sizeof name, "%d", number);
	return openat(folder_fd, name, flags);
}

size_t pss_procfs_fds_room(const struct pss_procfs_fds *fds)
{
	return 2 * (size_t)TEXT_ROOM + count_numbers(fds) * ENTRY_ROOM;
}

// Appends what @door, or else the file of @fd, says; a text that fills the room may go on.
static int append_info(const struct pss_procfs_fds *fds, const struct pss_procfs_fd_door *door,
		       int32_t number, struct pss_buf *list)
{
	_cleanup_close_ int own = -EBADF;
	int fd = door ? door->info_fd : -EBADF;
	size_t room = TEXT_ROOM;
	ssize_t size;

	if (fd < 0) {
		own = open_number(fds->info_fd, number, O_RDONLY | O_CLOEXEC);
		fd = own;
	}
	if (fd < 0)
		return -errno;
	off_t offset = 0;
	do {
		int r = pss_buf_reserve(list, room);
		if (r < 0)
			return r;
		room = list->capacity - list->size;
		// Made anew by each reading from the start, as the descriptor is then.
		size = pread(fd, list->data + list->size, room, offset);
		if (size < 0)
			return -errno;
		list->size += (size_t)size;
		offset += size;
	} while ((size_t)size == room);
	return 0;
}

static int append_link(const struct pss_procfs_fds *fds, const struct pss_procfs_fd_door *door,
		       int32_t number, struct pss_buf *list)
{
	bool has_door = door && door->link_fd >= 0;
	char name[16];

	if (!has_door)
		(void)snprintf(name, sizeof name, "%d", number);

	for (size_t room = TEXT_ROOM;; room *= 2) {
		int r = pss_buf_reserve(list, room);
		if (r < 0)
			return r;
		char *text = (char *)list->data + list->size;
		ssize_t size = has_door ? readlinkat(door->link_fd, "", text, room)
					: readlinkat(fds->list_fd, name, text, room);
		if (size < 0)
			return -errno;
		// As long as the room: it may have been cut.
		if ((size_t)size < room) {
			list->size += (size_t)size;
			return 0;
		}
	}
}

// Whether the info says that @door leads where it led when its link was read.
static bool is_known(const struct pss_procfs_fd_door *door, const uint8_t *info, size_t size)
{
	return door && door->identity_size > 0 &&
	       memmem(info, size, door->identity, door->identity_size);
}

// Appends info and link of a descriptor. -ENOENT if it is not open any more. An fdinfo that may not
// be read is empty.
static int append_texts(const struct pss_procfs_fds *fds, const struct pss_procfs_fd_door *door,
			struct pss_buf *list, struct pss_procfs_fd *head)
{
	size_t start = list->size;
	int r = append_info(fds, door, head->fd, list);

	if (r == -ENOENT || r == -ENOMEM)
		return r;
	if (r < 0)
		list->size = start;
	head->info_size = (uint32_t)(list->size - start);
	size_t end = list->size;
	if (is_known(door, list->data + start, head->info_size))
		r = pss_buf_append(list, door->link, door->link_size);
	else
		r = append_link(fds, door, head->fd, list);
	// A path may be longer than the kernel tells: then it is not known, but open all the same.
	if (r == -ENAMETOOLONG)
		r = 0;
	head->link_size = (uint32_t)(list->size - end);
	return r;
}

// Between two readings a number may be given to another file: @text is read of one file if the link
// was the same before and after. @probe is the link before.
static bool is_of_one_file(const struct pss_buf *list, const struct pss_procfs_fd *head,
			   const char *probe, ssize_t probe_size)
{
	const uint8_t *link = list->data + list->size - head->link_size;
	size_t size = head->link_size < PROBE_SIZE ? head->link_size : PROBE_SIZE;

	return probe_size >= 0 && (size_t)probe_size == size && memcmp(link, probe, size) == 0;
}

static int add_moving_entry(const struct pss_procfs_fds *fds, int32_t fd, struct pss_buf *list,
			    struct pss_procfs_fd *head)
{
	enum { TRIES = 5 };
	size_t start = list->size;
	char probe[PROBE_SIZE], name[16];
	ssize_t probe_size;
	int r;

	(void)snprintf(name, sizeof name, "%d", fd);
	for (int i = 0; i < TRIES; i++) {
		list->size = start;
		head->realtime_ns = pss_clock_ns(CLOCK_REALTIME);
		probe_size = readlinkat(fds->list_fd, name, probe, sizeof probe);
		r = append_texts(fds, NULL, list, head);
		if (r < 0 || is_of_one_file(list, head, probe, probe_size))
			break;
	}
	return r;
}

static int add_entry(const struct pss_procfs_fds *fds, int32_t fd,
		     const struct pss_procfs_fd_door *door, bool is_still, struct pss_buf *list)
{
	size_t start = list->size;
	struct pss_procfs_fd head = { .fd = fd };
	int r = pss_buf_append(list, &head, sizeof head);

	if (r < 0)
		return r;
	if (is_still)
		r = append_texts(fds, door, list, &head);
	else
		r = add_moving_entry(fds, fd, list, &head);
	memcpy(list->data + start, &head, sizeof head);
	if (r == 0)
		return pss_buf_align(list, ALIGNMENT);
	list->size = start;
	return r == -ENOENT ? 0 : r; // it has been closed
}

// What makes a socket or pipe known: "mnt_id:	10\nino:	3920542\n", if its link has that
// number.
static void remember(struct pss_procfs_fd_door *door, struct pss_text info, struct pss_text link)
{
	const char *begin = memmem(info.data, info.size, "mnt_id:", 7);
	const char *number = link.size ? memchr(link.data, '[', link.size) : NULL;
	struct pss_text rest = { begin, begin ? info.size - (size_t)(begin - info.data) : 0 };
	struct pss_text mount, inode;

	if (!begin || !number || link.size > sizeof door->link ||
	    (memcmp(link.data, "pipe:", 5) != 0 && memcmp(link.data, "socket:", 7) != 0) ||
	    !text_take_line(&rest, &mount) || !text_take_line(&rest, &inode) ||
	    !text_take_prefix(&inode, "ino:\t"))
		return;
	// From one bracket to the other.
	size_t digits = link.size - (size_t)(number + 1 - link.data) - 1;
	size_t size = (size_t)(rest.data - begin);
	if (inode.size != digits || memcmp(inode.data, number + 1, digits) != 0 ||
	    size > sizeof door->identity)
		return;
	memcpy(door->identity, begin, size);
	memcpy(door->link, link.data, link.size);
	door->identity_size = (uint8_t)size;
	door->link_size = (uint8_t)link.size;
}

// The first reading of an fdinfo takes memory in the kernel that the later ones find. -EMFILE:
// there is room for no more doors.
static int open_door(const struct pss_procfs_fds *fds, struct pss_procfs_fd_door *door,
		     struct pss_buf *scratch)
{
	struct pss_procfs_fd_text text;
	size_t cursor = 0;

	door->link_fd = open_number(fds->list_fd, door->fd, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	door->info_fd = open_number(fds->info_fd, door->fd, O_RDONLY | O_CLOEXEC);
	if (door->info_fd < 0 && (errno == EMFILE || errno == ENFILE))
		return -EMFILE;
	pss_buf_clear(scratch);
	int r = add_entry(fds, door->fd, door, true, scratch);
	if (r == 0 && pss_procfs_fds_next(scratch, &cursor, &text))
		remember(door, text.info, text.link);
	if (door->identity_size > 0)
		door->link_fd = pss_close(door->link_fd);
	return r;
}

int pss_procfs_fds_open_doors(struct pss_procfs_fds *fds, struct pss_buf *scratch)
{
	int r = list_numbers(fds);

	for (size_t i = 0; r == 0 && i < count_numbers(fds) && i < DOORS_MAX; i++) {
		struct pss_procfs_fd_door door = { .fd = number_at(fds, i) };

		r = open_door(fds, &door, scratch);
		if (r == 0)
			r = pss_buf_append(&fds->doors, &door, sizeof door);
		if (r == 0)
			continue;
		(void)pss_close(door.link_fd);
		(void)pss_close(door.info_fd);
	}
	return r == -EMFILE ? 0 : r;
}

int pss_procfs_fds_read(struct pss_procfs_fds *fds, bool is_still, struct pss_buf *list)
{
	int r = list_numbers(fds);
	size_t limit = LIST_MAX + count_numbers(fds) * LIST_MAX_EACH;
	size_t next = 0;

	pss_buf_clear(list);
	for (size_t i = 0; r == 0 && i < count_numbers(fds); i++) {
		int32_t fd = number_at(fds, i);

		while (next < count_doors(fds) && door_at(fds, next)->fd < fd)
			next++;
		bool has_door = next < count_doors(fds) && door_at(fds, next)->fd == fd;
		if (list->size > limit)
			return -ENOMEM;
		r = add_entry(fds, fd, has_door ? door_at(fds, next) : NULL, is_still, list);
	}
	return r;
}

static size_t entry_size(const struct pss_procfs_fd *head)
{
	return pss_align_up(sizeof *head + (size_t)head->link_size + head->info_size, ALIGNMENT);
}

bool pss_procfs_fds_next(const struct pss_buf *list, size_t *cursor, struct pss_procfs_fd_text *ret)
{
	if (*cursor >= list->size)
		return false;
	const uint8_t *at = list->data + *cursor;
	memcpy(&ret->head, at, sizeof ret->head);
	ret->info = (struct pss_text){ (const char *)at + sizeof ret->head, ret->head.info_size };
	ret->link = (struct pss_text){ ret->info.data + ret->info.size, ret->head.link_size };
	*cursor += entry_size(&ret->head);
	return true;
}

void pss_procfs_fds_drop(struct pss_buf *list, int fd)
{
	struct pss_procfs_fd_text entry;
	size_t start = 0;

	for (size_t cursor = 0; pss_procfs_fds_next(list, &cursor, &entry); start = cursor) {
		if (entry.head.fd != fd)
			continue;
		memmove(list->data + start, list->data + cursor, list->size - cursor);
		list->size -= cursor - start;
		return;
	}
}
