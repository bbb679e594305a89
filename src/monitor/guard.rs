//! One relayed path against the direct one: how much later what is sent along it arrives.
//!
//! Two probes leave at once, one along each; the receiver's clock stamps both, so no clocks need to agree. What links
//! and relays say of themselves plays no part.

use core::time::Duration;

use arrayvec::ArrayVec;

use crate::time::Time;

/// So many pairs are looked at together; their median is not moved by two that met a queue.
const PAIRS: usize = 5;
/// For so long a path may be worse than the direct one: Dijkstra's own choice takes half as long to follow a change.
const GUARD_TIME: Duration = Duration::from_secs(10);

/// What the answers of a pair have told.
#[derive(Debug)]
struct Pair {
    tokens: [u64; 2],
    arrived_at: [Option<u64>; 2],
}

/// The pairs of late along one path.
#[derive(Debug)]
pub(super) struct Comparison {
    /// The one whose answers may come.
    pair: Pair,
    /// How much later the probe along the path arrived, in nanoseconds; the latest comes last.
    delays: ArrayVec<i64, PAIRS>,
    /// Since then it has been too much.
    worse_since: Option<Time>,
}

impl Comparison {
    /// Begins with a pair of probes, along the path and along the direct one.
    pub(super) fn new(tokens: [u64; 2]) -> Self {
        let pair = Pair { tokens, arrived_at: [None; 2] };
        Comparison { pair, delays: ArrayVec::new(), worse_since: None }
    }

    /// Goes on with another pair.
    pub(super) fn go_on(&mut self, tokens: [u64; 2]) {
        self.pair = Pair { tokens, arrived_at: [None; 2] };
    }

    /// True if this is the token of a probe of the present pair.
    pub(super) fn has(&self, token: u64) -> bool {
        self.pair.tokens.contains(&token)
    }

    /// The probe with this token arrived, by the receiver's clock. Gives by how much the path is later than the
    /// direct one, if that has been more than `bar` for too long; both in nanoseconds.
    pub(super) fn arrived(&mut self, token: u64, at: u64, bar: i64, now: Time) -> Option<i64> {
        let Pair { tokens, arrived_at } = &mut self.pair;
        let which = tokens.iter().position(|own| *own == token)?;
        if arrived_at[which].replace(at).is_some() {
            return None;
        }
        let delay = i64::try_from(i128::from(arrived_at[0]?) - i128::from(arrived_at[1]?)).ok()?;
        if self.delays.is_full() {
            self.delays.remove(0);
        }
        self.delays.push(delay);
        let mut sorted = self.delays.clone();
        sorted.sort_unstable();
        let median = sorted[sorted.len() / 2];
        if !self.delays.is_full() || median <= bar {
            self.worse_since = None;
            return None;
        }
        let since = *self.worse_since.get_or_insert(now);
        (now.since(since) >= GUARD_TIME).then_some(median)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BAR: i64 = 1000;

    /// Pairs each 2 s, of which the nth arrives with this delay, or one probe of it does not; gives the second in which
    /// the path was found worse, and by how much.
    fn found(delay: impl Fn(u64) -> Option<i64>) -> Option<(u64, i64)> {
        let mut comparison = Comparison::new([0, 1]);
        (0..60).find_map(|nth| {
            let tokens = [2 * nth, 2 * nth + 1];
            comparison.go_on(tokens);
            let now = Time::ZERO + Duration::from_secs(2 * nth);
            let base = 1 << 40;
            assert_eq!(comparison.arrived(tokens[1], base, BAR, now), None, "half of a pair");
            let at = base.checked_add_signed(delay(nth)?)?;
            comparison.arrived(tokens[0], at, BAR, now).map(|delay| (2 * nth, delay))
        })
    }

    #[test]
    fn a_path_that_is_always_later_is_found_after_the_guard_time() {
        assert_eq!(found(|_| Some(5000)), Some((18, 5000)));
        assert_eq!(found(|nth| Some(if nth < 20 { 0 } else { 5000 })), Some((54, 5000)));
    }

    #[test]
    fn a_path_that_is_as_good_or_later_now_and_then_is_not() {
        assert_eq!(found(|_| Some(BAR)), None);
        assert_eq!(found(|_| Some(-5000)), None);
        assert_eq!(found(|nth| Some(if nth % 5 < 2 { 90_000 } else { 0 })), None);
    }

    #[test]
    fn lost_probes_only_take_time() {
        let (secs, delay) = found(|nth| (nth % 2 == 0).then_some(5000)).unwrap_or_default();
        assert!((18..=30).contains(&secs) && delay == 5000, "{secs}");
    }
}
