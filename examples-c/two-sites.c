/* Three sites in one process, on a clock of our own: Seoul reaches Fujisawa through Inagi, as that is faster than
 * the direct way. No socket and no privilege: what the engines send waits in a queue until it is due. */
#include <leon.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#define MS ((leon_time)1000000) /* nanoseconds */
enum { FUJISAWA, INAGI, SEOUL, SITES };
static const char *const names[SITES] = {"Fujisawa", "Inagi", "Seoul"};
static const unsigned one_way_ms[SITES][SITES] = {{0, 2, 16}, {2, 0, 8}, {16, 8, 0}}; /* about as in the paper */

static struct { leon_engine *engine; leon_forwarder *forwarder; } sites[SITES];
static struct { leon_time due; int from, to; size_t len; uint8_t bytes[1500]; } wire[4096];
static size_t sent, delivered;
static leon_time now = MS;

static void check(leon_status status) {
    if (status != LEON_OK) exit(fprintf(stderr, "%s\n", leon_strerror(status)));
}

static leon_address locator(int site) {
    return (leon_address){.ip = {192, 0, 2, (uint8_t)(site + 1)}, .port = 4789, .version = 4};
}

/* The socket of the site that `user_data` stands for. A datagram comes in up to three pieces. */
static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    for (size_t i = 0; i < count; i++) {
        int from = (int)(intptr_t)user_data, to = datagrams[i].to.ip[3] - 1;
        size_t slot = sent++ % 4096, len = 0;
        for (const leon_iov *piece = datagrams[i].iov; piece < datagrams[i].iov + datagrams[i].iov_count; piece++) {
            memcpy(wire[slot].bytes + len, piece->data, piece->len);
            len += piece->len;
        }
        wire[slot].from = from, wire[slot].to = to, wire[slot].len = len;
        wire[slot].due = now + one_way_ms[from][to] * MS;
    }
}

/* The local network of that site. */
static void frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    for (size_t i = 0; i < count; i++, delivered++)
        printf("%4.0f ms  %s gets \"%s\"\n", (double)now / 1e6, names[(intptr_t)user_data], frames[i].data + 14);
}

static void start(int site) {
    leon_key network = {{42}}, secret = {{0}}, entropy = {{0}}; /* from your random source, of course */
    leon_address seed = locator(FUJISAWA);
    secret.bytes[9] = entropy.bytes[9] = (uint8_t)site;
    leon_config config = {.struct_size = sizeof config, .name = names[site], .locator = locator(site),
                          .seeds = &seed, .seed_count = 1, .incarnation = 1, .entropy = &entropy,
                          .secret_key = &secret, .network_key = &network};
    leon_callbacks callbacks = {.struct_size = sizeof callbacks, .user_data = (void *)(intptr_t)site,
                                .datagrams_out = datagrams_out, .frames_out = frames_out};
    char error[200] = "";
    leon_engine_new(&config, &callbacks, now, &sites[site].engine, error, sizeof error);
    if (error[0] != 0) exit(fprintf(stderr, "%s: %s\n", names[site], error));
    check(leon_forwarder_new(sites[site].engine, callbacks.user_data, &sites[site].forwarder));
    check(leon_engine_join(sites[site].engine, now));
}

static void run_until(leon_time end) {
    for (; now < end; now += MS / 10) {
        for (size_t i = 0; i < 4096; i++) {
            if (wire[i].len == 0 || wire[i].due > now) continue;
            leon_datagram_in in = {.data = wire[i].bytes, .len = wire[i].len, .from = locator(wire[i].from)};
            check(leon_forwarder_datagram_in(sites[wire[i].to].forwarder, now, &in));
            wire[i].len = 0;
        }
        for (int site = 0; site < SITES; site++)
            if (leon_engine_deadline(sites[site].engine) <= now) check(leon_engine_timer(sites[site].engine, now));
    }
}

static const char *name_of(const leon_member *members, const leon_id *id) {
    while (memcmp(&members->id, id, sizeof *id) != 0) members++; /* whoever is on a path is a member */
    return members->name;
}

int main(void) {
    leon_member members[SITES];
    size_t count;
    for (int site = 0; site < SITES; site++) start(site);
    run_until(3000 * MS); /* the sites find each other, and measure */
    check(leon_engine_members(sites[SEOUL].engine, now, members, SITES, &count));
    for (size_t i = 0; i < count; i++) {
        printf("Seoul - %s: %.1f ms direct, %.1f ms", members[i].name, (double)members[i].direct_cost_ns / 1e6,
               (double)members[i].path_cost_ns / 1e6);
        for (uint32_t hop = 0; hop < members[i].path_len; hop++)
            printf(" -> %s", name_of(members, &members[i].path[hop]));
        puts("");
    }
    uint8_t frame[60] = "\xff\xff\xff\xff\xff\xff\x02\0\0\0\0\1\x88\xb5hello from Seoul";
    leon_frame_in in = {.data = frame, .len = sizeof frame};
    check(leon_forwarder_frame_in(sites[SEOUL].forwarder, now, &in));
    run_until(now + 100 * MS);
    for (int site = 0; site < SITES; site++) check(leon_forwarder_free(sites[site].forwarder));
    for (int site = 0; site < SITES; site++) check(leon_engine_free(sites[site].engine));
    return delivered == 2 ? 0 : 1;
}
