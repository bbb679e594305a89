/*
 * trunk.h: a TAP device as a trunk: one wire for many VLANs, each of which is a segment of leon. What stands between
 * them is the tag of IEEE 802.1Q, four bytes after the addresses: it comes off on the way into the mesh and goes back
 * on at the way out, so that a VLAN may have another number at each site.
 *
 * A function that can fail returns false and writes one sentence that says what is wrong and what to do.
 */
#ifndef TRUNK_H
#define TRUNK_H

#include <leon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keys.h"

/* Most frames that one call receives. */
enum { TRUNK_BATCH = 32 };

/* Most VLANs: as many segments as a node of leon serves. */
enum { TRUNK_VLANS = 64 };

/* What is dropped here, before leon or after it. */
enum trunk_counter {
    TRUNK_VLAN,        /* frames from the device that are in no VLAN of this trunk */
    TRUNK_HIDDEN_VLAN, /* frames for the device that would end up in a VLAN of their own choice */
    TRUNK_WOULD_BLOCK, /* frames that found the queue of the device full */
    TRUNK_FAILED,      /* frames that the device did not take for another reason */
    TRUNK_COUNTERS
};

struct trunk_buffers;

struct trunk {
    int fd;
    /* Which VLAN is which segment; VLAN 0 is what has no tag. */
    uint16_t vlans[TRUNK_VLANS];
    uint32_t segments[TRUNK_VLANS];
    size_t vlan_count;
    leon_frame_in in[TRUNK_BATCH]; /* what trunk_receive received */
    uint64_t counters[TRUNK_COUNTERS];
    struct trunk_buffers *buffers;
};

/* Adds a VLAN and its segment: "10=1010". */
bool trunk_add_vlan(struct trunk *trunk, const char *text, char error[ERROR_SIZE]);

/* Creates the TAP device `name`, which goes away with its descriptor, and brings it up. */
bool trunk_open(struct trunk *trunk, const char *name, uint32_t mtu, char error[ERROR_SIZE]);

/* Removes the device, also after trunk_open has failed. */
void trunk_close(struct trunk *trunk);

/* Replaces trunk->in by `count` frames that wait at the device, without their tags. Returns false, with the reason in
 * errno, if the device is gone. */
bool trunk_receive(struct trunk *trunk, size_t *count);

/* Sends frames with the tags of their VLANs, without waiting. */
void trunk_send(struct trunk *trunk, const leon_frame_out *frames, size_t count);

/* The name under which an agent shows a counter. */
const char *trunk_counter_name(enum trunk_counter counter);

#endif
