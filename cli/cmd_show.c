// SPDX-License-Identifier: LGPL-2.1-or-later
// procsnap show: what a process is and does, without stopping it unless registers are wanted.
#include <assert.h>
#include <stddef.h>

#include <procsnap.h>

#include "commands.h"
#include "message.h"
#include "output.h"
#include "show.h"
#include "snapshot.h"
#include "target.h"

struct show_values {
	bool has_threads;
	bool has_handles;
	bool has_memory;
	bool has_registers;
	bool is_json;
};

static_assert(sizeof(struct show_values) <= PSS_OPTIONS_VALUES_MAX, "values do not fit");

static const struct pss_option show_options[] = {
	{
		.name = "threads",
		.help = "list the threads: state, CPU time, system call",
		.offset = offsetof(struct show_values, has_threads),
	},
	{
		.name = "handles",
		.help = "list the open descriptors",
		.offset = offsetof(struct show_values, has_handles),
	},
	{
		.name = "memory",
		.help = "list the memory regions",
		.offset = offsetof(struct show_values, has_memory),
	},
	{
		.name = "registers",
		.help = "print the general registers of each thread; this holds the process for a "
			"moment",
		.offset = offsetof(struct show_values, has_registers),
	},
	{
		.name = "json",
		.help = "print JSON: sizes in bytes, times in nanoseconds, addresses as texts",
		.offset = offsetof(struct show_values, is_json),
	},
};

static const DWORD memory_flags = PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION;
static const DWORD handle_flags = PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
				  PSS_CAPTURE_HANDLE_BASIC_INFORMATION |
				  PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION;

static bool wants_summary(const struct show_values *values)
{
	return !values->has_threads && !values->has_handles && !values->has_memory &&
	       !values->has_registers;
}

static DWORD capture_flags(const struct show_values *values)
{
	DWORD flags = PSS_CAPTURE_NONE;

	if (values->has_threads || values->has_registers)
		flags |= PSS_CAPTURE_THREADS;
	if (values->has_registers)
		flags |= PSS_CAPTURE_THREAD_CONTEXT;
	if (values->has_handles)
		flags |= handle_flags;
	if (values->has_memory || wants_summary(values))
		flags |= memory_flags;
	return flags;
}

// Takes what is wanted. The facts of a process may be seen by all, its memory map may not: for the
// summary the map is left out, and *@flags says so.
static int capture(const struct pss_target *target, const struct show_values *values, DWORD *flags,
		   HPSS *ret)
{
	DWORD context = values->has_registers ? CONTEXT_CONTROL | CONTEXT_INTEGER : 0;
	DWORD error = PssCaptureSnapshot(target->process, (PSS_CAPTURE_FLAGS)*flags, context, ret);

	if (error == ERROR_ACCESS_DENIED && wants_summary(values)) {
		*flags &= ~memory_flags;
		error = PssCaptureSnapshot(target->process, (PSS_CAPTURE_FLAGS)*flags, context,
					   ret);
	}
	return error == ERROR_SUCCESS ? PSS_STATUS_DONE : pss_message_capture(error);
}

static int show_parts(HPSS snapshot, const struct show_values *values, DWORD flags,
		      struct pss_output *output)
{
	PSSX_PROCESS process = { .Size = sizeof(process) };
	int status = PSS_STATUS_DONE;

	if (PssxQueryProcess(snapshot, &process) != ERROR_SUCCESS)
		return pss_message_library(NULL);
	if (values->is_json || wants_summary(values))
		pss_show_process(&process, output);
	if (wants_summary(values) && flags & PSS_CAPTURE_VA_SPACE)
		status = pss_show_memory_kinds(snapshot, output);
	if (status == PSS_STATUS_DONE && values->has_threads)
		status = pss_show_threads(snapshot, &process, output);
	if (status == PSS_STATUS_DONE && values->has_registers)
		status = pss_show_registers(snapshot, process.Machine, output);
	if (status == PSS_STATUS_DONE && values->has_handles)
		status = pss_show_handles(snapshot, output);
	if (status == PSS_STATUS_DONE && values->has_memory)
		status = pss_show_regions(snapshot, output);
	return status;
}

static int run_show(const void *untyped_values, const char *operand)
{
	const struct show_values *values = untyped_values;
	_cleanup_(pss_target_close) struct pss_target target = PSS_TARGET_EMPTY;
	_cleanup_snapshot_ HPSS snapshot = NULL;
	DWORD flags = capture_flags(values);
	struct pss_output output;
	int status = pss_target_open(operand, &target);

	if (status == PSS_STATUS_DONE)
		status = capture(&target, values, &flags, &snapshot);
	if (status != PSS_STATUS_DONE)
		return status;
	pss_output_begin(&output, values->is_json, stdout);
	status = show_parts(snapshot, values, flags, &output);
	if (status == PSS_STATUS_DONE)
		return pss_output_end(&output);
	pss_output_drop(&output);
	return status;
}

const struct pss_command pss_cmd_show = {
	.name = "show",
	.operand = "PID|NAME",
	.needs_operand = true,
	.summary = "print facts, threads, descriptors, registers or memory map of a process",
	.description = "Prints facts of a process and a summary of its memory, or what the options "
		       "ask for. The process is not stopped, except for --registers.",
	.options = show_options,
	.option_count = sizeof(show_options) / sizeof(show_options[0]),
	.run = run_show,
};
