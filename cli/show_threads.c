// SPDX-License-Identifier: LGPL-2.1-or-later
// Threads of a snapshot: what they are doing, and their registers.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "machine.h"
#include "message.h"
#include "show.h"
#include "text.h"

enum { ARGUMENT_COUNT = 6, LIST_ROOM = 256 };

enum field {
	FIELD_TID,
	FIELD_NAME,
	FIELD_STATE,
	FIELD_STATE_WORD,
	FIELD_FLAGS,
	FIELD_CPU,
	FIELD_SYSCALL_TEXT,
	FIELD_SYSCALL_NUMBER,
	FIELD_SYSCALL_NAME,
	FIELD_SYSCALL_ARGUMENTS,
	FIELD_USER_TIME,
	FIELD_KERNEL_TIME,
	FIELD_NICE,
	FIELD_POLICY,
	FIELD_PRIORITY,
	FIELD_COUNT,
};

static const struct pss_output_column columns[FIELD_COUNT] = {
	[FIELD_TID] = { "tid", "TID", PSS_OUTPUT_NUMBER, 0 },
	[FIELD_NAME] = { "name", "NAME", PSS_OUTPUT_TEXT, PSS_OUTPUT_CUT },
	[FIELD_STATE] = { "state", NULL, PSS_OUTPUT_TEXT, 0 },
	[FIELD_STATE_WORD] = { NULL, "STATE", PSS_OUTPUT_TEXT, 0 },
	[FIELD_FLAGS] = { "flags", NULL, PSS_OUTPUT_WORDS, 0 },
	[FIELD_CPU] = { NULL, "CPU", PSS_OUTPUT_DURATION, PSS_OUTPUT_DROP },
	[FIELD_SYSCALL_TEXT] = { NULL, "SYSTEM CALL", PSS_OUTPUT_TEXT, PSS_OUTPUT_CUT },
	[FIELD_SYSCALL_NUMBER] = { "syscall_number", NULL, PSS_OUTPUT_NUMBER, 0 },
	[FIELD_SYSCALL_NAME] = { "syscall", NULL, PSS_OUTPUT_TEXT, 0 },
	[FIELD_SYSCALL_ARGUMENTS] = { "syscall_arguments", NULL, PSS_OUTPUT_WORDS, 0 },
	[FIELD_USER_TIME] = { "user_time_ns", NULL, PSS_OUTPUT_DURATION, 0 },
	[FIELD_KERNEL_TIME] = { "kernel_time_ns", NULL, PSS_OUTPUT_DURATION, 0 },
	[FIELD_NICE] = { "nice", NULL, PSS_OUTPUT_SIGNED, 0 },
	[FIELD_POLICY] = { "policy", NULL, PSS_OUTPUT_NUMBER, 0 },
	[FIELD_PRIORITY] = { "rt_priority", NULL, PSS_OUTPUT_NUMBER, 0 },
};

const char *pss_show_state_word(char letter)
{
	static const struct {
		char letter;
		const char *word;
	} words[] = {
		{ 'R', "running" }, { 'S', "sleeping" }, { 'D', "blocked" },
		{ 'T', "stopped" }, { 't', "traced" },   { 'Z', "ended" },
		{ 'X', "ended" },   { 'I', "idle" },     { 'P', "parked" },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].letter == letter)
			return words[i].word;
	return "unknown";
}

static void list_flags(uint32_t flags, char list[LIST_ROOM])
{
	static const struct {
		uint32_t flag;
		const char *word;
	} words[] = {
		{ PSSX_THREAD_TERMINATED, "terminated" },
		{ PSSX_THREAD_UNSTOPPABLE, "unstoppable" },
		{ PSSX_THREAD_GROUP_STOPPED, "group-stopped" },
		{ PSSX_THREAD_CALLER, "caller" },
	};
	size_t length = 0;

	list[0] = '\0';
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (flags & words[i].flag)
			length += (size_t)snprintf(list + length, LIST_ROOM - length, "%s%s",
						   length ? " " : "", words[i].word);
}

static void list_arguments(const PSSX_THREAD *thread, const char *separator, char list[LIST_ROOM])
{
	size_t length = 0;

	for (size_t i = 0; i < ARGUMENT_COUNT; i++)
		length += (size_t)snprintf(list + length, LIST_ROOM - length, "%s0x%" PRIx64,
					   i ? separator : "", thread->SyscallArguments[i]);
}

// The system call as strace would begin to write it.
static char *syscall_text(const PSSX_THREAD *thread, const char *name)
{
	char arguments[LIST_ROOM];

	list_arguments(thread, ", ", arguments);
	if (name)
		return pss_text_format("%s(%s)", name, arguments);
	return pss_text_format("%" PRId64 "(%s)", thread->SyscallNumber, arguments);
}

static void add_thread(const PSSX_THREAD *thread, uint32_t machine, struct pss_output_table *table)
{
	const char state[] = { thread->State, '\0' };
	bool has_syscall = thread->Flags & PSSX_THREAD_HAS_SYSCALL && thread->SyscallNumber >= 0;
	const char *name = has_syscall ? pss_machine_syscall(machine, thread->SyscallNumber) : NULL;
	_cleanup_text_ char *call = has_syscall ? syscall_text(thread, name) : NULL;
	char flags[LIST_ROOM], arguments[LIST_ROOM];
	struct pss_output_value values[FIELD_COUNT] = {
		[FIELD_TID] = pss_output_number((uint64_t)thread->ThreadId),
		[FIELD_NAME] = pss_output_text(thread->Name),
		[FIELD_STATE] = pss_output_text(state),
		[FIELD_STATE_WORD] = pss_output_text(pss_show_state_word(thread->State)),
		[FIELD_FLAGS] = pss_output_text(flags),
		[FIELD_CPU] = pss_output_number(thread->UserTimeNs + thread->KernelTimeNs),
		[FIELD_USER_TIME] = pss_output_number(thread->UserTimeNs),
		[FIELD_KERNEL_TIME] = pss_output_number(thread->KernelTimeNs),
		[FIELD_NICE] = pss_output_number((uint64_t)thread->Nice),
		[FIELD_POLICY] = pss_output_number(thread->Policy),
		[FIELD_PRIORITY] = pss_output_number(thread->RtPriority),
	};

	list_flags(thread->Flags, flags);
	if (has_syscall) {
		list_arguments(thread, " ", arguments);
		values[FIELD_SYSCALL_TEXT] = pss_output_text(call);
		values[FIELD_SYSCALL_NUMBER] = pss_output_number((uint64_t)thread->SyscallNumber);
		values[FIELD_SYSCALL_ARGUMENTS] = pss_output_text(arguments);
	}
	if (name)
		values[FIELD_SYSCALL_NAME] = pss_output_text(name);
	pss_output_table_add(table, values);
}

// Whether the kernel keeps the system calls of that process from us.
static bool are_syscalls_hidden(int pid)
{
	char path[64], byte;

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is_hidden = (fd < 0 || read(fd, &byte, 1) < 0) && (errno == EACCES || errno == EPERM);

	if (fd >= 0)
		(void)close(fd);
	return is_hidden;
}

int pss_show_threads(HPSS snapshot, const PSSX_PROCESS *process, struct pss_output *output)
{
	bool has_syscalls = false;
	PSSX_THREAD thread = { .Size = sizeof(thread) };
	struct pss_output_table table;
	DWORD error = ERROR_SUCCESS;

	pss_output_table_begin(output, "threads", columns, FIELD_COUNT, &table);
	for (DWORD i = 0; (error = PssxQueryThread(snapshot, i, &thread)) == ERROR_SUCCESS; i++) {
		add_thread(&thread, process->Machine, &table);
		has_syscalls |= (thread.Flags & PSSX_THREAD_HAS_SYSCALL) != 0;
	}
	pss_output_table_end(&table);
	if (error != ERROR_NO_MORE_ITEMS)
		return pss_message_library(NULL);
	if (!has_syscalls && are_syscalls_hidden(process->Pid))
		pss_message_note("system calls of process %d are not shown: seeing them takes the "
				 "right to trace it",
				 process->Pid);
	return PSS_STATUS_DONE;
}

// The thread, then a field for each register.
static void print_registers(const PSSX_THREAD *thread, const struct pss_machine_registers *machine,
			    const unsigned char *bytes, struct pss_output *output)
{
	struct pss_output_column fields[PSS_MACHINE_REGISTERS_MAX + 2] = {
		{ "tid", NULL, PSS_OUTPUT_NUMBER, 0 },
		{ "name", NULL, PSS_OUTPUT_TEXT, 0 },
	};
	struct pss_output_value values[PSS_MACHINE_REGISTERS_MAX + 2] = {
		pss_output_number((uint64_t)thread->ThreadId),
		pss_output_text(thread->Name),
	};
	_cleanup_text_ char *heading =
		pss_text_format("Thread %d %s", thread->ThreadId, thread->Name);

	for (size_t i = 0; i < machine->count; i++) {
		uint64_t value = 0;

		// Both of our machines are little-endian.
		memcpy(&value, bytes + i * machine->register_size, machine->register_size);
		fields[i + 2] = (struct pss_output_column){ machine->names[i], machine->names[i],
							    PSS_OUTPUT_ADDRESS, 0 };
		values[i + 2] = pss_output_number(value);
	}
	pss_output_block(output, "registers", heading, fields, values, machine->count + 2);
}

static int show_thread_registers(HPSS snapshot, DWORD index, const PSSX_THREAD *thread,
				 const struct pss_machine_registers *machine,
				 struct pss_output *output)
{
	unsigned char bytes[PSS_MACHINE_REGISTERS_MAX * sizeof(uint64_t)];
	SIZE_T length = sizeof(bytes);
	size_t wanted = machine->count * machine->register_size;

	// A leader that has ended has none, nor one that would not stop.
	if (!(thread->Flags & PSSX_THREAD_HAS_REGISTERS))
		return PSS_STATUS_DONE;
	if (PssxQueryRegisters(snapshot, index, NT_PRSTATUS, bytes, &length) != ERROR_SUCCESS)
		return pss_message_library(NULL);
	if (length < wanted)
		return pss_message_fail("thread %d has %zu bytes of registers, not %zu",
					thread->ThreadId, length, wanted);
	print_registers(thread, machine, bytes, output);
	return PSS_STATUS_DONE;
}

int pss_show_registers(HPSS snapshot, uint32_t machine, struct pss_output *output)
{
	const struct pss_machine_registers *registers = pss_machine_find_registers(machine);
	PSSX_THREAD thread = { .Size = sizeof(thread) };
	DWORD error = ERROR_SUCCESS;

	if (!registers)
		return pss_message_fail("registers of ELF machine %" PRIu32 " are not known here",
					machine);
	for (DWORD i = 0; (error = PssxQueryThread(snapshot, i, &thread)) == ERROR_SUCCESS; i++) {
		int status = show_thread_registers(snapshot, i, &thread, registers, output);

		if (status != PSS_STATUS_DONE)
			return status;
	}
	return error == ERROR_NO_MORE_ITEMS ? PSS_STATUS_DONE : pss_message_library(NULL);
}
