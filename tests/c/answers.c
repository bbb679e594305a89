/* What leon answers about the mesh and its paths, also under a policy, and the helpers for frames and streams. */
#include "mesh.h"

static struct mesh mesh;

/* One way: from 0 to 2 it is faster through 1. */
static leon_time latency(int from, int to) {
    int sum = from + to;
    return (sum == 1 ? 2 : sum == 2 ? 16 : 8) * MS;
}

static void start(void) {
    mesh_init(&mesh);
    mesh.latency = latency;
    mesh_converge(&mesh, 3);
    mesh_run(&mesh, 5000 * MS);
}

static leon_id id_of(int index) {
    leon_info info = {.struct_size = sizeof info};
    OK(leon_engine_info(mesh.nodes[index].engine, mesh.now, &info));
    return info.id;
}

TEST(an_explanation_names_the_relay_and_says_why_the_direct_path_lost) {
    start();
    leon_id to = id_of(2), relay = id_of(1);
    leon_engine *engine = mesh.nodes[0].engine;
    leon_explanation whole = {.struct_size = sizeof whole};
    leon_candidate candidates[8];
    size_t count = 0;
    EXPECT(LEON_E_SPACE, leon_engine_explain(engine, &to, mesh.now, &whole, NULL, 0, &count));
    REQUIRE(count >= 2 && count <= 8);
    OK(leon_engine_explain(engine, &to, mesh.now, &whole, candidates, 8, &count));
    CHECK_EQ(whole.state, LEON_MEMBER_ALIVE);
    CHECK_EQ(whole.cause, LEON_CAUSE_BETTER);
    CHECK(whole.age_ns < mesh.now);
    CHECK(whole.former_len == 1 && memcmp(&whole.former[0], &to, sizeof to) == 0);
    const leon_candidate *chosen = &candidates[0], *direct = &candidates[1];
    CHECK_EQ(chosen->verdict, LEON_VERDICT_CHOSEN);
    CHECK_EQ(chosen->path_len, 2);
    CHECK(memcmp(&chosen->path[0], &relay, sizeof relay) == 0 && memcmp(&chosen->path[1], &to, sizeof to) == 0);
    CHECK_EQ(chosen->fast_cost_ns, chosen->links[0].fast_ns + chosen->links[1].fast_ns + chosen->relay_charge_ns);
    CHECK(chosen->links[0].state == LEON_LINK_UP && chosen->links[0].samples > 3);
    CHECK(chosen->links[1].samples == 0 && chosen->links[1].age_ns == LEON_UNKNOWN);
    CHECK_EQ(direct->path_len, 1);
    CHECK_EQ(direct->verdict, LEON_VERDICT_COSTS_MORE);
    CHECK_EQ(direct->estimate, LEON_ESTIMATE_BOTH);
    CHECK(direct->fast_cost_ns > chosen->fast_cost_ns);
    whole.struct_size = 1;
    EXPECT(LEON_E_SIZE, leon_engine_explain(engine, &to, mesh.now, &whole, candidates, 8, &count));
    EXPECT(LEON_E_POINTER, leon_engine_explain(engine, &to, mesh.now, NULL, (void *)((char *)candidates + 1), 7, &count));
    to.bytes[0] ^= 1;
    EXPECT(LEON_E_NOT_FOUND, leon_engine_explain(engine, &to, mesh.now, NULL, candidates, 8, &count));
    mesh_end(&mesh);
}

/* Hands node 0 a policy with the keys of nodes in place of two `%s`. */
static void set_policy(leon_status expected, uint32_t format, const char *pattern, int first, int second) {
    char keys[2][LEON_KEY_TEXT_SIZE], text[200];
    leon_id ids[] = {id_of(first), id_of(second)};
    for (int i = 0; i < 2; i++) OK(leon_id_to_text(&ids[i], keys[i], sizeof keys[i]));
    int len = snprintf(text, sizeof text, pattern, keys[0], keys[1]);
    EXPECT(expected, leon_engine_set_policy(mesh.nodes[0].engine, format, text, (size_t)len, mesh.now));
}

/* Whether frames from node 0 to node 2 pass through node 1; if not, they go directly. */
static bool is_relayed(void) {
    leon_member members[2];
    leon_id to = id_of(2), relay = id_of(1);
    size_t count;
    OK(leon_engine_members(mesh.nodes[0].engine, mesh.now, members, 2, &count));
    const leon_member *member = memcmp(&members[0].id, &to, sizeof to) == 0 ? &members[0] : &members[1];
    bool is_direct = member->path_len == 1;
    REQUIRE(is_direct || (member->path_len == 2 && memcmp(&member->path[0], &relay, sizeof relay) == 0));
    return !is_direct;
}

TEST(a_policy_changes_the_path_at_once_and_an_empty_one_gives_it_back) {
    static const struct { uint32_t format; const char *text; int first, second; } direct[] = {
        {LEON_FORMAT_TOML, "avoid = ['%s']# %s", 1, 1},
        {LEON_FORMAT_TOML, "avoid = ['%s %s']", 2, 1},
        {LEON_FORMAT_TOML, "prices_us = ['%s 100000']# %s", 1, 1},
        {LEON_FORMAT_JSON, "{\"pins\": [\"%s direct\"], \"avoid\": [\"%s\"]}", 2, 2},
    };
    start();
    CHECK(is_relayed());
    for (size_t i = 0; i < sizeof direct / sizeof *direct; i++) {
        set_policy(LEON_OK, direct[i].format, direct[i].text, direct[i].first, direct[i].second);
        CHECK(!is_relayed());
        set_policy(LEON_E_CONFIG, LEON_FORMAT_TOML, "pins = ['%s via %s']", 2, 2);
        CHECK(!is_relayed());
        OK(leon_engine_set_policy(mesh.nodes[0].engine, LEON_FORMAT_TOML, NULL, 0, mesh.now));
        for (int second = 0; second < 60 && !is_relayed(); second++) mesh_run(&mesh, 1000 * MS);
        CHECK(is_relayed());
    }
    mesh_end(&mesh);
}

TEST(snapshots_and_explanations_are_json_of_any_length) {
    start();
    leon_id to = id_of(2);
    leon_engine *engine = mesh.nodes[0].engine;
    size_t len = 0, told = 0;
    EXPECT(LEON_E_SPACE, leon_engine_snapshot_json(engine, mesh.now, NULL, 0, &len));
    REQUIRE(len > 500 && len < 100000);
    char *text = malloc(len + 2), *cut = malloc(len + 2);
    memset(text, 0x55, len + 2);
    OK(leon_engine_snapshot_json(engine, mesh.now, text, len + 1, &told));
    CHECK(told == len && strlen(text) == len && text[len + 1] == 0x55);
    CHECK(text[0] == '{' && text[len - 1] == '}' && strstr(text, "\"members\":[{") != NULL);
    for (size_t room = 1; room <= len; room += 97) {
        memset(cut, 0x55, len + 2);
        EXPECT(LEON_E_SPACE, leon_engine_snapshot_json(engine, mesh.now, cut, room, NULL));
        CHECK(strlen(cut) == room - 1 && memcmp(cut, text, room - 1) == 0 && cut[room] == 0x55);
    }
    OK(leon_engine_explain_json(engine, &to, mesh.now, text, len, NULL));
    CHECK(text[0] == '{' && strstr(text, "\"verdict\":\"chosen\"") != NULL);
    EXPECT(LEON_E_SPACE, leon_engine_explain_json(engine, &to, mesh.now, text, 10, &told));
    CHECK(told > 100);
    EXPECT(LEON_E_POINTER, leon_engine_explain_json(engine, &to, mesh.now, text, SIZE_MAX, &told));
    EXPECT(LEON_E_POINTER, leon_engine_snapshot_json(engine, mesh.now, text, SIZE_MAX, &told));
    to.bytes[0] ^= 1;
    EXPECT(LEON_E_NOT_FOUND, leon_engine_explain_json(engine, &to, mesh.now, text, len, NULL));
    free(text);
    free(cut);
    mesh_end(&mesh);
}

static const leon_host *find(const leon_host *hosts, size_t count, uint8_t last) {
    for (size_t i = 0; i < count; i++) {
        if (hosts[i].key.mac.bytes[5] == last) return &hosts[i];
    }
    return NULL;
}

TEST(an_announced_host_is_known_everywhere_until_it_is_withdrawn) {
    start();
    leon_host_key vm = {0, 7, {{2, 0, 0, 0, 9, 77}}};
    leon_id at = id_of(2);
    leon_host hosts[8];
    size_t count;
    OK(leon_engine_announce_host(mesh.nodes[2].engine, &vm, mesh.now));
    mesh_run(&mesh, 100 * MS);
    OK(leon_engine_hosts(mesh.nodes[0].engine, mesh.now, hosts, 8, &count));
    const leon_host *host = find(hosts, count, 77);
    REQUIRE(host != NULL);
    CHECK(host->place == LEON_HOST_REMOTE && host->origin == LEON_ORIGIN_ANNOUNCED && host->key.vlan == 7);
    CHECK(memcmp(&host->member, &at, sizeof at) == 0);
    /* It migrates: its new place speaks first. */
    OK(leon_engine_announce_host(mesh.nodes[1].engine, &vm, mesh.now));
    mesh_run(&mesh, 100 * MS);
    OK(leon_engine_withdraw_host(mesh.nodes[2].engine, &vm, mesh.now));
    mesh_run(&mesh, 100 * MS);
    OK(leon_engine_hosts(mesh.nodes[0].engine, mesh.now, hosts, 8, &count));
    host = find(hosts, count, 77);
    at = id_of(1);
    CHECK(host != NULL && memcmp(&host->member, &at, sizeof at) == 0);
    OK(leon_engine_withdraw_host(mesh.nodes[1].engine, &vm, mesh.now));
    mesh_run(&mesh, 100 * MS);
    OK(leon_engine_hosts(mesh.nodes[0].engine, mesh.now, hosts, 8, &count));
    CHECK(find(hosts, count, 77) == NULL);
    mesh_end(&mesh);
}

TEST(a_host_that_cannot_be_is_not_announced) {
    mesh_init(&mesh);
    mesh_start(&mesh, 1);
    leon_engine *engine = mesh.nodes[0].engine;
    leon_host_key host = {0, 0, {{2, 0, 0, 0, 0, 1}}}, wrong;
    wrong = host, wrong.mac.bytes[0] = 3;
    EXPECT(LEON_E_RANGE, leon_engine_announce_host(engine, &wrong, mesh.now));
    wrong = host, wrong.vlan = 4095;
    EXPECT(LEON_E_RANGE, leon_engine_announce_host(engine, &wrong, mesh.now));
    wrong = host, wrong.segment = 1 << 24;
    EXPECT(LEON_E_RANGE, leon_engine_announce_host(engine, &wrong, mesh.now));
    EXPECT(LEON_E_RANGE, leon_engine_withdraw_host(engine, &wrong, mesh.now));
    wrong = host, wrong.segment = 5;
    EXPECT(LEON_E_NOT_FOUND, leon_engine_announce_host(engine, &wrong, mesh.now));
    char sentence[200];
    OK(leon_engine_last_error(engine, sentence, sizeof sentence, NULL));
    CHECK(strstr(sentence, "segment 5") != NULL);
    leon_status status = LEON_OK;
    for (unsigned n = 0; n < 5000 && status == LEON_OK; n++) {
        host.mac.bytes[4] = (uint8_t)(n >> 8), host.mac.bytes[5] = (uint8_t)n;
        status = leon_engine_announce_host(engine, &host, mesh.now);
    }
    EXPECT(LEON_E_HOST_LIMIT, leon_engine_announce_host(engine, &host, mesh.now));
    OK(leon_engine_withdraw_host(engine, &host, mesh.now));
    mesh_end(&mesh);
}

TEST(frames_of_a_stream_are_found_and_wrong_lengths_refused) {
    uint8_t stream[LEON_STREAM_HEADER + 60];
    size_t len = 0;
    OK(leon_stream_encode(60, stream));
    CHECK(stream[0] == 0 && stream[3] == 60);
    for (size_t there = 0; there < sizeof stream; there++) {
        EXPECT(LEON_E_AGAIN, leon_stream_decode(stream, there, &len));
        CHECK_EQ(len, there < LEON_STREAM_HEADER ? LEON_STREAM_HEADER : sizeof stream);
    }
    OK(leon_stream_decode(stream, sizeof stream, &len));
    CHECK_EQ(len, 60);
    EXPECT(LEON_E_RANGE, leon_stream_encode(LEON_FRAME_MIN - 1, stream));
    EXPECT(LEON_E_RANGE, leon_stream_encode(LEON_STREAM_MAX + 1, stream));
    stream[0] = 1;
    EXPECT(LEON_E_RANGE, leon_stream_decode(stream, sizeof stream, &len));
    EXPECT(LEON_E_POINTER, leon_stream_decode(stream, SIZE_MAX, &len));
}

TEST(a_frame_is_looked_into) {
    uint8_t frame[64] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x81, 0, 0x20, 9, 8, 6};
    leon_frame_info info = {.struct_size = sizeof info};
    OK(leon_frame_parse(frame, sizeof frame, &info));
    CHECK(info.vlan == 9 && info.ethertype == 0x0806 && info.payload == 18);
    CHECK(info.destination.bytes[5] == 1 && info.source.bytes[5] == 2);
    EXPECT(LEON_E_RANGE, leon_frame_parse(frame, 17, &info));
    EXPECT(LEON_E_POINTER, leon_frame_parse(frame, SIZE_MAX, &info));
    info.struct_size = 3;
    EXPECT(LEON_E_SIZE, leon_frame_parse(frame, sizeof frame, &info));
}
