// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: threads in every sort of blocking call, counting what they should never see: EINTR, and
// time-outs that come before their time. sleepers [THREADS [TIMEOUT_MS]]: one thread in each call,
// and THREADS more dealt out to four of them. Time-outs are a day, unless TIMEOUT_MS is given.
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "target.h"

#include "sleepers.h"

static struct sleeper_figures figures[SLEEPER_COUNT];
static struct timespec timeout = { .tv_sec = 86400 };
static _Atomic uint64_t started;

static int sem_id = -1, queue_id = -1;
static pid_t child = -1;
static char lock_path[] = "/tmp/procsnap-sleepers-XXXXXX";

// What one thread sleeps on.
struct bed {
	enum sleeper_kind kind;
	int fd;
	aio_context_t aio;
	struct sockaddr_un address;
};

static uint64_t timeout_ns(void)
{
	return (uint64_t)timeout.tv_sec * 1000000000u + (uint64_t)timeout.tv_nsec;
}

static int timeout_ms(void)
{
	return (int)(timeout_ns() / 1000000u);
}

static int must(int ret, const char *what)
{
	if (ret < 0)
		target_fail(what);
	return ret;
}

static int make_pipe(void)
{
	int ends[2];

	must(pipe2(ends, O_CLOEXEC), "pipe2");
	return ends[0];
}

static int make_socket(bool timed)
{
	struct timeval limit = { .tv_sec = timeout.tv_sec, .tv_usec = timeout.tv_nsec / 1000 };
	int ends[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "socketpair");
	if (timed)
		setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return ends[0];
}

// A listening socket; with @full its queue holds all it can, so that the next connect blocks.
static int make_listener(struct bed *bed, bool full)
{
	int fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

	bed->address.sun_family = AF_UNIX;
	snprintf(bed->address.sun_path + 1, 64, "procsnap-sleepers-%d-%d", getpid(), fd);
	must(bind(fd, (struct sockaddr *)&bed->address, sizeof(bed->address)), "bind");
	must(listen(fd, 0), "listen");
	if (!full)
		return fd;
	fd = must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	must(connect(fd, (struct sockaddr *)&bed->address, sizeof(bed->address)), "connect");
	return must(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
}

// POSIX and OFD locks exclude each other: the child has byte 0 by the one, we byte 1 by the other.
static struct flock lock_byte(off_t byte)
{
	return (struct flock){
		.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1
	};
}

static int make_locked_file(enum sleeper_kind kind)
{
	struct flock second = lock_byte(1);
	int holder = must(open(lock_path, O_RDWR | O_CLOEXEC), lock_path);

	if (kind == SLEEPER_flock)
		must(flock(holder, LOCK_EX), "flock");
	else if (kind == SLEEPER_ofd_lock)
		must(fcntl(holder, F_OFD_SETLK, &second), "F_OFD_SETLK");
	else
		close(holder); // the child holds it
	return must(open(lock_path, O_RDWR | O_CLOEXEC), lock_path);
}

static int make_message_queue(void)
{
	struct mq_attr attr = { .mq_maxmsg = 1, .mq_msgsize = 8 };
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "/procsnap-sleepers-%d", getpid());
	fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
	mq_unlink(name);
	return fd;
}

// Returns false where the kernel lacks the call.
static bool make_bed(struct bed *bed)
{
	struct io_uring_params params = { 0 };

	switch (bed->kind) {
	case SLEEPER_poll:
	case SLEEPER_poll_timed:
	case SLEEPER_ppoll_timed:
	case SLEEPER_select_timed:
	case SLEEPER_pselect:
	case SLEEPER_read_pipe:
		bed->fd = make_pipe();
		return true;
	case SLEEPER_epoll_wait:
	case SLEEPER_epoll_wait_timed:
	case SLEEPER_epoll_pwait:
		bed->fd = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
		return true;
	case SLEEPER_recv:
	case SLEEPER_recv_rcvtimeo:
		bed->fd = make_socket(bed->kind == SLEEPER_recv_rcvtimeo);
		return true;
	case SLEEPER_accept:
	case SLEEPER_connect:
		bed->fd = make_listener(bed, bed->kind == SLEEPER_connect);
		return true;
	case SLEEPER_flock:
	case SLEEPER_ofd_lock:
	case SLEEPER_posix_lock:
		bed->fd = make_locked_file(bed->kind);
		return true;
	case SLEEPER_io_getevents:
		return syscall(SYS_io_setup, 8, &bed->aio) == 0;
	case SLEEPER_io_uring_enter:
		bed->fd = (int)syscall(SYS_io_uring_setup, 4, &params);
		return bed->fd >= 0;
	case SLEEPER_inotify_read:
		bed->fd = inotify_init1(IN_CLOEXEC);
		return bed->fd >= 0;
	case SLEEPER_eventfd_read:
		bed->fd = must(eventfd(0, EFD_CLOEXEC), "eventfd");
		return true;
	case SLEEPER_timerfd_read:
		bed->fd = must(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create");
		return true;
	case SLEEPER_mq_receive:
		bed->fd = make_message_queue();
		return bed->fd >= 0;
	default:
		return true;
	}
}

static long block_in_poll(const struct bed *bed)
{
	struct pollfd poll_fd = { .fd = bed->fd, .events = POLLIN };
	struct timespec left = timeout;

	if (bed->kind == SLEEPER_ppoll_timed)
		return ppoll(&poll_fd, 1, &left, NULL);
	return poll(&poll_fd, 1, bed->kind == SLEEPER_poll ? -1 : timeout_ms());
}

static long block_in_select(const struct bed *bed)
{
	struct timeval left = { .tv_sec = timeout.tv_sec, .tv_usec = timeout.tv_nsec / 1000 };
	fd_set set;

	FD_ZERO(&set);
	FD_SET(bed->fd, &set);
	if (bed->kind == SLEEPER_pselect)
		return pselect(bed->fd + 1, &set, NULL, NULL, NULL, NULL);
	return select(bed->fd + 1, &set, NULL, NULL, &left);
}

static long block_in_epoll(const struct bed *bed)
{
	struct epoll_event event;
	sigset_t mask;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	if (bed->kind == SLEEPER_epoll_pwait)
		return epoll_pwait(bed->fd, &event, 1, -1, &mask);
	return epoll_wait(bed->fd, &event, 1, bed->kind == SLEEPER_epoll_wait ? -1 : timeout_ms());
}

static long block_in_clock(const struct bed *bed)
{
	struct timespec until;

	if (bed->kind == SLEEPER_nanosleep)
		return nanosleep(&timeout, NULL);
	if (bed->kind == SLEEPER_clock_nanosleep)
		return (errno = clock_nanosleep(CLOCK_MONOTONIC, 0, &timeout, NULL)) ? -1 : 0;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout.tv_sec;
	until.tv_nsec += timeout.tv_nsec;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	return (errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL)) ? -1 : 0;
}

static long block_for_signal(const struct bed *bed)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	if (bed->kind == SLEEPER_sigtimedwait)
		return sigtimedwait(&set, NULL, &timeout);
	if (bed->kind == SLEEPER_sigwaitinfo)
		return sigwaitinfo(&set, NULL);
	if (bed->kind == SLEEPER_sigsuspend)
		return sigsuspend(&set);
	return pause();
}

static long block_in_ipc(const struct bed *bed)
{
	struct sembuf take = { .sem_op = -1 };
	struct {
		long type;
		char text[8];
	} message;

	if (bed->kind == SLEEPER_semop)
		return semop(sem_id, &take, 1);
	if (bed->kind == SLEEPER_semtimedop)
		return semtimedop(sem_id, &take, 1, &timeout);
	if (bed->kind == SLEEPER_msgrcv)
		return msgrcv(queue_id, &message, sizeof(message.text), 0, 0);
	return mq_receive(bed->fd, message.text, sizeof(message.text), NULL);
}

static long block_in_lock(const struct bed *bed)
{
	struct flock lock = lock_byte(bed->kind == SLEEPER_ofd_lock ? 1 : 0);

	if (bed->kind == SLEEPER_flock)
		return flock(bed->fd, LOCK_EX);
	return fcntl(bed->fd, bed->kind == SLEEPER_ofd_lock ? F_OFD_SETLKW : F_SETLKW, &lock);
}

static long block_in_socket(const struct bed *bed)
{
	char byte;

	if (bed->kind == SLEEPER_accept)
		return accept(bed->fd, NULL, NULL);
	if (bed->kind == SLEEPER_connect)
		return connect(bed->fd, (const struct sockaddr *)&bed->address,
			       sizeof(bed->address));
	return recv(bed->fd, &byte, 1, 0);
}

static long block_once(const struct bed *bed)
{
	static int never;
	struct io_event event;
	char bytes[256];

	switch (bed->kind) {
	case SLEEPER_futex:
		return syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
	case SLEEPER_futex_timed:
		return syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &timeout, NULL, 0);
	case SLEEPER_poll:
	case SLEEPER_poll_timed:
	case SLEEPER_ppoll_timed:
		return block_in_poll(bed);
	case SLEEPER_select_timed:
	case SLEEPER_pselect:
		return block_in_select(bed);
	case SLEEPER_epoll_wait:
	case SLEEPER_epoll_wait_timed:
	case SLEEPER_epoll_pwait:
		return block_in_epoll(bed);
	case SLEEPER_nanosleep:
	case SLEEPER_clock_nanosleep:
	case SLEEPER_clock_nanosleep_abs:
		return block_in_clock(bed);
	case SLEEPER_sigtimedwait:
	case SLEEPER_sigwaitinfo:
	case SLEEPER_sigsuspend:
	case SLEEPER_pause:
		return block_for_signal(bed);
	case SLEEPER_semop:
	case SLEEPER_semtimedop:
	case SLEEPER_msgrcv:
	case SLEEPER_mq_receive:
		return block_in_ipc(bed);
	case SLEEPER_flock:
	case SLEEPER_ofd_lock:
	case SLEEPER_posix_lock:
		return block_in_lock(bed);
	case SLEEPER_recv:
	case SLEEPER_recv_rcvtimeo:
	case SLEEPER_accept:
	case SLEEPER_connect:
		return block_in_socket(bed);
	case SLEEPER_wait4:
		return wait4(child, NULL, 0, NULL);
	case SLEEPER_io_getevents:
		return syscall(SYS_io_getevents, bed->aio, 1, 1, &event, NULL);
	case SLEEPER_io_uring_enter:
		return syscall(SYS_io_uring_enter, bed->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
	default:
		return read(bed->fd, bytes, sizeof(bytes));
	}
}

// 0 of poll, select and epoll is a time-out.
static bool is_timeout(long ret)
{
	return ret == 0 || (ret < 0 && (errno == ETIMEDOUT || errno == EAGAIN));
}

static void note_timeout(struct sleeper_figures *mine, uint64_t took_ns)
{
	uint64_t wanted = timeout_ns();

	__atomic_add_fetch(&mine->timeouts, 1, __ATOMIC_RELAXED);
	// A millisecond: some of these calls count in whole ones.
	if (took_ns + 1000000 < wanted)
		__atomic_add_fetch(&mine->early, 1, __ATOMIC_RELAXED);
	else if (took_ns > wanted && took_ns - wanted > mine->latest_ns)
		mine->latest_ns = took_ns - wanted;
}

static void *sleep_for_ever(void *arg)
{
	struct bed bed = { .kind = (enum sleeper_kind)(uintptr_t)arg, .fd = -1 };
	struct sleeper_figures *mine = &figures[bed.kind];
	bool available = make_bed(&bed);

	if (available)
		__atomic_add_fetch(&mine->threads, 1, __ATOMIC_RELAXED);
	started++;
	while (available) {
		uint64_t since = target_now_ns();
		long ret = block_once(&bed);

		if (ret < 0 && errno == EINTR) {
			__atomic_add_fetch(&mine->eintr, 1, __ATOMIC_RELAXED);
		} else if (is_timeout(ret)) {
			note_timeout(mine, target_now_ns() - since);
		} else {
			__atomic_add_fetch(&mine->other, 1, __ATOMIC_RELAXED);
			break;
		}
	}
	return NULL;
}

// The child that wait4 waits for; it also holds the POSIX lock, which a process can't refuse
// itself.
static void make_child(void)
{
	struct flock first = lock_byte(0);
	int locked[2], fd;
	char byte = 0;

	must(pipe2(locked, O_CLOEXEC), "pipe2");
	child = must(fork(), "fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = must(open(lock_path, O_RDWR | O_CLOEXEC), lock_path);
		must(fcntl(fd, F_SETLK, &first), "F_SETLK");
		must((int)write(locked[1], &byte, 1), "write");
		for (;;)
			pause();
	}
	must((int)read(locked[0], &byte, 1), "read");
	close(locked[0]);
	close(locked[1]);
}

static void make_lock_file(char *path)
{
	int fd = must(mkstemp(path), "mkstemp");

	close(fd);
}

static bool command(const char *text)
{
	if (strcmp(text, "clear"))
		return false;
	for (int i = 0; i < SLEEPER_COUNT; i++) {
		uint64_t threads = figures[i].threads;

		figures[i] = (struct sleeper_figures){ .threads = threads };
	}
	return true;
}

// A thread may have a descriptor of its own; the usual limit is for one that select() can take.
static void allow_many_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		target_fail("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		target_fail("setrlimit");
}

int main(int argc, char **argv)
{
	static const enum sleeper_kind dealt[] = { SLEEPER_futex, SLEEPER_epoll_wait,
						   SLEEPER_read_pipe, SLEEPER_nanosleep };
	uint64_t more = target_number(argc, argv, 1, 0);
	uint64_t ms = target_number(argc, argv, 2, 86400000);
	sigset_t set;

	timeout = (struct timespec){ .tv_sec = (time_t)(ms / 1000),
				     .tv_nsec = (long)(ms % 1000) * 1000000 };
	target_begin();
	allow_many_files();
	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &set, NULL);
	make_lock_file(lock_path);
	make_child();
	sem_id = must(semget(IPC_PRIVATE, 1, 0600), "semget");
	queue_id = must(msgget(IPC_PRIVATE, 0600), "msgget");
	for (uint64_t i = 0; i < SLEEPER_COUNT; i++)
		target_thread(sleep_for_ever, (void *)i);
	for (uint64_t i = 0; i < more; i++)
		target_thread_sized(sleep_for_ever, (void *)(uintptr_t)dealt[i % 4], 32 << 10);
	while (started < SLEEPER_COUNT + more)
		sched_yield();
	unlink(lock_path);
	target_say_address("kinds", figures);
	target_say("sem_id", (uint64_t)sem_id);
	target_say("queue_id", (uint64_t)queue_id);
	target_say("child", (uint64_t)child);
	target_ready();
	target_serve(command);
}
