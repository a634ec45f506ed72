// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a thread in D state, that no signal and no tracer reaches: it has the kernel read a
// page that comes from a userfaultfd, and nobody brings it. "release" brings the page; what was
// read must be zeroes. A second thread computes.
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "target.h"

enum { PAGE = 4096 };

static int uffd;
static char *page;
static _Atomic uint64_t is_read;

static void *spin(void *arg)
{
	(void)arg;
	for (;;)
		target_counters.beats++;
	return NULL;
}

static void *read_page(void *arg)
{
	uint64_t word = 1;
	struct iovec to = { &word, sizeof(word) };
	struct iovec from = { page, sizeof(word) };

	(void)arg;
	if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) != sizeof(word) || word)
		target_counters.wrong++;
	is_read = 1;
	for (;;)
		pause();
	return NULL;
}

static bool command(const char *text)
{
	struct uffdio_zeropage zero = { .range = { (uintptr_t)page, PAGE } };

	if (strcmp(text, "release"))
		return false;
	if (ioctl(uffd, UFFDIO_ZEROPAGE, &zero) < 0)
		target_fail("UFFDIO_ZEROPAGE");
	while (!is_read)
		sched_yield();
	return true;
}

int main(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	pid_t tid;

	target_begin();
	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) < 0) {
		target_send("skipped: no userfaultfd for the kernel's own faults");
		return 0;
	}
	page = target_map(PAGE);
	range.range.start = (uintptr_t)page;
	range.range.len = PAGE;
	if (ioctl(uffd, UFFDIO_REGISTER, &range) < 0)
		target_fail("UFFDIO_REGISTER");
	target_thread(spin, NULL);
	tid = target_thread(read_page, NULL);
	target_wait_state(tid, 'D');
	target_wait_beat();
	target_say("blocked", (uint64_t)tid);
	target_ready();
	target_serve(command);
}
