// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: executes itself, from another thread than the leader, when told to: "exec". Addresses
// are not randomized, so that the second program has its stack where the first one had it.
#include <sys/personality.h>

#include "target.h"

// As long as each other, so that all below them on the stack is where it was.
static const char *const stages[] = { "first", "second", "third" };
static unsigned stage;

static void execute(void)
{
	char *const arguments[] = { "successor", (char *)stages[stage + 1], NULL };

	execv("/proc/self/exe", arguments);
	target_fail("execv");
}

static bool obey(const char *text)
{
	if (strcmp(text, "exec") != 0 || stage == 2)
		return false;
	execute();
	return true;
}

static void *serve(void *arg)
{
	(void)arg;
	target_wait_asleep(getpid());
	target_say("server_tid", (uint64_t)target_tid());
	if (stage == 2)
		target_send("done"); // the answer to the command
	else
		target_ready();
	target_serve(obey);
	return NULL;
}

int main(int argc, char **argv)
{
	int ends[2];
	char byte;

	target_begin();
	while (argc > 1 && stage < 2 && strcmp(argv[1], stages[stage]) != 0)
		stage++;
	if (stage == 0) {
		if (personality(ADDR_NO_RANDOMIZE) < 0) {
			puts("skipped: addresses are randomized");
			return 77;
		}
		execute();
	}
	target_thread(serve, NULL);
	if (pipe(ends) < 0)
		target_fail("pipe");
	(void)!read(ends[0], &byte, 1);
	return 1;
}
