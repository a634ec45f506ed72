// SPDX-License-Identifier: LGPL-2.1-or-later
// What the kernel offers the caller, tried on the caller itself, never told from a version.
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "doctor_check.h"
#include "pagemap.h"

static int try_pidfd_open(void)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	return PSS_RET_ERRNO(fd);
}

static int try_pidfd_getfd(void)
{
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (pidfd < 0)
		return 0; // told already
	// pidfd itself: that number is open for certain.
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_getfd, pidfd, pidfd, 0);

	return PSS_RET_ERRNO(fd);
}

static int try_close_range(void)
{
	// There is no such descriptor.
	return PSS_RET_ERRNO(syscall(SYS_close_range, ~0U, ~0U, 0));
}

static int try_memfd(void)
{
	_cleanup_close_ int fd = (int)syscall(SYS_memfd_create, "procsnap", MFD_CLOEXEC);

	return PSS_RET_ERRNO(fd);
}

// ESRCH: the kernel has looked, and we are no tracee of ours.
static int try_ptrace(void)
{
	long result = ptrace(PTRACE_CONT, getpid(), 0, 0);

	return result < 0 && errno != ESRCH ? -errno : 0;
}

static int try_memory_read(void)
{
	return PSS_RET_ERRNO(process_vm_readv(getpid(), NULL, 0, NULL, 0, 0));
}

/** A system call that a capture needs. */
struct feature {
	const char *name;
	const char *since;
	int (*try)(void);
};

static const struct feature features[] = {
	{ "memfd_create", "3.17", try_memfd },
	{ "pidfd_open", "5.3", try_pidfd_open },
	{ "pidfd_getfd", "5.6", try_pidfd_getfd },
	{ "close_range", "5.9", try_close_range },
};

static const struct feature rights[] = {
	{ "ptrace", "", try_ptrace },
	{ "process_vm_readv", "", try_memory_read },
};

void pss_doctor_kernel(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	(void)doctor;
	for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
		int r = features[i].try();

		if (r == 0 || r == -EMFILE || r == -ENFILE)
			continue;
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM, "%s is refused: %s", features[i].name,
			       strerrordesc_np(-r));
		pss_doctor_cure(finding,
				"Linux %s or newer; in a container, a seccomp profile "
				"that allows it",
				features[i].since);
		return;
	}
	pss_doctor_say(finding, PSS_DOCTOR_OK, "this kernel has all that is needed");
}

void pss_doctor_own_filter(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	(void)doctor;
	for (size_t i = 0; i < sizeof rights / sizeof rights[0]; i++) {
		int r = rights[i].try();

		if (r == 0)
			continue;
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM, "you may not call %s at all: %s",
			       rights[i].name, strerrordesc_np(-r));
		pss_doctor_cure(finding, "your seccomp filter has to allow it: in a pod "
					 "seccompProfile.type: Unconfined or a profile with it, "
					 "with Docker --security-opt seccomp=");
		return;
	}
	pss_doctor_say(finding, PSS_DOCTOR_OK, "you may call ptrace and process_vm_readv");
}

void pss_doctor_page_scan(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	_cleanup_close_ int fd = openat(doctor->root_fd, "self/pagemap", O_RDONLY | O_CLOEXEC);
	static const char page;
	struct pss_pagemap pagemap;
	struct pss_page_range range;
	uint64_t address = (uintptr_t)&page & ~(uint64_t)(sysconf(_SC_PAGESIZE) - 1);

	if (fd < 0) {
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
			       "/proc/self/pagemap can't be opened: %s", strerrordesc_np(errno));
		pss_doctor_cure(finding, "a kernel with CONFIG_PROC_PAGE_MONITOR");
		return;
	}
	pss_pagemap_init(&pagemap, fd);
	pss_pagemap_seek(&pagemap, address, address + (uint64_t)sysconf(_SC_PAGESIZE));
	(void)pss_pagemap_next(&pagemap, &range);
	if (pagemap.method == PSS_PAGEMAP_ENTRIES)
		pss_doctor_say(finding, PSS_DOCTOR_WARNING,
			       "without PAGEMAP_SCAN (Linux 6.7) what is resident is found page by "
			       "page, which takes longer for large address spaces");
	else
		pss_doctor_say(finding, PSS_DOCTOR_OK, "this kernel has PAGEMAP_SCAN");
}

void pss_doctor_descriptors(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	// What this look has open itself, and what a capture has at once, seen by trying.
	enum { OWN = 4, NEEDED = 10 };
	_cleanup_buf_ struct pss_buf fds = PSS_BUF_EMPTY;
	struct rlimit limit;

	int r = pss_procfs_list(doctor->root_fd, "self/fd", &fds);

	if (r == -EMFILE) {
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM, "all of your descriptors are open");
		pss_doctor_cure(finding, "a higher limit: ulimit -n");
		return;
	}
	if (r < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0) {
		pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN, "your descriptors can't be counted");
		return;
	}
	size_t open = fds.size / sizeof(int32_t);
	size_t used = open > OWN ? open - OWN : 0;
	bool is_enough = limit.rlim_cur >= used + NEEDED;

	pss_doctor_say(finding, is_enough ? PSS_DOCTOR_OK : PSS_DOCTOR_PROBLEM,
		       "you have %zu of %llu descriptors open%s", used,
		       (unsigned long long)limit.rlim_cur, is_enough ? "" : ", too many");
	if (!is_enough)
		pss_doctor_cure(finding, "ulimit -n %zu, or more", used + 2 * (size_t)NEEDED);
}
