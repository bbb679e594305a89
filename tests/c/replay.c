/* The same calls give the same bytes; time is the caller's. */
#include "mesh.h"

static void unsealed(int index, leon_config *config) {
    static leon_id ids[MESH_MAX];
    ids[index].bytes[0] = (uint8_t)(index + 1);
    config->security = LEON_SECURITY_NONE;
    config->secret_key = config->network_key = NULL;
    config->id = &ids[index];
}

/* Which cipher is the fastest depends on the machine. */
static void with_aes(int index, leon_config *config) {
    (void)index;
    config->cipher = LEON_CIPHER_AES_256_GCM;
}

/* Three nodes meet and exchange frames; all of it is recorded. */
static void record_mesh(struct mesh *mesh, void (*configure)(int, leon_config *)) {
    mesh_init(mesh);
    mesh->is_recording = true;
    mesh->configure = configure;
    mesh_converge(mesh, 3);
    for (int i = 0; i < 30; i++) {
        uint8_t bytes[200];
        frame_write(bytes, sizeof bytes, i % 3, i < 9 ? -1 : (i + 1) % 3);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        mesh_frame(mesh, i % 3, &frame);
        mesh_run(mesh, 400 * MS);
    }
}

static void only_record(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    struct node *node = user_data;
    mesh_datagrams_out(user_data, datagrams, count);
    /* Nobody is there. */
    mesh_clear(node->mesh);
}

/* Makes a node anew, alone, and hands it the calls that another one had. */
static void replay(const struct record *calls, struct mesh *mesh, int index, uint8_t entropy,
                   void (*configure)(int, leon_config *)) {
    struct node *node = &mesh->nodes[index];
    size_t at = 0, len;
    uint64_t tag;
    uint8_t *recorded;
    mesh_init(mesh);
    mesh->is_recording = true;
    mesh->entropy = entropy;
    mesh->configure = configure;
    mesh->callbacks.datagrams_out = only_record;
    node->mesh = mesh;
    node->index = index;
    REQUIRE(mesh_engine(mesh, index, &node->engine) == LEON_OK);
    OK(leon_forwarder_new(node->engine, node, &node->forwarder));
    while (record_next(calls, &at, &tag, &recorded, &len)) {
        uint8_t bytes[4096];
        memcpy(bytes, recorded, len);
        leon_frame_in frame = frame_in(bytes, len);
        leon_datagram_in datagram = {bytes, len, 0, mesh_locator(call_from(tag)), 0, 0, 0};
        mesh->now = call_time(tag);
        switch (call_kind(tag)) {
        case CALL_JOIN: OK(leon_engine_join(node->engine, mesh->now)); break;
        case CALL_TIMER: OK(leon_engine_timer(node->engine, mesh->now)); break;
        case CALL_DATAGRAM: OK(leon_forwarder_datagram_in(node->forwarder, mesh->now, &datagram)); break;
        default: OK(leon_forwarder_frame_in(node->forwarder, mesh->now, &frame)); break;
        }
    }
}

static void end(struct mesh *mesh, int index) {
    mesh->count = index + 1;
    mesh_end(mesh);
}

static void compare(void (*configure)(int, leon_config *)) {
    static struct mesh mesh, again;
    record_mesh(&mesh, configure);
    for (int i = 0; i < 3; i++) {
        const struct node *node = &mesh.nodes[i];
        CHECK(node->sent.count > 30 && node->given.count > 10 && node->calls.count > 30);
        replay(&node->calls, &again, i, 0, configure);
        CHECK(record_is_equal(&node->sent, &again.nodes[i].sent));
        CHECK(record_is_equal(&node->given, &again.nodes[i].given));
        CHECK_EQ(node->events, again.nodes[i].events);
        CHECK_EQ(leon_engine_deadline(node->engine), leon_engine_deadline(again.nodes[i].engine));
        end(&again, i);
    }
    mesh_end(&mesh);
}

TEST(the_same_calls_give_the_same_bytes) { compare(NULL); }

TEST(the_same_calls_give_the_same_bytes_without_security) { compare(unsealed); }

TEST(the_same_calls_with_other_entropy_give_other_bytes_and_open_nothing) {
    static struct mesh mesh, again;
    record_mesh(&mesh, NULL);
    replay(&mesh.nodes[0].calls, &again, 0, 1, NULL);
    CHECK(!record_is_equal(&mesh.nodes[0].sent, &again.nodes[0].sent));
    CHECK_EQ(again.nodes[0].given.count, 0);
    end(&again, 0);
    mesh_end(&mesh);
}

/* Compared by .ci/c-tests between builds and machines that check memory: what is undefined would differ. */
TEST(the_same_calls_give_the_same_bytes_in_every_build) {
    static struct mesh mesh;
    uint64_t sum = 0xcbf29ce484222325;
    record_mesh(&mesh, with_aes);
    for (int i = 0; i < 3; i++) {
        const struct record *sent = &mesh.nodes[i].sent;
        /* FNV-1a */
        for (size_t at = 0; at < sent->len; at++) sum = (sum ^ sent->bytes[at]) * 0x100000001b3;
    }
    printf("       all bytes sent: %016llx\n", (unsigned long long)sum);
    mesh_end(&mesh);
}

TEST(no_datagram_is_sent_twice) {
    static struct mesh mesh;
    const uint8_t *seen[4096];
    size_t lens[4096], count = 0, at = 0, len;
    uint64_t tag;
    uint8_t *bytes;
    record_mesh(&mesh, NULL);
    while (count < 1000 && record_next(&mesh.nodes[1].sent, &at, &tag, &bytes, &len)) {
        for (size_t i = 0; i < count; i++) CHECK(lens[i] != len || memcmp(seen[i], bytes, len) != 0);
        seen[count] = bytes;
        lens[count++] = len;
    }
    CHECK(count > 30);
    mesh_end(&mesh);
}

TEST(the_deadline_is_an_instant_of_the_callers_clock) {
    const leon_time zeros[] = {0, 1, 1000000 * MS, (leon_time)1 << 50};
    for (size_t i = 0; i < sizeof zeros / sizeof *zeros; i++) {
        static struct mesh mesh;
        mesh_init(&mesh);
        mesh.now = zeros[i];
        mesh_converge(&mesh, 2);
        /* Early calls do no harm, and do not move it. */
        leon_time deadline = leon_engine_deadline(mesh.nodes[0].engine);
        CHECK(deadline >= mesh.now - MS && deadline < mesh.now + 2000 * MS);
        size_t before = (size_t)mesh_counter(&mesh, 0, LEON_COUNTER_DATAGRAMS_OUT);
        for (int k = 0; k < 10; k++) {
            if (mesh.now < deadline) OK(leon_engine_timer(mesh.nodes[0].engine, mesh.now));
        }
        CHECK_EQ(leon_engine_deadline(mesh.nodes[0].engine), deadline);
        CHECK_EQ(mesh_counter(&mesh, 0, LEON_COUNTER_DATAGRAMS_OUT), before);
        CHECK_EQ(mesh_counter(&mesh, 0, LEON_COUNTER_TIME_BACK), 0);
        mesh_end(&mesh);
    }
}

/* What deadline_changed last told a node. */
static leon_time told[2];

static void deadline_changed(void *user_data, leon_time deadline) {
    const struct node *node = user_data;
    CHECK_EQ(leon_engine_deadline(node->engine), deadline);
    told[node->index] = deadline;
}

TEST(a_node_that_has_left_has_no_deadline_any_more) {
    static struct mesh mesh;
    mesh_init(&mesh);
    mesh.callbacks.deadline_changed = deadline_changed;
    told[0] = told[1] = 0;
    mesh_start(&mesh, 2);
    mesh_run(&mesh, 5000 * MS);
    for (int i = 0; i < 2; i++) CHECK_EQ(told[i], leon_engine_deadline(mesh.nodes[i].engine));
    leon_time left_at = mesh.now;
    OK(leon_engine_leave(mesh.nodes[1].engine, mesh.now));
    CHECK(told[1] != LEON_TIME_NEVER);
    while (leon_engine_deadline(mesh.nodes[1].engine) != LEON_TIME_NEVER) {
        REQUIRE(mesh.now < left_at + 1000 * MS);
        mesh_run(&mesh, MS);
    }
    CHECK_EQ(told[1], LEON_TIME_NEVER);
    uint8_t bytes[60];
    frame_write(bytes, sizeof bytes, 1, -1);
    leon_frame_in frame = frame_in(bytes, sizeof bytes);
    mesh_frame(&mesh, 1, &frame);
    CHECK(frame.dropped != LEON_COUNTER_NONE);
    leon_member member;
    size_t count;
    OK(leon_engine_members(mesh.nodes[0].engine, mesh.now, &member, 1, &count));
    CHECK(count == 1 && member.state == LEON_MEMBER_LEFT);
    mesh_end(&mesh);
}
