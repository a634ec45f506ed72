// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: executes itself again and again, every few milliseconds, from its leader or from
// another thread: execs [leader|worker]. What it counts stands in a memfd, descriptor
// `counters_fd`: beats are the programs so far. A signal mask that is not as it was before an
// execve counts as `wrong`, and so does a call that ends early.
#include "target.h"

enum { THREADS = 3, COUNTERS_FD = 100 };

static struct target_counters *counters;
static char **arguments;

static void check_mask(void)
{
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int i = 1; i < SIGRTMIN; i++)
		counters->wrong += sigismember(&mask, i) == 1 && i != SIGUSR2;
	counters->wrong += !sigismember(&mask, SIGUSR2);
}

static void *execute(void *arg)
{
	const struct timespec moment = { .tv_nsec = 3000000 };

	(void)arg;
	counters->eintr += nanosleep(&moment, NULL) < 0;
	execv("/proc/self/exe", arguments);
	target_fail("execv");
	return NULL;
}

static void *idle(void *arg)
{
	for (;;)
		pause();
	return arg;
}

// Only the first program of all.
static void begin(void)
{
	int fd = memfd_create("counters", 0);
	char parent[16];
	sigset_t mask;

	if (fd < 0 || ftruncate(fd, sizeof(*counters)) < 0 || dup2(fd, COUNTERS_FD) < 0)
		target_fail("memfd");
	close(fd);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	snprintf(parent, sizeof(parent), "%d", getppid());
	setenv("PROCSNAP_EXECS", parent, 1);
}

int main(int argc, char **argv)
{
	const char *parent = getenv("PROCSNAP_EXECS");
	bool is_first = !parent;

	arguments = argv;
	target_begin();
	// What a thread asks for does not outlive its execve: the parent may be gone by now.
	if (parent && getppid() != atoi(parent))
		return 1;
	// A child whose parent has executed another program since tells its end by SIGCHLD.
	signal(SIGCHLD, SIG_DFL);
	if (is_first)
		begin();
	counters =
		mmap(NULL, sizeof(*counters), PROT_READ | PROT_WRITE, MAP_SHARED, COUNTERS_FD, 0);
	if (counters == MAP_FAILED)
		target_fail("counters");
	check_mask();
	counters->beats++;
	for (int i = 0; i < THREADS; i++)
		target_thread(idle, NULL);
	if (is_first) {
		target_say("counters_fd", COUNTERS_FD);
		target_ready();
	}
	if (argc > 1 && !strcmp(argv[1], "worker"))
		target_thread(execute, NULL);
	else
		execute(NULL);
	idle(NULL);
}
