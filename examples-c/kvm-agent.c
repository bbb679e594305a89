/*
 * kvm-agent.c: an agent for a host with virtual machines: carries the frames of their NICs over leon, without TAP
 * devices, bridges or privileges. Each NIC is a Unix socket of the hypervisor's, in one of the host's segments:
 *
 *     build/kvm-agent --name host1 --listen 192.0.2.1:4789 --seed 198.51.100.1:4789 --key key --network-key network \
 *         --segment 7 --control /run/kvm-agent.sock \
 *         --vm stream=/run/vm1.sock,segment=7,mac=52:54:00:00:00:01 \
 *         --vm dgram=/run/vm2.sock,peer=/run/vm2-qemu.sock,segment=7
 *     qemu-system-x86_64 ... -device virtio-net-pci,netdev=n0,mac=52:54:00:00:00:01,host_mtu=1358 \
 *         -netdev stream,id=n0,server=off,addr.type=unix,addr.path=/run/vm1.sock
 *     qemu-system-x86_64 ... -netdev dgram,id=n0,local.type=unix,local.path=/run/vm2-qemu.sock,\
 *         remote.type=unix,remote.path=/run/vm2.sock
 *
 * A hypervisor that does not read loses frames. Of datagrams the kernel keeps only net.unix.max_dgram_qlen (10), as it
 * stood when the hypervisor started: raise it, or prefer a stream.
 *
 * host_mtu is what the agent says at its start. VMs come and go while it runs; one datagram answers each command:
 *
 *     echo add stream=/run/vm3.sock,segment=7 | socat -t1 - UNIX-SENDTO:/run/kvm-agent.sock,bind=/run/me.sock
 *     echo remove /run/vm3.sock | ...
 *     echo list | ...
 *
 * The mesh is told where the address of a VM with mac= is as soon as its hypervisor connects, and that it is gone when
 * it does. For a live migration, where the hypervisor of the destination connects long before the guest runs there,
 * leave mac= out at the destination: QEMU announces the guest itself, with frames of its own, once it runs.
 *
 * SIGTERM and SIGINT make it leave the mesh and exit; SIGUSR1 prints members, paths, counters and VMs.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "switch.h"
#include "vm.h"

/* Frames handed to leon at once. */
enum { BATCH = 64 };

struct agent {
    struct node node;
    struct node_options options;
    struct watch control;
    struct sockaddr_un control_address;
    const char *control_path;
    struct vm *vms, *removed; /* what was removed in this turn may be called once more in it */
    struct switch_table table;
    char error[ERROR_SIZE];
};

static const char usage[] =
    "Usage: kvm-agent OPTION...\n"
    "Carries the frames of virtual machines over leon.\n\n" NODE_USAGE
    "  --segment NUMBER       virtual network that this host serves (0); may be repeated\n"
    "  --vm DESCRIPTION       NIC of a VM; may be repeated:\n"
    "                           stream=PATH[,segment=NUMBER][,mac=ADDRESS]\n"
    "                           dgram=PATH,peer=PATH[,segment=NUMBER][,mac=ADDRESS]\n"
    "  --control PATH         socket for the commands `add DESCRIPTION`, `remove PATH` and `list`\n";

/* --- The host's own switch --- */

static leon_mac mac_at(const uint8_t *at) {
    leon_mac mac;
    memcpy(mac.bytes, at, sizeof mac.bytes);
    return mac;
}

static bool is_group(const leon_mac *mac) {
    return mac->bytes[0] & 1;
}

/* To the VM with the frame's destination, or to all of the segment if that is a group or unknown; never back to where
 * it came from: `from` is a VM, or NULL for the overlay. True if the overlay is to have it too. */
static bool switch_frame(struct agent *agent, const struct vm *from, uint32_t segment, const uint8_t *frame,
                         size_t len) {
    leon_mac to = mac_at(frame);
    struct vm *port = NULL;
    bool is_known = !is_group(&to) && switch_find(&agent->table, segment, &to, &port);
    if (is_known && port != NULL && port != from) vm_send(port, frame, len);
    if (!is_known)
        for (struct vm *vm = agent->vms; vm != NULL; vm = vm->next)
            if (vm != from && vm->segment == segment) vm_send(vm, frame, len);
    return !is_known || port == NULL;
}

/* Takes a frame of a VM; true if it is for the overlay too. */
static bool take_frame(struct agent *agent, struct vm *vm, const uint8_t *frame, size_t len) {
    leon_mac source = mac_at(frame + sizeof source);
    if (is_group(&source) || (vm->has_mac && memcmp(&source, &vm->mac, sizeof source) != 0)) {
        vm->counters[VM_DROP_SOURCE]++;
        return false;
    }
    switch_learn(&agent->table, vm->segment, &source, vm);
    return switch_frame(agent, vm, vm->segment, frame, len);
}

/* Frames of the overlay. They do not go back there (split horizon), whatever the table says. */
static void deliver(void *user_data, const leon_frame_out *frames, size_t count) {
    struct agent *agent = user_data;
    for (size_t i = 0; i < count; i++) {
        leon_mac source = mac_at(frames[i].data + sizeof source);
        switch_learn(&agent->table, frames[i].segment, &source, NULL);
        switch_frame(agent, NULL, frames[i].segment, frames[i].data, frames[i].len);
    }
}

/* --- VMs --- */

/* Tells the mesh that the address of a VM is here, or not any more. */
static void announce(struct agent *agent, struct vm *vm, bool is_here) {
    if (!is_here) switch_forget(&agent->table, vm);
    if (!vm->has_mac) return;
    if (is_here) switch_learn(&agent->table, vm->segment, &vm->mac, vm);
#ifdef LEON_E_HOST_LIMIT
    leon_host_key host = {.segment = vm->segment, .mac = vm->mac};
    leon_status status = is_here ? leon_engine_announce_host(agent->node.engine, &host, clock_now())
                                 : leon_engine_withdraw_host(agent->node.engine, &host, clock_now());
    if (status != LEON_OK) say("the mesh is not told about VM %s: %s", vm->local.sun_path, leon_strerror(status));
#endif
}

static void listener_ready(struct watch *watch, uint32_t events) {
    struct vm *vm = CONTAINER_OF(watch, struct vm, listener);
    (void)events;
    if (watch->fd < 0 || !vm_accept(vm)) return;
    say("VM %s is here", vm->local.sun_path);
    announce(vm->node->agent, vm, true);
}

static void socket_ready(struct watch *watch, uint32_t events) {
    struct vm *vm = CONTAINER_OF(watch, struct vm, socket);
    struct agent *agent = vm->node->agent;
    leon_frame_in frames[BATCH];
    uint8_t *frame;
    size_t count = 0, len;
    int found;
    if (watch->fd < 0) return;
    if (events & EPOLLOUT) vm_flush(vm);
    bool is_connected = vm_receive(vm);
    while ((found = vm_next(vm, &frame, &len)) > 0) {
        if (!take_frame(agent, vm, frame, len)) continue;
        frames[count++] = (leon_frame_in){.data = frame, .len = len, .segment = vm->segment};
        if (count < BATCH) continue;
        node_frames_in(&agent->node, frames, count);
        count = 0;
    }
    node_frames_in(&agent->node, frames, count);
    if (is_connected && found == 0) return;
    if (found < 0)
        say("VM %s: a frame of %zu bytes cannot be: the connection is closed", vm->local.sun_path, len);
    else
        say("VM %s is gone", vm->local.sun_path);
    vm_disconnect(vm);
    announce(agent, vm, false);
}

static struct vm **find_vm(struct agent *agent, const char *path) {
    struct vm **at = &agent->vms;
    while (*at != NULL && strcmp((*at)->local.sun_path, path) != 0) at = &(*at)->next;
    return at;
}

static bool serves(const struct node_options *options, uint32_t segment) {
    for (size_t i = 0; i < options->segment_count; i++)
        if (options->segments[i] == segment) return true;
    return options->segment_count == 0 && segment == 0;
}

static bool add_vm(struct agent *agent, const char *description) {
    struct vm *vm = vm_open(&agent->node, description, agent->error);
    if (vm == NULL) return false;
    vm->socket.ready = socket_ready;
    vm->listener.ready = listener_ready;
    struct watch *watch = vm->listener.fd >= 0 ? &vm->listener : &vm->socket;
    bool is_served = serves(&agent->options, vm->segment);
    if (!is_served || !node_watch(&agent->node, watch, EPOLLIN)) {
        if (is_served)
            snprintf(agent->error, ERROR_SIZE, "cannot wait for %s: %s", vm->local.sun_path, strerror(errno));
        else
            snprintf(agent->error, ERROR_SIZE, "this host does not serve segment %u: start the agent with --segment %u",
                     vm->segment, vm->segment);
        vm_close(vm);
        vm_free(vm);
        return false;
    }
    vm->next = agent->vms;
    agent->vms = vm;
    /* Datagrams have no connection that would tell when the VM is there. */
    if (vm->listener.fd < 0) announce(agent, vm, true);
    return true;
}

static void remove_vm(struct agent *agent, struct vm **at) {
    struct vm *vm = *at;
    bool is_here = vm->socket.fd >= 0;
    *at = vm->next;
    vm_close(vm);
    if (is_here) announce(agent, vm, false);
    vm->next = agent->removed;
    agent->removed = vm;
}

static void free_vms(struct vm **vms) {
    while (*vms != NULL) {
        struct vm *vm = *vms;
        *vms = vm->next;
        vm_free(vm);
    }
}

static void print_vms(const struct agent *agent, FILE *to) {
    for (const struct vm *vm = agent->vms; vm != NULL; vm = vm->next) {
        fprintf(to, "vm %s segment %u", vm->local.sun_path, vm->segment);
        if (vm->listener.fd >= 0) fprintf(to, vm->socket.fd >= 0 ? " connected" : " absent");
        for (enum vm_counter i = 0; i < VM_COUNTERS; i++)
            if (vm->counters[i] != 0) fprintf(to, " %s %llu", vm_counter_name(i), (unsigned long long)vm->counters[i]);
        fputc('\n', to);
    }
}

static void report(void *user_data) {
    print_vms(user_data, stdout);
}

/* --- Commands --- */

/* Carries one out, and writes the answer. */
static void execute(struct agent *agent, char *command, FILE *answer) {
    char *argument = command + strcspn(command, " ");
    if (*argument != 0) *argument++ = 0;
    struct vm **vm = find_vm(agent, argument);
    if (strcmp(command, "list") == 0) {
        print_vms(agent, answer);
    } else if (strcmp(command, "add") == 0) {
        fprintf(answer, add_vm(agent, argument) ? "ok\n" : "error: %s\n", agent->error);
    } else if (strcmp(command, "remove") == 0 && *vm != NULL) {
        remove_vm(agent, vm);
        fputs("ok\n", answer);
    } else if (strcmp(command, "remove") == 0) {
        fprintf(answer, "error: there is no VM with the path %s: see list\n", argument);
    } else {
        fprintf(answer, "error: %s is none of add DESCRIPTION, remove PATH and list\n", command);
    }
}

static void control_ready(struct watch *watch, uint32_t events) {
    struct agent *agent = CONTAINER_OF(watch, struct agent, control);
    struct sockaddr_un from;
    socklen_t from_len = sizeof from;
    char command[1024], *answer = NULL;
    size_t answer_len;
    (void)events;
    ssize_t len = recvfrom(watch->fd, command, sizeof command - 1, 0, (struct sockaddr *)&from, &from_len);
    if (len < 0) return;
    command[len] = 0;
    command[strcspn(command, "\r\n")] = 0;
    FILE *stream = open_memstream(&answer, &answer_len);
    if (stream == NULL) return;
    execute(agent, command, stream);
    fclose(stream);
    /* Who does not wait for the answer does not get one. */
    if (sendto(watch->fd, answer, answer_len, 0, (struct sockaddr *)&from, from_len) < 0)
        say("the answer to \"%s\" cannot be sent: %s", command, strerror(errno));
    free(answer);
}

static bool open_control(struct agent *agent) {
    if (agent->control_path == NULL) return true;
    if (!unix_address(agent->control_path, &agent->control_address, agent->error)) return false;
    agent->control = (struct watch){unix_bind(SOCK_DGRAM, &agent->control_address, agent->error), control_ready};
    if (agent->control.fd < 0) return false;
    if (node_watch(&agent->node, &agent->control, EPOLLIN)) return true;
    snprintf(agent->error, ERROR_SIZE, "cannot wait for commands: %s", strerror(errno));
    return false;
}

/* --- Start and end --- */

/* Reads the command line into the agent and `vms`; false with a sentence if it is wrong. */
static bool read_options(int argc, char **argv, struct agent *agent, const char **vms) {
    static const struct option known[] = {NODE_LONG_OPTIONS,
                                          {"vm", required_argument, NULL, 'v'},
                                          {"control", required_argument, NULL, 'c'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            exit(0);
        } else if (option == '?') {
            exit(2); /* getopt_long has said why */
        } else if (option == 'v') {
            *vms++ = optarg;
        } else if (option == 'c') {
            agent->control_path = optarg;
        } else if (!node_option(&agent->options, option, optarg, agent->error)) {
            return false;
        }
    }
    if (optind == argc) return true;
    snprintf(agent->error, ERROR_SIZE, "%s is no option: see --help", argv[optind]);
    return false;
}

/* Runs until a signal; the exit code. */
static int run(struct agent *agent, const char *const *vms) {
    int code = node_open(&agent->node, &agent->options, agent->error);
    if (code != 0) return code;
    if (!open_control(agent)) return 1;
    for (; *vms != NULL; vms++)
        if (!add_vm(agent, *vms)) return 1;
    say("%u bytes are the largest MTU of VMs that fits the underlay", leon_engine_mtu(agent->node.engine));
    node_join(&agent->node);
    while (node_turn(&agent->node)) free_vms(&agent->removed);
    return 0;
}

int main(int argc, char **argv) {
    static struct agent agent = {.control.fd = -1};
    const char **vms = calloc((size_t)argc, sizeof *vms); /* as many as there can be, and a NULL */
    agent.node.agent = &agent;
    agent.node.deliver = deliver;
    agent.node.report = report;
    if (vms == NULL || !read_options(argc, argv, &agent, vms)) {
        say("%s", agent.error);
        free(vms);
        return 2;
    }
    int code = run(&agent, vms);
    if (code != 0) say("%s", agent.error);
    for (struct vm *vm = agent.vms; vm != NULL; vm = vm->next) vm_close(vm);
    free_vms(&agent.vms);
    free_vms(&agent.removed);
    if (agent.control.fd >= 0) {
        close(agent.control.fd);
        unlink(agent.control_address.sun_path);
    }
    node_close(&agent.node);
    free(vms);
    return code;
}
