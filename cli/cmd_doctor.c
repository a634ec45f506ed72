// SPDX-License-Identifier: LGPL-2.1-or-later
// procsnap doctor: would a capture work here, and if not, why, and what cures it. The checks are
// the library's.
#include <assert.h>
#include <stddef.h>
#include <string.h>

#include <procsnap.h>

#include "commands.h"
#include "message.h"
#include "output.h"
#include "target.h"
#include "text.h"

enum { FINDINGS_MAX = 64 };

struct doctor_values {
	bool is_json;
};

static_assert(sizeof(struct doctor_values) <= PSS_OPTIONS_VALUES_MAX, "values do not fit");

static const struct pss_option doctor_options[] = {
	{
		.name = "json",
		.help = "print JSON: the answer, and each check with its severity and cure",
		.offset = offsetof(struct doctor_values, is_json),
	},
};

struct findings {
	PSSX_FINDING list[FINDINGS_MAX];
	size_t count;
	size_t problems;
};

static const struct pss_output_column columns[] = {
	{ "severity", NULL, PSS_OUTPUT_TEXT, 0 },
	{ "id", NULL, PSS_OUTPUT_TEXT, 0 },
	{ "text", NULL, PSS_OUTPUT_TEXT, 0 },
	{ "cure", NULL, PSS_OUTPUT_TEXT, 0 },
};

enum { COLUMN_COUNT = sizeof(columns) / sizeof(columns[0]) };

static const struct pss_output_column answer_columns[] = {
	{ "pid", NULL, PSS_OUTPUT_SIGNED, 0 },
	{ "name", NULL, PSS_OUTPUT_TEXT, 0 },
	{ "would_work", NULL, PSS_OUTPUT_FLAG, 0 },
};

enum { ANSWER_COUNT = sizeof(answer_columns) / sizeof(answer_columns[0]) };

static const char *severity_word(PSSX_SEVERITY severity)
{
	switch (severity) {
	case PSSX_SEVERITY_OK:
		return "ok";
	case PSSX_SEVERITY_WARNING:
		return "warning";
	case PSSX_SEVERITY_PROBLEM:
		return "problem";
	case PSSX_SEVERITY_UNKNOWN:
		break;
	}
	return "unknown";
}

static int examine(const struct pss_target *target, struct findings *findings)
{
	DWORD error = ERROR_SUCCESS;

	*findings = (struct findings){ .count = 0 };
	while (findings->count < FINDINGS_MAX) {
		PSSX_FINDING *finding = &findings->list[findings->count];

		finding->Size = sizeof(*finding);
		error = PssxExamine(target->process, (DWORD)findings->count, finding);
		if (error != ERROR_SUCCESS)
			break;
		findings->count++;
		findings->problems += finding->Severity == PSSX_SEVERITY_PROBLEM;
	}
	return error == ERROR_NO_MORE_ITEMS ? PSS_STATUS_DONE : pss_message_library(NULL);
}

// The words of @text, with @indent blanks before each line but the first; a line has @width columns
// at most, unless @width is 0.
static void print_wrapped(FILE *stream, const char *text, size_t indent, size_t width)
{
	_cleanup_text_ char *copy = pss_text_escape(text);
	char *rest = copy, *word;
	size_t used = indent;
	bool is_first = true;

	while ((word = strsep(&rest, " ")) != NULL) {
		size_t own = pss_text_width(word);

		if (!is_first && width > 0 && used + 1 + own > width) {
			(void)fprintf(stream, "\n%*s", (int)indent, "");
			used = indent;
		} else if (!is_first) {
			(void)fputc(' ', stream);
			used++;
		}
		(void)fputs(word, stream);
		used += own;
		is_first = false;
	}
	(void)fputc('\n', stream);
}

static void print_finding(const PSSX_FINDING *finding, FILE *stream, size_t width)
{
	enum { SEVERITY_WIDTH = 8, ID_WIDTH = 16 };
	const size_t indent = SEVERITY_WIDTH + ID_WIDTH;
	// Beside that, texts need some room.
	bool is_narrow = width > 0 && width < 2 * indent;
	_cleanup_text_ char *whole =
		pss_text_format("%s%s%s", finding->Text, *finding->Cure ? ": " : "", finding->Cure);

	(void)fprintf(stream, "%-*s", SEVERITY_WIDTH, severity_word(finding->Severity));
	if (is_narrow)
		(void)fprintf(stream, "%s\n%*s", finding->Id, SEVERITY_WIDTH, "");
	else
		(void)fprintf(stream, "%-*s", ID_WIDTH, finding->Id);
	print_wrapped(stream, whole, is_narrow ? SEVERITY_WIDTH : indent, width);
}

static void print_text(const struct pss_target *target, const struct findings *findings,
		       struct pss_output *output)
{
	static const PSSX_SEVERITY order[] = {
		PSSX_SEVERITY_PROBLEM,
		PSSX_SEVERITY_WARNING,
		PSSX_SEVERITY_UNKNOWN,
		PSSX_SEVERITY_OK,
	};
	size_t width = pss_output_width(output);

	for (size_t rank = 0; rank < sizeof(order) / sizeof(order[0]); rank++)
		for (size_t i = 0; i < findings->count; i++)
			if (findings->list[i].Severity == order[rank])
				print_finding(&findings->list[i], output->stream, width);
	_cleanup_text_ char *answer =
		findings->problems == 0
			? pss_text_format("yes: process %d (%s) can be captured", target->pid,
					  target->name)
			: pss_text_format("no: process %d (%s) can't be captured: %zu problem%s",
					  target->pid, target->name, findings->problems,
					  findings->problems == 1 ? "" : "s");
	print_wrapped(output->stream, answer, 0, width);
}

static void print_json(const struct pss_target *target, const struct findings *findings,
		       struct pss_output *output)
{
	struct pss_output_table table;
	const struct pss_output_value answer[ANSWER_COUNT] = {
		pss_output_number((uint64_t)target->pid),
		pss_output_text(target->name),
		pss_output_number(findings->problems == 0),
	};

	pss_output_record(output, NULL, answer_columns, answer, ANSWER_COUNT);
	pss_output_table_begin(output, "findings", columns, COLUMN_COUNT, &table);
	for (size_t i = 0; i < findings->count; i++) {
		const PSSX_FINDING *finding = &findings->list[i];
		struct pss_output_value values[COLUMN_COUNT] = {
			pss_output_text(severity_word(finding->Severity)),
			pss_output_text(finding->Id),
			pss_output_text(finding->Text),
		};

		if (*finding->Cure)
			values[COLUMN_COUNT - 1] = pss_output_text(finding->Cure);
		pss_output_table_add(&table, values);
	}
	pss_output_table_end(&table);
}

static int run_doctor(const void *untyped_values, const char *operand)
{
	const struct doctor_values *values = untyped_values;
	_cleanup_(pss_target_close) struct pss_target target = PSS_TARGET_EMPTY;
	struct findings findings;
	struct pss_output output;
	int status = pss_target_open(operand, &target);

	if (status == PSS_STATUS_DONE)
		status = examine(&target, &findings);
	if (status != PSS_STATUS_DONE)
		return status;
	pss_output_begin(&output, values->is_json, stdout);
	if (values->is_json)
		print_json(&target, &findings, &output);
	else
		print_text(&target, &findings, &output);
	status = pss_output_end(&output);
	return status == PSS_STATUS_DONE && findings.problems > 0 ? PSS_STATUS_FAILED : status;
}

const struct pss_command pss_cmd_doctor = {
	.name = "doctor",
	.operand = "PID|NAME",
	.needs_operand = true,
	.summary = "tell whether a dump would work here, and if not, why and what cures it",
	.description = "Looks for all that stands in the way of a snapshot of a process, and says "
		       "what cures it. Nothing is stopped, traced or changed. Exit status 0 means "
		       "that a snapshot would work, 1 that it would not.",
	.options = doctor_options,
	.option_count = sizeof(doctor_options) / sizeof(doctor_options[0]),
	.run = run_doctor,
};
