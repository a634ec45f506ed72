// SPDX-License-Identifier: LGPL-2.1-or-later
// Writes the notes of a core in the kernel's order, which readers count on: the first thread is the
// one they show, and what belongs to the process stands among its notes. Nothing is kept in memory:
// notes are measured by writing them nowhere.
#include "elfcore_notes.h"

#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/procfs.h>

#include "arch.h"
#include "base/checked.h"
#include "config.h"

enum {
	NOTE_ALIGNMENT = 4,
	REGSET_ROOM = 4096,
	LAYOUT_ROOM = 1024,
	LINE_ROOM = 256,
	AUXV_TAGS_MAX = 128,
	SIGINFO_SIZE = 128,
	NAME_SIZE = 16,
	ARGUMENTS_SIZE = 80,
};

// 100 ns ticks, and how many of them lie between Windows' epoch and ours.
#define TICKS_PER_SECOND  UINT64_C(10000000)
#define TICKS_BEFORE_1970 UINT64_C(116444736000000000)

// struct elf_prstatus of a 64-bit machine up to its registers, which differ in size. The registers
// and one int that says whether there are floating-point registers follow.
struct status_head {
	int32_t si_signo;
	int32_t si_code;
	int32_t si_errno;
	int16_t cursig;
	int16_t padding;
	uint64_t sigpend;
	uint64_t sighold;
	int32_t pid;
	int32_t ppid;
	int32_t pgrp;
	int32_t sid;
	struct {
		int64_t sec;
		int64_t usec;
	} utime, stime, cutime, cstime;
};
static_assert(sizeof(struct status_head) == offsetof(struct elf_prstatus, pr_reg),
	      "as the kernel's");

struct status_tail {
	int32_t fpvalid;
	int32_t padding;
};
static_assert(sizeof(struct status_head) + sizeof(elf_gregset_t) + sizeof(struct status_tail) ==
		      sizeof(struct elf_prstatus),
	      "as the kernel's");
static_assert(sizeof(struct elf_prpsinfo) == 136, "as the kernel's");

// Where bytes go, or how many there would be.
struct emitter {
	const struct pss_section *section;
	const struct pss_elfcore_plan *plan;
	const struct pss_arch *arch; // NULL: registers of a machine that is not ours
	size_t general_size;         // of every thread's general registers
	struct pss_sink *sink;       // NULL: count only
	uint64_t size;
	int error;
};

// The body of a note whose length takes counting.
typedef void body_fn(struct emitter *emitter, const void *context);

static void emit(struct emitter *emitter, const void *bytes, size_t size)
{
	if (emitter->error < 0)
		return;
	if (emitter->sink)
		emitter->error = pss_sink_write(emitter->sink, bytes, size);
	emitter->size += size;
}

static void emit_padding(struct emitter *emitter)
{
	static const uint8_t zeroes[NOTE_ALIGNMENT];

	emit(emitter, zeroes, pss_align_up(emitter->size, NOTE_ALIGNMENT) - emitter->size);
}

static void emit_head(struct emitter *emitter, const char *owner, uint32_t type, uint64_t size)
{
	Elf64_Nhdr head = { .n_namesz = (uint32_t)strlen(owner) + 1, .n_type = type };

	if (pss_u32(size, &head.n_descsz) < 0)
		emitter->error = -EFBIG;
	emit(emitter, &head, sizeof head);
	emit(emitter, owner, head.n_namesz);
	emit_padding(emitter);
}

static void emit_note(struct emitter *emitter, const char *owner, uint32_t type, const void *bytes,
		      size_t size)
{
	emit_head(emitter, owner, type, size);
	emit(emitter, bytes, size);
	emit_padding(emitter);
}

static void emit_counted(struct emitter *emitter, const char *owner, uint32_t type, body_fn *body,
			 const void *context)
{
	struct emitter counter = *emitter;

	counter.sink = NULL;
	counter.size = 0;
	body(&counter, context);
	emit_head(emitter, owner, type, counter.size);
	body(emitter, context);
	emit_padding(emitter);
}

static const char *owner_of(uint32_t note_type)
{
	return note_type == NT_PRSTATUS || note_type == NT_PRFPREG ? "CORE" : "LINUX";
}

static bool is_in_core(const struct pss_thread_record *thread)
{
	// A leader that has exited has nothing to show; one that would not stop has: that it is
	// there.
	return !(thread->flags & PSS_THREAD_TERMINATED) &&
	       (thread->flags & (PSS_THREAD_HAS_REGISTERS | PSS_THREAD_UNSTOPPABLE));
}

// Size of the general registers in this snapshot; 0 if no thread has any.
static size_t general_size(const struct pss_section *section)
{
	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_THREADS); i++) {
		const void *bytes;
		size_t size;

		if (pss_section_regset(section, pss_section_thread(section, i), NT_PRSTATUS, &bytes,
				       &size) == 0)
			return size < PSS_ARCH_GENERAL_SIZE_MAX ? size : 0;
	}
	return 0;
}

// The thread to be shown first: the one that asked for the snapshot, else the leader, else any.
static const struct pss_thread_record *first_thread(const struct pss_section *section)
{
	const struct pss_thread_record *any = NULL, *leader = NULL;

	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_THREADS); i++) {
		const struct pss_thread_record *thread = pss_section_thread(section, i);

		if (!is_in_core(thread))
			continue;
		if (thread->flags & PSS_THREAD_CALLER)
			return thread;
		if (thread->tid == pss_section_process(section)->pid)
			leader = thread;
		if (!any && (thread->flags & PSS_THREAD_HAS_REGISTERS))
			any = thread;
	}
	return leader ? leader : any;
}

uint32_t pss_elfcore_notes_threads(const struct pss_section *section)
{
	uint32_t count = 0;

	if (general_size(section) == 0)
		return 0;
	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_THREADS); i++)
		count += is_in_core(pss_section_thread(section, i));
	return count;
}

static void emit_status(struct emitter *emitter, const struct pss_thread_record *thread)
{
	const struct pss_process_record *process = pss_section_process(emitter->section);
	// No signal has happened. The process group is the kernel's idea of it, too; ClrMD takes
	// this field for the process id, but the other readers for what it is called.
	const struct status_head head = {
		.sigpend = thread->signal_pending,
		.sighold = thread->signal_mask,
		.pid = thread->tid,
		.ppid = process->parent_pid,
		.pgrp = process->process_group,
		.sid = process->session,
		.utime.sec = (int64_t)(thread->user_time / TICKS_PER_SECOND),
		.utime.usec = (int64_t)(thread->user_time % TICKS_PER_SECOND / 10),
		.stime.sec = (int64_t)(thread->kernel_time / TICKS_PER_SECOND),
		.stime.usec = (int64_t)(thread->kernel_time % TICKS_PER_SECOND / 10),
	};
	static const uint8_t unknown[PSS_ARCH_GENERAL_SIZE_MAX];
	const size_t expected = emitter->general_size;
	const void *general = unknown, *floating;
	size_t size = expected, floating_size;

	int r = pss_section_regset(emitter->section, thread, NT_PRSTATUS, &general, &size);
	if (r == -EBADMSG || size != expected)
		emitter->error = -EBADMSG;
	const struct status_tail tail = {
		.fpvalid = pss_section_regset(emitter->section, thread, NT_PRFPREG, &floating,
					      &floating_size) == 0,
	};
	emit_head(emitter, "CORE", NT_PRSTATUS, sizeof head + expected + sizeof tail);
	emit(emitter, &head, sizeof head);
	emit(emitter, general, expected);
	emit(emitter, &tail, sizeof tail);
	emit_padding(emitter);
}

// Copies a text of the section, cut to @room with its terminator.
static size_t copy_text(const struct pss_section *section, struct pss_bytes_ref ref, char *to,
			size_t room)
{
	const void *bytes;
	size_t size = ref.size < room ? ref.size : room - 1;

	if (pss_section_bytes(section, ref, &bytes) < 0)
		return 0;
	memcpy(to, bytes, size);
	to[size] = '\0';
	return size;
}

static void emit_process(struct emitter *emitter)
{
	static const char states[] = "RSDTZW";
	const struct pss_process_record *process = pss_section_process(emitter->section);
	struct elf_prpsinfo info = {
		.pr_sname = (char)process->state,
		.pr_zomb = (char)(process->state == 'Z'),
		.pr_nice = (char)process->nice,
		.pr_uid = process->uid,
		.pr_gid = process->gid,
		.pr_pid = process->pid,
		.pr_ppid = process->parent_pid,
		.pr_pgrp = process->process_group,
		.pr_sid = process->session,
	};
	static_assert(sizeof info.pr_fname == NAME_SIZE && sizeof info.pr_psargs == ARGUMENTS_SIZE,
		      "as the kernel's");
	const char *state = process->state ? strchr(states, (int)process->state) : NULL;

	info.pr_state = (char)(state ? state - states : 0);
	(void)copy_text(emitter->section, process->comm, info.pr_fname, sizeof info.pr_fname);
	size_t size = copy_text(emitter->section, process->command_line, info.pr_psargs,
				sizeof info.pr_psargs);
	// The last argument's terminator is the text's; those before part the arguments.
	while (size > 0 && info.pr_psargs[size - 1] == '\0')
		size--;
	for (size_t i = 0; i < size; i++)
		if (info.pr_psargs[i] == '\0')
			info.pr_psargs[i] = ' ';
	emit_note(emitter, "CORE", NT_PRPSINFO, &info, sizeof info);
}

static void emit_signal(struct emitter *emitter, const struct pss_thread_record *thread)
{
	static const uint8_t none[SIGINFO_SIZE]; // si_signo 0: nothing has been signalled
	const void *bytes = none;
	size_t size = sizeof none;

	if (pss_section_regset(emitter->section, thread, NT_SIGINFO, &bytes, &size) == -EBADMSG)
		emitter->error = -EBADMSG;
	emit_note(emitter, "CORE", NT_SIGINFO, bytes, size);
}

// Each tag once, the last one AT_NULL: ClrMD gives up at a tag that comes twice.
static void auxv_body(struct emitter *emitter, const void *context)
{
	static const Elf64_auxv_t end = { .a_type = AT_NULL };
	uint64_t seen[AUXV_TAGS_MAX];
	size_t count = 0, size;
	const uint8_t *bytes = pss_section_blob(emitter->section, PSS_PART_AUXV, &size);

	(void)context;
	for (; size >= sizeof end && count < AUXV_TAGS_MAX; bytes += sizeof end) {
		Elf64_auxv_t entry;
		size_t i = 0;

		memcpy(&entry, bytes, sizeof entry);
		size -= sizeof entry;
		if (entry.a_type == AT_NULL)
			break;
		while (i < count && seen[i] != entry.a_type)
			i++;
		if (i < count)
			continue;
		seen[count++] = entry.a_type;
		emit(emitter, &entry, sizeof entry);
	}
	emit(emitter, &end, sizeof end);
}

// The path behind a mapping, up to its first NUL, if it is a file's.
static bool file_path(const struct pss_section *section, const struct pss_region_record *region,
		      const char **path_ret, size_t *size_ret)
{
	const void *bytes;

	if ((region->kind != PSS_REGION_MAPPED && region->kind != PSS_REGION_IMAGE) ||
	    region->path.size == 0 || pss_section_bytes(section, region->path, &bytes) < 0 ||
	    *(const char *)bytes != '/')
		return false;
	*path_ret = bytes;
	*size_ret = strnlen(bytes, region->path.size);
	return true;
}

static uint64_t file_count(const struct pss_section *section)
{
	uint64_t count = 0;
	const char *path;
	size_t size;

	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_REGIONS); i++)
		count += file_path(section, pss_section_region(section, i), &path, &size);
	return count;
}

static void files_body(struct emitter *emitter, const void *context)
{
	const struct pss_section *section = emitter->section;
	uint64_t page_size = pss_section_header(section)->page_size;
	const uint64_t head[] = { *(const uint64_t *)context, page_size };
	const char *path;
	size_t size;

	emit(emitter, head, sizeof head);
	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_REGIONS); i++) {
		const struct pss_region_record *region = pss_section_region(section, i);
		const uint64_t entry[] = { region->start, region->end,
					   region->file_offset / page_size };

		if (file_path(section, region, &path, &size))
			emit(emitter, entry, sizeof entry);
	}
	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_REGIONS); i++) {
		if (!file_path(section, pss_section_region(section, i), &path, &size))
			continue;
		emit(emitter, path, size);
		emit(emitter, "", 1);
	}
}

// What belongs to the process, not to a thread.
static void emit_process_notes(struct emitter *emitter, const struct pss_thread_record *first)
{
	uint64_t files = file_count(emitter->section);
	size_t auxv_size;

	emit_process(emitter);
	if (first)
		emit_signal(emitter, first);
	(void)pss_section_blob(emitter->section, PSS_PART_AUXV, &auxv_size);
	if (auxv_size > 0)
		emit_counted(emitter, "CORE", NT_AUXV, auxv_body, NULL);
	if (files > 0)
		emit_counted(emitter, "CORE", NT_FILE, files_body, &files);
}

static void emit_regset(struct emitter *emitter, const struct pss_section_regset *regset)
{
	const struct pss_arch *arch = emitter->arch;
	uint8_t changed[REGSET_ROOM];
	size_t size = 0;

	if (arch && arch->core_regset)
		size = arch->core_regset(regset->note_type, regset->bytes, regset->size, changed,
					 sizeof changed);
	emit_note(emitter, owner_of(regset->note_type), regset->note_type,
		  size > 0 ? changed : regset->bytes, size > 0 ? size : regset->size);
}

// The register sets besides the general ones: floating point first, then in order of capture.
static void emit_regsets(struct emitter *emitter, const struct pss_thread_record *thread)
{
	struct pss_section_regset regset;
	const void *floating;
	size_t size;
	uint64_t cursor = 0;
	int r;

	if (pss_section_regset(emitter->section, thread, NT_PRFPREG, &floating, &size) == 0)
		emit_note(emitter, owner_of(NT_PRFPREG), NT_PRFPREG, floating, size);
	while ((r = pss_section_next_regset(emitter->section, thread, &cursor, &regset)) == 0)
		if (regset.note_type != NT_PRSTATUS && regset.note_type != NT_PRFPREG &&
		    regset.note_type != NT_SIGINFO)
			emit_regset(emitter, &regset);
	if (r == -EBADMSG)
		emitter->error = -EBADMSG;
}

static void emit_thread(struct emitter *emitter, const struct pss_thread_record *thread,
			bool is_first)
{
	const void *bytes;
	size_t size;

	emit_status(emitter, thread);
	if (is_first)
		emit_process_notes(emitter, thread);
	else if (pss_section_regset(emitter->section, thread, NT_SIGINFO, &bytes, &size) == 0)
		emit_signal(emitter, thread);
	emit_regsets(emitter, thread);
}

// Once in the file, after the threads, as the kernel does: where the parts of extended sets lie.
static void emit_layout(struct emitter *emitter)
{
	const struct pss_section *section = emitter->section;
	uint8_t layout[LAYOUT_ROOM];
	uint32_t type = 0;

	if (!emitter->arch || !emitter->arch->core_layout)
		return;
	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_THREADS); i++) {
		struct pss_section_regset regset;
		uint64_t cursor = 0;

		while (pss_section_next_regset(section, pss_section_thread(section, i), &cursor,
					       &regset) == 0) {
			if (regset.note_type != emitter->arch->frame_note_type)
				continue;
			size_t size = emitter->arch->core_layout(regset.bytes, regset.size, &type,
								 layout, sizeof layout);
			if (size > 0)
				emit_note(emitter, "LINUX", type, layout, size);
			return;
		}
	}
}

__attribute__((format(printf, 2, 3))) static void emit_line(struct emitter *emitter,
							    const char *format, ...)
{
	char line[LINE_ROOM];
	va_list args;

	va_start(args, format);
	int size = vsnprintf(line, sizeof line, format, args);
	va_end(args);
	emit(emitter, line, size < LINE_ROOM ? (size_t)size : LINE_ROOM - 1);
}

static const char *content_name(uint32_t content)
{
	static const char *const names[PSS_CONTENT_COUNT] = {
		[PSS_CONTENT_NONE] = "unknown",    [PSS_CONTENT_POINT_IN_TIME] = "point-in-time",
		[PSS_CONTENT_LIVE] = "live",       [PSS_CONTENT_WIPED] = "wiped",
		[PSS_CONTENT_MISSING] = "missing", [PSS_CONTENT_EXCLUDED] = "excluded",
	};

	return content < PSS_CONTENT_COUNT ? names[content] : "unknown";
}

// The manifest: lines of "key value", for people and programs. Regions that are not named here hold
// what the target held at the instant of the snapshot.
static void manifest_body(struct emitter *emitter, const void *context)
{
	const struct pss_section *section = emitter->section;
	const struct pss_process_record *process = pss_section_process(section);
	const struct pss_figures_record *figures = pss_section_figures(section);
	const uint32_t *unknown = (const uint32_t *)emitter->plan->memory.unknown.data;

	(void)context;
	emit_line(emitter, "manifest 1\nwriter procsnap %s\nkind live-snapshot\n",
		  PROCSNAP_VERSION);
	if (process->capture_time > TICKS_BEFORE_1970)
		emit_line(emitter, "captured-unix-ns %llu\n",
			  (unsigned long long)(process->capture_time - TICKS_BEFORE_1970) * 100);
	if (figures)
		emit_line(emitter, "pause-ns %llu\nhold-ns %llu\n",
			  (unsigned long long)figures->pause_ns,
			  (unsigned long long)figures->hold_ns);
	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_THREADS); i++) {
		const struct pss_thread_record *thread = pss_section_thread(section, i);
		if (is_in_core(thread) && !(thread->flags & PSS_THREAD_HAS_REGISTERS))
			emit_line(emitter, "thread %d registers-unknown\n", thread->tid);
	}
	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_REGIONS); i++) {
		const struct pss_region_record *region = pss_section_region(section, i);
		if (region->content != PSS_CONTENT_POINT_IN_TIME)
			emit_line(emitter, "region %llx-%llx %s\n",
				  (unsigned long long)region->start,
				  (unsigned long long)region->end, content_name(region->content));
	}
	for (size_t i = 0; i < emitter->plan->memory.unknown.size / sizeof *unknown; i++) {
		const struct pss_region_record *region = pss_section_region(section, unknown[i]);
		emit_line(emitter, "region %llx-%llx left-out pages-unknown\n",
			  (unsigned long long)region->start, (unsigned long long)region->end);
	}
}

int pss_elfcore_notes_write(const struct pss_section *section, const struct pss_elfcore_plan *plan,
			    struct pss_sink *sink, uint64_t *size_ret)
{
	const struct pss_arch *native = pss_arch_native();
	struct emitter emitter = {
		.section = section,
		.plan = plan,
		.general_size = general_size(section),
		.sink = sink,
	};
	const struct pss_thread_record *first = NULL;

	if (native->elf_machine == pss_section_header(section)->machine)
		emitter.arch = native;
	if (emitter.general_size > 0)
		first = first_thread(section);
	if (first)
		emit_thread(&emitter, first, true);
	else
		emit_process_notes(&emitter, NULL);
	for (uint32_t i = 0; first && i < pss_section_count(section, PSS_PART_THREADS); i++) {
		const struct pss_thread_record *thread = pss_section_thread(section, i);
		if (thread != first && is_in_core(thread))
			emit_thread(&emitter, thread, false);
	}
	emit_layout(&emitter);
	emit_counted(&emitter, PSS_ELFCORE_NOTE_OWNER, PSS_ELFCORE_NOTE_TYPE, manifest_body, NULL);
	if (emitter.error < 0)
		return emitter.error;
	*size_ret = emitter.size;
	return 0;
}
