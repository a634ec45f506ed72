// SPDX-License-Identifier: LGPL-2.1-or-later
// Limits that the target shares with others: processes of its user, and its control groups with all
// those above them.
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

#include "cgroup.h"
#include "doctor_check.h"
#include "procfs_text.h"

static bool read_limit(const struct pss_doctor *doctor, uint64_t *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;

	return pss_procfs_read(doctor->space_fd, "limits", &text) == 0 &&
	       pss_doctor_line_number(&text, "Max processes", 10, ret);
}

// A process of which the kernel does not ask for the limit.
static bool is_exempt(const struct pss_procfs_status *status)
{
	const uint64_t exempt = UINT64_C(1) << CAP_SYS_RESOURCE | UINT64_C(1) << CAP_SYS_ADMIN;

	return status->uid == 0 || status->capabilities_effective & exempt;
}

static uint64_t count_threads(const struct pss_doctor *doctor, uint32_t uid)
{
	_cleanup_buf_ struct pss_buf pids = PSS_BUF_EMPTY;
	uint64_t count = 0;

	(void)pss_procfs_list(doctor->root_fd, ".", &pids);
	for (size_t i = 0; i < pids.size / sizeof(int32_t); i++) {
		struct pss_procfs_status status;
		char path[32];

		(void)snprintf(path, sizeof path, "%d",
			       ((const int32_t *)(const void *)pids.data)[i]);
		_cleanup_close_ int fd =
			openat(doctor->root_fd, path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && pss_doctor_status(fd, &status) == 0 && status.uid == uid)
			count += status.thread_count;
	}
	return count;
}

void pss_doctor_processes(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	struct pss_procfs_status status;
	uint64_t limit;

	if (pss_doctor_status(doctor->space_fd, &status) < 0) {
		pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN, "its status can't be read");
		return;
	}
	if (is_exempt(&status) || !read_limit(doctor, &limit)) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "no limit of processes holds for it");
		return;
	}
	uint64_t count = count_threads(doctor, status.uid);
	bool is_reached = count >= limit;

	pss_doctor_say(finding, is_reached ? PSS_DOCTOR_PROBLEM : PSS_DOCTOR_OK,
		       "its RLIMIT_NPROC is %" PRIu64 ", and user %u has %" PRIu64 " threads",
		       limit, status.uid, count);
	if (is_reached)
		pss_doctor_cure(finding, "prlimit --nproc=%" PRIu64 ": --pid %d", count + 1,
				doctor->pid);
}

/** A walk from the target's control group of one hierarchy up to its mount. */
struct walk {
	char path[PATH_MAX];
	size_t root_size; // of the part that is the mount
	bool is_version_2;
};

static bool is_named(struct pss_text controllers, const char *name)
{
	size_t size = strlen(name);

	while (controllers.size >= size) {
		const char *comma = memchr(controllers.data, ',', controllers.size);
		size_t own = comma ? (size_t)(comma - controllers.data) : controllers.size;

		if (own == size && memcmp(controllers.data, name, size) == 0)
			return true;
		if (!comma)
			return false;
		text_advance(&controllers, own + 1);
	}
	return false;
}

// The target's group in the hierarchy of version 1 that has @controller, or in that of version 2 if
// it is NULL.
static bool begin_walk(const struct pss_doctor *doctor, const char *controller, struct walk *ret)
{
	_cleanup_buf_ struct pss_buf groups = PSS_BUF_EMPTY;
	_cleanup_buf_ struct pss_buf mounts = PSS_BUF_EMPTY;
	struct pss_cgroup group;

	if (pss_procfs_read(doctor->proc_fd, "cgroup", &groups) < 0 ||
	    pss_procfs_read(doctor->root_fd, "self/mountinfo", &mounts) < 0)
		return false;
	struct pss_text cursor = { (const char *)groups.data, groups.size };
	struct pss_text text = { (const char *)mounts.data, mounts.size };
	while (pss_cgroup_next(&cursor, &group) == 0) {
		if (controller ? !is_named(group.controllers, controller)
			       : group.controllers.size > 0)
			continue;
		ret->is_version_2 = !controller;
		return pss_cgroup_locate(&group, text, ret->path, &ret->root_size) == 0;
	}
	return false;
}

// The group above; false past the mount's own.
static bool go_up(struct walk *walk)
{
	size_t size = strlen(walk->path);
	char *slash = size > walk->root_size ? strrchr(walk->path, '/') : NULL;

	if (!slash || (size_t)(slash - walk->path) < walk->root_size)
		return false;
	*slash = '\0';
	return true;
}

static bool read_in(const struct walk *walk, const char *name, struct pss_buf *text)
{
	char path[PATH_MAX + 32];

	(void)snprintf(path, sizeof path, "%s/%s", walk->path, name);
	return pss_procfs_read(AT_FDCWD, path, text) == 0;
}

// A file that is a number; "max" is none.
static bool read_number_in(const struct walk *walk, const char *name, uint64_t *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;

	return read_in(walk, name, &text) &&
	       pss_procfs_parse_number((const char *)text.data, text.size, 10, ret) == 0;
}

static bool is_frozen(const struct walk *walk)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	uint64_t value = 0;

	if (walk->is_version_2)
		return read_in(walk, "cgroup.events", &text) &&
		       pss_doctor_line_number(&text, "frozen ", 10, &value) && value;
	return read_in(walk, "freezer.state", &text) && text.size >= 2 &&
	       memcmp(text.data, "FR", 2) == 0; // FROZEN, FREEZING
}

void pss_doctor_frozen(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	static const char *const controllers[] = { NULL, "freezer" };
	struct walk walk;

	for (size_t i = 0; i < 2; i++) {
		if (!begin_walk(doctor, controllers[i], &walk) || !is_frozen(&walk))
			continue;
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
			       "its control group %s is frozen, and none of its threads can make a "
			       "call",
			       walk.path);
		pss_doctor_cure(finding, "thaw it: echo %s",
				walk.is_version_2 ? "0 > cgroup.freeze" : "THAWED > freezer.state");
		return;
	}
	pss_doctor_say(finding, PSS_DOCTOR_OK, "its control group is not frozen");
}

void pss_doctor_pids(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	static const char *const controllers[] = { NULL, "pids" };
	struct walk walk;

	pss_doctor_say(finding, PSS_DOCTOR_OK, "its control groups have room for processes");
	for (size_t i = 0; i < 2; i++) {
		for (bool is_there = begin_walk(doctor, controllers[i], &walk); is_there;
		     is_there = go_up(&walk)) {
			uint64_t limit, count;

			if (!read_number_in(&walk, "pids.max", &limit) ||
			    !read_number_in(&walk, "pids.current", &count) || count < limit)
				continue;
			pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
				       "pids.max of its control group %s is %" PRIu64
				       ", and it has %" PRIu64 " threads",
				       walk.path, limit, count);
			pss_doctor_cure(finding,
					"echo %" PRIu64 " > %s/pids.max; for pods kubelet's "
					"podPidsLimit, with Docker --pids-limit",
					count + 1, walk.path);
			return;
		}
	}
}

// What the group may still take: memory that holds files gives way.
static bool group_room(const struct walk *walk, uint64_t *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	bool is_new = walk->is_version_2;
	uint64_t limit, used, files = 0;

	if (!read_number_in(walk, is_new ? "memory.max" : "memory.limit_in_bytes", &limit) ||
	    !read_number_in(walk, is_new ? "memory.current" : "memory.usage_in_bytes", &used))
		return false;
	if (read_in(walk, "memory.stat", &text))
		(void)pss_doctor_line_number(
			&text, is_new ? "inactive_file " : "total_inactive_file ", 10, &files);
	used = used > files ? used - files : 0;
	*ret = limit > used ? limit - used : 0;
	return true;
}

void pss_doctor_group_memory(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	enum { MIB_SHIFT = 20 };
	static const char *const controllers[] = { NULL, "memory" };
	struct pss_procfs_status status;
	struct walk walk;
	uint64_t room;

	if (pss_doctor_status(doctor->space_fd, &status) < 0) {
		pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN, "its status can't be read");
		return;
	}
	uint64_t needed = status.vm_pte + status.rss_anon;
	pss_doctor_say(finding, PSS_DOCTOR_OK,
		       "its control groups have room for a copy of its memory");
	for (size_t i = 0; i < 2; i++) {
		for (bool is_there = begin_walk(doctor, controllers[i], &walk); is_there;
		     is_there = go_up(&walk)) {
			if (!group_room(&walk, &room) || room >= needed)
				continue;
			pss_doctor_say(finding, PSS_DOCTOR_WARNING,
				       "its control group %s has room for %" PRIu64
				       " MiB; page tables of a clone and copies of what it "
				       "rewrites may take %" PRIu64 " MiB",
				       walk.path, room >> MIB_SHIFT, needed >> MIB_SHIFT);
			pss_doctor_cure(finding, "a higher %s/%s; in a pod resources.limits.memory",
					walk.path,
					walk.is_version_2 ? "memory.max" : "memory.limit_in_bytes");
			return;
		}
	}
}
