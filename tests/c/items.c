/* Misuse of what calls move and answer with: frames, datagrams, lists, texts. */
#include "calls.h"

static struct args args;

/* An engine that has joined alone; all that is sent goes nowhere. */
static void start(void) {
    args_init(&args, NULL, NULL, MS);
    OK(leon_engine_new(args.given.config, args.given.callbacks, MS, args.given.new_engine, NULL, 0));
    OK(leon_forwarder_new(args.memory.new_engine, NULL, args.given.new_forwarder));
    OK(leon_engine_join(args.memory.new_engine, MS));
}

/* Hands in two frames, of which the second is wrong: one is done, and the second is not written to. */
static void refuse_frame(leon_status expected, leon_frame_in wrong) {
    struct memory *m = &args.memory;
    m->frames[0] = frame_in(m->frame[0], 64);
    m->frames[0].dropped = m->frames[1].dropped = 99;
    wrong.dropped = 99;
    m->frames[1] = wrong;
    m->done = 99;
    EXPECT(expected, leon_forwarder_frames_in(m->new_forwarder, MS, m->frames, 2, &m->done));
    CHECK_EQ(m->done, 1);
    CHECK_EQ(m->frames[0].dropped, LEON_COUNTER_DROP_FRAME_NO_MEMBER);
    CHECK(memcmp(&m->frames[1], &wrong, sizeof wrong) == 0);
    EXPECT(expected, leon_forwarder_frame_in(m->new_forwarder, MS, &m->frames[1]));
    CHECK(memcmp(&m->frames[1], &wrong, sizeof wrong) == 0);
}

TEST(a_frame_that_is_none_stops_the_batch_at_its_place) {
    start();
    leon_iov pieces[2] = {{args.memory.frame[1] + 60, 20}, {NULL, 20}};
    leon_frame_in good = frame_in(args.memory.frame[1], 60), wrong;
    wrong = good, wrong.data = NULL;
    refuse_frame(LEON_E_NULL, wrong);
    wrong.flags = LEON_FRAME_KEEP;
    refuse_frame(LEON_E_NULL, wrong);
    wrong = good, wrong.flags = 2;
    refuse_frame(LEON_E_UNSUPPORTED, wrong);
    wrong.flags = UINT32_MAX;
    refuse_frame(LEON_E_UNSUPPORTED, wrong);
    wrong = good, wrong.reserved = 1;
    refuse_frame(LEON_E_UNSUPPORTED, wrong);
    wrong = good, wrong.segment = 1 << 24;
    refuse_frame(LEON_E_RANGE, wrong);
    wrong.segment = UINT32_MAX;
    refuse_frame(LEON_E_RANGE, wrong);
    wrong = good, wrong.len = SIZE_MAX;
    refuse_frame(LEON_E_POINTER, wrong);
    wrong.flags = LEON_FRAME_KEEP;
    refuse_frame(LEON_E_POINTER, wrong);
    wrong = good, wrong.rest_count = 1;
    refuse_frame(LEON_E_NULL, wrong);
    wrong.rest = pieces, wrong.rest_count = 2;
    refuse_frame(LEON_E_NULL, wrong);
    wrong.rest_count = SIZE_MAX / sizeof *pieces;
    refuse_frame(LEON_E_POINTER, wrong);
    wrong.rest = (const void *)((const char *)pieces + 1), wrong.rest_count = 1;
    refuse_frame(LEON_E_POINTER, wrong);
    pieces[1] = (leon_iov){args.memory.frame[1], SIZE_MAX};
    wrong = good, wrong.rest = pieces, wrong.rest_count = 2;
    refuse_frame(LEON_E_POINTER, wrong);
    args_end(&args);
}

TEST(pieces_of_no_bytes_may_be_null) {
    start();
    leon_iov pieces[3] = {{NULL, 0}, {args.memory.frame[0] + 60, 4}, {NULL, 0}};
    leon_frame_in frame = frame_in(args.memory.frame[0], 60);
    frame.rest = pieces, frame.rest_count = 3;
    OK(leon_forwarder_frame_in(args.memory.new_forwarder, MS, &frame));
    CHECK_EQ(frame.dropped, LEON_COUNTER_DROP_FRAME_NO_MEMBER);
    frame = frame_in(NULL, 0);
    OK(leon_forwarder_frame_in(args.memory.new_forwarder, MS, &frame));
    CHECK_EQ(frame.dropped, LEON_COUNTER_DROP_FRAME_TOO_SHORT);
    frame = frame_in(NULL, 0), frame.flags = LEON_FRAME_KEEP;
    OK(leon_forwarder_frame_in(args.memory.new_forwarder, MS, &frame));
    CHECK_EQ(frame.dropped, LEON_COUNTER_DROP_FRAME_TOO_SHORT);
    args_end(&args);
}

TEST(a_frame_of_any_length_is_dropped_for_its_length_or_not) {
    enum { MOST = 3000 };
    static uint8_t bytes[MOST + 1];
    start();
    for (size_t len = 0; len <= MOST; len++) {
        for (uint32_t flags = 0; flags <= LEON_FRAME_KEEP; flags++) {
            memset(bytes, 2, sizeof bytes);
            bytes[len] = 0xa5;
            leon_frame_in frame = frame_in(bytes, len);
            frame.flags = flags;
            OK(leon_forwarder_frame_in(args.memory.new_forwarder, MS, &frame));
            CHECK_EQ(bytes[len], 0xa5);
            CHECK(frame.dropped != LEON_COUNTER_NONE);
            CHECK((frame.dropped == LEON_COUNTER_DROP_FRAME_TOO_SHORT) == (len < 14));
        }
    }
    args_end(&args);
}

/* Hands in two datagrams, of which the second is wrong. */
static void refuse_datagram(leon_status expected, leon_datagram_in wrong) {
    struct memory *m = &args.memory;
    m->datagrams[0] = (leon_datagram_in){m->datagram[0], 100, 0, mesh_locator(8), 0, 0, 99};
    wrong.dropped = 99;
    m->datagrams[1] = wrong;
    m->done = 99;
    EXPECT(expected, leon_forwarder_datagrams_in(m->new_forwarder, MS, m->datagrams, 2, &m->done));
    CHECK_EQ(m->done, 1);
    CHECK(m->datagrams[0].dropped >= LEON_COUNTER_DROP_FRAME_TOO_SHORT && m->datagrams[0].dropped != 99);
    CHECK(memcmp(&m->datagrams[1], &wrong, sizeof wrong) == 0);
    EXPECT(expected, leon_forwarder_datagram_in(m->new_forwarder, MS, &m->datagrams[1]));
    CHECK(memcmp(&m->datagrams[1], &wrong, sizeof wrong) == 0);
}

TEST(a_datagram_that_is_none_stops_the_batch_at_its_place) {
    start();
    leon_datagram_in good = {args.memory.datagram[1], 100, 0, mesh_locator(8), 0, 0, 0}, wrong;
    wrong = good, wrong.data = NULL;
    refuse_datagram(LEON_E_NULL, wrong);
    wrong = good, wrong.len = SIZE_MAX;
    refuse_datagram(LEON_E_POINTER, wrong);
    wrong = good, wrong.reserved = 1;
    refuse_datagram(LEON_E_UNSUPPORTED, wrong);
    wrong = good, memset(&wrong.from, 0, sizeof wrong.from);
    refuse_datagram(LEON_E_ADDRESS, wrong);
    wrong = good, wrong.from.version = 16;
    refuse_datagram(LEON_E_ADDRESS, wrong);
    wrong = good, wrong.from.reserved = 255;
    refuse_datagram(LEON_E_ADDRESS, wrong);
    wrong = good, wrong.from.ip[15] = 1;
    refuse_datagram(LEON_E_ADDRESS, wrong);
    args_end(&args);
}

TEST(a_datagram_of_any_length_and_segment_size_is_dropped_and_nothing_behind_it_is_touched) {
    static uint8_t bytes[301];
    start();
    for (size_t len = 0; len <= 300; len++) {
        for (unsigned size = 0; size <= 310; size += 31) {
            memset(bytes, (int)len, sizeof bytes);
            bytes[len] = 0xa5;
            leon_datagram_in datagram = {len > 0 ? bytes : NULL, len, UINT64_MAX, mesh_locator(8), (uint16_t)size, 0, 0};
            OK(leon_forwarder_datagram_in(args.memory.new_forwarder, MS, &datagram));
            CHECK(datagram.dropped >= LEON_COUNTER_DROP_DATAGRAM_TRUNCATED);
            CHECK_EQ(bytes[len], 0xa5);
        }
    }
    args_end(&args);
}

TEST(an_array_of_items_that_cannot_be_is_refused_as_a_whole) {
    start();
    leon_forwarder *forwarder = args.memory.new_forwarder;
    leon_frame_in *frames = (void *)((char *)args.memory.frames + 1);
    leon_datagram_in *datagrams = (void *)((char *)args.memory.datagrams + sizeof(void *) / 2);
    size_t done = 99;
    EXPECT(LEON_E_POINTER, leon_forwarder_frame_in(forwarder, MS, frames));
    EXPECT(LEON_E_POINTER, leon_forwarder_frames_in(forwarder, MS, frames, 1, &done));
    CHECK_EQ(done, 0);
    EXPECT(LEON_E_POINTER, leon_forwarder_datagram_in(forwarder, MS, datagrams));
    EXPECT(LEON_E_POINTER, leon_forwarder_datagrams_in(forwarder, MS, datagrams, 1, &done));
    EXPECT(LEON_E_POINTER, leon_forwarder_frames_in(forwarder, MS, args.memory.frames, SIZE_MAX, &done));
    EXPECT(LEON_E_POINTER, leon_forwarder_datagrams_in(forwarder, MS, args.memory.datagrams, SIZE_MAX / 56, NULL));
    OK(leon_forwarder_frames_in(forwarder, MS, NULL, 0, &done));
    OK(leon_forwarder_datagrams_in(forwarder, MS, NULL, 0, NULL));
    args_end(&args);
}

TEST(the_last_error_of_an_engine_says_what_its_forwarder_was_given) {
    start();
    char text[200] = "";
    size_t len = 0;
    leon_frame_in wrong = frame_in(args.memory.frame[0], 60);
    wrong.segment = 77777777;
    EXPECT(LEON_E_RANGE, leon_forwarder_frame_in(args.memory.new_forwarder, MS, &wrong));
    OK(leon_engine_last_error(args.memory.new_engine, text, sizeof text, &len));
    CHECK(strstr(text, "77777777") != NULL);
    CHECK_EQ(strlen(text), len);
    for (size_t room = 0; room <= len; room++) {
        size_t told = 0;
        memset(text, 0x55, sizeof text);
        EXPECT(LEON_E_SPACE, leon_engine_last_error(args.memory.new_engine, text, room, &told));
        CHECK_EQ(told, len);
        if (room > 0) CHECK_EQ(strlen(text), room - 1);
        CHECK_EQ(text[room], 0x55);
    }
    EXPECT(LEON_E_SPACE, leon_engine_last_error(args.memory.new_engine, NULL, 0, NULL));
    EXPECT(LEON_E_POINTER, leon_engine_last_error(args.memory.new_engine, text, SIZE_MAX, &len));
    args_end(&args);
}

TEST(a_text_is_cut_to_its_room_with_a_nul_at_its_end) {
    struct args a;
    args_init(&a, NULL, NULL, MS);
    OK(leon_address_from_text("[2001:db8:1111:2222:3333:4444:5555:6666]:65535", a.given.address));
    char text[LEON_ADDRESS_TEXT_SIZE + 8];
    for (size_t room = 0; room < sizeof text; room++) {
        for (int which = 0; which < 3; which++) {
            size_t whole = which < 2 ? LEON_KEY_TEXT_SIZE - 1 : strlen("[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
            leon_status expected = room > whole ? LEON_OK : LEON_E_SPACE;
            memset(text, 0x55, sizeof text);
            if (which == 0) EXPECT(expected, leon_key_to_text(a.given.key, text, room));
            if (which == 1) EXPECT(expected, leon_id_to_text(a.given.id, text, room));
            if (which == 2) EXPECT(expected, leon_address_to_text(a.given.address, text, room));
            /* No part of a secret is left where nobody wipes it. */
            bool is_kept = room == 0 || (which == 0 && room <= whole);
            size_t used = is_kept ? 0 : room > whole ? whole + 1 : room;
            if (used > 0) CHECK_EQ(strlen(text), used - 1);
            for (size_t i = used; i < sizeof text; i++) CHECK_EQ(text[i], 0x55);
        }
    }
    EXPECT(LEON_E_POINTER, leon_key_to_text(a.given.key, text, SIZE_MAX));
    EXPECT(LEON_E_POINTER, leon_id_to_text(a.given.id, text, SIZE_MAX));
    EXPECT(LEON_E_POINTER, leon_address_to_text(a.given.address, text, SIZE_MAX));
    a.given.address->version = 0;
    EXPECT(LEON_E_ADDRESS, leon_address_to_text(a.given.address, text, sizeof text));
}

TEST(a_text_that_is_malformed_is_refused_and_nothing_is_written) {
    static const char *const wrong[] = {
        "", " ", "x", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA==",
        "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyE\xff", "\xff\xfe", "192.0.2.1", "192.0.2.1:65536", "192.0.2.256:1",
        "2001:db8::1:4789", "[2001:db8::1]", "example.org:1", "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH!A=",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct { leon_key key; leon_id id; leon_address address; } out, before;
        memset(&out, 0xa5, sizeof out);
        before = out;
        EXPECT(LEON_E_TEXT, leon_key_from_text(wrong[i], &out.key));
        EXPECT(LEON_E_TEXT, leon_id_from_text(wrong[i], &out.id));
        EXPECT(LEON_E_TEXT, leon_address_from_text(wrong[i], &out.address));
        CHECK(memcmp(&out, &before, sizeof out) == 0);
    }
}

/* Three nodes with a host each, so that every list has something in it. */
static struct mesh mesh;

static void start_mesh(void) {
    mesh_init(&mesh);
    mesh_converge(&mesh, 3);
    /* Until all have told all what they measure. */
    mesh_run(&mesh, 3000 * MS);
    for (int i = 0; i < 3; i++) {
        uint8_t bytes[60];
        frame_write(bytes, sizeof bytes, i, -1);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        OK(leon_forwarder_frame_in(mesh.nodes[i].forwarder, mesh.now, &frame));
    }
    mesh_run(&mesh, 10 * MS);
}

/* Asks for one list with room for so many. */
static leon_status ask(int which, void *room, size_t capacity, size_t *count) {
    const leon_engine *engine = mesh.nodes[0].engine;
    switch (which) {
    case 0: return leon_engine_members(engine, mesh.now, room, capacity, count);
    case 1: return leon_engine_links(engine, mesh.now, room, capacity, count);
    case 2: return leon_engine_hosts(engine, mesh.now, room, capacity, count);
    default: return leon_engine_counters(engine, mesh.now, room, capacity, count);
    }
}

TEST(a_list_is_cut_to_its_room_and_its_length_told) {
    static const char *const names[] = {"leon_engine_members", "leon_engine_links", "leon_engine_hosts", "leon_engine_counters"};
    static const size_t sizes[] = {sizeof(leon_member), sizeof(leon_link), sizeof(leon_host), sizeof(uint64_t)};
    static const size_t lengths[] = {2, 6, 3, LEON_COUNTER_COUNT};
    static _Alignas(16) uint8_t room[8 * sizeof(leon_member) + 8], whole[sizeof room];
    start_mesh();
    for (int which = 0; which < 4; which++) {
        size_t most = lengths[which], size = sizes[which];
        REQUIRE((most + 1) * size < sizeof room);
#define ASK(expected, ...) check_status(expected, ask(which, __VA_ARGS__), __FILE__, __LINE__, names[which], "")
        size_t count = 0;
        ASK(LEON_OK, whole, most, &count);
        CHECK_EQ(count, most);
        for (size_t capacity = 0; capacity <= most + 1; capacity++) {
            memset(room, 0xa5, sizeof room);
            count = 0;
            ASK(capacity < most ? LEON_E_SPACE : LEON_OK, room, capacity, &count);
            CHECK_EQ(count, most);
            size_t given = (capacity < most ? capacity : most) * size;
            CHECK(memcmp(room, whole, given) == 0);
            for (size_t i = given; i < sizeof room; i++) CHECK_EQ(room[i], 0xa5);
        }
        ASK(LEON_E_SPACE, NULL, 0, &count);
        ASK(LEON_E_NULL, NULL, 1, &count);
        ASK(LEON_E_NULL, room, most, NULL);
        ASK(LEON_E_POINTER, room + 1, most, &count);
        ASK(LEON_E_POINTER, room, SIZE_MAX, &count);
        ASK(LEON_E_POINTER, room, SIZE_MAX / size, &count);
    }
    mesh_end(&mesh);
}

TEST(a_list_of_identities_that_cannot_be_is_refused) {
    start_mesh();
    leon_engine *engine = mesh.nodes[0].engine;
    leon_id id = {{9}};
    EXPECT(LEON_E_NULL, leon_engine_set_allowed(engine, NULL, 1, mesh.now));
    EXPECT(LEON_E_POINTER, leon_engine_set_allowed(engine, &id, SIZE_MAX, mesh.now));
    EXPECT(LEON_E_POINTER, leon_engine_set_allowed(engine, &id, SIZE_MAX / 32, mesh.now));
    OK(leon_engine_set_allowed(engine, NULL, 0, mesh.now));
    leon_member members[2];
    size_t count;
    OK(leon_engine_members(engine, mesh.now, members, 2, &count));
    CHECK_EQ(members[0].state, LEON_MEMBER_ALIVE);
    OK(leon_engine_set_allowed(engine, &id, 0, mesh.now));
    /* Nobody is let in, so nobody is a member any more. */
    OK(leon_engine_members(engine, mesh.now, members, 2, &count));
    for (size_t i = 0; i < count; i++) CHECK(members[i].state != LEON_MEMBER_ALIVE);
    mesh_end(&mesh);
}

TEST(a_list_of_seeds_that_cannot_be_is_refused_and_one_that_can_be_is_asked) {
    start_mesh();
    leon_engine *engine = mesh.nodes[0].engine;
    leon_address seed = mesh_locator(1);
    EXPECT(LEON_E_NULL, leon_engine_set_seeds(engine, NULL, 1, mesh.now));
    EXPECT(LEON_E_POINTER, leon_engine_set_seeds(engine, &seed, SIZE_MAX, mesh.now));
    seed.port = 0;
    EXPECT(LEON_E_CONFIG, leon_engine_set_seeds(engine, &seed, 1, mesh.now));
    seed.version = 5;
    EXPECT(LEON_E_ADDRESS, leon_engine_set_seeds(engine, &seed, 1, mesh.now));
    seed = mesh_locator(1);
    OK(leon_engine_set_seeds(engine, &seed, 1, mesh.now));
    OK(leon_engine_set_seeds(engine, NULL, 0, mesh.now));
    mesh_end(&mesh);
}

/* Hands in a text that is no policy: must be refused with a sentence with this word in it. */
static void refuse_policy(leon_status expected, uint32_t format, const char *text, const char *word) {
    leon_engine *engine = args.memory.new_engine;
    char sentence[1000] = "";
    EXPECT(expected, leon_engine_set_policy(engine, format, text, strlen(text), MS));
    OK(leon_engine_last_error(engine, sentence, sizeof sentence, NULL));
    if (!CHECK(strstr(sentence, word) != NULL)) fprintf(stderr, "    %s: %s\n", word, sentence);
}

#define KEY "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="

TEST(a_text_that_is_no_policy_is_refused_with_what_is_wrong_and_where) {
    start();
    leon_engine *engine = args.memory.new_engine;
    EXPECT(LEON_E_NULL, leon_engine_set_policy(engine, LEON_FORMAT_TOML, NULL, 1, MS));
    EXPECT(LEON_E_POINTER, leon_engine_set_policy(engine, LEON_FORMAT_TOML, "", SIZE_MAX, MS));
    refuse_policy(LEON_E_UNSUPPORTED, LEON_FORMAT_STRUCT, "", "format is 0");
    refuse_policy(LEON_E_UNSUPPORTED, 99, "", "format is 99");
    refuse_policy(LEON_E_TEXT, LEON_FORMAT_TOML, "# \xff", "UTF-8");
    refuse_policy(LEON_E_CONFIG, LEON_FORMAT_TOML, "pins = []\navoid = 5", "line 2");
    refuse_policy(LEON_E_CONFIG, LEON_FORMAT_TOML, "avoid = ['nobody']", "the key of a relay");
    refuse_policy(LEON_E_CONFIG, LEON_FORMAT_TOML, "name = 'one'", "unknown field `name`");
    refuse_policy(LEON_E_CONFIG, LEON_FORMAT_TOML, "avoid = ['" KEY " " KEY "']", "two ends");
    refuse_policy(LEON_E_CONFIG, LEON_FORMAT_TOML, "prices_us = ['" KEY " 10000001']", "10 s at most");
    refuse_policy(LEON_E_CONFIG, LEON_FORMAT_JSON, "", "one object in braces");
    refuse_policy(LEON_E_CONFIG, LEON_FORMAT_JSON, "{\"pins\": [\"" KEY " via " KEY "\"]}", "none of them the member");
    OK(leon_engine_set_policy(engine, LEON_FORMAT_TOML, NULL, 0, MS));
    OK(leon_engine_set_policy(engine, LEON_FORMAT_JSON, "{}", 2, MS));
    args_end(&args);
}
