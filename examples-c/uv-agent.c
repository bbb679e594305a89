/*
 * uv-agent.c: a site agent on libuv: how leon lives in an event loop that is there already. It carries the frames of a
 * TAP device, which is a port of the site's bridge, and talks to `leond` of other sites.
 *
 *     ip tuntap add leon0 mode tap && ip link set leon0 master br0 up
 *     build/uv-agent seoul 198.51.100.1:4789 leon0 /etc/leon/key /etc/leon/network-key 192.0.2.1:4789
 *
 * The loop has four handles, and leon is called by nothing else:
 *
 *     uv_poll   datagrams   leon_forwarder_datagrams_in
 *     uv_poll   tap         leon_forwarder_frames_in
 *     uv_timer  timer       leon_engine_timer
 *     uv_signal             leon_engine_leave
 *
 * The socket is that of udp.h, as it receives and sends in batches, segments, and forbids fragments; a uv_udp_t does
 * none of that, but would do where Linux is not the system. tap-agent.c is the same agent with a command line.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <uv.h>

#include "keys.h"
#include "udp.h"

enum {
    BATCH = 32,         /* frames read in one go */
    FRAME_ROOM = 65536, /* the largest MTU of a TAP device with its headers */
    SEEDS_MAX = 16,
};

struct agent {
    leon_engine *engine;
    leon_forwarder *forwarder; /* one is enough, as the loop is one thread */
    struct udp udp;
    int tap_fd;
    bool is_leaving;
    uv_loop_t loop;
    uv_poll_t datagrams, tap;
    uv_timer_t timer;
    uv_signal_t interrupt, terminate;
    uint8_t frames[BATCH][FRAME_ROOM];
};

/* Says what is wrong, and ends the program. */
static void fail(const char *what, const char *why) {
    fprintf(stderr, "uv-agent: %s: %s\n", what, why);
    exit(1);
}

static void check(const char *what, leon_status status) {
    if (status != LEON_OK) fail(what, leon_strerror(status));
}

static void check_uv(const char *what, int status) {
    if (status < 0) fail(what, uv_strerror(status));
}

/* --- What leon calls --- */

static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    struct agent *agent = user_data;
    udp_send(&agent->udp, datagrams, count);
}

/* A device that takes no more drops, as a full queue of a network card would. */
static void frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    struct agent *agent = user_data;
    for (size_t i = 0; i < count; i++)
        if (write(agent->tap_fd, frames[i].data, frames[i].len) < 0 && errno != EAGAIN) perror("uv-agent: frame");
}

static void timer_due(uv_timer_t *timer);

/* leon's clock is uv_hrtime, in nanoseconds: CLOCK_MONOTONIC, as in udp.c. libuv's timers count milliseconds from when
 * the loop last looked at the clock. */
static void deadline_changed(void *user_data, leon_time deadline) {
    struct agent *agent = user_data;
    if (deadline == LEON_TIME_NEVER) {
        uv_timer_stop(&agent->timer);
        if (agent->is_leaving) uv_stop(&agent->loop);
        return;
    }
    leon_time now = uv_hrtime();
    uint64_t wait_ms = deadline > now ? (deadline - now + 999999) / 1000000 : 0;
    uv_update_time(&agent->loop);
    uv_timer_start(&agent->timer, timer_due, wait_ms, 0);
}

static void log_line(void *user_data, uint32_t level, uint32_t id, const char *message, size_t len) {
    (void)user_data, (void)level, (void)id;
    fprintf(stderr, "uv-agent: %.*s\n", (int)len, message);
}

/* --- What the loop calls --- */

static void timer_due(uv_timer_t *timer) {
    struct agent *agent = timer->data;
    check("timer", leon_engine_timer(agent->engine, uv_hrtime()));
    /* The loop's clock ticks more coarsely than leon's. If this was too early, the deadline is still the same. */
    deadline_changed(agent, leon_engine_deadline(agent->engine));
}

static void datagrams_ready(uv_poll_t *poll, int status, int events) {
    struct agent *agent = poll->data;
    (void)status, (void)events; /* an error of the socket is met by receiving, and counted */
    size_t count = udp_receive(&agent->udp);
    check("datagrams", leon_forwarder_datagrams_in(agent->forwarder, uv_hrtime(), agent->udp.in, count, NULL));
}

static void tap_ready(uv_poll_t *poll, int status, int events) {
    struct agent *agent = poll->data;
    leon_frame_in frames[BATCH];
    size_t count = 0;
    ssize_t len;
    (void)status, (void)events;
    while (count < BATCH && (len = read(agent->tap_fd, agent->frames[count], FRAME_ROOM)) >= 0) {
        frames[count] = (leon_frame_in){.data = agent->frames[count], .len = (size_t)len};
        count++;
    }
    if (count == 0 && errno != EAGAIN && errno != EINTR) fail("TAP device", strerror(errno));
    check("frames", leon_forwarder_frames_in(agent->forwarder, uv_hrtime(), frames, count, NULL));
}

/* deadline_changed ends the loop when the others have been told. */
static void asked_to_leave(uv_signal_t *signal, int number) {
    struct agent *agent = signal->data;
    (void)number;
    agent->is_leaving = true;
    check("leave", leon_engine_leave(agent->engine, uv_hrtime()));
    deadline_changed(agent, leon_engine_deadline(agent->engine));
}

/* --- Start --- */

static int open_tap(const char *device) {
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    if (strlen(device) >= sizeof request.ifr_name) fail(device, strerror(ENAMETOOLONG));
    strcpy(request.ifr_name, device);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) fail(device, strerror(errno));
    return fd;
}

/* Frames of hosts that are longer would not fit the underlay. Any socket will do. */
static void set_mtu(const struct agent *agent, const char *device) {
    struct ifreq request = {.ifr_mtu = (int)leon_engine_mtu(agent->engine)};
    strcpy(request.ifr_name, device);
    if (ioctl(agent->udp.fd, SIOCSIFMTU, &request) != 0) fail(device, strerror(errno));
    fprintf(stderr, "uv-agent: give the hosts no larger MTU than that of %s, %d bytes\n", device, request.ifr_mtu);
}

static leon_address address(const char *text) {
    leon_address parsed;
    check(text, leon_address_from_text(text, &parsed));
    return parsed;
}

static void open_socket(struct agent *agent, const char *listen) {
    char error[ERROR_SIZE];
    leon_address local = address(listen);
    if (!udp_open(&agent->udp, &local, error)) fail(listen, error);
}

/* The engine and its forwarder; keys are read from files and kept by the engine alone. */
static void make_engine(struct agent *agent, const char *name, const char *key, const char *network_key,
                        char **seed_texts, size_t seed_count) {
    char error[ERROR_SIZE] = "";
    leon_key secret, network, entropy;
    leon_address seeds[SEEDS_MAX];
    if (!key_read(key, "make one with `leond keygen FILE`", &secret, error) ||
        !key_read(network_key, "make it with `leond keygen --network FILE`", &network, error) ||
        !key_random(&entropy, error))
        fail("key", error);
    for (size_t i = 0; i < seed_count; i++) seeds[i] = address(seed_texts[i]);
    leon_config config = {.struct_size = sizeof config, .name = name, .locator = agent->udp.local, .seeds = seeds,
                          .seed_count = seed_count, .incarnation = clock_incarnation(), .entropy = &entropy,
                          .secret_key = &secret, .network_key = &network, .max_segments = UDP_SEGMENTS};
    leon_callbacks callbacks = {.struct_size = sizeof callbacks, .user_data = agent,
                                .datagrams_out = datagrams_out, .frames_out = frames_out,
                                .deadline_changed = deadline_changed, .log = log_line};
    leon_status status = leon_engine_new(&config, &callbacks, uv_hrtime(), &agent->engine, error, sizeof error);
    key_wipe(&secret), key_wipe(&network), key_wipe(&entropy);
    if (status != LEON_OK) fail("configuration", error);
    check("forwarder", leon_forwarder_new(agent->engine, agent, &agent->forwarder));
}

static void open_loop(struct agent *agent) {
    uv_loop_t *loop = &agent->loop;
    check_uv("loop", uv_loop_init(loop));
    check_uv("timer", uv_timer_init(loop, &agent->timer));
    check_uv("UDP socket", uv_poll_init(loop, &agent->datagrams, agent->udp.fd));
    check_uv("TAP device", uv_poll_init(loop, &agent->tap, agent->tap_fd));
    check_uv("signals", uv_signal_init(loop, &agent->interrupt));
    check_uv("signals", uv_signal_init(loop, &agent->terminate));
    agent->timer.data = agent->datagrams.data = agent->tap.data = agent;
    agent->interrupt.data = agent->terminate.data = agent;
    check_uv("UDP socket", uv_poll_start(&agent->datagrams, UV_READABLE, datagrams_ready));
    check_uv("TAP device", uv_poll_start(&agent->tap, UV_READABLE, tap_ready));
    check_uv("signals", uv_signal_start(&agent->interrupt, asked_to_leave, SIGINT));
    check_uv("signals", uv_signal_start(&agent->terminate, asked_to_leave, SIGTERM));
}

static void close_handle(uv_handle_t *handle, void *unused) {
    (void)unused;
    uv_close(handle, NULL);
}

int main(int argc, char **argv) {
    static struct agent agent;
    if (argc < 6 || argc > 6 + SEEDS_MAX) {
        fprintf(stderr, "Usage: uv-agent NAME LISTEN-ADDR:PORT TAP KEY-FILE NETWORK-KEY-FILE [SEED-ADDR:PORT...]\n");
        return 2;
    }
    open_socket(&agent, argv[2]);
    agent.tap_fd = open_tap(argv[3]);
    open_loop(&agent);
    make_engine(&agent, argv[1], argv[4], argv[5], argv + 6, (size_t)argc - 6);
    set_mtu(&agent, argv[3]);
    check("join", leon_engine_join(agent.engine, uv_hrtime()));
    uv_run(&agent.loop, UV_RUN_DEFAULT);

    /* Handles are closed by the loop, in one more turn. */
    uv_walk(&agent.loop, close_handle, NULL);
    uv_run(&agent.loop, UV_RUN_DEFAULT);
    uv_loop_close(&agent.loop);
    check("forwarder", leon_forwarder_free(agent.forwarder));
    check("engine", leon_engine_free(agent.engine));
    udp_close(&agent.udp);
    close(agent.tap_fd);
    return 0;
}
