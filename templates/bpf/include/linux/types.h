/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* The kernel's names for types, as far as BCC and our programs use them. */
#ifndef ETRACEE_TYPES_H
#define ETRACEE_TYPES_H

typedef signed char __s8, s8;
typedef unsigned char __u8, u8;
typedef short __s16, s16;
typedef unsigned short __u16, u16;
typedef int __s32, s32;
typedef unsigned int __u32, u32;
typedef long long __s64, s64;
typedef unsigned long long __u64, u64;
typedef __u64 __attribute__((aligned(8))) __aligned_u64;

typedef __u16 __le16, __be16, __sum16;
typedef __u32 __le32, __be32, __wsum;
typedef __u64 __le64, __be64;

typedef _Bool bool;
typedef int pid_t;
typedef unsigned long size_t, uintptr_t;

#ifndef NULL
#define NULL ((void *)0)
#endif
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef offsetof
#define offsetof(type, member) __builtin_offsetof(type, member)
#endif

#endif
