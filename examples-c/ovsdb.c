/*
 * ovsdb.c: a client of the Open vSwitch database, for one port. See ovsdb.h.
 *
 * The protocol is RFC 7047: JSON-RPC over a Unix socket, without any framing but that of JSON. Its one method used
 * here is "transact", whose operations are carried out all or none. The tables and columns are those of
 * ovs-vswitchd.conf.db(5).
 */
#define _GNU_SOURCE
#include "ovsdb.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

/* How long ovs-vswitchd may take to act on a change: it takes milliseconds, unless it does not run. */
#define SWITCH_TIMEOUT_MS 5000

/* How long ovsdb-server may take to answer: longer, for it waits for ovs-vswitchd on our behalf. */
#define SERVER_TIMEOUT_S 10

__attribute__((format(printf, 2, 3))) static bool fail(char error[ERROR_SIZE], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, ERROR_SIZE, format, arguments);
    va_end(arguments);
    return false;
}

/* Connects to ovsdb-server; -1 if that fails. */
static int connect_to_server(const char *path, char error[ERROR_SIZE]) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        fail(error, "%s is too long for the path of a Unix socket: use one below %zu bytes", path,
             sizeof address.sun_path);
        return -1;
    }
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        struct timeval timeout = {.tv_sec = SERVER_TIMEOUT_S};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
        return fd;
    }
    fail(error, "cannot reach the Open vSwitch database at %s: %s: start ovsdb-server, or name its socket with --db",
         path, strerror(errno));
    if (fd >= 0) close(fd);
    return -1;
}

static bool send_all(int fd, const char *bytes, size_t len) {
    while (len > 0) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return false;
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

/* Sends `request` to ovsdb-server and waits for its answer; NULL if there is none. */
static json_t *call(const char *path, const json_t *request, char error[ERROR_SIZE]) {
    json_t *reply = NULL;
    json_error_t malformed;
    char *text = json_dumps(request, JSON_COMPACT);
    int fd = connect_to_server(path, error);
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
    if (stream != NULL && text != NULL && send_all(fd, text, strlen(text))) {
        /* The server does not close the connection after the answer, which ends where its JSON ends. */
        reply = json_loadf(stream, JSON_DISABLE_EOF_CHECK, &malformed);
    }
    if (reply == NULL && fd >= 0) {
        fail(error, "no answer from the Open vSwitch database at %s within %d s: see whether ovsdb-server hangs, and "
             "whether that is its socket", path, SERVER_TIMEOUT_S);
    }
    if (stream != NULL) fclose(stream);
    else if (fd >= 0) close(fd);
    free(text);
    return reply;
}

/*
 * Carries out `operations`, an array that is consumed, and gives the array of their results. If one is refused,
 * gives NULL and sets `refused` to its index. `refused` is the number of operations if all of them together are
 * refused, and -1 if it did not come to that.
 */
static json_t *transact(const char *path, json_t *operations, int *refused, char error[ERROR_SIZE]) {
    *refused = -1;
    json_t *request = json_pack("{s:s, s:o, s:i}", "method", "transact", "params", operations, "id", 1);
    if (request == NULL) {
        fail(error, "cannot write a request to the Open vSwitch database: use names in UTF-8");
        return NULL;
    }
    json_t *reply = call(path, request, error);
    json_decref(request);
    json_t *results = json_object_get(reply, "result"), *result;
    size_t index;
    bool done = json_is_array(results);
    if (reply != NULL && !done) {
        fail(error, "the database at %s refuses the request: see whether it is that of Open vSwitch", path);
    }
    json_array_foreach(results, index, result) {
        const char *why = json_string_value(json_object_get(result, "error"));
        const char *details = json_string_value(json_object_get(result, "details"));
        if (why == NULL) continue;
        fail(error, "the Open vSwitch database refuses the change: %s: %s", why, details ? details : "no details");
        *refused = (int)index;
        done = false;
        break;
    }
    if (done) json_incref(results);
    json_decref(reply);
    return done ? results : NULL;
}

/* Copies the UUID of an inserted row: ["uuid", "01234567-..."]. */
static bool read_uuid(const json_t *results, size_t index, char uuid[37]) {
    const json_t *pair = json_object_get(json_array_get(results, index), "uuid");
    const char *text = json_string_value(json_array_get(pair, 1));
    if (text == NULL || strlen(text) != 36) return false;
    strcpy(uuid, text);
    return true;
}

/* --- Operations (RFC 7047, section 5.2) --- */

/* Refuses the transaction unless the table has ("!=") or has not ("==") a row of that name. */
static json_t *check_name(const char *table, const char *name, const char *until) {
    return json_pack("{s:s, s:i, s:s, s:[[s,s,s]], s:[s], s:[], s:s}", "op", "wait", "timeout", 0, "table", table,
                     "where", "name", "==", name, "columns", "name", "rows", "until", until);
}

/* Inserts a row, which others in the transaction call `as`. */
static json_t *insert(const char *table, const char *as, json_t *row) {
    return json_pack("{s:s, s:s, s:s, s:o}", "op", "insert", "table", table, "uuid-name", as, "row", row);
}

/* Adds ("insert") or takes off ("delete") a port that `kind` and `uuid` stand for. */
static json_t *change_ports(const char *bridge, const char *how, const char *kind, const char *uuid) {
    return json_pack("{s:s, s:s, s:[[s,s,s]], s:[[s,s,[s,s]]]}", "op", "mutate", "table", "Bridge", "where", "name",
                     "==", bridge, "mutations", "ports", how, kind, uuid);
}

/* --- Transactions --- */

static bool insert_port(const char *path, const char *bridge, const char *name, json_t *trunks,
                        struct ovsdb_port *port, char error[ERROR_SIZE]) {
    json_t *interface_row = json_pack("{s:s, s:s}", "name", name, "type", "system");
    json_t *port_row = json_pack("{s:s, s:s, s:[s,o], s:[s,s]}", "name", name, "vlan_mode", "trunk", "trunks", "set",
                                 trunks, "interfaces", "named-uuid", "interface");
    json_t *operations = json_pack("[s,o,o,o,o,o]", "Open_vSwitch",
                                   check_name("Bridge", bridge, "!="),
                                   check_name("Interface", name, "=="),
                                   insert("Interface", "interface", interface_row),
                                   insert("Port", "port", port_row),
                                   change_ports(bridge, "insert", "named-uuid", "port"));
    enum { BRIDGE_IS_THERE, PORT_IS_NOT, INSERT_INTERFACE, INSERT_PORT };
    int refused;
    json_t *results = transact(path, operations, &refused, error);
    if (refused == BRIDGE_IS_THERE) {
        fail(error, "Open vSwitch has no bridge %s: make it with ovs-vsctl add-br, or choose another with --bridge",
             bridge);
    } else if (refused == PORT_IS_NOT) {
        fail(error, "Open vSwitch has a port %s already: choose another name with --port, or, if an agent that died "
             "has left it, remove it with ovs-vsctl del-port %s", name, name);
    }
    if (results == NULL) return false;
    bool done = read_uuid(results, INSERT_INTERFACE, port->interface) && read_uuid(results, INSERT_PORT, port->port);
    json_decref(results);
    return done || fail(error, "the Open vSwitch database does not tell the UUID of the new port");
}

/* Waits until ovs-vswitchd has given the interface an OpenFlow port number, or has failed to, which is -1. */
static bool wait_for_switch(const char *path, const char *name, const struct ovsdb_port *port,
                            char error[ERROR_SIZE]) {
    json_t *operations = json_pack(
        "[s,"
        "{s:s, s:i, s:s, s:[[s,s,[s,s]]], s:[s], s:[{s:[s,[]]}], s:s},"
        "{s:s, s:s, s:[[s,s,[s,s]]], s:[s,s]}]",
        "Open_vSwitch",
        "op", "wait", "timeout", SWITCH_TIMEOUT_MS, "table", "Interface", "where", "_uuid", "==", "uuid",
        port->interface, "columns", "ofport", "rows", "ofport", "set", "until", "!=",
        "op", "select", "table", "Interface", "where", "_uuid", "==", "uuid", port->interface, "columns", "ofport",
        "error");
    int refused;
    json_t *results = transact(path, operations, &refused, error);
    if (refused == 0) {
        return fail(error, "ovs-vswitchd has not taken the port %s within %d ms: see whether it runs, and its log",
                    name, SWITCH_TIMEOUT_MS);
    }
    if (results == NULL) return false;
    const json_t *row = json_array_get(json_object_get(json_array_get(results, 1), "rows"), 0);
    bool taken = json_integer_value(json_object_get(row, "ofport")) > 0;
    if (!taken) {
        const char *why = json_string_value(json_object_get(row, "error"));
        fail(error, "ovs-vswitchd cannot use the port %s: %s: see its log", name, why ? why : "no reason given");
    }
    json_decref(results);
    return taken;
}

bool ovsdb_add_port(const char *socket_path, const char *bridge, const char *name, const uint16_t *vlans,
                    size_t vlan_count, struct ovsdb_port *port, char error[ERROR_SIZE]) {
    json_t *trunks = json_array();
    for (size_t i = 0; i < vlan_count; i++) json_array_append_new(trunks, json_integer(vlans[i]));
    if (!insert_port(socket_path, bridge, name, trunks, port, error)) return false;
    if (wait_for_switch(socket_path, name, port, error)) return true;
    /* The first error is the one to tell; if this fails too, it has the same cause. */
    char second[ERROR_SIZE];
    ovsdb_remove_port(socket_path, bridge, port, second);
    return false;
}

bool ovsdb_remove_port(const char *socket_path, const char *bridge, const struct ovsdb_port *port,
                       char error[ERROR_SIZE]) {
    /* The rows of the port and its interface go away by themselves when no other row refers to them. */
    json_t *operations = json_pack("[s,o]", "Open_vSwitch", change_ports(bridge, "delete", "uuid", port->port));
    int refused;
    json_t *results = transact(socket_path, operations, &refused, error);
    bool done = results != NULL;
    json_decref(results);
    return done;
}
