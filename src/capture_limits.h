// SPDX-License-Identifier: LGPL-2.1-or-later
// The limits that the caller has set to protect the process: how long it may be held, and how many
// clones it may have. For capture.c alone.
#ifndef PSS_CAPTURE_LIMITS_H
#define PSS_CAPTURE_LIMITS_H

#include "capture_describe.h"

/**
 * Forecasts for how long the process will be held, into the figures. Nothing has been touched yet.
 * -ETIME if that is longer than allowed.
 */
int pss_limits_forecast(struct capture *capture);

/** To be asked when all stand: -ETIME if there is not time enough left to make the clone. */
int pss_limits_check_time(struct capture *capture);

/** Finds the clones that the process has. -EDQUOT if there may not be one more. */
int pss_limits_check_clones(struct capture *capture);

/**
 * To be asked when the clone is made and the process runs again: another capturer may have looked
 * at the same moment, and made one too. Of too many the latest give way: -EDQUOT.
 */
int pss_limits_check_rank(struct capture *capture);

#endif
