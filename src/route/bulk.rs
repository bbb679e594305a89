//! Paths for bulk traffic: by the throughput they promise instead of their latency.
//!
//! The throughput of a TCP falls with its round-trip time and with the root of the loss (Mathis et al., Computer
//! Communication Review 27(3), 1997), and what a relay has to give with its load. Direct unless a relay promises much more.

use crate::node::NodePrefix;
use crate::route::table::Table;
use crate::route::{Database, Path};
use crate::wire::latency::{LinkLatency, Transit};

/// Less loss than this counts as this much, so that the estimate does not follow single losses (Andersen et al., RON,
/// SOSP 2001).
const LEAST_LOSS: f64 = 0.02;
/// A path is left for one that promises half as much again (RON likewise): measurements of throughput are rough.
const MUCH_BETTER: f64 = 1.5 * 1.5;

/// What the throughput of a path follows from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality {
    rtt_us: f64,
    lost: f64,
    /// The share that the busiest relay has left.
    spare: f64,
}

impl Quality {
    pub(super) fn of_link(link: LinkLatency) -> Self {
        Quality { rtt_us: f64::from(link.slow_us), lost: f64::from(link.loss) / 255.0, spare: 1.0 }
    }

    /// That of this path prolonged by a link from a relay.
    pub(super) fn onward(self, relay: Transit, link: LinkLatency) -> Self {
        let next = Quality::of_link(link);
        Quality {
            rtt_us: self.rtt_us + next.rtt_us + f64::from(relay.delay_us),
            lost: self.lost + next.lost,
            spare: self.spare.min(f64::from(u8::MAX - relay.load.min(u8::MAX - 1)) / 255.0),
        }
    }

    /// The square of the time that an amount of bytes takes, in a unit of no meaning.
    pub(super) fn slowness(self) -> f64 {
        self.rtt_us * self.rtt_us * self.lost.max(LEAST_LOSS) / (self.spare * self.spare)
    }
}

/// The lowest slowness of a path with one relay, and the place of that relay.
type Relayed = Option<(f64, usize)>;

/// The best path with one relay from `source` to each place; `may_relay` says which places are taken as relays.
pub(super) fn best_relays(
    table: &Table<'_>,
    source: usize,
    may_relay: impl Fn(usize) -> bool,
) -> Vec<Relayed> {
    let mut first: Vec<Option<(Quality, Transit)>> = vec![None; table.nodes.len()];
    for (_, relay, link) in table.up().filter(|(from, ..)| *from == source) {
        let transit = table.transits[relay].filter(|_| may_relay(relay));
        first[relay] = transit.map(|transit| (Quality::of_link(link), transit));
    }
    let mut best: Vec<Relayed> = vec![None; table.nodes.len()];
    for (relay, to, link) in table.up().filter(|(_, to, _)| *to != source) {
        let Some((there, transit)) = first[relay] else { continue };
        let slowness = there.onward(transit, link).slowness();
        if best[to].is_none_or(|(least, _)| slowness < least) {
            best[to] = Some((slowness, relay));
        }
    }
    best
}

/// The slowness of a path, or `None` if it is not up or a relay carries no transit.
pub(super) fn slowness(own: NodePrefix, path: &Path, table: &Table<'_>) -> Option<f64> {
    let mut links = path.links(own);
    let (first, relay) = links.next()?;
    let first = Quality::of_link(table.link(first, relay)?);
    let onward =
        |quality: Quality, (relay, to)| Some(quality.onward(table.transit(relay)?, table.link(relay, to)?));
    links.try_fold(first, onward).map(Quality::slowness)
}

/// What to do with a present path, given the slowness of the paths that are up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BulkChoice {
    Keep,
    Direct,
    Relay(usize),
}

/// `present` is that of the present path if it has a relay and is up.
pub(super) fn choose(present: Option<f64>, direct: Option<f64>, relayed: Relayed) -> BulkChoice {
    let is_much_better = |than: f64| relayed.is_some_and(|(slowness, _)| slowness * MUCH_BETTER < than);
    let stays = |present: f64| direct.is_none_or(|direct| present < direct) && !is_much_better(present);
    match (relayed, direct) {
        _ if present.is_some_and(stays) => BulkChoice::Keep,
        (Some((_, relay)), None) => BulkChoice::Relay(relay),
        (Some((_, relay)), Some(direct)) if is_much_better(direct) => BulkChoice::Relay(relay),
        _ => BulkChoice::Direct,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(slow_us: u32, loss: u8) -> LinkLatency {
        LinkLatency { slow_us, loss, ..LinkLatency::default() }
    }

    #[test]
    fn half_the_time_does_not_make_up_for_ten_times_the_loss_and_a_busy_relay_is_slow() {
        let slowness = |us, loss| Quality::of_link(link(us, loss)).slowness();
        assert!(slowness(20_000, 0) < slowness(10_000, 51));
        assert_eq!(slowness(20_000, 0), slowness(20_000, 5), "two hundredths");
        let through = |load| {
            let relay = Transit { load, delay_us: 0 };
            Quality::of_link(link(10_000, 0)).onward(relay, link(10_000, 0)).slowness()
        };
        assert_eq!(through(0), slowness(20_000, 0));
        assert!(through(200) > 10.0 * through(0));
    }

    #[test]
    fn direct_is_left_for_half_as_much_again_and_returned_to_when_it_is_as_good() {
        let choose = super::choose;
        assert_eq!(choose(None, Some(2.0), Some((1.0, 7))), BulkChoice::Direct);
        assert_eq!(choose(None, Some(2.3), Some((1.0, 7))), BulkChoice::Relay(7));
        assert_eq!(choose(Some(1.0), Some(1.1), Some((1.0, 7))), BulkChoice::Keep);
        assert_eq!(choose(Some(1.1), Some(1.1), Some((1.0, 7))), BulkChoice::Direct);
        assert_eq!(choose(Some(2.3), Some(9.0), Some((1.0, 7))), BulkChoice::Relay(7));
        assert_eq!(choose(None, None, Some((5.0, 7))), BulkChoice::Relay(7));
        assert_eq!(choose(None, None, None), BulkChoice::Direct);
    }
}
