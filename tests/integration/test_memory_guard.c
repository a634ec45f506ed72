// SPDX-License-Identifier: LGPL-2.1-or-later
// The memory guard in a real memory control group with a limit, of either version, around a target
// that rewrites its heap all the time: without the guard the kernel kills the target, with it
// never. And the drain: what is written out, the clone gives back.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

#define MIB (UINT64_C(1) << 20)

enum { HEAP_MIB = 128, ROOM_MIB = 72, PAGE = 4096, ROUNDS = 4 };

#define CAPTURE                                                                                    \
	(PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT |                 \
	 PSS_CAPTURE_VA_SPACE)

// A memory control group with the target in it.
struct group {
	char path[400];
	char back[256]; // the folder that we were in ourselves
	bool is_version_2;
};

static void fill_path(const struct group *group, const char *name, char path[500])
{
	(void)snprintf(path, 500, "%s/%s", group->path, name);
}

static bool write_to(const struct group *group, const char *name, uint64_t number)
{
	char path[500], text[32];
	int n = snprintf(text, sizeof text, "%llu", (unsigned long long)number);

	fill_path(group, name, path);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool is_done = fd >= 0 && write(fd, text, (size_t)n) == n;
	if (fd >= 0)
		close(fd);
	return is_done;
}

// The number in the file, after @key if that is not NULL.
static uint64_t read_from(const struct group *group, const char *name, const char *key)
{
	char path[500];

	fill_path(group, name, path);
	char *text = harness_read_file(path);
	const char *at = text && key ? strstr(text, key) : text;
	if (!at)
		harness_fail("cannot read %s", path);
	uint64_t ret = strtoull(at + (key ? strlen(key) : 0), NULL, 10);
	free(text);
	return ret;
}

static uint64_t kills_of(const struct group *group)
{
	return read_from(group, group->is_version_2 ? "memory.events" : "memory.oom_control",
			 "oom_kill ");
}

static uint64_t usage_of(const struct group *group)
{
	return read_from(group, group->is_version_2 ? "memory.current" : "memory.usage_in_bytes",
			 NULL);
}

static void set_limit(const struct group *group, uint64_t bytes)
{
	const char *name = group->is_version_2 ? "memory.max" : "memory.limit_in_bytes";

	if (!write_to(group, name, bytes))
		harness_fail("cannot set %s/%s", group->path, name);
}

static bool has_file(const struct group *group, const char *name)
{
	char path[500];

	fill_path(group, name, path);
	return access(path, W_OK) == 0;
}

// A new group in that folder, if the memory controller comes with it.
static bool make_in(const char *folder, struct group *group)
{
	static unsigned count;

	(void)snprintf(group->path, sizeof group->path, "%s/procsnap-test-%d-%u", folder, getpid(),
		       count++);
	if (mkdir(group->path, 0755) < 0)
		return false;
	if (has_file(group, group->is_version_2 ? "memory.max" : "memory.limit_in_bytes"))
		return true;
	(void)rmdir(group->path);
	return false;
}

// Below the one that we are in, or the nearest above it that gives its groups the controller: in
// version 2 a group with processes, as a service's, gives none.
static bool try_group(const char *mount, const char *key, bool is_version_2, struct group *group)
{
	char *groups = harness_read_file("/proc/self/cgroup");
	const char *own = groups ? strstr(groups, key) : NULL;
	char folder[sizeof group->back];
	char *end;

	if (own) {
		own += strlen(key);
		(void)snprintf(folder, sizeof folder, "%s%.*s", mount, (int)strcspn(own, "\n"),
			       own);
	}
	free(groups);
	if (!own)
		return false;
	end = folder + strlen(folder);
	if (end[-1] == '/') // of the root
		*--end = '\0';
	group->is_version_2 = is_version_2;
	memcpy(group->back, folder, sizeof folder);
	while (!make_in(folder, group)) {
		end = strrchr(folder, '/');
		if ((size_t)(end - folder) < strlen(mount))
			return false;
		*end = '\0';
	}
	return true;
}

static bool make_group(struct group *group)
{
	if (try_group("/sys/fs/cgroup/memory", ":memory:", false, group) ||
	    try_group("/sys/fs/cgroup", "0::", true, group))
		return true;
	print_message("no memory control group to be made on this machine\n");
	return false;
}

// Waits until it is empty: a process that has ended leaves it some time after.
static void remove_group(const struct group *group)
{
	uint64_t begin = harness_now_ns();

	while (rmdir(group->path) < 0 && errno == EBUSY) {
		if (harness_is_past(begin, HARNESS_PATIENCE_MS))
			harness_fail("%s is not empty", group->path);
		harness_breathe();
	}
}

// As kubelet makes the containers of a pod without requests and, in version 2, all of them: the
// target is as good a victim as its clone, and a group goes as a whole.
static void expose(const struct group *group, const struct target *target)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%d/oom_score_adj", target->pid);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "1000", 4), 4);
	close(fd);
	if (group->is_version_2)
		assert_true(write_to(group, "memory.oom.group", 1));
}

// The target's memory is charged to the group that it is in when it takes it: so it is moved first,
// and takes it anew.
static struct target *start_in(const struct group *group, const char *heap, const char *pause_us)
{
	struct group back = { .is_version_2 = group->is_version_2 };

	(void)snprintf(back.path, sizeof back.path, "%s", group->back);
	assert_true(write_to(group, "cgroup.procs", (uint64_t)getpid()));
	struct target *target = target_start("rewriter", heap, "1", pause_us, NULL);
	assert_true(write_to(&back, "cgroup.procs", (uint64_t)getpid()));
	return target;
}

struct command {
	pid_t pid;
	int output; // the core
	int errors;
};

static struct command start_dump(const struct target *target, const char *option)
{
	const char *program = getenv("PROCSNAP");
	struct command command;
	int output[2], errors[2];
	char pid[16];

	(void)snprintf(pid, sizeof pid, "%d", target->pid);
	assert_int_equal(pipe2(output, O_CLOEXEC), 0);
	assert_int_equal(pipe2(errors, O_CLOEXEC), 0);
	command.pid = harness_fork();
	if (command.pid == 0) {
		(void)dup2(output[1], STDOUT_FILENO);
		(void)dup2(errors[1], STDERR_FILENO);
		(void)execl(program, program, "dump", pid, "-o", "-", option, NULL);
		_exit(127);
	}
	close(output[1]);
	close(errors[1]);
	command.output = output[0];
	command.errors = errors[0];
	return command;
}

// Reads so much of the core, or to its end. What was read.
static size_t read_some(int fd, size_t size)
{
	static char piece[1 << 20];
	size_t done = 0;

	while (done < size) {
		size_t wanted = size - done < sizeof piece ? size - done : sizeof piece;
		ssize_t n = read(fd, piece, wanted);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	return done;
}

static int end_dump(struct command *command, char errors[2048])
{
	int status = 0;

	(void)read_some(command->output, SIZE_MAX);
	ssize_t n = read(command->errors, errors, 2047);
	errors[n > 0 ? n : 0] = '\0';
	assert_int_equal(waitpid(command->pid, &status, 0), command->pid);
	close(command->output);
	close(command->errors);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool is_alive(const struct target *target)
{
	struct pollfd end = { .fd = target->pidfd, .events = POLLIN };

	return poll(&end, 1, 0) == 0;
}

// Until it has rewritten its heap so often since then, or is dead.
static void wait_for_rounds(const struct target *target, uint64_t beats, unsigned rounds)
{
	uint64_t begin = harness_now_ns();

	while (is_alive(target) &&
	       target_counters(target).beats < beats + (uint64_t)rounds * HEAP_MIB * MIB / PAGE) {
		if (harness_is_past(begin, HARNESS_PATIENCE_MS))
			harness_fail("the target does not go on");
		harness_breathe();
	}
}

static void wait_for_death(const struct target *target)
{
	struct pollfd end = { .fd = target->pidfd, .events = POLLIN };

	if (poll(&end, 1, HARNESS_PATIENCE_MS) != 1)
		harness_fail("process %d was not killed", target->pid);
}

// A reader that takes a quarter of the core and then thinks.
static struct command dump_slowly(struct target *target, const char *option)
{
	struct command command = start_dump(target, option);

	(void)read_some(command.output, HEAP_MIB / 4 * MIB);
	return command;
}

static struct target *start_tight(const struct group *group)
{
	struct target *target = start_in(group, "128", "0");

	expose(group, target);
	set_limit(group, usage_of(group) + ROOM_MIB * MIB);
	return target;
}

static bool has_command(void)
{
	if (!getenv("PROCSNAP"))
		print_message("the command was not built\n");
	return getenv("PROCSNAP") != NULL;
}

static void without_the_guard_the_target_is_killed(void **state)
{
	struct group group;
	char errors[2048];

	(void)state;
	if (!has_command() || !make_group(&group))
		skip();
	struct target *target = start_tight(&group);
	struct command command = dump_slowly(target, "--no-guard");

	wait_for_death(target);
	assert_true(kills_of(&group) > 0);
	(void)end_dump(&command, errors);
	target_stop(target);
	remove_group(&group);
}

static void with_the_guard_it_never_is(void **state)
{
	struct group group;
	char errors[2048];

	(void)state;
	if (!has_command() || !make_group(&group))
		skip();
	struct target *target = start_tight(&group);

	for (int i = 0; i < ROUNDS; i++) {
		struct command command = dump_slowly(target, i % 2 ? "--no-drain" : NULL);
		uint64_t beats = target_counters(target).beats;

		// By then it would have written more than there was room for.
		wait_for_rounds(target, beats, 3);
		assert_int_equal(end_dump(&command, errors), 3);
		if (!strstr(errors, "gave up the snapshot of process") ||
		    !strstr(errors, group.path))
			harness_fail("it says: %s", errors);
		if (!is_alive(target) || kills_of(&group) > 0)
			harness_fail("round %d: it was killed all the same; the command said: %s",
				     i, errors);
		target_assert_unharmed(target);
	}
	target_stop(target);
	remove_group(&group);
}

static void a_clone_that_does_not_fit_is_refused_and_nothing_is_touched(void **state)
{
	const PSSX_CAPTURE_OPTIONS ignoring = { .Size = sizeof ignoring,
						.Flags = PSSX_CAPTURE_IGNORE_MEMORY };
	struct group group;
	HPSS snapshot = NULL;

	(void)state;
	if (!make_group(&group))
		skip();
	// It rests after each MiB: an hour for all.
	struct target *target = start_in(&group, "64", "999999");
	set_limit(&group, usage_of(&group) + 8 * MIB);
	struct patient *before = patient_record(target->pid);

	assert_int_equal(PssCaptureSnapshot(target_handle(target), CAPTURE, CONTEXT_ALL, &snapshot),
			 ERROR_NOT_ENOUGH_QUOTA);
	assert_null(snapshot);
	if (!strstr(PssxErrorText(), group.path) ||
	    !strstr(PssxErrorText(), "16 MiB are to be left"))
		harness_fail("it says: %s", PssxErrorText());
	patient_assert_same(before);
	patient_free(before);
	// Lists need no clone.
	assert_success(
		PssCaptureSnapshot(target_handle(target), PSS_CAPTURE_THREADS, 0, &snapshot));
	harness_free_snapshot(snapshot);
	// Who takes it upon himself is not refused.
	assert_success(PssxCaptureSnapshot(target_handle(target), CAPTURE, CONTEXT_ALL, &ignoring,
					   &snapshot));
	harness_free_snapshot(snapshot);
	// A reserve that is not there.
	const PSSX_CAPTURE_OPTIONS asking = { .Size = sizeof asking,
					      .MemoryReserveBytes = UINT64_MAX };
	set_limit(&group, usage_of(&group) + 512 * MIB);
	assert_int_equal(PssxCaptureSnapshot(target_handle(target), CAPTURE, CONTEXT_ALL, &asking,
					     &snapshot),
			 ERROR_NOT_ENOUGH_QUOTA);
	assert_success(PssCaptureSnapshot(target_handle(target), CAPTURE, CONTEXT_ALL, &snapshot));
	harness_free_snapshot(snapshot);
	target_stop(target);
	remove_group(&group);
}

struct watch {
	HPSS snapshot;
	int stop_fd;
	uint64_t reserve;
	DWORD code;
};

static void *watch_memory(void *argument)
{
	struct watch *watch = argument;

	watch->code = PssxWatchMemory(watch->snapshot, watch->stop_fd, watch->reserve);
	return NULL;
}

static void who_keeps_a_snapshot_can_watch(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "1", "8", NULL);
	struct watch watch = { .snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE),
			       .stop_fd = eventfd(0, EFD_CLOEXEC) };
	pid_t clone = (pid_t)GetProcessId(harness_clone(watch.snapshot));
	const uint64_t one = 1;
	pthread_t thread;

	(void)state;
	// Told to stop.
	assert_int_equal(pthread_create(&thread, NULL, watch_memory, &watch), 0);
	assert_int_equal(write(watch.stop_fd, &one, sizeof one), sizeof one);
	pthread_join(thread, NULL);
	assert_int_equal(watch.code, ERROR_SUCCESS);
	assert_int_equal(kill(clone, 0), 0);
	// More is asked for than any machine has.
	close(watch.stop_fd);
	watch.stop_fd = eventfd(0, EFD_CLOEXEC);
	watch.reserve = UINT64_MAX / 2;
	assert_int_equal(pthread_create(&thread, NULL, watch_memory, &watch), 0);
	pthread_join(thread, NULL);
	assert_int_equal(watch.code, ERROR_NOT_ENOUGH_QUOTA);
	harness_free_snapshot(watch.snapshot);
	harness_wait_gone(clone);
	target_assert_unharmed(target);
	// The end of the snapshot is the end of the watch.
	watch.snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE);
	watch.reserve = 1;
	clone = (pid_t)GetProcessId(harness_clone(watch.snapshot));
	assert_int_equal(pthread_create(&thread, NULL, watch_memory, &watch), 0);
	kill(clone, SIGKILL);
	pthread_join(thread, NULL);
	assert_true(watch.code == ERROR_SUCCESS || watch.code == ERROR_INVALID_PARAMETER);
	harness_free_snapshot(watch.snapshot);
	assert_int_equal(PssxWatchMemory(NULL, watch.stop_fd, 0), ERROR_INVALID_HANDLE);
	close(watch.stop_fd);
}

static int write_core(HPSS snapshot, uint32_t flags)
{
	const PSSX_CORE_OPTIONS options = { .Size = sizeof options, .Flags = flags };
	int fd = memfd_create("core", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_success(PssxWriteElfCore(snapshot, fd, &options, NULL));
	return fd;
}

static void assert_same_files(int a, int b)
{
	static char first[1 << 20], second[1 << 20];
	off_t at = 0;
	ssize_t n;

	while ((n = pread(a, first, sizeof first, at)) > 0) {
		assert_int_equal(pread(b, second, sizeof second, at), n);
		assert_memory_equal(first, second, (size_t)n);
		at += n;
	}
	assert_int_equal(pread(b, second, sizeof second, at), 0);
}

static uint64_t resident_of(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%d/status", pid);
	char *text = harness_read_file(path);
	const char *at = text ? strstr(text, "RssAnon:") : NULL;
	assert_non_null(at);
	uint64_t ret = strtoull(at + strlen("RssAnon:"), NULL, 10) * 1024;
	free(text);
	return ret;
}

static char state_of(pid_t pid)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%d/stat", pid);
	char *text = harness_read_file(path);
	const char *at = text ? strrchr(text, ')') : NULL;
	char ret = at ? at[2] : '?';
	free(text);
	return ret;
}

static void a_drained_clone_has_given_its_memory_back_and_waits_as_before(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "3", "64", NULL);
	HPSS snapshot = harness_capture(target, CAPTURE);
	pid_t clone = (pid_t)GetProcessId(harness_clone(snapshot));

	(void)state;
	int whole = write_core(snapshot, 0);
	assert_true(resident_of(clone) > 64 * MIB);
	int drained = write_core(snapshot, PSSX_CORE_DRAIN);
	assert_true(resident_of(clone) < 4 * MIB);
	assert_same_files(whole, drained);
	// Not traced, asleep, and gone when the snapshot is.
	assert_false(patient_is_traced(clone));
	assert_int_equal(state_of(clone), 'S');
	harness_free_snapshot(snapshot);
	harness_wait_gone(clone);
	target_assert_unharmed(target);
	close(whole);
	close(drained);
}

static void a_clone_is_gone_if_who_drains_it_is_killed(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", "3", "64", NULL);

	(void)state;
	for (unsigned kib = 0; kib < 64 * 1024; kib += 5000) {
		int ends[2];
		pid_t clone = 0;

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		pid_t child = harness_fork();
		if (child == 0) {
			const PSSX_CORE_OPTIONS options = { .Size = sizeof options,
							    .Flags = PSSX_CORE_DRAIN };
			HPSS snapshot = harness_capture(target, CAPTURE);

			_exit((int)PssxWriteElfCore(snapshot, ends[1], &options, NULL));
		}
		close(ends[1]);
		assert_int_equal(read_some(ends[0], (size_t)kib * 1024 + 1),
				 (size_t)kib * 1024 + 1);
		assert_int_equal(patient_children(target->pid, &clone, 1), 1);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, NULL, 0), child);
		close(ends[0]);
		uint64_t begin = harness_now_ns();
		while (state_of(clone) != 'Z' && state_of(clone) != '?')
			if (harness_is_past(begin, HARNESS_PATIENCE_MS))
				harness_fail("clone %d is in state %c", clone, state_of(clone));
	}
	// The last one's zombie is reaped by the next capture.
	harness_free_snapshot(harness_capture(target, PSS_CAPTURE_VA_CLONE));
	target_assert_unharmed(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_the_guard_the_target_is_killed),
		cmocka_unit_test(with_the_guard_it_never_is),
		cmocka_unit_test(a_clone_that_does_not_fit_is_refused_and_nothing_is_touched),
		cmocka_unit_test(who_keeps_a_snapshot_can_watch),
		cmocka_unit_test(a_drained_clone_has_given_its_memory_back_and_waits_as_before),
		cmocka_unit_test(a_clone_is_gone_if_who_drains_it_is_killed),
	};

	harness_begin("memory_guard");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
