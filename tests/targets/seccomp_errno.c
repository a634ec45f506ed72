// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a seccomp filter on every thread that does not let it clone: seccomp_errno
// [errno|kill]. With errno the call fails with EPERM, with kill it is the end of the process.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "target.h"

static void *spin(void *arg)
{
	(void)arg;
	for (;;)
		target_counters.beats++;
	return NULL;
}

#define REFUSE(call)                                                                               \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1), BPF_STMT(BPF_RET | BPF_K, refusal)

static void install(uint32_t refusal)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		REFUSE(SYS_clone),
		REFUSE(SYS_clone3),
#ifdef SYS_fork
		REFUSE(SYS_fork),
		REFUSE(SYS_vfork),
#endif
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		target_fail("PR_SET_NO_NEW_PRIVS");
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program))
		target_fail("seccomp");
}

int main(int argc, char **argv)
{
	bool kill_process = argc > 1 && !strcmp(argv[1], "kill");

	target_begin();
	target_thread(spin, NULL);
	install(kill_process ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM);
	target_wait_beat();
	target_ready();
	target_serve(NULL);
}
