// SPDX-License-Identifier: LGPL-2.1-or-later
// Starts the programs of tests/targets, talks to them, and takes records of a patient and of the
// host before and after a capture. Nothing here traces: a record is read from /proc. Every wait has
// a deadline and says what it waited for.
#ifndef HARNESS_H
#define HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <cmocka.h>
#include <procsnap.h>
#include <windows.h>

/**
 * Milliseconds that a target may take to answer, and seconds that a test may take in all. Limits
 * for what hangs, far above what anything takes: a busy machine may leave a thread without a CPU
 * for most of a minute.
 */
enum { HARNESS_PATIENCE_MS = 90000, HARNESS_SECONDS = 580 };

/** A running target. Everything is the harness's; stop it with target_stop(). */
struct target {
	pid_t pid;
	int pidfd;
	int mem_fd;   // /proc/PID/mem, or of task/TID
	int commands; // its stdin
	int answers;  // its stdout
	pid_t server; // the thread that obeys commands
	char name[64];
	char copy[64];    // folder of its own copy until it is ready, for another user
	char ready[8192]; // the line it said first: target_value()
	char answer[8192];
};

/** How a target is started, where that matters. */
struct target_options {
	uid_t uid; // run as this user and group; 0: as ours
};

/** Switches that a process's leader has made of itself: each stop of it is one. */
unsigned long harness_switches_of(pid_t pid);

/** First call of main(): ends the test with a message if it is not done after HARNESS_SECONDS. */
void harness_begin(const char *name);

/** fork() of a child that dies with us, however we end. */
pid_t harness_fork(void);

/** Has a child do @visit to @target, one that may trace or see other files: what it returned. */
int harness_run_apart(struct target *target, int (*visit)(struct target *target));

/** Monotonic clock, and whether @since lies more than @ms ago. */
uint64_t harness_now_ns(void);
bool harness_is_past(uint64_t since_ns, unsigned ms);

/** Lets others run for a moment between two looks at something that gives no event. */
void harness_breathe(void);

/** Fails the test with a message like printf's. Does not return. */
void harness_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/** Whole file, terminated, to be freed; NULL if it can't be read. */
char *harness_read_file(const char *path);

/**
 * Starts tests/targets/@name with up to 4 arguments, a NULL after the last, and waits until it is
 * ready. NULL, with a message, if the target says that this machine can't do it.
 */
struct target *target_start(const char *name, ...);
struct target *target_start_with(const struct target_options *options, const char *name, ...);

/** Kills and reaps it. NULL is fine. */
void target_stop(struct target *target);

/** For _cleanup_: */
void target_stop_ptr(struct target **target);

/** Value of @key in the line it said when ready. */
uint64_t target_value(const struct target *target, const char *key);

/** Sends a command and waits for its answer, whose values target_answer() finds. */
void target_ask(struct target *target, const char *command);
uint64_t target_answer(const struct target *target, const char *key);

/** Reads its memory as it is now. */
void target_read(const struct target *target, uint64_t address, void *buffer, size_t size);
uint64_t target_read_word(const struct target *target, uint64_t address);

/** What it counts itself: struct target_counters of tests/targets/target.h. */
struct harness_counters {
	uint64_t eintr;
	uint64_t sigchld;
	uint64_t wrong;
	uint64_t beats;
};
struct harness_counters target_counters(const struct target *target);

/** Waits until it has computed on: its heartbeat must move. */
void target_wait_for_beat(const struct target *target);

/** Waits until none of its threads runs, for targets whose threads all sleep. */
void target_wait_asleep(const struct target *target);

/** Its process HANDLE; belongs to @target. */
HANDLE target_handle(const struct target *target);

/** Fails unless it saw no EINTR, no SIGCHLD, nothing wrong, and has no child, seen or unseen. */
void target_assert_unharmed(struct target *target);

/** The patient: all that a capture must leave as it was. To be freed with patient_free(). */
struct patient;
struct patient *patient_record(pid_t pid);
void patient_free(struct patient *patient);

/** The same without a look at registers, for which blocked threads have to be stopped. */
struct patient *patient_record_quietly(pid_t pid);

/**
 * Fails unless the process is as it was. Calls that were interrupted are made again only some time
 * after a capture, so differences get a few seconds to go away.
 */
void patient_assert_same(const struct patient *before);

/**
 * Fails if something has happened to the process that it does not do by itself; what it maps, opens
 * and starts is its own affair. harness_capture() and harness_free_snapshot() look so.
 */
void patient_assert_unharmed(const struct patient *before);

/** Where @pid keeps its counters of harm, if it is a running target; else 0. */
uint64_t harness_counters_of(pid_t pid);

/** Whether any thread of @pid has a tracer now. */
bool patient_is_traced(pid_t pid);

/** Numbers of threads of @pid into @tids, at most @room; how many there are. */
size_t patient_threads(pid_t pid, pid_t *tids, size_t room);

/** Children of all threads of @pid, zombies and invisible ones too. */
size_t patient_children(pid_t pid, pid_t *children, size_t room);

/** The host: what a capture must leave as it was in the process that makes it. */
struct host;
struct host *host_record(void);
void host_free(struct host *host);
void host_assert_same(const struct host *before);

/** Number of open descriptors and of mappings of @pid. */
size_t harness_count_fds(pid_t pid);
size_t harness_count_maps(pid_t pid);

/** Fails, with the library's own words, unless @code is ERROR_SUCCESS. */
void harness_assert_success(DWORD code, const char *what, const char *file, int line);
#define assert_success(call) harness_assert_success((call), #call, __FILE__, __LINE__)

/**
 * Whether a companion function worked. False, with a message, if it is not in this release; the
 * test fails for any other reason.
 */
bool harness_is_available(bool success, const char *what);

/** Captures, or fails the test. Free it with PssFreeSnapshot. */
HPSS harness_capture(const struct target *target, uint32_t flags);

/** Frees, or fails the test; then waits until @target has no more children than it may have. */
void harness_free_snapshot(HPSS snapshot);

/** The VaCloneHandle, borrowed. */
HANDLE harness_clone(HPSS snapshot);

/** Reads memory of the clone, all of it or fail. */
void harness_read_clone(HPSS snapshot, uint64_t address, void *buffer, size_t size);
uint64_t harness_read_clone_word(HPSS snapshot, uint64_t address);

/** Thread @tid of the snapshot; false if it is not in it. */
bool harness_find_thread(HPSS snapshot, pid_t tid, PSSX_THREAD *ret, DWORD *index_ret);

/** Waits until process @pid is gone altogether, not even a zombie. */
void harness_wait_gone(pid_t pid);

#define _cleanup_target_ __attribute__((cleanup(target_stop_ptr)))

#endif
