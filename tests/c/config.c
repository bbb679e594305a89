/* What leon_engine_new refuses, and how it says so; and what of the caller's structs it reads and writes whatever
 * their size. */
#include "calls.h"

static void engine_free(struct args *args) {
    OK(leon_engine_free(args->memory.new_engine));
    args->memory.new_engine = NULL;
}

/* Makes an engine of `config`: must fail with a status and a sentence with this word in it. */
static void refuse(struct args *args, leon_status expected, const char *word) {
    struct given *given = &args->given;
    leon_status status = leon_engine_new(
        given->config, given->callbacks, given->now, given->new_engine, given->text, given->text_size);
    check_status(expected, status, __FILE__, __LINE__, "leon_engine_new", word);
    CHECK(args->memory.new_engine == NULL);
    if (!CHECK(strstr(args->memory.text, word) != NULL)) fprintf(stderr, "    %s: %s\n", word, args->memory.text);
    engine_free(args);
}

#define WRONG(expected, word, ...)                                                                               \
    do {                                                                                                         \
        struct args wrong;                                                                                        \
        args_init(&wrong, NULL, NULL, MS);                                                                        \
        leon_config *config = &wrong.memory.config;                                                               \
        leon_callbacks *callbacks = &wrong.memory.callbacks;                                                      \
        (void)config, (void)callbacks;                                                                           \
        __VA_ARGS__;                                                                                             \
        refuse(&wrong, expected, word);                                                                           \
    } while (0)

TEST(a_program_for_another_abi_is_refused_before_its_structs_are_read) {
    struct args args;
    args_init(&args, NULL, NULL, MS);
    for (int i = 0; i < 3; i++) {
        const uint32_t abis[] = {LEON_ABI_VERSION + 1, UINT32_MAX, 77};
        EXPECT(LEON_E_ABI, leon_engine_new_abi(abis[i], (void *)1, (void *)1, UINT64_MAX, (void *)1, args.memory.text, 256));
        CHECK(strstr(args.memory.text, "ABI") != NULL);
    }
}

TEST(a_missing_callback_is_refused_if_it_is_required) {
    WRONG(LEON_E_CALLBACK, "datagrams_out", callbacks->datagrams_out = NULL);
    WRONG(LEON_E_CALLBACK, "frames_out", callbacks->frames_out = NULL);
    WRONG(LEON_E_UNSUPPORTED, "callbacks.reserved", callbacks->reserved = 1);
    struct args args;
    args_init(&args, NULL, NULL, MS);
    CHECK(args.memory.callbacks.deadline_changed == NULL && args.memory.callbacks.event == NULL);
    OK(leon_engine_new(args.given.config, args.given.callbacks, MS, args.given.new_engine, args.given.text, 256));
    CHECK(args.memory.text[0] == 0);
    engine_free(&args);
}

TEST(a_pointer_of_the_configuration_that_is_missing_is_refused_by_name) {
    WRONG(LEON_E_NULL, "entropy", config->entropy = NULL);
    WRONG(LEON_E_NULL, "name", config->name = NULL);
    WRONG(LEON_E_NULL, "secret_key", config->secret_key = NULL);
    WRONG(LEON_E_NULL, "network_key", config->network_key = NULL);
    WRONG(LEON_E_NULL, "seeds", config->seed_count = 1);
    WRONG(LEON_E_NULL, "segments", config->segment_count = 1);
    WRONG(LEON_E_NULL, "allowed", config->allowed_count = 1);
    WRONG(LEON_E_NULL, "id", config->security = LEON_SECURITY_NONE; config->secret_key = NULL; config->network_key = NULL);
}

TEST(a_field_that_means_nothing_is_refused) {
    static const leon_id id = {{1}};
    WRONG(LEON_E_UNSUPPORTED, "reserved", config->reserved = 1);
    WRONG(LEON_E_UNSUPPORTED, "format", config->format = 99);
    WRONG(LEON_E_UNSUPPORTED, "security", config->security = 2);
    WRONG(LEON_E_UNSUPPORTED, "security", config->security = UINT32_MAX);
    WRONG(LEON_E_UNSUPPORTED, "cipher", config->cipher = 3);
    WRONG(LEON_E_UNSUPPORTED, "text", config->text = "name = \"x\"");
    WRONG(LEON_E_UNSUPPORTED, "text", config->text_len = 1);
    WRONG(LEON_E_CONFIG, "id", config->id = &id);
    WRONG(LEON_E_CONFIG, "none", config->security = LEON_SECURITY_NONE; config->id = &id);
}

TEST(an_array_of_the_configuration_that_cannot_be_is_refused) {
    static union { leon_address addresses[2]; uint32_t numbers[4]; char bytes[48]; } room;
    const leon_address *askew = (const void *)(room.bytes + 1);
    const uint32_t *odd = (const void *)(room.bytes + 1);
    WRONG(LEON_E_POINTER, "seeds", config->seeds = askew; config->seed_count = 1);
    WRONG(LEON_E_POINTER, "segments", config->segments = odd; config->segment_count = 1);
    WRONG(LEON_E_POINTER, "seeds", config->seeds = room.addresses; config->seed_count = SIZE_MAX);
    WRONG(LEON_E_POINTER, "seeds", config->seeds = room.addresses; config->seed_count = SIZE_MAX / 24);
    WRONG(LEON_E_POINTER, "segments", config->segments = room.numbers; config->segment_count = SIZE_MAX / 4);
    WRONG(LEON_E_POINTER, "allowed", config->allowed = (const void *)room.bytes; config->allowed_count = SIZE_MAX / 32);
}

TEST(an_address_of_the_configuration_that_cannot_be_is_refused) {
    leon_address seeds[2] = {mesh_locator(1), mesh_locator(2)};
    WRONG(LEON_E_ADDRESS, "locator", memset(&config->locator, 0, sizeof config->locator));
    WRONG(LEON_E_ADDRESS, "locator", config->locator.version = 5);
    WRONG(LEON_E_ADDRESS, "locator", config->locator.reserved = 1);
    WRONG(LEON_E_ADDRESS, "locator", config->locator.scope_id = 1);
    WRONG(LEON_E_ADDRESS, "locator", config->locator.ip[4] = 1);
    WRONG(LEON_E_CONFIG, "locator", config->locator.port = 0);
    WRONG(LEON_E_CONFIG, "locator", config->locator.ip[0] = 224);
    seeds[1].version = 255;
    WRONG(LEON_E_ADDRESS, "seeds", config->seeds = seeds; config->seed_count = 2);
}

TEST(a_value_out_of_its_range_is_refused_by_name) {
    static const uint32_t high[] = {1 << 24}, twice[] = {7, 7};
    static uint32_t many[65];
    for (uint32_t i = 0; i < 65; i++) many[i] = i;
    WRONG(LEON_E_RANGE, "segment", config->segments = high; config->segment_count = 1);
    WRONG(LEON_E_CONFIG, "segment", config->segments = twice; config->segment_count = 2);
    WRONG(LEON_E_CONFIG, "segment", config->segments = many; config->segment_count = 65);
    WRONG(LEON_E_CONFIG, "incarnation", config->incarnation = 0);
    WRONG(LEON_E_CONFIG, "max_segments", config->max_segments = 65);
    WRONG(LEON_E_CONFIG, "mtu", config->underlay_mtu = 1279);
    WRONG(LEON_E_CONFIG, "mtu", config->underlay_mtu = 65536);
    WRONG(LEON_E_CONFIG, "max_members", config->max_members = 1);
    WRONG(LEON_E_CONFIG, "max_members", config->max_members = 4097);
    WRONG(LEON_E_CONFIG, "fdb_capacity", config->fdb_capacity = 32);
    WRONG(LEON_E_CONFIG, "fdb_capacity", config->fdb_capacity = 65);
    WRONG(LEON_E_CONFIG, "fdb_capacity", config->fdb_capacity = UINT32_MAX);
    WRONG(LEON_E_CONFIG, "ageing", config->fdb_ageing_s = 1000001);
    WRONG(LEON_E_CONFIG, "ping_interval", config->ping_interval_ms = 99);
    WRONG(LEON_E_CONFIG, "ping_interval", config->ping_interval_ms = UINT32_MAX);
    WRONG(LEON_E_CONFIG, "relay_charge", config->relay_charge_ns = 1000000001);
    WRONG(LEON_E_CONFIG, "relay_limit", config->relay_limit = 1000000001);
    WRONG(LEON_E_CONFIG, "flood_limit", config->flood_limit = UINT32_MAX);
}

TEST(a_name_that_cannot_be_is_refused) {
    static const char long_name[] = "0123456789012345678901234567890123456789012345678901234567890123";
    WRONG(LEON_E_TEXT, "name", config->name = "caf\xe9");
    WRONG(LEON_E_TEXT, "name", config->name = "\xed\xa0\x80");
    WRONG(LEON_E_CONFIG, "name", config->name = "");
    WRONG(LEON_E_CONFIG, "name", config->name = "a\nb");
    WRONG(LEON_E_CONFIG, "name", config->name = long_name);
    struct args args;
    leon_info info = {.struct_size = sizeof info};
    args_init(&args, NULL, NULL, MS);
    args.memory.config.name = long_name + 1;
    OK(leon_engine_new(args.given.config, args.given.callbacks, MS, args.given.new_engine, NULL, 0));
    OK(leon_engine_info(args.memory.new_engine, MS, &info));
    CHECK(strcmp(info.name, long_name + 1) == 0);
    engine_free(&args);
}

/* The sentence for an error is cut to the room there is, and nothing is written behind. */
TEST(the_sentence_about_an_error_keeps_within_its_room) {
    for (size_t room = 0; room < 100; room++) {
        struct args args;
        args_init(&args, NULL, NULL, MS);
        args.memory.config.incarnation = 0;
        EXPECT(LEON_E_CONFIG, leon_engine_new(args.given.config, args.given.callbacks, MS, args.given.new_engine, args.memory.text, room));
        if (room > 0) CHECK(memchr(args.memory.text, 0, room) != NULL);
        for (size_t i = room; i < sizeof args.memory.text; i++) CHECK((uint8_t)args.memory.text[i] == 0xa5);
    }
    struct args args;
    args_init(&args, NULL, NULL, MS);
    args.memory.config.incarnation = 0;
    EXPECT(LEON_E_CONFIG, leon_engine_new(args.given.config, args.given.callbacks, MS, args.given.new_engine, NULL, SIZE_MAX));
}

/* A struct of each size from 0 to twice its own, at the end of memory that ends with 0xa5. */
static struct { _Alignas(16) uint8_t bytes[1024]; } room;

static void *sized(const void *from, size_t known, uint32_t size) {
    memset(&room, 0xa5, sizeof room);
    memset(room.bytes, 0, size);
    memcpy(room.bytes, from, size < known ? size : known);
    memcpy(room.bytes, &size, sizeof size);
    return room.bytes;
}

static bool is_rest_untouched(size_t size) {
    for (size_t i = size > 4 ? size : 4; i < sizeof room; i++) {
        if (room.bytes[i] != 0xa5) return false;
    }
    return true;
}

#define FOR_EACH_SIZE(type) for (uint32_t size = 0; size <= 2 * sizeof(type); size++)

TEST(a_configuration_of_any_size_is_read_as_far_as_both_sides_know_it) {
    FOR_EACH_SIZE(leon_config) {
        struct args args;
        args_init(&args, NULL, NULL, MS);
        leon_config *config = sized(args.given.config, sizeof *config, size);
        leon_status expected = size < sizeof *config ? LEON_E_SIZE : LEON_OK;
        EXPECT(expected, leon_engine_new(config, args.given.callbacks, MS, args.given.new_engine, args.given.text, 256));
        CHECK(is_rest_untouched(size));
        engine_free(&args);
        if (size > sizeof *config) {
            room.bytes[size - 1] = 1;
            EXPECT(LEON_E_UNSUPPORTED, leon_engine_new(config, args.given.callbacks, MS, args.given.new_engine, args.given.text, 256));
        }
    }
}

TEST(callbacks_of_any_size_are_read_as_far_as_both_sides_know_them) {
    FOR_EACH_SIZE(leon_callbacks) {
        struct args args;
        args_init(&args, NULL, NULL, MS);
        leon_callbacks *callbacks = sized(args.given.callbacks, sizeof *callbacks, size);
        leon_status expected = size < sizeof *callbacks ? LEON_E_SIZE : LEON_OK;
        EXPECT(expected, leon_engine_new(args.given.config, callbacks, MS, args.given.new_engine, args.given.text, 256));
        CHECK(is_rest_untouched(size));
        engine_free(&args);
        if (size > sizeof *callbacks) {
            room.bytes[size - 1] = 1;
            EXPECT(LEON_E_UNSUPPORTED, leon_engine_new(args.given.config, callbacks, MS, args.given.new_engine, args.given.text, 256));
        }
    }
}

TEST(an_answer_of_any_size_is_written_as_far_as_both_sides_know_it) {
    static const leon_info empty;
    struct args args;
    args_init(&args, NULL, NULL, MS);
    OK(leon_engine_new(args.given.config, args.given.callbacks, MS, args.given.new_engine, NULL, 0));
    FOR_EACH_SIZE(leon_info) {
        leon_info *info = sized(&empty, sizeof empty, size);
        if (size >= sizeof *info) {
            memset(room.bytes + 4, 0x77, size - 4);
            OK(leon_engine_info(args.memory.new_engine, MS, info));
            CHECK_EQ(info->struct_size, sizeof *info);
            CHECK(strcmp(info->name, "one") == 0 && info->incarnation == 1);
            for (size_t i = sizeof *info; i < size; i++) CHECK_EQ(room.bytes[i], 0);
        } else {
            EXPECT(LEON_E_SIZE, leon_engine_info(args.memory.new_engine, MS, info));
        }
        CHECK(is_rest_untouched(size));
    }
    engine_free(&args);
}

TEST(a_struct_size_that_is_garbage_is_refused) {
    const uint32_t sizes[] = {4097, 65536, INT32_MAX, UINT32_MAX};
    leon_info info;
    struct args args;
    args_init(&args, NULL, NULL, MS);
    OK(leon_engine_new(args.given.config, args.given.callbacks, MS, args.given.new_engine, NULL, 0));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        info.struct_size = sizes[i];
        EXPECT(LEON_E_SIZE, leon_engine_info(args.memory.new_engine, MS, &info));
        WRONG(LEON_E_SIZE, "config", config->struct_size = sizes[i]);
        WRONG(LEON_E_SIZE, "callbacks", callbacks->struct_size = sizes[i]);
    }
    engine_free(&args);
}

TEST(structs_need_no_alignment) {
    static uint8_t bytes[sizeof(leon_config) + sizeof(leon_callbacks) + sizeof(leon_info) + 8];
    struct args args;
    args_init(&args, NULL, NULL, MS);
    uint8_t *config = bytes + 1, *callbacks = config + sizeof(leon_config), *info = callbacks + sizeof(leon_callbacks);
    uint32_t size = sizeof(leon_info);
    memcpy(config, args.given.config, sizeof(leon_config));
    memcpy(callbacks, args.given.callbacks, sizeof(leon_callbacks));
    memcpy(info, &size, sizeof size);
    OK(leon_engine_new((void *)config, (void *)callbacks, MS, args.given.new_engine, NULL, 0));
    OK(leon_engine_info(args.memory.new_engine, MS, (void *)info));
    engine_free(&args);
}
