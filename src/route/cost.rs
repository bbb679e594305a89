//! What links, relays and paths cost, in round-trip nanoseconds.
//!
//! Costs are signed: what is added to make directions comparable may be negative. Knows nothing of which path is
//! chosen.

use std::sync::LazyLock;

use crate::node::NodePrefix;
use crate::route::Path;
use crate::route::policy::Policy;
use crate::wire::latency::{LinkLatency, Transit};

/// What a lost frame costs: about one retransmission timeout of a TCP with a short round-trip time
/// (RFC 6298 has 1 s, Linux has 200 ms at least), in nanoseconds.
const LOSS_NANOS: f64 = 200e6;

/// A share that is lost is known from so many probes, about: those of three minutes.
const LOSS_SAMPLES: f64 = 100.0;
/// A link is charged with what it loses beyond chance, by so many standard deviations: a cost that follows chance
/// makes paths flap. Nothing of a lost thirtieth is charged, of a lost fifth more than a half.
const LOSS_DEVIATIONS: f64 = 2.0;

/// The charge for each advertised loss: a million logarithms would take as long as all else at a thousand
/// members.
static LOSS_CHARGES: LazyLock<[i64; 256]> =
    LazyLock::new(|| core::array::from_fn(|loss| loss_charge(loss as u8)));

/// What the latency database has.
pub(crate) trait Database {
    /// The latency of the link from one node to another, if it is up.
    fn link(&self, from: NodePrefix, to: NodePrefix) -> Option<LinkLatency>;
    /// What a node says of itself as a relay; `None` if it carries no transit.
    fn transit(&self, relay: NodePrefix) -> Option<Transit>;
}

impl<F: Fn(NodePrefix, NodePrefix) -> Option<LinkLatency>> Database for F {
    fn link(&self, from: NodePrefix, to: NodePrefix) -> Option<LinkLatency> {
        self(from, to)
    }

    fn transit(&self, _: NodePrefix) -> Option<Transit> {
        Some(Transit::default())
    }
}

/// The cost of a link or a path, by the fast and by the slow average: round-trip nanoseconds, with the
/// charges for loss and relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Cost {
    pub(crate) fast: i64,
    pub(crate) slow: i64,
    /// How unsure both are: the sum of the mean deviations of the links.
    pub(crate) jitter: i64,
}

impl Cost {
    /// What a link with this latency costs.
    pub(crate) fn of_link(link: LinkLatency) -> Self {
        let fast = nanos(link.fast_us) + Cost::of_jitter(link);
        let cost = Cost { fast, slow: nanos(link.slow_us), jitter: Cost::of_jitter(link) };
        cost.charged(Cost::of_loss(link) + Cost::of_skew(link))
    }

    /// What the loss of a link adds to its cost, in nanoseconds.
    pub(crate) fn of_loss(link: LinkLatency) -> i64 {
        LOSS_CHARGES[usize::from(link.loss)]
    }

    /// What the jitter of a link adds to its cost, in nanoseconds: its mean deviation, as a frame may well take so
    /// much longer. It follows the last seconds and counts for the fast estimate alone, or a short queue would start a
    /// detour.
    pub(crate) fn of_jitter(link: LinkLatency) -> i64 {
        nanos(link.jitter_us)
    }

    /// What makes the cost of a link that of its own direction, in nanoseconds, which may be negative.
    pub(crate) fn of_skew(link: LinkLatency) -> i64 {
        i64::from(link.skew_us) * 1000
    }

    pub(crate) fn plus(self, other: Cost) -> Self {
        let sum = self.with(other.fast, other.slow);
        Cost { jitter: sum.jitter.saturating_add(other.jitter), ..sum }
    }

    /// The cost with this charge, in nanoseconds, on top of both estimates.
    pub(crate) fn charged(self, charge: i64) -> Self {
        self.with(charge, charge)
    }

    fn with(self, fast: i64, slow: i64) -> Self {
        let (fast, slow) = (self.fast.saturating_add(fast), self.slow.saturating_add(slow));
        Cost { fast, slow, ..self }
    }

    /// The worse of the two estimates: what a path is chosen by, so that one good sample starts no detour.
    pub(crate) fn worse(self) -> i64 {
        self.fast.max(self.slow)
    }
}

/// What this node adds to the costs of links.
#[derive(Debug)]
pub(crate) struct Charges {
    /// Nanoseconds for each relay, beside what it says of itself.
    pub(crate) relay: i64,
    pub(crate) policy: Policy,
}

impl Charges {
    /// What a path costs from `own`, or `None` if a link of it is down or unmeasured, or a relay carries no transit.
    pub(crate) fn of_path(&self, own: NodePrefix, path: &Path, database: &impl Database) -> Option<Cost> {
        let relays = Cost::default().charged(self.of_relays(path, database)?);
        let links = path.links(own).try_fold(relays, |sum, (from, to)| {
            database.link(from, to).map(|link| sum.plus(Cost::of_link(link)))
        });
        Some(links?.charged(self.price(own, path)))
    }

    /// What all relays of a path are charged with; `None` if one carries no transit.
    pub(crate) fn of_relays(&self, path: &Path, database: &impl Database) -> Option<i64> {
        let charge = |relay: &NodePrefix| database.transit(*relay).map(|transit| self.of_transit(transit));
        path.relays().iter().map(charge).sum()
    }

    /// What passing through a relay is charged with. Queues grow as 1/(1 - load) (M/M/1, Kleinrock 1975).
    pub(crate) fn of_transit(&self, transit: Transit) -> i64 {
        let spare = i64::from(u8::MAX - transit.load.min(u8::MAX - 1));
        self.relay.saturating_add(i64::from(transit.delay_us) * 1000).saturating_mul(u8::MAX.into()) / spare
    }

    /// What the operator adds to the cost of a path.
    pub(crate) fn price(&self, own: NodePrefix, path: &Path) -> i64 {
        let relays: i64 = path.relays().iter().map(|relay| self.policy.of_relay(*relay)).sum();
        path.links(own).map(|(from, to)| self.policy.of_link(from, to)).sum::<i64>() + relays
    }
}

fn nanos(us: u32) -> i64 {
    i64::from(us) * 1000
}

/// The cost of losing `loss`/255 of the frames: -ln(1 - p) times the cost of a lost frame, so that the
/// charges of the links of a path add up.
fn loss_charge(loss: u8) -> i64 {
    let share = f64::from(loss.min(u8::MAX - 1)) / f64::from(u8::MAX);
    let deviation = (share * (1.0 - share) / LOSS_SAMPLES).sqrt();
    let sure = (share - LOSS_DEVIATIONS * deviation).max(0.0);
    (-(1.0 - sure).ln() * LOSS_NANOS) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_costs_its_delay_and_the_more_the_busier_it_is() {
        let charges = Charges { relay: 100_000, policy: Policy::default() };
        let charge = |load, delay_us| charges.of_transit(Transit { load, delay_us });
        assert_eq!(charge(0, 0), 100_000);
        assert_eq!(charge(0, 400), 500_000);
        assert_eq!(charge(204, 400), 2_500_000, "four fifths");
        assert_eq!(charge(255, 0), 25_500_000);
    }

    #[test]
    fn jitter_counts_and_so_does_the_direction() {
        let link = LinkLatency { fast_us: 30_000, slow_us: 31_000, ..LinkLatency::default() };
        let cost = |jitter_us, skew_us| {
            let cost = Cost::of_link(LinkLatency { jitter_us, skew_us, ..link });
            (cost.fast, cost.slow)
        };
        assert_eq!(cost(0, 0), (30_000_000, 31_000_000));
        assert_eq!(cost(2_000, 0), (32_000_000, 31_000_000));
        assert_eq!(cost(0, -40_000), (-10_000_000, -9_000_000));
    }

    #[test]
    fn loss_beyond_chance_costs_and_the_more_the_more_is_lost() {
        assert_eq!((loss_charge(0), loss_charge(8)), (0, 0), "three hundredths may be chance");
        assert!((7_000_000..10_000_000).contains(&loss_charge(26)), "{}", loss_charge(26));
        assert!((20_000_000..30_000_000).contains(&loss_charge(51)), "{}", loss_charge(51));
        assert!((90_000_000..110_000_000).contains(&loss_charge(128)), "{}", loss_charge(128));
        assert!(loss_charge(255) > 500_000_000);
    }
}
