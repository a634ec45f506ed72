// SPDX-License-Identifier: LGPL-2.1-or-later
// The descriptors of a process as /proc shows them: read raw while there is no time to understand
// them, taken apart later.
#ifndef PSS_PROCFS_FDS_H
#define PSS_PROCFS_FDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "procfs.h"

/**
 * One descriptor in a list of them. The text of its fdinfo and then its link follow, then padding
 * to a multiple of 8.
 */
struct pss_procfs_fd {
	int32_t fd;
	uint32_t link_size; /**< 0: too long for the kernel */
	uint32_t info_size; /**< 0: it could not be read */
	uint32_t reserved;
	uint64_t realtime_ns; /**< when it was read, or 0 if that was while all stood still */
};

enum {
	PSS_FD_LINK_MAX = 40,
	PSS_FD_IDENTITY_MAX = 56,
};

/** What was opened ahead to read one descriptor by, so that reading it is two calls, or one. */
struct pss_procfs_fd_door {
	int32_t fd;
	int32_t link_fd; /**< O_PATH on the link itself, or negative: not opened, or not needed */
	int32_t info_fd;
	/**
	 * Sockets and pipes are known by mount and inode alone, and their link says no more. As
	 * long as the fdinfo has these bytes in it, the link is that one. Size 0: another kind.
	 */
	uint8_t identity_size;
	uint8_t link_size;
	char identity[PSS_FD_IDENTITY_MAX];
	char link[PSS_FD_LINK_MAX];
};

/** Where to read: the folders fd and fdinfo of one task. */
struct pss_procfs_fds {
	int list_fd; /**< "fd" for reading */
	int info_fd; /**< "fdinfo", O_PATH */
	struct pss_buf numbers;
	struct pss_buf doors; /**< struct pss_procfs_fd_door by number, or empty */
};

#define PSS_PROCFS_FDS_EMPTY ((struct pss_procfs_fds){ .list_fd = -EBADF, .info_fd = -EBADF })

/** Opens the folders under @dir_fd, a /proc/PID or AT_FDCWD within one. Errors of openat(2). */
int pss_procfs_fds_open(int dir_fd, struct pss_procfs_fds *ret);

/** Closes the folders and, if there are any, all doors. */
void pss_procfs_fds_close(struct pss_procfs_fds *fds);

#define _cleanup_fds_ _cleanup_(pss_procfs_fds_close)

/**
 * Opens doors for the descriptors that there are now, up to two of our own for each, and goes
 * through each once, @scratch losing its contents: then the kernel has its memory for it. Where no
 * more can be opened, those that are left will be read without. 0, -ENOMEM, errors of reading the
 * folder.
 */
int pss_procfs_fds_open_doors(struct pss_procfs_fds *fds, struct pss_buf *scratch);

/**
 * Replaces the contents of @list by all descriptors there are, by number. One that is closed before
 * we come to it is not among them. Unless the process @is_still, each is looked at twice, so that
 * an entry is of one file. 0, -ENOMEM, errors of reading the folder.
 */
int pss_procfs_fds_read(struct pss_procfs_fds *fds, bool is_still, struct pss_buf *list);

/** Bytes that a list of this process may need: to be reserved while there is time. */
size_t pss_procfs_fds_room(const struct pss_procfs_fds *fds);

/** Drops @fd, which is our own, from a list. */
void pss_procfs_fds_drop(struct pss_buf *list, int fd);

/** An entry of a list, with what follows it. */
struct pss_procfs_fd_text {
	struct pss_procfs_fd head;
	struct pss_text link;
	struct pss_text info;
};

/** The entry at *cursor, 0 at first; moves *cursor on. False at the end. */
bool pss_procfs_fds_next(const struct pss_buf *list, size_t *cursor,
			 struct pss_procfs_fd_text *ret);

/** What the text of an fdinfo may say. */
enum pss_procfs_fdinfo_field {
	PSS_FDINFO_INODE = 1 << 0,
	PSS_FDINFO_COUNT = 1 << 1,
	PSS_FDINFO_PID = 1 << 2,
	PSS_FDINFO_CLOCK = 1 << 3,
	PSS_FDINFO_BPF = 1 << 4,
};

struct pss_procfs_fdinfo {
	uint32_t fields; /**< enum pss_procfs_fdinfo_field: which of those below are known */
	uint32_t flags;  /**< O_* */
	uint64_t position;
	uint32_t mount_id;
	bool is_semaphore; /**< eventfd with EFD_SEMAPHORE; kernels before 6.5 do not tell */
	uint64_t inode;    /**< since 5.14 */
	uint64_t count;    /**< of an eventfd */
	int32_t pid;       /**< of a pidfd; -1: reaped, 0: not in our pid namespace */
	int32_t clock;     /**< of a timerfd */
	uint64_t bpf_id;   /**< of a BPF object */
};

/** -EBADMSG if the text has no flags, or a number in it is none. Unknown lines are skipped. */
int pss_procfs_parse_fdinfo(const char *text, size_t size, struct pss_procfs_fdinfo *ret);

#endif
