//! The latency database as who chooses paths wants it: all links between members at one moment.

use crate::latency::Latency;
use crate::node::NodePrefix;
use crate::wire::latency::{LinkLatency, RowEntry};

/// The whole latency database at one moment.
#[derive(Debug)]
pub(crate) struct Table {
    /// All members in ascending order, the own node included.
    pub(crate) nodes: Vec<NodePrefix>,
    /// The links between them that somebody has measured: from and to as places in `nodes`, and the latency,
    /// or `None` if the link is down.
    pub(crate) entries: Vec<(usize, usize, Option<LinkLatency>)>,
}

impl Latency {
    /// The whole database. One pass over each row: looking up each pair would cost several times as much.
    pub(crate) fn table(&self) -> Table {
        let mut lives: Vec<(NodePrefix, u16)> =
            self.peers.iter().map(|(peer, state)| (*peer, state.life)).collect();
        let own_at = lives.partition_point(|(peer, _)| *peer < self.own);
        lives.insert(own_at, (self.own, self.life));
        let mut entries = Vec::with_capacity(lives.len() * lives.len());
        for (from, (node, _)) in lives.iter().enumerate() {
            if *node == self.own {
                push_row(&mut entries, from, self.own_row.entries(), &lives);
            } else if let Some(peer) = self.peers.get(node) {
                push_row(&mut entries, from, peer.row.entries(), &lives);
            }
        }
        Table { nodes: lives.into_iter().map(|(node, _)| node).collect(), entries }
    }
}

/// Appends those entries of a row whose targets are members in their present life. Both are in ascending
/// order.
fn push_row<'a>(
    out: &mut Vec<(usize, usize, Option<LinkLatency>)>,
    from: usize,
    row: impl Iterator<Item = &'a RowEntry>,
    lives: &[(NodePrefix, u16)],
) {
    let mut to = 0;
    for entry in row {
        while lives.get(to).is_some_and(|(node, _)| *node < entry.target) {
            to += 1;
        }
        if to != from && lives.get(to) == Some(&(entry.target, entry.life)) {
            out.push((from, to, entry.link));
        }
    }
}
