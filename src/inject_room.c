// SPDX-License-Identifier: LGPL-2.1-or-later
// Where the frames of an injection stand: always on [stack], in bytes that are provably nobody's.
// For the leader, if it is there, below its own stack pointer. For any other thread at the foot:
// the lowest pages of [stack], far below whatever the leader has ever used. No other memory is
// written to; see docs/design.md, step 4.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "inject.h"
#include "pagemap.h"
#include "procfs.h"

enum {
	// Below the leader's stack pointer: frames, and a handler of the program's should we die.
	ROOM_LIMIT = 32 * 1024,
	// The foot, from below: a part for such a handler, then two for the frames, then two as a
	// distance to what the leader uses, which may run while only another thread is stopped.
	FOOT_PART = 16 * 1024,
	FOOT_FRAMES_END = 3,
	FOOT_END = 5,
	FRAMES_LIMIT = 32 * 1024,
	CHUNK = 4096,
};

// The highest bytes of a room: who is led home from below. It stays there if we are killed.
struct mark {
	char name[24];
	int32_t tid;
	uint8_t pad[36];
};
_Static_assert(sizeof(struct mark) == PSS_INJECT_MARK, "keeps the frames aligned");

static const char mark_name[24] = "procsnap: the way home";

// Whole pages.
static uint64_t foot_part(void)
{
	return pss_align_up(FOOT_PART, (uint64_t)sysconf(_SC_PAGESIZE));
}

// [stack] grows by itself if a tracer reads below it, up to our own RLIMIT_STACK. Only this kind of
// reading does that.
static bool can_reach(const struct pss_tracee *tracee, uint64_t address)
{
	uint8_t byte;

	return pread(tracee->mem_fd, &byte, 1, (off_t)address) == 1;
}

static bool is_on_foot(uint64_t stack, uint64_t foot)
{
	return stack >= foot && stack < foot + FOOT_FRAMES_END * foot_part();
}

// Of a thread that is not held, only its end is known.
static bool is_home(const struct pss_tracee *tracee, pid_t tid, uint64_t foot)
{
	struct pss_procfs_stat stat;
	char path[32];

	for (uint32_t i = 0; i < pss_tracee_count(tracee); i++) {
		const struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);

		if (thread->tid == tid && thread->has_registers)
			return !is_on_foot(tracee->arch->stack_pointer(&thread->general), foot);
	}
	(void)snprintf(path, sizeof path, "task/%d/stat", tid);
	return pss_procfs_read_stat(tracee->proc_fd, path, NULL, &stat) < 0 || stat.state == 'Z' ||
	       stat.state == 'X';
}

// Zeroes, or what a capturer that was killed has left, if the thread has come home by it.
static bool is_free(const struct pss_tracee *tracee, uint64_t foot)
{
	uint64_t start = foot + foot_part();
	uint64_t end = foot + FOOT_FRAMES_END * foot_part();
	uint8_t chunk[CHUNK];
	struct mark mark;

	if (pread(tracee->mem_fd, &mark, sizeof mark, (off_t)(end - sizeof mark)) != sizeof mark)
		return false;
	if (memcmp(mark.name, mark_name, sizeof mark_name) == 0)
		return is_home(tracee, mark.tid, foot);
	for (uint64_t at = start; at < end; at += CHUNK)
		if (pread(tracee->mem_fd, chunk, CHUNK, (off_t)at) != CHUNK || chunk[0] != 0 ||
		    memcmp(chunk, chunk + 1, CHUNK - 1) != 0)
			return false;
	return true;
}

// What was never written to holds nothing that could be missed, a variable on a stack neither.
static bool is_untouched(const struct pss_tracee *tracee, pid_t tid, uint64_t start, uint64_t end)
{
	struct pss_pagemap pagemap;
	struct pss_page_range range;
	char path[48];
	int r;

	(void)snprintf(path, sizeof path, "task/%d/pagemap", tid);
	_cleanup_close_ int fd = openat(tracee->proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	pss_pagemap_init(&pagemap, fd);
	pss_pagemap_seek(&pagemap, start, end);
	while ((r = pss_pagemap_next(&pagemap, &range)) == 0)
		if (range.kind != PSS_PAGES_ZERO)
			return false;
	return r == -ENODATA;
}

// Whether [stack] begins there now. Another reading below it would make it grow.
static bool begins_at(pid_t tid, uint64_t start)
{
	uint8_t byte;
	struct iovec local = { &byte, 1 };
	struct iovec remote = { (void *)(uintptr_t)(start - 1), 1 };

	return process_vm_readv(tid, &local, 1, &remote, 1, 0) < 0 && errno == EFAULT;
}

// Whether it has grown by just a foot since it was found to begin at @start, or does so now. What
// it has grown by for the leader's sake is the leader's.
static bool has_grown_to(const struct pss_tracee *tracee, pid_t tid, uint64_t foot, uint64_t start)
{
	return begins_at(tid, start) ? can_reach(tracee, foot) : begins_at(tid, foot);
}

// The lowest pages of [stack], or, if those are in use, some that it gets for this.
void pss_inject_find_foot(const struct pss_tracee *tracee, pid_t tid, struct pss_inject_site *site)
{
	const uint64_t start = site->stack_start;
	const uint64_t size = FOOT_END * foot_part();
	const uint64_t frames_end = FOOT_FRAMES_END * foot_part();
	const uint64_t feet[] = { start, start - size };

	site->foot = 0;
	for (size_t i = 0; i < 2 && !site->foot; i++) {
		uint64_t foot = feet[i];

		if (i == 0 ? size > site->stack_end - start
			   : foot < site->stack_floor || !has_grown_to(tracee, tid, foot, start))
			continue;
		if (is_untouched(tracee, tid, foot + frames_end, foot + size) &&
		    is_free(tracee, foot))
			site->foot = foot;
	}
}

bool pss_inject_find_room(const struct pss_tracee *tracee, const struct pss_tracee_thread *thread,
			  const struct pss_inject_site *site, bool at_foot, uint64_t *top_ret)
{
	uint64_t stack = tracee->arch->stack_pointer(&thread->general);

	if (site->stack_end == 0)
		return false;
	// Who stands on the foot is on its way home from there, stopped by a signal: not over it.
	if (at_foot ? is_on_foot(stack, site->stack_start)
		    : thread->tid == tracee->pid && stack > site->stack_start &&
			      stack < site->stack_end) {
		// What is mapped right below [stack] is not of it, if only by its protection, which
		// a descriptor of the memory writes over.
		if (stack - ROOM_LIMIT < site->stack_floor ||
		    !can_reach(tracee, stack - ROOM_LIMIT))
			return false;
		*top_ret = stack - tracee->arch->red_zone;
		return true;
	}
	if (!at_foot || !site->foot)
		return false;
	*top_ret = site->foot + FOOT_FRAMES_END * foot_part();
	return true;
}

// From below: arguments, the frames of undos, the frame home, the exit frame, the mark. The
// thread's stack pointer is at the frame that a call returns to meanwhile, so that a signal
// handler, or the next capturer if we are killed, leaves alone those that stand.
static void lay_out(struct pss_inject *inject, size_t frame_size, size_t small_size)
{
	const struct pss_arch *arch = inject->arch;
	uint64_t at = inject->room + PSS_INJECT_ARGUMENTS;

	inject->arguments = inject->room;
	for (int i = inject->has_undo_room ? PSS_INJECT_UNDO_MAX - 1 : -1; i >= 0; i--) {
		inject->undos[i].frame = arch->frame_address(at, small_size);
		at = inject->undos[i].frame + small_size;
	}
	inject->frame = arch->frame_address(at, frame_size);
	inject->exit_frame = arch->frame_address(inject->frame + frame_size, small_size);
	inject->way_back = inject->frame;
}

int pss_inject_take_room(struct pss_inject *inject, const struct pss_tracee *tracee,
			 const struct pss_tracee_thread *thread, bool at_foot,
			 const struct pss_buf *extended)
{
	const struct pss_arch *arch = inject->arch;
	size_t small_size = arch->frame_size(NULL, 0);
	size_t frame_size = arch->frame_size(extended->data, extended->size);
	size_t small_frames = 1 + (inject->has_undo_room ? PSS_INJECT_UNDO_MAX : 0);
	uint64_t top;
	int r;

	inject->room_size = pss_align_up(PSS_INJECT_ARGUMENTS + small_frames * small_size +
						 frame_size + 64 + PSS_INJECT_MARK,
					 64);
	if (inject->room_size > FRAMES_LIMIT ||
	    !pss_inject_find_room(tracee, thread, inject->site, at_foot, &top))
		return -EAGAIN;
	inject->room = pss_align_down(top - inject->room_size, 64);
	r = pss_buf_append(&inject->saved, NULL, inject->room_size);
	if (r == 0)
		r = pss_inject_read(inject, inject->room, inject->saved.data, inject->room_size);
	if (r < 0) {
		pss_buf_clear(&inject->saved);
		return r;
	}
	lay_out(inject, frame_size, small_size);
	return 0;
}

void pss_inject_mark_room(const struct pss_inject *inject, struct pss_buf *image)
{
	struct mark mark = { .tid = inject->tid };

	memcpy(mark.name, mark_name, sizeof mark_name);
	memcpy(image->data + image->size - sizeof mark, &mark, sizeof mark);
}

int pss_inject_give_back_room(struct pss_inject *inject)
{
	struct mark mark = { 0 };

	if (!inject->saved.size)
		return 0;
	int r = pss_inject_read(inject, inject->room + inject->room_size - sizeof mark, &mark,
				sizeof mark);
	// The leader, which may run, has come down to the foot: now it is its own.
	if (r == 0 && memcmp(mark.name, mark_name, sizeof mark_name) != 0)
		return 0;
	return pss_inject_write(inject, inject->room, inject->saved.data, inject->saved.size);
}
