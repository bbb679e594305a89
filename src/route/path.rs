//! A path through the mesh and what it costs.

use core::time::Duration;

use arrayvec::ArrayVec;

use crate::config::MAX_HOPS;
use crate::node::NodePrefix;
use crate::wire::latency::LinkLatency;

/// What a lost frame costs: about one retransmission timeout of a TCP with a short round-trip time
/// (RFC 6298 has 1 s, Linux has 200 ms at least), in nanoseconds.
const LOSS_NANOS: f64 = 200e6;

/// The cost of a link or a path, by the fast and by the slow average: round-trip nanoseconds, with the
/// charges for loss and relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Cost {
    pub(crate) fast: u64,
    pub(crate) slow: u64,
}

impl Cost {
    /// What a link with this latency costs.
    pub(crate) fn of_link(link: LinkLatency) -> Self {
        let charge = Cost::of_loss(link);
        Cost { fast: u64::from(link.fast_us) * 1000 + charge, slow: u64::from(link.slow_us) * 1000 + charge }
    }

    /// What the loss of a link adds to its cost, in nanoseconds.
    pub(crate) fn of_loss(link: LinkLatency) -> u64 {
        loss_charge(link.loss)
    }

    pub(crate) fn plus(self, other: Cost) -> Self {
        Cost { fast: self.fast.saturating_add(other.fast), slow: self.slow.saturating_add(other.slow) }
    }

    /// The worse of the two estimates: what a path is chosen by, so that one good sample starts no detour.
    pub(crate) fn worse(self) -> u64 {
        self.fast.max(self.slow)
    }
}

/// The cost of losing `loss`/255 of the frames: -ln(1 - p) times the cost of a lost frame, so that the
/// charges of the links of a path add up.
fn loss_charge(loss: u8) -> u64 {
    if loss == 0 {
        return 0;
    }
    let delivered = f64::from(u8::MAX.saturating_sub(loss).max(1)) / f64::from(u8::MAX);
    (-delivered.ln() * LOSS_NANOS) as u64
}

/// The relays in order, the destination last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path(ArrayVec<NodePrefix, MAX_HOPS>);

impl Path {
    /// The path without relays.
    pub(crate) fn direct(to: NodePrefix) -> Self {
        Path([to].into_iter().collect())
    }

    /// A path of 1 to [`MAX_HOPS`] hops.
    pub(crate) fn new(hops: ArrayVec<NodePrefix, MAX_HOPS>) -> Self {
        debug_assert!(!hops.is_empty(), "a path ends at its destination");
        Path(hops)
    }

    pub(crate) fn hops(&self) -> &[NodePrefix] {
        &self.0
    }

    pub(crate) fn is_direct(&self) -> bool {
        self.0.len() == 1
    }

    /// The links of the path from `own` on.
    pub(crate) fn links(&self, own: NodePrefix) -> impl Iterator<Item = (NodePrefix, NodePrefix)> + '_ {
        core::iter::once(own).chain(self.0.iter().copied()).zip(self.0.iter().copied())
    }

    /// What the path costs from `own`, or `None` if a link of it is down or unmeasured.
    pub(crate) fn cost(
        &self,
        own: NodePrefix,
        relay_charge: Duration,
        link: impl Fn(NodePrefix, NodePrefix) -> Option<LinkLatency>,
    ) -> Option<Cost> {
        let relays = self.0.len() as u64 - 1;
        let charge = relays * crate::time::nanos(relay_charge);
        self.links(own).try_fold(Cost { fast: charge, slow: charge }, |sum, (from, to)| {
            link(from, to).map(|link| sum.plus(Cost::of_link(link)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_fifth_costs_more_than_forty_milliseconds() {
        assert_eq!(loss_charge(0), 0);
        assert!((40_000_000..50_000_000).contains(&loss_charge(51)), "{}", loss_charge(51));
        assert!(loss_charge(255) > 1_000_000_000);
    }
}
