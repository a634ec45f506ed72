// SPDX-License-Identifier: LGPL-2.1-or-later
// PssxExamine: the doctor's checks of a live process.
#include "api.h"

#include <stdio.h>
#include <string.h>

#include <procsnap.h>

#include "capture_target.h"
#include "doctor.h"

static const PSSX_SEVERITY severities[] = {
	[PSS_DOCTOR_OK] = PSSX_SEVERITY_OK,
	[PSS_DOCTOR_UNKNOWN] = PSSX_SEVERITY_UNKNOWN,
	[PSS_DOCTOR_WARNING] = PSSX_SEVERITY_WARNING,
	[PSS_DOCTOR_PROBLEM] = PSSX_SEVERITY_PROBLEM,
};

_Static_assert(sizeof((PSSX_FINDING){ 0 }.Text) >= PSS_DOCTOR_TEXT_SIZE, "texts fit");
_Static_assert(sizeof((PSSX_FINDING){ 0 }.Cure) >= PSS_DOCTOR_TEXT_SIZE, "cures fit");

static void copy_out(const struct pss_doctor_finding *from, PSSX_FINDING *to)
{
	*to = (PSSX_FINDING){ .Size = to->Size, .Severity = severities[from->severity] };
	(void)snprintf(to->Id, sizeof to->Id, "%s", from->id);
	memcpy(to->Text, from->text, sizeof from->text);
	memcpy(to->Cure, from->cure, sizeof from->cure);
}

static int examine(HANDLE handle, DWORD index, struct pss_diag *diag, PSSX_FINDING *finding)
{
	_cleanup_target_ struct pss_target target = PSS_TARGET_EMPTY;
	_cleanup_doctor_ struct pss_doctor doctor = PSS_DOCTOR_EMPTY;
	struct pss_doctor_finding found;
	pid_t pid;
	int pidfd;
	int r = pss_api_process(handle, &pid, &pidfd);

	if (r < 0)
		return pss_api_process_fail(diag, r, "cannot examine", handle);
	if (!finding)
		return -EINVAL;
	if (finding->Size != sizeof *finding)
		return -EMSGSIZE;
	r = pss_target_open(pidfd, diag, &target);
	if (r == 0)
		r = pss_doctor_open(target.pid, target.proc_fd, target.space_fd, &doctor);
	if (r == 0)
		r = pss_doctor_examine(&doctor, index, &found);
	if (r == 0)
		copy_out(&found, finding);
	return r;
}

DWORD WINAPI PssxExamine(HANDLE Process, DWORD Index, PSSX_FINDING *Finding)
{
	PSS_API_SCOPE;
	struct pss_diag diag = { 0 };
	int r = examine(Process, Index, &diag, Finding);

	return pss_api_result(&diag, "cannot examine the process", r);
}
