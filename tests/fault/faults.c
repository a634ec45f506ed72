// SPDX-License-Identifier: LGPL-2.1-or-later
// The errors that the manual pages (man-pages 6.03) list for each kind of call. The first of each
// list is the likeliest: a brief walk takes that one only. A call that is made and is not in here
// fails the walk.
#include "faults.h"

#include <errno.h>
#include <sys/syscall.h>

#define ERRORS(...) ((const int[]){ __VA_ARGS__, 0 })
#define CALL(name, ...)                                                                            \
	{                                                                                          \
		SYS_##name, #name, ERRORS(__VA_ARGS__), NULL                                       \
	}
#define EXCUSED(name, why)                                                                         \
	{                                                                                          \
		SYS_##name, #name, NULL, why                                                       \
	}
#define OF_PATHS  EACCES, EBADF, EFAULT, EINVAL, ELOOP, ENAMETOOLONG, ENOMEM, ENOTDIR
#define OF_READ   EAGAIN, EBADF, EFAULT, EINTR, EINVAL, EISDIR
#define OF_WRITE  EAGAIN, EBADF, EDESTADDRREQ, EDQUOT, EFAULT, EFBIG, EINTR, EINVAL, EPERM, EPIPE
#define OF_SOCKET EAGAIN, EBADF, EFAULT, EINTR, EINVAL, ENOMEM, ENOTCONN, ENOTSOCK
#define OF_SEND                                                                                    \
	OF_SOCKET, EACCES, EALREADY, ECONNRESET, EDESTADDRREQ, EISCONN, EMSGSIZE, EOPNOTSUPP, EPIPE

const struct fault_call fault_calls[] = {
	CALL(ptrace, ESRCH, EBUSY, EFAULT, EINVAL, EIO, EPERM),
	CALL(process_vm_readv, EFAULT, EINVAL, ENOMEM, EPERM, ESRCH),
	CALL(wait4, ECHILD, EAGAIN, EINTR, EINVAL, ESRCH),
	CALL(openat, EMFILE, OF_PATHS, EBUSY, EDQUOT, EEXIST, EFBIG, EINTR, EISDIR, ENFILE, ENODEV,
	     ENOENT, ENOSPC, ENXIO, EOPNOTSUPP, EOVERFLOW, EPERM, EROFS, ETXTBSY, EWOULDBLOCK),
	CALL(read, EIO, OF_READ),
	CALL(pread64, EIO, OF_READ, ENXIO, EOVERFLOW, ESPIPE),
	CALL(readlinkat, ENOENT, OF_PATHS, EIO),
	CALL(getdents64, ENOENT, EBADF, EFAULT, EINVAL, ENOTDIR),
	CALL(newfstatat, ENOENT, OF_PATHS, EOVERFLOW),
	CALL(fstat, EBADF, EFAULT, EOVERFLOW, ENOMEM),
	CALL(statx, ENOENT, OF_PATHS),
	CALL(mmap, ENOMEM, EACCES, EAGAIN, EBADF, EEXIST, EINVAL, ENFILE, ENODEV, EOVERFLOW, EPERM,
	     ETXTBSY),
	CALL(mremap, ENOMEM, EAGAIN, EFAULT, EINVAL),
	CALL(munmap, ENOMEM, EINVAL),
	CALL(mprotect, ENOMEM, EACCES, EINVAL),
	CALL(madvise, EAGAIN, EACCES, EBADF, EINVAL, EIO, ENOMEM, EPERM),
	CALL(clone, EAGAIN, EACCES, EBUSY, EEXIST, EINVAL, ENOMEM, ENOSPC, EOPNOTSUPP, EPERM,
	     EUSERS),
	CALL(memfd_create, EMFILE, EFAULT, EINVAL, ENFILE, ENOMEM),
	CALL(write, ENOSPC, EIO, OF_WRITE),
	CALL(pwrite64, EIO, ENOSPC, OF_WRITE, ENXIO, EOVERFLOW, ESPIPE),
	CALL(fchmod, EPERM, OF_PATHS, EIO, ENOENT, EROFS),
	CALL(ftruncate, ENOMEM, EACCES, EBADF, EFAULT, EFBIG, EINTR, EINVAL, EIO, EISDIR, EPERM,
	     EROFS, ETXTBSY),
	CALL(lseek, EINVAL, EBADF, ENXIO, EOVERFLOW, ESPIPE),
	CALL(fcntl, EINVAL, EACCES, EAGAIN, EBADF, EBUSY, EDEADLK, EFAULT, EINTR, EMFILE, ENOLCK,
	     ENOTDIR, EPERM),
	CALL(flock, EWOULDBLOCK, EBADF, EINTR, EINVAL, ENOLCK),
	CALL(close, EIO, EBADF, EDQUOT, EINTR, ENOSPC),
	CALL(close_range, EMFILE, EINVAL, ENOMEM),
	CALL(fchdir, EACCES, EBADF, ENOTDIR),
	CALL(linkat, ENOSPC, OF_PATHS, EDQUOT, EEXIST, EIO, EMLINK, ENOENT, EPERM, EROFS, EXDEV),
	CALL(unlinkat, EIO, OF_PATHS, EBUSY, EISDIR, ENOENT, EPERM, EROFS),
	CALL(faccessat, ENOENT, OF_PATHS, EIO, EPERM, EROFS, ETXTBSY),
	CALL(faccessat2, ENOENT, OF_PATHS, EIO, EPERM, EROFS, ETXTBSY),
	CALL(openat2, EMFILE, OF_PATHS, E2BIG, EAGAIN, ENFILE, ENOENT, EXDEV),
#ifdef SYS_access
	CALL(access, ENOENT, OF_PATHS, EIO, EPERM, EROFS, ETXTBSY),
#endif
#ifdef SYS_readlink
	CALL(readlink, ENOENT, OF_PATHS, EIO),
#endif
	CALL(ioctl, ENOTTY, EBADF, EFAULT, EINVAL),
	CALL(fallocate, ENOSPC, EBADF, EFBIG, EINTR, EINVAL, EIO, ENODEV, ENOSYS, EOPNOTSUPP, EPERM,
	     ESPIPE, ETXTBSY),
	CALL(fsync, EIO, EBADF, EDQUOT, EINTR, EINVAL, ENOSPC, EROFS),
	CALL(pidfd_open, EMFILE, EINVAL, ENFILE, ENODEV, ENOMEM, ESRCH),
	CALL(pidfd_getfd, EPERM, EBADF, EINVAL, EMFILE, ENFILE, ESRCH),
	CALL(pidfd_send_signal, EPERM, EBADF, EINVAL, ESRCH),
	CALL(kcmp, EPERM, EBADF, EFAULT, EINVAL, ENOENT, ESRCH),
	CALL(socket, EMFILE, EACCES, EAFNOSUPPORT, EINVAL, ENFILE, ENOBUFS, ENOMEM,
	     EPROTONOSUPPORT),
	CALL(getsockopt, ENOPROTOOPT, EBADF, EFAULT, EINVAL, ENOTSOCK),
	CALL(setsockopt, ENOPROTOOPT, EBADF, EFAULT, EINVAL, ENOTSOCK),
	CALL(sendmsg, ENOBUFS, OF_SEND),
	CALL(sendto, ENOBUFS, OF_SEND),
	CALL(recvfrom, ECONNREFUSED, OF_SOCKET),
	CALL(recvmsg, ECONNREFUSED, OF_SOCKET),
	CALL(setns, EPERM, EBADF, EINVAL, ENOMEM, ESRCH),
	CALL(rt_sigprocmask, EINVAL, EFAULT),
	CALL(rt_sigaction, EINVAL, EFAULT),
	CALL(rt_sigpending, EFAULT),
	CALL(rt_sigtimedwait, EAGAIN, EINTR, EINVAL),
	CALL(timer_create, EAGAIN, EINVAL, ENOMEM, ENOTSUP, EPERM),
	CALL(timer_settime, EINVAL, EFAULT),
	CALL(timer_delete, EINVAL),
	CALL(setitimer, EINVAL, EFAULT),
	CALL(clock_nanosleep, EINTR, EFAULT, EINVAL, ENOTSUP),
	CALL(clock_gettime, EINVAL, EACCES, EFAULT, ENODEV, ENOTSUP, EPERM),
	CALL(nanosleep, EINTR, EFAULT, EINVAL),
	CALL(sched_getaffinity, ESRCH, EFAULT, EINVAL, EPERM),
	CALL(sched_setscheduler, EPERM, EINVAL, ESRCH),
	CALL(prctl, EINVAL, EACCES, EBADF, EBUSY, EFAULT, ENODEV, ENXIO, EOPNOTSUPP, EPERM, ERANGE),
	CALL(prlimit64, EPERM, EFAULT, EINVAL, ESRCH),
	CALL(kill, EPERM, EINVAL, ESRCH),
	CALL(tgkill, EAGAIN, EINVAL, EPERM, ESRCH),
	CALL(ppoll, ENOMEM, EFAULT, EINTR, EINVAL),
#ifdef SYS_poll
	CALL(poll, ENOMEM, EFAULT, EINTR, EINVAL),
#endif
	CALL(uname, EFAULT),
	CALL(getrandom, EAGAIN, EFAULT, EINTR, EINVAL, ENOSYS),
	CALL(futex, EAGAIN, EINTR, ETIMEDOUT),
	EXCUSED(getpid, "always succeeds, says its manual page"),
	EXCUSED(getppid, "always succeeds, says its manual page"),
	EXCUSED(gettid, "always succeeds, says its manual page"),
	EXCUSED(sched_yield, "always succeeds on Linux, says its manual page"),
	EXCUSED(waitid, "made by an alarm, when seizing takes long: chance"),
	EXCUSED(rt_sigreturn, "of that alarm; does not return"),
	EXCUSED(exit, "does not return"),
	EXCUSED(exit_group, "does not return"),
	EXCUSED(restart_syscall, "the kernel's own, to go on with another call"),
	EXCUSED(brk, "libc's heap, which a capture does not use; printf does"),
};
const size_t fault_call_count = sizeof(fault_calls) / sizeof(fault_calls[0]);

const struct fault_call *fault_find(long number)
{
	for (size_t i = 0; i < fault_call_count; i++)
		if (fault_calls[i].number == number)
			return &fault_calls[i];
	return 0;
}

bool fault_is_passing(int error)
{
	return error == EINTR || error == EAGAIN;
}
