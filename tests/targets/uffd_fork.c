// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a process that watches its own forks through a userfaultfd: fork waits until the
// monitor, a thread of the same process, has read of it.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#include "target.h"

enum { WATCHED = 1 << 20 };

static void *monitor(void *arg)
{
	int uffd = *(int *)arg;
	struct uffd_msg message;

	while (read(uffd, &message, sizeof message) == sizeof message)
		if (message.event == UFFD_EVENT_FORK)
			close((int)message.arg.fork.ufd);
	return NULL;
}

int main(void)
{
	static int uffd;
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_EVENT_FORK };
	struct uffdio_register watched = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	target_begin();
	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0) {
		target_send("skipped: no userfaultfd that tells of forks");
		return 0;
	}
	watched.range.start = (uintptr_t)target_map(WATCHED);
	watched.range.len = WATCHED;
	if (ioctl(uffd, UFFDIO_REGISTER, &watched) < 0)
		target_fail("UFFDIO_REGISTER");
	target_thread(monitor, &uffd);
	target_ready();
	target_serve(NULL);
}
