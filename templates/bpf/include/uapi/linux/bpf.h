/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* BCC brings its own copy of the real one, which needs only the types. */
#include <linux/types.h>
