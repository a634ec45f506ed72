// SPDX-License-Identifier: LGPL-2.1-or-later
// One supervised run; see supervisor.h. To be killed, each task of the victim stops where a system
// call begins and where it ends, and goes on at once. To see calls of one kind fail, a filter stops
// it at those only, which is ten times as fast.
#include "supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../integration/harness.h"

enum {
	TASKS = 64,
	GONE = 64, // of whose end we have heard
	PATIENCE_MS = 90000,
	SYSCALL_STOP = SIGTRAP | 0x80,
};

struct task {
	pid_t tid;
	bool is_alive;
	bool is_in_call;
	bool is_counted; // the call it is in
	bool is_tracer;  // has called ptrace
	bool is_reader;  // has left our table of descriptors
	long call;
};

struct supervisor {
	const struct fault *fault;
	const struct subject *subject;
	struct run *run;
	pid_t capturer;
	struct task tasks[TASKS];
	size_t count;
	pid_t gone[GONE];
	size_t gone_count;
	bool is_counting;
	uint64_t of_kind; // calls of the kind that is to fail
};

static struct task *find_task(struct supervisor *supervisor, pid_t tid)
{
	for (size_t i = 0; i < supervisor->count; i++)
		if (supervisor->tasks[i].tid == tid && supervisor->tasks[i].is_alive)
			return &supervisor->tasks[i];
	return NULL;
}

static bool has_gone(const struct supervisor *supervisor, pid_t tid)
{
	for (size_t i = 0; i < GONE; i++)
		if (supervisor->gone[i] == tid)
			return true;
	return false;
}

static struct task *add_task(struct supervisor *supervisor, pid_t tid)
{
	size_t i = 0;

	while (i < supervisor->count && supervisor->tasks[i].is_alive)
		i++;
	if (i == TASKS)
		harness_fail("the victim has more than %d tasks", TASKS);
	supervisor->tasks[i] = (struct task){ .tid = tid, .is_alive = true };
	supervisor->count += i == supervisor->count;
	return &supervisor->tasks[i];
}

// At a filter's stop, a call with the number -1 is not made, and returns what is in the register.
static void change_call(pid_t tid, const struct fault *fault)
{
#if defined(__x86_64__)
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0)
		return;
	if (fault->kind == FAULT_ERROR) {
		regs.orig_rax = (unsigned long)-1;
		regs.rax = (unsigned long)-fault->error;
	} else {
		regs.rdx = (regs.rdx + 1) / 2;
	}
	ptrace(PTRACE_SETREGS, tid, 0, &regs);
#else
	(void)tid, (void)fault;
#endif
}

// A message of the program.
static bool is_message(const struct __ptrace_syscall_info *info)
{
	return (info->entry.nr == SYS_write || info->entry.nr == SYS_writev) &&
	       info->entry.args[0] <= 2;
}

// Short is a write that could be longer. The errors of futex are those of a wait: a wake fails for
// addresses only that are not the caller's.
static bool is_meant(const struct fault *fault, const struct __ptrace_syscall_info *info)
{
	if (info->entry.nr == SYS_futex && (info->entry.args[1] & FUTEX_CMD_MASK) != FUTEX_WAIT)
		return false;
	return (long)info->entry.nr == fault->call &&
	       (fault->kind == FAULT_ERROR ||
		(fault->kind == FAULT_SHORT && info->entry.args[2] > 1));
}

static void enter_call(struct supervisor *supervisor, struct task *task,
		       const struct __ptrace_syscall_info *info)
{
	const struct fault *fault = supervisor->fault;

	task->call = (long)info->entry.nr;
	task->is_tracer |= task->call == SYS_ptrace;
	task->is_reader |= task->call == SYS_close_range && task->tid != supervisor->capturer;
	supervisor->is_counting |= task->call == SYS_pidfd_open;
	task->is_counted = supervisor->is_counting && !is_message(info);
	if (!task->is_counted)
		return;
	if (task->call >= 0 && task->call < SUPERVISOR_CALLS)
		supervisor->run->made[task->call]++;
	if (!is_meant(fault, info))
		return;
	supervisor->of_kind++;
	if (supervisor->of_kind != fault->n &&
	    !(fault->is_for_ever && supervisor->of_kind > fault->n))
		return;
	supervisor->run->is_hit = true;
	change_call(task->tid, fault);
}

static bool is_of_subject(const struct subject *subject, pid_t pid)
{
	for (size_t i = 0; i < subject->count; i++)
		if (subject->children[i] == pid)
			return true;
	return false;
}

static bool kill_clones(const struct subject *subject, bool is_only_looking)
{
	pid_t children[64];
	size_t count = patient_children(subject->pid, children, 64);
	bool found = false;

	for (size_t i = 0; i < count && i < 64; i++) {
		if (is_of_subject(subject, children[i]))
			continue;
		found = true;
		if (!is_only_looking)
			kill(children[i], SIGKILL);
	}
	return found;
}

static bool is_chosen(const struct supervisor *supervisor, const struct task *task)
{
	unsigned whom = supervisor->fault->whom;

	if (!task->is_alive)
		return false;
	if (task->tid == supervisor->capturer)
		return whom & KILL_CAPTURER;
	return whom & (task->is_reader ? KILL_READER : KILL_HELPER);
}

// As the end of a control group does: nobody runs on for long enough to clean up. Whoever has made
// the call stands, and is the last to be told.
static void kill_them(struct supervisor *supervisor, const struct task *caller)
{
	const struct subject *subject = supervisor->subject;
	bool is_hit = false;

	for (size_t i = 0; i < supervisor->count; i++) {
		const struct task *task = &supervisor->tasks[i];

		if (!is_chosen(supervisor, task))
			continue;
		is_hit = true;
		if (task != caller)
			kill(task->tid, SIGKILL);
	}
	if (supervisor->fault->whom & KILL_CLONE)
		is_hit |= kill_clones(subject, false);
	if (supervisor->fault->whom & KILL_TARGET)
		is_hit |= kill(subject->pid, SIGKILL) == 0;
	if (is_chosen(supervisor, caller))
		kill(caller->tid, SIGKILL);
	supervisor->run->is_hit = is_hit;
}

static void leave_call(struct supervisor *supervisor, struct task *task)
{
	const struct fault *fault = supervisor->fault;
	struct run *run = supervisor->run;

	if (!task->is_counted)
		return;
	run->calls++;
	if (fault->kind == FAULT_NONE && fault->whom && !run->first_clone &&
	    kill_clones(supervisor->subject, true))
		run->first_clone = run->calls;
	if (fault->kind == FAULT_KILL && run->calls == fault->n)
		kill_them(supervisor, task);
}

static void handle_call(struct supervisor *supervisor, struct task *task)
{
	struct __ptrace_syscall_info info = { 0 };

	if (ptrace(PTRACE_GET_SYSCALL_INFO, task->tid, sizeof(info), &info) <= 0)
		return;
	// Of an entry, and of a filter's stop, number and arguments stand in the same places.
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY || info.op == PTRACE_SYSCALL_INFO_SECCOMP)
		enter_call(supervisor, task, &info);
	else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
		leave_call(supervisor, task);
}

// It is traced from its first moment. It may be heard of only when its parent is gone; or it has
// been heard of and is gone itself.
static void expect_child(struct supervisor *supervisor, const struct task *task)
{
	unsigned long tid = 0;

	if (ptrace(PTRACE_GETEVENTMSG, task->tid, 0, &tid) == 0 &&
	    !find_task(supervisor, (pid_t)tid) && !has_gone(supervisor, (pid_t)tid))
		add_task(supervisor, (pid_t)tid);
}

static void handle_stop(struct supervisor *supervisor, struct task *task, int status)
{
	int event = status >> 16, signal_number = WSTOPSIG(status);

	if (signal_number == SYSCALL_STOP || event == PTRACE_EVENT_SECCOMP)
		handle_call(supervisor, task);
	else if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK)
		expect_child(supervisor, task);
	if (signal_number == SYSCALL_STOP || event)
		signal_number = 0;
	ptrace(supervisor->fault->kind == FAULT_ERROR || supervisor->fault->kind == FAULT_SHORT
		       ? PTRACE_CONT
		       : PTRACE_SYSCALL,
	       task->tid, 0, (void *)(intptr_t)signal_number);
}

static void on_alarm(int signal_number)
{
	(void)signal_number;
}

// waitpid() comes back now and then, so that a deadline can pass.
static void set_ticking(bool is_ticking)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	const struct itimerval second = { { is_ticking, 0 }, { is_ticking, 0 } };

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &second, NULL);
}

static size_t count_alive(const struct supervisor *supervisor)
{
	size_t alive = 0;

	for (size_t i = 0; i < supervisor->count; i++)
		alive += supervisor->tasks[i].is_alive;
	return alive;
}

static void end_all(struct supervisor *supervisor)
{
	supervisor->run->is_hung = true;
	for (size_t i = 0; i < supervisor->count; i++)
		if (supervisor->tasks[i].is_alive)
			kill(supervisor->tasks[i].tid, SIGKILL);
}

static void supervise(struct supervisor *supervisor)
{
	uint64_t since = harness_now_ns();

	while (count_alive(supervisor) > 0) {
		int status;
		pid_t tid = waitpid(-1, &status, __WALL);
		struct task *task = tid > 0 ? find_task(supervisor, tid) : NULL;

		if (tid < 0 && errno != EINTR)
			break;
		if (harness_is_past(since, PATIENCE_MS) && !supervisor->run->is_hung)
			end_all(supervisor);
		if (tid < 0)
			continue;
		// The target's end, or that of a clone which its end has left to us.
		if (!task && !WIFSTOPPED(status))
			continue;
		if (!task)
			task = add_task(supervisor, tid);
		if (WIFSTOPPED(status)) {
			handle_stop(supervisor, task, status);
			continue;
		}
		task->is_alive = false;
		supervisor->gone[supervisor->gone_count++ % GONE] = tid;
		if (tid == supervisor->capturer)
			supervisor->run->status = status;
	}
}

// Stops at the calls that may be meant, and at the one that begins the counting.
static void filter_calls(const struct fault *fault)
{
	const uint32_t call = (uint32_t)fault->call;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_open, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(126);
}

static void become_victim(const struct fault *fault, char *const *command, int output)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	raise(SIGSTOP);
	if (fault->kind == FAULT_ERROR || fault->kind == FAULT_SHORT)
		filter_calls(fault);
	execv(command[0], command);
	perror(command[0]);
	_exit(127);
}

static pid_t start_victim(const struct fault *fault, char *const *command, int output)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEEXEC | PTRACE_O_TRACESECCOMP | PTRACE_O_EXITKILL;
	int status;
	pid_t pid = fork();

	if (pid == 0)
		become_victim(fault, command, output);
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SEIZE, pid, 0, options) < 0)
		harness_fail("cannot trace the victim: %s", strerror(errno));
	kill(pid, SIGCONT);
	return pid;
}

// A file, and not a pipe, which a clone could keep open or the victim fill.
static void read_output(int output, struct run *run)
{
	ssize_t got = pread(output, run->text, sizeof(run->text) - 1, 0);

	run->text[got > 0 ? got : 0] = '\0';
}

void supervisor_run(const struct fault *fault, char *const *command, const struct subject *subject,
		    struct run *ret)
{
	struct supervisor supervisor = { .fault = fault, .subject = subject, .run = ret };
	int output = (int)syscall(SYS_memfd_create, "output", 1 /* MFD_CLOEXEC */);

	*ret = (struct run){ 0 };
	supervisor.capturer = start_victim(fault, command, output);
	add_task(&supervisor, supervisor.capturer);
	set_ticking(true);
	supervise(&supervisor);
	set_ticking(false);
	read_output(output, ret);
	close(output);
	ret->is_past = fault->kind == FAULT_KILL ? ret->calls < fault->n : !ret->is_hit;
}

bool supervisor_is_alone(pid_t keep, pid_t *left_ret)
{
	uint64_t since = harness_now_ns();

	for (;;) {
		pid_t children[16];
		size_t count, others = 0;

		while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
			;
		count = patient_children(getpid(), children, 16);
		for (size_t i = 0; i < count && i < 16; i++)
			if (children[i] != keep) {
				*left_ret = children[i];
				others++;
			}
		if (others == 0)
			return true;
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			return false;
		harness_breathe();
	}
}
