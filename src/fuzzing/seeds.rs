//! What the fuzzer starts from: headers, messages and records as engines send them, and choices rolled by dice.

use core::net::SocketAddr;

use core::time::Duration;

use crate::config::Cipher;
use crate::error::RejectReason;
use crate::fuzzing::mesh;
use crate::host::Host;
use crate::mac::MacAddr;
use crate::node::{NodeId, NodePrefix, Segment};
use crate::sim::Dice;
use crate::time::Time;
use crate::wire::control::{Listed, Message};
use crate::wire::handshake::{Answer, Challenge, Hello, Initiation, Introduction};
use crate::wire::hosts::{Announcement, HostEntry, HostState, Hosts};
use crate::wire::latency::{Echo, LinkLatency, Probe, Row, RowEntry, Stamps, Transit};
use crate::wire::path_probe::{PathAnswer, PathProbe};
use crate::wire::record::{Record, RecordVersion};

/// How many rolls of the dice each target gets that takes choices.
const ROLLS: usize = 24;

/// The seeds of one target, each with a name that is the same each time.
pub fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    match target {
        "control" => numbered(messages().iter().map(|message| written(|out| message.write(out)))),
        "ethernet" => numbered(frames()),
        "handshake_body" => numbered(handshake_bodies()),
        "header" => numbered(mesh::headers()),
        "record" => numbered(records().iter().map(|record| written(|out| record.write(out)))),
        _ => numbered((0..ROLLS).map(|roll| rolled(target, roll))),
    }
}

fn numbered(seeds: impl IntoIterator<Item = Vec<u8>>) -> Vec<(String, Vec<u8>)> {
    seeds.into_iter().enumerate().map(|(number, bytes)| (format!("seed-{number:02}"), bytes)).collect()
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut bytes);
    bytes
}

fn rolled(target: &str, roll: usize) -> Vec<u8> {
    let mut bytes = vec![0; 16 * (roll + 1)];
    Dice::named(roll as u64, target).fill(&mut bytes);
    bytes
}

fn frames() -> Vec<Vec<u8>> {
    let addresses = [[0xff; 6], [2, 0, 0, 0, 0, 1]].concat();
    let frame = |after: &[u8]| [&addresses[..], after].concat();
    vec![
        frame(&[0x08, 0x00, 0x45, 0x00]),
        frame(&[0x81, 0x00, 0xe0, 0x2a, 0x86, 0xdd]),
        frame(&[0x88, 0xa8, 0x00, 0x01, 0x81, 0x00, 0x00, 0x02]),
    ]
}

fn records() -> Vec<Record> {
    let record = |id: u8, locator: &str, segments: &[u32]| Record {
        id: NodeId([id; 32]),
        version: RecordVersion { incarnation: u64::from(id) << 40, version: 2 },
        locator: locator.parse().expect("an address and a port"),
        name: format!("site{id}"),
        segments: segments.iter().filter_map(|id| Segment::new(*id)).collect(),
    };
    vec![record(1, "192.0.2.1:4747", &[0]), record(2, "[2001:db8::2]:4747", &[0, 7, 0xff_ffff])]
}

fn handshake_bodies() -> Vec<Vec<u8>> {
    let introduction = |locator: SocketAddr, cipher| {
        Introduction { incarnation: 1 << 40, sequence: 2, epoch: 3, cipher, locator }.to_bytes()
    };
    let [one, other] = [records().remove(0), records().remove(1)].map(|record| record.locator);
    let introductions = [introduction(one, Cipher::Aes256Gcm), introduction(other, Cipher::ChaCha20Poly1305)];
    let answered = Introduction::read(&introductions[0]).map(Answer::Accepted).into_iter();
    let answers = answered.chain([Answer::IdentityInUse]).map(Answer::to_bytes);
    let others = [
        Hello { nonce: [1; 16] }.to_bytes(),
        Challenge { echo: [2; 16], id: NodeId([3; 32]), cookie: [4; 16] }.to_bytes(),
        Initiation { cookie: [5; 16], message: &[6; 20] }.to_bytes(),
    ];
    introductions.iter().cloned().chain(answers).chain(others).collect()
}

fn host_entries() -> Vec<HostEntry> {
    let entry = |vlan, sequence, state| HostEntry {
        host: Host { segment: Segment::DEFAULT, vlan, mac: MacAddr([2, 0, 0, 0, 0, 1]) },
        announcement: Announcement { sequence, state },
    };
    vec![entry(0, 0, HostState::Present), entry(4094, u32::MAX, HostState::Withdrawn)]
}

fn probe(hold_ms: u64, echo: Option<Echo>) -> Probe {
    let stamps = Stamps::new(Duration::from_millis(hold_ms), Time::from_nanos(1 << 40), echo);
    Probe { stamps, list_digest: 2, row_version: 300, hosts_version: 4 }
}

/// One of each kind, with every reason.
fn messages() -> Vec<Message> {
    let [one, other] = [records().remove(0), records().remove(1)];
    let version = one.version;
    let listed = |record: &Record| Listed { id: record.id, version, locator: record.locator };
    let link = |us| Some(LinkLatency { fast_us: us, slow_us: us + 1, jitter_us: 99, loss: 3, skew_us: 0 });
    let entry = |target, link: Option<LinkLatency>| RowEntry {
        target: NodePrefix(target),
        life: 1 << 8,
        link,
        offset_us: link.map(|_| 5),
    };
    let mut messages = vec![
        Message::ListRequest { token: 1 },
        Message::List { token: 2, entries: vec![listed(&one), listed(&other)] },
        Message::Join { record: one.clone(), known: RecordVersion::default() },
        Message::JoinAck { known: version, record: other.clone() },
        Message::Leave { version },
        Message::Probe(probe(0, None)),
        Message::Probe(probe(1000, Some(Echo { sent_us: 2, held_us: 500_000 }))),
        Message::Row {
            list_digest: 5,
            hosts_version: 6,
            row: Row {
                from: 1,
                to: 3,
                transit: Some(Transit { load: 1, delay_us: 50 }),
                entries: vec![entry(9, link(32_000)), entry(10, None)],
            },
        },
        Message::RowRequest { from: 7 },
        Message::Confirm,
        Message::AddressChallenge { token: 12 },
        Message::AddressResponse { token: 12 },
        Message::Hosts(Hosts { forgotten: 1, from: 2, to: 4, entries: host_entries() }),
        Message::HostsRequest { from: 7 },
        Message::PathProbe(PathProbe { token: 1, is_doubt: true }),
        Message::PathAnswer(PathAnswer { token: 1, received_at: 2 }),
    ];
    let reasons =
        [RejectReason::NameTaken, RejectReason::IdTaken, RejectReason::LocatorTaken, RejectReason::ListFull];
    messages.extend(reasons.map(|reason| Message::JoinReject { version, reason }));
    messages
}
