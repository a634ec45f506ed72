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
#include "guard.h"
#include "procfs_text.h"

enum { MIB_SHIFT = 20 };

static uint64_t mib_down(uint64_t bytes)
{
	return bytes >> MIB_SHIFT;
}

static uint64_t mib_up(uint64_t bytes)
{
	return mib_down(bytes + (UINT64_C(1) << MIB_SHIFT) - 1);
}

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

static bool begin_walk(const struct pss_doctor *doctor, const char *controller,
		       struct pss_cgroup_walk *ret)
{
	return pss_cgroup_walk_begin(doctor->proc_fd, doctor->root_fd, controller, ret);
}

static bool read_in(const struct pss_cgroup_walk *walk, const char *name, struct pss_buf *text)
{
	char path[PATH_MAX + 32];

	(void)snprintf(path, sizeof path, "%s/%s", walk->path, name);
	return pss_procfs_read(AT_FDCWD, path, text) == 0;
}

// A file that is a number; "max" is none.
static bool read_number_in(const struct pss_cgroup_walk *walk, const char *name, uint64_t *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;

	return read_in(walk, name, &text) &&
	       pss_procfs_parse_number((const char *)text.data, text.size, 10, ret) == 0;
}

static bool is_frozen(const struct pss_cgroup_walk *walk)
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
	struct pss_cgroup_walk walk;

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
	struct pss_cgroup_walk walk;

	pss_doctor_say(finding, PSS_DOCTOR_OK, "its control groups have room for processes");
	for (size_t i = 0; i < 2; i++) {
		for (bool is_there = begin_walk(doctor, controllers[i], &walk); is_there;
		     is_there = pss_cgroup_walk_up(&walk)) {
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

static void name_place(const struct pss_guard_place *place, char name[PSS_DOCTOR_TEXT_SIZE / 2])
{
	(void)snprintf(name, PSS_DOCTOR_TEXT_SIZE / 2, "%s%s",
		       place->is_machine ? "" : "its control group ", place->name);
}

static void cure_shortage(const struct pss_guard_place *place, struct pss_doctor_finding *finding)
{
	if (place->is_machine)
		pss_doctor_cure(finding, "free memory, or add swap");
	else
		pss_doctor_cure(finding, "a higher %s/%s; in a pod resources.limits.memory",
				place->name,
				place->is_version_2 ? "memory.max" : "memory.limit_in_bytes");
}

void pss_doctor_group_memory(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	_cleanup_places_ struct pss_guard_places places = PSS_GUARD_PLACES_EMPTY;
	struct pss_guard_forecast forecast;
	char name[PSS_DOCTOR_TEXT_SIZE / 2];

	if (pss_guard_places_open(doctor->proc_fd, doctor->root_fd, &places) < 0 ||
	    pss_guard_forecast(&places, doctor->space_fd, doctor->memory_reserve, &forecast) < 0) {
		pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN,
			       "what memory it may still take can't be read");
		return;
	}
	if (forecast.verdict == PSS_GUARD_FITS) {
		pss_doctor_say(finding, PSS_DOCTOR_OK,
			       "its control groups and the machine have room for a copy of its "
			       "memory");
		return;
	}
	name_place(&places.places[forecast.place], name);
	if (forecast.verdict == PSS_GUARD_SHORT)
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
			       "%s has room for %" PRIu64
			       " MiB; page tables of a clone take %" PRIu64 " MiB, and %" PRIu64
			       " MiB are to be left, lest it be killed",
			       name, mib_down(forecast.room.room), mib_up(forecast.cost.at_once),
			       mib_up(forecast.cost.reserve));
	else
		pss_doctor_say(finding, PSS_DOCTOR_WARNING,
			       "%s has room for %" PRIu64
			       " MiB; page tables of a clone and copies of what it rewrites may "
			       "take %" PRIu64 " MiB, and the snapshot is given up before",
			       name, mib_down(forecast.room.room),
			       mib_up(forecast.cost.at_once + forecast.cost.later));
	cure_shortage(&places.places[forecast.place], finding);
}
