// SPDX-License-Identifier: LGPL-2.1-or-later
// The process record: identity, times and sizes from /proc/PID of the target, what belongs to the
// address space from that of the clone. What may not be read is left 0 or empty.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "collect.h"
#include "collect_common.h"
#include "collect_image.h"

static const char *scratch_text(const struct pss_collect *context)
{
	return (const char *)context->scratch->data;
}

static int read_stat(const struct pss_collect *context, struct pss_procfs_stat *ret)
{
	int r = pss_procfs_read_stat(context->proc_fd, "stat", context->scratch, ret);

	if (r < 0)
		return pss_fail(context->diag, r, "cannot read /proc/%d/stat", context->pid);
	return 0;
}

static int read_status(const struct pss_collect *context, struct pss_procfs_status *ret)
{
	int r = pss_procfs_read(context->proc_fd, "status", context->scratch);

	if (r == 0)
		r = pss_procfs_parse_status(scratch_text(context), context->scratch->size, ret);
	if (r < 0)
		return pss_fail(context->diag, r, "cannot read /proc/%d/status", context->pid);
	return 0;
}

static bool is_dead(char state)
{
	return state == 'Z' || state == 'X';
}

static void fill_from_stat(struct pss_process_record *record, const struct pss_procfs_stat *stat)
{
	record->parent_pid = stat->parent_pid;
	record->process_group = stat->process_group;
	record->session = stat->session;
	record->state = (uint32_t)(unsigned char)stat->state;
	record->nice = stat->nice;
	record->policy = stat->policy;
	record->rt_priority = stat->rt_priority;
	record->start_ticks = stat->start_ticks;
	record->page_faults = stat->minor_faults + stat->major_faults;
	record->thread_count = stat->thread_count;
	// A zombie leader whose threads live on is counted with them.
	if (is_dead(stat->state) && stat->thread_count <= 1) {
		record->flags |= PSS_PROCESS_EXITED;
		record->exit_status = (uint32_t)stat->exit_code;
	}
	if (stat->state == 'T' || stat->state == 't')
		record->flags |= PSS_PROCESS_FROZEN;
}

// The host's thread or the helper process that traces for us: the target was not traced before.
static bool is_ourselves(int32_t tracer_pid)
{
	return tracer_pid == getpid() || tracer_pid == (int32_t)syscall(SYS_gettid);
}

static void fill_from_status(struct pss_process_record *record,
			     const struct pss_procfs_status *status)
{
	record->uid = status->uid;
	record->gid = status->gid;
	record->vm_peak = status->vm_peak;
	record->vm_size = status->vm_size;
	record->vm_hwm = status->vm_hwm;
	record->vm_rss = status->vm_rss;
	record->rss_anon = status->rss_anon;
	record->vm_swap = status->vm_swap;
	record->vm_pte = status->vm_pte;
	if (status->tracer_pid > 0 && !is_ourselves(status->tracer_pid))
		record->flags |= PSS_PROCESS_FROZEN;
}

// The files of a process belong to its effective user, unless it has dumping switched off: then to
// root. (The directory itself always belongs to the user.) Root's own processes can't be told
// apart.
static bool is_not_dumpable(const struct pss_collect *context, uint32_t uid)
{
	struct stat status;

	return fstatat(context->proc_fd, "stat", &status, 0) == 0 && status.st_uid != uid;
}

// What of a group's folder tells whether it is frozen, where such a hierarchy is commonly mounted.
static const struct frozen_place {
	const char *controller; // empty: version 2
	const char *mount;
	const char *file;
	const char *sign;
} frozen_places[] = {
	{ "", "/sys/fs/cgroup", "cgroup.events", "frozen 1\n" },
	{ "", "/sys/fs/cgroup/unified", "cgroup.events", "frozen 1\n" },
	{ "freezer", "/sys/fs/cgroup/freezer", "freezer.state", "FROZEN\n" },
};

static bool is_frozen_at(const struct frozen_place *place, const struct pss_cgroup *group)
{
	char path[PATH_MAX], text[256];

	if (group->controllers.size != strlen(place->controller) ||
	    memcmp(group->controllers.data, place->controller, group->controllers.size) != 0 ||
	    memmem(group->path.data, group->path.size, "/..", 3))
		return false;
	int length = snprintf(path, sizeof path, "%s%.*s/%s", place->mount, (int)group->path.size,
			      group->path.data, place->file);
	if (length < 0 || (size_t)length >= sizeof path)
		return false;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof text);
	return size > 0 && memmem(text, (size_t)size, place->sign, strlen(place->sign));
}

static bool is_in_frozen_group(const struct pss_collect *context)
{
	struct pss_cgroup group;

	if (pss_procfs_read(context->proc_fd, "cgroup", context->scratch) < 0)
		return false;
	struct pss_text cursor = { scratch_text(context), context->scratch->size };
	while (pss_cgroup_next(&cursor, &group) == 0)
		for (size_t i = 0; i < sizeof frozen_places / sizeof frozen_places[0]; i++)
			if (is_frozen_at(&frozen_places[i], &group))
				return true;
	return false;
}

static void fill_times(const struct pss_collect *context, uint64_t instant_realtime_ns,
		       const struct pss_procfs_stat *stat, struct pss_process_record *record)
{
	uint64_t realtime = pss_collect_common_clock(CLOCK_REALTIME);
	uint64_t monotonic = pss_collect_common_clock(CLOCK_MONOTONIC);
	uint64_t boottime = pss_collect_common_clock(CLOCK_BOOTTIME);
	uint64_t instant = instant_realtime_ns ? instant_realtime_ns : realtime;
	uint64_t age = realtime > instant ? realtime - instant : 0;

	record->capture_time = pss_collect_common_instant(instant);
	record->capture_monotonic_ns = monotonic > age ? monotonic - age : 0;
	record->capture_boottime_ns = boottime > age ? boottime - age : 0;

	struct pss_collect_times times = pss_collect_common_times(
		pss_collect_common_cpu_ns(context->pid), stat->kernel_ticks, stat->user_ticks);
	record->kernel_time = times.kernel;
	record->user_time = times.user;
}

static int fill_created(const struct pss_collect *context, struct pss_process_record *record)
{
	uint64_t boot_seconds;
	int r = pss_procfs_boot_time(context->scratch, &boot_seconds);

	if (r < 0)
		return pss_fail(context->diag, r, "cannot tell when the machine booted");
	record->create_time = pss_collect_common_created(boot_seconds, record->start_ticks);
	return 0;
}

static int fill_names(const struct pss_collect *context, const struct pss_procfs_stat *stat,
		      struct pss_process_record *record)
{
	int r = pss_section_add_bytes(context->section, stat->comm, stat->comm_size, &record->comm);

	if (r < 0)
		return r;
	if (pss_procfs_read_link(context->space_fd, "exe", context->scratch) == 0) {
		r = pss_section_add_bytes(context->section, context->scratch->data,
					  context->scratch->size, &record->exe);
		if (r < 0)
			return r;
	}
	if (pss_procfs_read(context->space_fd, "cmdline", context->scratch) < 0)
		return 0;
	return pss_section_add_bytes(context->section, context->scratch->data,
				     context->scratch->size, &record->command_line);
}

// It belongs to the address space: a leader that has exited has none, and reading it gives nothing.
static void fill_coredump_filter(const struct pss_collect *context,
				 struct pss_process_record *record)
{
	uint64_t filter;

	if (pss_procfs_read(context->space_fd, "coredump_filter", context->scratch) == 0 &&
	    pss_procfs_parse_number(scratch_text(context), context->scratch->size, 16, &filter) ==
		    0)
		record->coredump_filter = (uint32_t)filter;
}

// An auxiliary vector of 32-bit pairs, read as 64-bit ones, has a value in the upper half of a
// type.
static bool is_32bit_auxv(const struct pss_buf *auxv)
{
	uint64_t type;

	for (size_t offset = 0; auxv->size - offset >= 2 * sizeof type; offset += 2 * sizeof type) {
		memcpy(&type, auxv->data + offset, sizeof type);
		if (type > UINT32_MAX)
			return true;
		if (type == AT_NULL)
			return false;
	}
	return false;
}

static uint64_t auxv_value(const struct pss_buf *auxv, bool is_32bit, uint64_t type)
{
	size_t word = is_32bit ? sizeof(uint32_t) : sizeof(uint64_t);

	for (size_t offset = 0; auxv->size - offset >= 2 * word; offset += 2 * word) {
		uint64_t pair[2] = { 0 };
		// The machines there are have the low half first.
		memcpy(&pair[0], auxv->data + offset, word);
		memcpy(&pair[1], auxv->data + offset + word, word);
		if (pair[0] == type)
			return pair[1];
		if (pair[0] == AT_NULL)
			return 0;
	}
	return 0;
}

// Program headers where the auxiliary vector says, then the dynamic section, then DT_DEBUG.
static uint64_t debug_address(const struct pss_collect *context, const struct pss_buf *auxv,
			      bool is_32bit)
{
	_cleanup_close_ int mem_fd = -EBADF;
	uint64_t address = auxv_value(auxv, is_32bit, AT_PHDR);
	uint64_t count = auxv_value(auxv, is_32bit, AT_PHNUM);
	struct pss_image image;

	if (address == 0 || count == 0)
		return 0;
	mem_fd = openat(context->space_fd, "mem", O_RDONLY | O_CLOEXEC);
	if (mem_fd < 0 ||
	    pss_collect_image_read_headers(mem_fd, address, count, is_32bit, &image) < 0)
		return 0;
	return pss_collect_image_debug(mem_fd, &image);
}

// Not readable (another user's process, a dead one) is as good as empty.
static int fill_from_auxv(const struct pss_collect *context, struct pss_process_record *record)
{
	struct pss_buf *auxv = context->scratch;

	if (pss_procfs_read(context->space_fd, "auxv", auxv) < 0 || auxv->size == 0)
		return 0;
	bool is_32bit = is_32bit_auxv(auxv);
	if (is_32bit)
		record->flags |= PSS_PROCESS_32BIT;
	record->debug_address = debug_address(context, auxv, is_32bit);
	return pss_section_add(context->section, PSS_PART_AUXV, auxv->data, auxv->size);
}

int pss_collect_process(const struct pss_collect *context, uint64_t instant_realtime_ns)
{
	struct pss_process_record record = { .pid = context->pid };
	// Filled on success; the analyzer does not see that pss_fail() never returns 0.
	struct pss_procfs_status status = { 0 };
	struct pss_procfs_stat stat = { 0 };
	int r = read_stat(context, &stat);

	if (r < 0)
		return r;
	fill_times(context, instant_realtime_ns, &stat, &record);
	r = read_status(context, &status);
	if (r < 0)
		return r;
	fill_from_stat(&record, &stat);
	fill_from_status(&record, &status);
	if (is_not_dumpable(context, record.uid))
		record.flags |= PSS_PROCESS_NOT_DUMPABLE;
	if (is_in_frozen_group(context))
		record.flags |= PSS_PROCESS_FROZEN;
	record.flags |= context->process_flags;
	if (context->process_state)
		record.state = (uint32_t)(unsigned char)context->process_state;
	record.affinity_mask = pss_collect_common_affinity(context->pid);
	fill_coredump_filter(context, &record);

	r = fill_created(context, &record);
	if (r == 0)
		r = fill_names(context, &stat, &record);
	if (r == 0)
		r = fill_from_auxv(context, &record);
	if (r == 0)
		r = pss_section_add(context->section, PSS_PART_PROCESS, &record, sizeof record);
	return r < 0 ? pss_fail(context->diag, r, "cannot describe process %d", context->pid) : 0;
}
