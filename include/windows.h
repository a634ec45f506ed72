/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lets unchanged Windows sources say #include <windows.h>. Holds nothing of its own; what there is
 * of Win32 is in win32.h.
 */
#ifndef PSS_WINDOWS_H
#define PSS_WINDOWS_H

#include "win32.h"

#endif /* PSS_WINDOWS_H */
