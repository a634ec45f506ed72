// SPDX-License-Identifier: LGPL-2.1-or-later
// The streams that Breakpad has added for Linux: what /proc would have said at the instant of the
// snapshot, made from the section, and the dynamic linker's list of objects.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "minidump_streams.h"
#include "procfs.h"

enum {
	LINE_ROOM = 256,
	OBJECTS_MOST = 4096, // a list that is damaged may be a ring
	NAME_ROOM = 4096,
	DYNAMIC_MOST = 512,
};

// As Breakpad lays them out: not packed.
struct dso_debug {
	uint32_t version;
	RVA map;
	uint32_t count;
	uint64_t brk;
	uint64_t base;
	uint64_t dynamic;
};

struct dso_object {
	uint64_t address;
	RVA name;
	uint64_t dynamic;
};

static int put_stream(struct pss_minidump *dump, const void *bytes, size_t size)
{
	if (size == 0)
		return -ENOENT;
	RVA at = pss_minidump_layout_put(&dump->layout, bytes, size);
	dump->stream = pss_minidump_layout_since(&dump->layout, at);
	return 0;
}

__attribute__((format(printf, 2, 3))) static void add_line(struct pss_minidump *dump,
							   const char *format, ...)
{
	char line[LINE_ROOM];
	va_list args;

	va_start(args, format);
	int size = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	pss_minidump_layout_add(&dump->layout, line,
				size < LINE_ROOM ? (size_t)size : LINE_ROOM - 1);
}

// Begins a stream of text, to be closed by end_text().
static RVA begin_text(struct pss_minidump *dump)
{
	return pss_minidump_layout_put(&dump->layout, NULL, 0);
}

static int end_text(struct pss_minidump *dump, RVA at)
{
	dump->stream = pss_minidump_layout_since(&dump->layout, at);
	return 0;
}

// The machine's, which is the one that the snapshot was taken on: its clone runs here.
int pss_minidump_put_cpu_info(struct pss_minidump *dump)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;

	if (pss_procfs_read(AT_FDCWD, "/proc/cpuinfo", &text) < 0)
		return -ENOENT;
	return put_stream(dump, text.data, text.size);
}

int pss_minidump_put_proc_status(struct pss_minidump *dump)
{
	const struct pss_process_record *process = pss_section_process(dump->section);
	const void *name;
	RVA at = begin_text(dump);

	if (pss_section_bytes(dump->section, process->comm, &name) < 0)
		return -EBADMSG;
	add_line(dump, "Name:\t%.*s\n", (int)(process->comm.size < 64 ? process->comm.size : 64),
		 (const char *)name);
	add_line(dump, "State:\t%c\n", process->state ? (int)process->state : '?');
	add_line(dump, "Tgid:\t%d\nPid:\t%d\nPPid:\t%d\nTracerPid:\t0\n", process->pid,
		 process->pid, process->parent_pid);
	add_line(dump, "Uid:\t%u\nGid:\t%u\n", process->uid, process->gid);
	add_line(dump, "VmPeak:\t%llu kB\nVmSize:\t%llu kB\n",
		 (unsigned long long)process->vm_peak / 1024,
		 (unsigned long long)process->vm_size / 1024);
	add_line(dump, "VmHWM:\t%llu kB\nVmRSS:\t%llu kB\nRssAnon:\t%llu kB\n",
		 (unsigned long long)process->vm_hwm / 1024,
		 (unsigned long long)process->vm_rss / 1024,
		 (unsigned long long)process->rss_anon / 1024);
	add_line(dump, "VmPTE:\t%llu kB\nVmSwap:\t%llu kB\nThreads:\t%u\n",
		 (unsigned long long)process->vm_pte / 1024,
		 (unsigned long long)process->vm_swap / 1024, process->thread_count);
	return end_text(dump, at);
}

int pss_minidump_put_cmd_line(struct pss_minidump *dump)
{
	struct pss_bytes_ref line = pss_section_process(dump->section)->command_line;
	const void *bytes;

	if (pss_section_bytes(dump->section, line, &bytes) < 0)
		return -EBADMSG;
	return put_stream(dump, bytes, line.size);
}

// The clone's is the target's: it has the same memory, and the kernel knows the place by itself.
int pss_minidump_put_environ(struct pss_minidump *dump)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;

	if (pss_procfs_read(dump->memory->dir_fd, "environ", &text) < 0)
		return -ENOENT;
	return put_stream(dump, text.data, text.size);
}

// What asks for memory at large, or for what Windows keeps the environment in, asks for it, too.
static const uint64_t environment_types =
	MiniDumpWithFullMemory | MiniDumpWithPrivateReadWriteMemory | MiniDumpWithProcessThreadData;

// Fields of /proc/PID/stat, counted from the state, which is the third and follows the name.
enum { STATE_FIELD = 3, ENV_START_FIELD = 50, ENV_END_FIELD = 51 };

int pss_minidump_hide_environment(struct pss_minidump *dump)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	unsigned field = STATE_FIELD;

	if (dump->options->has_environment || pss_minidump_has(dump, environment_types))
		return 0;
	int r = pss_procfs_read(dump->memory->dir_fd, "stat", &text);
	if (r == 0)
		r = pss_buf_append(&text, "", 1);
	if (r < 0)
		return r;
	const char *next = strrchr((const char *)text.data, ')');
	for (next = next ? strchr(next, ' ') : NULL; next; next = strchr(next + 1, ' '), field++) {
		if (field == ENV_START_FIELD)
			dump->hidden_start = strtoull(next, NULL, 10);
		if (field == ENV_END_FIELD)
			dump->hidden_end = strtoull(next, NULL, 10);
	}
	// Zeroes are shown to who may not see addresses: what cannot be found cannot be hidden.
	return dump->hidden_end ? 0 : -EACCES;
}

int pss_minidump_put_auxv(struct pss_minidump *dump)
{
	size_t size;
	const void *bytes = pss_section_blob(dump->section, PSS_PART_AUXV, &size);

	return put_stream(dump, bytes, size);
}

int pss_minidump_put_maps(struct pss_minidump *dump)
{
	RVA at = begin_text(dump);

	for (uint32_t i = 0; i < pss_section_count(dump->section, PSS_PART_REGIONS); i++) {
		const struct pss_region_record *region = pss_section_region(dump->section, i);
		const void *path;

		if (pss_section_bytes(dump->section, region->path, &path) < 0)
			return -EBADMSG;
		add_line(dump, "%08llx-%08llx %c%c%c%c %08llx %02x:%02x %-10llu",
			 (unsigned long long)region->start, (unsigned long long)region->end,
			 region->protection & PSS_REGION_READ ? 'r' : '-',
			 region->protection & PSS_REGION_WRITE ? 'w' : '-',
			 region->protection & PSS_REGION_EXECUTE ? 'x' : '-',
			 region->flags & PSS_REGION_SHARED ? 's' : 'p',
			 (unsigned long long)region->file_offset, region->device_major,
			 region->device_minor, (unsigned long long)region->inode);
		if (region->path.size > 0)
			add_line(dump, " ");
		// A line is a line: the kernel writes a newline in a name as an escape.
		for (const char *next = path, *end = next + region->path.size; next < end;) {
			const char *newline = memchr(next, '\n', (size_t)(end - next));
			const char *stop = newline ? newline : end;

			pss_minidump_layout_add(&dump->layout, next, (size_t)(stop - next));
			if (newline)
				add_line(dump, "\\012");
			next = newline ? newline + 1 : end;
		}
		add_line(dump, "\n");
	}
	return end_text(dump, at);
}

// All of an object at @address, or nothing.
static bool get(struct pss_minidump *dump, uint64_t address, void *to, size_t size)
{
	size_t done = 0;

	return pss_minidump_read(dump, address, to, size, &done) == 0;
}

// A text of the target, as far as it can be read.
static size_t get_text(struct pss_minidump *dump, uint64_t address, char text[NAME_ROOM])
{
	size_t done = 0;

	(void)pss_minidump_read(dump, address, text, NAME_ROOM, &done);
	return strnlen(text, done);
}

static int gather_objects(struct pss_minidump *dump, uint64_t address, struct pss_buf *objects)
{
	uint32_t count = 0;
	int r = 0;

	for (struct link_map map; r == 0 && address != 0 && count < OBJECTS_MOST; count++) {
		char name[NAME_ROOM];

		if (!get(dump, address, &map, sizeof map))
			break;
		size_t size = get_text(dump, (uintptr_t)map.l_name, name);
		// All of it: what lies between goes out as well.
		struct dso_object object;
		memset(&object, 0, sizeof object);
		object.address = map.l_addr;
		object.name = pss_minidump_layout_put_text(&dump->layout, name, size);
		object.dynamic = (uintptr_t)map.l_ld;
		r = pss_buf_append(objects, &object, sizeof object);
		address = (uintptr_t)map.l_next;
	}
	return r;
}

// The program's own dynamic section stands behind the head, as Breakpad has it.
static void add_dynamic(struct pss_minidump *dump, uint64_t address)
{
	for (unsigned i = 0; i < DYNAMIC_MOST; i++) {
		Elf64_Dyn entry;

		if (!get(dump, address + i * sizeof entry, &entry, sizeof entry))
			return;
		pss_minidump_layout_add(&dump->layout, &entry, sizeof entry);
		if (entry.d_tag == DT_NULL)
			return;
	}
}

int pss_minidump_put_dso_debug(struct pss_minidump *dump)
{
	_cleanup_buf_ struct pss_buf objects = PSS_BUF_EMPTY;
	uint64_t address = pss_section_process(dump->section)->debug_address;
	struct r_debug debug;
	struct dso_debug head;

	if (address == 0 || !get(dump, address, &debug, sizeof debug))
		return -ENOENT;
	int r = gather_objects(dump, (uintptr_t)debug.r_map, &objects);
	if (r < 0)
		return r;
	memset(&head, 0, sizeof head);
	head.version = (uint32_t)debug.r_version;
	head.count = (uint32_t)(objects.size / sizeof(struct dso_object));
	head.map = pss_minidump_layout_put(&dump->layout, objects.data, objects.size);
	head.brk = debug.r_brk;
	head.base = debug.r_ldbase;
	if (head.count > 0)
		head.dynamic = ((const struct dso_object *)(void *)objects.data)->dynamic;
	RVA at = pss_minidump_layout_put(&dump->layout, &head, sizeof head);
	if (head.dynamic != 0)
		add_dynamic(dump, head.dynamic);
	dump->stream = pss_minidump_layout_since(&dump->layout, at);
	return 0;
}
