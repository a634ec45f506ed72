// SPDX-License-Identifier: LGPL-2.1-or-later
// Sections made by somebody who means harm, an ordinary user, and passed to a privileged process as
// snapshots: they name processes that are not their clone or their target. Whatever the privileged
// one calls on them, no such process is killed, reaped, read or stopped, and every call returns.
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
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "harness.h"
#include "pass_fd.h"
#include "procfs.h"
#include "section.h"

enum {
	NOBODY = 65534,
	CALLS_MS_MAX = 5000, // for all calls on one section: none may wait for a stranger
	SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
	MUTATIONS = 400,
	HELD_FD = 77, // where the attacker keeps a section
};

static const uint32_t EVERYTHING =
	PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_HANDLES | PSS_CAPTURE_HANDLE_NAME_INFORMATION |
	PSS_CAPTURE_HANDLE_BASIC_INFORMATION | PSS_CAPTURE_HANDLE_TYPE_SPECIFIC_INFORMATION |
	PSS_CAPTURE_THREADS | PSS_CAPTURE_THREAD_CONTEXT | PSS_CAPTURE_VA_SPACE |
	PSS_CAPTURE_VA_SPACE_SECTION_INFORMATION | PSS_CREATE_USE_VM_ALLOCATIONS |
	PSS_CREATE_MEASURE_PERFORMANCE;

static const uint64_t secret = 0x5ec2e75ec2e75ec2;

/** A process that has nothing to do with any of it. */
struct innocent {
	const char *what;
	pid_t pid;
	uint64_t start_ticks;
	char state;
	uint64_t switches; // of its only thread: it is asleep, so anybody who stops it adds to them
};

enum {
	SLEEPER,      // another's
	PARENT,       // of the zombie below
	THEIR_ZOMBIE, // sends no exit signal, as a clone
	OUR_CHILD,    // sends no exit signal, as a clone; asleep
	OUR_ZOMBIE,
	REAL_CLONE, // of a snapshot that lives
	INNOCENTS,
};

static struct innocent innocents[INNOCENTS];
static struct target *target;
static HPSS real;

static bool read_stat(pid_t pid, struct pss_procfs_stat *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	_cleanup_close_ int fd = -1;

	return pss_procfs_open(pid, &fd) == 0 && pss_procfs_read(fd, "stat", &text) == 0 &&
	       pss_procfs_parse_stat((const char *)text.data, text.size, ret) == 0;
}

static uint64_t count_switches(pid_t pid)
{
	char path[64], *status, *line;
	uint64_t count = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	status = harness_read_file(path);
	assert_non_null(status);
	line = strstr(status, "\nvoluntary_ctxt_switches:");
	if (line) // a zombie has none
		count = strtoull(line + strlen("\nvoluntary_ctxt_switches:"), NULL, 10);
	free(status);
	return count;
}

static void wait_for_state(pid_t pid, char state)
{
	uint64_t since = harness_now_ns();
	struct pss_procfs_stat stat;

	while (!read_stat(pid, &stat) || stat.state != state) {
		if (harness_is_past(since, HARNESS_PATIENCE_MS))
			harness_fail("%d does not come to state %c", pid, state);
		harness_breathe();
	}
}

static void record(int index, const char *what, pid_t pid, char state)
{
	struct pss_procfs_stat stat;

	wait_for_state(pid, state);
	assert_true(read_stat(pid, &stat));
	innocents[index] =
		(struct innocent){ what, pid, stat.start_ticks, state, count_switches(pid) };
}

static void assert_all_innocents_as_before(const char *doing)
{
	for (int i = 0; i < INNOCENTS; i++) {
		struct innocent *innocent = &innocents[i];
		struct pss_procfs_stat stat;

		if (!read_stat(innocent->pid, &stat) || stat.start_ticks != innocent->start_ticks)
			harness_fail("%s: %s is gone", doing, innocent->what);
		if (stat.state != innocent->state)
			harness_fail("%s: %s is in state %c", doing, innocent->what, stat.state);
		if (count_switches(innocent->pid) != innocent->switches)
			harness_fail("%s: %s was woken", doing, innocent->what);
	}
	assert_int_equal(harness_read_clone_word(real, target_value(target, "pattern")),
			 0x9e3779b97f4a7c15u);
}

// A child that sends no signal when it exits. It sleeps, or exits at once.
static pid_t fork_unseen(bool exits)
{
	pid_t parent = getpid();
	pid_t pid = (pid_t)syscall(SYS_clone, 0, NULL, NULL, NULL, 0);

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!exits && getppid() == parent)
		pause();
	_exit(0);
}

// Has a child that is a zombie; tells its number through @pipe_fd.
static void be_parent(int pipe_fd)
{
	pid_t child = fork_unseen(true);

	wait_for_state(child, 'Z');
	if (write(pipe_fd, &child, sizeof(child)) != sizeof(child))
		_exit(1);
	for (;;)
		pause();
}

static void start_innocents(void)
{
	int ends[2];
	pid_t pid, zombie;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	pid = harness_fork();
	if (pid == 0)
		be_parent(ends[1]);
	assert_int_equal(read(ends[0], &zombie, sizeof(zombie)), sizeof(zombie));
	close(ends[0]);
	close(ends[1]);
	record(PARENT, "another's process", pid, 'S');
	record(THEIR_ZOMBIE, "another's zombie", zombie, 'Z');
	pid = harness_fork();
	while (pid == 0)
		pause();
	record(SLEEPER, "a sleeping process", pid, 'S');
	record(OUR_CHILD, "our own child", fork_unseen(false), 'S');
	record(OUR_ZOMBIE, "our own zombie", fork_unseen(true), 'Z');
	record(REAL_CLONE, "the clone of another snapshot",
	       (pid_t)GetProcessId(harness_clone(real)), 'S');
}

/** What the attacker is to put into a section. */
struct plot {
	struct pss_clone_record clone;
	pid_t target_pid;
	uint64_t target_start_ticks;
	pid_t capturer_pid;
	uint64_t capturer_start_ticks;
	enum {
		PASS,     // the section, over the socket
		KEEP,     // and a descriptor of it as well
		BE_CLONE, // a child holds it, and is what it names: more memory than there is
	} how;
	struct pss_region_record region;
};

static int build_section(const struct plot *plot)
{
	_cleanup_section_builder_ struct pss_section_builder builder = {
		.machine = EM_X86_64,
		.capture_flags = EVERYTHING,
		.capturer_pid = plot->capturer_pid,
		.capturer_start_ticks = plot->capturer_start_ticks,
	};
	const struct pss_process_record process = {
		.pid = plot->target_pid,
		.start_ticks = plot->target_start_ticks,
		.state = 'S',
	};
	const struct pss_region_record around_secret = {
		.start = (uintptr_t)&secret & ~UINT64_C(4095),
		.end = ((uintptr_t)&secret | 4095) + 1,
		.protection = PSS_REGION_READ,
		.content = PSS_CONTENT_POINT_IN_TIME,
	};
	struct pss_region_record region = plot->region.end ? plot->region : around_secret;
	struct pss_diag diag = { 0 };
	int fd = -1;

	if (region.kind == PSS_REGION_SPECIAL &&
	    pss_section_add_bytes(&builder, "[vdso]", 6, &region.path) < 0)
		return -1;
	if (pss_section_add(&builder, PSS_PART_PROCESS, &process, sizeof(process)) < 0 ||
	    pss_section_add(&builder, PSS_PART_CLONE, &plot->clone, sizeof(plot->clone)) < 0 ||
	    pss_section_add(&builder, PSS_PART_REGIONS, &region, sizeof(region)) < 0 ||
	    pss_section_seal(&builder, &diag, &fd) < 0)
		return -1;
	return fd;
}

/** The attacker: an ordinary user who makes what he is told to. */
struct attacker {
	pid_t pid;
	int socket;
};

static struct attacker attacker;

// A child of the attacker's that a section truly names: no other process is behind it.
static void be_clone(struct plot *plot, int socket)
{
	pid_t parent = getpid();
	struct pss_procfs_stat stat;

	if (syscall(SYS_clone, 0, NULL, NULL, NULL, 0) != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, PSS_CLONE_NAME);
	prctl(PR_SET_DUMPABLE, 1); // a change of user takes it away
	if (!read_stat(getpid(), &stat))
		_exit(1);
	plot->clone = (struct pss_clone_record){ getpid(), getpid(), stat.start_ticks,
						 PSS_CLONE_SECTION_FD, 0 };
	if (dup2(build_section(plot), PSS_CLONE_SECTION_FD) < 0 ||
	    !pass_fd(socket, PSS_CLONE_SECTION_FD))
		_exit(1);
	while (getppid() == parent)
		pause();
	_exit(0);
}

static void attack(int socket)
{
	struct plot plot;

	// It has what it makes itself, and nothing of ours.
	if (dup2(socket, 3) != 3 || close_range(4, ~0U, 0) < 0)
		_exit(126);
	socket = 3;
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGKILL); // lost with the user
	while (read(socket, &plot, sizeof(plot)) == sizeof(plot)) {
		if (plot.how == BE_CLONE) {
			be_clone(&plot, socket);
			continue;
		}
		int fd = build_section(&plot);
		if (plot.how == KEEP)
			dup2(fd, HELD_FD);
		if (!pass_fd(socket, fd))
			_exit(1);
		close(fd);
	}
	_exit(0);
}

static int plot_section(const struct plot *plot)
{
	assert_int_equal(write(attacker.socket, plot, sizeof(*plot)), sizeof(*plot));
	int fd = receive_fd(attacker.socket);
	assert_true(fd > 2);
	return fd;
}

static int start_all(void **state)
{
	int sockets[2];

	(void)state;
	target = target_start("plain", "1", NULL);
	real = harness_capture(target, EVERYTHING);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	attacker.pid = harness_fork();
	if (attacker.pid == 0)
		attack(sockets[1]);
	close(sockets[1]);
	attacker.socket = sockets[0];
	start_innocents();
	return 0;
}

static void kill_and_reap(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, __WALL), pid);
}

static int stop_all(void **state)
{
	(void)state;
	kill_and_reap(innocents[SLEEPER].pid);
	kill_and_reap(innocents[PARENT].pid);
	kill_and_reap(innocents[OUR_CHILD].pid);
	kill_and_reap(innocents[OUR_ZOMBIE].pid);
	kill_and_reap(attacker.pid);
	close(attacker.socket);
	harness_free_snapshot(real);
	target_assert_unharmed(target);
	target_stop(target);
	return 0;
}

static void walk_all(HPSS snapshot)
{
	static const DWORD lengths[] = { sizeof(PSS_AUXILIARY_PAGE_ENTRY),
					 sizeof(PSS_VA_SPACE_ENTRY), sizeof(PSS_HANDLE_ENTRY),
					 sizeof(PSS_THREAD_ENTRY), sizeof(PSS_THREAD_NAME) };
	HPSSWALK marker = NULL;
	uint8_t entry[256];

	assert_success(PssWalkMarkerCreate(NULL, &marker));
	for (int class = 0; class < 5; class ++)
		while (PssWalkSnapshot(snapshot, (PSS_WALK_INFORMATION_CLASS) class, marker, entry,
				       lengths[class]) == ERROR_SUCCESS)
			;
	assert_success(PssWalkMarkerFree(marker));
}

static void query_all(HPSS snapshot)
{
	static const DWORD lengths[] = {
		sizeof(PSS_PROCESS_INFORMATION),         sizeof(PSS_VA_CLONE_INFORMATION),
		sizeof(PSS_AUXILIARY_PAGES_INFORMATION), sizeof(PSS_VA_SPACE_INFORMATION),
		sizeof(PSS_HANDLE_INFORMATION),          sizeof(PSS_THREAD_INFORMATION),
		sizeof(PSS_HANDLE_TRACE_INFORMATION),    sizeof(PSS_PERFORMANCE_COUNTERS)
	};
	PSSX_FIGURES figures = { .Size = sizeof(figures) };
	PSSX_PROCESS process = { .Size = sizeof(process) };
	PSSX_THREAD thread = { .Size = sizeof(thread) };
	PSSX_REGION region = { .Size = sizeof(region) };
	PSSX_HANDLE handle = { .Size = sizeof(handle) };
	SIZE_T length = 0;
	uint8_t buffer[1024];

	for (int class = 0; class < 8; class ++)
		(void)PssQuerySnapshot(snapshot, (PSS_QUERY_INFORMATION_CLASS) class, buffer,
				       lengths[class]);
	(void)PssxQueryFigures(snapshot, &figures);
	(void)PssxQueryProcess(snapshot, &process);
	for (DWORD i = 0; PssxQueryThread(snapshot, i, &thread) == ERROR_SUCCESS; i++)
		;
	for (DWORD i = 0; PssxQueryRegion(snapshot, i, &region) == ERROR_SUCCESS; i++)
		;
	for (DWORD i = 0; PssxQueryHandle(snapshot, i, &handle) == ERROR_SUCCESS; i++)
		(void)PssxQueryHandleInfo(snapshot, i, NULL, &length);
}

// As a process: what it names is not its clone, so there is none.
static void use_as_process(HANDLE handle)
{
	MEMORY_BASIC_INFORMATION memory;
	FILETIME times[4];
	uint64_t word = 0;
	HANDLE copy = NULL;
	DWORD code, pid;

	assert_false(ReadProcessMemory(handle, &secret, &word, sizeof(word), NULL));
	assert_int_equal(word, 0);
	assert_false(TerminateProcess(handle, 1));
	(void)VirtualQueryEx(handle, &secret, &memory, sizeof(memory));
	(void)GetExitCodeProcess(handle, &code);
	(void)GetProcessTimes(handle, &times[0], &times[1], &times[2], &times[3]);
	// Programs kill what this gives.
	pid = GetProcessId(handle);
	for (int i = 0; i < INNOCENTS; i++)
		assert_int_not_equal(pid, innocents[i].pid);
	assert_int_not_equal(pid, getpid());
	if (DuplicateHandle(GetCurrentProcess(), handle, GetCurrentProcess(), &copy, 0, FALSE,
			    DUPLICATE_SAME_ACCESS))
		assert_true(CloseHandle(copy));
}

// Every function, then the end: PssFreeSnapshot, or CloseHandle if @closes.
static void call_everything(int fd, bool closes)
{
	PSS_VA_CLONE_INFORMATION clone = { NULL };
	PSSX_CORE_RESULT result = { .Size = sizeof(result) };
	HPSS snapshot = (HPSS)(intptr_t)fd, copy = NULL;
	uint64_t since = harness_now_ns();
	int out = open("/dev/null", O_WRONLY | O_CLOEXEC);

	query_all(snapshot);
	walk_all(snapshot);
	use_as_process(snapshot);
	if (PssQuerySnapshot(snapshot, PSS_QUERY_VA_CLONE_INFORMATION, &clone, sizeof(clone)) ==
	    ERROR_SUCCESS)
		use_as_process(clone.VaCloneHandle);
	assert_int_not_equal(PssxWriteElfCore(snapshot, out, NULL, &result), ERROR_SUCCESS);
	close(out);
	if (PssDuplicateSnapshot(GetCurrentProcess(), snapshot, GetCurrentProcess(), &copy,
				 PSS_DUPLICATE_NONE) == ERROR_SUCCESS)
		assert_success(PssFreeSnapshot(GetCurrentProcess(), copy));
	if (clone.VaCloneHandle)
		assert_true(CloseHandle(clone.VaCloneHandle));
	if (closes)
		assert_true(CloseHandle((HANDLE)snapshot));
	else
		(void)PssFreeSnapshot(GetCurrentProcess(), snapshot);
	if (harness_is_past(since, CALLS_MS_MAX))
		harness_fail("the calls took more than %d ms", CALLS_MS_MAX);
}

static void strangers_named_as_the_clone_or_the_target_are_left_alone(void **state)
{
	struct pss_procfs_stat host;

	(void)state;
	assert_true(read_stat(getpid(), &host));
	for (int i = 0; i < INNOCENTS; i++) {
		for (int mode = 0; mode < 16; mode++) {
			const struct innocent *owner = &innocents[mode & 1 ? PARENT : SLEEPER];
			bool is_host = mode & 2;
			const struct plot plot = {
				.clone = { innocents[i].pid, innocents[i].pid,
					   innocents[i].start_ticks + (mode & 4 ? 1 : 0), 3, 0 },
				.target_pid = is_host ? getpid() : owner->pid,
				.target_start_ticks =
					is_host ? host.start_ticks : owner->start_ticks,
				.capturer_pid = getpid(),
				.capturer_start_ticks = host.start_ticks,
			};

			call_everything(plot_section(&plot), mode & 8);
			assert_all_innocents_as_before(innocents[i].what);
		}
	}
}

static void numbers_that_are_no_process_are_not_signalled(void **state)
{
	static const pid_t pids[] = { 0, -1, 1, INT32_MIN, INT32_MAX };
	struct pss_procfs_stat host;

	(void)state;
	assert_true(read_stat(getpid(), &host));
	for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
		for (size_t other = 0; other < sizeof(pids) / sizeof(pids[0]); other++) {
			const struct plot plot = {
				.clone = { pids[i], pids[other], i, -1, 0 },
				.target_pid = pids[other],
				.capturer_pid = pids[other],
			};

			call_everything(plot_section(&plot), other & 1);
		}
	}
	// The host itself, which holds the section, under its true start time.
	for (int fd = 0; fd < 64; fd++) {
		const struct plot plot = {
			.clone = { getpid(), getpid(), host.start_ticks, fd, 0 },
			.target_pid = getpid(),
			.target_start_ticks = host.start_ticks,
		};

		call_everything(plot_section(&plot), fd & 1);
	}
	assert_all_innocents_as_before("numbers");
}

static void what_the_attacker_holds_himself_harms_no_other(void **state)
{
	const struct innocent *named = &innocents[SLEEPER];
	const struct plot plot = {
		.clone = { named->pid, named->pid, named->start_ticks, HELD_FD, 0 },
		.target_pid = innocents[PARENT].pid,
		.target_start_ticks = innocents[PARENT].start_ticks,
		.capturer_pid = attacker.pid,
		.how = KEEP,
	};
	HPSS there = (HPSS)HELD_FD, copy = NULL;
	HANDLE holder = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)attacker.pid);
	HANDLE stranger = OpenProcess(PROCESS_ALL_ACCESS, FALSE, (DWORD)named->pid);
	HANDLE handle = NULL;

	(void)state;
	close(plot_section(&plot));
	assert_int_equal(PssFreeSnapshot(stranger, there), ERROR_INVALID_HANDLE);
	assert_int_equal(PssDuplicateSnapshot(stranger, there, GetCurrentProcess(), &copy,
					      PSS_DUPLICATE_CLOSE_SOURCE),
			 ERROR_INVALID_HANDLE);
	assert_success(PssDuplicateSnapshot(holder, there, GetCurrentProcess(), &copy,
					    PSS_DUPLICATE_NONE));
	call_everything((int)(intptr_t)copy, false);
	assert_true(DuplicateHandle(holder, (HANDLE)there, GetCurrentProcess(), &handle, 0, FALSE,
				    DUPLICATE_SAME_ACCESS));
	call_everything((int)(intptr_t)handle, true);
	assert_success(PssDuplicateSnapshot(holder, there, GetCurrentProcess(), &copy,
					    PSS_DUPLICATE_CLOSE_SOURCE));
	call_everything((int)(intptr_t)copy, false);
	assert_int_equal(PssFreeSnapshot(holder, there), ERROR_INVALID_HANDLE);
	close(plot_section(&plot));
	assert_success(PssFreeSnapshot(holder, there));
	assert_true(CloseHandle(holder));
	assert_true(CloseHandle(stranger));
	assert_all_innocents_as_before("what the attacker holds");
}

static void a_true_clone_that_describes_more_than_it_has_is_no_core(void **state)
{
	const struct plot plot = {
		.target_pid = innocents[SLEEPER].pid,
		.target_start_ticks = innocents[SLEEPER].start_ticks,
		.how = BE_CLONE,
		.region = { .start = 0x1000,
			    .end = 0x7ffffffff000,
			    .kind = PSS_REGION_SPECIAL,
			    .protection = PSS_REGION_READ,
			    .content = PSS_CONTENT_POINT_IN_TIME },
	};
	int out = open("/dev/null", O_WRONLY | O_CLOEXEC), fd = plot_section(&plot);
	HPSS snapshot = (HPSS)(intptr_t)fd;
	pid_t pid = (pid_t)GetProcessId((HANDLE)snapshot);
	uint64_t since = harness_now_ns(), word;

	(void)state;
	// It is its own process, so it may be read and ended; the rest must come to an end.
	assert_true(pid > 0);
	assert_int_equal(PssxWriteElfCore(snapshot, out, NULL, NULL), ERROR_INVALID_HANDLE);
	assert_int_not_equal(PssxWriteMinidump(snapshot, out, NULL, NULL), ERROR_SUCCESS);
	assert_false(
		ReadProcessMemory((HANDLE)snapshot, (void *)0x1000, &word, sizeof(word), NULL));
	assert_true(ReadProcessMemory((HANDLE)snapshot, &secret, &word, sizeof(word), NULL));
	if (!TerminateProcess((HANDLE)snapshot, 1))
		harness_fail("%s", PssxErrorText());
	wait_for_state(pid, 'Z');
	assert_success(PssFreeSnapshot(GetCurrentProcess(), snapshot));
	assert_false(harness_is_past(since, CALLS_MS_MAX));
	close(out);
	assert_all_innocents_as_before("a true clone");
}

// Another process of root's that has been sent the section, and looks like a clone in all else:
// only that an ordinary user made the section tells that it is none of his.
static void who_was_sent_the_section_is_not_its_clone(void **state)
{
	int sockets[2], fd;
	struct plot plot = { .target_pid = innocents[SLEEPER].pid };
	struct pss_procfs_stat stat;
	char byte;
	pid_t receiver;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	receiver = harness_fork();
	if (receiver == 0) {
		prctl(PR_SET_NAME, PSS_CLONE_NAME);
		fd = receive_fd(sockets[1]);
		if (dup2(fd, PSS_CLONE_SECTION_FD) < 0 || write(sockets[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_true(read_stat(receiver, &stat));
	plot.clone = (struct pss_clone_record){ receiver, receiver, stat.start_ticks,
						PSS_CLONE_SECTION_FD, 0 };
	fd = plot_section(&plot);
	assert_true(pass_fd(sockets[0], fd));
	assert_int_equal(read(sockets[0], &byte, 1), 1);
	call_everything(fd, false);
	wait_for_state(receiver, 'S');
	kill_and_reap(receiver);
	close(sockets[0]);
	close(sockets[1]);
	assert_all_innocents_as_before("who was sent the section");
}

// The bytes of @fd with @count of them changed, sealed.
static int mutate(int fd, unsigned *seed, int count)
{
	struct stat st;
	uint8_t *bytes;
	int copy = memfd_create("mutation", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_non_null(bytes);
	assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	for (int i = 0; i < count; i++) {
		// Half of them where offsets, counts and numbers of processes stand.
		size_t range = i % 2 ? (size_t)st.st_size : 1024;
		size_t at = (size_t)rand_r(seed) % range;

		bytes[at] = rand_r(seed) % 3 ? (uint8_t)rand_r(seed) : 0xff;
	}
	assert_int_equal(pwrite(copy, bytes, (size_t)st.st_size, 0), st.st_size);
	assert_int_equal(fcntl(copy, F_ADD_SEALS, SEALS), 0);
	free(bytes);
	return copy;
}

static void mutations_of_a_real_section_do_no_harm(void **state)
{
	unsigned seed = 4711;

	(void)state;
	for (int i = 0; i < MUTATIONS; i++)
		call_everything(mutate((int)(intptr_t)real, &seed, 1 + i % 8), i % 2);
	assert_all_innocents_as_before("mutations");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strangers_named_as_the_clone_or_the_target_are_left_alone),
		cmocka_unit_test(numbers_that_are_no_process_are_not_signalled),
		cmocka_unit_test(what_the_attacker_holds_himself_harms_no_other),
		cmocka_unit_test(a_true_clone_that_describes_more_than_it_has_is_no_core),
		cmocka_unit_test(who_was_sent_the_section_is_not_its_clone),
		cmocka_unit_test(mutations_of_a_real_section_do_no_harm),
	};

	if (geteuid() != 0) {
		printf("only root has less privileged ones to fear\n");
		return 77;
	}
	harness_begin("test_hostile");
	return cmocka_run_group_tests(tests, start_all, stop_all);
}
