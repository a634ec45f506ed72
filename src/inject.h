// SPDX-License-Identifier: LGPL-2.1-or-later
// One system call in one stopped thread, through a system call instruction of the target's own
// text. Before the registers are touched, a dead man's frame stands on the thread's stack: the call
// returns into the program's own rt_sigreturn, so whoever kills us, at whatever moment, the thread
// goes on as if we had never been there, and a clone exits.
#ifndef PSS_INJECT_H
#define PSS_INJECT_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "arch.h"
#include "base/buf.h"
#include "base/diag.h"
#include "tracee.h"

/** What must be known of the target's address space; found out before anything is stopped. */
struct pss_inject_site {
	uint64_t call_code;   /**< a system call instruction, then a return */
	uint64_t return_code; /**< a sequence that calls rt_sigreturn */
	uint64_t stack_start; /**< [stack], as it was then: it may have grown since */
	uint64_t stack_end;
	uint64_t stack_floor; /**< the end of what was mapped below it */
	uint64_t foot;        /**< where frames of other threads than the leader may stand, or 0 */
};

enum {
	PSS_INJECT_ARGUMENTS = 1024,
	PSS_INJECT_MARK = 64, /**< at the top of a room */
	PSS_INJECT_RSEQ_MAX = 64,
	PSS_INJECT_EXIT_STATUS = 83, /**< with which a clone exits: its zombie is known by it */
	PSS_INJECT_UNDO_MAX = 3,
};

#define PSS_INJECT_SITE_EMPTY ((struct pss_inject_site){ 0 })

/**
 * Reads maps and looks for the two code sequences and for [stack]. -ENOENT if the target's text
 * lacks a sequence, -EOPNOTSUPP if there is no [stack].
 */
int pss_inject_survey(int proc_fd, int mem_fd, const struct pss_arch *arch, struct pss_diag *diag,
		      struct pss_inject_site *ret);

/**
 * Whether what was found is still there, now that the thread stands: it may have called execve
 * since. @mem_fd was opened after it stopped, for an old one shows the old program. -EAGAIN if not.
 */
int pss_inject_verify(const struct pss_inject_site *site, int mem_fd, const struct pss_arch *arch,
		      struct pss_diag *diag);

/** A call that takes back something done in the process: see pss_inject_push_undo(). */
struct pss_inject_undo {
	uint64_t frame; /**< where the frame that makes the call has its place */
	uint64_t below; /**< what that call returns to: the next frame that stands */
	long number;
	uint64_t argument;
};

/** A thread that makes calls for us. */
struct pss_inject {
	struct pss_general original;
	pid_t pid;
	pid_t tid;
	int mem_fd; /**< borrowed: its memory. Not for writing, or -EBADF: ptrace writes, then */
	const struct pss_arch *arch;
	const struct pss_inject_site *site; /**< borrowed */
	struct pss_diag *diag;
	uint64_t signal_mask;
	uint64_t room; /**< the lowest byte that we write over */
	size_t room_size;
	struct pss_buf saved; /**< what stood in the room */
	uint64_t frame;       /**< leads the thread home */
	uint64_t exit_frame;  /**< leads a clone to exit_group */
	uint64_t way_back;    /**< what calls return to: the frame, or that of the last undo */
	uint64_t arguments;   /**< PSS_INJECT_ARGUMENTS bytes that calls point at */
	struct pss_inject_undo undos[PSS_INJECT_UNDO_MAX];
	unsigned undo_count;
	uint64_t rseq_area; /**< which the kernel rewrites in a clone, or 0 */
	uint8_t rseq_saved[PSS_INJECT_RSEQ_MAX];
	uint32_t rseq_size;
	uint32_t deadline_ms; /**< for one call */
	/** Work of ours to be done while the kernel makes the clone, or NULL. Called once. */
	void (*meanwhile)(void *context);
	void *meanwhile_context;
	bool has_undo_room;   /**< set before begin: frames for undos can stand */
	bool suspend_seccomp; /**< the thread has a seccomp filter */
	bool is_begun;
	bool is_refused; /**< the kernel refused to make the clone */
	bool is_changed; /**< its registers are not its own for the moment */
	bool has_run;    /**< it has left the stop where it was found; signals are blocked */
	bool is_late;    /**< a call did not end in time: it runs */
	bool is_lost;    /**< it has called execve: nothing of it is ours to touch any more */
};

#define PSS_INJECT_EMPTY ((struct pss_inject){ .mem_fd = -EBADF })

/**
 * Whether a call may be made by this stopped thread: it is outside every restartable sequence, has
 * no shadow stack, no dispatch of its system calls, and a place for its frames: if @want_stack, it
 * is the leader, on [stack]; else the foot of [stack] is free.
 */
bool pss_inject_is_fit(const struct pss_tracee *tracee, const struct pss_tracee_thread *thread,
		       const struct pss_inject_site *site, bool want_stack);

/**
 * Looks for a free foot of [stack], by any thread that stands: it is one for all. Before a thread
 * is to be fit without its own stack.
 */
void pss_inject_find_foot(const struct pss_tracee *tracee, pid_t tid, struct pss_inject_site *site);

/** The place for its frames: they go right below *top_ret. False if there is none. */
bool pss_inject_find_room(const struct pss_tracee *tracee, const struct pss_tracee_thread *thread,
			  const struct pss_inject_site *site, bool at_foot, uint64_t *top_ret);

/** Takes that place: keeps what stands there and lays out what will. -EAGAIN if there is none. */
int pss_inject_take_room(struct pss_inject *inject, const struct pss_tracee *tracee,
			 const struct pss_tracee_thread *thread, bool at_foot,
			 const struct pss_buf *extended);

/** Puts into the image of the room whose way home it is. */
void pss_inject_mark_room(const struct pss_inject *inject, struct pss_buf *image);

/** Puts back what stood there. */
int pss_inject_give_back_room(struct pss_inject *inject);

/** Where the kernel keeps @tid's restartable-sequence area: 0 if it has none. */
uint64_t pss_inject_rseq_area(pid_t tid, uint32_t *size_ret);

/**
 * Makes ready: saves what stands where the frames go, and writes them. With @at_foot that is the
 * foot of [stack], for a thread that is not the leader on it; an errand, which does not stop all
 * threads, must have locked it then. On failure nothing is left changed; -EAGAIN: another thread
 * or moment may do.
 */
int pss_inject_begin(struct pss_inject *inject, const struct pss_tracee *tracee,
		     const struct pss_tracee_thread *thread, bool at_foot);

/** Makes the call. *result_ret is what the kernel returned, a value or -errno. */
int pss_inject_call(struct pss_inject *inject, long number, const uint64_t arguments[6],
		    int64_t *result_ret);

/**
 * To be told right after a call that left something in the process: the call @number with
 * @argument takes it back. If we are killed from now on, the thread makes that call on its way
 * home, provided has_undo_room. Undone are the last first, by pss_inject_pop_undo() or, at the
 * latest, by pss_inject_end(). On failure it is in the list all the same.
 */
int pss_inject_push_undo(struct pss_inject *inject, long number, uint64_t argument);

/**
 * After a call that did not end in time: waits for its end once more, a little, after which calls
 * can be made again. 0 if none is under way.
 */
int pss_inject_settle(struct pss_inject *inject);

/** Makes the call that was told last, whatever it returns, and forgets it. */
int pss_inject_pop_undo(struct pss_inject *inject);

/** A descriptor on its way. The caller owns both. */
struct pss_inject_gift {
	int fd;            /**< ours */
	int socket;        /**< ours: -EBADF before and after, unless we are killed in between */
	bool is_inherited; /**< without close-on-exec there */
	bool is_raised;    /**< a number of 3 or higher there */
};

/**
 * Puts a duplicate of gift->fd into the process, by its thread. *number_ret is its number there:
 * the lowest that was free, after two, or three if it is_raised and would be 2. Also written on
 * failure if it got there all the same. -EMFILE if there is no room for them, -EPERM, -EPROTO.
 */
int pss_inject_give(struct pss_inject *inject, struct pss_inject_gift *gift, int *number_ret);

/**
 * clone(CLONE_FILES) onto the exit frame, exit signal 0. The clone is traced by us and stopped as
 * *clone_ret, ready for pss_inject_call(); its pid as the target counts is *own_pid_ret. That is
 * also written on failure, if there was a clone and it has died at once. Errors are clone's.
 */
int pss_inject_clone(struct pss_inject *inject, struct pss_inject *clone_ret, pid_t *own_pid_ret);

/** Gives the thread back its registers and signal mask. It is stopped as before begin. */
int pss_inject_end(struct pss_inject *inject);

/** The undo on any path: pss_inject_end() if it has not been called, then frees. */
void pss_inject_deinit(struct pss_inject *inject);

#define _cleanup_inject_ _cleanup_(pss_inject_deinit)

/**
 * Has a clone begin a last call and lets go of it: when that call returns, the clone exits.
 */
int pss_inject_leave(struct pss_inject *clone, long number, const uint64_t arguments[6]);

/**
 * Copies bytes into the memory of the stopped thread. -ESRCH if that is gone: what the process may
 * have executed meanwhile is not touched.
 */
int pss_inject_write(const struct pss_inject *inject, uint64_t address, const void *bytes,
		     size_t size);

/** Copies bytes out of what the process is now. */
int pss_inject_read(const struct pss_inject *inject, uint64_t address, void *bytes, size_t size);

#endif
