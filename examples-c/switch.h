/*
 * switch.h: which VM of this host, or the overlay, an Ethernet address was last seen at: the table of a learning
 * bridge, one for all segments. Of a fixed size: what is not in it is flooded.
 */
#ifndef SWITCH_H
#define SWITCH_H

#include <leon.h>
#include <stdbool.h>
#include <stdint.h>

struct vm;

/* As a power of two. A guest that makes up addresses can push out those of others, whose frames are then flooded in
 * their segment until they send again; only a VM with an address of its own ("mac=") cannot. */
enum { SWITCH_BUCKETS = 1024, SWITCH_WAYS = 4 };

struct switch_entry {
    uint64_t used; /* when, counted in frames; 0 for no entry */
    struct vm *port; /* NULL for the overlay */
    uint32_t segment;
    leon_mac mac;
};

struct switch_table {
    uint64_t frames;
    struct switch_entry entries[SWITCH_BUCKETS][SWITCH_WAYS];
};

/* Notes that `mac` sends from `port`, and not from where it was seen before. */
void switch_learn(struct switch_table *table, uint32_t segment, const leon_mac *mac, struct vm *port);

/* Where `mac` is; false if that is not known. */
bool switch_find(struct switch_table *table, uint32_t segment, const leon_mac *mac, struct vm **port);

/* Forgets all that was seen at `port`. */
void switch_forget(struct switch_table *table, const struct vm *port);

#endif
