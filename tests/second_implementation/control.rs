//! Control messages, records and digests (sections 11 and 12.1).

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::net::SocketAddr;

use siphasher::sip::SipHasher13;

use crate::codec::{Reader, locator_bytes, varint};
use crate::header::{Prefix, prefix};

pub(crate) type Version = (u64, u32);

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: [u8; 32],
    pub(crate) version: Version,
    pub(crate) locator: SocketAddr,
    pub(crate) name: String,
    pub(crate) segments: Vec<u32>,
}

/// A member in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: [u8; 32],
    pub(crate) version: Version,
    pub(crate) locator: SocketAddr,
}

/// An entry of a row: target, life, and the rest if the link is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) target: Prefix,
    pub(crate) life: u16,
    pub(crate) link: Option<Latency>,
}

/// The latency of a link: times in microseconds, loss in 1/255, offset modulo 2^24 if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Latency {
    pub(crate) fast: u32,
    pub(crate) slow: u32,
    pub(crate) jitter: u32,
    pub(crate) loss: u8,
    pub(crate) offset: Option<u32>,
}

/// Load and delay of a relay; `None` if it carries no transit.
pub(crate) type Transit = Option<(u8, u16)>;

/// Segment, VLAN and address of a host.
pub(crate) type HostName = (u32, u16, [u8; 6]);

/// What is said of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) name: HostName,
    pub(crate) sequence: u32,
    pub(crate) is_present: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    ListRequest { token: u64 },
    List { token: u64, entries: Vec<Listed> },
    Join { known: Version, record: Record },
    JoinAck { known: Version, record: Record },
    JoinReject { version: Version, reason: u8 },
    Leave { version: Version },
    Probe { hold: u16, sent: u64, echo: Option<(u32, u32)>, digest: u32, row: u64, hosts: u64 },
    Row { digest: u32, hosts: u64, from: u64, to: u64, transit: Transit, entries: Vec<Entry> },
    RowRequest { from: u64 },
    Confirm,
    AddressChallenge { token: u64 },
    AddressResponse { token: u64 },
    Hosts { forgotten: u64, from: u64, to: u64, entries: Vec<Host> },
    HostsRequest { from: u64 },
    PathProbe { token: u64, is_doubt: bool },
    PathAnswer { token: u64, received_at: u64 },
}

fn version_bytes((incarnation, number): Version) -> Vec<u8> {
    [&incarnation.to_be_bytes()[..], &number.to_be_bytes()].concat()
}

fn read_version(reader: &mut Reader<'_>) -> Option<Version> {
    Some((reader.u64()?, reader.u32()?))
}

/// An incarnation, folded.
pub(crate) fn life(incarnation: u64) -> u16 {
    incarnation.to_be_bytes().chunks(2).fold(0, |life, part| life ^ u16::from_be_bytes([part[0], part[1]]))
}

/// A number as a short float of so many bits of mantissa, rounded.
fn short(number: u32, bits: u32) -> u32 {
    let mut code = (0..).map(|exponent| (exponent, u64::from(number) >> exponent));
    let (exponent, _) = code.find(|(_, rest)| *rest < 2 << bits).unwrap();
    let half = if exponent == 0 { 0 } else { 1 << (exponent - 1) };
    (exponent << bits) + ((u64::from(number) + half) >> exponent) as u32
}

fn long(code: u32, bits: u32) -> u64 {
    let (exponent, mantissa) = (code >> bits, u64::from(code % (1 << bits)));
    if exponent == 0 { mantissa } else { ((1 << bits) + mantissa) << (exponent - 1) }
}

impl Record {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.id[..], &version_bytes(self.version), &locator_bytes(self.locator)].concat();
        bytes.push(self.name.len() as u8);
        bytes.extend(self.name.as_bytes());
        bytes.push(self.segments.len() as u8);
        bytes.extend(self.segments.iter().flat_map(|segment| segment.to_be_bytes()[1..].to_vec()));
        bytes
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (id, version, locator) = (reader.array()?, read_version(reader)?, reader.locator()?);
        let len = reader.u8()?.into();
        let name = String::from_utf8(reader.bytes(len)?.to_vec()).ok()?;
        let count = reader.u8()?;
        let segments = (0..count).map(|_| reader.u24()).collect::<Option<Vec<u32>>>()?;
        let is_right = (1..=63).contains(&len)
            && !name.chars().any(char::is_control)
            && (1..=64).contains(&count)
            && segments.iter().collect::<BTreeSet<_>>().len() == segments.len();
        is_right.then_some(Record { id, version, locator, name, segments })
    }

    pub(crate) fn prefix(&self) -> Prefix {
        prefix(&self.id)
    }

    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = SipHasher13::new_with_key(&[0; 16]);
        hasher.write(&[&self.id[..], &version_bytes(self.version)].concat());
        hasher.finish()
    }

    pub(crate) fn listed(&self) -> Listed {
        Listed { id: self.id, version: self.version, locator: self.locator }
    }
}

impl Message {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let numbers = |kind: u8, numbers: &[u64]| {
            let numbers: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
            [&[kind][..], &numbers].concat()
        };
        match self {
            Message::ListRequest { token } => numbers(1, &[*token]),
            Message::List { token, entries } => {
                let mut bytes = numbers(2, &[*token]);
                for entry in entries {
                    bytes.extend(entry.id);
                    bytes.extend(version_bytes(entry.version));
                    bytes.extend(locator_bytes(entry.locator));
                }
                bytes
            }
            Message::Join { known, record } => [&[3][..], &version_bytes(*known), &record.bytes()].concat(),
            Message::JoinAck { known, record } => {
                [&[4][..], &version_bytes(*known), &record.bytes()].concat()
            }
            Message::JoinReject { version, reason } => {
                [&[5][..], &version_bytes(*version), &[*reason]].concat()
            }
            Message::Leave { version } => [&[6][..], &version_bytes(*version)].concat(),
            Message::Probe { hold, sent, echo, digest, row, hosts } => {
                let (echo, held) = echo.unwrap_or((0, u32::MAX));
                let stamps = [&hold.to_be_bytes()[..], &sent.to_be_bytes()[2..]].concat();
                let echo = [echo, held, *digest].map(u32::to_be_bytes).concat();
                [vec![7], stamps, echo, varint(*row), varint(*hosts)].concat()
            }
            Message::Row { digest, hosts, from, to, transit, entries } => {
                let versions = [*hosts, *from, *to].map(varint).concat();
                let mut bytes = [&[9][..], &digest.to_be_bytes(), &versions].concat();
                let (load, delay) = transit.unwrap_or((u8::MAX, u16::MAX));
                bytes.push(load);
                bytes.extend(delay.to_be_bytes());
                entries.iter().for_each(|entry| put_entry(&mut bytes, entry));
                bytes
            }
            Message::RowRequest { from } => numbers(10, &[*from]),
            Message::Confirm => vec![11],
            Message::AddressChallenge { token } => numbers(12, &[*token]),
            Message::AddressResponse { token } => numbers(13, &[*token]),
            Message::Hosts { forgotten, from, to, entries } => {
                let mut bytes = numbers(14, &[*forgotten, *from, *to]);
                for Host { name: (segment, vlan, mac), sequence, is_present } in entries {
                    bytes.extend(&segment.to_be_bytes()[1..]);
                    bytes.extend(vlan.to_be_bytes());
                    bytes.extend(mac);
                    bytes.extend(sequence.to_be_bytes());
                    bytes.push(if *is_present { 1 } else { 2 });
                }
                bytes
            }
            Message::HostsRequest { from } => numbers(15, &[*from]),
            Message::PathProbe { token, is_doubt } => {
                [&numbers(16, &[*token])[..], &[u8::from(*is_doubt)]].concat()
            }
            Message::PathAnswer { token, received_at } => numbers(17, &[*token, *received_at]),
        }
    }

    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let r = &mut reader;
        let message = match r.u8()? {
            1 => Message::ListRequest { token: r.u64()? },
            2 => {
                let (token, mut entries) = (r.u64()?, Vec::new());
                while !r.is_empty() {
                    entries.push(Listed { id: r.array()?, version: read_version(r)?, locator: r.locator()? });
                }
                Message::List { token, entries }
            }
            3 => Message::Join { known: read_version(r)?, record: Record::read(r)? },
            4 => Message::JoinAck { known: read_version(r)?, record: Record::read(r)? },
            5 => Message::JoinReject { version: read_version(r)?, reason: r.u8().filter(|n| *n < 4)? },
            6 => Message::Leave { version: read_version(r)? },
            7 => {
                let (hold, sent) = (r.u16()?, r.array::<6>()?);
                let sent = sent.iter().fold(0, |sent, byte| sent << 8 | u64::from(*byte));
                let echo = match (r.u32()?, r.u32()?) {
                    (0, u32::MAX) => None,
                    (_, u32::MAX) => return None,
                    echo => Some(echo),
                };
                let (digest, row, hosts) = (r.u32()?, r.varint()?, r.varint()?);
                Message::Probe { hold, sent, echo, digest, row, hosts }
            }
            9 => {
                let (digest, hosts, from, to) = (r.u32()?, r.varint()?, r.varint()?, r.varint()?);
                let transit = match (r.u8()?, r.u16()?) {
                    (u8::MAX, u16::MAX) => None,
                    (_, u16::MAX) => return None,
                    carries => Some(carries),
                };
                let mut entries = Vec::new();
                while !r.is_empty() {
                    entries.push(read_entry(r)?);
                }
                (from <= to).then_some(Message::Row { digest, hosts, from, to, transit, entries })?
            }
            10 => Message::RowRequest { from: r.u64()? },
            11 => Message::Confirm,
            12 => Message::AddressChallenge { token: r.u64()? },
            13 => Message::AddressResponse { token: r.u64()? },
            14 => {
                let (forgotten, from, to, mut entries) = (r.u64()?, r.u64()?, r.u64()?, Vec::new());
                while !r.is_empty() {
                    entries.push(read_host(r)?);
                }
                (from <= to).then_some(Message::Hosts { forgotten, from, to, entries })?
            }
            15 => Message::HostsRequest { from: r.u64()? },
            16 => {
                let (token, doubt) = (r.u64()?, r.u8().filter(|flag| *flag < 2)?);
                Message::PathProbe { token, is_doubt: doubt == 1 }
            }
            17 => Message::PathAnswer { token: r.u64()?, received_at: r.u64()? },
            _ => return None,
        };
        reader.is_empty().then_some(message)
    }
}

fn put_entry(bytes: &mut Vec<u8>, entry: &Entry) {
    bytes.extend(entry.target);
    bytes.extend(entry.life.to_be_bytes());
    let Some(Latency { fast, slow, jitter, loss, offset }) = entry.link else {
        return bytes.extend([255, 255, 255, 255, 255, 255, 0x80, 0, 0]);
    };
    for time in [fast, slow] {
        bytes.extend((short(time, 11).min(0xafff) as u16).to_be_bytes());
    }
    bytes.extend([short(jitter, 4).min(255) as u8, loss]);
    let offset = offset.map_or(0x80_0000, |offset| if offset == 0x80_0000 { offset - 1 } else { offset });
    bytes.extend(&offset.to_be_bytes()[1..]);
}

fn read_entry(r: &mut Reader<'_>) -> Option<Entry> {
    let (target, life, fast, slow) = (r.array()?, r.u16()?, r.u16()?, r.u16()?);
    let (jitter, loss, offset) = (r.u8()?, r.u8()?, r.u24()?);
    let is_time = |code| code <= 0xafff;
    let time = |code: u16| long(code.into(), 11) as u32;
    let link = match (fast, slow, jitter, loss, offset) {
        (0xffff, 0xffff, 255, 255, 0x80_0000) => None,
        _ if is_time(fast) && is_time(slow) => Some(Latency {
            fast: time(fast),
            slow: time(slow),
            jitter: long(jitter.into(), 4) as u32,
            loss,
            offset: (offset != 0x80_0000).then_some(offset),
        }),
        _ => return None,
    };
    Some(Entry { target, life, link })
}

fn read_host(r: &mut Reader<'_>) -> Option<Host> {
    let (segment, vlan, mac) = (r.u24()?, u16::from_be_bytes(r.array()?), r.array::<6>()?);
    let (sequence, state) = (r.u32()?, r.u8()?);
    let is_right = vlan < 4095 && mac[0] & 1 == 0 && (1..=2).contains(&state);
    is_right.then_some(Host { name: (segment, vlan, mac), sequence, is_present: state == 1 })
}
