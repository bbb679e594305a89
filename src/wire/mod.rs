//! Bytes on the wire and the values they stand for. No state, no I/O, no panics on any input.
//!
//! Every datagram of leon, data and control alike, has this shape, big-endian throughout:
//!
//! ```text
//! common  20 bytes  version 4 bit, type 4 | hops 4, index 4 | flags 8 | epoch 8 | source 64 | counter 64
//! path    hops x    address 32 or 128, port 16, hop tag 64          relays in order, the destination last
//! sealed            kind 8, segment 24 | frame or control message | tag 128
//! ```
//!
//! * `index` names the path's current entry: the node the datagram is on its way to. It only grows.
//! * Bit *i* of `flags` says that entry *i* holds an IPv6 address; the upper four bits are zero.
//! * `epoch` tells the key a datagram is sealed with. Without sealing it tells the sender's lives apart.
//! * `counter` numbers the datagrams from one sender to one receiver, for the replay window.
//! * With [`Security::None`](crate::Security::None) all tags are zero.

use core::net::IpAddr;

use crate::config::MAX_HOPS;

pub(crate) mod codec;
pub(crate) mod control;
pub(crate) mod ethernet;
pub(crate) mod handshake;
pub(crate) mod header;
pub(crate) mod hosts;
pub(crate) mod latency;
pub(crate) mod path_probe;
pub(crate) mod record;

/// Version of the wire format, in the first nibble of every datagram.
pub(crate) const VERSION: u8 = 1;
/// Type of a datagram that carries a frame or a control message in a session.
pub(crate) const TYPE_TRANSPORT: u8 = 1;
/// Type of a datagram that asks who is at an address.
pub(crate) const TYPE_HELLO: u8 = 2;
/// Type of the answer to it, and to an initiation whose sender has to prove its address.
pub(crate) const TYPE_CHALLENGE: u8 = 3;
/// Type of the first message of a handshake.
pub(crate) const TYPE_INITIATION: u8 = 4;
/// Type of the second one.
pub(crate) const TYPE_RESPONSE: u8 = 5;

/// Length of the common header.
pub(crate) const COMMON_LEN: usize = 20;
/// Length of a path entry with an IPv4 address.
pub(crate) const ENTRY_V4_LEN: usize = 14;
/// Length of a path entry with an IPv6 address.
pub(crate) const ENTRY_V6_LEN: usize = 26;
/// Length of kind and segment, in front of the sealed content.
pub(crate) const SEALED_PREFIX_LEN: usize = 4;
/// Length of the AEAD tag at the end.
pub(crate) const TAG_LEN: usize = 16;

/// The sealed part holds an Ethernet frame.
pub(crate) const KIND_FRAME: u8 = 1;
/// The sealed part holds a control message.
pub(crate) const KIND_CONTROL: u8 = 2;
/// The sealed part holds an Ethernet frame that is sealed once for many receivers, with AES-256-GCM.
pub(crate) const KIND_SHARED_AES_256_GCM: u8 = 3;
/// The sealed part holds an Ethernet frame that is sealed once for many receivers, with ChaCha20-Poly1305.
pub(crate) const KIND_SHARED_CHACHA20_POLY1305: u8 = 4;

/// Length of the UDP header (RFC 768).
const UDP_LEN: usize = 8;

/// Bytes that the IP header of a datagram to `address` takes: RFC 791 without options, RFC 8200.
fn ip_len(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => 20,
        IpAddr::V6(_) => 40,
    }
}

/// Longest Ethernet payload that fits IP packets of `underlay_mtu` bytes whatever path a frame takes, if all
/// locators are of the family of `address` and frames have at most one VLAN tag.
pub(crate) fn max_ethernet_payload(underlay_mtu: u16, address: IpAddr) -> usize {
    let entry = match address {
        IpAddr::V4(_) => ENTRY_V4_LEN,
        IpAddr::V6(_) => ENTRY_V6_LEN,
    };
    let header = COMMON_LEN + MAX_HOPS * entry + SEALED_PREFIX_LEN;
    let inner = ethernet::ETHERNET_LEN + ethernet::VLAN_TAG_LEN;
    max_payload(underlay_mtu, address).saturating_sub(header + TAG_LEN + inner)
}

/// Longest UDP payload that fits IP packets of `underlay_mtu` bytes to `address`.
pub(crate) fn max_payload(underlay_mtu: u16, address: IpAddr) -> usize {
    usize::from(underlay_mtu).saturating_sub(ip_len(address) + UDP_LEN)
}
