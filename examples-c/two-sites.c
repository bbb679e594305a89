/* Three sites in one process, on a clock of our own: Seoul reaches Fujisawa through Inagi, as that is faster than
 * the direct way. No socket and no privilege: what the engines send waits in a queue until it is due. */
#include <leon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SITES 3
#define MS 1000000u /* nanoseconds */

static const char *const names[SITES] = {"fujisawa", "inagi", "seoul"};
static const unsigned latency_ms[SITES][SITES] = {{0, 2, 16}, {2, 0, 8}, {16, 8, 0}}; /* one way, as in the paper */

static struct datagram {
    leon_time due;
    int from, to;
    size_t len;
    uint8_t bytes[1500];
} wire[4096];
static size_t sent, arrived;
static leon_time now = MS;
static leon_engine *engines[SITES];
static leon_forwarder *forwarders[SITES];

static leon_address locator(int site) {
    leon_address address = {{192, 0, 2, 0}, 4789, 4, 0, 0};
    address.ip[3] = (uint8_t)(site + 1);
    return address;
}

/* The socket: `user_data` says whose. A datagram comes in up to three pieces. */
static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    for (size_t i = 0; i < count; i++) {
        struct datagram *d = &wire[sent++ % 4096];
        d->from = (int)(intptr_t)user_data;
        d->to = datagrams[i].to.ip[3] - 1;
        d->due = now + latency_ms[d->from][d->to] * (leon_time)MS;
        d->len = 0;
        for (size_t piece = 0; piece < datagrams[i].iov_count; piece++) {
            memcpy(d->bytes + d->len, datagrams[i].iov[piece].data, datagrams[i].iov[piece].len);
            d->len += datagrams[i].iov[piece].len;
        }
        if (d->len > 500) printf("%.1f ms: %s sends to %s\n", (double)now / MS, names[d->from], names[d->to]);
    }
}

/* The local network. */
static void frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const char *text = (const char *)frames[i].data + 14;
        printf("%.1f ms: %s gets \"%s\"\n", (double)now / MS, names[(intptr_t)user_data], text);
        arrived++;
    }
}

static void check(leon_status status) {
    if (status != LEON_OK) exit(fprintf(stderr, "%s\n", leon_strerror(status)));
}

static void run_until(leon_time end) {
    for (; now < end; now += MS / 10) {
        for (size_t i = sent > 4096 ? sent - 4096 : 0; i < sent; i++) {
            struct datagram *d = &wire[i % 4096];
            if (d->len == 0 || d->due > now) continue;
            leon_datagram_in in = {d->bytes, d->len, 0, locator(d->from), 0, 0, 0};
            check(leon_forwarder_datagram_in(forwarders[d->to], now, &in));
            d->len = 0;
        }
        for (int site = 0; site < SITES; site++) {
            if (leon_engine_deadline(engines[site]) <= now) check(leon_engine_timer(engines[site], now));
        }
    }
}

static void new_site(int site) {
    leon_key network = {{42}}, secret = {{0}}, entropy = {{0}}; /* of your random source, of course */
    leon_address seed = locator(0);
    leon_config config = {0};
    leon_callbacks callbacks = {0};
    char error[200];
    secret.bytes[1] = entropy.bytes[1] = (uint8_t)(site + 1);
    config.struct_size = sizeof config;
    config.name = names[site];
    config.locator = locator(site);
    config.seeds = &seed, config.seed_count = 1;
    config.secret_key = &secret, config.network_key = &network, config.entropy = &entropy;
    config.incarnation = 1;
    callbacks.struct_size = sizeof callbacks;
    callbacks.user_data = (void *)(intptr_t)site;
    callbacks.datagrams_out = datagrams_out, callbacks.frames_out = frames_out;
    if (leon_engine_new(&config, &callbacks, now, &engines[site], error, sizeof error) != LEON_OK)
        exit(fprintf(stderr, "%s: %s\n", names[site], error));
    check(leon_forwarder_new(engines[site], callbacks.user_data, &forwarders[site]));
    check(leon_engine_join(engines[site], now));
}

int main(void) {
    for (int site = 0; site < SITES; site++) new_site(site);
    run_until(20000 * (leon_time)MS); /* the sites find each other, and measure */

    leon_member members[SITES];
    size_t count;
    check(leon_engine_members(engines[2], now, members, SITES, &count));
    for (size_t i = 0; i < count; i++)
        printf("seoul - %s: %.1f ms over %u links, %.1f ms direct\n", members[i].name,
               (double)members[i].path_cost_ns / MS, members[i].path_len, (double)members[i].direct_cost_ns / MS);
    uint8_t frame[600] = "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\1\x88\xb5hello from seoul";
    leon_frame_in in = {frame, sizeof frame, NULL, 0, 0, 0, 0, 0};
    check(leon_forwarder_frame_in(forwarders[2], now, &in));
    run_until(now + 100 * MS);
    for (int site = 0; site < SITES; site++) {
        check(leon_forwarder_free(forwarders[site]));
        check(leon_engine_free(engines[site]));
    }
    return arrived == 2 ? 0 : 1;
}
