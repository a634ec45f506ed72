// SPDX-License-Identifier: LGPL-2.1-or-later
// Values as people read them: sizes, times, and text of strangers made safe for a terminal.
#ifndef PSS_CLI_TEXT_H
#define PSS_CLI_TEXT_H

#include <stddef.h>
#include <stdint.h>

/** Room that every number, size, duration and time below fits in. */
enum { PSS_TEXT_ROOM = 64 };

/** "512 B", "4 KiB", "1.2 GiB". Returns @buffer. */
char *pss_text_size(uint64_t bytes, char buffer[PSS_TEXT_ROOM]);

/** "0.04 ms", "3.2 ms", "12.3 s", "1:02:03", "2d 01:02:03". Returns @buffer. */
char *pss_text_duration(uint64_t ns, char buffer[PSS_TEXT_ROOM]);

/** CLOCK_REALTIME in local time, to the second. Returns @buffer. */
char *pss_text_time(uint64_t ns, char buffer[PSS_TEXT_ROOM]);

/** CLOCK_REALTIME as RFC 3339 has it, in UTC, to the nanosecond. Returns @buffer. */
char *pss_text_timestamp(uint64_t ns, char buffer[PSS_TEXT_ROOM]);

/**
 * A copy in which control characters, characters that turn the direction of writing and what is no
 * UTF-8 stand as \xNN; in another locale than a UTF-8 one all that is not ASCII does. The caller
 * frees it.
 */
char *pss_text_escape(const char *text);

/** A copy in which what is no UTF-8 has become U+FFFD. The caller frees it. */
char *pss_text_to_utf8(const char *text);

/** Columns that @text takes on a terminal. @text is escaped. */
size_t pss_text_width(const char *text);

/** The end of @text that fits in @width columns, after an ellipsis; NULL if all of it fits. The
 * caller frees it. */
char *pss_text_cut_left(const char *text, size_t width);

/** strdup() and asprintf() that do not come back without memory. */
char *pss_text_copy(const char *text);
char *pss_text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** Frees the text a variable points at when its scope ends. */
void pss_text_free_ptr(char **text);

#define _cleanup_text_ __attribute__((cleanup(pss_text_free_ptr)))

#endif
