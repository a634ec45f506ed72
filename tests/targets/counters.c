// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: state that only holds together at one instant. A snapshot in which a thread ran on
// while another was held, or whose memory was copied while it changed, breaks one of these:
//   first, second   both go up while `inside` is 1: equal, or one apart while inside
//   leader, follower   one thread copies what another wrote: never ahead
//   page            rewritten with a checksum while `writing` is 1
//   pulse           a register that goes up and is stored: memory is equal, or one behind
#include "target.h"

enum { PAGE = 4096, WORDS = PAGE / 8 - 1, APART = 64 << 20 };

struct counters_state {
	_Atomic uint64_t first;
	_Atomic uint64_t inside;
	_Atomic uint64_t writing;
	_Atomic uint64_t leader;
};

static struct counters_state *near_state;
static _Atomic uint64_t *second;   // far away from first
static _Atomic uint64_t *follower; // far away from leader
static uint64_t *page;
static uint64_t pulse;

static void rewrite_page(uint64_t seed)
{
	uint64_t sum = 0;

	near_state->writing = 1;
	for (uint64_t i = 0; i < WORDS; i++) {
		((volatile uint64_t *)page)[i] = seed * (i + 1);
		sum += seed * (i + 1);
	}
	((volatile uint64_t *)page)[WORDS] = sum;
	near_state->writing = 0;
}

// Few threads do it all: each that runs must get a CPU before it can be stopped.
static void *count(void *arg)
{
	(void)arg;
	for (uint64_t seed = 1;; seed++) {
		for (int i = 0; i < 500; i++) {
			near_state->inside = 1;
			near_state->first++;
			(*second)++;
			near_state->inside = 0;
			near_state->leader++;
		}
		rewrite_page(seed);
		target_beat();
	}
	return NULL;
}

static void *follow(void *arg)
{
	(void)arg;
	for (;;)
		*follower = near_state->leader;
	return NULL;
}

static void *beat_pulse(void *arg)
{
	(void)arg;
#if defined(__x86_64__)
	__asm__ volatile("xor %%r15d, %%r15d\n"
			 "1: inc %%r15\n"
			 "mov %%r15, %0\n"
			 "jmp 1b\n"
			 : "=m"(pulse)
			 :
			 : "r15", "memory");
#elif defined(__aarch64__)
	register uint64_t *address __asm__("x20") = &pulse;

	__asm__ volatile("mov x19, #0\n"
			 "1: add x19, x19, #1\n"
			 "str x19, [%0]\n"
			 "b 1b\n"
			 :
			 : "r"(address)
			 : "x19", "memory");
#endif
	return NULL;
}

int main(void)
{
	pid_t pulse_tid;
	char *memory;

	target_begin();
	memory = target_map(APART + PAGE);
	// So that a copy of it takes time.
	for (size_t i = 0; i < APART; i += PAGE)
		memory[i + 64] = 1;
	near_state = (struct counters_state *)memory;
	second = (_Atomic uint64_t *)(memory + APART);
	follower = (_Atomic uint64_t *)(memory + APART + 64);
	page = target_map(PAGE);
	target_thread(count, NULL);
	target_thread(follow, NULL);
	pulse_tid = target_thread(beat_pulse, NULL);
	while (!__atomic_load_n(&pulse, __ATOMIC_RELAXED))
		sched_yield();
	target_wait_beat();
	target_say_address("near", near_state);
	target_say_address("second", second);
	target_say_address("follower", follower);
	target_say_address("page", page);
	target_say_address("pulse", &pulse);
	target_say("pulse_tid", (uint64_t)pulse_tid);
	target_ready();
	target_serve(NULL);
}
