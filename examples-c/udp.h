/*
 * udp.h: the node's one UDP socket on Linux: batches in both directions, segmentation and coalescing by the kernel
 * (UDP GSO and GRO), arrival times, and never an IP fragment. Shared by the agents; knows nothing of what is in a
 * datagram.
 *
 *     struct udp udp;
 *     if (!udp_open(&udp, &listen, error)) ...
 *     for (;;) {                                     when udp.fd is readable, as epoll(7) tells:
 *         size_t count = udp_receive(&udp);
 *         leon_forwarder_datagrams_in(forwarder, clock_now(), udp.in, count, NULL);
 *     }                                              and from inside datagrams_out: udp_send(&udp, datagrams, count)
 */
#ifndef UDP_H
#define UDP_H

#include <leon.h>
#include <stdbool.h>

#include "keys.h"

/* Most buffers that one call receives; each may hold many datagrams. */
enum { UDP_BATCH = 32 };

/* What `max_segments` in leon_config may be with this socket: as many as Linux cuts one buffer into. */
enum { UDP_SEGMENTS = 64 };

/* What the kernel did not do. */
enum udp_counter {
    UDP_SEND_WOULD_BLOCK, /* datagrams dropped because the send buffer was full */
    UDP_SEND_TOO_LONG,    /* datagrams that do not fit the MTU of the way */
    UDP_SEND_UNREACHABLE, /* datagrams there is no route or neighbour for */
    UDP_SEND_FAILED,      /* datagrams refused for another reason, such as a firewall rule */
    UDP_RECEIVE_FAILED,   /* failed attempts to receive */
    UDP_COUNTERS
};

struct udp_buffers;

struct udp {
    int fd;
    int family;                     /* AF_INET, or AF_INET6 that serves IPv4 too */
    leon_address local;             /* what it is bound to, with the port in use */
    uint64_t counters[UDP_COUNTERS];
    leon_datagram_in in[UDP_BATCH]; /* what udp_receive received */
    struct udp_buffers *buffers;
};

/* Opens a socket on `listen`; port 0 lets the kernel choose one. `[::]` also receives and sends IPv4. Returns false
 * with a sentence if that cannot be. */
bool udp_open(struct udp *udp, const leon_address *listen, char error[ERROR_SIZE]);

/* Closes it and frees the buffers. */
void udp_close(struct udp *udp);

/* Replaces udp->in by what waits at the socket, and tells how many elements that is; 0 if nothing waits. */
size_t udp_receive(struct udp *udp);

/* Sends, without waiting. What the kernel refuses is counted and dropped, as a full queue of a network card would. */
void udp_send(struct udp *udp, const leon_datagram_out *datagrams, size_t count);

/* The name under which leond shows the same counter. */
const char *udp_counter_name(enum udp_counter counter);

#endif
