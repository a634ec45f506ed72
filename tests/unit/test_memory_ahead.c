// SPDX-License-Identifier: LGPL-2.1-or-later
// The thread that reads ahead: its ring of pieces, alone; and when an export has one.
#include "memory_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <libelf.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "fixture_core.h"
#include "procfs.h"

enum { SECONDS = 120, RING = 3, PIECE = 4096, PIECES = 20, MUCH = 24, LITTLE = 8 };

static unsigned threads_asked_for;
static bool has_no_threads;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
			  void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
			  void *argument);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
			  void *argument)
{
	threads_asked_for++;
	return has_no_threads ? EAGAIN : __real_pthread_create(thread, attributes, run, argument);
}

// What is read: pieces with their number in each byte, until the last.
struct source {
	unsigned count;      // pieces before the last
	int last;            // its result
	unsigned cut;        // the number of one that could not be read as a whole
	unsigned read;       // so far; by the thread
	unsigned given_back; // so far; by us
	pid_t reader;
	bool is_too_far; // a piece was read before there was a buffer for it
	bool takes_signals;
};

static void read_piece(void *context, struct pss_memory_piece *piece)
{
	struct source *source = context;
	unsigned number = source->read;
	sigset_t mask;

	source->is_too_far |=
		number - __atomic_load_n(&source->given_back, __ATOMIC_ACQUIRE) >= RING;
	(void)pthread_sigmask(SIG_BLOCK, NULL, &mask);
	for (int i = 1; i <= SIGSYS; i++)
		source->takes_signals |= i != SIGKILL && i != SIGSTOP && sigismember(&mask, i) == 0;
	source->reader = (pid_t)syscall(SYS_gettid);
	piece->start = number;
	piece->wanted = PIECE;
	piece->done = number == source->cut ? PIECE / 2 : PIECE;
	piece->result = number == source->cut ? -EFAULT : 0;
	if (number == source->count)
		piece->result = source->last;
	memset(piece->bytes, (int)number + 1, PIECE);
	__atomic_store_n(&source->read, number + 1, __ATOMIC_RELEASE);
}

static void give_back(struct pss_memory_ahead *ahead, struct source *source)
{
	__atomic_add_fetch(&source->given_back, 1, __ATOMIC_RELEASE);
	pss_memory_ahead_give_back(ahead);
}

// The reader can read no further, and waits.
static void wait_until_full(const struct source *source)
{
	struct pss_procfs_stat stat = { 0 };
	char path[48];

	while (__atomic_load_n(&source->read, __ATOMIC_ACQUIRE) < RING)
		(void)sched_yield();
	(void)snprintf(path, sizeof path, "/proc/self/task/%d/stat", source->reader);
	while (stat.state != 'S') {
		(void)sched_yield();
		assert_int_equal(pss_procfs_read_stat(AT_FDCWD, path, NULL, &stat), 0);
	}
}

static size_t count_tasks(void)
{
	_cleanup_buf_ struct pss_buf tids = PSS_BUF_EMPTY;

	assert_int_equal(pss_procfs_list(AT_FDCWD, "/proc/self/task", &tids), 0);
	return tids.size / sizeof(int32_t);
}

// Of a thread that was joined, the entry may be there for a moment.
static void assert_alone(void)
{
	while (count_tasks() != 1)
		(void)sched_yield();
}

static struct pss_memory_ahead *start(void)
{
	struct pss_memory_ahead *ahead = pss_memory_ahead_start(RING, PIECE);

	assert_non_null(ahead);
	return ahead;
}

static void take_all(struct pss_memory_ahead *ahead, struct source *source)
{
	for (unsigned i = 0; i <= source->count; i++) {
		struct pss_memory_piece *piece = pss_memory_ahead_take(ahead);

		assert_int_equal(piece->start, i);
		assert_int_equal(piece->bytes[0], i + 1);
		assert_int_equal(piece->bytes[PIECE - 1], i + 1);
		assert_int_equal(piece->done, i == source->cut ? PIECE / 2 : PIECE);
		assert_int_equal(piece->result, i == source->count ? source->last
						: i == source->cut ? -EFAULT
								   : 0);
		give_back(ahead, source);
	}
	assert_false(source->is_too_far);
	assert_false(source->takes_signals);
	assert_int_not_equal(source->reader, getpid());
}

static void pieces_come_in_order_up_to_the_end(void **state)
{
	struct source source = { .count = PIECES, .last = -ENODATA, .cut = 7 };
	struct pss_memory_ahead *ahead = start();

	(void)state;
	pss_memory_ahead_begin(ahead, read_piece, &source);
	take_all(ahead, &source);
	// And once more, for what comes next.
	source = (struct source){ .count = 1, .last = -ENODATA, .cut = UINT32_MAX };
	pss_memory_ahead_begin(ahead, read_piece, &source);
	take_all(ahead, &source);
	pss_memory_ahead_end(ahead);
	assert_alone();
}

static void what_is_not_given_back_is_not_read_over(void **state)
{
	struct source source = { .count = PIECES, .last = -ENODATA, .cut = UINT32_MAX };
	struct pss_memory_ahead *ahead = start();

	(void)state;
	pss_memory_ahead_begin(ahead, read_piece, &source);
	struct pss_memory_piece *first = pss_memory_ahead_take(ahead);
	wait_until_full(&source);
	assert_int_equal(source.read, RING);
	assert_int_equal(first->bytes[0], 1);
	assert_int_equal(first->start, 0);
	// It is the same one until it is given back; then the reader goes on.
	assert_ptr_equal(pss_memory_ahead_take(ahead), first);
	take_all(ahead, &source);
	pss_memory_ahead_end(ahead);
}

static void nothing_is_read_past_an_error(void **state)
{
	struct source source = { .count = 1, .last = -EIO, .cut = UINT32_MAX };
	struct pss_memory_ahead *ahead = start();

	(void)state;
	pss_memory_ahead_begin(ahead, read_piece, &source);
	take_all(ahead, &source);
	pss_memory_ahead_end(ahead);
	assert_int_equal(source.read, 2);
}

// The writer has failed: nobody takes what was read.
static void it_ends_while_the_reader_waits(void **state)
{
	struct source source = { .count = PIECES, .last = -ENODATA, .cut = UINT32_MAX };
	struct pss_memory_ahead *ahead = start();

	(void)state;
	pss_memory_ahead_begin(ahead, read_piece, &source);
	wait_until_full(&source);
	pss_memory_ahead_end(ahead);
	assert_int_equal(source.read, RING);
	assert_alone();
	// Before it has begun, and none at all.
	pss_memory_ahead_end(start());
	pss_memory_ahead_end(NULL);
	assert_alone();
}

static void without_a_thread_there_is_none(void **state)
{
	(void)state;
	threads_asked_for = 0;
	has_no_threads = true;
	assert_null(pss_memory_ahead_start(RING, PIECE));
	has_no_threads = false;
	assert_int_equal(threads_asked_for, 1);
	// Nor without memory.
	assert_null(pss_memory_ahead_start(RING, SIZE_MAX / 8));
	assert_int_equal(threads_asked_for, 1);
}

// A process with so many MiB, no two pages of them alike.
static void setup_memory(struct core_fixture *fixture, size_t mib, int32_t pid)
{
	core_setup(fixture, mib * MIB);
	fixture->process.pid = pid;
	for (uint64_t at = 0; at < mib * MIB; at += PAGE)
		memcpy(fixture->area + at, &at, sizeof at);
	core_add_region(fixture,
			(struct pss_region_record){ .start = core_address(fixture, 0),
						    .end = core_address(fixture, mib * MIB) },
			NULL);
	core_seal(fixture);
	threads_asked_for = 0;
}

static void assert_holds_all(const struct core_fixture *fixture, int fd)
{
	uint8_t *bytes = malloc(fixture->size);

	assert_non_null(bytes);
	assert_true(core_read(fd, core_address(fixture, 0), bytes, fixture->size));
	assert_memory_equal(bytes, fixture->area, fixture->size);
	free(bytes);
	(void)close(fd);
	assert_alone();
}

static void much_is_read_ahead_by_one_thread(void **state)
{
	struct core_fixture fixture;

	(void)state;
	setup_memory(&fixture, MUCH, PID);
	assert_holds_all(&fixture, core_write_file(&fixture));
	assert_int_equal(threads_asked_for, 1);
	core_teardown(&fixture);
}

static void little_is_not(void **state)
{
	struct core_fixture fixture;

	(void)state;
	setup_memory(&fixture, LITTLE, PID);
	assert_holds_all(&fixture, core_write_file(&fixture));
	assert_int_equal(threads_asked_for, 0);
	core_teardown(&fixture);
}

// A thread takes some of the heap, which may be what is wrong with the process.
static void a_process_that_captured_itself_gets_no_thread(void **state)
{
	struct core_fixture fixture;

	(void)state;
	setup_memory(&fixture, MUCH, getpid());
	assert_holds_all(&fixture, core_write_file(&fixture));
	assert_int_equal(threads_asked_for, 0);
	core_teardown(&fixture);
}

static void without_a_thread_all_is_written_the_same(void **state)
{
	struct core_fixture fixture;

	(void)state;
	setup_memory(&fixture, MUCH, PID);
	has_no_threads = true;
	int fd = core_write_file(&fixture);
	has_no_threads = false;
	assert_holds_all(&fixture, fd);
	assert_int_equal(threads_asked_for, 1);
	core_teardown(&fixture);
}

static void a_failed_write_ends_the_thread(void **state)
{
	struct core_fixture fixture;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	setup_memory(&fixture, MUCH, PID);
	assert_int_equal(core_write_to(&fixture, fd, false), -ENOSPC);
	assert_int_equal(threads_asked_for, 1);
	assert_alone();
	(void)close(fd);
	core_teardown(&fixture);
}

static pid_t caller;
static unsigned calls;

static int count_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	(void)done;
	(void)total;
	assert_int_equal(syscall(SYS_gettid), caller);
	calls++;
	return 0;
}

static int count_written(void *context, uint32_t region, uint64_t start, uint64_t end)
{
	(void)region;
	assert_int_equal(syscall(SYS_gettid), caller);
	*(uint64_t *)context += end - start;
	return 0;
}

static int read_for_it(void *context, uint64_t address, void *buffer, size_t size, size_t *done_ret)
{
	(void)context;
	assert_int_equal(syscall(SYS_gettid), caller);
	memcpy(buffer, (const void *)(uintptr_t)address, size);
	*done_ret = size;
	return 0;
}

static void callbacks_are_the_calling_threads(void **state)
{
	struct core_fixture fixture;
	uint64_t written = 0;

	(void)state;
	caller = (pid_t)syscall(SYS_gettid);
	setup_memory(&fixture, MUCH, PID);
	fixture.options.hooks.progress = count_progress;
	fixture.options.hooks.written = count_written;
	fixture.options.hooks.written_context = &written;
	assert_holds_all(&fixture, core_write_file(&fixture));
	assert_int_equal(threads_asked_for, 1);
	assert_true(calls >= 2);
	assert_int_equal(written, fixture.size);
	// And where they read themselves, no other thread asks them to.
	threads_asked_for = 0;
	fixture.options.hooks.read = read_for_it;
	assert_holds_all(&fixture, core_write_file(&fixture));
	assert_int_equal(threads_asked_for, 0);
	core_teardown(&fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_come_in_order_up_to_the_end),
		cmocka_unit_test(what_is_not_given_back_is_not_read_over),
		cmocka_unit_test(nothing_is_read_past_an_error),
		cmocka_unit_test(it_ends_while_the_reader_waits),
		cmocka_unit_test(without_a_thread_there_is_none),
		cmocka_unit_test(much_is_read_ahead_by_one_thread),
		cmocka_unit_test(little_is_not),
		cmocka_unit_test(a_process_that_captured_itself_gets_no_thread),
		cmocka_unit_test(without_a_thread_all_is_written_the_same),
		cmocka_unit_test(a_failed_write_ends_the_thread),
		cmocka_unit_test(callbacks_are_the_calling_threads),
	};

	(void)elf_version(EV_CURRENT);
	(void)alarm(SECONDS);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
