/* The frame of the C tests; see check.h. */
#include "check.h"

#include <malloc.h>
#include <stdatomic.h>
#include <unistd.h>

static struct test *first, **last = &first;
static atomic_int failures;

static const struct function {
    const char *name, *errors;
} functions[] = {
#define FUNCTION(name, errors) {#name, errors},
#define ERROR(name)
#include "functions.inc"
#undef FUNCTION
#undef ERROR
};
enum { FUNCTIONS = sizeof functions / sizeof *functions, ERRORS = 64 };

static const struct error {
    leon_status status;
    const char *name;
} errors[] = {
    {LEON_OK, "LEON_OK"},
#define FUNCTION(name, errors)
#define ERROR(name) {name, #name},
#include "functions.inc"
#undef FUNCTION
#undef ERROR
};

static atomic_uchar seen[FUNCTIONS][ERRORS];

void check_register(struct test *test) {
    *last = test;
    last = &test->next;
}

bool check_that(bool holds, const char *file, int line, const char *text) {
    if (!holds) {
        fprintf(stderr, "%s:%d: failed: %s\n", file, line, text);
        atomic_fetch_add(&failures, 1);
    }
    return holds;
}

void check_equal(uint64_t actual, uint64_t expected, const char *file, int line, const char *text) {
    if (!check_that(actual == expected, file, line, text))
        fprintf(stderr, "    %llu, not %llu\n", (unsigned long long)actual, (unsigned long long)expected);
}

void check_stop(const char *file, int line, const char *text) {
    check_that(false, file, line, text);
    exit(1);
}

int check_failures(void) { return atomic_load(&failures); }

const char *check_status_name(leon_status status) {
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (errors[i].status == status) return errors[i].name;
    }
    return "an unknown status";
}

bool check_is_listed(const char *call, leon_status status) {
    size_t len = strcspn(call, "(");
    /* The macro that fills in the ABI number. */
    if (len == strlen("leon_engine_new") && strncmp(call, "leon_engine_new", len) == 0) {
        call = "leon_engine_new_abi";
        len = strlen(call);
    }
    for (int i = 0; i < FUNCTIONS; i++) {
        if (strlen(functions[i].name) != len || strncmp(functions[i].name, call, len) != 0) continue;
        if (status > 0 || status <= -ERRORS) return false;
        atomic_store(&seen[i][-status], 1);
        char word[64];
        snprintf(word, sizeof word, " %s ", check_status_name(status));
        return status == LEON_OK || strstr(functions[i].errors, word) != NULL;
    }
    return false;
}

bool check_status(leon_status expected, leon_status actual, const char *file, int line, const char *call,
                  const char *what) {
    bool is_listed = check_is_listed(call, actual);
    if (!is_listed) {
        fprintf(stderr, "%s:%d: @errors does not list %s: %s %s\n", file, line, check_status_name(actual), call, what);
        atomic_fetch_add(&failures, 1);
    }
    if (expected != actual) {
        fprintf(stderr, "%s:%d: %s, not %s: %s %s\n", file, line, check_status_name(actual),
                check_status_name(expected), call, what);
        atomic_fetch_add(&failures, 1);
    }
    return is_listed && expected == actual;
}

void check_write_seen(void) {
    const char *path = getenv("LEON_SEEN");
    FILE *file = path != NULL ? fopen(path, "a") : NULL;
    if (file == NULL) return;
    for (int i = 0; i < FUNCTIONS; i++) {
        for (int status = 0; status < ERRORS; status++) {
            if (atomic_load(&seen[i][status])) fprintf(file, "%s %s\n", functions[i].name, check_status_name(-status));
        }
    }
    fclose(file);
}

/* Of AddressSanitizer, which has its own heap. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

size_t check_heap(void) {
    if (__sanitizer_get_current_allocated_bytes != NULL) return __sanitizer_get_current_allocated_bytes();
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static bool is_chosen(const char *name, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strstr(name, argv[i]) != NULL) return true;
    }
    return argc < 2;
}

int main(int argc, char **argv) {
    int run = 0;
    /* A deadlock is a failure. */
    alarm(240);
    /* Whole lines, in order, whatever else writes to the same file. */
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (struct test *test = first; test != NULL; test = test->next) {
        if (!is_chosen(test->name, argc, argv)) continue;
        int before = check_failures();
        test->run();
        run++;
        printf("%s %s\n", check_failures() == before ? "ok    " : "FAILED", test->name);
    }
    check_write_seen();
    if (run == 0) fprintf(stderr, "no test has such a name\n");
    return check_failures() == 0 && run > 0 ? 0 : 1;
}
