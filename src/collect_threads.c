// SPDX-License-Identifier: LGPL-2.1-or-later
// The thread records: of threads that run on, from /proc; of threads that were stopped, from what
// was taken while they were. A thread that is gone when we come to it is left out.
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "base/checked.h"
#include "collect.h"
#include "collect_common.h"
#include "tracee.h"

// What is the same for every thread of one collection.
struct thread_pass {
	const struct pss_collect *context;
	uint64_t boot_seconds;
	bool is_syscall_denied; // the first refusal speaks for all threads
	bool has_schedstat;
};

static bool is_dead(const struct pss_procfs_stat *stat)
{
	return stat->state == 'Z' || stat->state == 'X';
}

static int begin_pass(const struct pss_collect *context, struct thread_pass *pass)
{
	*pass = (struct thread_pass){ .context = context, .has_schedstat = true };
	int r = pss_procfs_boot_time(context->scratch, &pass->boot_seconds);

	if (r < 0)
		return pss_fail(context->diag, r, "cannot tell when the machine booted");
	return 0;
}

static int read_thread_file(const struct thread_pass *pass, pid_t tid, const char *name)
{
	char path[64];

	(void)snprintf(path, sizeof path, "task/%d/%s", tid, name);
	return pss_procfs_read(pass->context->proc_fd, path, pass->context->scratch);
}

static const char *text(const struct thread_pass *pass)
{
	return (const char *)pass->context->scratch->data;
}

static size_t size(const struct thread_pass *pass)
{
	return pass->context->scratch->size;
}

// Nanoseconds on a CPU, or 0: kernels without CONFIG_SCHED_INFO have no such file, or zeroes in it.
static uint64_t cpu_ns(struct thread_pass *pass, pid_t tid)
{
	uint64_t ns;

	if (!pass->has_schedstat)
		return 0;
	int r = read_thread_file(pass, tid, "schedstat");
	if (r == 0 && pss_procfs_parse_schedstat(text(pass), size(pass), &ns) == 0)
		return ns;
	if (r == -EACCES || r == -EPERM)
		pass->has_schedstat = false;
	return 0;
}

static void fill_from_stat(struct thread_pass *pass, const struct pss_procfs_stat *stat,
			   struct pss_thread_record *record)
{
	const struct pss_collect *context = pass->context;

	record->state = (uint32_t)(unsigned char)stat->state;
	record->nice = stat->nice;
	record->policy = stat->policy;
	record->rt_priority = stat->rt_priority;
	record->create_time = pss_collect_common_created(pass->boot_seconds, stat->start_ticks);
	record->affinity_mask = pss_collect_common_affinity(record->tid);
	record->syscall_number = -1;

	struct pss_collect_times times = pss_collect_common_times(
		cpu_ns(pass, record->tid), stat->kernel_ticks, stat->user_ticks);
	record->kernel_time = times.kernel;
	record->user_time = times.user;

	if (context->caller_tid > 0 && record->tid == context->caller_tid)
		record->flags |= PSS_THREAD_CALLER;
	if (stat->state == 'T')
		record->flags |= PSS_THREAD_GROUP_STOPPED;
	if (is_dead(stat)) {
		record->flags |= PSS_THREAD_TERMINATED;
		record->exit_status = (uint32_t)stat->exit_code;
	}
}

// Where a thread that is not stopped sits. A running one sits nowhere, and is not asked.
static void fill_from_syscall(struct thread_pass *pass, struct pss_thread_record *record)
{
	struct pss_procfs_syscall call;

	if (pass->is_syscall_denied || record->state == 'R')
		return;
	int r = read_thread_file(pass, record->tid, "syscall");
	if (r == -EPERM || r == -EACCES)
		pass->is_syscall_denied = true;
	if (r < 0 || pss_procfs_parse_syscall(text(pass), size(pass), &call) < 0 || call.is_running)
		return;
	record->stack_pointer = call.stack_pointer;
	record->instruction_pointer = call.instruction_pointer;
	if (call.number < 0)
		return;
	record->flags |= PSS_THREAD_HAS_SYSCALL;
	record->syscall_number = call.number;
	for (size_t i = 0; i < 6; i++)
		record->syscall_arguments[i] = call.arguments[i];
}

static int add_record(const struct thread_pass *pass, const struct pss_procfs_stat *stat,
		      struct pss_thread_record *record)
{
	struct pss_section_builder *section = pass->context->section;
	int r = pss_section_add_bytes(section, stat->comm, stat->comm_size, &record->name);

	if (r < 0)
		return r;
	return pss_section_add(section, PSS_PART_THREADS, record, sizeof *record);
}

static int collect_running_thread(struct thread_pass *pass, pid_t tid)
{
	const struct pss_collect *context = pass->context;
	struct pss_thread_record record = { .tid = tid };
	struct pss_procfs_stat stat = { 0 };
	char path[64];

	(void)snprintf(path, sizeof path, "task/%d/stat", tid);
	int r = pss_procfs_read_stat(context->proc_fd, path, context->scratch, &stat);
	if (r == -ENOENT || r == -ESRCH)
		return 0; // gone since it was listed
	if (r < 0)
		return pss_fail(context->diag, r, "cannot read the state of thread %d of %d", tid,
				context->pid);
	if (is_dead(&stat) && tid != context->pid)
		return 0; // only its tracer still sees it
	record.capture_time = pss_collect_common_instant(pss_collect_common_clock(CLOCK_REALTIME));
	fill_from_stat(pass, &stat, &record);
	fill_from_syscall(pass, &record);
	return add_record(pass, &stat, &record);
}

int pss_collect_threads(const struct pss_collect *context)
{
	_cleanup_buf_ struct pss_buf tids = PSS_BUF_EMPTY;
	struct thread_pass pass;
	int r = begin_pass(context, &pass);

	if (r < 0)
		return r;
	r = pss_procfs_list(context->proc_fd, "task", &tids);
	if (r < 0)
		return pss_fail(context->diag, r, "cannot list the threads of process %d",
				context->pid);

	const int32_t *tid = (const void *)tids.data;
	for (size_t i = 0; i < tids.size / sizeof *tid; i++) {
		r = collect_running_thread(&pass, tid[i]);
		if (r < 0)
			return pss_fail(context->diag, r, "cannot describe thread %d of %d", tid[i],
					context->pid);
	}
	return 0;
}

static void fill_from_registers(const struct pss_arch *arch, const struct pss_general *general,
				struct pss_thread_record *record)
{
	int64_t number;

	record->flags |= PSS_THREAD_HAS_REGISTERS;
	record->instruction_pointer = arch->instruction_pointer(general);
	record->stack_pointer = arch->stack_pointer(general);
	record->thread_pointer = arch->thread_pointer(general);
	if (arch->in_syscall(general, &number, record->syscall_arguments)) {
		record->flags |= PSS_THREAD_HAS_SYSCALL;
		record->syscall_number = number;
	}
}

static bool is_part(const struct pss_tracee_thread *thread)
{
	return thread->state == PSS_TRACEE_STOPPED || thread->state == PSS_TRACEE_UNSTOPPABLE ||
	       thread->state == PSS_TRACEE_DEAD || thread->state == PSS_TRACEE_RELEASED;
}

static int collect_tracee_thread(struct thread_pass *pass, const struct pss_tracee *tracee,
				 const struct pss_tracee_thread *thread)
{
	struct pss_thread_record record = {
		.tid = thread->tid,
		.capture_time = pss_collect_common_instant(
			thread->capture_ns ? thread->capture_ns : tracee->instant_realtime_ns),
		.signal_mask = thread->signal_mask,
		.registers_offset = thread->regsets_offset,
		.registers_size = thread->regsets_size,
	};

	fill_from_stat(pass, &thread->stat, &record);
	if (thread->was_group_stopped)
		record.flags |= PSS_THREAD_GROUP_STOPPED;
	if (thread->has_registers) {
		fill_from_registers(tracee->arch, &thread->general, &record);
	} else if (!is_dead(&thread->stat)) {
		// Let go or not, it never stopped.
		record.flags |= PSS_THREAD_UNSTOPPABLE;
		fill_from_syscall(pass, &record);
	}
	return add_record(pass, &thread->stat, &record);
}

int pss_collect_tracee_threads(const struct pss_collect *context, const struct pss_tracee *tracee)
{
	uint32_t count = pss_tracee_count(tracee);
	struct thread_pass pass;
	int r = begin_pass(context, &pass);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < count; i++) {
		const struct pss_tracee_thread *thread = pss_tracee_thread(tracee, i);
		if (!is_part(thread))
			continue;
		r = collect_tracee_thread(&pass, tracee, thread);
		if (r < 0)
			return pss_fail(context->diag, r, "cannot describe thread %d of %d",
					thread->tid, context->pid);
	}
	return 0;
}
