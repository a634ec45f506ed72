// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a thread waits in vfork for a child that does not go on. No signal and no tracer can
// stop such a thread. The command "release" lets the child exit. With the argument "leader" the
// thread is the only one.
#include <fcntl.h>

#include "target.h"

static int child_pipe[2];
static _Atomic uint64_t released;

// The child, which shares the memory but has to end with its parent all the same.
static void end_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
}

static void *wait_in_vfork(void *arg)
{
	pid_t parent = getpid();
	char byte;
	pid_t pid;
	int status;

	(void)arg;
	pid = vfork();
	if (pid == 0) {
		end_with(parent);
		while (syscall(SYS_read, child_pipe[0], &byte, 1) < 0)
			;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	released = 1;
	for (;;)
		pause();
	return NULL;
}

static bool command(const char *text)
{
	if (strcmp(text, "release"))
		return false;
	if (write(child_pipe[1], "x", 1) != 1)
		target_fail("release");
	while (!released)
		sched_yield();
	return true;
}

// The thread hangs in vfork once it has a child.
static void wait_for_child(void)
{
	siginfo_t info;

	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
		sched_yield();
}

// The child reads the command, for its parent can't.
static void wait_as_leader(void)
{
	pid_t parent = getpid();
	pid_t pid = vfork();
	int status;

	if (pid == 0) {
		char byte;

		end_with(parent);
		while (syscall(SYS_read, STDIN_FILENO, &byte, 1) == 1 && byte != '\n')
			;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	target_send("done");
}

int main(int argc, char **argv)
{
	(void)argv;
	target_begin();
	signal(SIGCHLD, SIG_DFL);
	if (argc > 1) {
		target_ready();
		wait_as_leader();
		target_serve(NULL);
	}
	if (pipe2(child_pipe, O_CLOEXEC) < 0)
		target_fail("pipe2");
	target_thread(wait_in_vfork, NULL);
	wait_for_child();
	target_ready();
	target_serve(command);
}
