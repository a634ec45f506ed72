// SPDX-License-Identifier: LGPL-2.1-or-later
// A descriptor of ours put into the process whose thread makes calls for us: that thread makes a
// socket pair, we take one end and send through it, the thread receives. See inject.h.
#include "inject.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL // Linux 6.9
#endif

// What recvmsg in the process points at, laid out in the thread's argument bytes.
struct message_area {
	struct msghdr message;
	struct iovec data;
	uint8_t byte;
	_Alignas(16) uint8_t control[CMSG_SPACE(sizeof(int))];
};

_Static_assert(sizeof(struct message_area) <= PSS_INJECT_ARGUMENTS, "fits the room");

// One call that has to succeed.
static int must_call(struct pss_inject *inject, const char *what, long number,
		     const uint64_t arguments[6])
{
	int64_t result;
	int r = pss_inject_call(inject, number, arguments, &result);

	if (r < 0)
		return r;
	if (result < 0)
		return pss_fail(inject->diag, (int)result, "%s failed in process %d", what,
				inject->pid);
	return 0;
}

// Of the thread itself where the kernel can: a leader that has exited has no table any more.
static int open_pidfd(const struct pss_inject *inject)
{
	int fd = (int)syscall(SYS_pidfd_open, inject->tid, PIDFD_THREAD);

	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_pidfd_open, inject->pid, 0);
	return fd < 0 ? -errno : fd;
}

// A pair that the process made itself. One that is connected elsewhere would carry our name, and
// what we give, to whom the process has chosen.
static bool is_own_pair(int fd, pid_t pid)
{
	socklen_t size = sizeof(int), peer_size = sizeof(struct ucred);
	struct ucred peer = { 0 };
	int domain = 0;
	int type = 0;

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX &&
	       getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM &&
	       getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) == 0 && peer.pid == pid;
}

// The numbers lie in memory, and stand for what they do, as long as the other threads let them.
static int take_socket(const struct pss_inject *inject, int number, int *ret)
{
	_cleanup_close_ int pidfd = open_pidfd(inject);

	if (pidfd < 0)
		return pidfd;
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	if (fd < 0)
		return -errno;
	if (!is_own_pair(fd, inject->pid))
		return -EPROTO;
	*ret = TAKE_FD(fd);
	return 0;
}

static int send_descriptor(int socket, int fd)
{
	char byte = 0;
	struct iovec data = { &byte, 1 };
	union {
		struct cmsghdr head;
		uint8_t bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = {
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof control,
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(head), &fd, sizeof fd);
	// Never to wait for room: it may be another socket than the empty one that was made.
	return PSS_RET_ERRNO(sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

static int write_message(const struct pss_inject *inject)
{
	struct message_area area = { 0 };
	uint64_t base = inject->arguments;

	area.data.iov_base = (void *)(uintptr_t)(base + offsetof(struct message_area, byte));
	area.data.iov_len = sizeof area.byte;
	area.message.msg_iov = (void *)(uintptr_t)(base + offsetof(struct message_area, data));
	area.message.msg_iovlen = 1;
	area.message.msg_control =
		(void *)(uintptr_t)(base + offsetof(struct message_area, control));
	area.message.msg_controllen = sizeof area.control;
	return pss_inject_write(inject, base, &area, sizeof area);
}

// Without room for one more descriptor the message comes all the same, cut.
static int read_number(const struct pss_inject *inject, int *ret)
{
	struct message_area area = { 0 };
	struct cmsghdr head;
	int r = pss_inject_read(inject, inject->arguments, &area, sizeof area);

	if (r < 0)
		return r;
	memcpy(&head, area.control, sizeof head);
	if (area.message.msg_controllen < CMSG_LEN(sizeof *ret) ||
	    head.cmsg_len < CMSG_LEN(sizeof *ret) || head.cmsg_type != SCM_RIGHTS)
		return -EMFILE;
	memcpy(ret, area.control + CMSG_LEN(0), sizeof *ret);
	return 0;
}

static int receive(struct pss_inject *inject, int socket, bool is_inherited, int *number_ret)
{
	const uint64_t flags = MSG_DONTWAIT | (is_inherited ? 0 : MSG_CMSG_CLOEXEC);
	const uint64_t arguments[6] = { (uint64_t)socket, inject->arguments, flags };
	int r = write_message(inject);

	if (r < 0)
		return r;
	r = must_call(inject, "recvmsg", SYS_recvmsg, arguments);
	// A call that ended late may have brought it all the same.
	if (r == 0 || (r == -ETIMEDOUT && pss_inject_settle(inject) == 0)) {
		int error = read_number(inject, number_ret);

		r = r < 0 ? r : error;
	}
	return r;
}

// Numbers below 3 are taken by whoever opens something next and means stdin. The sockets have the
// two lowest that were free: only if they are 0 and 1, 2 may be left.
static int take_low_number(struct pss_inject *inject, const int32_t ends[2])
{
	const uint64_t arguments[6] = { (uint64_t)ends[0], F_DUPFD_CLOEXEC, STDERR_FILENO };
	int64_t number;

	if (ends[0] + ends[1] != STDIN_FILENO + STDOUT_FILENO)
		return 0;
	int r = pss_inject_call(inject, SYS_fcntl, arguments, &number);
	if (r == 0 && number < 0)
		r = pss_fail(inject->diag, (int)number, "process %d has no number for a descriptor",
			     inject->pid);
	return r < 0 ? r : pss_inject_push_undo(inject, SYS_close, (uint64_t)number);
}

static int pass(struct pss_inject *inject, struct pss_inject_gift *gift, const int32_t ends[2],
		int *number_ret)
{
	int r = take_socket(inject, ends[1], &gift->socket);

	if (r == 0)
		r = send_descriptor(gift->socket, gift->fd);
	if (r == 0)
		r = receive(inject, ends[0], gift->is_inherited, number_ret);
	// By another thread it would be no other.
	if (r == -EAGAIN)
		r = -EPROTO;
	if (r < 0)
		return pss_fail(inject->diag, r, "cannot hand a descriptor to process %d",
				inject->pid);
	return 0;
}

// The pair, which the thread will close again. A call that ended late may have made one all the
// same.
static int make_sockets(struct pss_inject *inject, int32_t ends[2])
{
	const uint64_t arguments[6] = { AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, inject->arguments };
	int r = pss_inject_write(inject, inject->arguments, ends, 2 * sizeof *ends);

	if (r < 0)
		return r;
	r = must_call(inject, "socketpair", SYS_socketpair, arguments);
	if (r == 0 || (r == -ETIMEDOUT && pss_inject_settle(inject) == 0)) {
		int error = pss_inject_read(inject, inject->arguments, ends, 2 * sizeof *ends);

		r = r < 0 ? r : error;
	}
	// Both, whatever becomes of the first: a socket that is not in the list is not closed.
	for (int i = 0; i < 2 && ends[i] >= 0; i++) {
		int error = pss_inject_push_undo(inject, SYS_close, (uint64_t)ends[i]);

		r = r < 0 ? r : error;
	}
	return r;
}

int pss_inject_give(struct pss_inject *inject, struct pss_inject_gift *gift, int *number_ret)
{
	int32_t ends[2] = { -1, -1 };
	int r = make_sockets(inject, ends);

	if (r < 0)
		(void)pss_fail(inject->diag, r, "cannot reach into process %d", inject->pid);
	if (r == 0 && gift->is_raised)
		r = take_low_number(inject, ends);
	if (r == 0)
		r = pass(inject, gift, ends, number_ret);
	// If a call does not end, they are left to pss_inject_end() and to the frames.
	while (inject->undo_count && !inject->is_late) {
		int error = pss_inject_pop_undo(inject);

		r = r < 0 ? r : error;
	}
	gift->socket = pss_close(gift->socket);
	return r;
}
