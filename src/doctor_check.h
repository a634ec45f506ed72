// SPDX-License-Identifier: LGPL-2.1-or-later
// What the files of doctor share: the checks, each of which fills in a finding that says OK so far,
// and the few ways in which they read. For doctor*.c alone.
#ifndef PSS_DOCTOR_CHECK_H
#define PSS_DOCTOR_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "doctor.h"
#include "procfs.h"

/** Room for the name of a process or thread as said in a text. */
enum { PSS_DOCTOR_NAME_ROOM = 72 };

void pss_doctor_say(struct pss_doctor_finding *finding, enum pss_doctor_severity severity,
		    const char *format, ...) __attribute__((format(printf, 3, 4)));

void pss_doctor_cure(struct pss_doctor_finding *finding, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/** The value of the line that begins with @key, to its end. */
bool pss_doctor_line(const struct pss_buf *text, const char *key, struct pss_text *value_ret);

/** The number in that line, in @base. False too if there is none. */
bool pss_doctor_line_number(const struct pss_buf *text, const char *key, unsigned base,
			    uint64_t *ret);

/** The number that a file is. */
bool pss_doctor_number(int dir_fd, const char *path, uint64_t *ret);

int pss_doctor_status(int dir_fd, struct pss_procfs_status *ret);
int pss_doctor_stat(int dir_fd, struct pss_procfs_stat *ret);

/** "name" of the process or thread whose folder it is; empty if it can't be read. */
void pss_doctor_name(int dir_fd, char name_ret[PSS_DOCTOR_NAME_ROOM]);

/** Threads of the target: calls @see for each, with its folder, until it returns false. */
void pss_doctor_each_thread(const struct pss_doctor *doctor,
			    bool (*see)(int thread_fd, pid_t tid, void *context), void *context);

/** Whether the caller has a capability that counts in the target's user namespace. */
bool pss_doctor_has_capability(const struct pss_doctor *doctor, unsigned capability);

/** Whether the caller has one where the kernel asks for it in its first user namespace. */
bool pss_doctor_has_first_capability(const struct pss_doctor *doctor, unsigned capability);

/* doctor_rights.c */
void pss_doctor_user(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_dumpable(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_capabilities(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_yama(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_security_module(const struct pss_doctor *doctor,
				struct pss_doctor_finding *finding);

/* doctor_state.c */
void pss_doctor_alive(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_tracer(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_seccomp(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_uninterruptible(const struct pss_doctor *doctor,
				struct pss_doctor_finding *finding);
void pss_doctor_shadow_stack(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);

/* doctor_memory.c */
void pss_doctor_machine(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_code(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_userfaultfd(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_overcommit(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_pinned(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_huge_pages(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);

/* doctor_groups.c */
void pss_doctor_processes(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_frozen(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_pids(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_group_memory(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);

/* doctor_kernel.c */
void pss_doctor_own_filter(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_kernel(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_page_scan(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);
void pss_doctor_descriptors(const struct pss_doctor *doctor, struct pss_doctor_finding *finding);

#endif
