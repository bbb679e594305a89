/* Calls at random: any function, with handles that live, are freed or never were, wrong pointers and times, from
 * inside callbacks too. Whatever comes, each call returns an error that the header lists for it.
 *
 * LEON_SPIN says how many calls; LEON_SEED begins with that seed. */
#include "calls.h"

enum { SLOTS = 6, HEARD = 16, DEEPEST = 3 };

static uint64_t state;
static leon_engine *engines[SLOTS];
static leon_forwarder *forwarders[SLOTS];
static struct { uint8_t bytes[2048]; size_t len; } heard[HEARD];
static int depth;
static leon_time now;
static uint64_t ok, refused, inside;

/* xorshift64*: the same on every machine. */
static uint32_t any(uint32_t below) {
    state ^= state >> 12, state ^= state << 25, state ^= state >> 27;
    return (uint32_t)((state * 0x2545f4914f6cdd1d) >> 33) % below;
}

static void call_any(void);

static void reenter(void) {
    if (depth < DEEPEST && any(4) == 0) {
        inside++;
        call_any();
    }
}

static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    (void)user_data;
    for (size_t i = 0; i < count; i++) {
        size_t at = any(HEARD), len = 0;
        for (size_t k = 0; k < datagrams[i].iov_count; k++) {
            if (len + datagrams[i].iov[k].len > sizeof heard[at].bytes) break;
            memcpy(heard[at].bytes + len, datagrams[i].iov[k].data, datagrams[i].iov[k].len);
            len += datagrams[i].iov[k].len;
        }
        heard[at].len = len;
    }
    reenter();
}

static void frames_out(void *user_data, const leon_frame_out *frames, size_t count) {
    (void)user_data;
    CHECK(count > 0 && frames[count - 1].data != NULL);
    reenter();
}

static void deadline_changed(void *user_data, leon_time deadline) {
    (void)user_data, (void)deadline;
    reenter();
}

static void event(void *user_data, const leon_event *what) {
    (void)user_data;
    CHECK(what->kind != 0);
    reenter();
}

static void log_line(void *user_data, uint32_t level, uint32_t id, const char *message, size_t len) {
    (void)user_data, (void)level, (void)id;
    CHECK(strlen(message) == len);
    reenter();
}

static void *wrong_handle(void *live) {
    switch (any(6)) {
    case 0: return NULL;
    case 1: return (void *)(uintptr_t)any(UINT32_MAX);
    case 2: return (void *)((uintptr_t)live ^ (uintptr_t)1 << any(64));
    case 3: return engines[any(SLOTS)];
    case 4: return forwarders[any(SLOTS)];
    default: return &depth;
    }
}

/* Arguments that are right but for a few. */
static void choose(struct args *args, const struct call *call) {
    static const char *const names[SLOTS] = {"a", "b", "c", "d", "e", "f"};
    int slot = (int)any(SLOTS), heard_at = (int)any(HEARD);
    now += any(100) == 0 ? 1000 * MS : any(1000000);
    args_init(args, engines[slot], forwarders[any(SLOTS)], now - (any(20) == 0 ? any(1000) : 0));
    struct given *given = &args->given;
    struct memory *memory = &args->memory;
    memory->config.locator = mesh_locator(slot);
    memory->config.name = names[slot];
    memory->key.bytes[0] = (uint8_t)(slot + 1);
    memory->config.seeds = &memory->address;
    memory->config.seed_count = 1;
    memory->address = mesh_locator((int)any(2));
    memory->config.max_members = 8;
    memory->config.max_segments = any(3);
    memory->callbacks.datagrams_out = datagrams_out;
    memory->callbacks.frames_out = frames_out;
    memory->callbacks.deadline_changed = deadline_changed;
    memory->callbacks.event = event;
    memory->callbacks.log = log_line;
    if (heard[heard_at].len > 0) {
        memory->datagrams[0].data = heard[heard_at].bytes;
        memory->datagrams[0].len = heard[heard_at].len;
        memory->datagrams[0].from = mesh_locator((int)any(SLOTS));
        memory->datagrams[0].segment_size = (uint16_t)(any(8) == 0 ? any(1000) : 0);
    }
    given->allowed_count = any(2);
    if (any(10) == 0) given->allowed = NULL, given->allowed_count = 0;
    if (any(8) == 0) given->engine = wrong_handle(given->engine);
    if (any(8) == 0) given->forwarder = wrong_handle(given->forwarder);
    if (any(30) == 0) given->now = UINT64_MAX - any(1000);
    if (any(30) == 0) given->abi = any(100);
    if (any(20) == 0) given->capacity = any(3);
    if (any(20) == 0) given->items = any(3);
    if (any(20) == 0) given->text_size = any(200);
    if (any(20) == 0) given->done = NULL;
    if (any(20) == 0) memory->info.struct_size = any(2 * sizeof memory->info);
    if (any(20) == 0) memory->explanation.struct_size = any(2 * sizeof memory->explanation);
    if (any(20) == 0) memory->frame_info.struct_size = any(2 * sizeof memory->frame_info);
    if (any(20) == 0) memory->host.segment = any(UINT32_MAX);
    if (any(20) == 0) memory->host.vlan = (uint16_t)any(UINT16_MAX);
    if (any(2) == 0) memory->host.mac.bytes[5] = (uint8_t)any(256);
    if (any(8) == 0) memory->stream[any(LEON_STREAM_HEADER)] = (uint8_t)any(256);
    if (any(20) == 0) memory->config.struct_size = any(2 * sizeof memory->config);
    if (any(20) == 0) memory->callbacks.struct_size = any(2 * sizeof memory->callbacks);
    if (any(20) == 0) memory->frames[any(2)].segment = any(UINT32_MAX);
    if (any(20) == 0) memory->frames[any(2)].flags = any(4);
    if (any(20) == 0) memory->datagrams[any(2)].from.version = (uint8_t)any(8);
    if (any(20) == 0 && call->pointers[0] != 0) memset((char *)given + call->pointers[0] - 1, 0, sizeof(void *));
}

/* What a call has made takes a place, and what was there is freed, if it was not before. */
static void keep(struct args *args) {
    int slot = (int)any(SLOTS);
    if (args->memory.new_engine != NULL) {
        leon_status status = leon_engine_free(engines[slot]);
        CHECK(check_is_listed("leon_engine_free", status));
        engines[slot] = args->memory.new_engine;
    }
    if (args->memory.new_forwarder != NULL) {
        leon_status status = leon_forwarder_free(forwarders[slot]);
        CHECK(check_is_listed("leon_forwarder_free", status));
        forwarders[slot] = args->memory.new_forwarder;
    }
}

static void call_any(void) {
    struct args args;
    const struct call *call = calls[any((uint32_t)call_count)];
    /* What makes something comes more often than what frees. */
    if ((call->takes & FREES) && any(3) != 0) return;
    depth++;
    choose(&args, call);
    leon_status status = call->run(&args.given);
    if (!(call->takes & HAS_NO_STATUS)) CHECK(check_is_listed(call->name, status));
    *(status == LEON_OK ? &ok : &refused) += 1;
    keep(&args);
    depth--;
}

TEST(whatever_is_called_returns_an_error_that_is_listed) {
    const char *count = getenv("LEON_SPIN"), *seed = getenv("LEON_SEED");
    uint64_t calls_left = count != NULL ? strtoull(count, NULL, 10) : 100000;
    uint64_t first = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    for (uint64_t round = first; calls_left > 0; round++) {
        int before = check_failures();
        state = round * 0x9e3779b97f4a7c15;
        now = MS;
        for (int i = 0; i < 1000 && calls_left > 0; i++, calls_left--) call_any();
        for (int i = 0; i < SLOTS; i++) {
            CHECK(check_is_listed("leon_engine_free", leon_engine_free(engines[i])));
            CHECK(check_is_listed("leon_forwarder_free", leon_forwarder_free(forwarders[i])));
            engines[i] = NULL;
            forwarders[i] = NULL;
        }
        if (check_failures() > before) fprintf(stderr, "    LEON_SEED=%llu\n", (unsigned long long)round);
    }
    printf("       %llu calls were right, %llu wrong, %llu came from inside callbacks\n", (unsigned long long)ok,
           (unsigned long long)refused, (unsigned long long)inside);
    /* Enough of each kind. */
    CHECK(ok > refused && refused > (ok + refused) / 10 && inside > (ok + refused) / 1000);
}
