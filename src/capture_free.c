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
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture.h"
#include "capture_target.h"
#include "clone.h"
#include "memory.h"
#include "procfs.h"
#include "section.h"
#include "tracee.h"

// A freed snapshot is worth no longer wait; what is left is the next capture's to reap.
enum { EXIT_DEADLINE_MS = 5000 };

static int read_stat_of(pid_t pid, struct pss_procfs_stat *ret)
{
	_cleanup_close_ int fd = -EBADF;
	int r = pss_procfs_open(pid, &fd);

	return r < 0 ? r : pss_procfs_read_stat(fd, "stat", NULL, ret);
}

// One that is dying may hold the section no more: then only that it is a clone, and whose, tells.
static bool is_dying_clone(const struct pss_section *section, pid_t pid)
{
	_cleanup_close_ int fd = -EBADF;

	return pss_procfs_open(pid, &fd) == 0 && pss_memory_check_owner(fd, section) == 0 &&
	       pss_clone_is_ending(pid);
}

// Whether the clone's number is that of this section's clone for all that can be told. What may not
// be looked at is taken for another's.
static bool is_clone(const struct pss_section *section, pid_t pid)
{
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	struct pss_diag diag = { 0 };

	return pss_memory_open_clone(section, &diag, &memory) == 0 || is_dying_clone(section, pid);
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
		       !is_clone(&section, ending->clone.pid)))
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

// It can't exit before somebody lets it run.
static bool is_stopped(const struct pss_capture_free *ending)
{
	struct pss_procfs_stat stat;

	return read_stat_of(ending->clone.pid, &stat) == 0 &&
	       stat.start_ticks == ending->clone.start_ticks &&
	       (stat.state == 'T' || stat.state == 't');
}

static bool wait_for_exit(const struct pss_capture_free *ending)
{
	struct pollfd event = { .fd = ending->clone_pidfd, .events = POLLIN };
	uint64_t deadline = pss_clock_ns(CLOCK_MONOTONIC) + EXIT_DEADLINE_MS * NS_PER_MS;
	uint64_t now;
	int r = -1;

	if (is_stopped(ending))
		return false;
	// A program with a timer may interrupt each of the waits.
	while ((now = pss_clock_ns(CLOCK_MONOTONIC)) < deadline) {
		r = poll(&event, 1, (int)((deadline - now) / NS_PER_MS) + 1);
		if (r >= 0 || errno != EINTR)
			break;
	}
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
