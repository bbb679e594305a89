//! Repetitions, crossings, renewal and roaming of sessions (section 9).

use leon::Counter;

use crate::control::Message;
use crate::header::{Header, INITIATION, RESPONSE};
use crate::net::{ALL, ENGINE, KINDS, Kind, Net, frame, host, locator};

/// Datagrams of a type that the engine sent, in order.
fn sent(net: &Net, kind: u8) -> Vec<Vec<u8>> {
    let from_engine = net.log.iter().filter(|(from, _, _)| *from == ENGINE).map(|(_, _, bytes)| bytes);
    from_engine.filter(|bytes| Header::read(bytes).unwrap().0.kind == kind).cloned().collect()
}

#[test]
fn a_repeated_initiation_gets_the_same_response_until_the_keys_are_used() {
    for kind in KINDS {
        let mut net = Net::new(kind, 1, &[]);
        let (engine, id) = (net.engine_prefix(), net.engine_id);
        net.peers[0].initiate(id, &[], ENGINE, [0; 16]);
        net.peers[0].repeat(engine, [0; 16]);
        net.run(10);
        assert_eq!(sent(&net, RESPONSE).len(), 2, "{kind:?}");
        assert!(net.peers[0].sessions[&engine].current.is_some());
        let first = net.log.iter().find(|(from, ..)| *from == locator(0)).unwrap().2.clone();
        net.hand(locator(0), first);
        net.run(10);
        assert_eq!(sent(&net, RESPONSE).len(), 2, "then it has served its purpose");
        assert_eq!(net.count(Counter::Replayed), 1);
    }
}

#[test]
fn a_cookie_proves_that_an_old_number_is_no_repetition() {
    for kind in KINDS {
        let mut net = Net::new(kind, 2, &[]);
        let (engine, id) = (net.engine_prefix(), net.engine_id);
        net.peers[0].initiate(id, &[], ENGINE, [0; 16]);
        net.run(10);
        // Another life of the peer with the same secret key, whose clock went back. Until the former one has been
        // silent for a while, this would be a repetition.
        let mut reborn = Net::new(kind, 1, &[]).peers.remove(0);
        reborn.record.version.0 = 1;
        net.peers[0] = reborn;
        // Nor shall the engine find it first.
        net.cut = vec![(ENGINE, locator(0))];
        net.run(3200);
        net.cut.clear();
        net.peers[0].initiate(id, &[], ENGINE, [0; 16]);
        net.run(10);
        assert_eq!(net.count(Counter::HandshakeChallenged), 1);
        assert_eq!(sent(&net, RESPONSE).len(), 2, "the challenge is answered by the same initiation");
        assert!(net.peers[0].sessions[&engine].current.is_some(), "{kind:?}");
    }
}

#[test]
fn keys_are_renewed_and_the_former_ones_still_open() {
    for kind in KINDS {
        let mut net = Net::joined(kind, 1);
        let (engine, id) = (net.engine_prefix(), net.engine_id);
        let late = frame(ALL, host(0), 100);
        net.peers[0].send_frame(engine, &[], &late);
        let late = net.peers[0].out.pop().unwrap();
        net.peers[0].initiate(id, &[], ENGINE, [0; 16]);
        net.run(20);
        net.hand(locator(0), late.1.clone());
        assert_eq!(net.frames.len(), 1, "{kind:?}: {:?}", net.drops());
        net.hand(locator(0), late.1);
        assert_eq!((net.frames.len(), net.count(Counter::Replayed)), (1, 1));
        net.frame_in(frame(ALL, host(9), 60));
        net.run(10);
        let epoch = net.peers[0].sessions[&engine].current.as_ref().unwrap().epoch_in;
        let (header, _) = Header::read(&net.log.last().unwrap().2).unwrap();
        assert_eq!(header.epoch, epoch, "the engine seals with the new keys");
    }
}

#[test]
fn an_engine_renews_keys_after_two_minutes_and_closes_what_is_not_renewed() {
    let mut net = Net::joined(Kind::Aes, 1);
    net.log.clear();
    net.run(170_000);
    let renewals = sent(&net, INITIATION).len();
    assert!(renewals >= 1, "the engine was responder and renews after 150 s");
    assert_eq!(net.engine.status(net.now).members[0].state.name(), "alive");
    net.cut = vec![(ENGINE, locator(0))];
    net.log.clear();
    net.run(190_000);
    let engine = net.engine_prefix();
    net.peers[0].send_frame(engine, &[], &frame(ALL, host(0), 60));
    net.run(10);
    assert!(net.frames.is_empty() && net.count(Counter::SourceStranger) > 0, "{:?}", net.drops());
}

#[test]
fn of_two_initiations_that_cross_the_one_of_the_lower_identity_goes_on() {
    for kind in KINDS {
        let mut net = Net::new(kind, 1, &[locator(0)]);
        let (engine, id) = (net.engine_prefix(), net.engine_id);
        net.run(2);
        // The engine's initiation is on its way; so is this one.
        net.peers[0].initiate(id, &[], ENGINE, [0; 16]);
        let crossing = net.peers[0].out.pop().unwrap().1;
        net.run(1);
        let begun = sent(&net, INITIATION).len();
        net.hand(locator(0), crossing);
        let is_engine_first = id < net.peers[0].record.id;
        let crossed = net.count(Counter::HandshakeCrossed);
        assert_eq!(crossed, u64::from(is_engine_first && begun > 0), "{kind:?} {begun}");
        net.run(20);
        assert!(net.peers[0].sessions[&engine].current.is_some());
    }
}

#[test]
fn a_node_is_sent_to_where_it_has_proven_to_be() {
    for kind in KINDS {
        let mut net = Net::joined(kind, 1);
        let (engine, moved) = (net.engine_prefix(), "203.0.113.7:7000".parse().unwrap());
        net.peers[0].send_control(engine, &[], &Message::Confirm);
        let confirm = net.peers[0].out.pop().unwrap().1;
        net.hand(moved, confirm);
        net.log.clear();
        net.frame_in(frame(ALL, host(9), 60));
        net.run(1);
        let (asked, others): (Vec<_>, Vec<_>) = net.log.drain(..).partition(|(_, to, _)| *to == moved);
        assert!(
            asked.len() == 1 && !others.is_empty(),
            "{kind:?}: it is asked there, and frames go elsewhere"
        );
        net.peers[0].receive(net.now.as_nanos(), ENGINE, &asked[0].2);
        let answer = net.peers[0].out.pop().unwrap().1;
        net.hand(moved, answer);
        net.frame_in(frame(ALL, host(9), 60));
        net.run(5);
        let to: Vec<_> = net.log.iter().map(|(_, to, _)| *to).collect();
        assert!(to.contains(&moved) && !to.contains(&locator(0)), "{kind:?}: {to:?}");
    }
}

#[test]
fn leaving_takes_four_messages() {
    let mut net = Net::joined(Kind::Aes, 1);
    let mut sink = Nothing(Vec::new());
    net.engine.leave(net.now, &mut sink);
    net.run(300);
    let leaves = net.heard(0).filter(|message| matches!(message, Message::Leave { .. })).count();
    assert_eq!(leaves + sink.0.len(), 4);
    assert!(net.peers[0].members.is_empty());
}

/// Keeps datagrams.
struct Nothing(Vec<Vec<u8>>);

impl leon::Sink for Nothing {
    fn datagram(&mut self, datagram: leon::Datagram<'_>) {
        self.0.push(datagram.parts.concat());
    }

    fn frame(&mut self, _: leon::Frame<'_>) {}

    fn event(&mut self, _: leon::Event) {}

    fn deadline(&mut self, _: leon::Time) {}
}
