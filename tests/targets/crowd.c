// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a large process that stands still: crowd [DESCRIPTORS [THREADS [MAPPINGS]]], each of
// several sorts, no two neighbours alike.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "target.h"

static void *sleep_long(void *arg)
{
	char name[16];

	snprintf(name, sizeof(name), "crowd %u", (unsigned)(uintptr_t)arg);
	prctl(PR_SET_NAME, name);
	for (;;)
		pause();
	return NULL;
}

// One descriptor of sort @index.
static int open_one(uint64_t index)
{
	int ends[2];

	switch (index % 8) {
	case 0:
		return open("/proc/self/exe", O_RDONLY | (index % 3 ? O_CLOEXEC : 0));
	case 1:
		return eventfd((unsigned)index, EFD_CLOEXEC | (index % 3 ? 0 : EFD_SEMAPHORE));
	case 2:
		if (pipe2(ends, O_CLOEXEC) < 0)
			return -1;
		close(ends[index % 2]);
		return ends[1 - index % 2];
	case 3:
		return memfd_create("crowd", MFD_CLOEXEC);
	case 4:
		return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	case 5:
		return open("/dev/null", O_RDWR | O_APPEND | O_CLOEXEC);
	case 6:
		return timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	default:
		return index % 16 == 7 ? epoll_create1(EPOLL_CLOEXEC)
				       : open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
}

static void open_many(uint64_t count)
{
	struct rlimit limit = { count + 64, count + 64 };

	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 && getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	for (uint64_t i = 0; i < count; i++)
		if (open_one(i) < 0)
			target_fail("descriptor");
}

static void map_many(uint64_t count)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *memory = target_map(count * page);

	for (uint64_t i = 0; i < count; i++) {
		char *at = memory + i * page;
		int protection = i % 10 < 5 ? PROT_READ : PROT_READ | PROT_WRITE;
		int flags = MAP_FIXED | (i % 4 < 2 ? MAP_PRIVATE : MAP_SHARED);
		void *got = at;

		switch (i % 5) {
		case 0:
			got = mmap(at, page, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
				   0);
			break;
		case 1:
			got = mmap(at, page, PROT_READ, flags, exe, (off_t)(i % 3 * page));
			break;
		case 2:
			got = mmap(at, page, protection, flags | MAP_ANONYMOUS, -1, 0);
			break;
		case 3:
			*at = (char)i;
			break;
		default:
			if (mprotect(at, page, PROT_READ | PROT_EXEC) < 0)
				target_fail("mprotect");
		}
		if (got != at)
			target_fail("mmap");
	}
}

int main(int argc, char **argv)
{
	uint64_t descriptors = target_number(argc, argv, 1, 2000);
	uint64_t threads = target_number(argc, argv, 2, 200);
	uint64_t mappings = target_number(argc, argv, 3, 5000);

	target_begin();
	// The position of what it shares with others moves while it stands still.
	if (!freopen("/dev/null", "w", stderr))
		target_fail("/dev/null");
	map_many(mappings);
	open_many(descriptors);
	for (uint64_t i = 1; i < threads; i++)
		target_wait_asleep(target_thread(sleep_long, (void *)(uintptr_t)i));
	target_ready();
	target_serve(NULL);
}
