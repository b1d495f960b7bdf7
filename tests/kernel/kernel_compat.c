/*
 * 32-bit calls by int 0x80, with neither libc nor headers: the same text is a 32-bit program (-m32) and a
 * 64-bit one that makes 32-bit calls. What it passes lies below 4 GiB, since it is linked without -pie.
 */
long call6(long number, long a, long b, long c, long d, long e, long f);

#ifdef __i386__
asm("call6: push %ebp; push %ebx; push %esi; push %edi\n"
    "mov 20(%esp), %eax; mov 24(%esp), %ebx; mov 28(%esp), %ecx; mov 32(%esp), %edx\n"
    "mov 36(%esp), %esi; mov 40(%esp), %edi; mov 44(%esp), %ebp\n"
    "int $0x80\n"
    "pop %edi; pop %esi; pop %ebx; pop %ebp; ret\n"
    ".globl _start; _start: and $-16, %esp; call run; hlt\n");
#else
asm("call6: push %rbp; push %rbx; mov 24(%rsp), %ebp\n"
    "mov %edi, %eax; mov %esi, %ebx; mov %ecx, %r10d; mov %edx, %ecx; mov %r10d, %edx\n"
    "mov %r8d, %esi; mov %r9d, %edi\n"
    "int $0x80\n"
    "cltq; pop %rbx; pop %rbp; ret\n"
    ".globl _start; _start: and $-16, %rsp; call run; hlt\n");
#endif

#define CALL(number, a, b, c, d, e, f) \
    call6(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static unsigned argv_true[] = {0, 0, 0, 0};
static unsigned words[6];
static struct {
    unsigned short family, port;
    unsigned address, zero[2];
} address = {2, 0x0100, 0x0100007f, {0, 0}}; /* AF_INET, port 1, 127.0.0.1 */
static char buffer[16];

static long socketcall(int which, unsigned a, unsigned b, unsigned c)
{
    words[0] = a, words[1] = b, words[2] = c;
    return CALL(102, which, words, 0, 0, 0, 0);
}

static unsigned vectors[4], message[8], control[3], times[4], kludge[2];

/* Structures of longs and pointers, which have four bytes each. */
static void pass_structures(long fd)
{
    long sock = CALL(359, 2, 2, 0, 0, 0, 0);                  /* socket: AF_INET, SOCK_DGRAM */

    vectors[0] = (unsigned)(long)buffer, vectors[1] = 3, vectors[2] = vectors[0] + 3, vectors[3] = 4;
    CALL(146, fd, vectors, 2, 0, 0, 0);                       /* writev: of 3 and 4 bytes */
    control[0] = 12, control[1] = 1, control[2] = 2;          /* SOL_SOCKET, SCM_CREDENTIALS */
    message[0] = (unsigned)(long)&address, message[1] = 16;
    message[2] = (unsigned)(long)vectors, message[3] = 2;
    message[4] = (unsigned)(long)control, message[5] = 12;
    CALL(370, sock, message, 0x40, 0, 0, 0);                  /* sendmsg: MSG_DONTWAIT */
    socketcall(16, sock, (unsigned)(long)message, 0x40);
    CALL(345, sock, message, 1, 0x40, 0, 0);                  /* sendmmsg */
    times[0] = 7, times[1] = 8, times[2] = -9, times[3] = 10;
    CALL(271, "made", times, 0, 0, 0, 0);                     /* utimes */
    CALL(320, -100, "made", times, 0, 0, 0);                  /* utimensat */
    words[0] = 7, words[1] = 1, words[2] = 8, words[3] = 0, words[4] = -9, words[5] = -1;
    CALL(412, -100, "made", words, 0, 0, 0);                  /* utimensat_time64: no mtime_nsec */
    kludge[0] = (unsigned)(long)buffer, kludge[1] = -5;
    CALL(117, 12, 77, 16, 1, kludge, 0);                      /* ipc: msgrcv, of before */
    CALL(117, 12 | 1 << 16, 77, 16, 1, buffer, -6);           /* ipc: msgrcv */
    CALL(117, 3, 77, 2, 2, kludge + 1, 0);                    /* ipc: semctl, IPC_STAT */
    CALL(102, 1 | 1 << 16, words, 0, 0, 0, 0);                /* socketcall: none */
    CALL(18, "made", 0, 0, 0, 0, 0);                          /* oldstat */
}

/* Sleep for 20 ms and end; a 32-bit program is interrupted by signals before, whose handlers return. */
static void end_late(void)
{
    words[0] = 0, words[1] = 20000000;
#ifdef __i386__
    asm volatile("jmp 1f; 0: ret; 1: mov $0b, %0" : "=r"(words[2]));
    for (words[4] = 0; words[4] <= 4; words[4] += 4) {        /* sa_flags: none, SA_SIGINFO */
        CALL(67, 10, words + 2, 0, 0, 0, 0);                  /* sigaction: SIGUSR1 */
        CALL(37, CALL(20, 0, 0, 0, 0, 0, 0), 10, 0, 0, 0, 0); /* kill: getpid */
    }
#else
    long result;

    asm volatile("syscall" : "=a"(result)                     /* openat of x32, which may be refused */
                 : "0"(0x40000101L), "D"(-100L), "S"("made"), "d"(0L) : "rcx", "r11", "memory");
#endif
    CALL(162, words, 0, 0, 0, 0, 0);                          /* nanosleep */
    CALL(252, 3, 0, 0, 0, 0, 0);                              /* exit_group */
}

void run(void)
{
    long fd, sock;

    argv_true[0] = (unsigned)(long)"true";
    argv_true[1] = (unsigned)(long)"one";
    argv_true[2] = (unsigned)(long)"two words";
    fd = CALL(5, "made", 0102, 0640, 0, 0, 0);                /* open: O_RDWR | O_CREAT */
    CALL(295, -100, "absent", 0, 0, 0, 0);                    /* openat */
    CALL(5, 4, 0, 0, 0, 0, 0);                                /* open: an address that is none */
    CALL(19, fd, -1, 2, 0, 0, 0);                             /* lseek: -1 from the end */
    CALL(193, "made", 5, 1, 0, 0, 0);                         /* truncate64: 4 GiB and 5 */
    CALL(92, "made", -1, 0, 0, 0, 0);                         /* truncate: -1 */
    CALL(180, fd, buffer, 4, 7, 2, 0);                        /* pread64: from 8 GiB and 7 */
    CALL(324, fd, 3, 1, 1, 3, 2);                             /* fallocate: a hole, at no cost */
    CALL(182, "made", 0xffff, 5, 0, 0, 0);                    /* chown: -1, 5 */
    CALL(212, "made", -1, 70000, 0, 0, 0);                    /* chown32 */
    CALL(192, 0, 4096, 1, 2, fd, 0x100001);                   /* mmap2: from 4 GiB and a page */
    words[0] = 0, words[1] = 4096, words[2] = 1, words[3] = 0x22, words[4] = -1, words[5] = 0;
    CALL(90, words, 0, 0, 0, 0, 0);                           /* mmap, of before */
    sock = socketcall(1, 2, 1, 0);                            /* socket: AF_INET, SOCK_STREAM */
    socketcall(3, sock, (unsigned)(long)&address, 16);        /* connect */
    CALL(362, sock, &address, 16, 0, 0, 0);                   /* connect, by itself */
    CALL(359, 1, 2, 0, 0, 0, 0);                              /* socket: AF_UNIX, SOCK_DGRAM */
    CALL(117, 23, 77, 4096, 0, 0, 0);                         /* ipc: shmget, which is not there */
    CALL(7, -1, 0, 1, 0, 0, 0);                               /* waitpid: no child */
    if (!CALL(2, 0, 0, 0, 0, 0, 0))                           /* fork */
        end_late();
    if (!CALL(120, 0x04000011, 0, 0, 0, 0, 0)) {              /* clone: CLONE_NEWUTS, SIGCHLD */
        pass_structures(fd);
        CALL(1, 4, 0, 0, 0, 0, 0);
    }
    CALL(22, "made", 0, 0, 0, 0, 0);                          /* umount */
    CALL(10, "made", 0, 0, 0, 0, 0);                          /* unlink */
    CALL(11, "/absent", argv_true, 0, 0, 0, 0);               /* execve */
    CALL(11, "/bin/true", argv_true, 0, 0, 0, 0);
    CALL(1, 1, 0, 0, 0, 0, 0);
}
