//! Section 10: what an engine drops, in which order it checks, and under which counter.

use leon::Counter;

use crate::control::{Message, Record};
use crate::header::{HELLO, Header};
use crate::net::{ALL, ENGINE, Kind, Net, frame, host, locator};
use crate::seal::{self, CONTROL, FRAME, SHARED_AES};

/// Hands the engine a datagram from peer 0; gives the counter under which it is dropped.
fn dropped(net: &mut Net, bytes: Vec<u8>) -> String {
    let before = net.drops();
    net.hand(locator(0), bytes);
    let after = net.drops();
    let mut changed = after.iter().filter(|(name, n)| before.get(*name) != Some(n)).map(|(name, _)| *name);
    let name = changed.next().unwrap_or("none");
    assert_eq!(changed.next(), None, "one counter for each datagram");
    name.trim_start_matches("drop_").to_owned()
}

/// A frame of peer 0 for the engine, sealed after `change` was made to its header.
fn sealed(net: &mut Net, kind: u8, segment: u32, content: &[u8], change: impl Fn(&mut Header)) -> Vec<u8> {
    let engine = net.engine_prefix();
    let mut header = net.peers[0].next_header(engine, &[]);
    change(&mut header);
    let keys = net.peers[0].sessions[&engine].current.as_ref().unwrap();
    let header = header.tagged(&[keys.seal.hop]);
    keys.seal.seal(&header, kind, segment, content)
}

fn with(mut bytes: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    bytes[at] = value;
    bytes
}

#[test]
fn headers_are_checked_in_order() {
    let mut net = Net::joined(Kind::Aes, 1);
    let good = sealed(&mut net, FRAME, 0, &frame(ALL, host(0), 60), |_| {});
    let cases = [
        (good[..19].to_vec(), "datagram_truncated"),
        (with(good.clone(), 0, 0x21), "datagram_version"),
        (with(good.clone(), 0, 0x10), "datagram_type"),
        (with(good.clone(), 0, 0x16), "datagram_type"),
        (with(good.clone(), 1, 0x00), "path_length"),
        (with(good.clone(), 1, 0x50), "path_length"),
        (with(good.clone(), 1, 0x11), "path_length"),
        (with(good.clone(), 2, 0x10), "datagram_type"),
        (with(good.clone(), 2, 0x02), "datagram_type"),
        (good[..33].to_vec(), "datagram_truncated"),
        (with(good.clone(), 2, 0x80), "security_mismatch"),
    ];
    for (bytes, counter) in cases {
        assert_eq!(dropped(&mut net, bytes), counter);
    }
    let own = net.engine_prefix();
    let from_itself = sealed(&mut net, FRAME, 0, &[], |header| header.source = own);
    assert_eq!(dropped(&mut net, from_itself), "source_self");
    let twice = sealed(&mut net, FRAME, 0, &[], |header| header.path = vec![ENGINE, ENGINE]);
    assert_eq!(dropped(&mut net, twice), "path_repeat");
    let elsewhere = sealed(&mut net, FRAME, 0, &[], |header| header.path = vec![locator(1), ENGINE]);
    assert_eq!(dropped(&mut net, elsewhere), "path_not_here");
    let before = net.count(Counter::SourceSelf);
    net.hand(ENGINE, good.clone());
    assert_eq!(net.count(Counter::SourceSelf), before + 1, "nobody else sends from there");
    assert_eq!(dropped(&mut net, good), "none");
}

#[test]
fn relays_check_the_tag_and_both_neighbours() {
    let mut net = Net::joined(Kind::Aes, 2);
    let (engine, other) = (net.engine_prefix(), net.peers[1].prefix());
    let relayed = |net: &mut Net, change: &dyn Fn(&mut Header)| {
        let mut header = net.peers[0].next_header(other, &[engine]);
        change(&mut header);
        let hop = |node| net.peers[0].sessions[node].current.as_ref().unwrap().seal.hop;
        let header = header.tagged(&[hop(&engine), hop(&other)]);
        let keys = &net.peers[0].sessions[&other].current.as_ref().unwrap().seal;
        keys.seal(&header, FRAME, 0, &frame(ALL, host(0), 60))
    };
    let good = relayed(&mut net, &|_| {});
    let stranger = relayed(&mut net, &|header| header.source = [1; 8]);
    assert_eq!(dropped(&mut net, stranger), "source_stranger");
    assert_eq!(dropped(&mut net, with(good.clone(), 19, 0xee)), "tag");
    let nowhere = relayed(&mut net, &|header| header.path[1] = locator(6));
    assert_eq!(dropped(&mut net, nowhere), "path_stranger");
    let long = [&good[..], &[0; 1400]].concat();
    assert_eq!(dropped(&mut net, long), "frame_too_long");
    assert_eq!(dropped(&mut net, good.clone()), "none");
    assert_eq!(dropped(&mut net, good), "replayed");
}

#[test]
fn transport_is_checked_before_and_after_it_is_opened() {
    let mut net = Net::joined(Kind::Aes, 1);
    let content = frame(ALL, host(0), 60);
    let stranger = sealed(&mut net, FRAME, 0, &content, |header| header.source = [1; 8]);
    assert_eq!(dropped(&mut net, stranger), "source_stranger");
    let epoch = sealed(&mut net, FRAME, 0, &content, |header| header.epoch ^= 0x80);
    assert_eq!(dropped(&mut net, epoch), "source_epoch");
    let good = sealed(&mut net, FRAME, 0, &content, |_| {});
    let (header, len) = Header::read(&good).unwrap();
    assert_eq!(dropped(&mut net, with(good.clone(), len - 1, !header.tags[0][7])), "tag");
    assert_eq!(dropped(&mut net, good[..len + 19].to_vec()), "datagram_truncated");
    for at in len..good.len() {
        assert_eq!(
            dropped(&mut net, with(good.clone(), at, !good[at])),
            "tag",
            "byte {at} of {}",
            good.len()
        );
    }
    assert_eq!(dropped(&mut net, good.clone()), "none");
    assert_eq!(dropped(&mut net, good), "replayed");
    for counter in [0, 1 << 37] {
        let bytes = sealed(&mut net, FRAME, 0, &content, |header| header.counter = counter);
        assert_eq!(dropped(&mut net, bytes), "replayed");
    }
    let short = sealed(&mut net, SHARED_AES, 0, &[0; 40], |_| {});
    assert_eq!(dropped(&mut net, short), "datagram_truncated");
    for (kind, segment, content, counter) in [
        (CONTROL, 0, vec![12], "control_malformed"),
        (CONTROL, 0, vec![], "control_malformed"),
        (CONTROL, 0, vec![11, 0], "control_malformed"),
        (9, 0, content.clone(), "datagram_type"),
        (FRAME, 5, content.clone(), "frame_segment"),
        (FRAME, 0, content[..13].to_vec(), "frame_too_short"),
        (FRAME, 0, frame(ALL, [0xff; 6], 60), "frame_group_source"),
        (CONTROL, 0xab_cdef, vec![11], "none"),
    ] {
        let bytes = sealed(&mut net, kind, segment, &content, |_| {});
        assert_eq!(dropped(&mut net, bytes), counter);
    }
    let seed = |header: &mut Header| header.path = vec![locator(8)];
    let elsewhere = sealed(&mut net, FRAME, 0, &content, seed);
    assert_eq!(dropped(&mut net, elsewhere), "path_not_here");
    let elsewhere = sealed(&mut net, CONTROL, 0, &[11], seed);
    assert_eq!(dropped(&mut net, elsewhere), "none");
}

#[test]
fn limits_hold() {
    let mut net = Net::joined(Kind::Aes, 1);
    net.run(5000);
    let mut last = String::new();
    let taken = (0..3000).take_while(|_| {
        let bytes = sealed(&mut net, CONTROL, 0, &[11], |_| {});
        last = dropped(&mut net, bytes);
        last == "none"
    });
    assert_eq!((taken.count(), last.as_str()), (2000, "control_limit"));
    let taken = (0..20_000).take_while(|_| {
        let bytes = sealed(&mut net, FRAME, 0, &frame(ALL, host(0), 60), |_| {});
        last = dropped(&mut net, bytes);
        last == "none"
    });
    assert_eq!((taken.count(), last.as_str()), (10_000, "flood_limit"));
}

/// A datagram of a handshake that peer 0 seals.
fn handshake(net: &Net, kind: u8, inner: &[u8]) -> Vec<u8> {
    let peer = &net.peers[0];
    let header = Header {
        kind,
        is_unsealed: false,
        epoch: 0,
        source: peer.prefix(),
        counter: 1,
        path: vec![ENGINE],
        index: 0,
        tags: vec![[0; 8]],
    };
    seal::outer_seal(&seal::outer_key(&peer.identity.network()), &header.bytes(), [3; 12], inner)
}

#[test]
fn handshakes_are_checked_and_limited() {
    let mut net = Net::new(Kind::Aes, 1, &[]);
    let hello = handshake(&net, HELLO, &[0; 64]);
    let last = hello.len() - 1;
    assert_eq!(dropped(&mut net, with(hello.clone(), last, !hello[last])), "handshake_stranger");
    assert_eq!(
        dropped(&mut net, with(hello.clone(), 0, 0x13)),
        "handshake_stranger",
        "the type is sealed too"
    );
    for (kind, inner, counter) in [
        (2, vec![0; 63], "handshake_malformed"),
        (2, vec![1; 64], "handshake_malformed"),
        (3, vec![0; 64], "handshake_malformed"),
        (3, [&[0; 16][..], &net.peers[0].record.id, &[0; 16]].concat(), "handshake_unexpected"),
        (4, vec![0; 15], "handshake_malformed"),
        (4, vec![0; 150], "handshake_failed"),
        (5, vec![0; 80], "handshake_unexpected"),
    ] {
        let bytes = handshake(&net, kind, &inner);
        assert_eq!(dropped(&mut net, bytes), counter, "type {kind}");
    }
    let taken = (0..1100).take_while(|_| dropped(&mut net, hello.clone()) == "none").count();
    assert!((990..=1000).contains(&taken), "{taken}");
    assert_eq!(dropped(&mut net, hello), "handshake_limit");
}

#[test]
fn nobody_speaks_for_another() {
    let mut net = Net::joined(Kind::Aes, 2);
    let mut control = |message: Message| {
        let bytes = sealed(&mut net, CONTROL, 0, &message.bytes(), |_| {});
        dropped(&mut net, bytes)
    };
    let other = Record { id: [7; 32], ..Net::new(Kind::Aes, 2, &[]).peers.remove(1).record };
    let (known, version) = ((0, 0), other.version);
    let join = Message::Join { known, record: other.clone() };
    assert_eq!(control(join), "record_forged");
    assert_eq!(control(Message::JoinAck { known, record: other.clone() }), "record_forged");
    assert_eq!(control(Message::List { token: 1, entries: vec![other.listed()] }), "control_unexpected");
    assert_eq!(control(Message::JoinReject { version, reason: 0 }), "control_unexpected");
    assert_eq!(control(Message::PathAnswer { token: 1, received_at: 0 }), "control_unexpected");
    let me = Net::new(Kind::Aes, 1, &[]).peers.remove(0).record;
    let newer = |number| (me.version.0, number);
    let taken = Record { name: "peer1".into(), version: newer(1), ..me.clone() };
    assert_eq!(control(Message::Join { known, record: taken }), "member_conflict");
    let taken = Record { locator: ENGINE, version: newer(2), ..me };
    assert_eq!(control(Message::Join { known, record: taken }), "member_conflict");
}
