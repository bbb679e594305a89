/*
 * ovsdb.h: puts a port on a bridge of Open vSwitch and takes it off again, through the Open vSwitch database.
 *
 * Each call is one connection to ovsdb-server, and waits for the answer. A function that fails returns false and
 * writes one sentence that says what is wrong and what to do. Needs jansson (libjansson-dev).
 */
#ifndef OVSDB_H
#define OVSDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keys.h"

/* Which rows of the database a port is: their UUIDs. */
struct ovsdb_port {
    char port[37], interface[37];
};

/*
 * Puts the network device `name` on `bridge` as a trunk port for `vlans`, of which 0 is what has no tag, and waits
 * until ovs-vswitchd uses it. If that fails nothing is left behind.
 */
bool ovsdb_add_port(const char *socket_path, const char *bridge, const char *name, const uint16_t *vlans,
                    size_t vlan_count, struct ovsdb_port *port, char error[ERROR_SIZE]);

/* Takes the port off `bridge`. One that somebody else has taken off already is no error. */
bool ovsdb_remove_port(const char *socket_path, const char *bridge, const struct ovsdb_port *port,
                       char error[ERROR_SIZE]);

#endif
