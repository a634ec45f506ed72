// SPDX-License-Identifier: LGPL-2.1-or-later
// The companions of an export; see api_export.h.
#include "api_export.h"

#include <errno.h>

#include "capture_target.h"

void pss_api_export_deinit(struct pss_api_export *export)
{
	pss_drain_end(&export->drain);
	pss_guard_end_ptr(&export->guard);
}

int pss_api_export_written(void *context, uint32_t region, uint64_t start, uint64_t end)
{
	struct pss_api_export *export = context;

	if (pss_guard_has_given_up(export->guard))
		return -EDQUOT;
	pss_drain_add(&export->drain, region, start, end);
	return 0;
}

int pss_api_export_watch(struct pss_api_export *export, const struct pss_section *section,
			 uint64_t reserve, struct pss_diag *diag)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	const struct pss_process_record *process = pss_section_process(section);
	const struct pss_clone_record *clone = pss_section_clone(section);

	if (pss_target_open_pid(process->pid, process->start_ticks, &target) < 0)
		return 0;
	int r = pss_guard_begin(target.space_fd, reserve, diag, &export->guard);
	if (r < 0)
		return pss_fail(diag, r, "cannot watch over the memory of process %d", target.pid);
	pss_guard_set_clone(export->guard, clone->pid, clone->start_ticks);
	return 0;
}

int pss_api_export_finish(struct pss_api_export *export, const struct pss_section *section,
			  int error, struct pss_diag *diag)
{
	pss_drain_end(&export->drain);
	int r = pss_guard_end(export->guard, pss_section_process(section)->pid, error, diag);

	export->guard = NULL;
	return r;
}
