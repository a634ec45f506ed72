// SPDX-License-Identifier: LGPL-2.1-or-later
// Fails every step of a capture in turn and looks at the patient after each:
//
//   walk errors|brief|powerless|short VICTIM TARGET [ARGUMENT...]
//   walk capturer|helper|reader|all|clone|target VICTIM TARGET [ARGUMENT...]
//
// errors: the n-th call of each kind that VICTIM makes fails with each error of faults.c, once and
// from then on for ever, for n = 1, 2, ... until a run is not hit any more. brief: with the first
// error of each kind only. powerless: what both leave out, that ptrace or wait4 fail for ever, so
// that nothing can be undone but by the kernel. short: each write is cut. The others: after the
// n-th call of all, that process is killed; all is capturer, helper and reader at once.
// With WALK_ONLY=openat in the environment only calls of that kind fail; with WALK_FORMAT=minidump
// `procsnap dump` writes one of those.
//
// After each point the patient's record has to hold, VICTIM must have said why it failed, if it
// did, and nothing may be left. What a killed owner may leave is in struct left.
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../integration/harness.h"
#include "../integration/harness_patient.h"
#include "../unit/minidump_reader.h"
#include "faults.h"
#include "supervisor.h"

enum {
	PATIENCE_MS = 90000,
	MANY_LOST = 20,
	// At so many points a process that gives a descriptor leaves the two sockets of a pair in
	// the target if it is killed: from the call that makes them until the frames stand that
	// close them again. docs/design.md.
	SOCKETS_LEFT_AT = 40,
	// The same of each error of a giver that can't trace or wait any more: it looks on.
	SOCKETS_LEFT_POWERLESS = 10,
};

// What was found after a point, beyond the record, and how much of it may be.
struct left {
	int zombies;  // of a clone: the next capture removes it
	int sections; // a duplicate that its giver did not hear of
	int sockets;  // through which that came
	int eintr;    // calls of the target that came back
	bool may_section;
	bool may_sockets;
	bool may_eintr;
	bool may_unknown_zombie; // one that the next capture does not take for a clone's
};

struct walk {
	char *const *target_command;
	const char *victim;
	char *command[8];
	bool is_minidump;
	char pid_text[16];
	char folder[32]; // where files are written, if any are
	char file[64];
	struct target *target;
	struct subject subject;
	struct patient *patient;
	int zombies; // in the record
	bool does_compute;
	struct text differences;
	struct text report; // why the point is lost
	unsigned points, succeeded, refused, killed, lost;
	unsigned zombies_at, sockets_at, sections_at, eintr_at;
	unsigned sockets_allowed;
	uint64_t longest_stall_ns;
};

static const struct {
	const char *name;
	unsigned whom;
} kills[] = {
	{ "capturer", KILL_CAPTURER }, { "helper", KILL_HELPER },
	{ "reader", KILL_READER },     { "all", KILL_CAPTURER | KILL_HELPER | KILL_READER },
	{ "clone", KILL_CLONE },       { "target", KILL_TARGET },
};

static void start_patient(struct walk *walk)
{
	char *const *words = walk->target_command;

	walk->target = target_start(words[0], words[1], words[1] ? words[2] : NULL, NULL);
	if (!walk->target)
		exit(77);
	walk->subject.pid = walk->target->pid;
	walk->subject.count = patient_children(walk->target->pid, walk->subject.children, 16);
	snprintf(walk->pid_text, sizeof(walk->pid_text), "%d", walk->target->pid);
	walk->patient = patient_record(walk->target->pid);
	walk->does_compute = target_counters(walk->target).beats > 0;
	walk->zombies = 0;
}

static void stop_patient(struct walk *walk)
{
	uint64_t stall = patient_longest_stall(walk->patient);

	if (stall > walk->longest_stall_ns)
		walk->longest_stall_ns = stall;
	patient_free(walk->patient);
	target_stop(walk->target);
	walk->patient = NULL;
	walk->target = NULL;
}

static bool is_left_behind(void *context, char sign, const char *line)
{
	struct left *left = context;
	int change = sign == '+' ? 1 : -1;

	if (!strncmp(line, "child ", 6) && strstr(line, " is a zombie")) {
		left->zombies += change;
		return true;
	}
	if (left->may_eintr && !strncmp(line, "counter eintr", 13)) {
		left->eintr = 1;
		return true;
	}
	if (sign == '-' || strncmp(line, "fd ", 3))
		return false;
	if (left->may_section && strstr(line, " /memfd:procsnap"))
		return ++left->sections == 1;
	if (left->may_sockets && strstr(line, " socket:"))
		return ++left->sockets <= 2;
	return false;
}

static void report_process(struct walk *walk, pid_t pid)
{
	static const char *const files[] = { "stat", "syscall", "stack" };
	char path[64];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char *text;

		snprintf(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
		text = harness_read_file(path);
		text_add(&walk->report, "process %d: %s", pid, text ? text : "?\n");
		free(text);
	}
}

static void report_children(struct walk *walk)
{
	pid_t children[16];
	size_t count = patient_children(walk->target->pid, children, 16);

	for (size_t i = 0; i < count && i < 16; i++)
		report_process(walk, children[i]);
}

// Whether the patient is as it was but for what may be left.
static bool is_well(struct walk *walk, struct left *left)
{
	const struct left empty = *left;
	const struct patient_pardon pardon = { is_left_behind, left };
	uint64_t since = harness_now_ns();

	while (!patient_compare(walk->patient, 0, &pardon, &walk->differences)) {
		if (harness_is_past(since, PATIENCE_MS)) {
			text_add(&walk->report, "%s", walk->differences.bytes);
			return false;
		}
		*left = empty;
	}
	if (left->zombies > 1 || (walk->zombies + left->zombies > 1 && !left->may_unknown_zombie)) {
		text_add(&walk->report, "%d zombies\n", walk->zombies + left->zombies);
		report_children(walk);
		return false;
	}
	return true;
}

// What is left is what the next point finds.
static void record_anew(struct walk *walk, const struct left *left)
{
	walk->zombies_at += walk->zombies + left->zombies > 0;
	walk->sections_at += left->sections > 0;
	walk->sockets_at += left->sockets > 0;
	walk->eintr_at += left->eintr > 0;
	if (!left->zombies && !left->sections && !left->sockets && !left->eintr)
		return;
	if (walk->zombies + left->zombies > 1) {
		stop_patient(walk);
		start_patient(walk);
		return;
	}
	patient_free(walk->patient);
	walk->patient = patient_record(walk->target->pid);
	walk->zombies += left->zombies;
}

static bool does_beat(struct walk *walk)
{
	uint64_t before = target_counters(walk->target).beats, since = harness_now_ns();

	while (walk->does_compute && target_counters(walk->target).beats == before) {
		if (harness_is_past(since, PATIENCE_MS)) {
			text_add(&walk->report, "the target does not compute on\n");
			return false;
		}
		sched_yield();
	}
	return true;
}

// As long as its headers say.
static bool is_whole_core(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status = { 0 };
	Elf64_Ehdr header = { 0 };
	bool is_whole = fd >= 0 && fstat(fd, &status) == 0 &&
			pread(fd, &header, sizeof(header), 0) == sizeof(header) &&
			!memcmp(header.e_ident, ELFMAG, SELFMAG) && header.e_type == ET_CORE;

	for (int i = 0; is_whole && i < header.e_phnum; i++) {
		Elf64_Phdr segment = { 0 };
		off_t at = (off_t)(header.e_phoff + (size_t)i * sizeof(segment));

		is_whole = pread(fd, &segment, sizeof(segment), at) == sizeof(segment) &&
			   (off_t)(segment.p_offset + segment.p_filesz) <= status.st_size;
	}
	if (fd >= 0)
		close(fd);
	return is_whole && header.e_phnum > 0;
}

static bool is_whole_minidump(const char *path)
{
	struct minidump dump = { 0 };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	void *bytes =
		size > 0 ? mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	bool is_whole = false;

	if (bytes != MAP_FAILED) {
		dump.bytes = bytes;
		dump.size = (size_t)size;
		is_whole = minidump_check(&dump) && minidump_thread_count(&dump) > 0;
		munmap(bytes, (size_t)size);
	}
	if (fd >= 0)
		close(fd);
	return is_whole;
}

static bool is_whole(const struct walk *walk, const char *path)
{
	return walk->is_minidump ? is_whole_minidump(path) : is_whole_core(path);
}

// `procsnap dump` leaves a whole file or none; a file that the caller opened stays, whatever is in
// it. Removes what is there.
static bool are_files_right(struct walk *walk, bool has_succeeded)
{
	bool is_dump = strstr(walk->victim, "procsnap") && !strstr(walk->victim, "_once");
	struct dirent *entry;
	DIR *folder = walk->folder[0] ? opendir(walk->folder) : NULL;
	bool is_right = !has_succeeded || !folder || is_whole(walk, walk->file);

	if (!is_right)
		text_add(&walk->report, "a dump is said to be written and is not whole\n");
	while (folder && (entry = readdir(folder))) {
		char path[512];

		if (entry->d_name[0] == '.' && (!entry->d_name[1] || entry->d_name[1] == '.'))
			continue;
		snprintf(path, sizeof(path), "%s/%s", walk->folder, entry->d_name);
		if (is_dump && !is_whole(walk, path)) {
			text_add(&walk->report, "half a file is left: %s\n", path);
			is_right = false;
		}
		unlink(path);
	}
	if (folder)
		closedir(folder);
	return is_right;
}

// How the victim ended: killed if we did, else with success, or with failure and a reason.
static bool has_ended_well(struct walk *walk, const struct fault *fault, const struct run *run)
{
	bool is_killed = fault->kind == FAULT_KILL && fault->whom & KILL_CAPTURER;
	const char *text = run->text + strspn(run->text, " \n");

	if (run->is_hung)
		text_add(&walk->report, "the capture did not end\n");
	else if (WIFSIGNALED(run->status) && !is_killed)
		text_add(&walk->report, "the capture ended by signal %d\n", WTERMSIG(run->status));
	else if (WIFEXITED(run->status) && WEXITSTATUS(run->status) > 3)
		text_add(&walk->report, "the capture ended with %d\n", WEXITSTATUS(run->status));
	else if (WIFEXITED(run->status) && WEXITSTATUS(run->status) && !text[0])
		text_add(&walk->report, "an error without a text\n");
	else
		return true;
	return false;
}

static bool is_every_call_known(struct walk *walk, const struct run *run)
{
	bool is_known = true;

	for (int i = 0; i < SUPERVISOR_CALLS; i++)
		if (run->made[i] && !fault_find(i)) {
			text_add(&walk->report, "call %d is not in faults.c\n", i);
			is_known = false;
		}
	return is_known;
}

static bool holds(struct walk *walk, const struct fault *fault, const struct run *run)
{
	bool is_killed = fault->kind == FAULT_KILL && !(fault->whom & KILL_CLONE);
	// One that can't trace, wait or read any more does not hear what came of what it did; one
	// that can't write has no frame to undo it by.
	bool is_deaf = fault->kind == FAULT_ERROR &&
		       (fault->call == SYS_ptrace || fault->call == SYS_wait4 ||
			fault->call == SYS_process_vm_readv ||
			(fault->call == SYS_pwrite64 && fault->is_for_ever));
	// A duplicate that could not be freed either, for the same reason; the caller was told.
	bool is_kept = fault->is_for_ever && WIFEXITED(run->status) && WEXITSTATUS(run->status);
	struct left left = {
		.may_section = is_killed || is_deaf || is_kept || strstr(run->text, "kept"),
		.may_sockets = is_killed || is_deaf,
		.may_eintr = is_killed || is_deaf,
		.may_unknown_zombie = is_deaf && fault->is_for_ever,
	};
	pid_t stranger;
	bool is_gone = fault->kind == FAULT_KILL && fault->whom & KILL_TARGET;

	if (!supervisor_is_alone(walk->target->pid, &stranger)) {
		text_add(&walk->report, "a process is left\n");
		report_process(walk, stranger);
		kill(stranger, SIGKILL);
		return false;
	}
	if (is_gone)
		return true;
	if (kill(walk->target->pid, 0) < 0) {
		text_add(&walk->report, "the target died\n");
		return false;
	}
	if (!is_well(walk, &left) || !does_beat(walk))
		return false;
	record_anew(walk, &left);
	return true;
}

static void print_loss(const struct walk *walk, const struct fault *fault, const struct run *run)
{
	const struct fault_call *call = fault->kind == FAULT_KILL ? NULL : fault_find(fault->call);

	printf("LOST: %s %s%s, n = %llu\n%s  it said: %s\n", call ? call->name : "kill",
	       fault->kind == FAULT_ERROR ? strerror(fault->error) : "",
	       fault->is_for_ever ? " for ever" : "", (unsigned long long)fault->n,
	       walk->report.bytes, run->text);
	fflush(stdout);
}

// One point. False if there is none: the victim makes no n-th call.
static bool take_point(struct walk *walk, const struct fault *fault)
{
	static struct run run;
	bool is_right, has_succeeded;

	supervisor_run(fault, walk->command, &walk->subject, &run);
	if (run.is_past && !run.is_hung)
		return are_files_right(walk, false), false;
	has_succeeded = WIFEXITED(run.status) && WEXITSTATUS(run.status) == 0;
	text_clear(&walk->report);
	is_right = has_ended_well(walk, fault, &run);
	is_right &= are_files_right(walk, has_succeeded);
	is_right &= is_every_call_known(walk, &run);
	is_right &= holds(walk, fault, &run);
	walk->points += run.is_hit;
	if (!is_right) {
		walk->lost++;
		print_loss(walk, fault, &run);
		// What the lost point has left is not the next one's.
		stop_patient(walk);
		start_patient(walk);
		if (walk->lost >= MANY_LOST)
			exit(1);
	} else if (run.is_hit) {
		walk->succeeded += has_succeeded;
		walk->refused += WIFEXITED(run.status) && !has_succeeded;
		walk->killed += WIFSIGNALED(run.status);
	}
	return true;
}

static unsigned walk_one(struct walk *walk, struct fault fault)
{
	for (fault.n = 1; take_point(walk, &fault); fault.n++)
		;
	return (unsigned)fault.n - 1;
}

static bool is_of_power(const struct fault_call *call)
{
	return call->number == SYS_ptrace || call->number == SYS_wait4;
}

static void walk_powerless(struct walk *walk)
{
	for (size_t i = 0; i < fault_call_count; i++) {
		const struct fault_call *call = &fault_calls[i];

		for (const int *error = call->errors; is_of_power(call) && *error; error++) {
			struct fault fault = { FAULT_ERROR, (int)call->number, *error, true, 0, 1 };

			if (fault_is_passing(*error))
				continue;
			walk->sockets_allowed += SOCKETS_LEFT_POWERLESS;
			printf("%s, for ever %s: %u points\n", call->name, strerror(*error),
			       walk_one(walk, fault));
			fflush(stdout);
		}
	}
}

static void walk_call(struct walk *walk, const struct fault_call *call, bool is_brief)
{
	unsigned points = 0, errors = 0;

	for (const int *error = call->errors; *error && !(is_brief && errors); error++, errors++) {
		struct fault fault = { FAULT_ERROR, (int)call->number, *error, false, 0, 1 };

		points += walk_one(walk, fault);
		fault.is_for_ever = true;
		if (!fault_is_passing(*error) && !is_of_power(call))
			points += walk_one(walk, fault);
	}
	printf("%-18s %2u errors  %5u points\n", call->name, errors, points);
	fflush(stdout);
}

// The victim when nothing is done to it: it has to succeed, and shows which calls it makes.
static void run_freely(struct walk *walk, unsigned whom, struct run *ret)
{
	const struct fault none = { .kind = FAULT_NONE, .whom = whom };

	text_clear(&walk->report);
	supervisor_run(&none, walk->command, &walk->subject, ret);
	if (!WIFEXITED(ret->status) || WEXITSTATUS(ret->status) != 0) {
		printf("FAILED: the capture fails without a fault: %s\n", ret->text);
		exit(1);
	}
	if (!are_files_right(walk, true) || !is_every_call_known(walk, ret) ||
	    !holds(walk, &none, ret) || walk->zombies) {
		printf("FAILED: without a fault:\n%s%d zombies\n", walk->report.bytes,
		       walk->zombies);
		exit(1);
	}
}

static void walk_errors(struct walk *walk, bool is_brief)
{
	static struct run free_run;
	const char *only = getenv("WALK_ONLY");

	run_freely(walk, 0, &free_run);
	for (size_t i = 0; i < fault_call_count; i++) {
		const struct fault_call *call = &fault_calls[i];

		if (!free_run.made[call->number] || (only && strcmp(only, call->name)))
			continue;
		if (call->errors)
			walk_call(walk, call, is_brief);
		else
			printf("%-18s excused: %s\n", call->name, call->excuse);
	}
}

static void walk_short_writes(struct walk *walk)
{
	static struct run free_run;

	run_freely(walk, 0, &free_run);
	printf("write    %5u points\n",
	       walk_one(walk, (struct fault){ .kind = FAULT_SHORT, .call = SYS_write }));
	printf("pwrite64 %5u points\n",
	       walk_one(walk, (struct fault){ .kind = FAULT_SHORT, .call = SYS_pwrite64 }));
}

static void walk_kills(struct walk *walk, unsigned whom)
{
	struct fault fault = { .kind = FAULT_KILL, .whom = whom, .n = 1 };
	static struct run free_run;

	run_freely(walk, whom, &free_run);
	// There is none to be killed before.
	if (whom == KILL_CLONE && free_run.first_clone > 20)
		fault.n = free_run.first_clone - 20;
	for (; take_point(walk, &fault); fault.n++)
		if (whom == KILL_TARGET && walk->target) {
			stop_patient(walk);
			start_patient(walk);
		}
}

static void make_command(struct walk *walk, char *victim)
{
	const char *name = strrchr(victim, '/') ? strrchr(victim, '/') + 1 : victim;
	bool is_export = !strcmp(name, "export_once"), is_dump = !strcmp(name, "procsnap");
	char *const dump[] = { victim,         "dump",
			       "--format",     walk->is_minidump ? "minidump" : "core",
			       "-o",           walk->file,
			       walk->pid_text, NULL };
	char *const export[] = { victim, walk->pid_text, walk->file, NULL };
	char *const plain[] = { victim, walk->pid_text, NULL };

	walk->victim = name;
	if (is_dump)
		memcpy(walk->command, dump, sizeof(dump));
	else if (is_export)
		memcpy(walk->command, export, sizeof(export));
	else
		memcpy(walk->command, plain, sizeof(plain));
	if (!is_export && !is_dump)
		return;
	snprintf(walk->folder, sizeof(walk->folder), "/tmp/walk-XXXXXX");
	if (!mkdtemp(walk->folder))
		harness_fail("mkdtemp: %s", strerror(errno));
	snprintf(walk->file, sizeof(walk->file), "%s/core", walk->folder);
}

static void do_walk(struct walk *walk, const char *what)
{
	walk->sockets_allowed = strcmp(what, "powerless") ? SOCKETS_LEFT_AT : 0;
	if (!strcmp(what, "errors") || !strcmp(what, "brief"))
		walk_errors(walk, what[0] == 'b');
	else if (!strcmp(what, "powerless"))
		walk_powerless(walk);
	else if (!strcmp(what, "short"))
		walk_short_writes(walk);
	for (size_t i = 0; i < sizeof(kills) / sizeof(kills[0]); i++)
		if (!strcmp(what, kills[i].name))
			walk_kills(walk, kills[i].whom);
}

// A capture that nothing is done to works, and takes away the zombie that may have been left.
static bool does_work_afterwards(struct walk *walk)
{
	static struct run run;

	run_freely(walk, 0, &run);
	return walk->zombies == 0 && walk->points > 0 && walk->sockets_at <= walk->sockets_allowed;
}

int main(int argc, char **argv)
{
	static struct walk walk;
	bool is_done;

#if !defined(__x86_64__)
	puts("skipped: written for x86-64 only");
	return 77;
#endif
	if (argc < 4)
		return 2;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	walk.target_command = argv + 3;
	walk.is_minidump = getenv("WALK_FORMAT") && !strcmp(getenv("WALK_FORMAT"), "minidump");
	make_command(&walk, argv[2]);
	start_patient(&walk);
	do_walk(&walk, argv[1]);
	is_done = does_work_afterwards(&walk);
	stop_patient(&walk);
	if (walk.folder[0])
		rmdir(walk.folder);
	printf("left: a zombie at %u points, sockets at %u, a section at %u; calls interrupted at "
	       "%u; longest stall %.1f ms\n",
	       walk.zombies_at, walk.sockets_at, walk.sections_at, walk.eintr_at,
	       (double)walk.longest_stall_ns / 1e6);
	printf("%u points walked: %u captures succeeded all the same, %u gave a reason, %u were "
	       "killed; %u survived, %u lost\n",
	       walk.points, walk.succeeded, walk.refused, walk.killed, walk.points - walk.lost,
	       walk.lost);
	return walk.lost || !is_done;
}
