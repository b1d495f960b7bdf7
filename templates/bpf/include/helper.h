/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Kernel structures are read by a helper: slower than typed.h, for kernels that refuse that. */
#ifndef ETRACEE_LOADS_H
#define ETRACEE_LOADS_H

#include "program.h"

#define LOAD(type, base, offset)                                                            \
    ({                                                                                      \
        type read_ = 0;                                                                     \
        read_kernel(&read_, sizeof(read_), (const char *)(base) + (offset));      \
        read_;                                                                              \
    })
#define POINTER(base, offset) ((const void *)LOAD(u64, base, offset))
#define READ(type, base, offset) LOAD(type, base, offset)

#define current_task() ((const void *)bpf_get_current_task())
#define saved_registers(task) ((const void *)0) /* reads as 0: only the hook's context has them */
#define SAVED(task, regs) ((const void *)(regs))

#endif
