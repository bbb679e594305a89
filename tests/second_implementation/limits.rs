//! What a node owes the others however they behave: fair turns, rows for members only, cookies by the way they came.

use std::net::SocketAddr;

use crate::control::{Message, Record};
use crate::header::{CHALLENGE, Header, INITIATION};
use crate::net::{ENGINE, Kind, Net, locator};
use crate::seal;

/// A peer that is in no net yet.
fn stranger(n: usize) -> crate::peer::Peer {
    let mut stranger = Net::new(Kind::Aes, n + 1, &[]).peers.remove(n);
    stranger.joins = false;
    stranger
}

/// Initiations of the engine: where they went first, and their paths.
fn initiations(net: &Net) -> Vec<(SocketAddr, Vec<SocketAddr>, Vec<u8>)> {
    let sent = net.log.iter().filter(|(from, ..)| *from == ENGINE);
    let parsed = sent.map(|(_, to, bytes)| (*to, Header::read(bytes).unwrap().0, bytes.clone()));
    parsed
        .filter(|(_, header, _)| header.kind == INITIATION)
        .map(|(to, header, bytes)| (to, header.path, bytes))
        .collect()
}

#[test]
fn a_cookie_goes_back_by_the_way_it_came() {
    let mut net = Net::joined(Kind::Aes, 2);
    let listed = stranger(4);
    let record = listed.record.clone();
    let network = listed.identity.network();
    net.log.clear();
    // Peer 1 lists a node; the engine asks for the list, as the digests differ, and contacts the node.
    net.peers[1].members.insert(record.prefix(), record.clone());
    let engine = net.engine_prefix();
    net.peers[1].probe(net.now.as_nanos(), engine);
    net.run(30);
    let (_, _, first) = initiations(&net)[0].clone();
    let (header, len) = Header::read(&first).unwrap();
    let inner = seal::outer_open(&seal::outer_key(&network), &first, len).unwrap();
    // It asks for a proof of the engine's address.
    let challenge = [&inner[16..32], &record.id, &[0xaa; 16]].concat();
    let header = Header { kind: CHALLENGE, source: record.prefix(), path: vec![ENGINE], ..header };
    let bytes = seal::outer_seal(&seal::outer_key(&network), &header.bytes(), [1; 12], &challenge);
    net.peers.truncate(1);
    net.log.clear();
    net.hand(locator(4), bytes);
    net.run(5);
    let next: Vec<_> = initiations(&net).into_iter().map(|(to, path, _)| (to, path)).collect();
    assert_eq!(next, [(locator(4), vec![locator(4)])], "the cookie is for the address, not for a relay");
}

#[test]
fn a_node_that_is_no_member_gets_no_rows() {
    let mut net = Net::joined(Kind::Aes, 6);
    net.run(5000);
    let (engine, id) = (net.engine_prefix(), net.engine_id);
    net.peers.push(stranger(6));
    net.peers[6].initiate(id, &[], ENGINE, [0; 16]);
    net.run(20);
    net.log.clear();
    for _ in 0..400 {
        net.peers[6].send_control(engine, &[], &Message::RowRequest { from: 0 });
    }
    net.run(5);
    let len = |of: fn(SocketAddr, SocketAddr) -> bool| -> usize {
        net.log.iter().filter(|(from, to, _)| of(*from, *to)).map(|(_, _, bytes)| bytes.len()).sum()
    };
    let (asked, sent) = (len(|from, _| from == locator(6)), len(|_, to| to == locator(6)));
    assert!(sent < asked, "{asked} bytes are answered with {sent}, and the address may be forged by roaming");
}

#[test]
fn a_member_with_wrong_digests_does_not_keep_others_from_being_asked() {
    let mut net = Net::joined(Kind::Aes, 2);
    let engine = net.engine_prefix();
    let lie = |net: &mut Net| {
        let row = Message::Row {
            digest: net.now.as_nanos() as u32,
            hosts: 0,
            from: 0,
            to: 0,
            transit: Some((0, 0)),
            entries: Vec::new(),
        };
        net.peers[0].send_control(engine, &[], &row);
        net.run(4);
    };
    (0..5000).for_each(|_| lie(&mut net));
    let record: Record = stranger(4).record;
    net.peers[1].members.insert(record.prefix(), record);
    net.peers[1].heard.clear();
    let asked = |net: &Net| net.heard(1).any(|message| matches!(message, Message::ListRequest { .. }));
    for _ in 0..20 {
        (0..250).for_each(|_| lie(&mut net));
        net.peers[1].probe(net.now.as_nanos(), engine);
    }
    assert!(asked(&net), "in 20 s");
}
