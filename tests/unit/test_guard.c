// SPDX-License-Identifier: LGPL-2.1-or-later
// The forecast of memory, on folders made by hand in place of /proc and of control groups; and the
// watch over them, which kills a process of ours in place of a clone.
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "guard.h"

#define MIB (UINT64_C(1) << 20)

static char folder[64];
static int root_fd = -EBADF;
static int proc_fd = -EBADF;
static struct pss_guard_places places;

static void make_folders(const char *path)
{
	char part[512];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		(void)snprintf(part, sizeof part, "%s/%.*s", folder, (int)(slash - path), path);
		assert_true(mkdir(part, 0755) == 0 || errno == EEXIST);
	}
}

/** Writes a file below the folder, in place of what was there; at once, for whoever reads it. */
static void put(const char *path, const char *text)
{
	char whole[512], fresh[520];

	make_folders(path);
	(void)snprintf(whole, sizeof whole, "%s/%s", folder, path);
	(void)snprintf(fresh, sizeof fresh, "%s.new", whole);
	FILE *file = fopen(fresh, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(fresh, whole), 0);
}

static void put_number(const char *path, uint64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof text, "%llu\n", (unsigned long long)number);
	put(path, text);
}

/** Both hierarchies are mounted at their folders. */
static int make_folder(void **state)
{
	char text[512];

	(void)state;
	(void)snprintf(folder, sizeof folder, "/tmp/procsnap-guard-XXXXXX");
	assert_non_null(mkdtemp(folder));
	(void)snprintf(text, sizeof text,
		       "30 20 0:26 / %s/new rw - cgroup2 cgroup2 rw\n"
		       "31 20 0:27 / %s/old rw - cgroup cgroup rw,memory\n",
		       folder, folder);
	put("proc/self/mountinfo", text);
	put("proc/it/cgroup", "0::/\n");
	put("proc/it/status", "Name:\tit\nTgid:\t4711\nPid:\t4711\nTracerPid:\t0\nUid:"
			      "\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\n"
			      "RssAnon:\t 102400 kB\nVmPTE:\t 1024 kB\nThreads:\t2\n");
	put("proc/it/maps", "10000000-20000000 rw-p 00000000 00:00 0 \n");
	put("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\nSwapFree: 0 kB\n");
	root_fd = openat(AT_FDCWD, folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_true(root_fd >= 0);
	int proc = openat(root_fd, "proc", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	close(root_fd);
	root_fd = proc;
	proc_fd = openat(root_fd, "it", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	assert_true(proc_fd >= 0);
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static int remove_folder(void **state)
{
	(void)state;
	pss_guard_places_close(&places);
	root_fd = pss_close(root_fd);
	proc_fd = pss_close(proc_fd);
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_places(void)
{
	pss_guard_places_close(&places);
	assert_int_equal(pss_guard_places_open(proc_fd, root_fd, &places), 0);
}

static struct pss_guard_forecast forecast(uint64_t reserve)
{
	struct pss_guard_forecast ret;

	open_places();
	assert_int_equal(pss_guard_forecast(&places, proc_fd, reserve, &ret), 0);
	return ret;
}

static uint64_t room_of(unsigned index)
{
	struct pss_guard_room room;

	open_places();
	assert_true(index < places.count);
	assert_true(pss_guard_look(&places.places[index], &room));
	return room.room;
}

static void without_groups_the_machine_decides(void **state)
{
	(void)state;
	struct pss_guard_forecast found = forecast(0);
	assert_int_equal(found.verdict, PSS_GUARD_FITS);
	assert_int_equal(places.count, 1);
	assert_true(places.places[0].is_machine);
	assert_int_equal(room_of(0), 4096 * MIB);
	put("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 51200 kB\n");
	assert_int_equal(forecast(0).verdict, PSS_GUARD_MAY_FIT);
	put("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 10240 kB\n");
	assert_int_equal(forecast(0).verdict, PSS_GUARD_SHORT);
	// Swap is memory too.
	put("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 10240 kB\nSwapFree: 204800 kB\n");
	assert_int_equal(forecast(0).verdict, PSS_GUARD_FITS);
	// A machine that tells nothing refuses nothing.
	put("proc/meminfo", "");
	assert_int_equal(forecast(0).verdict, PSS_GUARD_FITS);
}

static void page_tables_mappings_and_the_reserve_are_needed_at_once(void **state)
{
	const struct pss_procfs_status status = { .vm_pte = 800 * MIB,
						  .rss_anon = 1000 * MIB,
						  .vm_swap = 200 * MIB };
	(void)state;
	struct pss_guard_cost cost = pss_guard_cost_of(&status, 2048, 0);

	assert_int_equal(cost.at_once, 900 * MIB + MIB + MIB / 4);
	assert_int_equal(cost.later, 1200 * MIB);
	assert_int_equal(cost.reserve, 60 * MIB);
	// Not less than what is written while we look, nor more than it takes.
	assert_int_equal(pss_guard_reserve(100 * MIB, 0), 16 * MIB);
	assert_int_equal(pss_guard_reserve(100000 * MIB, 0), 256 * MIB);
	assert_int_equal(pss_guard_reserve(3 * MIB, 0), 3 * MIB);
	assert_int_equal(pss_guard_reserve(3 * MIB, 5 * MIB), 5 * MIB);
}

static void groups_of_version_2_count_up_to_the_root(void **state)
{
	(void)state;
	put("proc/it/cgroup", "0::/a/b\n");
	put("new/a/b/memory.max", "max\n");
	put("new/a/b/memory.current", "5\n");
	put_number("new/a/memory.max", 200 * MIB);
	put_number("new/a/memory.current", 150 * MIB);
	struct pss_guard_forecast found = forecast(0);
	assert_int_equal(found.verdict, PSS_GUARD_MAY_FIT);
	assert_int_equal(found.place, 1);
	assert_non_null(strstr(places.places[found.place].name, "/new/a"));
	assert_int_equal(found.room.room, 50 * MIB);
	assert_int_equal(found.room.limit, 200 * MIB);
	assert_int_equal(forecast(49 * MIB).verdict, PSS_GUARD_SHORT);
	// What files take gives way.
	put("new/a/memory.stat", "anon 1\nfile 9\ninactive_file 31457280\nactive_file 62914560\n");
	assert_int_equal(room_of(1), 140 * MIB);
	assert_int_equal(forecast(0).verdict, PSS_GUARD_FITS);
}

static void above_memory_high_all_wait_so_it_is_a_limit(void **state)
{
	(void)state;
	put("proc/it/cgroup", "0::/a\n");
	put("new/a/memory.max", "max\n");
	put_number("new/a/memory.high", 200 * MIB);
	put_number("new/a/memory.current", 190 * MIB);
	assert_int_equal(room_of(0), 10 * MIB);
	// It waited before already.
	put_number("new/a/memory.current", 210 * MIB);
	assert_int_equal(forecast(0).verdict, PSS_GUARD_FITS);
}

static void what_a_group_may_swap_is_room(void **state)
{
	(void)state;
	put("proc/it/cgroup", "0::/a\n");
	put("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\nSwapFree: 40960 kB\n");
	put_number("new/a/memory.max", 100 * MIB);
	put_number("new/a/memory.current", 90 * MIB);
	put("new/a/memory.swap.max", "max\n");
	put_number("new/a/memory.swap.current", 0);
	assert_int_equal(room_of(0), 50 * MIB);
	put_number("new/a/memory.swap.max", 8 * MIB);
	put_number("new/a/memory.swap.current", 3 * MIB);
	assert_int_equal(room_of(0), 15 * MIB);
}

static void groups_of_version_1_count_as_well(void **state)
{
	(void)state;
	put("proc/it/cgroup", "4:memory:/x/y\n0::/\n");
	put_number("old/x/y/memory.limit_in_bytes", INT64_MAX - 4095);
	put_number("old/x/y/memory.usage_in_bytes", 5);
	put_number("old/x/memory.limit_in_bytes", 100 * MIB);
	put_number("old/x/memory.usage_in_bytes", 95 * MIB);
	put("old/x/memory.stat", "inactive_file 7\ntotal_inactive_file 1048576\n");
	struct pss_guard_forecast found = forecast(0);
	assert_int_equal(found.verdict, PSS_GUARD_SHORT);
	assert_int_equal(found.room.room, 6 * MIB);
	// Memory and swap together have a limit of their own.
	put("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\nSwapFree: 40960 kB\n");
	assert_int_equal(room_of(1), 46 * MIB);
	put_number("old/x/memory.memsw.limit_in_bytes", 120 * MIB);
	put_number("old/x/memory.memsw.usage_in_bytes", 100 * MIB);
	assert_int_equal(room_of(1), 21 * MIB);
}

static void what_is_not_a_number_is_no_limit(void **state)
{
	(void)state;
	put("proc/it/cgroup", "0::/a\n");
	put("new/a/memory.max", "9999999999999999999999999\n");
	put("new/a/memory.current", "garbage\n");
	assert_int_equal(forecast(0).verdict, PSS_GUARD_FITS);
	put("new/a/memory.current", "");
	assert_int_equal(forecast(0).verdict, PSS_GUARD_FITS);
}

static void a_process_of_many_mappings_costs_more(void **state)
{
	char text[64 * 128] = "";

	(void)state;
	for (unsigned i = 0; i < 64; i++)
		(void)sprintf(text + strlen(text), "%08x-%08x rw-p 00000000 00:00 0 \n",
			      0x10000000 + i * 0x2000, 0x10001000 + i * 0x2000);
	put("proc/it/maps", text);
	put("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 20480 kB\n");
	assert_int_equal(forecast(0).cost.at_once, MIB + MIB / 8 + MIB / 4 + 64 * 512);
	// Where there is plenty, they are not counted.
	put("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\n");
	assert_int_equal(forecast(0).cost.at_once, MIB + MIB / 8 + MIB / 4);
}

struct victim {
	pid_t pid;
	int pidfd;
};

static struct victim start_victim(void)
{
	struct victim victim = { .pid = fork() };

	if (victim.pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			(void)pause();
	}
	victim.pidfd = (int)syscall(SYS_pidfd_open, victim.pid, 0);
	assert_true(victim.pidfd >= 0);
	return victim;
}

static bool is_alive(const struct victim *victim)
{
	struct pollfd end = { .fd = victim->pidfd, .events = POLLIN };

	return poll(&end, 1, 0) == 0;
}

static void wait_for_end(const struct victim *victim)
{
	struct pollfd end = { .fd = victim->pidfd, .events = POLLIN };

	assert_int_equal(poll(&end, 1, 20000), 1);
}

static void end_victim(struct victim *victim)
{
	(void)kill(victim->pid, SIGKILL);
	assert_int_equal(waitpid(victim->pid, NULL, 0), victim->pid);
	victim->pidfd = pss_close(victim->pidfd);
}

static void put_ample_group(void)
{
	put("proc/it/cgroup", "0::/a\n");
	put_number("new/a/memory.max", 400 * MIB);
	put_number("new/a/memory.current", 100 * MIB);
	put("new/a/memory.events", "low 0\nhigh 0\nmax 7\noom 3\noom_kill 1\n");
}

static struct pss_guard_watch watch_of(const struct victim *victim, int stop_fd)
{
	const struct pss_procfs_status status = { .rss_anon = 100 * MIB, .thread_count = 1 };

	open_places();
	struct pss_guard_watch watch = pss_guard_watch_of(&places, &status, 0);
	watch.clone_pidfd = victim->pidfd;
	watch.stop_fd = stop_fd;
	return watch;
}

static void the_watch_ends_when_told_to_and_when_the_clone_has_ended(void **state)
{
	struct victim victim = start_victim();
	int stop = eventfd(1, EFD_CLOEXEC);
	int never = eventfd(0, EFD_CLOEXEC);

	(void)state;
	put_ample_group();
	struct pss_guard_watch watch = watch_of(&victim, stop);
	pss_guard_watch(&watch);
	assert_true(is_alive(&victim));
	assert_int_equal(pss_guard_conclude(&watch, 1, -EPIPE, NULL), -EPIPE);

	kill(victim.pid, SIGKILL);
	watch = watch_of(&victim, never);
	pss_guard_watch(&watch);
	assert_int_equal(watch.reason, PSS_GUARD_NO_REASON);
	assert_int_equal(pss_guard_conclude(&watch, 1, 0, NULL), 0);
	end_victim(&victim);
	close(stop);
	close(never);
}

/** What is seen at the first look. */
static void assert_gives_up(enum pss_guard_reason reason, const char *text)
{
	struct victim victim = start_victim();
	int never = eventfd(0, EFD_CLOEXEC);
	struct pss_diag diag = { .error = -ESRCH, .text = "the clone is gone" };
	struct pss_guard_watch watch = watch_of(&victim, never);

	if (reason == PSS_GUARD_KILLS)
		put("new/a/memory.events", "low 0\nhigh 0\nmax 7\noom 4\noom_kill 1\n");
	pss_guard_watch(&watch);
	assert_int_equal(watch.reason, reason);
	wait_for_end(&victim);
	assert_int_equal(pss_guard_conclude(&watch, 4711, -ESRCH, &diag), -EDQUOT);
	assert_int_equal(diag.error, -EDQUOT);
	assert_non_null(strstr(diag.text, "gave up the snapshot of process 4711"));
	assert_non_null(strstr(diag.text, text));
	end_victim(&victim);
	close(never);
}

static void a_clone_is_given_up_when_less_than_the_reserve_is_left(void **state)
{
	(void)state;
	put_ample_group();
	put_number("new/a/memory.current", 385 * MIB);
	assert_gives_up(PSS_GUARD_ROOM, "/new/a has 15 MiB of memory left, and at least 16 MiB");
	put_number("new/a/memory.current", 100 * MIB);
	put("proc/meminfo", "MemTotal: 8388608 kB\nMemAvailable: 9216 kB\n");
	assert_gives_up(PSS_GUARD_ROOM, "the machine has 9 MiB of memory left");
}

static void a_clone_is_given_up_when_the_group_runs_out_of_memory(void **state)
{
	(void)state;
	put_ample_group();
	assert_gives_up(PSS_GUARD_KILLS, "/new/a has run out of memory");
}

static uint64_t start_of(pid_t pid)
{
	struct pss_procfs_stat stat;

	assert_true(pss_guard_read_stat(pid, &stat));
	assert_int_equal(stat.pid, pid);
	return stat.start_ticks;
}

static void a_watcher_of_ones_own_sees_memory_shrink(void **state)
{
	struct pss_guard *guard = NULL;
	struct victim victim = start_victim();

	(void)state;
	// It looks at the real machine.
	assert_int_equal(pss_guard_begin(proc_fd, 1, NULL, &guard), 0);
	assert_true(guard->watcher > 0);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); // it is not seen among the children
	pss_guard_set_clone(guard, victim.pid, start_of(victim.pid));
	assert_int_equal(pss_guard_end(guard, 1, -EPIPE, NULL), -EPIPE);
	assert_true(is_alive(&victim));

	// Another process under the number of the clone is none.
	assert_int_equal(pss_guard_begin(proc_fd, UINT64_MAX / 2, NULL, &guard), 0);
	pss_guard_set_clone(guard, victim.pid, start_of(victim.pid) + 1);
	while (!__atomic_load_n(&guard->watch.is_over, __ATOMIC_ACQUIRE))
		(void)sched_yield();
	assert_int_equal(pss_guard_end(guard, 1, 0, NULL), 0);
	assert_true(is_alive(&victim));

	// More than there is.
	assert_int_equal(pss_guard_begin(proc_fd, UINT64_MAX / 2, NULL, &guard), 0);
	pss_guard_set_clone(guard, victim.pid, start_of(victim.pid));
	wait_for_end(&victim);
	assert_true(pss_guard_has_given_up(guard));
	assert_int_equal(pss_guard_end(guard, 1, 0, NULL), -EDQUOT);
	end_victim(&victim);
}

#define guard_test(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		guard_test(without_groups_the_machine_decides),
		guard_test(page_tables_mappings_and_the_reserve_are_needed_at_once),
		guard_test(groups_of_version_2_count_up_to_the_root),
		guard_test(above_memory_high_all_wait_so_it_is_a_limit),
		guard_test(what_a_group_may_swap_is_room),
		guard_test(groups_of_version_1_count_as_well),
		guard_test(what_is_not_a_number_is_no_limit),
		guard_test(a_process_of_many_mappings_costs_more),
		guard_test(the_watch_ends_when_told_to_and_when_the_clone_has_ended),
		guard_test(a_clone_is_given_up_when_less_than_the_reserve_is_left),
		guard_test(a_clone_is_given_up_when_the_group_runs_out_of_memory),
		guard_test(a_watcher_of_ones_own_sees_memory_shrink),
	};

	(void)alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
