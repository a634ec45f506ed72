// SPDX-License-Identifier: LGPL-2.1-or-later
// Starting the helper and waiting for exactly it; see helper.h.
#include "helper.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

enum {
	STACK_SIZE = 256 * 1024,
	GUARD_SIZE = 64 * 1024, // a multiple of every page size
	SIGNAL_SET_SIZE = 8,
	LOOK_AGAIN_MS = 50,
};

// Lives at the top of the helper's stack mapping.
struct helper {
	int (*work)(void *context);
	void *context;
	int result;
	bool has_returned;
	bool is_process;
	pid_t parent;
	int may_start; // a futex
	int alive;     // a futex: the kernel clears it when the helper has ended
};

void pss_helper_wait(const int *word, int value, unsigned at_most_ms)
{
	unsigned ms = at_most_ms < LOOK_AGAIN_MS ? at_most_ms : LOOK_AGAIN_MS;
	const struct timespec slice = { .tv_nsec = (long)ms * (long)NS_PER_MS };

	(void)syscall(SYS_futex, word, FUTEX_WAIT, value, &slice);
}

struct stack {
	uint8_t *base;
};

static void stack_deinit(struct stack *stack)
{
	if (stack->base)
		(void)munmap(stack->base, GUARD_SIZE + STACK_SIZE);
}

static int stack_init(struct stack *stack)
{
	void *base = mmap(NULL, GUARD_SIZE + STACK_SIZE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);

	if (base == MAP_FAILED)
		return -ENOMEM;
	stack->base = base;
	return PSS_RET_ERRNO(mprotect(base, GUARD_SIZE, PROT_NONE));
}

static int helper_main(void *argument)
{
	struct helper *helper = argument;

	// Its own table of handlers: with SIGCHLD ignored, nothing would wake it when a tracee
	// stops.
	if (helper->is_process) {
		struct sigaction action = { .sa_handler = SIG_DFL };

		(void)sigaction(SIGCHLD, &action, NULL);
		(void)prctl(PR_SET_NAME, PSS_HELPER_NAME, 0, 0, 0);
	}
	// Until it is let start, nobody but its parent can wake it; from then on it has to outlive
	// it, to undo what it does.
	if (helper->is_process) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
		if (getppid() != helper->parent)
			return 0;
	}
	while (!__atomic_load_n(&helper->may_start, __ATOMIC_ACQUIRE))
		pss_helper_wait(&helper->may_start, 0, UINT_MAX);
	if (helper->is_process)
		(void)prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0);
	helper->result = helper->work(helper->context);
	helper->has_returned = true;
	return 0;
}

static long set_all_signals_blocked(uint64_t *old)
{
	uint64_t all = UINT64_MAX;

	// Not through libc, which keeps two of its own signals out of every mask.
	return syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, old, SIGNAL_SET_SIZE);
}

// The stack grows down from the helper's own description.
static int start(enum pss_helper_kind kind, struct helper *helper)
{
	int flags = CLONE_VM | CLONE_FILES | CLONE_CHILD_CLEARTID;

	helper->is_process = kind != PSS_HELPER_THREAD;
	helper->parent = getpid();
	if (!helper->is_process)
		flags |= CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_SYSVSEM;
	int pid = clone(helper_main, helper, flags, helper, NULL, NULL, &helper->alive);
	return pid < 0 ? -errno : pid;
}

static void let_start(struct helper *helper)
{
	__atomic_store_n(&helper->may_start, 1, __ATOMIC_RELEASE);
	(void)syscall(SYS_futex, &helper->may_start, FUTEX_WAKE, 1);
}

static void wait_until_ended(struct helper *helper, int pid)
{
	int alive;

	while ((alive = __atomic_load_n(&helper->alive, __ATOMIC_ACQUIRE)) != 0)
		pss_helper_wait(&helper->alive, alive, UINT_MAX);
	if (helper->is_process)
		while (waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
			;
}

// The helper uses our thread-local storage, errno in it: no handler of ours may run meanwhile.
static int run(enum pss_helper_kind kind, struct helper *helper)
{
	uint64_t mask;

	if (set_all_signals_blocked(&mask) < 0)
		return -errno;
	int pid = start(kind, helper);
	if (pid > 0) {
		if (kind == PSS_HELPER_OF_HOST)
			(void)prctl(PR_SET_PTRACER, pid, 0, 0, 0);
		let_start(helper);
		wait_until_ended(helper, pid);
		if (kind == PSS_HELPER_OF_HOST)
			(void)prctl(PR_SET_PTRACER, 0, 0, 0, 0);
	}
	(void)syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, SIGNAL_SET_SIZE);
	return pid < 0 ? pid : 0;
}

static bool is_namespace_kept(void)
{
	struct stat own, of_children;

	// Without /proc, or a kernel with namespaces, there is nothing to be told.
	if (stat("/proc/thread-self/ns/pid", &own) < 0)
		return true;
	// There is none to be looked at as long as it has no process.
	if (stat("/proc/thread-self/ns/pid_for_children", &of_children) < 0)
		return errno != ENOENT;
	return own.st_ino == of_children.st_ino;
}

int pss_helper_check_namespace(struct pss_diag *diag)
{
	if (is_namespace_kept())
		return 0;
	(void)pss_fail(diag, -EOPNOTSUPP,
		       "cannot start a helper: children of this thread are put into another PID "
		       "namespace");
	pss_diag_hint(diag,
		      "it has called unshare or setns; call from another thread, or before that");
	return -EOPNOTSUPP;
}

int pss_helper_run(enum pss_helper_kind kind, int (*work)(void *context), void *context,
		   struct pss_diag *diag, int *result_ret)
{
	_cleanup_(stack_deinit) struct stack stack = { NULL };
	int r = pss_helper_check_namespace(diag);

	if (r < 0)
		return r;
	r = stack_init(&stack);
	if (r < 0)
		return pss_fail(diag, r, "cannot map a stack for the tracing helper");
	uint8_t *top = stack.base + GUARD_SIZE + STACK_SIZE;
	struct helper *helper = (void *)(top - sizeof(struct helper) - 64);
	helper = (void *)((uintptr_t)helper & ~(uintptr_t)63);
	*helper = (struct helper){ .work = work, .context = context, .alive = 1 };
	r = run(kind, helper);
	if (r < 0)
		return pss_fail(diag, r, "cannot start the tracing helper");
	if (!helper->has_returned)
		return pss_fail(diag, -EOWNERDEAD, "the tracing helper was killed");
	*result_ret = helper->result;
	return 0;
}
