// SPDX-License-Identifier: LGPL-2.1-or-later
// The collectors of processes and threads on this very process and on children made for it,
// compared with what the process knows of itself. Records are read back from the bytes of a
// section, as walkers do.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch.h"
#include "base/cleanup.h"
#include "fixture_collect.h"
#include "tracee.h"

static void assert_own_name(const struct pss_section *section, struct pss_bytes_ref ref)
{
	char name[16] = "";

	assert_int_equal(prctl(PR_GET_NAME, name), 0);
	assert_bytes(section, ref, name, strlen(name));
}

static uint64_t filetime(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 10000000 + (uint64_t)now.tv_nsec / 100;
}

static uint64_t filetime_now(void)
{
	return filetime(CLOCK_REALTIME) + 116444736000000000;
}

static void process_is_as_it_knows_itself(void **state)
{
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	uint64_t cpu_before = filetime(CLOCK_PROCESS_CPUTIME_ID);
	uint64_t before = filetime_now();
	char exe[4096];

	(void)state;
	assert_int_equal(pss_collect_process(&fixture->context, 0), 0);
	uint64_t after = filetime_now();
	uint64_t cpu_after = filetime(CLOCK_PROCESS_CPUTIME_ID);
	const struct pss_section *section = sealed(fixture);
	const struct pss_process_record *process = pss_section_process(section);

	assert_int_equal(process->pid, getpid());
	assert_int_equal(process->parent_pid, getppid());
	assert_int_equal(process->process_group, getpgrp());
	assert_int_equal(process->session, getsid(0));
	assert_int_equal(process->uid, geteuid());
	assert_int_equal(process->gid, getegid());
	assert_int_equal(process->flags & (PSS_PROCESS_32BIT | PSS_PROCESS_EXITED), 0);
	assert_int_equal(process->state, 'R');
	assert_int_equal(process->policy, sched_getscheduler(0));
	assert_int_equal(process->thread_count, 1);
	assert_in_range(process->capture_time, before - 1, after);
	assert_true(process->create_time < process->capture_time);
	assert_in_range(process->kernel_time + process->user_time, cpu_before - 1, cpu_after);
	assert_true(process->vm_size > 0 && process->vm_peak >= process->vm_size);
	assert_true(process->vm_rss > 0 && process->vm_hwm > 0 && process->rss_anon > 0);
	assert_true(process->vm_pte > 0 && process->page_faults > 0);
	assert_debug_address(process);

	cpu_set_t cpus;
	assert_int_equal(sched_getaffinity(0, sizeof cpus, &cpus), 0);
	for (size_t i = 0; i < 64; i++)
		assert_int_equal((process->affinity_mask >> i) & 1, CPU_ISSET(i, &cpus) ? 1 : 0);

	ssize_t size = readlink("/proc/self/exe", exe, sizeof exe);
	assert_true(size > 0);
	assert_bytes(section, process->exe, exe, (size_t)size);
	assert_own_name(section, process->comm);
	const void *arguments;
	assert_true(process->command_line.size > 0);
	assert_int_equal(pss_section_bytes(section, process->command_line, &arguments), 0);
	assert_int_equal(((const char *)arguments)[process->command_line.size - 1], '\0');
}

static void auxiliary_vector_is_kept(void **state)
{
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	_cleanup_buf_ struct pss_buf file = PSS_BUF_EMPTY;
	const struct pss_section *section = sealed(fixture);
	size_t size;
	const void *auxv = pss_section_blob(section, PSS_PART_AUXV, &size);

	(void)state;
	assert_int_equal(pss_procfs_read(fixture->proc_fd, "auxv", &file), 0);
	assert_true(size > 0);
	assert_int_equal(size, file.size);
	assert_memory_equal(auxv, file.data, size);
}

static void create_time_is_an_identity(void **state)
{
	uint64_t first = 0;

	(void)state;
	for (int i = 0; i < 50; i++) {
		_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
		const struct pss_process_record *process = pss_section_process(sealed(fixture));

		if (i == 0)
			first = process->create_time;
		assert_true(process->create_time == first);
	}
}

static void instant_counts_as_capture_time(void **state)
{
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	struct timespec now;
	struct timespec monotonic;

	(void)state;
	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_MONOTONIC, &monotonic);
	uint64_t instant = (uint64_t)(now.tv_sec - 10) * 1000000000 + (uint64_t)now.tv_nsec;
	assert_int_equal(pss_collect_process(&fixture->context, instant), 0);
	const struct pss_process_record *process = pss_section_process(sealed(fixture));
	assert_true(process->capture_time == 116444736000000000 + instant / 100);
	// Ten seconds ago, give or take what time the test takes and what the clocks drift apart.
	int64_t difference = (int64_t)process->capture_monotonic_ns -
			     ((int64_t)monotonic.tv_sec * 1000000000 + monotonic.tv_nsec);
	assert_in_range(difference + 10000000000 + 1000000, 0, 1000000000);
}

static void stopped_process_is_frozen(void **state)
{
	pid_t child = make_child(NULL);
	_cleanup_fixture_ struct fixture *fixture = fixture_create(child);
	int status;

	(void)state;
	assert_int_equal(kill(child, SIGSTOP), 0);
	assert_int_equal(waitpid(child, &status, WUNTRACED), child);
	assert_int_equal(pss_collect_process(&fixture->context, 0), 0);
	assert_int_equal(pss_collect_threads(&fixture->context), 0);
	const struct pss_section *section = sealed(fixture);
	assert_int_equal(pss_section_process(section)->flags, PSS_PROCESS_FROZEN);
	assert_true(pss_section_thread(section, 0)->flags & PSS_THREAD_GROUP_STOPPED);
	end_child(child);
}

static void exited_process_has_its_status(void **state)
{
	pid_t child = fork();
	siginfo_t info;

	(void)state;
	assert_true(child >= 0);
	if (child == 0)
		_exit(42);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);

	_cleanup_fixture_ struct fixture *fixture = fixture_create(child);
	assert_int_equal(pss_collect_process(&fixture->context, 0), 0);
	assert_int_equal(pss_collect_threads(&fixture->context), 0);
	assert_int_equal(pss_collect_vaspace(&fixture->context, true), 0);
	const struct pss_section *section = sealed(fixture);
	const struct pss_process_record *process = pss_section_process(section);
	assert_true(process->flags & PSS_PROCESS_EXITED);
	assert_true(WIFEXITED(process->exit_status));
	assert_int_equal(WEXITSTATUS(process->exit_status), 42);
	assert_int_equal(pss_section_count(section, PSS_PART_THREADS), 1);
	assert_true(pss_section_thread(section, 0)->flags & PSS_THREAD_TERMINATED);
	assert_int_equal(pss_section_count(section, PSS_PART_REGIONS), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
}

static void become_undumpable_nobody(void)
{
	if (setgid(65534) < 0 || setuid(65534) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0)
		_exit(1);
}

static void become_nobody(void)
{
	// Changing the user switches dumping off.
	if (setgid(65534) < 0 || setuid(65534) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
		_exit(1);
}

static void undumpable_process_is_marked(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: needs to change the user\n");
		skip();
	}
	for (int i = 0; i < 2; i++) {
		pid_t child = make_child(i ? become_undumpable_nobody : become_nobody);
		_cleanup_fixture_ struct fixture *fixture = fixture_create(child);

		const struct pss_process_record *process = pss_section_process(sealed(fixture));
		assert_int_equal(process->uid, 65534);
		assert_int_equal(process->flags, i ? PSS_PROCESS_NOT_DUMPABLE : 0);
		end_child(child);
	}
}

static void gone_process_is_an_error(void **state)
{
	pid_t child = make_child(NULL);
	_cleanup_fixture_ struct fixture *fixture = fixture_create(child);

	(void)state;
	end_child(child);
	assert_int_equal(pss_collect_process(&fixture->context, 0), -ESRCH);
	assert_true(fixture->diag.text[0] != '\0');
	assert_int_equal(pss_collect_threads(&fixture->context), -ESRCH);
	assert_int_equal(pss_collect_vaspace(&fixture->context, false), -ESRCH);
}

struct reader {
	pthread_t thread;
	pid_t tid;
	int pipe[2];
};

static void *read_pipe(void *argument)
{
	struct reader *reader = argument;
	char byte;

	prctl(PR_SET_NAME, ") name (");
	__atomic_store_n(&reader->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	syscall(SYS_read, reader->pipe[0], &byte, (size_t)1);
	return NULL;
}

// Until the thread sits in its read, by what the kernel says.
static void start_reader(struct reader *reader)
{
	char path[64];
	char text[64];
	char wanted[16];
	pid_t tid;

	assert_int_equal(pipe2(reader->pipe, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&reader->thread, NULL, read_pipe, reader), 0);
	while ((tid = __atomic_load_n(&reader->tid, __ATOMIC_ACQUIRE)) == 0)
		sched_yield();
	snprintf(path, sizeof path, "/proc/self/task/%d/syscall", tid);
	snprintf(wanted, sizeof wanted, "%d ", SYS_read);
	do {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t size = read(fd, text, sizeof text - 1);
		close(fd);
		assert_true(size > 0);
		text[size] = '\0';
	} while (strncmp(text, wanted, strlen(wanted)) != 0);
}

static void end_reader(struct reader *reader)
{
	assert_int_equal(write(reader->pipe[1], "", 1), 1);
	assert_int_equal(pthread_join(reader->thread, NULL), 0);
	close(reader->pipe[0]);
	close(reader->pipe[1]);
}

static const struct pss_thread_record *find_thread(const struct pss_section *section, pid_t tid)
{
	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_THREADS); i++) {
		if (pss_section_thread(section, i)->tid == tid)
			return pss_section_thread(section, i);
	}
	fail_msg("thread %d is not there", tid);
	return NULL;
}

static void threads_run_on_and_are_described(void **state)
{
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	struct reader readers[3] = { 0 };

	(void)state;
	for (size_t i = 0; i < 3; i++)
		start_reader(&readers[i]);
	fixture->context.caller_tid = getpid();
	assert_int_equal(pss_collect_threads(&fixture->context), 0);
	const struct pss_section *section = sealed(fixture);
	assert_int_equal(pss_section_count(section, PSS_PART_THREADS), 4);
	assert_int_equal(pss_section_process(section)->thread_count, 4);

	const struct pss_thread_record *self = find_thread(section, getpid());
	assert_int_equal(self->flags & PSS_THREAD_CALLER, PSS_THREAD_CALLER);
	assert_own_name(section, self->name);
	assert_true(self->create_time == pss_section_process(section)->create_time);
	for (size_t i = 0; i < 3; i++) {
		const struct pss_thread_record *thread = find_thread(section, readers[i].tid);

		assert_int_equal(thread->flags, PSS_THREAD_HAS_SYSCALL);
		assert_int_equal(thread->state, 'S');
		assert_int_equal(thread->syscall_number, SYS_read);
		assert_int_equal(thread->syscall_arguments[0], readers[i].pipe[0]);
		assert_int_equal(thread->syscall_arguments[2], 1);
		assert_true(thread->stack_pointer != 0 && thread->instruction_pointer != 0);
		assert_bytes(section, thread->name, ") name (", 8);
		assert_true(thread->create_time >= self->create_time);
		assert_true(thread->capture_time > thread->create_time);
		assert_true(thread->kernel_time + thread->user_time > 0);
		assert_true(thread->affinity_mask != 0);
		assert_int_equal(thread->registers_size, 0);
		end_reader(&readers[i]);
	}
}

static void stopped_threads_bring_their_registers(void **state)
{
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	const struct pss_regset_record head = { NT_SIGINFO, 8 };
	struct pss_tracee tracee = PSS_TRACEE_EMPTY;
	struct pss_tracee_thread threads[] = {
		{ .tid = getpid(), .state = PSS_TRACEE_GONE },
		{ .tid = getpid(),
		  .state = PSS_TRACEE_RELEASED,
		  .has_registers = true,
		  .was_group_stopped = true,
		  .signal_mask = 0x1234,
		  .capture_ns = 1000000000,
		  .stat = { .state = 'S', .comm = "one", .comm_size = 3 },
		  .regsets_offset = 24,
		  .regsets_size = 16 },
		{ .tid = getpid(),
		  .state = PSS_TRACEE_UNSTOPPABLE,
		  .stat = { .state = 'D', .comm = "two", .comm_size = 3 } },
		{ .tid = getpid(),
		  .state = PSS_TRACEE_DEAD,
		  .stat = { .state = 'Z', .exit_code = 256 } },
	};

	(void)state;
	tracee.arch = pss_arch_native();
	tracee.instant_realtime_ns = 2000000000;
	for (size_t i = 0; i < 4; i++) {
		threads[i].general.size = 200;
		assert_int_equal(pss_buf_append(&tracee.threads, &threads[i], sizeof threads[i]),
				 0);
	}
	tracee.regsets = &fixture->context.section->parts[PSS_PART_REGISTERS];
	assert_int_equal(pss_buf_append(tracee.regsets, NULL, 24), 0);
	assert_int_equal(pss_buf_append(tracee.regsets, &head, sizeof head), 0);
	assert_int_equal(pss_buf_append(tracee.regsets, "abcdefgh", 8), 0);
	assert_int_equal(pss_collect_tracee_threads(&fixture->context, &tracee), 0);
	pss_buf_deinit(&tracee.threads);

	const struct pss_section *section = sealed(fixture);
	assert_int_equal(pss_section_count(section, PSS_PART_THREADS), 3);
	const struct pss_thread_record *one = pss_section_thread(section, 0);
	assert_int_equal(one->flags & ~PSS_THREAD_HAS_SYSCALL,
			 PSS_THREAD_HAS_REGISTERS | PSS_THREAD_GROUP_STOPPED);
	assert_int_equal(one->signal_mask, 0x1234);
	assert_true(one->capture_time == 116444736000000000 + 10000000);
	const void *bytes;
	size_t size;
	assert_int_equal(pss_section_regset(section, one, NT_SIGINFO, &bytes, &size), 0);
	assert_int_equal(size, 8);
	assert_memory_equal(bytes, "abcdefgh", 8);

	const struct pss_thread_record *two = pss_section_thread(section, 1);
	assert_int_equal(two->flags & ~PSS_THREAD_HAS_SYSCALL, PSS_THREAD_UNSTOPPABLE);
	assert_int_equal(two->state, 'D');
	assert_true(two->capture_time == 116444736000000000 + 20000000);
	assert_bytes(section, two->name, "two", 3);
	const struct pss_thread_record *dead = pss_section_thread(section, 2);
	assert_int_equal(dead->flags, PSS_THREAD_TERMINATED);
	assert_int_equal(dead->exit_status, 256);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(process_is_as_it_knows_itself),
		cmocka_unit_test(auxiliary_vector_is_kept),
		cmocka_unit_test(create_time_is_an_identity),
		cmocka_unit_test(instant_counts_as_capture_time),
		cmocka_unit_test(stopped_process_is_frozen),
		cmocka_unit_test(exited_process_has_its_status),
		cmocka_unit_test(undumpable_process_is_marked),
		cmocka_unit_test(gone_process_is_an_error),
		cmocka_unit_test(threads_run_on_and_are_described),
		cmocka_unit_test(stopped_threads_bring_their_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
