//! What a link's probes tell: averages of the round-trip time on two time scales, its deviation, and loss.
//!
//! Averages are defined in seconds, not in samples, so that they mean the same at any interval of probes. There
//! is no minimum filter: on links with queues it chooses badly.
//!
//! The first samples are taken while nodes join, which keeps processors and links busy: of them the median counts, as their
//! average would still be too long half a minute later.

use core::time::Duration;

use arrayvec::ArrayVec;

use crate::time::{Time, nanos};

/// Time constant of the fast average: follows a change within a few probes.
const FAST: Duration = Duration::from_secs(3);
/// Time constant of the slow average: outlasts a queue.
const SLOW: Duration = Duration::from_secs(30);
/// Of so many samples of a new link the median counts: half of them may come from a burst. They take about 5 s where links
/// are probed every 2 s.
const FIRST: usize = 8;
/// Time constant of the loss: enough probes to tell a lost tenth from chance.
const LOSS: Duration = Duration::from_secs(100);
/// One probe says so much of the loss as this time does, at most: where probes are seldom, a single one that is lost
/// must not make a link lossy.
const OUTCOME_MAX: Duration = Duration::from_secs(2);
/// A lost share of 1, in the unit of the estimator.
const ALL_LOST: u64 = 1 << 32;

/// The estimates for one link, in nanoseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Estimator {
    fast: u64,
    slow: u64,
    deviation: u64,
    jitter: u64,
    /// Share of probes lost, in 1/2^32.
    lost: u64,
    samples: u32,
    /// In ascending order. They fit: no probe is waited for longer than 3 s.
    first: ArrayVec<u32, FIRST>,
    last_at: Time,
    last_outcome_at: Option<Time>,
}

impl Estimator {
    /// A probe was on its way for so long, there and back.
    pub(crate) fn sample(&mut self, rtt: Duration, now: Time) {
        let rtt = nanos(rtt);
        self.samples = self.samples.saturating_add(1);
        let elapsed = now.since(self.last_at);
        self.last_at = now;
        if !self.first.is_full() {
            self.sample_first(rtt);
            return;
        }
        let error = rtt.abs_diff(self.fast);
        self.deviation = average(self.deviation, error, elapsed, FAST, self.samples - 1);
        self.jitter = average(self.jitter, error, elapsed, SLOW, self.samples - 1);
        self.fast = average(self.fast, rtt, elapsed, FAST, self.samples);
        self.slow = average(self.slow, rtt, elapsed, SLOW, self.samples);
    }

    fn sample_first(&mut self, rtt: u64) {
        let rtt = u32::try_from(rtt).unwrap_or(u32::MAX);
        let place = self.first.partition_point(|first| *first < rtt);
        self.first.insert(place, rtt);
        let middle = (self.first.len() - 1) / 2;
        let median = self.first[middle];
        let mut errors: ArrayVec<u32, FIRST> =
            self.first.iter().map(|first| first.abs_diff(median)).collect();
        errors.sort_unstable();
        (self.fast, self.slow) = (median.into(), median.into());
        (self.deviation, self.jitter) = (errors[middle].into(), errors[middle].into());
    }

    /// A probe was answered.
    pub(crate) fn answered(&mut self, now: Time) {
        self.outcome(0, now);
    }

    /// A probe was not answered in time, or never reached the peer.
    pub(crate) fn unanswered(&mut self, now: Time) {
        self.outcome(ALL_LOST, now);
    }

    /// The link was down: its times are measured anew, and its loss is what it was, so that a lossy link does
    /// not look perfect each time it returns.
    pub(crate) fn restart(&mut self) {
        *self = Estimator { lost: self.lost, ..Estimator::default() };
    }

    /// The first one says nothing: it is not known for how long it stands.
    fn outcome(&mut self, lost: u64, now: Time) {
        if let Some(last_at) = self.last_outcome_at.replace(now) {
            let elapsed = now.since(last_at).min(OUTCOME_MAX);
            self.lost = average(self.lost, lost, elapsed, LOSS, u32::MAX);
        }
    }

    /// Answers so far.
    pub(crate) fn samples(&self) -> u32 {
        self.samples
    }

    /// When the last answer came, if one did.
    pub(crate) fn last_answer_at(&self) -> Option<Time> {
        (self.samples > 0).then_some(self.last_at)
    }

    /// Round-trip time averaged over about 3 s.
    pub(crate) fn fast(&self) -> Duration {
        Duration::from_nanos(self.fast)
    }

    /// Round-trip time averaged over about 30 s.
    pub(crate) fn slow(&self) -> Duration {
        Duration::from_nanos(self.slow)
    }

    /// Mean deviation from the fast average, over about 30 s: that the time has taken a step is seldom in it for long.
    pub(crate) fn jitter(&self) -> Duration {
        Duration::from_nanos(self.jitter)
    }

    /// Mean deviation from the fast average, over about 3 s.
    pub(crate) fn deviation(&self) -> Duration {
        Duration::from_nanos(self.deviation)
    }

    /// Share of probes lost, 0.0 to 1.0.
    pub(crate) fn loss(&self) -> f64 {
        self.lost as f64 / ALL_LOST as f64
    }
}

/// Moves `current` towards `sample` by elapsed / (constant + elapsed), at most by half: where probes are seldom, a
/// single one must not be all that counts. Never by less than one part in `samples`: the first samples are averaged
/// plainly.
fn average(current: u64, sample: u64, elapsed: Duration, constant: Duration, samples: u32) -> u64 {
    let elapsed = i128::from(nanos(elapsed.min(constant)));
    let whole = i128::from(nanos(constant)) + elapsed;
    let samples = i128::from(samples);
    let (part, whole) = if elapsed * samples > whole { (elapsed, whole) } else { (1, samples) };
    let (current, sample) = (i128::from(current), i128::from(sample));
    // Lies between the two, which fit.
    (current + (sample - current) * part / whole) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn feed(estimator: &mut Estimator, from_secs: u64, seconds: u64, rtt: impl Fn(u64) -> Duration) {
        for second in from_secs..from_secs + seconds {
            estimator.sample(rtt(second), Time::ZERO + Duration::from_secs(second));
        }
    }

    #[test]
    fn a_steady_link_is_known_exactly_from_the_first_answer() {
        let mut estimator = Estimator::default();
        feed(&mut estimator, 5, 100, |_| 32 * MS);
        assert_eq!(
            (estimator.fast(), estimator.slow(), estimator.deviation()),
            (32 * MS, 32 * MS, Duration::ZERO)
        );
    }

    #[test]
    fn a_step_shows_in_seconds_on_the_fast_and_in_half_a_minute_on_the_slow_average() {
        let mut estimator = Estimator::default();
        feed(&mut estimator, 0, 100, |_| 10 * MS);
        feed(&mut estimator, 100, 6, |_| 20 * MS);
        assert!(estimator.fast() > 18 * MS, "{:?}", estimator.fast());
        assert!(estimator.slow() < 13 * MS, "{:?}", estimator.slow());
        feed(&mut estimator, 106, 90, |_| 20 * MS);
        assert!(estimator.slow() > 19 * MS, "{:?}", estimator.slow());
    }

    #[test]
    fn a_burst_while_a_link_is_new_is_not_in_its_averages() {
        let mut estimator = Estimator::default();
        feed(&mut estimator, 0, 8, |second| match second {
            0 => 60 * MS,
            1 => 48 * MS,
            4 => 25 * MS,
            _ => 4 * MS,
        });
        assert_eq!(
            (estimator.fast(), estimator.slow(), estimator.jitter()),
            (4 * MS, 4 * MS, Duration::ZERO)
        );
    }

    #[test]
    fn the_first_samples_of_a_link_that_jitters_tell_by_how_much() {
        let mut estimator = Estimator::default();
        feed(&mut estimator, 0, 8, |second| Duration::from_millis(10 + second % 4));
        assert_eq!((estimator.fast(), estimator.jitter()), (11 * MS, MS));
    }

    #[test]
    fn alternating_times_average_and_deviate() {
        let mut estimator = Estimator::default();
        feed(&mut estimator, 0, 200, |second| if second % 2 == 0 { 10 * MS } else { 14 * MS });
        assert!((11 * MS..13 * MS).contains(&estimator.slow()));
        assert!(estimator.deviation() > MS);
    }

    #[test]
    fn one_lost_probe_does_not_make_a_new_link_lossy_whatever_the_clock_says() {
        for start in [0, 1_000_000] {
            let mut estimator = Estimator::default();
            estimator.unanswered(Time::ZERO + Duration::from_secs(start));
            estimator.answered(Time::ZERO + Duration::from_secs(start + 1));
            assert!(estimator.loss() < 0.05, "{}", estimator.loss());
        }
    }

    #[test]
    fn a_restart_keeps_the_loss_and_forgets_the_times() {
        let mut estimator = Estimator::default();
        for second in 0..300 {
            let now = Time::ZERO + Duration::from_secs(second);
            if second % 2 == 0 { estimator.unanswered(now) } else { estimator.answered(now) }
        }
        estimator.restart();
        estimator.sample(4 * MS, Time::ZERO + Duration::from_secs(1000));
        assert_eq!((estimator.fast(), estimator.slow(), estimator.samples()), (4 * MS, 4 * MS, 1));
        assert!(estimator.loss() > 0.4, "{}", estimator.loss());
    }

    #[test]
    fn loss_is_the_share_of_unanswered_probes() {
        let mut estimator = Estimator::default();
        for second in 0..600 {
            let now = Time::ZERO + Duration::from_secs(second);
            if second % 4 == 0 { estimator.unanswered(now) } else { estimator.answered(now) }
        }
        assert!((0.18..0.32).contains(&estimator.loss()), "{}", estimator.loss());
    }
}
