// SPDX-License-Identifier: LGPL-2.1-or-later
// Moving a process out of another's control groups, in each hierarchy of version 1 and in that of
// version 2, and where the folders of groups are. A control group is what comes nearest to a
// Windows job.
#ifndef PSS_CGROUP_H
#define PSS_CGROUP_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/diag.h"
#include "procfs.h"

/** One hierarchy's line of /proc/PID/cgroup: texts within the one that was parsed. */
struct pss_cgroup {
	struct pss_text controllers; /**< "cpu,cpuacct", "name=systemd", or nothing: version 2 */
	struct pss_text path; /**< "/" at its root, as the reader's cgroup namespace sees it */
};

/** Takes the next line off the front of *cursor. -ENODATA at the end, -EBADMSG. */
int pss_cgroup_next(struct pss_text *cursor, struct pss_cgroup *ret);

/** Whether @path is @other, or lies below it. */
bool pss_cgroup_is_within(struct pss_text path, struct pss_text other);

/**
 * Where the folder of @group is: below the first mount of its hierarchy, in @mounts (the text of
 * mountinfo), that shows it. *root_size_ret, which may be NULL, gets how much of @path is the
 * mount. -ENOENT if none does, -ENAMETOOLONG.
 */
int pss_cgroup_locate(const struct pss_cgroup *group, struct pss_text mounts, char path[PATH_MAX],
		      size_t *root_size_ret);

/** A walk from a process's group of one hierarchy up to where that is mounted. */
struct pss_cgroup_walk {
	char path[PATH_MAX]; /**< folder of the group */
	size_t root_size;    /**< how much of it is the mount */
	bool is_version_2;
};

/**
 * Begins at the group of the process whose /proc folder is @proc_fd, in the hierarchy of
 * @controller, or in that of version 2 if it is NULL; @root_fd is /proc. False if it can't be read
 * or is not mounted here.
 */
bool pss_cgroup_walk_begin(int proc_fd, int root_fd, const char *controller,
			   struct pss_cgroup_walk *ret);

/** On to the group above; false past the mount's own. */
bool pss_cgroup_walk_up(struct pss_cgroup_walk *walk);

/**
 * Moves process @pid (whose /proc is @proc_fd) into the caller's own control group, in each
 * hierarchy where that is another than its own and no part of it. Where it is at the root there is
 * nothing to leave; a group that both are in it leaves, for the root, only with @force. -EPERM if
 * that is so of all, or of those whose hierarchy is mounted here; -EACCES if it may not be moved.
 * What has been moved by then stays so.
 */
int pss_cgroup_break_away(pid_t pid, int proc_fd, bool force, struct pss_diag *diag);

#endif
