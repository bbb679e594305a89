/*
 * keys.h: what an engine needs once at its start and a library without I/O cannot get: keys from files, random
 * bytes, and clocks. Shared by the agents.
 *
 * A function that can fail returns false and writes one sentence that says what is wrong and what to do.
 */
#ifndef KEYS_H
#define KEYS_H

#include <leon.h>
#include <stdbool.h>

/* Room for such a sentence, which may name a path. */
enum { ERROR_SIZE = 4608 };

/* Reads the key in a file as `leond keygen` writes them: 44 characters of base64 on one line, in a file that only
 * its owner has access to. `make` says how to get one that is missing. */
bool key_read(const char *path, const char *make, leon_key *key, char error[ERROR_SIZE]);

/* Fills in 32 random bytes of the kernel, for a new key or for the configuration's `entropy`. */
bool key_random(leon_key *key, char error[ERROR_SIZE]);

/* Overwrites a key in memory. leon keeps copies of its own. */
void key_wipe(leon_key *key);

/* The monotonic clock: what all calls of leon are told. */
leon_time clock_now(void);

/* An incarnation for a node that starts now: the wall clock, which grows over restarts. */
uint64_t clock_incarnation(void);

#endif
