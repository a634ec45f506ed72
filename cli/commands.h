// SPDX-License-Identifier: LGPL-2.1-or-later
// The commands that main.c dispatches to.
#ifndef PSS_CLI_COMMANDS_H
#define PSS_CLI_COMMANDS_H

#include "options.h"

extern const struct pss_command pss_cmd_doctor;
extern const struct pss_command pss_cmd_dump;
extern const struct pss_command pss_cmd_show;

#endif
