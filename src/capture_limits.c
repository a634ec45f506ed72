// SPDX-License-Identifier: LGPL-2.1-or-later
// Looks, reckons and says no; see capture_limits.h. Nothing here stops or changes anything.
#include "capture_limits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "processsnapshot.h"

#define NS_PER_US 1000ull

// How often the target, its clone and we take turns, until the clone is made and its maker back.
enum { CLONE_TURNS = 7 };

enum { TIME_ROOM = 32, FACT_ROOM = 96, PIDS_ROOM = 192 };

// To the microsecond below a millisecond, with no fraction from a hundred on.
static const char *in_ms(uint64_t ns, char text[TIME_ROOM])
{
	unsigned long long us = (ns + NS_PER_US - 1) / NS_PER_US;

	if (us < 1000)
		(void)snprintf(text, TIME_ROOM, "0.%03llu ms", us);
	else if (us < 10000)
		(void)snprintf(text, TIME_ROOM, "%llu.%02llu ms", us / 1000, us % 1000 / 10);
	else if (us < 100000)
		(void)snprintf(text, TIME_ROOM, "%llu.%llu ms", us / 1000, us % 1000 / 100);
	else
		(void)snprintf(text, TIME_ROOM, "%llu ms", us / 1000);
	return text;
}

static uint32_t count_descriptors(struct capture *capture)
{
	_cleanup_buf_ struct pss_buf numbers = PSS_BUF_EMPTY;

	if (!pss_capture_wants(capture, PSS_CAPTURE_HANDLES) ||
	    pss_procfs_list(capture->target.space_fd, "fd", &numbers) < 0)
		return 0;
	return (uint32_t)(numbers.size / sizeof(int32_t));
}

static int refuse_pause(struct capture *capture)
{
	const struct pss_forecast *forecast = &capture->forecast;
	char time[TIME_ROOM], limit[TIME_ROOM], fact[FACT_ROOM];
	const char *cure = pss_forecast_cure(forecast);

	pss_forecast_describe(forecast, fact, sizeof fact);
	(void)pss_fail(
		capture->diag, -ETIME,
		"process %d would be held for about %s, where %s are allowed, most of it for %s",
		capture->target.pid, in_ms(forecast->hold_ns, time),
		in_ms(capture->request->max_pause_ns, limit), fact);
	pss_diag_hint(capture->diag, "nothing was touched; allow more%s%s", *cure ? ", or: " : "",
		      cure);
	return -ETIME;
}

int pss_limits_forecast(struct capture *capture)
{
	uint64_t max_ns = capture->request->max_pause_ns;
	bool with_clone = pss_capture_wants(capture, PSS_CAPTURE_VA_CLONE);
	struct pss_forecast_facts facts = {
		.descriptors = count_descriptors(capture),
		.with_clone = with_clone,
		.with_mappings = !with_clone && pss_capture_wants(capture, PSS_CAPTURE_VA_SPACE),
	};
	int r = pss_forecast_count(capture->target.space_fd, &capture->scratch, &facts);

	// Without a limit a forecast is a figure like others, and no reason to fail.
	if (r < 0)
		return max_ns ? pss_fail(capture->diag, r,
					 "cannot tell for how long process %d "
					 "would be held",
					 capture->target.pid)
			      : 0;
	capture->forecast = pss_forecast_make(&facts, pss_forecast_measure_entry());
	capture->figures.forecast_ns = capture->forecast.hold_ns;
	capture->figures.max_pause_ns = max_ns;
	return max_ns && capture->forecast.hold_ns > max_ns ? refuse_pause(capture) : 0;
}

// What is left to do. Threads that were slow to stop are waiting for a CPU, and will again whenever
// the clone's making goes from one process to another.
static uint64_t forecast_rest(const struct capture *capture)
{
	const struct pss_tracee *tracee = &capture->tracee;
	uint32_t threads = pss_tracee_count(tracee);
	uint64_t stop_ns = (tracee->last_stop_ns - tracee->first_stop_ns) / (threads ? threads : 1);
	uint64_t waiting_ns = stop_ns * CLONE_TURNS;

	return waiting_ns > capture->forecast.clone_ns ? waiting_ns : capture->forecast.clone_ns;
}

int pss_limits_check_time(struct capture *capture)
{
	uint64_t max_ns = capture->request->max_pause_ns;
	uint64_t held_ns = pss_clock_ns(CLOCK_MONOTONIC) - capture->tracee.first_stop_ns;
	uint64_t rest_ns = forecast_rest(capture);
	char held[TIME_ROOM], limit[TIME_ROOM], rest[TIME_ROOM];

	if (!max_ns || !capture->tracee.first_stop_ns || held_ns + rest_ns <= max_ns)
		return 0;
	(void)pss_fail(capture->diag, -ETIME,
		       "gave up capturing process %d: stopping it took %s of the %s allowed, and "
		       "the clone takes about %s",
		       capture->target.pid, in_ms(held_ns, held), in_ms(max_ns, limit),
		       in_ms(rest_ns, rest));
	pss_diag_hint(capture->diag, "it runs on unharmed; the machine may be busy: try again, or "
				     "allow more");
	return -ETIME;
}

static uint32_t max_clones(const struct capture *capture)
{
	return capture->request->max_clones ? capture->request->max_clones : PSS_CAPTURE_MAX_CLONES;
}

static uint32_t count_clones(const struct capture *capture)
{
	return (uint32_t)(capture->clones.size / sizeof(struct pss_clone_sibling));
}

static const struct pss_clone_sibling *clone_at(const struct capture *capture, uint32_t index)
{
	return (const struct pss_clone_sibling *)(const void *)capture->clones.data + index;
}

static int refuse_clone(struct capture *capture, uint32_t count)
{
	char pids[PIDS_ROOM] = "";
	size_t used = 0;

	for (uint32_t i = 0; i < count_clones(capture) && used + 24 < sizeof pids; i++)
		used += (size_t)snprintf(pids + used, sizeof pids - used, "%s%d", i ? ", " : "",
					 clone_at(capture, i)->pid);
	(void)pss_fail(capture->diag, -EDQUOT,
		       "process %d has %u clones of snapshots, where %u are allowed: %s%s",
		       capture->target.pid, count, max_clones(capture), pids,
		       used + 24 < sizeof pids ? "" : ", ...");
	pss_diag_hint(capture->diag, "free snapshots of it, or end clones with kill");
	return -EDQUOT;
}

int pss_limits_check_clones(struct capture *capture)
{
	pss_buf_clear(&capture->zombies);
	pss_buf_clear(&capture->clones);
	int r = pss_clone_find(capture->target.proc_fd, &capture->zombies, &capture->clones);
	uint32_t count = count_clones(capture);

	// An old zombie costs the target one entry in a table, and is no reason to fail.
	if (r < 0)
		return r == -ENOMEM ? pss_fail(capture->diag, r, "cannot list the clones of %d",
					       capture->target.pid)
				    : 0;
	return count >= max_clones(capture) ? refuse_clone(capture, count) : 0;
}

static bool is_older(const struct pss_clone_sibling *other, const struct pss_clone_record *own)
{
	return other->start_ticks != own->start_ticks ? other->start_ticks < own->start_ticks
						      : other->pid < own->pid;
}

int pss_limits_check_rank(struct capture *capture)
{
	uint32_t older = 0;

	if (capture->clone.proc_fd < 0)
		return 0;
	pss_buf_clear(&capture->clones);
	if (pss_clone_find(capture->target.proc_fd, NULL, &capture->clones) < 0)
		return 0;
	for (uint32_t i = 0; i < count_clones(capture); i++)
		if (is_older(clone_at(capture, i), &capture->clone.record))
			older++;
	return older >= max_clones(capture) ? refuse_clone(capture, older) : 0;
}
