/* Whole lives of engines, between two marks: under strace, no system call may be seen there but for memory. */
#include "mesh.h"

#include <unistd.h>

static void mark(const char *text) {
    if (write(STDERR_FILENO, text, strlen(text)) < 0) exit(1);
}

TEST(a_node_asks_the_kernel_for_nothing_but_memory) {
    static struct mesh mesh;
    static leon_member members[3];
    static leon_link links[9];
    static leon_host hosts[9];
    leon_info info = {.struct_size = sizeof info};
    size_t count;
    /* The first use of the heap is the C library's own business: it asks for random bytes. */
    void *volatile first = malloc(100);
    free(first);
    mark("quiet begins\n");
    mesh_init(&mesh);
    mesh_converge(&mesh, 3);
    for (int i = 0; i < 300; i++) {
        uint8_t bytes[1400];
        frame_write(bytes, sizeof bytes, i % 3, i < 9 ? -1 : (i + 1) % 3);
        leon_frame_in frame = frame_in(bytes, sizeof bytes);
        mesh_frame(&mesh, i % 3, &frame);
        mesh_run(&mesh, 30 * MS);
    }
    const leon_engine *engine = mesh.nodes[0].engine;
    OK(leon_engine_info(engine, mesh.now, &info));
    OK(leon_engine_members(engine, mesh.now, members, 3, &count));
    OK(leon_engine_links(engine, mesh.now, links, 9, &count));
    OK(leon_engine_hosts(engine, mesh.now, hosts, 9, &count));
    CHECK(mesh_counter(&mesh, 0, LEON_COUNTER_FRAMES_OUT) > 90);
    for (int i = 0; i < 3; i++) OK(leon_engine_leave(mesh.nodes[i].engine, mesh.now));
    mesh_run(&mesh, 2000 * MS);
    mesh_end(&mesh);
    mark("quiet ends\n");
}
