/* What happens when there is no memory. The way of frames and datagrams takes none, so it goes on. A control call
 * that gets none either returns LEON_E_NOMEM or ends the process, as Rust does: how often which is printed. What must
 * not happen is anything else: memory that is used although it was refused, a call that hangs, another error. */
#include "alloc.h"
#include "calls.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static struct mesh mesh;

/* What is sent gets lost: the queue takes memory. */
static bool is_lost;

static void datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    if (!is_lost) mesh_datagrams_out(user_data, datagrams, count);
}

static void start(void) {
    mesh_init(&mesh);
    mesh.callbacks.datagrams_out = datagrams_out;
    mesh_converge(&mesh, 3);
    for (int i = 0; i < 3; i++) {
        uint8_t bytes[60];
        frame_write(bytes, sizeof bytes, i, -1);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        mesh_frame(&mesh, i, &frame);
    }
    mesh_run(&mesh, 100 * MS);
    mesh_clear(&mesh);
}

static uint64_t delivered;

/* To the node it is for, without the queue, which takes memory. */
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

static bool is_direct;

static void any_datagrams_out(void *user_data, const leon_datagram_out *datagrams, size_t count) {
    if (is_direct) pass_on(user_data, datagrams, count);
    else mesh_datagrams_out(user_data, datagrams, count);
}

static void count_frames(void *user_data, const leon_frame_out *frames, size_t count) {
    (void)user_data, (void)frames;
    delivered += count;
}

TEST(frames_go_on_when_there_is_no_memory_at_all) {
    mesh_init(&mesh);
    mesh.callbacks.datagrams_out = any_datagrams_out;
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
    start();
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

/* How a child ended; none of them is what exit(3) is given elsewhere. */
enum { DONE = 10, REFUSED, NOT_REACHED, ABORTED, WRONG, ENDS };

/* In a child, as the process may end: makes a mesh, lets the allocation with this number fail during one call. */
static int end_of(const struct call *call, size_t number) {
    fflush(NULL);
    pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        struct args args;
        alarm(20);
        /* Rust says on the standard error which allocation failed. */
        if (dup2(open("/dev/null", O_WRONLY), STDERR_FILENO) < 0) _exit(WRONG);
        start();
        mesh.now += 1500 * MS;
        args_init(&args, mesh.nodes[0].engine, mesh.nodes[0].forwarder, mesh.now);
        is_lost = true;
        alloc_fail_at(number);
        leon_status status = call->run(&args.given);
        bool is_reached = alloc_failed() > 0;
        alloc_fail_at(0);
        /* A list may be longer than the room for it, which is no wonder here. */
        if ((call->takes & HAS_NO_STATUS) || status == LEON_E_SPACE) status = LEON_OK;
        if (status != LEON_OK && status != LEON_E_NOMEM) _exit(WRONG);
        _exit(!is_reached ? NOT_REACHED : status == LEON_OK ? DONE : REFUSED);
    }
    int status = -1;
    REQUIRE(waitpid(child, &status, 0) == child);
    if (WIFEXITED(status) && WEXITSTATUS(status) >= DONE && WEXITSTATUS(status) < ENDS) return WEXITSTATUS(status);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT ? ABORTED : WRONG;
}

TEST(a_control_call_without_memory_is_refused_or_ends_the_process) {
    int total[ENDS] = {0};
    for (int i = 0; i < call_count; i++) {
        int ends[ENDS] = {0};
        /* Each of the first allocations, then fewer and fewer of them, up to the last. */
        for (size_t number = 1; ends[NOT_REACHED] + ends[WRONG] == 0; number += 1 + number / 4) {
            ends[end_of(calls[i], number)]++;
        }
        if (!CHECK(ends[WRONG] == 0)) fprintf(stderr, "    %s\n", calls[i]->name);
        for (int end = 0; end < ENDS; end++) total[end] += ends[end];
        if (ends[ABORTED] + ends[REFUSED] + ends[DONE] == 0) continue;
        printf("       %-28s %3d done, %3d refused, %3d aborts\n", calls[i]->name, ends[DONE], ends[REFUSED], ends[ABORTED]);
    }
    printf("       %-28s %3d done, %3d refused, %3d aborts\n", "all", total[DONE], total[REFUSED], total[ABORTED]);
    /* Else nothing was injected. */
    CHECK(total[ABORTED] + total[REFUSED] + total[DONE] > 20);
}
