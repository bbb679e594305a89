/*
 * ovs-agent.c: a site agent for Open vSwitch: carries VLANs of a bridge over leon, each as a segment. It talks to
 * `leond` and to the agents of other sites, where a segment may be a VLAN of another number.
 *
 *     VMs         in VLAN 10 and in VLAN 20
 *      |
 *     br0         bridge of Open vSwitch
 *      | leon0    its trunk port for both VLANs: a TAP device of this agent, added through the Open vSwitch database
 *     ovs-agent   VLAN 10 is segment 1010, VLAN 20 is segment 1020
 *      | UDP
 *     the mesh
 *
 *     make ovs-agent                         needs libjansson-dev
 *     ovs-vsctl add-br br0
 *     build/ovs-agent --name seoul --listen 198.51.100.1:4789 --seed 192.0.2.1:4789 --bridge br0 \
 *         --vlan 10=1010 --vlan 20=1020 --key /etc/leon/key --network-key /etc/leon/network-key
 *
 * Needs CAP_NET_ADMIN and access to the database's socket. SIGTERM and SIGINT make it leave the mesh, take the port
 * off the bridge and exit; SIGUSR1 prints members, paths and counters.
 *
 * The bridge may have the kernel's datapath or that of ovs-vswitchd itself (datapath_type=netdev), which takes the
 * device for a network card.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "node.h"
#include "ovsdb.h"
#include "trunk.h"

struct agent {
    struct node node;
    struct watch watch; /* of the trunk */
    struct trunk trunk;
    const char *bridge, *device, *database;
    int lost_with; /* the error with which the device went away; 0 while it is there */
};

static const char usage[] =
    "Usage: ovs-agent OPTION...\n"
    "Carries VLANs of an Open vSwitch bridge over leon.\n\n" NODE_USAGE
    "  --bridge BRIDGE        the bridge\n"
    "  --vlan VLAN=SEGMENT    a VLAN, 0 for frames without a tag, and its virtual network; may be repeated\n"
    "  --port DEVICE          name of the port to add to the bridge (leon0)\n"
    "  --db SOCKET            socket of the Open vSwitch database (/run/openvswitch/db.sock)\n";

/* From leon to the bridge. */
static void deliver(void *user_data, const leon_frame_out *frames, size_t count) {
    struct agent *agent = user_data;
    trunk_send(&agent->trunk, frames, count);
}

/* From the bridge to leon. */
static void trunk_ready(struct watch *watch, uint32_t events) {
    struct agent *agent = CONTAINER_OF(watch, struct agent, watch);
    size_t count;
    (void)events;
    if (!trunk_receive(&agent->trunk, &count)) {
        agent->lost_with = errno;
        node_unwatch(&agent->node, watch);
        node_leave(&agent->node);
    }
    node_frames_in(&agent->node, agent->trunk.in, count);
}

static void report(void *user_data) {
    const struct agent *agent = user_data;
    for (int i = 0; i < TRUNK_COUNTERS; i++)
        if (agent->trunk.counters[i] != 0)
            printf("%s %llu\n", trunk_counter_name(i), (unsigned long long)agent->trunk.counters[i]);
}

/* Reads the command line; false with a sentence if it is wrong. */
static bool read_options(int argc, char **argv, struct agent *agent, struct node_options *options,
                         char error[ERROR_SIZE]) {
    static const struct option known[] = {NODE_LONG_OPTIONS,
                                          {"bridge", required_argument, NULL, 'b'},
                                          {"vlan", required_argument, NULL, 'v'},
                                          {"port", required_argument, NULL, 'p'},
                                          {"db", required_argument, NULL, 'd'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        }
        const char **text = option == 'b'   ? &agent->bridge
                            : option == 'p' ? &agent->device
                            : option == 'd' ? &agent->database
                                            : NULL;
        if (option == '?') exit(2); /* getopt_long has said why */
        if (text != NULL)
            *text = optarg;
        else if (option == 'v' && !trunk_add_vlan(&agent->trunk, optarg, error))
            return false;
        else if (option != 'v' && !node_option(options, option, optarg, error))
            return false;
    }
    if (optind < argc)
        snprintf(error, ERROR_SIZE, "%s is no option: see --help", argv[optind]);
    else if (agent->bridge == NULL)
        snprintf(error, ERROR_SIZE, "--bridge BRIDGE is missing");
    else if (agent->trunk.vlan_count == 0)
        snprintf(error, ERROR_SIZE, "--vlan VLAN=SEGMENT is missing");
    else if (options->segment_count != 0)
        snprintf(error, ERROR_SIZE, "--segment is not for this agent: --vlan VLAN=SEGMENT says which segment is where");
    else
        return true;
    return false;
}

/* Makes the device and its port on the bridge, carries frames until a signal, and takes the port off; the exit code. */
static int run(struct agent *agent, char error[ERROR_SIZE]) {
    struct trunk *trunk = &agent->trunk;
    struct ovsdb_port port;
    /* The tag takes no room: it is not on the underlay, and a device takes four bytes more than its MTU for it. */
    uint32_t mtu = leon_engine_mtu(agent->node.engine);
    if (!trunk_open(trunk, agent->device, mtu, error)) return 1;
    agent->watch = (struct watch){trunk->fd, trunk_ready};
    if (!node_watch(&agent->node, &agent->watch, EPOLLIN)) {
        snprintf(error, ERROR_SIZE, "cannot wait for frames of %s: %s", agent->device, strerror(errno));
        return 1;
    }
    if (!ovsdb_add_port(agent->database, agent->bridge, agent->device, trunk->vlans, trunk->vlan_count, &port, error))
        return 1;
    say("port %s is on bridge %s; an MTU of %u bytes fits the underlay: give the hosts no larger one", agent->device,
        agent->bridge, mtu);
    node_join(&agent->node);
    while (node_turn(&agent->node)) continue;
    if (!ovsdb_remove_port(agent->database, agent->bridge, &port, error)) return 1;
    say("port %s is off bridge %s", agent->device, agent->bridge);
    if (agent->lost_with != 0)
        snprintf(error, ERROR_SIZE, "TAP device %s is gone: %s", agent->device, strerror(agent->lost_with));
    return agent->lost_with == 0 ? 0 : 1;
}

int main(int argc, char **argv) {
    static struct agent agent = {.device = "leon0", .database = "/run/openvswitch/db.sock", .trunk.fd = -1};
    static char error[ERROR_SIZE];
    struct node_options options = {0};
    if (!read_options(argc, argv, &agent, &options, error)) {
        say("%s", error);
        return 2;
    }
    memcpy(options.segments, agent.trunk.segments, sizeof agent.trunk.segments);
    options.segment_count = agent.trunk.vlan_count;
    agent.node.agent = &agent;
    agent.node.deliver = deliver;
    agent.node.report = report;
    int code = node_open(&agent.node, &options, error);
    if (code == 0) code = run(&agent, error);
    if (code != 0) say("%s", error);
    trunk_close(&agent.trunk);
    node_close(&agent.node);
    return code;
}
