/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* What every program needs: contexts of hooks, and strings from user memory. */
#ifndef ETRACEE_PROGRAM_H
#define ETRACEE_PROGRAM_H

#include <linux/types.h>
#include "values.h"

/*
 * By number, and by names that BCC does not know (include/uapi/linux/bpf.h): it rewrites calls of
 * the helpers' own names, and for each it looks through the symbols of the whole kernel, which takes
 * longer than all the rest of the compilation.
 */
static long (*read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*read_user_string)(void *to, u32 size, const void *from) = (void *)114;
static long (*read_kernel_text)(void *to, u32 size, const void *from) = (void *)115;

/*
 * Which program since the monitor began: a reload puts another in its place. It stands in every
 * record, since those of both may lie in the ring.
 */
#ifndef GENERATION
#define GENERATION 0
#endif

static long (*send_signal)(u32 number) = (void *)109;
static u64 (*time_since_boot)(void) = (void *)125; /* in ns, time asleep included */

/*
 * Read a string, and return its bytes with the NUL. Before Linux 6.16 the kernel puts the NUL of an
 * empty one, but says 0: "maccess: fix strncpy_from_user_nofault() empty string handling".
 */
static __always_inline s64 read_user_text(void *to, u32 size, const void *from)
{
    s64 result = read_user_string(to, size, from);

    return result + is_zero(result);
}

/* The formats of syscalls:sys_enter_* and sys_exit_*: events/syscalls/.../format in tracefs. */
struct call_entry {
    u64 common;
    s64 number;
    u64 arguments[6];
};

struct call_exit {
    u64 common;
    s64 number;
    s64 ret;
};

/*
 * Strings are read two bytes beyond the limit: a result that fills the buffer would not tell a
 * string of just that length from a longer one. Each returns the bytes it has put at `to`.
 */
static __always_inline u32 fill_slot(u16 *slot, s64 result, u32 limit)
{
    if (result < 0) {
        *slot = UNREADABLE;
        return 0;
    }
    if (result > limit + 1) {
        *slot = limit | CUT;
        return limit;
    }
    *slot = result - 1;
    return result - 1;
}

static __always_inline u32 read_string(char *to, u64 from, u16 *slot, u32 limit)
{
    u32 length = fill_slot(slot, read_user_text(to, limit + 2, (const void *)from), limit);

    return FORGOTTEN(length, from);
}

static __always_inline u32 read_kernel_string(char *to, const void *from, u16 *slot, u32 limit)
{
    return fill_slot(slot, read_kernel_text(to, limit + 2, from), limit);
}

/*
 * A vector of strings, each with its NUL; the one that is cut has none. `limit` counts bytes, and
 * more than 256 strings are cut too, to bound the loop. A missing vector is an empty one: execve(2).
 */
static __always_inline u32 read_vector(char *to, u64 vector, u16 *slot, u32 limit, u32 mask, u32 width)
{
    u32 used = 0;

    for (int i = 0; vector && i < 256; i++) {
        u64 from = 0;
        u32 room = limit - used;

        if (read_user(&from, width, (const void *)(vector + i * width))) {
            *slot = UNREADABLE;
            return 0;
        }
        if (!from) {
            *slot = used;
            return used;
        }
        s64 result = read_user_text(BOUNDED(to, used, mask), BOUND(room, mask) + 1, (const void *)from);
        if (result < 0) {
            *slot = UNREADABLE;
            return 0;
        }
        if (result > room) {
            *slot = limit | CUT;
            return limit;
        }
        used = BOUND(used + result, mask);
    }
    *slot = vector ? used | CUT : 0;
    return used;
}

static __always_inline u32 read_strings(char *to, u64 vector, u16 *slot, u32 limit, u32 mask)
{
    return read_vector(to, vector, slot, limit, mask, 8);
}

/* Of a 32-bit program, whose pointers have four bytes. */
static __always_inline u32 read_abi_strings(char *to, u64 vector, u16 *slot, u32 limit, u32 mask)
{
    return read_vector(to, vector, slot, limit, mask, 4);
}

/* An id of 16 bits, of which -1 stays what it is: low2highuid() of include/linux/highuid.h. */
static __always_inline u64 abi_id(u16 id)
{
    return id == 0xffff ? -1 : id;
}

/* The result of a 32-bit call, which the tracepoint has with its sign, although it may be an address. */
static __always_inline s64 abi_result(s64 result)
{
    s32 low = result;

    return low < 0 && low >= -4095 ? low : (s64)(u32)low;
}

/* The strings of a new image lie one behind the other between two addresses: mm->arg_start, arg_end. */
static __always_inline u32 read_image_strings(char *to, u64 start, u64 end, u16 *slot, u32 limit, u32 mask)
{
    u64 length = end - start;
    u32 size = length > limit ? limit : length;

    if (read_user(to, BOUND(size, mask), (const void *)start)) {
        *slot = UNREADABLE;
        return 0;
    }
    *slot = length > limit ? size | CUT : size;
    return size;
}

/* A number in user memory; 0 where it cannot be read. */
#define USER(type, address)                                                  \
    ({                                                                       \
        type user_ = 0;                                                      \
        read_user(&user_, sizeof(user_), (const void *)(address));           \
        user_;                                                               \
    })

/* Where the call leaves what only success brings. */
#define RETURNED(ret, address) ((ret) < 0 ? 0 : (address))

/* Lengths: the kernel takes no negative ones; `count` entries of `unit` bytes, of which 4096 are plenty. */
#define POSITIVE(length) ((s32)(length) < 0 ? 0 : (u64)(s32)(length))
#define UP_TO(length, most) ((u64)(length) > (most) ? (most) : (u64)(length))
#define TIMES(count, unit) (UP_TO(count, 4096) * (unit))

/* `length` bytes of user memory, of which `limit` are kept; nothing lies at 0, whatever its length. */
static __always_inline u32 read_bytes(char *to, u64 from, u64 length, u16 *slot, u32 limit, u32 mask)
{
    u32 size = length > limit ? limit : length;

    if (!from || read_user(to, BOUND(size, mask), (const void *)from)) {
        *slot = UNREADABLE;
        return 0;
    }
    *slot = length > limit ? size | CUT : size;
    return size;
}

/*
 * The same of a 32-bit program, whose longs and pointers have half the bytes: each becomes 8, the last
 * first, since they lie where they are read to. `length` and `limit` count the bytes that they become.
 */
static __always_inline u32 read_abi_longs(char *to, u64 from, u64 length, u16 *slot, u32 limit, u32 mask, u32 is_signed)
{
    u32 size = length > limit ? limit : length;

    if (!from || read_user(to, BOUND(size / 2, mask), (const void *)from)) {
        *slot = UNREADABLE;
        return 0;
    }
    for (int i = limit / 8 - 1; i >= 0; i--) {
        u32 word = *(const volatile u32 *)(to + 4 * i);

        *(volatile u64 *)(to + 8 * i) = is_signed ? (s64)(s32)word : word;
    }
    *slot = length > limit ? size | CUT : size;
    return size;
}

static __always_inline u32 read_abi_words(char *to, u64 from, u64 length, u16 *slot, u32 limit, u32 mask)
{
    return read_abi_longs(to, from, length, slot, limit, mask, 0);
}

static __always_inline u32 read_abi_signed_words(char *to, u64 from, u64 length, u16 *slot, u32 limit, u32 mask)
{
    return read_abi_longs(to, from, length, slot, limit, mask, 1);
}

/* The first call that has times of 64 bits in 32-bit programs: arch/x86/entry/syscalls/syscall_32.tbl. */
#define CLOCK_GETTIME64 403

static __always_inline u32 read_abi_times(char *to, u64 from, u64 length, u16 *slot, u32 limit, u32 mask, u32 number)
{
    if (number >= CLOCK_GETTIME64)
        return read_bytes(to, from, length, slot, limit, mask);
    return read_abi_longs(to, from, length, slot, limit, mask, 1);
}

/* The same where a long alone stands before the rest, as in struct cmsghdr; `length` is the 32-bit program's. */
static __always_inline u32 read_abi_headed(char *to, u64 from, u64 length, u16 *slot, u32 limit, u32 mask)
{
    u32 size = length < 4 ? 0 : length + 4 > limit ? limit : length + 4;

    if (!from || (size && read_user(to + 4, BOUND(size - 4, mask), (const void *)from))) {
        *slot = UNREADABLE;
        return 0;
    }
    *(volatile u64 *)to = *(const volatile u32 *)(to + 4);
    *slot = size;
    return size;
}

/* The same, of the kernel's own copy. */
static __always_inline u32 read_kernel_bytes(char *to, u64 from, u64 length, u16 *slot, u32 limit, u32 mask)
{
    u32 size = length > limit ? limit : length;

    if (read_kernel(to, BOUND(size, mask), (const void *)from)) {
        *slot = UNREADABLE;
        return 0;
    }
    *slot = length > limit ? size | CUT : size;
    return size;
}

/*
 * read_bytes of what the call has left, which the caller may have had less room for than accept(2) says
 * that the address is long: where the memory ends before it, what lies before the end of the page.
 */
static __always_inline u32 read_returned_bytes(char *to, u64 from, u64 length, u16 *slot, u32 limit, u32 mask)
{
    u32 size = read_bytes(to, from, length, slot, limit, mask), rest = 4096 - (from & 4095);

    if (*slot != UNREADABLE || !from || rest > limit || rest >= length) {
        return size;
    }
    if (read_user(to, BOUND(rest, mask), (const void *)from)) {
        return 0;
    }
    *slot = rest | CUT;
    return rest;
}

#endif
