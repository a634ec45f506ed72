// SPDX-License-Identifier: LGPL-2.1-or-later
// The lines on standard error. Does not decide what is an error.
#include "message.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <procsnap.h>

#include "text.h"

static void print_line(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

static void print_line(const char *format, va_list arguments)
{
	char *line = NULL;

	if (vasprintf(&line, format, arguments) < 0)
		pss_message_no_memory();
	char *safe = pss_text_escape(line);

	// One call, so that lines of several processes do not mix.
	(void)fprintf(stderr, "procsnap: %s\n", safe);
	free(safe);
	free(line);
}

int pss_message_fail(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line(format, arguments);
	va_end(arguments);
	return PSS_STATUS_FAILED;
}

int pss_message_usage(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line(format, arguments);
	va_end(arguments);
	return PSS_STATUS_USAGE;
}

void pss_message_note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	print_line(format, arguments);
	va_end(arguments);
}

int pss_message_library(const char *subject)
{
	const char *text = PssxErrorText();

	if (*text == '\0')
		text = "failed for a reason the library does not tell";
	if (subject)
		return pss_message_fail("%s: %s", subject, text);
	return pss_message_fail("%s", text);
}

int pss_message_capture(DWORD error)
{
	bool is_refused = error == ERROR_TIMEOUT || error == ERROR_NOT_ENOUGH_QUOTA;
	int status = pss_message_library(NULL);

	return is_refused ? PSS_STATUS_REFUSED : status;
}

void pss_message_no_memory(void)
{
	(void)fputs("procsnap: out of memory\n", stderr);
	exit(PSS_STATUS_FAILED);
}
