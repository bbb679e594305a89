/*
 * What a program does that uses the installed library: makes an engine, lets it join a mesh of one, hands it a frame,
 * and frees it. Exits with 1 if anything is not as the header says. C and C++.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include <leon_posix.h>

struct counts {
    size_t datagrams;
    size_t frames;
    size_t logs;
};

static void datagrams_out(void *user_data, const struct leon_datagram_out *datagrams, size_t count)
{
    (void)datagrams;
    ((struct counts *)user_data)->datagrams += count;
}

static void frames_out(void *user_data, const struct leon_frame_out *frames, size_t count)
{
    (void)frames;
    ((struct counts *)user_data)->frames += count;
}

static void log_line(void *user_data, uint32_t level, uint32_t id, const char *message, size_t len)
{
    (void)level;
    (void)id;
    (void)message;
    (void)len;
    ((struct counts *)user_data)->logs += 1;
}

static int check(leon_status status, const char *what, const char *error)
{
    if (status != LEON_OK) {
        fprintf(stderr, "%s: %s: %s\n", what, leon_strerror(status), error);
    }
    return status == LEON_OK;
}

/* Asks what the engine knows of itself. */
static int ask(const leon_engine *engine)
{
    leon_info info;

    memset(&info, 0, sizeof info);
    info.struct_size = sizeof info;
    return check(leon_engine_info(engine, 2, &info), "leon_engine_info", "") && info.incarnation == 1 &&
           info.mtu == leon_engine_mtu(engine) && strcmp(info.name, "consumer") == 0;
}

/* Sends a broadcast frame, which has nowhere to go, and looks for it in the counters. */
static int send_frame(leon_engine *engine, struct counts *counts)
{
    leon_forwarder *forwarder = NULL;
    uint64_t counters[LEON_COUNTER_COUNT];
    size_t count = 0;
    uint8_t bytes[60];
    leon_frame_in frame;
    int good;

    memset(bytes, 0, sizeof bytes);
    memset(bytes, 0xff, 6);
    bytes[6] = 2;
    memset(&frame, 0, sizeof frame);
    frame.data = bytes;
    frame.len = sizeof bytes;
    if (!check(leon_forwarder_new(engine, counts, &forwarder), "leon_forwarder_new", "")) {
        return 0;
    }
    good = check(leon_forwarder_frame_in(forwarder, 2, &frame), "leon_forwarder_frame_in", "") &&
           frame.dropped == LEON_COUNTER_DROP_FRAME_NO_MEMBER &&
           check(leon_engine_counters(engine, 2, counters, LEON_COUNTER_COUNT, &count), "leon_engine_counters", "") &&
           count >= LEON_COUNTER_COUNT && counters[LEON_COUNTER_FRAMES_IN] == 1;
    return check(leon_forwarder_free(forwarder), "leon_forwarder_free", "") && good;
}

int main(void)
{
    leon_config config;
    leon_callbacks callbacks;
    leon_engine *engine = NULL;
    leon_key entropy;
    leon_id id;
    struct sockaddr_in socket_address;
    struct counts counts = {0, 0, 0};
    char error[200];
    int good;

    memset(&entropy, 7, sizeof entropy);
    memset(&id, 9, sizeof id);
    memset(&socket_address, 0, sizeof socket_address);
    socket_address.sin_family = AF_INET;
    socket_address.sin_port = htons(4789);
    socket_address.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 */

    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.entropy = &entropy;
    config.incarnation = 1;
    config.name = "consumer";
    config.security = LEON_SECURITY_NONE;
    config.id = &id;
    leon_address_from_sockaddr((const struct sockaddr *)&socket_address, &config.locator);

    memset(&callbacks, 0, sizeof callbacks);
    callbacks.struct_size = sizeof callbacks;
    callbacks.user_data = &counts;
    callbacks.datagrams_out = datagrams_out;
    callbacks.frames_out = frames_out;
    callbacks.log = log_line;

    if (leon_abi_version() != LEON_ABI_VERSION ||
        !check(leon_engine_new(&config, &callbacks, 1, &engine, error, sizeof error), "leon_engine_new", error)) {
        return 1;
    }
    good = check(leon_engine_join(engine, 1), "leon_engine_join", "") && send_frame(engine, &counts) &&
           ask(engine) && counts.datagrams == 0 && counts.frames == 0;
    good = check(leon_engine_free(engine), "leon_engine_free", "") && good &&
           leon_engine_free(engine) == LEON_E_HANDLE;
    printf("leon %s: %s\n", leon_version(), good ? "works" : "does not work");
    return good ? 0 : 1;
}
