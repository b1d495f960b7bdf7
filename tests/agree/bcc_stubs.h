/* What BCC and the kernel bring, for programs that are compiled for the host. */
#ifndef BCC_STUBS_H
#define BCC_STUBS_H

#include <linux/types.h>

struct bpf_raw_tracepoint_args {
    u64 args[6];
};

static void stub_call(void *ctx, int slot) {}

#define STUB_MAP(name, key, value)                                                  \
    value stub_##name;                                                              \
    static value *stub_lookup_##name(const key *k) { return &stub_##name; }         \
    static int stub_update_##name(const key *k, const value *v) { return 0; }       \
    static int stub_delete_##name(const key *k) { return 0; }                       \
    static struct {                                                                 \
        value *(*lookup)(const key *);                                              \
        int (*update)(const key *, const value *);                                  \
        int (*insert)(const key *, const value *);                                  \
        int (*delete)(const key *);                                                 \
    } name = {stub_lookup_##name, stub_update_##name, stub_update_##name, stub_delete_##name};

/* There is no verifier here, and its instructions are none of the host's. */
#define FORGOTTEN(value, unknown) (value)
#define BPF_HASH(name, key, value, size) STUB_MAP(name, key, value)
#define BPF_ARRAY(name, value, size) STUB_MAP(name, int, value)
#define BPF_PERCPU_ARRAY(name, value, size) STUB_MAP(name, int, value)
#define BPF_TABLE(kind, key, value, name, size) STUB_MAP(name, key, value)
#define BPF_PROG_ARRAY(name, size)                                                  \
    static struct {                                                                 \
        void (*call)(void *, int);                                                  \
    } name = {stub_call};
/*
 * A trie: `count` keys, each a length in bits and the data, and their values, which the test brings.
 * As trie_lookup_elem() of kernel/bpf/lpm_trie.c: the longest entry that the key begins with, of
 * those that are not longer than it, and none for a key that is longer than its data.
 */
struct stub_entries {
    u64 count;
    const u8 *keys;
    const void *values;
};

static int stub_begins_with(const u8 *data, const u8 *entry, u32 bits)
{
    u32 rest = bits % 8;

    if (__builtin_memcmp(data, entry, bits / 8))
        return 0;
    return !rest || !((data[bits / 8] ^ entry[bits / 8]) >> (8 - rest));
}

static void *stub_longest(const struct stub_entries *all, const u8 *key, u64 size, u64 value_size)
{
    u32 wanted = *(const u32 *)key, bits;
    s64 best = -1, longest = -1;

    if (wanted > 8 * (size - sizeof(u32)))
        return 0;
    for (u64 i = 0; i < all->count; i++) {
        bits = *(const u32 *)(all->keys + i * size);
        if (bits <= wanted && (s64)bits > longest
            && stub_begins_with(key + sizeof(u32), all->keys + i * size + sizeof(u32), bits)) {
            best = i;
            longest = bits;
        }
    }
    return best < 0 ? 0 : (char *)all->values + best * value_size;
}

#define BPF_LPM_TRIE(name, key, value, size)                                        \
    struct stub_entries host_##name;                                                \
    static value *stub_lookup_##name(const key *k)                                  \
    {                                                                               \
        return stub_longest(&host_##name, (const u8 *)k, sizeof(key), sizeof(value)); \
    }                                                                               \
    static struct {                                                                 \
        value *(*lookup)(const key *);                                              \
    } name = {stub_lookup_##name};
#define BPF_RINGBUF_OUTPUT(name, pages)                                             \
    static struct {                                                                 \
        int (*ringbuf_output)(const void *, u64, u64);                              \
        void *(*ringbuf_reserve)(u64);                                              \
    } name = {stub_output, stub_query};
#define BPF_RB_NO_WAKEUP 1
#define BPF_RB_AVAIL_DATA 0

/* The ring is empty. */
static void *stub_query(u64 what)
{
    return 0;
}

/* The last record that was sent, for the test to look at. */
u8 host_record[1 << 16];
u64 host_size;

static int stub_output(const void *data, u64 size, u64 flags)
{
    host_size = size;
    __builtin_memcpy(host_record, data, size);
    return 0;
}

/* Addresses of the first page stand for memory that cannot be read. */
#define STUB_FAULTS(from) ((u64)(from) < 4096)

static long stub_read(void *to, u32 size, const void *from)
{
    if (size && STUB_FAULTS(from)) {
        __builtin_memset(to, 0, size);
        return -14;
    }
    __builtin_memcpy(to, from, size);
    return 0;
}

static long stub_read_string(char *to, u32 size, const char *from)
{
    u32 length = 0;

    if (!size)
        return 0;
    if (STUB_FAULTS(from)) {
        __builtin_memset(to, 0, size);
        return -14;
    }
    while (length < size - 1 && from[length]) {
        to[length] = from[length];
        length++;
    }
    to[length] = 0;
    return length + 1;
}

static long stub_send_signal(u32 number) { return 0; }
static u64 stub_boot_time(void) { return 42; }

/* Helpers by their numbers: include/uapi/linux/bpf.h. */
#define stub_helper_109 stub_send_signal
#define stub_helper_112 stub_read
#define stub_helper_113 stub_read
#define stub_helper_114 stub_read_string
#define stub_helper_115 stub_read_string
#define stub_helper_125 stub_boot_time
#define stub_helper_158 0
#define stub_helper_175 0

#define bpf_probe_read_user stub_read
#define bpf_probe_read_kernel stub_read
#define bpf_probe_read_user_str stub_read_string
#define bpf_probe_read_kernel_str stub_read_string
#define bpf_ktime_get_ns() ((u64)42)
#define bpf_get_current_task() ((u64)0)
#define bpf_get_current_pid_tgid() ((u64)0)

#endif
