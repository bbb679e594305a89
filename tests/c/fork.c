/* The child of a fork may free what it has from its parent, and use what needs no engine; all else would use nonces
 * twice. The parent goes on. */
#include "calls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mesh mesh;

/* Runs `act` in a child; its checks are the parent's. */
static void in_child(void (*act)(void)) {
    fflush(NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        int before = check_failures();
        alarm(20);
        act();
        check_write_seen();
        _exit(check_failures() == before ? 0 : 1);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void call_everything(void) {
    for (int i = 0; i < call_count; i++) {
        const struct call *call = calls[i];
        struct args args, before;
        if (call->takes & FREES) continue;
        args_init(&args, mesh.nodes[0].engine, mesh.nodes[0].forwarder, mesh.now);
        before = args;
        bool is_of_parent = call->takes & (TAKES_ENGINE | TAKES_FORWARDER);
        call_expect(call, &args, is_of_parent ? LEON_E_FORKED : LEON_OK, "in a child");
        if (is_of_parent) {
            if (call->takes & WRITES_DONE) args.memory.done = before.memory.done;
            CHECK(memcmp(&args.memory, &before.memory, sizeof args.memory) == 0);
        }
        args_end(&args);
    }
}

static void free_everything(void) { mesh_end(&mesh); }

static void start_anew(void) {
    mesh_end(&mesh);
    mesh_init(&mesh);
    mesh.entropy = 7;
    mesh_converge(&mesh, 2);
    mesh_end(&mesh);
}

static void leave_it(void) {}

static void exchange(void) {
    size_t before = mesh.nodes[1].frames;
    uint8_t bytes[60];
    frame_write(bytes, sizeof bytes, 0, -1);
    leon_frame_in frame = frame_in(bytes, sizeof bytes);
    mesh_frame(&mesh, 0, &frame);
    mesh_run(&mesh, 100 * MS);
    CHECK_EQ(mesh.nodes[1].frames, before + 1);
}

TEST(a_child_can_only_free_what_its_parent_made_and_the_parent_goes_on) {
    void (*const acts[])(void) = {call_everything, free_everything, start_anew, leave_it};
    mesh_init(&mesh);
    mesh_converge(&mesh, 2);
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        in_child(acts[i]);
        exchange();
    }
    mesh_end(&mesh);
}

static void free_in_grandchild(void) {
    CHECK_EQ(leon_engine_mtu(mesh.nodes[0].engine), 0);
    in_child(free_everything);
    EXPECT(LEON_E_FORKED, leon_engine_timer(mesh.nodes[0].engine, mesh.now));
}

TEST(a_grandchild_can_only_free_too) {
    mesh_init(&mesh);
    mesh_converge(&mesh, 2);
    in_child(free_in_grandchild);
    exchange();
    mesh_end(&mesh);
}

/* Forks inside a callback, and goes on there in both processes. */
static bool is_to_fork, is_child;

static void fork_inside(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    if (is_to_fork) {
        is_to_fork = false;
        fflush(NULL);
        pid_t child = fork();
        REQUIRE(child >= 0);
        is_child = child == 0;
        int status = -1;
        if (child > 0) CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    mesh_datagrams_out(user_data, datagrams, count);
}

TEST(a_fork_in_a_callback_ends_both_calls_and_the_child_can_free) {
    uint8_t bytes[60];
    int before = check_failures();
    mesh_init(&mesh);
    mesh.callbacks.datagrams_out = fork_inside;
    mesh_converge(&mesh, 2);
    frame_write(bytes, sizeof bytes, 0, -1);
    leon_frame_in frame = frame_in(bytes, sizeof bytes);
    is_to_fork = true;
    leon_status status = leon_forwarder_frame_in(mesh.nodes[0].forwarder, mesh.now, &frame);
    CHECK_EQ(status, LEON_OK);
    /* In the child the call under way may end; the next one may not begin. */
    if (is_child) {
        EXPECT(LEON_E_FORKED, leon_forwarder_frame_in(mesh.nodes[0].forwarder, mesh.now, &frame));
        mesh_end(&mesh);
        check_write_seen();
        _exit(check_failures() == before ? 0 : 1);
    }
    mesh_end(&mesh);
}

/* Other threads of the parent are anywhere in leon when it forks; in the child they do not exist. */
static atomic_bool is_over;

static void *keep_busy(void *unused) {
    (void)unused;
    uint64_t n = 0;
    while (!atomic_load(&is_over)) {
        uint64_t values[LEON_COUNTER_COUNT];
        size_t count;
        leon_forwarder *forwarder;
        char text[100];
        n++;
        OK(leon_engine_counters(mesh.nodes[0].engine, mesh.now, values, LEON_COUNTER_COUNT, &count));
        OK(leon_forwarder_new(mesh.nodes[0].engine, NULL, &forwarder));
        OK(leon_forwarder_free(forwarder));
        EXPECT(LEON_E_NULL, leon_engine_info(mesh.nodes[0].engine, mesh.now, NULL));
        OK(leon_engine_last_error(mesh.nodes[0].engine, text, sizeof text, NULL));
    }
    return NULL;
}

static void free_and_ask(void) {
    char text[100];
    EXPECT(LEON_E_FORKED, leon_engine_last_error(mesh.nodes[0].engine, text, sizeof text, NULL));
    mesh_end(&mesh);
}

TEST(a_child_that_frees_waits_for_no_thread_of_its_parent) {
    pthread_t threads[3];
    mesh_init(&mesh);
    mesh_converge(&mesh, 2);
    atomic_store(&is_over, false);
    for (int i = 0; i < 3; i++) REQUIRE(pthread_create(&threads[i], NULL, keep_busy, NULL) == 0);
    int before = check_failures();
    for (int i = 0; i < 100 && check_failures() == before; i++) in_child(free_and_ask);
    atomic_store(&is_over, true);
    for (int i = 0; i < 3; i++) REQUIRE(pthread_join(threads[i], NULL) == 0);
    mesh_end(&mesh);
}
