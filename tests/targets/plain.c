// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: an ordinary program. A page with a pattern that never changes, pages that a thread
// rewrites all the time, and sleeping threads: plain [THREADS [MIB]].
#include "target.h"

enum { PAGE = 4096, MOVING_PAGES = 16 };

static volatile uint64_t *moving;

static void *rewrite(void *arg)
{
	(void)arg;
	prctl(PR_SET_NAME, "rewriter");
	for (uint64_t n = 1;; n++) {
		for (int i = 0; i < MOVING_PAGES; i++)
			moving[i * PAGE / 8] = n;
		target_beat();
	}
	return NULL;
}

static void *sleep_long(void *arg)
{
	struct timespec day = { .tv_sec = 86400 };

	(void)arg;
	prctl(PR_SET_NAME, "sleeper \xc3\xa4");
	for (;;) {
		if (nanosleep(&day, NULL) < 0 && errno == EINTR)
			target_count_eintr(SYS_nanosleep);
		else
			target_counters.wrong++;
	}
	return NULL;
}

static uint64_t *pattern;

// "change" overwrites the pattern: a snapshot taken before still has the old one.
static bool command(const char *text)
{
	if (strcmp(text, "change") && strcmp(text, "unmap"))
		return false;
	if (text[0] == 'u')
		return munmap(pattern, PAGE) == 0;
	for (int i = 0; i < PAGE / 8; i++)
		pattern[i] = ~pattern[i];
	return true;
}

int main(int argc, char **argv)
{
	uint64_t threads = target_number(argc, argv, 1, 3);
	size_t bulk_size = target_number(argc, argv, 2, 1) << 20;
	uint64_t *bulk;

	target_begin();
	pattern = target_map(PAGE);
	moving = target_map(MOVING_PAGES * PAGE);
	bulk = target_map(bulk_size);
	for (uint64_t i = 0; i < PAGE / 8; i++)
		pattern[i] = 0x9e3779b97f4a7c15u * (i + 1);
	for (uint64_t i = 0; i < bulk_size / 8; i++)
		bulk[i] = i ^ 0x5555555555555555u;
	target_thread(rewrite, NULL);
	for (uint64_t i = 0; i < threads; i++)
		target_wait_asleep(target_thread(sleep_long, NULL));
	target_wait_beat();
	target_say_address("pattern", pattern);
	target_say_address("moving", moving);
	target_say_address("bulk", bulk);
	target_say("bulk_size", bulk_size);
	target_ready();
	target_serve(command);
}
