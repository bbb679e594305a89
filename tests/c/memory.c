/* Nothing is allocated on the way of a frame: a million of them go from one node through a relay to a third, while
 * every allocation of the process is counted. */
#include "alloc.h"
#include "mesh.h"

enum { MILLION = 1000000, BATCH = 32 };

static struct mesh mesh;
static uint64_t delivered, relayed;
static int batched;

/* The way over node 1 is the shorter one between 0 and 2. */
static leon_time latency(int from, int to) { return (from + to == 2 && from != 1 ? 50 : 2) * MS; }

static void limits(int index, leon_config *config) {
    (void)index;
    config->relay_limit = config->flood_limit = 1000000000;
    config->max_segments = (uint32_t)batched;
}

/* Passed on at once to where it goes, with memory of the test's own. */
static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    struct node *node = user_data;
    static uint8_t buffers[3][65536];
    for (size_t i = 0; i < count; i++) {
        uint8_t *bytes = buffers[node->index];
        int to = datagrams[i].to.ip[3] - 1;
        size_t len = 0;
        for (size_t k = 0; k < datagrams[i].iov_count; k++) {
            memcpy(bytes + len, datagrams[i].iov[k].data, datagrams[i].iov[k].len);
            len += datagrams[i].iov[k].len;
        }
        if (node->index == 1) relayed += datagrams[i].segments;
        leon_datagram_in in = {bytes, len, 0, mesh_locator(node->index), datagrams[i].segment_size, 0, 0};
        leon_status status = leon_forwarder_datagram_in(mesh.nodes[to].forwarder, mesh.now, &in);
        if (status != LEON_OK || in.dropped != 0) check_stop(__FILE__, __LINE__, leon_strerror(status));
    }
}

static bool is_direct;

static void any_datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    if (is_direct) datagrams_out(user_data, datagrams, count);
    else mesh_datagrams_out(user_data, datagrams, count);
}

static void frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    (void)user_data, (void)frames;
    delivered += count;
}

static void start(int max_segments) {
    batched = max_segments;
    is_direct = false;
    mesh_init(&mesh);
    mesh.latency = latency;
    mesh.configure = limits;
    mesh.callbacks.datagrams_out = any_datagrams_out;
    mesh.callbacks.frames_out = frames_out;
    mesh_converge(&mesh, 3);
    mesh_run(&mesh, 20000 * MS);
    for (int i = 0; i < 3; i++) {
        uint8_t bytes[60];
        frame_write(bytes, sizeof bytes, i, -1);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        mesh_frame(&mesh, i, &frame);
        mesh_run(&mesh, 200 * MS);
    }
    /* Frames go one way from now on: so long after the last ones came back nobody doubts the paths for that. */
    mesh_run(&mesh, 20000 * MS);
    mesh_clear(&mesh);
    is_direct = true;
    delivered = relayed = 0;
}

static void end(void) {
    is_direct = false;
    mesh_end(&mesh);
}

/* Sends a million frames in batches from node 0 to a host, and says how often memory was asked for meanwhile. */
static size_t allocations_of_a_million(size_t len, size_t batch, int to, uint32_t flags) {
    static uint8_t bytes[BATCH][1400];
    leon_frame_in frames[BATCH];
    size_t before = 0;
    for (int sent = 0; sent < MILLION + BATCH; sent += (int)batch) {
        /* The first batch may warm something up. */
        if (sent == (int)batch) before = alloc_count();
        mesh.now += 2000;
        for (size_t i = 0; i < batch; i++) {
            frame_write(bytes[i], 14, 0, to);
            frames[i] = frame_in(bytes[i], len);
            frames[i].flags = flags;
        }
        size_t done;
        leon_status status = leon_forwarder_frames_in(mesh.nodes[0].forwarder, mesh.now, frames, batch, &done);
        if (status != LEON_OK || done != batch || frames[0].dropped != 0) check_stop(__FILE__, __LINE__, "sent");
    }
    return alloc_count() - before;
}

TEST(memory_that_is_asked_for_is_counted) {
    size_t before = alloc_count();
    struct args {
        leon_forwarder *forwarder;
    } args;
    start(1);
    OK(leon_forwarder_new(mesh.nodes[0].engine, NULL, &args.forwarder));
    OK(leon_forwarder_free(args.forwarder));
    /* Those of the library too. */
    size_t after = alloc_count();
    CHECK(after > before);
    OK(leon_forwarder_new(mesh.nodes[0].engine, NULL, &args.forwarder));
    CHECK(alloc_count() > after);
    OK(leon_forwarder_free(args.forwarder));
    end();
}

TEST(a_million_short_frames_take_no_memory) {
    start(1);
    CHECK_EQ(allocations_of_a_million(64, 1, 1, 0), 0);
    CHECK(delivered > MILLION && relayed == 0);
    end();
}

TEST(a_million_long_frames_take_no_memory) {
    start(1);
    CHECK_EQ(allocations_of_a_million(1400, BATCH, 1, 0), 0);
    CHECK(delivered > MILLION && relayed == 0);
    end();
}

TEST(a_million_relayed_frames_take_no_memory) {
    start(1);
    CHECK_EQ(allocations_of_a_million(1400, BATCH, 2, 0), 0);
    CHECK(delivered > MILLION && relayed > MILLION);
    end();
}

TEST(a_million_relayed_frames_in_trains_take_no_memory) {
    start(64);
    CHECK_EQ(allocations_of_a_million(64, BATCH, 2, 0), 0);
    CHECK(delivered > MILLION && relayed > MILLION);
    end();
}

TEST(a_million_frames_that_are_kept_take_no_memory) {
    start(64);
    CHECK_EQ(allocations_of_a_million(1400, BATCH, 1, LEON_FRAME_KEEP), 0);
    CHECK(delivered > MILLION);
    end();
}

TEST(a_million_broadcasts_take_no_memory) {
    start(1);
    CHECK_EQ(allocations_of_a_million(64, BATCH, -1, 0), 0);
    CHECK(delivered > 2 * MILLION && relayed > MILLION);
    end();
}
