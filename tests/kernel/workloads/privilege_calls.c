/* Calls on privileges, keys and the kernel itself, refused or undone at the end of their process. */
#include "workload.h"
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/io_uring.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <sys/wait.h>

static void become_others(void)
{
    static const int ids[] = {0, 1, 1000, 65534, -1, 0x7fffffff, -2};
    unsigned groups[300];

    for (unsigned index = 0; index < 300; index++)
        groups[index] = index * 1000003;
    call(setgroups, 0l, 0);
    call(setgroups, 3l, groups);
    call(setgroups, 256l, groups);
    call(setgroups, 257l, groups);
    call(setgroups, -1l, groups);
    call(setgroups, 2l, at_the_edge(groups, 4));
    call(setgroups, 1l, nowhere);
    call(setgroups, 1l, 0);
    call(setgroups, 3l, groups);
    call(getgroups, 300, groups);
    call(getgroups, 0, 0);
    call(getgroups, 1, groups);
    for (unsigned index = 0; index < sizeof(ids) / sizeof(int); index++) {
        call(setfsuid, ids[index]);
        call(setfsgid, ids[index]);
        call(setregid, -1, ids[index]);
        call(setresgid, ids[index], -1, 0);
        call(setreuid, -1, -1);
        call(setresuid, -1, -1, ids[index]);
    }
    call(setgid, 5);
    call(setgid, -1);
    call(setresuid, 7, 8, 9);
    for (unsigned index = 0; index < sizeof(ids) / sizeof(int); index++) {
        call(setuid, ids[index]);
        call(setreuid, ids[index], 8);
        call(setregid, ids[index], ids[index]);
    }
}

static void change_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct sets[2] = {{0}};

    call(capget, &header, sets);
    call(capset, &header, sets);
    call(capget, &header, sets);
    for (int bit = 0; bit < 32; bit++) {
        sets[0].effective = sets[0].permitted = 1u << bit;
        sets[1].inheritable = 1u << bit;
        call(capset, &header, sets);
    }
    call(capset, &header, at_the_edge(sets, 12));
    call(capset, &header, nowhere);
    call(capset, &header, 0);
    call(capget, &header, 0);
    header.pid = 0x7ffffff0;
    call(capget, &header, sets);
    header.pid = 1;
    call(capset, &header, sets);
    header.version = _LINUX_CAPABILITY_VERSION_1;
    call(capset, &header, sets);
    header.version = _LINUX_CAPABILITY_VERSION_2;
    call(capset, &header, sets);
    header.version = 0x12345678;
    call(capset, &header, sets);
    call(capset, nowhere, sets);
    call(capget, 0, 0);
}

static void use_keys(void)
{
    int key;

    call(keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0);
    call(keyctl, KEYCTL_JOIN_SESSION_KEYRING, "of \xff mine");
    call(keyctl, KEYCTL_JOIN_SESSION_KEYRING, nowhere);
    key = call(add_key, "user", "sample", "secret", 6l, KEY_SPEC_SESSION_KEYRING);
    call(add_key, "keyring", "", 0, 0l, KEY_SPEC_PROCESS_KEYRING);
    call(add_key, nowhere, "x", nowhere, 1l << 40, 12345);
    call(add_key, 0, 0, 0, -1l, -100);
    call(request_key, "user", "sample", 0, KEY_SPEC_SESSION_KEYRING);
    call(request_key, "user", "none", "how", 0);
    for (int special = -9; special < 2; special++)
        call(keyctl, KEYCTL_GET_KEYRING_ID, special, 0);
    call(keyctl, KEYCTL_DESCRIBE, key, 0, 0l);
    call(keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", "sample", 0);
    call(keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, nowhere, "\n", -3);
    call(keyctl, KEYCTL_LINK, key, KEY_SPEC_USER_KEYRING);
    call(keyctl, KEYCTL_UNLINK, key, KEY_SPEC_USER_KEYRING);
    call(keyctl, KEYCTL_SETPERM, key, 0x3f3f0000);
    for (int bit = 0; bit < 32; bit++)
        call(keyctl, KEYCTL_SETPERM, -1, 1u << bit);
    call(keyctl, KEYCTL_CHOWN, key, -1, 0);
    call(keyctl, KEYCTL_SET_TIMEOUT, key, 60);
    call(keyctl, KEYCTL_UPDATE, key, "other", 5l);
    call(keyctl, KEYCTL_READ, key, 0, 0l);
    call(keyctl, KEYCTL_REVOKE, key);
    call(keyctl, KEYCTL_CLEAR, KEY_SPEC_SESSION_KEYRING);
    call(keyctl, KEYCTL_INVALIDATE, -1);
    for (int option = 0; option < 40; option++)
        if (option != KEYCTL_SESSION_TO_PARENT)
            call(keyctl, option, 0x7ffffff0l, 0l, 0l, 0l);
}

static void use_bpf(void)
{
    union bpf_attr attr;
    int map;

    for (unsigned type = 0; type < 40; type++) {
        memset(&attr, 0, sizeof(attr));
        attr.map_type = type;
        attr.key_size = 4;
        attr.value_size = type;
        attr.max_entries = 3;
        attr.map_flags = 1u << type % 32;
        strcpy(attr.map_name, "sample");
        call(bpf, BPF_MAP_CREATE, &attr, 128);
        memset(&attr, 0, sizeof(attr));
        attr.prog_type = type;
        attr.insn_cnt = 1;
        attr.prog_flags = 1u << type % 32;
        attr.expected_attach_type = type + 20;
        memcpy(attr.prog_name, "sixteen bytes...", 16);
        call(bpf, BPF_PROG_LOAD, &attr, 128);
        memset(&attr, 0, sizeof(attr));
        attr.target_fd = -1;
        attr.attach_bpf_fd = 7;
        attr.attach_type = type;
        call(bpf, BPF_PROG_ATTACH, &attr, 32);
        call(bpf, BPF_PROG_DETACH, &attr, 32);
    }
    for (int command = 0; command < 45; command++)
        call(bpf, command, nowhere, 32);
    memset(&attr, 0, sizeof(attr));
    attr.map_type = BPF_MAP_TYPE_ARRAY;
    attr.key_size = 4;
    attr.value_size = 8;
    attr.max_entries = 1;
    strcpy(attr.map_name, "made");
    map = call(bpf, BPF_MAP_CREATE, &attr, 44);
    call(bpf, BPF_MAP_CREATE, &attr, 16);
    call(bpf, BPF_MAP_CREATE, at_the_edge(&attr, 20), 44);
    call(bpf, BPF_MAP_CREATE, &attr, 4096);
    memset(&attr, 0, sizeof(attr));
    attr.pathname = (uintptr_t) "/nonexistent/\xffpin";
    attr.bpf_fd = map;
    call(bpf, BPF_OBJ_PIN, &attr, 16);
    call(bpf, BPF_OBJ_GET, &attr, 16);
    attr.pathname = 8;
    call(bpf, BPF_OBJ_GET, &attr, 16);
}

static void measure(void)
{
    struct perf_event_attr attr = {0};

    for (unsigned type = 0; type < 8; type++) {
        attr.type = type;
        attr.size = sizeof(attr);
        attr.config = 1ull << type * 8;
        attr.sample_period = 1ull << type * 7;
        call(perf_event_open, &attr, 0x7ffffff0, -1, -1, 1ul << type);
    }
    attr.type = PERF_TYPE_SOFTWARE;
    attr.config = PERF_COUNT_SW_CPU_CLOCK;
    call(perf_event_open, &attr, 0, -1, -1, 8ul);
    call(perf_event_open, nowhere, 0, 0, 0, ~0ul);
    call(perf_event_open, at_the_edge(&attr, 16), 0, 0, 0, 0ul);
}

static void use_rings(void)
{
    struct io_uring_params params;

    for (int bit = 0; bit < 32; bit++) {
        memset(&params, 0, sizeof(params));
        params.flags = 1u << bit;
        params.sq_thread_idle = bit;
        params.wq_fd = -1;
        call(io_uring_setup, 2, &params);
        call(io_uring_enter, -1, 1, 2, 1u << bit, 0, 0l);
        call(io_uring_register, -1, bit, 0, bit);
        call(userfaultfd, 1u << bit);
    }
    memset(&params, 0, sizeof(params));
    call(io_uring_setup, 4, &params);
    call(io_uring_setup, 0, nowhere);
    call(io_uring_setup, -1, at_the_edge(&params, 60));
}

static void change_kernel(void)
{
    static const unsigned commands[] = {
        0x01234567, 0xcdef0123, 0x89abcdef, 0, 0x4321fedc, 0xa1b2c3d4, 0xd000fce2, 0x45584543, 5,
    };

    call(init_module, "not a module", 12l, "option=\xff 1");
    call(init_module, nowhere, -1l, nowhere);
    for (int bit = 0; bit < 32; bit++) {
        call(finit_module, -1, "name=value", 1u << bit);
        call(delete_module, "nonexistent", 1u << bit);
        call(swapon, "/nonexistent", 1u << bit);
        call(kexec_file_load, -1, -1, 0l, 0, 1ul << bit);
        call(kexec_load, 0l, 1000l, 0, 1ul << bit);
    }
    call(delete_module, nowhere, 0);
    call(swapon, "/nonexistent", 0x8000 | 0x7f);
    call(swapon, nowhere, -1);
    call(kexec_file_load, -1, 7, 5l, "root", 0ul);
    call(kexec_file_load, -1, 7, 5l, nowhere, 0ul);
    for (unsigned index = 0; index < sizeof(commands) / sizeof(*commands); index++) {
        call(reboot, 0xfee1dead, 5, commands[index], 0);
        call(reboot, 0, 672274793, commands[index], "how");
    }
    for (int level = -1; level < 5; level++)
        call(iopl, level == 3 ? 4 : level);
    call(ioperm, 1ul << 20, 1ul, 1);
    call(ioperm, 0x80ul, -1ul, 0);
}

int main(void)
{
    static void (*const works[])(void) = {
        become_others, change_capabilities, use_keys, use_bpf, measure, use_rings, change_kernel,
    };

    for (unsigned index = 0; index < sizeof(works) / sizeof(*works); index++) {
        int pid = fork();

        if (!pid) {
            alarm(60);
            works[index]();
            _exit(0);
        }
        waitpid(pid, 0, 0);
    }
    return 0;
}
