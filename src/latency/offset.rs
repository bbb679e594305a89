//! The pseudo clock offset of one link: by how much the peer's clock seems to be ahead if a probe takes as long there
//! as back (RFC 5905 §8).
//!
//! In it are the true offset of the two clocks, which nobody knows, and half of what the way there takes more than the
//! way back. Added up around a triangle of links the former cancel, and the latter are left: so directions compare
//! although no clocks are synchronised. Knows the stamps of one link; what others say of theirs is handed in.

use core::time::Duration;

use crate::time::{Time, nanos};
use crate::wire::latency::Stamps;

/// So far back the level looks, in microseconds: it then follows with the time constant of the slow average, 30 s.
const LEVEL_SPAN: f64 = 120e6;
/// So far back the rate looks: clocks change theirs with the temperature only, and it is extrapolated for minutes.
const RATE_SPAN: f64 = 300e6;
/// Probes that follow each other within less say nothing new of a rate.
const SPACING: Duration = Duration::from_secs(1);
/// After so many samples, since it began or since a clock was set, an offset is of use.
const SAMPLES_NEEDED: u32 = 8;
/// No two clocks that work go apart faster: crystals are off by up to 100 ppm, and NTP corrects by up to 500 ppm
/// (RFC 5905 §11.3).
const MAX_RATE: f64 = 600e-6;
/// Samples deviate by this at least, in microseconds, as far as outliers are concerned.
const LEAST_DEVIATION: f64 = 100.0;
/// A sample this many deviations off counts as one so far off, and says nothing of the rate (Huber 1964).
const OUTLIER: f64 = 3.0;
/// The deviation follows so many times faster than the level: where it grows, so that what was an outlier is none.
const DEVIATION_PART: f64 = 4.0;
/// An offset that is further off than outliers are by this, in microseconds, without a round-trip time that explains
/// it: a clock was set.
const STEP: f64 = 5_000.0;
/// When the own clock was set, that shows on all links within this: two probes that are as seldom as any.
const SAME_STEP: Duration = Duration::from_secs(100);
/// Skews below this, in microseconds, are not told from symmetry.
const LEAST_SKEW: f64 = 1_000.0;
/// Nor those below five times the deviation of a skew, which is that of twice the offsets. Of many paths the lowest is
/// taken, and so the one that is the furthest off: with two deviations jitter of 2 ms makes paths change that round trips
/// alone leave as they are (`leond simulate`).
const NOISE: f64 = 10.0;

/// An offset as it goes on in time while both clocks keep their rates.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// In microseconds modulo [`Stamps::MODULUS`], at `at`.
    us: f64,
    /// By how much the peer's clock is faster.
    rate: f64,
    at: Time,
}

impl Line {
    /// When it was measured.
    pub(super) fn begin(self) -> Time {
        self.at
    }

    /// In microseconds, at any moment.
    pub(super) fn at(self, at: Time) -> f64 {
        self.us + self.rate * span(self.at, at)
    }
}

/// The offset of a link as its probes tell it, by least squares over a window that slides, without outliers.
#[derive(Debug, Default)]
pub(super) struct Offset {
    line: Option<Line>,
    /// Samples since it began or a clock was set.
    samples: u32,
    /// Samples of the rate, which outlasts that a clock is set, and the time that they span, in microseconds.
    rate_samples: u32,
    rate_span: f64,
    /// Mean deviation of samples, in microseconds.
    deviation: f64,
    /// Mean round-trip time of samples that are no outliers, in microseconds.
    rtt: f64,
    /// So many of the last samples in turn were outliers.
    outliers: u32,
    /// What the offset was before a clock was set, and when that was noticed.
    former: Option<(Fit, Time)>,
}

/// A line, with what it may be off by.
#[derive(Clone, Copy, Debug)]
struct Fit {
    line: Line,
    error_us: f64,
    rate_error: f64,
}

impl Fit {
    /// The offset at a moment, and what it may be off by.
    fn at(self, at: Time) -> (f64, f64) {
        (self.line.at(at), self.error_us + self.rate_error * span(at, self.line.at).abs())
    }
}

impl Offset {
    /// The peer's clock seemed to be `offset_us` ahead, by a probe that took `rtt` there and back.
    pub(super) fn sample(&mut self, offset_us: f64, rtt: Duration, now: Time) {
        let rtt = micros(rtt);
        let Some(mut line) = self.line else {
            self.line = Some(Line { us: offset_us, rate: 0.0, at: now });
            (self.samples, self.rate_samples, self.rtt) = (1, 1, rtt);
            return;
        };
        if now.since(line.at) < SPACING {
            return;
        }
        let elapsed = span(line.at, now);
        let predicted = line.at(now);
        let error = wrap(offset_us - predicted, Stamps::MODULUS as f64);
        let is_settled = self.samples >= SAMPLES_NEEDED;
        let bound = OUTLIER * self.deviation.max(LEAST_DEVIATION);
        let is_outlier = is_settled && error.abs() > bound;
        self.outliers = if is_outlier { self.outliers + 1 } else { 0 };
        // One way that takes longer by all that the round trip does moves the offset by half of that.
        let is_step = is_outlier && error.abs() > bound + STEP + (rtt - self.rtt).abs() / 2.0;
        if self.outliers >= if is_step { 2 } else { SAMPLES_NEEDED } {
            self.former = self.fit().map(|fit| (fit, now)).filter(|_| is_step);
            self.line = Some(Line { us: offset_us, at: now, ..line });
            (self.samples, self.outliers, self.rtt) = (1, 0, rtt);
        }
        if is_step || self.samples == 1 && is_outlier {
            return;
        }
        let clipped = if is_settled { error.clamp(-bound, bound) } else { error };
        self.samples = self.samples.saturating_add(1);
        let count = within(self.samples, LEVEL_SPAN, elapsed);
        self.deviation += (clipped.abs() - self.deviation) / (count / DEVIATION_PART).max(1.0);
        line.us = predicted + clipped * level_gain(count);
        line.at = now;
        if !is_outlier {
            self.rtt += (rtt - self.rtt) / count;
            self.rate_samples = self.rate_samples.saturating_add(1);
            self.rate_span = (self.rate_span + elapsed).min(RATE_SPAN);
            let gain = rate_gain(within(self.rate_samples, RATE_SPAN, elapsed));
            line.rate = (line.rate + clipped * gain / elapsed).clamp(-MAX_RATE, MAX_RATE);
        }
        self.line = Some(line);
    }

    /// The offset, once it is of use or was before a clock was set.
    pub(super) fn known(&self) -> Option<Known> {
        let (fit, former) = (self.fit(), self.former);
        (fit.is_some() || former.is_some()).then_some(Known { fit, former })
    }

    fn fit(&self) -> Option<Fit> {
        let line = self.line.filter(|_| self.samples >= SAMPLES_NEEDED)?;
        // What a line that is fitted to so many samples is off by at its end.
        let error_us = 2.5 * self.deviation / f64::from(self.samples.min(64)).sqrt();
        let rate_error = 2.0 * error_us / self.rate_span.max(1.0);
        Some(Fit { line, error_us, rate_error })
    }
}

/// What is known of an offset, now and from before a clock was set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    fit: Option<Fit>,
    former: Option<(Fit, Time)>,
}

impl Known {
    /// The offset as it goes on, unless a clock has just been set.
    pub(super) fn line(&self) -> Option<Line> {
        self.fit.map(|fit| fit.line)
    }

    fn stepped_at(&self) -> Option<Time> {
        self.former.map(|(_, at)| at)
    }

    /// The offset at a moment, and what it may be off by, where a clock was set at `stepped_at`.
    fn at(&self, at: Time, stepped_at: Option<Time>) -> Option<(f64, f64)> {
        let is_former = stepped_at.is_some_and(|stepped_at| at < stepped_at);
        let fit = if is_former { self.former.map(|(fit, _)| fit) } else { self.fit };
        Some(fit?.at(at))
    }
}

/// Both offsets at a moment. What others told before a clock was set goes with offsets from then.
fn both(begin: Known, end: Known, at: Time) -> Option<((f64, f64), (f64, f64))> {
    let mut stepped = [begin.stepped_at(), end.stepped_at()];
    if let [Some(one), Some(other)] = stepped
        && one.since(other).max(other.since(one)) < SAME_STEP
    {
        // It was the own clock: the two offsets must be from before, or from after.
        stepped = [Some(one.max(other)); 2];
    }
    begin.at(at, stepped[0]).zip(end.at(at, stepped[1]))
}

/// What a node itself measures on its link to another one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub(super) offset: Known,
    pub(super) rtt_us: u32,
}

/// What another node says of one of its links.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Modulo `modulus`, in microseconds, when it came.
    pub(super) offset_us: u32,
    pub(super) modulus: u32,
    /// When it came.
    pub(super) at: Time,
    pub(super) rtt_us: u32,
    /// Mean deviation of the round-trip time.
    pub(super) jitter_us: u32,
}

/// What is to be added to the round-trip time of another node's link, in microseconds, so that sums along paths compare
/// ways in their direction: for paths to its end, from here. 0 if that is
/// not known.
///
/// All paths to one node are off alike then, by what the own link to it takes less there than back: own offsets are
/// potentials (Johnson 1977). So nothing is added to own links, and what is added to others may make them negative.
pub(super) fn skew_us(told: Told, to_begin: Leg, to_end: Leg) -> i32 {
    let known = both(to_begin.offset, to_end.offset, told.at);
    let Some(((begin, begin_error), (end, end_error))) = known else { return 0 };
    let skew = 2.0 * wrap(f64::from(told.offset_us) + begin - end, f64::from(told.modulus));
    // The offset is half of a round trip, and an average of many.
    let told_error = f64::from(told.jitter_us) / 4.0;
    let squares = [begin_error, end_error, told_error].map(|error| error * error);
    let noise = LEAST_SKEW.max(NOISE * squares.iter().sum::<f64>().sqrt());
    let rtts = [told.rtt_us, to_begin.rtt_us, to_end.rtt_us].map(f64::from);
    // No way takes longer than there and back.
    if skew.abs() > rtts.iter().sum::<f64>() + noise {
        return 0;
    }
    // Less the noise, instead of all or nothing: a skew near it must not come and go.
    (skew.abs() - noise).max(0.0).copysign(skew) as i32
}

/// So many samples there are in a span, of those that there have been.
fn within(samples: u32, span: f64, interval: f64) -> f64 {
    f64::from(samples).min((span / interval).max(4.0))
}

/// By which part of a sample's error a line that is fitted to `count` samples moves at its end.
fn level_gain(count: f64) -> f64 {
    (2.0 * (2.0 * count - 1.0) / (count * (count + 1.0))).min(1.0)
}

/// By which part of a sample's error, for each interval, the slope of that line changes.
fn rate_gain(count: f64) -> f64 {
    6.0 / (count * (count + 1.0))
}

/// The number next to zero that is the same modulo `modulus`.
pub(super) fn wrap(number: f64, modulus: f64) -> f64 {
    number - modulus * (number / modulus).round()
}

/// From one moment to another, in microseconds; negative if that is earlier.
fn span(from: Time, to: Time) -> f64 {
    micros(to.since(from)) - micros(from.since(to))
}

fn micros(duration: Duration) -> f64 {
    nanos(duration) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const MODULUS: u32 = 1 << 24;

    fn at(secs: u64) -> Time {
        Time::ZERO + Duration::from_secs(secs)
    }

    /// Samples each 2 s of an offset, with up to so much noise to either side.
    fn fed(offset: &mut Offset, secs: core::ops::Range<u64>, noise_us: u64, us: impl Fn(u64) -> f64) {
        let mut rng = Rng::new([3; 32]);
        for second in secs.step_by(2) {
            let noise =
                rng.below(Duration::from_micros(2 * noise_us + 1)).as_micros() as f64 - noise_us as f64;
            offset.sample(us(second) + noise, Duration::ZERO, at(second));
        }
    }

    #[test]
    fn a_clock_that_goes_apart_is_known_within_seconds_and_for_minutes_ahead() {
        let mut offset = Offset::default();
        let us = |second: u64| 7e13 + 150.0 * second as f64;
        fed(&mut offset, 0..12, 0, us);
        assert!(offset.known().is_none());
        fed(&mut offset, 12..40, 0, us);
        let line = offset.known().unwrap().line().unwrap();
        assert!((line.at(at(40)) - us(40)).abs() < 1.0, "{line:?}");
        assert!((line.at(at(400)) - us(400)).abs() < 10.0, "{line:?}");
    }

    #[test]
    fn noise_is_averaged_and_outliers_move_little() {
        let mut offset = Offset::default();
        let us = |second: u64| -80.0 * second as f64;
        let queue = |second: u64| if second.is_multiple_of(20) { 30_000.0 } else { 0.0 };
        fed(&mut offset, 0..600, 1_000, us);
        for second in (600..900).step_by(2) {
            let rtt = Duration::from_micros(2 * queue(second) as u64);
            offset.sample(us(second) + queue(second), rtt, at(second));
        }
        let known = offset.known().unwrap();
        let (us_then, error_us) = known.at(at(900), None).unwrap();
        assert!((us_then - us(900)).abs() < 300.0 && error_us < 500.0, "{known:?}");
        assert!((known.line().unwrap().rate + 80e-6).abs() < 2e-6, "{known:?}");
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_with_the_second_sample_and_known_after_eight() {
        let mut offset = Offset::default();
        let us = |second: u64| 40.0 * second as f64 + if second < 300 { 0.0 } else { 5e6 };
        fed(&mut offset, 0..302, 200, us);
        assert!(offset.known().unwrap().line().is_some(), "a single sample may be wrong");
        fed(&mut offset, 302..304, 200, us);
        assert!(offset.known().unwrap().line().is_none());
        fed(&mut offset, 304..320, 200, us);
        let known = offset.known().unwrap();
        for second in [290, 320] {
            let (us_then, _) = known.at(at(second), known.stepped_at()).unwrap();
            assert!((us_then - us(second)).abs() < 500.0, "{known:?}");
        }
    }

    #[test]
    fn a_way_that_becomes_longer_is_no_clock_that_was_set() {
        let mut offset = Offset::default();
        fed(&mut offset, 0..300, 200, |_| 0.0);
        for second in (300..480).step_by(2) {
            offset.sample(20_000.0, Duration::from_millis(40), at(second));
            assert!(offset.known().is_none_or(|known| known.stepped_at().is_none()));
        }
        let level = offset.known().unwrap().line().unwrap().at(at(480));
        assert!((15_000.0..25_000.0).contains(&level), "{level}");
    }

    /// The leg of a link with this offset, which grows by `ppm`.
    fn leg(us: f64, ppm: f64) -> Leg {
        let mut offset = Offset::default();
        fed(&mut offset, 0..600, 0, |second| us + ppm * second as f64);
        Leg { offset: offset.known().unwrap(), rtt_us: 60_000 }
    }

    #[test]
    fn clocks_cancel_and_what_is_left_is_what_ways_differ_by() {
        // Clocks ahead of the own one by 1e9 and 3e9 us; the own ways take 10 ms less and 8 ms more than back.
        let (relay, end) = (leg(1e9 - 5_000.0, 90.0), leg(3e9 + 4_000.0, -70.0));
        let told = |way_us: f64, second: u64| Told {
            offset_us: (2e9 - 160.0 * second as f64 + way_us / 2.0).rem_euclid(f64::from(MODULUS)) as u32,
            modulus: MODULUS,
            at: at(second),
            rtt_us: 30_000,
            jitter_us: 0,
        };
        for second in [560, 590, 620] {
            for way_us in [-20_000.0, 0.0, 19_500.0] {
                let skew = skew_us(told(way_us, second), relay, end);
                // Less a millisecond: that much may be chance.
                let want: f64 = way_us - 10_000.0 - 8_000.0;
                let want = (want.abs() - 1_000.0).copysign(want);
                assert!((f64::from(skew) - want).abs() < 50.0, "{skew} instead of {want}");
            }
        }
        assert_eq!(skew_us(told(18_000.0 + 900.0, 590), relay, end), 0, "may be chance");
        assert_eq!(skew_us(told(3e6, 590), relay, end), 0, "no way takes longer than there and back");
        assert_eq!(skew_us(Told { jitter_us: 40_000, ..told(0.0, 590) }, relay, end), 0, "noise");
    }
}
