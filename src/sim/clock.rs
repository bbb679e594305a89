//! The clock of a site's machine: another one than the world's, and perhaps faster or slower.

use core::time::Duration;

use crate::time::{Time, nanos};

/// One part in so many is what a rate is counted in.
const BILLION: i128 = 1_000_000_000;

/// How a machine's clock goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// An instant of the world, and what the clock shows then.
    world: Time,
    local: Time,
    /// By how much it is faster than the world's, in parts of a billion.
    drift_ppb: i64,
}

impl Clock {
    /// Shows `local` at the instant `now` of the world.
    pub(super) fn new(now: Time, local: Time, drift_ppb: i64) -> Self {
        Clock { world: now, local, drift_ppb }
    }

    /// What it shows at an instant of the world, which is not before it was last changed.
    pub(super) fn local(&self, now: Time) -> Time {
        let passed = i128::from(nanos(now.since(self.world)));
        let shown = passed + (passed * i128::from(self.drift_ppb)).div_euclid(BILLION);
        self.local + Duration::from_nanos(shown as u64)
    }

    /// The first instant of the world at which it shows `local` at least.
    pub(super) fn world(&self, local: Time) -> Time {
        if local == Time::NEVER {
            return Time::NEVER;
        }
        let rate = BILLION + i128::from(self.drift_ppb);
        let shown = i128::from(nanos(local.since(self.local)));
        self.world + Duration::from_nanos(((shown * BILLION + rate - 1) / rate) as u64)
    }

    /// From now on it is so much faster than the world's.
    pub(super) fn drift(&mut self, now: Time, drift_ppb: i64) {
        *self = Clock::new(now, self.local(now), drift_ppb);
    }

    /// It is set forward.
    pub(super) fn step(&mut self, now: Time, by: Duration) {
        *self = Clock::new(now, self.local(now) + by, self.drift_ppb);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_when_the_clock_shows_it_and_not_a_nanosecond_sooner() {
        for drift_ppb in [-100_000, -7, 0, 3, 100_000] {
            let clock = Clock::new(Time::from_nanos(500), Time::from_nanos(9_000_000_007), drift_ppb);
            for ahead in [0, 1, 999, 1_000_000_007, 86_400_000_000_000] {
                let deadline = Time::from_nanos(9_000_000_007 + ahead);
                let at = clock.world(deadline);
                assert!(clock.local(at) >= deadline, "{drift_ppb} {ahead}");
                let before = Time::from_nanos(at.as_nanos() - 1);
                assert!(ahead == 0 || clock.local(before) < deadline, "{drift_ppb} {ahead}");
            }
        }
    }
}
