// SPDX-License-Identifier: LGPL-2.1-or-later
// From handles to sections; see snapshot.h. Holds no state.
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/cleanup.h"

int pss_snapshot_fd(const void *handle, int *ret)
{
	uintptr_t value = (uintptr_t)handle;

	if (value == 0 || value > INT_MAX)
		return -EBADF;
	*ret = (int)value;
	return 0;
}

int pss_snapshot_open(const void *handle, struct pss_section *ret)
{
	int fd;
	int r = pss_snapshot_fd(handle, &fd);

	return r < 0 ? r : pss_section_open(fd, ret);
}

int pss_snapshot_open_detached(const void *handle, struct pss_section *ret)
{
	char path[sizeof "/proc/self/fd/" + 3 * sizeof(int)];
	_cleanup_close_ int again = -EBADF;
	int fd;
	int r = pss_snapshot_fd(handle, &fd);

	if (r < 0)
		return r;
	// Asked first: opening whatever else a handle may be could block, or rewind a tape.
	if (fcntl(fd, F_GET_SEALS) < 0)
		return -EBADF;
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	again = open(path, O_RDONLY | O_CLOEXEC);
	if (again < 0)
		return -errno;
	return pss_section_open(again, ret);
}

bool pss_snapshot_is_section(int fd, const struct pss_section *section)
{
	struct stat st;

	return section->data && fstat(fd, &st) == 0 && st.st_dev == section->device &&
	       st.st_ino == section->inode;
}
