//! A peer joins an engine, an engine joins a peer, and frames move between them.

use leon::{Counter, Event, MacAddr, Segment};

use crate::control::{Entry, Host, Latency, Message, life};
use crate::header::{Header, TRANSPORT};
use crate::net::{ALL, ENGINE, KINDS, Kind, Net, frame, host, locator};
use crate::seal::{FRAME, SHARED_AES, SHARED_CHACHA};

#[test]
fn a_peer_joins_an_engine() {
    for kind in KINDS {
        let mut net = Net::new(kind, 1, &[]);
        net.peers[0].hello(ENGINE);
        net.run(50);
        let engine = net.engine_prefix();
        assert!(net.peers[0].sessions.contains_key(&engine), "{kind:?}: {:?}", net.drops());
        net.peers[0].send_control(engine, &[], &Message::ListRequest { token: 77 });
        net.run(50);
        let listed = net.heard(0).find_map(|message| match message {
            Message::List { token: 77, entries } => Some(entries.clone()),
            _ => None,
        });
        assert_eq!(listed.unwrap()[0].id, net.engine_id);
        net.run(2000);
        assert!(net.heard(0).any(|message| matches!(message, Message::JoinAck { .. })), "{kind:?}");
        let stamp = net.peers[0].probe(net.now.as_nanos(), engine);
        net.run(50);
        let is_answer = |message: &Message| matches!(message, Message::Probe { echo: Some((sent, _)), .. } if *sent == stamp);
        assert!(net.heard(0).any(is_answer), "{kind:?}");
        let status = net.engine.status(net.now);
        assert_eq!(status.members[0].name, "peer0");
        assert!(status.members[0].rtt.is_some(), "the engine's probes are answered");
        assert_eq!(status.list_digest, net.peers[0].digest(), "both have the same list");
        assert_eq!(net.drops(), [].into(), "{kind:?}");
    }
}

#[test]
fn an_engine_joins_a_peer() {
    for kind in KINDS {
        let mut net = Net::new(kind, 1, &[locator(0)]);
        net.run(3000);
        let joined = net.events.iter().any(|event| matches!(event, Event::Joined { .. }));
        assert!(joined, "{kind:?}: {:?}", net.events);
        assert!(net.peers[0].members.contains_key(&net.engine_prefix()));
        assert_eq!(net.engine.status(net.now).list_digest, net.peers[0].digest());
        assert_eq!(net.drops(), [].into(), "{kind:?}");
    }
}

#[test]
fn frames_go_both_ways() {
    for kind in KINDS {
        let mut net = Net::joined(kind, 1);
        let engine = net.engine_prefix();
        let (there, back) = (frame(ALL, host(9), 60), frame(host(9), host(0), 1000));
        net.frame_in(there.clone());
        net.peers[0].send_frame(engine, &[], &back);
        net.run(10);
        assert_eq!(net.peers[0].frames, [(engine, 0, FRAME, there)], "{kind:?}");
        assert_eq!(net.frames, [back]);
        let reply = frame(host(0), host(9), 1400);
        net.frame_in(reply.clone());
        net.run(10);
        assert_eq!(net.peers[0].frames[1], (engine, 0, FRAME, reply), "the host is known to be there");
    }
}

#[test]
fn flooded_frames_are_sealed_once_for_all() {
    for kind in KINDS {
        let mut net = Net::joined(kind, 6);
        let engine = net.engine_prefix();
        let flooded = frame(ALL, host(9), 700);
        net.frame_in(flooded.clone());
        net.run(10);
        let shared = if kind == Kind::ChaCha { SHARED_CHACHA } else { SHARED_AES };
        for peer in &net.peers {
            assert_eq!(peer.frames, [(engine, 0, shared, flooded.clone())], "{kind:?}");
        }
        for shared in [SHARED_AES, SHARED_CHACHA] {
            net.peers[1].send_shared(engine, shared, &flooded);
            net.run(10);
            assert_eq!(net.frames.pop(), Some(flooded.clone()), "{kind:?}");
        }
    }
}

#[test]
fn an_engine_relays_between_peers() {
    for kind in KINDS {
        let mut net = Net::joined(kind, 2);
        let engine = net.engine_prefix();
        let (one, other) = (net.peers[0].prefix(), net.peers[1].prefix());
        let sent = frame(host(1), host(0), 500);
        net.peers[0].send_frame(other, &[engine], &sent);
        net.run(10);
        assert_eq!(net.peers[1].frames, [(one, 0, FRAME, sent)], "{kind:?}: {:?}", net.drops());
        assert_eq!(net.count(Counter::Relayed), 1);
        let (id, to) = (net.peers[1].record.id, locator(1));
        let former = net.peers[0].sessions[&other].current.as_ref().unwrap().epoch_in;
        net.peers[0].initiate(id, &[engine], to, [0; 16]);
        net.run(10);
        let current = net.peers[0].sessions[&other].current.as_ref().unwrap().epoch_in;
        assert_ne!(former, current, "a handshake goes the same way: initiation, response, confirm");
        assert_eq!(net.count(Counter::Relayed), 4, "{:?}", net.drops());
        assert_eq!(net.drops(), [].into());
    }
}

#[test]
fn path_probes_are_answered_the_way_they_came() {
    for kind in KINDS {
        let mut net = Net::joined(kind, 2);
        let (engine, relay) = (net.engine_prefix(), net.peers[1].prefix());
        for (token, relays) in [(1, vec![]), (2, vec![relay])] {
            let relayed = net.peers[1].relayed;
            net.peers[0].send_control(engine, &relays, &Message::PathProbe { token, is_doubt: false });
            net.run(10);
            let is_answer =
                |message: &Message| matches!(message, Message::PathAnswer { token: t, .. } if *t == token);
            assert!(net.heard(0).any(is_answer), "{kind:?}: {:?}", net.drops());
            assert_eq!(net.peers[1].relayed - relayed, 2 * relays.len(), "there and back");
        }
        assert_eq!(net.drops(), [].into());
    }
}

#[test]
fn an_engine_sends_through_a_peer() {
    for kind in KINDS {
        let mut net = Net::joined(kind, 2);
        let engine = net.engine_prefix();
        net.peers[0].send_frame(engine, &[], &frame(ALL, host(0), 60));
        let (far, near) = (locator(0), net.peers[1].prefix());
        net.cut = vec![(ENGINE, far), (far, ENGINE)];
        let (to, incarnation) = (net.peers[0].prefix(), net.peers[0].record.version.0);
        let link = Latency { fast: 2000, slow: 2000, jitter: 0, loss: 0, offset: None };
        let entry = Entry { target: to, life: life(incarnation), link: Some(link) };
        let digest = net.peers[1].digest() as u32;
        let (transit, entries) = (Some((0, 0)), vec![entry]);
        let row = Message::Row { digest, hosts: 0, from: 0, to: 1, transit, entries };
        net.peers[1].send_control(engine, &[], &row);
        net.run(4000);
        let sent = frame(host(0), host(9), 300);
        net.frame_in(sent.clone());
        net.run(10);
        assert_eq!(net.peers[0].frames, [(engine, 0, FRAME, sent)], "{kind:?}");
        let last = net.log.iter().rev().find(|(_, to, _)| *to == far).unwrap();
        let (header, _) = Header::read(&last.2).unwrap();
        assert_eq!((header.kind, header.path, header.index), (TRANSPORT, vec![locator(1), far], 1));
        assert!(net.peers[1].relayed > 0 && net.peers[0].sessions.contains_key(&near));
    }
}

#[test]
fn rows_are_read_and_asked_for() {
    let net = Net::joined(Kind::Aes, 2);
    let (one, other) = (&net.peers[0], net.peers[1].prefix());
    let entries = &one.sessions[&net.engine_prefix()].row.1;
    assert_eq!(entries[&other].life, life(net.peers[1].record.version.0));
    let Latency { fast, slow, loss, .. } = entries[&other].link.unwrap();
    assert!(
        (1500..4000).contains(&fast) && (1500..4000).contains(&slow) && loss == 0,
        "{fast} {slow} {loss}"
    );
}

#[test]
fn hosts_are_announced_both_ways() {
    for kind in KINDS {
        let mut net = Net::joined(kind, 2);
        let engine = net.engine_prefix();
        let known =
            |net: &Net| net.engine.status(net.now).fdb.iter().map(|host| host.mac.0).collect::<Vec<_>>();
        let name = (0, 0, host(7));
        net.peers[0].announced = vec![Host { name, sequence: 0, is_present: true }];
        net.run(2000);
        assert_eq!(known(&net), [host(7)], "{kind:?}");
        let sent = frame(host(7), host(9), 300);
        net.frame_in(sent.clone());
        net.run(10);
        assert_eq!(net.peers[0].frames, [(engine, 0, FRAME, sent)], "{kind:?}");
        assert!(net.peers[1].frames.is_empty());

        let segment = Segment::DEFAULT;
        let announced = leon::Host { segment, vlan: 0, mac: MacAddr(host(7)) };
        net.announce(announced);
        net.run(100);
        let heard = net.peers[1].sessions[&engine].hosts.1[&name];
        assert_eq!((heard.sequence, heard.is_present), (1, true), "it follows the peer's announcement");
        assert_eq!(net.engine.status(net.now).fdb[0].member, None);
        net.peers[0].announced.push(Host { name, sequence: 2, is_present: true });
        net.peers[0].announced.push(Host { name, sequence: 2, is_present: false });
        net.run(2000);
        assert!(!known(&net).contains(&host(7)), "by the latest word it is nowhere");
        assert_eq!(net.drops(), [].into(), "{kind:?}");
    }
}
