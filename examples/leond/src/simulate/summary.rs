//! What a simulation comes to, in a few numbers, and the medians of several.

use std::time::Duration;

use serde::Serialize;

use super::fault::Tally;
use super::measure::{Pair, worse_than_direct_pct};
use super::run::Outcome;

/// Below this share of the direct round-trip times, in percent, there is nothing to realise.
const LEAST_CUT_PCT: f64 = 0.1;

/// The numbers of one simulation, or of several. The names are what scripts rely on; docs/simulate.md says what they mean.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Summary {
    pub(super) pairs: usize,
    pub(super) improved_pairs: usize,
    pub(super) mean_rtt_cut_pct: Option<f64>,
    pub(super) oracle_rtt_cut_pct: Option<f64>,
    pub(super) realised: Option<f64>,
    pub(super) worse_than_direct_pct: f64,
    pub(super) switches_per_pair_minute: f64,
    pub(super) converge_s: f64,
    pub(super) failover_p50_s: Option<f64>,
    pub(super) failover_p99_s: Option<f64>,
    pub(super) wrong_evictions: usize,
    pub(super) control_kbps_per_node: f64,
    pub(super) wall_s: f64,
}

/// What faults led to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct FaultSummary {
    pub(super) faults: usize,
    pub(super) broken_paths: usize,
    pub(super) unresolved_paths: usize,
    pub(super) crash_known_p50_s: Option<f64>,
    pub(super) crash_known_max_s: Option<f64>,
    pub(super) heal_p50_s: Option<f64>,
    pub(super) heal_max_s: Option<f64>,
    pub(super) traffic_flows: usize,
    pub(super) traffic_gap_p50_s: Option<f64>,
    pub(super) traffic_gap_p99_s: Option<f64>,
}

impl Summary {
    /// What one simulation came to.
    pub(super) fn of(outcome: &Outcome) -> Summary {
        let minutes = outcome.measured.as_secs_f64() / 60.0;
        let pairs = outcome.pairs.len();
        let mean_cut = mean(outcome.pairs.iter().filter_map(Pair::cut_pct));
        let oracle_cut = mean(outcome.pairs.iter().filter_map(Pair::oracle_cut_pct));
        let bits = 8.0 * outcome.control_bytes as f64;
        let node_seconds = outcome.names.len() as f64 * outcome.control_time.as_secs_f64();
        let has_traffic = !outcome.tally.gaps.is_empty();
        let failover = |share| percentile_s(&outcome.tally.failovers, share).filter(|_| !has_traffic);
        Summary {
            pairs,
            improved_pairs: outcome.pairs.iter().filter(|pair| pair.is_improved()).count(),
            mean_rtt_cut_pct: mean_cut.map(rounded),
            oracle_rtt_cut_pct: oracle_cut.map(rounded),
            realised: realised(mean_cut, oracle_cut).map(rounded),
            worse_than_direct_pct: rounded(worse_than_direct_pct(&outcome.pairs)),
            switches_per_pair_minute: rounded(outcome.switches as f64 / pairs as f64 / minutes),
            converge_s: seconds(outcome.converged_after),
            failover_p50_s: failover(0.5),
            failover_p99_s: failover(0.99),
            wrong_evictions: outcome.wrong_evictions,
            control_kbps_per_node: rounded(bits / 1000.0 / node_seconds.max(f64::MIN_POSITIVE)),
            wall_s: seconds(outcome.wall),
        }
    }

    /// The medians of several. Failovers are taken from all together, wrong evictions are added up, and the wall
    /// time is that of all.
    pub(super) fn of_all(outcomes: &[Outcome], wall: Duration) -> Summary {
        let each: Vec<Summary> = outcomes.iter().map(Summary::of).collect();
        let number = |of: fn(&Summary) -> f64| median(each.iter().map(of)).unwrap_or_default();
        let option = |of: fn(&Summary) -> Option<f64>| median(each.iter().filter_map(of));
        let tally = total(outcomes);
        let failover = |share| percentile_s(&tally.failovers, share).filter(|_| tally.gaps.is_empty());
        Summary {
            pairs: number(|one| one.pairs as f64) as usize,
            improved_pairs: number(|one| one.improved_pairs as f64) as usize,
            mean_rtt_cut_pct: option(|one| one.mean_rtt_cut_pct),
            oracle_rtt_cut_pct: option(|one| one.oracle_rtt_cut_pct),
            realised: option(|one| one.realised),
            worse_than_direct_pct: number(|one| one.worse_than_direct_pct),
            switches_per_pair_minute: number(|one| one.switches_per_pair_minute),
            converge_s: number(|one| one.converge_s),
            failover_p50_s: failover(0.5),
            failover_p99_s: failover(0.99),
            wrong_evictions: each.iter().map(|one| one.wrong_evictions).sum(),
            control_kbps_per_node: number(|one| one.control_kbps_per_node),
            wall_s: seconds(wall),
        }
    }
}

impl FaultSummary {
    /// What all faults of these simulations led to.
    pub(super) fn of(outcomes: &[Outcome]) -> FaultSummary {
        let tally = total(outcomes);
        FaultSummary {
            faults: tally.faults,
            broken_paths: tally.failovers.len(),
            unresolved_paths: tally.unresolved,
            crash_known_p50_s: percentile_s(&tally.forgotten, 0.5),
            crash_known_max_s: percentile_s(&tally.forgotten, 1.0),
            heal_p50_s: percentile_s(&tally.healed, 0.5),
            heal_max_s: percentile_s(&tally.healed, 1.0),
            traffic_flows: tally.gaps.len(),
            traffic_gap_p50_s: percentile_s(&tally.gaps, 0.5),
            traffic_gap_p99_s: percentile_s(&tally.gaps, 0.99),
        }
    }
}

fn total(outcomes: &[Outcome]) -> Tally {
    let mut total = Tally::default();
    for Outcome { tally, .. } in outcomes {
        total.faults += tally.faults;
        total.unresolved += tally.unresolved;
        total.failovers.extend(&tally.failovers);
        total.forgotten.extend(&tally.forgotten);
        total.healed.extend(&tally.healed);
        total.gaps.extend(&tally.gaps);
    }
    total
}

/// The share of what the oracle saves, unless that is next to nothing.
fn realised(cut: Option<f64>, oracle_cut: Option<f64>) -> Option<f64> {
    let oracle_cut = oracle_cut.filter(|cut| *cut > LEAST_CUT_PCT)?;
    Some(cut? / oracle_cut)
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0_u32), |(sum, count), number| (sum + number, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

fn median(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    nearest_rank(&numbers, 0.5)
}

fn percentile_s(durations: &[Duration], share: f64) -> Option<f64> {
    let mut durations = durations.to_vec();
    durations.sort_unstable();
    nearest_rank(&durations, share).map(seconds)
}

/// The smallest of the ascending values that at least this share of them does not exceed.
fn nearest_rank<T: Copy>(ascending: &[T], share: f64) -> Option<T> {
    let rank = (share * ascending.len() as f64).ceil() as usize;
    ascending.get(rank.max(1) - 1).copied()
}

fn seconds(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64())
}

/// To three decimals: finer ones would be about the dice.
pub(super) fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        assert_eq!(nearest_rank::<u8>(&[], 0.5), None);
        assert_eq!(
            [0.0, 0.5, 0.51, 0.99, 1.0].map(|share| nearest_rank(&[1, 2, 3, 4], share)),
            [Some(1), Some(2), Some(3), Some(4), Some(4)]
        );
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
    }

    #[test]
    fn where_nothing_can_be_saved_nothing_is_realised() {
        assert_eq!(realised(Some(9.0), Some(10.0)), Some(0.9));
        assert_eq!(realised(Some(0.0), Some(0.05)), None);
        assert_eq!(realised(None, None), None);
    }
}
