// SPDX-License-Identifier: LGPL-2.1-or-later
// The memory guard: what a clone may cost the target, what memory there is for it, and a watcher
// that gives the clone up before the target is killed for want of memory. Knows no capture.
#ifndef PSS_GUARD_H
#define PSS_GUARD_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/diag.h"
#include "procfs.h"

enum {
	PSS_GUARD_PLACES_MAX = 16,
	PSS_GUARD_NAME_SIZE = 512,
};

/** Where the kernel counts memory: a control group of the target, one above it, or the machine. */
struct pss_guard_place {
	int dir_fd;
	int root_fd; /**< /proc; borrowed */
	bool is_version_2;
	bool is_machine;
	bool is_above_high;    /**< it was above its memory.high before */
	bool is_stalled;       /**< its processes waited for memory most of the time before */
	uint64_t kills_before; /**< memory ran out there so often before */
	char name[PSS_GUARD_NAME_SIZE]; /**< its folder */
};

/** The places whose memory a clone of one process takes: the innermost first, the machine last. */
struct pss_guard_places {
	unsigned count;
	struct pss_guard_place places[PSS_GUARD_PLACES_MAX];
};

#define PSS_GUARD_PLACES_EMPTY ((struct pss_guard_places){ 0 })

/**
 * Finds the places of the process whose /proc folder is @proc_fd, and opens them; @root_fd is /proc
 * and is borrowed until the last of them is closed. A hierarchy that is not mounted here is left
 * out. -E2BIG, or errors of reading.
 */
int pss_guard_places_open(int proc_fd, int root_fd, struct pss_guard_places *ret);

void pss_guard_places_close(struct pss_guard_places *places);

/** Closes what they hold open; their names stay. */
void pss_guard_places_shut(struct pss_guard_places *places);

/** Opens them again by their names, in this process. Makes no call of the C library. */
void pss_guard_places_reopen(struct pss_guard_places *places);

#define _cleanup_places_ _cleanup_(pss_guard_places_close)

/** What memory there is in one place. Bytes. */
struct pss_guard_room {
	uint64_t limit; /**< or UINT64_MAX */
	uint64_t room;  /**< what may still be taken before processes are killed */
};

/** Looks at it. False if no limit holds there, or none can be read. Uses no errno. */
bool pss_guard_look(const struct pss_guard_place *place, struct pss_guard_room *ret);

/**
 * How often processes there have run out of memory so far: a count that goes up when the kernel
 * looks for one to kill. 0 if that can't be read.
 */
uint64_t pss_guard_count_kills(const struct pss_guard_place *place);

/** Microseconds that all processes of the place have waited for memory so far. 0 if not known. */
uint64_t pss_guard_stalled_us(const struct pss_guard_place *place);

/** The stat of process @pid. False if it can't be read. Makes no call of the C library. */
bool pss_guard_read_stat(pid_t pid, struct pss_procfs_stat *ret);

/** What a clone costs. Bytes. */
struct pss_guard_cost {
	uint64_t at_once; /**< page tables and what describes the mappings */
	uint64_t later;   /**< at most: copies of what the target writes while the clone lives */
	uint64_t reserve; /**< to be left over at any time: less, and the clone is given up */
};

/** What is to be left over: @asked, or, if that is 0, by what a clone may cost later on. */
uint64_t pss_guard_reserve(uint64_t later, uint64_t asked);

/**
 * What a clone of the process with this status costs. @map_count is its number of mappings, 0 if
 * not known, @reserve what is to be left over, 0 for a default.
 */
struct pss_guard_cost pss_guard_cost_of(const struct pss_procfs_status *status, uint64_t map_count,
					uint64_t reserve);

enum pss_guard_verdict {
	PSS_GUARD_FITS,
	PSS_GUARD_MAY_FIT, /**< it will be given up if the target writes all it has meanwhile */
	PSS_GUARD_SHORT,   /**< not even its page tables fit */
};

/** A forecast, and the place that decides it. */
struct pss_guard_forecast {
	enum pss_guard_verdict verdict;
	unsigned place; /**< its index; meaningless if it fits */
	struct pss_guard_room room;
	struct pss_guard_cost cost;
};

/**
 * Whether a clone of the process fits everywhere. @space_fd is the folder of a thread that has the
 * address space. Errors of reading.
 */
int pss_guard_forecast(const struct pss_guard_places *places, int space_fd, uint64_t reserve,
		       struct pss_guard_forecast *ret);

/** Why a clone was given up. */
enum pss_guard_reason {
	PSS_GUARD_NO_REASON,
	PSS_GUARD_ROOM,  /**< less than the reserve was left */
	PSS_GUARD_KILLS, /**< the kernel looked for a process to kill */
	PSS_GUARD_STALL, /**< the processes waited for memory most of the time */
};

/** A watch over the places while a clone lives. */
struct pss_guard_watch {
	const struct pss_guard_places *places; /**< borrowed */
	uint64_t reserve;
	uint64_t later;  /**< what the clone can cost at most */
	uint64_t rate;   /**< bytes a millisecond that the target can write at most */
	int clone_pidfd; /**< -EBADF until there is one; borrowed */
	int stop_fd;     /**< watching ends when it becomes readable; borrowed; or -EBADF */
	int is_over;     /**< watching ends when it is set */
	int news;        /**< a futex: counts what is_over and clone_pid were set to */
	pid_t clone_pid; /**< without a pidfd: 0 until there is one; may be set meanwhile */
	uint64_t clone_start_ticks;

	/* What came of it. */
	enum pss_guard_reason reason;
	unsigned place;
	uint64_t room;
};

#define PSS_GUARD_WATCH_EMPTY ((struct pss_guard_watch){ .clone_pidfd = -EBADF, .stop_fd = -EBADF })

/** Makes ready to watch over a process with this status. */
struct pss_guard_watch pss_guard_watch_of(const struct pss_guard_places *places,
					  const struct pss_procfs_status *status, uint64_t reserve);

/**
 * Watches until stop_fd is readable, the clone has ended or was given up: then it has been killed,
 * and the reason is in *watch. Makes no call of the C library: a process that shares our memory may
 * run it while we do other things.
 */
void pss_guard_watch(struct pss_guard_watch *watch);

/**
 * Watches in the calling thread over process @pid; @space_fd is the folder of a thread of it that
 * has the address space. Until @stop_fd is readable or the clone has ended.
 * -EDQUOT if the clone was given up, errors of reading.
 */
int pss_guard_run(pid_t pid, int space_fd, uint64_t reserve, int clone_pidfd, int stop_fd,
		  struct pss_diag *diag);

/**
 * What became of work on a clone of process @pid that ended with @error, 0 or -errno: if the clone
 * was given up, -EDQUOT, and *diag says why, in place of what failed for it; else @error.
 */
int pss_guard_conclude(const struct pss_guard_watch *watch, pid_t pid, int error,
		       struct pss_diag *diag);

/** A process of ours that watches, while we do other things. */
struct pss_guard {
	struct pss_guard_places places;
	struct pss_guard_watch watch;
	pid_t watcher; /**< 0: nobody watches */
	pid_t parent;
	int alive; /**< a futex: the kernel clears it when the watcher has ended */
};

/**
 * Begins to watch over the process; @space_fd is the folder of a thread of it that has the address
 * space. The watcher has a table of descriptors of its own: nothing of it is seen in the host's. It
 * ends with the calling thread. The caller owns *ret, which is a mapping. Errors of reading, of
 * clone(2) and of pss_helper_check_namespace(), of which only the last comes with its words.
 */
int pss_guard_begin(int space_fd, uint64_t reserve, struct pss_diag *diag, struct pss_guard **ret);

/** Whether it has given the clone up, for whoever works on meanwhile. NULL: it has not. */
bool pss_guard_has_given_up(const struct pss_guard *guard);

/** Now there is a clone: process @pid, if it started at that tick. */
void pss_guard_set_clone(struct pss_guard *guard, pid_t pid, uint64_t start_ticks);

/** Ends it, frees it, and concludes as pss_guard_conclude(). NULL: nothing but @error. */
int pss_guard_end(struct pss_guard *guard, pid_t pid, int error, struct pss_diag *diag);

static inline void pss_guard_end_ptr(struct pss_guard **guard)
{
	(void)pss_guard_end(*guard, 0, 0, NULL);
	*guard = NULL;
}

#define _cleanup_guard_ _cleanup_(pss_guard_end_ptr)

#endif
