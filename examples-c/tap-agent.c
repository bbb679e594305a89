/*
 * tap-agent.c: a site agent: carries the frames of a TAP device, which is a port of the site's bridge, over leon. It
 * talks to `leond` of other sites.
 *
 *     ip tuntap add leon0 mode tap && ip link set leon0 master br0
 *     build/tap-agent --name seoul --listen 198.51.100.1:4789 --seed 192.0.2.1:4789 --tap leon0 \
 *         --key /etc/leon/key --network-key /etc/leon/network-key
 *
 * Needs CAP_NET_ADMIN. SIGTERM and SIGINT make it leave the mesh and exit; SIGUSR1 prints members, paths and counters.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "node.h"

enum {
    BATCH = 64,                  /* frames read in one go: more would let a busy device delay the datagrams of others */
    FRAME_ROOM = 65521 + 14 + 8, /* the largest MTU of a TAP device, an Ethernet header and two VLAN tags */
};

struct agent {
    struct node node;
    struct watch tap;
    const char *device;
    uint32_t segment;
    uint64_t would_block, failed; /* frames that the device did not take */
    bool is_gone;                 /* the device is */
    uint8_t (*frames)[FRAME_ROOM];
};

static const char usage[] =
    "Usage: tap-agent OPTION...\n"
    "Carries the frames of a TAP device over leon.\n\n" NODE_USAGE
    "  --tap DEVICE           TAP device of the local network; created unless it exists\n"
    "  --segment NUMBER       virtual network of the device (0)\n"
    "  --mtu BYTES            MTU of the device (what fits the underlay)\n";

/* --- The device --- */

/* Why the kernel refuses a device, and what to do. */
static void explain(int code, const char *device, char error[ERROR_SIZE]) {
    const char *format = "cannot open TAP device %s: %s";
    if (code == EPERM || code == EACCES)
        format = "opening TAP device %s needs CAP_NET_ADMIN: run as root, or grant the capability";
    else if (code == ENOENT || code == ENODEV || code == ENXIO)
        format = "there is no usable /dev/net/tun for TAP device %s: load the module (modprobe tun), or pass the "
                 "device into the container";
    else if (code == EBUSY)
        format = "TAP device %s is in use by another process: stop that process, or choose another device";
    else if (code == EINVAL)
        format = "network device %s exists but is not a TAP device with a single queue: choose another name, or create "
                 "the device anew without multi_queue";
    snprintf(error, ERROR_SIZE, format, device, strerror(code));
}

/* Sets the MTU and brings the device up, through any socket. */
static bool bring_up(struct ifreq *request, uint32_t mtu, char error[ERROR_SIZE]) {
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const char *name = request->ifr_name;
    request->ifr_mtu = (int)mtu;
    bool is_up = false;
    if (ioctl(control, SIOCSIFMTU, request) != 0) {
        snprintf(error, ERROR_SIZE, "TAP device %s does not accept an MTU of %u bytes: %s; choose one from 68 to 65521",
                 name, mtu, strerror(errno));
    } else {
        is_up = ioctl(control, SIOCGIFFLAGS, request) == 0;
        request->ifr_flags |= IFF_UP;
        is_up = is_up && ioctl(control, SIOCSIFFLAGS, request) == 0;
        if (!is_up) snprintf(error, ERROR_SIZE, "cannot bring up TAP device %s: %s", name, strerror(errno));
    }
    if (control >= 0) close(control);
    return is_up;
}

/* Creates the device, or attaches to the persistent one of that name. */
static int open_tap(const char *device, uint32_t mtu, char error[ERROR_SIZE]) {
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    size_t len = strlen(device);
    /* The kernel would cut a long name, and make one up where there is a %. */
    if (len == 0 || len >= sizeof request.ifr_name || strpbrk(device, "/:% \t\n") != NULL) {
        snprintf(error, ERROR_SIZE,
                 "\"%s\" cannot name a TAP device: use 1 to 15 bytes without spaces, '/', ':' and '%%'", device);
        return -1;
    }
    memcpy(request.ifr_name, device, len + 1);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) != 0) {
        explain(errno, device, error);
        if (fd >= 0) close(fd);
        return -1;
    }
    if (!bring_up(&request, mtu, error)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* --- Frames --- */

/* From leon to the local network. A device that takes no more drops, as a full queue of a network card would. */
static void deliver(void *user_data, const leon_frame_out *frames, size_t count) {
    struct agent *agent = user_data;
    for (size_t i = 0; i < count; i++) {
        if (write(agent->tap.fd, frames[i].data, frames[i].len) >= 0) continue;
        if (errno == EAGAIN)
            agent->would_block++;
        else
            agent->failed++;
    }
}

/* From the local network to leon, which seals them where they are. */
static void tap_ready(struct watch *watch, uint32_t events) {
    struct agent *agent = CONTAINER_OF(watch, struct agent, tap);
    leon_frame_in frames[BATCH];
    size_t count = 0;
    (void)events;
    while (count < BATCH) {
        ssize_t len = read(watch->fd, agent->frames[count], FRAME_ROOM);
        if (len < 0) {
            if (errno == EAGAIN || errno == EINTR) break;
            agent->is_gone = true;
            node_unwatch(&agent->node, watch);
            node_leave(&agent->node);
            break;
        }
        frames[count] = (leon_frame_in){.data = agent->frames[count], .len = (size_t)len, .segment = agent->segment};
        count++;
    }
    node_frames_in(&agent->node, frames, count);
}

static void report(void *user_data) {
    struct agent *agent = user_data;
    if (agent->would_block != 0) printf("io_frame_would_block %llu\n", (unsigned long long)agent->would_block);
    if (agent->failed != 0) printf("io_frame_failed %llu\n", (unsigned long long)agent->failed);
}

/* --- Start and end --- */

/* Reads the command line; false with a sentence if it is wrong. */
static bool read_options(int argc, char **argv, struct agent *agent, struct node_options *options, uint32_t *mtu,
                         char error[ERROR_SIZE]) {
    static const struct option known[] = {NODE_LONG_OPTIONS,
                                          {"tap", required_argument, NULL, 't'},
                                          {"mtu", required_argument, NULL, 'm'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        } else if (option == '?') {
            snprintf(error, ERROR_SIZE, "%s is no option, or lacks its value: see --help", argv[optind - 1]);
            return false;
        } else if (option == 't') {
            agent->device = optarg;
        } else if (option == 'm') {
            if (!parse_number(optarg, 65521, mtu) || *mtu < 68) {
                snprintf(error, ERROR_SIZE, "--mtu %s is not a number of bytes from 68 to 65521", optarg);
                return false;
            }
        } else if (!node_option(options, option, optarg, error)) {
            return false;
        }
    }
    if (optind < argc)
        snprintf(error, ERROR_SIZE, "%s is no option: see --help", argv[optind]);
    else if (agent->device == NULL)
        snprintf(error, ERROR_SIZE, "--tap DEVICE is missing");
    else if (options->segment_count > 1)
        snprintf(error, ERROR_SIZE, "--segment is given twice, but one device has one segment");
    else
        return true;
    return false;
}

/* Runs until a signal; the exit code. */
static int run(struct agent *agent, const struct node_options *options, uint32_t mtu, char error[ERROR_SIZE]) {
    int code = node_open(&agent->node, options, error);
    if (code != 0) return code;
    uint32_t fits = leon_engine_mtu(agent->node.engine);
    if (mtu == 0) mtu = fits;
    agent->frames = malloc(BATCH * sizeof *agent->frames);
    agent->tap = (struct watch){open_tap(agent->device, mtu, error), tap_ready};
    if (agent->tap.fd < 0) return 1;
    if (agent->frames == NULL || !node_watch(&agent->node, &agent->tap, EPOLLIN)) {
        snprintf(error, ERROR_SIZE, "cannot wait for frames of %s: %s", agent->device, strerror(errno));
        return 1;
    }
    say("TAP device %s is up with an MTU of %u bytes; %u bytes fit the underlay: give the hosts no larger one",
        agent->device, mtu, fits);
    node_join(&agent->node);
    while (node_turn(&agent->node)) continue;
    if (!agent->is_gone) return 0;
    snprintf(error, ERROR_SIZE, "TAP device %s has been deleted: create it anew, and start again", agent->device);
    return 1;
}

int main(int argc, char **argv) {
    static struct agent agent = {.tap.fd = -1};
    static char error[ERROR_SIZE];
    struct node_options options = {0};
    uint32_t mtu = 0;
    if (!read_options(argc, argv, &agent, &options, &mtu, error)) {
        say("%s", error);
        return 2;
    }
    agent.segment = options.segments[0];
    agent.node.agent = &agent;
    agent.node.deliver = deliver;
    agent.node.report = report;
    int code = run(&agent, &options, mtu, error);
    if (code != 0) say("%s", error);
    if (agent.tap.fd >= 0) close(agent.tap.fd);
    free(agent.frames);
    node_close(&agent.node);
    return code;
}
