//! The latency database as who chooses paths wants it: all links between members at one moment.

use crate::latency::interest::rows_kept;
use crate::latency::offset::{Leg, Told, skew_us};
use crate::latency::{Latency, life};
use crate::node::NodePrefix;
use crate::time::Time;
use crate::wire::latency::{LinkLatency, OFFSET_MODULUS, RowEntry, Transit};

/// The whole latency database at one moment.
#[derive(Debug)]
pub(crate) struct Table {
    /// All members in ascending order, the own node included.
    pub(crate) nodes: Vec<NodePrefix>,
    /// The links between them that are known, in the order of their ends: from and to as places in `nodes`, and the
    /// latency, or `None` if the link is down. Small, as all of it is read at each choice of paths.
    pub(crate) entries: Vec<(u16, u16, Option<LinkLatency>)>,
}

impl Latency {
    /// The database's entry for the link from one node to another: `None` if nobody has measured it,
    /// `Some(None)` if it is down.
    pub(crate) fn entry(&self, from: NodePrefix, to: NodePrefix) -> Option<Option<LinkLatency>> {
        if from == self.own {
            self.own_row.get(to, self.peers.get(&to)?.life)
        } else {
            let life = if to == self.own { self.life } else { self.peers.get(&to)?.life };
            let leg = |node: NodePrefix| self.peers.get(&node)?.link.leg();
            let (entry, at) = self.peers.get(&from)?.row.as_ref()?.get(to, life)?;
            Some(skewed(&entry, at, || leg(from).zip(leg(to))))
        }
    }

    /// True if the database has a link that is up from a member to a node in the life that began with
    /// `incarnation`, which need not be a member.
    pub(crate) fn is_linked(&self, from: NodePrefix, to: NodePrefix, incarnation: u64) -> bool {
        let row = self.peers.get(&from).and_then(|peer| peer.row.as_ref());
        row.and_then(|row| row.get(to, life(incarnation))).is_some_and(|(entry, _)| entry.link.is_some())
    }

    /// The latency of the link from a member to a node that need not be one, in whatever life it was measured.
    pub(crate) fn link_to_stranger(&self, from: NodePrefix, to: NodePrefix) -> Option<LinkLatency> {
        self.peers.get(&from)?.row.as_ref()?.latest(to)
    }

    /// The latency of the link from one node to another, if it is up.
    pub(crate) fn link(&self, from: NodePrefix, to: NodePrefix) -> Option<LinkLatency> {
        self.entry(from, to)?
    }

    /// What a node is as a relay: `None` if it carries no transit, is no member, or its row is not kept.
    pub(crate) fn transit(&self, node: NodePrefix) -> Option<Transit> {
        if node == self.own { self.own_row.transit() } else { self.peers.get(&node)?.row.as_ref()?.transit() }
    }

    /// The whole database. One pass over each row: looking up each pair would cost several times as much.
    pub(crate) fn table(&self) -> Table {
        let mut lives: Vec<(NodePrefix, u16)> =
            self.peers.iter().map(|(peer, state)| (*peer, state.life)).collect();
        let own_at = lives.partition_point(|(peer, _)| *peer < self.own);
        lives.insert(own_at, (self.own, self.life));
        let mut entries = Vec::with_capacity(lives.len() * (rows_kept(lives.len()) + 1).min(lives.len()));
        let legs: Vec<Option<Leg>> = lives.iter().map(|(node, _)| self.peers.get(node)?.link.leg()).collect();
        for (from, (node, _)) in lives.iter().enumerate() {
            if *node == self.own {
                let row = self.own_row.entries().map(|entry| (*entry, Time::ZERO));
                push_row(&mut entries, from, row, &lives, |_, entry, _| entry.link);
            } else if let Some(row) = self.peers.get(node).and_then(|peer| peer.row.as_ref()) {
                push_row(&mut entries, from, row.entries(), &lives, |to, entry, at| {
                    skewed(entry, at, || legs[from].zip(legs[to]))
                });
            }
        }
        Table { nodes: lives.into_iter().map(|(node, _)| node).collect(), entries }
    }
}

/// What an entry of another node's row, which came at `at`, says here: with the skew that follows from the own links to
/// both ends, if there are such.
pub(super) fn skewed(
    entry: &RowEntry,
    at: Time,
    legs: impl FnOnce() -> Option<(Leg, Leg)>,
) -> Option<LinkLatency> {
    let link = entry.link?;
    let Some((offset_us, (to_begin, to_end))) = entry.offset_us.and_then(|us| Some((us, legs()?))) else {
        return Some(link);
    };
    let LinkLatency { slow_us: rtt_us, jitter_us, .. } = link;
    let told = Told { offset_us, modulus: OFFSET_MODULUS, at, rtt_us, jitter_us };
    Some(LinkLatency { skew_us: skew_us(told, to_begin, to_end), ..link })
}

/// Appends those entries of a row, with when they came, whose targets are members in their present life, as `read` reads
/// them. Both are in ascending order.
fn push_row(
    out: &mut Vec<(u16, u16, Option<LinkLatency>)>,
    from: usize,
    row: impl Iterator<Item = (RowEntry, Time)>,
    lives: &[(NodePrefix, u16)],
    read: impl Fn(usize, &RowEntry, Time) -> Option<LinkLatency>,
) {
    let mut to = 0;
    for (entry, at) in row {
        while lives.get(to).is_some_and(|(node, _)| *node < entry.target) {
            to += 1;
        }
        if to != from && lives.get(to) == Some(&(entry.target, entry.life)) {
            out.push((from as u16, to as u16, read(to, &entry, at)));
        }
    }
}
