//! The forwarding database: (segment, VLAN, MAC) -> the node the host sits behind.
//!
//! A table of fixed size, allocated once. Looking up and refreshing take no lock: each entry is two atomic
//! words, written in an order that lets a reader notice a change in between. Learning a new host, a move,
//! and flushing take the one writer's lock. The FDB knows members only as small numbers, and time only as
//! seconds.

use core::hash::{BuildHasher, Hasher};
use core::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::hash::KeyedHash;
use crate::mac::MacAddr;
use crate::node::Segment;

/// Entries of one bucket: two cache lines.
const WAYS: usize = 8;
/// A member may hold one in so many entries of the table.
const MEMBER_SHARE: usize = 4;
/// Seconds are kept modulo 2^24 (194 days), far above any age that survives a sweep.
const SECONDS_MASK: u64 = (1 << 24) - 1;

/// A member's number in the forwarding plane.
pub(crate) type Slot = u16;

/// Which host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostKey {
    pub(crate) segment: Segment,
    pub(crate) vlan: u16,
    pub(crate) mac: MacAddr,
}

/// Where a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// On the local network.
    Local,
    /// Behind this member.
    Member(Slot),
}

/// What became of an attempt to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// The host was known to be there.
    Known,
    /// The host is new.
    New,
    /// The host was somewhere else.
    Moved,
    /// The bucket is full of hosts that are not due to be forgotten.
    Full,
    /// The member has used up its share of the table.
    Quota,
}

/// One host, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) key: HostKey,
    pub(crate) place: Place,
    pub(crate) age_secs: u64,
}

/// `key`: MAC 48, VLAN 12, reuse count 4 (1 to 15; a key of 0 marks a free entry).
/// `value`: segment 24, place 16, second last seen 24.
#[derive(Debug, Default)]
struct Entry {
    key: AtomicU64,
    value: AtomicU64,
}

impl Place {
    /// Slots are below this, see [`Fdb::new`].
    const LOCAL: u64 = 0xffff;

    fn to_bits(self) -> u64 {
        match self {
            Place::Local => Self::LOCAL,
            Place::Member(slot) => u64::from(slot),
        }
    }

    fn of_value(value: u64) -> Self {
        match value >> 24 & 0xffff {
            Self::LOCAL => Place::Local,
            slot => Place::Member(slot as Slot),
        }
    }
}

fn key_bits(key: HostKey) -> u64 {
    key.mac.to_bits() << 12 | u64::from(key.vlan)
}

fn value_bits(segment: Segment, place: Place, now_secs: u64) -> u64 {
    u64::from(segment.id()) << 40 | place.to_bits() << 24 | now_secs & SECONDS_MASK
}

/// The table.
#[derive(Debug)]
pub(crate) struct Fdb {
    entries: Box<[Entry]>,
    hash: KeyedHash,
    ageing_secs: u64,
    /// Entries held by each member, and last those held by the local network; the writer's lock.
    held: Mutex<Box<[usize]>>,
}

impl Fdb {
    /// A table for `capacity` hosts (a power of two, at least one bucket) and members numbered below
    /// `slots` (at most 65535).
    pub(crate) fn new(capacity: usize, slots: usize, ageing_secs: u64, hash: KeyedHash) -> Self {
        debug_assert!(capacity.is_power_of_two() && capacity >= WAYS && slots <= usize::from(u16::MAX));
        Fdb {
            entries: (0..capacity).map(|_| Entry::default()).collect(),
            hash,
            ageing_secs,
            held: Mutex::new(vec![0; slots + 1].into_boxed_slice()),
        }
    }

    /// Where the host was last seen, unless that is too long ago.
    pub(crate) fn lookup(&self, key: HostKey, now_secs: u64) -> Option<Place> {
        let (_, value) = find(self.bucket(key), key)?;
        (self.age(value, now_secs) < self.ageing_secs).then(|| Place::of_value(value))
    }

    /// Takes note that the host has sent a frame from `place`.
    pub(crate) fn learn(&self, key: HostKey, place: Place, now_secs: u64) -> Learned {
        let bucket = self.bucket(key);
        let fresh = value_bits(key.segment, place, now_secs);
        if let Some((entry, value)) = find(bucket, key)
            && Place::of_value(value) == place
        {
            if value != fresh {
                // Whoever changed the entry since knows better; then there is nothing to refresh.
                let _ = entry.value.compare_exchange(value, fresh, Ordering::Relaxed, Ordering::Relaxed);
            }
            return Learned::Known;
        }
        self.learn_slowly(bucket, key, place, now_secs)
    }

    fn learn_slowly(&self, bucket: &[Entry], key: HostKey, place: Place, now_secs: u64) -> Learned {
        let mut held = self.held.lock();
        let fresh = value_bits(key.segment, place, now_secs);
        let holder = holder(place, held.len());
        if held[holder] >= self.quota(place) {
            return Learned::Quota;
        }
        if let Some((entry, value)) = find(bucket, key) {
            let former = Place::of_value(value);
            let former_holder = self::holder(former, held.len());
            held[former_holder] -= 1;
            held[holder] += 1;
            entry.value.store(fresh, Ordering::Release);
            return if former == place { Learned::Known } else { Learned::Moved };
        }
        let free = bucket.iter().find(|entry| {
            entry.key.load(Ordering::Relaxed) == 0
                || self.age(entry.value.load(Ordering::Relaxed), now_secs) >= self.ageing_secs
        });
        let Some(entry) = free else {
            return Learned::Full;
        };
        self.free(entry, &mut held);
        held[holder] += 1;
        let reuse = (entry.value.load(Ordering::Relaxed) & 0xf) % 15 + 1;
        entry.value.store(fresh, Ordering::Release);
        entry.key.store(key_bits(key) << 4 | reuse, Ordering::Release);
        Learned::New
    }

    /// Forgets every host behind a member that is gone.
    pub(crate) fn flush(&self, slot: Slot) {
        self.free_where(|value| Place::of_value(value) == Place::Member(slot));
    }

    /// Forgets every host that has been silent for too long.
    pub(crate) fn sweep(&self, now_secs: u64) {
        self.free_where(|value| self.age(value, now_secs) >= self.ageing_secs);
    }

    /// The hosts in the table.
    pub(crate) fn hosts(&self, now_secs: u64) -> Vec<Host> {
        let _no_writer = self.held.lock();
        let used = self.entries.iter().filter(|entry| entry.key.load(Ordering::Relaxed) != 0);
        used.map(|entry| {
            let (key, value) = (entry.key.load(Ordering::Relaxed), entry.value.load(Ordering::Relaxed));
            Host {
                key: HostKey {
                    segment: Segment::new((value >> 40) as u32).unwrap_or_default(),
                    vlan: (key >> 4 & 0xfff) as u16,
                    mac: MacAddr::from_bits(key >> 16),
                },
                place: Place::of_value(value),
                age_secs: self.age(value, now_secs),
            }
        })
        .filter(|host| host.age_secs < self.ageing_secs)
        .collect()
    }

    fn free_where(&self, gone: impl Fn(u64) -> bool) {
        let mut held = self.held.lock();
        for entry in &self.entries {
            if entry.key.load(Ordering::Relaxed) != 0 && gone(entry.value.load(Ordering::Relaxed)) {
                self.free(entry, &mut held);
            }
        }
    }

    /// Frees an entry, keeping its reuse count where the value of a free entry is not read.
    fn free(&self, entry: &Entry, held: &mut [usize]) {
        let key = entry.key.swap(0, Ordering::AcqRel);
        if key != 0 {
            let value = entry.value.swap(key & 0xf, Ordering::AcqRel);
            let holder = holder(Place::of_value(value), held.len());
            held[holder] -= 1;
        }
    }

    fn quota(&self, place: Place) -> usize {
        match place {
            Place::Local => usize::MAX,
            Place::Member(_) => self.entries.len() / MEMBER_SHARE,
        }
    }

    fn age(&self, value: u64, now_secs: u64) -> u64 {
        now_secs.wrapping_sub(value) & SECONDS_MASK
    }

    fn bucket(&self, key: HostKey) -> &[Entry] {
        // A key for each segment rather than more to hash, which takes half as long again.
        let mut hasher = self.hash.tweaked(key.segment.id()).build_hasher();
        hasher.write_u64(key_bits(key));
        let buckets = self.entries.len() / WAYS;
        let start = (hasher.finish() as usize & (buckets - 1)) * WAYS;
        &self.entries[start..start + WAYS]
    }
}

/// Index of the count of what `place` holds.
fn holder(place: Place, holders: usize) -> usize {
    match place {
        Place::Local => holders - 1,
        Place::Member(slot) => usize::from(slot),
    }
}

/// The entry for `key` in its bucket, with its value.
///
/// Without the lock an entry may be freed and taken for another host between two loads. The key is
/// therefore read again after the value: freeing changes it first and taking changes it last, and the
/// reuse count makes the same host's next entry differ.
fn find(bucket: &[Entry], key: HostKey) -> Option<(&Entry, u64)> {
    bucket.iter().find_map(|entry| {
        let found = entry.key.load(Ordering::Acquire);
        if found == 0 || found >> 4 != key_bits(key) {
            return None;
        }
        let value = entry.value.load(Ordering::Acquire);
        let is_same =
            entry.key.load(Ordering::Acquire) == found && value >> 40 == u64::from(key.segment.id());
        is_same.then_some((entry, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fdb(capacity: usize) -> Fdb {
        Fdb::new(capacity, 16, 300, KeyedHash::new(1, 2))
    }

    fn host(n: u32) -> HostKey {
        let [a, b, c, d] = n.to_be_bytes();
        HostKey { segment: Segment::DEFAULT, vlan: 0, mac: MacAddr([2, 0, a, b, c, d]) }
    }

    #[test]
    fn a_host_is_found_where_it_was_last_seen() {
        let fdb = fdb(64);
        assert_eq!(fdb.lookup(host(1), 0), None);
        assert_eq!(fdb.learn(host(1), Place::Member(3), 0), Learned::New);
        assert_eq!(fdb.learn(host(1), Place::Member(3), 1), Learned::Known);
        assert_eq!(fdb.lookup(host(1), 2), Some(Place::Member(3)));
        assert_eq!(fdb.learn(host(1), Place::Local, 2), Learned::Moved);
        assert_eq!(fdb.lookup(host(1), 2), Some(Place::Local));
    }

    #[test]
    fn segments_and_vlans_keep_equal_addresses_apart() {
        let fdb = fdb(64);
        let other_vlan = HostKey { vlan: 7, ..host(1) };
        let other_segment = HostKey { segment: Segment::new(7).unwrap(), ..host(1) };
        for (place, key) in [host(1), other_vlan, other_segment].into_iter().enumerate() {
            assert_eq!(fdb.learn(key, Place::Member(place as Slot), 0), Learned::New);
        }
        for (place, key) in [host(1), other_vlan, other_segment].into_iter().enumerate() {
            assert_eq!(fdb.lookup(key, 0), Some(Place::Member(place as Slot)));
        }
    }

    #[test]
    fn silent_hosts_are_forgotten_and_talking_ones_are_not() {
        let fdb = fdb(64);
        fdb.learn(host(1), Place::Local, 0);
        fdb.learn(host(2), Place::Local, 0);
        fdb.learn(host(2), Place::Local, 200);
        assert_eq!(fdb.lookup(host(1), 299), Some(Place::Local));
        assert_eq!((fdb.lookup(host(1), 300), fdb.lookup(host(2), 300)), (None, Some(Place::Local)));
        fdb.sweep(300);
        assert_eq!(fdb.hosts(300).len(), 1);
    }

    #[test]
    fn the_clock_of_seconds_may_wrap() {
        let fdb = fdb(64);
        fdb.learn(host(1), Place::Local, SECONDS_MASK);
        assert_eq!(fdb.lookup(host(1), SECONDS_MASK + 100), Some(Place::Local));
        assert_eq!(fdb.lookup(host(1), SECONDS_MASK + 301), None);
    }

    #[test]
    fn one_member_cannot_fill_the_table() {
        let fdb = fdb(1024);
        let refused =
            (0..10_000).filter(|&n| fdb.learn(host(n), Place::Member(1), 0) == Learned::Quota).count();
        assert_eq!(fdb.hosts(0).len(), 256);
        assert!(refused > 9_000);
        assert_eq!(fdb.learn(host(20_000), Place::Member(2), 0), Learned::New);
    }

    #[test]
    fn a_full_table_refuses_new_hosts_and_keeps_the_old() {
        let fdb = fdb(64);
        let learned = (0..1000).filter(|&n| fdb.learn(host(n), Place::Local, 0) == Learned::New).count();
        assert_eq!((learned, fdb.hosts(0).len()), (64, 64));
        assert_eq!(fdb.learn(host(5000), Place::Local, 300), Learned::New, "aged entries make room");
    }

    #[test]
    fn flushing_a_member_forgets_its_hosts_and_frees_its_quota() {
        let fdb = fdb(1024);
        for n in 0..300 {
            fdb.learn(host(n), Place::Member(1), 0);
        }
        fdb.learn(host(9999), Place::Member(2), 0);
        fdb.flush(1);
        assert_eq!(fdb.hosts(0).len(), 1);
        assert_eq!(fdb.learn(host(1), Place::Member(1), 0), Learned::New);
    }
}
