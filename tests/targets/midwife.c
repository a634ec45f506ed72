// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a thread that computes, and starts another one when the word `wanted` in its memory is
// raised by one; `born` is then that one's number. So a thread can be born between any two steps of
// a capturer.
#include "target.h"

static volatile uint64_t wanted, born;

static void *live(void *arg)
{
	(void)arg;
	for (;;) {
		pause();
		target_count_eintr(SYS_pause);
	}
	return NULL;
}

static void *compute(void *arg)
{
	uint64_t done = 0;

	(void)arg;
	for (;;) {
		target_beat();
		if (done == wanted)
			continue;
		done++;
		born = (uint64_t)target_thread(live, NULL);
	}
	return NULL;
}

int main(void)
{
	target_begin();
	target_say("runner", (uint64_t)target_thread(compute, NULL));
	target_wait_beat();
	target_say_address("wanted", &wanted);
	target_say_address("born", &born);
	target_ready();
	target_serve(NULL);
}
