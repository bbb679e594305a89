//! One entry of the forwarding database: two atomic words, and how they are read while another writes.
//!
//! Knows what an entry holds, not which entries there are.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::host::{Host, HostOrigin};
use crate::mac::MacAddr;
use crate::node::Segment;

/// Seconds are kept modulo 2^23 (97 days), far above any age that survives a sweep.
pub(super) const SECONDS_MASK: u64 = (1 << 23) - 1;
/// Announced hosts are not told from each other by age above this.
pub(super) const OLDEST_SECS: u64 = 1 << 22;
/// Marks what was announced.
const ANNOUNCED: u64 = 1 << 23;
/// For so long after an announcement no frame contradicts it: longer than a frame is on its way, and shorter
/// than a connection waits.
const HOLD_SECS: u64 = 2;

/// A member's number in the forwarding plane.
pub(crate) type Slot = u16;

/// Where a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the local network.
    Local,
    /// Behind this member.
    Member(Slot),
}

impl Place {
    /// Slots are below this, see [`Fdb::new`](super::fdb::Fdb::new).
    const LOCAL: u64 = 0xffff;
}

/// `key`: MAC 48, VLAN 12, reuse count 4 (1 to 15; a key of 0 marks a free entry). `value`: see [`Value`]; of a
/// free entry, the reuse count.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) key: AtomicU64,
    pub(super) value: AtomicU64,
}

/// What an entry says of its host: segment 24, place 16, whether it was announced 1, second last seen or
/// announced 23.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value(pub(super) u64);

impl Value {
    pub(super) fn new(segment: Segment, place: Place, origin: HostOrigin, now_secs: u64) -> Self {
        let origin = match origin {
            HostOrigin::Learned => 0,
            HostOrigin::Announced => ANNOUNCED,
        };
        let place = match place {
            Place::Local => Place::LOCAL,
            Place::Member(slot) => u64::from(slot),
        };
        Value(u64::from(segment.id()) << 40 | place << 24 | origin | now_secs & SECONDS_MASK)
    }

    pub(super) fn place(self) -> Place {
        match self.0 >> 24 & 0xffff {
            Place::LOCAL => Place::Local,
            slot => Place::Member(slot as Slot),
        }
    }

    pub(super) fn origin(self) -> HostOrigin {
        if self.0 & ANNOUNCED == 0 { HostOrigin::Learned } else { HostOrigin::Announced }
    }

    /// Seconds since the host sent a frame or was announced.
    pub(super) fn age(self, now_secs: u64) -> u64 {
        now_secs.wrapping_sub(self.0) & SECONDS_MASK
    }

    /// True for what was announced a moment ago.
    pub(super) fn is_held(self, now_secs: u64) -> bool {
        self.origin() == HostOrigin::Announced && self.age(now_secs) < HOLD_SECS
    }

    /// The same with the age that ages are told up to.
    pub(super) fn of_oldest_age(self, now_secs: u64) -> Self {
        Value(self.0 & !SECONDS_MASK | now_secs.wrapping_sub(OLDEST_SECS) & SECONDS_MASK)
    }
}

impl Entry {
    pub(super) fn is_free(&self) -> bool {
        self.key.load(Ordering::Relaxed) == 0
    }

    pub(super) fn value(&self) -> Value {
        Value(self.value.load(Ordering::Relaxed))
    }

    pub(super) fn store(&self, value: Value) {
        self.value.store(value.0, Ordering::Release);
    }

    /// Replaces the value, unless somebody else has.
    pub(super) fn replace(&self, from: Value, to: Value) {
        // Whoever changed it since knows better.
        let _ = self.value.compare_exchange(from.0, to.0, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// The host of an entry that is not free, for who holds the writer's lock.
    pub(super) fn host(&self) -> Host {
        let key = self.key.load(Ordering::Relaxed);
        Host {
            segment: Segment::new((self.value().0 >> 40) as u32).unwrap_or_default(),
            vlan: (key >> 4 & 0xfff) as u16,
            mac: MacAddr::from_bits(key >> 16),
        }
    }
}

/// A host without its segment.
pub(super) fn key_bits(host: Host) -> u64 {
    host.mac.to_bits() << 12 | u64::from(host.vlan)
}

/// The entry for a host in its bucket, with its value.
///
/// Without the lock an entry may be freed and taken for another host between two loads. The key is
/// therefore read again after the value: freeing changes it first and taking changes it last, and the
/// reuse count makes the same host's next entry differ.
pub(super) fn find(bucket: &[Entry], host: Host) -> Option<(&Entry, Value)> {
    bucket.iter().find_map(|entry| {
        let found = entry.key.load(Ordering::Acquire);
        if found == 0 || found >> 4 != key_bits(host) {
            return None;
        }
        let value = entry.value.load(Ordering::Acquire);
        let is_same =
            entry.key.load(Ordering::Acquire) == found && value >> 40 == u64::from(host.segment.id());
        is_same.then_some((entry, Value(value)))
    })
}
