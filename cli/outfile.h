// SPDX-License-Identifier: LGPL-2.1-or-later
// A file that appears whole or not at all, readable by its owner only, never in place of another.
#ifndef PSS_CLI_OUTFILE_H
#define PSS_CLI_OUTFILE_H

#include <errno.h>
#include <limits.h>
#include <stdbool.h>

struct pss_outfile {
	int fd;
	int directory_fd;
	const char *path;             /**< borrowed; as the user gave it */
	const char *name;             /**< its last part; NULL: standard output */
	char temporary[NAME_MAX + 1]; /**< empty if the file has no name yet */
};

#define PSS_OUTFILE_EMPTY ((struct pss_outfile){ .fd = -EBADF, .directory_fd = -EBADF })

/**
 * Starts a file that will be called @path. Fails if there is something of that name or none can be
 * made there. Without O_TMPFILE the bytes go to a file with a random name beginning with a dot.
 * @path must outlive @ret. Returns an exit status.
 */
int pss_outfile_create(const char *path, struct pss_outfile *ret);

/** Standard output instead, which must not be a terminal. Returns an exit status. */
int pss_outfile_use_stdout(struct pss_outfile *ret);

static inline bool pss_outfile_is_stdout(const struct pss_outfile *file)
{
	return file->fd >= 0 && !file->name;
}

/** Gives the file its name. Returns an exit status. */
int pss_outfile_commit(struct pss_outfile *file);

/** Closes the file, and removes it if it was not committed. */
void pss_outfile_close(struct pss_outfile *file);

#endif
