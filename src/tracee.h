// SPDX-License-Identifier: LGPL-2.1-or-later
// All threads of one process, held: seize, stop sleepers first and runners last, read registers,
// let go with no call made to fail. Knows nothing of injection, of clones or of sections.
#ifndef PSS_TRACEE_H
#define PSS_TRACEE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "arch.h"
#include "base/buf.h"
#include "base/diag.h"
#include "procfs.h"

enum pss_tracee_thread_state {
	PSS_TRACEE_NEW,         /**< found, not touched yet */
	PSS_TRACEE_SEIZED,      /**< ours, running */
	PSS_TRACEE_STOPPED,     /**< ours, stopped, registers readable */
	PSS_TRACEE_UNSTOPPABLE, /**< ours, in D state past the deadline */
	PSS_TRACEE_DEAD,        /**< a zombie leader */
	PSS_TRACEE_GONE,        /**< exited while we looked: not part of the snapshot */
	PSS_TRACEE_RELEASED,    /**< let go */
};

/** One thread. */
struct pss_tracee_thread {
	pid_t tid;
	enum pss_tracee_thread_state state;
	bool was_running;       /**< in state R when it was found */
	bool was_group_stopped; /**< stopped by job control before us */
	bool was_told;          /**< to stop: it may have by now */
	bool has_registers;
	struct pss_general general;
	struct pss_procfs_stat stat; /**< as found, before anything was stopped */
	uint64_t capture_ns;         /**< CLOCK_REALTIME at which its registers were read */
	uint64_t signal_mask;
	uint64_t regsets_offset; /**< its chain of struct pss_regset_record in *tracee.regsets */
	uint64_t regsets_size;
};

struct pss_tracee_options {
	bool want_extended;   /**< keep those register sets, too, that are is_extended */
	uint64_t max_hold_ns; /**< stopping is given up where it takes longer; 0: no limit */
};

struct pss_tracee {
	pid_t pid;
	int proc_fd; /**< borrowed: /proc/PID */
	int mem_fd;  /**< borrowed: its mem, or -EBADF */
	const struct pss_arch *arch;
	struct pss_tracee_options options;
	struct pss_diag *diag;
	struct pss_buf threads;  /**< struct pss_tracee_thread, in order of discovery */
	struct pss_buf *regsets; /**< borrowed: gets the register sets of each thread; NULL: none */
	struct pss_buf scratch;
	struct pss_buf known;          /**< one bit a tid: found already */
	timer_t alarm;                 /**< while threads are seized */
	uint64_t first_stop_ns;        /**< CLOCK_MONOTONIC, 0 until then */
	uint64_t first_runner_stop_ns; /**< 0 if none ran */
	uint64_t last_stop_ns;         /**< the instant of the snapshot */
	uint64_t runners_release_ns;   /**< the last thread that had run was let go */
	uint64_t last_release_ns;
	uint64_t instant_realtime_ns;
};

#define PSS_TRACEE_EMPTY ((struct pss_tracee){ .proc_fd = -EBADF, .mem_fd = -EBADF })

/** Threads found so far, with those that are gone. */
uint32_t pss_tracee_count(const struct pss_tracee *tracee);

/** Thread @index. Valid until the next thread is found. */
struct pss_tracee_thread *pss_tracee_thread(const struct pss_tracee *tracee, uint32_t index);

/**
 * Seizes every thread of the process and stops them all: those asleep first, those running last. On
 * success each thread is STOPPED, UNSTOPPABLE, DEAD or GONE and its registers are read. On failure
 * the caller still has to pss_tracee_end(). -EPERM, -ESRCH, -ETIMEDOUT, -ENOMEM; -ETIME if it
 * took longer than it may.
 */
int pss_tracee_stop(struct pss_tracee *tracee);

/**
 * Seizes and stops just one thread, the others run on: enough to have one system call made. *ret is
 * valid until the next thread is found. Errors as above; -ESRCH if the thread has gone.
 */
int pss_tracee_stop_one(struct pss_tracee *tracee, pid_t tid, struct pss_tracee_thread **ret);

/**
 * Waits until the traced thread @tid stops or ends. @status_ret is as from waitpid(2). -ETIMEDOUT
 * after @deadline_ns of CLOCK_MONOTONIC, -ESRCH if it is no tracee of ours.
 */
int pss_tracee_wait(pid_t tid, uint64_t deadline_ns, int *status_ret);

/** Sleeps until a tracee may have something to tell, or a moment. */
void pss_tracee_pause(void);

/**
 * While threads are seized, an alarm interrupts a seizing that waits, and reaps those that have
 * died meanwhile. -EAGAIN outside of a helper process: then there is none.
 */
int pss_tracee_begin_alarm(struct pss_tracee *tracee);
void pss_tracee_end_alarm(struct pss_tracee *tracee);

/** General registers of a stopped tracee. */
int pss_tracee_get_general(pid_t tid, struct pss_general *ret);
int pss_tracee_set_general(pid_t tid, const struct pss_general *general);

/**
 * A call that failed with EINTR only because the thread was stopped must not fail: has the kernel
 * make it again, or turn the code back into EINTR if a signal came that the program handles. True
 * if
 * @general was changed.
 */
bool pss_tracee_repair_call(const struct pss_arch *arch, struct pss_general *general);

/** Lets every thread go that is still held, runners first. Interrupted calls are made again. */
int pss_tracee_release(struct pss_tracee *tracee);

/**
 * Lets go of threads that would not stop and have by now: to be called now and then until the end,
 * for such a thread stands once it leaves D state.
 */
void pss_tracee_release_rest(struct pss_tracee *tracee);

/** Lets go whatever is still held and frees the rest: the undo of everything above, on any path. */
void pss_tracee_end(struct pss_tracee *tracee);

#define _cleanup_tracee_ _cleanup_(pss_tracee_end)

#endif
