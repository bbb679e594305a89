//! All links between sites, one for each direction, by sender and receiver.
//!
//! A table, as each datagram of a world looks into it; what a link does with one stands in `link`.

use core::time::Duration;

use crate::Time;
use crate::sim::dice::Dice;
use crate::sim::link::{Link, Pipe};

/// The links of a world.
pub(super) struct Underlay {
    seed: u64,
    rows: Vec<Vec<Option<Box<Pipe>>>>,
    /// The shortest delays to each site, in nanoseconds, or nothing since one has changed.
    shortest: Vec<u64>,
}

impl Underlay {
    /// Without any link. What links roll follows from `seed` and their ends.
    pub(super) fn new(seed: u64) -> Self {
        Underlay { seed, rows: Vec::new(), shortest: Vec::new() }
    }

    /// Replaces the link from one site to another; a datagram on its way still arrives.
    pub(super) fn set(&mut self, from: usize, to: usize, link: Link) {
        self.shortest.clear();
        if self.rows.len() <= from {
            self.rows.resize_with(from + 1, Vec::new);
        }
        let row = &mut self.rows[from];
        if row.len() <= to {
            row.resize_with(to + 1, || None);
        }
        let seed = self.seed;
        let new = || Box::new(Pipe::new(link, Dice::named(seed, &format!("link {from} {to}"))));
        row[to].get_or_insert_with(new).link = link;
    }

    /// The link from one site to another, if there is one.
    pub(super) fn get(&self, from: usize, to: usize) -> Option<&Pipe> {
        self.rows.get(from)?.get(to)?.as_deref()
    }

    /// The same, to be used or changed; but not its delay.
    pub(super) fn get_mut(&mut self, from: usize, to: usize) -> Option<&mut Pipe> {
        self.rows.get_mut(from)?.get_mut(to)?.as_deref_mut()
    }

    /// All links.
    pub(super) fn all(&self) -> impl Iterator<Item = &Pipe> {
        self.rows.iter().flatten().flatten().map(|pipe| &**pipe)
    }

    /// The same, to be changed; but not their delays.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Pipe> {
        self.rows.iter_mut().flatten().flatten().map(|pipe| &mut **pipe)
    }

    /// How long nothing that is sent now arrives at each of so many sites, at least.
    pub(super) fn shortest_delays_to(&mut self, sites: usize) -> Vec<Duration> {
        if self.shortest.len() != sites {
            self.shortest = vec![u64::MAX; sites];
            for row in &self.rows {
                for (shortest, pipe) in self.shortest.iter_mut().zip(row) {
                    *shortest = pipe.as_ref().map_or(*shortest, |pipe| pipe.link.delay_ns.min(*shortest));
                }
            }
        }
        self.shortest.iter().map(|shortest| Duration::from_nanos(*shortest)).collect()
    }

    /// When the last of all datagrams on their way arrives.
    pub(super) fn last_arrival(&self) -> Time {
        self.all().map(Pipe::last_at).max().unwrap_or(Time::ZERO)
    }
}
