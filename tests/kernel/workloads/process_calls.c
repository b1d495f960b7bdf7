/* Calls on processes: waits, signals, properties, groups, tracing, with flags and hostile arguments. */
#include "workload.h"
#include <errno.h>
#include <linux/seccomp.h>
#include <linux/filter.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define NOBODY 0x7ffffff0

static int child_of(void (*work)(void))
{
    int pid = fork();

    if (!pid) {
        alarm(60);
        work();
        _exit(0);
    }
    return pid;
}

static void pause_for_ever(void)
{
    for (;;)
        pause();
}

static void wait_for_children(void)
{
    static const int endings[] = {0, 1, 77, 255};
    static const int signals[] = {SIGKILL, SIGTERM, SIGSEGV, SIGABRT, 34, 64};
    int status, pid;
    struct rusage used;
    siginfo_t info;

    for (unsigned index = 0; index < sizeof(endings) / sizeof(int); index++) {
        if (!(pid = fork()))
            _exit(endings[index]);
        call(waitid, P_PID, pid, &info, WEXITED | WNOWAIT, 0);
        call(wait4, pid, &status, 0, index ? &used : 0);
    }
    for (unsigned index = 0; index < sizeof(signals) / sizeof(int); index++) {
        pid = child_of(pause_for_ever);
        call(kill, pid, signals[index]);
        call(waitid, P_PID, pid, &info, WEXITED | WNOWAIT | WSTOPPED, &used);
        call(wait4, pid, index ? &status : 0, __WALL, 0);
    }
    pid = child_of(pause_for_ever);
    call(wait4, -1, &status, WNOHANG, 0);
    call(waitid, P_ALL, 0, &info, WNOHANG | WEXITED, 0);
    call(kill, pid, SIGSTOP);
    call(wait4, pid, &status, WUNTRACED, 0);
    call(kill, pid, SIGCONT);
    call(wait4, pid, &status, WCONTINUED, 0);
    call(kill, pid, SIGSTOP);
    call(waitid, P_PID, pid, &info, WSTOPPED, 0);
    call(kill, pid, SIGCONT);
    call(waitid, P_PGID, getpgrp(), &info, WCONTINUED, 0);
    call(kill, pid, SIGKILL);
    call(wait4, pid, nowhere, 0, 0);
    call(wait4, pid, &status, 0, 0);
    call(wait4, 0, &status, WNOHANG, nowhere);
    call(wait4, -NOBODY, nowhere, WNOHANG | WUNTRACED, 0);
    for (int bit = 0; bit < 32; bit++)
        call(wait4, NOBODY, 0, 1u << bit, 0);
    for (int type = 0; type < 5; type++)
        call(waitid, type, -1, nowhere, WEXITED, 0);
    call(waitid, P_PID, NOBODY, 0, 0xffffffff, 0);
}

static void send_signals(void)
{
    int pid = child_of(pause_for_ever), fd = call(pidfd_open, pid, 0);
    siginfo_t info = {0};

    info.si_signo = SIGURG;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_value.sival_ptr = (void *)0x123456789abcdef;
    for (int number = -2; number < 68; number++) {
        call(kill, NOBODY, number);
        call(tkill, NOBODY, number);
        call(tgkill, NOBODY, -1, number);
        call(pidfd_send_signal, -1, number, 0, 1u << (number & 31));
    }
    call(kill, pid, 0);
    call(kill, -NOBODY, SIGTERM);
    call(rt_sigqueueinfo, pid, SIGURG, &info);
    call(rt_sigqueueinfo, NOBODY, SIGUSR1, at_the_edge(&info, 16));
    info.si_code = SI_TKILL;
    call(rt_tgsigqueueinfo, pid, pid, SIGCHLD, &info);
    info.si_code = 12345;
    call(rt_tgsigqueueinfo, pid, -1, 0, &info);
    call(rt_sigqueueinfo, pid, 64, nowhere);
    call(rt_sigqueueinfo, pid, 64, 0);
    info.si_signo = SIGWINCH;
    info.si_code = SI_QUEUE;
    call(pidfd_send_signal, fd, SIGWINCH, &info, 0);
    call(pidfd_send_signal, fd, SIGWINCH, 0, 0);
    for (int bit = 0; bit < 32; bit++) {
        call(pidfd_open, NOBODY, 1u << bit);
        call(pidfd_getfd, -1, bit, 1u << bit);
    }
    call(pidfd_getfd, fd, 0, 0);
    call(pidfd_getfd, fd, 999, 0);
    call(pidfd_send_signal, fd, SIGKILL, 0, 0);
    call(waitid, P_PIDFD, fd, &info, WEXITED, 0);
}

static void change_properties(void)
{
    char name[16];
    int number;

    for (int option = 0; option < 80; option++)
        if (option != PR_SET_SECCOMP && option != PR_SET_SYSCALL_USER_DISPATCH)
            call(prctl, option, 1ul, 2ul, 3ul, 4ul);
    call(prctl, PR_SET_NAME, "renamed");
    call(prctl, PR_SET_NAME, "fifteen bytes!!");
    call(prctl, PR_SET_NAME, "\x01\xff\"\\");
    call(prctl, PR_SET_NAME, "");
    call(prctl, PR_SET_NAME, 0);
    call(prctl, PR_SET_NAME, nowhere);
    call(prctl, PR_GET_NAME, name);
    call(prctl, PR_GET_NAME, nowhere);
    for (int value = 0; value < 4; value++) {
        call(prctl, PR_SET_DUMPABLE, value, 0, 0, 0);
        call(prctl, PR_SET_TIMING, value, 0, 0, 0);
        call(prctl, PR_SET_KEEPCAPS, value, 0, 0, 0);
        call(prctl, PR_MCE_KILL, value, value, 0, 0);
        call(prctl, PR_MCE_KILL, 1, value, 0, 0);
        call(prctl, PR_GET_SPECULATION_CTRL, value, 0, 0, 0);
        call(prctl, PR_SET_SYSCALL_USER_DISPATCH, value + 2, 0, 0, 0);
        call(prctl, PR_SET_SECCOMP, value + 3, nowhere, 0, 0);
    }
    for (int number = 0; number < 66; number++) {
        call(prctl, PR_CAPBSET_READ, number, 0, 0, 0);
        call(prctl, PR_SET_PDEATHSIG, number, 0, 0, 0);
        for (int what = 0; what < 3; what++)
            call(prctl, PR_CAP_AMBIENT, what, number, 0, 0);
        call(prctl, PR_SET_SECUREBITS, 1ul << number % 64, 0, 0, 0);
        call(prctl, PR_SET_MM, number, 1ul, 2ul, 3ul);
    }
    call(prctl, PR_CAPBSET_DROP, 3, 0, 0, 0);
    call(prctl, PR_CAPBSET_DROP, -1l, 0, 0, 0);
    call(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    call(prctl, PR_GET_PDEATHSIG, &number, 0, 0, 0);
    call(prctl, PR_GET_TSC, &number, 0, 0, 0);
    call(prctl, PR_SET_PTRACER, -1l, 0, 0, 0);
    call(prctl, PR_SET_PTRACER, 1l, 0, 0, 0);
    call(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    call(prctl, 0x53564d41, 0, 0x1000ul, 0x1000ul, "name");
    call(prctl, -1, 1ul, 2ul, 3ul, 4ul);
    for (int bit = 0; bit < 32; bit++)
        call(personality, 1u << bit);
    call(personality, 0);
    call(personality, 0xffffffff);
}

static void filter_calls(void)
{
    struct sock_filter code[] = {{BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
    struct sock_fprog program = {1, code}, wrong = {65535, nowhere};

    call(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (unsigned operation = 1; operation < 6; operation++)
        for (int bit = 0; bit < 32; bit++)
            call(seccomp, operation, 1u << bit, nowhere);
    call(seccomp, SECCOMP_SET_MODE_STRICT, 1, 0);
    call(seccomp, SECCOMP_SET_MODE_FILTER, 0, &wrong);
    call(seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
    call(prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &wrong, 0, 0);
    call(prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
    call(prctl, PR_GET_SECCOMP, 0, 0, 0, 0);
}

static void leave_namespaces(void)
{
    for (int bit = 0; bit < 32; bit++) {
        call(unshare, 1ul << bit | CLONE_NEWUTS << 3);
        call(setns, -1, 1u << bit);
    }
    call(unshare, (long)(CLONE_NEWUTS | CLONE_NEWIPC));
    call(unshare, (long)(CLONE_FS | CLONE_FILES | CLONE_SYSVSEM));
    call(unshare, 0x100000000l);
    call(setns, 0, 0);
    call(setsid);
    call(setpgid, 0, 0);
    call(setpgid, NOBODY, -1);
    call(getpgid, 0);
    call(getsid, NOBODY);
}

static void trace_others(void)
{
    char registers[4096];
    struct iovec area = {registers, sizeof(registers)};
    int pid = fork(), status;
    long value;

    if (!pid)
        pause_for_ever();
    call(ptrace, PTRACE_SEIZE, pid, 0l, (long)(PTRACE_O_TRACEFORK | PTRACE_O_EXITKILL));
    call(ptrace, PTRACE_INTERRUPT, pid, 0l, 0l);
    call(wait4, pid, &status, __WALL | WNOHANG, 0);
    call(ptrace, PTRACE_PEEKDATA, pid, &pid, &value);
    call(ptrace, PTRACE_PEEKUSER, pid, 15l * 8, &value);
    call(ptrace, PTRACE_GETREGSET, pid, 1l, &area);
    call(ptrace, PTRACE_GETREGSET, pid, 0x202l, &area);
    call(ptrace, PTRACE_GETREGSET, pid, 0x12345l, nowhere);
    for (int bit = 0; bit < 32; bit++)
        call(ptrace, PTRACE_SETOPTIONS, NOBODY, 0l, 1l << bit);
    call(ptrace, PTRACE_SETOPTIONS, pid, 0l, 0x3fl);
    call(ptrace, PTRACE_GETEVENTMSG, pid, 0l, &value);
    call(ptrace, PTRACE_CONT, pid, 0l, (long)SIGUSR1);
    call(kill, pid, SIGKILL);
    call(wait4, pid, &status, __WALL, 0);
    for (long request = 0; request < 40; request++)
        call(ptrace, request, NOBODY, 0x10l, 5l);
    for (long request = 0x41fc; request < 0x4215; request++)
        call(ptrace, request, -1l, 0x7fl, 5l);
    call(ptrace, -1l, 1l << 40, 0l, 0l);
}

int main(void)
{
    static void (*const works[])(void) = {
        wait_for_children, send_signals, change_properties, filter_calls, leave_namespaces, trace_others,
    };

    for (unsigned index = 0; index < sizeof(works) / sizeof(*works); index++)
        waitpid(child_of(works[index]), 0, 0);
    return 0;
}
