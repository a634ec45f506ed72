// SPDX-License-Identifier: LGPL-2.1-or-later
// Taking words and numbers off the front of text that is not terminated and may hold anything.
// For the parsers of procfs_*.c. Each take_ function moves the text only if it succeeds.
#ifndef PSS_PROCFS_TEXT_H
#define PSS_PROCFS_TEXT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "procfs.h"

static inline void text_advance(struct pss_text *text, size_t size)
{
	text->data += size;
	text->size -= size;
}

/** Drops blanks and tabs. */
static inline void text_skip_blanks(struct pss_text *text)
{
	while (text->size > 0 && (*text->data == ' ' || *text->data == '\t'))
		text_advance(text, 1);
}

static inline bool text_take_char(struct pss_text *text, char c)
{
	if (text->size == 0 || *text->data != c)
		return false;
	text_advance(text, 1);
	return true;
}

static inline bool text_take_prefix(struct pss_text *text, const char *prefix)
{
	size_t size = strlen(prefix);

	if (text->size < size || memcmp(text->data, prefix, size) != 0)
		return false;
	text_advance(text, size);
	return true;
}

/** A line without its newline. False if there is no newline: the text was cut off. */
static inline bool text_take_line(struct pss_text *text, struct pss_text *line_ret)
{
	const char *newline = text->size ? memchr(text->data, '\n', text->size) : NULL;

	if (!newline)
		return false;
	*line_ret = (struct pss_text){ text->data, (size_t)(newline - text->data) };
	text_advance(text, line_ret->size + 1);
	return true;
}

/** What stands before the next blank, tab, newline or the end, blanks before it dropped. */
static inline bool text_take_word(struct pss_text *text, struct pss_text *word_ret)
{
	struct pss_text rest = *text;
	size_t size = 0;

	text_skip_blanks(&rest);
	while (size < rest.size && rest.data[size] != ' ' && rest.data[size] != '\t' &&
	       rest.data[size] != '\n')
		size++;
	if (size == 0)
		return false;
	*word_ret = (struct pss_text){ rest.data, size };
	text_advance(&rest, size);
	*text = rest;
	return true;
}

static inline unsigned text_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return UINT32_MAX;
}

/** Digits of @base, 8, 10 or 16. False without a digit or if 64 bits do not hold the number. */
static inline bool text_take_number(struct pss_text *text, unsigned base, uint64_t *ret)
{
	struct pss_text rest = *text;
	uint64_t value = 0;

	while (rest.size > 0 && text_digit(*rest.data) < base) {
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, text_digit(*rest.data), &value))
			return false;
		text_advance(&rest, 1);
	}
	if (rest.size == text->size)
		return false;
	*text = rest;
	*ret = value;
	return true;
}

/** A decimal number with or without a minus sign. */
static inline bool text_take_signed(struct pss_text *text, int64_t *ret)
{
	struct pss_text rest = *text;
	bool is_negative = text_take_char(&rest, '-');
	uint64_t value;

	if (!text_take_number(&rest, 10, &value) || value > INT64_MAX)
		return false;
	*text = rest;
	*ret = is_negative ? -(int64_t)value : (int64_t)value;
	return true;
}

/** The same, if 32 bits hold it. */
static inline bool text_take_int32(struct pss_text *text, int32_t *ret)
{
	struct pss_text rest = *text;
	int64_t value;

	if (!text_take_signed(&rest, &value) || value < INT32_MIN || value > INT32_MAX)
		return false;
	*text = rest;
	*ret = (int32_t)value;
	return true;
}

#endif
