// SPDX-License-Identifier: LGPL-2.1-or-later
// The layout test once more, as C++11.
#include "test_layout.c"
