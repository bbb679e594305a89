/* Many threads use one engine at once: each with a forwarder of its own, others with what any thread may call, and
 * some make and free. */
#include "calls.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>

/* A sanitizer may be given less to do. */
#ifndef ROUNDS
#define ROUNDS 4000
#endif

enum { THREADS = 4, ITEMS = 8, FRAME = 300 };

static struct mesh mesh;
static atomic_uint_least64_t now;
static atomic_bool is_over;

/* What one thread has of each of the two engines. */
struct lane {
    int index;
    leon_forwarder *from, *to;
    uint64_t sent, delivered;
};

static leon_time tick(void) { return atomic_fetch_add(&now, 1000) + 1000; }

/* The lane's datagrams go straight to the other engine, those of the engines themselves get lost. */
static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    struct lane *lane = user_data;
    if (lane == NULL) return;
    for (size_t i = 0; i < count; i++) {
        uint8_t bytes[2 * FRAME];
        size_t len = 0;
        for (size_t k = 0; k < datagrams[i].iov_count; k++) {
            memcpy(bytes + len, datagrams[i].iov[k].data, datagrams[i].iov[k].len);
            len += datagrams[i].iov[k].len;
        }
        leon_datagram_in in = {bytes, len, 0, mesh_locator(0), 0, 0, 0};
        OK(leon_forwarder_datagram_in(lane->to, tick(), &in));
        lane->sent++;
    }
}

static void frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    struct lane *lane = user_data;
    for (size_t i = 0; i < count; i++) CHECK_EQ(frames[i].len, FRAME);
    lane->delivered += count;
}

/* While the mesh comes together its own callbacks are run; then these. */
static atomic_bool is_threaded;

static void any_datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    if (!atomic_load(&is_threaded)) mesh_datagrams_out(user_data, datagrams, count);
    else if (user_data != &mesh.nodes[0] && user_data != &mesh.nodes[1]) datagrams_out(user_data, datagrams, count);
}

static void any_frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    if (atomic_load(&is_threaded)) frames_out(user_data, frames, count);
    else mesh_frames_out(user_data, frames, count);
}

static void no_event(void *user_data, const leon_event *event) {
    (void)user_data;
    CHECK(event->kind != 0);
}

static void no_deadline(void *user_data, leon_time deadline) {
    (void)user_data, (void)deadline;
}

static void faster(int index, leon_config *config) {
    (void)index;
    config->flood_limit = 1000000000;
}

static void start(void) {
    atomic_store(&is_threaded, false);
    atomic_store(&is_over, false);
    mesh_init(&mesh);
    mesh.configure = faster;
    mesh.callbacks.datagrams_out = any_datagrams_out;
    mesh.callbacks.frames_out = any_frames_out;
    mesh.callbacks.event = no_event;
    mesh.callbacks.deadline_changed = no_deadline;
    mesh.callbacks.log = NULL;
    mesh_converge(&mesh, 2);
    for (int i = 0; i < 2; i++) {
        uint8_t bytes[FRAME];
        frame_write(bytes, sizeof bytes, i, -1);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        mesh_frame(&mesh, i, &frame);
    }
    mesh_run(&mesh, 10 * MS);
    mesh_clear(&mesh);
    atomic_store(&now, mesh.now);
    atomic_store(&is_threaded, true);
}

static void stop(void) {
    mesh.now = atomic_load(&now);
    mesh_end(&mesh);
}

static void lane_init(struct lane *lane, int index) {
    *lane = (struct lane){.index = index};
    OK(leon_forwarder_new(mesh.nodes[0].engine, lane, &lane->from));
    OK(leon_forwarder_new(mesh.nodes[1].engine, lane, &lane->to));
}

static void lane_end(struct lane *lane) {
    OK(leon_forwarder_free(lane->from));
    OK(leon_forwarder_free(lane->to));
}

static void *move_frames(void *argument) {
    struct lane *lane = argument;
    uint8_t bytes[ITEMS][FRAME];
    leon_frame_in frames[ITEMS];
    for (int round = 0; round < ROUNDS; round++) {
        size_t done;
        for (int i = 0; i < ITEMS; i++) {
            frame_write(bytes[i], FRAME, 0, round % 16 == 0 ? -1 : 1);
            frames[i] = frame_in(bytes[i], FRAME);
        }
        OK(leon_forwarder_frames_in(lane->from, tick(), frames, ITEMS, &done));
        CHECK_EQ(done, ITEMS);
        for (int i = 0; i < ITEMS; i++) CHECK_EQ(frames[i].dropped, LEON_COUNTER_NONE);
    }
    return NULL;
}

/* What any thread may do at any time. */
static void *ask(void *argument) {
    leon_engine *engine = argument;
    while (!atomic_load(&is_over)) {
        leon_member members[4];
        leon_link links[4];
        leon_host hosts[8];
        leon_address seed = mesh_locator(1);
        uint64_t values[LEON_COUNTER_COUNT];
        leon_info info = {.struct_size = sizeof info};
        char text[100];
        size_t count;
        OK(leon_engine_timer(engine, tick()));
        OK(leon_engine_members(engine, tick(), members, 4, &count));
        OK(leon_engine_links(engine, tick(), links, 4, &count));
        OK(leon_engine_hosts(engine, tick(), hosts, 8, &count));
        OK(leon_engine_counters(engine, tick(), values, LEON_COUNTER_COUNT, &count));
        OK(leon_engine_info(engine, tick(), &info));
        OK(leon_engine_set_seeds(engine, &seed, 1, tick()));
        OK(leon_engine_set_allowed(engine, NULL, 0, tick()));
        OK(leon_engine_set_policy(engine, LEON_FORMAT_TOML, NULL, 0, tick()));
        OK(leon_engine_last_error(engine, text, sizeof text, &count));
        CHECK(leon_engine_deadline(engine) != 0 && leon_engine_mtu(engine) != 0);
    }
    return NULL;
}

static void *make_and_free(void *argument) {
    leon_engine *engine = argument;
    while (!atomic_load(&is_over)) {
        struct args args;
        args_init(&args, NULL, NULL, MS);
        OK(leon_engine_new(args.given.config, args.given.callbacks, MS, args.given.new_engine, NULL, 0));
        OK(leon_engine_join(args.memory.new_engine, MS));
        OK(leon_forwarder_new(engine, NULL, args.given.new_forwarder));
        args_end(&args);
    }
    return NULL;
}

TEST(threads_with_a_forwarder_each_lose_nothing_while_others_ask_and_make_and_free) {
    static struct lane lanes[THREADS];
    pthread_t movers[THREADS], others[3];
    start();
    for (int i = 0; i < THREADS; i++) lane_init(&lanes[i], i);
    REQUIRE(pthread_create(&others[0], NULL, ask, mesh.nodes[0].engine) == 0);
    REQUIRE(pthread_create(&others[1], NULL, ask, mesh.nodes[1].engine) == 0);
    REQUIRE(pthread_create(&others[2], NULL, make_and_free, mesh.nodes[0].engine) == 0);
    for (int i = 0; i < THREADS; i++) REQUIRE(pthread_create(&movers[i], NULL, move_frames, &lanes[i]) == 0);
    for (int i = 0; i < THREADS; i++) REQUIRE(pthread_join(movers[i], NULL) == 0);
    atomic_store(&is_over, true);
    for (int i = 0; i < 3; i++) REQUIRE(pthread_join(others[i], NULL) == 0);
    uint64_t delivered = 0;
    for (int i = 0; i < THREADS; i++) {
        CHECK_EQ(lanes[i].sent, ROUNDS * ITEMS);
        delivered += lanes[i].delivered;
        lane_end(&lanes[i]);
    }
    mesh.now = atomic_load(&now);
    /* A thread that was stopped for long comes too late for the replay window. */
    uint64_t late = mesh_counter(&mesh, 1, LEON_COUNTER_DROP_REPLAYED);
    CHECK_EQ(delivered + late, (uint64_t)THREADS * ROUNDS * ITEMS);
    CHECK(late < (uint64_t)THREADS * ROUNDS * ITEMS / 10);
    stop();
}

/* One thread is in a callback of a forwarder, for as long as another tries to use it. */
static sem_t is_inside, may_leave;

static void wait_inside(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    (void)user_data, (void)datagrams, (void)count;
    if (!atomic_load(&is_threaded)) {
        mesh_datagrams_out(user_data, datagrams, count);
        return;
    }
    sem_post(&is_inside);
    sem_wait(&may_leave);
}

static void *send_one(void *forwarder) {
    uint8_t bytes[FRAME];
    frame_write(bytes, FRAME, 0, -1);
    leon_frame_in frame = frame_in(bytes, FRAME);
    OK(leon_forwarder_frame_in(forwarder, mesh.now, &frame));
    return NULL;
}

static void start_waiting(pthread_t *thread) {
    sem_init(&is_inside, 0, 0);
    sem_init(&may_leave, 0, 0);
    atomic_store(&is_threaded, false);
    mesh_init(&mesh);
    mesh.callbacks.datagrams_out = wait_inside;
    mesh_converge(&mesh, 2);
    mesh_clear(&mesh);
    atomic_store(&is_threaded, true);
    REQUIRE(pthread_create(thread, NULL, send_one, mesh.nodes[0].forwarder) == 0);
    sem_wait(&is_inside);
}

static void end_waiting(pthread_t thread) {
    sem_post(&may_leave);
    REQUIRE(pthread_join(thread, NULL) == 0);
    atomic_store(&is_threaded, false);
    mesh_end(&mesh);
}

TEST(a_forwarder_that_another_thread_uses_is_busy) {
    pthread_t thread;
    struct args args;
    start_waiting(&thread);
    args_init(&args, mesh.nodes[0].engine, mesh.nodes[0].forwarder, mesh.now);
    for (int i = 0; i < call_count; i++) {
        if ((calls[i]->takes & TAKES_FORWARDER) && !(calls[i]->takes & FREES)) {
            call_expect(calls[i], &args, LEON_E_BUSY, "another thread is in a callback");
        }
    }
    /* What belongs to the engine goes on, and another forwarder too. */
    uint64_t frames = mesh_counter(&mesh, 0, LEON_COUNTER_FRAMES_IN);
    leon_forwarder *other;
    leon_datagram_in datagram = {args.memory.datagram[0], 60, 0, mesh_locator(1), 0, 0, 0};
    OK(leon_forwarder_new(mesh.nodes[0].engine, &mesh.nodes[0], &other));
    OK(leon_forwarder_datagram_in(other, mesh.now, &datagram));
    OK(leon_forwarder_free(other));
    CHECK_EQ(frames, 1);
    end_waiting(thread);
}

TEST(what_is_freed_while_another_thread_uses_it_ends_with_its_call) {
    pthread_t thread;
    uint8_t bytes[FRAME] = {0};
    leon_frame_in frame = frame_in(bytes, FRAME);
    start_waiting(&thread);
    OK(leon_forwarder_free(mesh.nodes[0].forwarder));
    EXPECT(LEON_E_HANDLE, leon_forwarder_frame_in(mesh.nodes[0].forwarder, mesh.now, &frame));
    EXPECT(LEON_E_HANDLE, leon_forwarder_free(mesh.nodes[0].forwarder));
    OK(leon_engine_free(mesh.nodes[0].engine));
    EXPECT(LEON_E_HANDLE, leon_engine_timer(mesh.nodes[0].engine, mesh.now));
    mesh.nodes[0].engine = NULL;
    mesh.nodes[0].forwarder = NULL;
    end_waiting(thread);
}

/* Two threads with one forwarder: at each time one of them gets in. */
static atomic_uint_least64_t taken, busy;

static void *share(void *forwarder) {
    while (atomic_load(&taken) < 5 * ROUNDS && !atomic_load(&is_over)) {
        uint8_t bytes[FRAME];
        frame_write(bytes, FRAME, 0, 1);
        leon_frame_in frame = frame_in(bytes, FRAME);
        leon_status status = leon_forwarder_frame_in(forwarder, tick(), &frame);
        CHECK(check_is_listed("leon_forwarder_frame_in", status));
        if (status == LEON_OK) atomic_fetch_add(&taken, 1);
        else if (status == LEON_E_BUSY) atomic_fetch_add(&busy, 1);
        else CHECK_EQ(status, LEON_E_BUSY);
    }
    return NULL;
}

TEST(two_threads_with_one_forwarder_take_turns_or_are_told) {
    pthread_t threads[2];
    struct lane lane;
    start();
    lane_init(&lane, 0);
    atomic_store(&taken, 0);
    for (int i = 0; i < 2; i++) REQUIRE(pthread_create(&threads[i], NULL, share, lane.from) == 0);
    for (int i = 0; i < 2; i++) REQUIRE(pthread_join(threads[i], NULL) == 0);
    CHECK_EQ(lane.delivered, atomic_load(&taken));
    printf("       %llu frames taken, %llu times busy\n", (unsigned long long)atomic_load(&taken),
           (unsigned long long)atomic_load(&busy));
    lane_end(&lane);
    stop();
}

/* Threads that use and free the same handles. */
struct contest {
    pthread_barrier_t barrier;
    leon_engine *engine;
    leon_forwarder *forwarder;
    atomic_int engine_freed, forwarder_freed;
};

static void *use_and_free(void *argument) {
    struct contest *contest = argument;
    uint8_t bytes[64];
    frame_write(bytes, sizeof bytes, 0, -1);
    leon_frame_in frame = frame_in(bytes, sizeof bytes);
    pthread_barrier_wait(&contest->barrier);
    for (int i = 0; i < 20; i++) {
        leon_status timer = leon_engine_timer(contest->engine, MS);
        leon_status sent = leon_forwarder_frame_in(contest->forwarder, MS, &frame);
        CHECK(check_is_listed("leon_engine_timer", timer) && check_is_listed("leon_forwarder_frame_in", sent));
        if (i < 15) continue;
        leon_status engine = leon_engine_free(contest->engine);
        leon_status forwarder = leon_forwarder_free(contest->forwarder);
        CHECK(check_is_listed("leon_engine_free", engine) && check_is_listed("leon_forwarder_free", forwarder));
        if (engine == LEON_OK) atomic_fetch_add(&contest->engine_freed, 1);
        if (forwarder == LEON_OK) atomic_fetch_add(&contest->forwarder_freed, 1);
    }
    return NULL;
}

TEST(of_many_threads_that_free_a_handle_at_once_exactly_one_does) {
    for (int round = 0; round < ROUNDS / 10; round++) {
        struct contest contest;
        struct args args;
        pthread_t threads[3];
        memset(&contest, 0, sizeof contest);
        pthread_barrier_init(&contest.barrier, NULL, 3);
        args_init(&args, NULL, NULL, MS);
        OK(leon_engine_new(args.given.config, args.given.callbacks, MS, &contest.engine, NULL, 0));
        OK(leon_forwarder_new(contest.engine, NULL, &contest.forwarder));
        for (int i = 0; i < 3; i++) REQUIRE(pthread_create(&threads[i], NULL, use_and_free, &contest) == 0);
        for (int i = 0; i < 3; i++) REQUIRE(pthread_join(threads[i], NULL) == 0);
        CHECK_EQ(contest.engine_freed, 1);
        CHECK_EQ(contest.forwarder_freed, 1);
        pthread_barrier_destroy(&contest.barrier);
    }
}

/* A figure, not a promise: how fast one thread seals frames, and two at once. */
enum { SEALED = 200000, LONG = 1400 };

static void *seal(void *argument) {
    struct lane *lane = argument;
    static _Thread_local uint8_t bytes[32][LONG];
    leon_frame_in frames[32];
    for (int sent = 0; sent < SEALED; sent += 32) {
        for (int i = 0; i < 32; i++) {
            frame_write(bytes[i], 14, 0, 1);
            frames[i] = frame_in(bytes[i], LONG);
        }
        OK(leon_forwarder_frames_in(lane->from, tick(), frames, 32, NULL));
    }
    return NULL;
}

static void drop_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    if (!atomic_load(&is_threaded)) mesh_datagrams_out(user_data, datagrams, count);
}

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

TEST(two_threads_seal_at_once) {
    for (int count = 1; count <= 2; count++) {
        struct lane lanes[2];
        pthread_t threads[2];
        start();
        mesh_end(&mesh);
        atomic_store(&is_threaded, false);
        mesh.callbacks.datagrams_out = drop_out;
        mesh_converge(&mesh, 2);
        atomic_store(&is_threaded, true);
        for (int i = 0; i < count; i++) lane_init(&lanes[i], i);
        double began_at = seconds();
        for (int i = 0; i < count; i++) REQUIRE(pthread_create(&threads[i], NULL, seal, &lanes[i]) == 0);
        for (int i = 0; i < count; i++) REQUIRE(pthread_join(threads[i], NULL) == 0);
        double taken_s = seconds() - began_at;
        printf("       %d thread%s: %.0f frames of %d bytes each second\n", count, count > 1 ? "s" : "",
               count * SEALED / taken_s, LONG);
        uint64_t sent = mesh_counter(&mesh, 0, LEON_COUNTER_FRAMES_IN);
        CHECK_EQ(sent, count * SEALED);
        for (int i = 0; i < count; i++) lane_end(&lanes[i]);
        atomic_store(&is_threaded, false);
        mesh_end(&mesh);
    }
}
