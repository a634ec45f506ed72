// SPDX-License-Identifier: LGPL-2.1-or-later
// The table of win32_error.h.
#include "win32_error.h"

#include <errno.h>

#include <win32.h>

static const struct {
	int error;
	unsigned code;
} table[] = {
	// Results of checks on what the caller asked for.
	{ EINVAL, ERROR_INVALID_PARAMETER },
	{ EMSGSIZE, ERROR_BAD_LENGTH },
	{ ENODATA, ERROR_NO_MORE_ITEMS },
	{ ENOENT, ERROR_NOT_FOUND },
	{ ENXIO, ERROR_NOT_FOUND },
	{ EBADF, ERROR_INVALID_HANDLE },
	{ EBADMSG, ERROR_INVALID_HANDLE }, // a section that contradicts itself is none
	{ EUCLEAN, ERROR_INVALID_HANDLE },
	{ ENOBUFS, ERROR_INSUFFICIENT_BUFFER },
	{ ECANCELED, ERROR_CANCELLED },

	// The target.
	{ EPERM, ERROR_ACCESS_DENIED },
	{ EACCES, ERROR_ACCESS_DENIED },
	{ ESRCH, ERROR_INVALID_PARAMETER }, // what OpenProcess gives for a process that is gone
	{ ECHILD, ERROR_INVALID_PARAMETER },
	{ EBUSY, ERROR_BUSY },
	{ ETIMEDOUT, ERROR_TIMEOUT },
	{ EOWNERDEAD, ERROR_PROCESS_ABORTED }, // our helper was killed
	{ ENOEXEC, ERROR_BAD_FORMAT },
	{ EPROTO, ERROR_INVALID_DATA },
	{ EFAULT, ERROR_PARTIAL_COPY },
	{ EIO, ERROR_IO_DEVICE }, // /proc/PID/mem gives it for an address without page, too

	// The machine and its kernel.
	{ EOPNOTSUPP, ERROR_NOT_SUPPORTED },
	{ ENOSYS, ERROR_NOT_SUPPORTED },
	{ ENOTTY, ERROR_NOT_SUPPORTED },
	{ ENOMEM, ERROR_NOT_ENOUGH_MEMORY },
	{ EAGAIN, ERROR_NO_SYSTEM_RESOURCES },
	{ EUSERS, ERROR_NO_SYSTEM_RESOURCES },
	{ EMFILE, ERROR_TOO_MANY_OPEN_FILES },
	{ ENFILE, ERROR_TOO_MANY_OPEN_FILES },
	{ EINTR, ERROR_CANCELLED },
	{ EOVERFLOW, ERROR_ARITHMETIC_OVERFLOW },
	{ E2BIG, ERROR_ARITHMETIC_OVERFLOW },
	{ ERANGE, ERROR_ARITHMETIC_OVERFLOW },

	// Files we write.
	{ ENOSPC, ERROR_DISK_FULL },
	{ EDQUOT, ERROR_DISK_FULL },
	{ EPIPE, ERROR_BROKEN_PIPE },
	{ EEXIST, ERROR_FILE_EXISTS },
	{ EFBIG, ERROR_FILE_TOO_LARGE },
	{ EROFS, ERROR_ACCESS_DENIED },
	{ ENOTDIR, ERROR_FILE_NOT_FOUND },
	{ EISDIR, ERROR_ACCESS_DENIED },
	{ ESPIPE, ERROR_INVALID_FUNCTION },
};

unsigned pss_win32_error(int negative_errno)
{
	if (negative_errno == 0)
		return ERROR_SUCCESS;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		if (table[i].error == -negative_errno)
			return table[i].code;
	return ERROR_INTERNAL_ERROR;
}
