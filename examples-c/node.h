/*
 * node.h: one node of the mesh with its I/O on Linux: the engine, its UDP socket, a timer for its deadline, signals,
 * and the event loop (epoll) that joins them. Shared by the agents, which add the local network: each of its
 * descriptors is a `struct watch`, and what leon has for it comes to `deliver`.
 *
 * All in one thread, so one forwarder is enough.
 */
#ifndef NODE_H
#define NODE_H

#include <getopt.h>
#include <leon.h>
#include <stdbool.h>
#include <stdint.h>

#include "keys.h"
#include "udp.h"

/* What an agent's command line says about the node; all zero at first. */
struct node_options {
    const char *name, *listen, *advertise, *key, *network_key;
    const char *seeds[16];
    size_t seed_count;
    uint32_t segments[64];
    size_t segment_count;
    uint32_t underlay_mtu;
};

/* The options of every agent: for the array of getopt_long(3), for the help, and what to do with one of them.
 * node_option returns false with a sentence if the value is wrong. */
#define NODE_LONG_OPTIONS                                                                              \
    {"name", required_argument, NULL, 'n'}, {"listen", required_argument, NULL, 'l'},                  \
    {"advertise", required_argument, NULL, 'a'}, {"seed", required_argument, NULL, 's'},               \
    {"key", required_argument, NULL, 'k'}, {"network-key", required_argument, NULL, 'K'},              \
    {"segment", required_argument, NULL, 'g'}, {"underlay-mtu", required_argument, NULL, 'u'}
#define NODE_USAGE                                                                                     \
    "  --name NAME            name of this node, unique in the mesh\n"                                 \
    "  --listen ADDR:PORT     address and UDP port to listen on\n"                                     \
    "  --advertise ADDR:PORT  where the others reach this node, if not there\n"                        \
    "  --seed ADDR:PORT       a member to join the mesh through; may be repeated\n"                    \
    "  --key FILE             secret key of this node, from `leond keygen FILE`\n"                     \
    "  --network-key FILE     key of the mesh, from `leond keygen --network FILE`\n"                   \
    "  --underlay-mtu BYTES   largest IP packet the way between nodes carries (1500)\n"
bool node_option(struct node_options *options, int option, const char *value, char error[ERROR_SIZE]);

/* A number without sign, in decimal, of at most `max`. */
bool parse_number(const char *text, uint32_t max, uint32_t *number);

/* A descriptor in the event loop, as a part of what it belongs to. */
struct watch {
    int fd;
    void (*ready)(struct watch *watch, uint32_t events);
};

/* The struct that a pointer to one of its fields leads to. */
#define CONTAINER_OF(pointer, type, field) ((type *)(void *)((char *)(pointer) - offsetof(type, field)))

struct node {
    leon_engine *engine;
    leon_forwarder *forwarder;
    struct udp udp;
    int epoll;
    struct watch datagrams, timer, signals;
    bool is_leaving;
    /* The local network: frames for it, and lines for SIGUSR1. Set by the agent before node_open. */
    void *agent;
    void (*deliver)(void *agent, const leon_frame_out *frames, size_t count);
    void (*report)(void *agent);
};

/* Opens the socket and makes the engine. Returns 0, or with a sentence what the program is to exit with: 2 if the
 * options are wrong, 1 if the machine does not go along. */
int node_open(struct node *node, const struct node_options *options, char error[ERROR_SIZE]);
void node_close(struct node *node);

/* Adds a descriptor to the loop, changes what is waited for (EPOLLIN, ...), or takes it out. A watch may be called
 * once more in the turn in which it is taken out: free it after that. */
bool node_watch(struct node *node, struct watch *watch, uint32_t events);
void node_rewatch(struct node *node, struct watch *watch, uint32_t events);
void node_unwatch(struct node *node, const struct watch *watch);

/* Joins the mesh. From now on: while (node_turn(&node)) ...; false after SIGTERM, SIGINT or node_leave, when the mesh
 * has been told. */
void node_join(struct node *node);
bool node_turn(struct node *node);
void node_leave(struct node *node);

/* Hands frames of the local network to leon. */
void node_frames_in(struct node *node, leon_frame_in *frames, size_t count);

/* Prints a line with the program's name to standard error. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

#endif
