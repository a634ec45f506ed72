// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: fills a heap and rewrites it all the time, one word a page: rewriter [MIB [THREADS
// [PAUSE_US]]]. Counts the pages that it has written. With PAUSE_US it rests after each MiB.
#include "target.h"

enum { PAGE = 4096, MIB = 1 << 20 };

static volatile uint64_t *heap;
static size_t heap_size;
static size_t part_size;
static uint64_t pause_us;

static void *rewrite(void *arg)
{
	struct timespec rest = { .tv_nsec = (long)pause_us * 1000 };
	size_t begin = (uintptr_t)arg * part_size;

	prctl(PR_SET_NAME, "rewriter");
	for (uint64_t round = 1;; round++) {
		for (size_t at = begin; at < begin + part_size; at += PAGE) {
			// What is read is what was written a round ago.
			if (heap[at / 8] != round - 1)
				target_counters.wrong++;
			heap[at / 8] = round;
			target_counters.beats++;
			if (pause_us && at % MIB == 0)
				nanosleep(&rest, NULL);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t threads = target_number(argc, argv, 2, 1);

	heap_size = target_number(argc, argv, 1, 64) * MIB;
	part_size = heap_size / threads;
	pause_us = target_number(argc, argv, 3, 0);
	target_begin();
	heap = target_map(heap_size);
	for (size_t at = 0; at < heap_size; at += PAGE)
		heap[at / 8] = 0;
	for (uintptr_t i = 0; i < threads; i++)
		target_thread(rewrite, (void *)i);
	target_wait_beat();
	target_say_address("heap", heap);
	target_say("heap_size", heap_size);
	target_ready();
	target_serve(NULL);
}
