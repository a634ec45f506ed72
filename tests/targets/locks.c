// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: holds what a copy of its descriptors would keep held or let go too early: a POSIX lock,
// an OFD lock and a flock on the files DIR/posix, DIR/ofd and DIR/flock, a listening TCP port, and
// the only writing end of the FIFO DIR/fifo. "release" lets go of all: locks DIR.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>

#include "target.h"

enum { POSIX, OFD, FLOCK, FIFO, PORT, COUNT };

static int fds[COUNT];

static int open_in(const char *directory, const char *name, int flags)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		target_fail(path);
	return fd;
}

static in_port_t listen_somewhere(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t size = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fds[PORT] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(fds[PORT], (struct sockaddr *)&address, size) < 0 || listen(fds[PORT], 1) < 0 ||
	    getsockname(fds[PORT], (struct sockaddr *)&address, &size) < 0)
		target_fail("listen");
	return ntohs(address.sin_port);
}

static bool command(const char *text)
{
	if (strcmp(text, "release"))
		return false;
	for (int i = 0; i < COUNT; i++)
		close(fds[i]);
	return true;
}

int main(int argc, char **argv)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	target_begin();
	if (argc < 2) {
		fputs("usage: locks DIR\n", stderr);
		return 2;
	}
	fds[POSIX] = open_in(argv[1], "posix", O_RDWR | O_CREAT);
	fds[OFD] = open_in(argv[1], "ofd", O_RDWR | O_CREAT);
	fds[FLOCK] = open_in(argv[1], "flock", O_RDWR | O_CREAT);
	// Blocks until the harness has opened the other end, which it does first.
	fds[FIFO] = open_in(argv[1], "fifo", O_WRONLY);
	if (fcntl(fds[POSIX], F_SETLK, &whole) < 0 || fcntl(fds[OFD], F_OFD_SETLK, &whole) < 0 ||
	    flock(fds[FLOCK], LOCK_EX | LOCK_NB) < 0)
		target_fail("lock");
	target_say("port", listen_somewhere());
	target_ready();
	target_serve(command);
}
