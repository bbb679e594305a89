/* Every function of leon.h; see calls.h. */
#include "calls.h"

#define P(field) (offsetof(struct given, field) + 1)
#define CALL(function, kinds, answer, ...)                                                                        \
    static leon_status run_##function(const struct given *g) {                                                   \
        (void)g;                                                                                                 \
        return (answer);                                                                                         \
    }                                                                                                            \
    static const struct call call_##function = {#function, run_##function, (kinds), {__VA_ARGS__}}

CALL(leon_strerror, HAS_NO_STATUS, leon_strerror(LEON_E_NULL) != NULL ? LEON_OK : LEON_E_HANDLE, 0);
CALL(leon_version, HAS_NO_STATUS, leon_version()[0] != 0 ? LEON_OK : LEON_E_HANDLE, 0);
CALL(leon_abi_version, HAS_NO_STATUS, leon_abi_version() == LEON_ABI_VERSION ? LEON_OK : LEON_E_HANDLE, 0);
CALL(leon_counter_name, HAS_NO_STATUS, leon_counter_name(1) != NULL ? LEON_OK : LEON_E_HANDLE, 0);
CALL(leon_engine_new_abi, TAKES_TIME,
     leon_engine_new_abi(g->abi, g->config, g->callbacks, g->now, g->new_engine, g->text, g->text_size),
     P(config), P(callbacks), P(new_engine), 0);
CALL(leon_engine_free, TAKES_ENGINE | FREES, leon_engine_free(g->engine), 0);
CALL(leon_engine_join, TAKES_ENGINE | TAKES_TIME, leon_engine_join(g->engine, g->now), 0);
CALL(leon_engine_leave, TAKES_ENGINE | TAKES_TIME, leon_engine_leave(g->engine, g->now), 0);
CALL(leon_engine_timer, TAKES_ENGINE | TAKES_TIME, leon_engine_timer(g->engine, g->now), 0);
CALL(leon_engine_deadline, TAKES_ENGINE | HAS_NO_STATUS,
     leon_engine_deadline(g->engine) != LEON_TIME_NEVER ? LEON_OK : LEON_E_HANDLE, 0);
CALL(leon_engine_set_seeds, TAKES_ENGINE | TAKES_TIME, leon_engine_set_seeds(g->engine, g->address, 1, g->now),
     P(address), 0);
CALL(leon_engine_set_allowed, TAKES_ENGINE | TAKES_TIME,
     leon_engine_set_allowed(g->engine, g->allowed, g->allowed_count, g->now), P(allowed), 0);
CALL(leon_engine_set_policy, TAKES_ENGINE | TAKES_TIME,
     leon_engine_set_policy(g->engine, LEON_FORMAT_TOML, g->policy, g->policy_len, g->now), P(policy), 0);
CALL(leon_engine_mtu, TAKES_ENGINE | HAS_NO_STATUS, leon_engine_mtu(g->engine) != 0 ? LEON_OK : LEON_E_HANDLE, 0);
CALL(leon_engine_last_error, TAKES_ENGINE | TELLS_ERROR,
     leon_engine_last_error(g->engine, g->text, g->text_size, g->count), P(text), 0);
CALL(leon_forwarder_new, TAKES_ENGINE, leon_forwarder_new(g->engine, NULL, g->new_forwarder), P(new_forwarder), 0);
CALL(leon_forwarder_free, TAKES_FORWARDER | FREES, leon_forwarder_free(g->forwarder), 0);
CALL(leon_forwarder_frame_in, TAKES_FORWARDER | TAKES_TIME, leon_forwarder_frame_in(g->forwarder, g->now, g->frames),
     P(frames), 0);
CALL(leon_forwarder_frames_in, TAKES_FORWARDER | TAKES_TIME | WRITES_DONE,
     leon_forwarder_frames_in(g->forwarder, g->now, g->frames, g->items, g->done), P(frames), 0);
CALL(leon_forwarder_datagram_in, TAKES_FORWARDER | TAKES_TIME,
     leon_forwarder_datagram_in(g->forwarder, g->now, g->datagrams), P(datagrams), 0);
CALL(leon_forwarder_datagrams_in, TAKES_FORWARDER | TAKES_TIME | WRITES_DONE,
     leon_forwarder_datagrams_in(g->forwarder, g->now, g->datagrams, g->items, g->done), P(datagrams), 0);
CALL(leon_engine_info, TAKES_ENGINE | TAKES_TIME, leon_engine_info(g->engine, g->now, g->info), P(info), 0);
CALL(leon_engine_members, TAKES_ENGINE | TAKES_TIME,
     leon_engine_members(g->engine, g->now, g->members, g->capacity, g->count), P(members), P(count), 0);
CALL(leon_engine_links, TAKES_ENGINE | TAKES_TIME,
     leon_engine_links(g->engine, g->now, g->links, g->capacity, g->count), P(links), P(count), 0);
CALL(leon_engine_hosts, TAKES_ENGINE | TAKES_TIME,
     leon_engine_hosts(g->engine, g->now, g->hosts, g->capacity, g->count), P(hosts), P(count), 0);
CALL(leon_engine_counters, TAKES_ENGINE | TAKES_TIME,
     leon_engine_counters(g->engine, g->now, g->values, LEON_COUNTER_COUNT, g->count), P(values), P(count), 0);
/* An engine that is alone has no member to explain a path to: to say so is right. */
static leon_status or_alone(const char *function, leon_status status) {
    return status == LEON_E_NOT_FOUND && check_is_listed(function, status) ? LEON_OK : status;
}

CALL(leon_engine_explain, TAKES_ENGINE | TAKES_TIME,
     or_alone("leon_engine_explain", leon_engine_explain(g->engine, g->id, g->now, g->explanation, g->candidates,
                                                         g->capacity, g->count)),
     P(id), P(candidates), P(count), 0);
CALL(leon_engine_explain_json, TAKES_ENGINE | TAKES_TIME,
     or_alone("leon_engine_explain_json",
              leon_engine_explain_json(g->engine, g->id, g->now, g->text, g->text_size, g->count)),
     P(id), P(text), 0);
CALL(leon_engine_snapshot_json, TAKES_ENGINE | TAKES_TIME,
     leon_engine_snapshot_json(g->engine, g->now, g->text, g->text_size, g->count), P(text), 0);
CALL(leon_engine_announce_host, TAKES_ENGINE | TAKES_TIME, leon_engine_announce_host(g->engine, g->host, g->now),
     P(host), 0);
CALL(leon_engine_withdraw_host, TAKES_ENGINE | TAKES_TIME, leon_engine_withdraw_host(g->engine, g->host, g->now),
     P(host), 0);
CALL(leon_stream_encode, 0, leon_stream_encode(128, g->stream), P(stream), 0);
CALL(leon_stream_decode, 0, leon_stream_decode(g->stream, sizeof(uint8_t[LEON_STREAM_HEADER + 128]), g->count),
     P(stream), P(count), 0);
CALL(leon_frame_parse, 0, leon_frame_parse(g->stream, 128, g->frame_info), P(stream), P(frame_info), 0);
CALL(leon_id_from_key, 0, leon_id_from_key(g->key, g->id), P(key), P(id), 0);
CALL(leon_key_from_text, 0, leon_key_from_text(g->key_text, g->key), P(key_text), P(key), 0);
CALL(leon_key_to_text, 0, leon_key_to_text(g->key, g->text, g->text_size), P(key), P(text), 0);
CALL(leon_id_from_text, 0, leon_id_from_text(g->id_text, g->id), P(id_text), P(id), 0);
CALL(leon_id_to_text, 0, leon_id_to_text(g->id, g->text, g->text_size), P(id), P(text), 0);
CALL(leon_address_from_text, 0, leon_address_from_text(g->address_text, g->address), P(address_text), P(address), 0);
CALL(leon_address_to_text, 0, leon_address_to_text(g->address, g->text, g->text_size), P(address), P(text), 0);

const struct call *const calls[] = {
#define FUNCTION(name, errors) &call_##name,
#define ERROR(name)
#include "functions.inc"
};
const int call_count = sizeof calls / sizeof *calls;

static void ignore_datagrams(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    (void)user_data, (void)datagrams, (void)count;
}

static void ignore_frames(void *user_data, const leon_frame_out *frames, size_t count) {
    (void)user_data, (void)frames, (void)count;
}

static void memory_init(struct memory *m) {
    memset(m, 0xa5, sizeof *m);
    m->new_engine = NULL;
    m->new_forwarder = NULL;
    memset(&m->config, 0, sizeof m->config);
    m->config.struct_size = sizeof m->config;
    m->config.entropy = &m->entropy;
    m->config.incarnation = 1;
    m->config.name = "one";
    m->config.locator = mesh_locator(90);
    m->config.secret_key = &m->key;
    m->config.network_key = &m->network;
    m->config.fdb_capacity = 64;
    m->config.max_members = 2;
    memset(&m->callbacks, 0, sizeof m->callbacks);
    m->callbacks.struct_size = sizeof m->callbacks;
    m->callbacks.datagrams_out = ignore_datagrams;
    m->callbacks.frames_out = ignore_frames;
    m->address = mesh_locator(7);
    m->info.struct_size = sizeof m->info;
    m->explanation.struct_size = sizeof m->explanation;
    m->frame_info.struct_size = sizeof m->frame_info;
    m->host = (leon_host_key){0, 0, {{2, 0, 0, 0, 0, 9}}};
    memcpy(m->stream, (uint8_t[]){0, 0, 0, 128}, LEON_STREAM_HEADER);
    for (int i = 0; i < 2; i++) {
        frame_write(m->frame[i], sizeof m->frame[i], 1, -1);
        m->frames[i] = frame_in(m->frame[i], sizeof m->frame[i]);
        m->datagrams[i] = (leon_datagram_in){m->datagram[i], sizeof m->datagram[i], 0, mesh_locator(8), 0, 0, 0};
    }
}

static const char policy[] = "avoid = [\"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\"]";

void args_init(struct args *args, leon_engine *engine, leon_forwarder *forwarder, leon_time now) {
    struct memory *m = &args->memory;
    memory_init(m);
    memset(&args->given, 0, sizeof args->given);
    args->given = (struct given){
        .abi = LEON_ABI_VERSION, .engine = engine, .forwarder = forwarder, .now = now,
        .config = &m->config, .callbacks = &m->callbacks,
        .new_engine = &m->new_engine, .new_forwarder = &m->new_forwarder,
        .allowed = &m->id, .allowed_count = 1,
        .policy = policy, .policy_len = sizeof policy - 1,
        .text = m->text, .text_size = sizeof m->text,
        .key_text = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
        .id_text = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n", .address_text = "[2001:db8::1]:4789",
        .key = &m->key, .id = &m->id, .address = &m->address, .info = &m->info,
        .host = &m->host, .explanation = &m->explanation, .candidates = m->candidates,
        .frame_info = &m->frame_info, .stream = m->stream,
        .members = m->members, .links = m->links, .hosts = m->hosts, .values = m->values,
        .capacity = 2, .count = &m->count,
        .frames = m->frames, .datagrams = m->datagrams, .items = 2, .done = &m->done,
    };
}

void args_end(struct args *args) {
    OK(leon_forwarder_free(args->memory.new_forwarder));
    OK(leon_engine_free(args->memory.new_engine));
}

bool call_expect(const struct call *call, struct args *args, leon_status expected, const char *what) {
    leon_status status = call->run(&args->given);
    if (!(call->takes & HAS_NO_STATUS)) return check_status(expected, status, __FILE__, __LINE__, call->name, what);
    /* What is wrong is only told apart from what is right. */
    bool is_right = (status == LEON_OK) == (expected == LEON_OK);
    if (!CHECK(is_right)) fprintf(stderr, "    %s, %s\n", call->name, what);
    check_is_listed(call->name, LEON_OK);
    return is_right;
}
