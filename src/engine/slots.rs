//! Small numbers for members, which the FDB stores in place of their identities.

use core::time::Duration;
use std::collections::VecDeque;

use crate::forward::fdb::Slot;
use crate::time::Time;

/// A number is not given to another member before this, so that a forwarder that still reads the former
/// snapshot cannot learn a host for the wrong one.
const QUARANTINE: Duration = Duration::from_secs(60);

/// Gives out numbers below a limit.
#[derive(Debug)]
pub(crate) struct Slots {
    next: usize,
    limit: usize,
    freed: VecDeque<(Slot, Time)>,
}

impl Slots {
    /// `limit` is at least twice the number of slots in use at a time.
    pub(crate) fn new(limit: usize) -> Self {
        Slots { next: 0, limit, freed: VecDeque::new() }
    }

    /// A free number; those freed longest ago come last of all when the others run out.
    pub(crate) fn take(&mut self, now: Time) -> Option<Slot> {
        let is_ready = self.freed.front().is_some_and(|(_, freed_at)| now.since(*freed_at) >= QUARANTINE);
        if is_ready || self.next >= self.limit {
            return self.freed.pop_front().map(|(slot, _)| slot);
        }
        self.next += 1;
        Slot::try_from(self.next - 1).ok()
    }

    pub(crate) fn free(&mut self, slot: Slot, now: Time) {
        self.freed.push_back((slot, now));
    }
}
