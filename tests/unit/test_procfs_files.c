// SPDX-License-Identifier: LGPL-2.1-or-later
// Getting at the files of /proc: of this process, and of one that dies.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "procfs.h"

static void files_are_read_whole(void **state)
{
	_cleanup_buf_ struct pss_buf buf = PSS_BUF_EMPTY;
	_cleanup_close_ int fd = -EBADF;
	struct pss_procfs_stat stat;
	uint64_t from_clocks;
	uint64_t from_file;

	(void)state;
	assert_int_equal(pss_procfs_open(getpid(), &fd), 0);
	assert_true(fd >= 0);
	assert_int_equal(pss_procfs_read(fd, "stat", &buf), 0);
	assert_int_equal(pss_procfs_parse_stat((char *)buf.data, buf.size, &stat), 0);
	assert_int_equal(stat.pid, getpid());
	assert_int_equal(stat.parent_pid, getppid());
	assert_int_equal(pss_procfs_read(fd, "no such file", &buf), -ENOENT);
	assert_int_equal(pss_procfs_read_link(fd, "exe", &buf), 0);
	assert_memory_equal(buf.data, "/", 1);

	assert_int_equal(pss_procfs_read(AT_FDCWD, "/proc/stat", &buf), 0);
	assert_int_equal(pss_procfs_parse_boot_time((char *)buf.data, buf.size, &from_file), 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(pss_procfs_boot_time(&buf, &from_clocks), 0);
		assert_int_equal(from_clocks, from_file);
	}
}

static void a_process_that_has_no_memory_is_dying(void **state)
{
	_cleanup_buf_ struct pss_buf scratch = PSS_BUF_EMPTY;
	_cleanup_close_ int own = -EBADF, its = -EBADF;
	struct pss_procfs_stat stat;
	siginfo_t info;
	uint64_t size = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0)
		_exit(0);
	assert_int_equal(pss_procfs_open(pid, &its), 0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	assert_true(pss_procfs_is_dying(its));
	assert_int_equal(pss_procfs_read_stat(its, "stat", NULL, &stat), 0);
	assert_int_equal(stat.pid, pid);
	assert_int_equal(stat.state, 'Z');
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(pss_procfs_is_dying(its));
	assert_int_equal(pss_procfs_read_stat(its, "stat", &scratch, &stat), -ESRCH);
	assert_int_equal(pss_procfs_read_space_size(its, &scratch, &size), -ESRCH);

	assert_int_equal(pss_procfs_open(getpid(), &own), 0);
	assert_false(pss_procfs_is_dying(own));
	assert_int_equal(pss_procfs_read_space_size(own, NULL, &size), 0);
	assert_int_equal(size % (uint64_t)sysconf(_SC_PAGESIZE), 0);
	assert_true(size > 0);
}

static void lists_hold_numbers_only(void **state)
{
	_cleanup_buf_ struct pss_buf buf = PSS_BUF_EMPTY;
	_cleanup_close_ int fd = -EBADF;
	const int32_t *numbers;

	(void)state;
	assert_int_equal(pss_procfs_open(getpid(), &fd), 0);
	assert_int_equal(pss_procfs_list(fd, "task", &buf), 0);
	assert_int_equal(buf.size, sizeof *numbers);
	numbers = (const int32_t *)buf.data;
	assert_int_equal(numbers[0], getpid());
	// "." has names that are no numbers.
	assert_int_equal(pss_procfs_list(fd, ".", &buf), 0);
	assert_int_equal(buf.size, 0);
	assert_int_equal(pss_procfs_list(fd, "stat", &buf), -ENOTDIR);
}

static void long_list_is_complete(void **state)
{
	_cleanup_buf_ struct pss_buf buf = PSS_BUF_EMPTY;
	_cleanup_close_ int fd = -EBADF;
	_cleanup_close_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	static bool seen[4097];
	int descriptors[800];
	size_t made = 0;

	(void)state;
	assert_true(null >= 0);
	while (made < 800 && (descriptors[made] = dup(null)) >= 0)
		made++;
	assert_true(made > 300); // more than one fetch of directory entries
	assert_int_equal(pss_procfs_open(getpid(), &fd), 0);
	assert_int_equal(pss_procfs_list(fd, "fd", &buf), 0);
	const int32_t *numbers = (const int32_t *)buf.data;
	for (size_t i = 0; i < buf.size / sizeof *numbers; i++) {
		assert_in_range(numbers[i], 0, 4096);
		assert_false(seen[numbers[i]]);
		seen[numbers[i]] = true;
	}
	for (size_t i = 0; i < made; i++) {
		assert_true(seen[descriptors[i]]);
		close(descriptors[i]);
	}
}

static void maps_reader_agrees_with_whole_text(void **state)
{
	static const char *const files[] = { "maps", "smaps" };
	_cleanup_buf_ struct pss_buf whole = PSS_BUF_EMPTY;
	_cleanup_buf_ struct pss_buf pieces = PSS_BUF_EMPTY;
	_cleanup_close_ int fd = -EBADF;
	enum { PAGES = 4000 };
	long page = sysconf(_SC_PAGESIZE);

	(void)state;
	assert_int_equal(pss_procfs_open(getpid(), &fd), 0);
	// So many that neither file fits one buffer.
	char *many = mmap(NULL, PAGES * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(many != MAP_FAILED);
	for (int i = 0; i < PAGES; i += 2)
		assert_int_equal(mprotect(many + i * page, page, PROT_NONE), 0);

	for (size_t i = 0; i < 2; i++) {
		struct pss_procfs_maps maps;
		struct pss_procfs_map one;
		struct pss_procfs_map other;
		size_t count = 0;
		int r;

		// Room first: reading must not change what is read.
		assert_int_equal(pss_buf_reserve(&whole, 8 << 20), 0);
		assert_int_equal(pss_buf_reserve(&pieces, 1), 0);
		assert_int_equal(pss_procfs_read(fd, files[i], &whole), 0);
		struct pss_text cursor = { (char *)whole.data, whole.size };
		assert_int_equal(pss_procfs_maps_open(fd, files[i], &pieces, &maps), 0);
		while ((r = pss_procfs_maps_next(&maps, &one)) == 0) {
			assert_int_equal(pss_procfs_next_map(&cursor, &other), 0);
			assert_int_equal(one.start, other.start);
			assert_int_equal(one.end, other.end);
			assert_int_equal(one.has_vm_flags, i == 1);
			assert_int_equal(one.has_resident, i == 1);
			assert_int_equal(one.region_flags, other.region_flags);
			assert_int_equal(one.path.size, other.path.size);
			assert_memory_equal(one.path.data, other.path.data, one.path.size);
			count++;
		}
		assert_int_equal(r, -ENODATA);
		assert_int_equal(pss_procfs_next_map(&cursor, &other), -ENODATA);
		assert_true(count > PAGES);
		assert_true(pieces.capacity <= 256 * 1024);
		pss_procfs_maps_close(&maps);
	}
	munmap(many, PAGES * page);
}

static void dead_process_says_so(void **state)
{
	_cleanup_buf_ struct pss_buf buf = PSS_BUF_EMPTY;
	_cleanup_close_ int fd = -EBADF;
	_cleanup_close_ int pidfd = -EBADF;
	pid_t found = -7;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	pidfd = (int)syscall(SYS_pidfd_open, child, 0);
	assert_true(pidfd >= 0);
	assert_int_equal(pss_procfs_open(child, &fd), 0);
	assert_int_equal(pss_procfs_pid_of_pidfd(pidfd, &found), 0);
	assert_int_equal(found, child);

	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_int_equal(pss_procfs_read(fd, "stat", &buf), -ESRCH);
	assert_int_equal(pss_procfs_read_link(fd, "exe", &buf), -ESRCH);
	assert_int_equal(pss_procfs_list(fd, "task", &buf), -ESRCH);
	assert_int_equal(pss_procfs_pid_of_pidfd(pidfd, &found), -ESRCH);
	assert_int_equal(pss_procfs_open(child, &fd), -ESRCH);
	assert_int_equal(pss_procfs_open(0, &fd), -ESRCH);
	assert_int_equal(pss_procfs_open(-1, &fd), -ESRCH);
}

static void what_is_no_pidfd(void **state)
{
	_cleanup_close_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	pid_t pid = -7;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(pss_procfs_pid_of_pidfd(fd, &pid), -EBADF);
	assert_int_equal(pss_procfs_pid_of_pidfd(-1, &pid), -EBADF);
	assert_int_equal(pss_procfs_pid_of_pidfd(123456, &pid), -EBADF);
	assert_int_equal(pid, -7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_are_read_whole),
		cmocka_unit_test(a_process_that_has_no_memory_is_dying),
		cmocka_unit_test(lists_hold_numbers_only),
		cmocka_unit_test(long_list_is_complete),
		cmocka_unit_test(maps_reader_agrees_with_whole_text),
		cmocka_unit_test(dead_process_says_so),
		cmocka_unit_test(what_is_no_pidfd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
