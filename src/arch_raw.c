// SPDX-License-Identifier: LGPL-2.1-or-later
// See arch_raw.h. One branch a machine; both are compiled in every build of ours somewhere.
#include "arch_raw.h"

#if defined(__x86_64__)

long pss_arch_raw_call(long number, const uint64_t arguments[6])
{
	long result;

	__asm__ volatile("movq 24(%[rest]), %%r10\n\t"
			 "movq 32(%[rest]), %%r8\n\t"
			 "movq 40(%[rest]), %%r9\n\t"
			 "syscall"
			 : "=a"(result)
			 : "a"(number), "D"(arguments[0]), "S"(arguments[1]),
			   "d"(arguments[2]), [rest] "r"(arguments)
			 : "rcx", "r8", "r9", "r10", "r11", "memory");
	return result;
}

#elif defined(__aarch64__)

long pss_arch_raw_call(long number, const uint64_t arguments[6])
{
	register uint64_t x0 __asm__("x0") = arguments[0];
	register uint64_t x1 __asm__("x1") = arguments[1];
	register uint64_t x2 __asm__("x2") = arguments[2];
	register uint64_t x3 __asm__("x3") = arguments[3];
	register uint64_t x4 __asm__("x4") = arguments[4];
	register uint64_t x5 __asm__("x5") = arguments[5];
	register uint64_t x8 __asm__("x8") = (uint64_t)number;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5), "r"(x8)
			 : "memory");
	return (long)x0;
}

#endif
