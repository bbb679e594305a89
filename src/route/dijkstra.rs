//! Dijkstra's algorithm over the latency database, on petgraph.
//!
//! petgraph gives costs without paths. So the cost carries the path: the number of hops and the
//! predecessor take part in it, below the total, which also makes ties the same on every node: fewer hops
//! first, then the lower predecessor.

use core::cmp::Ordering;
use core::ops::Add;

use arrayvec::ArrayVec;
use petgraph::algo::dijkstra;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;

use crate::config::MAX_HOPS;

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

/// A graph of vertices 0, 1, ... and the costs of the links between them.
#[derive(Debug, Default)]
pub(crate) struct Graph(DiGraph<(), u64>);

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

/// The vertices of a path after its source.
pub(crate) type Hops = ArrayVec<usize, MAX_HOPS>;

impl Graph {
    /// A graph of `vertices` vertices and `links`: from, to, cost.
    pub(crate) fn new(vertices: usize, links: impl Iterator<Item = (usize, usize, u64)>) -> Self {
        let mut graph = DiGraph::with_capacity(vertices, vertices * vertices);
        for _ in 0..vertices {
            graph.add_node(());
        }
        for (from, to, cost) in links {
            graph.add_edge(NodeIndex::new(from), NodeIndex::new(to), cost);
        }
        Graph(graph)
    }

    /// The path of the lowest total cost from `source` to each vertex.
    pub(crate) fn lowest_paths(&self, source: usize) -> Vec<Reach> {
        let labels = labels(&self.0, source);
        let vertices = self.0.node_count();
        if labels.iter().flatten().all(|label| label.hops as usize <= MAX_HOPS) {
            return (0..vertices)
                .map(|vertex| walk_back(&labels, source, vertex).map_or(Reach::None, Reach::Path))
                .collect();
        }
        let paths = self.lowest_paths_in_layers(source).into_iter();
        paths
            .zip(&labels)
            .map(|(path, label)| match (path, label) {
                (Some(path), _) => Reach::Path(path),
                (None, Some(_)) => Reach::TooFar,
                (None, None) => Reach::None,
            })
            .collect()
    }

    /// The paths where the hop limit matters, which is rare: on a graph that has each vertex once for each
    /// number of hops to it, so that no path can have more.
    fn lowest_paths_in_layers(&self, source: usize) -> Vec<Option<Hops>> {
        let vertices = self.0.node_count();
        let mut layered = DiGraph::with_capacity(vertices * (MAX_HOPS + 1), self.0.edge_count() * MAX_HOPS);
        for _ in 0..vertices * (MAX_HOPS + 1) {
            layered.add_node(());
        }
        for layer in 0..MAX_HOPS {
            for link in self.0.edge_references() {
                let from = NodeIndex::new(layer * vertices + link.source().index());
                let to = NodeIndex::new((layer + 1) * vertices + link.target().index());
                layered.add_edge(from, to, *link.weight());
            }
        }
        let labels = labels(&layered, source);
        let lowest = |vertex: usize| {
            (1..=MAX_HOPS)
                .map(|layer| layer * vertices + vertex)
                .filter(|copy| labels[*copy].is_some())
                .min_by_key(|copy| labels[*copy])
        };
        (0..vertices)
            .map(|vertex| {
                let copy = lowest(vertex).filter(|_| vertex != source)?;
                walk_back(&labels, source, copy)
                    .map(|hops| hops.into_iter().map(|copy| copy % vertices).collect())
            })
            .collect()
    }
}

fn labels(graph: &DiGraph<(), u64>, source: usize) -> Vec<Option<Label>> {
    let reached = dijkstra(graph, NodeIndex::new(source), None, |link| Label {
        total: *link.weight(),
        hops: 1,
        previous: link.source().index() as u32,
    });
    (0..graph.node_count()).map(|vertex| reached.get(&NodeIndex::new(vertex)).copied()).collect()
}

fn walk_back(labels: &[Option<Label>], source: usize, to: usize) -> Option<Hops> {
    let mut hops = Hops::new();
    let mut at = to;
    while at != source {
        hops.push(at);
        at = labels[at]?.previous as usize;
    }
    hops.reverse();
    (!hops.is_empty()).then_some(hops)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(links: &[(usize, usize, u64)], vertices: usize) -> Graph {
        Graph::new(vertices, links.iter().copied())
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
        let paths = graph(&links, 3).lowest_paths(0);
        assert_eq!(hops(&paths[2]), Some(&[1, 2][..]));
        assert_eq!(hops(&paths[1]), Some(&[1][..]));
        assert_eq!(paths[0], Reach::None);
    }

    #[test]
    fn fewer_hops_win_a_tie_and_then_the_lower_relay() {
        let links = [(0, 3, 10), (0, 1, 5), (1, 3, 5), (0, 2, 4), (0, 4, 4), (2, 5, 4), (4, 5, 4)];
        let paths = graph(&links, 6).lowest_paths(0);
        assert_eq!(hops(&paths[3]), Some(&[3][..]));
        assert_eq!(hops(&paths[5]), Some(&[2, 5][..]));
    }

    #[test]
    fn a_path_has_no_more_hops_than_the_header_has_room_for() {
        let mut links: Vec<_> = (0..6).map(|at| (at, at + 1, 1)).collect();
        let chain = graph(&links, 7).lowest_paths(0);
        assert_eq!(hops(&chain[4]), Some(&[1, 2, 3, 4][..]));
        assert_eq!(chain[5], Reach::TooFar, "five hops away");
        links.push((2, 5, 50));
        let paths = graph(&links, 7).lowest_paths(0);
        assert_eq!(hops(&paths[5]), Some(&[1, 2, 5][..]), "dearer, but within four hops");
        assert_eq!(hops(&paths[6]), Some(&[1, 2, 5, 6][..]));
    }
}
