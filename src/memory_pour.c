// SPDX-License-Identifier: LGPL-2.1-or-later
// The pour of memory_pour.h: page runs through one buffer, holes between them.
#include "memory_pour.h"

#include <errno.h>

#include "base/checked.h"
#include "base/clock.h"

enum {
	PIECE_SIZE = 1024 * 1024,
	PROGRESS_INTERVAL_MS = 100,
};

// Tells how far we are, not too often; @is_due: at any rate.
static int report(struct pss_memory_pour *pour, bool is_due)
{
	const struct pss_memory_hooks *hooks = pour->hooks;

	if (!hooks->progress)
		return 0;
	uint64_t now = pss_clock_ms();
	if (!is_due && now - pour->reported_ms < PROGRESS_INTERVAL_MS)
		return 0;
	pour->reported_ms = now;
	if (hooks->progress(hooks->progress_context, pour->done, pour->total))
		return pss_fail(pour->diag, -ECANCELED, "the %s is not complete", pour->what);
	return 0;
}

static int tell_written(struct pss_memory_pour *pour, uint32_t region, uint64_t start, uint64_t end)
{
	const struct pss_memory_hooks *hooks = pour->hooks;

	return hooks->written ? hooks->written(hooks->written_context, region, start, end) : 0;
}

static int read_piece(struct pss_memory_pour *pour, uint64_t start, size_t wanted, size_t *done_ret)
{
	const struct pss_memory_hooks *hooks = pour->hooks;

	if (hooks->read)
		return hooks->read(hooks->read_context, start, pour->piece.data, wanted, done_ret);
	return pss_memory_read(pour->memory, start, pour->piece.data, wanted, done_ret);
}

static int skip_page(struct pss_memory_pour *pour, uint64_t address)
{
	const struct pss_memory_hooks *hooks = pour->hooks;
	int r = 0;

	if (hooks->unreadable)
		r = hooks->unreadable(hooks->read_context, address, pour->page_size);
	pour->unreadable += pour->page_size;
	return r < 0 ? r : pss_sink_skip(pour->sink, pour->page_size);
}

// Copies what can be read of [start, end); pages that cannot become zeroes, and are counted.
static int copy_pages(struct pss_memory_pour *pour, uint32_t region, uint64_t start, uint64_t end)
{
	while (start < end) {
		size_t wanted = end - start < PIECE_SIZE ? end - start : PIECE_SIZE;
		size_t done = 0;

		int r = read_piece(pour, start, wanted, &done);
		if (r < 0 && r != -EFAULT)
			return pss_memory_fail(pour->section, r, pour->diag);
		// Whole pages only: the rest of a page that broke off is as unreadable as its end.
		if (r == -EFAULT)
			done = pss_align_down(done, pour->page_size);
		r = pss_sink_write(pour->sink, pour->piece.data, done);
		if (r == 0)
			r = tell_written(pour, region, start, start + done);
		start += done;
		if (r == 0 && done < wanted) {
			r = skip_page(pour, start);
			start += pour->page_size;
			done += pour->page_size;
		}
		pour->done += done;
		if (r == 0)
			r = report(pour, false);
		if (r < 0)
			return r;
	}
	return 0;
}

int pss_memory_pour_begin(struct pss_memory_pour *pour)
{
	pour->runs = PSS_MEMORY_RUNS_EMPTY;
	pour->page_size = pss_section_header(pour->section)->page_size;
	int r = pss_buf_reserve(&pour->piece, PIECE_SIZE);

	if (r < 0)
		return pss_fail(pour->diag, r, "cannot get %d bytes for reading", PIECE_SIZE);
	return report(pour, true);
}

void pss_memory_pour_end(struct pss_memory_pour *pour)
{
	pss_memory_runs_end(&pour->runs);
	pss_buf_deinit(&pour->piece);
}

int pss_memory_pour_segment(struct pss_memory_pour *pour, const struct pss_memory_segment *segment)
{
	const struct pss_region_record *region = pss_section_region(pour->section, segment->region);
	uint64_t at = segment->start, start = 0, end = 0;

	int r = pss_memory_runs_begin(&pour->runs, pour->memory, region,
				      (enum pss_memory_source)segment->source);
	if (r < 0)
		return pss_memory_fail(pour->section, r, pour->diag);
	pss_memory_runs_seek(&pour->runs, segment->start, segment->end);
	while ((r = pss_memory_runs_next(&pour->runs, &start, &end)) == 0) {
		r = pss_sink_skip(pour->sink, start - at);
		if (r == 0)
			r = copy_pages(pour, segment->region, start, end);
		if (r < 0)
			return r;
		at = end;
	}
	if (r != -ENODATA)
		return pss_memory_fail(pour->section, r, pour->diag);
	return pss_sink_skip(pour->sink, segment->end - at);
}

int pss_memory_pour_finish(struct pss_memory_pour *pour)
{
	return report(pour, true);
}
