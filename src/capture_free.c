// SPDX-License-Identifier: LGPL-2.1-or-later
// The end of a snapshot: what is to be known before a descriptor of the section is closed, and, if
// that was its last duplicate, seeing the clone out and having its zombie reaped afterwards.
#include "capture_free.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "capture.h"
#include "capture_target.h"
#include "clone.h"
#include "memory.h"
#include "procfs.h"
#include "section.h"

enum { EXIT_DEADLINE_MS = 10000 };

static int read_stat_of(pid_t pid, struct pss_procfs_stat *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	_cleanup_close_ int fd = -EBADF;
	int r = pss_procfs_open(pid, &fd);

	if (r == 0)
		r = pss_procfs_read(fd, "stat", &text);
	if (r == 0)
		r = pss_procfs_parse_stat((const char *)text.data, text.size, ret);
	return r;
}

// Whether the clone's number is that of a process that is no clone of this section. A process that
// is dying gives up its memory, and with it the link to its program, before its descriptors: the
// clone itself may hold the section no more, but has lost that link then.
static bool is_another(const struct pss_section *section, pid_t pid)
{
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	_cleanup_close_ int fd = -EBADF;
	struct pss_diag diag = { 0 };
	char byte;

	return pss_memory_open_clone(section, &diag, &memory) == -ESRCH &&
	       pss_procfs_open(pid, &fd) == 0 && readlinkat(fd, "exe", &byte, 1) >= 0;
}

static int prepare(int section_fd, struct pss_capture_free *ending)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	struct pss_procfs_stat stat;
	char path[32];
	int r = pss_section_open(section_fd, &section);

	if (r < 0)
		return r;
	if (!pss_section_clone(&section))
		return -ENOENT;
	ending->clone = *pss_section_clone(&section);
	ending->target_pid = pss_section_process(&section)->pid;
	ending->target_start_ticks = pss_section_process(&section)->start_ticks;
	ending->clone_pidfd = (int)syscall(SYS_pidfd_open, ending->clone.pid, 0);
	if (ending->clone_pidfd < 0)
		return -errno;
	// After the pidfd: if the start time is the clone's, so is the pidfd.
	r = read_stat_of(ending->clone.pid, &stat);
	// A section may come from somebody who names another process: it is not waited for.
	if (r == 0 && (stat.start_ticks != ending->clone.start_ticks || stat.exit_signal != 0 ||
		       is_another(&section, ending->clone.pid)))
		r = -ESRCH;
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", section_fd);
	ending->probe_fd = open(path, O_RDONLY | O_CLOEXEC);
	return ending->probe_fd < 0 ? -errno : 0;
}

// Parked clones wait for a shared lock: it is to be had once the last duplicate is closed.
static bool was_last(const struct pss_capture_free *ending)
{
	return flock(ending->probe_fd, LOCK_SH | LOCK_NB) == 0;
}

static bool wait_for_exit(const struct pss_capture_free *ending)
{
	struct pollfd event = { .fd = ending->clone_pidfd, .events = POLLIN };
	int r;

	do
		r = poll(&event, 1, EXIT_DEADLINE_MS);
	while (r < 0 && errno == EINTR);
	return r == 1;
}

// Whoever is the zombie's parent reaps it: we ourselves, or the target by a call that it makes for
// us. If the target has gone, its heir does without being asked.
static void reap(const struct pss_capture_free *ending)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	struct pss_procfs_stat stat = { 0 };
	pid_t own_pid;

	if (!pss_clone_is_zombie(ending->clone.pid, &own_pid) ||
	    read_stat_of(ending->clone.pid, &stat) < 0 ||
	    stat.start_ticks != ending->clone.start_ticks)
		return;
	if (stat.parent_pid == getpid())
		(void)waitpid(ending->clone.pid, NULL, __WALL | WNOHANG);
	else if (stat.parent_pid == ending->target_pid &&
		 pss_target_open_pid(ending->target_pid, ending->target_start_ticks, &target) == 0)
		pss_target_reap_by_helper(&target, own_pid);
}

void pss_capture_free_begin(int fd, struct pss_capture_free *ret)
{
	*ret = PSS_CAPTURE_FREE_EMPTY;
	ret->has_clone = prepare(fd, ret) == 0;
}

void pss_capture_free_end(struct pss_capture_free *ending)
{
	if (ending->has_clone && was_last(ending) && wait_for_exit(ending))
		reap(ending);
	ending->clone_pidfd = pss_close(ending->clone_pidfd);
	ending->probe_fd = pss_close(ending->probe_fd);
	*ending = PSS_CAPTURE_FREE_EMPTY;
}

void pss_capture_free(int section_fd)
{
	struct pss_capture_free ending;
	int saved = errno;

	pss_capture_free_begin(section_fd, &ending);
	(void)pss_close(section_fd);
	pss_capture_free_end(&ending);
	errno = saved;
}
