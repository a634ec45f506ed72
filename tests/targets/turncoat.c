// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: means harm. The instructions that a capture makes its calls with lie in a file that a
// second process of its changes as soon as there is a clone: whatever the clone is told to call, it
// then does something else. turncoat exec|pipe|socket FILE; turncoat victim FILE is what is
// executed. Announces `attacks`, how often a clone has done something else, and `prey`, how many
// bytes and descriptors have come to where the clone sent them, after so many `looks`.
#include "target.h"

#ifdef __x86_64__

#include <fcntl.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { PAGE = 4096, CODE_OFFSET = 0, HOME_OFFSET = 64, BIG = 64 << 20 };

enum mode { EXEC, PIPE, SOCKET };

struct shared {
	_Atomic uint64_t attacks;
	_Atomic uint64_t prey;
	_Atomic uint64_t looks;
};

static struct shared *shared;
static uint8_t *text; // as it can be written
static enum mode mode;
static const char *file;
static char *arguments[4];
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static socklen_t address_size;

uint64_t turncoat_stack_kept;
char turncoat_stack[65536] __attribute__((aligned(64)));

static long raw(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

// Makes one system call, at the end of which the tracer takes the registers.
long turncoat_decide(long number, long a, long b, long c, long d);

__attribute__((used)) long turncoat_decide(long number, long a, long b, long c, long d)
{
	if (mode == EXEC) {
		shared->attacks++;
		return raw(SYS_execve, (long)arguments[0], (long)arguments, 0, 0);
	}
	if (mode == PIPE && number == SYS_pipe2)
		return raw(SYS_pipe2, a, 0, 0, 0); // its reader waits
	if (mode == PIPE && number == SYS_write) {
		shared->attacks++;
		return raw(SYS_getpid, 0, 0, 0, 0);
	}
	if (mode == SOCKET && number == SYS_setsid)
		return raw(SYS_socket, AF_UNIX, SOCK_STREAM, 0, 0);
	if (mode == SOCKET && number == SYS_prctl && a == PR_SET_NAME)
		return raw(SYS_connect, 0, (long)&address, address_size, 0);
	if (mode == SOCKET && number == SYS_socketpair) {
		shared->attacks++;
		((volatile int *)d)[0] = 0;
		((volatile int *)d)[1] = 0;
		return raw(SYS_getpid, 0, 0, 0, 0);
	}
	return raw(number, a, b, c, d);
}

__asm__(".globl turncoat_entry\n"
	"turncoat_entry:\n"
	"	mov %rsp, turncoat_stack_kept(%rip)\n"
	"	lea turncoat_stack+65472(%rip), %rsp\n"
	"	mov %r10, %r8\n"
	"	mov %rdx, %rcx\n"
	"	mov %rsi, %rdx\n"
	"	mov %rdi, %rsi\n"
	"	mov %rax, %rdi\n"
	"	call turncoat_decide\n"
	"	mov turncoat_stack_kept(%rip), %rsp\n"
	"	ret\n");
extern const char turncoat_entry[];

static const uint8_t honest[12] = { 0x0f, 0x05, 0xc3 }; // syscall; ret
static const uint8_t home[9] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 };

// mov $turncoat_entry, %r11; jmp *%r11: r11 is nobody's after a call. The old code stays until all
// of the new one but its first bytes stands.
static void turn(void)
{
	uint8_t code[16] = { 0x49, 0xbb };
	uintptr_t entry = (uintptr_t)turncoat_entry;

	memcpy(code + 2, &entry, sizeof(entry));
	memcpy(code + 10, (const uint8_t[]){ 0x41, 0xff, 0xe3 }, 3);
	memcpy(text + CODE_OFFSET + 8, code + 8, 8);
	__atomic_store_n((uint64_t *)(void *)(text + CODE_OFFSET), *(uint64_t *)(void *)code,
			 __ATOMIC_SEQ_CST);
}

static void turn_back(void)
{
	__atomic_store_n((uint64_t *)(void *)(text + CODE_OFFSET),
			 *(const uint64_t *)(const void *)honest, __ATOMIC_SEQ_CST);
}

static void take_prey(int listener)
{
	char control[64], byte;
	struct iovec bytes = { &byte, 1 };
	struct msghdr message = { .msg_iov = &bytes,
				  .msg_iovlen = 1,
				  .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int fd = accept(listener, NULL, NULL);

	while (fd >= 0 && recvmsg(fd, &message, 0) > 0)
		shared->prey += 1 + (message.msg_controllen > 0);
	close(fd);
}

// The second process. It is a child of the target itself; another one is the clone.
static void watch(pid_t parent, int listener)
{
	char path[64], list[256];
	bool turned = false;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	while (getppid() == parent) {
		ssize_t size = pread(fd, list, sizeof(list) - 1, 0);

		list[size < 0 ? 0 : size] = '\0';
		char *space = strchr(list, ' ');
		bool has_clone = space && space[1] != '\0';
		if (has_clone != turned)
			has_clone ? turn() : turn_back();
		turned = has_clone;
		if (!has_clone) {
			take_prey(listener);
			shared->looks++;
		}
	}
	_exit(0);
}

// Looks at what a program has from its start, and tells by a file that all of it was there.
static int be_victim(void)
{
	void *memory = malloc(1 << 20);
	int fd;

	if (!memory)
		return 1;
	memset(memory, 0x5a, 1 << 20);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	return fd < 0 || write(fd, "whole", 5) != 5;
}

// Named so that it is looked at first.
static void map_text(void)
{
	int fd = memfd_create("/libc-turncoat", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, PAGE) < 0)
		target_fail("memfd");
	text = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (text == MAP_FAILED)
		target_fail("mmap");
	memset(text, 0x90, PAGE);
	memcpy(text + CODE_OFFSET, honest, 8);
	memcpy(text + HOME_OFFSET, home, sizeof(home));
	if (mmap((void *)0x10000, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0) ==
	    MAP_FAILED)
		target_fail("mmap of text");
}

static int open_listener(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "turncoat-%d", getpid());
	address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				   strlen(address.sun_path + 1));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, address_size) < 0 || listen(fd, 8) < 0)
		target_fail("listen");
	return fd;
}

int main(int argc, char **argv)
{
	pid_t self = getpid();

	if (argc != 3)
		return 2;
	file = argv[2];
	if (!strcmp(argv[1], "victim"))
		return be_victim();
	mode = !strcmp(argv[1], "exec") ? EXEC : !strcmp(argv[1], "pipe") ? PIPE : SOCKET;
	arguments[0] = (char *)"/proc/self/exe"; // its folder is gone by now
	arguments[1] = (char *)"victim";
	arguments[2] = argv[2];
	target_begin();
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		target_fail("mmap");
	map_text();
	memset(target_map(BIG), 1, BIG);
	int listener = open_listener();
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		watch(self, listener);
	}
	target_say_address("attacks", &shared->attacks);
	target_say_address("prey", &shared->prey);
	target_say_address("looks", &shared->looks);
	target_ready();
	target_serve(NULL);
}

#else

int main(void)
{
	target_send("skipped: knows x86-64 only");
}

#endif
