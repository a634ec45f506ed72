// SPDX-License-Identifier: LGPL-2.1-or-later
// The threads of the target that measure: one computes and looks at the clock, one writes to memory
// at a rate, four block for a millisecond again and again. And those that only run, or only sleep.
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "patient.h"

// A gap that counts as one: longer than any interrupt, shorter than any capture.
#define GAP_NS     20000u
#define MS_NS      1000000u
#define SECOND_NS  1000000000u
#define INTERVAL   200000u // of the writer's turns
#define TURN_PAGES 64u     // at most

enum { SPINNER, WRITER, NANOSLEEP, EPOLL, FUTEX, POLL, RUNNERS, METERS };
enum { FIRST_TIMED = NANOSLEEP, LAST_TIMED = POLL };

static const char *const names[METERS] = { "spinner", "writer", "nanosleep", "epoll_wait",
					   "futex",   "poll",   "runners" };

// A cache line or more for each, so that none waits for another's.
static struct meter {
	_Alignas(128) _Atomic uint64_t longest_ns;
	_Atomic uint64_t total_ns; // of all gaps
	_Atomic uint64_t count;    // gaps
	_Atomic uint64_t work;     // rounds, pages or calls
	_Atomic unsigned epoch;    // the last beginning that it has seen
	bool is_there;
} meters[METERS];

static _Atomic unsigned epoch;
static _Atomic unsigned standing; // threads that have got to their work
static _Atomic uint64_t interrupted;
static uint64_t began_at;
static uint64_t turn_pages; // of the writer
static bool is_flat_out;

static _Atomic bool wants_fork;
static _Atomic pid_t child;
static _Atomic uint64_t fork_ns;

// Whether figures were asked to begin again; then they have.
static bool begin_again(struct meter *meter)
{
	unsigned wanted = atomic_load_explicit(&epoch, memory_order_relaxed);

	if (wanted == atomic_load_explicit(&meter->epoch, memory_order_relaxed))
		return false;
	meter->longest_ns = meter->total_ns = meter->count = meter->work = 0;
	meter->epoch = wanted;
	return true;
}

static void note(struct meter *meter, uint64_t gap)
{
	if (gap < GAP_NS)
		return;
	meter->count++;
	meter->total_ns += gap;
	if (gap > meter->longest_ns)
		meter->longest_ns = gap;
}

static void add_work(struct meter *meter, uint64_t work)
{
	uint64_t done = atomic_load_explicit(&meter->work, memory_order_relaxed);

	atomic_store_explicit(&meter->work, done + work, memory_order_relaxed);
}

static uint64_t timed_fork(pid_t *pid_ret)
{
	uint64_t start = patient_now();
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	if (pid < 0)
		patient_die("fork");
	*pid_ret = pid;
	return patient_now() - start;
}

static void *spin(void *unused)
{
	struct meter *meter = &meters[SPINNER];
	uint64_t last = patient_now();

	(void)unused;
	standing++;
	for (;;) {
		if (begin_again(meter))
			last = patient_now();
		if (atomic_load_explicit(&wants_fork, memory_order_relaxed)) {
			pid_t pid;

			fork_ns = timed_fork(&pid);
			wants_fork = false;
			child = pid;
		}
		uint64_t time = patient_now();

		note(meter, time - last);
		last = time;
		add_work(meter, 1);
	}
	return NULL;
}

static void *run(void *number)
{
	volatile uint64_t rounds = 0;

	(void)number;
	standing++;
	for (;;) {
		rounds++;
		if (rounds % 1000 == 0)
			atomic_fetch_add_explicit(&meters[RUNNERS].work, 1, memory_order_relaxed);
	}
	return NULL;
}

// Pages at random. Each turn has a time at which it is due; how late it is done is noted: by first
// writes that cost a copy, and by being held, asleep or not.
static void *write_pages(void *unused)
{
	struct meter *meter = &meters[WRITER];
	uint64_t x = 88172645463325252u, due = patient_now();
	volatile unsigned char *base = memory_base();
	size_t pages = memory_size() / PAGE;

	(void)unused;
	standing++;
	for (;;) {
		if (begin_again(meter))
			due = patient_now();
		for (uint64_t i = 0; i < turn_pages; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			base[x % pages * PAGE + 8]++;
		}
		add_work(meter, turn_pages);
		uint64_t done = patient_now();

		note(meter, done - due);
		due += INTERVAL;
		if (is_flat_out || done > due) {
			due = done;
			continue;
		}
		struct timespec until = { (time_t)(due / SECOND_NS), (long)(due % SECOND_NS) };

		(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
	}
	return NULL;
}

// One call that blocks for a millisecond; 0 if it ended by its time.
static int block_for_ms(unsigned kind, int epoll_fd)
{
	static uint32_t never;
	const struct timespec ms = { 0, MS_NS };
	struct epoll_event event;

	switch (kind) {
	case NANOSLEEP:
		return nanosleep(&ms, NULL);
	case EPOLL:
		return epoll_wait(epoll_fd, &event, 1, 1);
	case FUTEX:
		return syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, &ms, NULL, 0) < 0 &&
				       errno == ETIMEDOUT
			       ? 0
			       : -1;
	default:
		return poll(NULL, 0, 1);
	}
}

static void *block_again_and_again(void *number)
{
	unsigned kind = (unsigned)(uintptr_t)number;
	struct meter *meter = &meters[kind];
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	standing++;
	for (;;) {
		(void)begin_again(meter);
		uint64_t start = patient_now();

		if (block_for_ms(kind, epoll_fd) < 0 && errno == EINTR)
			interrupted++;
		uint64_t took = patient_now() - start;

		note(meter, took > MS_NS ? took - MS_NS : 0);
		add_work(meter, 1);
	}
	return NULL;
}

// Sleeps for ever, in one of four calls.
static void *sleep_for_ever(void *number)
{
	static uint32_t never;
	unsigned kind = (unsigned)(uintptr_t)number % 4;
	int ends[2] = { -1, -1 }, epoll_fd = kind == 1 ? epoll_create1(EPOLL_CLOEXEC) : -1;
	struct epoll_event event;
	char byte;

	if (kind == 2 && pipe2(ends, O_CLOEXEC) < 0)
		patient_die("pipe2");
	standing++;
	for (;;) {
		long r;

		if (kind == 0)
			r = syscall(SYS_futex, &never, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
		else if (kind == 1)
			r = epoll_wait(epoll_fd, &event, 1, -1);
		else if (kind == 2)
			r = read(ends[0], &byte, 1);
		else
			r = nanosleep(&(struct timespec){ 3600, 0 }, NULL);
		if (r < 0 && errno == EINTR)
			interrupted++;
	}
	return NULL;
}

static void start(void *(*body)(void *), uintptr_t number)
{
	pthread_t thread;
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	errno = pthread_create(&thread, &attributes, body, (void *)number);
	if (errno)
		patient_die("pthread_create");
	pthread_detach(thread);
}

static unsigned start_meters(const struct options *options)
{
	unsigned started = 0;

	meters[SPINNER].is_there = options->has_spinner;
	meters[WRITER].is_there = options->write_mib != 0;
	for (unsigned i = FIRST_TIMED; i <= LAST_TIMED; i++)
		meters[i].is_there = true;
	for (unsigned i = 0; i < RUNNERS; i++) {
		if (!meters[i].is_there)
			continue;
		if (i == SPINNER)
			start(spin, 0);
		else if (i == WRITER)
			start(write_pages, 0);
		else
			start(block_again_and_again, i);
		started++;
	}
	return started;
}

// Every thread has two files' worth of descriptors at most.
static void allow_descriptors(unsigned sleepers)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= sleepers + 1024)
		return;
	limit.rlim_cur = limit.rlim_max = limit.rlim_max + sleepers + 1024;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		patient_die("the limit of descriptors");
}

void meters_start(const struct options *options)
{
	uint64_t a_turn = options->write_mib * (MIB / PAGE) * INTERVAL / SECOND_NS;

	turn_pages = a_turn < 1 ? 1 : a_turn > TURN_PAGES ? TURN_PAGES : a_turn;
	is_flat_out = options->write_mib == FLAT_OUT;
	allow_descriptors(options->sleepers);
	unsigned started = start_meters(options) + options->runners + options->sleepers;

	for (unsigned i = 0; i < options->runners; i++)
		start(run, i);
	for (unsigned i = 0; i < options->sleepers; i++)
		start(sleep_for_ever, i);
	while (standing < started)
		usleep(1000);
}

void meters_reset(void)
{
	unsigned wanted = ++epoch;

	for (unsigned i = 0; i < RUNNERS; i++)
		while (meters[i].is_there && meters[i].epoch != wanted)
			usleep(100);
	meters[RUNNERS].work = 0;
	interrupted = 0;
	began_at = patient_now();
}

static void print_meter(const char *name, const struct meter *meter)
{
	printf("\"%s\":{\"longest_ns\":%llu,\"gaps\":%llu,\"gap_ns\":%llu,\"work\":%llu},", name,
	       (unsigned long long)meter->longest_ns, (unsigned long long)meter->count,
	       (unsigned long long)meter->total_ns, (unsigned long long)meter->work);
}

// A gap is known only when it is over: when there is work done after it.
static void wait_for_work(const struct meter *meter, uint64_t work)
{
	while (meter->is_there && meter->work < work + 2)
		usleep(100);
}

void meters_report(void)
{
	uint64_t work[RUNNERS];
	uint64_t now = patient_now();

	for (unsigned i = 0; i < RUNNERS; i++)
		work[i] = meters[i].work;
	for (unsigned i = 0; i < RUNNERS; i++)
		wait_for_work(&meters[i], work[i]);
	printf("{");
	for (unsigned i = 0; i < METERS; i++)
		print_meter(names[i], &meters[i]);
	printf("\"interrupted\":%llu,\"window_ns\":%llu}\n", (unsigned long long)interrupted,
	       (unsigned long long)(now - began_at));
}

uint64_t meters_fork(void)
{
	pid_t pid = 0;

	if (meters[SPINNER].is_there) {
		wants_fork = true;
		while (!(pid = child))
			usleep(100);
		child = 0;
	} else {
		fork_ns = timed_fork(&pid);
	}
	if (waitpid(pid, NULL, 0) != pid)
		patient_die("waitpid");
	return fork_ns;
}
