// SPDX-License-Identifier: LGPL-2.1-or-later
// The time line of captures: timeline PID TIMES WHAT. The library is linked in with its calls to
// the kernel wrapped, so that each costs a look at the clock more, not a stop as under strace.
// Calls of one kind that follow each other are one line: when it began, how long it took until the
// next line, how much of that in the kernel, how many calls. Tab separated; "capture" begins each.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "capturer.h"

enum { ROOM = 1 << 20 };

static struct event {
	uint64_t start, end;
	const char *name;
	int tid;
} events[ROOM];
static unsigned count;

void capturer_die(const char *what)
{
	fprintf(stderr, "timeline: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t capturer_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void note(uint64_t start, const char *name, int tid)
{
	unsigned index = __atomic_fetch_add(&count, 1, __ATOMIC_RELAXED);

	if (index < ROOM)
		events[index] = (struct event){ start, capturer_now(), name, tid };
}

static const char *request_name(int request)
{
	static const struct {
		int request;
		const char *name;
	} names[] = {
		{ PTRACE_SEIZE, "PTRACE_SEIZE" },
		{ PTRACE_INTERRUPT, "PTRACE_INTERRUPT" },
		{ PTRACE_GETREGSET, "registers: get" },
		{ PTRACE_GETSIGMASK, "registers: get" },
		{ PTRACE_SETREGSET, "registers: set" },
		{ PTRACE_SETSIGMASK, "registers: set" },
		{ PTRACE_SETOPTIONS, "PTRACE_SETOPTIONS" },
		{ PTRACE_SYSCALL, "PTRACE_SYSCALL" },
		{ PTRACE_CONT, "PTRACE_CONT" },
		{ PTRACE_GETEVENTMSG, "PTRACE_GETEVENTMSG" },
		{ PTRACE_DETACH, "PTRACE_DETACH" },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].request == request)
			return names[i].name;
	return "ptrace, other";
}

#define WRAPPED(type, name, ...)                                                                   \
	type __real_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__);                                                           \
	type __wrap_##name(__VA_ARGS__)

#define NOTED(text, tid, call)                                                                     \
	__extension__({                                                                            \
		uint64_t start_ = capturer_now();                                                  \
		__auto_type result_ = call;                                                        \
		int errno_ = errno;                                                                \
		note(start_, text, tid);                                                           \
		errno = errno_;                                                                    \
		result_;                                                                           \
	})

long __real_ptrace(int request, ...);
long __wrap_ptrace(int request, ...);
long __wrap_ptrace(int request, ...)
{
	va_list list;

	va_start(list, request);
	pid_t tid = va_arg(list, pid_t);
	void *address = va_arg(list, void *);
	void *data = va_arg(list, void *);
	va_end(list);
	return NOTED(request_name(request), tid, __real_ptrace(request, tid, address, data));
}

WRAPPED(pid_t, waitpid, pid_t pid, int *status, int options)
{
	return NOTED("wait", pid, __real_waitpid(pid, status, options));
}

WRAPPED(int, sigtimedwait, const sigset_t *set, siginfo_t *info, const struct timespec *time)
{
	return NOTED("wait", 0, __real_sigtimedwait(set, info, time));
}

WRAPPED(ssize_t, pwrite64, int fd, const void *from, size_t size, off_t at)
{
	return NOTED("memory of the target", 0, __real_pwrite64(fd, from, size, at));
}

WRAPPED(ssize_t, process_vm_readv, pid_t pid, const struct iovec *local, unsigned long locals,
	const struct iovec *remote, unsigned long remotes, unsigned long flags)
{
	return NOTED("memory of the target", pid,
		     __real_process_vm_readv(pid, local, locals, remote, remotes, flags));
}

WRAPPED(ssize_t, pread64, int fd, void *to, size_t size, off_t at)
{
	return NOTED("pread", 0, __real_pread64(fd, to, size, at));
}

WRAPPED(ssize_t, read, int fd, void *to, size_t size)
{
	return NOTED("files", 0, __real_read(fd, to, size));
}

int __real_openat64(int fd, const char *path, int flags, ...);
int __wrap_openat64(int fd, const char *path, int flags, ...);
int __wrap_openat64(int fd, const char *path, int flags, ...)
{
	return NOTED("files", 0, __real_openat64(fd, path, flags, 0600));
}

WRAPPED(int, close, int fd)
{
	return NOTED("files", 0, __real_close(fd));
}

WRAPPED(ssize_t, readlinkat, int fd, const char *path, char *to, size_t size)
{
	return NOTED("files", 0, __real_readlinkat(fd, path, to, size));
}

WRAPPED(int, ioctl, int fd, unsigned long request, void *argument)
{
	return NOTED("PAGEMAP_SCAN and its like", 0, __real_ioctl(fd, request, argument));
}

// Memory of its own, and the trial of what a page table entry costs.
WRAPPED(int, munmap, void *address, size_t size)
{
	return NOTED("own memory", 0, __real_munmap(address, size));
}

WRAPPED(void *, mmap64, void *address, size_t size, int protection, int flags, int fd, off_t at)
{
	return NOTED("own memory", 0, __real_mmap64(address, size, protection, flags, fd, at));
}

static void print_lines(uint64_t start, uint64_t end)
{
	unsigned used = count < ROOM ? count : ROOM;

	printf("capture\t%llu\n", (unsigned long long)(end - start));
	for (unsigned i = 0; i < used;) {
		uint64_t inside = 0;
		unsigned next = i;

		while (next < used && strcmp(events[next].name, events[i].name) == 0) {
			inside += events[next].end - events[next].start;
			next++;
		}
		uint64_t until = next < used ? events[next].start : end;

		printf("%llu\t%llu\t%llu\t%u\t%s\n", (unsigned long long)(events[i].start - start),
		       (unsigned long long)(until - events[i].start), (unsigned long long)inside,
		       next - i, events[i].name);
		i = next;
	}
}

static void print_pause(HPSS snapshot)
{
	PSSX_FIGURES figures = { .Size = sizeof figures };

	if (PssxQueryFigures(snapshot, &figures) == ERROR_SUCCESS)
		printf("figures\t%llu\t%llu\t%llu\n", (unsigned long long)figures.PauseNs,
		       (unsigned long long)figures.HoldNs, (unsigned long long)figures.CloneNs);
}

int main(int argc, char **argv)
{
	PSS_CAPTURE_FLAGS flags = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS |
				  PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE;

	if (argc != 4)
		return 2;
	if (strcmp(argv[3], "all") == 0)
		flags |= PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
			 PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION;
	HANDLE process = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)atoi(argv[1]));

	memset(events, 1, sizeof events);
	for (int i = atoi(argv[2]); i > 0; i--) {
		HPSS snapshot = NULL;

		count = 0;
		uint64_t start = capturer_now();
		DWORD error = PssCaptureSnapshot(process, flags, CONTEXT_ALL, &snapshot);
		uint64_t end = capturer_now();

		if (error != ERROR_SUCCESS) {
			fprintf(stderr, "timeline: %s\n", PssxErrorText());
			return 1;
		}
		print_lines(start, end);
		print_pause(snapshot);
		PssFreeSnapshot(GetCurrentProcess(), snapshot);
	}
	return 0;
}
