// SPDX-License-Identifier: LGPL-2.1-or-later
// What goes into a minidump, as words on the command line.
#ifndef PSS_CLI_DUMP_TYPE_H
#define PSS_CLI_DUMP_TYPE_H

#include <stdbool.h>
#include <stdint.h>

/** A list of words, or nothing. */
struct pss_dump_type {
	bool is_set;
	uint32_t flags; /**< MINIDUMP_TYPE */
};

/** What a minidump has if nothing is said: stacks, and what tells where they lead. */
uint32_t pss_dump_type_default(void);

/** Reads "full,handles" or Windows' number, such as 0x1806, into a struct pss_dump_type. */
bool pss_dump_type_parse(const char *text, void *field);

/** What to say of a text that makes no sense. */
#define PSS_DUMP_TYPE_EXPECTS "words such as full,handles or a number such as 0x1806"

#endif
