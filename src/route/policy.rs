//! What the operator wants of paths, as the router reads it.

use std::collections::BTreeMap;

use crate::config::{self, PathPart};
use crate::node::{NodeId, NodePrefix};
use crate::route::Path;
use crate::time::nanos;

/// What is avoided costs so much, in nanoseconds: more than any path that has nothing of it, so that it is taken
/// where no other way leads.
const AVOIDED: i64 = 1_000_000_000_000;

/// Pins, and what is added to the costs of relays and links, in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Policy {
    pins: BTreeMap<NodePrefix, Path>,
    relays: BTreeMap<NodePrefix, i64>,
    /// By both ends, the lower one first.
    links: BTreeMap<(NodePrefix, NodePrefix), i64>,
}

impl Policy {
    pub(crate) fn new(policy: &config::Policy) -> Self {
        let pin = |(to, relays): (&NodeId, &Vec<NodeId>)| {
            let path = Path::new(relays.iter().chain([to]).map(NodeId::prefix).collect());
            (to.prefix(), path)
        };
        let mut read = Policy { pins: policy.pins.iter().map(pin).collect(), ..Policy::default() };
        let prices = policy.prices.iter().map(|(part, price)| (part, nanos(*price) as i64));
        for (part, price) in policy.avoid.iter().map(|part| (part, AVOIDED)).chain(prices) {
            let sum = match part {
                PathPart::Relay(relay) => read.relays.entry(relay.prefix()).or_default(),
                PathPart::Link(one, other) => {
                    read.links.entry(ends(one.prefix(), other.prefix())).or_default()
                }
            };
            *sum += price;
        }
        read
    }

    /// The path that frames for a member are to take.
    pub(super) fn pin(&self, to: NodePrefix) -> Option<&Path> {
        self.pins.get(&to)
    }

    /// True if a relay is only to be taken where no other way leads.
    pub(super) fn avoids(&self, relay: NodePrefix) -> bool {
        self.of_relay(relay) >= AVOIDED
    }

    pub(super) fn of_relay(&self, relay: NodePrefix) -> i64 {
        self.relays.get(&relay).copied().unwrap_or_default()
    }

    pub(super) fn of_link(&self, from: NodePrefix, to: NodePrefix) -> i64 {
        if self.links.is_empty() {
            return 0;
        }
        self.links.get(&ends(from, to)).copied().unwrap_or_default()
    }

    /// All links that something is added to, by both ends.
    pub(super) fn links(&self) -> impl Iterator<Item = (NodePrefix, NodePrefix, i64)> + '_ {
        self.links.iter().map(|((one, other), price)| (*one, *other, *price))
    }
}

fn ends(one: NodePrefix, other: NodePrefix) -> (NodePrefix, NodePrefix) {
    (one.min(other), one.max(other))
}
