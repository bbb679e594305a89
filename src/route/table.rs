//! The latency database as it is at a choice of paths, made ready to be read a million times.

use std::collections::BTreeSet;

use crate::node::NodePrefix;
use crate::route::Database;
use crate::wire::latency::{LinkLatency, Transit};

/// A link that is known: the places of its ends, and its latency, or `None` if it is down.
pub(crate) type KnownLink = (usize, usize, Option<LinkLatency>);

/// The links between some nodes.
///
/// A link whose other direction is down is as good as down: the node at its far end just has not told of it.
pub(super) struct Table<'a> {
    /// In ascending order.
    pub(super) nodes: &'a [NodePrefix],
    /// In the order of their ends.
    links: &'a [KnownLink],
    /// Where the links from each node begin.
    rows: Vec<usize>,
    down: BTreeSet<(usize, usize)>,
    /// What each node says of itself as a relay.
    pub(super) transits: Vec<Option<Transit>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        nodes: &'a [NodePrefix],
        links: &'a [KnownLink],
        transit: impl Fn(NodePrefix) -> Option<Transit>,
    ) -> Self {
        let mut rows = vec![0; nodes.len() + 1];
        for (from, ..) in links {
            rows[from + 1] += 1;
        }
        for at in 1..rows.len() {
            rows[at] += rows[at - 1];
        }
        let down = links.iter().filter(|(.., link)| link.is_none());
        let down = down.map(|(from, to, _)| (*from, *to)).collect();
        Table { nodes, links, rows, down, transits: nodes.iter().map(|node| transit(*node)).collect() }
    }

    /// The place of a node.
    pub(super) fn place(&self, node: NodePrefix) -> Option<usize> {
        self.nodes.binary_search(&node).ok()
    }

    /// The links that are up, in the order of their ends.
    pub(super) fn up(&self) -> impl Iterator<Item = (usize, usize, LinkLatency)> + '_ {
        let known = self.links.iter().filter_map(|(from, to, link)| Some((*from, *to, (*link)?)));
        known.filter(|(from, to, _)| !self.is_down(*to, *from))
    }

    fn is_down(&self, from: usize, to: usize) -> bool {
        !self.down.is_empty() && self.down.contains(&(from, to))
    }
}

impl Database for Table<'_> {
    fn link(&self, from: NodePrefix, to: NodePrefix) -> Option<LinkLatency> {
        let (from, to) = (self.place(from)?, self.place(to)?);
        let row = &self.links[self.rows[from]..self.rows[from + 1]];
        let at = row.binary_search_by_key(&to, |(_, to, _)| *to).ok()?;
        row[at].2.filter(|_| !self.is_down(to, from))
    }

    fn transit(&self, relay: NodePrefix) -> Option<Transit> {
        self.transits[self.place(relay)?]
    }
}
