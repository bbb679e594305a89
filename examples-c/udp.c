/* udp.c: see udp.h. */
#define _GNU_SOURCE
#include "udp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <leon_posix.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Bytes asked for as each of the socket's buffers: about 25 ms of datagrams at 1 Gbit/s. */
#define SOCKET_BUFFER (4 << 20)

/* What the kernel coalesces is as long as the longest IP packet at most. */
#define RECEIVE_ROOM 65536

/* Most buffers that one sendmmsg takes; the rest takes another. */
#define SEND_BATCH 64

/* The arrival time and the size of coalesced datagrams. */
struct receive_control {
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct timespec)) + CMSG_SPACE(sizeof(int))];
};

/* The size of datagrams to be cut. */
struct send_control {
    _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(uint16_t))];
};

/* Allocated once. Only the pages that datagrams touch become resident. */
struct udp_buffers {
    struct mmsghdr received[UDP_BATCH], sent[SEND_BATCH];
    struct sockaddr_storage from[UDP_BATCH], to[SEND_BATCH];
    struct receive_control arrival[UDP_BATCH];
    struct send_control segments[SEND_BATCH];
    struct iovec iov[UDP_BATCH];
    uint8_t bytes[UDP_BATCH][RECEIVE_ROOM];
};

const char *udp_counter_name(enum udp_counter counter) {
    static const char *const names[UDP_COUNTERS] = {"io_send_would_block", "io_send_too_long", "io_send_unreachable",
                                                    "io_send_failed", "io_receive_failed"};
    return names[counter];
}

static bool set(int fd, int level, int option, int value) {
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* What the socket does before it has an address. */
static bool set_up(int fd, int family) {
    /* Root may exceed the system's limit; without root, the limit is what there is. */
    if (!set(fd, SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BUFFER)) set(fd, SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER);
    if (!set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SOCKET_BUFFER)) set(fd, SOL_SOCKET, SO_SNDBUF, SOCKET_BUFFER);
    /* A datagram that is too long is refused rather than fragmented, and the kernel's idea of the path MTU, which
     * anybody can lower with a forged ICMP message, does not count. IPv6 sockets send IPv4 by the first of these. */
    if (!set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE)) return false;
    if (family == AF_INET6 && (!set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) ||
                               !set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE) ||
                               !set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1)))
        return false;
    /* Older kernels have neither: then each buffer holds one datagram, and it arrives when it is read. */
    set(fd, IPPROTO_UDP, UDP_GRO, 1);
    set(fd, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    return true;
}

/* Why the socket cannot be bound. */
static void explain(int code, const leon_address *listen, char error[ERROR_SIZE]) {
    char text[LEON_ADDRESS_TEXT_SIZE] = "";
    leon_address_to_text(listen, text, sizeof text);
    if (code == EADDRINUSE)
        snprintf(error, ERROR_SIZE, "another process listens on UDP %s: stop that process, or choose another port",
                 text);
    else if (code == EADDRNOTAVAIL)
        snprintf(error, ERROR_SIZE,
                 "no interface of this machine has the address of %s: listen on one that is configured", text);
    else if (code == EACCES)
        snprintf(error, ERROR_SIZE,
                 "listening on UDP port %u needs CAP_NET_BIND_SERVICE: run as root, or choose a port above 1023",
                 listen->port);
    else
        snprintf(error, ERROR_SIZE, "cannot listen on UDP %s: %s", text, strerror(code));
}

bool udp_open(struct udp *udp, const leon_address *listen, char error[ERROR_SIZE]) {
    struct sockaddr_storage address;
    memset(udp, 0, sizeof *udp);
    udp->family = listen->version == 6 ? AF_INET6 : AF_INET;
    socklen_t length = leon_address_to_sockaddr(listen, udp->family, &address);
    udp->fd = socket(udp->family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    udp->buffers = malloc(sizeof *udp->buffers);
    if (udp->fd < 0 || udp->buffers == NULL || !set_up(udp->fd, udp->family) ||
        bind(udp->fd, (struct sockaddr *)&address, length) != 0 ||
        getsockname(udp->fd, (struct sockaddr *)&address, &length) != 0) {
        explain(errno, listen, error);
        udp_close(udp);
        return false;
    }
    leon_address_from_sockaddr((struct sockaddr *)&address, &udp->local);
    return true;
}

void udp_close(struct udp *udp) {
    if (udp->fd >= 0) close(udp->fd);
    free(udp->buffers);
    udp->fd = -1;
    udp->buffers = NULL;
}

/* How long ago the kernel got a datagram. It tells in wall clock time; one that was set meanwhile is not believed. */
static leon_time age(const struct timespec *arrival, uint64_t wall_clock) {
    uint64_t arrived_at = (uint64_t)arrival->tv_sec * 1000000000u + (uint64_t)arrival->tv_nsec;
    return arrived_at <= wall_clock && wall_clock - arrived_at < 1000000000u ? wall_clock - arrived_at : 0;
}

/* Describes a buffer that recvmmsg has filled. */
static void describe(leon_datagram_in *in, struct mmsghdr *message, leon_time now, uint64_t wall_clock) {
    struct msghdr *header = &message->msg_hdr;
    *in = (leon_datagram_in){.data = header->msg_iov->iov_base, .len = message->msg_len, .received_at = now};
    leon_address_from_sockaddr(header->msg_name, &in->from);
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int size;
            memcpy(&size, CMSG_DATA(c), sizeof size);
            in->segment_size = (uint16_t)size;
        } else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec arrival;
            memcpy(&arrival, CMSG_DATA(c), sizeof arrival);
            in->received_at = now - age(&arrival, wall_clock);
        }
    }
}

size_t udp_receive(struct udp *udp) {
    struct udp_buffers *b = udp->buffers;
    for (size_t i = 0; i < UDP_BATCH; i++) {
        b->iov[i] = (struct iovec){b->bytes[i], RECEIVE_ROOM};
        b->received[i].msg_hdr = (struct msghdr){.msg_name = &b->from[i],
                                                 .msg_namelen = sizeof b->from[i],
                                                 .msg_iov = &b->iov[i],
                                                 .msg_iovlen = 1,
                                                 .msg_control = &b->arrival[i],
                                                 .msg_controllen = sizeof b->arrival[i]};
    }
    int count = recvmmsg(udp->fd, b->received, UDP_BATCH, 0, NULL);
    if (count < 0) {
        if (errno != EAGAIN && errno != EINTR) udp->counters[UDP_RECEIVE_FAILED]++;
        return 0;
    }
    leon_time now = clock_now();
    uint64_t wall_clock = clock_incarnation();
    for (int i = 0; i < count; i++) describe(&udp->in[i], &b->received[i], now, wall_clock);
    return (size_t)count;
}

static void count_unsent(struct udp *udp, int code, size_t datagrams) {
    enum udp_counter counter = UDP_SEND_FAILED;
    if (code == EAGAIN || code == ENOBUFS) counter = UDP_SEND_WOULD_BLOCK;
    if (code == EMSGSIZE) counter = UDP_SEND_TOO_LONG;
    if (code == ENETUNREACH || code == EHOSTUNREACH || code == ENETDOWN || code == ECONNREFUSED ||
        code == EAFNOSUPPORT)
        counter = UDP_SEND_UNREACHABLE;
    udp->counters[counter] += datagrams;
}

/* Sends the datagrams of one element one by one. Their pieces stand one after the other, none in two datagrams. */
static void send_singly(struct udp *udp, const leon_datagram_out *datagrams) {
    struct sockaddr_storage to;
    struct msghdr header = {.msg_name = &to};
    const leon_iov *piece = datagrams->iov, *end = piece + datagrams->iov_count;
    header.msg_namelen = leon_address_to_sockaddr(&datagrams->to, udp->family, &to);
    while (piece < end) {
        size_t len = 0;
        header.msg_iov = (struct iovec *)(uintptr_t)piece;
        for (header.msg_iovlen = 0; piece < end && len < datagrams->segment_size; header.msg_iovlen++)
            len += (piece++)->len;
        if (sendmsg(udp->fd, &header, 0) < 0) count_unsent(udp, errno, 1);
    }
}

/* Writes down one element for sendmmsg. The kernel cuts it into datagrams if it is told their size. */
static bool prepare(struct udp *udp, const leon_datagram_out *datagrams, size_t slot) {
    struct udp_buffers *b = udp->buffers;
    struct msghdr *header = &b->sent[slot].msg_hdr;
    *header = (struct msghdr){.msg_name = &b->to[slot],
                              .msg_iov = (struct iovec *)(uintptr_t)datagrams->iov, /* which sendmmsg only reads */
                              .msg_iovlen = datagrams->iov_count};
    header->msg_namelen = leon_address_to_sockaddr(&datagrams->to, udp->family, &b->to[slot]);
    if (datagrams->segment_size != 0) {
        header->msg_control = &b->segments[slot];
        header->msg_controllen = sizeof b->segments[slot];
        memset(&b->segments[slot], 0, sizeof b->segments[slot]);
        struct cmsghdr *c = CMSG_FIRSTHDR(header);
        c->cmsg_level = IPPROTO_UDP;
        c->cmsg_type = UDP_SEGMENT;
        c->cmsg_len = CMSG_LEN(sizeof datagrams->segment_size);
        memcpy(CMSG_DATA(c), &datagrams->segment_size, sizeof datagrams->segment_size);
    }
    return header->msg_namelen != 0;
}

/* Sends up to SEND_BATCH elements; how many of them are done with, sent or not: at least one. */
static size_t send_some(struct udp *udp, const leon_datagram_out *datagrams, size_t count) {
    size_t prepared = 0;
    while (prepared < count && prepared < SEND_BATCH && prepare(udp, &datagrams[prepared], prepared)) prepared++;
    if (prepared == 0) {
        count_unsent(udp, EAFNOSUPPORT, datagrams->segments);
        return 1;
    }
    int sent = sendmmsg(udp->fd, udp->buffers->sent, (unsigned)prepared, 0);
    if (sent > 0) return (size_t)sent;
    /* The kernel refuses the first. All but a full buffer may be due to the segmentation: an old kernel, a device
     * that makes no checksums, segments that do not fit the MTU. That costs one call for all of them. */
    if (errno != EAGAIN && datagrams->segments > 1)
        send_singly(udp, datagrams);
    else
        count_unsent(udp, errno, datagrams->segments);
    return 1;
}

void udp_send(struct udp *udp, const leon_datagram_out *datagrams, size_t count) {
    for (size_t done = 0; done < count;) done += send_some(udp, datagrams + done, count - done);
}
