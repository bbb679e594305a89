/* The allocator of the test program; see alloc.h. What is defined here stands in for the functions of glibc, for
 * the program and for all libraries. */
#include "alloc.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *from, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static atomic_size_t count, fail_at, failed;
static atomic_bool goes_on;

size_t alloc_count(void) { return atomic_load(&count); }

size_t alloc_failed(void) { return atomic_load(&failed); }

static void arm(size_t number, bool go_on) {
    atomic_store(&failed, 0);
    atomic_store(&goes_on, go_on);
    atomic_store(&fail_at, number == 0 ? 0 : atomic_load(&count) + number);
}

void alloc_fail_at(size_t number) { arm(number, false); }

void alloc_fail_from(size_t number) { arm(number, true); }

static bool is_refused(void) {
    size_t number = atomic_fetch_add(&count, 1) + 1, at = atomic_load(&fail_at);
    if (at == 0 || number < at || (number > at && !atomic_load(&goes_on))) return false;
    atomic_fetch_add(&failed, 1);
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size) { return is_refused() ? NULL : __libc_malloc(size); }

void *calloc(size_t items, size_t size) { return is_refused() ? NULL : __libc_calloc(items, size); }

void *realloc(void *from, size_t size) { return is_refused() ? NULL : __libc_realloc(from, size); }

void *memalign(size_t alignment, size_t size) { return is_refused() ? NULL : __libc_memalign(alignment, size); }

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **to, size_t alignment, size_t size) {
    void *memory = memalign(alignment, size);
    if (memory == NULL) return ENOMEM;
    *to = memory;
    return 0;
}
