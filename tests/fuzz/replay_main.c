// SPDX-License-Identifier: LGPL-2.1-or-later
// Gives a fuzz harness a plain main: each file of the folders named is one input. A corpus that
// is not there or is empty fails, so a renamed folder cannot pass unseen.
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// The bytes are in a heap block of just their size, so that a sanitizer sees the first byte past.
static int replay_file(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0) {
		perror(name);
		return -1;
	}

	size_t size = (size_t)st.st_size;
	uint8_t *data = malloc(size ? size : 1);
	ssize_t got = data ? read(fd, data, size) : -1;

	close(fd);
	if (got != st.st_size) {
		perror(name);
		free(data);
		return -1;
	}
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

// The number of inputs replayed, or -1.
static int replay_folder(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir) {
		perror(path);
		return -1;
	}
	for (struct dirent *entry; (entry = readdir(dir));) {
		if (entry->d_name[0] == '.')
			continue;
		if (replay_file(dirfd(dir), entry->d_name) != 0) {
			count = -1;
			break;
		}
		count++;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int count = replay_folder(argv[i]);

		if (count <= 0) {
			fprintf(stderr, "%s: no input replayed\n", argv[i]);
			return 1;
		}
		printf("%s: %d inputs\n", argv[i], count);
	}
	return argc > 1 ? 0 : 1;
}
