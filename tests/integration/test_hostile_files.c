// SPDX-License-Identifier: LGPL-2.1-or-later
// Descriptors that are no sections, or might not stay what they are: every function refuses them,
// and leaves them open.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness.h"
#include "section.h"

enum { SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static int real; // a section that is as it should be

static int capture(void **state)
{
	HPSS snapshot = NULL;

	(void)state;
	assert_success(PssCaptureSnapshot(
		GetCurrentProcess(), PSS_CAPTURE_THREADS | PSS_CAPTURE_VA_SPACE, 0, &snapshot));
	real = (int)(intptr_t)snapshot;
	return 0;
}

static int release(void **state)
{
	(void)state;
	harness_free_snapshot((HPSS)(intptr_t)real);
	return 0;
}

static int open_memfd(unsigned seals, off_t size)
{
	int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct stat st;

	assert_true(fd > 2);
	assert_int_equal(fstat(real, &st), 0);
	for (off_t at = 0; at < st.st_size;) {
		char bytes[4096];
		ssize_t got = pread(real, bytes, sizeof(bytes), at);

		assert_true(got > 0 && pwrite(fd, bytes, (size_t)got, at) == got);
		at += got;
	}
	if (size)
		assert_int_equal(ftruncate(fd, size), 0);
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void refuse(int fd)
{
	PSS_PROCESS_INFORMATION information;
	HPSS snapshot = (HPSS)(intptr_t)fd, copy = NULL;
	uint64_t word;

	assert_true(fd > 2);
	assert_int_equal(PssQuerySnapshot(snapshot, PSS_QUERY_PROCESS_INFORMATION, &information,
					  sizeof(information)),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssFreeSnapshot(GetCurrentProcess(), snapshot), ERROR_INVALID_HANDLE);
	assert_int_equal(PssDuplicateSnapshot(GetCurrentProcess(), snapshot, GetCurrentProcess(),
					      &copy, PSS_DUPLICATE_CLOSE_SOURCE),
			 ERROR_INVALID_HANDLE);
	assert_int_equal(PssxWriteElfCore(snapshot, STDOUT_FILENO, NULL, NULL),
			 ERROR_INVALID_HANDLE);
	assert_false(ReadProcessMemory((HANDLE)snapshot, &real, &word, sizeof(word), NULL));
	assert_false(TerminateProcess((HANDLE)snapshot, 1));
	assert_int_equal(GetProcessId((HANDLE)snapshot), 0);
	assert_int_equal(fcntl(fd, F_GETFD) < 0, 0);
	close(fd);
}

static void what_can_still_change_or_is_no_section_is_an_invalid_handle(void **state)
{
	const off_t tib = (off_t)1 << 40;
	int ends[2];

	(void)state;
	refuse(open_memfd(0, 0));
	refuse(open_memfd(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0));
	refuse(open_memfd(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SEAL, 0));
	refuse(open_memfd(F_SEAL_FUTURE_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, 0));
	refuse(open_memfd(SEALS, 100));
	refuse(open_memfd(SEALS, tib));
	refuse(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	refuse(open("/", O_PATH | O_CLOEXEC));
	refuse(open("/dev/zero", O_RDWR | O_CLOEXEC));
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	refuse(ends[0]);
	refuse(ends[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	refuse(ends[0]);
	refuse(ends[1]);
}

// A terabyte of nothing, well-formed: counting its entries would fill memory.
static void a_huge_sparse_section_is_an_invalid_handle(void **state)
{
	const uint64_t size = UINT64_C(1) << 40;
	struct pss_section_header header;
	int fd = memfd_create("sparse", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	(void)state;
	assert_int_equal(pread(real, &header, sizeof(header), 0), sizeof(header));
	header.parts[PSS_PART_THREADS].offset = 1 << 20;
	header.parts[PSS_PART_THREADS].count = UINT32_MAX;
	header.parts[PSS_PART_THREADS].size =
		UINT32_MAX * (uint64_t)header.parts[PSS_PART_THREADS].record_size;
	header.total_size = size;
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, SEALS), 0);
	refuse(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_can_still_change_or_is_no_section_is_an_invalid_handle),
		cmocka_unit_test(a_huge_sparse_section_is_an_invalid_handle),
	};

	harness_begin("test_hostile_files");
	return cmocka_run_group_tests(tests, capture, release);
}
