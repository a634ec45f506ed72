// SPDX-License-Identifier: LGPL-2.1-or-later
// Chooses the memory of a minidump: what its type asks for, region by region, what the threads
// need, and what the callback adds and takes away.
#include "minidump_plan.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "memory_runs.h"
#include "minidump_referenced.h"
#include "minidump_streams.h"
#include "winvalue.h"

enum {
	// Around the address at which a thread goes on, on either side: what Windows takes, too.
	CODE_WINDOW = 128,
};

// Whether a list with positions of 32 bits can hold it all, with room for what comes before.
#define NEAR_MOST (UINT64_C(3) << 30)

// What the type asks for that is not all of memory.
static const uint64_t partial_types = MiniDumpWithDataSegs | MiniDumpWithPrivateReadWriteMemory |
				      MiniDumpWithCodeSegs | MiniDumpWithPrivateWriteCopyMemory;

void pss_minidump_plan_deinit(struct pss_minidump_plan *plan)
{
	pss_minidump_ranges_deinit(&plan->near);
	pss_minidump_ranges_deinit(&plan->far);
}

// Anonymous memory straight behind the writable part of an object is its .bss.
static bool is_bss(const struct pss_section *section, uint32_t index)
{
	const struct pss_region_record *region = pss_section_region(section, index);
	const struct pss_region_record *before =
		index > 0 ? pss_section_region(section, index - 1) : NULL;

	return before && before->kind == PSS_REGION_IMAGE && before->end == region->start &&
	       (before->protection & PSS_REGION_WRITE) && region->path.size == 0;
}

static bool holds(const struct pss_minidump_module *module, uint64_t address)
{
	return address >= module->base && address < module->end;
}

// The program comes first; the others follow by address.
static ULONG module_flags(const struct pss_minidump *dump, uint64_t address)
{
	uint32_t low = 1, high = dump->module_count;

	if (high > 0 && holds(pss_minidump_module_at(dump, 0), address))
		return pss_minidump_module_at(dump, 0)->flags;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct pss_minidump_module *module = pss_minidump_module_at(dump, middle);

		if (holds(module, address))
			return module->flags;
		if (address < module->base)
			high = middle;
		else
			low = middle + 1;
	}
	return 0;
}

static uint64_t types_of_region(const struct pss_minidump *dump, uint32_t index)
{
	const struct pss_region_record *region = pss_section_region(dump->section, index);
	bool is_writable = region->protection & PSS_REGION_WRITE;
	bool is_private = !(region->flags & PSS_REGION_SHARED);
	uint64_t types = 0;

	if (region->kind == PSS_REGION_IMAGE) {
		ULONG flags = module_flags(dump, region->start);

		if (is_writable && flags & ModuleWriteDataSeg)
			types |= MiniDumpWithDataSegs;
		if (region->protection & PSS_REGION_EXECUTE && flags & ModuleWriteCodeSegs)
			types |= MiniDumpWithCodeSegs;
	}
	if (is_writable && is_private)
		types |= region->kind == PSS_REGION_PRIVATE ? MiniDumpWithPrivateReadWriteMemory
							    : MiniDumpWithPrivateWriteCopyMemory;
	if (is_writable && region->kind == PSS_REGION_PRIVATE && is_bss(dump->section, index) &&
	    module_flags(dump, region->start - 1) & ModuleWriteDataSeg)
		types |= MiniDumpWithDataSegs;
	return types;
}

static bool is_wanted(const void *context, uint32_t index)
{
	const struct pss_minidump *dump = context;

	return pss_minidump_has(dump, MiniDumpWithFullMemory) ||
	       types_of_region(dump, index) & partial_types & dump->options->type;
}

// Where a few pages of a region come from. What is left out of every dump is left out here.
static enum pss_memory_source source_of(const struct pss_minidump *dump,
					const struct pss_region_record *region)
{
	if (region->flags & PSS_REGION_DONT_DUMP && !dump->options->include_dont_dump)
		return PSS_MEMORY_OMITTED;
	if (region->content == PSS_CONTENT_MISSING)
		return PSS_MEMORY_KEPT;
	if (region->content != PSS_CONTENT_POINT_IN_TIME && region->content != PSS_CONTENT_LIVE)
		return PSS_MEMORY_OMITTED;
	if (pss_minidump_is_vdso(dump->section, region))
		return PSS_MEMORY_EVERY;
	if (region->kind == PSS_REGION_SPECIAL || region->flags & PSS_REGION_DEVICE)
		return PSS_MEMORY_OMITTED;
	if (region->kind == PSS_REGION_PRIVATE && !(region->flags & PSS_REGION_SHARED))
		return PSS_MEMORY_RESIDENT;
	return region->protection & PSS_REGION_READ ? PSS_MEMORY_EVERY : PSS_MEMORY_OMITTED;
}

int pss_minidump_plan_add(struct pss_minidump *dump, struct pss_minidump_ranges *to,
			  uint64_t address, uint64_t start, uint64_t end)
{
	uint32_t count = pss_section_regions_up_to(dump->section, address);
	const struct pss_region_record *region =
		count > 0 ? pss_section_region(dump->section, count - 1) : NULL;

	if (!region || address < region->start || address >= region->end)
		return 0;
	const struct pss_memory_segment segment = {
		.start = start > region->start ? pss_align_down(start, dump->page_size)
					       : region->start,
		.end = end < region->end ? pss_align_up(end, dump->page_size) : region->end,
		.region = count - 1,
		.source = source_of(dump, region),
	};
	if (segment.source == PSS_MEMORY_OMITTED || segment.start >= segment.end)
		return 0;
	return pss_minidump_ranges_add(to, &segment);
}

int pss_minidump_plan_add_around(struct pss_minidump *dump, struct pss_minidump_ranges *to,
				 uint64_t address, uint64_t before, uint64_t after)
{
	uint64_t end;

	if (pss_add(address, after, &end) < 0)
		end = UINT64_MAX;
	return pss_minidump_plan_add(dump, to, address, address > before ? address - before : 0,
				     end);
}

static int add_threads(struct pss_minidump *dump)
{
	struct pss_minidump_ranges *near = &dump->plan.near;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < dump->thread_count; i++) {
		const struct pss_minidump_thread *thread = pss_minidump_thread_at(dump, i);
		const struct pss_thread_record *record =
			pss_section_thread(dump->section, thread->index);

		if (thread->stack_start < thread->stack_end)
			r = pss_minidump_plan_add(dump, near, record->stack_pointer,
						  thread->stack_start, thread->stack_end);
		if (r == 0 && thread->flags & ThreadWriteInstructionWindow &&
		    record->flags & PSS_THREAD_HAS_REGISTERS)
			r = pss_minidump_plan_add_around(dump, near, record->instruction_pointer,
							 CODE_WINDOW, CODE_WINDOW);
		if (r == 0 && pss_minidump_has(dump, MiniDumpWithProcessThreadData) &&
		    thread->flags & ThreadWriteThreadData)
			r = pss_minidump_plan_add_around(dump, near, record->thread_pointer, 0,
							 dump->page_size);
	}
	return r;
}

static int add_modules(struct pss_minidump *dump)
{
	struct pss_minidump_ranges *near = &dump->plan.near;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < dump->module_count; i++) {
		const struct pss_minidump_module *module = pss_minidump_module_at(dump, i);

		// Debuggers unwind through the vDSO, which is in no file.
		if (module->is_vdso)
			r = pss_minidump_plan_add(dump, near, module->base, module->base,
						  module->end);
		else if (pss_minidump_has(dump, MiniDumpWithModuleHeaders))
			r = pss_minidump_plan_add(dump, near, module->base, module->base,
						  module->base + 1);
	}
	return r;
}

// What the callback wants: as much as it likes, so it goes where 64 bits place it.
static int add_asked(struct pss_minidump *dump, struct pss_minidump_ranges *more)
{
	uint64_t base = 0, size = 0;
	int r = 0;

	while (r == 0 && pss_minidump_ask_memory(dump->ask, &base, &size)) {
		uint64_t end;

		if (pss_add(base, size, &end) < 0)
			end = UINT64_MAX;
		// It may reach over several mappings.
		for (uint32_t i = 0;
		     r == 0 && i < pss_section_count(dump->section, PSS_PART_REGIONS); i++) {
			const struct pss_region_record *region =
				pss_section_region(dump->section, i);

			if (region->start < end && region->end > base)
				r = pss_minidump_plan_add(
					dump, more, base > region->start ? base : region->start,
					base, end);
		}
	}
	return r;
}

static int remove_range(struct pss_minidump_ranges *gone, uint64_t start, uint64_t end)
{
	const struct pss_memory_segment segment = { .start = start, .end = end };

	return start < end ? pss_minidump_ranges_add(gone, &segment) : 0;
}

// Whole pages: rather more than less of what somebody wants to keep for himself.
static int ask_removals(struct pss_minidump *dump, struct pss_minidump_ranges *gone)
{
	uint64_t base = 0, size = 0, end;
	int r = 0;

	while (r == 0 && pss_minidump_ask_remove(dump->ask, &base, &size)) {
		if (pss_add(base, size + dump->page_size - 1, &end) < 0)
			end = UINT64_MAX;
		r = remove_range(gone, pss_align_down(base, dump->page_size),
				 pss_align_down(end, dump->page_size));
	}
	return r;
}

// Shows the callback each region of which the type has something written. Stacks and what the
// callback has added itself are none of its regions: it is asked of threads by other questions.
static int ask_regions(struct pss_minidump *dump, struct pss_minidump_ranges *gone)
{
	uint32_t last = UINT32_MAX;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < dump->plan.far.count; i++) {
		uint32_t index = pss_minidump_ranges_at(&dump->plan.far, i)->region;
		const struct pss_region_record *region = pss_section_region(dump->section, index);
		MINIDUMP_MEMORY_INFO info;
		uint64_t end;

		if (index == last)
			continue;
		last = index;
		pss_minidump_plan_describe(region, &info);
		pss_minidump_ask_region(dump->ask, &info);
		if (pss_add(info.BaseAddress, info.RegionSize, &end) < 0)
			end = UINT64_MAX;
		uint64_t start = pss_align_up(info.BaseAddress, dump->page_size);
		end = pss_align_down(end, dump->page_size);
		if (start >= end || start >= region->end || end <= region->start) {
			r = remove_range(gone, region->start, region->end);
			continue;
		}
		r = remove_range(gone, region->start, start);
		if (r == 0)
			r = remove_range(gone, end, region->end);
	}
	return r;
}

void pss_minidump_plan_describe(const struct pss_region_record *region, MINIDUMP_MEMORY_INFO *ret)
{
	MEMORY_BASIC_INFORMATION basic;

	pss_winvalue_region(region, &basic);
	*ret = (MINIDUMP_MEMORY_INFO){
		.BaseAddress = (uintptr_t)basic.BaseAddress,
		.AllocationBase = (uintptr_t)basic.AllocationBase,
		.AllocationProtect = basic.AllocationProtect,
		.RegionSize = basic.RegionSize,
		.State = basic.State,
		.Protect = basic.Protect,
		.Type = basic.Type,
	};
}

static int choose_far(struct pss_minidump *dump)
{
	_cleanup_memory_plan_ struct pss_memory_plan plan = PSS_MEMORY_PLAN_EMPTY;
	uint64_t own = pss_section_process(dump->section)->coredump_filter;
	const struct pss_memory_choice choice = {
		// Files that are shared may be as large as a disk: if the target itself wants them.
		.filter = PSS_MEMORY_ANON_PRIVATE | PSS_MEMORY_ANON_SHARED |
			  PSS_MEMORY_FILE_PRIVATE | PSS_MEMORY_HUGE_PRIVATE |
			  PSS_MEMORY_HUGE_SHARED | (own & PSS_MEMORY_FILE_SHARED),
		.include_dont_dump = dump->options->include_dont_dump,
		.is_wanted = is_wanted,
		.context = dump,
	};
	int r = pss_memory_plan_make(dump->section, dump->memory, &choice, dump->diag, &plan);

	for (uint32_t i = 0; r == 0 && i < plan.segment_count; i++) {
		const struct pss_memory_segment *segment = pss_memory_plan_segment(&plan, i);

		if (segment->source != PSS_MEMORY_OMITTED)
			r = pss_minidump_ranges_add(&dump->plan.far, segment);
	}
	return r;
}

static int choose_near(struct pss_minidump *dump)
{
	int r = add_threads(dump);

	if (r == 0)
		r = add_modules(dump);
	pss_minidump_ranges_sort(&dump->plan.near);
	return r;
}

// What comes in by its address and not by its kind.
static int choose_more(struct pss_minidump *dump, struct pss_minidump_ranges *more)
{
	int r = add_asked(dump, more);

	if (r == 0 && pss_minidump_has(dump, MiniDumpWithIndirectlyReferencedMemory))
		r = pss_minidump_referenced_add(dump, more);
	pss_minidump_ranges_sort(more);
	return r;
}

// Adds what is not there already.
static int join(struct pss_minidump_ranges *to, struct pss_minidump_ranges *more)
{
	int r = pss_minidump_ranges_subtract(more, to);

	for (uint32_t i = 0; r == 0 && i < more->count; i++)
		r = pss_minidump_ranges_add(to, pss_minidump_ranges_at(more, i));
	pss_minidump_ranges_sort(to);
	return r;
}

// What the callback has to say, in the order in which it is asked, and no page in both sets.
static int choose_rest(struct pss_minidump *dump)
{
	_cleanup_minidump_ranges_ struct pss_minidump_ranges more = PSS_MINIDUMP_RANGES_EMPTY;
	_cleanup_minidump_ranges_ struct pss_minidump_ranges removed = PSS_MINIDUMP_RANGES_EMPTY;
	_cleanup_minidump_ranges_ struct pss_minidump_ranges narrowed = PSS_MINIDUMP_RANGES_EMPTY;
	struct pss_minidump_plan *plan = &dump->plan;
	int r = choose_more(dump, &more);

	if (r == 0)
		r = ask_removals(dump, &removed);
	if (r == 0)
		r = ask_regions(dump, &narrowed);
	pss_minidump_ranges_sort(&removed);
	pss_minidump_ranges_sort(&narrowed);
	if (r == 0)
		r = pss_minidump_ranges_subtract(&plan->far, &narrowed);
	if (r == 0)
		r = join(&plan->far, &more);
	if (r == 0)
		r = pss_minidump_ranges_subtract(&plan->near, &removed);
	if (r == 0)
		r = pss_minidump_ranges_subtract(&plan->far, &removed);
	return r == 0 ? pss_minidump_ranges_subtract(&plan->far, &plan->near) : r;
}

// The bytes that will be read, not those of the file: untouched pages are holes.
static int count_bytes(struct pss_minidump *dump, const struct pss_minidump_ranges *ranges)
{
	_cleanup_memory_runs_ struct pss_memory_runs runs = PSS_MEMORY_RUNS_EMPTY;
	uint64_t start, end;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < ranges->count; i++) {
		const struct pss_memory_segment *segment = pss_minidump_ranges_at(ranges, i);

		r = pss_memory_runs_begin(&runs, dump->memory,
					  pss_section_region(dump->section, segment->region),
					  (enum pss_memory_source)segment->source);
		if (r < 0)
			break;
		pss_memory_runs_seek(&runs, segment->start, segment->end);
		while ((r = pss_memory_runs_next(&runs, &start, &end)) == 0)
			dump->plan.memory_bytes += end - start;
		r = r == -ENODATA ? 0 : r;
	}
	return r < 0 ? pss_memory_fail(dump->section, r, dump->diag) : 0;
}

// Entries that they take in a list with positions of 32 bits.
static uint64_t count_pieces(const struct pss_minidump_ranges *ranges)
{
	uint64_t pieces = 0;

	for (uint32_t i = 0; i < ranges->count; i++) {
		const struct pss_memory_segment *segment = pss_minidump_ranges_at(ranges, i);

		pieces += (segment->end - segment->start - 1) / PSS_MINIDUMP_PIECE_MOST + 1;
	}
	return pieces;
}

static int place(const struct pss_minidump_ranges *ranges, uint64_t *offset)
{
	for (uint32_t i = 0; i < ranges->count; i++) {
		struct pss_memory_segment *segment = pss_minidump_ranges_at(ranges, i);

		segment->offset = *offset;
		if (pss_add(*offset, segment->end - segment->start, offset) < 0)
			return -EFBIG;
	}
	return 0;
}

static int place_all(struct pss_minidump *dump)
{
	struct pss_minidump_plan *plan = &dump->plan;
	uint64_t near_size = 0;
	int r = place(&plan->near, &near_size);

	if (r == 0 && near_size > NEAR_MOST)
		return pss_fail(dump->diag, -EFBIG, "stacks of %llu bytes do not fit a minidump",
				(unsigned long long)near_size);
	plan->size = near_size;
	if (r == 0)
		r = place(&plan->far, &plan->size);
	if (r == 0)
		r = count_bytes(dump, &plan->near);
	if (r == 0)
		r = count_bytes(dump, &plan->far);
	if (r == 0)
		r = pss_memory_plan_check(dump->section, dump->memory, plan->memory_bytes,
					  dump->diag);
	uint64_t pieces = count_pieces(&plan->near) + count_pieces(&plan->far);
	plan->is_64 = pss_minidump_has(dump, MiniDumpWithFullMemory) || plan->size > NEAR_MOST ||
		      pieces > PSS_MINIDUMP_RANGES_MOST;
	return r == 0 && plan->size > INT64_MAX / 2 ? -EFBIG : r;
}

int pss_minidump_plan_make(struct pss_minidump *dump)
{
	int r = choose_far(dump);

	if (r == 0)
		r = choose_near(dump);
	if (r == 0)
		r = choose_rest(dump);
	if (r == 0)
		r = place_all(dump);
	return r < 0 ? pss_fail(dump->diag, r, "cannot choose the memory of the minidump") : 0;
}
