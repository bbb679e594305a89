//! The engine's own path selection on given latencies, without engines: for planning, and to be held
//! against the oracle.

use core::time::Duration;

use crate::node::NodePrefix;
use crate::rng::Rng;
use crate::route::{Policy, Router};
use crate::sim::oracle::Costs;
use crate::time::Time;
use crate::wire::latency::{LinkLatency, Transit};

/// The path that a node would choose to each other one, as indices of the relays in order and the
/// destination last; empty for the node itself.
///
/// `links` are round-trip times in nanoseconds, of which whole microseconds count. Where no measured path
/// leads, the direct one is chosen.
pub fn select_paths(links: &Costs, from: usize, relay_charge: Duration) -> Vec<Vec<usize>> {
    let prefix = |node: usize| NodePrefix(node as u64);
    let link = |from: NodePrefix, to: NodePrefix| {
        let us = u32::try_from(links[from.0 as usize][to.0 as usize]? / 1000).ok()?;
        Some(LinkLatency { fast_us: us, slow_us: us, ..LinkLatency::default() })
    };
    let nodes: Vec<NodePrefix> = (0..links.len()).map(prefix).collect();
    let ends = (0..nodes.len()).flat_map(|from| (0..nodes.len()).map(move |to| (from, to)));
    let up = ends.filter(|(from, to)| from != to);
    let up = up.filter_map(|(from, to)| Some((from, to, Some(link(prefix(from), prefix(to))?))));
    let mut router = Router::new(prefix(from), relay_charge, Policy::default(), Rng::new([0; 32]));
    router.select(&nodes, &up.collect::<Vec<_>>(), |_| Some(Transit::default()), Time::ZERO);
    let hops = |node: usize| router.path(prefix(node)).hops().iter().map(|hop| hop.0 as usize).collect();
    (0..links.len()).map(|node| if node == from { Vec::new() } else { hops(node) }).collect()
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
            let links: Costs = (0..nodes).map(|_| (0..nodes).map(|_| entry()).collect()).collect();
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
