//! What holds in the virtual world at a moment, whatever its engines believe: delays, the oracle's paths, who could
//! reach whom. Engines never see any of it.

use leon::Time;
use leon::config::MAX_HOPS;
use leon::sim::oracle::lowest_costs;
use leon::sim::{Dice, SiteState, World};

use super::underlay::Delays;

/// The delays of the moment and what follows from them.
pub(super) struct Truth {
    /// Mean one-way delays; `None` where nothing passes.
    pub(super) delays: Delays,
    /// The lowest one-way delays over any path, each relay charged, over links that pass both ways: others cannot be
    /// measured from their ends.
    pub(super) best: Delays,
    /// What a relay adds to a one-way delay, in nanoseconds.
    relay_ns: u64,
    jitter_ns: u64,
}

impl Truth {
    pub(super) fn of(world: &World, jitter_ns: u64) -> Truth {
        let delays = world.true_delays();
        // The engines count in round trips.
        let relay_ns = world.config(0).relay_charge.as_nanos() as u64 / 2;
        let sites = delays.len();
        let link = |from: usize, to: usize| delays[from][to].filter(|_| delays[to][from].is_some());
        let links = (0..sites).map(|from| (0..sites).map(|to| link(from, to)).collect()).collect();
        Truth { best: lowest_costs(&links, relay_ns, MAX_HOPS), delays, relay_ns, jitter_ns }
    }

    /// The one-way delay of a path from `from` over these hops by `delays`; `None` if it is broken or empty.
    pub(super) fn delay(&self, delays: &Delays, from: usize, hops: &[usize]) -> Option<u64> {
        let relays = hops.len().checked_sub(1)? as u64;
        let mut at = from;
        hops.iter().try_fold(relays * self.relay_ns, |sum, &hop| {
            let link = delays[at][hop]?;
            at = hop;
            Some(sum + link)
        })
    }

    /// True if all links of a path pass, in its direction.
    pub(super) fn is_live(&self, from: usize, hops: &[usize]) -> bool {
        self.delay(&self.delays, from, hops).is_some()
    }

    /// The delays that datagrams sent now meet.
    pub(super) fn draw(&self, dice: &mut Dice) -> Delays {
        let mut draw = |mean: u64| match self.jitter_ns {
            0 => mean,
            jitter_ns => mean - jitter_ns / 2 + dice.below(jitter_ns + 1),
        };
        self.delays.iter().map(|row| row.iter().map(|mean| mean.map(&mut draw)).collect()).collect()
    }

    /// For each running site the lowest one that links, which pass both ways, connect it with.
    fn components(&self, world: &World) -> Vec<Option<usize>> {
        let sites = self.delays.len();
        let mut components = vec![None; sites];
        let runs = |site: usize| world.state(site) == SiteState::Running;
        for first in (0..sites).filter(|&site| runs(site)) {
            let mut found = vec![first];
            while let Some(site) = found.pop() {
                if components[site].is_none() {
                    components[site] = Some(first);
                    let is_next = |&to: &usize| {
                        components[to].is_none()
                            && runs(to)
                            && self.delays[site][to].is_some()
                            && self.delays[to][site].is_some()
                    };
                    found.extend((0..sites).filter(is_next));
                }
            }
        }
        components
    }
}

/// Which sites could reach each other, from when on.
#[derive(Default)]
pub(super) struct Reachability(Vec<(Time, Vec<Option<usize>>)>);

impl Reachability {
    /// From now on it is as `truth` says.
    pub(super) fn note(&mut self, world: &World, truth: &Truth) {
        let components = truth.components(world);
        if self.0.last().is_none_or(|(_, last)| *last != components) {
            self.0.push((world.now(), components));
        }
    }

    /// True if both ran and could reach each other throughout `span`.
    pub(super) fn holds(&self, one: usize, other: usize, span: core::ops::RangeInclusive<Time>) -> bool {
        let begun = self.0.iter().rposition(|(from, _)| from <= span.start());
        let during = self.0[begun.unwrap_or(0)..].iter().take_while(|(from, _)| from <= span.end());
        let connected =
            |components: &[Option<usize>]| components[one].is_some() && components[one] == components[other];
        begun.is_some() && during.map(|(_, components)| components).all(|components| connected(components))
    }
}
