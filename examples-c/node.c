/* node.c: see node.h. */
#define _GNU_SOURCE
#include "node.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define ARRAY_LEN(array) (sizeof(array) / sizeof *(array))

void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

/* --- Options --- */

bool parse_number(const char *text, uint32_t max, uint32_t *number) {
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != 0 || errno != 0 || value > max) return false;
    *number = (uint32_t)value;
    return true;
}

bool node_option(struct node_options *options, int option, const char *value, char error[ERROR_SIZE]) {
    const char **text = option == 'n'   ? &options->name
                        : option == 'l' ? &options->listen
                        : option == 'a' ? &options->advertise
                        : option == 'k' ? &options->key
                        : option == 'K' ? &options->network_key
                                        : NULL;
    if (text != NULL) {
        *text = value;
    } else if (option == 's') {
        if (options->seed_count == ARRAY_LEN(options->seeds)) {
            snprintf(error, ERROR_SIZE, "there are more than %zu seeds: any few members are enough",
                     ARRAY_LEN(options->seeds));
            return false;
        }
        options->seeds[options->seed_count++] = value;
    } else if (option == 'g') {
        if (options->segment_count == ARRAY_LEN(options->segments) ||
            !parse_number(value, 0xffffff, &options->segments[options->segment_count++])) {
            snprintf(error, ERROR_SIZE, "--segment %s is not one of up to %zu numbers from 0 to 16777215", value,
                     ARRAY_LEN(options->segments));
            return false;
        }
    } else if (!parse_number(value, 65535, &options->underlay_mtu)) {
        snprintf(error, ERROR_SIZE, "--underlay-mtu %s is not a number of bytes from 1280 to 65535", value);
        return false;
    }
    return true;
}

static bool parse_address(const char *option, const char *text, leon_address *address, char error[ERROR_SIZE]) {
    if (text == NULL)
        snprintf(error, ERROR_SIZE, "%s ADDR:PORT is missing", option);
    else if (leon_address_from_text(text, address) == LEON_OK)
        return true;
    else
        snprintf(error, ERROR_SIZE, "%s %s is no address and port such as 192.0.2.1:4789 or [2001:db8::1]:4789",
                 option, text);
    return false;
}

static bool is_unspecified(const leon_address *address) {
    static const uint8_t zero[sizeof address->ip];
    return memcmp(address->ip, zero, sizeof zero) == 0;
}

/* --- What leon calls, in the one thread of the loop --- */

static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    struct node *node = user_data;
    udp_send(&node->udp, datagrams, count);
}

static void frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    struct node *node = user_data;
    node->deliver(node->agent, frames, count);
}

/* leon's clock is the kernel's monotonic one, so a deadline is what the timer takes. */
static void deadline_changed(void *user_data, leon_time deadline) {
    struct node *node = user_data;
    struct itimerspec at = {0}; /* which stops the timer */
    if (deadline != LEON_TIME_NEVER) {
        at.it_value.tv_sec = (time_t)(deadline / 1000000000u);
        at.it_value.tv_nsec = (long)(deadline % 1000000000u);
    }
    timerfd_settime(node->timer.fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static void log_line(void *user_data, uint32_t level, uint32_t id, const char *message, size_t len) {
    (void)user_data, (void)id;
    say("%s%.*s", level == LEON_LOG_ERROR ? "error: " : level == LEON_LOG_WARN ? "warning: " : "", (int)len, message);
}

/* What can go wrong with a call of this program is a bug of this program, or one of leon. */
static void check(struct node *node, leon_status status) {
    char text[256] = "";
    if (status == LEON_OK) return;
    leon_engine_last_error(node->engine, text, sizeof text, NULL);
    say("bug: %s (%s)", leon_strerror(status), text);
    abort();
}

/* --- Report --- */

/* The name of a member, which may have been forgotten since. */
static const char *name_of(const leon_member *members, size_t count, const leon_id *id) {
    for (size_t i = 0; i < count; i++)
        if (memcmp(&members[i].id, id, sizeof *id) == 0) return members[i].name;
    return "?";
}

/* The members and the paths to them, in lines such as "fujisawa alive 192.0.2.1:4789 via inagi, 21.3 ms". */
static void print_members(struct node *node, leon_time now) {
    static const char *const states[] = {"?", "alive", "failed", "left"};
    leon_member *members = NULL;
    size_t capacity = 0, count;
    leon_status status;
    while ((status = leon_engine_members(node->engine, now, members, capacity, &count)) == LEON_E_SPACE) {
        free(members);
        members = calloc(capacity = count, sizeof *members);
        if (members == NULL) return;
    }
    check(node, status);
    for (size_t i = 0; i < count; i++) {
        char address[LEON_ADDRESS_TEXT_SIZE] = "";
        leon_address_to_text(&members[i].locator, address, sizeof address);
        uint32_t state = members[i].state < ARRAY_LEN(states) ? members[i].state : 0;
        printf("%s %s %s", members[i].name, states[state], address);
        if (members[i].path_len == 1) printf(" direct");
        for (uint32_t hop = 0; hop + 1 < members[i].path_len; hop++)
            printf("%s %s", hop == 0 ? " via" : ",", name_of(members, count, &members[i].path[hop]));
        if (members[i].path_cost_ns != LEON_UNKNOWN) printf(", %.1f ms", (double)members[i].path_cost_ns / 1e6);
        printf("\n");
    }
    free(members);
}

/* All counters that are not zero, leon's and the socket's. */
static void print_counters(struct node *node, leon_time now) {
    uint64_t values[LEON_COUNTER_COUNT + 64]; /* a later library may have more */
    size_t count;
    check(node, leon_engine_counters(node->engine, now, values, ARRAY_LEN(values), &count));
    for (uint32_t i = 1; i < count; i++)
        if (values[i] != 0) printf("%s %llu\n", leon_counter_name(i), (unsigned long long)values[i]);
    for (enum udp_counter i = 0; i < UDP_COUNTERS; i++)
        if (node->udp.counters[i] != 0)
            printf("%s %llu\n", udp_counter_name(i), (unsigned long long)node->udp.counters[i]);
}

/* --- What the loop calls --- */

static void datagrams_ready(struct watch *watch, uint32_t events) {
    struct node *node = CONTAINER_OF(watch, struct node, datagrams);
    (void)events;
    size_t count = udp_receive(&node->udp);
    check(node, leon_forwarder_datagrams_in(node->forwarder, clock_now(), node->udp.in, count, NULL));
}

static void timer_ready(struct watch *watch, uint32_t events) {
    struct node *node = CONTAINER_OF(watch, struct node, timer);
    uint64_t expirations;
    (void)events;
    /* An error means that the deadline was moved after the timer went off. */
    if (read(watch->fd, &expirations, sizeof expirations) < 0) return;
    check(node, leon_engine_timer(node->engine, clock_now()));
}

static void signal_ready(struct watch *watch, uint32_t events) {
    struct node *node = CONTAINER_OF(watch, struct node, signals);
    struct signalfd_siginfo signal;
    (void)events;
    if (read(watch->fd, &signal, sizeof signal) < 0) return;
    if (signal.ssi_signo != SIGUSR1) {
        node_leave(node);
        return;
    }
    leon_time now = clock_now();
    print_members(node, now);
    print_counters(node, now);
    node->report(node->agent);
    fflush(stdout);
}

bool node_watch(struct node *node, struct watch *watch, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = watch};
    return epoll_ctl(node->epoll, EPOLL_CTL_ADD, watch->fd, &event) == 0;
}

void node_rewatch(struct node *node, struct watch *watch, uint32_t events) {
    struct epoll_event event = {.events = events, .data.ptr = watch};
    epoll_ctl(node->epoll, EPOLL_CTL_MOD, watch->fd, &event);
}

void node_unwatch(struct node *node, const struct watch *watch) {
    epoll_ctl(node->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
}

void node_join(struct node *node) {
    check(node, leon_engine_join(node->engine, clock_now()));
}

void node_leave(struct node *node) {
    if (!node->is_leaving) say("leaving the mesh");
    node->is_leaving = true;
    check(node, leon_engine_leave(node->engine, clock_now()));
}

bool node_turn(struct node *node) {
    struct epoll_event ready[64];
    if (node->is_leaving && leon_engine_deadline(node->engine) == LEON_TIME_NEVER) {
        say("left the mesh");
        return false;
    }
    int count = epoll_wait(node->epoll, ready, ARRAY_LEN(ready), -1);
    for (int i = 0; i < count; i++) {
        struct watch *watch = ready[i].data.ptr;
        watch->ready(watch, ready[i].events);
    }
    return true;
}

void node_frames_in(struct node *node, leon_frame_in *frames, size_t count) {
    if (count > 0) check(node, leon_forwarder_frames_in(node->forwarder, clock_now(), frames, count, NULL));
}

/* --- Start and end --- */

/* Opens what the loop waits for; the signals wait for it too from now on. */
static bool open_loop(struct node *node) {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM), sigaddset(&signals, SIGINT), sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    node->epoll = epoll_create1(EPOLL_CLOEXEC);
    node->signals = (struct watch){signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), signal_ready};
    node->timer = (struct watch){timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), timer_ready};
    node->datagrams = (struct watch){node->udp.fd, datagrams_ready};
    return node_watch(node, &node->signals, EPOLLIN) && node_watch(node, &node->timer, EPOLLIN) &&
           node_watch(node, &node->datagrams, EPOLLIN);
}

/* Reads the keys and makes the engine. */
static int new_engine(struct node *node, const struct node_options *options, leon_config *config,
                      char error[ERROR_SIZE]) {
    leon_key secret, network, entropy;
    leon_callbacks callbacks = {.struct_size = sizeof callbacks,
                                .user_data = node,
                                .datagrams_out = datagrams_out,
                                .frames_out = frames_out,
                                .deadline_changed = deadline_changed,
                                .log = log_line};
    if (!key_read(options->key, "make one with `leond keygen FILE`", &secret, error)) return 2;
    if (!key_read(options->network_key, "copy it from another node, or make it with `leond keygen --network FILE`",
                  &network, error))
        return 2;
    if (!key_random(&entropy, error)) return 1;
    config->secret_key = &secret;
    config->network_key = &network;
    config->entropy = &entropy;
    leon_status status = leon_engine_new(config, &callbacks, clock_now(), &node->engine, error, ERROR_SIZE);
    key_wipe(&secret), key_wipe(&network), key_wipe(&entropy);
    if (status != LEON_OK) return 2;
    check(node, leon_forwarder_new(node->engine, node, &node->forwarder));
    return 0;
}

int node_open(struct node *node, const struct node_options *options, char error[ERROR_SIZE]) {
    leon_address listen, seeds[ARRAY_LEN(options->seeds)];
    leon_config config = {.struct_size = sizeof config,
                          .incarnation = clock_incarnation(),
                          .max_segments = UDP_SEGMENTS,
                          .name = options->name,
                          .seeds = seeds,
                          .seed_count = options->seed_count,
                          .segments = options->segments,
                          .segment_count = options->segment_count,
                          .underlay_mtu = options->underlay_mtu};
    node->udp.fd = node->epoll = node->timer.fd = node->signals.fd = -1;
    if (options->name == NULL || options->key == NULL || options->network_key == NULL) {
        snprintf(error, ERROR_SIZE, "%s is missing", !options->name  ? "--name NAME"
                                                     : !options->key ? "--key FILE"
                                                                     : "--network-key FILE");
        return 2;
    }
    if (!parse_address("--listen", options->listen, &listen, error)) return 2;
    for (size_t i = 0; i < options->seed_count; i++)
        if (!parse_address("--seed", options->seeds[i], &seeds[i], error)) return 2;
    if (options->advertise != NULL && !parse_address("--advertise", options->advertise, &config.locator, error))
        return 2;
    if (options->advertise == NULL && is_unspecified(&listen)) {
        snprintf(error, ERROR_SIZE,
                 "--listen %s is all addresses: say with --advertise ADDR:PORT at which one the others reach this node",
                 options->listen);
        return 2;
    }
    if (!udp_open(&node->udp, &listen, error)) return 1;
    if (options->advertise == NULL) config.locator = node->udp.local;
    if (!open_loop(node)) {
        snprintf(error, ERROR_SIZE, "cannot make the event loop: %s", strerror(errno));
        return 1;
    }
    return new_engine(node, options, &config, error);
}

void node_close(struct node *node) {
    leon_forwarder_free(node->forwarder);
    leon_engine_free(node->engine);
    udp_close(&node->udp);
    if (node->epoll >= 0) close(node->epoll);
    if (node->timer.fd >= 0) close(node->timer.fd);
    if (node->signals.fd >= 0) close(node->signals.fd);
}
