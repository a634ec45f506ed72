// SPDX-License-Identifier: LGPL-2.1-or-later
// The answers of locate.h. Where records come from is the section's and the collector's business;
// what is free, and up to where, is decided here.
#include "locate.h"

#include <errno.h>
#include <unistd.h>

#include "arch.h"
#include "base/checked.h"
#include "capture_target.h"
#include "collect.h"

// The kernel's half of the addresses. Mappings there ([vsyscall]) bound no free range.
#define KERNEL_HALF (UINT64_C(1) << 63)

static uint64_t page_of(uint64_t address)
{
	return pss_align_down(address, (uint64_t)sysconf(_SC_PAGESIZE));
}

static int place_region(const struct pss_region_record *region, uint64_t address,
			struct pss_locate_place *ret)
{
	*ret = (struct pss_locate_place){
		.is_mapped = true,
		.start = page_of(address),
		.end = region->end,
		.region = *region,
	};
	return 0;
}

// @next is where something is mapped again, above the address.
static int place_free(uint64_t next, uint64_t address, struct pss_locate_place *ret)
{
	if (next >= KERNEL_HALF)
		next = pss_arch_native()->user_end;
	if (address >= next)
		return -EINVAL;
	*ret = (struct pss_locate_place){ .start = page_of(address), .end = next };
	return 0;
}

int pss_locate_in_section(const struct pss_section *section, uint64_t address,
			  struct pss_locate_place *ret)
{
	uint32_t count = pss_section_regions_up_to(section, address);
	const struct pss_region_record *region = pss_section_region_at(section, address);
	const struct pss_region_record *next = pss_section_region(section, count);

	if (region)
		return place_region(region, address, ret);
	return place_free(next ? next->start : UINT64_MAX, address, ret);
}

int pss_locate_in_process(int pidfd, uint64_t address, struct pss_diag *diag,
			  struct pss_locate_place *ret)
{
	_cleanup_section_builder_ struct pss_section_builder builder = PSS_SECTION_BUILDER_EMPTY;
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	_cleanup_buf_ struct pss_buf scratch = PSS_BUF_EMPTY;
	struct pss_collect_place place;
	int r = pss_target_open(pidfd, diag, &target);

	if (r < 0)
		return r == -ESRCH ? -EACCES : r;
	const struct pss_collect context = {
		.pid = target.pid,
		.proc_fd = target.proc_fd,
		.space_fd = target.space_fd,
		.caller_tid = target.caller_tid,
		.section = &builder,
		.scratch = &scratch,
		.diag = diag,
	};
	r = pss_collect_vaspace_at(&context, address, &place);
	if (r == -ESRCH) {
		(void)pss_fail(diag, r,
			       "process %d has no address space: it has ended, or is the kernel's",
			       target.pid);
		return -EACCES;
	}
	if (r < 0) {
		(void)pss_fail(diag, r, "cannot read the mappings of process %d", target.pid);
		if (r == -EACCES || r == -EPERM)
			(void)pss_target_explain(&target, PSS_DOCTOR_DENIED, diag);
		return r;
	}
	if (place.is_mapped)
		return place_region(&place.region, address, ret);
	return place_free(place.next, address, ret);
}
