// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: the leader thread has exited, others are alive. /proc/PID/maps and mem are empty then,
// and only /proc/PID/task/TID has them.
#include "target.h"

static uint64_t *pattern;

static void *spin(void *arg)
{
	(void)arg;
	for (;;)
		target_beat();
	return NULL;
}

static void *serve(void *arg)
{
	(void)arg;
	// Ready only once the leader is a zombie.
	target_wait_state(getpid(), 'Z');
	target_say("server_tid", (uint64_t)target_tid());
	target_say_address("pattern", pattern);
	target_ready();
	target_serve(NULL);
	return NULL;
}

int main(void)
{
	target_begin();
	pattern = target_map(4096);
	for (uint64_t i = 0; i < 512; i++)
		pattern[i] = 0x9e3779b97f4a7c15u * (i + 1);
	target_thread(spin, NULL);
	target_thread(serve, NULL);
	pthread_exit(NULL);
}
