// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: threads that never sleep, each measuring the longest time it did not run: busy
// [THREADS].
#include "target.h"

static _Atomic uint64_t longest_gap_ns;
static _Atomic uint64_t epoch;

static void *spin(void *arg)
{
	uint64_t seen = epoch;
	uint64_t last = target_now_ns();

	(void)arg;
	for (;;) {
		uint64_t now = target_now_ns();
		uint64_t longest = longest_gap_ns;

		if (seen == epoch)
			while (now - last > longest &&
			       !atomic_compare_exchange_weak(&longest_gap_ns, &longest, now - last))
				;
		seen = epoch;
		last = now;
		target_beat();
	}
	return NULL;
}

// "gap" answers with the longest gap since the last such command.
static bool command(const char *text)
{
	if (strcmp(text, "gap"))
		return false;
	epoch++;
	target_say("gap_ns", atomic_exchange(&longest_gap_ns, 0));
	return true;
}

int main(int argc, char **argv)
{
	uint64_t threads = target_number(argc, argv, 1, 2);

	target_begin();
	for (uint64_t i = 0; i < threads; i++)
		target_thread(spin, NULL);
	target_wait_beat();
	target_ready();
	target_serve(command);
}
