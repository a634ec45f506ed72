// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: threads whose every register holds a known value, one spinning in user mode, one
// blocked in a system call. On "check" both go on, look at each register, and start over. Values:
// regs.h.
#include "target.h"

#include "regs.h"

#if defined(__x86_64__)

// What a thread loads, and what it found afterwards.
struct regs_image {
	uint64_t general[16];   // in the order of enum regs_general
	uint64_t vector[16][4]; // ymm0 to ymm15
};

struct regs_image regs_wanted, regs_found;
extern const char regs_spin_at[], regs_block_at[];
volatile uint32_t regs_go;
int regs_pipe[2];
char regs_byte;

void regs_spin(void);
void regs_block(void);

// Both load everything, wait, and store everything. Registers that the call itself uses or destroys
// (rax, rdi, rsi, rdx, rcx, r11) are known in the blocked thread too, save rcx and r11.
#define LOAD_VECTORS                                                                               \
	"lea regs_wanted+128(%rip), %rax\n"                                                        \
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"                                           \
	"vmovdqu \\n*32(%rax), %ymm\\n\n"                                                          \
	".endr\n"
#define STORE_VECTORS                                                                              \
	"lea regs_found+128(%rip), %rax\n"                                                         \
	".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"                                           \
	"vmovdqu %ymm\\n, \\n*32(%rax)\n"                                                          \
	".endr\n"                                                                                  \
	"vzeroupper\n"
#define LOAD(offset, reg)  "mov regs_wanted+" #offset "(%rip), %" #reg "\n"
#define STORE(offset, reg) "mov %" #reg ", regs_found+" #offset "(%rip)\n"
#define LOAD_KEPT                                                                                  \
	LOAD(8, rbx)                                                                               \
	LOAD(48, rbp)                                                                              \
	LOAD(56, r8)                                                                               \
	LOAD(64, r9)                                                                               \
	LOAD(72, r10)                                                                              \
	LOAD(88, r12)                                                                              \
	LOAD(96, r13)                                                                              \
	LOAD(104, r14)                                                                             \
	LOAD(112, r15)
#define STORE_KEPT                                                                                 \
	STORE(8, rbx)                                                                              \
	STORE(48, rbp)                                                                             \
	STORE(56, r8)                                                                              \
	STORE(64, r9)                                                                              \
	STORE(72, r10)                                                                             \
	STORE(88, r12)                                                                             \
	STORE(96, r13)                                                                             \
	STORE(104, r14)                                                                            \
	STORE(112, r15)
#define PUSH "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\n"
#define POP  "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\n"
// A value below the stack pointer: the red zone belongs to the program.
#define RED_ZONE_PUT "movq $0x12345678, -8(%rsp)\nmovq $0x12345679, -128(%rsp)\n"
#define RED_ZONE_CHECK                                                                             \
	"cmpq $0x12345678, -8(%rsp)\njne 9f\n"                                                     \
	"cmpq $0x12345679, -128(%rsp)\njne 9f\n"                                                   \
	"jmp 8f\n"                                                                                 \
	"9: lock incq target_wrong_red_zone(%rip)\n"                                               \
	"8:\n"

uint64_t target_wrong_red_zone;

__asm__(".text\n"
	".globl regs_spin, regs_spin_at\n"
	"regs_spin:\n" PUSH RED_ZONE_PUT LOAD_VECTORS LOAD_KEPT LOAD(0, rax) LOAD(16, rcx)
		LOAD(24, rdx) LOAD(32, rsi) LOAD(40, rdi)
			LOAD(80, r11) "regs_spin_at:\n"
				      "1: pause\n"
				      "cmpl $0, regs_go(%rip)\n"
				      "je 1b\n" STORE(0, rax) STORE(16, rcx) STORE(24, rdx)
					      STORE(32, rsi) STORE(40, rdi) STORE(80, r11)
						      STORE_KEPT STORE_VECTORS RED_ZONE_CHECK POP
	"ret\n"
	".globl regs_block, regs_block_at\n"
	"regs_block:\n" PUSH RED_ZONE_PUT LOAD_VECTORS LOAD_KEPT "xor %eax, %eax\n" // read
	"mov regs_pipe(%rip), %edi\n"
	"lea regs_byte(%rip), %rsi\n"
	"mov $1, %edx\n"
	"syscall\n"
	"regs_block_at:\n" STORE(0, rax) STORE(24, rdx) STORE(32, rsi) STORE(40, rdi)
		STORE_KEPT STORE_VECTORS RED_ZONE_CHECK POP "ret\n");

static void choose_values(void)
{
	for (int i = 0; i < REGS_COUNT; i++)
		regs_wanted.general[i] = REGS_GENERAL(i);
	for (int i = 0; i < 16; i++)
		for (int word = 0; word < 4; word++)
			regs_wanted.vector[i][word] = REGS_VECTOR(i, word);
}

static void compare(bool blocked)
{
	for (int i = 0; i < REGS_COUNT; i++) {
		uint64_t wanted = regs_wanted.general[i];

		if (blocked && (i == REGS_RCX || i == REGS_R11))
			continue;
		if (blocked && (i == REGS_RAX || i == REGS_RDX))
			wanted = 1;
		else if (blocked && i == REGS_RDI)
			wanted = (uint64_t)regs_pipe[0];
		else if (blocked && i == REGS_RSI)
			wanted = (uintptr_t)&regs_byte;
		target_counters.wrong += regs_found.general[i] != wanted;
	}
	for (int i = 0; i < 16; i++)
		for (int word = 0; word < 4; word++)
			target_counters.wrong +=
				regs_found.vector[i][word] != regs_wanted.vector[i][word];
	target_counters.wrong += target_wrong_red_zone;
}

static pid_t tids[2];
static _Atomic uint64_t rounds[2];
static pthread_mutex_t found_mutex = PTHREAD_MUTEX_INITIALIZER;

// regs_found is one: "check" lets the threads go one after the other.
static void *hold_registers(void *arg)
{
	int which = (int)(uintptr_t)arg;

	for (;;) {
		if (which)
			regs_block();
		else
			regs_spin();
		pthread_mutex_lock(&found_mutex);
		compare(which == 1);
		rounds[which]++;
		// Not before "check" has taken the go away again.
		while (!which && regs_go)
			sched_yield();
		pthread_mutex_unlock(&found_mutex);
	}
	return NULL;
}

static bool command(const char *text)
{
	uint64_t before[2] = { rounds[0], rounds[1] };

	if (strcmp(text, "check"))
		return false;
	regs_go = 1;
	while (rounds[0] == before[0])
		sched_yield();
	regs_go = 0;
	if (write(regs_pipe[1], "x", 1) != 1)
		target_fail("write");
	while (rounds[1] == before[1])
		sched_yield();
	target_say("wrong", target_counters.wrong);
	return true;
}

int main(void)
{
	target_begin();
	if (!__builtin_cpu_supports("avx")) {
		puts("skipped: no AVX");
		return 77;
	}
	choose_values();
	if (pipe(regs_pipe) < 0)
		target_fail("pipe");
	tids[0] = target_thread(hold_registers, (void *)0);
	tids[1] = target_thread(hold_registers, (void *)1);
	target_wait_asleep(tids[1]);
	target_say("spin_tid", (uint64_t)tids[0]);
	target_say("block_tid", (uint64_t)tids[1]);
	target_say_address("spin_at", regs_spin_at);
	target_say_address("block_at", regs_block_at);
	target_say_address("byte", &regs_byte);
	target_say("pipe", (uint64_t)regs_pipe[0]);
	target_ready();
	target_serve(command);
}

#else

int main(void)
{
	puts("skipped: written for x86-64 only");
	return 77;
}

#endif
