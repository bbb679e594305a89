//! The examples of `docs/protocol.md` in bytes: what `docs/vectors.json` holds, made by the code from fixed keys.
//!
//! Only for tests. What the bytes mean is said in the document.

use core::net::SocketAddr;
use core::time::Duration;

use serde_json::{Value, json};

use crate::config::{Cipher, Keys, Security};
use crate::error::RejectReason;
use crate::host::Host;
use crate::key::{self, NetworkKey, SecretKey};
use crate::mac::MacAddr;
use crate::node::{NodeId, Segment};
use crate::rng::Rng;
use crate::session::hop::{HopKey, HopStates};
use crate::session::noise::{self, Identity, Initiator};
use crate::session::path::tag_relays;
use crate::session::seal::SealKey;
use crate::session::suite::Suite;
use crate::session::{NO_COOKIE, OuterKey, SharedSeal};
use crate::time::Time;
use crate::wire::control::{Listed, Message};
use crate::wire::handshake::{Answer, Challenge, Hello, Initiation, Introduction};
use crate::wire::header::{self, Fields};
use crate::wire::hosts::{Announcement, HostEntry, HostState, Hosts};
use crate::wire::latency::{Echo, LinkLatency, Probe, Row, RowEntry, Stamps, Transit};
use crate::wire::path_probe::{PathAnswer, PathProbe};
use crate::wire::record::{Record, RecordVersion};
use crate::wire::{
    KIND_CONTROL, KIND_FRAME, TYPE_CHALLENGE, TYPE_HELLO, TYPE_INITIATION, TYPE_RESPONSE, TYPE_TRANSPORT,
};

/// Secret keys of initiator and responder.
const SECRETS: [[u8; 32]; 2] = [[0x11; 32], [0x22; 32]];
const NETWORK: [u8; 32] = [0x33; 32];
const INCARNATION: u64 = 0x0102_0304_0506_0708;
const FRAME: &[u8] =
    b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x88\xb5a frame of some length, for an experiment with EtherType 0x88b5";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Locators of a path of two relays.
fn path() -> [SocketAddr; 3] {
    ["192.0.2.1:4789", "[2001:db8::2]:4790", "198.51.100.3:4791"].map(address)
}

/// Everything, as it is in the file.
pub(crate) fn all() -> Value {
    let (sealed, plain) = (Exchange::sealed(), Exchange::plain());
    let handshakes = [handshakes(&sealed), handshakes(&plain)].concat();
    json!({
        "identities": SECRETS.map(|secret| identity(&secret)),
        "outer": [outer(&NETWORK), outer(&[0; 32])],
        "exchanges": [sealed.to_json(), plain.to_json()],
        "handshakes": handshakes,
        "derived": derived(&sealed.to_responder),
        "hop_tags": hop_tags(),
        "transport": transport(),
        "shared": shared(),
        "messages": messages(),
        "digest": digest(),
    })
}

fn identity(secret: &[u8; 32]) -> Value {
    let key = SecretKey::from_bytes(*secret);
    json!({
        "secret": hex(secret),
        "secret_base64": &*key.to_base64(),
        "id": hex(&key.node_id().0),
        "id_base64": key.node_id().to_base64(),
    })
}

fn outer(network: &[u8; 32]) -> Value {
    let key = key::expand::<32>(&key::derivable(network), &[b"leon 1 handshake"]);
    json!({ "network": hex(network), "key": hex(&*key) })
}

/// One key exchange with all that went into it.
struct Exchange {
    security: &'static str,
    ids: [NodeId; 2],
    /// The ephemeral secret keys, or the nonces, of both.
    random: [[u8; 32]; 2],
    payloads: [Vec<u8>; 2],
    messages: [Vec<u8>; 2],
    to_responder: [u8; 32],
    to_initiator: [u8; 32],
}

impl Exchange {
    fn sealed() -> Self {
        let identity = |secret| Identity::Sealed {
            secret: SecretKey::from_bytes(secret),
            network: NetworkKey::from_bytes(NETWORK),
        };
        let ids = SECRETS.map(|secret| SecretKey::from_bytes(secret).node_id());
        Exchange::run("sealed", ids, SECRETS.map(identity))
    }

    fn plain() -> Self {
        let ids = [NodeId([0x44; 32]), NodeId([0x55; 32])];
        Exchange::run("none", ids, ids.map(|id| Identity::Unsealed { id }))
    }

    fn run(security: &'static str, ids: [NodeId; 2], [initiator, responder]: [Identity; 2]) -> Self {
        let introduction = |sequence, epoch, cipher, locator| Introduction {
            incarnation: INCARNATION,
            sequence,
            epoch,
            cipher,
            locator: address(locator),
        };
        let payload_1 = introduction(9, 0xe1, Cipher::Aes256Gcm, "192.0.2.1:4789").to_bytes();
        let accepted = introduction(0, 0xe2, Cipher::ChaCha20Poly1305, "[2001:db8::2]:4790");
        let payload_2 = Answer::Accepted(accepted).to_bytes();
        let seeds = [[0x66; 32], [0x77; 32]];
        let random = seeds.map(|seed| *Rng::new(seed).secret());
        let [mut initiator_rng, mut responder_rng] = seeds.map(Rng::new);
        let (mut initiator, message_1) = Initiator::start(&initiator, ids[1], &payload_1, &mut initiator_rng);
        let answerable = noise::respond(&responder, &message_1, &mut responder_rng).expect("it is for it");
        let (message_2, split) = answerable.answer(&payload_2);
        initiator.finish(&message_2).expect("it is the answer");
        Exchange {
            security,
            ids,
            random,
            payloads: [payload_1, payload_2],
            messages: [message_1, message_2],
            to_responder: *split.to_responder,
            to_initiator: *split.to_initiator,
        }
    }

    fn to_json(&self) -> Value {
        json!({
            "security": self.security,
            "ids": self.ids.map(|id| hex(&id.0)),
            "random": self.random.map(|random| hex(&random)),
            "payloads": self.payloads.each_ref().map(|payload| hex(payload)),
            "messages": self.messages.each_ref().map(|message| hex(message)),
            "to_responder": hex(&self.to_responder),
            "to_initiator": hex(&self.to_initiator),
        })
    }
}

/// A datagram of each type of a handshake; the initiation goes through a relay.
fn handshakes(exchange: &Exchange) -> Vec<Value> {
    let [initiator, responder] = exchange.ids;
    let is_unsealed = exchange.security == "none";
    let security = if is_unsealed {
        Security::None { id: initiator }
    } else {
        Security::Sealed(Keys::new(SecretKey::from_bytes(SECRETS[0]), NetworkKey::from_bytes(NETWORK)))
    };
    let outer = OuterKey::of(&security);
    let challenge = Challenge { echo: [0x88; 16], id: responder, cookie: [0x99; 16] };
    let initiation = Initiation { cookie: challenge.cookie, message: &exchange.messages[0] };
    let [relay, locator, _] = path();
    let straight = [locator];
    [
        (TYPE_HELLO, initiator, &straight[..], Hello { nonce: challenge.echo }.to_bytes()),
        (TYPE_CHALLENGE, responder, &[relay], challenge.to_bytes()),
        (TYPE_INITIATION, initiator, &[relay, locator], initiation.to_bytes()),
        (TYPE_INITIATION, initiator, &straight, Initiation { cookie: NO_COOKIE, ..initiation }.to_bytes()),
        (TYPE_RESPONSE, responder, &[relay], exchange.messages[1].clone()),
    ]
    .into_iter()
    .zip(1..)
    .map(|((kind, source, entries, inner), counter)| {
        let nonce = [kind; 12];
        let fields = Fields { kind, is_unsealed, source: source.prefix(), epoch: 0 };
        let mut header = header::build(fields, entries);
        let hop_key = [0xaa; 16];
        tag_relays(
            &mut header,
            entries[1..].iter().map(|_| HopKey::new(&hop_key)).collect::<Vec<_>>().iter(),
            counter,
        );
        let mut datagram = header.to_vec();
        outer.seal(nonce, &header, &inner, &mut datagram);
        json!({
            "security": exchange.security,
            "type": kind,
            "source": hex(&source.0),
            "path": entries,
            "relay_hop_key": hex(&hop_key),
            "counter": counter,
            "nonce": hex(&nonce),
            "inner": hex(&inner),
            "datagram": hex(&datagram),
        })
    })
    .collect()
}

fn derived(split: &[u8; 32]) -> Value {
    let prk = key::derivable(split);
    let expand = |info: &[u8]| key::expand::<32>(&prk, &[info]);
    let short = |info: &[u8]| key::expand::<16>(&prk, &[info]);
    json!({
        "split": hex(split),
        "data": hex(&*expand(b"leon 1 data")),
        "mask": hex(&*expand(b"leon 1 mask")),
        "hop": hex(&*short(b"leon 1 hop")),
        "token": hex(&*short(b"leon 1 token")),
    })
}

fn transport_header(is_unsealed: bool, entries: &[SocketAddr]) -> header::HeaderBytes {
    let source = SecretKey::from_bytes(SECRETS[0]).node_id().prefix();
    header::build(Fields { kind: TYPE_TRANSPORT, is_unsealed, source, epoch: 0xe2 }, entries)
}

fn hop_tags() -> Value {
    let (label, counter) = (0x0102_0304, 0x0a0b_0c0d);
    let numbered = numbered(label, counter);
    let mut header = transport_header(false, &path());
    let hop_keys = [[0xb1; 16], [0xb2; 16], [0xb3; 16]];
    let input = [&header::hop_tag_input(&header)[..], &u64::to_be_bytes(numbered)].concat();
    let states = HopStates::new(&header, &hop_keys.map(|key| HopKey::new(&key)));
    header::set_counter(&mut header, numbered);
    states.write(&mut header);
    json!({
        "path": path(),
        "epoch": 0xe2,
        "source": hex(&SecretKey::from_bytes(SECRETS[0]).node_id().0),
        "flow_label": label,
        "counter": counter,
        "hop_keys": hop_keys.map(|key| hex(&key)),
        "input": hex(&input),
        "header": hex(&header),
    })
}

const SUITES: [(Suite, &str); 3] = [
    (Suite::Aes256Gcm, "aes_256_gcm"),
    (Suite::ChaCha20Poly1305, "chacha20_poly1305"),
    (Suite::None, "none"),
];
const SPLIT: [u8; 32] = [0xc1; 32];
const FLOW_LABEL: u32 = 0x5eed_1abe;

/// Flow label and counter as they stand in the header.
fn numbered(flow_label: u32, counter: u32) -> u64 {
    u64::from(flow_label) << 32 | u64::from(counter)
}

/// The header and prefix of a datagram that a relay passes, and then this one receives.
fn head(key: &SealKey, suite: Suite, counter: u32, kind: u8, segment: u32) -> Vec<u8> {
    let mut header = transport_header(suite == Suite::None, &path()[1..]);
    let relay = HopKey::new(&[0xb1; 16]);
    let states = HopStates::new(&header, [&relay, key.hop()]);
    header::set_counter(&mut header, numbered(FLOW_LABEL, counter));
    states.write(&mut header);
    [&header[..], &(u32::from(kind) << 24 | segment).to_be_bytes()].concat()
}

fn transport() -> Vec<Value> {
    let mut confirm = Vec::new();
    Message::Confirm.write(&mut confirm);
    let contents = [(KIND_FRAME, 0xab_cdef, FRAME), (KIND_CONTROL, 0, &confirm[..])];
    let datagram = |(suite, name): (Suite, &str), (kind, segment, content): (u8, u32, &[u8])| {
        let key = SealKey::new(&SPLIT, suite, FLOW_LABEL);
        let counter = 7;
        let (mut head, mut sealed) = (head(&key, suite, counter, kind, segment), content.to_vec());
        let tag = key.seal(&mut head, &mut sealed);
        json!({
            "suite": name,
            "split": hex(&SPLIT),
            "relay_hop_key": hex(&[0xb1; 16]),
            "flow_label": FLOW_LABEL,
            "counter": counter,
            "kind": kind,
            "segment": segment,
            "content": hex(content),
            "datagram": hex(&[&head[..], &sealed, &tag].concat()),
        })
    };
    SUITES.iter().flat_map(|suite| contents.map(|content| datagram(*suite, content))).collect()
}

fn shared() -> Vec<Value> {
    let one_time = [0xd1; 32];
    let datagram = |(suite, name): (Suite, &str), cipher| {
        let key = SealKey::new(&SPLIT, suite, FLOW_LABEL);
        let mut frame = FRAME.to_vec();
        let shared = SharedSeal::new(cipher, &one_time, &mut frame);
        let counter = 8;
        let mut head = head(&key, suite, counter, shared.kind(), 5);
        let tail = key.seal_shared(&mut head, &shared);
        json!({
            "suite": name,
            "split": hex(&SPLIT),
            "relay_hop_key": hex(&[0xb1; 16]),
            "flow_label": FLOW_LABEL,
            "counter": counter,
            "kind": shared.kind(),
            "segment": 5,
            "one_time_key": hex(&one_time),
            "frame": hex(FRAME),
            "datagram": hex(&[&head[..], &frame, &tail].concat()),
        })
    };
    let ciphers = [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305];
    SUITES.iter().flat_map(|suite| ciphers.map(|cipher| datagram(*suite, cipher))).collect()
}

fn records() -> [Record; 2] {
    let record = |n: usize, name: &str, version, segments: &[u32]| Record {
        id: SecretKey::from_bytes(SECRETS[n]).node_id(),
        version: RecordVersion { incarnation: INCARNATION + n as u64, version },
        locator: path()[n],
        name: name.into(),
        segments: segments.iter().filter_map(|id| Segment::new(*id)).collect(),
    };
    [record(0, "fujisawa", 0, &[0]), record(1, "inagi 稲城", 3, &[0, 0xab_cdef])]
}

fn version_json(version: RecordVersion) -> Value {
    json!({ "incarnation": hex(&version.incarnation.to_be_bytes()), "number": version.version })
}

fn record_json(record: &Record) -> Value {
    json!({
        "id": hex(&record.id.0),
        "version": version_json(record.version),
        "locator": record.locator,
        "name": record.name,
        "segments": record.segments.iter().map(|segment| segment.id()).collect::<Vec<_>>(),
    })
}

fn messages() -> Vec<Value> {
    let [one, other] = records();
    let listed = |record: &Record| Listed { id: record.id, version: record.version, locator: record.locator };
    let (token, list_digest) = (0xa1a2_a3a4_a5a6_a7a8_u64, 0xf1f2_f3f4);
    let (mine, known) = (one.version, other.version);
    let token_json = hex(&token.to_be_bytes());
    let records = [record_json(&one), record_json(&other)];
    let all = [
        (Message::ListRequest { token }, json!({ "token": token_json })),
        (
            Message::List { token, entries: vec![listed(&one), listed(&other)] },
            json!({ "token": token_json, "records": records }),
        ),
        (
            Message::Join { record: one.clone(), known },
            json!({ "known": version_json(known), "record": records[0] }),
        ),
        (
            Message::JoinAck { known: mine, record: other.clone() },
            json!({ "known": version_json(mine), "record": records[1] }),
        ),
        (
            Message::JoinReject { version: mine, reason: RejectReason::LocatorTaken },
            json!({ "version": version_json(mine), "reason": 2 }),
        ),
        (Message::Leave { version: known }, json!({ "version": version_json(known) })),
        probe(list_digest, None),
        probe(list_digest, Some(Echo { sent_us: 0x0102_0304, held_us: 1_000_000 })),
        row(list_digest),
        (Message::RowRequest { from: 5 }, json!({ "from": 5 })),
        (Message::Confirm, json!({})),
        (Message::AddressChallenge { token }, json!({ "token": token_json })),
        (Message::AddressResponse { token }, json!({ "token": token_json })),
        hosts(),
        (Message::HostsRequest { from: 5 }, json!({ "from": 5 })),
        (Message::PathProbe(PathProbe { token, is_doubt: true }), json!({ "token": token_json, "doubt": 1 })),
        (
            Message::PathAnswer(PathAnswer { token, received_at: 6 }),
            json!({ "token": token_json, "received_at": 6 }),
        ),
    ];
    let to_json = |(message, fields): &(Message, Value)| {
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        json!({ "type": bytes[0], "fields": fields, "bytes": hex(&bytes) })
    };
    all.iter().map(to_json).collect()
}

fn probe(list_digest: u32, echo: Option<Echo>) -> (Message, Value) {
    let stamps = Stamps::new(Duration::from_millis(950), Time::from_nanos(0x0102_0304_0506_0708), echo);
    let mut fields = json!({
        "hold": 950,
        "sent": stamps.sent_us,
        "digest": hex(&list_digest.to_be_bytes()),
        "row_version": 300,
        "hosts_version": 12,
    });
    if let Some(Echo { sent_us, held_us }) = echo {
        (fields["echo"], fields["held"]) = (sent_us.into(), held_us.into());
    }
    (Message::Probe(Probe { stamps, list_digest, row_version: 300, hosts_version: 12 }), fields)
}

fn row(list_digest: u32) -> (Message, Value) {
    let [one, other] = records().map(|record| record.id.prefix());
    let link = LinkLatency { fast_us: 31_992, slow_us: 900, jitter_us: 120, loss: 3, skew_us: 0 };
    let up = RowEntry { target: one, life: 0x0c08, link: Some(link), offset_us: Some(0x00ab_cdef) };
    let down = RowEntry { target: other, life: 0x0c08, link: None, offset_us: None };
    let transit = Some(Transit { load: 64, delay_us: 250 });
    let fields = json!({
        "digest": hex(&list_digest.to_be_bytes()),
        "hosts_version": 12,
        "from": 5,
        "to": 9,
        "load": 64,
        "delay": 250,
        "entries": [
            {
                "target": hex(&one.0.to_be_bytes()),
                "life": 0x0c08,
                "fast": 31_992,
                "slow": 900,
                "jitter": 120,
                "loss": 3,
                "offset": 0x00ab_cdef,
            },
            { "target": hex(&other.0.to_be_bytes()), "life": 0x0c08 },
        ],
    });
    let row = Row { from: 5, to: 9, transit, entries: vec![up, down] };
    (Message::Row { list_digest, hosts_version: 12, row }, fields)
}

fn hosts() -> (Message, Value) {
    let host = Host {
        segment: Segment::new(0x00ab_cdef).expect("fits 24 bits"),
        vlan: 7,
        mac: MacAddr([2, 0, 0x5e, 0x10, 0, 1]),
    };
    let entry = |vlan, sequence, state| HostEntry {
        host: Host { vlan, ..host },
        announcement: Announcement { sequence, state },
    };
    let entries = vec![entry(7, 3, HostState::Present), entry(0, 0x0102_0304, HostState::Withdrawn)];
    let to_json = |entry: &HostEntry| {
        json!({
            "segment": entry.host.segment.id(),
            "vlan": entry.host.vlan,
            "mac": hex(&entry.host.mac.0),
            "sequence": entry.announcement.sequence,
            "state": entry.announcement.state as u8,
        })
    };
    let entries_json: Vec<Value> = entries.iter().map(to_json).collect();
    let fields = json!({ "forgotten": 2, "from": 5, "to": 9, "entries": entries_json });
    (Message::Hosts(Hosts { forgotten: 2, from: 5, to: 9, entries }), fields)
}

fn digest() -> Value {
    let records = records();
    let list = records.iter().fold(0, |digest, record| digest ^ record.digest());
    let one = |record: &Record| {
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        json!({
            "record": record_json(record),
            "bytes": hex(&bytes),
            "digest": hex(&record.digest().to_be_bytes()),
        })
    };
    json!({ "records": records.each_ref().map(one), "list": hex(&list.to_be_bytes()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_document_are_what_the_code_makes() {
        let written: Value = serde_json::from_str(include_str!("../../docs/vectors.json")).unwrap();
        let made = all();
        for (name, value) in made.as_object().unwrap() {
            assert_eq!(value, &written[name], "{name}");
        }
        assert_eq!(written, made, "and nothing else is in the file");
    }

    #[test]
    #[ignore = "writes docs/vectors.json anew, after a change of the protocol"]
    fn write_the_vectors() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/vectors.json");
        std::fs::write(path, serde_json::to_string_pretty(&all()).unwrap() + "\n").unwrap();
    }
}
