// SPDX-License-Identifier: LGPL-2.1-or-later
// procsnap dump: a snapshot of a process as an ELF core or a minidump. The form of both is the
// library's.
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <dbghelp.h>
#include <procsnap.h>

#include "commands.h"
#include "dump_type.h"
#include "interrupt.h"
#include "message.h"
#include "outfile.h"
#include "output.h"
#include "progress.h"
#include "snapshot.h"
#include "target.h"
#include "text.h"

// Registers of every kind that this machine has.
#ifdef CONTEXT_XSTATE
enum { ALL_REGISTERS = CONTEXT_ALL | CONTEXT_XSTATE };
#else
enum { ALL_REGISTERS = CONTEXT_ALL };
#endif

enum { FILTER_BITS = 0x1ff, LEVEL_MAX = 22, CLONES_MOST = 1000000 };

#define NS_PER_MS     UINT64_C(1000000)
#define PAUSE_NS_MOST (UINT64_C(3600000) * NS_PER_MS)

struct compression {
	bool is_on;
	int level; // 0: zstd's default
};

struct filter {
	bool is_set;
	uint64_t mask;
};

struct dump_values {
	const char *output;
	struct compression compression;
	struct filter filter;
	struct pss_dump_type type;
	uint64_t max_pause_ns; // 0: no limit
	uint32_t max_clones;   // 0: the library's
	bool is_minidump;
	bool has_environment;
	bool includes_dontdump;
	bool has_no_drain;
	bool has_no_guard;
	bool has_no_progress;
	bool is_json;
};

static_assert(sizeof(struct dump_values) <= PSS_OPTIONS_VALUES_MAX, "values do not fit");

// A dump being made.
struct dump {
	const struct dump_values *values;
	struct pss_target target;
	struct pss_outfile file;
	char *default_path; // what file.path points at if -o was not given
	HPSS snapshot;
	struct pss_progress progress;
	PSSX_CORE_RESULT result; // of a minidump, too: segments are its ranges
	uint64_t disk_bytes;
};

static bool parse_format(const char *text, void *field)
{
	*(bool *)field = strcmp(text, "minidump") == 0;
	return *(bool *)field || strcmp(text, "core") == 0;
}

static bool parse_compression(const char *text, void *field)
{
	struct compression *compression = field;
	char *end = NULL;
	long level;

	*compression = (struct compression){ .is_on = true };
	if (strcmp(text, "zstd") == 0)
		return true;
	if (strncmp(text, "zstd:", 5) != 0 || !isdigit((unsigned char)text[5]))
		return false;
	level = strtol(text + 5, &end, 10);
	compression->level = (int)level;
	return *end == '\0' && level >= 1 && level <= LEVEL_MAX;
}

static bool parse_filter(const char *text, void *field)
{
	struct filter *filter = field;
	char *end = NULL;

	// /proc/PID/coredump_filter shows hexadecimal digits without 0x; "33" could mean either.
	if (strncmp(text, "0x", 2) != 0 || !isxdigit((unsigned char)text[2]))
		return false;
	errno = 0;
	*filter = (struct filter){ .is_set = true, .mask = strtoull(text, &end, 16) };
	return *end == '\0' && errno == 0 && (filter->mask & ~(uint64_t)FILTER_BITS) == 0;
}

// Milliseconds with a fraction, in any locale.
static bool parse_pause(const char *text, void *field)
{
	uint64_t *ns = field, unit = NS_PER_MS;
	char *end = NULL;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*ns = strtoull(text, &end, 10);
	if (errno != 0 || *ns > PAUSE_NS_MOST / NS_PER_MS)
		return false;
	*ns *= NS_PER_MS;
	if (*end == '.' && isdigit((unsigned char)end[1]))
		for (end++; isdigit((unsigned char)*end); end++) {
			unit /= 10;
			*ns += (uint64_t)(*end - '0') * unit;
		}
	return *end == '\0' && *ns > 0 && *ns <= PAUSE_NS_MOST;
}

static bool parse_clones(const char *text, void *field)
{
	char *end = NULL;
	unsigned long clones;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	clones = strtoul(text, &end, 10);
	*(uint32_t *)field = (uint32_t)clones;
	return *end == '\0' && errno == 0 && clones >= 1 && clones <= CLONES_MOST;
}

static const struct pss_option dump_options[] = {
	{
		.name = "output",
		.letter = 'o',
		.value = "FILE",
		.help = "write to FILE, which must not exist, or with - to standard output; "
			"default: NAME.PID.core in the current directory, or NAME.PID.dmp",
		.offset = offsetof(struct dump_values, output),
	},
	{
		.name = "format",
		.value = "FORMAT",
		.help = "core: an ELF core, the default; minidump: what Windows' debuggers, "
			"Breakpad and lldb read",
		.offset = offsetof(struct dump_values, is_minidump),
		.parse = parse_format,
		.expects = "core or minidump",
	},
	{
		.name = "type",
		.value = "LIST",
		.help = "what goes into a minidump besides stacks, such as full,handles or "
			"0x1806; default: headers,handles,regions,threads",
		.offset = offsetof(struct dump_values, type),
		.parse = pss_dump_type_parse,
		.expects = PSS_DUMP_TYPE_EXPECTS,
	},
	{
		.name = "environment",
		.help = "also put the environment variables, and what they hold of secrets, into "
			"a minidump",
		.offset = offsetof(struct dump_values, has_environment),
	},
	{
		.name = "compress",
		.value = "zstd[:LEVEL]",
		.help = "compress while writing, LEVEL 1 to 22; adds .zst to the default name",
		.offset = offsetof(struct dump_values, compression),
		.parse = parse_compression,
		.expects = "zstd or zstd:LEVEL with a LEVEL from 1 to 22",
	},
	{
		.name = "filter",
		.value = "MASK",
		.help = "which kinds of memory to write: bits of core(5), such as 0x33; default: "
			"the process's own coredump_filter",
		.offset = offsetof(struct dump_values, filter),
		.parse = parse_filter,
		.expects = "bits of core(5) between 0x0 and 0x1ff",
	},
	{
		.name = "include-dontdump",
		.help = "also write memory that the process marked MADV_DONTDUMP",
		.offset = offsetof(struct dump_values, includes_dontdump),
	},
	{
		.name = "max-pause",
		.value = "MS",
		.help = "hold the process for at most MS milliseconds: if the forecast is longer, "
			"do not touch it; if stopping it takes too long, let it go",
		.offset = offsetof(struct dump_values, max_pause_ns),
		.parse = parse_pause,
		.expects = "milliseconds, such as 5 or 0.5, up to an hour",
	},
	{
		.name = "max-clones",
		.value = "COUNT",
		.help = "do nothing if the process has COUNT clones of snapshots already; "
			"default: 8",
		.offset = offsetof(struct dump_values, max_clones),
		.parse = parse_clones,
		.expects = "a number from 1 to 1000000",
	},
	{
		.name = "no-drain",
		.help = "keep the whole snapshot until the end; default: what is written is given "
			"back, so that the process need not copy it when it writes to it",
		.offset = offsetof(struct dump_values, has_no_drain),
	},
	{
		.name = "no-guard",
		.help = "do not ask for memory beforehand, and do not give the snapshot up when "
			"it gets short: the process may be killed for want of it",
		.offset = offsetof(struct dump_values, has_no_guard),
	},
	{
		.name = "no-progress",
		.help = "do not show progress, which is shown on a terminal only",
		.offset = offsetof(struct dump_values, has_no_progress),
	},
	{
		.name = "json",
		.help = "say what was done as a JSON object",
		.offset = offsetof(struct dump_values, is_json),
	},
};

// A file name of a process's name, which can hold any byte but a terminator.
static void make_plain(char *name)
{
	for (char *c = name; *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._+-", *c))
			*c = '_';
	if (*name == '.' || *name == '-')
		*name = '_';
}

static int open_output(struct dump *dump)
{
	const char *path = dump->values->output;

	if (path && strcmp(path, "-") == 0)
		return pss_outfile_use_stdout(&dump->file);
	if (!path) {
		char name[sizeof(dump->target.name)];

		memcpy(name, dump->target.name, sizeof(name));
		make_plain(name);
		dump->default_path =
			pss_text_format("%s.%d.%s%s", *name ? name : "process", dump->target.pid,
					dump->values->is_minidump ? "dmp" : "core",
					dump->values->compression.is_on ? ".zst" : "");
		path = dump->default_path;
	}
	return pss_outfile_create(path, &dump->file);
}

static int interrupted(void)
{
	return pss_message_fail("interrupted by SIG%s; nothing was kept", pss_interrupt_name());
}

static uint32_t minidump_type(const struct dump_values *values)
{
	return values->type.is_set ? values->type.flags : pss_dump_type_default();
}

static PSS_CAPTURE_FLAGS capture_flags(const struct dump_values *values)
{
	const unsigned handles = PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
				 PSS_CAPTURE_HANDLE_BASIC_INFORMATION;
	bool has_handles = values->is_minidump && minidump_type(values) & MiniDumpWithHandleData;

	return PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |
	       PSS_CAPTURE_VA_SPACE | PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION |
	       PSS_CREATE_MEASURE_PERFORMANCE |
	       (values->is_minidump ? 0 : PSS_CAPTURE_THREAD_CONTEXT_EXTENDED) |
	       (has_handles ? handles : 0);
}

static int capture(struct dump *dump)
{
	const PSSX_CAPTURE_OPTIONS options = {
		.Size = sizeof(options),
		.MaxPauseNs = dump->values->max_pause_ns,
		.MaxClones = dump->values->max_clones,
		.Flags = dump->values->has_no_guard ? PSSX_CAPTURE_IGNORE_MEMORY
						    : PSSX_CAPTURE_KEEP_WATCH,
	};
	DWORD error = PssxCaptureSnapshot(dump->target.process, capture_flags(dump->values),
					  ALL_REGISTERS, &options, &dump->snapshot);

	if (pss_interrupt_pending())
		return interrupted();
	return error == ERROR_SUCCESS ? PSS_STATUS_DONE : pss_message_capture(error);
}

static int WINAPI on_progress(void *context, uint64_t done, uint64_t total)
{
	struct pss_progress *progress = context;

	pss_progress_update(progress, done, total);
	return pss_interrupt_pending() != 0;
}

// The library knows a descriptor; where it is to blame, we know its name.
static const char *blamed(const struct dump *dump, DWORD error)
{
	switch (error) {
	case ERROR_DISK_FULL:
	case ERROR_BROKEN_PIPE:
	case ERROR_FILE_TOO_LARGE:
	case ERROR_INVALID_HANDLE:
	case ERROR_IO_DEVICE:
		return dump->file.path;
	default:
		return NULL;
	}
}

static DWORD write_core(struct dump *dump)
{
	const struct dump_values *values = dump->values;
	const PSSX_CORE_OPTIONS options = {
		.Size = sizeof(options),
		.Compress = values->compression.is_on,
		.Level = values->compression.level,
		.IncludeDontDump = values->includes_dontdump,
		.UseFilter = values->filter.is_set,
		.Flags = (values->has_no_drain ? 0 : PSSX_CORE_DRAIN) |
			 (values->has_no_guard ? PSSX_CORE_IGNORE_MEMORY : 0),
		.Filter = values->filter.mask,
		.Progress = on_progress,
		.ProgressContext = &dump->progress,
	};

	dump->result = (PSSX_CORE_RESULT){ .Size = sizeof(dump->result) };
	return PssxWriteElfCore(dump->snapshot, dump->file.fd, &options, &dump->result);
}

static DWORD write_minidump(struct dump *dump)
{
	const struct dump_values *values = dump->values;
	PSSX_MINIDUMP_RESULT result = { .Size = sizeof(result) };
	const PSSX_MINIDUMP_OPTIONS options = {
		.Size = sizeof(options),
		.Type = minidump_type(values),
		.Flags = (values->has_no_drain ? 0 : PSSX_MINIDUMP_DRAIN) |
			 (values->has_no_guard ? PSSX_MINIDUMP_IGNORE_MEMORY : 0) |
			 (values->has_environment ? PSSX_MINIDUMP_ENVIRONMENT : 0) |
			 (values->includes_dontdump ? PSSX_MINIDUMP_INCLUDE_DONTDUMP : 0),
		.Compress = values->compression.is_on,
		.Level = values->compression.level,
		.Progress = on_progress,
		.ProgressContext = &dump->progress,
	};
	DWORD error = PssxWriteMinidump(dump->snapshot, dump->file.fd, &options, &result);

	dump->result = (PSSX_CORE_RESULT){
		.Threads = result.Threads,
		.Segments = result.Ranges,
		.FileBytes = result.FileBytes,
		.MemoryBytes = result.MemoryBytes,
		.OutputBytes = result.OutputBytes,
		.UnreadableBytes = result.UnreadableBytes,
	};
	return error;
}

static int write_dump(struct dump *dump)
{
	_cleanup_text_ char *label = pss_text_escape(dump->file.path);

	pss_progress_begin(&dump->progress, !dump->values->has_no_progress, label);
	DWORD error = dump->values->is_minidump ? write_minidump(dump) : write_core(dump);

	pss_progress_end(&dump->progress);
	if (pss_interrupt_pending())
		return interrupted();
	if (error == ERROR_NOT_ENOUGH_QUOTA)
		return pss_message_capture(error);
	if (error != ERROR_SUCCESS)
		return pss_message_library(blamed(dump, error));

	struct stat status;

	if (fstat(dump->file.fd, &status) == 0 && S_ISREG(status.st_mode))
		dump->disk_bytes = (uint64_t)status.st_blocks * 512;
	return PSS_STATUS_DONE;
}

static int commit(struct dump *dump)
{
	int status = pss_outfile_commit(&dump->file);

	// A signal takes the descriptor away, so a commit can fail for one.
	return status != PSS_STATUS_DONE && pss_interrupt_pending() ? interrupted() : status;
}

static int report_json(const struct dump *dump, const PSSX_FIGURES *figures, FILE *stream)
{
	static const struct pss_output_column columns[] = {
		{ .key = "pid", .kind = PSS_OUTPUT_NUMBER },
		{ .key = "name", .kind = PSS_OUTPUT_TEXT },
		{ .key = "file", .kind = PSS_OUTPUT_TEXT },
		{ .key = "format", .kind = PSS_OUTPUT_TEXT },
		{ .key = "compressed", .kind = PSS_OUTPUT_FLAG },
		{ .key = "pause_ns", .kind = PSS_OUTPUT_DURATION },
		{ .key = "hold_ns", .kind = PSS_OUTPUT_DURATION },
		{ .key = "pause_forecast_ns", .kind = PSS_OUTPUT_DURATION },
		{ .key = "max_pause_ns", .kind = PSS_OUTPUT_DURATION },
		{ .key = "clone_ns", .kind = PSS_OUTPUT_DURATION },
		{ .key = "capture_ns", .kind = PSS_OUTPUT_DURATION },
		{ .key = "threads", .kind = PSS_OUTPUT_NUMBER },
		{ .key = "segments", .kind = PSS_OUTPUT_NUMBER },
		{ .key = "memory_bytes", .kind = PSS_OUTPUT_SIZE },
		{ .key = "unreadable_bytes", .kind = PSS_OUTPUT_SIZE },
		{ .key = "core_bytes", .kind = PSS_OUTPUT_SIZE },
		{ .key = "written_bytes", .kind = PSS_OUTPUT_SIZE },
		{ .key = "disk_bytes", .kind = PSS_OUTPUT_SIZE },
	};
	const struct pss_output_value unlimited = { .is_known = false };
	bool is_stdout = pss_outfile_is_stdout(&dump->file);
	const struct pss_output_value values[] = {
		pss_output_number((uint64_t)dump->target.pid),
		pss_output_text(dump->target.name),
		pss_output_text(is_stdout ? "-" : dump->file.path),
		pss_output_text(dump->values->is_minidump ? "minidump" : "core"),
		pss_output_number(dump->values->compression.is_on),
		pss_output_number(figures->PauseNs),
		pss_output_number(figures->HoldNs),
		pss_output_number(figures->ForecastNs),
		figures->MaxPauseNs ? pss_output_number(figures->MaxPauseNs) : unlimited,
		pss_output_number(figures->CloneNs),
		pss_output_number(figures->TotalNs),
		pss_output_number(dump->result.Threads),
		pss_output_number(dump->result.Segments),
		pss_output_number(dump->result.MemoryBytes),
		pss_output_number(dump->result.UnreadableBytes),
		pss_output_number(dump->result.FileBytes),
		pss_output_number(dump->result.OutputBytes),
		is_stdout ? (struct pss_output_value){ .is_known = false }
			  : pss_output_number(dump->disk_bytes),
	};
	struct pss_output output;

	static_assert(sizeof(values) / sizeof(values[0]) == sizeof(columns) / sizeof(columns[0]),
		      "a value for each column");
	pss_output_begin(&output, true, stream);
	pss_output_record(&output, NULL, columns, values, sizeof(values) / sizeof(values[0]));
	return pss_output_end(&output);
}

// For how long any thread was held, running or asleep, against what was expected and allowed; and
// for how long those were that ran, if that makes a difference.
static void print_pause(const PSSX_FIGURES *figures, FILE *stream)
{
	char text[PSS_TEXT_ROOM];

	(void)fprintf(stream, "held %s", pss_text_duration(figures->HoldNs, text));
	if (figures->MaxPauseNs && figures->HoldNs > figures->MaxPauseNs)
		(void)fprintf(stream, ", %s more than allowed",
			      pss_text_duration(figures->HoldNs - figures->MaxPauseNs, text));
	(void)fprintf(stream, " (forecast %s", pss_text_duration(figures->ForecastNs, text));
	if (figures->ThreadsRunning > 0 && figures->PauseNs < figures->HoldNs / 10 * 9)
		(void)fprintf(stream, "; running threads %s",
			      pss_text_duration(figures->PauseNs, text));
	(void)fputc(')', stream);
}

static int report_line(const struct dump *dump, const PSSX_FIGURES *figures, FILE *stream)
{
	const PSSX_CORE_RESULT *result = &dump->result;
	char memory[PSS_TEXT_ROOM], size[PSS_TEXT_ROOM], lost[PSS_TEXT_ROOM];
	bool is_stdout = pss_outfile_is_stdout(&dump->file);
	_cleanup_text_ char *name = pss_text_escape(dump->target.name);
	_cleanup_text_ char *path = pss_text_escape(dump->file.path);

	(void)fprintf(stream, "procsnap: %s (%d): ", name, dump->target.pid);
	print_pause(figures, stream);
	(void)fprintf(stream, ", %" PRIu32 " thread%s, %s %s %s (%s %s)", result->Threads,
		      result->Threads == 1 ? "" : "s", pss_text_size(result->MemoryBytes, memory),
		      is_stdout ? "to" : "in", path,
		      pss_text_size(is_stdout ? result->OutputBytes : dump->disk_bytes, size),
		      is_stdout ? "written" : "on disk");
	if (result->UnreadableBytes > 0)
		(void)fprintf(stream, "; %s could not be read and is zero",
			      pss_text_size(result->UnreadableBytes, lost));
	(void)fputc('\n', stream);
	if (fflush(stream) != 0 || ferror(stream))
		return pss_message_fail("cannot write to standard output: %m");
	return PSS_STATUS_DONE;
}

// The dump is done and stays, whether or not this gets through; but who waits for it must learn
// that it did not.
static int report(const struct dump *dump)
{
	PSSX_FIGURES figures = { .Size = sizeof(figures) };
	FILE *stream = pss_outfile_is_stdout(&dump->file) ? stderr : stdout;

	if (PssxQueryFigures(dump->snapshot, &figures) != ERROR_SUCCESS)
		return pss_message_library(NULL);
	return dump->values->is_json ? report_json(dump, &figures, stream)
				     : report_line(dump, &figures, stream);
}

// Options that say nothing of the format that was asked for.
static int check_values(const struct dump_values *values)
{
	if (values->is_minidump && values->filter.is_set)
		return pss_message_usage("--filter is for cores; a minidump has --type");
	if (!values->is_minidump && values->type.is_set)
		return pss_message_usage("--type is for --format minidump");
	if (!values->is_minidump && values->has_environment)
		return pss_message_usage("--environment is for --format minidump; a core has all");
	return PSS_STATUS_DONE;
}

static int make_dump(struct dump *dump, const char *operand)
{
	int status = check_values(dump->values);

	if (status == PSS_STATUS_DONE)
		status = pss_target_open(operand, &dump->target);
	if (status == PSS_STATUS_DONE)
		status = open_output(dump);
	if (status != PSS_STATUS_DONE)
		return status;
	pss_interrupt_catch(dump->file.fd);
	status = capture(dump);
	if (status == PSS_STATUS_DONE)
		status = write_dump(dump);
	if (status == PSS_STATUS_DONE)
		status = commit(dump);
	if (status == PSS_STATUS_DONE)
		status = report(dump);
	return status;
}

static void end_dump(struct dump *dump)
{
	pss_snapshot_free_ptr(&dump->snapshot);
	pss_outfile_close(&dump->file);
	pss_target_close(&dump->target);
	pss_text_free_ptr(&dump->default_path);
}

static int run_dump(const void *values, const char *operand)
{
	_cleanup_(end_dump) struct dump dump = {
		.values = values,
		.target = PSS_TARGET_EMPTY,
		.file = PSS_OUTFILE_EMPTY,
	};

	return make_dump(&dump, operand);
}

const struct pss_command pss_cmd_dump = {
	.name = "dump",
	.operand = "PID|NAME",
	.needs_operand = true,
	.summary = "write memory and registers of a process as a core or minidump",
	.description =
		"Takes a snapshot of a live process and writes it as an ELF core, which gdb, "
		"lldb and other debuggers read, or as a minidump. The process is held for some "
		"milliseconds while the snapshot is taken; the file is written while it runs on.",
	.options = dump_options,
	.option_count = sizeof(dump_options) / sizeof(dump_options[0]),
	.run = run_dump,
};
