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
extern void __libc_free(void *memory);

static atomic_size_t count, fail_at, failed;
/* After the first that fails, each that is so many later fails too; 0 for none. */
static atomic_size_t fail_again;
static atomic_bool is_exempt;
static atomic_long live;

size_t alloc_count(void) { return atomic_load(&count); }

size_t alloc_failed(void) { return atomic_load(&failed); }

long alloc_live(void) { return atomic_load(&live); }

static void arm(size_t number, size_t again) {
    atomic_store(&failed, 0);
    atomic_store(&fail_again, again);
    atomic_store(&fail_at, number == 0 ? 0 : atomic_load(&count) + number);
}

void alloc_fail_at(size_t number) { arm(number, 0); }

void alloc_fail_from(size_t number) { arm(number, 1); }

void alloc_fail_every(size_t number) { arm(number, number); }

void alloc_exempt(bool exempt) { atomic_store(&is_exempt, exempt); }

static bool is_refused(void) {
    if (atomic_load(&is_exempt)) return false;
    size_t number = atomic_fetch_add(&count, 1) + 1, at = atomic_load(&fail_at), again = atomic_load(&fail_again);
    if (at == 0 || number < at || (number > at && (again == 0 || (number - at) % again != 0))) return false;
    atomic_fetch_add(&failed, 1);
    errno = ENOMEM;
    return true;
}

static void *counted(void *memory) {
    if (memory != NULL) atomic_fetch_add(&live, 1);
    return memory;
}

void *malloc(size_t size) { return is_refused() ? NULL : counted(__libc_malloc(size)); }

void *calloc(size_t items, size_t size) { return is_refused() ? NULL : counted(__libc_calloc(items, size)); }

void *realloc(void *from, size_t size) {
    if (from == NULL) return malloc(size);
    return is_refused() ? NULL : __libc_realloc(from, size);
}

void *memalign(size_t alignment, size_t size) {
    return is_refused() ? NULL : counted(__libc_memalign(alignment, size));
}

void free(void *memory) {
    if (memory != NULL) atomic_fetch_sub(&live, 1);
    __libc_free(memory);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **to, size_t alignment, size_t size) {
    void *memory = memalign(alignment, size);
    if (memory == NULL) return ENOMEM;
    *to = memory;
    return 0;
}
