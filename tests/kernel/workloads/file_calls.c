/* Calls on files and descriptors, with flags one by one and together, and with hostile arguments. */
#include "workload.h"
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <linux/openat2.h>

static const char *directory;

static const char *in(const char *name)
{
    static char path[4][4096];
    static int turn;
    char *place = path[turn++ % 4];

    strcat(strcat(strcpy(place, directory), "/"), name);
    return place;
}

static void open_files(void)
{
    struct open_how how = {0};

    for (int bit = 0; bit < 32; bit++) {
        call(open, in("none/x"), 1u << bit, 0644);
        call(openat, -1, "x", 1u << bit | (1u << (bit + 1) % 32), 07777);
    }
    call(open, in("made"), O_CREAT | O_EXCL | O_RDWR | O_SYNC | O_CLOEXEC, 04751);
    call(open, in(""), O_TMPFILE | O_WRONLY, 0600);
    call(open, "", 3);
    call(open, nowhere, 0);
    call(creat, in("created"), 01777);
    call(creat, in("none/created"), 0170000);
    for (int bit = 0; bit < 64; bit++) {
        how.resolve = 1ull << bit;
        call(openat2, AT_FDCWD, directory, &how, sizeof(how));
    }
    how.resolve = 0;
    how.flags = 1ull << 40 | O_CREAT;
    how.mode = 01777;
    call(openat2, AT_FDCWD, in("none/y"), &how, sizeof(how));
    how.flags = O_CREAT | O_RDWR;
    how.mode = 0600;
    call(openat2, AT_FDCWD, in("opened"), at_the_edge(&how, sizeof(how)), sizeof(how));
    call(openat2, AT_FDCWD, in("opened"), &how, 8);
    call(openat2, AT_FDCWD, in("opened"), 0, sizeof(how));
    call(openat2, AT_FDCWD, in("opened"), nowhere, sizeof(how));
}

static void change_names(void)
{
    call(mkdir, in("dir"), 0750);
    call(mkdirat, -1, "x", 07777);
    call(rename, in("made"), in("moved"));
    for (int bit = 0; bit < 8; bit++) {
        call(renameat2, AT_FDCWD, in("none/a"), -1, "b", 1 << bit);
        call(linkat, -1, "a", AT_FDCWD, in("none/b"), 0x100 << bit);
        call(unlinkat, -1, "a", 0x100 << bit);
    }
    call(link, in("moved"), in("linked"));
    call(symlink, "where\xff", in("link"));
    call(symlinkat, "", -1, "x");
    call(rmdir, in("dir"));
    call(unlink, in("linked"));
    call(unlink, 0);
    call(unlink, nowhere);
    for (int type = 0; type < 16; type++) {
        call(mknod, in("none/node"), type << 12 | 0644, makedev(1, 3));
        call(mknodat, -1, "node", type << 12, 0xffffffff);
    }
    call(mknodat, -1, "node", 0107777, 0x12345678);
}

static void change_attributes(void)
{
    struct timespec times[] = {{1, 2}, {0x123456789, UTIME_OMIT}};
    struct timespec now[] = {{0, UTIME_NOW}, {-5, 1000000000}};
    long utimbuf[] = {1, -1}, timevals[] = {1, 999999, -3, 1000001};
    char moved[4096];

    strcpy(moved, in("moved"));
    for (int bit = 0; bit < 16; bit++) {
        call(chmod, moved, 1 << bit);
        call(fchmodat, -1, "x", 1 << bit);
        call(faccessat, -1, "x", 1 << bit);
        call(faccessat2, -1, "x", 0, 1 << bit);
        call(newfstatat, -1, "x", nowhere, 1 << bit);
        call(statx, -1, "x", 1 << bit, 0x7ff, nowhere);
        call(statx, -1, "x", 0x6000, 1u << bit | 1u << (bit + 16), nowhere);
        call(utimensat, -1, "x", times, 1 << bit);
        call(fchownat, -1, "x", bit, -bit, 1 << bit);
    }
    call(fchmod, -1, 07777);
    call(access, moved, R_OK | X_OK);
    call(access, moved, 0x77);
    call(chown, moved, -1, -1);
    call(lchown, moved, 0, -1);
    call(fchown, -1, 7, 0x7fffffff);
    call(truncate, moved, 5L);
    call(truncate, "/nonexistent", -1L);
    call(ftruncate, -1, 1L << 62);
    call(utimensat, AT_FDCWD, moved, times, 0);
    call(utimensat, AT_FDCWD, moved, at_the_edge(now, sizeof(now)), 0);
    call(utimensat, AT_FDCWD, moved, 0, 0);
    call(utimensat, AT_FDCWD, moved, nowhere, 0);
    call(utimensat, AT_FDCWD, moved, at_the_edge(now, 16), 0);
    call(utime, moved, utimbuf);
    call(utime, moved, 0);
    call(utimes, moved, timevals);
    call(futimesat, -1, "x", timevals);
    call(umask, 027);
    call(umask, 022);
    for (int flags = 0; flags < 4; flags++) {
        call(setxattr, moved, "user.a\xff", "value", 5L, flags);
        call(lsetxattr, moved, "security.x", nowhere, 1L << 40, flags);
        call(fsetxattr, -1, nowhere, "x", 1L, flags << 3);
    }
    call(getxattr, moved, "user.a", 0, 0);
    call(listxattr, moved, 0, 0);
    call(removexattr, moved, "user.\"");
}

static void use_descriptors(void)
{
    struct iovec vectors[300];
    struct flock lock = {F_WRLCK, SEEK_SET, 3, 9, 0}, other = {F_UNLCK, SEEK_END, -1, 0, 0};
    int owner[] = {1, getpid()}, pipes[2];
    char buffer[4096] = {0};
    loff_t in_offset = 1, out_offset = 2;
    int fd = call(open, in("moved"), O_RDWR), memory;

    for (int index = 0; index < 300; index++)
        vectors[index] = (struct iovec){buffer + index, index % 3};
    call(write, fd, buffer, 4096L);
    call(read, fd, buffer, 100L);
    call(read, -1, 0, -1L);
    call(pread64, fd, buffer, 5L, 1L << 33);
    call(pwrite64, fd, buffer, 5L, 9L);
    call(pread64, fd, buffer, 5L, -1L);
    call(readv, fd, vectors, 3L);
    call(writev, fd, vectors, 64L);
    call(writev, fd, vectors, 65L);
    call(writev, fd, vectors, 300L);
    call(writev, fd, vectors, 0L);
    call(writev, fd, vectors, -1L);
    call(writev, fd, 0, 2L);
    call(writev, fd, nowhere, 2L);
    call(writev, fd, at_the_edge(vectors, 32), 3L);
    vectors[1].iov_len = -1;
    call(writev, fd, vectors, 3L);
    vectors[1].iov_len = 7;
    for (int bit = 0; bit < 9; bit++) {
        call(preadv2, -1, vectors, 1L, 1L << 40, 0L, 1 << bit);
        call(pwritev2, -1, vectors, 2L, -1L, 0L, 1 << bit);
    }
    call(preadv, fd, vectors, 1L, 3L, 0L);
    for (int whence = 0; whence < 6; whence++)
        call(lseek, fd, -3L, whence);
    for (int command = 0; command < 40; command++)
        call(fcntl, -1, command, 3L);
    for (int command = 1024; command < 1042; command++)
        call(fcntl, -1, command, 0x3fL);
    call(fcntl, fd, F_SETFD, FD_CLOEXEC);
    call(fcntl, fd, F_SETFD, 0xffL);
    call(fcntl, fd, F_SETFL, O_APPEND | O_NONBLOCK | O_NOATIME);
    call(fcntl, fd, F_SETLK, &lock);
    call(fcntl, fd, F_SETLKW, &other);
    call(fcntl, fd, F_GETLK, &lock);
    lock.l_pid = 0;
    call(fcntl, fd, F_OFD_SETLK, &lock);
    call(fcntl, fd, F_OFD_SETLK, at_the_edge(&lock, 16));
    call(fcntl, fd, F_SETLK, nowhere);
    call(fcntl, fd, F_SETOWN_EX, owner);
    call(fcntl, fd, F_GETOWN_EX, owner);
    call(fcntl, fd, F_SETLEASE, (long)F_UNLCK);
    call(fcntl, fd, F_NOTIFY, 0x80000003L);
    memory = call(memfd_create, "seal", MFD_ALLOW_SEALING);
    call(fcntl, memory, F_ADD_SEALS, 0x6L);
    for (int bit = 0; bit < 32; bit++) {
        call(memfd_create, nowhere, 1u << bit);
        call(flock, -1, 1 << bit);
        call(fallocate, -1, 1u << bit, 1L << 40, 2L);
        call(dup3, -1, 5, 1u << bit);
        call(pipe2, 0, 1u << bit);
        call(splice, -1, 0, -1, 0, 5L, 1u << bit);
        call(inotify_init1, 1u << bit);
        call(inotify_add_watch, -1, "x", 1u << bit);
        call(fanotify_init, 1u << bit, 1u << bit);
        call(fanotify_mark, -1, 1u << bit, 1ull << bit | 1ull << (bit + 32), -1, "x");
        call(close_range, 1000, 999, 1u << bit);
        call(sync_file_range, -1, 1L, 2L, 1u << bit);
    }
    call(memfd_create, "huge", 4 | 21u << 26);
    call(pipe, pipes);
    call(pipe2, pipes, O_CLOEXEC | O_NONBLOCK);
    call(pipe, nowhere);
    call(dup, fd);
    call(dup2, fd, 17);
    call(copy_file_range, fd, &in_offset, fd, &out_offset, 1L << 40, 0);
    call(copy_file_range, fd, 0, -1, nowhere, 1L, 0x10);
    call(sendfile, pipes[1], fd, &in_offset, 3L);
    call(sendfile, -1, fd, 0, 3L);
    call(splice, fd, &out_offset, pipes[1], 0, 5L, 0);
    for (int advice = 0; advice < 10; advice++)
        call(fadvise64, -1, 1L, 2L, advice);
    memory = call(open, directory, O_DIRECTORY);
    call(getdents64, memory, buffer, 4096);
    call(close, 17);
    call(close, -1);
}

static void send_commands(void)
{
    static const unsigned commands[] = {
        0x5401, 0x5402, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451, 0x80045430, 0x400454ca, 0x80086601,
        0x40049409, 0x8912, 0x8933, 0xae01, 0xc020660b, 0x4c00, 0x1234, 0xffffffff, 0, 0xdeadbeef,
    };

    for (unsigned index = 0; index < sizeof(commands) / sizeof(*commands); index++)
        call(ioctl, -1, commands[index], 0L);
    for (unsigned bit = 0; bit < 32; bit++)
        call(ioctl, -1, 1u << bit | 0x77, 0L);
}

static void use_handles(void)
{
    struct {
        unsigned size;
        int type;
        char data[128];
    } handle = {128, 0, {0}};
    int mount;
    char moved[4096];

    strcpy(moved, in("moved"));
    call(name_to_handle_at, AT_FDCWD, moved, &handle, &mount, 0);
    call(open_by_handle_at, -1, &handle, O_RDONLY | O_CLOEXEC);
    handle.size = 4;
    call(name_to_handle_at, AT_FDCWD, moved, &handle, &mount, AT_SYMLINK_FOLLOW);
    call(name_to_handle_at, -1, "x", nowhere, 0, AT_EMPTY_PATH);
    call(open_by_handle_at, -1, nowhere, O_PATH);
}

static void change_mounts(void)
{
    uint64_t attributes[] = {0x1, 0x70, 1 << 18, 5}, wrong[] = {1ull << 50, 0x200000, 0, 0};
    int context = call(fsopen, "tmpfs", 1);

    for (int bit = 0; bit < 32; bit++) {
        call(mount, "none", "/nonexistent", "tmpfs", 1ul << bit, "size=1k,mode=\xff");
        call(umount2, "/nonexistent", 1u << bit);
        call(fsmount, -1, 1u << bit, 1u << bit);
        call(open_tree, -1, "x", 1u << bit);
        call(move_mount, -1, "x", -1, "y", 1u << bit);
        call(fspick, -1, "x", 1u << bit);
        call(mount_setattr, -1, "x", 1u << bit, attributes, sizeof(attributes));
    }
    call(mount, 0, "/nonexistent", 0, 0xc0ed0000ul | 0x1000, 0);
    call(mount, nowhere, nowhere, nowhere, 0ul, nowhere);
    call(mount_setattr, -1, "x", 0, wrong, sizeof(wrong));
    call(mount_setattr, -1, "x", 0, attributes, 8L);
    call(mount_setattr, -1, "x", 0, nowhere, sizeof(wrong));
    for (int command = 0; command < 10; command++)
        call(fsconfig, context, command, "size", "1048576", command ? 0 : -3);
    call(fsconfig, -1, 1, nowhere, nowhere, 0);
    call(pivot_root, "/nonexistent", "old");
    call(chroot, "/nonexistent\n");
    call(swapon, "/nonexistent", 0x18003);
    call(swapoff, "/nonexistent");
    for (int type = 0; type < 3; type++)
        for (unsigned command = 0x800001; command < 0x80000a; command++)
            call(quotactl, command << 8 | type, "/dev/none", 5, 0);
    call(quotactl, 0x580301u, "/dev/none", 5, nowhere);
}

int main(int count, char **words)
{
    directory = words[count - 1];
    open_files();
    change_names();
    change_attributes();
    use_descriptors();
    send_commands();
    use_handles();
    change_mounts();
    return 0;
}
