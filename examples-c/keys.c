/* keys.c: see keys.h. */
#define _GNU_SOURCE
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* A key and its newline, and room for stray white space. */
enum { KEY_FILE_MAX = 128 };

/* Refuses what is no file, and a file that others than its owner can read or write. */
static bool is_private(int fd, const char *path, char error[ERROR_SIZE]) {
    struct stat file;
    if (fstat(fd, &file) != 0) {
        snprintf(error, ERROR_SIZE, "cannot examine key file %s: %s", path, strerror(errno));
        return false;
    }
    /* A pipe is what a shell makes of <(command). */
    if (!S_ISREG(file.st_mode) && !S_ISFIFO(file.st_mode)) {
        snprintf(error, ERROR_SIZE, "key file %s is not a regular file", path);
        return false;
    }
    if (file.st_mode & 077) {
        snprintf(error, ERROR_SIZE,
                 "key file %s has mode %04o, which gives others than its owner access to the key: run `chmod 600 %s`",
                 path, (unsigned)file.st_mode & 0777, path);
        return false;
    }
    return true;
}

static bool parse(int fd, const char *path, leon_key *key, char error[ERROR_SIZE]) {
    char text[KEY_FILE_MAX + 1];
    size_t len = 0;
    ssize_t got = 1;
    while (got != 0 && len < KEY_FILE_MAX) {
        got = read(fd, text + len, KEY_FILE_MAX - len);
        if (got < 0 && errno != EINTR) {
            snprintf(error, ERROR_SIZE, "cannot read key file %s: %s", path, strerror(errno));
            explicit_bzero(text, sizeof text);
            return false;
        }
        if (got > 0) len += (size_t)got;
    }
    text[len] = 0;
    leon_status status = memchr(text, 0, len) ? LEON_E_TEXT : leon_key_from_text(text, key);
    explicit_bzero(text, sizeof text);
    if (status != LEON_OK)
        snprintf(error, ERROR_SIZE, "key file %s holds no key: it should be one line of 44 characters of base64", path);
    return status == LEON_OK;
}

bool key_read(const char *path, const char *make, leon_key *key, char error[ERROR_SIZE]) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        /* Who mistakes the key for its path does not want to see it in a log. */
        if (leon_key_from_text(path, key) == LEON_OK) {
            key_wipe(key);
            snprintf(error, ERROR_SIZE, "the path of a key file is needed, not the key itself");
        } else {
            snprintf(error, ERROR_SIZE, "there is no key file %s: %s", path, make);
        }
        return false;
    }
    if (fd < 0) {
        snprintf(error, ERROR_SIZE, "cannot open key file %s: %s", path, strerror(errno));
        return false;
    }
    bool is_read = is_private(fd, path, error) && parse(fd, path, key, error);
    close(fd);
    return is_read;
}

bool key_random(leon_key *key, char error[ERROR_SIZE]) {
    /* Requests of up to 256 bytes are answered in full, once the kernel has entropy. */
    if (getrandom(key->bytes, sizeof key->bytes, 0) == (ssize_t)sizeof key->bytes) return true;
    snprintf(error, ERROR_SIZE, "the kernel gives no random bytes: %s; allow getrandom in the system call filter",
             strerror(errno));
    return false;
}

void key_wipe(leon_key *key) {
    explicit_bzero(key, sizeof *key);
}

static uint64_t nanoseconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

leon_time clock_now(void) {
    return nanoseconds(CLOCK_MONOTONIC);
}

uint64_t clock_incarnation(void) {
    return nanoseconds(CLOCK_REALTIME);
}
