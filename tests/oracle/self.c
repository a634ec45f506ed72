// SPDX-License-Identifier: LGPL-2.1-or-later
// A program of 50 threads that writes a core of itself: self CORE. The thread that does it is not
// the leader. Says its process's and its thread's numbers.
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <procsnap.h>

enum { OTHERS = 48 };

static const uint32_t FLAGS = PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_VA_SPACE |
			      PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CAPTURE_THREADS |
			      PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_THREAD_CONTEXT_EXTENDED;

static _Atomic uint64_t started;
volatile uint64_t marker = 0x5e1f5e1f5e1f5e1fu;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", what, strerror(errno), PssxErrorText());
	exit(1);
}

static void *wait_for_ever(void *arg)
{
	(void)arg;
	started++;
	for (;;)
		pause();
	return NULL;
}

static void *write_core(void *arg)
{
	const char *path = arg;
	HPSS snapshot = NULL;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0)
		fail(path);
	if (PssCaptureSnapshot(GetCurrentProcess(), FLAGS, CONTEXT_ALL, &snapshot))
		fail("PssCaptureSnapshot");
	// Not in the core, which has what was before.
	marker = 0;
	if (PssxWriteElfCore(snapshot, fd, NULL, NULL))
		fail("PssxWriteElfCore");
	if (PssFreeSnapshot(GetCurrentProcess(), snapshot))
		fail("PssFreeSnapshot");
	close(fd);
	printf("ready pid=%x tid=%lx marker=%" PRIxPTR "\n", getpid(), syscall(SYS_gettid),
	       (uintptr_t)&marker);
	fflush(stdout);
	return NULL;
}

static pthread_t start(void *(*run)(void *), void *arg)
{
	pthread_t thread;

	errno = pthread_create(&thread, NULL, run, arg);
	if (errno)
		fail("pthread_create");
	return thread;
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fputs("self CORE\n", stderr);
		return 2;
	}
	for (int i = 0; i < OTHERS; i++)
		start(wait_for_ever, NULL);
	while (started < OTHERS)
		sched_yield();
	pthread_join(start(write_core, argv[1]), NULL);
	return 0;
}
