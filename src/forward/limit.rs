//! How much one member may ask of this node: so many things per second, and so many at once.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::time::Time;

/// A rate with a burst (the generic cell rate algorithm of ITU-T I.371 in its virtual scheduling form). Any
/// number of threads may share it; none waits for another.
#[derive(Debug)]
pub(crate) struct RateLimit {
    /// Nanoseconds between two things at the full rate.
    interval_ns: u64,
    /// How far the schedule may run ahead of the clock.
    burst_ns: u64,
    /// When the next thing would be due if all came at the full rate.
    due_ns: AtomicU64,
}

impl RateLimit {
    /// `rate` things per second, 1 to 10^9; as many as come within `burst_ns` at once.
    pub(crate) fn new(rate: u32, burst_ns: u64) -> Self {
        let interval_ns = 1_000_000_000 / u64::from(rate.max(1));
        RateLimit { interval_ns, burst_ns: burst_ns.max(interval_ns), due_ns: AtomicU64::new(0) }
    }

    /// One thing in so many nanoseconds.
    pub(crate) fn every(interval_ns: u64) -> Self {
        RateLimit { interval_ns, burst_ns: interval_ns, due_ns: AtomicU64::new(0) }
    }

    /// Takes one thing at `now`; false if that is too much.
    pub(crate) fn take(&self, now: Time) -> bool {
        let now_ns = now.as_nanos();
        let mut due_ns = self.due_ns.load(Ordering::Relaxed);
        loop {
            let next_ns = due_ns.max(now_ns) + self.interval_ns;
            if next_ns - now_ns > self.burst_ns {
                return false;
            }
            match self.due_ns.compare_exchange_weak(due_ns, next_ns, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return true,
                Err(newer_ns) => due_ns = newer_ns,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn the_rate_is_kept_and_a_burst_may_use_up_what_was_not_taken() {
        let limit = RateLimit::new(100, 500_000_000);
        let start = Time::from_nanos(1 << 40);
        assert_eq!((0..1000).filter(|_| limit.take(start)).count(), 50);
        let second = start + Duration::from_secs(1);
        assert_eq!((0..1000).filter(|_| limit.take(second)).count(), 50);
        let steady = (0..1000).filter(|n| limit.take(second + Duration::from_millis(5 * n))).count();
        assert!((499..=500).contains(&steady), "{steady}");
    }
}
