// SPDX-License-Identifier: LGPL-2.1-or-later
// A thread of the target is held for an errand, and another thread calls execve. From then on the
// number of the one that was held is the new program's, whose memory must not be written to.
#include <errno.h>
#include <fcntl.h>
#include <procsnap.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "capture_errand.h"
#undef _cleanup_target_ // the harness has one for its own targets
#include "harness.h"

enum { ROOM_MOST = 32 * 1024 };

struct visit {
	struct target *target;
	int open_mode; // how the memory must have been opened
	int failure;   // the number of the check that failed, or 0
	uint64_t room;
	size_t size;
	uint8_t before[ROOM_MOST]; // of the program that is there now
};

static int read_now(const struct visit *visit, uint8_t *bytes)
{
	char path[64];

	(void)snprintf(path, sizeof path, "/proc/%d/mem", visit->target->pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t got = pread(fd, bytes, visit->size, (off_t)visit->room);
	close(fd);
	return got == (ssize_t)visit->size ? 0 : -EFAULT;
}

// The frames stand; now the process executes another program, whose stack is at the same place.
static int exec_and_write(struct pss_inject *inject, void *context)
{
	static const uint8_t bytes[PSS_INJECT_ARGUMENTS] = { 0xa5 };
	struct visit *visit = context;

	visit->room = inject->room;
	visit->size = inject->room_size;
	if (visit->size > ROOM_MOST ||
	    (fcntl(inject->mem_fd, F_GETFL) & O_ACCMODE) != visit->open_mode)
		visit->failure = 1;
	target_ask(visit->target, "exec");
	if (!visit->failure && read_now(visit, visit->before) < 0)
		visit->failure = 2;
	if (!visit->failure &&
	    pss_inject_write(inject, inject->arguments, bytes, sizeof bytes) != -ESRCH)
		visit->failure = 3;
	return -ECANCELED;
}

static int send_errand(struct target *target, int open_mode)
{
	static struct visit visit;
	static uint8_t after[ROOM_MOST];
	const struct pss_errand errand = { .work = exec_and_write, .context = &visit };
	_cleanup_(pss_target_close) struct pss_target opened = PSS_TARGET_EMPTY;

	visit = (struct visit){ .target = target, .open_mode = open_mode };
	if (pss_target_open(target->pidfd, NULL, &opened) < 0)
		return 10;
	int r = pss_errand_run(&opened, &errand, NULL);
	if (visit.failure)
		return visit.failure;
	// Its end has tried to put back what the first program had there.
	if (r != -ECANCELED || read_now(&visit, after) < 0)
		return 11;
	return memcmp(visit.before, after, visit.size) == 0 ? 0 : 12;
}

static bool make_proc_read_only(void)
{
	const unsigned long flags = MS_REMOUNT | MS_BIND | MS_RDONLY;

	return unshare(CLONE_NEWNS) == 0 &&
	       mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("/proc", "/proc", NULL, MS_BIND, NULL) == 0 &&
	       mount(NULL, "/proc", NULL, flags, NULL) == 0;
}

static int visit_it(struct target *target)
{
	return send_errand(target, O_RDWR);
}

static int visit_it_with_proc_read_only(struct target *target)
{
	return make_proc_read_only() ? send_errand(target, O_RDONLY) : 77;
}

static int use_it_with_proc_read_only(struct target *target)
{
	HPSS snapshot = NULL, there = NULL;

	if (!make_proc_read_only())
		return 77;
	snapshot = harness_capture(target, PSS_CAPTURE_VA_CLONE | PSS_CAPTURE_THREADS);
	assert_success(PssDuplicateSnapshot(GetCurrentProcess(), snapshot, target_handle(target),
					    &there, PSS_DUPLICATE_NONE));
	assert_success(PssFreeSnapshot(target_handle(target), there));
	harness_free_snapshot(snapshot);
	return 0;
}

static void run_apart(struct target *target, int (*visit)(struct target *target))
{
	int result = harness_run_apart(target, visit);

	if (result == 77)
		skip();
	assert_int_equal(result, 0);
}

static void visit_and_look(int (*visit)(struct target *target))
{
	_cleanup_target_ struct target *target = target_start("successor", NULL);

	if (!target)
		skip();
	run_apart(target, visit);
	assert_false(patient_is_traced(target->pid));
	target_ask(target, "children");
	assert_int_equal(target_answer(target, "all_none"), 1);
}

static void a_program_executed_meanwhile_is_not_written_to(void **state)
{
	(void)state;
	visit_and_look(visit_it);
}

static void nor_where_proc_is_read_only(void **state)
{
	(void)state;
	visit_and_look(visit_it_with_proc_read_only);
}

static void with_proc_read_only_all_works(void **state)
{
	_cleanup_target_ struct target *target = target_start("plain", NULL);
	struct patient *patient = patient_record(target->pid);

	(void)state;
	run_apart(target, use_it_with_proc_read_only);
	patient_assert_unharmed(patient);
	patient_free(patient);
	target_assert_unharmed(target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_program_executed_meanwhile_is_not_written_to),
		cmocka_unit_test(nor_where_proc_is_read_only),
		cmocka_unit_test(with_proc_read_only_all_works),
	};

	harness_begin("test_successor");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
