// SPDX-License-Identifier: LGPL-2.1-or-later
// No specimen, but the box to put one in: container [-u] [-p] [-n] [-m DIR [-b FROM:TO]... [-r]
// [-P OPTIONS]] PROGRAM [ARG...] runs the program in namespaces of its own: -u user, where root is
// 100000 outside if root asks, -p PID, as its first process, -n network, -m mount, with a new root
// that is built on the empty folder DIR and has /usr, /proc and what -b binds, and nothing else;
// -r makes it read-only, -P mounts /proc with options, or not at all for "none". The box dies with
// its parent, and says on stdout "skipped: ..." where the machine does not allow it.
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "target.h"

enum { OUTER_ROOT = 100000, BINDS_MAX = 8 };

static struct {
	unsigned long namespaces;
	const char *root;
	const char *binds[BINDS_MAX];
	unsigned bind_count;
	bool is_read_only;
	const char *proc_options;
} box;

__attribute__((noreturn)) static void skip(const char *what)
{
	printf("skipped: %s: %s\n", what, strerror(errno));
	fflush(stdout);
	_exit(77);
}

static void must(int ret, const char *what)
{
	if (ret < 0)
		skip(what);
}

static void write_to(pid_t pid, const char *name, const char *text)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		skip(path);
	close(fd);
}

// From outside, where the right is.
static void map_users(pid_t pid)
{
	char uids[64] = "0 100000 65536", gids[64] = "0 100000 65536";

	if (geteuid() != 0) {
		snprintf(uids, sizeof(uids), "0 %u 1", geteuid());
		snprintf(gids, sizeof(gids), "0 %u 1", getegid());
		write_to(pid, "setgroups", "deny");
	}
	write_to(pid, "uid_map", uids);
	write_to(pid, "gid_map", gids);
}

static void in_root(char *path, const char *name)
{
	snprintf(path, PATH_MAX, "%s%s%s", box.root, *name == '/' ? "" : "/", name);
}

static void bind_one(const char *from, const char *to)
{
	char path[PATH_MAX];

	in_root(path, to);
	must(mkdir(path, 0755), path);
	must(mount(from, path, NULL, MS_BIND | MS_REC, NULL), from);
}

static void bind_null(void)
{
	char path[PATH_MAX];

	in_root(path, "dev");
	must(mkdir(path, 0755), path);
	in_root(path, "dev/null");
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	must(mount("/dev/null", path, NULL, MS_BIND, NULL), path);
}

static void build_root(void)
{
	static const char *const links[] = { "bin", "sbin", "lib", "lib64" };
	char path[PATH_MAX], target[PATH_MAX];

	must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private mounts");
	must(mount("box", box.root, "tmpfs", 0, "mode=755"), "tmpfs");
	bind_one("/usr", "usr");
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		snprintf(target, sizeof(target), "usr/%s", links[i]);
		in_root(path, links[i]);
		must(symlink(target, path), path);
	}
	bind_null();
	for (unsigned i = 0; i < box.bind_count; i++) {
		char *from = strdup(box.binds[i]), *to = strchr(from, ':');

		if (!to)
			target_fail(from);
		*to++ = '\0';
		bind_one(from, to);
		free(from);
	}
	in_root(path, "proc");
	must(mkdir(path, 0755), path);
	if (!box.proc_options || strcmp(box.proc_options, "none"))
		must(mount("proc", path, "proc", 0, box.proc_options), "mounting /proc");
}

static void enter_root(void)
{
	build_root();
	must(chdir(box.root), box.root);
	must((int)syscall(SYS_pivot_root, ".", "."), "pivot_root");
	must(umount2(".", MNT_DETACH), "umount");
	must(chdir("/"), "/");
	if (box.is_read_only)
		must(mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), "read-only");
}

static void run(int go, char **command)
{
	char byte;

	if (read(go, &byte, 1) != 1)
		_exit(1);
	close(go);
	if (box.namespaces & CLONE_NEWUSER) {
		(void)!setgroups(0, NULL);
		must(setresgid(0, 0, 0), "setresgid");
		must(setresuid(0, 0, 0), "setresuid");
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 1);
	if (box.namespaces & CLONE_NEWNS)
		enter_root();
	execv(command[0], command);
	target_fail(command[0]);
}

static void parse(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "+upnrm:b:P:")) != -1) {
		switch (option) {
		case 'u':
			box.namespaces |= CLONE_NEWUSER;
			break;
		case 'p':
			box.namespaces |= CLONE_NEWPID;
			break;
		case 'n':
			box.namespaces |= CLONE_NEWNET;
			break;
		case 'm':
			box.namespaces |= CLONE_NEWNS;
			box.root = optarg;
			break;
		case 'r':
			box.is_read_only = true;
			break;
		case 'P':
			box.proc_options = optarg;
			break;
		case 'b':
			if (box.bind_count == BINDS_MAX)
				_exit(2);
			box.binds[box.bind_count++] = optarg;
			break;
		default:
			_exit(2);
		}
	}
	if (optind == argc)
		_exit(2);
}

int main(int argc, char **argv)
{
	int go[2], status = 0;

	target_begin();
	parse(argc, argv);
	if (pipe2(go, O_CLOEXEC) < 0)
		target_fail("pipe");
	pid_t pid = (pid_t)syscall(SYS_clone, box.namespaces | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid < 0)
		skip("namespaces");
	if (pid == 0) {
		close(go[1]);
		run(go[0], argv + optind);
	}
	close(go[0]);
	if (box.namespaces & CLONE_NEWUSER)
		map_users(pid);
	if (write(go[1], "", 1) != 1)
		target_fail("write");
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
