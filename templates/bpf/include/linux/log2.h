/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* BCC includes it; nothing in it is needed. */
