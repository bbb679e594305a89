//! Paths that were found to be worse, end to end, than their links and relays say.
//!
//! Who was found out once is avoided for a minute, and for twice as long each time that it happens again: what lies
//! does not stop lying because it was not used for a while.

use core::time::Duration;
use std::collections::BTreeMap;

use arrayvec::ArrayVec;

use crate::node::NodePrefix;
use crate::route::Path;
use crate::time::Time;

/// For how long a path is distrusted at first, and at most.
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(600);
/// It is remembered for so long after that.
const REMEMBERED: Duration = Duration::from_secs(600);
/// So many paths to one member are distrusted at most; those that end the soonest go first.
const MAX_PATHS: usize = 4;

#[derive(Clone, Debug)]
struct Entry {
    path: Path,
    excess: i64,
    lasts: Duration,
    until: Time,
}

/// The distrusted paths, by the member they lead to.
#[derive(Debug, Default)]
pub(super) struct Distrust(BTreeMap<NodePrefix, ArrayVec<Entry, MAX_PATHS>>);

impl Distrust {
    /// The path counts as dearer by `excess` nanoseconds from now on.
    pub(super) fn add(&mut self, to: NodePrefix, path: Path, excess: i64, now: Time) {
        let entries = self.0.entry(to).or_default();
        let known = entries.iter().position(|entry| entry.path == path);
        let lasts = known.map_or(FIRST, |at| LONGEST.min(2 * entries[at].lasts));
        let soonest = (0..entries.len()).min_by_key(|at| entries[*at].until);
        if let Some(at) = known.or(soonest.filter(|_| entries.is_full())) {
            entries.remove(at);
        }
        entries.push(Entry { path, excess, lasts, until: now + lasts });
    }

    /// What is held against a path to `to`, in nanoseconds; `None` if nothing is.
    pub(super) fn of(&self, to: NodePrefix, path: &Path, now: Time) -> Option<i64> {
        let mut entries = self.0.get(&to)?.iter();
        entries.find(|entry| entry.path == *path && entry.until > now).map(|entry| entry.excess)
    }

    pub(super) fn remove(&mut self, to: NodePrefix) {
        self.0.remove(&to);
    }

    /// Forgets what is long over.
    pub(super) fn expire(&mut self, now: Time) {
        self.0.retain(|_, entries| {
            entries.retain(|entry| entry.until + REMEMBERED > now);
            !entries.is_empty()
        });
    }

    /// When the next one ends after `now`.
    pub(super) fn next_end(&self, now: Time) -> Time {
        let ends = self.0.values().flatten().map(|entry| entry.until);
        ends.filter(|until| *until > now).min().unwrap_or(Time::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO: NodePrefix = NodePrefix(9);

    fn through(relay: u64) -> Path {
        Path::new([NodePrefix(relay), TO].into_iter().collect())
    }

    fn at(secs: u64) -> Time {
        Time::ZERO + Duration::from_secs(secs)
    }

    #[test]
    fn a_path_is_distrusted_for_longer_each_time() {
        let (mut distrust, mut now) = (Distrust::default(), at(0));
        for secs in [60, 120, 240, 480, 600, 600] {
            distrust.add(TO, through(1), 1000, now);
            assert_eq!(distrust.next_end(now), now + Duration::from_secs(secs));
            assert_eq!(distrust.of(TO, &through(1), now + Duration::from_secs(secs - 1)), Some(1000));
            assert_eq!(distrust.of(TO, &through(2), now), None);
            now = distrust.next_end(now);
            assert_eq!(distrust.of(TO, &through(1), now), None);
            distrust.expire(now);
        }
        now = now + REMEMBERED;
        distrust.expire(now);
        distrust.add(TO, through(1), 1000, now);
        assert_eq!(distrust.next_end(now), now + FIRST, "it was good for long");
    }

    #[test]
    fn the_number_of_distrusted_paths_is_bounded() {
        let mut distrust = Distrust::default();
        (0..20).for_each(|relay| distrust.add(TO, through(relay), 100, at(relay)));
        assert_eq!(distrust.of(TO, &through(0), at(20)), None);
        assert_eq!(distrust.of(TO, &through(19), at(20)), Some(100));
    }
}
