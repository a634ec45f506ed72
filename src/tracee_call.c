// SPDX-License-Identifier: LGPL-2.1-or-later
// System calls that give up when their thread is stopped, and how they are made again; see
// tracee.h.
#include "tracee.h"

#include <sys/syscall.h>

// System calls that give up with a bare -EINTR when a thread is stopped, with nothing done yet, so
// that they can be made again. Others say how they want to be restarted, and the kernel sees to it.
// Never close(): it has closed the descriptor even when it says EINTR.
static bool can_be_made_again(int64_t number)
{
	static const int16_t numbers[] = {
#ifdef SYS_epoll_wait
		SYS_epoll_wait,
#endif
		SYS_epoll_pwait,     SYS_epoll_pwait2,  SYS_semop,          SYS_semtimedop,
		SYS_rt_sigtimedwait, SYS_read,          SYS_readv,          SYS_recvfrom,
		SYS_recvmsg,         SYS_recvmmsg,      SYS_write,          SYS_writev,
		SYS_sendto,          SYS_sendmsg,       SYS_sendmmsg,       SYS_accept,
		SYS_accept4,         SYS_connect,       SYS_msgsnd,         SYS_msgrcv,
		SYS_io_getevents,    SYS_io_pgetevents, SYS_io_uring_enter,
	};

	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
		if (numbers[i] == number)
			return true;
	return false;
}

bool pss_tracee_repair_call(const struct pss_arch *arch, struct pss_general *general)
{
	uint64_t arguments[6];
	int64_t number;

	return arch->in_syscall(general, &number, arguments) && can_be_made_again(number) &&
	       arch->restart_interrupted(general);
}
