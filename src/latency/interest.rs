//! Whose rows a node keeps: everybody's while members are few; of many those of some, which are its relays then.
//!
//! A path with one relay needs the row of that relay alone. A row costs memory, traffic and time for each member it
//! has, so that what is kept is bounded in entries: the more members, the fewer rows. Near members and members all over
//! the world hold most of what relays can save (`leond simulate` says how much).

use std::collections::BTreeSet;

use crate::latency::{Latency, LinkState, Output};
use crate::node::NodePrefix;
use crate::time::{Time, nanos};

/// So many entries of other nodes' rows are kept at most: all of them with up to 256 members, 65 rows of a thousand.
const ENTRIES: usize = 1 << 16;
/// A member whose row is kept counts as nearer by a quarter: two that are as near do not alternate.
const STAY: (u64, u64) = (3, 4);

/// Of how many members the rows are kept where there are so many.
pub(super) fn rows_kept(members: usize) -> usize {
    ENTRIES / members.max(1)
}

/// It is decided anew whose rows are kept when there are a quarter more members than when that was decided last: each costs
/// a message whenever anything of it is told. Not while there are to be many more soon, as each that is kept anew is
/// asked for as a whole.
const MEMBERS_MORE: (usize, usize) = (5, 4);
/// So many rows are kept meanwhile, of those that are met first: what has no link is reached through one of them.
pub(super) const FIRST_ROWS: usize = 16;
/// So many of the rows that are kept are of the nearest members: most of what relays save is saved by those that are near one
/// of the ends. The others are for who has nobody near that helps.
const NEAR: (usize, usize) = (3, 4);

impl Latency {
    /// So many members are listed and not met yet: the choice of rows to keep allows for them.
    pub(crate) fn expect(&mut self, awaited: usize, now: Time) {
        if self.awaited != awaited {
            self.awaited = awaited;
            self.choose_rows_of_more(now);
        }
    }

    pub(super) fn members(&self) -> usize {
        self.peers.len() + self.awaited
    }

    /// True if the members are so few that all keep the rows of all.
    pub(super) fn has_all_rows(&self) -> bool {
        self.members() <= rows_kept(self.members())
    }

    fn keep_all_rows(&mut self) {
        for peer in self.peers.values_mut() {
            peer.keep_row(Time::NEVER);
        }
    }

    pub(super) fn choose_rows_of_more(&mut self, now: Time) {
        if is_more(self.peers.len(), self.chosen_of) {
            self.choose_rows(now);
        }
    }

    /// Decides anew whose rows are kept, unless there are to be many more members soon.
    pub(super) fn choose_rows(&mut self, now: Time) {
        if self.has_all_rows() {
            self.keep_all_rows();
            return;
        }
        if is_more(self.members(), self.peers.len()) {
            return;
        }
        self.chosen_of = self.peers.len();
        let kept = self.peers.iter().filter(|(_, peer)| peer.row.is_some()).map(|(prefix, _)| *prefix);
        let kept = kept.collect();
        let up = self.peers.iter().filter(|(_, peer)| peer.link.state() == LinkState::Up);
        let links = up.map(|(prefix, peer)| (*prefix, nanos(peer.link.estimator().slow())));
        let chosen = choose(self.own, &kept, links, rows_kept(self.members()));
        if chosen == kept {
            return;
        }
        self.outputs.push(Output::Changed);
        for (prefix, peer) in self.peers.iter_mut() {
            if !chosen.contains(prefix) {
                peer.drop_row();
            } else if peer.follow_at == Time::NEVER {
                peer.keep_row(now);
            }
            self.deadlines.set(*prefix, peer.deadline());
        }
    }
}

fn is_more(members: usize, than: usize) -> bool {
    members > than * MEMBERS_MORE.0 / MEMBERS_MORE.1
}

/// The members whose rows are kept, so many of those that links are up to: [`NEAR`] of them are the nearest by round-trip
/// time, in any unit, the others are anywhere.
pub(super) fn choose(
    own: NodePrefix,
    kept: &BTreeSet<NodePrefix>,
    links: impl Iterator<Item = (NodePrefix, u64)>,
    rows: usize,
) -> BTreeSet<NodePrefix> {
    let distance = |(peer, rtt): (NodePrefix, u64)| {
        (if kept.contains(&peer) { rtt * STAY.0 / STAY.1 } else { rtt }, peer)
    };
    let mut by_distance: Vec<_> = links.map(distance).collect();
    by_distance.sort_unstable();
    let near = by_distance.len().min(rows * NEAR.0 / NEAR.1);
    let mut others: Vec<_> = by_distance.split_off(near).into_iter().map(|(_, peer)| peer).collect();
    // As good as at random, but the same each time: identities are hashes.
    others.sort_unstable_by_key(|peer| peer.0 ^ own.0);
    others.truncate(rows - near);
    by_distance.into_iter().map(|(_, peer)| peer).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: usize = 64;

    fn peer(number: u64) -> NodePrefix {
        NodePrefix(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn choose_of(kept: &BTreeSet<NodePrefix>, us: impl Fn(u64) -> u64) -> BTreeSet<NodePrefix> {
        choose(NodePrefix(7), kept, (1..=1000).map(|number| (peer(number), us(number))), ROWS)
    }

    #[test]
    fn of_few_members_all_rows_are_kept_and_of_many_fewer_and_fewer() {
        assert_eq!([1, 12, 256].map(|members| rows_kept(members) >= members), [true; 3]);
        assert_eq!([257, 512, 1000, 4096].map(rows_kept), [255, 128, 65, 16]);
    }

    #[test]
    fn most_of_the_rows_are_those_of_the_nearest() {
        let kept = choose_of(&BTreeSet::new(), |number| number * 100);
        assert_eq!(kept.len(), ROWS);
        assert_eq!(kept, choose_of(&BTreeSet::new(), |number| number * 200), "whatever the unit");
        assert!((1..=ROWS as u64 * 3 / 4).all(|number| kept.contains(&peer(number))));
    }

    #[test]
    fn a_row_stays_until_another_member_is_clearly_nearer() {
        let kept = choose_of(&BTreeSet::new(), |number| number * 100);
        assert!(!kept.contains(&peer(501)));
        let swapped = |by: u64| move |number: u64| if number == 501 { 4_800 - by } else { number * 100 };
        assert_eq!(choose_of(&kept, swapped(100)), kept);
        assert_ne!(choose_of(&kept, swapped(1_500)), kept);
    }

    #[test]
    fn where_fewer_links_are_up_than_rows_are_kept_all_of_them_are() {
        let links = (1..=20).map(|number| (peer(number), 1_000));
        assert_eq!(choose(NodePrefix(0), &BTreeSet::new(), links, ROWS).len(), 20);
    }
}
