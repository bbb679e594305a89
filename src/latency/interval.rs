//! How often links are probed and rows told, by how many members there are: the cost to a node must not grow
//! with the number of members as the number of its links does.

use core::time::Duration;

/// Up to so many members links are probed at the configured interval.
const FEW: u32 = 14;
/// Of the members beyond, each counts for one and a half: rows cost something, too.
const BEYOND: (u32, u32) = (3, 2);
/// Links are probed at most so many times more seldom, however many members there are: a link that nobody uses and
/// nobody doubts is noticed to be down within a minute.
const SELDOM: u32 = 30;
/// No link is probed more seldom than this.
const LONGEST: Duration = Duration::from_secs(100);
/// Times that have moved are told once in so many intervals of few members at least.
const ROUND_MAX: u32 = 30;
/// Offsets that were not known are told once in so many intervals of probes: all of those that a link needs for one. With
/// more than few members more seldom in proportion, as most of the row is told once more for them.
const OFFSETS: u32 = 8;
/// Where there are few members, the own row is told with fine precision so often.
const FINE: Duration = Duration::from_secs(60);

/// That a link is up is told after this: nobody waits for it as for a detour, and where many nodes join at a time, each
/// telling costs a message to every member.
const UP: Duration = Duration::from_millis(200);
/// With more members than this, after longer in proportion, but not after more than so long.
const UP_FEW: u32 = 16;
/// With more than this in proportion again.
const UP_MANY: u32 = 200;
const UP_LONGEST: Duration = Duration::from_secs(30);

/// The intervals of a node with so many members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intervals {
    /// Of probes on links that are used.
    pub(super) used: Duration,
    /// Of probes on other links.
    pub(super) idle: Duration,
    /// Between two messages about times that have moved.
    pub(super) round: Duration,
    /// From when a link is up until that is told.
    pub(super) up: Duration,
    /// Between two rounds that tell offsets which were not known.
    pub(super) offsets: Duration,
    /// Between two rounds of fine precision.
    pub(super) fine: Duration,
}

impl Intervals {
    /// For a node that knows `members` and probes at `interval` where there are few.
    pub(super) fn new(interval: Duration, members: usize) -> Self {
        let members = u32::try_from(members).unwrap_or(u32::MAX).max(FEW);
        let idle_members = FEW + (members - FEW) * BEYOND.0 / BEYOND.1;
        let idle = interval.saturating_mul(idle_members.min(FEW * SELDOM)) / FEW;
        // Each entry is told to each member: the square of their number keeps the cost the same.
        let squared = u64::from(members) * u64::from(members);
        let fine = FINE.as_secs().saturating_mul(squared) / u64::from(FEW * FEW);
        let idle = idle.min(LONGEST).max(interval);
        let up = UP.saturating_mul(members.max(UP_FEW)) / UP_FEW;
        let up = up.saturating_mul(members.max(UP_MANY)) / UP_MANY;
        Intervals {
            used: interval,
            idle,
            offsets: idle * OFFSETS * members / FEW,
            round: interval.saturating_mul(members.min(FEW * ROUND_MAX)) / FEW,
            up: up.min(UP_LONGEST),
            fine: Duration::from_secs(fine),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_members_are_probed_at_the_configured_interval_and_many_more_seldom() {
        let idle = |members| Intervals::new(Duration::from_secs(2), members).idle.as_secs();
        assert_eq!([1, 14, 100, 300, 4096].map(idle), [2, 2, 20, 60, 60]);
    }

    #[test]
    fn that_a_link_is_up_is_told_later_with_many_members_but_not_for_ever() {
        let up = |members| Intervals::new(Duration::from_secs(2), members).up.as_millis();
        assert_eq!([1, 16, 200, 400, 1000, 4096].map(up), [200, 200, 2_500, 10_000, 30_000, 30_000]);
    }

    #[test]
    fn used_links_are_probed_alike_at_any_number_of_members() {
        for members in [1, 12, 100, 4096] {
            assert_eq!(Intervals::new(Duration::from_secs(2), members).used, Duration::from_secs(2));
        }
    }

    #[test]
    fn a_long_interval_stays_what_it_is() {
        let intervals = Intervals::new(Duration::from_secs(60), 4096);
        assert_eq!((intervals.used, intervals.idle), (Duration::from_secs(60), LONGEST));
    }
}
