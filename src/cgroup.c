// SPDX-License-Identifier: LGPL-2.1-or-later
// See cgroup.h. Knows the texts of /proc/PID/cgroup and mountinfo; the kernel does the moving.
#include "cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "procfs_text.h"

static bool is_equal(struct pss_text a, struct pss_text b)
{
	return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

static struct pss_text whole(const struct pss_buf *buf)
{
	return (struct pss_text){ (const char *)buf->data, buf->size };
}

// Up to @end, which is dropped.
static bool take_until(struct pss_text *text, char end, struct pss_text *ret)
{
	const char *at = text->size ? memchr(text->data, end, text->size) : NULL;

	if (!at)
		return false;
	*ret = (struct pss_text){ text->data, (size_t)(at - text->data) };
	text_advance(text, ret->size + 1);
	return true;
}

int pss_cgroup_next(struct pss_text *cursor, struct pss_cgroup *ret)
{
	struct pss_cgroup cgroup;
	struct pss_text line, number;

	if (cursor->size == 0)
		return -ENODATA;
	if (!text_take_line(cursor, &line) || !take_until(&line, ':', &number) ||
	    !take_until(&line, ':', &cgroup.controllers) || line.size == 0 || *line.data != '/')
		return -EBADMSG;
	cgroup.path = line;
	*ret = cgroup;
	return 0;
}

bool pss_cgroup_is_within(struct pss_text path, struct pss_text other)
{
	if (other.size == 1) // the root
		return true;
	if (path.size < other.size || memcmp(path.data, other.data, other.size) != 0)
		return false;
	return path.size == other.size || path.data[other.size] == '/';
}

// The same hierarchy's line in another process's text.
static bool find(struct pss_text text, struct pss_text controllers, struct pss_cgroup *ret)
{
	while (pss_cgroup_next(&text, ret) == 0)
		if (is_equal(ret->controllers, controllers))
			return true;
	return false;
}

// Whether the options of a mount of version 1 name the hierarchy: "rw,cpu,cpuacct".
static bool has_controllers(struct pss_text options, struct pss_text controllers)
{
	struct pss_text first = controllers;
	struct pss_text option;
	bool is_last = false;

	(void)take_until(&controllers, ',', &first);
	while (!is_last) {
		is_last = !take_until(&options, ',', &option);
		if (is_last)
			option = options;
		if (is_equal(option, first))
			return true;
	}
	return false;
}

/** Where a hierarchy is mounted, and which group of it is the mount's root. */
struct mount {
	struct pss_text point;
	struct pss_text root;
};

// "36 35 98:0 /root /point options - fstype source superoptions"
static bool parse_mount(struct pss_text line, struct pss_text controllers, struct mount *ret)
{
	struct pss_text word, type;
	struct mount mount;

	for (int i = 0; i < 3; i++)
		if (!text_take_word(&line, &word))
			return false;
	if (!text_take_word(&line, &mount.root) || !text_take_word(&line, &mount.point))
		return false;
	do {
		if (!text_take_word(&line, &word))
			return false;
	} while (word.size != 1 || *word.data != '-');
	if (!text_take_word(&line, &type) || !text_take_word(&line, &word) ||
	    !text_take_word(&line, &word))
		return false;
	// Blanks in a path are escaped; of such a mount nothing is made here.
	if (memchr(mount.point.data, '\\', mount.point.size))
		return false;
	*ret = mount;
	if (controllers.size == 0)
		return is_equal(type, (struct pss_text){ "cgroup2", 7 });
	return is_equal(type, (struct pss_text){ "cgroup", 6 }) &&
	       has_controllers(word, controllers);
}

int pss_cgroup_locate(const struct pss_cgroup *group, struct pss_text mounts, char path[PATH_MAX],
		      size_t *root_size_ret)
{
	struct pss_text line;
	struct mount mount;

	while (text_take_line(&mounts, &line)) {
		if (!parse_mount(line, group->controllers, &mount) ||
		    !pss_cgroup_is_within(group->path, mount.root))
			continue;
		size_t above = mount.root.size == 1 ? 0 : mount.root.size;
		// The root itself: no slash at the end.
		size_t below = group->path.size == 1 ? 0 : group->path.size - above;
		int n = snprintf(path, PATH_MAX, "%.*s%.*s", (int)mount.point.size,
				 mount.point.data, (int)below, group->path.data + above);
		if (n < 0 || n >= PATH_MAX)
			return -ENAMETOOLONG;
		if (root_size_ret)
			*root_size_ret = mount.point.size;
		return 0;
	}
	return -ENOENT;
}

static bool is_named(struct pss_text controllers, const char *name)
{
	return has_controllers(controllers, (struct pss_text){ name, strlen(name) });
}

bool pss_cgroup_walk_begin(int proc_fd, int root_fd, const char *controller,
			   struct pss_cgroup_walk *ret)
{
	_cleanup_buf_ struct pss_buf groups = PSS_BUF_EMPTY;
	_cleanup_buf_ struct pss_buf mounts = PSS_BUF_EMPTY;
	struct pss_cgroup group;

	if (pss_procfs_read(proc_fd, "cgroup", &groups) < 0 ||
	    pss_procfs_read(root_fd, "self/mountinfo", &mounts) < 0)
		return false;
	struct pss_text cursor = whole(&groups);
	while (pss_cgroup_next(&cursor, &group) == 0) {
		if (controller ? !is_named(group.controllers, controller)
			       : group.controllers.size > 0)
			continue;
		ret->is_version_2 = !controller;
		return pss_cgroup_locate(&group, whole(&mounts), ret->path, &ret->root_size) == 0;
	}
	return false;
}

bool pss_cgroup_walk_up(struct pss_cgroup_walk *walk)
{
	size_t size = strlen(walk->path);
	char *slash = size > walk->root_size ? strrchr(walk->path, '/') : NULL;

	if (!slash || (size_t)(slash - walk->path) < walk->root_size)
		return false;
	*slash = '\0';
	return true;
}

// Writes the pid into the group's file.
static int move_to(pid_t pid, const struct pss_cgroup *group, struct pss_text mounts)
{
	char folder[PATH_MAX];
	char path[PATH_MAX + 16];
	char text[16];
	int r = pss_cgroup_locate(group, mounts, folder, NULL);

	if (r < 0)
		return r;
	(void)snprintf(path, sizeof path, "%s/cgroup.procs", folder);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int n = snprintf(text, sizeof text, "%d", pid);
	return write(fd, text, (size_t)n) == n ? 0 : -errno;
}

/** What stays the same from hierarchy to hierarchy, and what has come of it. */
struct leaving {
	pid_t pid;
	bool force;
	struct pss_text own;    /**< the caller's groups */
	struct pss_text mounts; /**< the caller's mountinfo */
	uint32_t moved;
	struct pss_text shared; /**< a group that was not left: the caller is in it as well, or its
				     hierarchy can't be reached */
	struct pss_diag *diag;
};

static int leave(struct leaving *leaving, const struct pss_cgroup *group)
{
	struct pss_cgroup to;

	if (group->path.size == 1)
		return 0;
	if (!find(leaving->own, group->controllers, &to) ||
	    pss_cgroup_is_within(to.path, group->path)) {
		leaving->shared = group->path;
		if (!leaving->force)
			return 0;
		to = (struct pss_cgroup){ group->controllers, { "/", 1 } };
	}
	int r = move_to(leaving->pid, &to, leaving->mounts);
	if (r == -ENOENT) {
		leaving->shared = group->path;
		return 0;
	}
	if (r < 0)
		return pss_fail(leaving->diag, r, "cannot move the clone %d to control group %.*s",
				leaving->pid, (int)to.path.size, to.path.data);
	leaving->moved++;
	return 0;
}

// A group that caller and target share is not the target's own, and in a container not all can be
// reached; but there must be one that was left.
static int check_left(const struct leaving *leaving)
{
	if (leaving->moved > 0 || leaving->shared.size == 0)
		return 0;
	int r = pss_fail(leaving->diag, -EPERM, "the clone %d can't leave control group %.*s",
			 leaving->pid, (int)leaving->shared.size, leaving->shared.data);
	pss_diag_hint(leaving->diag, "the capturing process is in it as well, or its hierarchy is "
				     "not mounted here: capture from elsewhere, or let the clone "
				     "stay");
	return r;
}

int pss_cgroup_break_away(pid_t pid, int proc_fd, bool force, struct pss_diag *diag)
{
	_cleanup_buf_ struct pss_buf groups = PSS_BUF_EMPTY;
	_cleanup_buf_ struct pss_buf own = PSS_BUF_EMPTY;
	_cleanup_buf_ struct pss_buf mounts = PSS_BUF_EMPTY;
	struct pss_cgroup group;
	int r = pss_procfs_read(proc_fd, "cgroup", &groups);

	if (r == 0)
		r = pss_procfs_read(AT_FDCWD, "/proc/self/cgroup", &own);
	if (r == 0)
		r = pss_procfs_read(AT_FDCWD, "/proc/self/mountinfo", &mounts);
	if (r < 0)
		return pss_fail(diag, r, "cannot read the control groups of the clone %d", pid);

	struct leaving leaving = {
		.pid = pid,
		.force = force,
		.own = whole(&own),
		.mounts = whole(&mounts),
		.diag = diag,
	};
	struct pss_text cursor = whole(&groups);
	while (r == 0 && (r = pss_cgroup_next(&cursor, &group)) == 0)
		r = leave(&leaving, &group);
	return r == -ENODATA ? check_left(&leaving) : r;
}
