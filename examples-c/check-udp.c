/* check-udp.c: holds udp.c to what udp.h says, on the loopback interface. `make check` runs it. */
#include "udp.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char error[ERROR_SIZE];

static void fail_at(int line, const char *what) {
    fprintf(stderr, "check-udp.c:%d: %s; %s\n", line, what, error);
    exit(1);
}
#define CHECK(condition) ((condition) ? (void)0 : fail_at(__LINE__, "not so: " #condition))

static leon_address address(const char *text) {
    leon_address parsed;
    CHECK(leon_address_from_text(text, &parsed) == LEON_OK);
    return parsed;
}

static void open_at(struct udp *udp, const char *text) {
    leon_address listen = address(text);
    CHECK(udp_open(udp, &listen, error));
}

static uint64_t all_counters(const struct udp *udp) {
    uint64_t sum = 0;
    for (int i = 0; i < UDP_COUNTERS; i++) sum += udp->counters[i];
    return sum;
}

/* Waits for `count` datagrams from `from`, and compares them: datagram N is so long, and filled with the number N. */
static void expect(struct udp *udp, const leon_address *from, const size_t *lens, size_t count) {
    size_t seen = 0;
    while (seen < count) {
        struct pollfd ready = {.fd = udp->fd, .events = POLLIN};
        CHECK(poll(&ready, 1, 5000) == 1);
        leon_time before = clock_now();
        size_t buffers = udp_receive(udp);
        for (size_t i = 0; i < buffers; i++) {
            const leon_datagram_in *in = &udp->in[i];
            CHECK(memcmp(&in->from, from, sizeof *from) == 0);
            CHECK(in->received_at <= clock_now() && in->received_at + 1000000000u > before);
            size_t size = in->segment_size != 0 ? in->segment_size : in->len;
            for (size_t at = 0; at < in->len; at += size, seen++) {
                CHECK(seen < count && (in->len - at < size ? in->len - at : size) == lens[seen]);
                CHECK(in->data[at] == seen && in->data[at + lens[seen] - 1] == seen);
            }
        }
    }
}

/* Sends datagrams of these lengths as one element, each in two pieces, the first of one byte. */
static void send_train(struct udp *udp, const leon_address *to, const size_t *lens, size_t count, bool is_cut) {
    static uint8_t bytes[UDP_SEGMENTS][65536];
    leon_iov iov[2 * UDP_SEGMENTS];
    leon_datagram_out out = {.iov = iov, .to = *to, .segments = (uint16_t)count};
    for (size_t i = 0; i < count; i++) {
        memset(bytes[i], (int)i, lens[i]);
        iov[out.iov_count++] = (leon_iov){bytes[i], 1};
        if (lens[i] > 1) iov[out.iov_count++] = (leon_iov){bytes[i] + 1, lens[i] - 1};
        out.len += lens[i];
    }
    if (is_cut) out.segment_size = (uint16_t)lens[0];
    udp_send(udp, &out, 1);
}

static void trains_arrive_as_they_were_sent(void) {
    struct udp sender, receiver;
    const size_t even[UDP_SEGMENTS] = {900, 900, 900, 500}, one[] = {1400};
    /* Longer than any IP packet, so that the kernel refuses to cut it. */
    const size_t refused[] = {15000, 15000, 15000, 15000, 15000, 7};
    open_at(&sender, "127.0.0.1:0");
    open_at(&receiver, "127.0.0.1:0");
    send_train(&sender, &receiver.local, even, 4, true);
    expect(&receiver, &sender.local, even, 4);
    send_train(&sender, &receiver.local, one, 1, false);
    expect(&receiver, &sender.local, one, 1);
    send_train(&sender, &receiver.local, refused, 6, true);
    expect(&receiver, &sender.local, refused, 6);
    CHECK(all_counters(&sender) == 0 && all_counters(&receiver) == 0);
    CHECK(udp_receive(&receiver) == 0);
    udp_close(&sender), udp_close(&receiver);
}

static void a_dual_stack_socket_knows_ipv4_peers_by_their_ipv4_address(void) {
    struct udp dual, v4;
    const size_t lens[] = {100};
    open_at(&dual, "[::]:0");
    open_at(&v4, "127.0.0.1:0");
    leon_address dual_v4 = v4.local;
    dual_v4.port = dual.local.port;
    send_train(&dual, &v4.local, lens, 1, false);
    expect(&v4, &dual_v4, lens, 1);
    send_train(&v4, &dual_v4, lens, 1, false);
    expect(&dual, &v4.local, lens, 1);
    udp_close(&dual), udp_close(&v4);
}

static void what_cannot_be_sent_is_counted_and_the_rest_leaves(void) {
    static uint8_t bytes[65535];
    struct udp sender, receiver;
    const size_t lens[] = {10, 10};
    open_at(&sender, "127.0.0.1:0");
    open_at(&receiver, "127.0.0.1:0");
    leon_iov longest = {bytes, sizeof bytes}, first = {bytes, 10}, second = {bytes + 100, 10};
    memset(bytes + 100, 1, 10);
    leon_datagram_out out[] = {
        {.iov = &first, .iov_count = 1, .len = 10, .to = receiver.local, .segments = 1},
        {.iov = &longest, .iov_count = 1, .len = sizeof bytes, .to = receiver.local, .segments = 1},
        {.iov = &first, .iov_count = 1, .len = 10, .to = address("[2001:db8::1]:9"), .segments = 1},
        {.iov = &second, .iov_count = 1, .len = 10, .to = receiver.local, .segments = 1},
    };
    udp_send(&sender, out, 4);
    expect(&receiver, &sender.local, lens, 2);
    CHECK(sender.counters[UDP_SEND_TOO_LONG] == 1 && sender.counters[UDP_SEND_UNREACHABLE] == 1);
    CHECK(all_counters(&sender) == 2);
    udp_close(&sender), udp_close(&receiver);
}

static void what_is_wrong_with_an_address_is_said(void) {
    struct udp taken, udp;
    leon_address foreign = address("192.0.2.77:0");
    open_at(&taken, "127.0.0.1:0");
    CHECK(!udp_open(&udp, &taken.local, error) && strstr(error, "another process listens on UDP 127.0.0.1:") != NULL);
    CHECK(!udp_open(&udp, &foreign, error) && strstr(error, "listen on one that is configured") != NULL);
    udp_close(&taken);
}

int main(void) {
    trains_arrive_as_they_were_sent();
    a_dual_stack_socket_knows_ipv4_peers_by_their_ipv4_address();
    what_cannot_be_sent_is_counted_and_the_rest_leaves();
    what_is_wrong_with_an_address_is_said();
    puts("udp.c does what udp.h says");
    return 0;
}
