// SPDX-License-Identifier: LGPL-2.1-or-later
// Scope guards: a resource is declared together with what releases it, and the order of
// declarations is the order of undoing, backwards. Nothing else belongs here.
#ifndef PSS_BASE_CLEANUP_H
#define PSS_BASE_CLEANUP_H

#include <errno.h>
#include <unistd.h>

/** Runs @fn on the address of the variable when its scope ends. */
#define _cleanup_(fn) __attribute__((cleanup(fn)))

/** Closes @fd if it is open and leaves errno as it was. Returns -EBADF, the empty descriptor. */
static inline int pss_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;
		(void)close(fd);
		errno = saved;
	}
	return -EBADF;
}

static inline void pss_close_ptr(int *fd)
{
	*fd = pss_close(*fd);
}

/** A descriptor that closes itself; it starts at -EBADF. */
#define _cleanup_close_ _cleanup_(pss_close_ptr)

/** Gives a descriptor out of its scope: the variable becomes empty, the caller owns the value. */
#define TAKE_FD(fd)                                                                                \
	({                                                                                         \
		int taken_ = (fd);                                                                 \
		(fd) = -EBADF;                                                                     \
		taken_;                                                                            \
	})

/** 0 or -errno of a system call that returns -1 on failure. */
#define PSS_RET_ERRNO(expr) ((expr) < 0 ? -errno : 0)

#endif
