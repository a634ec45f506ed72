// SPDX-License-Identifier: LGPL-2.1-or-later
// Assertions about a patient, whose record harness_patient.c makes, and about the host, which is
// recorded here.
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness_patient.h"

struct host {
	struct text text;
};

struct patient *patient_record(pid_t pid)
{
	return patient_look(pid, harness_counters_of(pid), PATIENT_DEEPLY);
}

struct patient *patient_record_quietly(pid_t pid)
{
	return patient_look(pid, harness_counters_of(pid), PATIENT_QUIETLY);
}

void patient_free(struct patient *patient)
{
	if (!patient)
		return;
	text_deinit(&patient->text);
	free(patient);
}

static void assert_same(const struct patient *before, const struct patient_pardon *pardon)
{
	struct text differences = { 0 };
	bool same = patient_compare(before, HARNESS_PATIENCE_MS, pardon, &differences);

	if (!same)
		print_error("process %d is not as it was (- before, + after):\n%s", before->pid,
			    differences.bytes);
	text_deinit(&differences);
	if (!same)
		fail();
}

void patient_assert_same(const struct patient *before)
{
	assert_same(before, NULL);
}

// A program may do what it likes while it is looked at: map, open, start threads. What it never
// does by itself: be traced or stopped, have its text changed, hold a descriptor of ours, count
// harm.
static bool is_its_own_doing(void *context, char sign, const char *line)
{
	static const char *const harm[] = { "text ", "counter ", "fp ", "extended " };

	(void)context;
	if (sign == '-')
		return true;
	for (size_t i = 0; i < sizeof(harm) / sizeof(harm[0]); i++)
		if (!strncmp(line, harm[i], strlen(harm[i])))
			return false;
	if (!strncmp(line, "tracer ", 7))
		return strstr(line, "TracerPid:\t0");
	// Stopped by a signal it may have been by others.
	if (!strncmp(line, "state ", 6))
		return !strstr(line, "(tracing stop)");
	if (!strncmp(line, "fd ", 3))
		return !strstr(line, "memfd:procsnap");
	if (!strncmp(line, "child ", 6))
		return !strstr(line, "zombie");
	return true;
}

void patient_assert_unharmed(const struct patient *before)
{
	const struct patient_pardon pardon = { is_its_own_doing, NULL };

	assert_same(before, &pardon);
}

size_t patient_threads(pid_t pid, pid_t *tids, size_t room)
{
	char path[64];
	size_t count;
	long *numbers;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	numbers = harness_list_numbers(path, &count);
	for (size_t i = 0; i < count && i < room; i++)
		tids[i] = (pid_t)numbers[i];
	free(numbers);
	return count;
}

size_t patient_children(pid_t pid, pid_t *children, size_t room)
{
	char path[64];
	size_t count, found = 0;
	long *tids;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	tids = harness_list_numbers(path, &count);
	for (size_t i = 0; i < count; i++) {
		char *text, *rest;

		snprintf(path, sizeof(path), "/proc/%d/task/%ld/children", pid, tids[i]);
		text = rest = harness_read_file(path);
		while (text && rest[strspn(rest, " ")]) {
			pid_t child = (pid_t)strtol(rest, &rest, 10);

			if (found < room)
				children[found] = child;
			found++;
		}
		free(text);
	}
	free(tids);
	return found;
}

bool patient_is_traced(pid_t pid)
{
	pid_t tids[256];
	size_t count = patient_threads(pid, tids, 256);

	for (size_t i = 0; i < count && i < 256; i++) {
		char path[64], *status, *line;
		bool traced;

		snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tids[i]);
		status = harness_read_file(path);
		line = status ? strstr(status, "\nTracerPid:") : NULL;
		traced = line && strtol(line + 11, NULL, 10) != 0;
		free(status);
		if (traced)
			return true;
	}
	return false;
}

size_t harness_count_fds(pid_t pid)
{
	char path[64];
	size_t count;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	free(harness_list_numbers(path, &count));
	// The folder itself is open while it is listed.
	return pid == getpid() ? count - 1 : count;
}

size_t harness_count_maps(pid_t pid)
{
	char path[64], *maps;
	size_t count = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = harness_read_file(path);
	for (const char *at = maps; at && (at = strchr(at, '\n')); at++)
		count++;
	free(maps);
	return count;
}

// What strace would show of a library that takes liberties: descriptors, threads, children,
// signals.
static struct text describe_host(void)
{
	struct text text = { 0 };
	char path[4096];
	mode_t mask = umask(0);
	size_t count;
	long *tids;

	umask(mask);
	text_add(&text, "descriptors %zu\n", harness_count_fds(getpid()));
	text_add(&text, "directory %s\n", getcwd(path, sizeof(path)) ? path : "?");
	text_add(&text, "umask %o\n", mask);
	text_add(&text, "last error %u\n", GetLastError());
	for (int i = 1; i < SIGRTMAX; i++) {
		struct sigaction action = { 0 };

		if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
			text_add(&text, "handler of %d %p\n", i,
				 (void *)(uintptr_t)action.sa_handler);
	}
	tids = harness_list_numbers("/proc/self/task", &count);
	for (size_t i = 0; i < count; i++)
		patient_add_status(&text, getpid(), tids[i], false);
	free(tids);
	patient_add_children(&text, getpid());
	return text;
}

struct host *host_record(void)
{
	struct host *host = calloc(1, sizeof(*host));

	host->text = describe_host();
	return host;
}

void host_free(struct host *host)
{
	if (!host)
		return;
	text_deinit(&host->text);
	free(host);
}

void host_assert_same(const struct host *before)
{
	struct text now = describe_host(), differences = { 0 };

	text_compare(&before->text, &now, NULL, &differences);
	if (differences.size)
		print_error("this process is not as it was (- before, + after):\n%s",
			    differences.bytes);
	text_deinit(&now);
	assert_int_equal(differences.size, 0);
	text_deinit(&differences);
}
