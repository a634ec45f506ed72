// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: threads born and dying all the time. Each of CHAINS threads starts its successor and
// ends: births [CHAINS [STEADY [LIFE_MS]]]. STEADY threads live on and must never be missed.
#include "target.h"

static pthread_attr_t attr;
static struct timespec life;

static void *live_briefly(void *arg)
{
	pthread_t next;

	target_beat();
	if (life.tv_nsec)
		(void)nanosleep(&life, NULL);
	// EAGAIN: the dead are not buried yet.
	while ((errno = pthread_create(&next, &attr, live_briefly, arg)) == EAGAIN)
		;
	if (errno)
		target_fail("pthread_create");
	return NULL;
}

static void *live_on(void *arg)
{
	(void)arg;
	for (;;) {
		pause();
		target_count_eintr(SYS_pause);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t chains = target_number(argc, argv, 1, 4);
	uint64_t steady = target_number(argc, argv, 2, 20);

	target_begin();
	life.tv_nsec = (long)target_number(argc, argv, 3, 0) * 1000000;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (uint64_t i = 0; i < steady; i++)
		target_wait_asleep(target_thread(live_on, NULL));
	for (uint64_t i = 0; i < chains; i++)
		target_thread(live_briefly, NULL);
	target_ready();
	target_serve(NULL);
}
