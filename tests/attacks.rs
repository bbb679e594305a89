//! Attacks on real sockets: by strangers, by one who repeats, by one in the middle. The simulator has many more of
//! them; these show that the driver adds no hole. No privileges needed.
//!
//! One at a time: what is measured is the memory of this process.
#![cfg(feature = "driver")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/middle.rs"]
mod middle;
#[path = "common/node.rs"]
#[allow(dead_code, reason = "other tests use more of it")]
mod node;

use std::net::UdpSocket;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leon::driver::clock;
use leon::sim::Dice;
use leon::{Counter, Event};

use middle::Middle;
use node::{BROADCAST, Node, PATIENCE, frame, host, stop, wait_for_members};

/// Keeps other attacks waiting.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until something holds.
#[allow(clippy::disallowed_methods, reason = "looks again after a moment, for a limited time")]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what} takes too long");
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Memory of this process that is in use, in bytes.
fn resident() -> usize {
    let pages: usize =
        std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    pages * rustix::param::page_size()
}

/// All datagrams that a node has dropped.
fn dropped(node: &Node) -> u64 {
    let counters = node.engine.status(clock::now()).counters;
    counters.iter().filter(|(counter, _)| counter.name().starts_with("drop_")).map(|(_, n)| n).sum()
}

/// Sends datagrams to a node no faster than it takes them, so that the kernel loses none.
fn pour(stranger: &UdpSocket, node: &Node, count: u64, mut next: impl FnMut(u64) -> Vec<u8>) {
    let before = node.count(Counter::DatagramsIn);
    for n in 0..count {
        stranger.send_to(&next(n), node.locator).unwrap();
        if n % 64 == 63 {
            eventually("receiving", || node.count(Counter::DatagramsIn) + 64 > before + n);
        }
    }
    eventually("receiving", || node.count(Counter::DatagramsIn) >= before + count);
}

/// What came to a socket: datagrams and bytes.
fn mail(socket: &UdpSocket) -> (u64, u64) {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2048];
    let mut mail = (0, 0);
    while let Ok(length) = socket.recv(&mut buffer) {
        mail = (mail.0 + 1, mail.1 + length as u64);
    }
    mail
}

/// Frames pass in both directions.
fn talk(a: &Node, b: &Node, tag: u8) {
    for (from, to, number) in [(a, b, 1), (b, a, 2)] {
        let sent = frame(BROADCAST, host(number), &[tag; 100]);
        from.network.send(&sent).unwrap();
        assert_eq!(to.receive(), sent);
    }
}

#[test]
fn a_million_random_datagrams_get_no_answer_and_leave_nothing() {
    let _alone = alone();
    let a = Node::sealed(1, &[]);
    let b = Node::sealed(2, &[a.locator]);
    wait_for_members(&[&a, &b]);
    talk(&a, &b, 1);
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut dice = Dice::named(1, "datagrams of a stranger");
    let mut noise = vec![0; 1 << 16];
    dice.fill(&mut noise);
    let mut next = |_| {
        let length = 1 + dice.below(200) as usize;
        let at = dice.below((noise.len() - length) as u64) as usize;
        noise[at..at + length].to_vec()
    };
    pour(&stranger, &a, 50_000, &mut next);
    let (memory, drops) = (resident(), dropped(&a));
    pour(&stranger, &a, 1_000_000, &mut next);
    let grown = resident().saturating_sub(memory);
    assert!(dropped(&a) >= drops + 1_000_000, "each is counted");
    assert!(grown < 1 << 20, "{grown} bytes more");
    assert_eq!(mail(&stranger), (0, 0));
    let status = a.engine.status(clock::now());
    assert_eq!((status.members.len(), status.sessions), (1, 1));
    talk(&a, &b, 2);
    stop([a, b]);
}

#[test]
fn what_is_recorded_and_sent_again_from_anywhere_is_worth_nothing() {
    let _alone = alone();
    let middle = Middle::new(2);
    let tape = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&tape);
    // All that passes from the first handshake on, twice.
    middle.act(move |datagram| {
        heard.lock().unwrap().push(datagram.to_vec());
        vec![datagram.to_vec(); 2]
    });
    let a = Node::sealed_behind(1, middle.face(0), &[]);
    middle.add(a.listens_at);
    let b = Node::sealed_behind(2, middle.face(1), &[middle.face(0)]);
    middle.add(b.listens_at);
    wait_for_members(&[&a, &b]);
    // Which frame has come is told by its content.
    (0..100).for_each(|tag| talk(&a, &b, tag));
    middle.rest();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let tape = tape.lock().unwrap().clone();
    let mut said = 0;
    for node in [&a, &b] {
        for datagram in &tape {
            stranger.send_to(datagram, node.listens_at).unwrap();
            said += datagram.len() as u64;
        }
    }
    (100..200).for_each(|tag| talk(&a, &b, tag));
    for node in [&a, &b] {
        node.network.set_nonblocking(true).unwrap();
        assert!(node.network.recv(&mut [0; 2048]).is_err(), "no frame comes twice");
        assert!(node.count(Counter::Replayed) >= 100, "{}", node.count(Counter::Replayed));
        let failed = node.events.try_iter().any(|event| matches!(event, Event::MemberFailed { .. }));
        assert!(!failed);
    }
    let (_, heard) = mail(&stranger);
    assert!(heard <= said, "{heard} bytes for {said}");
    stop([a, b]);
}

#[test]
fn who_sits_in_the_middle_changes_no_frame_and_keeps_nobody_apart_for_longer_than_he_is_there() {
    let _alone = alone();
    let middle = Middle::new(2);
    let a = Node::sealed_behind(1, middle.face(0), &[]);
    middle.add(a.listens_at);
    let b = Node::sealed_behind(2, middle.face(1), &[middle.face(0)]);
    middle.add(b.listens_at);
    wait_for_members(&[&a, &b]);
    talk(&a, &b, 0);
    let mut dice = Dice::named(1, "in the middle");
    let seen = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&seen);
    let mut held = Vec::new();
    middle.act(move |datagram| {
        let mut datagram = datagram.to_vec();
        match count.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => {
                let at = dice.below(datagram.len() as u64) as usize;
                datagram[at] ^= 1 << dice.below(8);
            }
            1 => datagram.truncate(dice.below(datagram.len() as u64) as usize),
            2 => held = core::mem::replace(&mut datagram, held.clone()),
            _ => {}
        }
        vec![datagram]
    });
    let mut sent = Vec::new();
    for number in 0..400_u16 {
        let one = frame(BROADCAST, host(1), &[&number.to_be_bytes()[..], &[7; 500]].concat());
        a.network.send(&one).unwrap();
        sent.push(one);
        // No more on the way than a socket holds.
        eventually("passing", || seen.load(Ordering::Relaxed) >= u64::from(number));
    }
    middle.rest();
    b.network.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut buffer = [0; 2048];
    let mut arrived = 0;
    while let Ok(length) = b.network.recv(&mut buffer) {
        let at = sent.iter().position(|one| one == &buffer[..length]).expect("it was sent, and came once");
        sent.swap_remove(at);
        arrived += 1;
    }
    assert!((100..=320).contains(&arrived), "{arrived} frames");
    assert!(b.count(Counter::Tag) > 0);
    b.network.set_read_timeout(Some(PATIENCE)).unwrap();
    talk(&a, &b, 9);
    stop([a, b]);
}

#[test]
fn a_recorded_greeting_sent_a_hundred_thousand_times_is_answered_with_less_and_keeps_nobody_out() {
    let _alone = alone();
    let middle = Middle::new(2);
    let greeting = Arc::new(Mutex::new(None));
    let first = Arc::clone(&greeting);
    middle.act(move |datagram| {
        first.lock().unwrap().get_or_insert(datagram.to_vec());
        vec![datagram.to_vec()]
    });
    let a = Node::sealed_behind(1, middle.face(0), &[]);
    middle.add(a.listens_at);
    let b = Node::sealed_behind(2, middle.face(1), &[middle.face(0)]);
    middle.add(b.listens_at);
    wait_for_members(&[&a, &b]);
    let greeting = greeting.lock().unwrap().clone().unwrap();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (memory, before) = (resident(), a.count(Counter::DatagramsIn));
    let (mut said, mut heard) = (0, 0);
    for n in 0..100_000_u64 {
        stranger.set_nonblocking(false).unwrap();
        stranger.send_to(&greeting, a.listens_at).unwrap();
        said += greeting.len() as u64;
        if n % 64 == 63 {
            eventually("receiving", || a.count(Counter::DatagramsIn) >= before + n - 63);
            heard += mail(&stranger).1;
        }
    }
    assert!(heard > 0 && heard <= said, "{heard} bytes for {said}");
    assert!(a.count(Counter::HandshakeLimit) > 0, "not all are answered");
    let grown = resident().saturating_sub(memory);
    assert!(grown < 1 << 20, "{grown} bytes more");
    talk(&a, &b, 1);
    let c = Node::sealed(3, &[a.listens_at]);
    c.wait_for(|event| matches!(event, Event::Joined { .. }));
    stop([a, b, c]);
}
