// SPDX-License-Identifier: LGPL-2.1-or-later
// Option tables to values through getopt_long, and to help text. Holds no option of its own but
// --help, which every command has.
#include "options.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "message.h"

enum {
	OPTIONS_MAX = 16,
	OPTION_CODE = 256, /**< what getopt returns for entry 0 of a table; above every letter */
	HELP_CODE = 'h',
	HELP_COLUMN = 26,
	HELP_WIDTH = 80,
};

static const struct pss_option help_option = {
	.name = "help",
	.letter = 'h',
	.help = "print this and exit",
};

struct getopt_tables {
	struct option longs[OPTIONS_MAX + 2];
	char shorts[2 * OPTIONS_MAX + 8];
};

static void add_short(char *shorts, const struct pss_option *option)
{
	size_t end = strlen(shorts);

	if (option->letter == 0)
		return;
	shorts[end++] = option->letter;
	if (option->value)
		shorts[end++] = ':';
	shorts[end] = '\0';
}

static void make_tables(const struct pss_command *command, struct getopt_tables *tables)
{
	assert(command->option_count <= OPTIONS_MAX);
	*tables = (struct getopt_tables){ .shorts = ":" };
	for (size_t i = 0; i < command->option_count; i++) {
		const struct pss_option *option = &command->options[i];

		tables->longs[i] = (struct option){
			.name = option->name,
			.has_arg = option->value ? required_argument : no_argument,
			.val = OPTION_CODE + (int)i,
		};
		add_short(tables->shorts, option);
	}
	tables->longs[command->option_count] = (struct option){
		.name = help_option.name,
		.val = HELP_CODE,
	};
	add_short(tables->shorts, &help_option);
}

static const struct pss_option *find_option(const struct pss_command *command, int code)
{
	if (code >= OPTION_CODE)
		return &command->options[code - OPTION_CODE];
	for (size_t i = 0; i < command->option_count; i++)
		if (command->options[i].letter == code)
			return &command->options[i];
	return NULL;
}

static int store(const struct pss_command *command, const struct pss_option *option,
		 const char *text, struct pss_options *options)
{
	void *field = options->values + option->offset;

	if (!option->value)
		*(bool *)field = true;
	else if (!option->parse)
		*(const char **)field = text;
	else if (!option->parse(text, field))
		return pss_message_usage("--%s expects %s, not '%s'; see 'procsnap %s --help'",
					 option->name, option->expects, text, command->name);
	return PSS_STATUS_DONE;
}

static int complain_of(const struct pss_command *command, const char *word, const char *what)
{
	return pss_message_usage("option '%s' %s; see 'procsnap %s --help'", word, what,
				 command->name);
}

// @word begins several names, or none: getopt takes a beginning for the whole.
static int complain_of_name(const struct pss_command *command, const struct getopt_tables *tables,
			    const char *word)
{
	size_t length = strcspn(word + 2, "=");
	char names[256] = "";
	size_t used = 0;

	for (const struct option *option = tables->longs; option->name; option++)
		if (strncmp(option->name, word + 2, length) == 0 && used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s--%s",
						 used ? " or " : "may be ", option->name);
	return complain_of(command, word, used ? names : "is unknown");
}

// getopt names a long option by its place in argv; a letter, or what is known of a long one, by
// optopt.
static int complain(const struct pss_command *command, const struct getopt_tables *tables, int code,
		    char **argv)
{
	const char *word = argv[optind - 1];
	const char letter[3] = { '-', (char)optopt, '\0' };

	if (code == ':')
		return complain_of(command, optopt < OPTION_CODE ? letter : word, "needs a value");
	if (strncmp(word, "--", 2) != 0 ||
	    (optopt > 0 && optopt < OPTION_CODE && optopt != HELP_CODE))
		return complain_of(command, letter, "is unknown");
	if (optopt == 0)
		return complain_of_name(command, tables, word);
	return complain_of(command, word, "takes no value");
}

static int take_operand(const struct pss_command *command, int argc, char **argv,
			struct pss_options *options)
{
	if (optind < argc)
		options->operand = argv[optind++];
	if (!options->operand && command->needs_operand)
		return pss_message_usage("%s needs %s; see 'procsnap %s --help'", command->name,
					 command->operand, command->name);
	if (optind < argc)
		return pss_message_usage("'%s' is one argument too many; see 'procsnap %s --help'",
					 argv[optind], command->name);
	return PSS_STATUS_DONE;
}

int pss_options_parse(const struct pss_command *command, int argc, char **argv,
		      struct pss_options *ret)
{
	struct pss_options options = { .operand = NULL };
	struct getopt_tables tables;
	int code;

	make_tables(command, &tables);
	opterr = 0;
	optind = 1;
	while ((code = getopt_long(argc, argv, tables.shorts, tables.longs, NULL)) != -1) {
		const struct pss_option *option = find_option(command, code);
		int status = PSS_STATUS_DONE;

		if (code == HELP_CODE)
			options.wants_help = true;
		else if (option)
			status = store(command, option, optarg, &options);
		else
			status = complain(command, &tables, code, argv);
		if (status != PSS_STATUS_DONE)
			return status;
	}
	if (!options.wants_help) {
		int status = take_operand(command, argc, argv, &options);

		if (status != PSS_STATUS_DONE)
			return status;
	}
	*ret = options;
	return PSS_STATUS_DONE;
}

// Prints @text from @column on, broken between words.
static void print_wrapped(const char *text, int column, FILE *stream)
{
	int used = column;

	while (*text != '\0') {
		int length = (int)strcspn(text, " ");

		if (used > column && used + 1 + length > HELP_WIDTH) {
			(void)fprintf(stream, "\n%*s", column, "");
			used = column;
		} else if (used > column) {
			(void)fputc(' ', stream);
			used++;
		}
		(void)fprintf(stream, "%.*s", length, text);
		used += length;
		text += length;
		text += strspn(text, " ");
	}
	(void)fputc('\n', stream);
}

static void print_option(const struct pss_option *option, FILE *stream)
{
	char left[64];
	int length = snprintf(left, sizeof(left), "  %c%c%s--%s%s%s", option->letter ? '-' : ' ',
			      option->letter ? option->letter : ' ', option->letter ? ", " : "  ",
			      option->name, option->value ? " " : "",
			      option->value ? option->value : "");

	if (length + 2 > HELP_COLUMN)
		(void)fprintf(stream, "%s\n%*s", left, HELP_COLUMN, "");
	else
		(void)fprintf(stream, "%-*s", HELP_COLUMN, left);
	print_wrapped(option->help, HELP_COLUMN, stream);
}

void pss_options_help(const struct pss_command *command, FILE *stream)
{
	(void)fprintf(stream, "Usage: procsnap %s [OPTION]... %s\n\n", command->name,
		      command->operand);
	print_wrapped(command->description, 0, stream);
	(void)fputs("\nOptions:\n", stream);
	for (size_t i = 0; i < command->option_count; i++)
		print_option(&command->options[i], stream);
	print_option(&help_option, stream);
}
