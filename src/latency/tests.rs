//! What a node with few and with many members tells of its links, and whom.

use super::interest::rows_kept;
use super::*;
use crate::wire::latency::Echo;

const OWN: NodePrefix = NodePrefix(1 << 40);
const MANY: u64 = 300;

/// A node with so many members, and links to none of them yet.
fn node(members: u64) -> Latency {
    let mut node = Latency::new((OWN, 1), Duration::from_secs(2), 1000, Rng::new([7; 32]));
    (0..members).for_each(|peer| node.add(NodePrefix(peer), 1, Time::ZERO));
    (0..members).for_each(|peer| node.prove(NodePrefix(peer)));
    node
}

/// Lets a node go on until `end`, `answering` members being there; gives its rows, and whom they went to: `None` for all.
fn rows(node: &mut Latency, answering: &[NodePrefix], end: Time) -> Vec<(Option<NodePrefix>, Row)> {
    let mut rows = Vec::new();
    while node.deadline() < end {
        let now = node.deadline();
        let before = node.take_outputs();
        node.timer(now);
        for output in before.into_iter().chain(node.take_outputs()) {
            match output {
                Output::Probe(to, stamps) if answering.contains(&to) => {
                    let echo = Some(Echo { sent_us: stamps.sent_us as u32, held_us: 0 });
                    let back = now + Duration::from_millis(10);
                    node.handle_probe(to, Stamps::new(Duration::from_secs(1), back, echo), back);
                }
                Output::Row(to, row) if !row.entries.is_empty() => rows.push((Some(to), row)),
                Output::RowToAll(row) if !row.entries.is_empty() => rows.push((None, row)),
                _ => {}
            }
        }
    }
    rows
}

fn at(secs: u64) -> Time {
    Time::ZERO + Duration::from_secs(secs)
}

fn kept(node: &Latency) -> usize {
    node.peers.values().filter(|peer| peer.row.is_some()).count()
}

fn is_told(rows: &[(Option<NodePrefix>, Row)], to: Option<NodePrefix>, target: NodePrefix) -> bool {
    let mut entries = rows.iter().filter(|(receiver, _)| *receiver == to).flat_map(|(_, row)| &row.entries);
    entries.any(|entry| entry.target == target && entry.link.is_some())
}

#[test]
fn few_members_are_all_told_of_a_link_and_of_many_those_who_have_asked_for_the_row() {
    let (target, follower) = (NodePrefix(5), NodePrefix(9));
    for (members, receivers) in [(12, [true, false]), (MANY, [false, true])] {
        let mut node = node(members);
        node.handle_row_request(follower, 0, at(0));
        let rows = rows(&mut node, &[target], at(20));
        let told = [None, Some(follower)].map(|to| is_told(&rows, to, target));
        assert_eq!(told, receivers, "{members} members");
        assert!(rows.iter().all(|(to, _)| to.is_none_or(|to| to == follower)), "{members} members");
    }
}

#[test]
fn who_no_longer_asks_for_the_row_of_a_member_of_many_is_told_no_more() {
    let (target, follower) = (NodePrefix(5), NodePrefix(9));
    let mut node = node(MANY);
    node.handle_row_request(follower, 0, at(0));
    rows(&mut node, &[], at(700));
    let later = rows(&mut node, &[target], at(800));
    assert!(!is_told(&later, Some(follower), target));
    node.handle_row_request(follower, 0, at(800));
    let missed = rows(&mut node, &[], at(801));
    assert!(is_told(&missed, Some(follower), target));
}

#[test]
fn who_is_told_a_row_that_it_does_not_keep_says_so_and_is_told_no_more() {
    let (target, follower) = (NodePrefix(5), NodePrefix(290));
    let mut node = node(MANY);
    node.take_outputs();
    let row = |from, to| Row { from, to, transit: None, entries: Vec::new() };
    let mut answers = |row| {
        node.handle_row(follower, row, at(0));
        node.take_outputs()
    };
    assert!(matches!(answers(row(0, 3))[..], [Output::RowRequest(NodePrefix(290), ROW_UNWANTED)]));
    assert!(answers(row(3, 3)).is_empty(), "a reminder is for those who have not asked");
    node.handle_row_request(follower, 0, at(0));
    node.handle_row_request(follower, ROW_UNWANTED, at(0));
    assert!(!is_told(&rows(&mut node, &[target], at(20)), Some(follower), target));
}

#[test]
fn rows_give_way_as_members_come_without_waiting_for_a_round() {
    assert_eq!(kept(&node(256)), 256);
    let kept = kept(&node(400));
    assert!(kept <= rows_kept(400), "{kept} are kept");
}

#[test]
fn a_node_with_many_members_asks_for_the_rows_that_it_keeps_and_for_no_others() {
    let mut node = node(MANY);
    let near: Vec<_> = (0..MANY).map(NodePrefix).collect();
    let mut asked = std::collections::BTreeSet::new();
    while node.deadline() < at(120) {
        let now = node.deadline();
        node.timer(now);
        for output in node.take_outputs() {
            match output {
                Output::Probe(to, stamps) => {
                    let echo = Some(Echo { sent_us: stamps.sent_us as u32, held_us: 0 });
                    let back = now + Duration::from_millis(10);
                    node.handle_probe(to, Stamps::new(Duration::from_secs(1), back, echo), back);
                }
                Output::RowRequest(to, _) => _ = asked.insert(to),
                _ => {}
            }
        }
    }
    assert!(near.len() > rows_kept(near.len()));
    assert_eq!(asked.len(), rows_kept(near.len()));
}

#[test]
fn a_joiner_of_many_chooses_whose_rows_to_keep_when_it_has_met_most_of_them() {
    let mut node = node(0);
    for met in 1..=MANY {
        node.expect((MANY - met) as usize, at(0));
        node.add(NodePrefix(met), 1, at(0));
        node.prove(NodePrefix(met));
        if met == MANY / 2 {
            let begun = at(1);
            let members: Vec<_> = (1..=met).map(NodePrefix).collect();
            rows(&mut node, &members, begun);
            assert_eq!(kept(&node), FIRST_ROWS, "more than a fifth has yet to be met");
        }
    }
    assert!((FIRST_ROWS + 1..=rows_kept(MANY as usize)).contains(&kept(&node)), "{} are kept", kept(&node));
}

#[test]
fn a_joiner_of_few_keeps_the_row_of_each_that_it_meets() {
    let mut node = node(0);
    for met in 1..=100 {
        node.expect(100 - met, at(0));
        node.add(NodePrefix(met as u64), 1, at(0));
        assert_eq!(kept(&node), met);
    }
}

#[test]
fn a_row_is_asked_for_until_it_comes_though_no_probe_tells_of_it() {
    for members in [2, 200] {
        let (mut node, behind_relays) = (node(members), NodePrefix(0));
        let asks = |node: &mut Latency, until: Time| {
            let mut asked = 0;
            while node.deadline() < until {
                let before = node.take_outputs();
                node.timer(node.deadline());
                let outputs = before.into_iter().chain(node.take_outputs());
                let is_asked =
                    |output: &Output| matches!(output, Output::RowRequest(to, _) if *to == behind_relays);
                asked += outputs.filter(is_asked).count();
            }
            asked
        };
        let first = asks(&mut node, at(2));
        assert!((4..=10).contains(&first), "{first} times of {members}");
        node.handle_row(behind_relays, Row { from: 0, to: 1, transit: None, entries: Vec::new() }, at(2));
        let last = asks(&mut node, at(3));
        assert!(last <= 1 && asks(&mut node, at(60)) == 0, "{last} more of {members}");
    }
}
