// SPDX-License-Identifier: LGPL-2.1-or-later
// PSS_CREATE_BREAKAWAY and its kin: the clone leaves the target's control groups, in hierarchies of
// both versions, or the capture says why not.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

// A hierarchy that a test can make groups in.
struct hierarchy {
	const char *name; // as /proc/PID/cgroup has it between the colons
	const char *mounts[2];
};

static const struct hierarchy hierarchies[] = {
	{ "", { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" } },
	{ "pids", { "/sys/fs/cgroup/pids", NULL } },
};
enum { HIERARCHY_COUNT = sizeof hierarchies / sizeof hierarchies[0] };

struct group {
	char path[300]; // its folder; empty: there is none
	char back[256]; // the folder that we were in ourselves
};

// The group of @pid in a hierarchy, as /proc says it; to be freed.
static char *group_of(pid_t pid, const char *name)
{
	char path[64], key[64];

	(void)snprintf(path, sizeof path, "/proc/%d/cgroup", pid);
	(void)snprintf(key, sizeof key, ":%s:", name);
	char *text = harness_read_file(path);
	char *line = text ? strstr(text, key) : NULL;
	char *ret = line ? strndup(line + strlen(key), strcspn(line + strlen(key), "\n")) : NULL;
	free(text);
	return ret;
}

static bool put_into(const char *folder, pid_t pid)
{
	char path[400], text[16];
	int n = snprintf(text, sizeof text, "%d", pid);

	(void)snprintf(path, sizeof path, "%s/cgroup.procs", folder);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_done = fd >= 0 && write(fd, text, (size_t)n) == n;
	if (fd >= 0)
		close(fd);
	return is_done;
}

// A new group below the one that we are in, with @pid in it. False if this machine has none to
// make.
static bool make_group(const struct hierarchy *hierarchy, pid_t pid, struct group *group)
{
	char *own = group_of(getpid(), hierarchy->name);

	group->path[0] = '\0';
	for (int i = 0; own && i < 2 && hierarchy->mounts[i]; i++) {
		(void)snprintf(group->back, sizeof group->back, "%s%s", hierarchy->mounts[i], own);
		(void)snprintf(group->path, sizeof group->path, "%s/procsnap-test-%d", group->back,
			       getpid());
		if (mkdir(group->path, 0755) == 0 && put_into(group->path, pid))
			break;
		(void)rmdir(group->path);
		group->path[0] = '\0';
	}
	free(own);
	return group->path[0] != '\0';
}

// Waits until it is empty: a process that has ended leaves it some time after.
static void remove_group(const struct group *group)
{
	uint64_t begin = harness_now_ns();

	while (group->path[0] && rmdir(group->path) < 0 && errno == EBUSY) {
		if (harness_is_past(begin, HARNESS_PATIENCE_MS))
			harness_fail("%s is not empty", group->path);
		harness_breathe();
	}
}

static void assert_group(pid_t pid, const char *name, const char *expected, bool is_equal)
{
	char *group = group_of(pid, name);

	assert_non_null(group);
	if ((strcmp(group, expected) == 0) != is_equal)
		harness_fail("process %d is in %s:%s", pid, name, group);
	free(group);
}

static void assert_broken_away(HPSS snapshot, const struct target *target, const char *name)
{
	pid_t clone = (pid_t)GetProcessId(harness_clone(snapshot));
	char *own = group_of(getpid(), name);
	char *theirs = group_of(target->pid, name);

	assert_group(clone, name, own, true);
	assert_group(clone, name, theirs, false);
	free(own);
	free(theirs);
}

static void the_clone_leaves_the_targets_group(void **state)
{
	unsigned tried = 0;

	(void)state;
	for (int i = 0; i < HIERARCHY_COUNT; i++) {
		struct target *target = target_start("plain", NULL);
		struct group group;

		if (!make_group(&hierarchies[i], target->pid, &group)) {
			print_message("no groups to be made in \"%s\"\n", hierarchies[i].name);
			target_stop(target);
			continue;
		}
		tried++;
		// Without the flag it is where the target is.
		HPSS snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
		char *theirs = group_of(target->pid, hierarchies[i].name);
		assert_group((pid_t)GetProcessId(harness_clone(snapshot)), hierarchies[i].name,
			     theirs, true);
		free(theirs);
		harness_free_snapshot(snapshot);

		snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE | PSS_CREATE_BREAKAWAY);
		assert_broken_away(snapshot, target, hierarchies[i].name);
		harness_free_snapshot(snapshot);
		target_assert_unharmed(target);
		target_stop(target);
		remove_group(&group);
	}
	if (tried == 0) {
		print_message("no groups to be made on this machine\n");
		skip();
	}
}

// A child that goes into the group, where its own group will not do, and captures.
static int capture_from_within(const struct target *target, const char *folder, uint32_t flags,
			       const char *name, const char *expected)
{
	pid_t child = harness_fork();
	int status;

	if (child == 0) {
		HPSS snapshot;

		if (!put_into(folder, getpid()))
			_exit(99);
		DWORD code = PssCaptureSnapshot(target_handle(target), flags, 0, &snapshot);
		if (code == ERROR_SUCCESS && expected)
			assert_group((pid_t)GetProcessId(harness_clone(snapshot)), name, expected,
				     true);
		if (code == ERROR_SUCCESS)
			assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
		_exit((int)code);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void who_is_in_the_same_group_can_only_force(void **state)
{
	const uint32_t flags = PSS_CAPTURE_VA_CLONE | PSS_CREATE_BREAKAWAY;
	struct target *target = target_start("plain", NULL);
	const char *name = NULL;
	struct group group = { .path = "" };

	(void)state;
	for (int i = 0; i < HIERARCHY_COUNT && !name; i++)
		if (make_group(&hierarchies[i], target->pid, &group))
			name = hierarchies[i].name;
	if (!name) {
		print_message("no groups to be made on this machine\n");
		target_stop(target);
		skip();
	}
	char *theirs = group_of(target->pid, name);
	struct patient *before = patient_record(target->pid);

	assert_int_equal(capture_from_within(target, group.path, flags, name, NULL),
			 ERROR_ACCESS_DENIED);
	patient_assert_same(before);
	assert_int_equal(capture_from_within(target, group.path,
					     flags | PSS_CREATE_BREAKAWAY_OPTIONAL, name, theirs),
			 ERROR_SUCCESS);
	assert_int_equal(capture_from_within(target, group.path, flags | PSS_CREATE_FORCE_BREAKAWAY,
					     name, "/"),
			 ERROR_SUCCESS);
	target_assert_unharmed(target);
	free(theirs);
	patient_free(before);
	target_stop(target);
	remove_group(&group);
}

static void optional_alone_is_refused(void **state)
{
	struct target *target = target_start("plain", NULL);
	HPSS snapshot = (HPSS)(intptr_t)77;

	(void)state;
	assert_int_equal(PssCaptureSnapshot(target_handle(target),
					    PSS_CAPTURE_VA_CLONE | PSS_CREATE_BREAKAWAY_OPTIONAL, 0,
					    &snapshot),
			 ERROR_INVALID_PARAMETER);
	assert_ptr_equal(snapshot, (HPSS)(intptr_t)77);
	target_stop(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clone_leaves_the_targets_group),
		cmocka_unit_test(who_is_in_the_same_group_can_only_force),
		cmocka_unit_test(optional_alone_is_refused),
	};

	harness_begin("breakaway");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
