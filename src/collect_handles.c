// SPDX-License-Identifier: LGPL-2.1-or-later
// From the link and the fdinfo of a descriptor to its record. Names of sockets are
// collect_handles_socket.c.
#include "collect_handles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "collect_common.h"

enum { THREAD_PIDFD = O_EXCL }; // PIDFD_THREAD

// One descriptor on its way.
struct handle {
	const struct pss_collect *context;
	const struct pss_collect_handles_options *options;
	struct pss_procfs_fd_text text;
	struct pss_procfs_fdinfo info; // zeroes if it could not be read
	struct statx status;           // stx_mask is 0 if it is not known
	struct pss_handle_record record;
};

static bool begins_with(struct pss_text text, const char *prefix)
{
	size_t size = strlen(prefix);

	return text.size >= size && memcmp(text.data, prefix, size) == 0;
}

static const char deleted[] = " (deleted)";

static bool ends_deleted(struct pss_text text)
{
	size_t size = sizeof deleted - 1;

	return text.size > size && memcmp(text.data + text.size - size, deleted, size) == 0;
}

static bool is_path(struct pss_text link)
{
	// What lies outside the root that we see begins with "(unreachable)".
	return begins_with(link, "/") || begins_with(link, "(");
}

int pss_collect_handles_look(int dir_fd, const char *path, unsigned mask, struct statx *ret)
{
	return PSS_RET_ERRNO(statx(dir_fd, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, mask, ret));
}

// Whether its number still stands for what it stood for when it was read.
static bool is_same_file(const struct handle *handle, const char *path, const struct statx *status)
{
	const struct pss_procfs_fdinfo *info = &handle->info;
	struct pss_buf *scratch = handle->context->scratch;
	struct pss_text link = handle->text.link;

	if (info->fields & PSS_FDINFO_INODE && info->inode != status->stx_ino)
		return false;
#ifdef STATX_MNT_ID
	if (status->stx_mask & STATX_MNT_ID && info->flags && info->mount_id != status->stx_mnt_id)
		return false;
#endif
	return pss_procfs_read_link(handle->context->space_fd, path, scratch) == 0 &&
	       scratch->size == link.size && memcmp(scratch->data, link.data, link.size) == 0;
}

// NFS and 9P have the inode confirmed by the server on the way there, whatever the flags say.
static int look_at_path(const struct handle *handle, const char *path, unsigned mask,
			struct statx *ret)
{
	const struct pss_collect_handles_options *options = handle->options;

	if (options->look && (is_path(handle->text.link) || handle->text.link.size == 0))
		return options->look(options->look_context, path, mask, ret);
	return pss_collect_handles_look(handle->context->space_fd, path, mask, ret);
}

// Objects without a file all share one inode, which says nothing of them.
static void look_at_inode(struct handle *handle)
{
	unsigned mask = STATX_BASIC_STATS;
	struct statx status;
	char path[32];

#ifdef STATX_MNT_ID
	mask |= STATX_MNT_ID;
#endif
	if (begins_with(handle->text.link, "anon_inode:"))
		return;
	(void)snprintf(path, sizeof path, "fd/%d", handle->record.fd);
	if (look_at_path(handle, path, mask, &status) < 0 || !is_same_file(handle, path, &status))
		return;
	handle->status = status;
	handle->record.flags |= PSS_HANDLE_HAS_INODE;
	handle->record.inode = status.stx_ino;
	handle->record.size = status.stx_size;
	handle->record.device_major = status.stx_dev_major;
	handle->record.device_minor = status.stx_dev_minor;
	handle->record.mode = status.stx_mode;
}

// "socket:[123]": the number is the inode's, whether or not that can still be looked at.
static uint64_t number_in_link(struct pss_text link)
{
	const char *bracket = link.size ? memchr(link.data, '[', link.size) : NULL;
	uint64_t number;

	if (!bracket)
		return 0;
	size_t size = link.size - (size_t)(bracket + 1 - link.data);
	if (size == 0 || pss_procfs_parse_number(bracket + 1, size - 1, 10, &number) < 0)
		return 0;
	return number;
}

static const struct link_kind {
	const char *prefix;
	bool is_deleted; // only with the kernel's mark: a file may have that name, too
	enum pss_handle_kind kind;
} link_kinds[] = {
	{ "socket:", false, PSS_HANDLE_KIND_SOCKET },
	{ "pipe:", false, PSS_HANDLE_KIND_PIPE },
	{ "anon_inode:[eventfd]", false, PSS_HANDLE_KIND_EVENT },
	{ "anon_inode:[eventpoll]", false, PSS_HANDLE_KIND_EPOLL },
	{ "anon_inode:[timerfd]", false, PSS_HANDLE_KIND_TIMER },
	{ "anon_inode:[signalfd]", false, PSS_HANDLE_KIND_SIGNAL },
	{ "anon_inode:[pidfd]", false, PSS_HANDLE_KIND_PROCESS },
	{ "pidfd:", false, PSS_HANDLE_KIND_PROCESS },
	{ "anon_inode:inotify", false, PSS_HANDLE_KIND_INOTIFY },
	{ "anon_inode:[fanotify]", false, PSS_HANDLE_KIND_FANOTIFY },
	{ "anon_inode:[io_uring]", false, PSS_HANDLE_KIND_IO_RING },
	{ "anon_inode:[userfaultfd]", false, PSS_HANDLE_KIND_USERFAULT },
	{ "anon_inode:bpf", false, PSS_HANDLE_KIND_BPF },
	{ "anon_inode:btf", false, PSS_HANDLE_KIND_BPF },
	{ "anon_inode:[perf_event]", false, PSS_HANDLE_KIND_PERF_EVENT },
	{ "anon_inode:dmabuf", false, PSS_HANDLE_KIND_DMA_BUFFER },
	{ "/dmabuf:", false, PSS_HANDLE_KIND_DMA_BUFFER },
	{ "/memfd:", true, PSS_HANDLE_KIND_SECTION },
	{ "/secretmem", true, PSS_HANDLE_KIND_SECTION },
	{ "/SYSV", true, PSS_HANDLE_KIND_SECTION },
};

static const struct link_kind *find_link_kind(struct pss_text link)
{
	for (size_t i = 0; i < sizeof link_kinds / sizeof link_kinds[0]; i++)
		if (begins_with(link, link_kinds[i].prefix) &&
		    (!link_kinds[i].is_deleted || ends_deleted(link)))
			return &link_kinds[i];
	return NULL;
}

// What has a path. Without its inode (closed since, or not ours to look at) the path has to do.
static enum pss_handle_kind kind_of_path(const struct handle *handle)
{
	bool is_known = handle->record.flags & PSS_HANDLE_HAS_INODE;
	struct pss_text link = handle->text.link;
	mode_t mode = (mode_t)handle->record.mode;

	if (is_known ? S_ISDIR(mode) : (handle->info.flags & O_DIRECTORY) != 0)
		return PSS_HANDLE_KIND_DIRECTORY;
	if (begins_with(link, "/dev/shm/"))
		return PSS_HANDLE_KIND_SECTION;
	if (is_known ? S_ISCHR(mode) || S_ISBLK(mode) : begins_with(link, "/dev/"))
		return PSS_HANDLE_KIND_DEVICE;
	if (is_known && S_ISFIFO(mode))
		return PSS_HANDLE_KIND_PIPE;
	return PSS_HANDLE_KIND_FILE;
}

static enum pss_handle_kind find_kind(const struct handle *handle)
{
	const struct link_kind *row = find_link_kind(handle->text.link);
	enum pss_handle_kind kind;

	if (handle->info.flags & O_PATH)
		return PSS_HANDLE_KIND_PATH;
	if (handle->text.link.size == 0)
		return PSS_HANDLE_KIND_UNKNOWN;
	if (row)
		kind = row->kind;
	else
		kind = is_path(handle->text.link) ? kind_of_path(handle) : PSS_HANDLE_KIND_OTHER;
	if (kind == PSS_HANDLE_KIND_EVENT && handle->info.is_semaphore)
		return PSS_HANDLE_KIND_SEMAPHORE;
	if (kind == PSS_HANDLE_KIND_PROCESS && handle->info.flags & THREAD_PIDFD)
		return PSS_HANDLE_KIND_THREAD;
	return kind;
}

static void fill_from_info(struct handle *handle)
{
	struct pss_text text = handle->text.info;
	struct pss_handle_record *record = &handle->record;

	if (pss_procfs_parse_fdinfo(text.data, text.size, &handle->info) < 0)
		return;
	record->flags |= PSS_HANDLE_HAS_INFO;
	if (handle->info.flags & O_CLOEXEC)
		record->flags |= PSS_HANDLE_CLOSE_ON_EXEC;
	record->open_flags = handle->info.flags & ~(uint32_t)O_CLOEXEC;
	record->position = handle->info.position;
	record->mount_id = handle->info.mount_id;
}

// The rest of what a process or thread descriptor leads to. It is as of now: that one was not
// stopped.
static void look_at_task(struct handle *handle)
{
	struct pss_buf *scratch = handle->context->scratch;
	struct pss_handle_task *task = &handle->record.task;
	pid_t number = task->tid ? task->tid : task->pid;
	struct pss_procfs_status status;
	struct pss_procfs_stat stat;
	char path[32];

	(void)snprintf(path, sizeof path, "/proc/%d/status", number);
	if (number <= 0 || pss_procfs_read(AT_FDCWD, path, scratch) < 0 ||
	    pss_procfs_parse_status((const char *)scratch->data, scratch->size, &status) < 0)
		return;
	task->pid = status.thread_group_id;
	(void)snprintf(path, sizeof path, "/proc/%d/stat", number);
	if (pss_procfs_read_stat(AT_FDCWD, path, scratch, &stat) < 0)
		return;
	handle->record.flags |= PSS_HANDLE_HAS_TASK_STATE;
	task->parent_pid = stat.parent_pid;
	task->nice = stat.nice;
	task->policy = stat.policy;
	task->rt_priority = stat.rt_priority;
	task->affinity_mask = pss_collect_common_affinity(number);
	if (stat.state == 'Z' || stat.state == 'X') {
		task->flags |= PSS_PROCESS_EXITED;
		task->exit_status = (uint32_t)stat.exit_code;
	}
	if (stat.state == 'T' || stat.state == 't')
		task->flags |= PSS_PROCESS_FROZEN;
}

static void fill_value(struct handle *handle)
{
	struct pss_handle_record *record = &handle->record;
	const struct pss_procfs_fdinfo *info = &handle->info;

	switch (record->kind) {
	case PSS_HANDLE_KIND_EVENT:
	case PSS_HANDLE_KIND_SEMAPHORE:
		if (!(info->fields & PSS_FDINFO_COUNT))
			return;
		record->flags |= PSS_HANDLE_HAS_COUNT;
		record->count = info->count;
		return;
	case PSS_HANDLE_KIND_PROCESS:
	case PSS_HANDLE_KIND_THREAD:
		if (!(info->fields & PSS_FDINFO_PID))
			return;
		record->flags |= PSS_HANDLE_HAS_TASK;
		record->task.pid = info->pid;
		if (record->kind == PSS_HANDLE_KIND_THREAD)
			record->task.tid = info->pid;
		if (handle->options->with_values)
			look_at_task(handle);
		return;
	default:
		return;
	}
}

static const char *clock_name(int32_t clock)
{
	switch (clock) {
	case CLOCK_REALTIME:
		return "CLOCK_REALTIME";
	case CLOCK_MONOTONIC:
		return "CLOCK_MONOTONIC";
	case CLOCK_BOOTTIME:
		return "CLOCK_BOOTTIME";
	case CLOCK_REALTIME_ALARM:
		return "CLOCK_REALTIME_ALARM";
	case CLOCK_BOOTTIME_ALARM:
		return "CLOCK_BOOTTIME_ALARM";
	default:
		return "";
	}
}

// A name made up from numbers, into @text of 96 bytes. Its size, 0 if there is nothing to say.
static size_t format_name(const struct handle *handle, char *text)
{
	const struct pss_handle_record *record = &handle->record;
	const struct pss_procfs_fdinfo *info = &handle->info;
	struct pss_text link = handle->text.link;
	int size = 0;

	if (record->flags & PSS_HANDLE_HAS_TASK && record->task.pid < 0)
		size = snprintf(text, 96, "reaped");
	else if (record->flags & PSS_HANDLE_HAS_TASK && record->kind == PSS_HANDLE_KIND_THREAD)
		size = snprintf(text, 96, "tid %d", record->task.tid);
	else if (record->flags & PSS_HANDLE_HAS_TASK)
		size = snprintf(text, 96, "pid %d", record->task.pid);
	else if (record->kind == PSS_HANDLE_KIND_TIMER && info->fields & PSS_FDINFO_CLOCK)
		size = snprintf(text, 96, "%s", clock_name(info->clock));
	else if (record->kind == PSS_HANDLE_KIND_BPF && info->fields & PSS_FDINFO_BPF)
		size = snprintf(text, 96, "%.*s %llu", (int)(link.size < 64 ? link.size : 64) - 11,
				link.data + 11, (unsigned long long)info->bpf_id);
	return size > 0 ? (size_t)size : 0;
}

// The part of the link that people would call its name; empty if it has none but its kind.
static struct pss_text name_in_link(struct handle *handle)
{
	struct pss_handle_record *record = &handle->record;
	struct pss_text link = handle->text.link;
	const struct link_kind *row = find_link_kind(link);
	bool has_inode = record->flags & PSS_HANDLE_HAS_INODE;

	if (ends_deleted(link) && is_path(link) && (!has_inode || handle->status.stx_nlink == 0)) {
		link.size -= sizeof deleted - 1;
		// These never had a name in a folder.
		if (row) {
			link.data++;
			link.size--;
		} else {
			record->flags |= PSS_HANDLE_DELETED;
		}
		return link;
	}
	if (begins_with(link, "/dmabuf:"))
		return (struct pss_text){ link.data + 1, link.size - 1 };
	if (!row || row->kind == PSS_HANDLE_KIND_SOCKET || row->kind == PSS_HANDLE_KIND_PIPE ||
	    record->kind == PSS_HANDLE_KIND_PATH)
		return link;
	return (struct pss_text){ 0 };
}

static int fill_name(struct handle *handle)
{
	struct pss_handle_record *record = &handle->record;
	struct pss_text name = name_in_link(handle);
	char text[96];

	if (!handle->options->with_names)
		return 0;
	if (name.size == 0)
		name = (struct pss_text){ text, format_name(handle, text) };
	if (name.size == 0)
		return 0;
	record->flags |= PSS_HANDLE_HAS_NAME;
	return pss_section_add_bytes(handle->context->section, name.data, name.size, &record->name);
}

static int add_record(struct handle *handle)
{
	struct pss_section_builder *section = handle->context->section;
	struct pss_handle_record *record = &handle->record;
	struct pss_text info = handle->text.info;
	int r = pss_section_add_bytes(section, handle->text.link.data, handle->text.link.size,
				      &record->link);

	if (r == 0 && record->flags & PSS_HANDLE_HAS_INFO)
		r = pss_section_add_bytes(section, info.data, info.size, &record->info);
	if (r == 0)
		r = pss_section_add(section, PSS_PART_HANDLES, record, sizeof *record);
	return r;
}

int pss_collect_handles(const struct pss_collect *context, const struct pss_buf *list,
			const struct pss_collect_handles_options *options)
{
	struct pss_procfs_fd_text text;
	int r = 0;

	for (size_t cursor = 0; r == 0 && pss_procfs_fds_next(list, &cursor, &text);) {
		struct handle handle = { .context = context, .options = options, .text = text };
		uint64_t when = options->instant_realtime_ns ? options->instant_realtime_ns
							     : text.head.realtime_ns;

		handle.record.fd = text.head.fd;
		handle.record.capture_time = pss_collect_common_instant(when);
		fill_from_info(&handle);
		look_at_inode(&handle);
		handle.record.kind = find_kind(&handle);
		if (handle.record.kind == PSS_HANDLE_KIND_SOCKET)
			handle.record.inode = number_in_link(text.link);
		fill_value(&handle);
		r = fill_name(&handle);
		if (r == 0)
			r = add_record(&handle);
	}
	if (r < 0)
		return pss_fail(context->diag, r, "cannot describe the descriptors of process %d",
				context->pid);
	return 0;
}

bool pss_collect_handles_has_sockets(const struct pss_buf *list)
{
	struct pss_procfs_fd_text text;

	for (size_t cursor = 0; pss_procfs_fds_next(list, &cursor, &text);)
		if (begins_with(text.link, "socket:"))
			return true;
	return false;
}
