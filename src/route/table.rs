//! The latency database as it is at a choice of paths, made ready to be read a million times.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::NodePrefix;
use crate::route::graph::Edge;
use crate::route::trust::Claim;
use crate::route::{Database, correction};
use crate::wire::latency::{LinkLatency, Transit};

/// A link that is known: the places of its ends, and its latency, or `None` if it is down.
pub(crate) type KnownLink = (u16, u16, Option<LinkLatency>);

/// So many rows are compared with the columns beside each other.
const BAND: usize = 16;

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
    /// What counts for links whose other end advertises much more.
    corrected: BTreeMap<(usize, usize), LinkLatency>,
    /// What each node says of itself as a relay.
    pub(super) transits: Vec<Option<Transit>>,
}

impl<'a> Table<'a> {
    /// What is known, and the links that are up with the weights that `weigh` gives them, without those that it gives
    /// none; both in the order of their ends. One pass over all links: more would take as long as all else.
    pub(super) fn new(
        nodes: &'a [NodePrefix],
        links: &'a [KnownLink],
        transits: Vec<Option<Transit>>,
        weigh: impl Fn(usize, usize, LinkLatency) -> Option<i32>,
    ) -> (Self, Vec<Edge>) {
        let mut table = Table {
            nodes,
            links,
            rows: vec![0; nodes.len() + 1],
            down: BTreeSet::new(),
            corrected: BTreeMap::new(),
            transits,
        };
        let mut edges = Vec::with_capacity(links.len());
        for &(from, to, link) in links {
            let places = (usize::from(from), usize::from(to));
            table.rows[places.0 + 1] += 1;
            let Some(link) = link else {
                table.down.insert(places);
                continue;
            };
            let weight = weigh(places.0, places.1, link);
            edges.extend(weight.map(|weight| Edge { from, to, weight }));
        }
        for at in 1..table.rows.len() {
            table.rows[at] += table.rows[at - 1];
        }
        if !table.down.is_empty() {
            edges.retain(|edge| !table.is_down(edge.to.into(), edge.from.into()));
        }
        table.correct();
        for (&(from, to), link) in &table.corrected {
            let ends = (from as u16, to as u16);
            let at = edges.binary_search_by_key(&ends, |edge| (edge.from, edge.to));
            if let (Ok(at), Some(weight)) = (at, weigh(from, to, *link)) {
                edges[at].weight = weight;
            }
        }
        (table, edges)
    }

    /// Finds the links whose two ends contradict each other.
    fn correct(&mut self) {
        // With many members the rows of some are known, and only links between those have two ends that tell.
        let told: Vec<usize> =
            (0..self.nodes.len()).filter(|node| self.rows[*node] < self.rows[node + 1]).collect();
        let mut places = vec![None; self.nodes.len()];
        told.iter().enumerate().for_each(|(at, node)| places[*node] = Some(at));
        // What is compared, side by side: to look for the other end of each link takes ten times as long.
        let mut claims = vec![Claim::NONE; told.len() * told.len()];
        for (from, to, link) in self.links {
            if let (Some(from), Some(to), Some(link)) =
                (places[usize::from(*from)], places[usize::from(*to)], link)
            {
                claims[from * told.len() + to] = Claim::of(*link);
            }
        }
        // In bands, or each look at an other end would read memory of its own.
        for band in (0..told.len()).step_by(BAND) {
            for to in band..told.len() {
                for from in band..to.min(band + BAND) {
                    let (one, other) = (claims[from * told.len() + to], claims[to * told.len() + from]);
                    if one.contradicts(other) {
                        self.correct_ends(told[from], told[to]);
                    }
                }
            }
        }
    }

    fn correct_ends(&mut self, from: usize, to: usize) {
        let Some((one, other)) = self.advertised(from, to).zip(self.advertised(to, from)) else { return };
        for (ends, advertised, other_end) in [((from, to), one, other), ((to, from), other, one)] {
            let corrected = correction(advertised, other_end);
            self.corrected.extend(corrected.map(|corrected| (ends, corrected)));
        }
    }

    /// The place of a node.
    pub(super) fn place(&self, node: NodePrefix) -> Option<usize> {
        self.nodes.binary_search(&node).ok()
    }

    /// The links that are up, in the order of their ends.
    pub(super) fn up(&self) -> impl Iterator<Item = (usize, usize, LinkLatency)> + '_ {
        let known =
            self.links.iter().filter_map(|(from, to, link)| Some(((*from).into(), (*to).into(), (*link)?)));
        let up = known.filter(|(from, to, _)| !self.is_down(*to, *from));
        up.map(|(from, to, link)| (from, to, self.corrected.get(&(from, to)).copied().unwrap_or(link)))
    }

    /// What one end of a link advertises of it.
    fn advertised(&self, from: usize, to: usize) -> Option<LinkLatency> {
        let row = &self.links[self.rows[from]..self.rows[from + 1]];
        // Where it is if this node knows all others.
        let likely = to - usize::from(to > from);
        let is_there = row.get(likely).is_some_and(|(_, there, _)| usize::from(*there) == to);
        let found = || row.binary_search_by_key(&to, |(_, to, _)| usize::from(*to)).ok();
        let at = if is_there { likely } else { found()? };
        row[at].2
    }

    fn is_down(&self, from: usize, to: usize) -> bool {
        !self.down.is_empty() && self.down.contains(&(from, to))
    }
}

impl Database for Table<'_> {
    fn link(&self, from: NodePrefix, to: NodePrefix) -> Option<LinkLatency> {
        let (from, to) = (self.place(from)?, self.place(to)?);
        let link = self.advertised(from, to).filter(|_| !self.is_down(to, from))?;
        Some(self.corrected.get(&(from, to)).copied().unwrap_or(link))
    }

    fn transit(&self, relay: NodePrefix) -> Option<Transit> {
        self.transits[self.place(relay)?]
    }
}
