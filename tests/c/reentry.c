/* From inside each callback every function is called: what uses the forwarder that is at work is refused, all else
 * works, and what is freed there is gone when the call under way ends. */
#include "calls.h"

static const char *const places[] = {"datagrams_out", "frames_out", "deadline_changed", "event", "log"};
enum place { DATAGRAMS_OUT, FRAMES_OUT, DEADLINE_CHANGED, EVENT, LOG, PLACES };

static struct mesh mesh;

/* What happens in the first callback of this kind, of node 1, that a call with its forwarder runs, or one with its
 * engine. */
static struct {
    enum place place;
    bool is_of_forwarder, is_done;
    void (*act)(struct node *node);
    const struct call *call;
} armed;

static void reached(enum place place, void *user_data) {
    struct node *node = user_data;
    if (armed.is_done || place != armed.place || node->index != 1) return;
    if ((mesh.forwarding == 1) != armed.is_of_forwarder) return;
    armed.is_done = true;
    armed.act(node);
}

static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    mesh_datagrams_out(user_data, datagrams, count);
    reached(DATAGRAMS_OUT, user_data);
    /* What was lent is still there. */
    for (size_t i = 0; i < count; i++) CHECK(datagrams[i].iov[0].data[0] != 0 || datagrams[i].len > 0);
}

static void frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    uint8_t before[64], after[64];
    memcpy(before, frames[0].data, sizeof before);
    mesh_frames_out(user_data, frames, count);
    reached(FRAMES_OUT, user_data);
    memcpy(after, frames[0].data, sizeof after);
    CHECK(memcmp(before, after, sizeof after) == 0);
}

static void deadline_changed(void *user_data, leon_time deadline) {
    (void)deadline;
    reached(DEADLINE_CHANGED, user_data);
}

static void event(void *user_data, const leon_event *what) {
    leon_event before = *what;
    mesh_event(user_data, what);
    reached(EVENT, user_data);
    CHECK(memcmp(&before, what, sizeof before) == 0);
}

static void log_line(void *user_data, uint32_t level, uint32_t id, const char *message, size_t len) {
    mesh_log(user_data, level, id, message, len);
    reached(LOG, user_data);
    CHECK_EQ(strlen(message), len);
}

/* Two nodes meet, exchange frames, and are cut off from each other: one of it runs the callback. */
static void play(void) {
    mesh_init(&mesh);
    mesh.callbacks.datagrams_out = datagrams_out;
    mesh.callbacks.frames_out = frames_out;
    mesh.callbacks.deadline_changed = deadline_changed;
    mesh.callbacks.event = event;
    mesh.callbacks.log = log_line;
    mesh_start(&mesh, 2);
    for (int i = 0; i < 400 && !armed.is_done; i++) {
        uint8_t bytes[64];
        frame_write(bytes, sizeof bytes, i % 2, -1);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        mesh_frame(&mesh, i % 2, &frame);
        mesh_run(&mesh, 50 * MS);
        if (i > 60) mesh_clear(&mesh);
    }
    CHECK(armed.is_done);
    mesh_run(&mesh, 20 * MS);
    mesh_end(&mesh);
}

/* Plays it for each callback, run by a call with the forwarder and by one with the engine. */
static void play_everywhere(void (*act)(struct node *node), const struct call *call) {
    for (int place = 0; place < PLACES; place++) {
        for (int of_forwarder = 0; of_forwarder < 2; of_forwarder++) {
            /* An engine delivers frames only for a forwarder. */
            if (place == FRAMES_OUT && !of_forwarder) continue;
            armed.place = (enum place)place;
            armed.is_of_forwarder = of_forwarder;
            armed.is_done = false;
            armed.act = act;
            armed.call = call;
            play();
        }
    }
}

static void call_it(struct node *node) {
    struct args args;
    char what[64];
    args_init(&args, node->engine, node->forwarder, mesh.now);
    args.given.items = 0;
    bool is_at_work = (armed.call->takes & TAKES_FORWARDER) && armed.is_of_forwarder;
    snprintf(what, sizeof what, "in %s of %s", places[armed.place], armed.is_of_forwarder ? "a forwarder" : "an engine");
    call_expect(armed.call, &args, is_at_work ? LEON_E_REENTRANT : LEON_OK, what);
    args_end(&args);
}

TEST(every_function_works_in_every_callback_but_with_the_forwarder_at_work) {
    for (int i = 0; i < call_count; i++) {
        if (!(calls[i]->takes & FREES)) play_everywhere(call_it, calls[i]);
    }
}

/* That a handle does nothing any more. */
static void check_gone(leon_engine *engine, leon_forwarder *forwarder) {
    uint8_t bytes[64] = {0};
    leon_frame_in frame = frame_in(bytes, sizeof bytes);
    if (engine != NULL) {
        EXPECT(LEON_E_HANDLE, leon_engine_timer(engine, mesh.now));
        EXPECT(LEON_E_HANDLE, leon_engine_free(engine));
    }
    if (forwarder != NULL) {
        EXPECT(LEON_E_HANDLE, leon_forwarder_frame_in(forwarder, mesh.now, &frame));
        EXPECT(LEON_E_HANDLE, leon_forwarder_free(forwarder));
    }
}

static void free_engine(struct node *node) {
    OK(leon_engine_free(node->engine));
    check_gone(node->engine, NULL);
    node->engine = NULL;
    leon_frame_in frame = {0};
    leon_status expected = armed.is_of_forwarder ? LEON_E_REENTRANT : LEON_E_CLOSED;
    EXPECT(expected, leon_forwarder_frame_in(node->forwarder, mesh.now, &frame));
    leon_forwarder *forwarder = node->forwarder;
    node->forwarder = NULL;
    OK(leon_forwarder_free(forwarder));
}

static void free_forwarder(struct node *node) {
    OK(leon_forwarder_free(node->forwarder));
    check_gone(NULL, node->forwarder);
    OK(leon_engine_timer(node->engine, mesh.now));
    node->forwarder = NULL;
}

static void free_both(struct node *node) {
    OK(leon_forwarder_free(node->forwarder));
    OK(leon_engine_free(node->engine));
    check_gone(node->engine, node->forwarder);
    node->forwarder = NULL;
    node->engine = NULL;
}

/* In place of the engine that is at work comes another, before the call that runs this has ended. */
static void replace_both(struct node *node) {
    leon_engine *former = node->engine;
    free_both(node);
    mesh.entropy++;
    if (!CHECK(mesh_engine(&mesh, 1, &node->engine) == LEON_OK)) return;
    OK(leon_forwarder_new(node->engine, node, &node->forwarder));
    OK(leon_engine_join(node->engine, mesh.now));
    CHECK(node->engine != former);
    check_gone(former, NULL);
}

static void free_everything(struct node *node) {
    (void)node;
    for (int i = 0; i < 2; i++) free_both(&mesh.nodes[i]);
}

TEST(what_is_freed_in_a_callback_is_gone_when_the_call_ends) {
    void (*const acts[])(struct node *) = {free_engine, free_forwarder, free_both, replace_both, free_everything};
    size_t heap = 0;
    for (int round = 0; round < 6; round++) {
        for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) play_everywhere(acts[i], NULL);
        /* The first rounds fill what is kept for later, in leon and in malloc. */
        if (round == 1) heap = check_heap();
    }
    /* One engine has more than that. */
    CHECK(check_heap() < heap + 16384);
}

/* A callback that calls the engine it was called by, again and again. */
static int depth, deepest;

static void recurse(struct node *node) {
    depth++;
    if (depth > deepest) deepest = depth;
    if (depth < 50) {
        armed.is_done = false;
        OK(leon_engine_set_allowed(node->engine, NULL, 0, mesh.now));
        OK(leon_engine_timer(node->engine, mesh.now += 60000 * MS));
    }
    armed.is_done = true;
    depth--;
}

TEST(a_callback_may_call_its_engine_again_and_again) {
    deepest = 0;
    armed.place = DATAGRAMS_OUT;
    armed.is_of_forwarder = armed.is_done = false;
    armed.act = recurse;
    play();
    CHECK(deepest > 10);
}
