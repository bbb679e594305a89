//! Time as the caller tells it: nanoseconds of a monotonic clock whose zero the caller chooses.
//!
//! Nothing here, and nothing above here but the driver, reads a clock.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// An instant on the caller's monotonic clock, in nanoseconds since a zero of the caller's choice.
///
/// All instants given to one [`Engine`](crate::Engine) come from the same clock. Arithmetic saturates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(u64);

impl Time {
    /// The zero of the clock.
    pub const ZERO: Time = Time(0);
    /// Later than every instant: a deadline that never comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// The instant `nanos` nanoseconds after the zero of the clock.
    pub const fn from_nanos(nanos: u64) -> Self {
        Time(nanos)
    }

    /// Nanoseconds since the zero of the clock.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since the zero of the clock.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    /// Saturates at [`Time::NEVER`].
    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(nanos(duration)))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Time::NEVER {
            return f.write_str("never");
        }
        write!(f, "{}.{:09}s", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// `duration` in nanoseconds, saturating at `u64::MAX` (584 years).
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Durations as whole nanoseconds: how snapshots write them.
#[cfg(feature = "serde")]
pub(crate) mod ns {
    use core::time::Duration;

    use serde::{Serialize, Serializer};

    use super::nanos;

    /// A duration.
    pub(crate) fn of<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(nanos(*duration))
    }

    /// A duration that may be unknown.
    pub(crate) fn option<S: Serializer>(
        duration: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        duration.map(nanos).serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_instead_of_wrapping() {
        assert_eq!(Time::NEVER + Duration::from_secs(1), Time::NEVER);
        assert_eq!(Time::ZERO.since(Time::from_nanos(5)), Duration::ZERO);
        assert_eq!(Time::from_nanos(7).since(Time::from_nanos(5)), Duration::from_nanos(2));
    }
}
