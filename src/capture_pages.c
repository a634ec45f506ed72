// SPDX-License-Identifier: LGPL-2.1-or-later
// Pages that nobody but the process itself can read: the kernel's clocks, [vvar]. The clone, still
// traced, writes them into a pipe for us. See capture_pages.h.
#include "capture_pages.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "collect_common.h"

// The clone has no descriptors: a pipe of its own gets the lowest two.
enum { READ_END, WRITE_END };

enum { PAGE_SIZE_MAX = 65536 };

static int call(struct pss_clone *clone, long number, const uint64_t arguments[6])
{
	int64_t result;
	int r = pss_inject_call(&clone->inject, number, arguments, &result);

	if (r < 0)
		return r;
	return result < 0 ? (int)result : 0;
}

// An open file of our own, which nobody can make wait. The clone's owner may have had it put
// another in place of the pipe's end, to be read by us, or never to be.
static int open_own_end(int end, int *fd_ret)
{
	struct stat status;
	char path[32];

	if (fstat(end, &status) < 0)
		return -errno;
	if (!S_ISFIFO(status.st_mode))
		return -EPROTO;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", end);
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*fd_ret = fd;
	return 0;
}

static int open_pipe(struct pss_clone *clone, int *fd_ret)
{
	const uint64_t arguments[6] = { clone->inject.arguments, O_CLOEXEC | O_NONBLOCK };
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, clone->record.pid, 0);

	if (pidfd < 0)
		return -errno;
	int r = call(clone, SYS_pipe2, arguments);
	if (r < 0)
		return r;
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_getfd, pidfd, READ_END, 0);
	return fd < 0 ? -errno : open_own_end(fd, fd_ret);
}

static int close_pipe(struct pss_clone *clone)
{
	const uint64_t arguments[6] = { READ_END, WRITE_END };

	return call(clone, SYS_close_range, arguments);
}

// What is behind one page, if anything is: of the pages set aside no machine has them all.
static int keep_page(struct pss_clone *clone, int fd, uint64_t address,
		     struct pss_section_builder *section)
{
	const size_t size = (size_t)sysconf(_SC_PAGESIZE);
	const uint64_t arguments[6] = { WRITE_END, address, size };
	struct pss_aux_page_record record = { .address = address };
	uint8_t page[PAGE_SIZE_MAX];
	int r = call(clone, SYS_write, arguments);

	if (r < 0)
		return r == -EFAULT ? 0 : r;
	record.capture_time = pss_collect_common_instant(pss_collect_common_clock(CLOCK_REALTIME));
	if (read(fd, page, size) != (ssize_t)size)
		return -EIO;
	r = pss_section_add_bytes(section, page, size, &record.contents);
	return r < 0 ? r : pss_section_add(section, PSS_PART_AUX_PAGES, &record, sizeof record);
}

static bool is_clock(const struct pss_section_builder *section,
		     const struct pss_region_record *region)
{
	static const char name[] = "[vvar"; // Linux 6.13 has a [vvar_vclock] besides
	const struct pss_buf *bytes = &section->parts[PSS_PART_BYTES];

	return region->path.size >= sizeof name - 1 &&
	       memcmp(bytes->data + region->path.offset, name, sizeof name - 1) == 0;
}

static int keep_regions(struct pss_clone *clone, int fd, struct pss_section_builder *section)
{
	const struct pss_buf *part = &section->parts[PSS_PART_REGIONS];
	size_t page_size = (size_t)sysconf(_SC_PAGESIZE);
	int r = 0;

	for (size_t i = 0; r == 0 && i < part->size / sizeof(struct pss_region_record); i++) {
		struct pss_region_record region =
			((const struct pss_region_record *)(const void *)part->data)[i];

		if (region.kind != PSS_REGION_SPECIAL || !is_clock(section, &region))
			continue;
		for (uint64_t at = region.start; r == 0 && at < region.end; at += page_size)
			r = keep_page(clone, fd, at, section);
	}
	return r;
}

int pss_capture_pages_keep(struct pss_clone *clone, struct pss_section_builder *section)
{
	_cleanup_close_ int fd = -EBADF;
	int r = open_pipe(clone, &fd);

	if (r == 0)
		r = keep_regions(clone, fd, section);
	// Also after a failure: what the clone is given next must find its lowest numbers free.
	int closed = close_pipe(clone);
	return r < 0 ? r : closed;
}
