/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Kernel structures are read directly: since Linux 5.11 bpf_get_current_task_btf() and since 5.15
 * bpf_task_pt_regs() return pointers whose type the verifier knows. It refuses a wrong offset when
 * the program is loaded, and a NULL on the way reads as 0. The volatile casts keep BCC from turning
 * each access into a call of a helper.
 */
#ifndef ETRACEE_LOADS_H
#define ETRACEE_LOADS_H

#include "program.h"

#define LOAD(type, base, offset) (*(const volatile type *)((const char *)(base) + (offset)))
#define POINTER(base, offset) ((const void *)LOAD(u64, base, offset))
#define READ(type, base, offset)                                                            \
    ({                                                                                      \
        type read_ = 0;                                                                     \
        read_kernel(&read_, sizeof(read_), (const char *)(base) + (offset));      \
        read_;                                                                              \
    })

/* By number, since BCC 0.26 knows neither: include/uapi/linux/bpf.h. */
static const void *(*get_current_task_btf)(void) = (void *)158;
static const void *(*task_pt_regs)(const void *task) = (void *)175;

#define current_task() get_current_task_btf()
#define saved_registers(task) task_pt_regs(task)
#define SAVED(task, regs) task_pt_regs(task)

#endif
