//! The latency database: the latency between any two members (§4.2), a row for each node that measures. Here is the own
//! one; those of others are in `other_row`.
//!
//! A row is a log: each change of an entry makes a new version of the row, and a message carries what
//! changed between two versions. Whoever lacks the first of them asks for the difference, so a lost message
//! is repaired exactly, however long a row is and however it is split.

use std::collections::BTreeMap;

use crate::latency::offset::{Line, wrap};
use crate::node::NodePrefix;
use crate::time::Time;
use crate::wire::latency::{LinkLatency, OFFSET_MODULUS, Row, RowEntry, Transit};

/// How much a time must move to be advertised anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Precision {
    /// By more than 5 %, 0.5 ms, and its deviation or more, which is chance: in each round.
    Coarse,
    /// The same, and offsets that were not known: in some rounds, as they come to be known one after the other.
    Offsets,
    /// By more than 0.5 %, 0.05 ms, and what is chance: once in a while, so that small errors do not stay.
    Fine,
}

impl Precision {
    /// True if a time of `from` microseconds has moved enough at `to`; by `chance` it does so anyway.
    fn has_moved(self, from: u32, to: u32, chance: u32) -> bool {
        let (share, us) = match self {
            Precision::Coarse | Precision::Offsets => (20, chance.max(500)),
            Precision::Fine => (200, chance.max(50)),
        };
        from.abs_diff(to) > (from / share).max(us)
    }
}

/// A link is also advertised anew when its loss moves by ten points of a hundred: less cannot be told
/// from chance in 30 s of probes, and an entry that follows chance makes paths flap.
const MOVED_LOSS: u8 = 26;
/// A deviation is advertised anew when it is four times as much or a quarter, and has moved by this at least, or half of it
/// with fine precision: it is known by few samples.
const MOVED_JITTER_US: u32 = 1000;
/// An offset by so many deviations is chance: those that read it disregard what is not far above.
const OFFSET_CHANCE: u32 = 5;

/// A load is advertised anew when it moves by a sixteenth of what the node can relay, a delay when it moves by a
/// quarter and 50 us.
const MOVED_LOAD: u8 = 16;
const MOVED_DELAY_US: u16 = 50;

/// An entry of the own row.
#[derive(Debug)]
struct Advertised {
    /// The version of the row that brought it.
    version: u64,
    /// Without an offset.
    entry: RowEntry,
    /// The offset with which it became a part of the row.
    offset: Option<Line>,
    /// The same as it is measured now: what is sent is for the moment when it is.
    latest_offset: Option<Line>,
}

/// The row of this node, as advertised.
#[derive(Debug)]
pub(crate) struct OwnRow {
    version: u64,
    transit: Option<Transit>,
    entries: BTreeMap<NodePrefix, Advertised>,
}

impl Default for OwnRow {
    fn default() -> Self {
        OwnRow { version: 0, transit: Some(Transit::default()), entries: BTreeMap::new() }
    }
}

impl OwnRow {
    /// The version after the latest change; 0 for an empty row.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// All entries, by target.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &RowEntry> {
        self.entries.values().map(|advertised| &advertised.entry)
    }

    /// What is advertised of this node as a relay.
    pub(crate) fn transit(&self) -> Option<Transit> {
        self.transit
    }

    /// Takes what this node is as a relay; true if it differs from what is advertised by enough to say so.
    pub(crate) fn set_transit(&mut self, transit: Option<Transit>) -> bool {
        let has_moved = match (self.transit, transit) {
            (Some(from), Some(to)) => {
                from.load.abs_diff(to.load) >= MOVED_LOAD
                    || from.delay_us.abs_diff(to.delay_us) > (from.delay_us / 4).max(MOVED_DELAY_US)
            }
            (from, to) => from != to,
        };
        if has_moved {
            self.version += 1;
            self.transit = transit;
        }
        has_moved
    }

    /// What is advertised for the link to this life of `target`.
    pub(crate) fn get(&self, target: NodePrefix, life: u16) -> Option<Option<LinkLatency>> {
        self.advertised(target, life).map(|advertised| advertised.entry.link)
    }

    fn advertised(&self, target: NodePrefix, life: u16) -> Option<&Advertised> {
        self.entries.get(&target).filter(|advertised| advertised.entry.life == life)
    }

    /// Takes a measurement at `now`; true if it differs from what is advertised by enough to say so. What is kept is what
    /// others read of it, so that all nodes have the same.
    pub(crate) fn set(
        &mut self,
        mut entry: RowEntry,
        offset: Option<Line>,
        precision: Precision,
        now: Time,
    ) -> bool {
        entry.link = entry.link.map(LinkLatency::as_written);
        let is_known = self.advertised(entry.target, entry.life).is_some_and(|advertised| {
            let offsets = (advertised.offset, offset);
            !has_moved(advertised.entry.link, entry.link, precision)
                && !entry.link.is_some_and(|link| has_offset_moved(offsets, link, precision, now))
        });
        if is_known {
            self.entries.entry(entry.target).and_modify(|advertised| advertised.latest_offset = offset);
            return false;
        }
        self.version += 1;
        let advertised = Advertised { version: self.version, entry, offset, latest_offset: offset };
        self.entries.insert(entry.target, advertised);
        true
    }

    /// Says that the link to a node that is gone is down; true if that is news. The entry stays: a reader that has
    /// missed the news must still find it.
    pub(crate) fn withdraw(&mut self, target: NodePrefix) -> bool {
        let up = self.entries.get_mut(&target).filter(|advertised| advertised.entry.link.is_some());
        let Some(advertised) = up else { return false };
        self.version += 1;
        (advertised.version, advertised.entry.link) = (self.version, None);
        (advertised.offset, advertised.latest_offset) = (None, None);
        true
    }

    /// What tells those of the row's version whom no probe reaches.
    pub(crate) fn reminder(&self, version: u64) -> Row {
        Row { from: version, to: version, transit: self.transit, entries: Vec::new() }
    }

    /// Drops the entries of nodes that are not members, if there are more than `capacity`.
    pub(crate) fn prune(&mut self, capacity: usize, is_member: impl Fn(NodePrefix) -> bool) {
        if self.entries.len() > capacity {
            self.entries.retain(|target, _| is_member(*target));
        }
    }

    /// Messages that take a reader from version `from` to the present one, to be sent at `now`; none if it is there.
    pub(crate) fn since(&self, from: u64, now: Time) -> Vec<Row> {
        let mut changed: Vec<_> =
            self.entries.values().filter(|advertised| advertised.version > from).collect();
        changed.sort_unstable_by_key(|advertised| advertised.version);
        let mut rows: Vec<Row> = Vec::new();
        for part in changed.chunks(Row::MAX_ENTRIES) {
            let from = rows.last().map_or(from, |row| row.to);
            let to = part.last().map_or(from, |advertised| advertised.version);
            let entry = |advertised: &&Advertised| {
                let offset_us = advertised
                    .latest_offset
                    .map(|line| line.at(now).rem_euclid(f64::from(OFFSET_MODULUS)) as u32);
                RowEntry { offset_us, ..advertised.entry }
            };
            let entries = part.iter().map(entry).collect();
            rows.push(Row { from, to, transit: self.transit, entries });
        }
        // Versions whose entries are gone end the log too.
        match rows.last_mut() {
            Some(last) => last.to = self.version,
            None if from < self.version => {
                rows.push(Row { from, to: self.version, transit: self.transit, entries: Vec::new() });
            }
            None => {}
        }
        rows
    }
}

/// True if a deviation has moved to four times as much, or to a quarter.
fn has_other_jitter(from_us: u32, to_us: u32, precision: Precision) -> bool {
    let least = match precision {
        Precision::Coarse | Precision::Offsets => MOVED_JITTER_US,
        Precision::Fine => MOVED_JITTER_US / 2,
    };
    from_us.abs_diff(to_us) > (from_us.max(to_us) / 4 * 3).max(least)
}

fn has_moved(from: Option<LinkLatency>, to: Option<LinkLatency>, precision: Precision) -> bool {
    match (from, to) {
        (None, None) => false,
        (Some(from), Some(to)) => {
            let chance = 2 * from.jitter_us.max(to.jitter_us);
            precision.has_moved(from.fast_us, to.fast_us, chance)
                || precision.has_moved(from.slow_us, to.slow_us, chance / 2)
                || has_other_jitter(from.jitter_us, to.jitter_us, precision)
                || from.loss.abs_diff(to.loss) >= MOVED_LOSS
        }
        (None, Some(_)) | (Some(_), None) => true,
    }
}

/// True if the offset was another one than was told, on the scale of round-trip times, as skews are; with fine precision,
/// if it is another one than follows from that: a reader that looks far back is less and less sure.
fn has_offset_moved(
    (from, to): (Option<Line>, Option<Line>),
    link: LinkLatency,
    precision: Precision,
    now: Time,
) -> bool {
    let (from, to) = match (from, to) {
        (Some(from), Some(to)) => (from, to),
        (Some(_), None) => return true,
        (None, to) => return to.is_some() && precision != Precision::Coarse,
    };
    let at = match precision {
        Precision::Coarse | Precision::Offsets => from.begin(),
        Precision::Fine => now,
    };
    let moved = 2.0 * wrap(to.at(at) - from.at(at), f64::from(OFFSET_MODULUS)).abs();
    let chance = OFFSET_CHANCE.saturating_mul(link.jitter_us);
    precision.has_moved(link.slow_us, link.slow_us.saturating_add(moved as u32), chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::other_row::{Applied, OtherRow};

    const NOW: Time = Time::ZERO;

    fn link(us: u32) -> Option<LinkLatency> {
        Some(LinkLatency { fast_us: us, slow_us: us, ..LinkLatency::default() })
    }

    fn entry(target: u64, link: Option<LinkLatency>) -> RowEntry {
        RowEntry { target: NodePrefix(target), life: 1, link, offset_us: None }
    }

    fn read(row: &OtherRow, target: u64) -> Option<Option<LinkLatency>> {
        row.get(NodePrefix(target), 1).map(|(entry, _)| entry.link)
    }

    #[test]
    fn small_movements_are_not_advertised() {
        let mut row = OwnRow::default();
        let target = 1;
        assert!(row.set(entry(target, link(100_000)), None, Precision::Coarse, NOW));
        assert!(!row.set(entry(target, link(104_900)), None, Precision::Coarse, NOW), "within 5 %");
        assert!(row.set(entry(target, link(105_100)), None, Precision::Coarse, NOW));
        assert!(row.set(entry(target, link(1_000)), None, Precision::Coarse, NOW));
        assert!(!row.set(entry(target, link(1_450)), None, Precision::Coarse, NOW), "within 0.5 ms");
        assert!(!row.set(entry(target, link(1_400)), None, Precision::Coarse, NOW));
        assert!(row.set(entry(target, link(1_400)), None, Precision::Fine, NOW), "once in a while");
        assert!(row.set(entry(target, None), None, Precision::Coarse, NOW));
        assert!(!row.set(entry(target, None), None, Precision::Coarse, NOW));
    }

    #[test]
    fn a_lost_message_is_noticed_and_repaired_exactly() {
        let mut own = OwnRow::default();
        let mut other = OtherRow::default();
        own.set(entry(1, link(1_000)), None, Precision::Coarse, NOW);
        for row in own.since(0, NOW) {
            assert_eq!(other.apply(row, NOW, 10, |_| true), Applied::Changed);
        }
        own.set(entry(2, link(2_000)), None, Precision::Coarse, NOW);
        let lost_from = 1;
        let _lost = own.since(lost_from, NOW);
        own.set(entry(3, link(3_000)), None, Precision::Coarse, NOW);
        let late = own.since(2, NOW);
        assert_eq!(other.apply(late[0].clone(), NOW, 10, |_| true), Applied::Missing);
        for row in own.since(1, NOW) {
            other.apply(row, NOW, 10, |_| true);
        }
        assert_eq!(other.version(), own.version());
        assert_eq!(read(&other, 2), Some(link(2_000)));
        assert_eq!(other.apply(late[0].clone(), NOW, 10, |_| true), Applied::Nothing);
    }

    #[test]
    fn loss_is_advertised_in_steps_that_chance_does_not_take() {
        let lossy = |loss| entry(1, Some(LinkLatency { loss, ..LinkLatency::default() }));
        let mut row = OwnRow::default();
        row.set(lossy(0), None, Precision::Coarse, NOW);
        assert!(!row.set(lossy(25), None, Precision::Coarse, NOW));
        assert!(row.set(lossy(30), None, Precision::Coarse, NOW));
        assert!(
            !row.set(lossy(10), None, Precision::Coarse, NOW)
                && !row.set(lossy(50), None, Precision::Coarse, NOW)
        );
        assert!(row.set(lossy(2), None, Precision::Coarse, NOW));
    }

    #[test]
    fn who_missed_that_a_node_is_gone_still_learns_that_its_link_is_down() {
        let mut own = OwnRow::default();
        let mut other = OtherRow::default();
        own.set(entry(1, link(1_000)), None, Precision::Coarse, NOW);
        other.apply(own.since(0, NOW)[0].clone(), NOW, 10, |_| true);
        own.withdraw(NodePrefix(1));
        other.apply(own.since(other.version(), NOW)[0].clone(), NOW, 10, |_| true);
        assert_eq!(read(&other, 1), Some(None));
    }

    #[test]
    fn a_long_row_is_split_and_its_parts_may_be_asked_for_again() {
        let mut own = OwnRow::default();
        for target in 0..500 {
            own.set(entry(target, link(1_000 + target as u32)), None, Precision::Coarse, NOW);
        }
        let rows = own.since(0, NOW);
        assert!(rows.len() > 5 && rows.iter().all(|row| row.entries.len() <= Row::MAX_ENTRIES));
        let mut other = OtherRow::default();
        for row in rows.iter().take(2).cloned() {
            other.apply(row, NOW, 1000, |_| true);
        }
        assert_eq!(other.apply(rows[3].clone(), NOW, 1000, |_| true), Applied::Missing);
        for row in own.since(other.version(), NOW) {
            other.apply(row, NOW, 1000, |_| true);
        }
        assert!((0..500).all(|target| read(&other, target) == own.get(NodePrefix(target), 1)));
    }

    #[test]
    fn what_a_node_is_as_a_relay_travels_with_its_row_and_is_told_when_it_moves() {
        let mut own = OwnRow::default();
        let mut other = OtherRow::default();
        assert_eq!((own.transit(), other.transit()), (Some(Transit::default()), Some(Transit::default())));
        let busy = |load, delay_us| Some(Transit { load, delay_us });
        assert!(!own.set_transit(busy(15, 50)), "too little to tell of");
        for transit in [busy(16, 0), busy(16, 51), None, busy(0, 0)] {
            assert!(own.set_transit(transit));
            other.apply(own.since(other.version(), NOW)[0].clone(), NOW, 10, |_| true);
            assert_eq!(other.transit(), transit);
        }
    }

    #[test]
    fn an_entry_for_a_former_life_says_nothing_of_the_present_one() {
        let mut own = OwnRow::default();
        own.set(entry(1, link(10)), None, Precision::Coarse, NOW);
        assert_eq!(own.get(NodePrefix(1), 2), None);
        assert!(
            own.set(RowEntry { life: 2, ..entry(1, link(10)) }, None, Precision::Coarse, NOW),
            "the same time is news in another life"
        );
    }
}
