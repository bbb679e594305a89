//! When a path is worth leaving for another one: by how much it must be better, and what is held against paths
//! that did badly lately.
//!
//! Knows costs and paths, not how they came about.

use core::time::Duration;
use std::collections::BTreeMap;

use arrayvec::ArrayVec;

use crate::node::NodePrefix;
use crate::route::{Cost, Estimate, Path};
use crate::time::{Time, nanos};

/// A path is left for one that is better by more than this, and by more than a share of its cost, so that two nearly
/// equal paths do not alternate. The database is as coarse: it tells smaller movements late.
const HYSTERESIS: i64 = 500_000;
/// A path that was taken lately is left for one that is better by more than a twentieth: what moves now may move
/// again.
const SHARE_YOUNG: i64 = 20;
/// A path that has been taken for as long as the slow average looks back is left for less: both have been measured
/// since. Between twelve sites of a real network a twentieth for ever would lose 7 % of what the best paths save, a
/// hundredth 0.3 % (`leond simulate`).
const SHARE_OLD: i64 = 100;
/// Nor for one that is better by less than this part of the deviations of all links of the two: so far the averages stray
/// from the truth.
const JITTER_PART: i64 = 2;
/// But for one that is better by a fifth: deviations are large after a single answer that came late.
const NOISE_SHARE: i64 = 5;
/// When a path is no longer young.
pub(super) const YOUTH: Duration = Duration::from_secs(30);

/// How long it is held against a path that it was left for a better one: what made it worse may come and go.
pub(super) const HOLD_DOWN: Duration = Duration::from_secs(10);
/// So many paths to one member have penalties at most; those that end the soonest go first.
const MAX_PENALTIES: usize = 4;

/// How a cost compares with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    /// Lower by more than the hysteresis on both estimates.
    Better,
    /// Lower on both, but not by more than the hysteresis on these.
    WithinHysteresis(Estimate),
    /// As high or higher on these.
    CostsMore(Estimate),
}

/// What stands against leaving a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bar {
    /// What the path to beat costs.
    pub(super) cost: Cost,
    /// By one part in so many of it another one is to be better.
    share: i64,
}

impl Bar {
    /// To beat `cost`, where the present path was taken `age` ago.
    pub(super) fn new(cost: Cost, age: Duration) -> Self {
        Bar { cost, share: if age < YOUTH { SHARE_YOUNG } else { SHARE_OLD } }
    }

    pub(super) fn compare(self, candidate: Cost) -> Comparison {
        let bar = self.cost;
        if let Some(estimate) = Estimate::of(candidate.fast >= bar.fast, candidate.slow >= bar.slow) {
            return Comparison::CostsMore(estimate);
        }
        let (fast, slow) = self.gaps(candidate);
        Estimate::of(fast >= 0, slow >= 0).map_or(Comparison::Better, Comparison::WithinHysteresis)
    }

    /// How much cheaper a candidate would have to be to be better, in nanoseconds; below zero if it is.
    pub(super) fn gap(self, candidate: Cost) -> i64 {
        let (fast, slow) = self.gaps(candidate);
        fast.max(slow)
    }

    /// The same on the fast and on the slow estimate.
    fn gaps(self, candidate: Cost) -> (i64, i64) {
        let noise = (candidate.jitter + self.cost.jitter) / JITTER_PART;
        let gap = |candidate: i64, bar: i64| {
            let noise = noise.min(bar / NOISE_SHARE);
            let hysteresis = HYSTERESIS.max(noise).max(bar / self.share);
            candidate.saturating_add(hysteresis).saturating_sub(bar)
        };
        (gap(candidate.fast, self.cost.fast), gap(candidate.slow, self.cost.slow))
    }
}

/// True if a path has clearly been lower than another one for the last seconds, whatever the slow average says: a relayed
/// path that has become worse than the direct one is not waited for.
pub(super) fn is_clearly_lower_now(candidate: Cost, other: Cost) -> bool {
    let noise = candidate.jitter + other.jitter;
    other.fast - candidate.fast > (2 * HYSTERESIS).max(other.fast / SHARE_YOUNG).max(noise)
}

/// What is held against a path for a while: it counts as so much dearer, and less and less so until the end.
#[derive(Clone, Debug)]
struct Penalty {
    path: Path,
    excess: i64,
    since: Time,
    until: Time,
}

impl Penalty {
    fn remaining(&self, now: Time) -> i64 {
        let (left, whole) = (nanos(self.until.since(now)), nanos(self.until.since(self.since)).max(1));
        (i128::from(self.excess) * i128::from(left.min(whole)) / i128::from(whole)) as i64
    }
}

/// What is held against paths, by the member they lead to.
#[derive(Debug, Default)]
pub(super) struct Penalties(BTreeMap<NodePrefix, ArrayVec<Penalty, MAX_PENALTIES>>);

impl Penalties {
    /// The path counts as dearer by `excess` nanoseconds now, and by less and less until `until`. Where
    /// more is held against it already, that stays.
    pub(super) fn add(&mut self, to: NodePrefix, path: Path, excess: i64, now: Time, until: Time) {
        let penalties = self.0.entry(to).or_default();
        penalties.retain(|penalty| penalty.until > now);
        let known = penalties.iter().position(|penalty| penalty.path == path);
        if known.is_some_and(|at| penalties[at].remaining(now) >= excess) {
            return;
        }
        let soonest = (0..penalties.len()).min_by_key(|at| penalties[*at].until);
        if let Some(at) = known.or(soonest.filter(|_| penalties.is_full())) {
            penalties.remove(at);
        }
        penalties.push(Penalty { path, excess, since: now, until });
    }

    /// What is held against a path to `to`, in nanoseconds.
    pub(super) fn of(&self, to: NodePrefix, path: &Path, now: Time) -> i64 {
        let penalties = self.0.get(&to).into_iter().flatten();
        penalties.filter(|penalty| penalty.path == *path).map(|penalty| penalty.remaining(now)).sum()
    }

    pub(super) fn remove(&mut self, to: NodePrefix) {
        self.0.remove(&to);
    }

    /// Forgets what has ended.
    pub(super) fn expire(&mut self, now: Time) {
        self.0.retain(|_, penalties| {
            penalties.retain(|penalty| penalty.until > now);
            !penalties.is_empty()
        });
    }

    /// When the next one ends.
    pub(super) fn next_end(&self) -> Time {
        self.0.values().flatten().map(|penalty| penalty.until).min().unwrap_or(Time::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: NodePrefix = NodePrefix(9);

    fn through(relay: u64) -> Path {
        Path::new([NodePrefix(relay), TO].into_iter().collect())
    }

    fn at(secs: u64) -> Time {
        Time::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn a_penalty_fades_and_ends() {
        let mut penalties = Penalties::default();
        penalties.add(TO, through(1), 1000, at(10), at(20));
        let of = |penalties: &Penalties, secs| penalties.of(TO, &through(1), at(secs));
        assert_eq!([10, 15, 20, 30].map(|secs| of(&penalties, secs)), [1000, 500, 0, 0]);
        assert_eq!(penalties.of(TO, &through(2), at(10)), 0, "another path");
        penalties.expire(at(15));
        assert_eq!(penalties.next_end(), at(20));
        penalties.expire(at(20));
        assert_eq!(penalties.next_end(), Time::NEVER);
    }

    #[test]
    fn the_higher_of_two_penalties_counts_and_their_number_is_bounded() {
        let mut penalties = Penalties::default();
        penalties.add(TO, through(1), 1000, at(0), at(10));
        penalties.add(TO, through(1), 400, at(5), at(15));
        assert_eq!(penalties.of(TO, &through(1), at(5)), 500);
        penalties.add(TO, through(1), 700, at(5), at(15));
        assert_eq!(penalties.of(TO, &through(1), at(5)), 700);
        (2..20).for_each(|relay| penalties.add(TO, through(relay), 100, at(5), at(30)));
        assert_eq!(penalties.of(TO, &through(1), at(5)), 0, "it would have ended the soonest");
        assert_eq!(penalties.of(TO, &through(19), at(5)), 100);
    }
}
