/* A panic in leon stops at the boundary, and poisons the one engine it was in. Needs a library that was built with
 * --cfg leon_fault. */
#include "calls.h"

/* Not in the header: the point of this number, counted from now, panics. */
void leon__fault_arm(uint32_t number);

struct pair {
    leon_engine *engine;
    leon_forwarder *forwarder, *second;
    struct args args;
};

static void pair_init(struct pair *pair) {
    args_init(&pair->args, NULL, NULL, MS);
    OK(leon_engine_new(pair->args.given.config, pair->args.given.callbacks, MS, &pair->engine, NULL, 0));
    OK(leon_forwarder_new(pair->engine, NULL, &pair->forwarder));
    OK(leon_forwarder_new(pair->engine, NULL, &pair->second));
    OK(leon_engine_join(pair->engine, MS));
    args_init(&pair->args, pair->engine, pair->forwarder, MS);
}

static void pair_end(struct pair *pair) {
    args_end(&pair->args);
    OK(leon_forwarder_free(pair->forwarder));
    OK(leon_forwarder_free(pair->second));
    OK(leon_engine_free(pair->engine));
}

/* All that an engine is asked for is refused, through both of its forwarders; it can be freed. */
static void check_poisoned(struct pair *pair) {
    for (int i = 0; i < call_count; i++) {
        const struct call *call = calls[i];
        if ((call->takes & FREES) || !(call->takes & (TAKES_ENGINE | TAKES_FORWARDER))) continue;
        args_init(&pair->args, pair->engine, i % 2 == 0 ? pair->forwarder : pair->second, MS);
        call_expect(call, &pair->args, call->takes & TELLS_ERROR ? LEON_OK : LEON_E_POISONED, "poisoned");
    }
}

static void check_unharmed(struct pair *pair) {
    for (int i = 0; i < call_count; i++) {
        struct args args;
        if (calls[i]->takes & FREES) continue;
        args_init(&args, pair->engine, pair->forwarder, MS);
        call_expect(calls[i], &args, LEON_OK, "another engine");
        args_end(&args);
    }
}

TEST(a_panic_in_any_function_is_an_error_of_the_call_and_harms_no_other_engine) {
    for (int i = 0; i < call_count; i++) {
        const struct call *call = calls[i];
        struct pair pair, other;
        bool has_engine = (call->takes & (TAKES_ENGINE | TAKES_FORWARDER)) && !(call->takes & (FREES | TELLS_ERROR));
        /* These only read constants: there is nothing in them to go wrong. */
        if ((call->takes & HAS_NO_STATUS) && !(call->takes & TAKES_ENGINE)) continue;
        pair_init(&pair);
        pair_init(&other);
        leon__fault_arm(1);
        call_expect(call, &pair.args, LEON_E_PANIC, "a panic");
        leon__fault_arm(0);
        CHECK(pair.args.memory.new_engine == NULL && pair.args.memory.new_forwarder == NULL);
        if (has_engine) check_poisoned(&pair);
        else check_unharmed(&pair);
        check_unharmed(&other);
        pair_end(&pair);
        pair_end(&other);
    }
}

TEST(a_panic_deep_inside_with_a_lock_held_poisons_the_engine_too) {
    int deep = 0;
    for (int i = 0; i < call_count; i++) {
        const struct call *call = calls[i];
        struct pair pair, other;
        if (!(call->takes & TAKES_TIME) || !(call->takes & (TAKES_ENGINE | TAKES_FORWARDER))) continue;
        pair_init(&pair);
        pair_init(&other);
        leon__fault_arm(2);
        leon_status status = call->run(&pair.args.given);
        leon__fault_arm(0);
        if (status == LEON_E_PANIC) {
            deep++;
            check_poisoned(&pair);
        } else {
            /* There is no second point on its way. */
            CHECK_EQ(status, LEON_OK);
        }
        check_unharmed(&other);
        pair_end(&pair);
        pair_end(&other);
    }
    /* join, leave, timer, set_seeds, set_allowed, set_policy, announce, withdraw; and one or many frames or datagrams. */
    CHECK_EQ(deep, 12);
}

TEST(what_a_batch_had_done_before_a_panic_is_told) {
    struct pair pair;
    size_t done = 99;
    pair_init(&pair);
    leon__fault_arm(3);
    EXPECT(LEON_E_PANIC, leon_forwarder_frames_in(pair.forwarder, MS, pair.args.given.frames, 2, &done));
    leon__fault_arm(0);
    CHECK_EQ(done, 1);
    pair_end(&pair);
}
