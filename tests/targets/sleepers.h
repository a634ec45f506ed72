// SPDX-License-Identifier: LGPL-2.1-or-later
// The blocking calls that sleepers.c sits in, shared with the test that reads its counters.
#ifndef SLEEPERS_H
#define SLEEPERS_H

#include <stdint.h>

// Name; is its remaining time kept by the kernel when the call is made again.
#define SLEEPERS_KINDS(X)                                                                          \
	X(futex, 0)                                                                                \
	X(futex_timed, 1)                                                                          \
	X(poll, 0)                                                                                 \
	X(poll_timed, 1)                                                                           \
	X(ppoll_timed, 1)                                                                          \
	X(select_timed, 1)                                                                         \
	X(pselect, 0)                                                                              \
	X(epoll_wait, 0)                                                                           \
	X(epoll_wait_timed, 0)                                                                     \
	X(epoll_pwait, 0)                                                                          \
	X(nanosleep, 1)                                                                            \
	X(clock_nanosleep, 1)                                                                      \
	X(clock_nanosleep_abs, 1)                                                                  \
	X(read_pipe, 0)                                                                            \
	X(recv, 0)                                                                                 \
	X(recv_rcvtimeo, 0)                                                                        \
	X(accept, 0)                                                                               \
	X(connect, 0)                                                                              \
	X(semop, 0)                                                                                \
	X(semtimedop, 0)                                                                           \
	X(msgrcv, 0)                                                                               \
	X(sigtimedwait, 0)                                                                         \
	X(sigwaitinfo, 0)                                                                          \
	X(sigsuspend, 0)                                                                           \
	X(pause, 0)                                                                                \
	X(wait4, 0)                                                                                \
	X(flock, 0)                                                                                \
	X(ofd_lock, 0)                                                                             \
	X(posix_lock, 0)                                                                           \
	X(io_getevents, 0)                                                                         \
	X(io_uring_enter, 0)                                                                       \
	X(inotify_read, 0)                                                                         \
	X(eventfd_read, 0)                                                                         \
	X(timerfd_read, 0)                                                                         \
	X(mq_receive, 0)

#define SLEEPERS_ENUM(name, kept) SLEEPER_##name,
enum sleeper_kind { SLEEPERS_KINDS(SLEEPERS_ENUM) SLEEPER_COUNT };

/** One for each kind; announced as `kinds`. */
struct sleeper_figures {
	uint64_t threads;   // sitting in the call; 0 if the kernel here lacks it
	uint64_t eintr;     // the call failed with EINTR
	uint64_t other;     // the call returned something else that it should not have
	uint64_t timeouts;  // the call timed out
	uint64_t early;     // of those, before its time
	uint64_t latest_ns; // the most that one timed out after its time
};

#endif
