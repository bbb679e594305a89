//! The row of another node in the latency database, as far as it is known: what messages have told of it, in order.
//!
//! Knows no links of the own node; what is missing is asked for elsewhere.

use crate::node::NodePrefix;
use crate::time::Time;
use crate::wire::latency::{LinkLatency, OFFSET_MODULUS, Row, RowEntry, Transit, WrittenLink};

/// What applying a message to a row led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    /// Nothing in it was new.
    Nothing,
    /// The row has changed.
    Changed,
    /// Something before it is missing.
    Missing,
}

/// The row of another node, as far as it is known.
#[derive(Debug)]
pub(crate) struct OtherRow {
    version: u64,
    transit: Option<Transit>,
    /// By target. Most of what a node with many members remembers is in such rows, and each choice of paths reads them
    /// from one end to the other.
    entries: Vec<Kept>,
}

/// An entry as it is kept: no longer than in a message.
#[derive(Clone, Copy, Debug)]
struct Kept {
    target: NodePrefix,
    /// When it came.
    at: Time,
    /// [`OFFSET_MODULUS`] if it is not known.
    offset_us: u32,
    link: WrittenLink,
    life: u16,
}

impl Kept {
    fn new(entry: RowEntry, at: Time) -> Self {
        let RowEntry { target, life, link, offset_us } = entry;
        Kept {
            target,
            at,
            offset_us: offset_us.unwrap_or(OFFSET_MODULUS),
            link: WrittenLink::new(link),
            life,
        }
    }

    /// The entry, and when it came.
    fn entry(self) -> (RowEntry, Time) {
        let offset_us = Some(self.offset_us).filter(|us| *us != OFFSET_MODULUS);
        let entry = RowEntry { target: self.target, life: self.life, link: self.link.latency(), offset_us };
        (entry, self.at)
    }
}

impl Default for OtherRow {
    fn default() -> Self {
        OtherRow { version: 0, transit: Some(Transit::default()), entries: Vec::new() }
    }
}

impl OtherRow {
    /// What the node says of itself as a relay; one that has said nothing yet is idle.
    pub(crate) fn transit(&self) -> Option<Transit> {
        self.transit
    }

    /// The version up to which the row is known.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// All entries, by target, with when they came.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (RowEntry, Time)> {
        self.entries.iter().map(|kept| kept.entry())
    }

    /// Where the entry for `target` is.
    fn place(&self, target: NodePrefix) -> Option<usize> {
        self.entries.binary_search_by_key(&target, |kept| kept.target).ok()
    }

    /// The entry for this life of `target`, and when it came.
    pub(crate) fn get(&self, target: NodePrefix, life: u16) -> Option<(RowEntry, Time)> {
        let kept = self.entries[self.place(target)?];
        (kept.life == life).then(|| kept.entry())
    }

    /// The link to whatever life of `target` was measured last, if it is up.
    pub(crate) fn latest(&self, target: NodePrefix) -> Option<LinkLatency> {
        self.entries[self.place(target)?].link.latency()
    }

    /// Takes a part of the row that came at `now`. Holds at most `capacity` entries; when they are used up, those of targets
    /// that are not members give way.
    pub(crate) fn apply(
        &mut self,
        row: Row,
        now: Time,
        capacity: usize,
        is_member: impl Fn(NodePrefix) -> bool,
    ) -> Applied {
        if row.to <= self.version {
            return Applied::Nothing;
        }
        if row.from > self.version {
            return Applied::Missing;
        }
        self.version = row.to;
        self.transit = row.transit;
        let mut others = Vec::new();
        for entry in row.entries {
            let kept = Kept::new(entry, now);
            match self.place(entry.target) {
                Some(place) => self.entries[place] = kept,
                None => others.push(kept),
            }
        }
        if self.entries.len() + others.len() > capacity {
            self.entries.retain(|kept| is_member(kept.target));
            others.truncate(capacity.saturating_sub(self.entries.len()));
        }
        if !others.is_empty() {
            // Two parts that are in order each are merged at no more than what that takes.
            others.sort_unstable_by_key(|kept| kept.target);
            self.entries.reserve_exact(others.len());
            self.entries.append(&mut others);
            self.entries.sort_by_key(|kept| kept.target);
            self.entries.dedup_by_key(|kept| kept.target);
        }
        Applied::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::ZERO;

    fn entry(target: u64) -> RowEntry {
        let link = LinkLatency { fast_us: 1, slow_us: 1, ..LinkLatency::default() };
        RowEntry { target: NodePrefix(target), life: 1, link: Some(link), offset_us: None }
    }

    #[test]
    fn an_entry_is_kept_as_it_was_told() {
        let links =
            [None, entry(0).link, Some(LinkLatency { fast_us: 31_992, loss: 3, ..LinkLatency::default() })];
        for (link, offset_us) in links.into_iter().zip([None, Some(0), Some(OFFSET_MODULUS - 1)]) {
            let told = RowEntry { link, offset_us, ..entry(9) };
            assert_eq!(Kept::new(told, NOW).entry(), (told, NOW));
        }
    }

    #[test]
    fn a_row_of_strangers_is_bounded_and_gives_way_to_members() {
        let entries = |targets: core::ops::Range<u64>| targets.map(entry).collect();
        let mut other = OtherRow::default();
        other.apply(Row { from: 0, to: 60, transit: None, entries: entries(0..60) }, NOW, 10, |target| {
            target.0 < 60
        });
        assert_eq!(other.entries.len(), 10);
        other.apply(Row { from: 60, to: 70, transit: None, entries: entries(100..105) }, NOW, 10, |target| {
            target.0 >= 100
        });
        assert_eq!(other.entries.len(), 5);
    }
}
