// SPDX-License-Identifier: LGPL-2.1-or-later
// Tables and records as text (libsmartcols) or JSON (json-c). Knows nothing of what they say.
#include "output.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>

#include "message.h"
#include "text.h"

enum { CUT_WIDTH_MIN = 12, PLAIN_WIDTH = 80 };

static bool is_right_aligned(const struct pss_output_column *column)
{
	return column->kind == PSS_OUTPUT_NUMBER || column->kind == PSS_OUTPUT_SIGNED ||
	       column->kind == PSS_OUTPUT_SIZE || column->kind == PSS_OUTPUT_DURATION;
}

// A value for people, safe for a terminal. The caller frees it.
static char *value_as_text(const struct pss_output_column *column,
			   const struct pss_output_value *value)
{
	char buffer[PSS_TEXT_ROOM];

	if (!value->is_known)
		return pss_text_copy("");
	switch (column->kind) {
	case PSS_OUTPUT_TEXT:
	case PSS_OUTPUT_WORDS:
		return pss_text_escape(value->text);
	case PSS_OUTPUT_SIGNED:
		return pss_text_format("%" PRId64, (int64_t)value->number);
	case PSS_OUTPUT_SIZE:
		return pss_text_copy(pss_text_size(value->number, buffer));
	case PSS_OUTPUT_DURATION:
		return pss_text_copy(pss_text_duration(value->number, buffer));
	case PSS_OUTPUT_TIME:
		return pss_text_copy(pss_text_time(value->number, buffer));
	case PSS_OUTPUT_ADDRESS:
		return pss_text_format("0x%" PRIx64, value->number);
	case PSS_OUTPUT_FLAG:
		return pss_text_copy(value->number ? "yes" : "no");
	case PSS_OUTPUT_NUMBER:
		break;
	}
	return pss_text_format("%" PRIu64, value->number);
}

static struct json_object *new_string(const char *text)
{
	_cleanup_text_ char *clean = pss_text_to_utf8(text);

	return json_object_new_string(clean);
}

static struct json_object *new_words(const char *text)
{
	_cleanup_text_ char *words = pss_text_copy(text);
	struct json_object *array = json_object_new_array();
	char *rest = words, *word;

	while ((word = strsep(&rest, " ")) != NULL)
		if (*word != '\0')
			(void)json_object_array_add(array, new_string(word));
	return array;
}

// A value for programs. What is unknown is null.
static struct json_object *value_as_json(const struct pss_output_column *column,
					 const struct pss_output_value *value)
{
	char buffer[PSS_TEXT_ROOM];

	if (!value->is_known)
		return NULL;
	switch (column->kind) {
	case PSS_OUTPUT_TEXT:
		return new_string(value->text);
	case PSS_OUTPUT_WORDS:
		return new_words(value->text);
	case PSS_OUTPUT_SIGNED:
		return json_object_new_int64((int64_t)value->number);
	case PSS_OUTPUT_TIME:
		return json_object_new_string(pss_text_timestamp(value->number, buffer));
	case PSS_OUTPUT_ADDRESS:
		(void)snprintf(buffer, sizeof(buffer), "0x%" PRIx64, value->number);
		return json_object_new_string(buffer);
	case PSS_OUTPUT_FLAG:
		return json_object_new_boolean(value->number != 0);
	case PSS_OUTPUT_NUMBER:
	case PSS_OUTPUT_SIZE:
	case PSS_OUTPUT_DURATION:
		break;
	}
	return json_object_new_uint64(value->number);
}

static void add_fields(struct json_object *object, const struct pss_output_column *columns,
		       const struct pss_output_value *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (columns[i].key)
			(void)json_object_object_add(object, columns[i].key,
						     value_as_json(&columns[i], &values[i]));
}

static struct json_object *add_object(struct json_object *array,
				      const struct pss_output_column *columns,
				      const struct pss_output_value *values, size_t count)
{
	struct json_object *object = json_object_new_object();

	add_fields(object, columns, values, count);
	(void)json_object_array_add(array, object);
	return object;
}

// The array called @key, made if it is not there.
static struct json_object *get_array(struct json_object *root, const char *key)
{
	struct json_object *array = NULL;

	if (!json_object_object_get_ex(root, key, &array)) {
		array = json_object_new_array();
		(void)json_object_object_add(root, key, array);
	}
	return array;
}

static struct libscols_table *new_lines(const struct pss_output *output)
{
	struct libscols_table *lines = scols_new_table();

	if (!lines)
		pss_message_no_memory();
	(void)scols_table_set_stream(lines, output->stream);
	// Texts are escaped already, and by another rule.
	(void)scols_table_enable_noencoding(lines, 1);
	return lines;
}

static void print_gap(struct pss_output *output)
{
	if (output->has_printed)
		(void)fputc('\n', output->stream);
	output->has_printed = true;
}

void pss_output_begin(struct pss_output *output, bool is_json, FILE *stream)
{
	*output = (struct pss_output){
		.stream = stream,
		.root = is_json ? json_object_new_object() : NULL,
	};
}

size_t pss_output_width(const struct pss_output *output)
{
	if (!isatty(fileno(output->stream)))
		return 0;
	struct libscols_table *ruler = new_lines(output);
	size_t width = scols_table_get_termwidth(ruler);

	scols_unref_table(ruler);
	return width;
}

static void print_record(struct pss_output *output, const struct pss_output_column *columns,
			 const struct pss_output_value *values, size_t count)
{
	struct libscols_table *lines = new_lines(output);

	(void)scols_table_enable_noheadings(lines, 1);
	(void)scols_table_new_column(lines, "field", 0, 0);
	(void)scols_table_new_column(lines, "value", 0, SCOLS_FL_TRUNC);
	for (size_t i = 0; i < count; i++) {
		if (!columns[i].title || !values[i].is_known)
			continue;
		_cleanup_text_ char *text = value_as_text(&columns[i], &values[i]);
		struct libscols_line *line = scols_table_new_line(lines, NULL);

		if (!line || scols_line_set_data(line, 0, columns[i].title) < 0 ||
		    scols_line_set_data(line, 1, text) < 0)
			pss_message_no_memory();
	}
	print_gap(output);
	(void)scols_print_table(lines);
	scols_unref_table(lines);
}

void pss_output_record(struct pss_output *output, const char *key,
		       const struct pss_output_column *columns,
		       const struct pss_output_value *values, size_t count)
{
	if (!output->root) {
		print_record(output, columns, values, count);
		return;
	}
	struct json_object *object = output->root;

	if (key) {
		object = json_object_new_object();
		(void)json_object_object_add(output->root, key, object);
	}
	add_fields(object, columns, values, count);
}

void pss_output_table_begin(struct pss_output *output, const char *key,
			    const struct pss_output_column *columns, size_t count,
			    struct pss_output_table *ret)
{
	*ret = (struct pss_output_table){
		.output = output,
		.columns = columns,
		.column_count = count,
	};
	if (output->root) {
		ret->rows = get_array(output->root, key);
		return;
	}
	ret->lines = new_lines(output);
	for (size_t i = 0; i < count; i++) {
		int flags = is_right_aligned(&columns[i]) ? SCOLS_FL_RIGHT : 0;

		if (!columns[i].title)
			continue;
		if (columns[i].flags & (PSS_OUTPUT_CUT | PSS_OUTPUT_CUT_LEFT))
			flags |= SCOLS_FL_TRUNC;
		if (!scols_table_new_column(ret->lines, columns[i].title, 0, flags))
			pss_message_no_memory();
	}
}

void pss_output_table_add(struct pss_output_table *table, const struct pss_output_value *values)
{
	if (table->rows) {
		(void)add_object(table->rows, table->columns, values, table->column_count);
		return;
	}
	struct libscols_line *line = scols_table_new_line(table->lines, NULL);
	size_t cell = 0;

	if (!line)
		pss_message_no_memory();
	for (size_t i = 0; i < table->column_count; i++) {
		if (!table->columns[i].title)
			continue;
		_cleanup_text_ char *text = value_as_text(&table->columns[i], &values[i]);

		if (scols_line_set_data(line, cell++, text) < 0)
			pss_message_no_memory();
	}
}

// The longest text of a column, less its heading.
static size_t content_width(struct libscols_table *lines, size_t cell)
{
	size_t width = 0;

	for (size_t i = 0; i < scols_table_get_nlines(lines); i++) {
		const char *text = scols_cell_get_data(
			scols_line_get_cell(scols_table_get_line(lines, i), cell));
		size_t own = text ? pss_text_width(text) : 0;

		width = own > width ? own : width;
	}
	return width;
}

// Columns of the terminal that a column of the table would like; 0 if it is left out.
static size_t wanted_width(const struct pss_output_table *table, size_t index, size_t cell)
{
	struct libscols_column *column = scols_table_get_column(table->lines, cell);
	size_t heading = pss_text_width(table->columns[index].title);
	size_t width = content_width(table->lines, cell);

	if (table->columns[index].flags & PSS_OUTPUT_DROP && width == 0)
		(void)scols_column_set_flags(column, SCOLS_FL_HIDDEN);
	if (scols_column_is_hidden(column))
		return 0;
	return width > heading ? width : heading;
}

static void cut_cells(struct libscols_table *lines, size_t cell, size_t width)
{
	for (size_t i = 0; i < scols_table_get_nlines(lines); i++) {
		struct libscols_cell *data =
			scols_line_get_cell(scols_table_get_line(lines, i), cell);
		const char *text = scols_cell_get_data(data);
		char *shorter = text ? pss_text_cut_left(text, width) : NULL;

		// The table takes the text over.
		if (shorter && scols_cell_refer_data(data, shorter) < 0)
			pss_message_no_memory();
	}
}

// Leaves columns out, the last first, until @used, the width of all, is no more than @room. Returns
// the width of what stays.
static size_t drop_columns(const struct pss_output_table *table, size_t used, size_t room)
{
	size_t cell = scols_table_get_ncols(table->lines);

	for (size_t i = table->column_count; i-- > 0 && used > room;) {
		if (!table->columns[i].title)
			continue;
		size_t width = wanted_width(table, i, --cell);

		if (!(table->columns[i].flags & PSS_OUTPUT_DROP) || width == 0)
			continue;
		used -= width + 1;
		(void)scols_column_set_flags(scols_table_get_column(table->lines, cell),
					     SCOLS_FL_HIDDEN);
	}
	return used;
}

// Makes a table fit the terminal: leaves columns out where there is nothing in them or no room for
// them, then cuts the one that may lose its beginning.
static void fit_lines(const struct pss_output_table *table)
{
	size_t room = scols_table_get_termwidth(table->lines);
	size_t used = 0, cut_width = 0, cut_cell = 0, cell = 0;

	for (size_t i = 0; i < table->column_count; i++) {
		if (!table->columns[i].title)
			continue;
		size_t width = wanted_width(table, i, cell);

		if (table->columns[i].flags & (PSS_OUTPUT_CUT | PSS_OUTPUT_CUT_LEFT)) {
			if (table->columns[i].flags & PSS_OUTPUT_CUT_LEFT) {
				cut_cell = cell;
				cut_width = width;
			}
			width = width < CUT_WIDTH_MIN ? width : CUT_WIDTH_MIN;
		}
		used += width > 0 ? width + 1 : 0;
		cell++;
	}
	// Lines end without the blank.
	used = drop_columns(table, used, room + 1);
	size_t cut_room = room + 1 + CUT_WIDTH_MIN;

	if (cut_width > CUT_WIDTH_MIN && cut_room > used + 1)
		cut_cells(table->lines, cut_cell, cut_room - used);
}

void pss_output_table_end(struct pss_output_table *table)
{
	if (!table->lines)
		return;
	print_gap(table->output);
	if (isatty(fileno(table->output->stream)))
		fit_lines(table);
	(void)scols_print_table(table->lines);
	scols_unref_table(table->lines);
	table->lines = NULL;
}

static size_t block_cell_width(const struct pss_output_column *columns, size_t count)
{
	size_t width = 0;

	for (size_t i = 0; i < count; i++)
		if (columns[i].title && strlen(columns[i].title) > width)
			width = strlen(columns[i].title);
	return width;
}

static void print_block(struct pss_output *output, const char *heading,
			const struct pss_output_column *columns,
			const struct pss_output_value *values, size_t count)
{
	// An address has 18 characters; one blank before it, two after.
	enum { VALUE_WIDTH = 18, BLANKS = 3 };
	size_t terminal_width = pss_output_width(output);
	size_t room = terminal_width ? terminal_width : PLAIN_WIDTH;
	int title_width = (int)block_cell_width(columns, count);
	size_t cell_width = (size_t)title_width + VALUE_WIDTH + BLANKS;
	size_t cells = (room + 2) / cell_width, printed = 0;
	int last_width = 0;
	_cleanup_text_ char *safe = pss_text_escape(heading);

	if (cells == 0)
		cells = 1;
	print_gap(output);
	(void)fprintf(output->stream, "%s\n", safe);
	for (size_t i = 0; i < count; i++) {
		if (!columns[i].title || !values[i].is_known)
			continue;
		_cleanup_text_ char *text = value_as_text(&columns[i], &values[i]);
		// Blanks go before the next field, so that none end a line.
		int blanks = printed % cells == 0 ? 0 : VALUE_WIDTH - last_width + 2;

		if (printed > 0 && printed % cells == 0)
			(void)fputc('\n', output->stream);
		(void)fprintf(output->stream, "%*s%-*s %s", blanks, "", title_width,
			      columns[i].title, text);
		last_width = (int)strlen(text);
		printed++;
	}
	if (printed > 0)
		(void)fputc('\n', output->stream);
}

void pss_output_block(struct pss_output *output, const char *key, const char *heading,
		      const struct pss_output_column *columns,
		      const struct pss_output_value *values, size_t count)
{
	if (output->root)
		(void)add_object(get_array(output->root, key), columns, values, count);
	else
		print_block(output, heading, columns, values, count);
}

int pss_output_end(struct pss_output *output)
{
	if (output->root) {
		(void)fprintf(output->stream, "%s\n",
			      json_object_to_json_string_ext(
				      output->root, JSON_C_TO_STRING_PRETTY |
							    JSON_C_TO_STRING_SPACED |
							    JSON_C_TO_STRING_NOSLASHESCAPE));
		pss_output_drop(output);
	}
	errno = 0;
	if (fflush(output->stream) == 0 && !ferror(output->stream))
		return PSS_STATUS_DONE;
	// An earlier failure leaves a mark on the stream but no reason: fail once more.
	if (errno == 0) {
		clearerr(output->stream);
		(void)fputc('\n', output->stream);
		(void)fflush(output->stream);
	}
	// Whoever stops reading has seen enough.
	if (errno == EPIPE)
		return PSS_STATUS_FAILED;
	return pss_message_fail("cannot write to standard output: %s",
				errno ? strerror(errno) : "some of it was lost");
}

void pss_output_drop(struct pss_output *output)
{
	(void)json_object_put(output->root);
	output->root = NULL;
}
