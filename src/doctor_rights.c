// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether the caller may trace the target. That the kernel says, when its memory is opened; the
// checks tell why not, in the order in which the kernel asks.
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/nsfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "doctor_check.h"
#include "procfs_text.h"

// Inode of the kernel's first user namespace, part of its interface.
#define FIRST_USER_NAMESPACE "user:[4026531837]"

/** Ids as a line of status has them. */
enum { ID_REAL, ID_EFFECTIVE, ID_SAVED, ID_FILES, ID_COUNT };

struct ids {
	uint64_t user[ID_COUNT];
	uint64_t group[ID_COUNT];
	uint64_t permitted; // capabilities
	uint64_t effective;
};

static bool take_ids(const struct pss_buf *text, const char *key, uint64_t ids_ret[ID_COUNT])
{
	struct pss_text value;

	if (!pss_doctor_line(text, key, &value))
		return false;
	for (size_t i = 0; i < ID_COUNT; i++) {
		text_skip_blanks(&value);
		if (!text_take_number(&value, 10, &ids_ret[i]))
			return false;
	}
	return true;
}

static bool read_ids(int dir_fd, const char *path, struct ids *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;

	*ret = (struct ids){ 0 };
	return pss_procfs_read(dir_fd, path, &text) == 0 && take_ids(&text, "Uid:", ret->user) &&
	       take_ids(&text, "Gid:", ret->group) &&
	       pss_doctor_line_number(&text, "CapPrm:", 16, &ret->permitted) &&
	       pss_doctor_line_number(&text, "CapEff:", 16, &ret->effective);
}

static bool read_both(const struct pss_doctor *doctor, struct ids *own_ret, struct ids *its_ret)
{
	return read_ids(doctor->root_fd, "thread-self/status", own_ret) &&
	       read_ids(doctor->space_fd, "status", its_ret);
}

static bool is_text(const struct pss_buf *buf, const char *text)
{
	return buf->size == strlen(text) && memcmp(buf->data, text, buf->size) == 0;
}

// Whether our user namespace is the target's, or one of those that it was made in.
static bool covers_namespace(const struct pss_doctor *doctor)
{
	_cleanup_buf_ struct pss_buf own = PSS_BUF_EMPTY;
	_cleanup_buf_ struct pss_buf its = PSS_BUF_EMPTY;
	struct stat status;

	if (pss_procfs_read_link(doctor->root_fd, "thread-self/ns/user", &own) < 0 ||
	    pss_procfs_read_link(doctor->space_fd, "ns/user", &its) < 0)
		return false;
	if (own.size == its.size && memcmp(own.data, its.data, own.size) == 0)
		return true;
	if (fstatat(doctor->root_fd, "thread-self/ns/user", &status, 0) < 0)
		return false;
	ino_t inode = status.st_ino;
	int fd = openat(doctor->space_fd, "ns/user", O_RDONLY | O_CLOEXEC);
	bool is_found = false;

	while (fd >= 0 && !is_found) {
		int parent = ioctl(fd, NS_GET_PARENT);

		(void)pss_close(fd);
		fd = parent;
		is_found = fd >= 0 && fstat(fd, &status) == 0 && status.st_ino == inode;
	}
	(void)pss_close(fd);
	return is_found;
}

static bool has_bit(uint64_t capabilities, unsigned capability)
{
	return capabilities >> capability & 1;
}

bool pss_doctor_has_capability(const struct pss_doctor *doctor, unsigned capability)
{
	struct ids own;

	return read_ids(doctor->root_fd, "thread-self/status", &own) &&
	       has_bit(own.effective, capability) && covers_namespace(doctor);
}

bool pss_doctor_has_first_capability(const struct pss_doctor *doctor, unsigned capability)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	struct ids own;

	return read_ids(doctor->root_fd, "thread-self/status", &own) &&
	       has_bit(own.effective, capability) &&
	       pss_procfs_read_link(doctor->root_fd, "thread-self/ns/user", &text) == 0 &&
	       is_text(&text, FIRST_USER_NAMESPACE);
}

// For memory the kernel compares what we use for files, for a thread our real ids: both must do.
static bool is_all(const uint64_t its[ID_COUNT], const uint64_t own[ID_COUNT])
{
	for (size_t i = ID_REAL; i <= ID_SAVED; i++)
		if (its[i] != own[ID_REAL] || its[i] != own[ID_FILES])
			return false;
	return true;
}

static bool is_same_user(const struct ids *its, const struct ids *own)
{
	return is_all(its->user, own->user) && is_all(its->group, own->group);
}

// Root without the capability is root of a container.
static void cure_with_ptrace(const struct ids *own, bool is_other_user,
			     struct pss_doctor_finding *finding)
{
	if (own->user[ID_EFFECTIVE] == 0 && !has_bit(own->effective, CAP_SYS_PTRACE))
		pss_doctor_cure(finding, "get CAP_SYS_PTRACE: in a pod "
					 "securityContext.capabilities.add: [\"SYS_PTRACE\"], with "
					 "Docker --cap-add SYS_PTRACE");
	else
		pss_doctor_cure(finding, "run %sas root%s with CAP_SYS_PTRACE",
				is_other_user ? "as that user, " : "",
				is_other_user ? ", or" : " or");
}

static bool cannot_be_seen(struct pss_doctor_finding *finding, const char *what)
{
	pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN, "%s can't be read", what);
	return false;
}

void pss_doctor_user(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	struct ids own, its;

	if (!read_both(doctor, &own, &its)) {
		(void)cannot_be_seen(finding, "its user");
		return;
	}
	unsigned user = (unsigned)its.user[ID_EFFECTIVE];
	unsigned caller = (unsigned)own.user[ID_EFFECTIVE];

	if (is_same_user(&its, &own)) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "it belongs to user %u, as you do", user);
		return;
	}
	if (doctor->access == 0) {
		pss_doctor_say(finding, PSS_DOCTOR_OK,
			       "it belongs to user %u; you are %u, with CAP_SYS_PTRACE", user,
			       caller);
		return;
	}
	if (has_bit(own.effective, CAP_SYS_PTRACE) && !covers_namespace(doctor)) {
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
			       "it is in another user namespace, where your CAP_SYS_PTRACE does "
			       "not count");
		pss_doctor_cure(finding,
				"run as root outside of all containers, or in its "
				"namespace: nsenter --user --target %d",
				doctor->pid);
		return;
	}
	// Then it is not the user that stands in the way.
	if (pss_doctor_has_capability(doctor, CAP_SYS_PTRACE)) {
		pss_doctor_say(finding, PSS_DOCTOR_OK,
			       "it belongs to user %u; you are %u, with CAP_SYS_PTRACE", user,
			       caller);
		return;
	}
	if (its.user[ID_EFFECTIVE] != own.user[ID_EFFECTIVE])
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM, "it belongs to user %u and you are %u",
			       user, caller);
	else
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
			       "it runs with users %u, %u and groups %u, %u, not all of them yours",
			       (unsigned)its.user[ID_REAL], user, (unsigned)its.group[ID_REAL],
			       (unsigned)its.group[ID_EFFECTIVE]);
	cure_with_ptrace(&own, its.user[ID_EFFECTIVE] != own.user[ID_EFFECTIVE], finding);
}

// Where the capability decides, the checks that it overrides find nothing.
static bool is_overridden(const struct pss_doctor *doctor)
{
	return doctor->access == 0 || pss_doctor_has_capability(doctor, CAP_SYS_PTRACE);
}

void pss_doctor_dumpable(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	struct ids own, its;
	struct stat owner;

	// The folder itself belongs to its user in any case.
	if (!read_both(doctor, &own, &its) || fstatat(doctor->proc_fd, "stat", &owner, 0) < 0) {
		(void)cannot_be_seen(finding, "whether it is dumpable");
		return;
	}
	if (owner.st_uid == its.user[ID_EFFECTIVE]) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "its files in /proc belong to its user");
		return;
	}
	bool is_cause = is_same_user(&its, &own) && !is_overridden(doctor);

	pss_doctor_say(finding, is_cause ? PSS_DOCTOR_PROBLEM : PSS_DOCTOR_OK,
		       "it has made itself undumpable, or its program file can't be read");
	if (is_cause)
		cure_with_ptrace(&own, false, finding);
}

// By number; <linux/capability.h> has them as macros only.
static const char *const capability_names[] = {
	"CHOWN",
	"DAC_OVERRIDE",
	"DAC_READ_SEARCH",
	"FOWNER",
	"FSETID",
	"KILL",
	"SETGID",
	"SETUID",
	"SETPCAP",
	"LINUX_IMMUTABLE",
	"NET_BIND_SERVICE",
	"NET_BROADCAST",
	"NET_ADMIN",
	"NET_RAW",
	"IPC_LOCK",
	"IPC_OWNER",
	"SYS_MODULE",
	"SYS_RAWIO",
	"SYS_CHROOT",
	"SYS_PTRACE",
	"SYS_PACCT",
	"SYS_ADMIN",
	"SYS_BOOT",
	"SYS_NICE",
	"SYS_RESOURCE",
	"SYS_TIME",
	"SYS_TTY_CONFIG",
	"MKNOD",
	"LEASE",
	"AUDIT_WRITE",
	"AUDIT_CONTROL",
	"SETFCAP",
	"MAC_OVERRIDE",
	"MAC_ADMIN",
	"SYSLOG",
	"WAKE_ALARM",
	"BLOCK_SUSPEND",
	"AUDIT_READ",
	"PERFMON",
	"BPF",
	"CHECKPOINT_RESTORE",
};

enum { CAPABILITY_COUNT = sizeof capability_names / sizeof capability_names[0], LISTED_MAX = 6 };

static void list_capabilities(uint64_t capabilities, char *text, size_t room)
{
	size_t used = 0;
	unsigned listed = 0;

	*text = '\0';
	for (unsigned i = 0; i < 64; i++) {
		if (!has_bit(capabilities, i) || used >= room)
			continue;
		if (listed++ == LISTED_MAX) {
			(void)snprintf(text + used, room - used, " and %d more",
				       __builtin_popcountll(capabilities) - LISTED_MAX);
			return;
		}
		used += (size_t)(i < CAPABILITY_COUNT
					 ? snprintf(text + used, room - used, "%sCAP_%s",
						    listed > 1 ? ", " : "", capability_names[i])
					 : snprintf(text + used, room - used, "%s%u",
						    listed > 1 ? ", " : "", i));
	}
}

void pss_doctor_capabilities(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	struct ids own, its;
	char names[256];

	if (!read_both(doctor, &own, &its)) {
		(void)cannot_be_seen(finding, "what capabilities it has");
		return;
	}
	uint64_t more = its.permitted & ~(own.permitted & own.effective);

	if (!more) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "it has no capabilities that you lack");
		return;
	}
	bool is_cause = is_same_user(&its, &own) && !is_overridden(doctor);

	list_capabilities(more, names, sizeof names);
	pss_doctor_say(finding, is_cause ? PSS_DOCTOR_PROBLEM : PSS_DOCTOR_OK,
		       "it has capabilities that you lack: %s", names);
	if (is_cause)
		cure_with_ptrace(&own, false, finding);
}

static bool is_ancestor(const struct pss_doctor *doctor)
{
	struct pss_procfs_stat stat;
	struct pss_procfs_status own;
	pid_t pid = doctor->pid;
	char path[32];

	_cleanup_close_ int self =
		openat(doctor->root_fd, "thread-self", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (self < 0 || pss_doctor_status(self, &own) < 0)
		return false;
	while (pid > 0 && pid != own.thread_group_id) {
		(void)snprintf(path, sizeof path, "%d", pid);
		_cleanup_close_ int fd =
			openat(doctor->root_fd, path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
		if (fd < 0 || pss_doctor_stat(fd, &stat) < 0)
			return false;
		pid = stat.parent_pid;
	}
	return pid > 0;
}

// The text of the scopes that refuse.
static void refuse_by_yama(unsigned scope, struct pss_doctor_finding *finding)
{
	pss_doctor_say(finding, PSS_DOCTOR_PROBLEM, "Yama ptrace_scope is %u%s", scope,
		       scope == 3 ? ": nobody may trace" : "");
	if (scope == 1)
		pss_doctor_cure(finding,
				"run as its parent, as root, with CAP_SYS_PTRACE, let it call "
				"prctl(PR_SET_PTRACER), or set sysctl kernel.yama.ptrace_scope=0");
	else if (scope == 2)
		pss_doctor_cure(finding, "run as root or with CAP_SYS_PTRACE, or set sysctl "
					 "kernel.yama.ptrace_scope=1");
	else
		pss_doctor_cure(finding, "set kernel.yama.ptrace_scope lower in sysctl.d and "
					 "reboot: until then it can't be lowered");
}

void pss_doctor_yama(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	uint64_t scope = 0;

	if (!pss_doctor_number(doctor->root_fd, "sys/kernel/yama/ptrace_scope", &scope)) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "this kernel runs without Yama");
		return;
	}
	bool is_refused = doctor->access < 0 && scope > 0 &&
			  (scope == 3 || !pss_doctor_has_capability(doctor, CAP_SYS_PTRACE)) &&
			  !(scope == 1 && is_ancestor(doctor));

	if (is_refused)
		refuse_by_yama((unsigned)scope, finding);
	else
		pss_doctor_say(finding, PSS_DOCTOR_OK, "Yama ptrace_scope is %u%s", (unsigned)scope,
			       scope == 0           ? ""
			       : doctor->access < 0 ? ", which does not stand in the way"
						    : ", which lets you");
}

// AppArmor's or SELinux's name for what a process may do; empty if there is none.
static bool read_label(int dir_fd, const char *path, char label_ret[160])
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;

	*label_ret = '\0';
	if (pss_procfs_read(dir_fd, path, &text) < 0)
		return false;
	size_t size = strnlen((const char *)text.data, text.size);
	while (size > 0 && text.data[size - 1] == '\n')
		size--;
	(void)snprintf(label_ret, 160, "%.*s", (int)size, (const char *)text.data);
	return size > 0;
}

static void cure_label(const char *own, const char *its, struct pss_doctor_finding *finding)
{
	// SELinux' contexts are user:role:type:level; AppArmor's are a profile and "(mode)".
	const char *mode = strstr(its, " (") ? strstr(its, " (") : strstr(own, " (");

	if (!mode && strchr(its, ':'))
		pss_doctor_cure(finding, "setsebool deny_ptrace off, and a rule 'allow TYPE TYPE: "
					 "process ptrace' from your type to its, see audit2allow");
	else
		pss_doctor_cure(finding,
				"AppArmor rules: 'ptrace (trace) peer=%.*s,' in your profile, "
				"'ptrace (tracedby) peer=%.*s,' in its",
				(int)strcspn(its, " "), its, (int)strcspn(own, " "), own);
}

void pss_doctor_security_module(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	static void (*const earlier[])(const struct pss_doctor *, struct pss_doctor_finding *) = {
		pss_doctor_user,
		pss_doctor_dumpable,
		pss_doctor_capabilities,
		pss_doctor_yama,
	};
	struct pss_doctor_finding other;
	char own[160], its[160];
	bool has_own = read_label(doctor->root_fd, "thread-self/attr/current", own);
	bool has_label = read_label(doctor->space_fd, "attr/current", its) || has_own;
	// AppArmor's word for what it leaves alone.
	bool is_suspect = has_label && (strcmp(own, "unconfined") != 0 || strcmp(its, own) != 0);

	if (doctor->access != -EACCES && doctor->access != -EPERM) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "%s%s", has_label ? "it is " : "none",
			       has_label ? *its ? its : "without a label" : " labels it");
		return;
	}
	for (size_t i = 0; i < sizeof earlier / sizeof earlier[0]; i++) {
		other = (struct pss_doctor_finding){ 0 };
		earlier[i](doctor, &other);
		if (other.severity != PSS_DOCTOR_PROBLEM)
			continue;
		if (is_suspect) {
			pss_doctor_say(finding, PSS_DOCTOR_WARNING,
				       "it is %s, which may forbid it as well", its);
			cure_label(own, its, finding);
		} else if (has_label) {
			pss_doctor_say(finding, PSS_DOCTOR_OK, "it is %s, and so are you", its);
		} else {
			pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN,
				       "whether one forbids it shows only when nothing else does");
		}
		return;
	}
	if (is_suspect) {
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
			       "a security module forbids it: it is %s, and you are %s", its, own);
		cure_label(own, its, finding);
		return;
	}
	pss_doctor_say(finding, PSS_DOCTOR_PROBLEM, "the kernel forbids it, and does not tell why");
	pss_doctor_cure(finding, "see the kernel's log for a security module; or run as root, "
				 "outside of containers");
}
