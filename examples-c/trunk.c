/* trunk.c: see trunk.h. */
#define _GNU_SOURCE
#include "trunk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* The addresses stand before the tag, and stay there. */
enum { ADDRESSES = 2 * ETHER_ADDR_LEN, TAG = 4 };

/* The type of a service tag (IEEE 802.1ad), which libc does not name. */
#define ETHERTYPE_SERVICE_VLAN 0x88a8

/* A frame is at most as long as the longest IP packet and its headers. */
#define FRAME_ROOM (65536 + ADDRESSES + TAG)

/* Allocated once. Only the pages that frames touch become resident. */
struct trunk_buffers {
    uint8_t bytes[TRUNK_BATCH][FRAME_ROOM];
};

bool trunk_add_vlan(struct trunk *trunk, const char *text, char error[ERROR_SIZE]) {
    unsigned vlan, segment;
    int end = 0;
    /* Four and eight digits keep the numbers within their types. VLAN 4095 is reserved. */
    sscanf(text, "%4u=%8u%n", &vlan, &segment, &end);
    if (end == 0 || text[end] != 0 || text[strspn(text, "0123456789=")] != 0 || vlan > 4094 || segment >= 1u << 24) {
        snprintf(error, ERROR_SIZE, "\"%s\" is no VLAN and segment: write as in 10=1010, a VLAN from 0, which has no "
                 "tag, to 4094, and a segment below 2^24", text);
        return false;
    }
    for (size_t i = 0; i < trunk->vlan_count; i++) {
        if (trunk->vlans[i] == vlan || trunk->segments[i] == segment) {
            snprintf(error, ERROR_SIZE, "\"%s\" and \"%u=%u\" have a VLAN or a segment in common: name each once", text,
                     trunk->vlans[i], trunk->segments[i]);
            return false;
        }
    }
    if (trunk->vlan_count == TRUNK_VLANS) {
        snprintf(error, ERROR_SIZE, "there are more than %d VLANs: a node serves at most so many segments",
                 TRUNK_VLANS);
        return false;
    }
    trunk->vlans[trunk->vlan_count] = (uint16_t)vlan;
    trunk->segments[trunk->vlan_count++] = segment;
    return true;
}

/* The device is a wire to the switch, but the kernel's own IP stack takes part in all that is on it. Without IPv6, and
 * without ARP in bring_up, it neither sends anything there nor answers. */
static bool turn_ipv6_off(const char *name, char error[ERROR_SIZE]) {
    char path[64 + IFNAMSIZ];
    snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/disable_ipv6", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool is_off = fd < 0 ? errno == ENOENT : write(fd, "1", 1) == 1; /* or the kernel has none */
    if (!is_off)
        snprintf(error, ERROR_SIZE, "cannot write to %s: %s; run with a writable /proc/sys", path, strerror(errno));
    if (fd >= 0) close(fd);
    return is_off;
}

/* Sets the MTU and brings the device up, through any socket. */
static bool bring_up(struct ifreq *request, uint32_t mtu, char error[ERROR_SIZE]) {
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request->ifr_mtu = (int)mtu;
    bool is_up = ioctl(control, SIOCSIFMTU, request) == 0 && ioctl(control, SIOCGIFFLAGS, request) == 0;
    request->ifr_flags |= IFF_UP | IFF_NOARP;
    is_up = is_up && ioctl(control, SIOCSIFFLAGS, request) == 0;
    if (!is_up)
        snprintf(error, ERROR_SIZE, "cannot bring up TAP device %s with an MTU of %u bytes: %s", request->ifr_name, mtu,
                 strerror(errno));
    if (control >= 0) close(control);
    return is_up;
}

/* Why the kernel does not make the device, and what to do. */
static void explain(int code, const char *name, char error[ERROR_SIZE]) {
    const char *format = "cannot create TAP device %s: %s";
    if (code == EBUSY)
        format = "there is a network device %s already: choose another name";
    else if (code == EPERM || code == EACCES)
        format = "creating TAP device %s needs CAP_NET_ADMIN: run as root, or grant the capability";
    else if (code == ENOENT || code == ENODEV || code == ENXIO)
        format = "there is no usable /dev/net/tun for TAP device %s: load the module (modprobe tun), or pass the "
                 "device into the container";
    snprintf(error, ERROR_SIZE, format, name, strerror(code));
}

bool trunk_open(struct trunk *trunk, const char *name, uint32_t mtu, char error[ERROR_SIZE]) {
    struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL)};
    size_t len = strlen(name);
    /* The kernel would cut a long name, and make one up where there is a %. */
    if (len == 0 || len >= sizeof request.ifr_name || strpbrk(name, "/:% \t\n") != NULL) {
        snprintf(error, ERROR_SIZE,
                 "\"%s\" cannot name a TAP device: use 1 to 15 bytes without spaces, '/', ':' and '%%'", name);
        return false;
    }
    memcpy(request.ifr_name, name, len + 1);
    trunk->buffers = malloc(sizeof *trunk->buffers);
    trunk->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (trunk->buffers == NULL || trunk->fd < 0 || ioctl(trunk->fd, TUNSETIFF, &request) != 0) {
        explain(errno, name, error);
        return false;
    }
    return turn_ipv6_off(name, error) && bring_up(&request, mtu, error);
}

void trunk_close(struct trunk *trunk) {
    if (trunk->fd >= 0) close(trunk->fd);
    free(trunk->buffers);
    trunk->fd = -1;
    trunk->buffers = NULL;
}

static unsigned read16(const uint8_t *bytes) {
    return (unsigned)bytes[0] << 8 | bytes[1];
}

/*
 * Takes the tag off a frame and finds its segment. The tag goes by moving the 12 bytes of the addresses towards it,
 * which costs less than a second piece would: leon seals a frame in place only if it is in one. The priority in the
 * tag is lost: it means what the administrators of one site say.
 */
static bool untag(const struct trunk *trunk, leon_frame_in *frame) {
    unsigned vlan = 0;
    if (frame->len < ETHER_HDR_LEN) return false;
    unsigned type = read16(frame->data + ADDRESSES);
    /* The switch sorts such a frame by the number in its service tag; here it would pass for one without a tag. */
    if (type == ETHERTYPE_SERVICE_VLAN) return false;
    if (type == ETHERTYPE_VLAN) {
        if (frame->len < ETHER_HDR_LEN + TAG) return false;
        vlan = read16(frame->data + ADDRESSES + 2) & 0xfff; /* 0 is a tag with nothing but a priority */
        memmove(frame->data + TAG, frame->data, ADDRESSES);
        frame->data += TAG;
        frame->len -= TAG;
    }
    for (size_t i = 0; i < trunk->vlan_count; i++) {
        if (trunk->vlans[i] == vlan) {
            frame->segment = trunk->segments[i];
            return true;
        }
    }
    return false;
}

bool trunk_receive(struct trunk *trunk, size_t *count) {
    *count = 0;
    for (size_t i = 0; i < TRUNK_BATCH; i++) {
        uint8_t *bytes = trunk->buffers->bytes[i];
        ssize_t len = read(trunk->fd, bytes, FRAME_ROOM);
        if (len < 0) return errno == EAGAIN || errno == EINTR;
        leon_frame_in *frame = &trunk->in[*count];
        *frame = (leon_frame_in){.data = bytes, .len = (size_t)len};
        if (untag(trunk, frame))
            ++*count;
        else
            trunk->counters[TRUNK_VLAN]++;
    }
    return true;
}

/* A host may have put a tag into its frame. With no other tag before it, the host would choose the VLAN in which the
 * frame ends up here, and so leave its segment. */
static bool has_tag(const leon_frame_out *frame) {
    unsigned type = read16(frame->data + ADDRESSES);
    return type == ETHERTYPE_VLAN || type == ETHERTYPE_SERVICE_VLAN;
}

static void send_one(struct trunk *trunk, const leon_frame_out *frame) {
    size_t i = 0;
    while (trunk->segments[i] != frame->segment) i++; /* leon gives no frames of other segments */
    unsigned vlan = trunk->vlans[i];
    if (vlan == 0 && has_tag(frame)) {
        trunk->counters[TRUNK_HIDDEN_VLAN]++;
        return;
    }
    uint8_t tag[TAG] = {ETHERTYPE_VLAN >> 8, ETHERTYPE_VLAN & 0xff, (uint8_t)(vlan >> 8), (uint8_t)vlan};
    uint8_t *data = (uint8_t *)(uintptr_t)frame->data; /* which writev only reads */
    struct iovec pieces[] = {
        {data, ADDRESSES}, {tag, vlan == 0 ? 0 : TAG}, {data + ADDRESSES, frame->len - ADDRESSES}};
    if (writev(trunk->fd, pieces, 3) < 0) trunk->counters[errno == EAGAIN ? TRUNK_WOULD_BLOCK : TRUNK_FAILED]++;
}

void trunk_send(struct trunk *trunk, const leon_frame_out *frames, size_t count) {
    for (size_t i = 0; i < count; i++) send_one(trunk, &frames[i]);
}

const char *trunk_counter_name(enum trunk_counter counter) {
    static const char *const names[TRUNK_COUNTERS] = {"drop_frame_vlan", "drop_frame_hidden_vlan",
                                                      "io_frame_would_block", "io_frame_failed"};
    return names[counter];
}
