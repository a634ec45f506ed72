// SPDX-License-Identifier: LGPL-2.1-or-later
// Registers, signal masks and rseq registrations of a patient's blocked threads, as ptrace shows
// them. Only threads in calls that a stop makes again, and that so never notice: another child of
// ours does it, one without an exit signal, so that nobody sees a SIGCHLD or a strange wait.
#include "harness_patient.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif
#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif

#ifdef SYS_poll
#define CALL_POLL SYS_poll
#else
#define CALL_POLL (-1)
#endif

enum { SETTLE_MS = 2000, STOP_SECONDS = 10, XSTATE_ROOM = 64 << 10, LINE_ROOM = 4096 };

// Bytes of the XSAVE area that are the kernel's and the processor's own notes about it.
enum { XSTATE_SOFTWARE = 464, XSTATE_HEADER_END = 576 };

static bool is_pipe(pid_t pid, long tid, unsigned long fd)
{
	char path[96], link[64] = "";

	snprintf(path, sizeof(path), "/proc/%d/task/%ld/fd/%lu", pid, tid, fd);
	return readlink(path, link, sizeof(link) - 1) > 0 && !strncmp(link, "pipe:", 5);
}

// What the thread waits in, if the kernel makes it again after a stop whatever it is: not the calls
// that say EINTR then, such as epoll_wait, or a read from a socket with a time-out.
static bool is_restarted(pid_t pid, long tid)
{
	char path[64], *call, *rest;
	bool is = false;

	snprintf(path, sizeof(path), "/proc/%d/task/%ld/syscall", pid, tid);
	call = harness_read_file(path);
	if (call && call[0] >= '0' && call[0] <= '9') {
		long number = strtol(call, &rest, 10);
		unsigned long first = strtoul(rest, NULL, 16);

		is = number == SYS_futex || number == CALL_POLL || number == SYS_nanosleep ||
		     number == SYS_wait4 || number == SYS_clock_nanosleep ||
		     number == SYS_restart_syscall ||
		     (number == SYS_read && is_pipe(pid, tid, first));
	}
	free(call);
	return is;
}

// A thread that stands because of a signal stays alone: it would be let go into another stop.
static bool is_asleep(pid_t pid, long tid)
{
	char path[64], *stat, *end;
	bool is;

	snprintf(path, sizeof(path), "/proc/%d/task/%ld/stat", pid, tid);
	stat = harness_read_file(path);
	end = stat ? strrchr(stat, ')') : NULL;
	is = end && end[1] && end[2] == 'S';
	free(stat);
	return is;
}

static uint64_t sum_of(const uint8_t *bytes, size_t size)
{
	uint64_t sum = 0xcbf29ce484222325u;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3u;
	return sum;
}

// The call's number and result are of the stop, not of the thread: -ERESTARTSYS or another of its
// kind, and read or restart_syscall.
static size_t print_general(char *line, size_t room, pid_t tid)
{
	struct user_regs_struct regs = { 0 };
	struct iovec vector = { &regs, sizeof(regs) };
	size_t used = (size_t)snprintf(line, room, "regs %d", tid);

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &vector) < 0)
		return 0;
#if defined(__x86_64__)
	regs.rax = regs.orig_rax = 0;
#endif
	for (size_t i = 0; i < sizeof(regs) / sizeof(unsigned long); i++)
		used += (size_t)snprintf(line + used, room - used, " %lx",
					 ((const unsigned long *)&regs)[i]);
	return used;
}

static size_t print_stopped(char *line, size_t room, pid_t tid)
{
	static uint8_t state[XSTATE_ROOM];
	uint64_t mask = 0, rseq[3] = { 0 };
	struct iovec vector = { state, sizeof(state) };
	size_t used = print_general(line, room, tid);

	line[used++] = '\n';
	if (ptrace(PTRACE_GETREGSET, tid, NT_PRFPREG, &vector) == 0)
		used += (size_t)snprintf(line + used, room - used, "fp %d %016llx\n", tid,
					 (unsigned long long)sum_of(state, vector.iov_len));
	vector = (struct iovec){ state, sizeof(state) };
	if (ptrace(PTRACE_GETREGSET, tid, NT_X86_XSTATE, &vector) == 0) {
		// Not which parts are in their first state: after a way home by a frame, all are
		// said to be in use.
		if (vector.iov_len >= XSTATE_HEADER_END)
			memset(state + XSTATE_SOFTWARE, 0, XSTATE_HEADER_END - XSTATE_SOFTWARE);
		used += (size_t)snprintf(line + used, room - used, "extended %d %016llx\n", tid,
					 (unsigned long long)sum_of(state, vector.iov_len));
	}
	if (ptrace(PTRACE_GETSIGMASK, tid, sizeof(mask), &mask) == 0)
		used += (size_t)snprintf(line + used, room - used, "sigmask %d %016llx\n", tid,
					 (unsigned long long)mask);
	// Address, size and signature, flags.
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, tid, sizeof(rseq), rseq) > 0)
		used += (size_t)snprintf(line + used, room - used, "rseq %d %llx %llx %llx\n", tid,
					 (unsigned long long)rseq[0], (unsigned long long)rseq[1],
					 (unsigned long long)rseq[2]);
	return used;
}

// Runs in the child: no heap, whose locks another thread of ours may hold.
static void show_one(int out, pid_t tid)
{
	static char line[LINE_ROOM];
	size_t size = 0;
	int status;

	if (ptrace(PTRACE_SEIZE, tid, 0, 0) < 0)
		return;
	if (ptrace(PTRACE_INTERRUPT, tid, 0, 0) == 0 && waitpid(tid, &status, __WALL) == tid &&
	    WIFSTOPPED(status)) {
		// A signal that came first is delivered, not swallowed.
		int signal_number = status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);

		size = print_stopped(line, sizeof(line), tid);
		ptrace(PTRACE_DETACH, tid, 0, (void *)(intptr_t)signal_number);
	}
	if (write(out, line, size) != (ssize_t)size)
		_exit(1);
}

static void wait_until_back(pid_t pid, long tid, uint64_t since)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%ld/syscall", pid, tid);
	for (;;) {
		char *call = harness_read_file(path);
		bool runs = call && !strncmp(call, "running", 7);

		free(call);
		if (!runs || harness_is_past(since, SETTLE_MS))
			return;
		sched_yield();
	}
}

void patient_add_registers(struct text *text, pid_t pid, const long *tids, size_t count)
{
	long *chosen = calloc(count + 1, sizeof(*chosen));
	char block[4096];
	size_t found = 0;
	int ends[2];
	ssize_t got;
	pid_t child;

	for (size_t i = 0; i < count; i++)
		if (is_asleep(pid, tids[i]) && is_restarted(pid, tids[i]))
			chosen[found++] = tids[i];
	if (found == 0 || pipe2(ends, O_CLOEXEC) < 0) {
		free(chosen);
		return;
	}
	child = (pid_t)syscall(SYS_clone, 0, 0, 0, 0, 0);
	if (child == 0) {
		// A thread that does not stop must not keep us: what is missing then is told.
		signal(SIGALRM, SIG_DFL);
		alarm(STOP_SECONDS);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (size_t i = 0; i < found; i++)
			show_one(ends[1], (pid_t)chosen[i]);
		_exit(0);
	}
	close(ends[1]);
	while (child > 0 && (got = read(ends[0], block, sizeof(block))) > 0)
		text_add(text, "%.*s", (int)got, block);
	close(ends[0]);
	while (child > 0 && waitpid(child, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	// All together: each of many may wait for a CPU.
	uint64_t since = harness_now_ns();
	for (size_t i = 0; i < found; i++)
		wait_until_back(pid, chosen[i], since);
	free(chosen);
}
