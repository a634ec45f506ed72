// SPDX-License-Identifier: LGPL-2.1-or-later
// The handle records: what /proc said of each descriptor at the instant, understood afterwards.
#ifndef PSS_COLLECT_HANDLES_H
#define PSS_COLLECT_HANDLES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "collect.h"
#include "procfs_fds.h"

struct pss_collect_handles_options {
	bool with_names;
	bool with_values;             /**< states of processes and threads */
	uint64_t instant_realtime_ns; /**< when all was read, or 0: each has its own time */
	/**
	 * statx(2) of @path under context->space_fd, by somebody who can be given up: a file of a
	 * server far away may keep whoever looks at it forever. NULL: it is done here.
	 */
	int (*look)(void *context, const char *path, unsigned mask, struct statx *ret);
	void *look_context;
};

/**
 * One record for each descriptor in @list, a list of procfs_fds.h. context->space_fd is the folder
 * that it was read from: what can't change is asked there now, of those that are still what they
 * were. 0, -ENOMEM.
 */
int pss_collect_handles(const struct pss_collect *context, const struct pss_buf *list,
			const struct pss_collect_handles_options *options);

/** statx(2) that spares servers far away where it can. 0 or -errno. */
int pss_collect_handles_look(int dir_fd, const char *path, unsigned mask, struct statx *ret);

/** Whether the kernel would have to be asked for the names of sockets in @list. */
bool pss_collect_handles_has_sockets(const struct pss_buf *list);

/**
 * Names the sockets among the handle records. @diag_fd is a socket of NETLINK_SOCK_DIAG in the
 * network namespace of the target. What the kernel does not list there keeps its plain name.
 * 0, -ENOMEM.
 */
int pss_collect_handles_name_sockets(const struct pss_collect *context, int diag_fd);

#endif
