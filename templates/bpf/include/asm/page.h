/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* BCC includes it for the size of a ring buffer's page, which is the smallest there is. */
#define PAGE_SIZE 4096
