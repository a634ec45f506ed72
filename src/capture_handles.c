// SPDX-License-Identifier: LGPL-2.1-or-later
// Reading the descriptors of the target, by a helper with a table of its own or by ourselves, and
// getting at the list of its sockets; see capture_handles.h.
#include "capture_handles.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	OPEN_PATIENCE_MS = 20000,
	READ_PATIENCE_MS = 5000, // the target stands meanwhile
	LOOK_PATIENCE_MS = 2000, // of all the files on servers, only the first is waited for
	DIAG_PATIENCE_S = 5,
};

// In the reader. What the list will take is touched now: a page that is new costs time, too.
static int open_all(void *context)
{
	struct pss_handles *handles = context;
	int r = pss_procfs_fds_open(AT_FDCWD, &handles->fds);

	if (r == 0)
		r = pss_procfs_fds_open_doors(&handles->fds, &handles->list);
	pss_buf_clear(&handles->list);
	if (r == 0)
		r = pss_buf_append(&handles->list, NULL, pss_procfs_fds_room(&handles->fds));
	pss_buf_clear(&handles->list);
	return r;
}

// Killed while a buffer moved, the reader leaves an address that is not ours any more.
static void forget_buffers(struct pss_handles *handles)
{
	handles->fds = PSS_PROCFS_FDS_EMPTY;
	handles->list = PSS_BUF_EMPTY;
}

void pss_handles_prepare(struct pss_handles *handles, const struct pss_target *target)
{
	int result = 0;

	if (pss_helper_aside_start(target->space_fd, &handles->reader) < 0)
		return;
	int r = pss_helper_aside_ask(&handles->reader, open_all, handles, OPEN_PATIENCE_MS,
				     &result);
	if (r < 0)
		forget_buffers(handles);
	if (r < 0 || result < 0)
		pss_handles_deinit(handles);
}

// In the reader.
static int read_all(void *context)
{
	struct pss_handles *handles = context;

	return pss_procfs_fds_read(&handles->fds, true, &handles->list);
}

static bool is_same_text(struct pss_text text, const char *bytes, ssize_t size)
{
	return size >= 0 && text.size == (size_t)size && memcmp(text.data, bytes, text.size) == 0;
}

// A descriptor of ours in the target's table. A thread that captures its own process may have left
// the table of the others: then the number says nothing, and the link tells.
static void drop_own(struct pss_buf *list, int fd)
{
	struct pss_procfs_fd_text entry;
	char path[48], link[64];

	if (fd < 0)
		return;
	(void)snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
	ssize_t size = readlink(path, link, sizeof link);
	for (size_t cursor = 0; pss_procfs_fds_next(list, &cursor, &entry);) {
		if (entry.head.fd != fd)
			continue;
		if (is_same_text(entry.link, link, size))
			pss_procfs_fds_drop(list, fd);
		return;
	}
}

static int read_ourselves(struct pss_handles *handles, const struct pss_target *target,
			  bool is_still)
{
	_cleanup_fds_ struct pss_procfs_fds fds = PSS_PROCFS_FDS_EMPTY;
	int r = pss_procfs_fds_open(target->space_fd, &fds);

	if (r == 0)
		r = pss_procfs_fds_read(&fds, is_still, &handles->list);
	if (r == 0 && target->caller_tid) {
		drop_own(&handles->list, fds.list_fd);
		drop_own(&handles->list, fds.info_fd);
	}
	return r;
}

// A process that has exited has no descriptors, and only root is shown so.
static bool has_exited(const struct pss_target *target, struct pss_buf *scratch)
{
	struct pss_procfs_stat stat;

	return pss_procfs_read_stat(target->space_fd, "stat", scratch, &stat) == 0 &&
	       (stat.state == 'Z' || stat.state == 'X');
}

int pss_handles_read(struct pss_handles *handles, const struct pss_target *target, bool is_still,
		     struct pss_diag *diag)
{
	int result = 0;
	int r = pss_helper_aside_ask(&handles->reader, read_all, handles, READ_PATIENCE_MS,
				     &result);

	if (r < 0)
		forget_buffers(handles);
	else
		r = result;
	if (r == -EOWNERDEAD)
		r = read_ourselves(handles, target, is_still);
	if ((r == -EACCES || r == -ENOENT) && has_exited(target, &handles->list)) {
		pss_buf_clear(&handles->list);
		r = 0;
	}
	if (r < 0)
		return pss_fail(diag, r, "cannot read the descriptors of process %d", target->pid);
	if (target->caller_tid) {
		drop_own(&handles->list, target->proc_fd);
		drop_own(&handles->list, target->space_fd);
		drop_own(&handles->list, target->mem_fd);
	}
	return 0;
}

struct diag_request {
	int space_fd;
	int fd;
};

static int open_diag(void)
{
	struct timeval patience = { .tv_sec = DIAG_PATIENCE_S };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return fd;
}

// In a helper: the namespace is a thread's own, the table of descriptors is ours.
static int open_diag_there(void *context)
{
	struct diag_request *request = context;
	_cleanup_close_ int ns = openat(request->space_fd, "ns/net", O_RDONLY | O_CLOEXEC);

	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		return -errno;
	request->fd = open_diag();
	return 0;
}

// A socket that tells of those in the target's network namespace, or a negative number: then they
// have no names.
static int open_diag_for(const struct pss_target *target)
{
	struct diag_request request = { .space_fd = target->space_fd, .fd = -EBADF };
	struct stat theirs, ours;
	int result;

	if (fstatat(target->space_fd, "ns/net", &theirs, 0) < 0 ||
	    stat("/proc/thread-self/ns/net", &ours) < 0)
		return -EBADF;
	if (theirs.st_ino == ours.st_ino && theirs.st_dev == ours.st_dev)
		return open_diag();
	(void)pss_helper_run(PSS_HELPER_PROCESS, open_diag_there, &request, NULL, &result);
	return request.fd;
}

// In the reader, whose folder it is.
static int look_there(void *context)
{
	struct pss_handles *handles = context;

	return pss_collect_handles_look(AT_FDCWD, handles->look.path, handles->look.mask,
					&handles->look.status);
}

static int look(void *context, const char *path, unsigned mask, struct statx *ret)
{
	struct pss_handles *handles = context;
	int result = 0;

	if (!handles->reader.shared)
		(void)pss_helper_aside_start(handles->look.dir_fd, &handles->reader);
	(void)snprintf(handles->look.path, sizeof handles->look.path, "%s", path);
	handles->look.mask = mask;
	int r = pss_helper_aside_ask(&handles->reader, look_there, handles, LOOK_PATIENCE_MS,
				     &result);
	if (r == -EOWNERDEAD)
		return pss_collect_handles_look(handles->look.dir_fd, path, mask, ret);
	if (r == 0)
		r = result;
	if (r == 0)
		*ret = handles->look.status;
	return r;
}

int pss_handles_describe(struct pss_handles *handles, const struct pss_target *target,
			 const struct pss_collect *context,
			 const struct pss_collect_handles_options *options)
{
	struct pss_collect_handles_options own_options = *options;
	struct pss_collect own = *context;
	int r;

	// Of the clone's table nothing is left.
	own.space_fd = target->space_fd;
	own_options.look = look;
	own_options.look_context = handles;
	handles->look.dir_fd = target->space_fd;
	r = pss_collect_handles(&own, &handles->list, &own_options);
	if (r < 0 || !options->with_names || !pss_collect_handles_has_sockets(&handles->list))
		return r;
	_cleanup_close_ int diag_fd = open_diag_for(target);
	return diag_fd < 0 ? 0 : pss_collect_handles_name_sockets(&own, diag_fd);
}

void pss_handles_deinit(struct pss_handles *handles)
{
	pss_helper_aside_end(&handles->reader);
	// Descriptors of the reader's own: not to be closed here.
	pss_buf_deinit(&handles->fds.numbers);
	pss_buf_deinit(&handles->fds.doors);
	pss_buf_deinit(&handles->list);
	*handles = PSS_HANDLES_EMPTY;
}
