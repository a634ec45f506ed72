// SPDX-License-Identifier: LGPL-2.1-or-later
// UTF-8 to UTF-16 and back. Pure. What is not valid becomes U+FFFD, one for each ill-formed piece.
#ifndef PSS_UTF_H
#define PSS_UTF_H

#include <stddef.h>
#include <uchar.h>

/**
 * Both write at most @room units to @target, a terminator among them, and never part of a
 * character; with @room 0 nothing is written and @target may be NULL. Both return how many units
 * the whole text takes without terminator. @length counts units of @source, which may hold zeroes.
 */
size_t pss_utf_to_utf16(const char *source, size_t length, char16_t *target, size_t room);
size_t pss_utf_to_utf8(const char16_t *source, size_t length, char *target, size_t room);

#endif
