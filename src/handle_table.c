// SPDX-License-Identifier: LGPL-2.1-or-later
// The table of handle_table.h: a list of entries, each in a page of its own, as nothing from
// capture to free may use the heap.
#include "handle_table.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "snapshot.h"

enum { LOWEST_FD = 3 };

/** One descriptor of a section that came to us, and what hangs on it. */
struct pss_handle_table_entry {
	struct pss_handle_table_entry *next;
	int fd;                     /**< the program's */
	int borrowed;               /**< the VaCloneHandle, ours, or -EBADF */
	struct pss_section section; /**< mapped apart, so that it does not keep the clone */
	struct pss_memory memory;
	bool has_memory;
	bool is_dropped; /**< out of the list, freed with its last lease */
	uint32_t leases;
	struct pss_guard *guard; /**< or NULL */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pss_handle_table_entry *entries;

static void unlock(pthread_mutex_t **held)
{
	(void)pthread_mutex_unlock(*held);
}

#define LOCK_SCOPE()                                                                               \
	_cleanup_(unlock) pthread_mutex_t *held_ = &lock;                                          \
	(void)pthread_mutex_lock(held_)

static void destroy(struct pss_handle_table_entry *entry)
{
	pss_guard_end_ptr(&entry->guard);
	if (entry->has_memory)
		pss_memory_close(&entry->memory);
	pss_section_close(&entry->section);
	(void)munmap(entry, sizeof *entry);
}

static int create(int fd, struct pss_handle_table_entry **ret)
{
	void *fd_handle = (void *)(intptr_t)fd;
	struct pss_section section;
	int r = pss_snapshot_open_detached(fd_handle, &section);

	if (r < 0)
		return r;
	struct pss_handle_table_entry *entry = mmap(NULL, sizeof *entry, PROT_READ | PROT_WRITE,
						    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (entry == MAP_FAILED) {
		pss_section_close(&section);
		return -ENOMEM;
	}
	*entry = (struct pss_handle_table_entry){
		.fd = fd,
		.borrowed = -EBADF,
		.section = section,
		.memory = PSS_MEMORY_EMPTY,
	};
	*ret = entry;
	return 0;
}

/** Takes the entry at @link out of the list and undoes what hangs on it. */
static void drop(struct pss_handle_table_entry **link)
{
	struct pss_handle_table_entry *entry = *link;

	*link = entry->next;
	if (entry->borrowed >= 0 && pss_snapshot_is_section(entry->borrowed, &entry->section))
		(void)pss_close(entry->borrowed);
	entry->borrowed = -EBADF;
	entry->is_dropped = true;
	if (entry->leases == 0)
		destroy(entry);
}

// The program may close an HPSS with close(2), which nobody tells us.
static void drop_stale(void)
{
	struct pss_handle_table_entry **link = &entries;

	while (*link) {
		if (pss_snapshot_is_section((*link)->fd, &(*link)->section))
			link = &(*link)->next;
		else
			drop(link);
	}
}

/** The entry for @fd itself, made if there is none. */
static int find_or_create(int fd, struct pss_handle_table_entry **ret)
{
	for (struct pss_handle_table_entry *entry = entries; entry; entry = entry->next) {
		if (entry->fd != fd || !pss_snapshot_is_section(fd, &entry->section))
			continue;
		*ret = entry;
		return 0;
	}

	drop_stale();
	int r = create(fd, ret);
	if (r < 0)
		return r;
	(*ret)->next = entries;
	entries = *ret;
	return 0;
}

void pss_handle_table_keep_guard(int fd, struct pss_guard *guard)
{
	struct pss_handle_table_entry *entry;
	LOCK_SCOPE();

	if (find_or_create(fd, &entry) < 0)
		pss_guard_end_ptr(&guard);
	else
		entry->guard = guard;
}

static struct pss_handle_table_entry *find_guarded(int fd)
{
	for (struct pss_handle_table_entry *entry = entries; entry; entry = entry->next)
		if (entry->guard && entry->fd == fd && pss_snapshot_is_section(fd, &entry->section))
			return entry;
	return NULL;
}

bool pss_handle_table_is_guarded(int fd)
{
	LOCK_SCOPE();

	return find_guarded(fd) != NULL;
}

int pss_handle_table_conclude(int fd, int error, struct pss_diag *diag)
{
	LOCK_SCOPE();
	const struct pss_handle_table_entry *entry = find_guarded(fd);

	if (!entry || !pss_guard_has_given_up(entry->guard))
		return error;
	return pss_guard_conclude(&entry->guard->watch, pss_section_process(&entry->section)->pid,
				  error, diag);
}

int pss_handle_table_borrow(int fd, int *ret)
{
	struct pss_handle_table_entry *entry;
	LOCK_SCOPE();

	int r = find_or_create(fd, &entry);
	if (r < 0)
		return r;
	if (entry->borrowed < 0 || !pss_snapshot_is_section(entry->borrowed, &entry->section)) {
		entry->borrowed = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
		if (entry->borrowed < 0) {
			r = -errno;
			entry->borrowed = -EBADF;
			return r;
		}
	}
	*ret = entry->borrowed;
	return 0;
}

/** An entry whose memory is that of the section behind @fd, whichever descriptor it is for. */
static struct pss_handle_table_entry *find_memory(int fd)
{
	for (struct pss_handle_table_entry *entry = entries; entry; entry = entry->next)
		if (entry->has_memory && pss_snapshot_is_section(fd, &entry->section))
			return entry;
	return NULL;
}

int pss_handle_table_lease(int fd, struct pss_diag *diag, struct pss_handle_table_lease *ret)
{
	LOCK_SCOPE();
	struct pss_handle_table_entry *entry = find_memory(fd);

	if (!entry) {
		int r = find_or_create(fd, &entry);
		if (r < 0)
			return r;
		r = pss_memory_open_clone(&entry->section, diag, &entry->memory);
		if (r < 0)
			return r;
		entry->has_memory = true;
	}
	entry->leases++;
	*ret = (struct pss_handle_table_lease){ .memory = &entry->memory, .entry = entry };
	return 0;
}

void pss_handle_table_return(struct pss_handle_table_lease *lease)
{
	struct pss_handle_table_entry *entry = lease->entry;

	if (!entry)
		return;
	LOCK_SCOPE();
	*lease = PSS_HANDLE_TABLE_LEASE_EMPTY;
	entry->leases--;
	if (entry->is_dropped && entry->leases == 0)
		destroy(entry);
}

void pss_handle_table_forget(int fd)
{
	LOCK_SCOPE();
	struct pss_handle_table_entry **link = &entries;

	while (*link) {
		struct pss_handle_table_entry *entry = *link;

		// Closed by the program itself: the next query lends another.
		if (entry->borrowed == fd)
			entry->borrowed = -EBADF;
		if (entry->fd == fd)
			drop(link);
		else
			link = &entry->next;
	}
	// An entry may stand under the number that was lent, and has just been closed.
	drop_stale();
}
