/* What every function does with wrong handles, NULL and wrong times: the documented error, and nothing written.
 * The table of functions is in calls.c. */
#include "calls.h"

/* An engine that has joined, with a forwarder. */
struct fresh {
    leon_engine *engine;
    leon_forwarder *forwarder;
    struct args args, before;
};

static void fresh_init(struct fresh *fresh) {
    args_init(&fresh->args, NULL, NULL, MS);
    struct given *given = &fresh->args.given;
    OK(leon_engine_new(given->config, given->callbacks, MS, &fresh->engine, NULL, 0));
    OK(leon_forwarder_new(fresh->engine, NULL, &fresh->forwarder));
    OK(leon_engine_join(fresh->engine, MS));
    given->engine = fresh->engine;
    given->forwarder = fresh->forwarder;
}

static void fresh_end(struct fresh *fresh) {
    args_end(&fresh->args);
    OK(leon_forwarder_free(fresh->forwarder));
    OK(leon_engine_free(fresh->engine));
}

/* Calls with wrong arguments, and checks that nothing is written but what the header says is. */
static void expect_refusal(const struct call *call, struct fresh *fresh, leon_status expected, const char *what) {
    struct memory *memory = &fresh->args.memory;
    struct memory before = *memory;
    call_expect(call, &fresh->args, expected, what);
    if (call->takes & WRITES_DONE) {
        CHECK_EQ(memory->done, 0);
        memory->done = before.done;
    }
    if (fresh->args.given.count != NULL && expected == LEON_E_NULL) memory->count = before.count;
    if (strcmp(call->name, "leon_engine_new_abi") == 0) {
        /* The sentence is the one thing that is written. */
        CHECK(memchr(memory->text, 0, sizeof memory->text) != NULL);
        CHECK(memory->text[0] != 0);
        memcpy(memory->text, before.text, sizeof before.text);
    }
    if (!CHECK(memcmp(memory, &before, sizeof before) == 0)) fprintf(stderr, "    %s, %s\n", call->name, what);
}

TEST(right_arguments_are_taken_by_every_function) {
    for (int i = 0; i < call_count; i++) {
        struct fresh fresh;
        fresh_init(&fresh);
        call_expect(calls[i], &fresh.args, LEON_OK, "nothing");
        if (calls[i]->takes & FREES) {
            if (calls[i]->takes & TAKES_ENGINE) fresh.engine = NULL;
            else fresh.forwarder = NULL;
        }
        fresh_end(&fresh);
    }
}

/* Calls each function that takes a handle of a kind with another. */
static void call_all_with(unsigned kind, void *handle, const char *what) {
    for (int i = 0; i < call_count; i++) {
        const struct call *call = calls[i];
        struct fresh fresh;
        if (!(call->takes & kind)) continue;
        fresh_init(&fresh);
        if (kind == TAKES_ENGINE) fresh.args.given.engine = handle;
        else fresh.args.given.forwarder = handle;
        leon_status expected = handle != NULL ? LEON_E_HANDLE : call->takes & FREES ? LEON_OK : LEON_E_NULL;
        expect_refusal(call, &fresh, expected, what);
        fresh_end(&fresh);
    }
}

TEST(a_handle_that_is_null_is_refused_by_all_but_free) {
    call_all_with(TAKES_ENGINE, NULL, "NULL");
    call_all_with(TAKES_FORWARDER, NULL, "NULL");
}

TEST(a_handle_that_never_was_is_refused_everywhere) {
    enum { BITS = 8 * sizeof(uintptr_t) };
    int local = 0;
    void *heap = malloc(16);
    struct fresh live;
    fresh_init(&live);
    uintptr_t engine = (uintptr_t)live.engine, forwarder = (uintptr_t)live.forwarder;
    void *wrong[] = {
        (void *)1, (void *)2, (void *)4095, (void *)4096, (void *)UINTPTR_MAX, (void *)(UINTPTR_MAX >> 1),
        &local, heap, stdout, (void *)(UINTPTR_MAX << (BITS - 16)),
        /* One bit is wrong: another kind, generation or slot. */
        (void *)(engine ^ 1), (void *)(engine ^ 4096), (void *)(engine ^ ((uintptr_t)1 << (BITS - 2))),
        (void *)(forwarder ^ 2048), (void *)(forwarder ^ ((uintptr_t)1 << (BITS - 17))),
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char what[32];
        snprintf(what, sizeof what, "handle %zu", i);
        call_all_with(TAKES_ENGINE, wrong[i], what);
        call_all_with(TAKES_FORWARDER, wrong[i], what);
    }
    call_all_with(TAKES_ENGINE, live.forwarder, "a forwarder");
    call_all_with(TAKES_FORWARDER, live.engine, "an engine");
    fresh_end(&live);
    free(heap);
}

TEST(a_freed_handle_is_refused_everywhere) {
    struct fresh gone;
    fresh_init(&gone);
    leon_engine *engine = gone.engine;
    leon_forwarder *forwarder = gone.forwarder;
    fresh_end(&gone);
    call_all_with(TAKES_ENGINE, engine, "freed");
    call_all_with(TAKES_FORWARDER, forwarder, "freed");
    /* All slots of the tables have been used since. */
    for (int i = 0; i < 5000; i++) {
        struct fresh other;
        fresh_init(&other);
        CHECK(other.engine != engine && other.forwarder != forwarder);
        if (i % 1000 == 0) EXPECT(LEON_E_HANDLE, leon_engine_timer(engine, MS));
        fresh_end(&other);
    }
    call_all_with(TAKES_ENGINE, engine, "freed long ago");
    call_all_with(TAKES_FORWARDER, forwarder, "freed long ago");
}

TEST(a_forwarder_of_a_freed_engine_can_only_be_freed) {
    for (int i = 0; i < call_count; i++) {
        struct fresh fresh;
        if (!(calls[i]->takes & TAKES_FORWARDER)) continue;
        fresh_init(&fresh);
        OK(leon_engine_free(fresh.engine));
        fresh.engine = NULL;
        if (calls[i]->takes & FREES) {
            call_expect(calls[i], &fresh.args, LEON_OK, "closed");
            fresh.forwarder = NULL;
        } else {
            expect_refusal(calls[i], &fresh, LEON_E_CLOSED, "closed");
        }
        fresh_end(&fresh);
    }
}

TEST(a_pointer_that_is_null_is_refused_by_every_function) {
    for (int i = 0; i < call_count; i++) {
        const struct call *call = calls[i];
        for (const size_t *at = call->pointers; *at != 0; at++) {
            struct fresh fresh;
            void *null = NULL;
            char what[32];
            fresh_init(&fresh);
            memcpy((char *)&fresh.args.given + *at - 1, &null, sizeof null);
            snprintf(what, sizeof what, "argument at %zu is NULL", *at - 1);
            expect_refusal(call, &fresh, LEON_E_NULL, what);
            fresh_end(&fresh);
        }
    }
}

TEST(a_time_in_the_upper_half_is_refused_by_every_function) {
    const leon_time wrong[] = {(leon_time)1 << 63, (leon_time)-1, LEON_TIME_NEVER - MS};
    for (int i = 0; i < call_count; i++) {
        for (size_t k = 0; k < sizeof wrong / sizeof *wrong; k++) {
            struct fresh fresh;
            if (!(calls[i]->takes & TAKES_TIME)) continue;
            fresh_init(&fresh);
            fresh.args.given.now = wrong[k];
            expect_refusal(calls[i], &fresh, LEON_E_RANGE, "time");
            /* Nothing has been taken at its word: the engine goes on. */
            CHECK(leon_engine_deadline(fresh.engine) < (leon_time)1 << 62);
            OK(leon_engine_timer(fresh.engine, 2 * MS));
            fresh_end(&fresh);
        }
    }
}

TEST(a_time_that_goes_back_is_tolerated_and_counted) {
    uint64_t expected = 0;
    for (int i = 0; i < call_count; i++) {
        const struct call *call = calls[i];
        if (!(call->takes & TAKES_TIME) || !(call->takes & (TAKES_ENGINE | TAKES_FORWARDER))) continue;
        struct fresh fresh;
        uint64_t values[LEON_COUNTER_COUNT];
        size_t count;
        fresh_init(&fresh);
        fresh.args.given.now = 1000 * MS;
        call_expect(call, &fresh.args, LEON_OK, "time ahead");
        args_init(&fresh.args, fresh.engine, fresh.forwarder, 999 * MS);
        call_expect(call, &fresh.args, LEON_OK, "time back");
        OK(leon_engine_counters(fresh.engine, 1000 * MS, values, LEON_COUNTER_COUNT, &count));
        CHECK_EQ(values[LEON_COUNTER_TIME_BACK], 1);
        expected++;
        fresh_end(&fresh);
    }
    CHECK(expected > 10);
}

TEST(the_longest_time_is_taken) {
    struct fresh fresh;
    fresh_init(&fresh);
    OK(leon_engine_timer(fresh.engine, INT64_MAX));
    fresh.args.given.now = INT64_MAX;
    OK(leon_forwarder_frames_in(fresh.forwarder, INT64_MAX, fresh.args.given.frames, 2, NULL));
    OK(leon_forwarder_datagrams_in(fresh.forwarder, INT64_MAX, fresh.args.given.datagrams, 2, NULL));
    fresh_end(&fresh);
}

TEST(more_engines_and_forwarders_than_there_are_handles_are_refused) {
    static leon_forwarder *forwarders[4096];
    static leon_engine *engines[4096];
    struct fresh fresh;
    int made = 0;
    fresh_init(&fresh);
    while (made < 4095 && OK(leon_forwarder_new(fresh.engine, NULL, &forwarders[made]))) made++;
    CHECK_EQ(made, 4095);
    EXPECT(LEON_E_NOMEM, leon_forwarder_new(fresh.engine, NULL, fresh.args.given.new_forwarder));
    CHECK(fresh.args.memory.new_forwarder == NULL);
    for (int i = 0; i < made; i++) OK(leon_forwarder_free(forwarders[i]));
    for (made = 0; made < 4095; made++) {
        if (!OK(leon_engine_new(fresh.args.given.config, fresh.args.given.callbacks, MS, &engines[made], NULL, 0))) break;
    }
    CHECK_EQ(made, 4095);
    EXPECT(LEON_E_NOMEM, leon_engine_new(fresh.args.given.config, fresh.args.given.callbacks, MS,
                                         fresh.args.given.new_engine, fresh.args.given.text, 256));
    CHECK(fresh.args.memory.new_engine == NULL);
    for (int i = 0; i < made; i++) OK(leon_engine_free(engines[i]));
    fresh_end(&fresh);
}

TEST(numbers_that_mean_nothing_have_a_sentence_or_no_name) {
    const leon_status statuses[] = {1, -1000, INT32_MIN, INT32_MAX, LEON_E_HOST_LIMIT - 1};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        CHECK(strcmp(leon_strerror(statuses[i]), "an unknown status") == 0);
    }
    for (leon_status status = 0; status >= LEON_E_HOST_LIMIT; status--) {
        CHECK(strcmp(leon_strerror(status), "an unknown status") != 0);
    }
    CHECK(leon_counter_name(LEON_COUNTER_NONE) == NULL);
    CHECK(leon_counter_name(LEON_COUNTER_COUNT) == NULL);
    CHECK(leon_counter_name(UINT32_MAX) == NULL);
    for (uint32_t counter = 1; counter < LEON_COUNTER_COUNT; counter++) {
        const char *name = leon_counter_name(counter);
        REQUIRE(name != NULL);
        CHECK(strspn(name, "abcdefghijklmnopqrstuvwxyz_0123456789") == strlen(name));
        bool is_drop = counter >= LEON_COUNTER_DROP_FRAME_TOO_SHORT && counter != LEON_COUNTER_MAC_HELD;
        CHECK((strncmp(name, "drop_", 5) == 0) == is_drop);
    }
}
