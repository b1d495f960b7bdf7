/* What the workloads share: raw calls, so that no library changes an argument, and odd addresses. */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define call(name, ...) syscall(SYS_##name, ##__VA_ARGS__)
#define nowhere ((void *)8)

#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

/* Return the place of `size` bytes behind which no memory is. */
static inline void *at_the_edge(const void *data, size_t size)
{
    char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    munmap(pages + 4096, 4096);
    return memcpy(pages + 4096 - size, data, size);
}

#endif
