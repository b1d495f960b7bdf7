/* What BCC and the kernel bring, for programs that are compiled for the host. */
#ifndef BCC_STUBS_H
#define BCC_STUBS_H

#include <linux/types.h>

struct bpf_raw_tracepoint_args {
    u64 args[6];
};

#define STUB_MAP(name, key, value)                                                  \
    static value stub_##name;                                                       \
    static value *stub_lookup_##name(const key *k) { return &stub_##name; }         \
    static int stub_update_##name(const key *k, const value *v) { return 0; }       \
    static int stub_delete_##name(const key *k) { return 0; }                       \
    static struct {                                                                 \
        value *(*lookup)(const key *);                                              \
        int (*update)(const key *, const value *);                                  \
        int (*insert)(const key *, const value *);                                  \
        int (*delete)(const key *);                                                 \
    } name = {stub_lookup_##name, stub_update_##name, stub_update_##name, stub_delete_##name};

#define BPF_HASH(name, key, value, size) STUB_MAP(name, key, value)
#define BPF_ARRAY(name, value, size) STUB_MAP(name, int, value)
#define BPF_PERCPU_ARRAY(name, value, size) STUB_MAP(name, int, value)
#define BPF_TABLE(kind, key, value, name, size) STUB_MAP(name, key, value)
#define BPF_RINGBUF_OUTPUT(name, pages)                                             \
    static struct {                                                                 \
        int (*ringbuf_output)(const void *, u64, u64);                              \
    } name = {stub_output};
#define BPF_RB_NO_WAKEUP 1

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

/* Helpers by their numbers: include/uapi/linux/bpf.h. */
#define stub_helper_112 stub_read
#define stub_helper_113 stub_read
#define stub_helper_114 stub_read_string
#define stub_helper_115 stub_read_string
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
