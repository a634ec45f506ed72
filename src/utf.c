// SPDX-License-Identifier: LGPL-2.1-or-later
// The conversions of utf.h: decode one character, encode it, until the source ends.
#include "utf.h"

#include <stdint.h>

#define REPLACEMENT 0xFFFDu

/** A character and how many units of the source it took. */
struct decoded {
	uint32_t character;
	size_t length;
};

// The table of well-formed byte sequences (Unicode, table 3-7): it excludes overlong forms,
// surrogates and what lies above U+10FFFF by the range of the second byte.
static const struct {
	uint8_t first_low, first_high;
	uint8_t second_low, second_high;
	uint8_t length;
	uint8_t mask;
} forms[] = {
	{ 0x00, 0x7F, 0x00, 0x00, 1, 0x7F }, { 0xC2, 0xDF, 0x80, 0xBF, 2, 0x1F },
	{ 0xE0, 0xE0, 0xA0, 0xBF, 3, 0x0F }, { 0xE1, 0xEC, 0x80, 0xBF, 3, 0x0F },
	{ 0xED, 0xED, 0x80, 0x9F, 3, 0x0F }, { 0xEE, 0xEF, 0x80, 0xBF, 3, 0x0F },
	{ 0xF0, 0xF0, 0x90, 0xBF, 4, 0x07 }, { 0xF1, 0xF3, 0x80, 0xBF, 4, 0x07 },
	{ 0xF4, 0xF4, 0x80, 0x8F, 4, 0x07 },
};

static struct decoded decode_utf8(const uint8_t *source, size_t length)
{
	size_t form = 0;

	while (form < sizeof forms / sizeof forms[0] &&
	       (source[0] < forms[form].first_low || source[0] > forms[form].first_high))
		form++;
	if (form == sizeof forms / sizeof forms[0])
		return (struct decoded){ REPLACEMENT, 1 };

	uint32_t character = source[0] & forms[form].mask;
	for (size_t i = 1; i < forms[form].length; i++) {
		uint8_t low = i == 1 ? forms[form].second_low : 0x80;
		uint8_t high = i == 1 ? forms[form].second_high : 0xBF;

		// What was well formed so far is one ill-formed piece.
		if (i >= length || source[i] < low || source[i] > high)
			return (struct decoded){ REPLACEMENT, i };
		character = character << 6 | (source[i] & 0x3F);
	}
	return (struct decoded){ character, forms[form].length };
}

static struct decoded decode_utf16(const char16_t *source, size_t length)
{
	if (source[0] < 0xD800 || source[0] > 0xDFFF)
		return (struct decoded){ source[0], 1 };
	if (source[0] > 0xDBFF || length < 2 || source[1] < 0xDC00 || source[1] > 0xDFFF)
		return (struct decoded){ REPLACEMENT, 1 };
	return (struct decoded){ 0x10000u + ((source[0] - 0xD800u) << 10) + (source[1] - 0xDC00u),
				 2 };
}

static size_t encode_utf16(uint32_t character, char16_t out[2])
{
	if (character < 0x10000) {
		out[0] = (char16_t)character;
		return 1;
	}
	out[0] = (char16_t)(0xD800 + ((character - 0x10000) >> 10));
	out[1] = (char16_t)(0xDC00 + (character & 0x3FF));
	return 2;
}

static size_t encode_utf8(uint32_t character, char out[4])
{
	size_t length = character < 0x80 ? 1 : character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;

	if (length == 1) {
		out[0] = (char)character;
		return 1;
	}
	for (size_t i = length - 1; i > 0; i--) {
		out[i] = (char)(0x80 | (character & 0x3F));
		character >>= 6;
	}
	out[0] = (char)((0xF00u >> length & 0xF0u) | character);
	return length;
}

size_t pss_utf_to_utf16(const char *source, size_t length, char16_t *target, size_t room)
{
	size_t needed = 0;
	size_t written = 0;

	for (size_t i = 0; i < length;) {
		struct decoded c = decode_utf8((const uint8_t *)source + i, length - i);
		char16_t units[2];
		size_t count = encode_utf16(c.character, units);

		// Once a character did not fit, none after it may be written.
		if (written == needed && needed + count < room) {
			for (size_t k = 0; k < count; k++)
				target[written++] = units[k];
		}
		needed += count;
		i += c.length;
	}
	if (room > 0)
		target[written] = 0;
	return needed;
}

size_t pss_utf_to_utf8(const char16_t *source, size_t length, char *target, size_t room)
{
	size_t needed = 0;
	size_t written = 0;

	for (size_t i = 0; i < length;) {
		struct decoded c = decode_utf16(source + i, length - i);
		char units[4];
		size_t count = encode_utf8(c.character, units);

		if (written == needed && needed + count < room) {
			for (size_t k = 0; k < count; k++)
				target[written++] = units[k];
		}
		needed += count;
		i += c.length;
	}
	if (room > 0)
		target[written] = 0;
	return needed;
}
