//! The header of a datagram: the common part and the path (§4.3).

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;
use zerocopy::network_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::config::MAX_HOPS;
use crate::node::NodePrefix;
use crate::stats::Counter;
use crate::wire::{COMMON_LEN, ENTRY_V4_LEN, ENTRY_V6_LEN, TYPE_RESPONSE, TYPE_TRANSPORT, VERSION};

/// Flag: the sender's security is none.
pub(crate) const FLAG_UNSEALED: u8 = 0x80;
/// Length of a hop tag, at the end of an entry.
pub(crate) const HOP_TAG_LEN: usize = 8;
/// Longest header: every entry an IPv6 address.
pub(crate) const MAX_HEADER_LEN: usize = COMMON_LEN + MAX_HOPS * ENTRY_V6_LEN;

/// Where the hops and the index stand in a header.
const HOPS_INDEX_AT: usize = 1;
/// Where the flags stand in a header.
const FLAGS_AT: usize = 2;
/// Where the source stands in a header.
const SOURCE_AT: usize = 4;
/// Where the counter stands in a header.
const COUNTER_AT: usize = 12;

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Common {
    version_type: u8,
    hops_index: u8,
    flags: u8,
    epoch: u8,
    source: U64,
    counter: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct EntryV4 {
    address: [u8; 4],
    port: U16,
    tag: U64,
}

#[derive(FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct EntryV6 {
    address: [u8; 16],
    port: U16,
    tag: U64,
}

const _: () = assert!(size_of::<Common>() == COMMON_LEN);
const _: () = assert!(size_of::<EntryV4>() == ENTRY_V4_LEN && size_of::<EntryV6>() == ENTRY_V6_LEN);

/// A parsed header whose path is well-formed: 1 to [`MAX_HOPS`] distinct entries, the index among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    /// The type of the datagram.
    pub(crate) kind: u8,
    /// True if its sender has security none.
    pub(crate) is_unsealed: bool,
    pub(crate) source: NodePrefix,
    pub(crate) epoch: u8,
    /// The flow label in the upper half, the number in the lower.
    pub(crate) counter: u64,
    /// The relays in order, the destination last.
    pub(crate) path: ArrayVec<SocketAddr, MAX_HOPS>,
    /// The current entry of the path.
    pub(crate) index: usize,
    /// The hop tag of the current entry.
    pub(crate) hop_tag: u64,
    /// Length of the header, in bytes.
    pub(crate) len: usize,
}

impl Header {
    /// What datagrams to one destination with one flow label have in common, well mixed with the number `key`.
    pub(crate) fn flow(&self, key: u64) -> u64 {
        let (address, port) = match self.path[self.path.len() - 1] {
            SocketAddr::V4(v4) => (u64::from(v4.ip().to_bits()), v4.port()),
            SocketAddr::V6(v6) => (v6.ip().to_bits() as u64, v6.port()),
        };
        let label_kind_port = self.counter >> 32 << 32 | u64::from(self.kind) << 16 | u64::from(port);
        // An odd constant of 64 random bits; the product's upper half is the mixed one.
        let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_right(32);
        mix(mix(mix(key, address), label_kind_port), 0)
    }

    /// Reads the header at the front of `datagram`, or tells which counter to bump for it.
    pub(crate) fn parse(datagram: &[u8]) -> Result<Self, Counter> {
        let (common, mut rest) = Common::ref_from_prefix(datagram).map_err(|_| Counter::DatagramTruncated)?;
        if common.version_type >> 4 != VERSION {
            return Err(Counter::DatagramVersion);
        }
        let kind = common.version_type & 0xf;
        if !(TYPE_TRANSPORT..=TYPE_RESPONSE).contains(&kind) {
            return Err(Counter::DatagramType);
        }
        let hops = usize::from(common.hops_index >> 4);
        let index = usize::from(common.hops_index & 0xf);
        if hops == 0 || hops > MAX_HOPS || index >= hops {
            return Err(Counter::PathLength);
        }
        if u32::from(common.flags & !FLAG_UNSEALED) >> hops != 0 {
            return Err(Counter::DatagramType);
        }
        let mut path = ArrayVec::<SocketAddr, MAX_HOPS>::new();
        let mut hop_tag = 0;
        for hop in 0..hops {
            let (address, tag, tail) = parse_entry(rest, common.flags >> hop & 1 != 0)?;
            if path.contains(&address) {
                return Err(Counter::PathRepeat);
            }
            path.push(address);
            if hop == index {
                hop_tag = tag;
            }
            rest = tail;
        }
        Ok(Header {
            kind,
            is_unsealed: common.flags & FLAG_UNSEALED != 0,
            source: NodePrefix(common.source.get()),
            epoch: common.epoch,
            counter: common.counter.get(),
            path,
            index,
            hop_tag,
            len: datagram.len() - rest.len(),
        })
    }

    /// The path's current entry: the node the datagram was on its way to.
    pub(crate) fn current(&self) -> SocketAddr {
        self.path[self.index]
    }

    /// The entry after the current one, if the current one is a relay.
    pub(crate) fn next(&self) -> Option<SocketAddr> {
        self.path.get(self.index + 1).copied()
    }
}

fn parse_entry(bytes: &[u8], is_v6: bool) -> Result<(SocketAddr, u64, &[u8]), Counter> {
    if is_v6 {
        let (entry, tail) = EntryV6::ref_from_prefix(bytes).map_err(|_| Counter::DatagramTruncated)?;
        let ip = Ipv6Addr::from(entry.address).into();
        Ok((SocketAddr::new(ip, entry.port.get()), entry.tag.get(), tail))
    } else {
        let (entry, tail) = EntryV4::ref_from_prefix(bytes).map_err(|_| Counter::DatagramTruncated)?;
        let ip = Ipv4Addr::from(entry.address).into();
        Ok((SocketAddr::new(ip, entry.port.get()), entry.tag.get(), tail))
    }
}

/// The bytes of a header, made once for each path; only the counter differs from datagram to datagram.
pub(crate) type HeaderBytes = ArrayVec<u8, MAX_HEADER_LEN>;

/// What a header says besides its path and its counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    pub(crate) kind: u8,
    pub(crate) is_unsealed: bool,
    pub(crate) source: NodePrefix,
    pub(crate) epoch: u8,
}

/// What hop tags are made over, the counter at its end excepted.
pub(crate) type HopTagInput = ArrayVec<u8, { MAX_HEADER_LEN - MAX_HOPS * HOP_TAG_LEN }>;

/// Writes the header for a path of 1 to [`MAX_HOPS`] entries, with index, counter and hop tags zero.
pub(crate) fn build(fields: Fields, path: &[SocketAddr]) -> HeaderBytes {
    debug_assert!((1..=MAX_HOPS).contains(&path.len()), "a path has 1 to 4 hops");
    let unsealed = if fields.is_unsealed { FLAG_UNSEALED } else { 0 };
    let flags = path
        .iter()
        .enumerate()
        .fold(unsealed, |flags, (hop, entry)| flags | u8::from(entry.is_ipv6()) << hop);
    let common = Common {
        version_type: VERSION << 4 | fields.kind,
        hops_index: (path.len() as u8) << 4,
        flags,
        epoch: fields.epoch,
        source: U64::new(fields.source.0),
        counter: U64::ZERO,
    };
    let mut bytes = HeaderBytes::new();
    bytes.extend(common.as_bytes().iter().copied());
    for entry in path {
        let port = U16::new(entry.port());
        match entry {
            SocketAddr::V4(v4) => bytes.extend(
                EntryV4 { address: v4.ip().octets(), port, tag: U64::ZERO }.as_bytes().iter().copied(),
            ),
            SocketAddr::V6(v6) => bytes.extend(
                EntryV6 { address: v6.ip().octets(), port, tag: U64::ZERO }.as_bytes().iter().copied(),
            ),
        }
    }
    bytes
}

/// Sets flow label and counter in the bytes of a header.
pub(crate) fn set_counter(header: &mut [u8], counter: u64) {
    header[COUNTER_AT..COMMON_LEN].copy_from_slice(&counter.to_be_bytes());
}

/// The counter in the bytes of a header.
pub(crate) fn counter(header: &[u8]) -> u64 {
    header[COUNTER_AT..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// Sets the index in the bytes of a header to zero, as its sender wrote it: what stays of the header over
/// all hops.
pub(crate) fn clear_index(header: &mut [u8]) {
    header[HOPS_INDEX_AT] &= 0xf0;
}

/// Sets the hop tag of one entry in the bytes of a well-formed header.
pub(crate) fn set_hop_tag(header: &mut [u8], hop: usize, tag: u64) {
    let entries_v6 = header[FLAGS_AT] & ((1 << hop) - 1);
    let before = hop * ENTRY_V4_LEN + entries_v6.count_ones() as usize * (ENTRY_V6_LEN - ENTRY_V4_LEN);
    let len = if header[FLAGS_AT] >> hop & 1 != 0 { ENTRY_V6_LEN } else { ENTRY_V4_LEN };
    let end = COMMON_LEN + before + len;
    header[end - HOP_TAG_LEN..end].copy_from_slice(&tag.to_be_bytes());
}

/// The constant part of what hop tags are made over, gathered from the bytes of a well-formed header: the
/// common part before the counter, with the index zero, and every entry without its tag. The same for all
/// datagrams that a sender sends on one path.
pub(crate) fn hop_tag_input(header: &[u8]) -> HopTagInput {
    let (common, mut entries) = header.split_at(COMMON_LEN);
    let mut input = HopTagInput::new();
    // Nothing here can fail: the capacity is that of the longest path and its counter.
    let _ = input.try_extend_from_slice(&common[..COUNTER_AT]);
    clear_index(&mut input);
    let (hops, flags) = (common[HOPS_INDEX_AT] >> 4, common[FLAGS_AT]);
    for hop in 0..hops {
        let len = if flags >> hop & 1 != 0 { ENTRY_V6_LEN } else { ENTRY_V4_LEN };
        let (entry, tail) = entries.split_at(len);
        let _ = input.try_extend_from_slice(&entry[..len - HOP_TAG_LEN]);
        entries = tail;
    }
    input
}

/// What the bytes of a header say of a handshake whatever path it takes: version and type, whether its sender
/// seals, and the source.
pub(crate) fn handshake_identity(header: &[u8]) -> [u8; 10] {
    let mut identity = [0; 10];
    identity[0] = header[0];
    identity[1] = header[FLAGS_AT] & FLAG_UNSEALED;
    identity[2..].copy_from_slice(&header[SOURCE_AT..COUNTER_AT]);
    identity
}

/// Moves the index in the bytes of a parsed header that is at a relay to the next entry.
pub(crate) fn advance(datagram: &mut [u8]) {
    datagram[HOPS_INDEX_AT] += 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(source: u64, epoch: u8) -> Fields {
        Fields { kind: TYPE_TRANSPORT, is_unsealed: false, source: NodePrefix(source), epoch }
    }

    fn path() -> Vec<SocketAddr> {
        vec!["192.0.2.1:4789".parse().unwrap(), "[2001:db8::2]:4790".parse().unwrap()]
    }

    #[test]
    fn a_header_is_read_back_as_it_was_built() {
        let mut bytes = build(fields(7, 9), &path());
        set_counter(&mut bytes, 0x0102_0304_0506_0708);
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.source, header.epoch, header.counter), (NodePrefix(7), 9, 0x0102_0304_0506_0708));
        assert_eq!((header.path.to_vec(), header.index, header.len), (path(), 0, bytes.len()));
        assert_eq!(header.next(), Some(path()[1]));
        set_hop_tag(&mut bytes, 1, 7);
        advance(&mut bytes);
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.current(), header.next(), header.hop_tag), (path()[1], None, 7));
    }

    #[test]
    fn the_bytes_of_a_header_are_those_of_the_format() {
        let mut bytes = build(fields(0x1122_3344_5566_7788, 0xab), &path());
        set_counter(&mut bytes, 5);
        let expected: Vec<u8> = [
            &[0x11, 0x20, 0b10, 0xab, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88][..],
            &[0, 0, 0, 0, 0, 0, 0, 5],
            &[192, 0, 2, 1, 0x12, 0xb5, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x12, 0xb6, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(bytes.as_slice(), expected);
    }

    #[test]
    fn malformed_headers_are_told_apart() {
        let good = build(fields(7, 9), &path());
        let with = |at: usize, value: u8| {
            let mut bytes = good.to_vec();
            bytes[at] = value;
            Header::parse(&bytes).unwrap_err()
        };
        assert_eq!(with(0, 0x21), Counter::DatagramVersion);
        assert_eq!(with(0, 0x1f), Counter::DatagramType);
        assert_eq!(with(0, 0x10), Counter::DatagramType);
        assert_eq!(with(1, 0x00), Counter::PathLength);
        assert_eq!(with(1, 0x50), Counter::PathLength);
        assert_eq!(with(1, 0x22), Counter::PathLength);
        assert_eq!(with(2, 0b110), Counter::DatagramType);
        let repeated = build(fields(7, 9), &[path()[0], path()[1], path()[0]]);
        assert_eq!(Header::parse(&repeated), Err(Counter::PathRepeat));
        for len in 0..good.len() {
            assert_eq!(Header::parse(&good[..len]), Err(Counter::DatagramTruncated), "{len} bytes");
        }
    }
}
