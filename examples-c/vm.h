/*
 * vm.h: the NIC of one virtual machine, as QEMU, libkrun and passt hand its frames over a Unix socket:
 *
 *   stream   a length of 4 bytes, big-endian, before each frame; the hypervisor connects
 *   dgram    one frame in each datagram; either side has a path of its own
 *
 * Knows nothing of where frames go.
 */
#ifndef VM_H
#define VM_H

#include <sys/un.h>

#include "node.h"

/* An Ethernet header, and what QEMU and passt take. A peer that says otherwise has lost its place in the stream. */
enum { VM_FRAME_MIN = 14, VM_FRAME_MAX = 65535 };

enum vm_counter {
    VM_FRAMES_IN,   /* frames from the VM */
    VM_FRAMES_OUT,  /* frames for the VM, handed to its socket */
    VM_DROP_FULL,   /* frames for the VM dropped: it does not read fast enough */
    VM_DROP_ABSENT, /* frames for the VM dropped: no hypervisor at its socket */
    VM_DROP_LENGTH, /* datagrams from the VM dropped: no frame is so short or so long */
    VM_DROP_SOURCE, /* frames from the VM dropped: not from its address, or from a group's */
    VM_COUNTERS
};

struct vm {
    struct watch socket;   /* fd is -1 while no hypervisor is connected */
    struct watch listener; /* of a stream; fd is -1 for datagrams */
    struct node *node;
    struct vm *next; /* for whoever has several */
    struct sockaddr_un local, peer;
    uint32_t segment;
    leon_mac mac; /* the only one it may use, if has_mac */
    bool has_mac;
    uint64_t counters[VM_COUNTERS];
    /* Bytes from the VM, framed as in a stream: `read` of `filled` have been looked at. */
    uint8_t *in;
    size_t read, filled;
    /* What is left of a frame for the VM, of which the socket took a part: the rest must follow. */
    uint8_t *out;
    size_t sent, unsent;
};

/* Makes a NIC of "stream=PATH" or "dgram=PATH,peer=PATH", with ",segment=NUMBER" and ",mac=ADDRESS" as needed, and
 * opens its socket; the caller sets the functions of both watches and adds to the loop what is open. Returns NULL with
 * a sentence if that cannot be. */
struct vm *vm_open(struct node *node, const char *description, char error[ERROR_SIZE]);

/* Takes it out of the loop, and closes and removes its socket. To be freed, with vm_free, after the turn. */
void vm_close(struct vm *vm);
void vm_free(struct vm *vm);

/* Takes the hypervisor that has connected to a stream; others wait till it is gone. False if there is none. */
bool vm_accept(struct vm *vm);

/* Closes the connection of a stream and waits for another. */
void vm_disconnect(struct vm *vm);

/* Reads what is there, without waiting, after what vm_next has not given out yet. False if the connection has ended. */
bool vm_receive(struct vm *vm);

/* Gives out a frame that was read: valid, and free to be changed, until vm_receive. Returns 1 if there is one, 0 if
 * there is none, -1 if the stream has a length that no frame has, and is of no use any more. */
int vm_next(struct vm *vm, uint8_t **frame, size_t *len);

/* Sends a frame to the VM, without waiting. It is counted and dropped if it does not fit. */
void vm_send(struct vm *vm, const uint8_t *frame, size_t len);

/* Goes on with a frame that did not fit whole; to be called when the socket is writable. */
void vm_flush(struct vm *vm);

/* What the report calls a counter. */
const char *vm_counter_name(enum vm_counter counter);

/* Binds a Unix socket of this type, in place of one that a former process has left behind; -1 with a sentence if the
 * path is taken or cannot be used. */
int unix_bind(int type, const struct sockaddr_un *address, char error[ERROR_SIZE]);

/* Writes down a path; false with a sentence if it is too long. */
bool unix_address(const char *path, struct sockaddr_un *address, char error[ERROR_SIZE]);

#endif
