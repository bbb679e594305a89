//! Control messages: membership (§4.1), latency (§4.2), announced hosts. All of them travel inside a session.

use core::net::SocketAddr;

use crate::error::RejectReason;
use crate::node::NodeId;
use crate::wire::codec::{Malformed, Reader, put_address, put_varint};
use crate::wire::hosts::Hosts;
use crate::wire::latency::{Probe, Row};
use crate::wire::path_probe::{PathAnswer, PathProbe};
use crate::wire::record::{Record, RecordVersion};

/// Longest control message, in bytes: with the longest header and the tag it fits an IPv6 packet of 1280
/// bytes (RFC 8200 §5). Longer content is split over several messages.
pub(crate) const MAX_CONTROL_LEN: usize = 1024;

const LIST_REQUEST: u8 = 1;
const LIST: u8 = 2;
const JOIN: u8 = 3;
const JOIN_ACK: u8 = 4;
const JOIN_REJECT: u8 = 5;
const LEAVE: u8 = 6;
const PROBE: u8 = 7;
const ROW: u8 = 9;
const ROW_REQUEST: u8 = 10;
const CONFIRM: u8 = 11;
const ADDRESS_CHALLENGE: u8 = 12;
const ADDRESS_RESPONSE: u8 = 13;
const HOSTS: u8 = 14;
const HOSTS_REQUEST: u8 = 15;
const PATH_PROBE: u8 = 16;
const PATH_ANSWER: u8 = 17;

/// One control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// Asks for the member list.
    ListRequest { token: u64 },
    /// A part of the list of live members, in any order.
    List { token: u64, entries: Vec<Listed> },
    /// The sender joins, or says that its record has changed. `known` is the version of the receiver's
    /// record that the sender holds.
    Join { record: Record, known: RecordVersion },
    /// The receiver's record of this version is in the sender's list; `record` is the sender's own.
    JoinAck { known: RecordVersion, record: Record },
    /// The receiver's record of this version is refused.
    JoinReject { version: RecordVersion, reason: RejectReason },
    /// The sender leaves; `version` is newer than that of its last record.
    Leave { version: RecordVersion },
    /// Measures the link, and is to be sent back.
    Probe(Probe),
    /// A part of the sender's row of the latency database, with what probes carry besides for those whom its
    /// probes do not reach.
    Row { list_digest: u32, hosts_version: u64, row: Row },
    /// Asks the receiver for what has changed in its row after version `from`.
    RowRequest { from: u64 },
    /// Says nothing but that the sender has the keys it is sealed with.
    Confirm,
    /// Asks the receiver, at an address where it may be, for an [`AddressResponse`](Message::AddressResponse).
    AddressChallenge { token: u64 },
    /// Answers an [`AddressChallenge`](Message::AddressChallenge).
    AddressResponse { token: u64 },
    /// A part of what the sender announces.
    Hosts(Hosts),
    /// Asks the receiver for what has changed in its announcements after version `from`.
    HostsRequest { from: u64 },
    /// Asks for a [`PathAnswer`](Message::PathAnswer), along one path.
    PathProbe(PathProbe),
    /// Answers a [`PathProbe`](Message::PathProbe).
    PathAnswer(PathAnswer),
}

/// A live member as another one lists it: enough to find it and to see whether one holds its latest record.
/// The record itself comes from the member alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: NodeId,
    pub(crate) version: RecordVersion,
    pub(crate) locator: SocketAddr,
}

impl Listed {
    /// Longest entry, in bytes: one with an IPv6 address.
    const MAX_LEN: usize = 32 + 12 + 19;
    /// Most entries of one message.
    pub(crate) const MAX_ENTRIES: usize = (MAX_CONTROL_LEN - 9) / Listed::MAX_LEN;

    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Listed {
            id: NodeId(reader.array()?),
            version: RecordVersion::read(reader)?,
            locator: reader.locator()?,
        })
    }
}

impl Message {
    /// Reads a whole message.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let message = Self::read_body(&mut reader)?;
        reader.end()?;
        Ok(message)
    }

    fn read_body(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(match reader.u8()? {
            LIST_REQUEST => Message::ListRequest { token: reader.u64()? },
            LIST => {
                let token = reader.u64()?;
                let mut entries = Vec::new();
                while !reader.is_empty() {
                    entries.push(Listed::read(reader)?);
                }
                Message::List { token, entries }
            }
            JOIN => Message::Join { known: RecordVersion::read(reader)?, record: Record::read(reader)? },
            JOIN_ACK => {
                Message::JoinAck { known: RecordVersion::read(reader)?, record: Record::read(reader)? }
            }
            JOIN_REJECT => {
                Message::JoinReject { version: RecordVersion::read(reader)?, reason: read_reason(reader)? }
            }
            LEAVE => Message::Leave { version: RecordVersion::read(reader)? },
            PROBE => Message::Probe(Probe::read(reader)?),
            ROW => Message::Row {
                list_digest: reader.u32()?,
                hosts_version: reader.varint()?,
                row: Row::read(reader)?,
            },
            ROW_REQUEST => Message::RowRequest { from: reader.u64()? },
            CONFIRM => Message::Confirm,
            ADDRESS_CHALLENGE => Message::AddressChallenge { token: reader.u64()? },
            ADDRESS_RESPONSE => Message::AddressResponse { token: reader.u64()? },
            HOSTS => Message::Hosts(Hosts::read(reader)?),
            HOSTS_REQUEST => Message::HostsRequest { from: reader.u64()? },
            PATH_PROBE => Message::PathProbe(PathProbe::read(reader)?),
            PATH_ANSWER => Message::PathAnswer(PathAnswer::read(reader)?),
            _ => return Err(Malformed),
        })
    }

    /// Appends the message to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Message::ListRequest { token } => put(out, LIST_REQUEST, &[*token]),
            Message::List { token, entries } => {
                put(out, LIST, &[*token]);
                for Listed { id, version, locator } in entries {
                    out.extend_from_slice(&id.0);
                    version.write(out);
                    put_address(out, *locator);
                }
            }
            Message::Join { record, known } => put_join(out, JOIN, *known, record),
            Message::JoinAck { known, record } => put_join(out, JOIN_ACK, *known, record),
            Message::JoinReject { version, reason } => {
                out.push(JOIN_REJECT);
                version.write(out);
                out.push(*reason as u8);
            }
            Message::Leave { version } => {
                out.push(LEAVE);
                version.write(out);
            }
            Message::Probe(probe) => {
                out.push(PROBE);
                probe.write(out);
            }
            Message::Row { list_digest, hosts_version, row } => {
                out.push(ROW);
                out.extend_from_slice(&list_digest.to_be_bytes());
                put_varint(out, *hosts_version);
                row.write(out);
            }
            Message::RowRequest { from } => put(out, ROW_REQUEST, &[*from]),
            Message::Confirm => out.push(CONFIRM),
            Message::AddressChallenge { token } => put(out, ADDRESS_CHALLENGE, &[*token]),
            Message::AddressResponse { token } => put(out, ADDRESS_RESPONSE, &[*token]),
            Message::Hosts(hosts) => {
                out.push(HOSTS);
                hosts.write(out);
            }
            Message::HostsRequest { from } => put(out, HOSTS_REQUEST, &[*from]),
            Message::PathProbe(probe) => {
                out.push(PATH_PROBE);
                probe.write(out);
            }
            Message::PathAnswer(answer) => {
                out.push(PATH_ANSWER);
                answer.write(out);
            }
        }
    }
}

fn put(out: &mut Vec<u8>, kind: u8, fields: &[u64]) {
    out.push(kind);
    for field in fields {
        out.extend_from_slice(&field.to_be_bytes());
    }
}

fn put_join(out: &mut Vec<u8>, kind: u8, known: RecordVersion, record: &Record) {
    out.push(kind);
    known.write(out);
    record.write(out);
}

fn read_reason(reader: &mut Reader<'_>) -> Result<RejectReason, Malformed> {
    const REASONS: [RejectReason; 4] =
        [RejectReason::NameTaken, RejectReason::IdTaken, RejectReason::LocatorTaken, RejectReason::ListFull];
    let number = reader.u8()?;
    REASONS.into_iter().find(|reason| *reason as u8 == number).ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Host;
    use crate::mac::MacAddr;
    use crate::node::Segment;
    use crate::time::Time;
    use crate::wire::hosts::{Announcement, HostEntry, HostState};
    use crate::wire::latency::{Echo, Stamps, tests as latency_tests};
    use core::time::Duration;

    fn record() -> Record {
        Record {
            id: NodeId([3; 32]),
            version: RecordVersion { incarnation: 1 << 40, version: 2 },
            locator: "[2001:db8::1]:4789".parse().unwrap(),
            name: "fujisawa".into(),
            segments: vec![Segment::DEFAULT, Segment::new(0xabcdef).unwrap()],
        }
    }

    fn probe(echo: Option<Echo>) -> Probe {
        let stamps = Stamps::new(Duration::from_secs(1), Time::from_nanos(u64::MAX), echo);
        Probe { stamps, list_digest: 2, row_version: 300, hosts_version: u64::MAX }
    }

    fn host_entry() -> HostEntry {
        let host = Host { segment: Segment::DEFAULT, vlan: 7, mac: MacAddr([2, 0, 0, 0, 0, 1]) };
        HostEntry { host, announcement: Announcement { sequence: 9, state: HostState::Present } }
    }

    fn messages() -> Vec<Message> {
        let version = record().version;
        vec![
            Message::ListRequest { token: 1 },
            Message::List {
                token: 2,
                entries: vec![
                    Listed { id: NodeId([3; 32]), version, locator: record().locator },
                    Listed { id: NodeId([4; 32]), version, locator: "192.0.2.4:1".parse().unwrap() },
                ],
            },
            Message::Join { record: record(), known: version },
            Message::JoinAck { known: version, record: record() },
            Message::JoinReject { version, reason: RejectReason::LocatorTaken },
            Message::Leave { version },
            Message::Confirm,
            Message::Probe(probe(None)),
            Message::Probe(probe(Some(Echo { sent_us: u32::MAX, held_us: 0 }))),
            Message::Row { list_digest: 9, hosts_version: 8, row: latency_tests::row() },
            Message::RowRequest { from: 7 },
            Message::Hosts(Hosts { forgotten: 2, from: 1, to: 3, entries: vec![host_entry(); 2] }),
            Message::HostsRequest { from: 7 },
            Message::PathProbe(PathProbe { token: 5, is_doubt: true }),
            Message::PathAnswer(PathAnswer { token: 5, received_at: 6 }),
        ]
    }

    #[test]
    fn every_message_is_read_back_as_it_was_written() {
        for message in messages() {
            let mut bytes = Vec::new();
            message.write(&mut bytes);
            assert_eq!(Message::read(&bytes), Ok(message));
        }
    }

    #[test]
    fn a_message_cut_anywhere_is_malformed_or_a_shorter_list() {
        for message in messages() {
            let mut bytes = Vec::new();
            message.write(&mut bytes);
            for len in 0..bytes.len() {
                if let Ok(read) = Message::read(&bytes[..len]) {
                    let is_list =
                        matches!(read, Message::List { .. } | Message::Row { .. } | Message::Hosts(_));
                    assert!(is_list, "{read:?}");
                }
            }
            bytes.push(0);
            assert!(Message::read(&bytes).is_err(), "trailing byte after {message:?}");
        }
    }

    #[test]
    fn names_and_locators_that_no_node_has_are_malformed() {
        let reads = |record: Record| {
            let mut bytes = Vec::new();
            record.write(&mut bytes);
            Record::read(&mut Reader::new(&bytes)).is_ok()
        };
        assert!(reads(record()));
        assert!(!reads(Record { name: String::new(), ..record() }));
        assert!(!reads(Record { name: "a\nb".into(), ..record() }));
        assert!(!reads(Record { name: "x".repeat(64), ..record() }));
        assert!(!reads(Record { segments: vec![], ..record() }));
        assert!(!reads(Record { locator: "0.0.0.0:4789".parse().unwrap(), ..record() }));
        assert!(!reads(Record { locator: "192.0.2.1:0".parse().unwrap(), ..record() }));
        assert!(!reads(Record { locator: "[::ffff:192.0.2.1]:4789".parse().unwrap(), ..record() }));
        assert!(!reads(Record { segments: vec![Segment::DEFAULT; 2], ..record() }));
    }
}
