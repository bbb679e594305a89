//! What the lowest costs are, by min-plus products instead of Dijkstra: the judge of the engine's paths.
//!
//! Knows numbers only: neither engines nor hysteresis.

/// Costs between all pairs, in nanoseconds (of round trips, or of one direction: sums only have to make sense), row =
/// from, column = to; `None` where there is no link or no path. The diagonal is ignored.
pub type Costs = Vec<Vec<Option<u64>>>;

/// The lowest cost from each node to each other over at most `max_links` links, each relay in between
/// charged with `relay_charge_ns`.
pub fn lowest_costs(links: &Costs, relay_charge_ns: u64, max_links: usize) -> Costs {
    let mut best = links.clone();
    for _ in 1..max_links {
        best = one_link_further(&best, links, relay_charge_ns);
    }
    best
}

/// The cheaper of `paths` and `paths` prolonged by one of `links`: one min-plus product.
fn one_link_further(paths: &Costs, links: &Costs, relay_charge_ns: u64) -> Costs {
    let nodes = links.len();
    let mut best = paths.clone();
    for from in 0..nodes {
        for relay in (0..nodes).filter(|&relay| relay != from) {
            let Some(there) = paths[from][relay] else { continue };
            for to in (0..nodes).filter(|&to| to != from && to != relay) {
                let Some(on) = links[relay][to] else { continue };
                let cost = there + relay_charge_ns + on;
                if best[from][to].is_none_or(|known| cost < known) {
                    best[from][to] = Some(cost);
                }
            }
        }
    }
    best
}

/// The cost of `path` (nodes in order, from the source to the destination), if all its links exist.
pub fn path_cost(links: &Costs, relay_charge_ns: u64, path: &[usize]) -> Option<u64> {
    let relays = path.len().checked_sub(2)? as u64;
    let mut cost = relays * relay_charge_ns;
    for pair in path.windows(2) {
        cost += links[pair[0]][pair[1]]?;
    }
    Some(cost)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::dice::Dice;

    const MS: u64 = 1_000_000;

    #[test]
    fn seoul_is_reached_through_inagi() {
        let links = vec![
            vec![None, Some(4 * MS), Some(32 * MS)],
            vec![Some(4 * MS), None, Some(17 * MS)],
            vec![Some(32 * MS), Some(17 * MS), None],
        ];
        let best = lowest_costs(&links, MS / 10, 4);
        assert_eq!(best[0][2], Some(21 * MS + MS / 10));
        assert_eq!(best[0][1], Some(4 * MS));
        assert_eq!(path_cost(&links, MS / 10, &[0, 1, 2]), best[0][2]);
    }

    #[test]
    fn a_line_of_six_is_too_long_for_four_links() {
        let mut links = vec![vec![None; 6]; 6];
        for node in 0..5 {
            links[node][node + 1] = Some(MS);
        }
        let best = lowest_costs(&links, 0, 4);
        assert_eq!(best[0][4], Some(4 * MS));
        assert_eq!(best[0][5], None);
        assert_eq!(path_cost(&links, 0, &[0, 2]), None);
    }

    #[test]
    fn no_path_is_cheaper_when_all_are_tried() {
        let mut dice = Dice::named(11, "oracle");
        for _ in 0..50 {
            let links: Costs = (0..5)
                .map(|_| (0..5).map(|_| dice.chance(0.7).then(|| dice.below(100) + 1)).collect())
                .collect();
            let best = lowest_costs(&links, 3, 3);
            for (from, row) in best.iter().enumerate() {
                for to in (0..5).filter(|&to| to != from) {
                    assert_eq!(row[to], cheapest_by_trial(&links, from, to));
                }
            }
        }
    }

    fn cheapest_by_trial(links: &Costs, from: usize, to: usize) -> Option<u64> {
        let others = || (0..links.len()).filter(move |&node| node != from && node != to);
        let direct = path_cost(links, 3, &[from, to]);
        let one = others().filter_map(|a| path_cost(links, 3, &[from, a, to]));
        let two = others().flat_map(|a| {
            others().filter(move |&b| b != a).filter_map(move |b| path_cost(links, 3, &[from, a, b, to]))
        });
        direct.into_iter().chain(one).chain(two).min()
    }
}
