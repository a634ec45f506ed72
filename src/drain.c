// SPDX-License-Identifier: LGPL-2.1-or-later
// The parked clone is stopped for a batch of madvise calls and goes back to wait, as it was. The
// kernel lets no process do that to another (process_madvise knows four other advices only). See
// drain.h.
#include "drain.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/checked.h"
#include "base/clock.h"
#include "procfs.h"
#include "section_format.h"
#include "tracee.h"

#ifndef PTRACE_O_SUSPEND_SECCOMP
#define PTRACE_O_SUSPEND_SECCOMP (1 << 21)
#endif

enum {
	// To stop it, and to make a call or two, costs as much as to copy some pages.
	BATCH_BYTES = 16 * 1024 * 1024,
	// A range that is smaller is not worth its call.
	WORTH_BYTES = 128 * 1024,
	// Around the clone's stack pointer, where its way out stands.
	FRAME_MARGIN = 64 * 1024,
	STOP_DEADLINE_MS = 200,
	CALL_DEADLINE_MS = 2000,
	PATIENCE_MS = 10000,
	EVENT_SHIFT = 16,
};

static bool is_same_clone(const struct pss_drain *drain)
{
	_cleanup_close_ int fd = -EBADF;
	struct pss_procfs_stat stat;

	return pss_procfs_open(drain->pid, &fd) == 0 &&
	       pss_procfs_read_stat(fd, "stat", NULL, &stat) == 0 &&
	       stat.start_ticks == drain->start_ticks;
}

static int seize(struct pss_drain *drain)
{
	uint64_t options = PTRACE_O_TRACESYSGOOD;

	if (drain->is_seized)
		return 0;
	// A filter might kill it for the call.
	if (drain->has_filter)
		options |= PTRACE_O_SUSPEND_SECCOMP;
	if (ptrace(PTRACE_SEIZE, drain->pid, 0, options) < 0)
		return -errno;
	drain->is_seized = true;
	return is_same_clone(drain) ? 0 : -ESRCH;
}

// A signal that came just now is its own affair: it gets it, and is left alone.
static int stop(struct pss_drain *drain)
{
	uint64_t deadline = pss_clock_ns(CLOCK_MONOTONIC) + STOP_DEADLINE_MS * NS_PER_MS;
	int status = 0;

	if (ptrace(PTRACE_INTERRUPT, drain->pid, 0, 0) < 0)
		return -errno;
	int r = pss_tracee_wait(drain->pid, deadline, &status);
	if (r < 0)
		return r;
	if (!WIFSTOPPED(status))
		return -ESRCH;
	if (status >> EVENT_SHIFT == PTRACE_EVENT_STOP)
		return 0;
	(void)ptrace(PTRACE_DETACH, drain->pid, 0, WSTOPSIG(status));
	return -EINTR;
}

// Where it was parked it waits for the lock of its section, on its way out.
static int check_parked(const struct pss_inject *clone)
{
	uint64_t arguments[6];
	int64_t number;

	if (!clone->arch->in_syscall(&clone->original, &number, arguments) || number != SYS_flock ||
	    arguments[0] != PSS_CLONE_SECTION_FD)
		return -EPROTO;
	return 0;
}

// The text that the calls are made with may have been written to since, through its file.
static int verify(const struct pss_drain *drain)
{
	_cleanup_close_ int dir = -EBADF;
	int r = pss_procfs_open(drain->pid, &dir);

	if (r < 0)
		return r;
	_cleanup_close_ int fd = openat(dir, "mem", O_RDONLY | O_CLOEXEC);
	return pss_inject_verify(&drain->site, fd, pss_arch_native(), NULL);
}

static int enter(struct pss_drain *drain, struct pss_inject *clone)
{
	int r = seize(drain);

	if (r == 0)
		r = stop(drain);
	if (r == 0)
		r = verify(drain);
	if (r < 0)
		return r;
	*clone = PSS_INJECT_EMPTY;
	clone->pid = drain->pid;
	clone->tid = drain->pid;
	clone->arch = pss_arch_native();
	clone->site = &drain->site;
	clone->deadline_ms = CALL_DEADLINE_MS;
	clone->suspend_seccomp = drain->has_filter;
	clone->has_run = true; // signals are as they were set when it was parked
	r = pss_tracee_get_general(clone->tid, &clone->original);
	if (r == 0)
		r = check_parked(clone);
	if (r < 0) {
		(void)ptrace(PTRACE_DETACH, drain->pid, 0, 0);
		return r;
	}
	clone->frame = clone->arch->stack_pointer(&clone->original);
	clone->way_back = clone->frame;
	return 0;
}

static int give_back(struct pss_inject *clone, uint64_t start, uint64_t end)
{
	const uint64_t arguments[6] = { start, end - start, MADV_DONTNEED };
	int64_t result;

	// What the kernel will not give back, such as sealed memory, stays.
	return start < end ? pss_inject_call(clone, SYS_madvise, arguments, &result) : 0;
}

// All of it but the pages with the clone's way out.
static int give_range_back(struct pss_inject *clone, const struct pss_drain_range *range,
			   uint64_t page_size)
{
	uint64_t low = pss_align_down(clone->frame - FRAME_MARGIN, page_size);
	uint64_t high = pss_align_up(clone->frame + FRAME_MARGIN, page_size);

	if (range->end <= low || range->start >= high)
		return give_back(clone, range->start, range->end);
	int r = give_back(clone, range->start, low);
	return r < 0 ? r : give_back(clone, high > range->start ? high : range->start, range->end);
}

// One batch, in the helper: should that be killed, the clone runs on to its exit.
static int drain_batch(void *context)
{
	struct pss_drain *drain = context;
	const uint64_t wait[6] = { PSS_CLONE_SECTION_FD, LOCK_SH };
	struct pss_inject clone;

	int r = enter(drain, &clone);
	if (r < 0)
		return r;
	for (unsigned i = 0; r == 0 && i < drain->count; i++)
		r = give_range_back(&clone, &drain->ranges[i],
				    pss_section_header(drain->section)->page_size);
	if (r == 0)
		r = pss_inject_leave(&clone, SYS_flock, wait);
	drain->is_seized = r == 0 && drain->has_filter;
	return r;
}

static void flush(struct pss_drain *drain)
{
	int result = 0;

	if (!drain->is_on || drain->count == 0)
		return;
	if (pss_helper_aside_ask(&drain->helper, drain_batch, drain, PATIENCE_MS, &result) < 0 ||
	    result < 0)
		drain->is_on = false;
	else
		drain->drained_bytes += drain->pending_bytes;
	drain->count = 0;
	drain->pending_bytes = 0;
}

void pss_drain_begin(struct pss_drain *drain, const struct pss_section *section,
		     const struct pss_memory *memory)
{
	const struct pss_clone_record *clone = pss_section_clone(section);
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	struct pss_procfs_status status;

	*drain = PSS_DRAIN_EMPTY;
	if (!clone || pss_procfs_read(memory->dir_fd, "status", &text) < 0 ||
	    pss_procfs_parse_status((const char *)text.data, text.size, &status) < 0 ||
	    pss_inject_survey(memory->dir_fd, memory->mem_fd, pss_arch_native(), NULL,
			      &drain->site) < 0 ||
	    pss_helper_aside_start(memory->dir_fd, &drain->helper) < 0)
		return;
	drain->section = section;
	drain->pid = clone->pid;
	drain->start_ticks = clone->start_ticks;
	drain->has_filter = status.seccomp_mode != 0;
	drain->is_on = true;
}

// Memory that the target writes is what is copied. Not text: the clone's way out is in it.
static bool is_drainable(const struct pss_region_record *region)
{
	return region->content == PSS_CONTENT_POINT_IN_TIME &&
	       !(region->flags & (PSS_REGION_SHARED | PSS_REGION_HUGETLB | PSS_REGION_DEVICE |
				  PSS_REGION_SHADOW_STACK)) &&
	       (region->protection & PSS_REGION_WRITE) &&
	       !(region->protection & PSS_REGION_EXECUTE);
}

// What lies between two pieces of a region, or of neighbours, has no pages.
static bool extend(struct pss_drain *drain, uint32_t region, uint64_t start, uint64_t end)
{
	struct pss_drain_range *last = drain->count ? &drain->ranges[drain->count - 1] : NULL;

	if (!last || start < last->end ||
	    (region != last->region && (region != last->region + 1 || start != last->end)))
		return false;
	last->end = end;
	last->region = region;
	return true;
}

static void drop_worthless(struct pss_drain *drain)
{
	const struct pss_drain_range *last = drain->count ? &drain->ranges[drain->count - 1] : NULL;

	if (last && last->end - last->start < WORTH_BYTES)
		drain->count--;
}

void pss_drain_add(struct pss_drain *drain, uint32_t region, uint64_t start, uint64_t end)
{
	if (!drain->is_on || !is_drainable(pss_section_region(drain->section, region)))
		return;
	if (!extend(drain, region, start, end)) {
		drop_worthless(drain);
		if (drain->count == PSS_DRAIN_RANGES_MAX)
			flush(drain);
		drain->ranges[drain->count++] = (struct pss_drain_range){ start, end, region };
	}
	drain->pending_bytes += end - start;
	if (drain->pending_bytes >= BATCH_BYTES)
		flush(drain);
}

void pss_drain_end(struct pss_drain *drain)
{
	flush(drain);
	drain->is_on = false;
	pss_helper_aside_end(&drain->helper);
}
