// SPDX-License-Identifier: LGPL-2.1-or-later
// A process that measures from inside itself what is done to it: the longest time that a thread
// which only computes did not run, how late writes to memory were done, how much later than asked
// blocking calls came back, and how much work was done. It also times its own fork(), by the same
// clocks; that is what a capture is compared with.
//
// It prints its pid, then obeys one command a line from stdin, and answers each with one line of
// JSON: touch, reset, report, fork, copy, write PATH. It ends with its stdin. Nanoseconds all.
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "patient.h"

void patient_die(const char *what)
{
	fprintf(stderr, "patient: %s: %s\n", what, strerror(errno));
	exit(1);
}

uint64_t patient_now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void answer(const char *name, uint64_t ns)
{
	printf("{\"%s\":%llu}\n", name, (unsigned long long)ns);
}

static void obey(const char *command)
{
	if (strcmp(command, "touch") == 0) {
		memory_touch();
		printf("{}\n");
	} else if (strcmp(command, "reset") == 0) {
		meters_reset();
		printf("{}\n");
	} else if (strcmp(command, "report") == 0) {
		meters_report();
	} else if (strcmp(command, "fork") == 0) {
		answer("fork_ns", meters_fork());
	} else if (strcmp(command, "copy") == 0) {
		answer("copy_ns", memory_copy());
	} else if (strncmp(command, "write ", 6) == 0) {
		answer("write_ns", memory_write(command + 6));
	} else {
		errno = EINVAL;
		patient_die(command);
	}
	fflush(stdout);
}

static void set_option(struct options *options, int letter, const char *text)
{
	size_t value = text ? strtoull(text, NULL, 0) : 0;

	switch (letter) {
	case 'm':
		options->mib = value;
		break;
	case 'p':
		options->pages = text;
		break;
	case 'f':
		options->fill = text;
		break;
	case 's':
		options->sleepers = (unsigned)value;
		break;
	case 'r':
		options->runners = (unsigned)value;
		break;
	case 'g':
		options->reserve_gib = value;
		break;
	case 'd':
		options->descriptors = (unsigned)value;
		break;
	case 'a':
		options->mappings = (unsigned)value;
		break;
	case 'w':
		options->write_mib = value;
		break;
	case 'F':
		options->write_mib = FLAT_OUT;
		break;
	case 'n':
		options->has_spinner = false;
		break;
	default:
		exit(2);
	}
}

static struct options parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "mib", 1, NULL, 'm' },         { "pages", 1, NULL, 'p' },
		{ "fill", 1, NULL, 'f' },        { "sleepers", 1, NULL, 's' },
		{ "runners", 1, NULL, 'r' },     { "reserve-gib", 1, NULL, 'g' },
		{ "descriptors", 1, NULL, 'd' }, { "mappings", 1, NULL, 'a' },
		{ "write-mib", 1, NULL, 'w' },   { "write-flat-out", 0, NULL, 'F' },
		{ "no-spinner", 0, NULL, 'n' },  { NULL, 0, NULL, 0 },
	};
	struct options options = {
		.mib = 64, .pages = "4k", .fill = "random", .has_spinner = true
	};

	for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;)
		set_option(&options, c, optarg);
	return options;
}

int main(int argc, char **argv)
{
	struct options options = parse(argc, argv);
	char line[4096];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	memory_make(&options);
	meters_start(&options);
	printf("{\"pid\":%d,\"address\":%llu,\"size\":%zu}\n", getpid(),
	       (unsigned long long)(uintptr_t)memory_base(), memory_size());
	fflush(stdout);
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = '\0';
		obey(line);
	}
	_exit(0);
}
