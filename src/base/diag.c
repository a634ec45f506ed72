// SPDX-License-Identifier: LGPL-2.1-or-later
// Composes the one line that tells what failed, on what and why; see diag.h.
#include "base/diag.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// strerrordesc_np() returns constant text: no locale, no allocation, safe in the capture's helper.
static const char *reason(int error)
{
	const char *text = strerrordesc_np(-error);

	// What these mean here, which the kernel's words do not say.
	if (error == -ETIME)
		return "the pause would be too long";
	if (error == -PSS_ETRACED)
		return "it has a tracer";
	if (error == -EDQUOT)
		return "a limit that protects the process is reached";
	return text ? text : "unknown error";
}

int pss_fail(struct pss_diag *diag, int error, const char *format, ...)
{
	if (!diag || diag->error)
		return error;

	va_list args;
	va_start(args, format);
	(void)vsnprintf(diag->text, sizeof diag->text, format, args);
	va_end(args);

	size_t used = strlen(diag->text);
	(void)snprintf(diag->text + used, sizeof diag->text - used, ": %s", reason(error));
	diag->error = error;
	return error;
}

void pss_diag_hint(struct pss_diag *diag, const char *format, ...)
{
	if (!diag || !diag->error)
		return;

	size_t used = strlen(diag->text);
	if (used + 4 >= sizeof diag->text)
		return;
	diag->text[used++] = ' ';
	diag->text[used++] = '(';

	va_list args;
	va_start(args, format);
	(void)vsnprintf(diag->text + used, sizeof diag->text - used, format, args);
	va_end(args);

	used = strlen(diag->text);
	if (used + 1 >= sizeof diag->text)
		used = sizeof diag->text - 2;
	diag->text[used] = ')';
	diag->text[used + 1] = '\0';
}
