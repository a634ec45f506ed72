// SPDX-License-Identifier: LGPL-2.1-or-later
// Passing a descriptor to another process over a Unix socket.
#ifndef PSS_TESTS_PASS_FD_H
#define PSS_TESTS_PASS_FD_H

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

struct passage {
	char byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec bytes;
	struct msghdr message;
};

static inline struct msghdr *passage_message(struct passage *passage)
{
	*passage = (struct passage){ .byte = 0 };
	passage->bytes = (struct iovec){ &passage->byte, 1 };
	passage->message = (struct msghdr){
		.msg_iov = &passage->bytes,
		.msg_iovlen = 1,
		.msg_control = passage->control,
		.msg_controllen = sizeof(passage->control),
	};
	return &passage->message;
}

static inline bool pass_fd(int socket, int fd)
{
	struct passage passage;
	struct msghdr *message = passage_message(&passage);
	struct cmsghdr *head = CMSG_FIRSTHDR(message);

	if (!head)
		return false;
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	return sendmsg(socket, message, MSG_NOSIGNAL) == 1;
}

/** A descriptor that came, close-on-exec, or -1. */
static inline int receive_fd(int socket)
{
	struct passage passage;
	struct msghdr *message = passage_message(&passage);
	int fd = -1;

	if (recvmsg(socket, message, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	struct cmsghdr *head = CMSG_FIRSTHDR(message);
	if (head)
		memcpy(&fd, CMSG_DATA(head), sizeof(fd));
	return fd;
}

#endif
