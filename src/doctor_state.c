// SPDX-License-Identifier: LGPL-2.1-or-later
// What the target's threads are in: at their end, traced, behind a filter, waiting in the kernel.
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "doctor_check.h"
#include "helper.h"
#include "procfs_text.h"

void pss_doctor_alive(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	struct pss_procfs_status status = { 0 };
	struct pss_procfs_stat stat = { 0 };
	char name[PSS_DOCTOR_NAME_ROOM];
	int r = pss_doctor_stat(doctor->space_fd, &stat);

	if (r == 0)
		r = pss_doctor_status(doctor->space_fd, &status);
	pss_doctor_name(doctor->space_fd, name);
	if (r == -ESRCH || stat.state == 'Z' || stat.state == 'X')
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM, "it has exited");
	else if (r < 0)
		pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN, "its state can't be read");
	else if (status.vm_size == 0)
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
			       "it has no memory of its own: it is a thread of the kernel, or "
			       "about to end");
	else if (stat.state == 'T' || stat.state == 't')
		pss_doctor_say(finding, PSS_DOCTOR_OK, "it is stopped, and will stay so");
	else
		pss_doctor_say(finding, PSS_DOCTOR_OK, "it is alive, with %u thread%s",
			       status.thread_count, status.thread_count == 1 ? "" : "s");
}

struct tracing {
	pid_t tracer;
};

static bool see_tracer(int thread_fd, pid_t tid, void *context)
{
	struct tracing *tracing = context;
	struct pss_procfs_status status;

	(void)tid;
	if (pss_doctor_status(thread_fd, &status) == 0)
		tracing->tracer = status.tracer_pid;
	return tracing->tracer == 0;
}

void pss_doctor_tracer(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	struct tracing tracing = { 0 };
	char name[PSS_DOCTOR_NAME_ROOM] = "";
	char path[32];

	pss_doctor_each_thread(doctor, see_tracer, &tracing);
	if (!tracing.tracer) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "nobody traces it");
		return;
	}
	(void)snprintf(path, sizeof path, "%d", tracing.tracer);
	_cleanup_close_ int fd = openat(doctor->root_fd, path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		pss_doctor_name(fd, name);
	// A capture waits for that.
	if (strcmp(name, PSS_HELPER_NAME) == 0) {
		pss_doctor_say(finding, PSS_DOCTOR_WARNING,
			       "another capture holds it for a moment, in process %d",
			       tracing.tracer);
		return;
	}
	pss_doctor_say(finding, PSS_DOCTOR_PROBLEM, "it is traced by process %d (%s)",
		       tracing.tracer, name);
	pss_doctor_cure(finding, "detach that debugger or tracer first");
}

struct filters {
	unsigned threads;
	unsigned filtered;
};

static bool see_filter(int thread_fd, pid_t tid, void *context)
{
	struct filters *filters = context;
	struct pss_procfs_status status;

	(void)tid;
	if (pss_doctor_status(thread_fd, &status) < 0)
		return true;
	filters->threads++;
	filters->filtered += status.seccomp_mode != 0;
	return true;
}

// Why a filter could not be suspended; NULL if it could be.
static const char *filter_obstacle(const struct pss_doctor *doctor, const char **cure_ret)
{
	struct pss_procfs_status own = { 0 };
	_cleanup_close_ int self =
		openat(doctor->root_fd, "thread-self", O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	if (faccessat(doctor->root_fd, "sys/kernel/ns_last_pid", F_OK, 0) < 0) {
		*cure_ret = "a kernel with CONFIG_CHECKPOINT_RESTORE suspends it";
		return "this kernel can't";
	}
	if (!pss_doctor_has_first_capability(doctor, CAP_SYS_ADMIN)) {
		*cure_ret = "run with CAP_SYS_ADMIN, as root outside of containers";
		return "that takes CAP_SYS_ADMIN";
	}
	if (self >= 0 && pss_doctor_status(self, &own) == 0 && own.seccomp_mode) {
		*cure_ret = "run without a filter of your own: in a pod "
			    "seccompProfile.type: Unconfined";
		return "you have a filter yourself";
	}
	return NULL;
}

void pss_doctor_seccomp(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	struct pss_procfs_status status;
	struct filters filters = { 0 };
	const char *cure = "";

	if (pss_doctor_status(doctor->space_fd, &status) < 0) {
		pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN, "its filters can't be seen");
		return;
	}
	pss_doctor_each_thread(doctor, see_filter, &filters);
	if (!status.seccomp_mode && !filters.filtered) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "it has no seccomp filter");
		return;
	}
	const char *obstacle = filter_obstacle(doctor, &cure);
	if (!obstacle) {
		pss_doctor_say(
			finding, PSS_DOCTOR_OK,
			"%u of its %u threads have a seccomp filter, which will be suspended",
			filters.filtered, filters.threads);
		return;
	}
	// The first thread makes the clone, unless it is unfit for that.
	pss_doctor_say(finding, status.seccomp_mode ? PSS_DOCTOR_PROBLEM : PSS_DOCTOR_WARNING,
		       "%s seccomp filter, which may kill it for making a clone and has to be "
		       "suspended: %s",
		       status.seccomp_mode ? "it has a" : "some of its threads have a", obstacle);
	pss_doctor_cure(finding, "%s", cure);
}

enum { WAIT_LOOKS = 5, WAIT_PAUSE_NS = 10000000 };

struct waiting {
	unsigned threads;
	unsigned waiting;
	pid_t tid;
	char name[PSS_DOCTOR_NAME_ROOM];
};

static bool see_waiting(int thread_fd, pid_t tid, void *context)
{
	struct waiting *waiting = context;
	struct pss_procfs_stat stat;

	if (pss_doctor_stat(thread_fd, &stat) < 0 || stat.state == 'Z' || stat.state == 'X')
		return true;
	waiting->threads++;
	if (stat.state != 'D')
		return true;
	waiting->waiting++;
	waiting->tid = tid;
	pss_doctor_name(thread_fd, waiting->name);
	return true;
}

void pss_doctor_uninterruptible(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	const struct timespec pause = { .tv_nsec = WAIT_PAUSE_NS };
	struct waiting waiting = { 0 };

	// Waiting for a disk is over soon; what hangs still does after some looks.
	for (int i = 0; i < WAIT_LOOKS && (i == 0 || waiting.waiting > 0); i++) {
		if (i > 0)
			(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
		waiting = (struct waiting){ 0 };
		pss_doctor_each_thread(doctor, see_waiting, &waiting);
	}
	if (!waiting.waiting) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "no thread waits uninterruptibly");
		return;
	}
	bool is_all = waiting.waiting == waiting.threads;

	pss_doctor_say(
		finding, is_all ? PSS_DOCTOR_PROBLEM : PSS_DOCTOR_WARNING,
		"%u of its %u threads wait%s uninterruptibly in the kernel, such as %d (%s)%s",
		waiting.waiting, waiting.threads, waiting.waiting == 1 ? "s" : "", waiting.tid,
		waiting.name, is_all ? "" : ": such a thread is held late or not at all");
	pss_doctor_cure(finding, "/proc/%d/task/%d/stack tells where it waits", doctor->pid,
			waiting.tid);
}

struct features {
	unsigned threads;
	unsigned with_stack;
};

static bool see_features(int thread_fd, pid_t tid, void *context)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;
	struct features *features = context;
	struct pss_procfs_stat stat;
	struct pss_text value, word;

	(void)tid;
	if (pss_doctor_stat(thread_fd, &stat) < 0 || stat.state == 'Z' || stat.state == 'X' ||
	    pss_procfs_read(thread_fd, "status", &text) < 0)
		return true;
	features->threads++;
	if (!pss_doctor_line(&text, "x86_Thread_features:", &value))
		return true;
	while (text_take_word(&value, &word))
		features->with_stack += word.size == 5 && memcmp(word.data, "shstk", 5) == 0;
	return true;
}

void pss_doctor_shadow_stack(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	struct features features = { 0 };

	pss_doctor_each_thread(doctor, see_features, &features);
	if (!features.with_stack) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "no thread has a shadow stack");
		return;
	}
	if (features.with_stack < features.threads) {
		pss_doctor_say(finding, PSS_DOCTOR_OK,
			       "%u of its %u threads have a shadow stack; another will do",
			       features.with_stack, features.threads);
		return;
	}
	pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
		       "all of its threads have a shadow stack, and none can be made to call");
	pss_doctor_cure(finding,
			"start it with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off in its environment");
}
