/* The shared library is opened, used and closed at run time, by a program that has the static one in it as well.
 * LEON_SO names the shared library. */
#include "mesh.h"

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>

/* What the tests use of one copy of leon. */
struct api {
    const char *(*version)(void);
    leon_status (*engine_new)(uint32_t, const leon_config *, const leon_callbacks *, leon_time, leon_engine **, char *, size_t);
    leon_status (*engine_free)(leon_engine *);
    leon_status (*join)(leon_engine *, leon_time);
    leon_status (*timer)(leon_engine *, leon_time);
    leon_time (*deadline)(const leon_engine *);
    leon_status (*members)(const leon_engine *, leon_time, leon_member *, size_t, size_t *);
    leon_status (*forwarder_new)(leon_engine *, void *, leon_forwarder **);
    leon_status (*forwarder_free)(leon_forwarder *);
    leon_status (*frame_in)(leon_forwarder *, leon_time, leon_frame_in *);
    leon_status (*datagram_in)(leon_forwarder *, leon_time, leon_datagram_in *);
};

static const struct api linked = {
    leon_version, leon_engine_new_abi, leon_engine_free, leon_engine_join, leon_engine_timer, leon_engine_deadline,
    leon_engine_members, leon_forwarder_new, leon_forwarder_free, leon_forwarder_frame_in, leon_forwarder_datagram_in,
};

static void *open_library(void) {
    const char *path = getenv("LEON_SO");
    REQUIRE(path != NULL);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) fprintf(stderr, "%s\n", dlerror());
    REQUIRE(library != NULL);
    return library;
}

static struct api loaded(void *library) {
    static const char *const names[] = {
        "leon_version", "leon_engine_new_abi", "leon_engine_free", "leon_engine_join", "leon_engine_timer",
        "leon_engine_deadline", "leon_engine_members", "leon_forwarder_new", "leon_forwarder_free",
        "leon_forwarder_frame_in", "leon_forwarder_datagram_in",
    };
    struct api api;
    _Static_assert(sizeof api == sizeof names, "a name for each function");
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        void *symbol = dlsym(library, names[i]);
        REQUIRE(symbol != NULL);
        memcpy((char *)&api + i * sizeof symbol, &symbol, sizeof symbol);
    }
    /* Two copies, not one found twice. */
    REQUIRE(api.engine_new != linked.engine_new);
    return api;
}

/* A node of either copy. What it sends waits in a mesh that has no nodes of its own. */
struct party {
    struct api api;
    int index;
    leon_engine *engine;
    leon_forwarder *forwarder;
    size_t frames;
};

static struct {
    uint8_t bytes[2048];
    size_t len;
    int from, to;
} wire[64];
static size_t sent, received;

static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    const struct party *party = user_data;
    for (size_t i = 0; i < count; i++) {
        size_t at = sent++ % 64;
        wire[at].from = party->index;
        wire[at].to = datagrams[i].to.ip[3] - 1;
        wire[at].len = 0;
        for (size_t k = 0; k < datagrams[i].iov_count; k++) {
            memcpy(wire[at].bytes + wire[at].len, datagrams[i].iov[k].data, datagrams[i].iov[k].len);
            wire[at].len += datagrams[i].iov[k].len;
        }
    }
}

static void frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    struct party *party = user_data;
    (void)frames;
    party->frames += count;
}

static void party_init(struct party *party, const struct api *api, int index, leon_time now) {
    leon_key secret = {{1}}, network = {{2}}, entropy = {{3}};
    leon_address seed = mesh_locator(0);
    secret.bytes[1] = entropy.bytes[1] = (uint8_t)index;
    leon_config config = {
        .struct_size = sizeof config, .entropy = &entropy, .incarnation = 1, .name = index == 0 ? "zero" : "one",
        .locator = mesh_locator(index), .seeds = &seed, .seed_count = 1, .secret_key = &secret, .network_key = &network,
        .fdb_capacity = 64, .max_members = 8,
    };
    leon_callbacks callbacks = {
        .struct_size = sizeof callbacks, .user_data = party, .datagrams_out = datagrams_out, .frames_out = frames_out,
    };
    *party = (struct party){.api = *api, .index = index};
    CHECK_EQ(api->engine_new(LEON_ABI_VERSION, &config, &callbacks, now, &party->engine, NULL, 0), LEON_OK);
    CHECK_EQ(api->forwarder_new(party->engine, party, &party->forwarder), LEON_OK);
    CHECK_EQ(api->join(party->engine, now), LEON_OK);
}

static void party_end(struct party *party) {
    CHECK_EQ(party->api.forwarder_free(party->forwarder), LEON_OK);
    CHECK_EQ(party->api.engine_free(party->engine), LEON_OK);
}

static void run(struct party *parties, leon_time *now, leon_time duration) {
    for (leon_time end = *now + duration; *now < end; *now += MS) {
        for (; received < sent; received++) {
            size_t at = received % 64;
            if (wire[at].to > 1) continue;
            struct party *to = &parties[wire[at].to];
            leon_datagram_in in = {wire[at].bytes, wire[at].len, 0, mesh_locator(wire[at].from), 0, 0, 0};
            CHECK_EQ(to->api.datagram_in(to->forwarder, *now, &in), LEON_OK);
        }
        for (int i = 0; i < 2; i++) {
            struct party *party = &parties[i];
            if (party->api.deadline(party->engine) <= *now) CHECK_EQ(party->api.timer(party->engine, *now), LEON_OK);
        }
    }
}

static void exchange(struct party *parties, leon_time *now) {
    uint8_t bytes[60];
    for (int i = 0; i < 2; i++) {
        size_t before = parties[1 - i].frames;
        frame_write(bytes, sizeof bytes, i, -1);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        CHECK_EQ(parties[i].api.frame_in(parties[i].forwarder, *now, &frame), LEON_OK);
        run(parties, now, 20 * MS);
        CHECK_EQ(parties[1 - i].frames, before + 1);
    }
}

TEST(the_static_and_the_shared_library_work_side_by_side) {
    static struct party parties[2];
    void *library = open_library();
    struct api shared = loaded(library);
    leon_time now = MS;
    sent = received = 0;
    CHECK(strcmp(shared.version(), linked.version()) == 0);
    party_init(&parties[0], &linked, 0, now);
    party_init(&parties[1], &shared, 1, now);
    run(parties, &now, 5000 * MS);
    exchange(parties, &now);
    /* The shared copy goes, and comes back, and the static one does not notice. */
    party_end(&parties[1]);
    CHECK(dlclose(library) == 0);
    library = open_library();
    shared = loaded(library);
    party_init(&parties[1], &shared, 1, now);
    run(parties, &now, 30000 * MS);
    leon_member member;
    size_t count;
    CHECK_EQ(linked.members(parties[0].engine, now, &member, 1, &count), LEON_OK);
    CHECK_EQ(count, 1);
    for (int i = 0; i < 2; i++) party_end(&parties[i]);
    CHECK(dlclose(library) == 0);
}

/* A thread that has been in leon ends when nobody has the library open any more. */
static sem_t is_used, is_closed;

static void *use(void *argument) {
    static _Thread_local struct party parties[2];
    const struct api *shared = argument;
    struct api copy = *shared;
    leon_time now = MS;
    sent = received = 0;
    for (int i = 0; i < 2; i++) party_init(&parties[i], &copy, i, now);
    run(parties, &now, 5000 * MS);
    exchange(parties, &now);
    sem_post(&is_used);
    sem_wait(&is_closed);
    /* The library has been closed, and is there: its engines go on and are freed. */
    exchange(parties, &now);
    for (int i = 0; i < 2; i++) party_end(&parties[i]);
    return NULL;
}

TEST(a_library_that_is_closed_stays_for_threads_that_were_in_it) {
    for (int round = 0; round < 5; round++) {
        void *library = open_library();
        struct api shared = loaded(library);
        pthread_t thread;
        sem_init(&is_used, 0, 0);
        sem_init(&is_closed, 0, 0);
        REQUIRE(pthread_create(&thread, NULL, use, &shared) == 0);
        sem_wait(&is_used);
        CHECK(dlclose(library) == 0);
        sem_post(&is_closed);
        REQUIRE(pthread_join(thread, NULL) == 0);
        void *again = dlopen(getenv("LEON_SO"), RTLD_NOW | RTLD_NOLOAD);
        if (CHECK(again != NULL)) dlclose(again);
    }
}
