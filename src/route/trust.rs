//! Whom to believe of a link: both of its ends measure the same round-trip time, and who advertises much less than the
//! other end, to draw traffic or by mistake, is not believed.
//!
//! The same holds for the skews of its two directions, which are each other's opposite: what one end alone says of them
//! does not count. A member that lies about all of its links gains nothing by it as long as the others do not.

use crate::wire::latency::LinkLatency;

/// Two honest ends differ by less than a quarter of the lower time and this, in microseconds: each samples at moments of
/// its own, tells movements of less than a twentieth late, and may have begun to measure anew.
const TOLERANCE_US: u32 = 5_000;
const TOLERANCE_SHARE: u32 = 4;

/// What one end of a link says of it, as far as the other end may contradict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Claim {
    /// The slow averages decide, as the fast ones may differ by a queue that only one has seen yet.
    slow_us: u32,
    skew_us: i32,
}

impl Claim {
    /// It says nothing.
    pub(super) const NONE: Claim = Claim { slow_us: u32::MAX, skew_us: i32::MAX };

    pub(super) fn of(link: LinkLatency) -> Self {
        Claim { slow_us: link.slow_us, skew_us: link.skew_us }
    }

    /// True if the link is much shorter by this claim than by that of the other end.
    fn is_short(self, other_end: Claim) -> bool {
        let least = self.slow_us;
        other_end.slow_us > least.saturating_add((least / TOLERANCE_SHARE).saturating_add(TOLERANCE_US))
    }

    /// True if the other end does not say the opposite of the directions.
    fn is_skewed(self, other_end: Claim) -> bool {
        self.skew_us.saturating_add(other_end.skew_us).unsigned_abs() > TOLERANCE_US
    }

    /// True if both ends say something, and not the same.
    pub(super) fn contradicts(self, other_end: Claim) -> bool {
        let is_both = self != Claim::NONE && other_end != Claim::NONE;
        is_both && (self.is_short(other_end) || other_end.is_short(self) || self.is_skewed(other_end))
    }
}

/// What counts instead of what one end of a link advertises, in the light of what the other end does; `None` if
/// the one is believed.
pub(crate) fn correction(advertised: LinkLatency, other_end: LinkLatency) -> Option<LinkLatency> {
    let (claim, other_claim) = (Claim::of(advertised), Claim::of(other_end));
    let (is_short, is_skewed) = (claim.is_short(other_claim), claim.is_skewed(other_claim));
    let (fast_us, slow_us) = if is_short {
        (advertised.fast_us.max(other_end.fast_us), other_end.slow_us)
    } else {
        (advertised.fast_us, advertised.slow_us)
    };
    let skew_us = if is_skewed { 0 } else { advertised.skew_us };
    (is_short || is_skewed).then_some(LinkLatency { fast_us, slow_us, skew_us, ..advertised })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_higher_of_two_times_that_contradict_each_other_counts() {
        let link = |fast_us, slow_us| LinkLatency { fast_us, slow_us, ..LinkLatency::default() };
        assert_eq!(correction(link(1_000, 1_000), link(60_000, 50_000)), Some(link(60_000, 50_000)));
        assert_eq!(correction(link(60_000, 50_000), link(1_000, 1_000)), None);
        assert_eq!(correction(link(40_000, 40_000), link(80_000, 54_000)), None, "it may be a queue");
        assert_eq!(correction(link(1_000, 1_000), link(6_000, 6_000)), None, "by less than 5 ms");
    }

    #[test]
    fn a_skew_counts_if_the_other_end_says_the_opposite() {
        let link = |skew_us| LinkLatency { skew_us, ..LinkLatency::default() };
        assert_eq!(correction(link(-40_000), link(38_000)), None);
        for other_end in [0, -40_000, 46_000] {
            assert_eq!(correction(link(-40_000), link(other_end)), Some(link(0)));
        }
    }
}
