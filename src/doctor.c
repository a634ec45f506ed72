// SPDX-License-Identifier: LGPL-2.1-or-later
// The table of checks, and what they share. See doctor.h.
#include "doctor.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "doctor_check.h"
#include "procfs_text.h"

struct check {
	const char *id;
	unsigned causes; // what fails of a problem that it finds
	void (*look)(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
};

// What is a cause of several stands before what may only follow from it.
static const struct check checks[] = {
	{ "alive", PSS_DOCTOR_NO_THREAD, pss_doctor_alive },
	{ "tracer", PSS_DOCTOR_TRACED, pss_doctor_tracer },
	{ "user", PSS_DOCTOR_DENIED, pss_doctor_user },
	{ "dumpable", PSS_DOCTOR_DENIED, pss_doctor_dumpable },
	{ "capabilities", PSS_DOCTOR_DENIED, pss_doctor_capabilities },
	{ "yama", PSS_DOCTOR_DENIED, pss_doctor_yama },
	{ "own-filter", PSS_DOCTOR_DENIED, pss_doctor_own_filter },
	{ "security-module", PSS_DOCTOR_DENIED, pss_doctor_security_module },
	{ "userfaultfd", PSS_DOCTOR_UNCLONABLE, pss_doctor_userfaultfd },
	{ "frozen", PSS_DOCTOR_UNCLONABLE | PSS_DOCTOR_FROZEN, pss_doctor_frozen },
	{ "machine", PSS_DOCTOR_UNCLONABLE, pss_doctor_machine },
	{ "code", 0, pss_doctor_code },
	{ "shadow-stack", PSS_DOCTOR_NO_THREAD, pss_doctor_shadow_stack },
	{ "uninterruptible", PSS_DOCTOR_NO_THREAD, pss_doctor_uninterruptible },
	{ "seccomp", PSS_DOCTOR_FILTERED, pss_doctor_seccomp },
	{ "processes", PSS_DOCTOR_LIMITED, pss_doctor_processes },
	{ "pids", PSS_DOCTOR_LIMITED, pss_doctor_pids },
	{ "overcommit", PSS_DOCTOR_LIMITED | PSS_DOCTOR_MEMORY, pss_doctor_overcommit },
	{ "group-memory", PSS_DOCTOR_MEMORY, pss_doctor_group_memory },
	{ "pinned", 0, pss_doctor_pinned },
	{ "huge-pages", 0, pss_doctor_huge_pages },
	{ "descriptors", PSS_DOCTOR_SHORT, pss_doctor_descriptors },
	{ "kernel", 0, pss_doctor_kernel },
	{ "page-scan", 0, pss_doctor_page_scan },
};

enum { CHECK_COUNT = sizeof checks / sizeof checks[0] };

int pss_doctor_open(pid_t pid, int proc_fd, int space_fd, struct pss_doctor *ret)
{
	struct pss_doctor doctor = { .pid = pid, .proc_fd = proc_fd, .space_fd = space_fd };

	doctor.root_fd = open("/proc", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (doctor.root_fd < 0)
		return -errno;
	// The kernel asks itself the same as when a thread is to be traced, security modules
	// included.
	_cleanup_close_ int memory = openat(space_fd, "mem", O_RDONLY | O_CLOEXEC);
	doctor.access = PSS_RET_ERRNO(memory);
	*ret = doctor;
	return 0;
}

void pss_doctor_close(struct pss_doctor *doctor)
{
	doctor->root_fd = pss_close(doctor->root_fd);
}

static void look(const struct pss_doctor *doctor, const struct check *check,
		 struct pss_doctor_finding *finding)
{
	*finding = (struct pss_doctor_finding){ .id = check->id };
	check->look(doctor, finding);
}

int pss_doctor_examine(const struct pss_doctor *doctor, unsigned index,
		       struct pss_doctor_finding *ret)
{
	if (index >= CHECK_COUNT)
		return -ENODATA;
	look(doctor, &checks[index], ret);
	return 0;
}

int pss_doctor_check(const struct pss_doctor *doctor, const char *id,
		     struct pss_doctor_finding *ret)
{
	for (size_t i = 0; i < CHECK_COUNT; i++)
		if (strcmp(checks[i].id, id) == 0)
			return pss_doctor_examine(doctor, (unsigned)i, ret);
	return -ENOENT;
}

bool pss_doctor_explain(const struct pss_doctor *doctor, unsigned causes, struct pss_diag *diag)
{
	struct pss_doctor_finding finding;

	for (size_t i = 0; i < CHECK_COUNT; i++) {
		if (!(checks[i].causes & causes))
			continue;
		look(doctor, &checks[i], &finding);
		if (finding.severity != PSS_DOCTOR_PROBLEM)
			continue;
		pss_diag_hint(diag, "%s%s%s", finding.text, *finding.cure ? ": " : "",
			      finding.cure);
		return true;
	}
	return false;
}

void pss_doctor_say(struct pss_doctor_finding *finding, enum pss_doctor_severity severity,
		    const char *format, ...)
{
	va_list args;

	finding->severity = severity;
	va_start(args, format);
	(void)vsnprintf(finding->text, sizeof finding->text, format, args);
	va_end(args);
}

void pss_doctor_cure(struct pss_doctor_finding *finding, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(finding->cure, sizeof finding->cure, format, args);
	va_end(args);
}

bool pss_doctor_line(const struct pss_buf *text, const char *key, struct pss_text *value_ret)
{
	struct pss_text rest = { (const char *)text->data, text->size };
	struct pss_text line;

	while (text_take_line(&rest, &line)) {
		if (!text_take_prefix(&line, key))
			continue;
		text_skip_blanks(&line);
		*value_ret = line;
		return true;
	}
	return false;
}

bool pss_doctor_line_number(const struct pss_buf *text, const char *key, unsigned base,
			    uint64_t *ret)
{
	struct pss_text value;

	return pss_doctor_line(text, key, &value) && text_take_number(&value, base, ret);
}

bool pss_doctor_number(int dir_fd, const char *path, uint64_t *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;

	return pss_procfs_read(dir_fd, path, &text) == 0 &&
	       pss_procfs_parse_number((const char *)text.data, text.size, 10, ret) == 0;
}

int pss_doctor_status(int dir_fd, struct pss_procfs_status *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	int r = pss_procfs_read(dir_fd, "status", &text);

	return r < 0 ? r : pss_procfs_parse_status((const char *)text.data, text.size, ret);
}

int pss_doctor_stat(int dir_fd, struct pss_procfs_stat *ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	int r = pss_procfs_read(dir_fd, "stat", &text);

	return r < 0 ? r : pss_procfs_parse_stat((const char *)text.data, text.size, ret);
}

void pss_doctor_name(int dir_fd, char name_ret[PSS_DOCTOR_NAME_ROOM])
{
	struct pss_procfs_stat stat = { 0 };

	(void)pss_doctor_stat(dir_fd, &stat);
	(void)snprintf(name_ret, PSS_DOCTOR_NAME_ROOM, "%.*s", (int)stat.comm_size, stat.comm);
}

void pss_doctor_each_thread(const struct pss_doctor *doctor,
			    bool (*see)(int thread_fd, pid_t tid, void *context), void *context)
{
	_cleanup_buf_ struct pss_buf tids = PSS_BUF_EMPTY;

	if (pss_procfs_list(doctor->proc_fd, "task", &tids) < 0)
		return;
	for (size_t i = 0; i < tids.size / sizeof(int32_t); i++) {
		int32_t tid = ((const int32_t *)(const void *)tids.data)[i];
		char path[32];

		(void)snprintf(path, sizeof path, "task/%d", tid);
		_cleanup_close_ int fd =
			openat(doctor->proc_fd, path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && !see(fd, tid, context))
			return;
	}
}
