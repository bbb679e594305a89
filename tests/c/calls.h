/* Every function of leon.h with arguments that are right, for tests that make one of them wrong, or that call all
 * functions at a time when some may not be called. */
#ifndef CALLS_H
#define CALLS_H

#include "mesh.h"

/* What a function takes, or how it answers. */
enum {
    TAKES_ENGINE = 1,
    TAKES_FORWARDER = 2,
    TAKES_TIME = 4,
    FREES = 8,       /* NULL is right */
    HAS_NO_STATUS = 16, /* the answer says so: the wrapper makes LEON_E_HANDLE of it */
    WRITES_DONE = 32,
    TELLS_ERROR = 64, /* works with an engine that nothing else works with */
};

/* The arguments, whatever they are for. */
struct given {
    uint32_t abi;
    leon_engine *engine;
    leon_forwarder *forwarder;
    leon_time now;
    const leon_config *config;
    const leon_callbacks *callbacks;
    leon_engine **new_engine;
    leon_forwarder **new_forwarder;
    const leon_id *allowed;
    size_t allowed_count;
    const char *policy;
    size_t policy_len;
    char *text;
    size_t text_size;
    const char *key_text, *id_text, *address_text;
    leon_key *key;
    leon_id *id;
    leon_address *address;
    leon_info *info;
    leon_member *members;
    leon_link *links;
    leon_host *hosts;
    const leon_host_key *host;
    leon_explanation *explanation;
    leon_candidate *candidates;
    leon_frame_info *frame_info;
    uint8_t *stream;
    uint64_t *values;
    size_t capacity;
    size_t *count;
    leon_frame_in *frames;
    leon_datagram_in *datagrams;
    size_t items;
    size_t *done;
};

/* What the pointers among them lead to. Some functions write to it. */
struct memory {
    leon_engine *new_engine;
    leon_forwarder *new_forwarder;
    leon_config config;
    leon_callbacks callbacks;
    leon_key key, entropy, network;
    leon_id id;
    leon_address address;
    char text[8192];
    leon_info info;
    leon_member members[2];
    leon_link links[2];
    leon_host hosts[2];
    leon_host_key host;
    leon_explanation explanation;
    leon_candidate candidates[2];
    leon_frame_info frame_info;
    uint8_t stream[LEON_STREAM_HEADER + 128];
    uint64_t values[LEON_COUNTER_COUNT];
    size_t count, done;
    uint8_t frame[2][128], datagram[2][128];
    leon_frame_in frames[2];
    leon_datagram_in datagrams[2];
};

struct args {
    struct given given;
    struct memory memory;
};

struct call {
    const char *name;
    leon_status (*run)(const struct given *given);
    unsigned takes;
    /* The members of `struct given` that are pointers and must not be NULL: offsets plus 1, up to a 0. */
    size_t pointers[5];
};

/* One entry for each function that the header declares: a function without one does not compile. */
extern const struct call *const calls[];
extern const int call_count;

/* Arguments that are right for every function. They point to themselves, so they must stay where they are. */
void args_init(struct args *args, leon_engine *engine, leon_forwarder *forwarder, leon_time now);
/* Frees what a call has made. */
void args_end(struct args *args);
/* Calls, and checks the status; `what` says what was wrong with the arguments. */
bool call_expect(const struct call *call, struct args *args, leon_status expected, const char *what);

#endif
