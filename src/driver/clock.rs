//! The only clocks and the only source of entropy in the crate: the kernel's.

use std::io;

use rustix::rand::GetRandomFlags;
use rustix::time::{ClockId, Timespec, clock_gettime};

use crate::time::Time;

/// Now, on the kernel's monotonic clock: what every call to an engine that a
/// [`Driver`](crate::driver::Driver) runs wants to be told. The same for all threads and processes of the
/// machine.
pub fn now() -> Time {
    Time::from_nanos(nanos(clock_gettime(ClockId::Monotonic)))
}

/// An incarnation for a node that starts now: nanoseconds of the wall clock since 1970. Grows over restarts
/// as long as nobody sets the clock back.
pub fn incarnation() -> u64 {
    nanos(clock_gettime(ClockId::Realtime))
}

/// 32 bytes nobody can guess, for [`Config::entropy`](crate::Config::entropy).
///
/// # Errors
///
/// Fails where the kernel gives a process no random bytes, which a system-call filter can cause.
pub fn entropy() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    // Requests of up to 256 bytes are answered in full.
    rustix::rand::getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(bytes)
}

/// `time` in nanoseconds; zero for what lies before the clock's zero.
fn nanos(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_monotonic_clock_never_goes_back_and_the_wall_clock_is_past_2020() {
        let first = now();
        assert!(now() >= first);
        assert!(incarnation() > 1_577_836_800_000_000_000);
    }

    #[test]
    fn entropy_differs_from_call_to_call() {
        assert_ne!(entropy().unwrap(), entropy().unwrap());
    }
}
