//! The path to take when the chosen one fails, ready before it does.
//!
//! A backup has at most one relay: one is nearly as good as any number, and all backups are found in one pass
//! over the links. Where there is none, paths are chosen anew as soon as the chosen one fails.

use arrayvec::ArrayVec;

use crate::route::dijkstra::Hops;
use crate::route::graph::Edge;

/// What a backup shares with the chosen path, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shares {
    /// Neither the first hop nor a link.
    Nothing,
    /// A link, but not the first hop.
    Link,
    /// The first hop.
    FirstHop,
}

/// For each vertex the lowest path from `source` of at most one relay that shares the least with the chosen
/// path, which `chosen` has for each vertex; `None` where no other path leads there.
pub(super) fn backups(edges: &[Edge], source: usize, chosen: &[Option<Hops>]) -> Vec<Option<Hops>> {
    let mut first = vec![None; chosen.len()];
    for edge in edges.iter().filter(|edge| usize::from(edge.from) == source) {
        first[usize::from(edge.to)] = Some(i64::from(edge.weight));
    }
    let mut best: Vec<Option<(Shares, i64, Option<usize>)>> = vec![None; chosen.len()];
    for (to, hops) in chosen.iter().enumerate() {
        if hops.as_ref().is_some_and(|hops| hops.len() > 1) {
            best[to] = first[to].map(|weight| (Shares::Nothing, weight, None));
        }
    }
    // First hop and last relay of the chosen paths side by side, for the loop over all links.
    let ends: Vec<Option<(usize, usize, bool)>> = chosen
        .iter()
        .map(|hops| {
            let hops = hops.as_ref()?;
            Some((*hops.first()?, *hops.iter().nth_back(1).unwrap_or(&usize::MAX), hops.len() == 2))
        })
        .collect();
    for edge in edges {
        let (relay, to) = (usize::from(edge.from), usize::from(edge.to));
        let Some(there) = first[relay] else { continue };
        let total = there + i64::from(edge.weight);
        // Most links end here.
        if best[to].is_some_and(|(shares, lowest, _)| shares == Shares::Nothing && lowest <= total) {
            continue;
        }
        let Some((first_hop, last_relay, is_one_relay)) = ends[to] else { continue };
        let shares = match (relay == first_hop, relay == last_relay) {
            // That is the chosen path itself.
            (true, true) if is_one_relay => continue,
            (true, _) => Shares::FirstHop,
            (false, true) => Shares::Link,
            (false, false) => Shares::Nothing,
        };
        if best[to].is_none_or(|(least, lowest, _)| (shares, total) < (least, lowest)) {
            best[to] = Some((shares, total, Some(relay)));
        }
    }
    let hops = |(to, best): (usize, Option<(Shares, i64, Option<usize>)>)| {
        best.map(|(_, _, relay)| relay.into_iter().chain([to]).collect::<ArrayVec<_, _>>())
    };
    best.into_iter().enumerate().map(hops).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The backup from 0 to `to` beside the path that is chosen.
    fn backup(links: &[(u16, u16, i32)], vertices: usize, path: &[usize]) -> Option<Vec<usize>> {
        let edges: Vec<Edge> = links.iter().map(|&(from, to, weight)| Edge { from, to, weight }).collect();
        let to = *path.last().unwrap();
        let mut chosen = vec![None; vertices];
        chosen[to] = Some(path.iter().copied().collect());
        backups(&edges, 0, &chosen)[to].as_ref().map(|hops| hops.to_vec())
    }

    const LINKS: &[(u16, u16, i32)] = &[
        (0, 1, 30),
        (0, 2, 1),
        (0, 3, 20),
        (0, 4, 6),
        (2, 1, 1),
        (2, 3, 2),
        (3, 1, 2),
        (4, 1, 40),
        (4, 3, 9),
    ];

    #[test]
    fn a_direct_path_is_backed_up_by_the_lowest_relayed_one() {
        assert_eq!(backup(LINKS, 5, &[1]), Some(vec![2, 1]));
    }

    #[test]
    fn a_relayed_path_is_backed_up_without_its_first_hop_or_any_of_its_links() {
        assert_eq!(backup(LINKS, 5, &[2, 1]), Some(vec![3, 1]));
        assert_eq!(backup(LINKS, 5, &[2, 3, 1]), Some(vec![1]), "3 - 1 is a link of it");
    }

    #[test]
    fn where_every_other_path_shares_something_the_first_hop_is_avoided_before_the_links() {
        let links = [(0, 2, 1), (0, 3, 5), (2, 1, 1), (2, 3, 1), (3, 1, 1)];
        assert_eq!(backup(&links, 4, &[2, 3, 1]), Some(vec![3, 1]));
        assert_eq!(backup(&links[..1], 4, &[2, 1]), None);
        let links = [(0, 2, 1), (2, 1, 9), (2, 3, 1), (3, 1, 1)];
        assert_eq!(backup(&links, 4, &[2, 3, 1]), Some(vec![2, 1]));
    }

    #[test]
    fn a_path_that_is_the_only_one_has_no_backup() {
        assert_eq!(backup(&[(0, 1, 5)], 2, &[1]), None);
        assert_eq!(backup(&[(0, 2, 5), (2, 1, 5)], 3, &[2, 1]), None);
    }
}
