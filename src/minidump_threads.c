// SPDX-License-Identifier: LGPL-2.1-or-later
// The threads of a minidump: which are in it, their registers and stacks, what else is known.
#include <errno.h>
#include <string.h>

#include "arch.h"
#include "base/checked.h"
#include "minidump_streams.h"
#include "walk.h"
#include "winvalue.h"

enum {
	STACK_MOST = 16 * 1024 * 1024, // of one stack
	// Many small stacks may lie in one large mapping: Go's do.
	ARENA_LEAST = 48 * 1024 * 1024,
	ARENA_STACK_MOST = 1024 * 1024,
	CONTEXT_ROOM = 2048,
};

struct context {
	_Alignas(16) uint8_t bytes[CONTEXT_ROOM];
	size_t size; // 0: of another machine
};

// A leader that has exited while others live has nothing to show.
static bool is_in_dump(const struct pss_thread_record *thread)
{
	return !(thread->flags & PSS_THREAD_TERMINATED);
}

// Without registers a context says so: it has no group of them.
static void get_context(const struct pss_minidump *dump, uint32_t index, struct context *ret)
{
	const struct pss_arch *arch = pss_arch_native();
	const struct pss_arch_registers none = { 0 };
	struct pss_walk_entry entry;

	ret->size = 0;
	if (arch->elf_machine != pss_section_header(dump->section)->machine)
		return;
	ret->size = arch->context_size;
	pss_walk_fill(dump->section, PSS_WALK_THREADS, index, &entry);
	if (entry.context_thread)
		pss_walk_set_context(dump->section, &entry, ret->bytes);
	else
		arch->build_context(&none, 0, ret->bytes);
}

// From below the stack pointer, as far as the running function may have written, to the end.
static void find_stack(const struct pss_minidump *dump, const struct pss_thread_record *record,
		       struct pss_minidump_thread *thread)
{
	uint64_t top = record->stack_pointer;
	const struct pss_region_record *region = pss_section_region_at(dump->section, top);

	if (!region || !(record->flags & PSS_THREAD_HAS_REGISTERS))
		return;
	uint64_t red_zone = pss_arch_native()->red_zone;
	uint64_t start = top - region->start > red_zone ? top - red_zone : region->start;
	start = pss_align_down(start, dump->page_size);
	thread->stack_start = start > region->start ? start : region->start;
	bool is_arena = region->end - region->start >= ARENA_LEAST &&
			!(region->flags & PSS_REGION_GROWS_DOWN);
	uint64_t most = is_arena ? ARENA_STACK_MOST : STACK_MOST;
	thread->stack_end =
		region->end - thread->stack_start > most ? thread->stack_start + most : region->end;
}

static bool ask(struct pss_minidump *dump, const struct pss_thread_record *record,
		struct pss_minidump_thread *thread)
{
	MINIDUMP_THREAD_EX_CALLBACK question;
	struct context context;

	if (!dump->ask->callback)
		return true;
	get_context(dump, thread->index, &context);
	memset(&question, 0, sizeof question);
	question.ThreadId = (ULONG)record->tid;
	if (context.size == sizeof question.Context)
		memcpy(&question.Context, context.bytes, sizeof question.Context);
	question.SizeOfContext = (ULONG)context.size;
	question.StackBase = thread->stack_end;
	question.StackEnd = thread->stack_start;
	return pss_minidump_ask_thread(dump->ask, &question, &thread->flags);
}

int pss_minidump_threads_choose(struct pss_minidump *dump)
{
	ULONG flags = ThreadWriteThread | ThreadWriteStack | ThreadWriteContext |
		      ThreadWriteInstructionWindow;

	if (pss_minidump_has(dump, MiniDumpWithThreadInfo))
		flags |= ThreadWriteThreadInfo;
	if (pss_minidump_has(dump, MiniDumpWithProcessThreadData))
		flags |= ThreadWriteThreadData;
	for (uint32_t i = 0; i < pss_section_count(dump->section, PSS_PART_THREADS); i++) {
		const struct pss_thread_record *record = pss_section_thread(dump->section, i);
		struct pss_minidump_thread thread = { .index = i, .flags = flags };

		if (!is_in_dump(record))
			continue;
		find_stack(dump, record, &thread);
		if (!ask(dump, record, &thread))
			continue;
		if (!(thread.flags & ThreadWriteStack))
			thread.stack_end = thread.stack_start;
		int r = pss_buf_append(&dump->threads, &thread, sizeof thread);
		if (r < 0)
			return r;
		dump->thread_count++;
	}
	return 0;
}

// Where a thread's stack lies in the file, unless it was taken out.
static void locate_stack(struct pss_minidump *dump, const struct pss_minidump_thread *thread,
			 MINIDUMP_MEMORY_DESCRIPTOR *ret)
{
	uint64_t pointer = pss_section_thread(dump->section, thread->index)->stack_pointer;
	const struct pss_memory_segment *segment =
		pss_minidump_ranges_find(&dump->plan.near, pointer);

	if (!segment || thread->stack_start >= thread->stack_end)
		return;
	uint64_t start =
		thread->stack_start > segment->start ? thread->stack_start : segment->start;
	uint64_t end = thread->stack_end < segment->end ? thread->stack_end : segment->end;
	ret->StartOfMemoryRange = start;
	ret->Memory.DataSize = (ULONG32)(end - start);
	ret->Memory.Rva = (RVA)(segment->offset + (start - segment->start));
}

static void put_thread(struct pss_minidump *dump, uint32_t index, RVA at)
{
	const struct pss_minidump_thread *thread = pss_minidump_thread_at(dump, index);
	const struct pss_thread_record *record = pss_section_thread(dump->section, thread->index);
	MINIDUMP_THREAD entry = {
		.ThreadId = (ULONG32)record->tid,
		.SuspendCount = record->flags & PSS_THREAD_GROUP_STOPPED ? 1 : 0,
		.PriorityClass = pss_winvalue_priority_class(record->policy, record->nice),
		.Priority = (ULONG32)pss_winvalue_priority(record->policy, record->nice,
							   record->rt_priority),
		.Teb = record->thread_pointer,
		.Stack.StartOfMemoryRange = record->stack_pointer,
	};
	struct context context;

	get_context(dump, thread->index, &context);
	if (thread->flags & ThreadWriteContext && context.size > 0) {
		entry.ThreadContext.DataSize = (ULONG32)context.size;
		entry.ThreadContext.Rva =
			pss_minidump_layout_put_aligned(&dump->layout, context.bytes, context.size);
	}
	locate_stack(dump, thread, &entry.Stack);
	pss_minidump_layout_set(&dump->layout, at, &entry, sizeof entry);
	if (entry.Stack.Memory.DataSize > 0)
		pss_minidump_layout_relocate(&dump->layout,
					     at + offsetof(MINIDUMP_THREAD, Stack.Memory.Rva));
}

// The list; the registers lie behind it and are no part of it.
int pss_minidump_put_threads(struct pss_minidump *dump)
{
	const MINIDUMP_THREAD_LIST head = { .NumberOfThreads = dump->thread_count };
	RVA at = pss_minidump_layout_put(&dump->layout, &head, sizeof head);

	pss_minidump_layout_add(&dump->layout, NULL, dump->thread_count * sizeof(MINIDUMP_THREAD));
	dump->stream = pss_minidump_layout_since(&dump->layout, at);
	for (uint32_t i = 0; i < dump->thread_count; i++)
		put_thread(dump, i, at + (RVA)(sizeof head + i * sizeof(MINIDUMP_THREAD)));
	return 0;
}

int pss_minidump_put_thread_info(struct pss_minidump *dump)
{
	const MINIDUMP_THREAD_INFO_LIST head = {
		.SizeOfHeader = sizeof head,
		.SizeOfEntry = sizeof(MINIDUMP_THREAD_INFO),
		.NumberOfEntries = dump->thread_count,
	};
	RVA at = pss_minidump_layout_put(&dump->layout, &head, sizeof head);

	for (uint32_t i = 0; i < dump->thread_count; i++) {
		const struct pss_minidump_thread *thread = pss_minidump_thread_at(dump, i);
		const struct pss_thread_record *record =
			pss_section_thread(dump->section, thread->index);
		ULONG32 flags =
			record->flags & PSS_THREAD_CALLER ? MINIDUMP_THREAD_INFO_WRITING_THREAD : 0;

		if (!(record->flags & PSS_THREAD_HAS_REGISTERS))
			flags |= MINIDUMP_THREAD_INFO_INVALID_CONTEXT;
		const MINIDUMP_THREAD_INFO info = {
			.ThreadId = (ULONG32)record->tid,
			.DumpFlags = flags,
			.ExitStatus = STILL_ACTIVE,
			.CreateTime = record->create_time,
			.KernelTime = record->kernel_time,
			.UserTime = record->user_time,
			.Affinity = record->affinity_mask,
		};
		pss_minidump_layout_add(&dump->layout, &info, sizeof info);
	}
	dump->stream = pss_minidump_layout_since(&dump->layout, at);
	return 0;
}

int pss_minidump_put_thread_names(struct pss_minidump *dump)
{
	const MINIDUMP_THREAD_NAME_LIST head = { .NumberOfThreadNames = dump->thread_count };
	RVA at = pss_minidump_layout_put(&dump->layout, &head, sizeof head);

	pss_minidump_layout_add(&dump->layout, NULL,
				dump->thread_count * sizeof(MINIDUMP_THREAD_NAME));
	dump->stream = pss_minidump_layout_since(&dump->layout, at);
	for (uint32_t i = 0; i < dump->thread_count; i++) {
		const struct pss_thread_record *record =
			pss_section_thread(dump->section, pss_minidump_thread_at(dump, i)->index);
		const void *name;

		if (pss_section_bytes(dump->section, record->name, &name) < 0)
			return -EBADMSG;
		const MINIDUMP_THREAD_NAME entry = {
			.ThreadId = (ULONG)record->tid,
			.RvaOfThreadName = pss_minidump_layout_put_text(&dump->layout, name,
									record->name.size),
		};
		pss_minidump_layout_set(&dump->layout, at + (RVA)(sizeof head + i * sizeof entry),
					&entry, sizeof entry);
	}
	return 0;
}
