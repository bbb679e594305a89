//! How busy this node is as a relay: what the data plane counts, and what the control plane makes of it.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use crate::time::{Time, nanos};
use crate::wire::latency::Transit;

/// One datagram in so many stands for all, so that threads seldom write to the same place.
const SAMPLED: u64 = 16;
/// A sampled time counts for one in so many in the average.
const WEIGHT: u64 = 16;

/// What all forwarders count together.
#[derive(Debug, Default)]
pub(super) struct RelayMeter {
    relayed: AtomicU64,
    /// Average time that a datagram stays in this node, in nanoseconds.
    delay_ns: AtomicU64,
}

impl RelayMeter {
    /// A datagram with this counter was relayed at `now`, which had arrived at `received_at`.
    pub(super) fn relayed(&self, counter: u64, received_at: Time, now: Time) {
        if !counter.is_multiple_of(SAMPLED) {
            return;
        }
        self.relayed.fetch_add(SAMPLED, Ordering::Relaxed);
        // Two threads may overwrite each other: a sample less does no harm.
        let (average, sample) = (self.delay_ns.load(Ordering::Relaxed), nanos(now.since(received_at)));
        let next = if sample < average {
            average - (average - sample).div_ceil(WEIGHT)
        } else {
            average + (sample - average) / WEIGHT
        };
        self.delay_ns.store(next, Ordering::Relaxed);
    }
}

/// What the meter showed when it was last read.
#[derive(Debug)]
pub(super) struct Reading {
    /// Datagrams per second that this node can relay.
    capacity: u32,
    relayed: u64,
    at: Time,
}

impl Reading {
    pub(super) fn new(capacity: u32, now: Time) -> Self {
        Reading { capacity, relayed: 0, at: now }
    }

    /// What this node is as a relay, by what it has relayed since it was last read.
    pub(super) fn next(&mut self, meter: &RelayMeter, now: Time) -> Transit {
        let relayed = meter.relayed.load(Ordering::Relaxed);
        let possible = u128::from(self.capacity) * now.since(self.at).as_nanos() / SECOND.as_nanos();
        let load = u128::from(relayed - self.relayed) * 255 / possible.max(1);
        (self.relayed, self.at) = (relayed, now);
        let delay_us = meter.delay_ns.load(Ordering::Relaxed) / 1000;
        // The highest value stands for no transit.
        let delay_us = u16::try_from(delay_us).unwrap_or(u16::MAX).min(u16::MAX - 1);
        Transit { load: u8::try_from(load).unwrap_or(u8::MAX), delay_us }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Time {
        Time::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn load_is_the_share_of_the_capacity_since_the_last_reading() {
        let (meter, mut reading) = (RelayMeter::default(), Reading::new(1000, at(0)));
        let relay = |count| (0..count).for_each(|counter| meter.relayed(counter, at(0), at(0)));
        assert_eq!(reading.next(&meter, at(2000)).load, 0);
        relay(1600);
        assert_eq!(reading.next(&meter, at(6000)).load, 102, "1600 of 4000");
        relay(1600);
        assert_eq!(reading.next(&meter, at(7000)).load, 255, "1600 of 1000");
        assert_eq!(reading.next(&meter, at(8000)).load, 0);
    }

    #[test]
    fn the_delay_is_an_average_of_the_time_that_datagrams_stay() {
        let (meter, mut reading) = (RelayMeter::default(), Reading::new(1000, at(0)));
        let stay = |ms| (0..1600).for_each(|counter| meter.relayed(counter, at(0), at(ms)));
        stay(2);
        assert!((1900..=2000).contains(&reading.next(&meter, at(1000)).delay_us));
        stay(0);
        assert!(reading.next(&meter, at(2000)).delay_us < 100);
        (0..20).for_each(|_| stay(1000));
        assert_eq!(reading.next(&meter, at(3000)).delay_us, u16::MAX - 1);
    }
}
