/* vm.c: see vm.h. */
#define _GNU_SOURCE
#include "vm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    HEADER = 4,                       /* the length before a frame */
    ROOM = HEADER + VM_FRAME_MAX + 1, /* one more shows that a datagram is too long */
    IN_ROOM = 4 * ROOM,               /* read in one go */
};

const char *vm_counter_name(enum vm_counter counter) {
    static const char *const names[VM_COUNTERS] = {"frames_in",   "frames_out",  "drop_full",
                                                   "drop_absent", "drop_length", "drop_source"};
    return names[counter];
}

/* --- Sockets --- */

bool unix_address(const char *path, struct sockaddr_un *address, char error[ERROR_SIZE]) {
    size_t len = strlen(path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len == 0 || len >= sizeof address->sun_path) {
        snprintf(error, ERROR_SIZE, "\"%s\" cannot be the path of a socket: it needs 1 to %zu bytes", path,
                 sizeof address->sun_path - 1);
        return false;
    }
    memcpy(address->sun_path, path, len + 1);
    return true;
}

/* A socket file outlives its process. Nobody answers at one that is left behind. */
static bool is_left_behind(int type, const struct sockaddr_un *address) {
    int probe = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool is = probe >= 0 && connect(probe, (const struct sockaddr *)address, sizeof *address) != 0 &&
              errno == ECONNREFUSED;
    if (probe >= 0) close(probe);
    return is;
}

int unix_bind(int type, const struct sockaddr_un *address, char error[ERROR_SIZE]) {
    const struct sockaddr *at = (const struct sockaddr *)address;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        snprintf(error, ERROR_SIZE, "cannot make a Unix socket: %s", strerror(errno));
        return -1;
    }
    int result = bind(fd, at, sizeof *address);
    if (result != 0 && errno == EADDRINUSE) {
        if (!is_left_behind(type, address)) {
            snprintf(error, ERROR_SIZE, "%s is in use: stop the process that listens there, or choose another path",
                     address->sun_path);
            close(fd);
            return -1;
        }
        unlink(address->sun_path);
        result = bind(fd, at, sizeof *address);
    }
    if (result != 0) {
        snprintf(error, ERROR_SIZE, "cannot make the socket %s: %s", address->sun_path, strerror(errno));
        close(fd);
        return -1;
    }
    return fd;
}

static bool open_socket(struct vm *vm, char error[ERROR_SIZE]) {
    if (vm->peer.sun_path[0] != 0) return (vm->socket.fd = unix_bind(SOCK_DGRAM, &vm->local, error)) >= 0;
    vm->listener.fd = unix_bind(SOCK_STREAM, &vm->local, error);
    if (vm->listener.fd < 0) return false;
    if (listen(vm->listener.fd, 1) == 0) return true;
    snprintf(error, ERROR_SIZE, "cannot listen on %s: %s", vm->local.sun_path, strerror(errno));
    return false;
}

/* --- Descriptions --- */

static bool parse_mac(const char *text, leon_mac *mac) {
    unsigned b[6];
    char rest;
    if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x%c", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &rest) != 6) return false;
    for (int i = 0; i < 6; i++) mac->bytes[i] = (uint8_t)b[i];
    return (mac->bytes[0] & 1) == 0;
}

static bool parse(struct vm *vm, char *description, char error[ERROR_SIZE]) {
    bool is_stream = false;
    char *item;
    while ((item = strsep(&description, ",")) != NULL) {
        char *value = strchr(item, '=');
        if (*item == 0) continue;
        if (value != NULL) *value++ = 0;
        if (value != NULL && (strcmp(item, "stream") == 0 || strcmp(item, "dgram") == 0)) {
            is_stream = item[0] == 's';
            if (!unix_address(value, &vm->local, error)) return false;
        } else if (value != NULL && strcmp(item, "peer") == 0) {
            if (!unix_address(value, &vm->peer, error)) return false;
        } else if (value != NULL && strcmp(item, "segment") == 0) {
            if (!parse_number(value, 0xffffff, &vm->segment)) {
                snprintf(error, ERROR_SIZE, "segment=%s is no number from 0 to 16777215", value);
                return false;
            }
        } else if (value != NULL && strcmp(item, "mac") == 0) {
            vm->has_mac = parse_mac(value, &vm->mac);
            if (!vm->has_mac) {
                snprintf(error, ERROR_SIZE, "mac=%s is no address of one host such as 52:54:00:12:34:56", value);
                return false;
            }
        } else {
            snprintf(error, ERROR_SIZE, "%s is none of stream=, dgram=, peer=, segment= and mac=", item);
            return false;
        }
    }
    bool has_peer = vm->peer.sun_path[0] != 0;
    if (vm->local.sun_path[0] == 0)
        snprintf(error, ERROR_SIZE, "stream=PATH or dgram=PATH is missing");
    else if (is_stream == has_peer)
        snprintf(error, ERROR_SIZE, is_stream ? "peer= goes with dgram= only: a hypervisor connects to a stream"
                                              : "dgram= needs peer=PATH, the socket of the hypervisor");
    else
        return true;
    return false;
}

struct vm *vm_open(struct node *node, const char *description, char error[ERROR_SIZE]) {
    struct vm *vm = calloc(1, sizeof *vm);
    char *copy = strdup(description);
    bool is_open = false;
    if (vm != NULL) {
        vm->node = node;
        vm->socket.fd = vm->listener.fd = -1;
        vm->in = malloc(IN_ROOM);
        vm->out = malloc(ROOM);
    }
    if (vm == NULL || copy == NULL || vm->in == NULL || vm->out == NULL)
        snprintf(error, ERROR_SIZE, "there is no memory for another VM");
    else
        is_open = parse(vm, copy, error) && open_socket(vm, error);
    free(copy);
    if (is_open) return vm;
    if (vm != NULL && vm->listener.fd >= 0) close(vm->listener.fd);
    vm_free(vm);
    return NULL;
}

void vm_close(struct vm *vm) {
    struct watch *const watches[] = {&vm->socket, &vm->listener};
    for (int i = 0; i < 2; i++) {
        if (watches[i]->fd < 0) continue;
        node_unwatch(vm->node, watches[i]);
        close(watches[i]->fd);
        watches[i]->fd = -1;
    }
    unlink(vm->local.sun_path);
}

void vm_free(struct vm *vm) {
    if (vm == NULL) return;
    free(vm->in);
    free(vm->out);
    free(vm);
}

bool vm_accept(struct vm *vm) {
    int fd = accept4(vm->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return false;
    vm->socket.fd = fd;
    vm->read = vm->filled = vm->sent = vm->unsent = 0;
    if (!node_watch(vm->node, &vm->socket, EPOLLIN)) {
        close(fd);
        vm->socket.fd = -1;
        return false;
    }
    node_rewatch(vm->node, &vm->listener, 0);
    return true;
}

void vm_disconnect(struct vm *vm) {
    node_unwatch(vm->node, &vm->socket);
    close(vm->socket.fd);
    vm->socket.fd = -1;
    node_rewatch(vm->node, &vm->listener, EPOLLIN);
}

/* --- Frames from the VM --- */

/* Writes each datagram down as a stream would have it. */
static void receive_datagrams(struct vm *vm) {
    while (vm->filled + ROOM <= IN_ROOM) {
        uint8_t *at = vm->in + vm->filled;
        ssize_t len = recv(vm->socket.fd, at + HEADER, VM_FRAME_MAX + 1, 0);
        if (len < 0) return; /* EAGAIN, as nothing else happens to such a socket */
        if (len < VM_FRAME_MIN || len > VM_FRAME_MAX) {
            vm->counters[VM_DROP_LENGTH]++;
            continue;
        }
        uint32_t header = htonl((uint32_t)len);
        memcpy(at, &header, HEADER);
        vm->filled += HEADER + (size_t)len;
    }
}

bool vm_receive(struct vm *vm) {
    memmove(vm->in, vm->in + vm->read, vm->filled - vm->read);
    vm->filled -= vm->read;
    vm->read = 0;
    if (vm->listener.fd < 0) {
        receive_datagrams(vm);
        return true;
    }
    ssize_t len = recv(vm->socket.fd, vm->in + vm->filled, IN_ROOM - vm->filled, 0);
    if (len < 0) return errno == EAGAIN || errno == EINTR;
    vm->filled += (size_t)len;
    return len > 0;
}

int vm_next(struct vm *vm, uint8_t **frame, size_t *len) {
    uint32_t header;
    size_t left = vm->filled - vm->read;
    if (left < HEADER) return 0;
    memcpy(&header, vm->in + vm->read, HEADER);
    *len = ntohl(header);
    if (*len < VM_FRAME_MIN || *len > VM_FRAME_MAX) return -1;
    if (left < HEADER + *len) return 0;
    *frame = vm->in + vm->read + HEADER;
    vm->read += HEADER + *len;
    vm->counters[VM_FRAMES_IN]++;
    return 1;
}

/* --- Frames for the VM --- */

static void count_refusal(struct vm *vm) {
    vm->counters[errno == EAGAIN || errno == ENOBUFS ? VM_DROP_FULL : VM_DROP_ABSENT]++;
}

static void send_datagram(struct vm *vm, const uint8_t *frame, size_t len) {
    /* By path each time: a hypervisor that starts anew has a new socket there. */
    if (sendto(vm->socket.fd, frame, len, 0, (struct sockaddr *)&vm->peer, sizeof vm->peer) >= 0)
        vm->counters[VM_FRAMES_OUT]++;
    else
        count_refusal(vm);
}

void vm_send(struct vm *vm, const uint8_t *frame, size_t len) {
    if (vm->socket.fd < 0) {
        vm->counters[VM_DROP_ABSENT]++;
        return;
    }
    if (vm->listener.fd < 0) {
        send_datagram(vm, frame, len);
        return;
    }
    if (vm->unsent > 0) {
        vm->counters[VM_DROP_FULL]++;
        return;
    }
    uint32_t header = htonl((uint32_t)len);
    struct iovec iov[2] = {{&header, HEADER}, {(void *)(uintptr_t)frame, len}};
    struct msghdr message = {.msg_iov = iov, .msg_iovlen = 2};
    ssize_t result = sendmsg(vm->socket.fd, &message, MSG_NOSIGNAL);
    if (result < 0) {
        count_refusal(vm);
        return;
    }
    vm->counters[VM_FRAMES_OUT]++;
    size_t sent = (size_t)result, whole = HEADER + len;
    if (sent == whole) return;
    memcpy(vm->out, &header, HEADER);
    memcpy(vm->out + HEADER, frame, len);
    vm->sent = sent;
    vm->unsent = whole - sent;
    node_rewatch(vm->node, &vm->socket, EPOLLIN | EPOLLOUT);
}

void vm_flush(struct vm *vm) {
    ssize_t sent = send(vm->socket.fd, vm->out + vm->sent, vm->unsent, MSG_NOSIGNAL);
    if (sent < 0) return; /* not yet, or the end, which vm_receive tells */
    vm->sent += (size_t)sent;
    vm->unsent -= (size_t)sent;
    if (vm->unsent == 0) node_rewatch(vm->node, &vm->socket, EPOLLIN);
}
