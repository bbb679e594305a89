/* What rustc's ThreadSanitizer calls and the runtime of older C compilers does not have: there, the ordinary
 * functions are watched. Linked into programs for that sanitizer only. */
#include <string.h>

void *__tsan_memcpy(void *to, const void *from, size_t len);
void *__tsan_memmove(void *to, const void *from, size_t len);
void *__tsan_memset(void *to, int value, size_t len);

void *__tsan_memcpy(void *to, const void *from, size_t len) { return memcpy(to, from, len); }

void *__tsan_memmove(void *to, const void *from, size_t len) { return memmove(to, from, len); }

void *__tsan_memset(void *to, int value, size_t len) { return memset(to, value, len); }
