// SPDX-License-Identifier: LGPL-2.1-or-later
// Commands and their options as tables. Parsing, help and complaints all come from these; no
// command knows getopt.
#ifndef PSS_CLI_OPTIONS_H
#define PSS_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/**
 * An option. Without @value it is a switch and sets a bool; with @value and no @parse it stores the
 * text in a const char *; with @parse whatever that makes of it.
 */
struct pss_option {
	const char *name;
	char letter;       /**< or 0 */
	const char *value; /**< what help calls the value, or NULL */
	const char *help;
	size_t offset; /**< of the field in the command's values */
	/** Reads @text into the field. False if it makes no sense. */
	bool (*parse)(const char *text, void *field);
	const char *expects; /**< what to say then: "expects ..." */
};

/** A command of procsnap. Values start as zeroes. */
struct pss_command {
	const char *name;
	const char *operand; /**< what help calls it */
	bool needs_operand;
	const char *summary;
	const char *description;
	const struct pss_option *options;
	size_t option_count;
	/** Does it. @operand is NULL if there was none. Returns an exit status. */
	int (*run)(const void *values, const char *operand);
};

enum { PSS_OPTIONS_VALUES_MAX = 128 };

/** What a command line said. */
struct pss_options {
	bool wants_help;
	const char *operand; /**< borrowed from argv; NULL if none */
	_Alignas(max_align_t) unsigned char values[PSS_OPTIONS_VALUES_MAX];
};

/** Reads a command's arguments; argv[0] is the command's name. Returns an exit status. */
int pss_options_parse(const struct pss_command *command, int argc, char **argv,
		      struct pss_options *ret);

/** Prints what a command does and its options. */
void pss_options_help(const struct pss_command *command, FILE *stream);

#endif
