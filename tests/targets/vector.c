// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: threads that compute with all vector registers and the x87, with a rounding mode of
// their own, and notice when any of it changes under them: vector [THREADS [leader]]. With leader,
// the leader is one of them and another thread serves.
#include "target.h"

#if defined(__x86_64__)

enum { ROUNDS = 200000, STATES = 12 };

// As wide as the processor has them; several states at once, so that many registers are in use.
#define DEFINE_COMPUTE(name, isa, type)                                                            \
	__attribute__((target(isa), noinline)) static uint64_t name(void)                          \
	{                                                                                          \
		type state[STATES];                                                                \
		uint64_t sum = 0;                                                                  \
                                                                                                   \
		for (int i = 0; i < STATES; i++)                                                   \
			for (size_t j = 0; j < sizeof(type) / 8; j++)                              \
				state[i][j] = (uint64_t)i * 0x9e3779b97f4a7c15u + j;               \
		for (int round = 0; round < ROUNDS; round++)                                       \
			_Pragma("GCC unroll 12") for (int i = 0; i < STATES; i++)                  \
			{                                                                          \
				state[i] ^= state[i] << 13;                                        \
				state[i] ^= state[i] >> 7;                                         \
				state[i] ^= state[i] << 17;                                        \
			}                                                                          \
		for (int i = 0; i < STATES; i++)                                                   \
			for (size_t j = 0; j < sizeof(type) / 8; j++)                              \
				sum = sum * 31 + state[i][j];                                      \
		return sum;                                                                        \
	}

typedef uint64_t v2 __attribute__((vector_size(16)));
typedef uint64_t v4 __attribute__((vector_size(32)));
typedef uint64_t v8 __attribute__((vector_size(64)));
DEFINE_COMPUTE(compute_sse, "sse2", v2)
DEFINE_COMPUTE(compute_avx, "avx2", v4)
DEFINE_COMPUTE(compute_avx512, "avx512f", v8)

static uint64_t (*compute)(void);

static long double compute_x87(void)
{
	volatile long double step = 1.0L;
	long double sum = 0;

	for (int i = 1; i < ROUNDS; i++)
		sum += step / i;
	return sum;
}

static void *run(void *arg)
{
	const uint32_t round_up_and_flush = 0x1f80 | 0x4000 | 0x8000;
	const uint16_t round_down = 0x037f | 0x0400;
	uint32_t mxcsr = round_up_and_flush;
	uint16_t control = round_down;
	uint64_t wanted;
	long double wanted_x87;

	(void)arg;
	__asm__ volatile("ldmxcsr %0\nfldcw %1" : : "m"(mxcsr), "m"(control));
	wanted = compute();
	wanted_x87 = compute_x87();
	for (;;) {
		target_counters.wrong += compute() != wanted;
		target_counters.wrong += compute_x87() != wanted_x87;
		__asm__ volatile("stmxcsr %0\nfnstcw %1" : "=m"(mxcsr), "=m"(control));
		target_counters.wrong += (mxcsr & 0xffc0) != round_up_and_flush;
		target_counters.wrong += control != round_down;
		target_beat();
	}
	return NULL;
}

static void *serve(void *arg)
{
	(void)arg;
	target_wait_beat();
	target_say("server_tid", (uint64_t)target_tid());
	target_ready();
	target_serve(NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t threads = target_number(argc, argv, 1, 2);

	target_begin();
	__builtin_cpu_init();
	compute = __builtin_cpu_supports("avx512f") ? compute_avx512
		  : __builtin_cpu_supports("avx2")  ? compute_avx
						    : compute_sse;
	for (uint64_t i = 0; i < threads; i++)
		target_thread(run, NULL);
	if (argc > 2) {
		target_thread(serve, NULL);
		run(NULL);
	}
	target_wait_beat();
	target_ready();
	target_serve(NULL);
}

#else

int main(void)
{
	puts("skipped: written for x86-64 only");
	return 77;
}

#endif
