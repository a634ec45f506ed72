// SPDX-License-Identifier: LGPL-2.1-or-later
// Descriptors from the text of /proc to their records: what fdinfo says, what a link stands for,
// and that what was opened ahead never tells of a file that is not there any more.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include <cmocka.h>

#include "collect_handles.h"
#include "fixture_collect.h"

static struct pss_procfs_fdinfo parsed(const char *text)
{
	struct pss_procfs_fdinfo info;

	assert_int_equal(pss_procfs_parse_fdinfo(text, strlen(text), &info), 0);
	return info;
}

static void fdinfo_of_an_eventfd(void **state)
{
	struct pss_procfs_fdinfo info =
		parsed("pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t1038\n"
		       "eventfd-count:               1f\neventfd-id: 5\n"
		       "eventfd-semaphore: 1\n");

	(void)state;
	assert_int_equal(info.fields, PSS_FDINFO_INODE | PSS_FDINFO_COUNT);
	assert_int_equal(info.flags, 02000002);
	assert_int_equal(info.mount_id, 17);
	assert_int_equal(info.inode, 1038);
	assert_int_equal(info.count, 0x1f);
	assert_true(info.is_semaphore);
}

static void fdinfo_of_a_file_with_a_lock(void **state)
{
	struct pss_procfs_fdinfo info =
		parsed("pos:\t18446744\nflags:\t0102001\nmnt_id:\t29\nino:\t77\n"
		       "lock:\t1: POSIX  ADVISORY  WRITE 4711 00:29:77 0 EOF\n");

	(void)state;
	assert_int_equal(info.position, 18446744);
	assert_int_equal(info.fields, PSS_FDINFO_INODE);
	assert_int_equal(info.flags, 0102001);
}

static void fdinfo_of_old_kernels_has_no_inode(void **state)
{
	struct pss_procfs_fdinfo info =
		parsed("pos:\t0\nflags:\t02\nmnt_id:\t9\neventfd-count:                3\n");

	(void)state;
	assert_int_equal(info.fields, PSS_FDINFO_COUNT);
	assert_false(info.is_semaphore);
}

static void fdinfo_of_pidfds_and_timers(void **state)
{
	(void)state;
	assert_int_equal(parsed("flags:\t02\nPid:\t4711\nNSpid:\t4711\t1\n").pid, 4711);
	assert_int_equal(parsed("flags:\t02\nPid:\t-1\nNSpid:\t-1\n").pid, -1);
	assert_int_equal(parsed("flags:\t02\nPid:\t0\n").pid, 0);
	assert_int_equal(parsed("flags:\t02\nclockid: 7\nticks: 0\n").clock, 7);
	assert_int_equal(parsed("flags:\t02\nclockid: 7\nticks: 0\n").fields, PSS_FDINFO_CLOCK);
}

// A link tells of its program as well.
static void fdinfo_of_a_bpf_object_has_its_own_number(void **state)
{
	(void)state;
	assert_int_equal(parsed("flags:\t02\nmap_type:\t2\nmap_id:\t25\nfrozen:\t0\n").bpf_id, 25);
	assert_int_equal(
		parsed("flags:\t02\nlink_type:\titer\nlink_id:\t3\nprog_tag:\t0\nprog_id:\t9\n")
			.bpf_id,
		3);
}

static void fdinfo_that_is_none_is_refused(void **state)
{
	static const char *const texts[] = {
		"",
		"pos:\t0\n",
		"flags:\t\n",
		"flags:\t09\n",
		"flags:\t02", // cut off
		"flags:\t02 x\n",
		"flags:\t0777777777777777\n",
		"pos:\tx\nflags:\t02\n",
		"flags:\t02\nino:\t18446744073709551616\n",
		"flags:\t02\nPid:\t4294967296\n",
	};
	struct pss_procfs_fdinfo info;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_int_equal(pss_procfs_parse_fdinfo(texts[i], strlen(texts[i]), &info),
				 -EBADMSG);
}

static void add_entry(struct pss_buf *list, int32_t fd, const char *link, const char *info)
{
	struct pss_procfs_fd head = {
		.fd = fd,
		.link_size = (uint32_t)strlen(link),
		.info_size = (uint32_t)strlen(info),
	};

	assert_int_equal(pss_buf_append(list, &head, sizeof head), 0);
	assert_int_equal(pss_buf_append(list, info, strlen(info)), 0);
	assert_int_equal(pss_buf_append(list, link, strlen(link)), 0);
	assert_int_equal(pss_buf_align(list, 8), 0);
}

// Links that this machine can't make, of descriptors that can't be looked at any more.
static void a_link_tells_the_kind(void **state)
{
	static const struct {
		const char *link;
		int open_flags;
		const char *info; // what follows the flags
		enum pss_handle_kind kind;
		const char *name; // NULL: none
		uint32_t flags;   // besides HAS_INFO and HAS_NAME
	} rows[] = {
		{ "/dmabuf:video", O_RDWR, "", PSS_HANDLE_KIND_DMA_BUFFER, "dmabuf:video", 0 },
		{ "anon_inode:bpf_link", O_RDWR, "link_id:\t3\n", PSS_HANDLE_KIND_BPF, "bpf_link 3",
		  0 },
		{ "anon_inode:bpf-prog", O_RDWR, "prog_id:\t4\n", PSS_HANDLE_KIND_BPF, "bpf-prog 4",
		  0 },
		{ "anon_inode:kvm-vcpu:0", O_RDWR, "", PSS_HANDLE_KIND_OTHER,
		  "anon_inode:kvm-vcpu:0", 0 },
		{ "mnt:[4026531841]", O_RDONLY, "", PSS_HANDLE_KIND_OTHER, "mnt:[4026531841]", 0 },
		{ "/dev/dri/card0", O_RDWR, "", PSS_HANDLE_KIND_DEVICE, "/dev/dri/card0", 0 },
		{ "/dev/shm/x", O_RDWR, "", PSS_HANDLE_KIND_SECTION, "/dev/shm/x", 0 },
		{ "/memfd:a (deleted)", O_RDWR, "", PSS_HANDLE_KIND_SECTION, "memfd:a", 0 },
		{ "/memfd:a", O_RDWR, "", PSS_HANDLE_KIND_FILE, "/memfd:a", 0 },
		{ "/SYSV00000001 (deleted)", O_RDWR, "", PSS_HANDLE_KIND_SECTION, "SYSV00000001",
		  0 },
		{ "/x (deleted)", O_RDWR, "", PSS_HANDLE_KIND_FILE, "/x", PSS_HANDLE_DELETED },
		{ "(unreachable)/x", O_RDWR, "", PSS_HANDLE_KIND_FILE, "(unreachable)/x", 0 },
		{ "/x", O_DIRECTORY, "", PSS_HANDLE_KIND_DIRECTORY, "/x", 0 },
		{ "/x", O_PATH, "", PSS_HANDLE_KIND_PATH, "/x", 0 },
		{ "socket:[7]", O_RDWR, "", PSS_HANDLE_KIND_SOCKET, "socket:[7]", 0 },
		{ "anon_inode:[eventfd]", O_RDWR, "eventfd-count: 0\n", PSS_HANDLE_KIND_EVENT, NULL,
		  PSS_HANDLE_HAS_COUNT },
		{ "anon_inode:[pidfd]", O_RDWR | O_EXCL | O_CLOEXEC, "Pid:\t9\n",
		  PSS_HANDLE_KIND_THREAD, "tid 9", PSS_HANDLE_HAS_TASK | PSS_HANDLE_CLOSE_ON_EXEC },
		{ "pidfd:[9]", O_RDWR, "Pid:\t-1\n", PSS_HANDLE_KIND_PROCESS, "reaped",
		  PSS_HANDLE_HAS_TASK },
	};
	const struct pss_collect_handles_options options = { .with_names = true };
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	_cleanup_buf_ struct pss_buf list = PSS_BUF_EMPTY;
	const struct pss_section *section;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		char info[128];

		(void)snprintf(info, sizeof info, "flags:\t0%o\n%s", (unsigned)rows[i].open_flags,
			       rows[i].info);
		add_entry(&list, (int32_t)i, rows[i].link, info);
	}
	struct pss_collect nowhere = fixture->context;
	nowhere.space_fd = -EBADF;
	assert_int_equal(pss_collect_handles(&nowhere, &list, &options), 0);
	section = sealed(fixture);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct pss_handle_record *record = pss_section_handle(section, (uint32_t)i);
		uint32_t named = rows[i].name ? PSS_HANDLE_HAS_NAME : 0;

		assert_int_equal(record->fd, i);
		assert_int_equal(record->kind, rows[i].kind);
		assert_int_equal(record->flags, rows[i].flags | PSS_HANDLE_HAS_INFO | named);
		assert_bytes(section, record->link, rows[i].link, strlen(rows[i].link));
		if (rows[i].name)
			assert_bytes(section, record->name, rows[i].name, strlen(rows[i].name));
	}
}

static void socket_link(int fd, char text[64])
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	(void)snprintf(text, 64, "socket:[%llu]", (unsigned long long)status.st_ino);
}

static int give_up(void *context, const char *path, unsigned mask, struct statx *ret)
{
	(void)path;
	(void)mask;
	(void)ret;
	++*(int *)context;
	return -ETIMEDOUT;
}

// The file may be a dead server's.
static void what_has_a_path_is_looked_at_by_one_who_can_be_given_up(void **state)
{
	int looks = 0;
	const struct pss_collect_handles_options options = {
		.with_names = true,
		.look = give_up,
		.look_context = &looks,
	};
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	_cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_close_ int socket_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_buf_ struct pss_buf list = PSS_BUF_EMPTY;
	const struct pss_section *section;
	char link[64];

	(void)state;
	socket_link(socket_fd, link);
	add_entry(&list, null, "/dev/null", "flags:\t00\n");
	add_entry(&list, socket_fd, link, "flags:\t00\n");
	assert_int_equal(pss_collect_handles(&fixture->context, &list, &options), 0);
	assert_int_equal(looks, 1);
	section = sealed(fixture);
	assert_int_equal(pss_section_handle(section, 0)->kind, PSS_HANDLE_KIND_DEVICE);
	assert_int_equal(pss_section_handle(section, 0)->flags,
			 PSS_HANDLE_HAS_INFO | PSS_HANDLE_HAS_NAME);
	assert_true(pss_section_handle(section, 1)->flags & PSS_HANDLE_HAS_INODE);
}

static void an_fdinfo_that_is_not_known_leaves_its_fields_out(void **state)
{
	const struct pss_collect_handles_options options = { .instant_realtime_ns = 1000 };
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	_cleanup_buf_ struct pss_buf list = PSS_BUF_EMPTY;
	const struct pss_section *section;

	(void)state;
	add_entry(&list, 3, "anon_inode:[eventfd]", "");
	add_entry(&list, 4, "anon_inode:[eventpoll]", "something else\n");
	assert_int_equal(pss_collect_handles(&fixture->context, &list, &options), 0);
	section = sealed(fixture);
	assert_int_equal(pss_section_count(section, PSS_PART_HANDLES), 2);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(pss_section_handle(section, i)->flags, 0);
		assert_int_equal(pss_section_handle(section, i)->capture_time, 116444736000000010u);
	}
	assert_int_equal(pss_section_handle(section, 0)->kind, PSS_HANDLE_KIND_EVENT);
	assert_int_equal(pss_section_handle(section, 1)->kind, PSS_HANDLE_KIND_EPOLL);
}

/** What a list says of @fd. */
static bool find(const struct pss_buf *list, int fd, struct pss_procfs_fd_text *ret)
{
	for (size_t cursor = 0; pss_procfs_fds_next(list, &cursor, ret);)
		if (ret->head.fd == fd)
			return true;
	return false;
}

static void assert_link(const struct pss_buf *list, int fd, const char *link)
{
	struct pss_procfs_fd_text entry;

	assert_true(find(list, fd, &entry));
	assert_int_equal(entry.link.size, strlen(link));
	assert_memory_equal(entry.link.data, link, entry.link.size);
}

// Numbers 100 to 104 of this process, whose table is read: what they are changes after the doors
// were opened.
static void a_door_shows_what_its_number_leads_to_now(void **state)
{
	_cleanup_fds_ struct pss_procfs_fds fds = PSS_PROCFS_FDS_EMPTY;
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	_cleanup_buf_ struct pss_buf list = PSS_BUF_EMPTY;
	_cleanup_close_ int event = eventfd(7, EFD_CLOEXEC);
	_cleanup_close_ int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	_cleanup_close_ int first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_close_ int second = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pss_procfs_fd_text entry;
	char link[64];

	(void)state;
	assert_int_equal(dup2(event, 100), 100);
	assert_int_equal(dup2(first, 101), 101);
	assert_int_equal(dup2(event, 102), 102);
	assert_int_equal(dup2(first, 103), 103);
	assert_int_equal(pss_procfs_fds_open(fixture->proc_fd, &fds), 0);
	assert_int_equal(pss_procfs_fds_open_doors(&fds, &fixture->scratch), 0);
	assert_int_equal(dup2(timer, 100), 100);
	assert_int_equal(dup2(second, 101), 101);
	assert_int_equal(close(102), 0);
	assert_int_equal(dup2(event, 104), 104);
	assert_int_equal(pss_procfs_fds_read(&fds, true, &list), 0);

	assert_link(&list, 100, "anon_inode:[timerfd]");
	assert_true(find(&list, 100, &entry));
	struct pss_procfs_fdinfo info;
	assert_int_equal(pss_procfs_parse_fdinfo(entry.info.data, entry.info.size, &info), 0);
	assert_int_equal(info.clock, CLOCK_MONOTONIC);
	socket_link(second, link);
	assert_link(&list, 101, link);
	assert_false(find(&list, 102, &entry));
	socket_link(first, link);
	assert_link(&list, 103, link);
	assert_link(&list, 104, "anon_inode:[eventfd]");
	for (int fd = 100; fd <= 104; fd++)
		(void)close(fd);
}

static void hold_some(void)
{
	int pair[2];

	(void)open("/dev/null", O_RDWR);
	(void)open("/", O_RDONLY | O_DIRECTORY);
	(void)eventfd(1, 0);
	(void)socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	(void)pipe(pair);
}

static void read_child(struct fixture *fixture, bool with_doors, bool is_still,
		       struct pss_buf *list)
{
	_cleanup_fds_ struct pss_procfs_fds fds = PSS_PROCFS_FDS_EMPTY;

	assert_int_equal(pss_procfs_fds_open(fixture->proc_fd, &fds), 0);
	if (with_doors)
		assert_int_equal(pss_procfs_fds_open_doors(&fds, &fixture->scratch), 0);
	assert_int_equal(pss_procfs_fds_read(&fds, is_still, list), 0);
}

static void doors_change_nothing_in_what_is_read(void **state)
{
	pid_t child = make_child(hold_some);
	_cleanup_fixture_ struct fixture *fixture = fixture_create(child);
	_cleanup_buf_ struct pss_buf with = PSS_BUF_EMPTY, without = PSS_BUF_EMPTY,
				     moving = PSS_BUF_EMPTY;
	struct pss_procfs_fd_text entry, other;
	size_t cursor = 0, other_cursor = 0;
	int32_t last = -1;

	(void)state;
	read_child(fixture, true, true, &with);
	read_child(fixture, false, true, &without);
	read_child(fixture, false, false, &moving);
	assert_int_equal(with.size, without.size);
	assert_memory_equal(with.data, without.data, with.size);
	while (pss_procfs_fds_next(&moving, &cursor, &entry)) {
		assert_true(pss_procfs_fds_next(&with, &other_cursor, &other));
		assert_int_equal(entry.head.fd, other.head.fd);
		assert_int_equal(entry.info.size, other.info.size);
		assert_int_equal(entry.link.size, other.link.size);
		assert_memory_equal(entry.info.data, other.info.data, entry.info.size);
		assert_memory_equal(entry.link.data, other.link.data, entry.link.size);
		assert_true(entry.head.realtime_ns > 0);
		assert_true(entry.head.fd > last);
		last = entry.head.fd;
	}
	assert_false(pss_procfs_fds_next(&with, &other_cursor, &other));
	end_child(child);
}

// The kernel tells no path longer than a page.
static void a_path_too_long_to_be_told_is_open_all_the_same(void **state)
{
	enum { DEPTH = 20 };
	const struct pss_collect_handles_options options = { .with_names = true };
	_cleanup_fixture_ struct fixture *fixture = fixture_create(getpid());
	_cleanup_buf_ struct pss_buf list = PSS_BUF_EMPTY;
	char top[] = "/tmp/procsnap-deep-XXXXXX", name[251] = "";
	int folders[DEPTH + 1];
	struct pss_procfs_fd_text entry;
	const struct pss_section *section;

	(void)state;
	memset(name, 'x', sizeof name - 1);
	assert_non_null(mkdtemp(top));
	folders[0] = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < DEPTH; i++) {
		assert_int_equal(mkdirat(folders[i], name, 0700), 0);
		folders[i + 1] = openat(folders[i], name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(folders[i + 1] >= 0);
	}
	read_child(fixture, true, true, &list);
	assert_true(find(&list, folders[DEPTH], &entry));
	assert_int_equal(entry.link.size, 0);
	assert_true(find(&list, folders[1], &entry));
	assert_int_equal(entry.link.size, strlen(top) + 1 + strlen(name));
	assert_int_equal(pss_collect_handles(&fixture->context, &list, &options), 0);
	section = sealed(fixture);
	for (uint32_t i = 0; i < pss_section_count(section, PSS_PART_HANDLES); i++)
		if (pss_section_handle(section, i)->fd == folders[DEPTH])
			assert_int_equal(pss_section_handle(section, i)->kind,
					 PSS_HANDLE_KIND_UNKNOWN);
	for (int i = DEPTH; i > 0; i--) {
		(void)close(folders[i]);
		assert_int_equal(unlinkat(folders[i - 1], name, AT_REMOVEDIR), 0);
	}
	(void)close(folders[0]);
	assert_int_equal(rmdir(top), 0);
}

static void a_dropped_entry_is_gone_and_no_other(void **state)
{
	_cleanup_buf_ struct pss_buf list = PSS_BUF_EMPTY;

	(void)state;
	add_entry(&list, 3, "/a", "flags:\t0\n");
	add_entry(&list, 5, "/bcd", "flags:\t01\n");
	add_entry(&list, 9, "/e", "flags:\t02\n");
	struct pss_procfs_fd_text entry;
	pss_procfs_fds_drop(&list, 5);
	assert_false(find(&list, 5, &entry));
	assert_link(&list, 3, "/a");
	assert_link(&list, 9, "/e");
	pss_procfs_fds_drop(&list, 4);
	pss_procfs_fds_drop(&list, 9);
	pss_procfs_fds_drop(&list, 3);
	assert_int_equal(list.size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fdinfo_of_an_eventfd),
		cmocka_unit_test(fdinfo_of_a_file_with_a_lock),
		cmocka_unit_test(fdinfo_of_old_kernels_has_no_inode),
		cmocka_unit_test(fdinfo_of_pidfds_and_timers),
		cmocka_unit_test(fdinfo_of_a_bpf_object_has_its_own_number),
		cmocka_unit_test(fdinfo_that_is_none_is_refused),
		cmocka_unit_test(a_link_tells_the_kind),
		cmocka_unit_test(what_has_a_path_is_looked_at_by_one_who_can_be_given_up),
		cmocka_unit_test(an_fdinfo_that_is_not_known_leaves_its_fields_out),
		cmocka_unit_test(a_door_shows_what_its_number_leads_to_now),
		cmocka_unit_test(doors_change_nothing_in_what_is_read),
		cmocka_unit_test(a_path_too_long_to_be_told_is_open_all_the_same),
		cmocka_unit_test(a_dropped_entry_is_gone_and_no_other),
	};

	return cmocka_run_group_tests_name("collect_handles", tests, NULL, NULL);
}
