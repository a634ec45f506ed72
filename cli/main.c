// SPDX-License-Identifier: LGPL-2.1-or-later
// The table of commands, help made from it, and what holds for all of them. Knows no process.
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <procsnap.h>

#include "commands.h"
#include "interrupt.h"
#include "message.h"

static int run_help(const void *values, const char *operand);

static const struct pss_command cmd_help = {
	.name = "help",
	.operand = "[COMMAND]",
	.summary = "tell what a command does",
	.description = "Tells what a command does and which options it has; without COMMAND, which "
		       "commands there are.",
	.run = run_help,
};

static const struct pss_command *const commands[] = {
	&pss_cmd_dump,
	&pss_cmd_show,
	&pss_cmd_doctor,
	&cmd_help,
};

enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static const struct pss_command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static void print_usage(FILE *stream)
{
	(void)fputs("Usage: procsnap COMMAND [OPTION]... [PID|NAME]\n"
		    "\n"
		    "Snapshots of live processes, which go on unharmed.\n"
		    "\n"
		    "Commands:\n",
		    stream);
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		(void)fprintf(stream, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	(void)fputs("\n"
		    "Options:\n"
		    "  -h, --help     print this and exit; after a command, what that does\n"
		    "      --version  print the version and exit\n",
		    stream);
}

// Help is output like any other: it may not get through.
static int end_stdout(void)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		return pss_message_fail("cannot write to standard output: %m");
	return PSS_STATUS_DONE;
}

static int no_command(const char *name)
{
	return pss_message_usage("'%s' is not a command; see 'procsnap --help'", name);
}

static int run_help(const void *values, const char *operand)
{
	(void)values;
	if (operand) {
		const struct pss_command *command = find_command(operand);

		if (!command)
			return no_command(operand);
		pss_options_help(command, stdout);
	} else {
		print_usage(stdout);
	}
	return end_stdout();
}

static int run_command(const struct pss_command *command, int argc, char **argv)
{
	struct pss_options options;
	int status = pss_options_parse(command, argc, argv, &options);

	if (status != PSS_STATUS_DONE)
		return status;
	if (options.wants_help) {
		pss_options_help(command, stdout);
		return end_stdout();
	}
	return command->run(options.values, options.operand);
}

// A file of ours that became descriptor 1 would receive what is meant for standard output.
static void fill_standard_descriptors(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		// Read-only, so that writing to a closed standard output fails as it should.
		if (fcntl(fd, F_GETFD) < 0)
			(void)open("/dev/null", O_RDONLY);
}

static int dispatch(int argc, char **argv)
{
	const char *word = argc > 1 ? argv[1] : NULL;

	if (!word) {
		print_usage(stderr);
		return PSS_STATUS_USAGE;
	}
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
		return run_help(NULL, NULL);
	if (strcmp(word, "--version") == 0) {
		(void)printf("procsnap %s\n", PssxVersion());
		return end_stdout();
	}
	if (*word == '-')
		return pss_message_usage("option '%s' is unknown; see 'procsnap --help'", word);

	const struct pss_command *command = find_command(word);

	return command ? run_command(command, argc - 1, argv + 1) : no_command(word);
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	// Characters as the terminal has them; numbers stay as they are everywhere.
	(void)setlocale(LC_CTYPE, "");
	// A reader that goes away and a limit of file size are errors with a reason, not a death.
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGXFSZ, SIG_IGN);

	int status = dispatch(argc, argv);

	// A signal that came when all was done already does not undo it.
	if (status != PSS_STATUS_DONE)
		pss_interrupt_finish();
	return status;
}
