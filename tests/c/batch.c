/* Batches in and out. Two meshes with the same randomness do the same, so what one does with a batch is compared,
 * byte by byte, with what the other does without. */
#include "mesh.h"

enum { FRAMES = 40, LONG = 1400 };

static struct mesh mesh, other;
static uint32_t max_segments;

static void trains(int index, leon_config *config) {
    (void)index;
    config->max_segments = max_segments;
}

static void small_frame(uint8_t *bytes, size_t len, int from) { frame_write(bytes, len, from, -1); }

/* A mesh of 3 in which every node knows every host. */
static void meet(struct mesh *m, uint32_t segments) {
    max_segments = segments;
    mesh_init(m);
    m->configure = trains;
    mesh_converge(m, 3);
    for (int i = 0; i < 3; i++) {
        uint8_t bytes[60];
        small_frame(bytes, sizeof bytes, i);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        mesh_frame(m, i, &frame);
    }
    mesh_run(m, 10 * MS);
    m->is_recording = true;
}

static void part(void) {
    mesh_end(&mesh);
    mesh_end(&other);
}

/* The lengths of the frames of a batch: as long as the one before, longer, shorter, by turns. */
static size_t length(int i) { return 60 + (size_t)(i / 3 % 4) * 440 + (size_t)(i % 5 == 4); }

static int receiver(int i) { return i % 7 == 6 ? -1 : 1 + i / 8 % 2; }

/* Hands all frames to node 0 of a mesh, one by one and as they are. */
static void send_singly(struct mesh *m) {
    for (int i = 0; i < FRAMES; i++) {
        uint8_t bytes[LONG];
        frame_write(bytes, length(i), 0, receiver(i));
        leon_frame_in frame = frame_in(bytes, length(i));
        OK(leon_forwarder_frame_in(m->nodes[0].forwarder, m->now, &frame));
        CHECK_EQ(frame.dropped, LEON_COUNTER_NONE);
    }
    mesh_run(m, 10 * MS);
}

/* Both meshes have sent the same datagrams and delivered the same frames, and enough of both. */
static void compare(void) {
    CHECK(record_is_equal(&mesh.nodes[0].sent, &other.nodes[0].sent));
    CHECK(mesh.nodes[0].sent.count >= FRAMES);
    for (int i = 1; i < 3; i++) {
        CHECK(record_is_equal(&mesh.nodes[i].given, &other.nodes[i].given));
        CHECK(mesh.nodes[i].given.count > FRAMES / 3);
    }
}

static void send_batch(struct mesh *m, leon_frame_in *frames) {
    size_t done = 0;
    OK(leon_forwarder_frames_in(m->nodes[0].forwarder, m->now, frames, FRAMES, &done));
    CHECK_EQ(done, FRAMES);
    for (int i = 0; i < FRAMES; i++) CHECK_EQ(frames[i].dropped, LEON_COUNTER_NONE);
    mesh_run(m, 10 * MS);
}

TEST(a_batch_of_frames_gives_the_datagrams_of_single_ones_in_their_order) {
    static uint8_t bytes[FRAMES][LONG];
    leon_frame_in frames[FRAMES];
    meet(&mesh, 1), meet(&other, 1);
    for (int i = 0; i < FRAMES; i++) {
        frame_write(bytes[i], length(i), 0, receiver(i));
        frames[i] = frame_in(bytes[i], length(i));
    }
    send_batch(&mesh, frames);
    send_singly(&other);
    compare();
    part();
}

TEST(trains_are_the_same_datagrams_one_after_the_other) {
    static uint8_t bytes[FRAMES][LONG];
    leon_frame_in frames[FRAMES];
    meet(&mesh, 64), meet(&other, 0);
    for (int i = 0; i < FRAMES; i++) {
        frame_write(bytes[i], length(i), 0, receiver(i));
        frames[i] = frame_in(bytes[i], length(i));
    }
    send_batch(&mesh, frames);
    send_singly(&other);
    compare();
    part();
}

TEST(frames_that_are_kept_stay_as_they_are_and_give_the_same_datagrams) {
    static uint8_t bytes[FRAMES][LONG], before[FRAMES][LONG];
    leon_frame_in frames[FRAMES];
    meet(&mesh, 1), meet(&other, 1);
    for (int i = 0; i < FRAMES; i++) {
        frame_write(bytes[i], length(i), 0, receiver(i));
        frames[i] = frame_in(bytes[i], length(i));
        frames[i].flags = LEON_FRAME_KEEP;
    }
    memcpy(before, bytes, sizeof bytes);
    send_batch(&mesh, frames);
    CHECK(memcmp(before, bytes, sizeof bytes) == 0);
    send_singly(&other);
    compare();
    part();
}

TEST(frames_in_pieces_stay_as_they_are_and_give_the_same_datagrams) {
    static uint8_t bytes[FRAMES][LONG], before[FRAMES][LONG];
    static leon_iov rest[FRAMES][LONG];
    leon_frame_in frames[FRAMES];
    meet(&mesh, 1), meet(&other, 1);
    for (int i = 0; i < FRAMES; i++) {
        /* The first piece is empty, one byte, shorter than an address, and so on; the rest in pieces of i bytes. */
        size_t len = length(i), first = (size_t)i % 13, count = 0, at = first, size = (size_t)i + 1;
        frame_write(bytes[i], len, 0, receiver(i));
        for (; at < len; at += size) {
            rest[i][count++] = (leon_iov){bytes[i] + at, len - at < size ? len - at : size};
        }
        frames[i] = frame_in(first > 0 ? bytes[i] : NULL, first);
        frames[i].rest = rest[i];
        frames[i].rest_count = count;
    }
    memcpy(before, bytes, sizeof bytes);
    send_batch(&mesh, frames);
    CHECK(memcmp(before, bytes, sizeof bytes) == 0);
    send_singly(&other);
    compare();
    part();
}

/* All that one node has sent, as the kernel would put it together: buffers of datagrams of one length. */
TEST(a_buffer_of_many_datagrams_is_worth_as_much_as_each_of_them) {
    static uint8_t buffer[65536];
    struct record got;
    uint64_t tag;
    uint8_t *bytes;
    size_t at = 0, len, buffered = 0, size = 0, buffers = 0;
    meet(&mesh, 1), meet(&other, 1);
    for (int i = 0; i < FRAMES; i++) {
        uint8_t frame_bytes[LONG];
        frame_write(frame_bytes, i % 10 == 9 ? 500 : 900, 0, 1);
        leon_frame_in frame = frame_in(frame_bytes, i % 10 == 9 ? 500 : 900), same;
        uint8_t copy[LONG];
        memcpy(copy, frame_bytes, sizeof copy);
        same = frame, same.data = copy;
        OK(leon_forwarder_frame_in(mesh.nodes[0].forwarder, mesh.now, &frame));
        OK(leon_forwarder_frame_in(other.nodes[0].forwarder, other.now, &same));
    }
    got = mesh.nodes[0].sent;
    mesh_clear(&mesh);
    mesh_run(&other, 10 * MS);
    mesh.now += 2 * MS;
    while (record_next(&got, &at, &tag, &bytes, &len)) {
        if (size == 0) size = len;
        memcpy(buffer + buffered, bytes, len);
        buffered += len;
        if (len == size && at < got.len) continue;
        leon_datagram_in in = {buffer, buffered, 0, mesh_locator(0), (uint16_t)size, 0, 0};
        OK(leon_forwarder_datagram_in(mesh.nodes[1].forwarder, mesh.now, &in));
        CHECK_EQ(in.dropped, LEON_COUNTER_NONE);
        buffered = size = 0;
        buffers++;
    }
    CHECK_EQ(buffers, FRAMES / 10);
    CHECK_EQ(mesh.nodes[1].given.count, FRAMES);
    CHECK(record_is_equal(&mesh.nodes[1].given, &other.nodes[1].given));
    part();
}

TEST(a_buffer_tells_of_the_last_datagram_that_was_dropped) {
    uint8_t buffer[300];
    uint64_t tag;
    uint8_t *bytes, frame_bytes[60];
    size_t at = 0, len;
    meet(&mesh, 1), meet(&other, 1);
    frame_write(frame_bytes, sizeof frame_bytes, 0, 1);
    leon_frame_in frame = frame_in(frame_bytes, sizeof frame_bytes);
    OK(leon_forwarder_frame_in(mesh.nodes[0].forwarder, mesh.now, &frame));
    REQUIRE(record_next(&mesh.nodes[0].sent, &at, &tag, &bytes, &len));
    memset(buffer, 0, sizeof buffer);
    memcpy(buffer + len, bytes, len);
    leon_datagram_in in = {buffer, 2 * len, 0, mesh_locator(0), (uint16_t)len, 0, 0};
    OK(leon_forwarder_datagram_in(mesh.nodes[1].forwarder, mesh.now, &in));
    CHECK_EQ(in.dropped, LEON_COUNTER_DROP_DATAGRAM_VERSION);
    CHECK_EQ(mesh.nodes[1].given.count, 1);
    part();
}

TEST(a_batch_ends_at_the_item_that_is_none_and_what_came_before_is_sent) {
    for (size_t wrong = 0; wrong < FRAMES; wrong += 3) {
        static uint8_t bytes[FRAMES][60];
        leon_frame_in frames[FRAMES];
        size_t done = 99;
        meet(&mesh, 1);
        for (int i = 0; i < FRAMES; i++) {
            frame_write(bytes[i], 60, 0, 1);
            frames[i] = frame_in(bytes[i], 60);
            frames[i].dropped = 77;
            /* Some are dropped, which stops nothing. */
            if (i % 4 == 1) bytes[i][6] = 1;
        }
        frames[wrong].segment = UINT32_MAX;
        EXPECT(LEON_E_RANGE, leon_forwarder_frames_in(mesh.nodes[0].forwarder, mesh.now, frames, FRAMES, &done));
        CHECK_EQ(done, wrong);
        size_t sent = 0;
        for (size_t i = 0; i < FRAMES; i++) {
            uint32_t expected = i % 4 == 1 ? LEON_COUNTER_DROP_FRAME_GROUP_SOURCE : LEON_COUNTER_NONE;
            CHECK_EQ(frames[i].dropped, i < wrong ? expected : 77);
            if (i < wrong && expected == LEON_COUNTER_NONE) sent++;
        }
        CHECK_EQ(mesh.nodes[0].sent.count, sent);
        mesh_run(&mesh, 10 * MS);
        CHECK_EQ(mesh.nodes[1].given.count, sent);
        mesh_end(&mesh);
    }
}

/* How often datagrams were put out, and how many at most. */
static size_t calls_out, most_out;

static void count_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    calls_out++;
    if (count > most_out) most_out = count;
    mesh_datagrams_out(user_data, datagrams, count);
}

static void rare_pings(int index, leon_config *config) {
    (void)index;
    config->ping_interval_ms = 10000;
}

TEST(a_broadcast_to_more_members_than_a_batch_holds_reaches_each_of_them) {
    enum { MANY = 70 };
    /* Long enough to be worth sealing once for all. */
    uint8_t bytes[1000];
    mesh_init(&mesh);
    mesh.configure = rare_pings;
    mesh.callbacks.datagrams_out = count_out;
    mesh_converge(&mesh, MANY);
    mesh_clear(&mesh);
    mesh.is_recording = true;
    frame_write(bytes, sizeof bytes, 0, -1);
    leon_frame_in frame = frame_in(bytes, sizeof bytes);
    calls_out = most_out = 0;
    OK(leon_forwarder_frame_in(mesh.nodes[0].forwarder, mesh.now, &frame));
    CHECK_EQ(frame.dropped, LEON_COUNTER_NONE);
    CHECK_EQ(calls_out, 2);
    CHECK_EQ(most_out, 64);
    CHECK_EQ(mesh.nodes[0].sent.count, MANY - 1);
    mesh_run(&mesh, 100 * MS);
    for (int i = 1; i < MANY; i++) CHECK_EQ(mesh.nodes[i].frames, 1);
    mesh_end(&mesh);
}

/* A broadcast of `len` bytes from node 0 of a mesh of `count`, and how many callbacks it took. */
static size_t broadcast(int count, size_t len) {
    static uint8_t bytes[LONG];
    mesh_init(&mesh);
    mesh.configure = rare_pings;
    mesh.callbacks.datagrams_out = count_out;
    mesh_converge(&mesh, count);
    mesh_clear(&mesh);
    frame_write(bytes, len, 0, -1);
    leon_frame_in frame = frame_in(bytes, len);
    calls_out = most_out = 0;
    OK(leon_forwarder_frame_in(mesh.nodes[0].forwarder, mesh.now, &frame));
    CHECK_EQ(frame.dropped, LEON_COUNTER_NONE);
    size_t calls = calls_out;
    mesh_run(&mesh, 100 * MS);
    for (int i = 1; i < count; i++) CHECK_EQ(mesh.nodes[i].frames, 1);
    mesh_end(&mesh);
    return calls;
}

/* Such frames are sealed for each member: in copies, which stay until the callback has returned. */
TEST(a_short_broadcast_to_a_dozen_sites_and_a_long_one_to_a_few_take_one_callback) {
    CHECK_EQ(broadcast(13, 60), 1);
    CHECK_EQ(broadcast(6, LONG), 1);
    /* More members than there are copies. */
    CHECK_EQ(broadcast(40, 60), 3);
}

/* Whose callbacks ran. */
static int of_engine, of_first, of_second;

static void whose(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    ++*(int *)user_data;
    (void)datagrams, (void)count;
}

static void no_frames(void *user_data, const leon_frame_out *frames, size_t count) {
    (void)user_data, (void)frames, (void)count;
}

TEST(callbacks_get_the_user_data_of_the_engine_or_of_the_forwarder) {
    leon_engine *engine;
    leon_forwarder *forwarders[2];
    mesh_init(&mesh);
    mesh.callbacks.datagrams_out = whose;
    mesh.callbacks.frames_out = no_frames;
    mesh.callbacks.event = NULL;
    mesh.callbacks.log = NULL;
    leon_key key = {{5}};
    leon_address seed = mesh_locator(0);
    leon_config config = {.struct_size = sizeof config, .entropy = &key, .incarnation = 1, .name = "a",
                          .locator = mesh_locator(1), .seeds = &seed, .seed_count = 1,
                          .secret_key = &key, .network_key = &key};
    mesh.callbacks.user_data = &of_engine;
    OK(leon_engine_new(&config, &mesh.callbacks, MS, &engine, NULL, 0));
    OK(leon_forwarder_new(engine, &of_first, &forwarders[0]));
    OK(leon_forwarder_new(engine, &of_second, &forwarders[1]));
    OK(leon_engine_join(engine, MS));
    CHECK(of_engine > 0 && of_first == 0 && of_second == 0);
    /* A seed's answer from a node of another network: what it leads to belongs to the forwarder that took it. */
    int before = of_engine;
    meet(&other, 1);
    uint64_t tag;
    uint8_t *bytes;
    size_t at = 0, len;
    uint8_t frame_bytes[60];
    small_frame(frame_bytes, 60, 0);
    leon_frame_in frame = frame_in(frame_bytes, 60);
    OK(leon_forwarder_frame_in(other.nodes[0].forwarder, other.now, &frame));
    REQUIRE(record_next(&other.nodes[0].sent, &at, &tag, &bytes, &len));
    leon_datagram_in in = {bytes, len, 0, mesh_locator(0), 0, 0, 0};
    OK(leon_forwarder_datagram_in(forwarders[0], 2 * MS, &in));
    CHECK_EQ(of_engine, before);
    CHECK_EQ(of_second, 0);
    for (int i = 0; i < 2; i++) OK(leon_forwarder_free(forwarders[i]));
    OK(leon_engine_free(engine));
    mesh_end(&other);
}
