// SPDX-License-Identifier: LGPL-2.1-or-later
// The progress line on standard error: bytes, rate, time left.
#include "progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

enum { INTERVAL_NS = 500000000 };

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

void pss_progress_begin(struct pss_progress *progress, bool wanted, const char *label)
{
	*progress = (struct pss_progress){
		.is_shown = wanted && isatty(STDERR_FILENO),
		.start_ns = now_ns(),
		.label = label,
	};
	progress->last_ns = progress->start_ns;
}

// Columns a line may take without being broken.
static int line_width(void)
{
	struct winsize size;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 2)
		return 79;
	return size.ws_col - 1;
}

void pss_progress_update(struct pss_progress *progress, uint64_t done, uint64_t total)
{
	uint64_t now = now_ns();

	if (!progress->is_shown || now - progress->last_ns < INTERVAL_NS)
		return;
	char done_text[PSS_TEXT_ROOM], total_text[PSS_TEXT_ROOM], rate_text[PSS_TEXT_ROOM];
	char left_text[PSS_TEXT_ROOM];
	double seconds = (double)(now - progress->start_ns) / 1e9;
	double rate = (double)done / seconds;
	double left = rate > 0 && total > done ? (double)(total - done) / rate : 0;
	// Whole seconds, rounded up: more would only flicker.
	uint64_t left_ns = ((uint64_t)left + 1) * 1000000000U;
	_cleanup_text_ char *line = pss_text_format(
		"%s of %s, %s/s, %s left  %s", pss_text_size(done, done_text),
		pss_text_size(total, total_text), pss_text_size((uint64_t)rate, rate_text),
		pss_text_duration(left_ns, left_text), progress->label);

	// \r and \033[K: back to the first column, clear to the end.
	(void)fprintf(stderr, "\r%.*s\033[K", line_width(), line);
	(void)fflush(stderr);
	progress->last_ns = now;
	progress->is_on_screen = true;
}

void pss_progress_end(struct pss_progress *progress)
{
	if (progress->is_on_screen)
		(void)fputs("\r\033[K", stderr);
	*progress = (struct pss_progress){ .label = NULL };
}
