// SPDX-License-Identifier: LGPL-2.1-or-later
// The end of a snapshot: closing the section and, if that was its last duplicate, seeing the clone
// out and having its zombie reaped. See pss_capture_free() in capture.h.
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "capture_target.h"
#include "clone.h"
#include "helper.h"
#include "procfs.h"
#include "section.h"

enum { EXIT_DEADLINE_MS = 10000 };

// What must be known after the section is closed.
struct ending {
	struct pss_clone_record clone;
	pid_t own_pid; // of the clone, as the target counts; known once it is a zombie
	pid_t target_pid;
	uint64_t target_start_ticks;
	int clone_pidfd;
	int probe_fd; // another open file description of the section, for its lock
};

static void ending_deinit(struct ending *ending)
{
	ending->clone_pidfd = pss_close(ending->clone_pidfd);
	ending->probe_fd = pss_close(ending->probe_fd);
}

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

static int prepare(int section_fd, struct ending *ending)
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
	// A section may come from somebody who names another process: a clone sends no exit signal.
	if (r == 0 && (stat.start_ticks != ending->clone.start_ticks || stat.exit_signal != 0))
		r = -ESRCH;
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", section_fd);
	ending->probe_fd = open(path, O_RDONLY | O_CLOEXEC);
	return ending->probe_fd < 0 ? -errno : 0;
}

// Parked clones wait for a shared lock: it is to be had once the last duplicate is closed.
static bool was_last(const struct ending *ending)
{
	return flock(ending->probe_fd, LOCK_SH | LOCK_NB) == 0;
}

static bool wait_for_exit(const struct ending *ending)
{
	struct pollfd event = { .fd = ending->clone_pidfd, .events = POLLIN };
	int r;

	do
		r = poll(&event, 1, EXIT_DEADLINE_MS);
	while (r < 0 && errno == EINTR);
	return r == 1;
}

static int reap_in_helper(void *context)
{
	const struct ending *ending = context;
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	int r = pss_target_open_pid(ending->target_pid, ending->target_start_ticks, &target);

	if (r == 0)
		pss_target_reap(&target, pss_arch_native(), ending->own_pid);
	return r;
}

// Whoever is the zombie's parent reaps it: we ourselves, or the target by a call that it makes for
// us. If the target has gone, its heir does without being asked.
static void reap(struct ending *ending)
{
	struct pss_procfs_stat stat = { 0 };
	int result;

	if (!pss_clone_is_zombie(ending->clone.pid, &ending->own_pid) ||
	    read_stat_of(ending->clone.pid, &stat) < 0 ||
	    stat.start_ticks != ending->clone.start_ticks)
		return;
	if (stat.parent_pid == getpid())
		(void)waitpid(ending->clone.pid, NULL, __WALL | WNOHANG);
	else if (stat.parent_pid == ending->target_pid)
		(void)pss_helper_run(pss_target_wants_ancestor() ? PSS_HELPER_THREAD
								 : PSS_HELPER_PROCESS,
				     reap_in_helper, ending, NULL, &result);
}

void pss_capture_free(int section_fd)
{
	_cleanup_(ending_deinit) struct ending ending = { .clone_pidfd = -EBADF,
							  .probe_fd = -EBADF };
	int saved = errno;
	bool has_clone = prepare(section_fd, &ending) == 0;

	(void)pss_close(section_fd);
	if (has_clone && was_last(&ending) && wait_for_exit(&ending))
		reap(&ending);
	errno = saved;
}
