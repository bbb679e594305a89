/* switch.c: see switch.h. */
#include "switch.h"

#include <string.h>

/* FNV-1a. Whoever picks addresses that fall together gains no more than with very many. */
static struct switch_entry *bucket(struct switch_table *table, uint32_t segment, const leon_mac *mac) {
    uint32_t hash = 2166136261u ^ segment;
    for (size_t i = 0; i < sizeof mac->bytes; i++) hash = (hash ^ mac->bytes[i]) * 16777619u;
    return table->entries[(hash ^ hash >> 16) % SWITCH_BUCKETS];
}

static struct switch_entry *find(struct switch_entry *bucket, uint32_t segment, const leon_mac *mac) {
    for (int i = 0; i < SWITCH_WAYS; i++)
        if (bucket[i].used != 0 && bucket[i].segment == segment && memcmp(&bucket[i].mac, mac, sizeof *mac) == 0)
            return &bucket[i];
    return NULL;
}

void switch_learn(struct switch_table *table, uint32_t segment, const leon_mac *mac, struct vm *port) {
    struct switch_entry *entries = bucket(table, segment, mac), *entry = find(entries, segment, mac);
    if (entry == NULL) {
        entry = entries;
        for (int i = 1; i < SWITCH_WAYS; i++)
            if (entries[i].used < entry->used) entry = &entries[i];
    }
    *entry = (struct switch_entry){++table->frames, port, segment, *mac};
}

bool switch_find(struct switch_table *table, uint32_t segment, const leon_mac *mac, struct vm **port) {
    const struct switch_entry *entry = find(bucket(table, segment, mac), segment, mac);
    if (entry != NULL) *port = entry->port;
    return entry != NULL;
}

void switch_forget(struct switch_table *table, const struct vm *port) {
    for (size_t i = 0; i < SWITCH_BUCKETS; i++)
        for (size_t way = 0; way < SWITCH_WAYS; way++)
            if (table->entries[i][way].port == port) table->entries[i][way].used = 0;
}
