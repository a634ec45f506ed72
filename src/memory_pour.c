// SPDX-License-Identifier: LGPL-2.1-or-later
// The pour of memory_pour.h: runs of pages, piece by piece, with holes between them.
#include "memory_pour.h"

#include <errno.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/clock.h"

enum {
	PIECE_SIZE = 1024 * 1024,
	PROGRESS_INTERVAL_MS = 100,
	PIECES_AHEAD = 3,
	WORTH_A_THREAD = 16 * 1024 * 1024,
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

// Reads the piece that comes next: where the last one ended, or at the beginning of the next run.
static void read_next(void *context, struct pss_memory_piece *piece)
{
	struct pss_memory_pour *pour = context;
	const struct pss_memory_hooks *hooks = pour->hooks;

	*piece = (struct pss_memory_piece){ .bytes = piece->bytes };
	if (pour->run_start >= pour->run_end)
		piece->result = pss_memory_runs_next(&pour->runs, &pour->run_start, &pour->run_end);
	// Of memory that means "not all of it"; there is none yet.
	if (piece->result == -EFAULT)
		piece->result = -EIO;
	if (piece->result < 0)
		return;
	piece->start = pour->run_start;
	piece->wanted = pour->run_end - pour->run_start;
	if (piece->wanted > PIECE_SIZE)
		piece->wanted = PIECE_SIZE;
	piece->result = hooks->read ? hooks->read(hooks->read_context, piece->start, piece->bytes,
						  piece->wanted, &piece->done)
				    : pss_memory_read(pour->memory, piece->start, piece->bytes,
						      piece->wanted, &piece->done);
	// Whole pages only: the rest of a page that broke off is as unreadable as its end.
	if (piece->result == -EFAULT)
		piece->done = pss_align_down(piece->done, pour->page_size);
	pour->run_start +=
		piece->done < piece->wanted ? piece->done + pour->page_size : piece->done;
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

// What could be read; a page that could not becomes zeroes, and is counted.
static int write_piece(struct pss_memory_pour *pour, uint32_t region,
		       const struct pss_memory_piece *piece, uint64_t *at)
{
	uint64_t done = piece->start + piece->done;

	int r = pss_sink_skip(pour->sink, piece->start - *at);
	if (r == 0)
		r = pss_sink_write(pour->sink, piece->bytes, piece->done);
	if (r == 0)
		r = tell_written(pour, region, piece->start, done);
	if (r == 0 && piece->done < piece->wanted) {
		r = skip_page(pour, done);
		done += pour->page_size;
	}
	pour->done += done - piece->start;
	*at = done;
	return r < 0 ? r : report(pour, false);
}

int pss_memory_pour_begin(struct pss_memory_pour *pour)
{
	pour->runs = PSS_MEMORY_RUNS_EMPTY;
	pour->page_size = pss_section_header(pour->section)->page_size;
	int r = pss_buf_reserve(&pour->buffer, PIECE_SIZE);

	if (r < 0)
		return pss_fail(pour->diag, r, "cannot get %d bytes for reading", PIECE_SIZE);
	pour->piece.bytes = pour->buffer.data;
	return report(pour, true);
}

void pss_memory_pour_end(struct pss_memory_pour *pour)
{
	pss_memory_ahead_end(pour->ahead);
	pss_memory_runs_end(&pour->runs);
	pss_buf_deinit(&pour->buffer);
}

// Where there is much, two processors do it: one reads what the other writes. Not if the caller
// reads for us, who may not expect to be asked by another thread; and not for a process that
// captured itself, for its heap may be what is wrong with it, and a thread takes some.
static bool begin_ahead(struct pss_memory_pour *pour, uint64_t size)
{
	if (size < WORTH_A_THREAD || pour->hooks->read ||
	    pss_section_process(pour->section)->pid == getpid())
		return false;
	if (!pour->has_tried_ahead)
		pour->ahead = pss_memory_ahead_start(PIECES_AHEAD, PIECE_SIZE);
	pour->has_tried_ahead = true;
	if (pour->ahead)
		pss_memory_ahead_begin(pour->ahead, read_next, pour);
	return pour->ahead;
}

static int pour_pieces(struct pss_memory_pour *pour, uint32_t region, bool is_ahead, uint64_t *at)
{
	for (;;) {
		struct pss_memory_piece *piece = &pour->piece;

		if (is_ahead)
			piece = pss_memory_ahead_take(pour->ahead);
		else
			read_next(pour, piece);
		int result = piece->result;
		int r = result == 0 || result == -EFAULT ? write_piece(pour, region, piece, at) : 0;
		if (is_ahead)
			pss_memory_ahead_give_back(pour->ahead);
		if (r < 0 || result == -ENODATA)
			return r;
		if (result < 0 && result != -EFAULT)
			return pss_memory_fail(pour->section, result, pour->diag);
	}
}

int pss_memory_pour_segment(struct pss_memory_pour *pour, const struct pss_memory_segment *segment)
{
	const struct pss_region_record *region = pss_section_region(pour->section, segment->region);
	uint64_t at = segment->start;

	int r = pss_memory_runs_begin(&pour->runs, pour->memory, region,
				      (enum pss_memory_source)segment->source);
	if (r < 0)
		return pss_memory_fail(pour->section, r, pour->diag);
	pss_memory_runs_seek(&pour->runs, segment->start, segment->end);
	pour->run_start = pour->run_end = segment->start;
	bool is_ahead = begin_ahead(pour, segment->end - segment->start);
	r = pour_pieces(pour, segment->region, is_ahead, &at);
	return r < 0 ? r : pss_sink_skip(pour->sink, segment->end - at);
}

int pss_memory_pour_finish(struct pss_memory_pour *pour)
{
	return report(pour, true);
}
