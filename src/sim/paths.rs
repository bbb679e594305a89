//! The engine's own path selection on given latencies, without engines: for planning, and to be held
//! against the oracle.

use core::time::Duration;

use crate::node::NodePrefix;
use crate::rng::Rng;
use crate::route::{KnownLink, Policy, Router};
use crate::sim::oracle::Costs;
use crate::time::Time;
use crate::wire::latency::{LinkLatency, Transit};

/// One node's choice of paths on given latencies.
pub struct PathChoice {
    nodes: Vec<NodePrefix>,
    links: Vec<KnownLink>,
    from: usize,
    router: Router,
}

impl PathChoice {
    /// The choice of the node `from`. `links` are round-trip times in nanoseconds, of which whole microseconds count.
    pub fn new(links: &Costs, from: usize, relay_charge: Duration) -> Self {
        let prefix = |node: usize| NodePrefix(node as u64);
        let link = |from: usize, to: usize| {
            let us = u32::try_from(links[from][to]? / 1000).ok()?;
            Some((
                from as u16,
                to as u16,
                Some(LinkLatency { fast_us: us, slow_us: us, ..LinkLatency::default() }),
            ))
        };
        let ends = (0..links.len()).flat_map(|from| (0..links.len()).map(move |to| (from, to)));
        let known = ends.filter(|(from, to)| from != to).filter_map(|(from, to)| link(from, to)).collect();
        let router = Router::new(prefix(from), relay_charge, Policy::default(), Rng::new([0; 32]));
        PathChoice { nodes: (0..links.len()).map(prefix).collect(), links: known, from, router }
    }

    /// Chooses all paths and their backups, anew if that was done before.
    pub fn select(&mut self) {
        self.router.select(&self.nodes, &self.links, |_| Some(Transit::default()), Time::ZERO);
    }

    /// The path to each other node, as indices of the relays in order and the destination last; empty for the node
    /// itself. Where no measured path leads, the direct one.
    pub fn paths(&self) -> Vec<Vec<usize>> {
        let hops =
            |node: NodePrefix| self.router.path(node).hops().iter().map(|hop| hop.0 as usize).collect();
        let nodes = self.nodes.iter().enumerate();
        nodes.map(|(at, node)| if at == self.from { Vec::new() } else { hops(*node) }).collect()
    }
}

/// The path that a node would choose to each other one, as [`PathChoice::paths`] gives them.
pub fn select_paths(links: &Costs, from: usize, relay_charge: Duration) -> Vec<Vec<usize>> {
    let mut choice = PathChoice::new(links, from, relay_charge);
    choice.select();
    choice.paths()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MAX_HOPS;
    use crate::sim::Dice;
    use crate::sim::oracle::{lowest_costs, path_cost};

    #[test]
    fn on_any_latencies_dijkstra_and_the_oracle_agree() {
        for seed in 0..300 {
            let mut dice = Dice::named(seed, "latencies");
            let nodes = 2 + dice.below(9) as usize;
            let density = dice.share();
            let mut entry = || dice.chance(density).then(|| (1 + dice.below(100)) * 1_000_000);
            let mut links: Costs = (0..nodes).map(|_| (0..nodes).map(|_| entry()).collect()).collect();
            for (one, other) in (0..nodes).flat_map(|one| (0..one).map(move |other| (one, other))) {
                // Both ends of a link that passes both ways measure the same.
                if let (Some(time), Some(_)) = (links[one][other], links[other][one]) {
                    links[other][one] = Some(time);
                }
            }
            let charge = Duration::from_micros(100);
            let best = lowest_costs(&links, 100_000, MAX_HOPS);
            for (from, best) in best.iter().enumerate() {
                for (to, path) in select_paths(&links, from, charge).into_iter().enumerate() {
                    let path: Vec<usize> = core::iter::once(from).chain(path).collect();
                    assert!(to == from || path_cost(&links, 100_000, &path) == best[to], "seed {seed}");
                }
            }
        }
    }
}
