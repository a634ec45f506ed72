// SPDX-License-Identifier: LGPL-2.1-or-later
// The tables of win32_error.h: codes for numbers, texts for codes.
#include "win32_error.h"

#include <errno.h>

#include <win32.h>

#include "base/diag.h"

static const struct {
	int error;
	unsigned code;
} codes[] = {
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
	{ PSS_ETRACED, ERROR_BUSY },
	{ EBUSY, ERROR_BUSY },
	{ ETIMEDOUT, ERROR_TIMEOUT },
	{ ETIME, ERROR_TIMEOUT },              // not done: it would hold the target too long
	{ EDQUOT, ERROR_NOT_ENOUGH_QUOTA },    // not done: it would take too much of the target
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
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (codes[i].error == -negative_errno)
			return codes[i].code;
	return ERROR_INTERNAL_ERROR;
}

// As Windows means them, in our words. The codes of win32.h, by number, then HRESULTs.
static const struct {
	uint32_t code;
	const char *text;
} texts[] = {
	{ ERROR_SUCCESS, "no error" },
	{ ERROR_INVALID_FUNCTION, "the function is not possible on this object" },
	{ ERROR_FILE_NOT_FOUND, "the file was not found" },
	{ ERROR_TOO_MANY_OPEN_FILES, "too many files are open" },
	{ ERROR_ACCESS_DENIED, "access is denied" },
	{ ERROR_INVALID_HANDLE, "the handle is not valid" },
	{ ERROR_NOT_ENOUGH_MEMORY, "there is not enough memory" },
	{ ERROR_BAD_FORMAT, "the program file is not of a known format" },
	{ ERROR_INVALID_DATA, "the data is not valid" },
	{ ERROR_OUTOFMEMORY, "there is not enough memory to finish" },
	{ ERROR_BAD_LENGTH, "the length does not fit the structure" },
	{ ERROR_GEN_FAILURE, "a device does not work" },
	{ ERROR_NOT_SUPPORTED, "the request is not supported" },
	{ ERROR_FILE_EXISTS, "the file exists" },
	{ ERROR_INVALID_PARAMETER, "a parameter is not valid, or the process is gone" },
	{ ERROR_BROKEN_PIPE, "the reader of the pipe has gone" },
	{ ERROR_DISK_FULL, "the disk is full" },
	{ ERROR_CALL_NOT_IMPLEMENTED, "the function is not implemented" },
	{ ERROR_INSUFFICIENT_BUFFER, "the buffer is too small" },
	{ ERROR_BUSY, "the target is in use by a debugger or another capture" },
	{ ERROR_FILE_TOO_LARGE, "the file is too large" },
	{ ERROR_MORE_DATA, "more data is available" },
	{ ERROR_NO_MORE_ITEMS, "there are no more items" },
	{ ERROR_PARTIAL_COPY, "only part of the memory, or none, could be read" },
	{ ERROR_INVALID_ADDRESS, "the address is not valid" },
	{ ERROR_ARITHMETIC_OVERFLOW, "a number is too large for its field" },
	{ ERROR_NOACCESS, "the memory at an address may not be accessed" },
	{ ERROR_PROCESS_ABORTED, "the helper process was killed" },
	{ ERROR_IO_DEVICE, "reading or writing failed" },
	{ ERROR_NOT_FOUND, "the element was not found" },
	{ ERROR_CANCELLED, "the operation was cancelled" },
	{ ERROR_PRIVILEGE_NOT_HELD, "a required privilege is not held" },
	{ ERROR_INTERNAL_ERROR, "an internal error occurred" },
	{ ERROR_NO_SYSTEM_RESOURCES, "a limit of processes, threads or memory is reached" },
	{ ERROR_COMMITMENT_LIMIT, "not enough memory may be committed" },
	{ ERROR_TIMEOUT, "the operation did not, or would not, end in time" },
	{ ERROR_NOT_ENOUGH_QUOTA, "a limit that protects the process is reached" },

	{ 0x80004001, "not implemented" },                       // E_NOTIMPL
	{ 0x80004005, "the operation failed" },                  // E_FAIL
	{ 0xC0000005, "memory was accessed that is not there" }, // EXCEPTION_ACCESS_VIOLATION
	{ 0xC0000008, "the handle is not valid" },               // EXCEPTION_INVALID_HANDLE
};

const char *pss_win32_error_text(uint32_t code)
{
	// HRESULT_FROM_WIN32(code): a failure of the facility that holds the codes above.
	if (code >> 16 == 0x8007)
		code &= 0xFFFF;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (texts[i].code == code)
			return texts[i].text;
	return "unknown error code";
}
