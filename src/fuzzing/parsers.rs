//! The parsers, held to their writers: what is read and written again is what came in, byte for byte, and
//! nothing is read beyond the end.
//!
//! Each function takes what a peer may send and knows no engine.

use core::net::SocketAddr;

use crate::config::{MAX_HOPS, MAX_NAME, MAX_SEGMENTS};
use crate::mac::MacAddr;
use crate::stats::Counter;
use crate::wire::COMMON_LEN;
use crate::wire::codec::Reader;
use crate::wire::control::Message;
use crate::wire::ethernet::{Addresses, ETHERNET_LEN, VLAN_TAG_LEN};
use crate::wire::handshake::{Answer, Challenge, Hello, Initiation, Introduction};
use crate::wire::header::{self, Fields, Header, MAX_HEADER_LEN};
use crate::wire::record::Record;

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
    let Header { kind, is_unsealed, source, epoch, .. } = header;
    let mut written = header::build(Fields { kind, is_unsealed, source, epoch }, &header.path);
    header::set_counter(&mut written, header.counter);
    for _ in 0..header.index {
        header::advance(&mut written);
    }
    assert_eq!(written.as_slice(), without_hop_tags(bytes), "{header:?}");
    assert_eq!(header::counter(bytes), header.counter);
    assert_eq!(header::hop_tag_input(bytes), header::hop_tag_input(&written));
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
        assert_eq!(advanced.flow(7), header.flow(7), "a flow is one at all its relays");
        at = advanced;
    }
    assert_eq!(at.index + 1, at.path.len());
}

/// The bytes of a header with its hop tags zero, as they are built.
fn without_hop_tags(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let hops = usize::from(bytes[1] >> 4);
    (0..hops).for_each(|hop| header::set_hop_tag(&mut bytes, hop, 0));
    bytes
}

/// A control message: what a member says after the header.
pub fn control(bytes: &[u8]) {
    let Ok(message) = Message::read(bytes) else { return };
    let mut written = Vec::new();
    message.write(&mut written);
    assert_eq!(written, bytes, "{message:?}");
    match &message {
        Message::List { entries, .. } => entries.iter().for_each(|listed| is_reachable(listed.locator)),
        Message::Join { record, .. } | Message::JoinAck { record, .. } => in_bounds(record),
        Message::Row { row, .. } => assert!(row.from <= row.to, "{row:?}"),
        Message::Hosts(hosts) => {
            assert!(hosts.from <= hosts.to, "{hosts:?}");
            for entry in &hosts.entries {
                assert!(entry.host.check().is_ok(), "{entry:?} is of no host");
            }
        }
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
    is_reachable(record.locator);
}

/// A locator is where one node is reached, and is written in one way.
fn is_reachable(locator: SocketAddr) {
    let ip = locator.ip();
    assert!(!ip.is_unspecified() && !ip.is_multicast() && locator.port() != 0, "{locator}");
    assert_eq!(ip, ip.to_canonical(), "an IPv4 address written as an IPv6 one");
}

/// What is inside the seal of a handshake's datagram, and inside its Noise messages.
pub fn handshake_body(bytes: &[u8]) {
    if let Ok(hello) = Hello::read(bytes) {
        assert_eq!(hello.to_bytes(), bytes);
    }
    if let Ok(challenge) = Challenge::read(bytes) {
        assert_eq!(challenge.to_bytes(), bytes);
    }
    if let Ok(initiation) = Initiation::read(bytes) {
        assert_eq!(initiation.to_bytes(), bytes);
        let echo = initiation.echo();
        assert!(initiation.message.len() < echo.len() || initiation.message.starts_with(&echo));
    }
    if let Ok(introduction) = Introduction::read(bytes) {
        assert_eq!(introduction.to_bytes(), bytes);
        is_reachable(introduction.locator);
    }
    if let Ok(answer) = Answer::read(bytes) {
        assert_eq!(answer.to_bytes(), bytes);
    }
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
