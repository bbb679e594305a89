//! The forwarding database: (segment, VLAN, MAC) -> the node the host sits behind.
//!
//! A table of fixed size, allocated once. Looking up and refreshing take no lock: each entry is two atomic
//! words, written in an order that lets a reader notice a change in between. Learning a new host, a move,
//! announcements and flushing take the one writer's lock. The FDB knows members only as small numbers, time
//! only as seconds, and of announcements only that they were made.
//!
//! What was announced does not age. A frame moves it as it moves what was learned, but not at once: frames
//! from before a migration may still be on their way when it is announced.

use core::hash::{BuildHasher, Hasher};
use core::sync::atomic::Ordering;

use parking_lot::Mutex;

pub(crate) use crate::forward::entry::{Place, Slot};

use crate::forward::entry::{Entry, OLDEST_SECS, Value, find, key_bits};
use crate::forward::flap::{Flaps, Pace};
use crate::hash::KeyedHash;
use crate::host::{Host, HostOrigin};
use crate::stats::Counter;

/// Entries of one bucket: two cache lines.
const WAYS: usize = 8;
/// A member may hold one in so many entries of the table.
const MEMBER_SHARE: usize = 4;
/// What became of an attempt to learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learned {
    /// The host was known to be there.
    Known,
    /// The host is new.
    New,
    /// The host was there.
    Moved(Place),
    /// The host was there, and has now moved so often that something is wrong.
    Flapping(Place),
    /// The host was announced elsewhere a moment ago; it stays there.
    Held,
    /// The bucket is full of hosts that are not due to be forgotten.
    Full,
    /// The member has used up its share of the table.
    Quota,
}

impl Learned {
    /// What counts this.
    pub(crate) fn counter(self) -> Option<Counter> {
        match self {
            Learned::Known => None,
            Learned::New => Some(Counter::MacLearned),
            Learned::Moved(_) | Learned::Flapping(_) => Some(Counter::MacMoved),
            Learned::Held => Some(Counter::MacHeld),
            Learned::Full => Some(Counter::MacTableFull),
            Learned::Quota => Some(Counter::MacQuota),
        }
    }
}

/// One host, for reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) host: Host,
    pub(crate) place: Place,
    pub(crate) origin: HostOrigin,
    /// Since it sent a frame or was announced.
    pub(crate) age_secs: u64,
}

/// The table.
#[derive(Debug)]
pub(crate) struct Fdb {
    entries: Box<[Entry]>,
    hash: KeyedHash,
    ageing_secs: u64,
    writer: Mutex<Writer>,
}

/// What only the one writer needs.
#[derive(Debug)]
struct Writer {
    /// Entries held by each member, and last those held by the local network.
    held: Box<[usize]>,
    flaps: Flaps,
}

impl Fdb {
    /// A table for `capacity` hosts (a power of two, at least one bucket) and members numbered below
    /// `slots` (at most 65535).
    pub(crate) fn new(capacity: usize, slots: usize, ageing_secs: u64, hash: KeyedHash) -> Self {
        debug_assert!(capacity.is_power_of_two() && capacity >= WAYS && slots <= usize::from(u16::MAX));
        let held = vec![0; slots + 1].into_boxed_slice();
        Fdb {
            entries: (0..capacity).map(|_| Entry::default()).collect(),
            hash,
            ageing_secs,
            writer: Mutex::new(Writer { held, flaps: Flaps::new(hash) }),
        }
    }

    /// For how many hosts there is room.
    #[cfg(feature = "ffi")]
    pub(crate) fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// How many of `capacity` hosts may be behind one member.
    pub(crate) const fn member_quota(capacity: usize) -> usize {
        capacity / MEMBER_SHARE
    }

    /// Where the host is, unless it was learned too long ago.
    pub(crate) fn lookup(&self, host: Host, now_secs: u64) -> Option<Place> {
        let (_, value) = find(self.bucket(host), host)?;
        (!self.is_due(value, now_secs)).then(|| value.place())
    }

    /// Takes note that the host has sent a frame from `place`.
    pub(crate) fn learn(&self, host: Host, place: Place, now_secs: u64) -> Learned {
        let bucket = self.bucket(host);
        let fresh = Value::new(host.segment, place, HostOrigin::Learned, now_secs);
        match find(bucket, host) {
            Some((entry, value)) if value.place() == place => {
                if value != fresh && value.origin() == HostOrigin::Learned {
                    entry.replace(value, fresh);
                }
                Learned::Known
            }
            Some((_, value)) if value.is_held(now_secs) => Learned::Held,
            _ => self.write(host, place, HostOrigin::Learned, now_secs),
        }
    }

    /// Takes note that the host has been announced at `place`.
    pub(crate) fn announce(&self, host: Host, place: Place, now_secs: u64) -> Learned {
        self.write(host, place, HostOrigin::Announced, now_secs)
    }

    /// The announcement of the host at `place` still stands: it counts again where frames have said the same
    /// since, or nothing.
    pub(crate) fn confirm(&self, host: Host, place: Place, now_secs: u64) -> Learned {
        let known = find(self.bucket(host), host).filter(|(_, value)| !self.is_due(*value, now_secs));
        match known {
            Some((_, value)) if value.place() != place || value.origin() == HostOrigin::Announced => {
                Learned::Known
            }
            _ => self.announce(host, place, now_secs),
        }
    }

    /// Forgets the host if it is at `place`.
    pub(crate) fn withdraw(&self, host: Host, place: Place) {
        let mut writer = self.writer.lock();
        let known = find(self.bucket(host), host);
        if let Some((entry, _)) = known.filter(|(_, value)| value.place() == place) {
            self.free(entry, &mut writer.held);
        }
    }

    fn write(&self, host: Host, place: Place, origin: HostOrigin, now_secs: u64) -> Learned {
        let mut writer = self.writer.lock();
        let Writer { held, flaps } = &mut *writer;
        let bucket = self.bucket(host);
        let fresh = Value::new(host.segment, place, origin, now_secs);
        let holder = holder(place, held.len());
        let known = find(bucket, host);
        // It may have been announced since the caller looked.
        let is_announced = known.is_some_and(|(_, value)| value.origin() == HostOrigin::Announced);
        let is_weaker = is_announced && origin == HostOrigin::Learned;
        if let Some((entry, value)) = known {
            if value.place() == place {
                if !is_weaker {
                    entry.store(fresh);
                }
                return Learned::Known;
            }
            if is_weaker && value.is_held(now_secs) {
                return Learned::Held;
            }
        }
        if held[holder] >= self.quota(place) {
            return Learned::Quota;
        }
        if let Some((entry, value)) = known {
            let former = value.place();
            held[self::holder(former, held.len())] -= 1;
            held[holder] += 1;
            entry.store(fresh);
            return match flaps.moved(host, now_secs) {
                Pace::Calm => Learned::Moved(former),
                Pace::Flapping => Learned::Flapping(former),
            };
        }
        let free = bucket.iter().find(|entry| entry.is_free() || self.is_due(entry.value(), now_secs));
        let Some(entry) = free else {
            return Learned::Full;
        };
        self.free(entry, held);
        held[holder] += 1;
        let reuse = (entry.value().0 & 0xf) % 15 + 1;
        entry.store(fresh);
        entry.key.store(key_bits(host) << 4 | reuse, Ordering::Release);
        Learned::New
    }

    /// Forgets every host behind a member that is gone.
    pub(crate) fn flush(&self, slot: Slot) {
        self.free_where(|value| value.place() == Place::Member(slot));
    }

    /// Forgets every learned host that has been silent for too long.
    pub(crate) fn sweep(&self, now_secs: u64) {
        self.free_where(|value| self.is_due(value, now_secs));
        for entry in &self.entries {
            let value = entry.value();
            if value.origin() == HostOrigin::Announced && value.age(now_secs) > OLDEST_SECS {
                entry.replace(value, value.of_oldest_age(now_secs));
            }
        }
    }

    /// The hosts in the table.
    pub(crate) fn hosts(&self, now_secs: u64) -> Vec<Located> {
        let _no_writer = self.writer.lock();
        let used = self.entries.iter().filter(|entry| !entry.is_free());
        used.map(|entry| (entry.host(), entry.value()))
            .filter(|(_, value)| !self.is_due(*value, now_secs))
            .map(|(host, value)| Located {
                host,
                place: value.place(),
                origin: value.origin(),
                age_secs: value.age(now_secs),
            })
            .collect()
    }

    fn free_where(&self, gone: impl Fn(Value) -> bool) {
        let mut writer = self.writer.lock();
        for entry in &self.entries {
            if !entry.is_free() && gone(entry.value()) {
                self.free(entry, &mut writer.held);
            }
        }
    }

    /// Frees an entry, keeping its reuse count where the value of a free entry is not read.
    fn free(&self, entry: &Entry, held: &mut [usize]) {
        let key = entry.key.swap(0, Ordering::AcqRel);
        if key != 0 {
            let value = Value(entry.value.swap(key & 0xf, Ordering::AcqRel));
            let holder = holder(value.place(), held.len());
            held[holder] -= 1;
        }
    }

    fn quota(&self, place: Place) -> usize {
        match place {
            Place::Local => usize::MAX,
            Place::Member(_) => Self::member_quota(self.entries.len()),
        }
    }

    /// True for what was learned and not heard again for too long.
    fn is_due(&self, value: Value, now_secs: u64) -> bool {
        value.origin() == HostOrigin::Learned && value.age(now_secs) >= self.ageing_secs
    }

    fn bucket(&self, host: Host) -> &[Entry] {
        // A key for each segment rather than more to hash, which takes half as long again.
        let mut hasher = self.hash.tweaked(host.segment.id()).build_hasher();
        hasher.write_u64(key_bits(host));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::entry::SECONDS_MASK;
    use crate::mac::MacAddr;
    use crate::node::Segment;

    fn fdb(capacity: usize) -> Fdb {
        Fdb::new(capacity, 16, 300, KeyedHash::new(1, 2))
    }

    fn host(n: u32) -> Host {
        let [a, b, c, d] = n.to_be_bytes();
        Host { segment: Segment::DEFAULT, vlan: 0, mac: MacAddr([2, 0, a, b, c, d]) }
    }

    #[test]
    fn a_host_is_found_where_it_was_last_seen() {
        let fdb = fdb(64);
        assert_eq!(fdb.lookup(host(1), 0), None);
        assert_eq!(fdb.learn(host(1), Place::Member(3), 0), Learned::New);
        assert_eq!(fdb.learn(host(1), Place::Member(3), 1), Learned::Known);
        assert_eq!(fdb.lookup(host(1), 2), Some(Place::Member(3)));
        assert_eq!(fdb.learn(host(1), Place::Local, 2), Learned::Moved(Place::Member(3)));
        assert_eq!(fdb.lookup(host(1), 2), Some(Place::Local));
    }

    #[test]
    fn segments_and_vlans_keep_equal_addresses_apart() {
        let fdb = fdb(64);
        let other_vlan = Host { vlan: 7, ..host(1) };
        let other_segment = Host { segment: Segment::new(7).unwrap(), ..host(1) };
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

    #[test]
    fn an_announced_host_does_not_age_and_a_frame_moves_it_after_a_moment() {
        let fdb = fdb(64);
        let (here, there) = (Place::Local, Place::Member(3));
        assert_eq!(fdb.announce(host(1), there, 10), Learned::New);
        fdb.sweep(1000);
        assert_eq!(fdb.lookup(host(1), 1000), Some(there));
        assert_eq!(fdb.announce(host(1), there, 1000), Learned::Known);
        assert_eq!(fdb.learn(host(1), here, 1001), Learned::Held, "on its way since before");
        assert_eq!(fdb.learn(host(1), there, 1001), Learned::Known);
        assert_eq!(fdb.learn(host(1), here, 1002), Learned::Moved(there));
        assert_eq!(fdb.hosts(1002)[0].origin, HostOrigin::Learned);
    }

    #[test]
    fn a_standing_announcement_counts_again_once_the_frames_that_contradict_it_are_forgotten() {
        let fdb = fdb(64);
        let (here, there) = (Place::Local, Place::Member(3));
        fdb.announce(host(1), there, 0);
        fdb.learn(host(1), here, 10);
        assert_eq!(fdb.confirm(host(1), there, 20), Learned::Known);
        assert_eq!(fdb.lookup(host(1), 20), Some(here));
        fdb.sweep(310);
        assert_eq!(fdb.confirm(host(1), there, 310), Learned::New);
        assert_eq!(fdb.lookup(host(1), 9999), Some(there));
    }

    #[test]
    fn what_is_withdrawn_is_forgotten_where_it_was_and_nowhere_else() {
        let fdb = fdb(64);
        fdb.announce(host(1), Place::Member(3), 0);
        fdb.withdraw(host(1), Place::Member(2));
        assert_eq!(fdb.lookup(host(1), 0), Some(Place::Member(3)));
        fdb.withdraw(host(1), Place::Member(3));
        assert_eq!(fdb.lookup(host(1), 0), None);
    }

    #[test]
    fn the_age_of_an_announced_host_does_not_wrap() {
        let fdb = fdb(64);
        fdb.announce(host(1), Place::Member(3), 0);
        for now_secs in (0..3 * SECONDS_MASK).step_by(1_000_000) {
            fdb.sweep(now_secs);
            assert_eq!(fdb.hosts(now_secs)[0].age_secs, now_secs.min(OLDEST_SECS));
        }
        assert_eq!(fdb.learn(host(1), Place::Local, 3 * SECONDS_MASK), Learned::Moved(Place::Member(3)));
    }

    #[test]
    fn a_host_that_moves_to_and_fro_is_flapping() {
        let fdb = fdb(64);
        let places = [Place::Local, Place::Member(1)];
        fdb.learn(host(1), places[1], 0);
        let learned: Vec<Learned> = (0..6).map(|n| fdb.learn(host(1), places[n % 2], n as u64)).collect();
        let flapping = Learned::Flapping(Place::Member(1));
        assert_eq!(
            (learned[3], learned[4], learned[5]),
            (Learned::Moved(places[0]), flapping, Learned::Moved(places[0]))
        );
    }
}
