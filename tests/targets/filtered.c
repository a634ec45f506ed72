// SPDX-License-Identifier: LGPL-2.1-or-later
// Specimen: a seccomp filter that does not let through any call that a capture makes in a target:
// filtered ACTION [leader|worker|all]. ACTION is errno, trap, kill (the thread), kill_process,
// trace (no tracer: the call fails) or notify. With notify a supervisor thread counts what it is
// asked as `wrong` and never answers, but for getppid: "waits" has a thread ask that, and "answer"
// lets the supervisor answer it, 4711, as often as it is asked.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>

#include "target.h"

static _Atomic int listener = -1;
static sem_t question;
static _Atomic uint64_t asked, answered, may_answer, has_result;

static uint32_t action_of(const char *name)
{
	static const struct {
		const char *name;
		uint32_t action;
	} actions[] = {
		{ "errno", SECCOMP_RET_ERRNO | EPERM },
		{ "trap", SECCOMP_RET_TRAP },
		{ "kill", SECCOMP_RET_KILL_THREAD },
		{ "kill_process", SECCOMP_RET_KILL_PROCESS },
		{ "trace", SECCOMP_RET_TRACE },
		{ "notify", SECCOMP_RET_USER_NOTIF },
	};

	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		if (!strcmp(name, actions[i].name))
			return actions[i].action;
	target_fail(name);
	return 0;
}

// On the calling thread, or on all.
static void install(uint32_t action, bool on_all)
{
	static const uint32_t calls[] = {
		SYS_clone,   SYS_clone3, SYS_close_range, SYS_mmap,    SYS_munmap,       SYS_flock,
		SYS_setsid,  SYS_prctl,  SYS_socketpair,  SYS_recvmsg, SYS_rt_sigaction, SYS_wait4,
		SYS_madvise, SYS_close,  SYS_pipe2,       SYS_getppid,
	};
	enum { COUNT = sizeof(calls) / sizeof(calls[0]) };
	struct sock_filter code[COUNT + 3] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = { .len = COUNT + 3, .filter = code };
	unsigned long flags = on_all ? SECCOMP_FILTER_FLAG_TSYNC : 0;

	for (unsigned i = 0; i < COUNT; i++)
		code[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i],
							   (uint8_t)(COUNT - i), 0);
	code[COUNT + 1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	code[COUNT + 2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action);
	if (action == SECCOMP_RET_USER_NOTIF)
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER |
			 (on_all ? SECCOMP_FILTER_FLAG_TSYNC_ESRCH : 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		target_fail("PR_SET_NO_NEW_PRIVS");
	int ret = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program);
	if (ret < 0)
		target_fail("seccomp");
	if (action == SECCOMP_RET_USER_NOTIF)
		listener = ret;
}

static void *spin(void *arg)
{
	(void)arg;
	for (;;)
		target_counters.beats++;
	return NULL;
}

static void count_trap(int signal_number)
{
	(void)signal_number;
	target_counters.wrong++;
}

static void *supervise(void *arg)
{
	(void)arg;
	while (listener < 0)
		sched_yield();
	for (;;) {
		struct seccomp_notif request = { 0 };
		struct seccomp_notif_resp response = { .val = 4711 };

		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0) {
			target_counters.eintr += errno == EINTR;
			continue;
		}
		if (request.data.nr != SYS_getppid) {
			target_counters.wrong++;
			continue;
		}
		asked++;
		while (!may_answer)
			sched_yield();
		response.id = request.id;
		// ENOENT: it was interrupted, and asks anew.
		answered += ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response) == 0;
	}
	return NULL;
}

static void *ask(void *arg)
{
	(void)arg;
	sem_wait(&question);
	has_result = (uint64_t)syscall(SYS_getppid);
	for (;;)
		pause();
	return NULL;
}

static int open_stat(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

// With no call that the filter stops, such as close.
static void wait_asleep(int stat_fd)
{
	char text[512] = "", *end;

	do {
		sched_yield();
		(void)!pread(stat_fd, text, sizeof(text) - 1, 0);
		end = strrchr(text, ')');
	} while (!end || end[2] != 'S');
}

static bool command(const char *text)
{
	if (!strcmp(text, "waits")) {
		sem_post(&question);
		while (!asked)
			sched_yield();
	} else if (!strcmp(text, "answer")) {
		may_answer = 1;
		while (!has_result)
			sched_yield();
		target_say("result", has_result);
		target_say("answered", answered);
	} else {
		return false;
	}
	return true;
}

// The thread with a filter of its own, which the leader has not.
static void *be_filtered(void *arg)
{
	install((uint32_t)(uintptr_t)arg, false);
	for (;;)
		pause();
	return NULL;
}

int main(int argc, char **argv)
{
	uint32_t action = action_of(argc > 1 ? argv[1] : "errno");
	const char *who = argc > 2 ? argv[2] : "all";
	int supervisor_stat = -1;
	struct sigaction trap = { .sa_handler = count_trap };

	target_begin();
	sigaction(SIGSYS, &trap, NULL);
	target_thread(spin, NULL);
	if (action == SECCOMP_RET_USER_NOTIF) {
		supervisor_stat = open_stat(target_thread(supervise, NULL));
		target_wait_asleep(target_thread(ask, NULL));
	}
	target_wait_beat();
	if (!strcmp(who, "worker"))
		target_wait_asleep(target_thread(be_filtered, (void *)(uintptr_t)action));
	else
		install(action, !strcmp(who, "all"));
	if (listener >= 0)
		wait_asleep(supervisor_stat);
	target_ready();
	target_serve(command);
}
