// SPDX-License-Identifier: LGPL-2.1-or-later
// The clone's memory: only the clone of this very section is ever opened, reads stop where memory
// does, saved bytes replace ours, and a death is told from a hole. The clone here is a child that
// shares our descriptors, so that it holds the section under our number.
#include "memory.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../integration/pass_fd.h"
#include "procfs.h"

enum { PAGE = 4096, PAGES = 8, HOLE_PAGE = 5 };

struct fixture {
	uint8_t *area; // PAGES pages, the same address in the clone; there it is filled with 0xcc
	pid_t pid;
	uint64_t start_ticks;
	int socket; // what is sent there the clone holds where clones do
	int fd;
	struct pss_section section;
};

static void run_clone(struct fixture *fixture, const char *name, int socket)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_NAME, name);
	memset(fixture->area, 0xcc, PAGES * PAGE);
	(void)munmap(fixture->area + HOLE_PAGE * PAGE, PAGE);
	for (;;) {
		int fd = receive_fd(socket);

		if (fd < 0 || dup2(fd, PSS_CLONE_SECTION_FD) < 0 || write(socket, "", 1) != 1)
			_exit(1);
		(void)close(fd);
	}
}

static void start_clone(struct fixture *fixture, const char *name)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	_cleanup_close_ int dir = -EBADF;
	struct pss_procfs_stat stat;
	int sockets[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	fixture->area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(fixture->area, MAP_FAILED);
	fixture->pid = fork();
	assert_true(fixture->pid >= 0);
	if (fixture->pid == 0)
		run_clone(fixture, name, sockets[1]);
	fixture->socket = sockets[0];
	assert_int_equal(close(sockets[1]), 0);

	assert_int_equal(pss_procfs_open(fixture->pid, &dir), 0);
	assert_int_equal(pss_procfs_read(dir, "stat", &text), 0);
	assert_int_equal(pss_procfs_parse_stat((char *)text.data, text.size, &stat), 0);
	fixture->start_ticks = stat.start_ticks;
}

// Has the clone hold @fd, and returns it.
static int hold(const struct fixture *fixture, int fd)
{
	char byte;

	assert_true(pass_fd(fixture->socket, fd));
	assert_int_equal(read(fixture->socket, &byte, 1), 1);
	return fd;
}

static void add_patch(struct pss_section_builder *builder, uint64_t address, const char *bytes)
{
	struct pss_patch_record patch = { .address = address };

	assert_int_equal(pss_section_add_bytes(builder, bytes, strlen(bytes), &patch.bytes), 0);
	assert_int_equal(pss_section_add(builder, PSS_PART_PATCHES, &patch, sizeof patch), 0);
}

// A section that says: the clone is @pid, started at @start_ticks, and holds me as @section_fd.
static int seal(const struct fixture *fixture, uint64_t start_ticks, int section_fd)
{
	_cleanup_section_builder_ struct pss_section_builder builder = PSS_SECTION_BUILDER_EMPTY;
	struct pss_process_record process = { .pid = 4711 };
	struct pss_clone_record clone = {
		.pid = fixture->pid,
		.start_ticks = start_ticks,
		.section_fd = section_fd,
	};
	uint64_t area = (uintptr_t)fixture->area;
	int fd = -EBADF;

	builder.machine = EM_X86_64;
	assert_int_equal(pss_section_add(&builder, PSS_PART_PROCESS, &process, sizeof process), 0);
	assert_int_equal(pss_section_add(&builder, PSS_PART_CLONE, &clone, sizeof clone), 0);
	// The second overlaps the first: where they do, it saved what the first had written.
	add_patch(&builder, area + PAGE - 2, "WXYZ");
	add_patch(&builder, area + PAGE, "12345");
	assert_int_equal(pss_section_seal(&builder, NULL, &fd), 0);
	return fd;
}

static int setup(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){ 0 };
	start_clone(&fixture, PSS_CLONE_NAME);
	fixture.fd = hold(&fixture, seal(&fixture, fixture.start_ticks, PSS_CLONE_SECTION_FD));
	assert_int_equal(pss_section_open(fixture.fd, &fixture.section), 0);
	*state = &fixture;
	return 0;
}

static void kill_clone(struct fixture *fixture)
{
	if (fixture->pid > 0) {
		assert_int_equal(kill(fixture->pid, SIGKILL), 0);
		assert_int_equal(waitpid(fixture->pid, NULL, 0), fixture->pid);
	}
	fixture->pid = 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	kill_clone(fixture);
	pss_section_close(&fixture->section);
	assert_int_equal(close(fixture->fd), 0);
	assert_int_equal(close(fixture->socket), 0);
	assert_int_equal(munmap(fixture->area, PAGES * PAGE), 0);
	return 0;
}

static void test_read(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	struct pss_diag diag = { 0 };
	uint8_t buffer[2 * PAGE];
	size_t done = 0;

	assert_int_equal(pss_memory_open_clone(&fixture->section, &diag, &memory), 0);
	assert_int_equal(pss_memory_read(&memory, (uintptr_t)fixture->area + 2 * PAGE, buffer,
					 sizeof buffer, &done),
			 0);
	assert_int_equal(done, sizeof buffer);
	for (size_t i = 0; i < sizeof buffer; i++)
		assert_int_equal(buffer[i], 0xcc);
	assert_int_equal(fixture->area[2 * PAGE], 0); // ours is another
	assert_int_equal(pss_memory_read(&memory, (uintptr_t)fixture->area, buffer, 0, &done), 0);
	assert_int_equal(done, 0);
}

static void test_read_stops_at_hole(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	static uint8_t buffer[PAGES * PAGE];
	uint64_t area = (uintptr_t)fixture->area;
	size_t done = 0;

	assert_int_equal(pss_memory_open_clone(&fixture->section, NULL, &memory), 0);
	assert_int_equal(pss_memory_read(&memory, area + 100, buffer, PAGES * PAGE - 100, &done),
			 -EFAULT);
	assert_int_equal(done, HOLE_PAGE * PAGE - 100);
	assert_int_equal(buffer[done - 1], 0xcc);
	assert_int_equal(pss_memory_read(&memory, area + HOLE_PAGE * PAGE, buffer, 1, &done),
			 -EFAULT);
	assert_int_equal(done, 0);
	assert_int_equal(pss_memory_read(&memory, area + (HOLE_PAGE + 1) * PAGE, buffer, 1, &done),
			 0);
	assert_int_equal(done, 1);
	// Page 0, the vsyscall page, and a range that wraps.
	assert_int_equal(pss_memory_read(&memory, 0, buffer, 16, &done), -EFAULT);
	assert_int_equal(pss_memory_read(&memory, 0xffffffffff600000, buffer, 16, &done), -EFAULT);
	assert_int_equal(pss_memory_read(&memory, UINT64_MAX - 7, buffer, 16, &done), -EFAULT);
	assert_int_equal(done, 0);
}

static void test_patches(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	static const uint8_t expected[] = "\xcc\xccWXYZ345\xcc";
	const uint64_t base = (uintptr_t)fixture->area + PAGE - 4;
	const size_t length = sizeof expected - 1;
	size_t done = 0;

	assert_int_equal(pss_memory_open_clone(&fixture->section, NULL, &memory), 0);
	// Every piece of the patched range, from every start.
	for (size_t start = 0; start < length; start++)
		for (size_t size = 1; size <= length - start; size++) {
			uint8_t buffer[16] = { 0 };

			assert_int_equal(
				pss_memory_read(&memory, base + start, buffer, size, &done), 0);
			assert_int_equal(done, size);
			assert_memory_equal(buffer, expected + start, size);
			assert_int_equal(buffer[size], 0);
		}
}

static void check_refused(const struct fixture *fixture, int fd, int error)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	struct pss_memory memory = PSS_MEMORY_EMPTY;
	struct pss_diag diag = { 0 };

	assert_int_equal(pss_section_open(fd, &section), 0);
	assert_int_equal(pss_memory_open_clone(&section, &diag, &memory), error);
	assert_int_equal(diag.error, error);
	assert_true(strlen(diag.text) > 0);
	assert_int_equal(memory.mem_fd, -EBADF);
	assert_int_equal(close(fd), 0);
	(void)fixture;
}

static void check_accepted(int fd)
{
	_cleanup_section_ struct pss_section section = PSS_SECTION_EMPTY;
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;

	assert_int_equal(pss_section_open(fd, &section), 0);
	assert_int_equal(pss_memory_open_clone(&section, NULL, &memory), 0);
	assert_int_equal(close(fd), 0);
}

static void test_others_refused(void **state)
{
	struct fixture *fixture = *state;
	const int where = PSS_CLONE_SECTION_FD;
	struct fixture self = { .pid = getpid(), .area = fixture->area };
	int fd = seal(fixture, fixture->start_ticks, where);

	// It holds another one; then this one, so that is all that was wrong.
	check_refused(fixture, fcntl(fd, F_DUPFD_CLOEXEC, 3), -ESRCH);
	check_accepted(hold(fixture, fd));
	// It was started at another time; or holds it, but not where clones do.
	fd = seal(fixture, fixture->start_ticks + 1, where);
	check_refused(fixture, hold(fixture, fd), -ESRCH);
	fd = seal(fixture, fixture->start_ticks, fixture->socket);
	check_refused(fixture, hold(fixture, fd), -ESRCH);
	check_refused(fixture, seal(fixture, fixture->start_ticks, 999), -ESRCH);
	check_refused(fixture, seal(&self, fixture->start_ticks + 12345, where), -ESRCH);
	self.pid = 0x3fffff + 1; // more than any pid_max
	check_refused(fixture, seal(&self, 1, where), -ESRCH);
}

// It is what the section says, and has been sent the section; but it is no clone.
static void test_who_holds_it_is_no_clone(void **state)
{
	struct fixture fixture = { 0 };
	int fd;

	(void)state;
	start_clone(&fixture, "innocent");
	fd = seal(&fixture, fixture.start_ticks, PSS_CLONE_SECTION_FD);
	check_refused(&fixture, hold(&fixture, fd), -ESRCH);
	kill_clone(&fixture);
	assert_int_equal(close(fixture.socket), 0);
	assert_int_equal(munmap(fixture.area, PAGES * PAGE), 0);
}

// Of another user's making it says nothing of our processes. As root only.
static void test_who_made_it_could_not_clone_it(void **state)
{
	struct fixture *fixture = *state;
	int fd = seal(fixture, fixture->start_ticks, PSS_CLONE_SECTION_FD);

	if (geteuid() != 0) {
		assert_int_equal(close(fd), 0);
		skip();
	}
	assert_int_equal(fchown(fd, 65534, 65534), 0);
	check_refused(fixture, hold(fixture, fd), -ESRCH);
}

static void test_no_clone(void **state)
{
	(void)state;
	_cleanup_section_builder_ struct pss_section_builder builder = PSS_SECTION_BUILDER_EMPTY;
	struct pss_process_record process = { .pid = 4711 };
	int fd = -EBADF;

	assert_int_equal(pss_section_add(&builder, PSS_PART_PROCESS, &process, sizeof process), 0);
	assert_int_equal(pss_section_seal(&builder, NULL, &fd), 0);
	check_refused(NULL, fd, -ENOENT);
}

static void test_dead_clone(void **state)
{
	struct fixture *fixture = *state;
	_cleanup_memory_ struct pss_memory memory = PSS_MEMORY_EMPTY;
	uint8_t buffer[16];
	siginfo_t info;
	size_t done = 77;

	assert_int_equal(pss_memory_open_clone(&fixture->section, NULL, &memory), 0);
	assert_int_equal(kill(fixture->pid, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)fixture->pid, &info, WEXITED | WNOWAIT), 0);
	// A zombie: it still has its pid, its start time and nothing else.
	assert_int_equal(pss_memory_read(&memory, (uintptr_t)fixture->area, buffer, 16, &done),
			 -ESRCH);
	assert_int_equal(done, 77);
	check_refused(fixture, fcntl(fixture->fd, F_DUPFD_CLOEXEC, 3), -ESRCH);

	assert_int_equal(waitpid(fixture->pid, NULL, 0), fixture->pid);
	fixture->pid = 0;
	assert_int_equal(pss_memory_read(&memory, (uintptr_t)fixture->area, buffer, 16, &done),
			 -ESRCH);
	check_refused(fixture, fcntl(fixture->fd, F_DUPFD_CLOEXEC, 3), -ESRCH);
}

static void test_close_twice(void **state)
{
	struct fixture *fixture = *state;
	struct pss_memory memory = PSS_MEMORY_EMPTY;

	assert_int_equal(pss_memory_open_clone(&fixture->section, NULL, &memory), 0);
	assert_int_equal(fcntl(memory.mem_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	pss_memory_close(&memory);
	assert_int_equal(memory.mem_fd, -EBADF);
	pss_memory_close(&memory);
	pss_memory_close(NULL);
}

#define WITH_CLONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CLONE(test_read),
		WITH_CLONE(test_read_stops_at_hole),
		WITH_CLONE(test_patches),
		WITH_CLONE(test_others_refused),
		cmocka_unit_test(test_who_holds_it_is_no_clone),
		WITH_CLONE(test_who_made_it_could_not_clone_it),
		cmocka_unit_test(test_no_clone),
		WITH_CLONE(test_dead_clone),
		WITH_CLONE(test_close_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
