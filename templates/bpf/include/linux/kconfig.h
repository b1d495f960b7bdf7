/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Stands in for the kernel's configuration, of which BCC asks this only. */
#define CONFIG_BPF_SYSCALL 1
