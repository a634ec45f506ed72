// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: the leader has exited, and the thread that is left has a seccomp filter of its own that
// kills the process for an mmap. Of the filter, the leader's status says nothing.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "target.h"

static void install(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		target_fail("seccomp");
}

static void *serve(void *arg)
{
	(void)arg;
	// Ready only once the leader is a zombie.
	target_wait_state(getpid(), 'Z');
	install();
	target_say("server_tid", (uint64_t)target_tid());
	target_ready();
	target_serve(NULL);
	return NULL;
}

int main(void)
{
	target_begin();
	target_thread(serve, NULL);
	pthread_exit(NULL);
}
