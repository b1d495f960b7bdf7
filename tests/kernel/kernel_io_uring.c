/*
 * Requests through io_uring, with nothing but system calls: io_uring_setup(2), io_uring_enter(2).
 *
 * Usage: program SCENARIO RING_FLAGS SQE_FLAGS, in an empty directory. For every completion a line is
 * printed: the event that etracee should tell of it, the result, and of what was opened the file.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/openat2.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { OP_BIND = 56, OP_LISTEN = 57, OP_FTRUNCATE = 55 }; /* younger than the headers of some hosts */

static struct {
    int fd;
    unsigned flags, sqe_flags, waiting;
    unsigned *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
} ring;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void *map(size_t size, off_t what)
{
    void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd, what);

    if (at == MAP_FAILED)
        die("mmap");
    return at;
}

static void make_ring(unsigned entries, unsigned flags)
{
    struct io_uring_params p = {.flags = flags, .sq_thread_idle = 20};
    char *sq, *cq;

    ring.flags = flags;
    ring.fd = syscall(SYS_io_uring_setup, entries, &p);
    if (ring.fd < 0)
        die("io_uring_setup");
    sq = map(p.sq_off.array + p.sq_entries * sizeof(unsigned), IORING_OFF_SQ_RING);
    cq = map(p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
    ring.sqes = map(p.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    ring.sq_tail = (void *)(sq + p.sq_off.tail);
    ring.sq_mask = (void *)(sq + p.sq_off.ring_mask);
    ring.sq_array = (void *)(sq + p.sq_off.array);
    ring.cq_head = (void *)(cq + p.cq_off.head);
    ring.cq_tail = (void *)(cq + p.cq_off.tail);
    ring.cq_mask = (void *)(cq + p.cq_off.ring_mask);
    ring.cqes = (void *)(cq + p.cq_off.cqes);
}

static struct io_uring_sqe *request(int opcode)
{
    unsigned tail = *ring.sq_tail, at = tail & *ring.sq_mask;
    struct io_uring_sqe *sqe = &ring.sqes[at];

    *sqe = (struct io_uring_sqe){.opcode = opcode, .flags = ring.sqe_flags, .fd = AT_FDCWD, .user_data = 7};
    ring.sq_array[at] = at;
    return sqe;
}

/* Publish the request that was made last. */
static void add(void)
{
    ring.waiting++;
    __atomic_store_n(ring.sq_tail, *ring.sq_tail + 1, __ATOMIC_RELEASE);
}

static void enter(unsigned completions)
{
    unsigned flags = completions ? IORING_ENTER_GETEVENTS : 0;

    if (ring.flags & IORING_SETUP_SQPOLL)
        flags |= IORING_ENTER_SQ_WAKEUP;
    if (syscall(SYS_io_uring_enter, ring.fd, ring.waiting, completions, flags, NULL, 0) < 0)
        die("io_uring_enter");
    ring.waiting = 0;
}

static int result(void)
{
    int res;

    while (__atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE) == *ring.cq_head)
        enter(1);
    res = ring.cqes[*ring.cq_head & *ring.cq_mask].res;
    __atomic_store_n(ring.cq_head, *ring.cq_head + 1, __ATOMIC_RELEASE);
    return res;
}

static int tell(const char *event, int res, int opened)
{
    char link[64], file[4096] = "-";

    snprintf(link, sizeof(link), "/proc/self/fd/%d", res);
    if (opened && res >= 0) {
        ssize_t size = readlink(link, file, sizeof(file) - 1);
        file[size < 0 ? 0 : size] = 0;
    }
    printf("%s %d %s\n", event, res, file);
    return res;
}

static int finish(const char *event, int opened)
{
    add();
    enter(1);
    return tell(event, result(), opened);
}

static unsigned long at(const void *pointer)
{
    return (unsigned long)pointer;
}

static void open_file(int directory, const char *name, int flags, int mode)
{
    struct io_uring_sqe *sqe = request(IORING_OP_OPENAT);

    sqe->fd = directory;
    sqe->addr = at(name);
    sqe->open_flags = flags;
    sqe->len = mode;
}

static int named(int opcode, const char *event, const char *name, unsigned flags)
{
    struct io_uring_sqe *sqe = request(opcode);

    sqe->addr = at(name);
    sqe->unlink_flags = flags;
    return finish(event, 0);
}

static int two_names(int opcode, const char *event, const char *old, const char *new, unsigned flags)
{
    struct io_uring_sqe *sqe = request(opcode);

    sqe->addr = at(old);
    sqe->addr2 = at(new);
    sqe->len = opcode == IORING_OP_SYMLINKAT ? 0 : AT_FDCWD;
    sqe->rename_flags = flags;
    return finish(event, 0);
}

static void files(void)
{
    struct open_how how = {.flags = O_RDWR | O_CREAT, .mode = 0600};
    struct io_uring_sqe *sqe;
    int fd, directory;

    mkdir("d", 0755);
    directory = open("d", O_PATH);
    open_file(AT_FDCWD, "made", O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    fd = finish("io_uring_openat", 1);
    open_file(directory, "../made", O_RDONLY, 0);
    finish("io_uring_openat", 1);
    open_file(AT_FDCWD, "absent", O_WRONLY, 0);
    finish("io_uring_openat", 1);
    open_file(999, "relative", O_RDONLY, 0);
    finish("io_uring_openat", 1);
    open_file(AT_FDCWD, (char *)8, O_RDONLY, 0);
    finish("io_uring_openat", 1);
    open_file(AT_FDCWD, "", O_RDONLY, 0);
    finish("io_uring_openat", 1);
    sqe = request(IORING_OP_OPENAT2);
    sqe->addr = at("second"), sqe->addr2 = at(&how), sqe->len = sizeof(how);
    finish("io_uring_openat2", 1);
    sqe = request(IORING_OP_OPENAT2);
    sqe->addr = at("third"), sqe->addr2 = at(&how), sqe->len = 8;
    finish("io_uring_openat2", 1);
    sqe = request(IORING_OP_MKDIRAT);
    sqe->fd = directory, sqe->addr = at("inner"), sqe->len = 0700;
    finish("io_uring_mkdirat", 0);
    two_names(IORING_OP_RENAMEAT, "io_uring_renameat", "second", "d/moved", 1 /* RENAME_NOREPLACE */);
    two_names(IORING_OP_LINKAT, "io_uring_linkat", "d/moved", "linked", 0);
    two_names(IORING_OP_SYMLINKAT, "io_uring_symlinkat", "target", "pointer", 0);
    named(IORING_OP_UNLINKAT, "io_uring_unlinkat", "pointer", 0);
    named(IORING_OP_UNLINKAT, "io_uring_unlinkat", "d/inner", AT_REMOVEDIR);
    named(IORING_OP_UNLINKAT, "io_uring_unlinkat", "absent", 0);
    sqe = request(IORING_OP_STATX);
    sqe->addr = at("made"), sqe->len = 0x7ff, sqe->off = at(malloc(4096));
    finish("io_uring_statx", 0);
    sqe = request(OP_FTRUNCATE);
    sqe->fd = fd, sqe->off = 123;
    finish("io_uring_ftruncate", 0);
    sqe = request(IORING_OP_SETXATTR);
    sqe->addr = at("user.note"), sqe->addr2 = at("value"), sqe->len = 5, sqe->addr3 = at("made");
    finish("io_uring_setxattr", 0);
    sqe = request(IORING_OP_FSETXATTR);
    sqe->fd = fd, sqe->addr = at("user.other"), sqe->addr2 = at("value"), sqe->len = 5;
    finish("io_uring_fsetxattr", 0);
    sqe = request(IORING_OP_WRITE);
    sqe->fd = fd, sqe->addr = at("hello"), sqe->len = 5, sqe->off = 10;
    finish("io_uring_write", 0);
    sqe = request(IORING_OP_CLOSE);
    sqe->fd = fd;
    finish("io_uring_close", 0);
}

static void network(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in refusing = {.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(own);
    struct io_uring_sqe *sqe;
    int listening, client;

    sqe = request(IORING_OP_SOCKET);
    sqe->fd = AF_INET, sqe->off = SOCK_STREAM | SOCK_CLOEXEC, sqe->len = IPPROTO_TCP;
    listening = finish("io_uring_socket", 0);
    sqe = request(OP_BIND);
    sqe->fd = listening, sqe->addr = at(&own), sqe->addr2 = sizeof(own);
    if (finish("io_uring_bind", 0) == -EINVAL)
        bind(listening, (struct sockaddr *)&own, sizeof(own));
    sqe = request(OP_LISTEN);
    sqe->fd = listening, sqe->len = 5;
    if (finish("io_uring_listen", 0) == -EINVAL)
        listen(listening, 5);
    getsockname(listening, (struct sockaddr *)&own, &size);
    printf("port %d -\n", ntohs(own.sin_port));
    tell("listening", listening, 1);
    client = socket(AF_INET, SOCK_STREAM, 0);
    sqe = request(IORING_OP_CONNECT);
    sqe->fd = client, sqe->addr = at(&own), sqe->addr2 = sizeof(own);
    finish("io_uring_connect", 0);
    sqe = request(IORING_OP_ACCEPT);
    sqe->fd = listening, sqe->accept_flags = SOCK_CLOEXEC;
    finish("io_uring_accept", 0);
    sqe = request(IORING_OP_CONNECT);
    sqe->fd = socket(AF_INET, SOCK_STREAM, 0), sqe->addr = at(&refusing), sqe->addr2 = sizeof(refusing);
    finish("io_uring_connect", 0);
    sqe = request(IORING_OP_CONNECT);
    sqe->fd = client, sqe->addr = 8, sqe->addr2 = sizeof(own);
    finish("io_uring_connect", 0);
    sqe = request(IORING_OP_SEND);
    sqe->fd = socket(AF_INET, SOCK_DGRAM, 0), sqe->addr = at("datagram"), sqe->len = 8;
    sqe->addr2 = at(&own), sqe->addr_len = sizeof(own);
    finish("io_uring_send", 0);
    sqe = request(IORING_OP_SHUTDOWN);
    sqe->fd = client, sqe->len = SHUT_RDWR;
    finish("io_uring_shutdown", 0);
}

/* One request takes three connections. */
static void multishot(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof(own);
    struct io_uring_sqe *sqe;

    bind(listening, (struct sockaddr *)&own, sizeof(own));
    listen(listening, 5);
    getsockname(listening, (struct sockaddr *)&own, &size);
    sqe = request(IORING_OP_ACCEPT);
    sqe->fd = listening, sqe->ioprio = IORING_ACCEPT_MULTISHOT;
    add();
    enter(0);
    for (int i = 0; i < 3; i++) {
        connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&own, sizeof(own));
        tell("io_uring_accept", result(), 0);
    }
}

/* All of one submission: the descriptor that the first opens is another file's when the first is told of. */
static void reused(void)
{
    int next = dup(0);

    close(next);
    open_file(AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
    add();
    request(IORING_OP_CLOSE)->fd = next;
    add();
    open_file(AT_FDCWD, "/etc/hostname", O_RDONLY, 0);
    add();
    enter(3);
    tell("io_uring_openat", result(), 0);
    result();
    tell("io_uring_openat", result(), 0);
}

/* More completions than the queue holds; all have the same name. */
static void overflow(void)
{
    static const char *const names[] = {"/etc/passwd", "/etc/group", "/etc/hostname", "/etc/hosts", "/absent"};

    for (int i = 0; i < 5; i++) {
        open_file(AT_FDCWD, names[i], O_RDONLY, 0);
        add();
        enter(0);
    }
    for (int i = 0; i < 5; i++)
        tell("io_uring_openat", result(), 1);
}

/* Success is not to be told, failure is. */
static void unanswered(void)
{
    ring.sqe_flags |= IOSQE_CQE_SKIP_SUCCESS;
    open_file(AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
    add();
    enter(0);
    open_file(AT_FDCWD, "/absent", O_RDONLY, 0);
    add();
    enter(1);
    result();
    ring.sqe_flags = 0;
    open_file(AT_FDCWD, "/etc/group", O_RDONLY, 0);
    finish("io_uring_openat", 1);
}

/* What is kept of a request that nobody answers is not that of those for which the kernel uses it next. */
static void used_again(void)
{
    int is_held_up = getenv("HELD_UP") != NULL;

    ring.sqe_flags |= IOSQE_CQE_SKIP_SUCCESS;
    open_file(AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
    add();
    enter(0);
    ring.sqe_flags = 0;
    if (is_held_up) {
        puts("waiting");
        fflush(stdout);
        getchar();
    }
    for (int i = 0; i < 8; i++) {
        request(IORING_OP_NOP);
        finish("io_uring_nop", 0);
    }
}

/* The ring's own table of files: descriptors in it are indices. */
static void fixed(void)
{
    int fd = open("made", O_CREAT | O_RDWR, 0600);
    struct io_uring_sqe *sqe;

    if (syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &fd, 1) < 0)
        die("io_uring_register");
    sqe = request(IORING_OP_WRITE);
    sqe->flags |= IOSQE_FIXED_FILE, sqe->fd = 0, sqe->addr = at("hello"), sqe->len = 5;
    finish("io_uring_write", 0);
    sqe = request(IORING_OP_CLOSE);
    sqe->fd = 0, sqe->file_index = 1;
    finish("io_uring_close", 0);
}

/* A request that does not end before the program does, which waits for a line. */
static void pending(void)
{
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listening = socket(AF_INET, SOCK_STREAM, 0);

    bind(listening, (struct sockaddr *)&own, sizeof(own));
    listen(listening, 5);
    request(IORING_OP_ACCEPT)->fd = listening;
    add();
    enter(0);
    puts("waiting");
    fflush(stdout);
    getchar();
}

int main(int count, char **words)
{
    static const struct {
        const char *name;
        void (*run)(void);
        unsigned entries;
    } scenarios[] = {
        {"files", files, 8},       {"network", network, 8}, {"multishot", multishot, 8},   {"reused", reused, 8},
        {"overflow", overflow, 1}, {"pending", pending, 8}, {"unanswered", unanswered, 8},
        {"fixed", fixed, 8}, {"used-again", used_again, 8},
    };

    if (count != 4)
        return 2;
    for (unsigned i = 0; i < sizeof(scenarios) / sizeof(*scenarios); i++) {
        if (!strcmp(words[1], scenarios[i].name)) {
            ring.sqe_flags = strtoul(words[3], NULL, 0);
            make_ring(scenarios[i].entries, strtoul(words[2], NULL, 0));
            scenarios[i].run();
        }
    }
    return 0;
}
