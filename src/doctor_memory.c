// SPDX-License-Identifier: LGPL-2.1-or-later
// What the target's memory is like: its program, what watches it, what a copy of it may cost.
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arch.h"
#include "doctor_check.h"
#include "guard.h"
#include "inject.h"
#include "procfs_text.h"
#include "section_format.h"

enum { KIB = 1024, MIB_SHIFT = 20 };

static uint64_t mib(uint64_t bytes)
{
	return (bytes + (UINT64_C(1) << MIB_SHIFT) - 1) >> MIB_SHIFT;
}

static void need_rights(struct pss_doctor_finding *finding, const char *what)
{
	pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN,
		       "%s can't be seen without the right to trace it", what);
}

void pss_doctor_machine(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	unsigned char ident[EI_NIDENT];
	_cleanup_close_ int fd = openat(doctor->space_fd, "exe", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || pread(fd, ident, sizeof ident, 0) != sizeof ident) {
		need_rights(finding, "its program");
		return;
	}
	if (memcmp(ident, ELFMAG, SELFMAG) == 0 && ident[EI_CLASS] == ELFCLASS32) {
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
			       "it is a 32-bit program, and such can't be cloned");
		pss_doctor_cure(finding,
				"gcore writes a core of it, for which it is stopped all the while");
		return;
	}
	pss_doctor_say(finding, PSS_DOCTOR_OK, "it is a 64-bit program");
}

void pss_doctor_code(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	struct pss_inject_site site;
	struct pss_diag diag = { 0 };
	_cleanup_close_ int fd = openat(doctor->space_fd, "mem", O_RDONLY | O_CLOEXEC);

	if (fd < 0) {
		need_rights(finding, "its code");
		return;
	}
	int r = pss_inject_survey(doctor->space_fd, fd, pss_arch_native(), &diag, &site);
	if (r == 0) {
		pss_doctor_say(finding, PSS_DOCTOR_OK,
			       "its code has the instructions to make a clone with");
		return;
	}
	if (r == -EOPNOTSUPP) {
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
			       "it has unmapped its [stack], and nowhere else is a place for the "
			       "frames that lead its threads home");
		return;
	}
	if (r != -ENOENT) {
		need_rights(finding, "its code");
		return;
	}
	pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
		       "its code has no instructions to make a clone with, as a C library has");
}

// The line "API: aa:<features>:..." of a userfaultfd's fdinfo, numbers in hexadecimal.
static bool tells_of_forks(const struct pss_buf *text)
{
	enum { EVENT_FORK = 1 << 1 };
	uint64_t features = 0;

	return pss_doctor_line_number(text, "API:\taa:", 16, &features) && (features & EVENT_FORK);
}

static bool is_fork_monitor(int proc_fd, int fd, struct pss_buf *text)
{
	static const char link[] = "anon_inode:[userfaultfd]";
	char path[32];

	(void)snprintf(path, sizeof path, "fd/%d", fd);
	if (pss_procfs_read_link(proc_fd, path, text) < 0 || text->size != sizeof link - 1 ||
	    memcmp(text->data, link, text->size) != 0)
		return false;
	(void)snprintf(path, sizeof path, "fdinfo/%d", fd);
	return pss_procfs_read(proc_fd, path, text) == 0 && tells_of_forks(text);
}

void pss_doctor_userfaultfd(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	_cleanup_buf_ struct pss_buf fds = PSS_BUF_EMPTY;
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;

	if (pss_procfs_list(doctor->space_fd, "fd", &fds) < 0) {
		need_rights(finding, "whether it watches its forks");
		return;
	}
	for (size_t i = 0; i < fds.size / sizeof(int32_t); i++) {
		int32_t fd = ((const int32_t *)(const void *)fds.data)[i];

		if (!is_fork_monitor(doctor->space_fd, fd, &text))
			continue;
		pss_doctor_say(finding, PSS_DOCTOR_PROBLEM,
			       "it watches its own forks through userfaultfd %d, so that a clone "
			       "would never be made",
			       fd);
		pss_doctor_cure(finding, "let it do without UFFD_FEATURE_EVENT_FORK");
		return;
	}
	pss_doctor_say(finding, PSS_DOCTOR_OK, "it does not watch its forks");
}

static bool is_huge(const struct pss_procfs_map *map)
{
	static const char name[] = "/anon_hugepage";

	return map->path.size >= sizeof name - 1 &&
	       memcmp(map->path.data, name, sizeof name - 1) == 0;
}

// Bytes of private memory that it may write, all or in huge pages alone.
static int private_size(const struct pss_doctor *doctor, bool of_huge_pages, uint64_t *ret)
{
	_cleanup_buf_ struct pss_buf buf = PSS_BUF_EMPTY;
	_cleanup_maps_ struct pss_procfs_maps maps = PSS_PROCFS_MAPS_EMPTY;
	struct pss_procfs_map map;
	uint64_t size = 0;
	int r = pss_procfs_maps_open(doctor->space_fd, "maps", &buf, &maps);

	while (r == 0 && (r = pss_procfs_maps_next(&maps, &map)) == 0)
		if (!map.is_shared && (map.protection & PSS_REGION_WRITE) &&
		    is_huge(&map) == of_huge_pages)
			size += map.end - map.start;
	if (r != -ENODATA)
		return r;
	*ret = size;
	return 0;
}

static bool read_meminfo(const struct pss_doctor *doctor, const char *first, uint64_t *first_ret,
			 const char *second, uint64_t *second_ret)
{
	_cleanup_buf_ struct pss_buf text = PSS_BUF_EMPTY;

	return pss_procfs_read(doctor->root_fd, "meminfo", &text) == 0 &&
	       pss_doctor_line_number(&text, first, 10, first_ret) &&
	       pss_doctor_line_number(&text, second, 10, second_ret);
}

void pss_doctor_overcommit(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	uint64_t mode, limit, committed, size = 0;

	if (!pss_doctor_number(doctor->root_fd, "sys/vm/overcommit_memory", &mode)) {
		pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN, "vm.overcommit_memory can't be read");
		return;
	}
	if (mode != 2) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "vm.overcommit_memory is %u",
			       (unsigned)mode);
		return;
	}
	if (private_size(doctor, false, &size) < 0) {
		need_rights(finding, "how much memory a clone commits");
		return;
	}
	if (!read_meminfo(doctor, "CommitLimit:", &limit, "Committed_AS:", &committed)) {
		pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN, "/proc/meminfo has no CommitLimit");
		return;
	}
	uint64_t room = limit > committed ? (limit - committed) * KIB : 0;
	// As long as the clone lives, the target has to do with what is left.
	uint64_t reserve = pss_guard_reserve(size, doctor->memory_reserve);
	bool is_enough = size + reserve <= room;

	pss_doctor_say(finding, is_enough ? PSS_DOCTOR_OK : PSS_DOCTOR_PROBLEM,
		       "vm.overcommit_memory is 2: a clone commits %" PRIu64 " MiB, %" PRIu64
		       " MiB are to be left for it, and there are %" PRIu64 " MiB",
		       mib(size), mib(reserve), mib(room));
	if (!is_enough)
		pss_doctor_cure(finding, "sysctl vm.overcommit_memory=0, or a higher "
					 "vm.overcommit_ratio, or more swap");
}

void pss_doctor_pinned(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	struct pss_procfs_status status;

	if (pss_doctor_status(doctor->space_fd, &status) < 0) {
		pss_doctor_say(finding, PSS_DOCTOR_UNKNOWN, "its status can't be read");
		return;
	}
	if (!status.vm_pin) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "no memory is pinned for devices");
		return;
	}
	pss_doctor_say(finding, PSS_DOCTOR_WARNING,
		       "%" PRIu64 " MiB are pinned for devices: they are copied while it is held",
		       mib(status.vm_pin));
}

void pss_doctor_huge_pages(const struct pss_doctor *doctor, struct pss_doctor_finding *finding)
{
	uint64_t available, page_size, size = 0;

	if (private_size(doctor, true, &size) < 0) {
		need_rights(finding, "whether it has huge pages");
		return;
	}
	if (size == 0) {
		pss_doctor_say(finding, PSS_DOCTOR_OK, "it has no private huge pages");
		return;
	}
	if (!read_meminfo(doctor, "HugePages_Free:", &available, "Hugepagesize:", &page_size))
		available = page_size = 0;
	uint64_t room = available * page_size * KIB;
	bool is_enough = size <= room;

	pss_doctor_say(finding, is_enough ? PSS_DOCTOR_OK : PSS_DOCTOR_WARNING,
		       "it has %" PRIu64 " MiB of private huge pages, and %" PRIu64
		       " MiB of them are free%s",
		       mib(size), mib(room), is_enough ? "" : ": the clone may lose such pages");
	if (!is_enough)
		pss_doctor_cure(finding, "sysctl vm.nr_overcommit_hugepages=%" PRIu64,
				page_size ? (size - room) / (page_size * KIB) + 1 : size);
}
