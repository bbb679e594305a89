/* What happens when there is no memory. The way of frames and datagrams takes none, so it goes on. A control call
 * that is refused memory returns LEON_E_NOMEM and has changed nothing, or is carried out with what the engine has set
 * aside; it never ends the process. When there is memory again, everything works, and none has got lost. */
#include "alloc.h"
#include "calls.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mesh mesh;

/* What is sent gets lost. */
static bool is_lost;

/* To the node it is for, without the queue. */
static bool is_direct;

static void pass_on(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    static uint8_t bytes[3][2048];
    struct node *node = user_data;
    for (size_t i = 0; i < count; i++) {
        int to = datagrams[i].to.ip[3] - 1;
        size_t len = 0;
        for (size_t k = 0; k < datagrams[i].iov_count; k++) {
            memcpy(bytes[node->index] + len, datagrams[i].iov[k].data, datagrams[i].iov[k].len);
            len += datagrams[i].iov[k].len;
        }
        leon_datagram_in in = {bytes[node->index], len, 0, mesh_locator(node->index), 0, 0, 0};
        OK(leon_forwarder_datagram_in(mesh.nodes[to].forwarder, mesh.now, &in));
        CHECK_EQ(in.dropped, LEON_COUNTER_NONE);
    }
}

/* The test's own memory is not what is short. */
static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    if (is_direct) pass_on(user_data, datagrams, count);
    if (is_direct || is_lost) return;
    alloc_exempt(true);
    mesh_datagrams_out(user_data, datagrams, count);
    alloc_exempt(false);
}

static void start(int count) {
    mesh_init(&mesh);
    mesh.callbacks.datagrams_out = datagrams_out;
    mesh_converge(&mesh, count);
}

/* Each host is known to all nodes. */
static void send_from_all(void) {
    for (int i = 0; i < mesh.count; i++) {
        uint8_t bytes[60];
        frame_write(bytes, sizeof bytes, i, -1);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        mesh_frame(&mesh, i, &frame);
    }
    mesh_run(&mesh, 100 * MS);
}

static uint64_t delivered;

static void count_frames(void *user_data, const leon_frame_out *frames, size_t count) {
    (void)user_data, (void)frames;
    delivered += count;
}

TEST(frames_go_on_when_there_is_no_memory_at_all) {
    mesh_init(&mesh);
    mesh.callbacks.datagrams_out = datagrams_out;
    mesh.callbacks.frames_out = count_frames;
    mesh_converge(&mesh, 3);
    mesh_run(&mesh, 1000 * MS);
    mesh_clear(&mesh);
    is_direct = true;
    delivered = 0;
    alloc_fail_from(1);
    for (int i = 0; i < 10000; i++) {
        uint8_t bytes[1400];
        frame_write(bytes, sizeof bytes, 0, i % 2 == 0 ? -1 : 1);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        frame.flags = i % 4 == 3 ? LEON_FRAME_KEEP : 0;
        mesh.now += MS;
        OK(leon_forwarder_frame_in(mesh.nodes[0].forwarder, mesh.now, &frame));
    }
    CHECK_EQ(alloc_failed(), 0);
    alloc_fail_at(0);
    is_direct = false;
    CHECK(delivered >= 15000);
    mesh_end(&mesh);
}

TEST(what_is_freed_asks_for_no_memory) {
    start(3);
    size_t before = alloc_count();
    alloc_fail_from(1);
    for (int i = 0; i < 3; i++) {
        OK(leon_forwarder_free(mesh.nodes[i].forwarder));
        OK(leon_engine_free(mesh.nodes[i].engine));
        mesh.nodes[i].forwarder = NULL;
        mesh.nodes[i].engine = NULL;
    }
    alloc_fail_at(0);
    CHECK_EQ(alloc_count(), before);
    mesh_end(&mesh);
}

static leon_id identity_of(int index) {
    leon_info info = {.struct_size = sizeof info};
    OK(leon_engine_info(mesh.nodes[index].engine, mesh.now, &info));
    return info.id;
}

/* How a call ended that was refused memory. */
enum { DONE = 10, REFUSED, NOT_REACHED, ENDS };

/* Whether it is all the same afterwards, as the call may have been to leave. */
static void check_goes_on(const struct call *call, struct args *args) {
    is_lost = false;
    if (call->takes & FREES) return;
    leon_status status = call->run(&args->given);
    if (status == LEON_E_SPACE || (call->takes & HAS_NO_STATUS)) status = LEON_OK;
    CHECK_EQ(status, LEON_OK);
    mesh.now += 100 * MS;
    mesh_run(&mesh, 500 * MS);
    uint8_t bytes[60];
    frame_write(bytes, sizeof bytes, 1, 2);
    leon_frame_in frame = frame_in(bytes, sizeof bytes);
    size_t before = mesh.nodes[2].frames;
    mesh_frame(&mesh, 1, &frame);
    mesh_run(&mesh, 50 * MS);
    CHECK_EQ(mesh.nodes[2].frames, before + 1);
}

/* Makes a mesh, lets allocations fail during one call, from that with this number on or that one alone. */
static int end_of(const struct call *call, size_t number, void (*fail)(size_t number)) {
    struct args args;
    long live = alloc_live();
    start(3);
    send_from_all();
    mesh_clear(&mesh);
    mesh.now += 1500 * MS;
    args_init(&args, mesh.nodes[0].engine, mesh.nodes[0].forwarder, mesh.now);
    args.memory.id = identity_of(1);
    is_lost = true;
    if (strcmp(call->name, "leon_engine_withdraw_host") == 0) {
        OK(leon_engine_announce_host(args.given.engine, args.given.host, mesh.now));
    }
    fail(number);
    leon_status status = call->run(&args.given);
    bool is_reached = alloc_failed() > 0;
    alloc_fail_at(0);
    /* A list may be longer than the room for it, which is no wonder here. */
    if ((call->takes & HAS_NO_STATUS) || status == LEON_E_SPACE) status = LEON_OK;
    if (CHECK(status == LEON_OK || status == LEON_E_NOMEM)) check_is_listed(call->name, status);
    args_end(&args);
    args.memory.new_engine = NULL;
    args.memory.new_forwarder = NULL;
    check_goes_on(call, &args);
    args_end(&args);
    if (call->takes & FREES) {
        if (call->takes & TAKES_FORWARDER) mesh.nodes[0].forwarder = NULL;
        if (call->takes & TAKES_ENGINE) mesh.nodes[0].engine = NULL;
    }
    mesh_end(&mesh);
    CHECK_EQ(alloc_live(), live);
    return !is_reached ? NOT_REACHED : status == LEON_OK ? DONE : REFUSED;
}

/* In a child, so that a call which ends the process is found, and the others are tried. */
static int end_in_child(const struct call *call, size_t number, void (*fail)(size_t number)) {
    fflush(NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        alarm(60);
        int before = check_failures(), end = end_of(call, number, fail);
        fflush(NULL);
        check_write_seen();
        _exit(check_failures() > before ? 1 : end);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    if (CHECK(WIFEXITED(status) && WEXITSTATUS(status) >= DONE && WEXITSTATUS(status) < ENDS)) return WEXITSTATUS(status);
    fprintf(stderr, "    %s, allocation %zu: status %#x\n", call->name, number, (unsigned)status);
    return NOT_REACHED;
}

static void refuse_in_every_call(void (*fail)(size_t number)) {
    int total[ENDS] = {0};
    for (int i = 0; i < call_count; i++) {
        int ends[ENDS] = {0};
        /* Each of the first allocations, then fewer and fewer of them, up to the last. */
        for (size_t number = 1; ends[NOT_REACHED] == 0; number += 1 + number / 16) {
            ends[end_in_child(calls[i], number, fail)]++;
        }
        for (int end = 0; end < ENDS; end++) total[end] += ends[end];
        if (ends[REFUSED] + ends[DONE] == 0) continue;
        printf("       %-28s %3d done, %3d refused\n", calls[i]->name, ends[DONE], ends[REFUSED]);
    }
    printf("       %-28s %3d done, %3d refused\n", "all", total[DONE], total[REFUSED]);
    /* Else nothing was injected. */
    CHECK(total[REFUSED] > 10 && total[DONE] > 20);
}

TEST(a_control_call_that_is_refused_one_piece_is_refused_or_done) { refuse_in_every_call(alloc_fail_at); }

TEST(a_control_call_that_is_refused_all_from_one_piece_on_is_refused_or_done) { refuse_in_every_call(alloc_fail_from); }

static leon_status announce(int index, uint16_t number) {
    leon_host_key host = {0, 0, {{2, 1, (uint8_t)index, 0, (uint8_t)(number >> 8), (uint8_t)number}}};
    return leon_engine_announce_host(mesh.nodes[index].engine, &host, mesh.now);
}

/* Lets node 0 take what it has set aside for something that stays, until a call is refused. */
static int use_up(void) {
    int announced = 0;
    leon_status status;
    alloc_fail_from(1);
    while ((status = announce(0, (uint16_t)announced)) == LEON_OK) announced++;
    CHECK_EQ(status, LEON_E_NOMEM);
    return announced;
}

TEST(calls_are_refused_when_all_that_was_set_aside_is_used_up_and_change_nothing) {
    long live = alloc_live();
    start(3);
    send_from_all();
    mesh_clear(&mesh);
    struct args args;
    args_init(&args, mesh.nodes[0].engine, mesh.nodes[0].forwarder, mesh.now);
    args.memory.id = identity_of(1);
    CHECK(use_up() > 0);
    int refused = 0;
    for (int i = 0; i < call_count; i++) {
        if (calls[i]->takes & (FREES | HAS_NO_STATUS)) continue;
        leon_status status = calls[i]->run(&args.given);
        if (status == LEON_E_SPACE) status = LEON_OK;
        if (CHECK(status == LEON_OK || status == LEON_E_NOMEM)) check_is_listed(calls[i]->name, status);
        refused += status == LEON_E_NOMEM;
    }
    CHECK_EQ(refused, 18);
    alloc_fail_at(0);
    mesh_run(&mesh, 3000 * MS);
    /* Nobody has left, nobody is forbidden, and what was announced is known to all. */
    for (int i = 0; i < 3; i++) {
        leon_info info = {.struct_size = sizeof info};
        OK(leon_engine_info(mesh.nodes[i].engine, mesh.now, &info));
        CHECK_EQ(info.sessions, 2);
        CHECK(info.hosts > 0);
    }
    args_end(&args);
    mesh_end(&mesh);
    CHECK_EQ(alloc_live(), live);
}

TEST(keys_and_addresses_are_refused_without_an_engine_and_without_memory) {
    struct args args;
    args_init(&args, NULL, NULL, MS);
    alloc_fail_from(1);
    for (int i = 0; i < call_count; i++) {
        const struct call *call = calls[i];
        if (call->takes & (TAKES_ENGINE | TAKES_FORWARDER | HAS_NO_STATUS)) continue;
        leon_status status = call->run(&args.given);
        if (CHECK(status == LEON_OK || status == LEON_E_NOMEM)) check_is_listed(call->name, status);
    }
    alloc_fail_at(0);
}

static uint64_t dropped_in_all(void) {
    uint64_t dropped = 0;
    for (int i = 0; i < mesh.count; i++) dropped += mesh_counter(&mesh, i, LEON_COUNTER_DROP_NO_MEMORY);
    return dropped;
}

static bool is_whole(void) {
    static leon_member members[MESH_MAX];
    for (int i = 0; i < mesh.count; i++) {
        size_t count, alive = 0;
        OK(leon_engine_members(mesh.nodes[i].engine, mesh.now, members, MESH_MAX, &count));
        for (size_t k = 0; k < count; k++) {
            alive += members[k].state == LEON_MEMBER_ALIVE && members[k].path_cost_ns != LEON_UNKNOWN;
        }
        if (alive + 1 != (size_t)mesh.count) return false;
    }
    return true;
}

static void heal(void) {
    leon_time limit = mesh.now + 180000 * MS;
    alloc_fail_at(0);
    mesh.is_short = false;
    while (!is_whole()) {
        REQUIRE(mesh.now < limit);
        mesh_run(&mesh, 100 * MS);
    }
}

/* As many members as the machine has time for. */
static int members(void) {
    const char *chosen = getenv("LEON_MEMBERS");
    return chosen != NULL ? atoi(chosen) : 40;
}

TEST(a_mesh_outlives_a_time_without_any_memory) {
    long live = alloc_live();
    start(members());
    mesh.is_short = true;
    alloc_fail_from(1);
    mesh_run(&mesh, 5000 * MS);
    CHECK(alloc_failed() > 0);
    heal();
    CHECK(dropped_in_all() > 0);
    mesh_end(&mesh);
    CHECK_EQ(alloc_live(), live);
}

TEST(a_mesh_comes_to_be_while_every_seventh_piece_is_refused) {
    long live = alloc_live();
    mesh_init(&mesh);
    mesh.callbacks.datagrams_out = datagrams_out;
    mesh_start(&mesh, members());
    mesh.is_short = true;
    alloc_fail_every(7);
    mesh_run(&mesh, 10000 * MS);
    CHECK(alloc_failed() > 1000);
    heal();
    mesh_end(&mesh);
    CHECK_EQ(alloc_live(), live);
}

TEST(hosts_are_announced_and_withdrawn_while_memory_comes_and_goes) {
    enum { HOSTS = 1000 };
    long live = alloc_live();
    start(members());
    mesh.is_short = true;
    for (int round = 0; round < 4; round++) {
        alloc_fail_from(1);
        for (int host = 0; host < HOSTS; host++) {
            leon_status status = announce(round, (uint16_t)host);
            CHECK(status == LEON_OK || status == LEON_E_NOMEM);
        }
        mesh_run(&mesh, 1000 * MS);
        alloc_fail_at(0);
        for (int host = 0; host < HOSTS; host++) CHECK_EQ(announce(round, (uint16_t)host), LEON_OK);
        mesh_run(&mesh, 1000 * MS);
    }
    /* A node goes, and all forget its hosts at once. */
    alloc_fail_from(1);
    leon_status status = leon_engine_leave(mesh.nodes[0].engine, mesh.now);
    CHECK(status == LEON_OK || status == LEON_E_NOMEM);
    mesh_run(&mesh, 12000 * MS);
    alloc_fail_at(0);
    mesh_end(&mesh);
    CHECK_EQ(alloc_live(), live);
}
