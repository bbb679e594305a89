//! All links between sites, one for each direction, by sender and receiver.
//!
//! A table, as each datagram of a world looks into it; what a link does with one stands in `link`.

use core::time::Duration;
use std::sync::Arc;

use crate::Time;
use crate::sim::dice::Dice;
use crate::sim::link::{Link, Pipe};

/// So many sites are looked at one by one as those which may disturb another the soonest: about a cluster of them.
const NEAR: usize = 16;

/// How soon a site can hear of what others do.
#[derive(Clone, Debug)]
pub(super) struct Surroundings {
    /// The nearest sites, and how long what they send is on its way at least, in ascending order.
    pub(super) near: Vec<(usize, Duration)>,
    /// The same for all others.
    pub(super) far: Duration,
}

impl Surroundings {
    /// How long anything that is sent to the site is on its way at least.
    pub(super) fn shortest(&self) -> Duration {
        self.near.first().map_or(self.far, |(_, delay)| *delay)
    }

    fn add(&mut self, from: usize, delay: Duration) {
        let place = self.near.partition_point(|(_, near)| *near <= delay);
        self.near.insert(place, (from, delay));
        if self.near.len() > NEAR {
            self.far = self.near.pop().map_or(self.far, |(_, delay)| delay.min(self.far));
        }
    }
}

/// The links of a world.
pub(super) struct Underlay {
    seed: u64,
    rows: Vec<Vec<Option<Box<Pipe>>>>,
    /// Of each site, or nothing since a link has changed.
    surroundings: Arc<Vec<Surroundings>>,
}

impl Underlay {
    /// Without any link. What links roll follows from `seed` and their ends.
    pub(super) fn new(seed: u64) -> Self {
        Underlay { seed, rows: Vec::new(), surroundings: Arc::default() }
    }

    /// Replaces the link from one site to another; a datagram on its way still arrives.
    pub(super) fn set(&mut self, from: usize, to: usize, link: Link) {
        self.surroundings = Arc::default();
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

    /// The surroundings of each of so many sites.
    pub(super) fn surroundings(&mut self, sites: usize) -> Arc<Vec<Surroundings>> {
        if self.surroundings.len() != sites {
            let nothing = Surroundings { near: Vec::new(), far: Duration::from_nanos(u64::MAX) };
            let mut surroundings = vec![nothing; sites];
            for (from, row) in self.rows.iter().enumerate() {
                for (one, pipe) in surroundings.iter_mut().zip(row) {
                    if let Some(pipe) = pipe {
                        one.add(from, Duration::from_nanos(pipe.link.delay_ns));
                    }
                }
            }
            self.surroundings = Arc::new(surroundings);
        }
        self.surroundings.clone()
    }

    /// When the last of all datagrams on their way arrives.
    pub(super) fn last_arrival(&self) -> Time {
        self.all().map(Pipe::last_at).max().unwrap_or(Time::ZERO)
    }
}
