// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether a clone fits into what memory there is; see guard.h.
#include "guard.h"

#define MIB (UINT64_C(1) << 20)

enum {
	TABLE_SLACK_SHARE = 8, // page tables that the copy has and the original has not
	MAPPING_SIZE = 512,    // what the kernel keeps of one
	RESERVE_SHARE = 20,
	TIGHT_FACTOR = 4,
};

// A task and its kernel stack.
#define TASK_SIZE (256 * UINT64_C(1024))

#define RESERVE_LEAST (16 * MIB)
#define RESERVE_MOST  (256 * MIB)

uint64_t pss_guard_reserve(uint64_t later, uint64_t asked)
{
	uint64_t reserve = later / RESERVE_SHARE;

	if (asked)
		return asked;
	if (reserve < RESERVE_LEAST)
		reserve = RESERVE_LEAST;
	if (reserve > RESERVE_MOST)
		reserve = RESERVE_MOST;
	// A clone that can't cost more is no danger to what is left beyond that.
	return reserve < later ? reserve : later;
}

struct pss_guard_cost pss_guard_cost_of(const struct pss_procfs_status *status, uint64_t map_count,
					uint64_t reserve)
{
	struct pss_guard_cost cost = {
		.at_once = status->vm_pte + status->vm_pte / TABLE_SLACK_SHARE +
			   map_count * MAPPING_SIZE + TASK_SIZE,
		.later = status->rss_anon + status->vm_swap,
	};

	cost.reserve = pss_guard_reserve(cost.later, reserve);
	return cost;
}

static enum pss_guard_verdict judge(const struct pss_guard_cost *cost, uint64_t room)
{
	if (room < cost->at_once || room - cost->at_once < cost->reserve)
		return PSS_GUARD_SHORT;
	return room - cost->at_once - cost->reserve < cost->later ? PSS_GUARD_MAY_FIT
								  : PSS_GUARD_FITS;
}

// The place that has least to spare decides.
static void find_tightest(const struct pss_guard_places *places,
			  struct pss_guard_forecast *forecast)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < places->count; i++) {
		struct pss_guard_room room;

		if (!pss_guard_look(&places->places[i], &room) || room.room >= least)
			continue;
		least = room.room;
		forecast->place = i;
		forecast->room = room;
	}
	forecast->verdict = least == UINT64_MAX ? PSS_GUARD_FITS : judge(&forecast->cost, least);
}

static int count_maps(int space_fd, uint64_t *ret)
{
	_cleanup_buf_ struct pss_buf buf = PSS_BUF_EMPTY;
	_cleanup_maps_ struct pss_procfs_maps maps = PSS_PROCFS_MAPS_EMPTY;
	struct pss_procfs_map map;
	uint64_t count = 0;
	int r = pss_procfs_maps_open(space_fd, "maps", &buf, &maps);

	while (r == 0 && (r = pss_procfs_maps_next(&maps, &map)) == 0)
		count++;
	if (r != -ENODATA)
		return r;
	*ret = count;
	return 0;
}

// Counting mappings takes as long as they are many, and mostly matters nothing.
static bool is_tight(const struct pss_guard_forecast *forecast)
{
	const struct pss_guard_cost *cost = &forecast->cost;

	return forecast->room.limit &&
	       forecast->room.room / TIGHT_FACTOR < cost->at_once + cost->later;
}

int pss_guard_forecast(const struct pss_guard_places *places, int space_fd, uint64_t reserve,
		       struct pss_guard_forecast *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	struct pss_guard_forecast forecast = { 0 };
	struct pss_procfs_status status = { 0 };
	uint64_t map_count;
	int r = pss_procfs_read(space_fd, "status", &text);

	if (r == 0)
		r = pss_procfs_parse_status((const char *)text.data, text.size, &status);
	if (r < 0)
		return r;
	forecast.cost = pss_guard_cost_of(&status, 0, reserve);
	find_tightest(places, &forecast);
	if (is_tight(&forecast) && count_maps(space_fd, &map_count) == 0) {
		forecast.cost = pss_guard_cost_of(&status, map_count, reserve);
		find_tightest(places, &forecast);
	}
	*ret = forecast;
	return 0;
}
