// SPDX-License-Identifier: LGPL-2.1-or-later
// What this process holds open for the clones of its snapshots: the borrowed VaCloneHandle of each
// HPSS, the clone's memory, and who watches over it. The only state of the library that outlives a
// call; locked. Entries are about descriptors that the program may close behind our back, so each
// use checks that a number still is what it was.
#ifndef PSS_HANDLE_TABLE_H
#define PSS_HANDLE_TABLE_H

#include "base/diag.h"
#include "guard.h"
#include "memory.h"

/**
 * The VaCloneHandle of the snapshot behind @fd: another descriptor of the same open file, the same
 * at each call. It is the table's until pss_handle_table_forget(). -EBADF, -EMFILE, -ENOMEM.
 */
int pss_handle_table_borrow(int fd, int *ret);

/** The right to read a clone's memory. The memory stays open until it is returned. */
struct pss_handle_table_lease {
	const struct pss_memory *memory; /**< NULL: none */
	struct pss_handle_table_entry *entry;
};

#define PSS_HANDLE_TABLE_LEASE_EMPTY ((struct pss_handle_table_lease){ 0 })

/**
 * Opens the memory of the clone of the section behind @fd, which may be an HPSS, a VaCloneHandle or
 * a duplicate of either; keeps it open for the next time. Errors of pss_memory_open_clone(),
 * -EBADF.
 */
int pss_handle_table_lease(int fd, struct pss_diag *diag, struct pss_handle_table_lease *ret);

/** Ends a lease. Accepts the empty one. */
void pss_handle_table_return(struct pss_handle_table_lease *lease);

#define _cleanup_lease_ _cleanup_(pss_handle_table_return)

/** The guard over the snapshot behind @fd, which is the table's from now on, until it is closed. */
void pss_handle_table_keep_guard(int fd, struct pss_guard *guard);

/** Whether there is one. */
bool pss_handle_table_is_guarded(int fd);

/** What became of work on the snapshot that ended with @error: pss_guard_conclude() of its guard.
 */
int pss_handle_table_conclude(int fd, int error, struct pss_diag *diag);

/**
 * To be called before @fd is closed. If a VaCloneHandle was borrowed from it and still is one, that
 * is closed; if @fd is a borrowed one itself, the table drops it and leaves closing to the caller.
 */
void pss_handle_table_forget(int fd);

#endif
