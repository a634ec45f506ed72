// SPDX-License-Identifier: LGPL-2.1-or-later
// The text of the small files of /proc: stat, status, syscall, schedstat, fdinfo. Pure: reads no
// file. Fields and lines that newer kernels add are passed over.
#include <errno.h>

#include "base/checked.h"
#include "procfs.h"
#include "procfs_text.h"

// Fields of /proc/PID/stat as proc(5) numbers them.
enum {
	STAT_PARENT_PID = 4,
	STAT_PROCESS_GROUP = 5,
	STAT_SESSION = 6,
	STAT_MINOR_FAULTS = 10,
	STAT_MAJOR_FAULTS = 12,
	STAT_USER_TICKS = 14,
	STAT_KERNEL_TICKS = 15,
	STAT_NICE = 19,
	STAT_THREAD_COUNT = 20,
	STAT_START_TICKS = 22,
	STAT_EXIT_SIGNAL = 38,
	STAT_RT_PRIORITY = 40,
	STAT_POLICY = 41,
	STAT_EXIT_CODE = 52,
};

enum value_form {
	FORM_INT32,
	FORM_UINT32,
	FORM_UINT64,
	FORM_HEX64,
	FORM_KILOBYTES, // stored as bytes
	FORM_SECOND,    // the second of several: the effective id
	FORM_LAST,      // the last of several: the innermost namespace
};

static bool take_uint32(struct pss_text *text, uint32_t *ret)
{
	uint64_t value;

	return text_take_number(text, 10, &value) && pss_u32(value, ret) == 0;
}

static bool take_last(struct pss_text *text, int32_t *ret)
{
	do {
		if (!text_take_int32(text, ret))
			return false;
		text_skip_blanks(text);
	} while (text->size > 0);
	return true;
}

// Reads the value at the front of @text into the member at @field.
static bool take_value(struct pss_text *text, enum value_form form, void *field)
{
	uint64_t *number = field;
	uint64_t ignored;

	switch (form) {
	case FORM_INT32:
		return text_take_int32(text, field);
	case FORM_UINT32:
		return take_uint32(text, field);
	case FORM_UINT64:
		return text_take_number(text, 10, number);
	case FORM_HEX64:
		return text_take_number(text, 16, number);
	case FORM_KILOBYTES:
		return text_take_number(text, 10, number) && pss_mul(*number, 1024, number) == 0;
	case FORM_SECOND:
		if (!text_take_number(text, 10, &ignored))
			return false;
		text_skip_blanks(text);
		return take_uint32(text, field);
	case FORM_LAST:
		return take_last(text, field);
	}
	return false;
}

struct stat_field {
	unsigned number;
	enum value_form form;
	size_t offset;
};

#define STAT_FIELD(number, form, member)                                                           \
	{                                                                                          \
		number, form, offsetof(struct pss_procfs_stat, member)                             \
	}

// By number.
static const struct stat_field stat_fields[] = {
	STAT_FIELD(STAT_PARENT_PID, FORM_INT32, parent_pid),
	STAT_FIELD(STAT_PROCESS_GROUP, FORM_INT32, process_group),
	STAT_FIELD(STAT_SESSION, FORM_INT32, session),
	STAT_FIELD(STAT_MINOR_FAULTS, FORM_UINT64, minor_faults),
	STAT_FIELD(STAT_MAJOR_FAULTS, FORM_UINT64, major_faults),
	STAT_FIELD(STAT_USER_TICKS, FORM_UINT64, user_ticks),
	STAT_FIELD(STAT_KERNEL_TICKS, FORM_UINT64, kernel_ticks),
	STAT_FIELD(STAT_NICE, FORM_INT32, nice),
	STAT_FIELD(STAT_THREAD_COUNT, FORM_UINT32, thread_count),
	STAT_FIELD(STAT_START_TICKS, FORM_UINT64, start_ticks),
	STAT_FIELD(STAT_EXIT_SIGNAL, FORM_INT32, exit_signal),
	STAT_FIELD(STAT_RT_PRIORITY, FORM_UINT32, rt_priority),
	STAT_FIELD(STAT_POLICY, FORM_UINT32, policy),
	STAT_FIELD(STAT_EXIT_CODE, FORM_INT32, exit_code),
};

enum { STAT_FIELD_COUNT = sizeof stat_fields / sizeof stat_fields[0] };

// "pid (comm) state", leaving the rest in *text. comm may hold ") (": its end is the last one.
static bool take_stat_head(struct pss_text *text, struct pss_procfs_stat *stat)
{
	if (!text_take_int32(text, &stat->pid) || !text_take_prefix(text, " ("))
		return false;

	const char *close = memrchr(text->data, ')', text->size);
	if (!close)
		return false;
	size_t size = (size_t)(close - text->data);
	size_t kept = size < sizeof stat->comm ? size : sizeof stat->comm;
	memcpy(stat->comm, text->data, kept);
	stat->comm_size = (uint8_t)kept;
	text_advance(text, size + 1);

	struct pss_text state;
	if (!text_take_word(text, &state) || state.size != 1)
		return false;
	stat->state = *state.data;
	return true;
}

int pss_procfs_parse_stat(const char *text, size_t size, struct pss_procfs_stat *ret)
{
	struct pss_text rest = { text, size };
	struct pss_procfs_stat stat = { 0 };
	struct pss_text word;
	unsigned next = 0;

	if (size == 0 || !take_stat_head(&rest, &stat))
		return -EBADMSG;
	for (unsigned number = STAT_PARENT_PID; next < STAT_FIELD_COUNT; number++) {
		if (!text_take_word(&rest, &word))
			break;
		const struct stat_field *field = &stat_fields[next];
		if (field->number != number)
			continue;
		if (!take_value(&word, field->form, (char *)&stat + field->offset) || word.size > 0)
			return -EBADMSG;
		next++;
	}
	// Linux before 3.5 ends before the exit code.
	if (next < STAT_FIELD_COUNT && stat_fields[next].number != STAT_EXIT_CODE)
		return -EBADMSG;
	*ret = stat;
	return 0;
}

struct status_line {
	const char *key;
	enum value_form form;
	size_t offset;
};

#define STATUS_LINE(key, form, member)                                                             \
	{                                                                                          \
		key, form, offsetof(struct pss_procfs_status, member)                              \
	}

static const struct status_line status_lines[] = {
	STATUS_LINE("Tgid:", FORM_INT32, thread_group_id),
	STATUS_LINE("TracerPid:", FORM_INT32, tracer_pid),
	STATUS_LINE("Uid:", FORM_SECOND, uid),
	STATUS_LINE("Gid:", FORM_SECOND, gid),
	STATUS_LINE("NSpid:", FORM_LAST, innermost_pid),
	STATUS_LINE("VmPeak:", FORM_KILOBYTES, vm_peak),
	STATUS_LINE("VmSize:", FORM_KILOBYTES, vm_size),
	STATUS_LINE("VmHWM:", FORM_KILOBYTES, vm_hwm),
	STATUS_LINE("VmRSS:", FORM_KILOBYTES, vm_rss),
	STATUS_LINE("RssAnon:", FORM_KILOBYTES, rss_anon),
	STATUS_LINE("VmSwap:", FORM_KILOBYTES, vm_swap),
	STATUS_LINE("VmPTE:", FORM_KILOBYTES, vm_pte),
	STATUS_LINE("VmPin:", FORM_KILOBYTES, vm_pin),
	STATUS_LINE("SigPnd:", FORM_HEX64, signals_pending),
	STATUS_LINE("SigBlk:", FORM_HEX64, signals_blocked),
	STATUS_LINE("SigIgn:", FORM_HEX64, signals_ignored),
	STATUS_LINE("SigCgt:", FORM_HEX64, signals_caught),
	STATUS_LINE("Seccomp:", FORM_UINT32, seccomp_mode),
	STATUS_LINE("Threads:", FORM_UINT32, thread_count),
	STATUS_LINE("CapEff:", FORM_HEX64, capabilities_effective),
};

static bool parse_status_line(struct pss_text line, struct pss_procfs_status *status)
{
	for (size_t i = 0; i < sizeof status_lines / sizeof status_lines[0]; i++) {
		if (!text_take_prefix(&line, status_lines[i].key))
			continue;
		text_skip_blanks(&line);
		return take_value(&line, status_lines[i].form,
				  (char *)status + status_lines[i].offset);
	}
	return true;
}

int pss_procfs_parse_status(const char *text, size_t size, struct pss_procfs_status *ret)
{
	struct pss_text rest = { text, size };
	struct pss_procfs_status status = { 0 };
	struct pss_text line;

	while (rest.size > 0) {
		if (!text_take_line(&rest, &line) || !parse_status_line(line, &status))
			return -EBADMSG;
	}
	if (status.thread_group_id <= 0)
		return -EBADMSG;
	*ret = status;
	return 0;
}

static bool take_address(struct pss_text *text, uint64_t *ret)
{
	text_skip_blanks(text);
	return text_take_prefix(text, "0x") && text_take_number(text, 16, ret);
}

int pss_procfs_parse_syscall(const char *text, size_t size, struct pss_procfs_syscall *ret)
{
	struct pss_text rest = { text, size };
	struct pss_procfs_syscall call = { .number = -1 };

	if (text_take_prefix(&rest, "running")) {
		call.is_running = true;
		*ret = call;
		return 0;
	}
	if (!text_take_signed(&rest, &call.number))
		return -EBADMSG;
	for (size_t i = 0; call.number != -1 && i < 6; i++) {
		if (!take_address(&rest, &call.arguments[i]))
			return -EBADMSG;
	}
	if (!take_address(&rest, &call.stack_pointer) ||
	    !take_address(&rest, &call.instruction_pointer))
		return -EBADMSG;
	*ret = call;
	return 0;
}

int pss_procfs_parse_schedstat(const char *text, size_t size, uint64_t *run_ns_ret)
{
	struct pss_text rest = { text, size };
	uint64_t value;

	if (!text_take_number(&rest, 10, &value) || !text_take_char(&rest, ' '))
		return -EBADMSG;
	*run_ns_ret = value;
	return 0;
}

int pss_procfs_parse_number(const char *text, size_t size, unsigned base, uint64_t *ret)
{
	struct pss_text rest = { text, size };
	bool has_prefix = base != 10 && text_take_prefix(&rest, "0x");
	uint64_t value;

	if (base == 0)
		base = has_prefix ? 16 : 10;
	if (!text_take_number(&rest, base, &value))
		return -EBADMSG;
	(void)text_take_char(&rest, '\n');
	if (rest.size > 0)
		return -EBADMSG;
	*ret = value;
	return 0;
}

// The value of the first line that begins with @key.
static bool find_line(struct pss_text text, const char *key, struct pss_text *value_ret)
{
	struct pss_text line;

	while (text_take_line(&text, &line)) {
		if (text_take_prefix(&line, key)) {
			text_skip_blanks(&line);
			*value_ret = line;
			return true;
		}
	}
	return false;
}

int pss_procfs_parse_fdinfo_pid(const char *text, size_t size, int32_t *ret)
{
	struct pss_text value;
	int32_t pid;

	if (!find_line((struct pss_text){ text, size }, "Pid:", &value) ||
	    !text_take_int32(&value, &pid) || value.size > 0)
		return -EBADMSG;
	// 0 stands for a process that our namespace has no number for.
	*ret = pid > 0 ? pid : -1;
	return 0;
}

int pss_procfs_parse_boot_time(const char *text, size_t size, uint64_t *seconds_ret)
{
	struct pss_text value;
	uint64_t seconds;

	if (!find_line((struct pss_text){ text, size }, "btime ", &value) ||
	    !text_take_number(&value, 10, &seconds) || value.size > 0)
		return -EBADMSG;
	*seconds_ret = seconds;
	return 0;
}
