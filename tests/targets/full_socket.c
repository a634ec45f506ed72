// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: the second number that would be free next is, as soon as something has it, made a
// socket that is full. Who takes it for his own and writes to it waits for ever.
#include <fcntl.h>
#include <sys/socket.h>

#include "target.h"

enum { MOMENT = 20000 };

static int full;

static void fill(void)
{
	static const char bytes[4096];
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK))
		target_fail("socketpair");
	while (write(ends[0], bytes, sizeof(bytes)) > 0)
		;
	while (write(ends[0], bytes, 1) > 0)
		;
	if (fcntl(ends[0], F_SETFL, 0) < 0)
		target_fail("fcntl");
	full = ends[0];
}

static void *stand_in_the_way(void *arg)
{
	int second = *(const int *)arg;

	for (;;) {
		if (fcntl(second, F_GETFD) < 0)
			continue;
		dup2(full, second);
		for (volatile int i = 0; i < MOMENT; i++)
			;
		close(second);
	}
	return NULL;
}

int main(void)
{
	static int second;

	target_begin();
	fill();
	second = dup(full);
	close(second++);
	target_thread(stand_in_the_way, &second);
	target_ready();
	target_serve(NULL);
}
