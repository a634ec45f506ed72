// SPDX-License-Identifier: LGPL-2.1-or-later
// The file a dump goes to. The directory may be writable by everybody: names are never followed,
// and what is linked into place is what was written.
#include "outfile.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "message.h"
#include "text.h"

enum { TEMPORARY_TRIES = 16 };

static const char exists_advice[] = "%s exists; choose another name with -o or remove it";

static int open_directory(const char *path, const char *name, int *ret)
{
	_cleanup_text_ char *directory =
		name == path ? pss_text_copy(".")
			     : pss_text_format("%.*s", (int)(name - path), path);
	int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return pss_message_fail("cannot open directory %s: %s", directory, strerror(errno));
	*ret = fd;
	return PSS_STATUS_DONE;
}

static int open_named(struct pss_outfile *file)
{
	for (int i = 0; i < TEMPORARY_TRIES; i++) {
		unsigned long long number = 0;

		// Nobody shall be there before us; that the name is hard to guess saves tries.
		if (getrandom(&number, sizeof(number), 0) != sizeof(number))
			return -errno;
		(void)snprintf(file->temporary, sizeof(file->temporary), ".procsnap.%016llx",
			       number);
		file->fd = openat(file->directory_fd, file->temporary,
				  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (file->fd >= 0)
			return 0;
		file->temporary[0] = '\0';
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int open_temporary(struct pss_outfile *file)
{
	file->fd = openat(file->directory_fd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (file->fd >= 0)
		return 0;
	// EISDIR and ENOENT: what kernels and file systems that do not know O_TMPFILE make of it.
	if (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT || errno == EINVAL)
		return open_named(file);
	return -errno;
}

int pss_outfile_create(const char *path, struct pss_outfile *ret)
{
	__attribute__((cleanup(pss_outfile_close))) struct pss_outfile file = PSS_OUTFILE_EMPTY;
	const char *slash = strrchr(path, '/');
	struct stat status;

	file.path = path;
	file.name = slash ? slash + 1 : path;
	if (*file.name == '\0')
		return pss_message_usage("'%s' does not name a file", path);

	int result = open_directory(path, file.name, &file.directory_fd);

	if (result != PSS_STATUS_DONE)
		return result;
	if (fstatat(file.directory_fd, file.name, &status, AT_SYMLINK_NOFOLLOW) == 0)
		return pss_message_fail(exists_advice, path);
	if (errno != ENOENT)
		return pss_message_fail("cannot create %s: %s", path, strerror(errno));

	result = open_temporary(&file);
	if (result < 0)
		return pss_message_fail("cannot create %s: %s", path, strerror(-result));
	*ret = file;
	file = PSS_OUTFILE_EMPTY;
	return PSS_STATUS_DONE;
}

int pss_outfile_use_stdout(struct pss_outfile *ret)
{
	if (isatty(STDOUT_FILENO))
		return pss_message_usage("a core is nothing for a terminal; "
					 "redirect standard output or name a file with -o");
	*ret = (struct pss_outfile){
		.fd = STDOUT_FILENO,
		.directory_fd = -EBADF,
		.path = "standard output",
	};
	return PSS_STATUS_DONE;
}

// The nameless file gets a name, unless that is taken.
static int link_nameless(const struct pss_outfile *file)
{
	char link[64];

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", file->fd);
	if (linkat(AT_FDCWD, link, file->directory_fd, file->name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return 0;
}

static int rename_temporary(struct pss_outfile *file)
{
	struct stat ours, theirs;

	// Where others may rename what is ours, another file may bear the name by now.
	if (fstat(file->fd, &ours) < 0 ||
	    fstatat(file->directory_fd, file->temporary, &theirs, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
		return -ESTALE;
	if (renameat2(file->directory_fd, file->temporary, file->directory_fd, file->name,
		      RENAME_NOREPLACE) == 0) {
		file->temporary[0] = '\0';
		return 0;
	}
	if (errno != EINVAL)
		return -errno;
	// A file system without that flag, such as NFS. The temporary name goes when we close.
	if (linkat(file->directory_fd, file->temporary, file->directory_fd, file->name, 0) < 0)
		return -errno;
	return 0;
}

int pss_outfile_commit(struct pss_outfile *file)
{
	if (!file->name)
		return PSS_STATUS_DONE;

	// Network file systems tell of lost writes when a descriptor is closed.
	int copy = fcntl(file->fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0 || close(copy) < 0)
		return pss_message_fail("cannot write %s: %s", file->path, strerror(errno));

	int result = file->temporary[0] == '\0' ? link_nameless(file) : rename_temporary(file);

	if (result == -EEXIST)
		return pss_message_fail(exists_advice, file->path);
	if (result < 0)
		return pss_message_fail("cannot give %s its name: %s", file->path,
					strerror(-result));
	return PSS_STATUS_DONE;
}

void pss_outfile_close(struct pss_outfile *file)
{
	if (file->temporary[0] != '\0')
		(void)unlinkat(file->directory_fd, file->temporary, 0);
	if (file->name && file->fd >= 0)
		(void)close(file->fd);
	if (file->directory_fd >= 0)
		(void)close(file->directory_fd);
	*file = PSS_OUTFILE_EMPTY;
}
