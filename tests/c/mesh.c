/* Several engines in one process; see mesh.h. */
#include "mesh.h"

struct datagram {
    struct datagram *next;
    leon_time due;
    int from, to;
    size_t len;
    uint8_t bytes[];
};

leon_address mesh_locator(int index) {
    leon_address address = {{10, 0, 0, 0}, 4789, 4, 0, 0};
    address.ip[3] = (uint8_t)(index + 1);
    return address;
}

void mesh_send(struct mesh *mesh, int from, int to, const void *bytes, size_t len) {
    struct datagram *datagram = malloc(sizeof *datagram + len);
    REQUIRE(datagram != NULL);
    datagram->next = NULL;
    datagram->due = mesh->now + (mesh->latency != NULL ? mesh->latency(from, to) : MS);
    datagram->from = from;
    datagram->to = to;
    datagram->len = len;
    memcpy(datagram->bytes, bytes, len);
    *mesh->last = datagram;
    mesh->last = &datagram->next;
}

uint64_t call_tag(int kind, int from, leon_time now) {
    return (uint64_t)kind << 60 | (uint64_t)from << 52 | now;
}

int call_kind(uint64_t tag) { return (int)(tag >> 60); }

int call_from(uint64_t tag) { return (int)(tag >> 52 & 255); }

leon_time call_time(uint64_t tag) { return tag & (((uint64_t)1 << 52) - 1); }

static void record_call(struct node *node, int kind, int from, const void *bytes, size_t len) {
    if (node->mesh->is_recording) record_add(&node->calls, call_tag(kind, from, node->mesh->now), bytes, len);
}

static size_t join_pieces(const leon_datagram_out *out, uint8_t *to, size_t room) {
    size_t len = 0;
    for (size_t i = 0; i < out->iov_count; i++) {
        REQUIRE(out->iov[i].len > 0 && len + out->iov[i].len <= room);
        memcpy(to + len, out->iov[i].data, out->iov[i].len);
        len += out->iov[i].len;
    }
    return len;
}

void mesh_datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    struct node *node = user_data;
    static _Thread_local uint8_t payload[65536];
    for (size_t i = 0; i < count; i++) {
        const leon_datagram_out *out = &datagrams[i];
        size_t len = join_pieces(out, payload, sizeof payload);
        size_t size = out->segment_size != 0 ? out->segment_size : len;
        CHECK_EQ(len, out->len);
        CHECK_EQ((len + size - 1) / size, out->segments);
        CHECK(out->iov_count <= 3 * (size_t)out->segments);
        CHECK_EQ(out->reserved, 0);
        for (size_t at = 0; at < len; at += size) {
            size_t part = len - at < size ? len - at : size;
            if (node->mesh->is_recording) record_add(&node->sent, out->to.ip[3], payload + at, part);
            mesh_send(node->mesh, node->index, out->to.ip[3] - 1, payload + at, part);
        }
    }
}

void mesh_frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    struct node *node = user_data;
    for (size_t i = 0; i < count; i++) {
        CHECK_EQ(frames[i].reserved, 0);
        if (node->mesh->is_recording) record_add(&node->given, frames[i].segment, frames[i].data, frames[i].len);
    }
    node->frames += count;
}

void mesh_event(void *user_data, const leon_event *event) {
    struct node *node = user_data;
    CHECK_EQ(event->struct_size, sizeof *event);
    CHECK(event->kind != 0);
    node->events++;
}

void mesh_log(void *user_data, uint32_t level, uint32_t id, const char *message, size_t len) {
    struct node *node = user_data;
    CHECK(level >= LEON_LOG_ERROR && level <= LEON_LOG_INFO && id != 0);
    CHECK_EQ(strlen(message), len);
    node->lines++;
}

void mesh_init(struct mesh *mesh) {
    memset(mesh, 0, sizeof *mesh);
    mesh->now = MS;
    mesh->forwarding = -1;
    mesh->last = &mesh->first;
    mesh->callbacks.struct_size = sizeof mesh->callbacks;
    mesh->callbacks.datagrams_out = mesh_datagrams_out;
    mesh->callbacks.frames_out = mesh_frames_out;
    mesh->callbacks.event = mesh_event;
    mesh->callbacks.log = mesh_log;
}

leon_status mesh_engine(struct mesh *mesh, int index, leon_engine **engine) {
    leon_key secret = {{1}}, network = {{42}}, entropy = {{0}};
    leon_address seed = mesh_locator(0);
    leon_config config;
    char name[16];
    memset(&config, 0, sizeof config);
    secret.bytes[1] = entropy.bytes[1] = (uint8_t)(index + 1);
    entropy.bytes[2] = mesh->entropy;
    snprintf(name, sizeof name, "node-%d", index);
    config.struct_size = sizeof config;
    config.entropy = &entropy;
    config.incarnation = 1;
    config.name = name;
    config.locator = mesh_locator(index);
    config.seeds = &seed;
    config.seed_count = 1;
    config.secret_key = &secret;
    config.network_key = &network;
    config.fdb_capacity = 256;
    config.max_members = 2 * MESH_MAX;
    if (mesh->configure != NULL) mesh->configure(index, &config);
    leon_callbacks callbacks = mesh->callbacks;
    callbacks.user_data = &mesh->nodes[index];
    return leon_engine_new(&config, &callbacks, mesh->now, engine, NULL, 0);
}

void mesh_start(struct mesh *mesh, int count) {
    REQUIRE(count <= MESH_MAX);
    mesh->count = count;
    for (int i = 0; i < count; i++) {
        struct node *node = &mesh->nodes[i];
        node->mesh = mesh;
        node->index = i;
        REQUIRE(mesh_engine(mesh, i, &node->engine) == LEON_OK);
        OK(leon_forwarder_new(node->engine, node, &node->forwarder));
        record_call(node, CALL_JOIN, 0, "", 0);
        OK(leon_engine_join(node->engine, mesh->now));
    }
}

static void deliver(struct mesh *mesh) {
    struct datagram **at = &mesh->first;
    while (*at != NULL) {
        struct datagram *datagram = *at;
        if (datagram->due > mesh->now) {
            at = &datagram->next;
            continue;
        }
        *at = datagram->next;
        if (*at == NULL) mesh->last = at;
        struct node *to = &mesh->nodes[datagram->to];
        if (datagram->to < mesh->count && to->forwarder != NULL) {
            leon_datagram_in in = {datagram->bytes, datagram->len, 0, mesh_locator(datagram->from), 0, 0, 0};
            record_call(to, CALL_DATAGRAM, datagram->from, datagram->bytes, datagram->len);
            mesh->forwarding = to->index;
            OK(leon_forwarder_datagram_in(to->forwarder, mesh->now, &in));
            mesh->forwarding = -1;
        }
        free(datagram);
    }
}

void mesh_frame(struct mesh *mesh, int index, leon_frame_in *frame) {
    record_call(&mesh->nodes[index], CALL_FRAME, 0, frame->data, frame->len);
    mesh->forwarding = index;
    OK(leon_forwarder_frame_in(mesh->nodes[index].forwarder, mesh->now, frame));
    mesh->forwarding = -1;
}

void mesh_run(struct mesh *mesh, leon_time duration) {
    leon_time end = mesh->now + duration;
    for (; mesh->now < end; mesh->now += MS / 4) {
        deliver(mesh);
        for (int i = 0; i < mesh->count; i++) {
            leon_engine *engine = mesh->nodes[i].engine;
            if (engine == NULL || leon_engine_deadline(engine) > mesh->now) continue;
            record_call(&mesh->nodes[i], CALL_TIMER, 0, "", 0);
            leon_status status = leon_engine_timer(engine, mesh->now);
            if (!mesh->is_short || status != LEON_E_NOMEM) CHECK_EQ(status, LEON_OK);
        }
    }
}

static bool is_converged(struct mesh *mesh) {
    for (int i = 0; i < mesh->count; i++) {
        static leon_member members[MESH_MAX];
        size_t count;
        OK(leon_engine_members(mesh->nodes[i].engine, mesh->now, members, MESH_MAX, &count));
        if (count + 1 != (size_t)mesh->count) return false;
        for (size_t k = 0; k < count; k++) {
            if (members[k].path_cost_ns == LEON_UNKNOWN) return false;
        }
    }
    return true;
}

void mesh_converge(struct mesh *mesh, int count) {
    mesh_start(mesh, count);
    leon_time limit = mesh->now + 60000 * MS;
    while (!is_converged(mesh)) {
        REQUIRE(mesh->now < limit);
        mesh_run(mesh, 100 * MS);
    }
}

void mesh_clear(struct mesh *mesh) {
    while (mesh->first != NULL) {
        struct datagram *datagram = mesh->first;
        mesh->first = datagram->next;
        free(datagram);
    }
    mesh->last = &mesh->first;
}

void mesh_end(struct mesh *mesh) {
    for (int i = 0; i < mesh->count; i++) {
        OK(leon_forwarder_free(mesh->nodes[i].forwarder));
        OK(leon_engine_free(mesh->nodes[i].engine));
        free(mesh->nodes[i].sent.bytes);
        free(mesh->nodes[i].given.bytes);
        free(mesh->nodes[i].calls.bytes);
    }
    mesh_clear(mesh);
    mesh->count = 0;
}

void record_add(struct record *record, uint64_t tag, const void *bytes, size_t len) {
    uint64_t words[2] = {tag, len};
    size_t needed = record->len + sizeof words + len;
    if (needed > record->capacity) {
        record->capacity = 2 * needed;
        record->bytes = realloc(record->bytes, record->capacity);
        REQUIRE(record->bytes != NULL);
    }
    memcpy(record->bytes + record->len, words, sizeof words);
    memcpy(record->bytes + record->len + sizeof words, bytes, len);
    record->len = needed;
    record->count++;
}

bool record_next(const struct record *record, size_t *at, uint64_t *tag, uint8_t **bytes, size_t *len) {
    uint64_t words[2];
    if (*at == record->len) return false;
    memcpy(words, record->bytes + *at, sizeof words);
    *tag = words[0];
    *len = (size_t)words[1];
    *bytes = record->bytes + *at + sizeof words;
    *at += sizeof words + *len;
    return true;
}

bool record_is_equal(const struct record *a, const struct record *b) {
    return a->len == b->len && a->count == b->count && (a->len == 0 || memcmp(a->bytes, b->bytes, a->len) == 0);
}

void record_clear(struct record *record) { record->len = record->count = 0; }

uint64_t mesh_counter(struct mesh *mesh, int index, uint32_t counter) {
    uint64_t values[LEON_COUNTER_COUNT];
    size_t count;
    OK(leon_engine_counters(mesh->nodes[index].engine, mesh->now, values, LEON_COUNTER_COUNT, &count));
    return values[counter];
}

void frame_write(uint8_t *bytes, size_t len, int from, int to) {
    REQUIRE(len >= 14);
    memset(bytes, 0xff, 6);
    if (to >= 0) memcpy(bytes, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)to}, 6);
    memcpy(bytes + 6, (uint8_t[]){2, 0, 0, 0, 0, (uint8_t)from, 0x88, 0xb5}, 8);
    for (size_t i = 14; i < len; i++) bytes[i] = (uint8_t)(i * 7 + len);
}

leon_frame_in frame_in(uint8_t *bytes, size_t len) {
    leon_frame_in frame = {bytes, len, NULL, 0, 0, 0, 0, 0};
    return frame;
}
