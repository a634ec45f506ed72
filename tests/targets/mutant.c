// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: changes itself on command, so that it can be seen whether the patient's record notices.
// One thread waits in a read, one in epoll_wait, one hands numbers over to another through a pipe;
// the server does what it is told, word by word: changes[] below.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/file.h>

#include "target.h"

static int idle[2], hand[2], file = -1;

static void *wait_in_read(void *arg)
{
	char byte;

	(void)arg;
	for (;;)
		if (read(idle[0], &byte, 1) < 0)
			target_count_eintr(SYS_read);
	return NULL;
}

static void *wait_in_epoll(void *arg)
{
	struct epoll_event event;
	int fd = epoll_create1(EPOLL_CLOEXEC);

	(void)arg;
	for (;;)
		if (epoll_wait(fd, &event, 1, -1) < 0)
			target_count_eintr(SYS_epoll_wait);
	return NULL;
}

// Work that is to be done just once: numbers come in order, none is missing.
static void *take(void *arg)
{
	uint64_t wanted = 0, got;

	(void)arg;
	for (; read(hand[0], &got, sizeof(got)) == sizeof(got); wanted = got + 1) {
		target_counters.lost += got > wanted;
		target_counters.repeated += got < wanted;
	}
	return NULL;
}

static void give(uint64_t number)
{
	if (write(hand[1], &number, sizeof(number)) != sizeof(number))
		target_fail("write");
}

static void map(void)
{
	target_map(4096);
}

static void open_one(void)
{
	if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
		target_fail("open");
}

static void close_one(void)
{
	close(idle[1]);
}

static void seek(void)
{
	lseek(file, 7, SEEK_SET);
}

static void append(void)
{
	fcntl(file, F_SETFL, O_APPEND);
}

static void keep_on_exec(void)
{
	fcntl(file, F_SETFD, 0);
}

static void lock_flock(void)
{
	flock(file, LOCK_EX);
}

static void lock_with(int command)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };

	if (fcntl(file, command, &lock) < 0)
		target_fail("fcntl");
}

static void lock_posix(void)
{
	lock_with(F_SETLK);
}

static void lock_ofd(void)
{
	lock_with(F_OFD_SETLK);
}

static void bear(void)
{
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
}

// As the clone of a capture would: nobody is told.
static void bear_dead(void)
{
	siginfo_t info;
	long pid = syscall(SYS_clone, 0, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT | __WALL);
}

static void handle(void)
{
	signal(SIGUSR2, target_count_sigchld);
}

static void block(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void rename_self(void)
{
	prctl(PR_SET_NAME, "another");
}

static void forget_rseq(void)
{
#ifdef RSEQ_SIG
	syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, 32, 1, RSEQ_SIG);
#endif
}

static void give_next(void)
{
	static uint64_t next;

	give(next++);
}

static void send_unheard(void)
{
	target_counters.sent++;
}

static void hear_unsent(void)
{
	target_counters.received++;
}

static void reap_stranger(void)
{
	target_counters.waits++;
}

static void stall(void)
{
	target_counters.stall_ns = 90000000000ull;
}

static const struct {
	const char *word;
	void (*change)(void);
} changes[] = {
	{ "map", map },
	{ "open", open_one },
	{ "close", close_one },
	{ "seek", seek },
	{ "append", append },
	{ "keep", keep_on_exec },
	{ "flock", lock_flock },
	{ "posix", lock_posix },
	{ "ofd", lock_ofd },
	{ "child", bear },
	{ "zombie", bear_dead },
	{ "handler", handle },
	{ "block", block },
	{ "name", rename_self },
	{ "rseq", forget_rseq },
	{ "give", give_next },
	{ "unheard", send_unheard },
	{ "unsent", hear_unsent },
	{ "stranger", reap_stranger },
	{ "stall", stall },
};

static bool command(const char *text)
{
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		if (!strcmp(text, changes[i].word)) {
			changes[i].change();
			return true;
		}
	return false;
}

int main(void)
{
	char path[] = "/tmp/mutant-XXXXXX";
	pid_t waits;

	target_begin();
	file = mkostemp(path, O_CLOEXEC);
	unlink(path);
	if (file < 0 || pipe(idle) < 0 || pipe(hand) < 0)
		target_fail("pipe");
	waits = target_thread(wait_in_read, NULL);
	target_wait_asleep(waits);
	target_wait_asleep(target_thread(wait_in_epoll, NULL));
	target_wait_asleep(target_thread(take, NULL));
	target_say("waits", (uint64_t)waits);
	target_say("hand", (uint64_t)hand[0]);
	target_say_address("text", take);
	target_ready();
	target_serve(command);
}
