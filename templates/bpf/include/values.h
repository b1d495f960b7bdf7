/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Values of a record: how strings and addresses get into it, and what is read out of them. */
#ifndef ETRACEE_VALUES_H
#define ETRACEE_VALUES_H

#include <linux/types.h>

/* The length in a variable slot, see etracee/event.py. */
#define UNREADABLE 0xffff
#define CUT 0x8000
#define LENGTH(slot) ((u32)(slot) & 0x7fff)
#define BYTES(slot) ((slot) == UNREADABLE ? 0 : LENGTH(slot))

/*
 * What tests read is read each time anew. If clang kept it, a test of what an earlier one has told
 * would be foreseen by the verifier, which would then follow the rest of the program for every
 * combination of answers.
 */
#define WORD(text, offset) (*(const volatile u64 *)((const char *)(text) + (offset)))
#define LAST(end) (*(const volatile u32 *)((end) - 4))

/*
 * Keep `value` within `mask`, a number of ones, where the verifier can see it: clang would drop the
 * mask, or apply it to a copy, when it knows the range by itself.
 */
#define BOUND(value, mask)                      \
    ({                                          \
        u32 bound_ = (value);                   \
        asm volatile("" : "+r"(bound_));        \
        bound_ & (mask);                        \
    })
#define AT_MOST(value, limit)                   \
    ({                                          \
        u64 bound_ = (value);                   \
        asm volatile("" : "+r"(bound_));        \
        bound_ > (limit) ? (limit) : bound_;    \
    })
#define BOUNDED(text, offset, mask) ((text) + BOUND(offset, mask))

/*
 * In a loop that a variable ends early: clang would count down from that to zero, and before Linux
 * 6.8 the verifier sees no end of it (d028f87517d6, "make the verifier tracks the "not equal" for regs").
 */
#define COUNT_UP(i) asm volatile("" : "+r"(i))

/*
 * The same value, of which the verifier knows nothing any more; nor does it know `unknown`, any
 * number that was read. Where branches meet that had left different constants, it would follow the
 * rest of the program for each of them.
 */
#ifndef FORGOTTEN
#define FORGOTTEN(value, unknown)                                              \
    ({                                                                         \
        u64 forgotten_ = (value);                                              \
        asm volatile("%0 ^= %1\n\t%0 ^= %1" : "+&r"(forgotten_) : "r"(unknown)); \
        forgotten_;                                                            \
    })
#endif

/* Without a branch, which clang would make of `!value`, and of this too if it saw through it. */
static __always_inline u64 is_zero(u64 value)
{
    u64 negative = -value;

    asm volatile("" : "+r"(negative));
    return (value | negative) >> 63 ^ 1;
}

#define LOOKED_UP(event, field) \
    const struct field##_found *field##_found = find_##event##_##field((struct record_##event *)r)
#define FOUND(field, word, mask) (field##_found && (*(const volatile u64 *)&field##_found->words[word] & (mask)))

static __always_inline u32 array_length(const char *text, u32 most)
{
    u32 length = 0;

    for (u32 i = 0; i < most; i++) {
        if (!text[i])
            break;
        length++;
    }
    return length;
}

/* A member of a structure: `size` bytes at byte `at`, the highest of them with or without a sign. */
static __always_inline u32 member_exists(const char *raw, u32 length, u32 at, u32 size, u32 is_signed)
{
    return length >= at + size;
}

static __always_inline u64 member(const char *raw, u32 length, u32 at, u32 size, u32 is_signed)
{
    const char *place = raw + at;

    switch (size) {
    case 1:
        return *(const volatile u8 *)place;
    case 2:
        return is_signed ? *(const volatile s16 *)place : *(const volatile u16 *)place;
    case 4:
        return is_signed ? *(const volatile s32 *)place : *(const volatile u32 *)place;
    default:
        return *(const volatile u64 *)place;
    }
}

/* A number of 64 bits of which the 32-bit halves lie apart. */
static __always_inline u32 halves_exists(const char *raw, u32 length, u32 low, u32 high)
{
    return length >= high + 4;
}

static __always_inline u64 halves(const char *raw, u32 length, u32 low, u32 high)
{
    return *(const volatile u32 *)(raw + low) | (u64) * (const volatile u32 *)(raw + high) << 32;
}

#define AF_INET_ 2
#define AF_INET6_ 10
#define AF_VSOCK_ 40

static __always_inline u32 sockaddr_family_exists(const char *raw, u32 length)
{
    return length >= 2;
}

static __always_inline u32 sockaddr_family(const char *raw, u32 length)
{
    return *(const volatile u16 *)raw;
}

/* Numbers in network order are swapped; the length of the address has been found to hold them. */
static __always_inline u32 number_at(const char *raw, u32 at, u32 size, u32 swapped)
{
    if (size == 4) {
        u32 number = *(const volatile u32 *)(raw + at);

        return swapped ? __builtin_bswap32(number) : number;
    }
    u16 number = *(const volatile u16 *)(raw + at);

    return swapped ? __builtin_bswap16(number) : number;
}

static __always_inline u32 sockaddr_number_exists(const char *raw, u32 length, u32 family, u32 at, u32 size, u32 swapped)
{
    return length >= at + size && sockaddr_family(raw, length) == family;
}

static __always_inline u32 sockaddr_number(const char *raw, u32 length, u32 family, u32 at, u32 size, u32 swapped)
{
    return number_at(raw, at, size, swapped);
}

static __always_inline u32 sockaddr_port_exists(const char *raw, u32 length)
{
    u32 family = sockaddr_family(raw, length);

    return (length >= 4 && (family == AF_INET_ || family == AF_INET6_)) || (length >= 8 && family == AF_VSOCK_);
}

static __always_inline u32 sockaddr_port(const char *raw, u32 length)
{
    return sockaddr_family(raw, length) == AF_VSOCK_ ? number_at(raw, 4, 4, 0) : number_at(raw, 2, 2, 1);
}

static __always_inline u32 sockaddr_addr_exists(const char *raw, u32 length)
{
    u32 family = sockaddr_family(raw, length);

    return (family == AF_INET_ && length >= 8) || (family == AF_INET6_ && length >= 24);
}

/* An IPv4 address is its IPv4-mapped IPv6 address. */
static __always_inline u64 sockaddr_addr_high(const char *raw, u32 length)
{
    return sockaddr_family(raw, length) == AF_INET_ ? 0 : __builtin_bswap64(*(const volatile u64 *)(raw + 8));
}

static __always_inline u64 sockaddr_addr_low(const char *raw, u32 length)
{
    if (sockaddr_family(raw, length) == AF_INET_)
        return 0xffff00000000ULL | __builtin_bswap32(*(const volatile u32 *)(raw + 4));
    return __builtin_bswap64(*(const volatile u64 *)(raw + 16));
}

static __always_inline u32 open_how_flags_exists(const char *raw, u32 length)
{
    return length >= 8;
}

static __always_inline u64 open_how_flags(const char *raw, u32 length)
{
    return *(const volatile u64 *)raw;
}

/* A mode means something with O_CREAT or __O_TMPFILE alone. */
static __always_inline u32 open_how_mode_exists(const char *raw, u32 length)
{
    return length >= 16 && open_how_flags(raw, length) & (0100 | 020000000);
}

static __always_inline u64 open_how_mode(const char *raw, u32 length)
{
    return *(const volatile u64 *)(raw + 8);
}

/* MAX_ERRNO, include/linux/err.h: a result below is an address. */
static __always_inline u32 result_error_exists(s64 ret)
{
    return ret < 0 && ret >= -4095;
}

static __always_inline u32 result_error(s64 ret)
{
    return -ret;
}

static __always_inline u32 wait_exit_code_exists(u32 status)
{
    return !(status & 0x7f);
}

static __always_inline u32 wait_exit_code(u32 status)
{
    return status >> 8 & 0xff;
}

static __always_inline u32 wait_signal_exists(u32 status)
{
    return (status & 0x7f) != 0;
}

static __always_inline u32 wait_signal(u32 status)
{
    return status & 0x7f;
}

static __always_inline u32 wait_core_dumped_exists(u32 status)
{
    return 1;
}

static __always_inline u32 wait_core_dumped(u32 status)
{
    return (status & 0x80) != 0;
}

/* What is known of a socket: etracee/types/endpoints.py. */
struct endpoints {
    u16 is_socket;
    u16 family;
    u16 type;
    u16 protocol;
    u16 local_port;
    u16 remote_port;
    u32 has_addresses;
    char local[16];                     /* in network order, IPv4 as its IPv4-mapped IPv6 address */
    char remote[16];
};

#define ENDPOINT(raw, member) (((const volatile struct endpoints *)(raw))->member)
#define ENDPOINT_WORD(raw, member, word) __builtin_bswap64(((const volatile u64 *)ENDPOINT(raw, member))[word])

static __always_inline u32 endpoints_socket_family_exists(const volatile char *raw)
{
    return ENDPOINT(raw, is_socket);
}

static __always_inline u32 endpoints_socket_family(const volatile char *raw)
{
    return ENDPOINT(raw, family);
}

static __always_inline u32 endpoints_socket_type_exists(const volatile char *raw)
{
    return ENDPOINT(raw, is_socket);
}

static __always_inline u32 endpoints_socket_type(const volatile char *raw)
{
    return ENDPOINT(raw, type);
}

static __always_inline u32 endpoints_socket_protocol_exists(const volatile char *raw)
{
    return ENDPOINT(raw, is_socket);
}

static __always_inline u32 endpoints_socket_protocol(const volatile char *raw)
{
    return ENDPOINT(raw, protocol);
}

static __always_inline u32 endpoints_local_port_exists(const volatile char *raw)
{
    return ENDPOINT(raw, has_addresses);
}

static __always_inline u32 endpoints_local_port(const volatile char *raw)
{
    return ENDPOINT(raw, local_port);
}

static __always_inline u32 endpoints_local_addr_exists(const volatile char *raw)
{
    return ENDPOINT(raw, has_addresses);
}

static __always_inline u64 endpoints_local_addr_high(const volatile char *raw)
{
    return ENDPOINT_WORD(raw, local, 0);
}

static __always_inline u64 endpoints_local_addr_low(const volatile char *raw)
{
    return ENDPOINT_WORD(raw, local, 1);
}

/* A socket that is not connected has no port there. */
static __always_inline u32 endpoints_remote_port_exists(const volatile char *raw)
{
    return ENDPOINT(raw, has_addresses) && ENDPOINT(raw, remote_port);
}

static __always_inline u32 endpoints_remote_port(const volatile char *raw)
{
    return ENDPOINT(raw, remote_port);
}

static __always_inline u32 endpoints_remote_addr_exists(const volatile char *raw)
{
    return endpoints_remote_port_exists(raw);
}

static __always_inline u64 endpoints_remote_addr_high(const volatile char *raw)
{
    return ENDPOINT_WORD(raw, remote, 0);
}

static __always_inline u64 endpoints_remote_addr_low(const volatile char *raw)
{
    return ENDPOINT_WORD(raw, remote, 1);
}

#endif
