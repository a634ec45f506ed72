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
	COMM_MOST = 64,
	OBJECTS_MOST = 4096,                 // a list that is damaged may be a ring,
	OBJECT_NAMES_MOST = 4 * 1024 * 1024, // or lead to what is no name
	ENVIRON_MOST = 8 * 1024 * 1024,      // the kernel gives no program more
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

// What a line of text cannot hold as it is, and what the kernel writes in its place.
struct escape {
	char byte;
	const char *text;
};

static const struct escape comm_escapes[] = { { '\n', "\\n" }, { '\\', "\\\\" }, { 0 } };
static const struct escape path_escapes[] = { { '\n', "\\012" }, { 0 } };

// A name within a line: a line is a line.
static void add_name(struct pss_minidump *dump, const char *name, size_t size,
		     const struct escape *escapes)
{
	size_t done = 0;

	for (size_t i = 0; i < size; i++) {
		const struct escape *escape = escapes;

		while (escape->text && escape->byte != name[i])
			escape++;
		if (!escape->text)
			continue;
		pss_minidump_layout_add(&dump->layout, name + done, i - done);
		pss_minidump_layout_add(&dump->layout, escape->text, strlen(escape->text));
		done = i + 1;
	}
	pss_minidump_layout_add(&dump->layout, name + done, size - done);
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
	add_line(dump, "Name:\t");
	add_name(dump, name, process->comm.size < COMM_MOST ? process->comm.size : COMM_MOST,
		 comm_escapes);
	add_line(dump, "\nState:\t%c\n", process->state ? (int)process->state : '?');
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

// Fields of /proc/PID/stat, counted from the state, which is the third and follows the name.
enum { STATE_FIELD = 3, ENV_START_FIELD = 50, ENV_END_FIELD = 51 };

// Where the environment lies. The clone's is the target's: it has the same memory, and the kernel
// knows the place by itself. -EACCES: it is shown to others only.
static int find_environment(const struct pss_minidump *dump, uint64_t *start_ret, uint64_t *end_ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	unsigned field = STATE_FIELD;
	uint64_t start = 0, end = 0;

	int r = pss_procfs_read(dump->memory->dir_fd, "stat", &text);
	if (r == 0)
		r = pss_buf_append(&text, "", 1);
	if (r < 0)
		return r;
	const char *next = strrchr((const char *)text.data, ')');
	for (next = next ? strchr(next, ' ') : NULL; next; next = strchr(next + 1, ' '), field++) {
		if (field == ENV_START_FIELD)
			start = strtoull(next, NULL, 10);
		if (field == ENV_END_FIELD)
			end = strtoull(next, NULL, 10);
	}
	if (end == 0)
		return -EACCES;
	*start_ret = start;
	*end_ret = end;
	return 0;
}

int pss_minidump_put_environ(struct pss_minidump *dump)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	uint64_t start, end;
	size_t done = 0;

	if (find_environment(dump, &start, &end) < 0 || start >= end)
		return -ENOENT;
	// Whoever may say where it ends may say anything.
	size_t size = end - start < ENVIRON_MOST ? end - start : ENVIRON_MOST;
	int r = pss_buf_reserve(&text, size);
	if (r == 0)
		r = pss_minidump_read(dump, start, text.data, size, &done);
	return r < 0 && r != -EFAULT ? r : put_stream(dump, text.data, done);
}

// What asks for memory at large, or for what Windows keeps the environment in, asks for it, too.
static const uint64_t environment_types =
	MiniDumpWithFullMemory | MiniDumpWithPrivateReadWriteMemory | MiniDumpWithProcessThreadData;

int pss_minidump_hide_environment(struct pss_minidump *dump)
{
	if (dump->options->has_environment || pss_minidump_has(dump, environment_types))
		return 0;
	// What cannot be found cannot be hidden.
	return find_environment(dump, &dump->hidden_start, &dump->hidden_end);
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
		size_t size = region->path.size < PSS_MINIDUMP_TEXT_MOST ? region->path.size
									 : PSS_MINIDUMP_TEXT_MOST;
		if (size > 0)
			add_line(dump, " ");
		add_name(dump, path, size, path_escapes);
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
	size_t most = dump->layout.bytes.size + OBJECT_NAMES_MOST;
	uint32_t count = 0;
	int r = 0;

	for (struct link_map map; r == 0 && address != 0 && count < OBJECTS_MOST; count++) {
		char name[NAME_ROOM];

		if (dump->layout.bytes.size > most || !get(dump, address, &map, sizeof map))
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
