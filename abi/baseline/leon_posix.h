/*
 * leon_posix.h: between the addresses of leon.h and those of the sockets of POSIX. Optional; nothing in the library
 * needs it.
 *
 * All functions may be called on any thread, at any time, and from inside a callback; they keep nothing.
 */
#ifndef LEON_POSIX_H
#define LEON_POSIX_H

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "leon.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An array of leon_iov is an array of struct iovec: hand it to sendmsg(2) as it is. */
LEON_STATIC_ASSERT(sizeof(leon_iov) == sizeof(struct iovec), "leon_iov is a struct iovec");
LEON_STATIC_ASSERT(offsetof(leon_iov, len) == offsetof(struct iovec, iov_len), "leon_iov is a struct iovec");

/**
 * Writes an address for a socket.
 *
 * @param from   the address
 * @param family that of the socket: AF_INET, or AF_INET6, for which an IPv4 address is mapped into IPv6
 *               (RFC 4291, section 2.5.5.2)
 * @param to     receives the address
 * @return its length; 0 if a socket of this family cannot send there
 */
static inline socklen_t leon_address_to_sockaddr(const leon_address *from, int family, struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (family == AF_INET && from->version == 4) {
        struct sockaddr_in v4;
        memset(&v4, 0, sizeof v4);
        v4.sin_family = AF_INET;
        v4.sin_port = htons(from->port);
        memcpy(&v4.sin_addr, from->ip, 4);
        memcpy(to, &v4, sizeof v4);
        return (socklen_t)sizeof v4;
    }
    if (family == AF_INET6 && (from->version == 4 || from->version == 6)) {
        struct sockaddr_in6 v6;
        memset(&v6, 0, sizeof v6);
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(from->port);
        if (from->version == 6) {
            memcpy(&v6.sin6_addr, from->ip, 16);
            v6.sin6_scope_id = from->scope_id;
        } else {
            static const unsigned char prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
            memcpy(&v6.sin6_addr, prefix, 12);
            memcpy((unsigned char *)&v6.sin6_addr + 12, from->ip, 4);
        }
        memcpy(to, &v6, sizeof v6);
        return (socklen_t)sizeof v6;
    }
    return 0;
}

/**
 * Reads the address of a socket, such as one that recvmsg(2) gives. A mapped IPv4 address becomes an IPv4 one.
 *
 * @param from the address, at least as long as its family says
 * @param to   receives the address; `version` is 0 if it is neither IPv4 nor IPv6
 */
static inline void leon_address_from_sockaddr(const struct sockaddr *from, leon_address *to)
{
    memset(to, 0, sizeof *to);
    if (from->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, from, sizeof v4);
        to->version = 4;
        to->port = ntohs(v4.sin_port);
        memcpy(to->ip, &v4.sin_addr, 4);
    } else if (from->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, from, sizeof v6);
        to->port = ntohs(v6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            to->version = 4;
            memcpy(to->ip, (const unsigned char *)&v6.sin6_addr + 12, 4);
        } else {
            to->version = 6;
            to->scope_id = v6.sin6_scope_id;
            memcpy(to->ip, &v6.sin6_addr, 16);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif /* LEON_POSIX_H */
