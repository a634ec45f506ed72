// SPDX-License-Identifier: LGPL-2.1-or-later
// Values as text. Knows nothing of processes and prints nothing.
#include "text.h"

#include <langinfo.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

#include "message.h"

enum { NS_PER_SECOND = 1000000000 };

char *pss_text_size(uint64_t bytes, char buffer[PSS_TEXT_ROOM])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t scale = 1;
	size_t unit = 0;

	while (bytes / scale >= 1024) {
		scale *= 1024;
		unit++;
	}
	double value = (double)bytes / (double)scale;

	(void)snprintf(buffer, PSS_TEXT_ROOM, "%.*f %s",
		       bytes % scale == 0 || value >= 99.95 ? 0 : 1, value, units[unit]);
	return buffer;
}

static void format_clock(uint64_t seconds, char buffer[PSS_TEXT_ROOM])
{
	unsigned long long days = seconds / 86400;
	unsigned int hours = (unsigned int)(seconds / 3600 % 24);
	unsigned int minutes = (unsigned int)(seconds / 60 % 60);
	unsigned int rest = (unsigned int)(seconds % 60);

	if (days > 0)
		(void)snprintf(buffer, PSS_TEXT_ROOM, "%llud %02u:%02u:%02u", days, hours, minutes,
			       rest);
	else
		(void)snprintf(buffer, PSS_TEXT_ROOM, "%u:%02u:%02u", hours, minutes, rest);
}

char *pss_text_duration(uint64_t ns, char buffer[PSS_TEXT_ROOM])
{
	if (ns < 1000000)
		(void)snprintf(buffer, PSS_TEXT_ROOM, "%.2f ms", (double)ns / 1e6);
	else if (ns < NS_PER_SECOND)
		(void)snprintf(buffer, PSS_TEXT_ROOM, "%.1f ms", (double)ns / 1e6);
	else if (ns < 60ULL * NS_PER_SECOND)
		(void)snprintf(buffer, PSS_TEXT_ROOM, "%.*f s", ns % NS_PER_SECOND ? 1 : 0,
			       (double)ns / 1e9);
	else
		format_clock(ns / NS_PER_SECOND, buffer);
	return buffer;
}

char *pss_text_time(uint64_t ns, char buffer[PSS_TEXT_ROOM])
{
	time_t seconds = (time_t)(ns / NS_PER_SECOND);
	struct tm parts;

	if (!localtime_r(&seconds, &parts) ||
	    strftime(buffer, PSS_TEXT_ROOM, "%Y-%m-%d %H:%M:%S", &parts) == 0)
		(void)snprintf(buffer, PSS_TEXT_ROOM, "?");
	return buffer;
}

char *pss_text_timestamp(uint64_t ns, char buffer[PSS_TEXT_ROOM])
{
	time_t seconds = (time_t)(ns / NS_PER_SECOND);
	char date[PSS_TEXT_ROOM / 2] = "";
	struct tm parts;

	if (!gmtime_r(&seconds, &parts) ||
	    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts) == 0)
		date[0] = '\0';
	(void)snprintf(buffer, PSS_TEXT_ROOM, "%s.%09uZ", date, (unsigned int)(ns % NS_PER_SECOND));
	return buffer;
}

// Length of the UTF-8 character at @text and its code point; 0 if there is none.
static size_t decode_utf8(const unsigned char *text, uint32_t *code_ret)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = text[0] < 0x80           ? 1
			: (text[0] >> 5) == 0x06 ? 2
			: (text[0] >> 4) == 0x0e ? 3
			: (text[0] >> 3) == 0x1e ? 4
						 : 0;
	if (length == 0)
		return 0;
	uint32_t code = length == 1 ? text[0] : text[0] & (0x7fU >> length);

	// A terminator is no continuation byte, so this stops before the end.
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (text[i] & 0x3f);
	}
	if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*code_ret = code;
	return length;
}

// Characters that move the cursor, change colours or turn the direction of writing.
static bool is_unsafe(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c || code == 0x200e ||
	       code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069) || code == 0xfeff;
}

static bool is_utf8_locale(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static char *allocate(size_t size)
{
	char *memory = malloc(size);

	if (!memory)
		pss_message_no_memory();
	return memory;
}

char *pss_text_escape(const char *text)
{
	char *escaped = allocate(strlen(text) * 4 + 1);
	bool is_utf8 = is_utf8_locale();
	char *end = escaped;

	while (*text != '\0') {
		uint32_t code = 0;
		size_t length = decode_utf8((const unsigned char *)text, &code);

		if (length == 1 && !is_unsafe(code)) {
			*end++ = *text++;
		} else if (length > 1 && is_utf8 && !is_unsafe(code)) {
			memcpy(end, text, length);
			end += length;
			text += length;
		} else {
			for (size_t rest = length ? length : 1; rest > 0; rest--)
				end += sprintf(end, "\\x%02x", (unsigned char)*text++);
		}
	}
	*end = '\0';
	return escaped;
}

char *pss_text_to_utf8(const char *text)
{
	static const char replacement[] = "\xef\xbf\xbd";
	char *clean = allocate(strlen(text) * (sizeof(replacement) - 1) + 1);
	char *end = clean;

	while (*text != '\0') {
		uint32_t code;
		size_t length = decode_utf8((const unsigned char *)text, &code);
		const char *from = length ? text : replacement;
		size_t size = length ? length : sizeof(replacement) - 1;

		memcpy(end, from, size);
		end += size;
		text += length ? length : 1;
	}
	*end = '\0';
	return clean;
}

static size_t character_width(uint32_t code)
{
	int width = wcwidth((wchar_t)code);

	return width < 0 ? 1 : (size_t)width;
}

size_t pss_text_width(const char *text)
{
	size_t width = 0;

	while (*text != '\0') {
		uint32_t code = '?';
		size_t length = decode_utf8((const unsigned char *)text, &code);

		width += character_width(code);
		text += length ? length : 1;
	}
	return width;
}

char *pss_text_cut_left(const char *text, size_t width)
{
	size_t excess = pss_text_width(text);

	if (excess <= width)
		return NULL;
	const char *ellipsis = is_utf8_locale() ? "\u2026" : "~";

	excess = excess + 1 - width;
	while (*text != '\0' && excess > 0) {
		uint32_t code = '?';
		size_t length = decode_utf8((const unsigned char *)text, &code);
		size_t columns = character_width(code);

		excess -= columns < excess ? columns : excess;
		text += length ? length : 1;
	}
	return pss_text_format("%s%s", ellipsis, text);
}

char *pss_text_copy(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		pss_message_no_memory();
	return copy;
}

char *pss_text_format(const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	int length = vasprintf(&text, format, arguments);

	va_end(arguments);
	if (length < 0)
		pss_message_no_memory();
	return text;
}

void pss_text_free_ptr(char **text)
{
	free(*text);
	*text = NULL;
}
