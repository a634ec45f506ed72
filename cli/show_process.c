// SPDX-License-Identifier: LGPL-2.1-or-later
// Facts of a process: who it is, since when, how large.
#include <pwd.h>
#include <stdio.h>

#include "show.h"
#include "text.h"

enum field {
	FIELD_PID,
	FIELD_NAME,
	FIELD_STATE,
	FIELD_STATE_WORD,
	FIELD_COMMAND_LINE,
	FIELD_EXECUTABLE,
	FIELD_UID,
	FIELD_USER,
	FIELD_GID,
	FIELD_PARENT,
	FIELD_GROUP,
	FIELD_SESSION,
	FIELD_NICE,
	FIELD_STARTED,
	FIELD_CAPTURED,
	FIELD_THREADS,
	FIELD_VIRTUAL,
	FIELD_RESIDENT,
	FIELD_ANONYMOUS,
	FIELD_SWAPPED,
	FIELD_PAGE_TABLES,
	FIELD_FILTER,
	FIELD_COUNT,
};

static const struct pss_output_column columns[FIELD_COUNT] = {
	[FIELD_PID] = { "pid", "PID", PSS_OUTPUT_NUMBER, 0 },
	[FIELD_NAME] = { "name", "Name", PSS_OUTPUT_TEXT, 0 },
	[FIELD_STATE] = { "state", NULL, PSS_OUTPUT_TEXT, 0 },
	[FIELD_STATE_WORD] = { NULL, "State", PSS_OUTPUT_TEXT, 0 },
	[FIELD_COMMAND_LINE] = { "command_line", "Command line", PSS_OUTPUT_TEXT, 0 },
	[FIELD_EXECUTABLE] = { "executable", "Executable", PSS_OUTPUT_TEXT, 0 },
	[FIELD_UID] = { "uid", NULL, PSS_OUTPUT_NUMBER, 0 },
	[FIELD_USER] = { NULL, "User", PSS_OUTPUT_TEXT, 0 },
	[FIELD_GID] = { "gid", "Group", PSS_OUTPUT_NUMBER, 0 },
	[FIELD_PARENT] = { "parent_pid", "Parent", PSS_OUTPUT_NUMBER, 0 },
	[FIELD_GROUP] = { "process_group", "Process group", PSS_OUTPUT_NUMBER, 0 },
	[FIELD_SESSION] = { "session", "Session", PSS_OUTPUT_NUMBER, 0 },
	[FIELD_NICE] = { "nice", "Nice", PSS_OUTPUT_SIGNED, 0 },
	[FIELD_STARTED] = { "started", "Started", PSS_OUTPUT_TIME, 0 },
	[FIELD_CAPTURED] = { "captured", NULL, PSS_OUTPUT_TIME, 0 },
	[FIELD_THREADS] = { "thread_count", "Threads", PSS_OUTPUT_NUMBER, 0 },
	[FIELD_VIRTUAL] = { "virtual_bytes", "Virtual", PSS_OUTPUT_SIZE, 0 },
	[FIELD_RESIDENT] = { "resident_bytes", "Resident", PSS_OUTPUT_SIZE, 0 },
	[FIELD_ANONYMOUS] = { "anonymous_bytes", "Anonymous", PSS_OUTPUT_SIZE, 0 },
	[FIELD_SWAPPED] = { "swapped_bytes", "Swapped", PSS_OUTPUT_SIZE, 0 },
	[FIELD_PAGE_TABLES] = { "page_table_bytes", "Page tables", PSS_OUTPUT_SIZE, 0 },
	[FIELD_FILTER] = { "coredump_filter", "Core filter", PSS_OUTPUT_ADDRESS, 0 },
};

static char *user_text(uint32_t uid)
{
	const struct passwd *user = getpwuid(uid);

	return user ? pss_text_format("%s (%u)", user->pw_name, uid) : pss_text_format("%u", uid);
}

void pss_show_process(const PSSX_PROCESS *process, struct pss_output *output)
{
	const char state[] = { process->State, '\0' };
	_cleanup_text_ char *user = user_text(process->Uid);
	const struct pss_output_value values[FIELD_COUNT] = {
		[FIELD_PID] = pss_output_number((uint64_t)process->Pid),
		[FIELD_NAME] = pss_output_text(process->Comm),
		[FIELD_STATE] = pss_output_text(state),
		[FIELD_STATE_WORD] = pss_output_text(pss_show_state_word(process->State)),
		[FIELD_COMMAND_LINE] = pss_output_text(process->CommandLine),
		[FIELD_EXECUTABLE] = pss_output_text(process->Executable),
		[FIELD_UID] = pss_output_number(process->Uid),
		[FIELD_USER] = pss_output_text(user),
		[FIELD_GID] = pss_output_number(process->Gid),
		[FIELD_PARENT] = pss_output_number((uint64_t)process->ParentPid),
		[FIELD_GROUP] = pss_output_number((uint64_t)process->ProcessGroup),
		[FIELD_SESSION] = pss_output_number((uint64_t)process->Session),
		[FIELD_NICE] = pss_output_number((uint64_t)process->Nice),
		[FIELD_STARTED] = pss_output_number(process->StartTimeNs),
		[FIELD_CAPTURED] = pss_output_number(process->CaptureTimeNs),
		[FIELD_THREADS] = pss_output_number(process->ThreadCount),
		[FIELD_VIRTUAL] = pss_output_number(process->VirtualBytes),
		[FIELD_RESIDENT] = pss_output_number(process->ResidentBytes),
		[FIELD_ANONYMOUS] = pss_output_number(process->AnonymousBytes),
		[FIELD_SWAPPED] = pss_output_number(process->SwappedBytes),
		[FIELD_PAGE_TABLES] = pss_output_number(process->PageTableBytes),
		[FIELD_FILTER] = pss_output_number(process->CoredumpFilter),
	};

	pss_output_record(output, "process", columns, values, FIELD_COUNT);
}
