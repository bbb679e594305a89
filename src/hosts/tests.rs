//! Announcements between components that hear each other badly.

use super::*;
use crate::mac::MacAddr;
use crate::rng::Rng;

const CAPACITY: Capacity = Capacity { of_member: 8, of_all: 20 };

fn host(n: u8) -> Host {
    Host { segment: Segment::DEFAULT, vlan: 0, mac: MacAddr([2, 0, 0, 0, 0, n]) }
}

fn node(n: u64) -> NodePrefix {
    NodePrefix(n)
}

/// Nodes 0 to `count` - 1, each of which takes the announcements of all others.
fn nodes(count: u64, capacity: Capacity) -> Vec<Hosts> {
    let of = |own: u64| {
        let mut hosts = Hosts::new(node(own), &[Segment::DEFAULT], capacity);
        (0..count).filter(|other| *other != own).for_each(|other| hosts.add(node(other)));
        hosts
    };
    (0..count).map(of).collect()
}

fn entry(n: u8, sequence: u32, state: HostState) -> HostEntry {
    HostEntry { host: host(n), announcement: Announcement { sequence, state } }
}

fn part(from: u64, to: u64, entries: Vec<HostEntry>) -> Part {
    Part { forgotten: 0, from, to, entries }
}

/// A message on its way: from, to, what.
type Mail = (usize, usize, Output);

/// What a node wants to send; the rest is dropped.
fn post(all: &mut [Hosts], from: usize, mail: &mut Vec<Mail>) {
    for output in all[from].take_outputs() {
        match output {
            Output::HostsToAll(part) => {
                let others = (0..all.len()).filter(|to| *to != from);
                mail.extend(others.map(|to| (from, to, Output::Hosts(node(to as u64), part.clone()))));
            }
            Output::Hosts(to, _) | Output::Request(to, _) => mail.push((from, to.0 as usize, output)),
            _ => {}
        }
    }
}

fn deliver(all: &mut [Hosts], (from, to, output): &Mail, now: Time) {
    let from = node(*from as u64);
    match output {
        Output::Hosts(_, part) => all[*to].handle_hosts(from, part.clone(), now),
        Output::Request(_, version) => all[*to].handle_request(from, *version, now),
        _ => {}
    }
}

#[test]
fn whatever_is_lost_repeated_or_reordered_all_come_to_agree() {
    let mut rng = Rng::new([7; 32]);
    for _ in 0..30 {
        let mut all = nodes(3, Capacity { of_member: 1000, of_all: 9000 });
        let mut mail: Vec<Mail> = Vec::new();
        let mut now = Time::ZERO;
        for step in 0..2000 {
            now = now + Duration::from_millis(20);
            let is_calm = step >= 1500;
            let speaker = rng.u64() as usize % 3;
            let named = host((rng.u64() % 12) as u8);
            match rng.u64() % 4 {
                0 if !is_calm => drop(all[speaker].announce(named, now)),
                1 if !is_calm => all[speaker].withdraw(named, now),
                _ => {}
            }
            for from in 0..3 {
                // Probes, now and then.
                let (to, version) = ((from + 1 + step % 2) % 3, all[from].version());
                all[to].hear_version(node(from as u64), version, now);
                all[from].timer(now);
                post(&mut all, from, &mut mail);
            }
            let fate = if is_calm { 0 } else { rng.u64() % 4 };
            if let Some(at) = (!mail.is_empty()).then(|| rng.u64() as usize % mail.len()) {
                match fate {
                    0 => mail.drain(..).for_each(|mail| deliver(&mut all, &mail, now)),
                    1 => drop(mail.remove(at)),
                    // Once more later.
                    _ => deliver(&mut all, &mail[at], now),
                }
            }
        }
        let places: Vec<Vec<_>> = all.iter().map(|hosts| hosts.places().collect()).collect();
        assert!(!places[0].is_empty() && places[0] == places[1] && places[0] == places[2], "{places:?}");
    }
}

#[test]
fn the_highest_sequence_number_wins_in_any_order_and_a_tie_goes_to_the_higher_identity() {
    let said = [
        (1, entry(1, 5, HostState::Present)),
        (2, entry(1, 5, HostState::Present)),
        (3, entry(1, 4, HostState::Present)),
    ];
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [1, 0, 2]] {
        let mut hosts = nodes(4, CAPACITY).remove(0);
        for (by, entry) in order.map(|at| said[at]) {
            hosts.handle_hosts(node(by), part(0, 1, vec![entry]), Time::ZERO);
        }
        assert_eq!(hosts.places().collect::<Vec<_>>(), [(host(1), node(2))]);
    }
}

#[test]
fn what_was_withdrawn_last_is_nowhere_whoever_announced_it_before() {
    let mut hosts = nodes(3, CAPACITY).remove(0);
    hosts.handle_hosts(node(1), part(0, 1, vec![entry(1, 5, HostState::Withdrawn)]), Time::ZERO);
    hosts.handle_hosts(node(2), part(0, 1, vec![entry(1, 4, HostState::Present)]), Time::ZERO);
    assert_eq!(hosts.places().count(), 0);
    hosts.remove(node(1));
    assert_eq!(hosts.places().collect::<Vec<_>>(), [(host(1), node(2))], "nobody knows better any more");
}

#[test]
fn the_announcements_of_a_member_are_bounded_and_asked_for_again_when_there_is_room() {
    let mut hosts = nodes(2, CAPACITY).remove(0);
    let by = node(1);
    let entries = (0..10).map(|n| entry(n, 0, HostState::Present)).collect();
    hosts.handle_hosts(by, part(0, 10, entries), Time::ZERO);
    assert_eq!(hosts.places().count(), 8);
    let refused = |output: &Output| matches!(output, Output::Refused(_, Counter::MacQuota));
    assert_eq!(hosts.take_outputs().iter().filter(|output| refused(output)).count(), 2);
    hosts.retry_refused(Time::ZERO);
    assert_eq!(hosts.deadline(), Time::NEVER, "there is no room yet");

    let withdrawn = (0..5).map(|n| entry(n, 0, HostState::Withdrawn)).collect();
    hosts.handle_hosts(by, part(10, 15, withdrawn), Time::ZERO);
    hosts.retry_refused(Time::ZERO);
    hosts.timer(Time::ZERO);
    assert!(hosts.take_outputs().iter().any(|output| matches!(output, Output::Request(to, 0) if *to == by)));
    let rest = (5..10).map(|n| entry(n, 0, HostState::Present)).collect();
    hosts.handle_hosts(by, part(0, 15, rest), Time::ZERO);
    assert_eq!(hosts.places().count(), 5);
}

#[test]
fn withdrawals_of_a_member_do_not_pile_up() {
    let mut hosts = nodes(2, CAPACITY).remove(0);
    for n in 0..200 {
        let entries = vec![entry(n, 0, HostState::Withdrawn)];
        hosts.handle_hosts(node(1), part(n.into(), u64::from(n) + 1, entries), Time::ZERO);
    }
    assert_eq!(hosts.table.len(), CAPACITY.of_member);
}

#[test]
fn who_may_lack_a_forgotten_withdrawal_begins_anew_and_takes_nothing_older() {
    let mut hosts = nodes(2, CAPACITY).remove(0);
    let by = node(1);
    let old = part(0, 3, vec![entry(1, 0, HostState::Present)]);
    hosts.handle_hosts(by, old.clone(), Time::ZERO);
    let late = Part { forgotten: 5, from: 6, to: 7, entries: vec![entry(2, 0, HostState::Present)] };
    hosts.handle_hosts(by, late, Time::ZERO);
    assert_eq!(hosts.places().count(), 0);
    hosts.handle_hosts(by, old, Time::ZERO);
    assert_eq!(hosts.places().count(), 0, "said before it forgot");
    hosts.timer(Time::ZERO);
    assert!(hosts.take_outputs().iter().any(|output| matches!(output, Output::Request(_, 0))));
    let whole = Part { forgotten: 5, from: 0, to: 7, entries: vec![entry(2, 0, HostState::Present)] };
    hosts.handle_hosts(by, whole, Time::ZERO);
    assert_eq!(hosts.places().collect::<Vec<_>>(), [(host(2), by)]);
}

#[test]
fn many_hosts_take_few_messages_and_none_is_told_twice() {
    let mut hosts = nodes(2, CAPACITY).remove(0);
    for n in 0..200 {
        hosts.announce(host(n), Time::ZERO).expect("a node may announce them");
    }
    hosts.timer(Time::ZERO + TELL_DELAY);
    let parts = |hosts: &mut Hosts| -> Vec<Part> {
        let outputs = hosts.take_outputs().into_iter();
        outputs
            .filter_map(|output| if let Output::HostsToAll(part) = output { Some(part) } else { None })
            .collect()
    };
    let told = parts(&mut hosts);
    assert_eq!((told.len(), told[0].from, told[3].to), (4, 0, 200));
    assert!(told.windows(2).all(|parts| parts[0].to == parts[1].from));
    hosts.withdraw(host(7), Time::ZERO + TELL_DELAY);
    hosts.timer(Time::ZERO + TELL_DELAY * 2);
    assert_eq!(parts(&mut hosts), [part(200, 201, vec![entry(7, 0, HostState::Withdrawn)])]);
}
