// SPDX-License-Identifier: LGPL-2.1-or-later
// What a command prints: one description of a table, rendered as text for people or as JSON for
// programs. Addresses are hexadecimal texts in JSON, sizes and times plain numbers.
#ifndef PSS_CLI_OUTPUT_H
#define PSS_CLI_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum pss_output_kind {
	PSS_OUTPUT_TEXT,
	PSS_OUTPUT_WORDS, /**< words between spaces; an array in JSON */
	PSS_OUTPUT_NUMBER,
	PSS_OUTPUT_SIGNED,
	PSS_OUTPUT_SIZE,     /**< bytes */
	PSS_OUTPUT_DURATION, /**< nanoseconds */
	PSS_OUTPUT_TIME,     /**< nanoseconds of CLOCK_REALTIME */
	PSS_OUTPUT_ADDRESS,
	PSS_OUTPUT_FLAG,
};

enum {
	PSS_OUTPUT_CUT = 0x1,      /**< the end may be cut to fit the terminal */
	PSS_OUTPUT_CUT_LEFT = 0x2, /**< so may the beginning; one column of a table at most */
	PSS_OUTPUT_DROP = 0x4,     /**< left out where the terminal is too narrow, the last first */
};

/** A column of a table, or a field of a record. */
struct pss_output_column {
	const char *key;   /**< in JSON; NULL: not there */
	const char *title; /**< in text; NULL: not there */
	enum pss_output_kind kind;
	unsigned int flags;
};

/** A cell. Empty unless made by one of the functions below. */
struct pss_output_value {
	bool is_known;
	const char *text; /**< borrowed until the row is added; any bytes */
	uint64_t number;
};

static inline struct pss_output_value pss_output_text(const char *text)
{
	return (struct pss_output_value){ .is_known = true, .text = text };
}

static inline struct pss_output_value pss_output_number(uint64_t number)
{
	return (struct pss_output_value){ .is_known = true, .number = number };
}

struct pss_output {
	FILE *stream;
	struct json_object *root; /**< NULL: text */
	bool has_printed;
};

/** A table being filled, or a list of blocks. */
struct pss_output_table {
	struct pss_output *output;
	const struct pss_output_column *columns;
	size_t column_count;
	struct json_object *rows;     /**< of JSON */
	struct libscols_table *lines; /**< of text */
};

void pss_output_begin(struct pss_output *output, bool is_json, FILE *stream);

/** Columns of the terminal that it goes to; 0 if that is none. */
size_t pss_output_width(const struct pss_output *output);

/** One thing: a field a line, or an object called @key; NULL puts the fields at the top. */
void pss_output_record(struct pss_output *output, const char *key,
		       const struct pss_output_column *columns,
		       const struct pss_output_value *values, size_t count);

/** Many things of one kind: a line each, or an array of objects called @key. */
void pss_output_table_begin(struct pss_output *output, const char *key,
			    const struct pss_output_column *columns, size_t count,
			    struct pss_output_table *ret);
void pss_output_table_add(struct pss_output_table *table, const struct pss_output_value *values);
void pss_output_table_end(struct pss_output_table *table);

/**
 * A thing with many short fields: @heading, then as many a line as fit; in JSON an element of the
 * array called @key.
 */
void pss_output_block(struct pss_output *output, const char *key, const char *heading,
		      const struct pss_output_column *columns,
		      const struct pss_output_value *values, size_t count);

/** Prints what is left. Returns an exit status: not everything may have been written. */
int pss_output_end(struct pss_output *output);

/** Lets go of what is not printed yet: half a JSON object is of no use. */
void pss_output_drop(struct pss_output *output);

#endif
