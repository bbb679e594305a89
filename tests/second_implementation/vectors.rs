//! The vectors of section 17, each made again from its inputs.

use std::net::SocketAddr;

use serde_json::Value;

use crate::codec::{hex, unhex};
use crate::control::{Entry, Host, Latency, Listed, Message, Record, Version};
use crate::exchange::{self, Identity};
use crate::header::{Header, TRANSPORT, prefix};
use crate::seal::{self, Direction, SHARED_AES, SHARED_CHACHA, Shared, Suite};

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/vectors.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn all(name: &str) -> Vec<Value> {
    vectors()[name].as_array().unwrap().clone()
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(value.as_str().unwrap())
}

fn array<const N: usize>(value: &Value) -> [u8; N] {
    bytes(value).try_into().unwrap()
}

/// Flow label, 0 where there is none, and counter as they stand in the header.
fn numbered(vector: &Value) -> u64 {
    vector.get("flow_label").map_or(0, number) << 32 | number(&vector["counter"])
}

fn number(value: &Value) -> u64 {
    match value.as_str() {
        Some(_) => bytes(value).iter().fold(0, |number, byte| number << 8 | u64::from(*byte)),
        None => value.as_u64().unwrap(),
    }
}

fn path(value: &Value) -> Vec<SocketAddr> {
    value.as_array().unwrap().iter().map(|entry| entry.as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn identities_are_public_keys() {
    for vector in all("identities") {
        let identity = Identity::Sealed { secret: array(&vector["secret"]), network: [0; 32] };
        assert_eq!(identity.id(), array(&vector["id"]));
    }
}

#[test]
fn keys_are_derived() {
    for vector in all("outer") {
        assert_eq!(seal::outer_key(&array(&vector["network"])), array(&vector["key"]));
    }
    let vector = &vectors()["derived"];
    let keys = Direction::new(&array(&vector["split"]), Suite::Aes);
    assert_eq!((keys.data, keys.mask), (array(&vector["data"]), array(&vector["mask"])));
    assert_eq!((keys.hop, keys.token), (array(&vector["hop"]), array(&vector["token"])));
}

#[test]
fn exchanges_give_the_same_messages_and_keys() {
    let secrets: Vec<[u8; 32]> = all("identities").iter().map(|vector| array(&vector["secret"])).collect();
    let network = array(&all("outer")[0]["network"]);
    for vector in all("exchanges") {
        let ids: Vec<[u8; 32]> = [0, 1].map(|n| array(&vector["ids"][n])).to_vec();
        let identity = |n: usize| match vector["security"].as_str() {
            Some("sealed") => Identity::Sealed { secret: secrets[n], network },
            _ => Identity::None { id: ids[n] },
        };
        let (payloads, messages) = (&vector["payloads"], &vector["messages"]);
        let random: Vec<[u8; 32]> = [0, 1].map(|n| array(&vector["random"][n])).to_vec();
        let (mut begun, message_1) = exchange::begin(&identity(0), &ids[1], random[0], &bytes(&payloads[0]));
        assert_eq!(message_1, bytes(&messages[0]));
        let asked = exchange::respond(&identity(1), random[1], &message_1).unwrap();
        assert_eq!((asked.initiator, &asked.payload), (ids[0], &bytes(&payloads[0])));
        let (message_2, split) = exchange::answer(asked, &bytes(&payloads[1]));
        assert_eq!(message_2, bytes(&messages[1]));
        assert_eq!(split, (array(&vector["to_responder"]), array(&vector["to_initiator"])));
        assert_eq!(exchange::finish(&mut begun, &message_2), Some((bytes(&payloads[1]), split)));
    }
}

#[test]
fn handshake_datagrams_are_sealed_under_the_network_key() {
    let networks: Vec<[u8; 32]> = all("outer").iter().map(|vector| array(&vector["network"])).collect();
    let all = all("handshakes");
    assert_eq!(all.len(), 10);
    for vector in all {
        let is_unsealed = vector["security"] == "none";
        let path = path(&vector["path"]);
        let relays = vec![array(&vector["relay_hop_key"]); path.len() - 1];
        let header = Header {
            kind: number(&vector["type"]) as u8,
            is_unsealed,
            epoch: 0,
            source: prefix(&array(&vector["source"])),
            counter: numbered(&vector),
            path,
            index: 0,
            tags: Vec::new(),
        };
        let header = header.tagged(&relays).bytes();
        let key = seal::outer_key(&networks[usize::from(is_unsealed)]);
        let (nonce, inner) = (array(&vector["nonce"]), bytes(&vector["inner"]));
        let datagram = seal::outer_seal(&key, &header, nonce, &inner);
        assert_eq!(hex(&datagram), vector["datagram"].as_str().unwrap());
        assert_eq!(seal::outer_open(&key, &datagram, header.len()), Some(inner));
    }
}

#[test]
fn hop_tags_cover_the_path_and_the_counter() {
    let vector = &vectors()["hop_tags"];
    let header = Header {
        kind: TRANSPORT,
        is_unsealed: false,
        epoch: number(&vector["epoch"]) as u8,
        source: prefix(&array(&vector["source"])),
        counter: numbered(vector),
        path: path(&vector["path"]),
        index: 0,
        tags: Vec::new(),
    };
    assert_eq!(hex(&header.tag_input()), vector["input"].as_str().unwrap());
    let keys: Vec<[u8; 16]> = vector["hop_keys"].as_array().unwrap().iter().map(array).collect();
    let bytes = header.tagged(&keys).bytes();
    assert_eq!(hex(&bytes), vector["header"].as_str().unwrap());
    assert_eq!(Header::read(&bytes).unwrap().1, bytes.len());
}

fn suite(vector: &Value) -> Suite {
    match vector["suite"].as_str().unwrap() {
        "aes_256_gcm" => Suite::Aes,
        "chacha20_poly1305" => Suite::ChaCha,
        _ => Suite::None,
    }
}

/// Keys and header of a transport datagram, and the datagram.
fn transport(vector: &Value) -> (Direction, Header, Vec<u8>, usize) {
    let keys = Direction::new(&array(&vector["split"]), suite(vector));
    let datagram = bytes(&vector["datagram"]);
    let (header, len) = Header::read(&datagram).unwrap();
    let tagged = header.clone().tagged(&[array(&vector["relay_hop_key"]), keys.hop]);
    assert_eq!((&tagged, header.counter), (&header, numbered(vector)));
    (keys, header, datagram, len)
}

#[test]
fn transport_datagrams_are_sealed_and_opened() {
    let all = all("transport");
    assert_eq!(all.len(), 6);
    for vector in all {
        let (keys, header, datagram, len) = transport(&vector);
        let (kind, segment) = (number(&vector["kind"]) as u8, number(&vector["segment"]) as u32);
        let content = bytes(&vector["content"]);
        assert_eq!(hex(&keys.seal(&header, kind, segment, &content)), vector["datagram"].as_str().unwrap());
        assert_eq!(keys.open(&header, &datagram, len), Some((kind, segment, content)));
    }
}

#[test]
fn shared_frames_are_sealed_and_opened() {
    let all = all("shared");
    assert_eq!(all.len(), 6);
    for vector in all {
        let (keys, header, datagram, len) = transport(&vector);
        let (kind, segment) = (number(&vector["kind"]) as u8, number(&vector["segment"]) as u32);
        assert!(kind == SHARED_AES || kind == SHARED_CHACHA);
        let frame = bytes(&vector["frame"]);
        let shared = Shared::new(kind, array(&vector["one_time_key"]), &frame);
        assert_eq!(hex(&keys.seal_shared(&header, segment, &shared)), vector["datagram"].as_str().unwrap());
        assert_eq!(keys.open(&header, &datagram, len), Some((kind, segment, frame)));
    }
}

fn version(value: &Value) -> Version {
    (number(&value["incarnation"]), number(&value["number"]) as u32)
}

fn record(value: &Value) -> Record {
    let segments = value["segments"].as_array().unwrap().iter().map(|segment| number(segment) as u32);
    Record {
        id: array(&value["id"]),
        version: version(&value["version"]),
        locator: value["locator"].as_str().unwrap().parse().unwrap(),
        name: value["name"].as_str().unwrap().into(),
        segments: segments.collect(),
    }
}

fn entry(value: &Value) -> Entry {
    let us = |name: &str| number(&value[name]) as u32;
    let link = value.get("fast").map(|_| Latency {
        fast: us("fast"),
        slow: us("slow"),
        jitter: us("jitter"),
        loss: us("loss") as u8,
        offset: value.get("offset").map(|_| us("offset")),
    });
    Entry { target: array(&value["target"]), life: us("life") as u16, link }
}

fn host(value: &Value) -> Host {
    let of = |name: &str| number(&value[name]) as u32;
    let name = (of("segment"), of("vlan") as u16, array(&value["mac"]));
    Host { name, sequence: of("sequence"), is_present: of("state") == 1 }
}

fn message(kind: u64, fields: &Value) -> Message {
    let of = |name: &str| number(&fields[name]);
    let (known, joiner) = (|| version(&fields["known"]), || record(&fields["record"]));
    match kind {
        1 => Message::ListRequest { token: of("token") },
        2 => {
            let records = fields["records"].as_array().unwrap().iter();
            let entries: Vec<Listed> = records.map(|value| record(value).listed()).collect();
            Message::List { token: of("token"), entries }
        }
        3 => Message::Join { known: known(), record: joiner() },
        4 => Message::JoinAck { known: known(), record: joiner() },
        5 => Message::JoinReject { version: version(&fields["version"]), reason: of("reason") as u8 },
        6 => Message::Leave { version: version(&fields["version"]) },
        7 => Message::Probe {
            hold: of("hold") as u16,
            sent: of("sent"),
            echo: fields.get("echo").map(|_| (of("echo") as u32, of("held") as u32)),
            digest: of("digest") as u32,
            row: of("row_version"),
            hosts: of("hosts_version"),
        },
        9 => {
            let entries = fields["entries"].as_array().unwrap().iter().map(entry).collect();
            Message::Row {
                digest: of("digest") as u32,
                hosts: of("hosts_version"),
                from: of("from"),
                to: of("to"),
                transit: Some((of("load") as u8, of("delay") as u16)),
                entries,
            }
        }
        10 => Message::RowRequest { from: of("from") },
        11 => Message::Confirm,
        12 => Message::AddressChallenge { token: of("token") },
        13 => Message::AddressResponse { token: of("token") },
        14 => {
            let entries = fields["entries"].as_array().unwrap().iter().map(host).collect();
            Message::Hosts { forgotten: of("forgotten"), from: of("from"), to: of("to"), entries }
        }
        15 => Message::HostsRequest { from: of("from") },
        16 => Message::PathProbe { token: of("token"), is_doubt: of("doubt") == 1 },
        17 => Message::PathAnswer { token: of("token"), received_at: of("received_at") },
        _ => panic!("no message has type {kind}"),
    }
}

#[test]
fn control_messages_are_written_and_read() {
    let all = all("messages");
    assert_eq!(all.len(), 17);
    for vector in all {
        let message = message(number(&vector["type"]), &vector["fields"]);
        assert_eq!(hex(&message.bytes()), vector["bytes"].as_str().unwrap());
        assert_eq!(Message::read(&bytes(&vector["bytes"])), Some(message));
    }
}

#[test]
fn the_digest_of_a_list_is_that_of_its_records() {
    let vector = &vectors()["digest"];
    let mut list = 0;
    for vector in vector["records"].as_array().unwrap() {
        let record = record(&vector["record"]);
        assert_eq!(hex(&record.bytes()), vector["bytes"].as_str().unwrap());
        assert_eq!(record.digest(), number(&vector["digest"]));
        list ^= record.digest();
    }
    assert_eq!(list, number(&vector["list"]));
}
