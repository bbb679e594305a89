/* Several engines in one process, on a clock that only a test moves, with a queue for a network. */
#ifndef MESH_H
#define MESH_H

#include "check.h"

#define MS ((leon_time)1000000)
#define MESH_MAX 250

/* What was put out or delivered, one after the other: each with its length and a few words before the bytes. */
struct record {
    uint8_t *bytes;
    size_t len, capacity;
    size_t count;
};

struct mesh;

/* The `user_data` of an engine and of its forwarder. */
struct node {
    struct mesh *mesh;
    int index;
    leon_engine *engine;
    leon_forwarder *forwarder;
    size_t frames;             /* delivered here */
    size_t events, lines;      /* told and logged here */
    /* If `mesh.is_recording`: datagrams one by one, frames, and the calls that led to them. */
    struct record sent, given, calls;
};

struct mesh {
    int count;
    leon_time now;
    struct node nodes[MESH_MAX];
    /* One way, in nanoseconds; 1 ms everywhere if NULL. */
    leon_time (*latency)(int from, int to);
    /* Changes what a node is told at its creation, if not NULL. */
    void (*configure)(int index, leon_config *config);
    leon_callbacks callbacks;
    bool is_recording;
    bool is_short; /* of memory, now and then: a timer may fail, and is called again */
    uint8_t entropy; /* tells the randomness of two meshes apart */
    /* The node whose forwarder is at work, or -1: engines and forwarders share their `user_data`. */
    int forwarding;
    struct datagram *first, **last;
};

/* Fills in a mesh with nothing in it yet, whose callbacks queue datagrams and count frames. */
void mesh_init(struct mesh *mesh);
/* Makes and joins `count` nodes; the first is the seed. */
void mesh_start(struct mesh *mesh, int count);
/* Makes one engine without a forwarder, as `mesh_start` would. */
leon_status mesh_engine(struct mesh *mesh, int index, leon_engine **engine);
/* Hands a frame to a node. */
void mesh_frame(struct mesh *mesh, int index, leon_frame_in *frame);
/* Lets the clock go on: datagrams arrive, timers run. */
void mesh_run(struct mesh *mesh, leon_time duration);
/* As `mesh_start`, and waits until everybody has a session with everybody. */
void mesh_converge(struct mesh *mesh, int count);
/* Frees everything. */
void mesh_end(struct mesh *mesh);

leon_address mesh_locator(int index);
/* Puts a datagram on the wire. */
void mesh_send(struct mesh *mesh, int from, int to, const void *bytes, size_t len);
/* Forgets what is on the wire. */
void mesh_clear(struct mesh *mesh);

/* The callbacks; the ones of a test may call them. */
void mesh_datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count);
void mesh_frames_out(void *user_data, const leon_frame_out *frames, size_t count);
void mesh_event(void *user_data, const leon_event *event);
void mesh_log(void *user_data, uint32_t level, uint32_t id, const char *message, size_t len);

/* A call of a node as it is recorded: what, when, and for a datagram whose. */
enum { CALL_JOIN = 1, CALL_TIMER, CALL_DATAGRAM, CALL_FRAME };
uint64_t call_tag(int kind, int from, leon_time now);
int call_kind(uint64_t tag);
int call_from(uint64_t tag);
leon_time call_time(uint64_t tag);

void record_add(struct record *record, uint64_t tag, const void *bytes, size_t len);
/* The entry at `*at`, which moves behind it; false at the end. */
bool record_next(const struct record *record, size_t *at, uint64_t *tag, uint8_t **bytes, size_t *len);
bool record_is_equal(const struct record *a, const struct record *b);
void record_clear(struct record *record);

/* A counter of a node. */
uint64_t mesh_counter(struct mesh *mesh, int index, uint32_t counter);
/* Writes a frame of `len` bytes from one host to another, or to all if `to` is -1. Host N is behind node N. */
void frame_write(uint8_t *bytes, size_t len, int from, int to);
leon_frame_in frame_in(uint8_t *bytes, size_t len);

#endif
