/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* BCC wants a version; nothing of ours depends on it. */
#define KERNEL_VERSION(major, minor, patch) (((major) << 16) + ((minor) << 8) + (patch))
#define LINUX_VERSION_CODE KERNEL_VERSION(5, 8, 0)
