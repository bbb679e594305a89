/* The frame of the C tests: tests that register themselves, checks, and a record of which function has returned
 * which error, which is compared with what the header lists under @errors.
 *
 * A test is a sentence: TEST(a_freed_handle_is_refused_everywhere) { ... }. Run a program with words, and only the
 * tests whose names contain one of them run. */
#ifndef CHECK_H
#define CHECK_H

#include <leon.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};

void check_register(struct test *test);

#define TEST(test_name)                                                                                          \
    static void test_name(void);                                                                                 \
    static struct test test_name##_entry = {#test_name, test_name, NULL};                                        \
    __attribute__((constructor)) static void test_name##_register(void) { check_register(&test_name##_entry); }  \
    static void test_name(void)

/* Goes on after a failure. */
#define CHECK(condition) check_that((condition), __FILE__, __LINE__, #condition)
#define CHECK_EQ(actual, expected)                                                                               \
    check_equal((uint64_t)(actual), (uint64_t)(expected), __FILE__, __LINE__, #actual " == " #expected)
/* Ends the program: what follows makes no sense otherwise. */
#define REQUIRE(condition)                                                                                       \
    do {                                                                                                         \
        if (!(condition)) check_stop(__FILE__, __LINE__, #condition);                                            \
    } while (0)

/* A call of leon and the status it must have: EXPECT(LEON_E_NULL, leon_engine_join(NULL, 0)). The error must also
 * be among those that the header lists for the function. */
#define EXPECT(expected, call) check_status((expected), (call), __FILE__, __LINE__, #call, "")
#define OK(call) EXPECT(LEON_OK, call)

bool check_that(bool holds, const char *file, int line, const char *text);
void check_equal(uint64_t actual, uint64_t expected, const char *file, int line, const char *text);
_Noreturn void check_stop(const char *file, int line, const char *text);
bool check_status(leon_status expected, leon_status actual, const char *file, int line, const char *call,
                  const char *what);

/* The name of a status in the header. */
const char *check_status_name(leon_status status);
/* Notes a status that was returned; fails if the header does not list it for the function. `call` begins with the
 * name of the function. Any thread may call it. */
bool check_is_listed(const char *call, leon_status status);
/* Writes what was noted to the file that LEON_SEEN names. Done at the end; to be called by children. */
void check_write_seen(void);
/* How many checks have failed so far. */
int check_failures(void);
/* Bytes on the heap, 0 if that cannot be known here (valgrind). */
size_t check_heap(void);

#endif
