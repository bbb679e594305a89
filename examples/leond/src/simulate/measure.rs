//! Round-trip times of the chosen paths, sampled in virtual time and held against the direct and the best ones.
//!
//! The choice is never judged by what it was made from: a sample takes the paths as they are chosen at its moment and
//! draws the delays that datagrams sent then meet, with dice that no engine has seen.

use leon::sim::{Dice, World};

use super::truth::Truth;

/// By how much a path is better or worse before it counts as such.
const NOTABLE: f64 = 0.05;

/// What was sampled for each pair of sites.
pub(super) struct Meter {
    pairs: Vec<Pair>,
    dice: Dice,
}

/// Two sites, and sums over the samples of them.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) sites: (usize, usize),
    /// Where the direct link and the chosen paths carry.
    both: Sums,
    /// Where the chosen paths carry and the direct link does not.
    relayed_only: Sums,
    /// How often there was a direct link, and how often the chosen paths were notably slower or broken.
    direct_samples: u64,
    worse_samples: u64,
}

/// Round-trip times in milliseconds, added up.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    samples: u64,
    direct: f64,
    leon: f64,
    oracle: f64,
}

impl Sums {
    fn add(&mut self, direct: f64, leon: f64, oracle: f64) {
        self.samples += 1;
        self.direct += direct;
        self.leon += leon;
        self.oracle += oracle;
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        (self.samples > 0).then(|| sum / self.samples as f64)
    }
}

impl Meter {
    pub(super) fn new(sites: usize, seed: u64) -> Meter {
        let pair = |sites| Pair {
            sites,
            both: Sums::default(),
            relayed_only: Sums::default(),
            direct_samples: 0,
            worse_samples: 0,
        };
        let pairs = (0..sites).flat_map(|low| (low + 1..sites).map(move |high| (low, high)));
        Meter { pairs: pairs.map(pair).collect(), dice: Dice::named(seed, "meter") }
    }

    /// Takes a sample of every pair.
    pub(super) fn sample(&mut self, world: &World, truth: &Truth) {
        let drawn = truth.draw(&mut self.dice);
        for pair in &mut self.pairs {
            let (one, other) = pair.sites;
            let one_way = |from, to| truth.delay(&drawn, from, world.path(from, to));
            let leon = round_trip(one_way(one, other), one_way(other, one));
            let direct = round_trip(drawn[one][other], drawn[other][one]);
            let oracle = round_trip(truth.best[one][other], truth.best[other][one]);
            pair.direct_samples += u64::from(direct.is_some());
            match (direct, leon, oracle) {
                (Some(direct), Some(leon), Some(oracle)) => {
                    pair.both.add(direct, leon, oracle);
                    pair.worse_samples += u64::from(leon > direct * (1.0 + NOTABLE));
                }
                (None, Some(leon), Some(oracle)) => pair.relayed_only.add(0.0, leon, oracle),
                (Some(_), None, _) => pair.worse_samples += 1,
                _ => {}
            }
        }
    }

    pub(super) fn pairs(self) -> Vec<Pair> {
        self.pairs
    }
}

impl Pair {
    /// Mean round-trip time of the direct link, in milliseconds, if it ever carried.
    pub(super) fn direct_ms(&self) -> Option<f64> {
        self.both.mean(self.both.direct)
    }

    /// Mean round-trip time over the chosen paths while the direct link carried, or without one if it never did.
    pub(super) fn leon_ms(&self) -> Option<f64> {
        self.both.mean(self.both.leon).or(self.relayed_only.mean(self.relayed_only.leon))
    }

    /// Mean of the lowest round-trip time there was, at the same moments.
    pub(super) fn oracle_ms(&self) -> Option<f64> {
        self.both.mean(self.both.oracle).or(self.relayed_only.mean(self.relayed_only.oracle))
    }

    /// What the chosen paths save of the direct round-trip time, in percent.
    pub(super) fn cut_pct(&self) -> Option<f64> {
        cut_pct(self.direct_ms()?, self.leon_ms()?)
    }

    /// What the oracle would save.
    pub(super) fn oracle_cut_pct(&self) -> Option<f64> {
        cut_pct(self.direct_ms()?, self.oracle_ms()?)
    }

    pub(super) fn is_improved(&self) -> bool {
        self.cut_pct().is_some_and(|cut| cut > 100.0 * NOTABLE)
    }
}

/// The share of samples with a direct link in which the chosen paths were notably slower or broken, in percent.
pub(super) fn worse_than_direct_pct(pairs: &[Pair]) -> f64 {
    let samples: u64 = pairs.iter().map(|pair| pair.direct_samples).sum();
    let worse: u64 = pairs.iter().map(|pair| pair.worse_samples).sum();
    100.0 * worse as f64 / samples.max(1) as f64
}

fn round_trip(there: Option<u64>, back: Option<u64>) -> Option<f64> {
    Some((there? + back?) as f64 / 1e6)
}

fn cut_pct(direct_ms: f64, ms: f64) -> Option<f64> {
    (direct_ms > 0.0).then(|| 100.0 * (1.0 - ms / direct_ms))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use leon::sim::{Link, Matrix};

    use super::*;

    #[test]
    fn what_was_chosen_is_judged_by_the_delays_of_afterwards() {
        let mut world = World::with_links(1, 3, &Matrix::fujisawa_inagi_seoul().links());
        world.start_all().unwrap();
        world.run_for(Duration::from_secs(10)).unwrap();
        let mut meter = Meter::new(3, 1);
        meter.sample(&world, &Truth::of(&world, 0));
        let pair = meter.pairs[1].clone();
        assert_eq!(pair.sites, (0, 2));
        assert_eq!(
            (pair.direct_ms(), pair.leon_ms(), pair.oracle_ms()),
            (Some(32.0), Some(21.1), Some(21.1))
        );
        assert!(pair.is_improved() && worse_than_direct_pct(&[pair]) == 0.0);

        // The relay gets slower, and nobody knows yet.
        world.connect(1, 2, Link::rtt_ms(75.0));
        let mut meter = Meter::new(3, 1);
        meter.sample(&world, &Truth::of(&world, 0));
        let pair = meter.pairs[1].clone();
        assert_eq!(
            (pair.direct_ms(), pair.leon_ms(), pair.oracle_ms()),
            (Some(32.0), Some(79.1), Some(32.0))
        );
        assert_eq!(worse_than_direct_pct(&[pair]), 100.0);

        // Then it carries nothing at all.
        world.cut(1, 2);
        meter.sample(&world, &Truth::of(&world, 0));
        assert_eq!(meter.pairs[1].leon_ms(), Some(79.1), "there is no time to add");
        assert_eq!(worse_than_direct_pct(&meter.pairs[1..2]), 100.0);
    }
}
