/* Calls on sockets of many families, with what they return, and with hostile arguments. */
#include "workload.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char *directory;

struct address {
    struct sockaddr_storage bytes;
    int length;
};

static struct address addresses[16];
static int known;

static void keep(const void *address, int length)
{
    memcpy(&addresses[known].bytes, address, length);
    addresses[known++].length = length;
}

static void make_addresses(void)
{
    struct sockaddr_in in = {AF_INET, htons(4711), {htonl(0x7f000001)}, {0}};
    struct sockaddr_in6 in6 = {AF_INET6, htons(1), htonl(0x12345), IN6ADDR_LOOPBACK_INIT, 7};
    struct sockaddr_un un = {AF_UNIX, {0}};
    struct sockaddr_nl nl = {AF_NETLINK, 0, 4242, 0x80000001};
    struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_port = 0x12345678, .svm_cid = 3};
    struct sockaddr_ll ll = {AF_PACKET, htons(0x88cc), 9, 1, 0, 6, {1, 2, 3}};
    unsigned short family[] = {AF_BLUETOOTH, AF_APPLETALK, 0, 1234};

    keep(&in, sizeof(in));
    keep(&in6, sizeof(in6));
    in6.sin6_addr.s6_addr[0] = 0xfe;
    in6.sin6_addr.s6_addr[1] = 0x80;
    in6.sin6_flowinfo = 0;
    keep(&in6, sizeof(in6));
    strcat(strcpy(un.sun_path, directory), "/so\xc3\xa9\xff");
    keep(&un, sizeof(un));
    memcpy(un.sun_path, "\0abstract\n\0x", 12);
    keep(&un, offsetof(struct sockaddr_un, sun_path) + 12);
    keep(&un, offsetof(struct sockaddr_un, sun_path));
    memset(un.sun_path, 'l', sizeof(un.sun_path));
    keep(&un, sizeof(un));
    keep(&nl, sizeof(nl));
    keep(&vm, sizeof(vm));
    keep(&ll, sizeof(ll));
    keep(family, sizeof(family));
    keep(family + 3, 2);
}

static void make_sockets(void)
{
    int pair[2];

    for (int family = -1; family < 48; family++)
        for (int protocol = 0; protocol < 4; protocol++)
            if (family != AF_IRDA) /* strace 6.1 gives it the protocols of AF_CAN */
                call(socket, family, 0x800 | 15, protocol);
    for (int type = 0; type < 16; type++)
        call(socket, AF_INET, type | 0x7000000, IPPROTO_MPTCP);
    for (int protocol = 0; protocol < 256; protocol++) {
        call(socket, AF_INET, 15, protocol);
        call(socket, AF_INET6, 15, protocol);
        call(socket, AF_NETLINK, 15, protocol);
        call(socket, AF_PACKET, 15, htons(protocol << 4));
    }
    call(socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);
    call(socketpair, AF_UNIX, SOCK_SEQPACKET, 0, nowhere);
    call(socketpair, AF_INET, SOCK_STREAM, IPPROTO_TCP, pair);
}

static void use_addresses(void)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_VSOCK};
    struct sockaddr_storage left;
    int length;

    for (unsigned index = 0; index < sizeof(families) / sizeof(*families); index++) {
        int family = families[index];
        int fd = call(socket, family, SOCK_DGRAM | SOCK_NONBLOCK, 0);

        for (int each = 0; each < known; each++) {
            const struct address *to = &addresses[each];

            call(connect, fd, &to->bytes, to->length);
            call(bind, fd, &to->bytes, to->length);
            call(sendto, fd, "abc", 3L, 1 << each, &to->bytes, to->length);
            call(connect, fd, at_the_edge(&to->bytes, to->length), to->length + 1);
        }
        for (int cut = -1; cut < 30; cut += cut == 24 ? 4 : 1) /* strace reads 28 for 25 */
            call(connect, -1, &addresses[index].bytes, cut);
        call(connect, fd, &addresses[0].bytes, 128);
        call(connect, fd, &addresses[0].bytes, 129);
        call(connect, fd, 0, 16);
        call(connect, fd, nowhere, 16);
        length = sizeof(left);
        call(getsockname, fd, &left, &length);
        length = 3;
        call(getsockname, -1, &left, &length);
        length = sizeof(left);
        call(getpeername, fd, &left, &length);
        call(getsockname, fd, nowhere, &length);
        call(getsockname, fd, &left, nowhere);
        call(getsockname, fd, 0, 0);
    }
}

static void pass_messages(int from, int to)
{
    char data[64] = "message", control[64] = {0};
    struct iovec vectors[300];
    struct cmsghdr *head = (struct cmsghdr *)control;
    struct sockaddr_storage left;
    struct msghdr message = {0, 0, vectors, 3, control, CMSG_LEN(sizeof(int)), 0};
    struct msghdr take = {&left, sizeof(left), vectors, 2, control, sizeof(control), 0};
    struct mmsghdr several[2];

    for (int index = 0; index < 300; index++)
        vectors[index] = (struct iovec){data + index % 50, index % 4};
    *head = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    *(int *)CMSG_DATA(head) = 1;
    call(sendmsg, from, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    call(recvmsg, to, &take, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    take.msg_namelen = sizeof(left);
    take.msg_controllen = sizeof(control);
    call(recvmsg, to, &take, MSG_DONTWAIT);
    message.msg_control = 0;
    message.msg_controllen = 0;
    for (int each = 0; each < known; each++) {
        message.msg_name = &addresses[each].bytes;
        message.msg_namelen = addresses[each].length;
        call(sendmsg, -1, &message, 1u << each);
        call(sendmsg, -1, &message, 1u << (each + 16));
    }
    several[0].msg_hdr = several[1].msg_hdr = message;
    several[0].msg_hdr.msg_name = several[1].msg_hdr.msg_name = 0;
    several[0].msg_hdr.msg_namelen = several[1].msg_hdr.msg_namelen = 0;
    call(sendmmsg, from, several, 2u, MSG_DONTWAIT);
    several[0].msg_hdr = several[1].msg_hdr = take;
    several[0].msg_hdr.msg_controllen = several[1].msg_hdr.msg_controllen = 0;
    call(recvmmsg, to, several, 2u, MSG_DONTWAIT, 0);
    call(sendmmsg, -1, nowhere, 1u, 0);
    message.msg_name = nowhere;
    message.msg_iovlen = 300;
    call(sendmsg, from, &message, MSG_DONTWAIT);
    message.msg_name = 0;
    message.msg_namelen = 0;
    message.msg_iovlen = 1;
    message.msg_iov = nowhere;
    call(sendmsg, from, &message, MSG_DONTWAIT);
    call(sendmsg, from, nowhere, 0);
    call(sendmsg, from, at_the_edge(&message, 40), 0);
    call(recvmsg, -1, nowhere, 0);
}

static void take_connections(void)
{
    struct sockaddr_in6 any = {AF_INET6, 0, 0, IN6ADDR_LOOPBACK_INIT, 0};
    struct sockaddr_storage left;
    int listener = call(socket, AF_INET6, SOCK_STREAM, 0);
    int length = sizeof(any), peer, taken;
    char data[8];

    call(bind, listener, &any, sizeof(any));
    call(listen, listener, 5);
    call(listen, -1, -1);
    call(getsockname, listener, &any, &length);
    for (int round = 0; round < 3; round++) {
        peer = call(socket, AF_INET6, SOCK_STREAM, IPPROTO_TCP);
        call(connect, peer, &any, sizeof(any));
        length = sizeof(left);
        if (round == 0)
            taken = call(accept, listener, &left, &length);
        else if (round == 1)
            taken = call(accept4, listener, &left, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        else
            taken = call(accept4, listener, 0, 0, 0);
        length = sizeof(left);
        call(getpeername, taken, &left, &length);
        call(sendto, peer, "abc", 3L, 0, 0, 0);
        length = sizeof(left);
        call(recvfrom, taken, data, 8L, 0, &left, &length);
        call(shutdown, peer, round);
        call(close, taken);
        call(close, peer);
    }
    call(accept4, -1, &left, &length, 0x40);
    call(accept, -1, nowhere, nowhere);
    call(shutdown, -1, 7);
}

static void ask_options(void)
{
    static const int levels[] = {0, 1, 6, 17, 41, 58, 132, 255, 263, 270, 273, 282, 283, 999};
    int value = 1, length, fd = call(socket, AF_INET, SOCK_STREAM, 0);

    for (unsigned index = 0; index < sizeof(levels) / sizeof(*levels); index++)
        for (int option = 0; option < 140; option++) {
            length = 0;
            call(getsockopt, -1, levels[index], option, 0, &length);
            call(setsockopt, -1, levels[index], option, 0, 0);
        }
    call(setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &value, 4);
    call(setsockopt, fd, SOL_SOCKET, SO_KEEPALIVE, &value, 4);
    call(setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, at_the_edge(&value, 2), 4);
    call(setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &value, 2);
    call(setsockopt, fd, SOL_SOCKET, SO_REUSEADDR, &value, -1);
    call(setsockopt, fd, IPPROTO_TCP, 1, &value, 4);
    length = 4;
    call(getsockopt, fd, SOL_SOCKET, SO_TYPE, &value, &length);
    call(getsockopt, fd, SOL_SOCKET, SO_ERROR, &value, nowhere);
}

int main(int count, char **words)
{
    int pair[2], length;
    struct sockaddr_in local = {AF_INET, 0, {htonl(0x7f000001)}, {0}};
    struct sockaddr_storage left;
    char data[8];

    directory = words[count - 1];
    make_addresses();
    make_sockets();
    use_addresses();
    take_connections();
    ask_options();
    call(socketpair, AF_UNIX, SOCK_DGRAM, 0, pair);
    pass_messages(pair[0], pair[1]);
    pair[0] = call(socket, AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    pair[1] = call(socket, AF_INET, SOCK_DGRAM, IPPROTO_UDP);
    call(bind, pair[1], &local, sizeof(local));
    length = sizeof(local);
    call(getsockname, pair[1], &local, &length);
    call(sendto, pair[0], "xyz", 3L, MSG_CONFIRM, &local, sizeof(local));
    length = sizeof(left);
    call(recvfrom, pair[1], data, 8L, MSG_TRUNC, &left, &length);
    call(connect, pair[0], &local, sizeof(local));
    pass_messages(pair[0], pair[1]);
    return 0;
}
