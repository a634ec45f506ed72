// SPDX-License-Identifier: LGPL-2.1-or-later
// The shared part of the API layer: errors and process handles; see api.h.
#include "api.h"

#include <stdint.h>

#include <procsnap.h>

#include "procfs.h"
#include "snapshot.h"
#include "win32_error.h"

// Per thread, as documented. First touched when something fails: a library that was loaded late
// gets its thread's storage from the heap, which a successful capture must not use.
static _Thread_local struct pss_diag last_failure;

DWORD pss_api_result(const struct pss_diag *diag, const char *what, int error)
{
	if (error == 0 || error == -ENODATA)
		return pss_win32_error(error);
	if (diag && diag->error) {
		last_failure = *diag;
	} else {
		last_failure.error = 0;
		(void)pss_fail(&last_failure, error, "%s", what);
	}
	return pss_win32_error(error);
}

const char *WINAPI PssxErrorText(void)
{
	return last_failure.text;
}

int pss_api_process(HANDLE handle, pid_t *pid_ret, int *pidfd_ret)
{
	pid_t pid = getpid();
	int pidfd = -EBADF;

	if (handle != GetCurrentProcess()) {
		int r = pss_snapshot_fd(handle, &pidfd);
		if (r < 0)
			return r;
		r = pss_procfs_pid_of_pidfd(pidfd, &pid);
		if (r < 0)
			return r;
		if (pid == getpid())
			pidfd = -EBADF;
	}
	*pid_ret = pid;
	if (pidfd_ret)
		*pidfd_ret = pidfd;
	return 0;
}
