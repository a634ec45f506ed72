// SPDX-License-Identifier: LGPL-2.1-or-later
// Chooses which bytes of which mapping are to be exported: core(5)'s filter as the kernel applies
// it, but page by page where the kernel would write a whole mapping, so that a reservation costs
// nothing.
#include "memory_plan.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"

// Untouched memory reads as zeroes. Up to here it is written as such, so that a heap with gaps
// stays one segment; a longer stretch gets a segment without bytes, so that a pipe need not carry
// it.
#define GAP_MAX (UINT64_C(1) << 20)

// In a private mapping of a file, pages that are not ours are not zeroes but the file's. A changed
// mapping is written whole, as the kernel does and as jhsdb wants it of libraries; of a larger one
// only what was changed, joined over gaps that are cheap to read.
#define WHOLE_FILE_MAX (UINT64_C(64) << 20)
#define FILE_GAP_MAX   (UINT64_C(64) << 10)

// Shared memory whose holes we may not ask for is read, and thereby filled, up to this size.
#define SHARED_UNKNOWN_MAX (UINT64_C(64) << 20)

struct planner {
	const struct pss_section *section;
	const struct pss_memory *memory;
	uint64_t filter;
	uint64_t page_size;
	const struct pss_memory_choice *choice;
	struct pss_memory_runs runs;
	struct pss_memory_plan *plan;
};

// A region being planned, and how far it is.
struct pieces {
	uint32_t region;
	uint64_t end;
	uint64_t at;    // planned up to here
	uint64_t start; // of the piece that is open
	uint64_t stop;  // its end; not above start: none is open
	enum pss_memory_source source;
};

void pss_memory_plan_deinit(struct pss_memory_plan *plan)
{
	if (!plan)
		return;
	pss_buf_deinit(&plan->segments);
	pss_buf_deinit(&plan->unknown);
	*plan = PSS_MEMORY_PLAN_EMPTY;
}

static bool text_is(const struct planner *planner, struct pss_bytes_ref ref, const char *text)
{
	const void *bytes;

	return ref.size == strlen(text) && pss_section_bytes(planner->section, ref, &bytes) == 0 &&
	       memcmp(bytes, text, ref.size) == 0;
}

// The kernel asks whether the file still has a name; /proc says so at the end of the path.
static bool is_unnamed(const struct planner *planner, const struct pss_region_record *region)
{
	static const char deleted[] = " (deleted)";
	const size_t length = sizeof deleted - 1;
	struct pss_bytes_ref end = region->path;

	if (end.size < length)
		return end.size == 0;
	end.offset += end.size - length;
	end.size = length;
	return text_is(planner, end, deleted);
}

// Without these no debugger can walk a stack or find the libraries, whatever the filter says.
static bool is_indispensable(const struct planner *planner, const struct pss_region_record *region)
{
	uint64_t debug = pss_section_process(planner->section)->debug_address;

	if (debug >= region->start && debug < region->end)
		return true;
	for (uint32_t i = 0; i < pss_section_count(planner->section, PSS_PART_THREADS); i++) {
		uint64_t stack = pss_section_thread(planner->section, i)->stack_pointer;
		if (stack >= region->start && stack < region->end)
			return true;
	}
	return false;
}

// Whether a private mapping of a file has pages of its own.
static int has_private_pages(struct planner *planner, const struct pss_region_record *region,
			     bool *ret)
{
	uint64_t start, end;

	int r = pss_memory_runs_begin(&planner->runs, planner->memory, region, PSS_MEMORY_PRIVATE);
	if (r == 0)
		r = pss_memory_runs_next(&planner->runs, &start, &end);
	if (r < 0 && r != -ENODATA)
		return r;
	*ret = r == 0;
	return 0;
}

static int add_segment(struct planner *planner, const struct pieces *pieces, uint64_t start,
		       uint64_t end, enum pss_memory_source source)
{
	const struct pss_memory_segment segment = {
		.start = start,
		.end = end,
		.region = pieces->region,
		.source = source,
	};

	if (start >= end)
		return 0;
	int r = pss_buf_append(&planner->plan->segments, &segment, sizeof segment);
	if (r < 0)
		return r;
	if (source == PSS_MEMORY_EVERY)
		planner->plan->memory_bytes += end - start;
	planner->plan->segment_count++;
	return 0;
}

// Ends the piece that is open: what lies before it without bytes, then itself.
static int close_piece(struct planner *planner, struct pieces *pieces)
{
	if (pieces->start >= pieces->stop)
		return 0;
	int r = add_segment(planner, pieces, pieces->at, pieces->start, PSS_MEMORY_OMITTED);
	if (r == 0)
		r = add_segment(planner, pieces, pieces->start, pieces->stop, pieces->source);
	pieces->at = pieces->stop;
	pieces->start = pieces->stop;
	return r;
}

static int add_run(struct planner *planner, struct pieces *pieces, uint64_t start, uint64_t end,
		   uint64_t gap_max)
{
	if (pieces->source != PSS_MEMORY_EVERY)
		planner->plan->memory_bytes += end - start;
	if (pieces->start < pieces->stop && start - pieces->stop <= gap_max) {
		pieces->stop = end;
		return 0;
	}
	int r = close_piece(planner, pieces);
	pieces->start = start - pieces->at <= gap_max ? pieces->at : start;
	pieces->stop = end;
	return r;
}

// The runs as segments of pieces->source, joined over gaps of up to @gap_max; the rest of the
// region as segments without bytes.
static int add_runs(struct planner *planner, struct pieces *pieces, uint64_t gap_max)
{
	uint64_t start = 0, end = 0;
	int r;

	while ((r = pss_memory_runs_next(&planner->runs, &start, &end)) == 0) {
		r = add_run(planner, pieces, start, end, gap_max);
		if (r < 0)
			return r;
	}
	if (r != -ENODATA)
		return r;
	if (pieces->start < pieces->stop && pieces->end - pieces->stop <= gap_max)
		pieces->stop = pieces->end;
	r = close_piece(planner, pieces);
	return r < 0 ? r
		     : add_segment(planner, pieces, pieces->at, pieces->end, PSS_MEMORY_OMITTED);
}

static int add_omitted(struct planner *planner, const struct pieces *pieces)
{
	return add_segment(planner, pieces, pieces->at, pieces->end, PSS_MEMORY_OMITTED);
}

static int add_whole(struct planner *planner, const struct pieces *pieces)
{
	return add_segment(planner, pieces, pieces->at, pieces->end, PSS_MEMORY_EVERY);
}

static int add_first_page(struct planner *planner, const struct pieces *pieces)
{
	uint64_t middle = pieces->at + planner->page_size;

	int r = add_segment(planner, pieces, pieces->at, middle, PSS_MEMORY_EVERY);
	return r < 0 ? r : add_segment(planner, pieces, middle, pieces->end, PSS_MEMORY_OMITTED);
}

static int add_resident(struct planner *planner, const struct pss_region_record *region,
			struct pieces *pieces)
{
	int r = pss_memory_runs_begin(&planner->runs, planner->memory, region, PSS_MEMORY_RESIDENT);

	pieces->source = PSS_MEMORY_RESIDENT;
	return r < 0 ? r : add_runs(planner, pieces, GAP_MAX);
}

static int add_kept(struct planner *planner, const struct pss_region_record *region,
		    struct pieces *pieces)
{
	int r = pss_memory_runs_begin(&planner->runs, planner->memory, region, PSS_MEMORY_KEPT);

	pieces->source = PSS_MEMORY_KEPT;
	return r < 0 ? r : add_runs(planner, pieces, GAP_MAX);
}

// Forking does not copy the page tables of shared memory: the clone's pagemap knows nothing of it.
// Only the object itself can tell which pages it has.
static int add_shared(struct planner *planner, const struct pss_region_record *region,
		      struct pieces *pieces)
{
	const struct pss_process_record *process = pss_section_process(planner->section);
	uint64_t size = region->end - region->start;
	// What the target has touched of files and shared memory: holes are at most as large again.
	uint64_t touched =
		process->vm_rss > process->rss_anon ? process->vm_rss - process->rss_anon : 0;

	int r = pss_memory_runs_begin(&planner->runs, planner->memory, region, PSS_MEMORY_SHARED);
	if (r == 0) {
		pieces->source = PSS_MEMORY_SHARED;
		return add_runs(planner, pieces, GAP_MAX);
	}
	if (r == -ESRCH || r == -ENOMEM)
		return r;
	if (size <= SHARED_UNKNOWN_MAX || size <= touched)
		return add_whole(planner, pieces);
	r = pss_buf_append(&planner->plan->unknown, &pieces->region, sizeof pieces->region);
	return r < 0 ? r : add_omitted(planner, pieces);
}

static int add_private_file(struct planner *planner, const struct pss_region_record *region,
			    struct pieces *pieces)
{
	bool is_image = region->kind == PSS_REGION_IMAGE;
	bool is_changed = false;

	if (planner->filter & PSS_MEMORY_FILE_PRIVATE)
		return add_whole(planner, pieces);
	int r = has_private_pages(planner, region, &is_changed);
	if (r < 0)
		return r;
	if (is_changed &&
	    ((planner->filter & PSS_MEMORY_ANON_PRIVATE) || is_indispensable(planner, region))) {
		if (is_image || region->end - region->start <= WHOLE_FILE_MAX)
			return add_whole(planner, pieces);
		pss_memory_runs_seek(&planner->runs, region->start, region->end);
		pieces->source = PSS_MEMORY_EVERY;
		return add_runs(planner, pieces, FILE_GAP_MAX);
	}
	if ((planner->filter & PSS_MEMORY_ELF_HEADERS) && is_image && region->file_offset == 0 &&
	    (region->protection & PSS_REGION_READ))
		return add_first_page(planner, pieces);
	return add_omitted(planner, pieces);
}

static bool is_left_out(const struct planner *planner, const struct pss_region_record *region)
{
	return !planner->choice->include_dont_dump && (region->flags & PSS_REGION_DONT_DUMP);
}

// Whether its bytes can be had, and may be.
static bool is_readable(const struct planner *planner, const struct pss_region_record *region)
{
	return (region->content == PSS_CONTENT_POINT_IN_TIME ||
		region->content == PSS_CONTENT_LIVE) &&
	       region->kind != PSS_REGION_SPECIAL && !(region->flags & PSS_REGION_DEVICE) &&
	       !is_left_out(planner, region);
}

// The order of these questions is that of the kernel's vma_dump_size().
static int add_region(struct planner *planner, const struct pss_region_record *region,
		      struct pieces *pieces)
{
	bool is_shared = region->flags & PSS_REGION_SHARED;
	uint64_t filter = planner->filter;

	if (planner->choice->is_wanted &&
	    !planner->choice->is_wanted(planner->choice->context, pieces->region))
		return add_omitted(planner, pieces);
	// Debuggers unwind through the vDSO. Its neighbours, the clock's pages, are of no use.
	if (region->kind == PSS_REGION_SPECIAL && text_is(planner, region->path, "[vdso]"))
		return add_whole(planner, pieces);
	if (region->content == PSS_CONTENT_MISSING && !is_left_out(planner, region))
		return add_kept(planner, region, pieces);
	if (!is_readable(planner, region))
		return add_omitted(planner, pieces);
	if (region->flags & PSS_REGION_HUGETLB) {
		if (is_shared)
			return filter & PSS_MEMORY_HUGE_SHARED ? add_whole(planner, pieces)
							       : add_omitted(planner, pieces);
		return filter & PSS_MEMORY_HUGE_PRIVATE ? add_resident(planner, region, pieces)
							: add_omitted(planner, pieces);
	}
	if (is_shared) {
		uint64_t bit = is_unnamed(planner, region) ? PSS_MEMORY_ANON_SHARED
							   : PSS_MEMORY_FILE_SHARED;
		return filter & bit ? add_shared(planner, region, pieces)
				    : add_omitted(planner, pieces);
	}
	if (region->kind != PSS_REGION_PRIVATE)
		return add_private_file(planner, region, pieces);
	if ((filter & PSS_MEMORY_ANON_PRIVATE) || is_indispensable(planner, region))
		return add_resident(planner, region, pieces);
	return add_omitted(planner, pieces);
}

// What everything here relies on: whole pages, by address, none twice.
static bool is_sound(const struct pss_region_record *region, uint64_t previous_end,
		     uint64_t page_size)
{
	return region->start >= previous_end && region->end > region->start &&
	       region->start % page_size == 0 && region->end % page_size == 0;
}

static int plan_regions(struct planner *planner, struct pss_diag *diag)
{
	const struct pss_section *section = planner->section;
	uint64_t end = 0;

	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_REGIONS); i++) {
		const struct pss_region_record *region = pss_section_region(section, i);

		if (!is_sound(region, end, planner->page_size))
			return pss_fail(diag, -EBADMSG, "mapping %u of the snapshot", i);
		struct pieces pieces = {
			.region = i,
			.at = region->start,
			.end = region->end,
		};
		int r = add_region(planner, region, &pieces);
		if (r < 0)
			return pss_memory_fail(section, r, diag);
		end = region->end;
	}
	return 0;
}

int pss_memory_plan_make(const struct pss_section *section, const struct pss_memory *memory,
			 const struct pss_memory_choice *choice, struct pss_diag *diag,
			 struct pss_memory_plan *ret)
{
	struct planner planner = {
		.section = section,
		.memory = memory,
		.filter = choice->filter,
		.page_size = pss_section_header(section)->page_size,
		.choice = choice,
		.runs = PSS_MEMORY_RUNS_EMPTY,
		.plan = ret,
	};

	if (choice->filter == UINT64_MAX)
		planner.filter = pss_section_process(section)->coredump_filter;
	if (pss_section_count(section, PSS_PART_REGIONS) == 0)
		return pss_fail(diag, -ENOENT, "the snapshot was taken without its mappings");
	int r = plan_regions(&planner, diag);
	pss_memory_runs_end(&planner.runs);
	return r;
}

int pss_memory_plan_check(const struct pss_section *section, const struct pss_memory *memory,
			  uint64_t bytes, struct pss_diag *diag)
{
	uint64_t kept = pss_section_header(section)->parts[PSS_PART_BYTES].size;
	uint64_t mapped;

	if (pss_memory_extent(memory, &mapped) < 0 || bytes <= mapped + kept)
		return 0;
	return pss_fail(diag, -EBADMSG, "the snapshot describes more memory than its clone has");
}
