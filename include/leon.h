/*
 * leon: extends one Layer 2 network over many locations on the Internet, and forwards every Ethernet frame along
 * the path with the lowest latency, through another location where that is faster.
 *
 * This is one node of the mesh without any I/O: no socket, thread, file, clock or environment. The caller owns the
 * socket, the local network, the clock and the event loop; leon tells what to send and deliver through callbacks:
 *
 *   1. leon_engine_new, then leon_forwarder_new for each thread that moves frames, then leon_engine_join;
 *   2. a datagram from the UDP socket: leon_forwarder_datagrams_in;
 *   3. a frame from the local network: leon_forwarder_frames_in;
 *   4. at the deadline that deadline_changed told, or leon_engine_deadline tells: leon_engine_timer;
 *   5. at the end: leon_engine_leave, then 4 until the deadline is LEON_TIME_NEVER; leon_forwarder_free for each,
 *      leon_engine_free.
 *
 * docs/embedding.md is the guide, examples-c has whole programs. Each function says which threads may call it
 * (@thread), whether from inside a callback (@reentrancy), who owns what (@ownership), which errors it returns
 * (@errors), and since which version it exists (@since).
 *
 * Errors: what the caller does wrong is an error of the call. What the network does wrong is dropped and counted by
 * reason. Nothing is written to memory for answers when a call fails, but counts where that is said, and with
 * LEON_E_SPACE as much of the answer as there is room for.
 *
 * Made from src/ffi; do not edit: LEON_UPDATE_HEADER=1 cargo test --test header
 */


#ifndef LEON_H
#define LEON_H

#include <stddef.h>
#include <stdint.h>

/**
 * A flag of a frame: `data` may be read, not written, as the memory of a guest; costs a copy.
 */
#define LEON_FRAME_KEEP 1

/**
 * Longest name of a member with the NUL at its end, in bytes.
 */
#define LEON_NAME_SIZE 64

/**
 * Most segments that a node serves.
 */
#define LEON_SEGMENTS_MAX 64

/**
 * Most entries of a path: three relays and the destination.
 */
#define LEON_PATH_MAX 4

/**
 * Room for a key or an identity in base64 with the NUL at its end, in bytes.
 */
#define LEON_KEY_TEXT_SIZE 45

/**
 * Room for an address and a port in text with the NUL at its end, in bytes.
 */
#define LEON_ADDRESS_TEXT_SIZE 72

/**
 * A seed has answered: this node holds the member list and is announcing itself. `address`: the member that sent
 * the list.
 */
#define LEON_EVENT_LIST_FETCHED 1

/**
 * This node is a member now. `member`: the first to say so.
 */
#define LEON_EVENT_JOINED 2

/**
 * A node became a member, or a failed one came back. `member`, `name`, `address`: its locator.
 */
#define LEON_EVENT_MEMBER_JOINED 3

/**
 * A member has left and said so. `member`, `name`.
 */
#define LEON_EVENT_MEMBER_LEFT 4

/**
 * No member reaches this one any more; it is remembered and probed. `member`, `name`.
 */
#define LEON_EVENT_MEMBER_FAILED 5

/**
 * A member's key is not on the allow-list any more. `member`, `name`.
 */
#define LEON_EVENT_MEMBER_REMOVED 6

/**
 * No seed has answered for a while: none runs, UDP does not get through, the network key is another, this node's
 * key is not on their allow-lists, or one side alone has `LEON_SECURITY_NONE`. `addresses`: the seeds. Repeated
 * every half a minute.
 */
#define LEON_EVENT_SEEDS_SILENT 7

/**
 * A node at `address`, not authenticated, has `LEON_SECURITY_NONE` and this one has not (`reason` 1), or the other
 * way round (`reason` 0). At most one in ten seconds.
 */
#define LEON_EVENT_SECURITY_MISMATCH 8

/**
 * A member refuses this node. `address`: who; `reason`: why, one of `LEON_REJECT_*`.
 */
#define LEON_EVENT_JOIN_REJECTED 9

/**
 * Probes of the link to `member` are answered.
 */
#define LEON_EVENT_LINK_UP 10

/**
 * Several probes of the link to `member` went unanswered; frames for it go through others where possible.
 */
#define LEON_EVENT_LINK_DOWN 11

/**
 * Frames for `member` take another path from now on. `path`: relays in order, the destination last; `reason`: why,
 * one of `LEON_CAUSE_*`.
 */
#define LEON_EVENT_PATH_CHANGED 12

/**
 * `host` is behind `member` now, and was behind `from`; an identity of zeros is the local network. At most some a
 * second: a hint, while `leon_engine_hosts` tells all.
 */
#define LEON_EVENT_HOST_MOVED 13

/**
 * `host` has moved five times within three minutes, last from `from` to `member`: there is a loop in the networks
 * that are joined, or two hosts have one address, or somebody claims the address of another.
 */
#define LEON_EVENT_HOST_FLAPPING 14

/**
 * `member` sends more frames to all hosts of this site than `flood_limit` allows; the excess is dropped.
 */
#define LEON_EVENT_FLOOD_LIMITED 15

/**
 * There is no room in the FDB for a host behind `member`, or on the local network if that is zeros: all is full,
 * or the member has used up its share. Frames for that host go to all members.
 */
#define LEON_EVENT_HOST_LIMIT 16

/**
 * The first path to a new member.
 */
#define LEON_CAUSE_NEW 1

/**
 * The new path is better by more than the hysteresis, on the fast and on the slow estimate.
 */
#define LEON_CAUSE_BETTER 2

/**
 * The direct path is as good as the relayed one again.
 */
#define LEON_CAUSE_DIRECT_AS_GOOD 3

/**
 * The former path has a link that is down or not measured, or a relay that is gone.
 */
#define LEON_CAUSE_DEAD 4

/**
 * A link or a relay of the former path was lost, or the path is in doubt: the backup took over at once.
 */
#define LEON_CAUSE_FAILOVER 5

/**
 * The operator has pinned the new path.
 */
#define LEON_CAUSE_PINNED 6

/**
 * The former path was found to be worse, end to end, than its links and relays say.
 */
#define LEON_CAUSE_GUARD 7

/**
 * Another live member has the name.
 */
#define LEON_REJECT_NAME_TAKEN 1

/**
 * Another live member has the identity, or one with the same first eight bytes.
 */
#define LEON_REJECT_ID_TAKEN 2

/**
 * Another live member has the locator.
 */
#define LEON_REJECT_LOCATOR_TAKEN 3

/**
 * The member list is full.
 */
#define LEON_REJECT_LIST_FULL 4

/**
 * Something went wrong in this node; it may not work as configured.
 */
#define LEON_LOG_ERROR 1

/**
 * Something in the mesh is wrong, and people may want to look at it.
 */
#define LEON_LOG_WARN 2

/**
 * What people follow.
 */
#define LEON_LOG_INFO 3

/**
 * Every datagram is encrypted and authenticated end to end; needs `secret_key` and `network_key`. The default.
 */
#define LEON_SECURITY_SEALED 0

/**
 * Nothing is authenticated or encrypted: whoever can send UDP to a node can join, read and inject. For underlays
 * that are trusted end to end. Needs `id`.
 */
#define LEON_SECURITY_NONE 1

/**
 * The cipher that this machine does faster. The default.
 */
#define LEON_CIPHER_FASTEST 0

/**
 * AES-256-GCM.
 */
#define LEON_CIPHER_AES_256_GCM 1

/**
 * ChaCha20-Poly1305.
 */
#define LEON_CIPHER_CHACHA20_POLY1305 2

/**
 * The fields of the struct itself.
 */
#define LEON_FORMAT_STRUCT 0

/**
 * A text in TOML.
 */
#define LEON_FORMAT_TOML 1

/**
 * A text in JSON.
 */
#define LEON_FORMAT_JSON 2

/**
 * The number of this ABI, that of the SONAME. It changes when a program would have to be compiled anew.
 */
#define LEON_ABI_VERSION 0

/**
 * In the list; frames are sent to it.
 */
#define LEON_MEMBER_ALIVE 1

/**
 * No member reaches it; it is remembered and probed now and then.
 */
#define LEON_MEMBER_FAILED 2

/**
 * It said that it leaves.
 */
#define LEON_MEMBER_LEFT 3

/**
 * What stands for a duration that is not known, as that of a link that is down, in nanoseconds.
 */
#define LEON_UNKNOWN LEON_TIME_NEVER

/**
 * The host is on the local network.
 */
#define LEON_HOST_LOCAL 1

/**
 * The host is behind a member.
 */
#define LEON_HOST_REMOTE 2

/**
 * From a frame that the host has sent. Forgotten when the host is silent for too long.
 */
#define LEON_ORIGIN_LEARNED 1

/**
 * From the word of the node it is at. Stays until that is withdrawn, or the node is gone.
 */
#define LEON_ORIGIN_ANNOUNCED 2

/**
 * Frames take it.
 */
#define LEON_VERDICT_CHOSEN 1

/**
 * Frames take it although one of its links is not up, since no measured path leads to the member.
 */
#define LEON_VERDICT_LAST_RESORT 2

/**
 * Frames take it from the next choice of paths on: within a quarter of a second, or half a minute if that leaves an
 * overloaded relay.
 */
#define LEON_VERDICT_DUE 3

/**
 * It costs as much as the chosen path, or more, on `estimate`.
 */
#define LEON_VERDICT_COSTS_MORE 4

/**
 * It costs less than the chosen path, but on `estimate` not by more than the hysteresis.
 */
#define LEON_VERDICT_WITHIN_HYSTERESIS 5

/**
 * It would be better than the chosen path, but comes after another one when each link counts with the worse of
 * its estimates.
 */
#define LEON_VERDICT_NOT_LOWEST 6

/**
 * Its first link that is not up is down.
 */
#define LEON_VERDICT_LINK_DOWN 7

/**
 * Its first link that is not up is new: it carries no transit yet.
 */
#define LEON_VERDICT_LINK_NEW 8

/**
 * Its first link that is not up is not measured.
 */
#define LEON_VERDICT_LINK_UNMEASURED 9

/**
 * The member has failed or left: no frames are sent to it.
 */
#define LEON_VERDICT_UNREACHABLE 10

/**
 * The operator has pinned another path.
 */
#define LEON_VERDICT_NOT_PINNED 11

/**
 * It would be better, but one of its relays is so busy that no path takes it anew.
 */
#define LEON_VERDICT_RELAY_FULL 12

/**
 * One of its relays carries no transit.
 */
#define LEON_VERDICT_NO_TRANSIT 13

/**
 * The average over about 3 s.
 */
#define LEON_ESTIMATE_FAST 1

/**
 * The average over about 30 s.
 */
#define LEON_ESTIMATE_SLOW 2

/**
 * Both of them.
 */
#define LEON_ESTIMATE_BOTH 3

/**
 * Probes are answered, and the latency database has the link.
 */
#define LEON_LINK_UP 1

/**
 * A link of this node that has not had three answers since it began or came back.
 */
#define LEON_LINK_NEW 2

/**
 * Probes go unanswered.
 */
#define LEON_LINK_DOWN 3

/**
 * The latency database knows nothing of the link.
 */
#define LEON_LINK_UNMEASURED 4

/**
 * No counter: what an item of a batch says that was not dropped.
 */
#define LEON_COUNTER_NONE 0

/**
 * Calls whose time was before that of an earlier one; the earlier time counted instead.
 */
#define LEON_COUNTER_TIME_BACK 1

/**
 * Frames taken from the local network.
 */
#define LEON_COUNTER_FRAMES_IN 2

/**
 * Frames delivered to the local network.
 */
#define LEON_COUNTER_FRAMES_OUT 3

/**
 * Datagrams received.
 */
#define LEON_COUNTER_DATAGRAMS_IN 4

/**
 * Datagrams handed to the socket: own frames, control messages and relayed ones.
 */
#define LEON_COUNTER_DATAGRAMS_OUT 5

/**
 * Datagrams passed on for other members.
 */
#define LEON_COUNTER_RELAYED 6

/**
 * Frames sent to all members: broadcast, multicast and unknown unicast.
 */
#define LEON_COUNTER_FLOODED 7

/**
 * Hosts newly learned by the FDB.
 */
#define LEON_COUNTER_MAC_LEARNED 8

/**
 * Hosts that moved from one place to another.
 */
#define LEON_COUNTER_MAC_MOVED 9

/**
 * Frame dropped: shorter than an Ethernet header.
 */
#define LEON_COUNTER_DROP_FRAME_TOO_SHORT 10

/**
 * Frame dropped, here or by this node as a relay: does not fit the underlay together with its header.
 */
#define LEON_COUNTER_DROP_FRAME_TOO_LONG 11

/**
 * Frame dropped: its source is a group address.
 */
#define LEON_COUNTER_DROP_FRAME_GROUP_SOURCE 12

/**
 * Frame dropped: its destination is local, the local network has delivered it.
 */
#define LEON_COUNTER_DROP_FRAME_LOCAL_DESTINATION 13

/**
 * Frame dropped: this node does not serve its segment.
 */
#define LEON_COUNTER_DROP_FRAME_SEGMENT 14

/**
 * Frame not sent: no member to send it to.
 */
#define LEON_COUNTER_DROP_FRAME_NO_MEMBER 15

/**
 * Datagram dropped: ends before its header or its tag does, or has bytes left over.
 */
#define LEON_COUNTER_DROP_DATAGRAM_TRUNCATED 16

/**
 * Datagram dropped: an unknown version.
 */
#define LEON_COUNTER_DROP_DATAGRAM_VERSION 17

/**
 * Datagram dropped: an unknown type or kind, or a reserved bit is set.
 */
#define LEON_COUNTER_DROP_DATAGRAM_TYPE 18

/**
 * Datagram dropped: no hops, too many, or an index past the end.
 */
#define LEON_COUNTER_DROP_PATH_LENGTH 19

/**
 * Datagram dropped: its path names an address twice.
 */
#define LEON_COUNTER_DROP_PATH_REPEAT 20

/**
 * Datagram dropped: the path's current entry is not this node.
 */
#define LEON_COUNTER_DROP_PATH_NOT_HERE 21

/**
 * Datagram dropped instead of relayed: the next entry is not a member, or one that has not proven where it is.
 */
#define LEON_COUNTER_DROP_PATH_STRANGER 22

/**
 * Datagram dropped: there is no session with its source, or what it wants is for members only.
 */
#define LEON_COUNTER_DROP_SOURCE_STRANGER 23

/**
 * Datagram dropped: it claims to come from this node, or from its locator.
 */
#define LEON_COUNTER_DROP_SOURCE_SELF 24

/**
 * Datagram dropped: its keys are not, or no longer, those of the session with its source.
 */
#define LEON_COUNTER_DROP_SOURCE_EPOCH 25

/**
 * Frame or datagram dropped: the session's keys have expired and could not be renewed.
 */
#define LEON_COUNTER_DROP_KEYS_EXPIRED 26

/**
 * Datagram dropped: received before, or older than the replay window.
 */
#define LEON_COUNTER_DROP_REPLAYED 27

/**
 * Datagram dropped: a tag is wrong.
 */
#define LEON_COUNTER_DROP_TAG 28

/**
 * Datagram not relayed: more than its source may have relayed.
 */
#define LEON_COUNTER_DROP_RELAY_LIMIT 29

/**
 * Frame dropped: its member sends more to all hosts than it may.
 */
#define LEON_COUNTER_DROP_FLOOD_LIMIT 30

/**
 * Control message dropped: its node sends more of them than it may.
 */
#define LEON_COUNTER_DROP_CONTROL_LIMIT 31

/**
 * Handshake dropped: it is not sealed with the key of this network.
 */
#define LEON_COUNTER_DROP_HANDSHAKE_STRANGER 32

/**
 * Datagram dropped: its sender has security none and this node has not, or the other way round.
 */
#define LEON_COUNTER_DROP_SECURITY_MISMATCH 33

/**
 * Handshake dropped: malformed.
 */
#define LEON_COUNTER_DROP_HANDSHAKE_MALFORMED 34

/**
 * Handshake dropped: the node did not prove who it is.
 */
#define LEON_COUNTER_DROP_HANDSHAKE_FAILED 35

/**
 * Handshake dropped: an answer to nothing that was asked, or a late one.
 */
#define LEON_COUNTER_DROP_HANDSHAKE_UNEXPECTED 36

/**
 * Handshake dropped: both nodes began one, and the other goes on.
 */
#define LEON_COUNTER_DROP_HANDSHAKE_CROSSED 37

/**
 * Handshake dropped: its address begins more of them than it may.
 */
#define LEON_COUNTER_DROP_HANDSHAKE_LIMIT 38

/**
 * Handshake not begun yet: the node has to prove its address, or that this is no repetition.
 */
#define LEON_COUNTER_DROP_HANDSHAKE_CHALLENGED 39

/**
 * Handshake dropped: the node is not on the allow-list.
 */
#define LEON_COUNTER_DROP_NOT_ALLOWED 40

/**
 * Control message dropped: malformed.
 */
#define LEON_COUNTER_DROP_CONTROL_MALFORMED 41

/**
 * Control message dropped: an answer to nothing that was asked.
 */
#define LEON_COUNTER_DROP_CONTROL_UNEXPECTED 42

/**
 * Control message dropped: a record of another node than its sender.
 */
#define LEON_COUNTER_DROP_RECORD_FORGED 43

/**
 * Member refused: its name, identity or locator belongs to another.
 */
#define LEON_COUNTER_DROP_MEMBER_CONFLICT 44

/**
 * Member refused: the list is full.
 */
#define LEON_COUNTER_DROP_MEMBER_LIMIT 45

/**
 * Host not learned: the FDB has no room for it.
 */
#define LEON_COUNTER_DROP_MAC_TABLE_FULL 46

/**
 * Host not learned: its member has used up its share of the FDB.
 */
#define LEON_COUNTER_DROP_MAC_QUOTA 47

/**
 * Frames whose host had been announced elsewhere within the last 2 s, and was left there.
 */
#define LEON_COUNTER_MAC_HELD 48

/**
 * Control message or handshake dropped: there is no memory for what it may lead to.
 */
#define LEON_COUNTER_DROP_NO_MEMORY 49

/**
 * One more than the largest number of a counter in this version.
 */
#define LEON_COUNTER_COUNT 50

/**
 * Length of what stands before each frame of a stream, in bytes.
 */
#define LEON_STREAM_HEADER 4

/**
 * Longest frame of a stream, in bytes.
 */
#define LEON_STREAM_MAX 65535

/**
 * Shortest frame, in bytes: two addresses and a type.
 */
#define LEON_FRAME_MIN 14

/**
 * One node of the mesh, made by `leon_engine_new`. A handle: it is not an address, and nothing can be read
 * through it.
 */
typedef struct leon_engine leon_engine;

/**
 * Moves the frames and datagrams of one thread, made by `leon_forwarder_new`. A handle: it is not an address, and
 * nothing can be read through it.
 */
typedef struct leon_forwarder leon_forwarder;

/**
 * What a function returns: `LEON_OK`, or one of the errors, which are negative. Never a count. Numbers are never
 * given another meaning; later versions may add more.
 */
typedef int32_t leon_status;

/**
 * A secret: a node's secret key, the network's key, or bytes of a random source. Wipe it when it is not needed
 * any more; leon keeps copies of its own.
 */
typedef struct leon_key {
    /**
     * The bytes.
     */
    uint8_t bytes[32];
} leon_key;

/**
 * An IP address and a UDP port. 24 bytes.
 */
typedef struct leon_address {
    /**
     * The IP address in the order of the wire; of an IPv4 address the first four bytes, the rest is zero.
     */
    uint8_t ip[16];
    /**
     * The port, in the byte order of the machine.
     */
    uint16_t port;
    /**
     * 4, 6, or 0 for no address.
     */
    uint8_t version;
    /**
     * Zero.
     */
    uint8_t reserved;
    /**
     * The scope of a link-local IPv6 address (RFC 4007), as in `sin6_scope_id`; zero otherwise.
     */
    uint32_t scope_id;
} leon_address;

/**
 * The identity of a node: its public key (X25519), or with `LEON_SECURITY_NONE` any 32 bytes that no other node
 * has.
 */
typedef struct leon_id {
    /**
     * The bytes.
     */
    uint8_t bytes[32];
} leon_id;

/**
 * What a node is told at its creation. Set it to zeros, then `struct_size`, then what you choose: zero stands for
 * the default of each field. leon copies what the pointers lead to.
 */
typedef struct leon_config {
    /**
     * `sizeof(leon_config)`.
     */
    uint32_t struct_size;
    /**
     * Where the fields from `name` on to `flood_limit` come from: `LEON_FORMAT_STRUCT`, or with one of the other
     * `LEON_FORMAT_*` from `text`; then they must be zero here.
     */
    uint32_t format;
    /**
     * The text, UTF-8, with the fields of docs/config.md.
     */
    const char *text;
    /**
     * Its length in bytes.
     */
    size_t text_len;
    /**
     * 32 bytes from a random source, such as getrandom(2), of which no other engine is given the same: keys follow
     * from them. Required.
     */
    const struct leon_key *entropy;
    /**
     * When this life of the node began, in a unit that never goes back over restarts: nanoseconds of the wall
     * clock will do. A higher one replaces the former life. Required, also with a text.
     */
    uint64_t incarnation;
    /**
     * Most datagrams that one `leon_datagram_out` may hold, up to 64, for UDP GSO. Default 1.
     */
    uint32_t max_segments;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The name people know this node by: 1 to 63 bytes of UTF-8 without control characters, unique in the mesh.
     * Required.
     */
    const char *name;
    /**
     * The address at which the other members reach this node: unicast, with a port, without a scope. Required.
     */
    struct leon_address locator;
    /**
     * Members to fetch the list from; the node's own address among them is ignored.
     */
    const struct leon_address *seeds;
    /**
     * Number of seeds; none for the first node.
     */
    size_t seed_count;
    /**
     * Segments this node serves, each below 2^24, without repeats, up to 64. Default: segment 0 alone.
     */
    const uint32_t *segments;
    /**
     * Number of segments.
     */
    size_t segment_count;
    /**
     * This node's own secret key: 32 random bytes, the same after every restart. Required if sealed.
     */
    const struct leon_key *secret_key;
    /**
     * The key that all nodes of the mesh share. Required if sealed.
     */
    const struct leon_key *network_key;
    /**
     * The identities that may be members, if not NULL; else whoever holds the network key may be one.
     */
    const struct leon_id *allowed;
    /**
     * Number of them; 0 with `allowed` set lets nobody in.
     */
    size_t allowed_count;
    /**
     * The node's identity, with `LEON_SECURITY_NONE` only.
     */
    const struct leon_id *id;
    /**
     * One of `LEON_SECURITY_*`.
     */
    uint32_t security;
    /**
     * One of `LEON_CIPHER_*`. Two members use AES-256-GCM between them if both prefer it.
     */
    uint32_t cipher;
    /**
     * Largest IP packet the underlay carries, in bytes, 1280 to 65535. Default 1500.
     */
    uint32_t underlay_mtu;
    /**
     * Most members, this node included, 2 to 4096. Default 1024.
     */
    uint32_t max_members;
    /**
     * Most hosts the FDB holds, a power of two from 64 to 4194304. Default 16384.
     */
    uint32_t fdb_capacity;
    /**
     * How long a host that sends nothing stays in the FDB, in seconds, 1 to 1000000. Default 300.
     */
    uint32_t fdb_ageing_s;
    /**
     * How often the link to each member is probed where there are at most 14, in milliseconds, 100 to 60000. Default
     * 2000.
     */
    uint32_t ping_interval_ms;
    /**
     * What passing through one relay costs, in nanoseconds of round-trip time, up to 1000000000. Default 100000;
     * 1 is as good as nothing.
     */
    uint32_t relay_charge_ns;
    /**
     * Most datagrams per second that are relayed for one member, 1 to 1000000000. Default 1000000.
     */
    uint32_t relay_limit;
    /**
     * Most frames per second that one member may send to all hosts of this site, 1 to 1000000000. Default 10000.
     */
    uint32_t flood_limit;
} leon_config;

/**
 * A piece of memory that leon lends. The same layout as `struct iovec` of POSIX.
 */
typedef struct leon_iov {
    /**
     * Its first byte.
     */
    const uint8_t *data;
    /**
     * Its length in bytes.
     */
    size_t len;
} leon_iov;

/**
 * What to send from the node's one UDP socket, an element of an array: one datagram, or several to one address.
 * Valid until the callback returns.
 */
typedef struct leon_datagram_out {
    /**
     * The payload in pieces, none of them empty.
     */
    const struct leon_iov *iov;
    /**
     * Number of pieces: 1 to 3 for each datagram.
     */
    size_t iov_count;
    /**
     * Length of the payload, in bytes: the sum of its pieces.
     */
    size_t len;
    /**
     * Where to send it.
     */
    struct leon_address to;
    /**
     * If not 0, the payload is several datagrams of so many bytes each, the last one may be shorter, to be sent at
     * once with the `UDP_SEGMENT` control message of Linux, which splits it; never with a `max_segments` of 0 or
     * 1 in the configuration.
     */
    uint16_t segment_size;
    /**
     * Number of datagrams: 1 to `max_segments`.
     */
    uint16_t segments;
    /**
     * Zero.
     */
    uint32_t reserved;
} leon_datagram_out;

/**
 * A frame for the local network, an element of an array. Valid until the callback returns. It has at least
 * `LEON_FRAME_MIN` bytes, and its segment is one that this node serves.
 */
typedef struct leon_frame_out {
    /**
     * The Ethernet frame, from its destination address on, without the frame check sequence.
     */
    const uint8_t *data;
    /**
     * Its length in bytes.
     */
    size_t len;
    /**
     * The segment it belongs to.
     */
    uint32_t segment;
    /**
     * Zero.
     */
    uint32_t reserved;
} leon_frame_out;

/**
 * An instant of the caller's monotonic clock, in nanoseconds since a zero of the caller's choice. All instants
 * given to one engine come from one clock. If one goes back, the earlier one counts instead, and
 * `LEON_COUNTER_TIME_BACK` counts it.
 */
typedef uint64_t leon_time;

/**
 * An Ethernet address, in the order of the wire.
 */
typedef struct leon_mac {
    /**
     * The bytes.
     */
    uint8_t bytes[6];
} leon_mac;

/**
 * A host of one of the networks that leon extends. Equal addresses in two segments, or in two VLANs of one segment,
 * are two hosts. 12 bytes.
 */
typedef struct leon_host_key {
    /**
     * The segment it belongs to, below 2^24.
     */
    uint32_t segment;
    /**
     * The id of the outermost VLAN tag of its frames; 0 if they have none.
     */
    uint16_t vlan;
    /**
     * Its address, a unicast one.
     */
    struct leon_mac mac;
} leon_host_key;

/**
 * Something that happened. What a kind does not speak of is zero. Valid until the callback returns, with all it
 * points to.
 */
typedef struct leon_event {
    /**
     * The size of this struct in the library that fills it in: a later library may have more fields.
     */
    uint32_t struct_size;
    /**
     * One of `LEON_EVENT_*`. Later versions may add more: ignore those you do not know.
     */
    uint32_t kind;
    /**
     * The member it is about.
     */
    struct leon_id member;
    /**
     * Its name, NUL-terminated UTF-8; NULL if the kind has none.
     */
    const char *name;
    /**
     * An address it is about.
     */
    struct leon_address address;
    /**
     * Several addresses.
     */
    const struct leon_address *addresses;
    /**
     * Number of addresses.
     */
    size_t address_count;
    /**
     * A path: relays in order, the destination last.
     */
    const struct leon_id *path;
    /**
     * Number of entries of the path, up to `LEON_PATH_MAX`.
     */
    size_t path_len;
    /**
     * Why; of what kind of reason the event's kind says.
     */
    uint32_t reason;
    /**
     * A host.
     */
    struct leon_host_key host;
    /**
     * The member that it was behind.
     */
    struct leon_id from;
} leon_event;

/**
 * What leon calls. Filled in by the caller, copied by `leon_engine_new`.
 *
 * All of them are called on the thread that called leon, before that call returns, with no lock of leon held;
 * never at any other time. They must return: no longjmp, no exception. What they are given is valid until they
 * return. From inside a callback every function may be called but those that use the same forwarder, which return
 * `LEON_E_REENTRANT`; freeing the engine or the forwarder that is at work takes effect when the call ends.
 *
 * A callback may be called by several threads at once if several threads call leon at once.
 */
typedef struct leon_callbacks {
    /**
     * `sizeof(leon_callbacks)`.
     */
    uint32_t struct_size;
    /**
     * Zero.
     */
    uint32_t reserved;
    /**
     * The first argument of each callback; leon does not look at it. Calls with a forwarder use that of the
     * forwarder instead.
     */
    void *user_data;
    /**
     * Send these datagrams, 1 or more, in this order. What cannot be sent now is best dropped: leon expects of
     * the underlay what IP gives. Required.
     */
    void (*datagrams_out)(void *user_data, const struct leon_datagram_out *datagrams, size_t count);
    /**
     * Deliver these frames, 1 or more, to the local network, in this order. Required.
     */
    void (*frames_out)(void *user_data, const struct leon_frame_out *frames, size_t count);
    /**
     * Call `leon_engine_timer` at `deadline` from now on, or not at all if it is `LEON_TIME_NEVER`: set the timer
     * anew. May be NULL for those who ask `leon_engine_deadline` each turn. Where several threads call, two such
     * callbacks can overtake each other: then ask `leon_engine_deadline` in it.
     */
    void (*deadline_changed)(void *user_data, leon_time deadline);
    /**
     * Something happened. May be NULL.
     */
    void (*event)(void *user_data, const struct leon_event *event);
    /**
     * One line for the log of this engine, NUL-terminated, of `len` bytes: `level` is one of `LEON_LOG_*`; `id` is
     * the `LEON_EVENT_*` it tells of, and stays the same when the words change. May be NULL; then no text is made.
     */
    void (*log)(void *user_data, uint32_t level, uint32_t id, const char *message, size_t len);
} leon_callbacks;

/**
 * A frame from the local network, an element of an array.
 */
typedef struct leon_frame_in {
    /**
     * The Ethernet frame, from its destination address on, without the frame check sequence; or its first piece.
     * Sealed in place: the content is unspecified after the call, unless `flags` says otherwise. The frames of a
     * batch must not overlap.
     */
    uint8_t *data;
    /**
     * Length of `data`, in bytes.
     */
    size_t len;
    /**
     * Further pieces of the frame in order, which are only read; NULL if there are none. A frame in pieces costs
     * a copy.
     */
    const struct leon_iov *rest;
    /**
     * Number of further pieces.
     */
    size_t rest_count;
    /**
     * The segment the frame belongs to, below 2^24.
     */
    uint32_t segment;
    /**
     * `LEON_FRAME_KEEP`, or 0.
     */
    uint32_t flags;
    /**
     * Written by leon: `LEON_COUNTER_NONE` if the frame is on its way, else the number of the counter that says
     * why it was dropped.
     */
    uint32_t dropped;
    /**
     * Zero.
     */
    uint32_t reserved;
} leon_frame_in;

/**
 * What arrived on the socket, an element of an array: one datagram, or several that the kernel has put together
 * (UDP GRO).
 */
typedef struct leon_datagram_in {
    /**
     * The payload. Opened or advanced in place: the content is unspecified after the call.
     */
    uint8_t *data;
    /**
     * Its length in bytes.
     */
    size_t len;
    /**
     * When it arrived, as near to the wire as the caller can tell; 0 means now. Latencies are measured by it.
     */
    leon_time received_at;
    /**
     * Where it came from.
     */
    struct leon_address from;
    /**
     * If not 0, the buffer holds several datagrams of so many bytes each, the last one may be shorter (the
     * `UDP_GRO` control message of Linux).
     */
    uint16_t segment_size;
    /**
     * Zero.
     */
    uint16_t reserved;
    /**
     * Written by leon: `LEON_COUNTER_NONE`, or the number of the counter that says why a datagram in the buffer
     * was dropped, the last one if several were.
     */
    uint32_t dropped;
} leon_datagram_in;

/**
 * An engine as a whole.
 */
typedef struct leon_info {
    /**
     * `sizeof(leon_info)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * The largest MTU of hosts in bytes, as `leon_engine_mtu` says.
     */
    uint32_t mtu;
    /**
     * The node's own identity.
     */
    struct leon_id id;
    /**
     * Its locator.
     */
    struct leon_address locator;
    /**
     * Its incarnation, as configured.
     */
    uint64_t incarnation;
    /**
     * Hash of the live part of the member list: equal lists have equal digests.
     */
    uint64_t list_digest;
    /**
     * Other members that are remembered: alive, failed and left.
     */
    uint64_t members;
    /**
     * Nodes that there is a session with or an attempt at one.
     */
    uint64_t sessions;
    /**
     * Hosts in the FDB.
     */
    uint64_t hosts;
    /**
     * Its name, NUL-terminated.
     */
    char name[LEON_NAME_SIZE];
} leon_info;

/**
 * What a node knows of another member, an element of an array.
 */
typedef struct leon_member {
    /**
     * Its identity.
     */
    struct leon_id id;
    /**
     * Its name, NUL-terminated.
     */
    char name[LEON_NAME_SIZE];
    /**
     * Its locator.
     */
    struct leon_address locator;
    /**
     * Its incarnation.
     */
    uint64_t incarnation;
    /**
     * Smoothed round-trip time of the direct link in nanoseconds; `LEON_UNKNOWN` if the link is down.
     */
    uint64_t rtt_ns;
    /**
     * Mean deviation of it in nanoseconds; `LEON_UNKNOWN` if the link is down.
     */
    uint64_t jitter_ns;
    /**
     * Expected round-trip time over the path that frames take in nanoseconds, relay charges included;
     * `LEON_UNKNOWN` if a link of it is not measured.
     */
    uint64_t path_cost_ns;
    /**
     * Expected round-trip time of the direct path in nanoseconds; `LEON_UNKNOWN` if the link is down.
     */
    uint64_t direct_cost_ns;
    /**
     * One of `LEON_MEMBER_*`.
     */
    uint32_t state;
    /**
     * Share of recent probes that went unanswered, in millionths.
     */
    uint32_t loss_ppm;
    /**
     * The path that frames take: relays in order, the member itself last.
     */
    struct leon_id path[LEON_PATH_MAX];
    /**
     * Number of its entries; 0 unless the member is alive.
     */
    uint32_t path_len;
    /**
     * Zero.
     */
    uint32_t reserved;
} leon_member;

/**
 * One directed entry of the latency database, an element of an array.
 */
typedef struct leon_link {
    /**
     * Who measured.
     */
    struct leon_id from;
    /**
     * To whom.
     */
    struct leon_id to;
    /**
     * Round-trip time averaged over about 3 s in nanoseconds; `LEON_UNKNOWN` if the link is down.
     */
    uint64_t fast_ns;
    /**
     * Round-trip time averaged over about 30 s in nanoseconds; `LEON_UNKNOWN` if the link is down.
     */
    uint64_t slow_ns;
    /**
     * Share of probes lost, in millionths, to 1/255.
     */
    uint32_t loss_ppm;
    /**
     * Zero.
     */
    uint32_t reserved;
} leon_link;

/**
 * One host in the FDB, an element of an array.
 */
typedef struct leon_host {
    /**
     * The member it sits behind, with `LEON_HOST_REMOTE`.
     */
    struct leon_id member;
    /**
     * How long ago it last sent a frame if it was learned, or was announced, in nanoseconds, to the second.
     */
    uint64_t age_ns;
    /**
     * Which host.
     */
    struct leon_host_key key;
    /**
     * One of `LEON_HOST_*`.
     */
    uint32_t place;
    /**
     * How the node came to know that: one of `LEON_ORIGIN_*`.
     */
    uint32_t origin;
    /**
     * Zero.
     */
    uint32_t reserved;
} leon_host;

/**
 * What there is to say about the paths to a member as a whole.
 */
typedef struct leon_explanation {
    /**
     * `sizeof(leon_explanation)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * The member's state, one of `LEON_MEMBER_*`.
     */
    uint32_t state;
    /**
     * Why the path was last changed, one of `LEON_CAUSE_*`; 0 if none was chosen yet.
     */
    uint32_t cause;
    /**
     * Number of entries of `former`; 0 if there was none.
     */
    uint32_t former_len;
    /**
     * How long ago the path was last changed, in nanoseconds; `LEON_UNKNOWN` if none was chosen yet.
     */
    uint64_t age_ns;
    /**
     * The path before: relays in order, the member last.
     */
    struct leon_id former[LEON_PATH_MAX];
} leon_explanation;

/**
 * One link of a candidate.
 */
typedef struct leon_path_link {
    /**
     * Round-trip time averaged over about 3 s in nanoseconds; `LEON_UNKNOWN` unless up.
     */
    uint64_t fast_ns;
    /**
     * Round-trip time averaged over about 30 s in nanoseconds; `LEON_UNKNOWN` unless up.
     */
    uint64_t slow_ns;
    /**
     * What the loss of its probes adds to the cost, in nanoseconds.
     */
    uint64_t loss_charge_ns;
    /**
     * What its jitter adds to the cost on the fast estimate, in nanoseconds.
     */
    uint64_t jitter_charge_ns;
    /**
     * What makes the cost that of its direction, in nanoseconds; may be negative.
     */
    int64_t skew_ns;
    /**
     * How long ago this node's own last probe was answered, in nanoseconds; `LEON_UNKNOWN` if none was, and for
     * links between others.
     */
    uint64_t age_ns;
    /**
     * How many of this node's own probes were answered since the link last came up; 0 for links between others.
     */
    uint32_t samples;
    /**
     * One of `LEON_LINK_*`.
     */
    uint32_t state;
} leon_path_link;

/**
 * A path that frames take or could take, an element of an array.
 */
typedef struct leon_candidate {
    /**
     * The relays in order, the member last.
     */
    struct leon_id path[LEON_PATH_MAX];
    /**
     * Its links from this node on, as many as the path has entries.
     */
    struct leon_path_link links[LEON_PATH_MAX];
    /**
     * The cost on the fast estimate in nanoseconds: round-trip times, charges for loss, charge for relays;
     * `LEON_UNKNOWN` if a link is not up.
     */
    uint64_t fast_cost_ns;
    /**
     * The cost on the slow estimate in nanoseconds; `LEON_UNKNOWN` if a link is not up.
     */
    uint64_t slow_cost_ns;
    /**
     * What all its relays are charged with, part of both costs, in nanoseconds.
     */
    uint64_t relay_charge_ns;
    /**
     * What the operator adds for its relays and links, part of both costs, in nanoseconds.
     */
    uint64_t price_ns;
    /**
     * What is held against it for having done badly lately, on top of both costs, in nanoseconds.
     */
    uint64_t penalty_ns;
    /**
     * How much less it would have to cost on both estimates for frames to take it, in nanoseconds; `LEON_UNKNOWN` if
     * they do or will, or a link is not up.
     */
    uint64_t gap_ns;
    /**
     * Number of entries of the path.
     */
    uint32_t path_len;
    /**
     * Why frames take it, or why not: one of `LEON_VERDICT_*`.
     */
    uint32_t verdict;
    /**
     * The estimate that the verdict speaks of, one of `LEON_ESTIMATE_*`; 0 if it speaks of none.
     */
    uint32_t estimate;
    /**
     * 1 if frames take it at once when the chosen path fails, else 0.
     */
    uint32_t is_backup;
} leon_candidate;

/**
 * The beginning of an Ethernet frame.
 */
typedef struct leon_frame_info {
    /**
     * `sizeof(leon_frame_info)`, set by the caller.
     */
    uint32_t struct_size;
    /**
     * Where the payload begins, in bytes.
     */
    uint32_t payload;
    /**
     * The destination.
     */
    struct leon_mac destination;
    /**
     * The source.
     */
    struct leon_mac source;
    /**
     * Id of the outermost VLAN tag (IEEE 802.1Q or 802.1ad), 1 to 4094; 0 if there is none.
     */
    uint16_t vlan;
    /**
     * The type of what follows the addresses and tags, or the length of an IEEE 802.3 frame.
     */
    uint16_t ethertype;
} leon_frame_info;

/**
 * Done.
 */
#define LEON_OK 0

/**
 * A pointer is NULL that must not be.
 */
#define LEON_E_NULL (-1)

/**
 * A pointer is not aligned for what it points to, or a count is larger than any memory.
 */
#define LEON_E_POINTER (-2)

/**
 * A handle is no handle of this kind, or has been freed.
 */
#define LEON_E_HANDLE (-3)

/**
 * Another thread is using this forwarder.
 */
#define LEON_E_BUSY (-4)

/**
 * The call was made from inside a callback of the same forwarder, which is still at work.
 */
#define LEON_E_REENTRANT (-5)

/**
 * The engine has been freed; its forwarder can only be freed too.
 */
#define LEON_E_CLOSED (-6)

/**
 * A panic has stopped this call: a bug in leon, please report it. From now on all calls with this engine return
 * `LEON_E_POISONED`.
 */
#define LEON_E_PANIC (-7)

/**
 * An earlier call with this engine has returned `LEON_E_PANIC`: it can only be freed.
 */
#define LEON_E_POISONED (-8)

/**
 * The header this program was compiled with has another ABI number than the library.
 */
#define LEON_E_ABI (-9)

/**
 * A `struct_size` is smaller than that of the first version of the struct, or absurdly large.
 */
#define LEON_E_SIZE (-10)

/**
 * The caller asks for something this version of the library does not know: a field beyond its own struct is not
 * zero, a reserved field is not zero, or a flag or a constant is unknown.
 */
#define LEON_E_UNSUPPORTED (-11)

/**
 * The configuration is wrong; the text says what and where.
 */
#define LEON_E_CONFIG (-12)

/**
 * An address is neither IPv4 nor IPv6.
 */
#define LEON_E_ADDRESS (-13)

/**
 * A text is not UTF-8, or is not what it should be: a key, an address, a number.
 */
#define LEON_E_TEXT (-14)

/**
 * The caller's memory is too small for the answer, and holds the beginning of it. The count says how much is needed.
 */
#define LEON_E_SPACE (-15)

/**
 * No such member, or no such segment at this node.
 */
#define LEON_E_NOT_FOUND (-16)

/**
 * A value is out of its range; the text says which.
 */
#define LEON_E_RANGE (-17)

/**
 * A callback that leon cannot do without is NULL.
 */
#define LEON_E_CALLBACK (-18)

/**
 * No memory, or no more handles: at most 4096 engines and 4096 forwarders in one process. The call has changed
 * nothing; the same call can be made again, and succeeds when there is memory. What frames and datagrams need is
 * allocated when engine and forwarder are made.
 */
#define LEON_E_NOMEM (-19)

/**
 * More bytes are needed before there is an answer.
 */
#define LEON_E_AGAIN (-20)

/**
 * The process has forked since the engine was made: to go on in the child would use nonces twice. The child
 * can only free it.
 */
#define LEON_E_FORKED (-21)

/**
 * The host cannot be announced: this node announces as many as it may, or another member has used the last
 * sequence number for it; the text says which.
 */
#define LEON_E_HOST_LIMIT (-22)

/**
 * A deadline that never comes.
 */
#define LEON_TIME_NEVER 18446744073709551615ull

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * A short sentence in English for a status; never NULL.
 *
 * @param status any number; an unknown one has a sentence too
 * @return a NUL-terminated string that is valid as long as the library is loaded; not to be freed
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership the library keeps the string
 * @errors none
 * @since 0.1
 */
const char *leon_strerror(leon_status status);

/**
 * Makes an engine that has not joined yet. To be called through the macro `leon_engine_new`, which fills in `abi`.
 *
 * @param abi        `LEON_ABI_VERSION` of the header that the caller was compiled with
 * @param config     what the node is to be
 * @param callbacks  what leon shall call
 * @param now        the caller's clock
 * @param engine     receives the handle; unchanged if the call fails
 * @param error      NULL, or room for a sentence that says what is wrong and where, NUL-terminated, cut if it is
 *                   too long; empty after success
 * @param error_size its size in bytes
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership leon copies what it is given; the caller frees the engine with `leon_engine_free`. `user_data` is to
 *            outlive the engine and its forwarders
 * @errors LEON_E_ABI, LEON_E_NULL, LEON_E_SIZE, LEON_E_UNSUPPORTED, LEON_E_CALLBACK, LEON_E_CONFIG, LEON_E_RANGE,
 *         LEON_E_ADDRESS, LEON_E_TEXT, LEON_E_POINTER, LEON_E_NOMEM, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_new_abi(uint32_t abi,
                                const struct leon_config *config,
                                const struct leon_callbacks *callbacks,
                                leon_time now,
                                struct leon_engine **engine,
                                char *error,
                                size_t error_size);

/**
 * Frees an engine. Tells the mesh nothing: see `leon_engine_leave`. A call that is under way on another thread or
 * further down this one's stack ends as usual, and the engine is gone after it. Its forwarders are to be freed
 * too; all else with them returns `LEON_E_CLOSED`.
 *
 * @param engine the engine; NULL does nothing
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback; takes effect when the calls under way end
 * @ownership the handle is not to be used any more, and returns `LEON_E_HANDLE` if it is
 * @errors LEON_E_HANDLE, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_free(struct leon_engine *engine);

/**
 * Starts to join: fetches the list from a seed, then tells every member. Does nothing after the first time.
 *
 * @param engine the engine
 * @param now    the caller's clock
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback; runs callbacks
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_join(struct leon_engine *engine,
                             leon_time now);

/**
 * Leaves: says so to every member, a few times while `leon_engine_timer` is still called until the deadline is
 * `LEON_TIME_NEVER`, which takes a fraction of a second.
 *
 * @param engine the engine
 * @param now    the caller's clock
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback; runs callbacks
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_leave(struct leon_engine *engine,
                              leon_time now);

/**
 * Does what is due. To be called at or soon after the deadline; calls before it do no harm.
 *
 * @param engine the engine
 * @param now    the caller's clock
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback; runs callbacks
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_timer(struct leon_engine *engine,
                              leon_time now);

/**
 * When `leon_engine_timer` is to be called next.
 *
 * @param engine the engine
 * @return the instant on the caller's clock; `LEON_TIME_NEVER` if there is none, or if the handle is wrong
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors none
 * @since 0.1
 */
leon_time leon_engine_deadline(const struct leon_engine *engine);

/**
 * Replaces the addresses of members to fetch the list from, as after their names were resolved anew. If they differ
 * from the former ones they are asked at once; members stay members. A node that had none and has met nobody begins
 * to join.
 *
 * @param engine the engine
 * @param seeds  the addresses; the node's own among them is ignored
 * @param count  how many; may be 0
 * @param now    the caller's clock
 * @return `LEON_OK`; `LEON_E_CONFIG` if one has no address or no port, and then nothing changes; or another error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback; runs callbacks
 * @ownership leon copies the list
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_ADDRESS, LEON_E_CONFIG, LEON_E_RANGE, LEON_E_NOMEM,
 *         LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_set_seeds(struct leon_engine *engine,
                                  const struct leon_address *seeds,
                                  size_t count,
                                  leon_time now);

/**
 * Replaces the list of nodes that may be members. The sessions with members that are not on it end at once.
 * Does nothing with `LEON_SECURITY_NONE`.
 *
 * @param engine  the engine
 * @param allowed the identities; NULL lets every holder of the network key in
 * @param count   how many; 0 with `allowed` not NULL lets nobody in
 * @param now     the caller's clock
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback; runs callbacks
 * @ownership leon copies the list
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED,
 *         LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_set_allowed(struct leon_engine *engine,
                                    const struct leon_id *allowed,
                                    size_t count,
                                    leon_time now);

/**
 * Replaces what this node's paths are to be, whatever the latencies: pins, relays and links to avoid, and prices. It
 * counts at once, and others know nothing of it; `leon_engine_explain` shows what has come of it.
 *
 * @param engine the engine
 * @param format `LEON_FORMAT_TOML` or `LEON_FORMAT_JSON`
 * @param text   the fields `pins`, `avoid` and `prices_us` of docs/config.md, UTF-8; one that is not set is empty, so
 *               that an empty text in TOML asks for nothing in particular
 * @param len    its length in bytes; may be 0
 * @param now    the caller's clock
 * @return `LEON_OK`; `LEON_E_CONFIG` if the text is no policy, and `leon_engine_last_error` says what is wrong and
 *         where; or another error. After an error the former policy stays
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback; runs callbacks
 * @ownership leon copies the text
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_UNSUPPORTED, LEON_E_TEXT, LEON_E_CONFIG, LEON_E_RANGE,
 *         LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_set_policy(struct leon_engine *engine,
                                   uint32_t format,
                                   const char *text,
                                   size_t len,
                                   leon_time now);

/**
 * Tells all members that a host is on the local network, for those who know: a virtual machine has started here, or
 * has come from elsewhere. Frames for the host then come here without one having been heard of it, and it is not
 * forgotten when it is silent. It stays announced until it is withdrawn or this node leaves; where several nodes
 * announce it, the latest announcement counts.
 *
 * @param engine the engine
 * @param host   the host
 * @param now    the caller's clock
 * @return `LEON_OK`; `LEON_E_RANGE` if no host can be such; `LEON_E_NOT_FOUND` if this node does not serve its segment;
 *         or another error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback; runs callbacks
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_RANGE, LEON_E_NOT_FOUND, LEON_E_HOST_LIMIT, LEON_E_NOMEM,
 *         LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_announce_host(struct leon_engine *engine,
                                      const struct leon_host_key *host,
                                      leon_time now);

/**
 * Takes back what `leon_engine_announce_host` said: the host has stopped, or has gone elsewhere. Members that still
 * have it here forget it. Does nothing if it is not announced here.
 *
 * @param engine the engine
 * @param host   the host
 * @param now    the caller's clock
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback; runs callbacks
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_withdraw_host(struct leon_engine *engine,
                                      const struct leon_host_key *host,
                                      leon_time now);

/**
 * The largest MTU that the hosts of the local network may have so that each of their frames fits the underlay,
 * whatever path it takes: up to four hops to locators of this node's version of IP, and one VLAN tag.
 *
 * @param engine the engine
 * @return the MTU in bytes; 0 if the handle is wrong
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors none
 * @since 0.1
 */
uint32_t leon_engine_mtu(const struct leon_engine *engine);

/**
 * The sentence about the last error of a call with this engine, or with a forwarder of it, where the status does
 * not say all. Threads that share an engine share it.
 *
 * @param engine   the engine
 * @param text     room for the sentence, NUL-terminated, cut if it is too long
 * @param capacity its size in bytes
 * @param len      NULL, or receives the length of the whole sentence without the NUL
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_FORKED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_last_error(const struct leon_engine *engine,
                                   char *text,
                                   size_t capacity,
                                   size_t *len);

/**
 * The version of the library.
 *
 * @return a NUL-terminated string as in "0.1.0"; valid as long as the library is loaded; not to be freed
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership the library keeps the string
 * @errors none
 * @since 0.1
 */
const char *leon_version(void);

/**
 * The ABI number of the library; compare it with `LEON_ABI_VERSION`.
 *
 * @return the number
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors none
 * @since 0.1
 */
uint32_t leon_abi_version(void);

/**
 * Makes a forwarder: the way for one thread to hand in frames and datagrams. Threads with a forwarder each do not
 * wait for each other. Frames of one flow stay in order if they go through one forwarder.
 *
 * @param engine    the engine
 * @param user_data the first argument of the callbacks that calls with this forwarder make
 * @param forwarder receives the handle; unchanged if the call fails
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership the caller frees the forwarder with `leon_forwarder_free`. `user_data` is to outlive it
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_forwarder_new(struct leon_engine *engine,
                               void *user_data,
                               struct leon_forwarder **forwarder);

/**
 * Frees a forwarder. If a call with it is under way, on another thread or further down this one's stack, it ends
 * as usual, and the forwarder is gone after it. What it has counted stays counted.
 *
 * @param forwarder the forwarder; NULL does nothing
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback; takes effect when the call under way ends
 * @ownership the handle is not to be used any more, and returns `LEON_E_HANDLE` if it is
 * @errors LEON_E_HANDLE, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_forwarder_free(struct leon_forwarder *forwarder);

/**
 * Takes one frame from the local network and puts out the datagrams that carry it. Costs less per frame in
 * batches: see `leon_forwarder_frames_in`.
 *
 * @param forwarder the forwarder
 * @param now       the caller's clock
 * @param frame     the frame; `dropped` is written
 * @return `LEON_OK` if the frame was looked at, dropped or not; or the error
 * @thread one thread at a time for each forwarder; another gets LEON_E_BUSY
 * @reentrancy not from inside a callback of the same forwarder: LEON_E_REENTRANT; runs callbacks
 * @ownership the frame's memory is the caller's again when the call returns
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_RANGE, LEON_E_UNSUPPORTED, LEON_E_BUSY,
 *         LEON_E_REENTRANT, LEON_E_CLOSED, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_forwarder_frame_in(struct leon_forwarder *forwarder,
                                    leon_time now,
                                    struct leon_frame_in *frame);

/**
 * Takes frames from the local network, in order, and puts out the datagrams that carry them, in batches.
 *
 * Stops at the first frame that is no frame at all: with a NULL, a flag or a segment that cannot be. A frame that
 * is dropped, as hosts may send what they like, stops nothing: its `dropped` says why.
 *
 * @param forwarder the forwarder
 * @param now       the caller's clock
 * @param frames    the frames; `dropped` of each is written
 * @param count     how many
 * @param done      NULL, or receives how many were looked at, whatever the call returns
 * @return `LEON_OK` if all were looked at; or the error of the first that was not
 * @thread one thread at a time for each forwarder; another gets LEON_E_BUSY
 * @reentrancy not from inside a callback of the same forwarder: LEON_E_REENTRANT; runs callbacks
 * @ownership the frames' memory is the caller's again when the call returns
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_RANGE, LEON_E_UNSUPPORTED, LEON_E_BUSY,
 *         LEON_E_REENTRANT, LEON_E_CLOSED, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_forwarder_frames_in(struct leon_forwarder *forwarder,
                                     leon_time now,
                                     struct leon_frame_in *frames,
                                     size_t count,
                                     size_t *done);

/**
 * Takes one datagram from the socket, or one buffer of several: relays it, delivers the frame in it, or does what
 * the message in it asks. Costs less per datagram in batches: see `leon_forwarder_datagrams_in`.
 *
 * @param forwarder the forwarder
 * @param now       the caller's clock
 * @param datagram  the datagram; `dropped` is written
 * @return `LEON_OK` if the datagram was looked at, dropped or not; or the error
 * @thread one thread at a time for each forwarder; another gets LEON_E_BUSY
 * @reentrancy not from inside a callback of the same forwarder: LEON_E_REENTRANT; runs callbacks
 * @ownership the datagram's memory is the caller's again when the call returns
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_RANGE, LEON_E_UNSUPPORTED, LEON_E_ADDRESS,
 *         LEON_E_BUSY, LEON_E_REENTRANT, LEON_E_CLOSED, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_forwarder_datagram_in(struct leon_forwarder *forwarder,
                                       leon_time now,
                                       struct leon_datagram_in *datagram);

/**
 * Takes datagrams from the socket, in order. Stops at the first that is no datagram at all: with a NULL, or an
 * address that cannot be. One that is dropped, as anybody may send what they like, stops nothing: its `dropped`
 * says why.
 *
 * @param forwarder the forwarder
 * @param now       the caller's clock
 * @param datagrams the datagrams, or buffers of several; `dropped` of each is written
 * @param count     how many
 * @param done      NULL, or receives how many were looked at, whatever the call returns
 * @return `LEON_OK` if all were looked at; or the error of the first that was not
 * @thread one thread at a time for each forwarder; another gets LEON_E_BUSY
 * @reentrancy not from inside a callback of the same forwarder: LEON_E_REENTRANT; runs callbacks
 * @ownership the datagrams' memory is the caller's again when the call returns
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_RANGE, LEON_E_UNSUPPORTED, LEON_E_ADDRESS,
 *         LEON_E_BUSY, LEON_E_REENTRANT, LEON_E_CLOSED, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_forwarder_datagrams_in(struct leon_forwarder *forwarder,
                                        leon_time now,
                                        struct leon_datagram_in *datagrams,
                                        size_t count,
                                        size_t *done);

/**
 * Tells about an engine as a whole.
 *
 * @param engine the engine
 * @param now    the caller's clock
 * @param info   receives the answer; its `struct_size` must be set
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_SIZE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED,
 *         LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_info(const struct leon_engine *engine,
                             leon_time now,
                             struct leon_info *info);

/**
 * Lists the other members, by identity: live, failed, and left until they are forgotten.
 *
 * @param engine   the engine
 * @param now      the caller's clock
 * @param members  room for the answer; NULL with a capacity of 0 to ask for the count
 * @param capacity for how many members there is room
 * @param count    receives how many there are
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED,
 *         LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_members(const struct leon_engine *engine,
                                leon_time now,
                                struct leon_member *members,
                                size_t capacity,
                                size_t *count);

/**
 * Lists the latency database: an entry for each link between live members that somebody measures, by `from` and
 * `to`.
 *
 * @param engine   the engine
 * @param now      the caller's clock
 * @param links    room for the answer; NULL with a capacity of 0 to ask for the count
 * @param capacity for how many links there is room
 * @param count    receives how many there are
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED,
 *         LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_links(const struct leon_engine *engine,
                              leon_time now,
                              struct leon_link *links,
                              size_t capacity,
                              size_t *count);

/**
 * Lists the hosts that the FDB knows, in no particular order.
 *
 * @param engine   the engine
 * @param now      the caller's clock
 * @param hosts    room for the answer; NULL with a capacity of 0 to ask for the count
 * @param capacity for how many hosts there is room
 * @param count    receives how many there are
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED,
 *         LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_hosts(const struct leon_engine *engine,
                              leon_time now,
                              struct leon_host *hosts,
                              size_t capacity,
                              size_t *count);

/**
 * Tells what has been counted, over all forwarders: element N is the value of the counter with number N, one of
 * `LEON_COUNTER_*`; element 0 is 0.
 *
 * @param engine   the engine
 * @param now      the caller's clock
 * @param values   room for the answer; NULL with a capacity of 0 to ask for the count
 * @param capacity for how many values there is room, such as `LEON_COUNTER_COUNT`
 * @param count    receives how many there are; a later library may have more than the header knows
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED,
 *         LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_counters(const struct leon_engine *engine,
                                 leon_time now,
                                 uint64_t *values,
                                 size_t capacity,
                                 size_t *count);

/**
 * Tells why frames for a member take the path they take, by the latencies of this moment: the chosen path, the
 * direct one, and the best others, the lowest first. Has no effect.
 *
 * @param engine      the engine
 * @param to          the member
 * @param now         the caller's clock
 * @param explanation NULL, or receives what there is to say as a whole; its `struct_size` must be set
 * @param candidates  room for the candidates; NULL with a capacity of 0 to ask for the count
 * @param capacity    for how many candidates there is room
 * @param count       receives how many there are
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SIZE, LEON_E_SPACE, LEON_E_NOT_FOUND, LEON_E_RANGE,
 *         LEON_E_NOMEM, LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_explain(const struct leon_engine *engine,
                                const struct leon_id *to,
                                leon_time now,
                                struct leon_explanation *explanation,
                                struct leon_candidate *candidates,
                                size_t capacity,
                                size_t *count);

/**
 * Writes the same as `leon_engine_explain` tells, as one JSON object, by the schema of docs/snapshot.md.
 *
 * @param engine   the engine
 * @param to       the member
 * @param now      the caller's clock
 * @param text     room for the text, NUL-terminated, cut if it is too long
 * @param capacity its size in bytes
 * @param len      NULL, or receives the length of the whole text without the NUL
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_NOT_FOUND, LEON_E_RANGE, LEON_E_NOMEM,
 *         LEON_E_FORKED, LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_explain_json(const struct leon_engine *engine,
                                     const struct leon_id *to,
                                     leon_time now,
                                     char *text,
                                     size_t capacity,
                                     size_t *len);

/**
 * Writes the whole state of an engine as one JSON object, by the schema of docs/snapshot.md: members, paths,
 * latencies, FDB, counters. No keys are in it.
 *
 * @param engine   the engine
 * @param now      the caller's clock
 * @param text     room for the text, NUL-terminated, cut if it is too long
 * @param capacity its size in bytes
 * @param len      NULL, or receives the length of the whole text without the NUL
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_HANDLE, LEON_E_POINTER, LEON_E_SPACE, LEON_E_RANGE, LEON_E_NOMEM, LEON_E_FORKED,
 *         LEON_E_POISONED, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_engine_snapshot_json(const struct leon_engine *engine,
                                      leon_time now,
                                      char *text,
                                      size_t capacity,
                                      size_t *len);

/**
 * The name under which tools show a counter: lower case with underscores; those of what was dropped begin with
 * "drop_".
 *
 * @param counter the number, one of `LEON_COUNTER_*`
 * @return a NUL-terminated string that is valid as long as the library is loaded; NULL if there is no such counter
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership the library keeps the string
 * @errors none
 * @since 0.1
 */
const char *leon_counter_name(uint32_t counter);

/**
 * Derives a node's identity, its public key, from its secret key. Any 32 random bytes are a secret key.
 *
 * @param secret the secret key
 * @param id     receives the identity
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_NOMEM, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_id_from_key(const struct leon_key *secret, struct leon_id *id);

/**
 * Reads a key, secret or of the network, from 44 characters of base64, as `leond keygen` and `wg genkey` write
 * them.
 *
 * @param text a NUL-terminated text; white space at its end is ignored
 * @param key  receives the key
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_TEXT, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_key_from_text(const char *text,
                               struct leon_key *key);

/**
 * Writes a key in 44 characters of base64.
 *
 * @param key      the key
 * @param text     room for the text, NUL-terminated; nothing is written if it is too small
 * @param capacity its size in bytes; `LEON_KEY_TEXT_SIZE` is enough
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_POINTER, LEON_E_SPACE, LEON_E_NOMEM, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_key_to_text(const struct leon_key *key, char *text, size_t capacity);

/**
 * Reads an identity from 44 characters of base64, as `leond pubkey` writes them.
 *
 * @param text a NUL-terminated text; white space at its end is ignored
 * @param id   receives the identity
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_TEXT, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_id_from_text(const char *text, struct leon_id *id);

/**
 * Writes an identity in 44 characters of base64.
 *
 * @param id       the identity
 * @param text     room for the text, NUL-terminated
 * @param capacity its size in bytes; `LEON_KEY_TEXT_SIZE` is enough
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_POINTER, LEON_E_SPACE, LEON_E_NOMEM, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_id_to_text(const struct leon_id *id, char *text, size_t capacity);

/**
 * Reads an address and a port, as in `192.0.2.1:4789` and `[2001:db8::1]:4789`.
 *
 * @param text    a NUL-terminated text
 * @param address receives the address
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_TEXT, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_address_from_text(const char *text, struct leon_address *address);

/**
 * Writes an address and its port, as `leon_address_from_text` reads them.
 *
 * @param address  the address
 * @param text     room for the text, NUL-terminated
 * @param capacity its size in bytes; `LEON_ADDRESS_TEXT_SIZE` is enough
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_ADDRESS, LEON_E_POINTER, LEON_E_SPACE, LEON_E_NOMEM, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_address_to_text(const struct leon_address *address, char *text, size_t capacity);

/**
 * Writes what stands before a frame in a stream: its length in four bytes, the highest first, as `-netdev stream`
 * of QEMU, passt and libkrun speak.
 *
 * @param frame_len length of the frame in bytes, `LEON_FRAME_MIN` to `LEON_STREAM_MAX`
 * @param header    receives `LEON_STREAM_HEADER` bytes
 * @return `LEON_OK`, or the error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_NULL, LEON_E_RANGE, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_stream_encode(size_t frame_len,
                               uint8_t *header);

/**
 * Finds the first frame of what was read from a stream. It begins `LEON_STREAM_HEADER` bytes after `data`, the next
 * one `frame_len` bytes later.
 *
 * @param data      what was read and not used yet
 * @param len       its length in bytes
 * @param frame_len receives the length of the frame; with `LEON_E_AGAIN`, how many bytes of `data` it takes to go
 *                  on
 * @return `LEON_OK` if the frame is there, `LEON_E_AGAIN` if more must be read, `LEON_E_RANGE` if the length cannot
 *         be: then the stream is of no use any more; or another error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_AGAIN, LEON_E_RANGE, LEON_E_NULL, LEON_E_POINTER, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_stream_decode(const uint8_t *data,
                               size_t len,
                               size_t *frame_len);

/**
 * Looks into an Ethernet frame.
 *
 * @param data the frame, from its destination address on
 * @param len  its length in bytes
 * @param info receives what was found; its `struct_size` must be set
 * @return `LEON_OK`; `LEON_E_RANGE` if the frame ends too early; or another error
 * @thread any thread, at any time
 * @reentrancy may be called from inside a callback
 * @ownership none passes
 * @errors LEON_E_RANGE, LEON_E_NULL, LEON_E_POINTER, LEON_E_SIZE, LEON_E_PANIC
 * @since 0.1
 */
leon_status leon_frame_parse(const uint8_t *data, size_t len, struct leon_frame_info *info);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* LEON_H */

/** Makes an engine: `leon_engine_new_abi` with the ABI number of this header. */
#define leon_engine_new(config, callbacks, now, engine, error, error_size) \
    leon_engine_new_abi(LEON_ABI_VERSION, (config), (callbacks), (now), (engine), (error), (error_size))

#if defined(__cplusplus)
#define LEON_STATIC_ASSERT(condition, text) static_assert(condition, text)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define LEON_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#else
#define LEON_STATIC_ASSERT(condition, text) extern int leon_static_assert[(condition) ? 1 : -1]
#endif

#if UINTPTR_MAX == 0xffffffffffffffff
LEON_STATIC_ASSERT(sizeof(leon_id) == 32, "size of leon_id");
LEON_STATIC_ASSERT(offsetof(leon_id, bytes) == 0, "layout of leon_id");
LEON_STATIC_ASSERT(sizeof(leon_key) == 32, "size of leon_key");
LEON_STATIC_ASSERT(offsetof(leon_key, bytes) == 0, "layout of leon_key");
LEON_STATIC_ASSERT(sizeof(leon_mac) == 6, "size of leon_mac");
LEON_STATIC_ASSERT(offsetof(leon_mac, bytes) == 0, "layout of leon_mac");
LEON_STATIC_ASSERT(sizeof(leon_address) == 24, "size of leon_address");
LEON_STATIC_ASSERT(offsetof(leon_address, scope_id) == 20, "layout of leon_address");
LEON_STATIC_ASSERT(sizeof(leon_iov) == 16, "size of leon_iov");
LEON_STATIC_ASSERT(offsetof(leon_iov, len) == 8, "layout of leon_iov");
LEON_STATIC_ASSERT(sizeof(leon_frame_in) == 48, "size of leon_frame_in");
LEON_STATIC_ASSERT(offsetof(leon_frame_in, reserved) == 44, "layout of leon_frame_in");
LEON_STATIC_ASSERT(sizeof(leon_frame_out) == 24, "size of leon_frame_out");
LEON_STATIC_ASSERT(offsetof(leon_frame_out, reserved) == 20, "layout of leon_frame_out");
LEON_STATIC_ASSERT(sizeof(leon_datagram_in) == 56, "size of leon_datagram_in");
LEON_STATIC_ASSERT(offsetof(leon_datagram_in, dropped) == 52, "layout of leon_datagram_in");
LEON_STATIC_ASSERT(sizeof(leon_datagram_out) == 56, "size of leon_datagram_out");
LEON_STATIC_ASSERT(offsetof(leon_datagram_out, reserved) == 52, "layout of leon_datagram_out");
LEON_STATIC_ASSERT(sizeof(leon_callbacks) == 56, "size of leon_callbacks");
LEON_STATIC_ASSERT(offsetof(leon_callbacks, log) == 48, "layout of leon_callbacks");
LEON_STATIC_ASSERT(sizeof(leon_config) == 192, "size of leon_config");
LEON_STATIC_ASSERT(offsetof(leon_config, flood_limit) == 188, "layout of leon_config");
LEON_STATIC_ASSERT(sizeof(leon_event) == 152, "size of leon_event");
LEON_STATIC_ASSERT(offsetof(leon_event, from) == 120, "layout of leon_event");
LEON_STATIC_ASSERT(sizeof(leon_info) == 168, "size of leon_info");
LEON_STATIC_ASSERT(offsetof(leon_info, name) == 104, "layout of leon_info");
LEON_STATIC_ASSERT(sizeof(leon_member) == 304, "size of leon_member");
LEON_STATIC_ASSERT(offsetof(leon_member, reserved) == 300, "layout of leon_member");
LEON_STATIC_ASSERT(sizeof(leon_link) == 88, "size of leon_link");
LEON_STATIC_ASSERT(offsetof(leon_link, reserved) == 84, "layout of leon_link");
LEON_STATIC_ASSERT(sizeof(leon_host_key) == 12, "size of leon_host_key");
LEON_STATIC_ASSERT(offsetof(leon_host_key, mac) == 6, "layout of leon_host_key");
LEON_STATIC_ASSERT(sizeof(leon_host) == 64, "size of leon_host");
LEON_STATIC_ASSERT(offsetof(leon_host, reserved) == 60, "layout of leon_host");
LEON_STATIC_ASSERT(sizeof(leon_explanation) == 152, "size of leon_explanation");
LEON_STATIC_ASSERT(offsetof(leon_explanation, former) == 24, "layout of leon_explanation");
LEON_STATIC_ASSERT(sizeof(leon_path_link) == 56, "size of leon_path_link");
LEON_STATIC_ASSERT(offsetof(leon_path_link, state) == 52, "layout of leon_path_link");
LEON_STATIC_ASSERT(sizeof(leon_candidate) == 416, "size of leon_candidate");
LEON_STATIC_ASSERT(offsetof(leon_candidate, is_backup) == 412, "layout of leon_candidate");
LEON_STATIC_ASSERT(sizeof(leon_frame_info) == 24, "size of leon_frame_info");
LEON_STATIC_ASSERT(offsetof(leon_frame_info, ethertype) == 22, "layout of leon_frame_info");
#endif
