// SPDX-License-Identifier: LGPL-2.1-or-later
// The ELF headers of an object that a hostile process has mapped: any bytes, in a bounded time.
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "collect_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is_true)
{
	if (!is_true)
		__builtin_trap();
}

static void check_image(int r, const struct pss_image *image)
{
	must(r == 0 || r == -ENOEXEC || r == -EFAULT);
	if (r < 0)
		return;
	must(image->low <= image->high);
	must(image->build_id_size <= sizeof image->build_id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("image", MFD_CLOEXEC);
	struct pss_image image;

	must(fd >= 0);
	must(pwrite(fd, data, size, 0) == (ssize_t)size);
	// The file's start stands for address 0 of a process' memory.
	check_image(pss_collect_image_read_file(fd, &image), &image);
	int r = pss_collect_image_read(fd, 0, &image);
	check_image(r, &image);
	if (r == 0)
		(void)pss_collect_image_debug(fd, &image);
	r = pss_collect_image_read_headers(fd, 64, UINT64_MAX, size % 2, &image);
	check_image(r, &image);
	if (r == 0)
		(void)pss_collect_image_debug(fd, &image);
	return 0;
}
