// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a crowd, half of which is being born and dying all the time: churn [THREADS [LIFE_MS]].
// One half lives on; each of the other sleeps up to LIFE_MS, starts its successor and ends.
// Announces `lives`, how many of those have ended well.
#include "target.h"

enum { STACK = 64 << 10 };

static pthread_attr_t attr;
static uint64_t life_ms;
static _Atomic uint64_t lives;

static void sleep_for(uint64_t ms)
{
	struct timespec left = { .tv_sec = (time_t)(ms / 1000),
				 .tv_nsec = (long)(ms % 1000) * 1000000 };

	while (nanosleep(&left, &left) < 0)
		target_counters.eintr++;
}

// Its successor lives for another time, so that they do not all die at once.
static void *live_briefly(void *arg)
{
	uint64_t seed = (uintptr_t)arg * 6364136223846793005u + 1442695040888963407u;
	pthread_t next;

	sleep_for(life_ms / 2 + (seed >> 33) % (life_ms / 2 + 1));
	lives++;
	// EAGAIN: the dead are not buried yet.
	while ((errno = pthread_create(&next, &attr, live_briefly, (void *)(uintptr_t)seed)) ==
	       EAGAIN)
		sched_yield();
	if (errno)
		target_fail("pthread_create");
	return NULL;
}

static void *live_on(void *arg)
{
	(void)arg;
	for (;;) {
		pause();
		target_counters.eintr++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t threads = target_number(argc, argv, 1, 5000);
	pthread_t thread;

	life_ms = target_number(argc, argv, 2, 1000);
	target_begin();
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (uint64_t i = 1; i < threads; i++) {
		errno = pthread_create(&thread, &attr, i % 2 ? live_briefly : live_on,
				       (void *)(uintptr_t)i);
		if (errno)
			target_fail("pthread_create");
	}
	target_say_address("lives", &lives);
	target_ready();
	target_serve(NULL);
}
