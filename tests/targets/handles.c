// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: holds one descriptor of every kind that Linux has. Each is announced by its kind; one
// that this machine or its permissions lack is a negative errno instead.
//   handles DIR         all kinds, files made in DIR
//   handles DIR churn   and two threads that keep changing descriptors: see churn()
//   handles DIR gone    and the leader exits
//   handles DIR netns   in a network namespace of its own
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/userfaultfd.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/pidfd.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include "target.h"

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static const char *directory;
/** Announces a descriptor, or why there is none. Returns it. */
static int announce(const char *kind, int fd)
{
	target_say(kind, fd < 0 ? (uint64_t)-errno : (uint64_t)fd);
	return fd;
}

static const char *in_directory(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static void hold_files(void)
{
	int fd = announce("file", open(in_directory("file"), O_RDWR | O_CREAT | O_CLOEXEC, 0640));

	if (fd < 0 || write(fd, "0123456789", 10) != 10 || lseek(fd, 7, SEEK_SET) != 7)
		target_fail("file");
	announce("inherited", open(in_directory("file"), O_RDONLY));
	announce("appended", open(in_directory("file"), O_WRONLY | O_APPEND | O_CLOEXEC));
	announce("directory", open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	announce("path", open(in_directory("file"), O_PATH | O_CLOEXEC));
	announce("deleted", open(in_directory("deleted"), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	unlink(in_directory("deleted"));
	// A name that only looks as if it were deleted.
	announce("looks",
		 open(in_directory("looks (deleted)"), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	mkfifo(in_directory("fifo"), 0600);
	announce("fifo", open(in_directory("fifo"), O_RDWR | O_CLOEXEC));
	announce("device", open("/dev/null", O_RDWR | O_CLOEXEC));
	announce("pty", posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
}

static void hold_pipes(void)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0)
		target_fail("pipe");
	announce("pipe_read", ends[0]);
	announce("pipe_write", ends[1]);
}

static int listen_tcp(int family)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET };
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd >= 0 && (bind(fd, family == AF_INET ? (void *)&four : (void *)&six,
			     family == AF_INET ? sizeof(four) : sizeof(six)) < 0 ||
			listen(fd, 4) < 0)) {
		int error = errno;
		close(fd);
		errno = error;
		return -1;
	}
	return fd;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 address;
	socklen_t size = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
		return 0;
	return ntohs(address.sin6_port); // where sin_port is as well
}

static void hold_tcp(const char *listener, const char *client, const char *accepted, int family)
{
	int listening = announce(listener, listen_tcp(family));
	struct sockaddr_in6 address;
	socklen_t size = sizeof(address);
	char key[64];
	int fd;

	if (listening < 0)
		return;
	snprintf(key, sizeof(key), "%s_port", listener);
	target_say(key, port_of(listening));
	fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (getsockname(listening, (struct sockaddr *)&address, &size) < 0 ||
	    connect(fd, (struct sockaddr *)&address, size) < 0)
		target_fail("connect");
	announce(client, fd);
	snprintf(key, sizeof(key), "%s_port", client);
	target_say(key, port_of(fd));
	announce(accepted, accept4(listening, NULL, NULL, SOCK_CLOEXEC));
}

static void hold_udp(void)
{
	struct sockaddr_in four = { .sin_family = AF_INET };
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (struct sockaddr *)&four, sizeof(four)) < 0)
		target_fail("udp");
	announce("udp", fd);
	target_say("udp_port", port_of(fd));
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&six, sizeof(six)) < 0)
		fd = -1;
	announce("udp6", fd);
	target_say("udp6_port", fd < 0 ? 0 : port_of(fd));
}

static socklen_t unix_address(struct sockaddr_un *address, const char *name, bool is_abstract)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path + is_abstract, sizeof(address->sun_path) - 1, "%s", name);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + is_abstract + strlen(name) +
			   !is_abstract);
}

static void hold_unix(void)
{
	struct sockaddr_un address;
	socklen_t size = unix_address(&address, in_directory("socket"), false);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int ends[2];
	char name[64];

	if (bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, 4) < 0 ||
	    connect(client, (struct sockaddr *)&address, size) < 0)
		target_fail("unix");
	announce("unix_listener", fd);
	announce("unix_client", client);
	announce("unix_accepted", accept4(fd, NULL, NULL, SOCK_CLOEXEC));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(name, sizeof(name), "procsnap-test-%d", getpid());
	size = unix_address(&address, name, true);
	if (bind(fd, (struct sockaddr *)&address, size) < 0)
		target_fail("abstract");
	announce("unix_abstract", fd);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		target_fail("socketpair");
	announce("unix_pair", ends[0]);
	announce("unix_pair_other", ends[1]);
}

static void hold_other_sockets(void)
{
	struct sockaddr_nl netlink = { .nl_family = AF_NETLINK };
	struct sockaddr_ll packet = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	socklen_t size = sizeof(netlink);
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd >= 0 && (bind(fd, (struct sockaddr *)&netlink, size) < 0 ||
			getsockname(fd, (struct sockaddr *)&netlink, &size) < 0))
		target_fail("netlink");
	announce("netlink", fd);
	target_say("netlink_port", netlink.nl_pid);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	packet.sll_ifindex = (int)if_nametoindex("lo");
	if (fd >= 0 && bind(fd, (struct sockaddr *)&packet, sizeof(packet)) < 0)
		target_fail("packet");
	announce("packet", fd);
	// In no list of the kernel's: it keeps its plain name.
	announce("unbound", socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static void hold_events(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	sigset_t set;
	int fd = announce("event", eventfd(5, EFD_CLOEXEC));

	announce("event_empty", eventfd(0, EFD_CLOEXEC));
	announce("semaphore", eventfd(3, EFD_CLOEXEC | EFD_SEMAPHORE));
	announce("timer", timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	announce("signal", signalfd(-1, &set, SFD_CLOEXEC));
	int epoll = announce("epoll", epoll_create1(EPOLL_CLOEXEC));
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
		target_fail("epoll_ctl");
	fd = announce("inotify", inotify_init1(IN_CLOEXEC));
	if (fd >= 0)
		inotify_add_watch(fd, directory, IN_CREATE);
	announce("fanotify", fanotify_init(FAN_CLASS_NOTIF | FAN_CLOEXEC, O_RDONLY));
}

static void *wait_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static int open_pidfd(pid_t pid, unsigned flags)
{
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static void hold_tasks(void)
{
	pid_t tid = target_thread(wait_for_ever, NULL);
	pid_t child = fork();
	siginfo_t info;

	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		wait_for_ever(NULL);
	}
	announce("process", open_pidfd(child, 0));
	target_say("process_pid", (uint64_t)child);
	announce("thread", open_pidfd(tid, PIDFD_THREAD));
	target_say("thread_tid", (uint64_t)tid);
	// One that has ended and nobody has waited for, and one that is gone.
	child = fork();
	if (child == 0)
		_exit(7);
	announce("zombie", open_pidfd(child, 0));
	target_say("zombie_pid", (uint64_t)child);
	if (waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT) < 0)
		target_fail("waitid");
	child = fork();
	if (child == 0)
		_exit(0);
	announce("reaped", open_pidfd(child, 0));
	if (waitpid(child, NULL, 0) != child)
		target_fail("waitpid");
	target_counters.sigchld = 0;
}

static void hold_memory(void)
{
	char name[64];
	int fd = announce("memfd", memfd_create("store", MFD_CLOEXEC));

	if (fd < 0 || ftruncate(fd, 0x5000) < 0)
		target_fail("memfd");
	snprintf(name, sizeof(name), "/procsnap-test-%d", getpid());
	fd = shm_open(name, O_RDWR | O_CREAT, 0600);
	if (fd >= 0 && ftruncate(fd, 0x3000) < 0)
		target_fail("shm");
	announce("shm", fd);
	shm_unlink(name);
	announce("secret", (int)syscall(SYS_memfd_secret, 0));
}

static int make_bpf_map(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = 4;
	attr.value_size = 8;
	attr.max_entries = 1;
	return (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
}

static int make_perf_event(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
	};

	return (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

static void hold_kernel_objects(void)
{
	struct io_uring_params params = { 0 };

	announce("ring", (int)syscall(SYS_io_uring_setup, 4, &params));
	announce("userfault", (int)syscall(SYS_userfaultfd, O_CLOEXEC));
	announce("bpf", make_bpf_map());
	announce("perf", make_perf_event());
	announce("namespace", open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
	announce("drm", open("/dev/dri/card0", O_RDWR | O_CLOEXEC));
}

static struct {
	_Atomic uint64_t rounds;
} churned;

// Two events hold the same count, and two files the same position, but for the moment in which this
// thread changes one after the other: never more than one apart, and the first is never behind.
static void *count_in_pairs(void *arg)
{
	int *fds = arg;
	uint64_t one = 1;

	for (uint64_t i = 1;; i++) {
		if (write(fds[0], &one, 8) != 8 || write(fds[1], &one, 8) != 8 ||
		    lseek(fds[2], (off_t)i, SEEK_SET) < 0 || lseek(fds[3], (off_t)i, SEEK_SET) < 0)
			target_counters.wrong++;
		churned.rounds++;
	}
	return NULL;
}

// At each moment just one of two numbers is open, or both: `token` is moved from one to the other
// and back, as another kind of file each time.
static void *move_token(void *arg)
{
	int *numbers = arg;
	int event = numbers[2], file = numbers[3];

	for (;;) {
		dup3(event, numbers[1], O_CLOEXEC);
		close(numbers[0]);
		dup3(file, numbers[0], O_CLOEXEC);
		close(numbers[1]);
	}
	return NULL;
}

static int pair[4], numbers[4];

static void churn(void)
{
	pair[0] = announce("pair_event", eventfd(0, EFD_CLOEXEC));
	pair[1] = announce("pair_event_other", eventfd(0, EFD_CLOEXEC));
	pair[2] = announce("pair_file", open(in_directory("file"), O_RDONLY | O_CLOEXEC));
	pair[3] = announce("pair_file_other", open(in_directory("file"), O_RDONLY | O_CLOEXEC));
	numbers[2] = eventfd(1, EFD_CLOEXEC);
	numbers[3] = open(in_directory("file"), O_RDONLY | O_CLOEXEC);
	numbers[0] = announce("token", fcntl(numbers[3], F_DUPFD_CLOEXEC, 200));
	numbers[1] = 201;
	target_say("token_other", (uint64_t)numbers[1]);
	target_thread(count_in_pairs, pair);
	target_thread(move_token, numbers);
	while (churned.rounds < 100)
		sched_yield();
}

static void remove_files(void)
{
	static const char *const names[] = { "file", "looks (deleted)", "fifo", "socket" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_directory(names[i]));
}

static bool command(const char *text)
{
	if (strcmp(text, "remove"))
		return false;
	remove_files();
	return true;
}

static void *serve(void *arg)
{
	(void)arg;
	target_wait_state(getpid(), 'Z');
	target_say("server_tid", (uint64_t)target_tid());
	target_ready();
	target_serve(command);
	return NULL;
}

static void bring_up_loopback(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		target_fail("SIOCSIFFLAGS");
	close(fd);
}

static bool is_asked(int argc, char **argv, const char *word)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], word))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	target_begin();
	if (argc < 2) {
		fputs("usage: handles DIR [churn] [gone] [netns]\n", stderr);
		return 2;
	}
	directory = argv[1];
	if (is_asked(argc, argv, "netns") && unshare(CLONE_NEWNET) < 0) {
		fprintf(stderr, "no network namespace can be made: %s\n", strerror(errno));
		return 77;
	}
	if (is_asked(argc, argv, "netns"))
		bring_up_loopback();
	hold_files();
	hold_pipes();
	hold_tcp("tcp_listener", "tcp_client", "tcp_accepted", AF_INET);
	hold_tcp("tcp6_listener", "tcp6_client", "tcp6_accepted", AF_INET6);
	hold_udp();
	hold_unix();
	hold_other_sockets();
	hold_events();
	hold_tasks();
	hold_memory();
	hold_kernel_objects();
	if (is_asked(argc, argv, "churn"))
		churn();
	if (is_asked(argc, argv, "gone")) {
		target_thread(serve, NULL);
		pthread_exit(NULL);
	}
	target_ready();
	target_serve(command);
}
