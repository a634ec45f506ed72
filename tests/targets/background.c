// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a job in the background that reads from its terminal, and so is stopped by SIGTTIN. It
// is a child of this process, its session's leader; "stopped" is its number. "foreground" gives it
// the terminal and a line, and answers when it has read it. A second thread of it computes.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "target.h"

static struct shared {
	struct target_counters counters;
	_Atomic uint64_t lines;
} * shared;
static int master, slave;
static pid_t job;

static void *spin(void *arg)
{
	(void)arg;
	for (;;)
		shared->counters.beats++;
	return NULL;
}

static void be_job(void)
{
	char line[16];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpgid(0, 0);
	target_thread(spin, NULL);
	if (read(slave, line, sizeof(line)) != 3 || memcmp(line, "ho\n", 3) != 0)
		shared->counters.wrong++;
	shared->lines++;
	for (;;)
		pause();
}

static bool command(const char *text)
{
	if (strcmp(text, "foreground"))
		return false;
	if (tcsetpgrp(slave, job) < 0 || write(master, "ho\n", 3) != 3)
		target_fail("terminal");
	kill(-job, SIGCONT);
	while (!shared->lines)
		sched_yield();
	target_say("wrong", shared->counters.wrong);
	return true;
}

int main(void)
{
	int status;

	target_begin();
	signal(SIGCHLD, SIG_DFL);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		      0);
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (shared == MAP_FAILED || setsid() < 0 || master < 0 || grantpt(master) < 0 ||
	    unlockpt(master) < 0 || (slave = open(ptsname(master), O_RDWR | O_CLOEXEC)) < 0)
		target_fail("terminal");
	job = fork();
	if (job == 0)
		be_job();
	if (waitpid(job, &status, WUNTRACED) != job || !WIFSTOPPED(status) ||
	    WSTOPSIG(status) != SIGTTIN)
		target_fail("not stopped by SIGTTIN");
	target_say("stopped", (uint64_t)job);
	target_say_address("beats", &shared->counters.beats);
	target_ready();
	target_serve(command);
}
