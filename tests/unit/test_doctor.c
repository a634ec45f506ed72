// SPDX-License-Identifier: LGPL-2.1-or-later
// The doctor's checks on folders made by hand in place of /proc: each finds what is there, says the
// value, and finds nothing where there is nothing.
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "doctor.h"

enum { PID = 4711, OTHER = 4712 };

#define PROCESS(pid, uid, caps, rest)                                                              \
	"Name:\tit\nTgid:\t" pid "\nPid:\t" pid "\nTracerPid:\t0\nUid:\t" uid                      \
	"\nGid:\t7\t7\t7\t7\nVmSize:\t 4000 kB\nThreads:\t1\nCapPrm:\t" caps "\nCapEff:\t" caps    \
	"\nSeccomp:\t0\n" rest
#define STATUS(uid, caps, rest) PROCESS("4711", uid, caps, rest)
#define OWN(uid, caps)          PROCESS("99", uid, caps, "")
#define USER                    "7\t7\t7\t7"
#define NONE                    "0000000000000000"
#define ALL                     "000001ffffffffff"

static char folder[64];

static void make_folders(const char *path)
{
	char part[512];

	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		(void)snprintf(part, sizeof part, "%s/%.*s", folder, (int)(slash - path), path);
		assert_true(mkdir(part, 0755) == 0 || errno == EEXIST);
	}
}

/** Writes a file below the folder, in place of what was there. */
static void put(const char *path, const char *text)
{
	char whole[512];

	make_folders(path);
	(void)snprintf(whole, sizeof whole, "%s/%s", folder, path);
	FILE *file = fopen(whole, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void put_link(const char *path, const char *text)
{
	char whole[512];

	make_folders(path);
	(void)snprintf(whole, sizeof whole, "%s/%s", folder, path);
	(void)unlink(whole);
	assert_int_equal(symlink(text, whole), 0);
}

/** A process state @state and thread count one; its folders stand for its only thread as well. */
static void put_stat(const char *path, int pid, char state)
{
	char text[512];

	(void)snprintf(
		text, sizeof text,
		"%d (it) %c 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 0 0 0 0 0 0 0 0 0 0 "
		"0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		pid, state);
	put(path, text);
}

static void put_status(const char *text)
{
	put("4711/status", text);
	put("4711/task/4711/status", text);
}

static int make_proc(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof folder, "/tmp/procsnap-doctor-XXXXXX");
	assert_non_null(mkdtemp(folder));
	put("stat", "");
	put_stat("4711/stat", PID, 'S');
	put_stat("4711/task/4711/stat", PID, 'S');
	put_status(STATUS(USER, NONE, ""));
	put("thread-self/status", OWN(USER, NONE));
	put_stat("thread-self/stat", 99, 'R');
	put_link("thread-self/ns/user", "user:[4026531837]");
	put_link("4711/ns/user", "user:[4026531837]");
	put("sys/kernel/ns_last_pid", "1\n");
	put("sys/vm/overcommit_memory", "0\n");
	put("4711/maps", "");
	put("4711/limits", "Max processes             unlimited            unlimited\n");
	put("4711/cgroup", "0::/\n");
	put("self/mountinfo", "");
	put("meminfo", "");
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	(void)status;
	(void)kind;
	(void)where;
	return remove(path);
}

static int remove_proc(void **state)
{
	(void)state;
	return nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/** What check @id finds, when opening the memory gives @access. */
static struct pss_doctor_finding examine(const char *id, int access)
{
	struct pss_doctor_finding finding;
	struct pss_doctor doctor = { .pid = PID, .access = access };
	_cleanup_close_ int root = open(folder, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int proc = openat(root, "4711", O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	doctor.root_fd = root;
	doctor.proc_fd = proc;
	doctor.space_fd = proc;
	assert_true(root >= 0 && proc >= 0);
	assert_int_equal(pss_doctor_check(&doctor, id, &finding), 0);
	return finding;
}

static void assert_finds(const char *id, int access, enum pss_doctor_severity severity,
			 const char *text, const char *cure)
{
	struct pss_doctor_finding finding = examine(id, access);

	if (finding.severity != severity || !strstr(finding.text, text) ||
	    !strstr(finding.cure, cure))
		fail_msg("%s finds %d: %s: %s", id, (int)finding.severity, finding.text,
			 finding.cure);
	// No warning without a cure is asked for here, and no cure where nothing is wrong.
	if (severity == PSS_DOCTOR_OK)
		assert_string_equal(finding.cure, "");
}

#define assert_ok(id, access)   assert_finds(id, access, PSS_DOCTOR_OK, "", "")
#define assert_problem(id, ...) assert_finds(id, -EACCES, PSS_DOCTOR_PROBLEM, __VA_ARGS__)

static void ones_own_process_is_fine(void **state)
{
	static const char *const ids[] = {
		"alive",   "tracer",          "user",   "dumpable",     "capabilities",
		"yama",    "security-module", "frozen", "shadow-stack", "uninterruptible",
		"seccomp", "processes",       "pids",   "overcommit",   "group-memory",
		"pinned",  "huge-pages"
	};
	char path[128];

	(void)state;
	// As /proc does of a dumpable process.
	(void)snprintf(path, sizeof path, "%s/4711/stat", folder);
	assert_int_equal(chown(path, 7, 7), geteuid() == 0 ? 0 : -1);
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
		if (geteuid() == 0 || strcmp(ids[i], "dumpable") != 0)
			assert_ok(ids[i], 0);
}

static void a_stranger_is_refused_by_user_and_not_with_the_capability(void **state)
{
	(void)state;
	put_status(STATUS("8\t8\t8\t8", NONE, ""));
	assert_problem("user", "it belongs to user 8 and you are 7", "CAP_SYS_PTRACE");
	assert_ok("user", 0);
	put("thread-self/status", OWN(USER, ALL));
	assert_ok("user", -EACCES);
	// The capability counts in its user namespace only.
	put_link("4711/ns/user", "user:[4026532000]");
	assert_problem("user", "another user namespace", "nsenter --user --target 4711");
	// Root of a container.
	put("thread-self/status", OWN("0\t0\t0\t0", NONE));
	assert_problem("user", "it belongs to user 8 and you are 0", "capabilities.add");
}

static void a_set_user_id_program_is_another_users(void **state)
{
	(void)state;
	put_status(STATUS("8\t7\t7\t7", NONE, ""));
	assert_problem("user", "users 8, 7", "CAP_SYS_PTRACE");
}

static void an_undumpable_process_belongs_to_root_in_proc(void **state)
{
	char path[128];

	(void)state;
	if (geteuid() != 0)
		skip();
	(void)snprintf(path, sizeof path, "%s/4711/stat", folder);
	assert_int_equal(chown(path, 0, 0), 0);
	assert_problem("dumpable", "undumpable", "run as root or with CAP_SYS_PTRACE");
	assert_ok("dumpable", 0);
	assert_int_equal(chown(path, 7, 7), 0);
	assert_ok("dumpable", -EACCES);
}

static void capabilities_beyond_ours_are_named(void **state)
{
	(void)state;
	put_status(STATUS(USER, "0000000000000420", ""));
	assert_problem("capabilities", "CAP_KILL, CAP_NET_BIND_SERVICE", "CAP_SYS_PTRACE");
	assert_ok("capabilities", 0);
	put_status(STATUS(USER, ALL, ""));
	assert_problem("capabilities", "CAP_CHOWN", "");
	assert_problem("capabilities", "and 35 more", "");
	// That of another user is not the reason.
	put_status(STATUS("8\t8\t8\t8", ALL, ""));
	assert_ok("capabilities", -EACCES);
}

static void yama_is_named_with_its_scope_where_it_refuses(void **state)
{
	(void)state;
	put("sys/kernel/yama/ptrace_scope", "0\n");
	assert_ok("yama", -EACCES);
	put("sys/kernel/yama/ptrace_scope", "1\n");
	assert_problem("yama", "Yama ptrace_scope is 1", "kernel.yama.ptrace_scope=0");
	assert_ok("yama", 0);
	put("sys/kernel/yama/ptrace_scope", "2\n");
	assert_problem("yama", "Yama ptrace_scope is 2", "CAP_SYS_PTRACE");
	put("thread-self/status", OWN(USER, ALL));
	assert_ok("yama", -EACCES);
	put("sys/kernel/yama/ptrace_scope", "3\n");
	assert_problem("yama", "Yama ptrace_scope is 3", "reboot");
}

static void yama_lets_an_ancestor(void **state)
{
	(void)state;
	put("sys/kernel/yama/ptrace_scope", "1\n");
	// Its parent is 1, whose process we are.
	put("thread-self/status",
	    "Tgid:\t1\nUid:\t" USER "\nGid:\t" USER "\nCapPrm:\t0\nCapEff:\t0\n");
	assert_ok("yama", -EACCES);
}

static void a_security_module_is_named_when_nothing_else_refuses(void **state)
{
	char path[128];

	(void)state;
	(void)snprintf(path, sizeof path, "%s/4711/stat", folder);
	if (chown(path, 7, 7) < 0)
		skip();
	assert_problem("security-module", "does not tell why", "log");
	put("thread-self/attr/current", "unconfined\n");
	put("4711/attr/current", "docker-default (enforce)\n");
	assert_problem("security-module", "it is docker-default (enforce)",
		       "ptrace (trace) peer=docker-default,");
	// Who is not confined is forbidden nothing by it.
	put("4711/attr/current", "unconfined\n");
	assert_problem("security-module", "does not tell why", "log");
	put("sys/kernel/yama/ptrace_scope", "2\n");
	assert_ok("security-module", -EACCES);
	put("sys/kernel/yama/ptrace_scope", "0\n");
	put("thread-self/attr/current", "staff_u:staff_r:staff_t:s0");
	put("4711/attr/current", "system_u:system_r:httpd_t:s0");
	assert_problem("security-module", "httpd_t", "deny_ptrace");
	assert_ok("security-module", 0);
	put("sys/kernel/yama/ptrace_scope", "2\n");
	assert_finds("security-module", -EACCES, PSS_DOCTOR_WARNING, "httpd_t", "deny_ptrace");
}

static void a_tracer_is_named_whichever_thread_it_has(void **state)
{
	(void)state;
	put("4711/task/4713/status", "Tgid:\t4711\nTracerPid:\t4712\n");
	put_stat("4712/stat", OTHER, 'S');
	assert_finds("tracer", 0, PSS_DOCTOR_PROBLEM, "traced by process 4712 (it)", "detach");
	put("4712/stat",
	    "4712 (procsnap-helper) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0 0 0 0 "
	    "0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n");
	assert_finds("tracer", 0, PSS_DOCTOR_WARNING, "another capture", "");
}

static void an_exited_process_and_a_kernel_thread_have_no_memory(void **state)
{
	(void)state;
	put_stat("4711/stat", PID, 'Z');
	assert_finds("alive", 0, PSS_DOCTOR_PROBLEM, "it has exited", "");
	put_stat("4711/stat", PID, 'S');
	put_status("Tgid:\t4711\n");
	assert_finds("alive", 0, PSS_DOCTOR_PROBLEM, "thread of the kernel", "");
	put_status(STATUS(USER, NONE, ""));
	put_stat("4711/stat", PID, 'T');
	assert_finds("alive", 0, PSS_DOCTOR_OK, "stopped", "");
}

static void a_filter_that_cant_be_suspended_refuses(void **state)
{
	(void)state;
	put_status("Tgid:\t4711\nSeccomp:\t2\n");
	assert_finds("seccomp", 0, PSS_DOCTOR_PROBLEM, "seccomp filter", "CAP_SYS_ADMIN");
	put("thread-self/status", OWN(USER, ALL));
	assert_finds("seccomp", 0, PSS_DOCTOR_OK, "will be suspended", "");
	put("thread-self/status", "Tgid:\t99\nUid:\t" USER "\nGid:\t" USER "\nCapPrm:\t" ALL
				  "\nCapEff:\t" ALL "\nSeccomp:\t2\n");
	assert_finds("seccomp", 0, PSS_DOCTOR_PROBLEM, "a filter yourself", "Unconfined");
	// That capability counts in the first user namespace only.
	put("thread-self/status", OWN(USER, ALL));
	put_link("thread-self/ns/user", "user:[4026532000]");
	assert_finds("seccomp", 0, PSS_DOCTOR_PROBLEM, "CAP_SYS_ADMIN", "outside of containers");
	// Another thread's is in the way only if that one has to make the clone.
	put("4711/status", STATUS(USER, NONE, ""));
	assert_finds("seccomp", 0, PSS_DOCTOR_WARNING, "some of its threads", "CAP_SYS_ADMIN");
}

static void threads_in_state_d_warn_and_all_of_them_refuse(void **state)
{
	(void)state;
	put_stat("4711/task/4711/stat", PID, 'D');
	assert_finds("uninterruptible", 0, PSS_DOCTOR_PROBLEM, "1 of its 1 threads",
		     "/proc/4711/task/4711/stack");
	put_stat("4711/task/4713/stat", 4713, 'S');
	assert_finds("uninterruptible", 0, PSS_DOCTOR_WARNING, "1 of its 2 threads", "stack");
}

static void shadow_stacks_refuse_if_all_threads_have_one(void **state)
{
	(void)state;
	put_status(STATUS(USER, NONE,
			  "x86_Thread_features:\tshstk \nx86_Thread_features_locked:\tshstk\n"));
	assert_finds("shadow-stack", 0, PSS_DOCTOR_PROBLEM, "shadow stack", "x86_shstk=off");
	put_stat("4711/task/4713/stat", 4713, 'S');
	put("4711/task/4713/status",
	    "Tgid:\t4711\nx86_Thread_features:\t\nx86_Thread_features_locked:\tshstk\n");
	assert_finds("shadow-stack", 0, PSS_DOCTOR_OK, "1 of its 2 threads", "");
}

static void strict_overcommit_is_compared_with_private_memory(void **state)
{
	(void)state;
	put("4711/maps", "10000000-20000000 rw-p 00000000 00:00 0 \n" // 256 MiB
			 "30000000-70000000 r--p 00000000 00:00 0 \n"
			 "80000000-90000000 rw-s 00000000 00:01 5 /dev/zero (deleted)\n");
	put("meminfo", "CommitLimit:     1000000 kB\nCommitted_AS:     721472 kB\n");
	assert_ok("overcommit", 0);
	put("sys/vm/overcommit_memory", "2\n");
	assert_ok("overcommit", 0);
	put("meminfo", "CommitLimit:     1000000 kB\nCommitted_AS:     721473 kB\n");
	assert_finds("overcommit", 0, PSS_DOCTOR_PROBLEM,
		     "commits 256 MiB, 16 MiB are to be left for it", "vm.overcommit_memory=0");
	put("meminfo", "CommitLimit:     1000000 kB\nCommitted_AS:    2000000 kB\n");
	assert_finds("overcommit", 0, PSS_DOCTOR_PROBLEM, "there are 0 MiB", "");
}

static void the_limit_of_processes_counts_all_of_the_user(void **state)
{
	(void)state;
	put("4711/limits", "Limit\nMax processes             3                    8          \n");
	put("4712/status", "Tgid:\t4712\nUid:\t" USER "\nThreads:\t1\n");
	put("4714/status", "Tgid:\t4714\nUid:\t8\t8\t8\t8\nThreads:\t50\n");
	assert_ok("processes", 0);
	put("4712/status", "Tgid:\t4712\nUid:\t" USER "\nThreads:\t2\n");
	assert_finds("processes", 0, PSS_DOCTOR_PROBLEM, "RLIMIT_NPROC is 3, and user 7 has 3",
		     "prlimit --nproc=4: --pid 4711");
	// CAP_SYS_RESOURCE, CAP_SYS_ADMIN, root.
	put_status(STATUS(USER, "0000000001000000", ""));
	assert_ok("processes", 0);
	put_status(STATUS(USER, "0000000000200000", ""));
	assert_ok("processes", 0);
	put_status(STATUS("0\t0\t0\t0", NONE, ""));
	assert_ok("processes", 0);
}

static void put_groups(const char *mount_options)
{
	char text[512];

	(void)snprintf(text, sizeof text, "30 20 0:26 / %s/groups rw - %s\n", folder,
		       mount_options);
	put("self/mountinfo", text);
}

static void limits_of_all_groups_above_count(void **state)
{
	(void)state;
	put_groups("cgroup2 cgroup2 rw");
	put("4711/cgroup", "0::/a/b\n");
	put("groups/a/b/pids.max", "max\n");
	put("groups/a/b/pids.current", "5\n");
	put("groups/a/pids.max", "6\n");
	put("groups/a/pids.current", "5\n");
	assert_ok("pids", 0);
	put("groups/a/pids.current", "6\n");
	assert_finds("pids", 0, PSS_DOCTOR_PROBLEM, "/groups/a is 6", "podPidsLimit");
	// Of version 1, whose groups stand elsewhere.
	put_groups("cgroup cgroup rw,pids");
	assert_ok("pids", 0);
	put("4711/cgroup", "8:cpu,pids:/a\n0::/x\n");
	assert_finds("pids", 0, PSS_DOCTOR_OK, "", "");
	put("4711/cgroup", "8:pids:/a\n0::/x\n");
	assert_finds("pids", 0, PSS_DOCTOR_PROBLEM, "/groups/a is 6", "echo 7 > ");
}

static void memory_that_does_not_fit_refuses_and_what_may_not_warns(void **state)
{
	(void)state;
	put_groups("cgroup2 cgroup2 rw");
	put("4711/cgroup", "0::/a\n");
	put_status(STATUS(USER, NONE, "RssAnon:\t 102400 kB\nVmPTE:\t 1024 kB\n"));
	put("groups/a/memory.max", "314572800\n");
	put("groups/a/memory.current", "157286400\n"); // 150 of 300 MiB
	assert_ok("group-memory", 0);
	put("groups/a/memory.max", "209715200\n"); // 50 MiB left
	assert_finds("group-memory", 0, PSS_DOCTOR_WARNING, "/groups/a has room for 50 MiB",
		     "memory.max");
	put("groups/a/memory.max", "167772160\n"); // 10 MiB
	assert_finds("group-memory", 0, PSS_DOCTOR_PROBLEM, "room for 10 MiB",
		     "resources.limits.memory");
	put("groups/a/memory.stat", "anon 5\ninactive_file 125829120\n");
	assert_ok("group-memory", 0);
	put("groups/a/memory.max", "max\n");
	put("groups/a/memory.stat", "anon 5\n");
	assert_ok("group-memory", 0);
	put("meminfo", "MemTotal: 1000000 kB\nMemAvailable: 10240 kB\n");
	assert_finds("group-memory", 0, PSS_DOCTOR_PROBLEM, "the machine has room for 10 MiB",
		     "free memory");
}

static void a_frozen_group_refuses(void **state)
{
	(void)state;
	put_groups("cgroup2 cgroup2 rw");
	put("4711/cgroup", "0::/a\n");
	put("groups/a/cgroup.events", "populated 1\nfrozen 0\n");
	assert_ok("frozen", 0);
	put("groups/a/cgroup.events", "populated 1\nfrozen 1\n");
	assert_finds("frozen", 0, PSS_DOCTOR_PROBLEM, "/groups/a is frozen", "cgroup.freeze");
	put_groups("cgroup cgroup rw,freezer");
	put("4711/cgroup", "8:freezer:/a\n");
	put("groups/a/freezer.state", "THAWED\n");
	assert_ok("frozen", 0);
	put("groups/a/freezer.state", "FROZEN\n");
	assert_finds("frozen", 0, PSS_DOCTOR_PROBLEM, "/groups/a is frozen", "THAWED");
}

static void pinned_and_huge_pages_warn(void **state)
{
	(void)state;
	put_status(STATUS(USER, NONE, "VmPin:\t 4096 kB\n"));
	assert_finds("pinned", 0, PSS_DOCTOR_WARNING, "4 MiB are pinned", "");
	put("4711/maps", "40000000-40400000 rw-p 00000000 00:0f 5 /anon_hugepage (deleted)\n");
	put("meminfo", "HugePages_Free:        2\nHugepagesize:       2048 kB\n");
	assert_ok("huge-pages", 0);
	put("meminfo", "HugePages_Free:        1\nHugepagesize:       2048 kB\n");
	assert_finds("huge-pages", 0, PSS_DOCTOR_WARNING, "4 MiB of private huge pages",
		     "vm.nr_overcommit_hugepages=2");
}

static void a_32_bit_program_is_told_by_its_file(void **state)
{
	(void)state;
	put("4711/exe", "\x7f"
			"ELF\x01\x01\x01.........");
	assert_finds("machine", 0, PSS_DOCTOR_PROBLEM, "32-bit", "gcore");
	put("4711/exe", "\x7f"
			"ELF\x02\x01\x01.........");
	assert_ok("machine", 0);
}

static void a_monitor_of_forks_is_told_by_its_fdinfo(void **state)
{
	(void)state;
	put_link("4711/fd/5", "anon_inode:[userfaultfd]");
	put("4711/fdinfo/5", "pos:\t0\nAPI:\taa:1:7f\n");
	assert_ok("userfaultfd", 0);
	put("4711/fdinfo/5", "pos:\t0\nAPI:\taa:2:7f\n");
	assert_finds("userfaultfd", 0, PSS_DOCTOR_PROBLEM, "userfaultfd 5", "EVENT_FORK");
	put_link("4711/fd/5", "/dev/null");
	assert_ok("userfaultfd", 0);
}

static void the_table_ends_and_names_are_its_own(void **state)
{
	struct pss_doctor doctor = PSS_DOCTOR_EMPTY;
	struct pss_doctor_finding finding = { 0 };
	_cleanup_close_ int self = open("/proc/self", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	char names[64][32] = { "" };
	unsigned count = 0;

	(void)state;
	assert_int_equal(pss_doctor_open(getpid(), self, self, &doctor), 0);
	while (pss_doctor_examine(&doctor, count, &finding) == 0) {
		assert_true(count < 64 && *finding.text && strlen(finding.id) < 32);
		// This very process could be captured.
		assert_int_not_equal(finding.severity, PSS_DOCTOR_PROBLEM);
		for (unsigned i = 0; i < count; i++)
			assert_string_not_equal(names[i], finding.id);
		(void)snprintf(names[count++], 32, "%s", finding.id);
	}
	assert_true(count > 20);
	assert_int_equal(pss_doctor_examine(&doctor, count, &finding), -ENODATA);
	assert_int_equal(pss_doctor_check(&doctor, "no such", &finding), -ENOENT);
	pss_doctor_close(&doctor);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_proc, remove_proc)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ones_own_process_is_fine),
		TEST(a_stranger_is_refused_by_user_and_not_with_the_capability),
		TEST(a_set_user_id_program_is_another_users),
		TEST(an_undumpable_process_belongs_to_root_in_proc),
		TEST(capabilities_beyond_ours_are_named),
		TEST(yama_is_named_with_its_scope_where_it_refuses),
		TEST(yama_lets_an_ancestor),
		TEST(a_security_module_is_named_when_nothing_else_refuses),
		TEST(a_tracer_is_named_whichever_thread_it_has),
		TEST(an_exited_process_and_a_kernel_thread_have_no_memory),
		TEST(a_filter_that_cant_be_suspended_refuses),
		TEST(threads_in_state_d_warn_and_all_of_them_refuse),
		TEST(shadow_stacks_refuse_if_all_threads_have_one),
		TEST(strict_overcommit_is_compared_with_private_memory),
		TEST(the_limit_of_processes_counts_all_of_the_user),
		TEST(limits_of_all_groups_above_count),
		TEST(memory_that_does_not_fit_refuses_and_what_may_not_warns),
		TEST(a_frozen_group_refuses),
		TEST(pinned_and_huge_pages_warn),
		TEST(a_32_bit_program_is_told_by_its_file),
		TEST(a_monitor_of_forks_is_told_by_its_fdinfo),
		cmocka_unit_test(the_table_ends_and_names_are_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
