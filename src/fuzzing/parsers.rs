//! The parsers, held to their writers: what is read and written again is what came in, byte for byte, and
//! nothing is read beyond the end.
//!
//! Each function takes what a peer may send and knows no engine.

use crate::config::{MAX_HOPS, MAX_NAME, MAX_SEGMENTS};
use crate::mac::MacAddr;
use crate::stats::Counter;
use crate::wire::codec::Reader;
use crate::wire::control::Message;
use crate::wire::ethernet::{Addresses, ETHERNET_LEN, VLAN_TAG_LEN};
use crate::wire::header::{self, Header, MAX_HEADER_LEN};
use crate::wire::record::Record;
use crate::wire::{COMMON_LEN, ENTRY_V4_LEN, ENTRY_V6_LEN};

/// Length of the hop tag that ends each entry of a path.
const HOP_TAG_LEN: usize = 8;

/// The header at the front of a datagram.
pub fn header(bytes: &[u8]) {
    let header = match Header::parse(bytes) {
        Ok(header) => header,
        Err(reason) => {
            assert!(
                matches!(
                    reason,
                    Counter::DatagramTruncated
                        | Counter::DatagramVersion
                        | Counter::DatagramType
                        | Counter::PathLength
                        | Counter::PathRepeat
                ),
                "{reason:?} is no reason to refuse a header"
            );
            return;
        }
    };
    assert!((COMMON_LEN..=MAX_HEADER_LEN.min(bytes.len())).contains(&header.len), "{header:?}");
    assert!((1..=MAX_HOPS).contains(&header.path.len()) && header.index < header.path.len(), "{header:?}");
    let repeats = (1..header.path.len()).any(|hop| header.path[..hop].contains(&header.path[hop]));
    assert!(!repeats, "{header:?}");

    let bytes = &bytes[..header.len];
    assert_eq!(Header::parse(&bytes[..header.len - 1]), Err(Counter::DatagramTruncated));
    let mut written = header::build(header.source, header.epoch, &header.path);
    header::set_counter(&mut written, header.counter);
    for _ in 0..header.index {
        header::advance(&mut written);
    }
    assert_eq!(written.as_slice(), without_hop_tags(bytes, &header), "{header:?}");
    advancing(bytes, &header);
}

/// What every relay does: the index moves on by one and nothing else changes, up to the last entry.
fn advancing(bytes: &[u8], header: &Header) {
    let mut bytes = bytes.to_vec();
    let mut at = header.clone();
    while let Some(next) = at.next() {
        header::advance(&mut bytes);
        let advanced = Header::parse(&bytes).expect("a header that was advanced is read");
        assert_eq!(advanced.current(), next);
        let expected = Header { index: at.index + 1, hop_tag: advanced.hop_tag, ..at };
        assert_eq!(advanced, expected);
        at = advanced;
    }
    assert_eq!(at.index + 1, at.path.len());
}

/// The bytes of a header with its hop tags zero, as they are built.
fn without_hop_tags(bytes: &[u8], header: &Header) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut end = COMMON_LEN;
    for entry in &header.path {
        end += if entry.is_ipv6() { ENTRY_V6_LEN } else { ENTRY_V4_LEN };
        bytes[end - HOP_TAG_LEN..end].fill(0);
    }
    assert_eq!(end, bytes.len());
    bytes
}

/// A control message: what a member says after the header.
pub fn control(bytes: &[u8]) {
    let Ok(message) = Message::read(bytes) else { return };
    let mut written = Vec::new();
    message.write(&mut written);
    assert_eq!(written, bytes, "{message:?}");
    match &message {
        Message::List { entries, .. } => entries.iter().for_each(|listed| in_bounds(&listed.record)),
        Message::Join { record, .. } | Message::JoinAck { record, .. } => in_bounds(record),
        Message::Row(row) => assert!(row.from <= row.to, "{row:?}"),
        _ => {}
    }
}

/// A member's record at the front of the bytes.
pub fn record(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    let Ok(record) = Record::read(&mut reader) else { return };
    in_bounds(&record);
    let mut written = Vec::new();
    record.write(&mut written);
    assert!(bytes.starts_with(&written), "{record:?}");
    let rest = reader.bytes(bytes.len() - written.len()).expect("the record ends where it is written to end");
    assert_eq!(rest.len() + written.len(), bytes.len());
    assert!(Record::read(&mut Reader::new(&written[..written.len() - 1])).is_err(), "{record:?}");
}

/// What a record may not say, whoever sent it: a node would refuse to start with it.
fn in_bounds(record: &Record) {
    let mut segments = record.segments.clone();
    segments.sort_unstable();
    segments.dedup();
    assert_eq!(segments.len(), record.segments.len(), "{record:?} repeats a segment");
    assert!((1..=MAX_SEGMENTS).contains(&segments.len()), "{record:?}");
    assert!((1..=MAX_NAME).contains(&record.name.len()), "{record:?}");
    assert!(!record.name.chars().any(char::is_control), "{record:?}");
    let ip = record.locator.ip();
    assert!(!ip.is_unspecified() && !ip.is_multicast() && record.locator.port() != 0, "{record:?}");
    assert_eq!(ip, ip.to_canonical(), "{record:?} has an IPv4 address written as an IPv6 one");
}

/// The addresses of an Ethernet frame.
pub fn ethernet(bytes: &[u8]) {
    let is_tagged = matches!(bytes.get(12..14), Some([0x81, 0x00] | [0x88, 0xa8]));
    let len = ETHERNET_LEN + if is_tagged { VLAN_TAG_LEN } else { 0 };
    let Some(addresses) = Addresses::of(bytes) else {
        assert!(bytes.len() < len, "{} bytes hold an Ethernet header", bytes.len());
        return;
    };
    assert_eq!(Addresses::of(&bytes[..len]), Some(addresses), "the payload says nothing of the addresses");
    assert_eq!(Addresses::of(&bytes[..len - 1]), None);
    let mac = |at: usize| bytes[at..].first_chunk().copied().map(MacAddr);
    assert_eq!((Some(addresses.destination), Some(addresses.source)), (mac(0), mac(6)));
    let vlan = if is_tagged { u16::from_be_bytes([bytes[14] & 0x0f, bytes[15]]) } else { 0 };
    assert_eq!(addresses.vlan, vlan);
}
