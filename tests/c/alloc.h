/* The allocator of the test program: counts what leon and the test ask for, and fails when it is told to. Linked
 * only into programs that need it; a sanitizer has an allocator of its own. */
#ifndef ALLOC_H
#define ALLOC_H

#include <stdbool.h>
#include <stddef.h>

/* How often memory has been asked for since the start, by this thread or another. */
size_t alloc_count(void);
/* The allocation with this number from now on fails, 1 for the next; 0 for none. */
void alloc_fail_at(size_t number);
/* All allocations from that one on fail. */
void alloc_fail_from(size_t number);
/* The allocation with this number fails, and each that is so many later. */
void alloc_fail_every(size_t number);
/* While it is exempt, as in a callback, what is asked for is neither counted nor refused. */
void alloc_exempt(bool exempt);
/* How many pieces have been given out and not been freed. */
long alloc_live(void);
/* How many have failed since the last of these calls. */
size_t alloc_failed(void);

#endif
