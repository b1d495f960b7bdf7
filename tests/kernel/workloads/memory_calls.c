/* Calls on memory, the process's own and another's, with flags one by one and hostile lists. */
#include "workload.h"
#include <sys/uio.h>
#include <sys/wait.h>

static void map(void)
{
    char *place = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (int bit = 0; bit < 32; bit++) {
        call(mmap, 0L, 0L, 1ul << bit, 1ul << bit, -1L, 0L);
        call(mmap, 4096L, 1L << bit, 3L, 0x22ul | 1ul << bit, -1L, 0x1000L << bit);
        call(mprotect, nowhere, 1L, 1ul << bit | 1);
        call(pkey_mprotect, nowhere, 1L, 1ul << bit, bit - 1);
        call(mremap, 1L, 4096L, 8192L, 1ul << bit, 5L);
        call(madvise, 1L, 1L << bit, bit);
        call(mlock2, 1L, 1L, 1u << bit);
        call(mlockall, 0x80000000u | 1u << bit);
        call(msync, 1L, 1L, 1u << bit);
        call(pkey_alloc, 1ul << bit, 0ul);
        call(pkey_alloc, 1ul, 1ul << bit);
        call(mbind, 1L, 0L, (long)bit, nowhere, 1L, 1u << bit);
        call(process_madvise, -1, nowhere, 1L, bit, 1u << bit);
        call(remap_file_pages, 1L, 1L, 0L, 1L, 1ul << bit);
    }
    call(mmap, 0L, 0L, 3L, 0x22ul | 0x40000 | 21ul << 26, -1L, 0L);
    call(mmap, 0L, 0L, 3L, 0x22ul | 0x40000 | 30ul << 26, -1L, 0L);
    call(mmap, 0L, -1L, 3L, 0x100022ul, -1L, -4096L);
    call(mprotect, place, 4096L, 0L);
    call(mprotect, place, 4096L, 7L);
    call(mremap, place, 4096L, 4096L, 3L, place + 32768);
    call(madvise, place, 4096L, 4);
    for (int advice = 90; advice < 106; advice++)
        call(madvise, 1L, 1L, advice);
    call(mlock, place, 4096L);
    call(munlock, place, 4096L);
    call(munlockall);
    call(mincore, place, 4096L, nowhere);
    call(munmap, place, 65536L);
    call(munmap, 1L, -1L);
    call(brk, 0L);
    call(brk, 1L);
    call(pkey_free, 77);
    call(pkey_free, -1);
    call(memfd_secret, 0x80000);
}

static void use_nodes(void)
{
    unsigned long nodes[] = {1, 0}, other[] = {0xf0, ~0ul};
    int policy;

    for (int mode = 0; mode < 8; mode++) {
        call(set_mempolicy, mode | 0x8000, nodes, 64L);
        call(set_mempolicy, mode, 0L, 0L);
        call(mbind, 1L, 0L, (long)mode, other, 128L, 3u);
    }
    call(set_mempolicy, 0x4002, nowhere, 64L);
    call(set_mempolicy, 0, 0L, 0L);
    call(get_mempolicy, &policy, 0L, 0L, 0L, 0L);
    for (int bit = 0; bit < 4; bit++)
        call(get_mempolicy, nowhere, 0L, 0L, 1L, 1ul << bit);
    call(migrate_pages, -1, 64L, nodes, other);
    call(move_pages, -1, 0L, 0L, 0L, 0L, 2 | 0x10);
}

static void reach_into(int pid)
{
    static char text[64], other[64];
    struct iovec local[300], remote[300];

    for (int index = 0; index < 300; index++) {
        local[index] = (struct iovec){text + index % 60, index % 3};
        remote[index] = (struct iovec){other + index % 60, index % 4};
    }
    call(process_vm_readv, pid, local, 3L, remote, 5L, 0L);
    call(process_vm_writev, pid, local, 60L, remote, 50L, 0L);
    call(process_vm_readv, pid, local, 64L, remote, 64L, 0L);
    call(process_vm_readv, pid, local, 65L, remote, 300L, 0L);
    call(process_vm_readv, -1, nowhere, 1L, remote, 1L, 5L);
    call(process_vm_readv, pid, local, 1L, nowhere, 2L, 0L);
    call(process_vm_readv, pid, 0L, 0L, 0L, 0L, 0L);
    call(process_vm_readv, pid, local, 0L, remote, -1L, 0L);
    call(process_vm_writev, pid, local, 1L, at_the_edge(remote, 16), 1L, 0L);
    call(process_vm_writev, pid, local, 1L, at_the_edge(remote, 16), 2L, 0L);
    local[0].iov_len = -1;
    remote[1] = (struct iovec){(void *)-1, 1ul << 63};
    call(process_vm_writev, pid, local, 2L, remote, 2L, 0L);
    call(process_madvise, -1, remote, 3L, 20, 0u);
}

int main(void)
{
    map();
    use_nodes();
    reach_into(getpid());
    return 0;
}
