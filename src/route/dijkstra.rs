//! Dijkstra's algorithm over the latency database, on petgraph.
//!
//! petgraph gives costs without paths. So the cost carries the path: the number of hops and the
//! predecessor take part in it, below the total, which also makes ties the same on every node: fewer hops
//! first, then the lower predecessor.

use core::cmp::Ordering;
use core::ops::Add;

use arrayvec::ArrayVec;
use petgraph::algo::dijkstra;
use petgraph::visit::EdgeRef;

use crate::config::MAX_HOPS;
use crate::route::graph::{Edge, Graph};

/// What it takes to get to a vertex.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
struct Label {
    total: u64,
    hops: u32,
    previous: u32,
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.total, self.hops, self.previous).cmp(&(other.total, other.hops, other.previous))
    }
}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Add for Label {
    type Output = Label;

    /// `self` leads to the tail of the link `link`.
    fn add(self, link: Label) -> Label {
        Label {
            total: self.total.saturating_add(link.total),
            hops: self.hops + link.hops,
            previous: link.previous,
        }
    }
}

/// How a vertex is reached from a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// By this path, the lowest of at most [`MAX_HOPS`] links.
    Path(Hops),
    /// Only by paths of more than [`MAX_HOPS`] links.
    TooFar,
    /// Not at all, or it is the source.
    None,
}

impl Reach {
    /// The path, if it keeps the limit.
    pub(crate) fn within_limit(self) -> Option<Hops> {
        match self {
            Reach::Path(hops) => Some(hops),
            Reach::TooFar | Reach::None => None,
        }
    }
}

/// The vertices of a path after its source.
pub(crate) type Hops = ArrayVec<usize, MAX_HOPS>;

/// The path of the lowest total cost from `source` to each of `vertices` vertices. `edges` are in the order of their
/// ends, without repeats.
///
/// Weights may be negative; a cycle of negative weight counts as one that costs nothing.
pub(crate) fn lowest_paths(vertices: usize, edges: &[Edge], source: usize) -> Vec<Reach> {
    let weights = Weights(potentials(vertices, edges));
    let labels = labels(vertices, edges, &weights, source);
    if labels.iter().flatten().all(|label| label.hops as usize <= MAX_HOPS) {
        let path = |vertex| walk_back(vertex, source, |at, _| labels[at]);
        return (0..vertices).map(|vertex| path(vertex).map_or(Reach::None, Reach::Path)).collect();
    }
    let paths = lowest_paths_in_layers(vertices, edges, &weights, source).into_iter();
    let reach = |(path, label): (Option<Hops>, &Option<Label>)| match (path, label) {
        (Some(path), _) => Reach::Path(path),
        (None, Some(_)) => Reach::TooFar,
        (None, None) => Reach::None,
    };
    paths.zip(&labels).map(reach).collect()
}

/// The weights as Dijkstra's algorithm takes them: with the potentials of the ends, which leave the order of the
/// paths between two vertices as it is (Johnson, Journal of the ACM 24, 1977).
struct Weights(Option<Vec<i64>>);

impl Weights {
    fn of(&self, from: usize, to: usize, weight: i32) -> u64 {
        let weight = i64::from(weight);
        let shifted = self.0.as_ref().map_or(weight, |potentials| weight + potentials[from] - potentials[to]);
        // Below zero only on a cycle of negative weight.
        u64::try_from(shifted).unwrap_or(0)
    }
}

/// So many times the potentials are lowered at most. A lowest path has few links that are negative, so that two or
/// three times will do; a cycle of negative weight would go on for ever.
const MAX_ROUNDS: usize = 8;

/// What makes each weight zero at least, as far as that can be: the lowest cost of any path to each vertex, by
/// Bellman and Ford. `None` if no weight is negative.
fn potentials(vertices: usize, edges: &[Edge]) -> Option<Vec<i64>> {
    if edges.iter().all(|edge| edge.weight >= 0) {
        return None;
    }
    let mut potentials = vec![0_i64; vertices];
    for _ in 0..MAX_ROUNDS {
        let mut is_stable = true;
        for edge in edges {
            let through = potentials[usize::from(edge.from)] + i64::from(edge.weight);
            let potential = &mut potentials[usize::from(edge.to)];
            if through < *potential {
                *potential = through;
                is_stable = false;
            }
        }
        if is_stable {
            break;
        }
    }
    Some(potentials)
}

fn labels(vertices: usize, edges: &[Edge], weights: &Weights, source: usize) -> Vec<Option<Label>> {
    let graph = Graph::new(vertices, edges);
    let reached = dijkstra(&graph, source as u16, None, |link| Label {
        total: weights.of(link.source().into(), link.target().into(), *link.weight()),
        hops: 1,
        previous: link.source().into(),
    });
    (0..vertices).map(|vertex| reached.get(&(vertex as u16)).copied()).collect()
}

/// The paths where the hop limit matters: by Bellman and Ford, one more link in each round.
fn lowest_paths_in_layers(
    vertices: usize,
    edges: &[Edge],
    weights: &Weights,
    source: usize,
) -> Vec<Option<Hops>> {
    let mut layers = vec![vec![None; vertices]];
    layers[0][source] = Some(Label::default());
    for hops in 1..=MAX_HOPS {
        let known: &Vec<Option<Label>> = &layers[hops - 1];
        let mut lowest = known.clone();
        for edge in edges {
            let (from, to) = (usize::from(edge.from), usize::from(edge.to));
            let Some(label) = known[from] else { continue };
            let total = weights.of(from, to, edge.weight);
            let label = label + Label { total, hops: 1, previous: edge.from.into() };
            if lowest[to].is_none_or(|known| label < known) {
                lowest[to] = Some(label);
            }
        }
        layers.push(lowest);
    }
    let path = |vertex| walk_back(vertex, source, |at, hops| layers[hops.unwrap_or(MAX_HOPS)][at]);
    (0..vertices).map(path).collect()
}

/// The path to a vertex by its predecessors. `label` gives that of a vertex, at which the path has so many hops, if
/// that is known.
fn walk_back(
    to: usize,
    source: usize,
    label: impl Fn(usize, Option<usize>) -> Option<Label>,
) -> Option<Hops> {
    let mut path = Hops::new();
    let mut at = to;
    let mut hops = None;
    while at != source {
        let label = label(at, hops)?;
        path.push(at);
        at = label.previous as usize;
        hops = Some(label.hops as usize - 1);
    }
    path.reverse();
    (!path.is_empty()).then_some(path)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lowest_paths(vertices: usize, links: &[(u16, u16, i32)]) -> Vec<Reach> {
        let mut edges: Vec<Edge> =
            links.iter().map(|&(from, to, weight)| Edge { from, to, weight }).collect();
        edges.sort_unstable_by_key(|edge| (edge.from, edge.to));
        super::lowest_paths(vertices, &edges, 0)
    }

    fn hops(reach: &Reach) -> Option<&[usize]> {
        match reach {
            Reach::Path(hops) => Some(hops),
            Reach::TooFar | Reach::None => None,
        }
    }

    #[test]
    fn the_relay_of_the_paper_is_found() {
        let mut links = Vec::new();
        for (a, b, cost) in [(0, 2, 32), (0, 1, 4), (1, 2, 17)] {
            links.extend([(a, b, cost), (b, a, cost)]);
        }
        let paths = lowest_paths(3, &links);
        assert_eq!(hops(&paths[2]), Some(&[1, 2][..]));
        assert_eq!(hops(&paths[1]), Some(&[1][..]));
        assert_eq!(paths[0], Reach::None);
    }

    #[test]
    fn fewer_hops_win_a_tie_and_then_the_lower_relay() {
        let links = [(0, 3, 10), (0, 1, 5), (1, 3, 5), (0, 2, 4), (0, 4, 4), (2, 5, 4), (4, 5, 4)];
        let paths = lowest_paths(6, &links);
        assert_eq!(hops(&paths[3]), Some(&[3][..]));
        assert_eq!(hops(&paths[5]), Some(&[2, 5][..]));
    }

    #[test]
    fn a_path_has_no_more_hops_than_the_header_has_room_for() {
        let mut links: Vec<_> = (0..6).map(|at| (at, at + 1, 1)).collect();
        let chain = lowest_paths(7, &links);
        assert_eq!(hops(&chain[4]), Some(&[1, 2, 3, 4][..]));
        assert_eq!(chain[5], Reach::TooFar, "five hops away");
        links.push((2, 5, 50));
        let paths = lowest_paths(7, &links);
        assert_eq!(hops(&paths[5]), Some(&[1, 2, 5][..]), "dearer, but within four hops");
        assert_eq!(hops(&paths[6]), Some(&[1, 2, 5, 6][..]));
    }

    /// The lowest total of a path of at most [`MAX_HOPS`] links, by trying all of them.
    fn lowest_total(edges: &[Edge], from: u16, to: u16, links: usize, seen: &[u16]) -> Option<i32> {
        let onward = edges.iter().filter(|edge| edge.from == from && !seen.contains(&edge.to));
        let seen: Vec<u16> = seen.iter().copied().chain([from]).collect();
        let totals = onward.filter_map(|edge| {
            let rest =
                if edge.to == to { Some(0) } else { lowest_total(edges, edge.to, to, links - 1, &seen) };
            Some(edge.weight + rest?)
        });
        if links == 0 { None } else { totals.min() }
    }

    fn total(edges: &[Edge], hops: &Hops) -> i32 {
        let froms = core::iter::once(0).chain(hops.iter().copied());
        let weight = |(from, to): (usize, usize)| {
            let is_it = |edge: &&Edge| (usize::from(edge.from), usize::from(edge.to)) == (from, to);
            edges.iter().find(is_it).unwrap().weight
        };
        froms.zip(hops.iter().copied()).map(weight).sum()
    }

    proptest! {
        /// Costs of ways in one direction, seen on clocks that differ: some become negative.
        #[test]
        fn clocks_that_differ_change_no_path_and_the_total_is_that_of_all_trials(
            costs in prop::collection::vec(prop::option::weighted(0.7, 1_i32..1000), 36),
            clocks in prop::collection::vec(-2000_i32..2000, 6),
        ) {
            let ends = (0..36_u16).map(|at| (at / 6, at % 6)).zip(&costs).filter(|((from, to), _)| from != to);
            let edges_by = |clocks: &[i32]| -> Vec<Edge> {
                let edge = |((from, to), cost): ((u16, u16), &Option<i32>)| {
                    Some(Edge { from, to, weight: (*cost)? + clocks[to as usize] - clocks[from as usize] })
                };
                ends.clone().filter_map(edge).collect()
            };
            let (plain, skewed) = (edges_by(&[0; 6]), edges_by(&clocks));
            let found = super::lowest_paths(6, &skewed, 0);
            prop_assert_eq!(&found, &super::lowest_paths(6, &plain, 0));
            for (to, reach) in found.into_iter().enumerate().skip(1) {
                let found = reach.within_limit().map(|hops| total(&skewed, &hops));
                prop_assert_eq!(found, lowest_total(&skewed, 0, to as u16, MAX_HOPS, &[]));
            }
        }

        #[test]
        fn any_weights_give_paths_that_exist(
            costs in prop::collection::vec(prop::option::weighted(0.7, -1000_i32..1000), 36),
        ) {
            let ends = (0..36_u16).map(|at| (at / 6, at % 6)).zip(&costs).filter(|((from, to), _)| from != to);
            let edge = |((from, to), cost): ((u16, u16), &Option<i32>)| Some(Edge { from, to, weight: (*cost)? });
            let edges: Vec<Edge> = ends.filter_map(edge).collect();
            for (to, reach) in super::lowest_paths(6, &edges, 0).into_iter().enumerate().skip(1) {
                let is_reached = lowest_total(&edges, 0, to as u16, 5, &[]).is_some();
                prop_assert_eq!(is_reached, reach != Reach::None);
                let Some(hops) = reach.within_limit() else { continue };
                total(&edges, &hops);
                prop_assert!(hops.last() == Some(&to) && (1..hops.len()).all(|at| !hops[..at].contains(&hops[at])));
            }
        }
    }
}
