//! The values of the C ABI, and what they are in Rust.
//!
//! Elements of arrays are frozen: their size never changes within an ABI number. They have no hidden padding.

use core::ffi::c_char;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use zeroize::Zeroize;

use crate::ffi::status::{Error, LEON_E_ADDRESS, LEON_E_RANGE};
use crate::{Host, MacAddr, NodeId, Segment};

/// An instant of the caller's monotonic clock, in nanoseconds since a zero of the caller's choice. All instants
/// given to one engine come from one clock. If one goes back, the earlier one counts instead, and
/// `LEON_COUNTER_TIME_BACK` counts it.
pub type leon_time = u64;

/// A deadline that never comes.
pub const LEON_TIME_NEVER: leon_time = 0xffff_ffff_ffff_ffff;

/// The identity of a node: its public key (X25519), or with `LEON_SECURITY_NONE` any 32 bytes that no other node
/// has.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct leon_id {
    /// The bytes.
    pub bytes: [u8; 32],
}

/// A secret: a node's secret key, the network's key, or bytes of a random source. Wipe it when it is not needed
/// any more; leon keeps copies of its own.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct leon_key {
    /// The bytes.
    pub bytes: [u8; 32],
}

/// An Ethernet address, in the order of the wire.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct leon_mac {
    /// The bytes.
    pub bytes: [u8; 6],
}

/// An IP address and a UDP port. 24 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct leon_address {
    /// The IP address in the order of the wire; of an IPv4 address the first four bytes, the rest is zero.
    pub ip: [u8; 16],
    /// The port, in the byte order of the machine.
    pub port: u16,
    /// 4, 6, or 0 for no address.
    pub version: u8,
    /// Zero.
    pub reserved: u8,
    /// The scope of a link-local IPv6 address (RFC 4007), as in `sin6_scope_id`; zero otherwise.
    pub scope_id: u32,
}

/// A piece of memory that leon lends. The same layout as `struct iovec` of POSIX.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_iov {
    /// Its first byte.
    pub data: *const u8,
    /// Its length in bytes.
    pub len: usize,
}

/// A frame from the local network, an element of an array.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_frame_in {
    /// The Ethernet frame, from its destination address on, without the frame check sequence; or its first piece.
    /// Sealed in place: the content is unspecified after the call, unless `flags` says otherwise. The frames of a
    /// batch must not overlap.
    pub data: *mut u8,
    /// Length of `data`, in bytes.
    pub len: usize,
    /// Further pieces of the frame in order, which are only read; NULL if there are none. A frame in pieces costs
    /// a copy.
    pub rest: *const leon_iov,
    /// Number of further pieces.
    pub rest_count: usize,
    /// The segment the frame belongs to, below 2^24.
    pub segment: u32,
    /// `LEON_FRAME_KEEP`, or 0.
    pub flags: u32,
    /// Written by leon: `LEON_COUNTER_NONE` if the frame is on its way, else the number of the counter that says
    /// why it was dropped.
    pub dropped: u32,
    /// Zero.
    pub reserved: u32,
}

/// A host of one of the networks that leon extends. Equal addresses in two segments, or in two VLANs of one segment,
/// are two hosts. 12 bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct leon_host_key {
    /// The segment it belongs to, below 2^24.
    pub segment: u32,
    /// The id of the outermost VLAN tag of its frames; 0 if they have none.
    pub vlan: u16,
    /// Its address, a unicast one.
    pub mac: leon_mac,
}

/// A flag of a frame: `data` may be read, not written, as the memory of a guest; costs a copy.
pub const LEON_FRAME_KEEP: u32 = 1;

/// A frame for the local network, an element of an array. Valid until the callback returns. It has at least
/// `LEON_FRAME_MIN` bytes, and its segment is one that this node serves.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_frame_out {
    /// The Ethernet frame, from its destination address on, without the frame check sequence.
    pub data: *const u8,
    /// Its length in bytes.
    pub len: usize,
    /// The segment it belongs to.
    pub segment: u32,
    /// Zero.
    pub reserved: u32,
}

/// What arrived on the socket, an element of an array: one datagram, or several that the kernel has put together
/// (UDP GRO).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_datagram_in {
    /// The payload. Opened or advanced in place: the content is unspecified after the call.
    pub data: *mut u8,
    /// Its length in bytes.
    pub len: usize,
    /// When it arrived, as near to the wire as the caller can tell; 0 means now. Latencies are measured by it.
    pub received_at: leon_time,
    /// Where it came from.
    pub from: leon_address,
    /// If not 0, the buffer holds several datagrams of so many bytes each, the last one may be shorter (the
    /// `UDP_GRO` control message of Linux).
    pub segment_size: u16,
    /// Zero.
    pub reserved: u16,
    /// Written by leon: `LEON_COUNTER_NONE`, or the number of the counter that says why a datagram in the buffer
    /// was dropped, the last one if several were.
    pub dropped: u32,
}

/// What to send from the node's one UDP socket, an element of an array: one datagram, or several to one address.
/// Valid until the callback returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct leon_datagram_out {
    /// The payload in pieces, none of them empty.
    pub iov: *const leon_iov,
    /// Number of pieces: 1 to 3 for each datagram.
    pub iov_count: usize,
    /// Length of the payload, in bytes: the sum of its pieces.
    pub len: usize,
    /// Where to send it.
    pub to: leon_address,
    /// If not 0, the payload is several datagrams of so many bytes each, the last one may be shorter, to be sent at
    /// once with the `UDP_SEGMENT` control message of Linux, which splits it; never with a `max_segments` of 0 or
    /// 1 in the configuration.
    pub segment_size: u16,
    /// Number of datagrams: 1 to `max_segments`.
    pub segments: u16,
    /// Zero.
    pub reserved: u32,
}

/// Longest name of a member with the NUL at its end, in bytes.
pub const LEON_NAME_SIZE: usize = 64;
/// Most segments that a node serves.
pub const LEON_SEGMENTS_MAX: usize = 64;
/// Most entries of a path: three relays and the destination.
pub const LEON_PATH_MAX: usize = 4;
/// Room for a key or an identity in base64 with the NUL at its end, in bytes.
pub const LEON_KEY_TEXT_SIZE: usize = 45;
/// Room for an address and a port in text with the NUL at its end, in bytes.
pub const LEON_ADDRESS_TEXT_SIZE: usize = 72;

impl leon_id {
    pub(super) const ZERO: leon_id = leon_id { bytes: [0; 32] };

    pub(super) fn to_rust(self) -> NodeId {
        NodeId(self.bytes)
    }
}

impl From<NodeId> for leon_id {
    fn from(id: NodeId) -> Self {
        leon_id { bytes: id.0 }
    }
}

impl Zeroize for leon_key {
    fn zeroize(&mut self) {
        self.bytes.zeroize();
    }
}

impl leon_address {
    /// No address.
    pub(super) const NONE: leon_address =
        leon_address { ip: [0; 16], port: 0, version: 0, reserved: 0, scope_id: 0 };

    pub(super) fn to_rust(self) -> Result<SocketAddr, Error> {
        let is_wrong =
            self.reserved != 0 || self.version == 4 && (self.scope_id != 0 || self.ip[4..] != [0; 12]);
        match self.version {
            4 if !is_wrong => {
                let [a, b, c, d, ..] = self.ip;
                Ok(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), self.port))
            }
            6 if !is_wrong => {
                let ip = Ipv6Addr::from(self.ip);
                Ok(SocketAddrV6::new(ip, self.port, 0, self.scope_id).into())
            }
            _ => Err(LEON_E_ADDRESS.into()),
        }
    }
}

/// Where a datagram came from. A socket that speaks both versions of IP writes IPv4 addresses as IPv6 ones.
#[inline]
pub(super) fn source(from: leon_address) -> Result<SocketAddr, Error> {
    let from = from.to_rust()?;
    match from {
        SocketAddr::V6(v6) if v6.ip().to_ipv4_mapped().is_some() => {
            Ok(SocketAddr::new(v6.ip().to_canonical(), v6.port()))
        }
        _ => Ok(from),
    }
}

impl From<SocketAddr> for leon_address {
    #[inline]
    fn from(address: SocketAddr) -> Self {
        // The IP address as one number, which stays in registers.
        let (version, ip, scope_id) = match address {
            SocketAddr::V4(v4) => (4, u128::from(u32::from_le_bytes(v4.ip().octets())), 0),
            SocketAddr::V6(v6) => (6, u128::from_le_bytes(v6.ip().octets()), v6.scope_id()),
        };
        leon_address { ip: ip.to_le_bytes(), port: address.port(), version, reserved: 0, scope_id }
    }
}

impl leon_host_key {
    pub(super) const NONE: leon_host_key =
        leon_host_key { segment: 0, vlan: 0, mac: leon_mac { bytes: [0; 6] } };

    pub(super) fn to_rust(self) -> Result<Host, Error> {
        Ok(Host { segment: segment(self.segment)?, vlan: self.vlan, mac: MacAddr(self.mac.bytes) })
    }
}

impl From<Host> for leon_host_key {
    fn from(host: Host) -> Self {
        leon_host_key { segment: host.segment.id(), vlan: host.vlan, mac: leon_mac { bytes: host.mac.0 } }
    }
}

/// The segment of this number.
#[inline]
pub(super) fn segment(id: u32) -> Result<Segment, Error> {
    #[cold]
    fn error(id: u32) -> Error {
        Error::new(LEON_E_RANGE, format_args!("segment {id} is not below 16777216"))
    }
    Segment::new(id).ok_or_else(|| error(id))
}

/// `text` in an array of C, with a NUL at its end; cut if it is too long.
pub(super) fn characters<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0; N];
    let len = text.floor_char_boundary(N - 1);
    for (to, byte) in out.iter_mut().zip(&text.as_bytes()[..len]) {
        *to = *byte as c_char;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ffi::status::LEON_E_ADDRESS;

    #[test]
    fn what_c_has_room_for_is_what_there_can_be() {
        assert_eq!(LEON_NAME_SIZE, crate::config::MAX_NAME + 1);
        assert_eq!(LEON_SEGMENTS_MAX, crate::config::MAX_SEGMENTS);
        assert_eq!(LEON_PATH_MAX, crate::config::MAX_HOPS);
        assert_eq!(LEON_KEY_TEXT_SIZE, NodeId([0xff; 32]).to_base64().len() + 1);
        let longest = "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535";
        assert!(longest.len() < LEON_ADDRESS_TEXT_SIZE);
    }

    #[test]
    fn addresses_cross_and_come_back() {
        for text in ["192.0.2.1:4789", "[2001:db8::1]:1", "[fe80::1%7]:65535"] {
            let address: SocketAddr = text.parse().unwrap();
            assert_eq!(leon_address::from(address).to_rust().unwrap(), address);
        }
    }

    #[test]
    fn an_address_of_no_known_shape_is_refused() {
        let good = leon_address::from(SocketAddr::from(([192, 0, 2, 1], 4789)));
        let mut tail = good;
        tail.ip[15] = 1;
        for wrong in [
            leon_address::NONE,
            leon_address { version: 5, ..good },
            leon_address { reserved: 1, ..good },
            leon_address { scope_id: 1, ..good },
            tail,
        ] {
            assert_eq!(wrong.to_rust().unwrap_err().status, LEON_E_ADDRESS, "{wrong:?}");
        }
    }
}
