// SPDX-License-Identifier: LGPL-2.1-or-later
// What a thread would have to take back if we were killed now, as frames of their own between its
// calls and its way home: each makes one system call and returns to the next. See inject.h.
#include "inject.h"

#include <assert.h>

// The registers with which the thread makes the call of @undo, and then goes on below.
static struct pss_general registers_of(const struct pss_inject *inject,
				       const struct pss_inject_undo *undo)
{
	struct pss_general general = inject->original;
	const struct pss_arch_call call = {
		.number = undo->number,
		.arguments = { undo->argument },
		.instruction = inject->site->call_code,
		.stack = undo->below,
		.return_to = inject->site->return_code,
	};

	inject->arch->set_call(&general, &call);
	return general;
}

static int write_frame(const struct pss_inject *inject, const struct pss_inject_undo *undo,
		       const struct pss_general *general)
{
	_cleanup_buf_ struct pss_buf image = PSS_BUF_EMPTY;
	const struct pss_arch_frame frame = {
		.address = undo->frame,
		.return_code = inject->site->return_code,
		.signal_mask = UINT64_MAX,
		.general = general,
	};
	int r = pss_buf_append(&image, NULL, inject->arch->frame_size(NULL, 0));

	if (r == 0)
		r = inject->arch->build_frame(&frame, image.data, image.size);
	if (r == 0)
		r = pss_inject_write(inject, undo->frame, image.data, image.size);
	return r;
}

int pss_inject_push_undo(struct pss_inject *inject, long number, uint64_t argument)
{
	assert(inject->has_run && inject->undo_count < PSS_INJECT_UNDO_MAX);
	struct pss_inject_undo *undo = &inject->undos[inject->undo_count];
	int r = 0;

	undo->number = number;
	undo->argument = argument;
	undo->below = inject->way_back;
	if (inject->has_undo_room) {
		struct pss_general general = registers_of(inject, undo);

		// The frame first, then the registers: from now on our death has the call made.
		r = write_frame(inject, undo, &general);
		if (r == 0)
			r = pss_tracee_set_general(inject->tid, &general);
		if (r == 0)
			inject->way_back = undo->frame;
	}
	// Counted even if no frame stands: what was done is taken back in any case.
	inject->undo_count++;
	if (r < 0)
		return pss_fail(inject->diag, r, "cannot write below the stack of thread %d",
				inject->tid);
	return 0;
}

int pss_inject_pop_undo(struct pss_inject *inject)
{
	assert(inject->undo_count > 0);
	const struct pss_inject_undo *undo = &inject->undos[--inject->undo_count];
	const uint64_t arguments[6] = { undo->argument };
	int64_t result;

	inject->way_back = undo->below;
	return pss_inject_call(inject, undo->number, arguments, &result);
}
