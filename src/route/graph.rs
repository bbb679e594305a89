//! The links as petgraph reads them, in place: to copy a million of them would take as long as the algorithm.

use petgraph::visit::{Data, GraphBase, IntoEdgeReferences, IntoEdges, IntoNeighbors, VisitMap, Visitable};

/// A link between two vertices, and what it costs, in microseconds. Small, as there may be a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: u16,
    pub(super) to: u16,
    pub(super) weight: i32,
}

/// Links in the order of their ends, without repeats.
pub(super) struct Graph<'a> {
    edges: &'a [Edge],
    /// Where the links from each vertex begin, and where all end.
    rows: Vec<usize>,
}

impl<'a> Graph<'a> {
    pub(super) fn new(vertices: usize, edges: &'a [Edge]) -> Self {
        let start = |vertex| edges.partition_point(|edge| usize::from(edge.from) < vertex);
        let rows = (0..=vertices).map(start).collect();
        Graph { edges, rows }
    }

    fn row(&self, vertex: u16) -> &'a [Edge] {
        &self.edges[self.rows[usize::from(vertex)]..self.rows[usize::from(vertex) + 1]]
    }
}

/// Both ends and the weight: what petgraph takes for a reference to an edge.
type Link<'a> = (u16, u16, &'a i32);
type Links<'a> = core::iter::Map<core::slice::Iter<'a, Edge>, fn(&'a Edge) -> Link<'a>>;
type Ends<'a> = core::iter::Map<core::slice::Iter<'a, Edge>, fn(&'a Edge) -> u16>;

fn link(edge: &Edge) -> Link<'_> {
    (edge.from, edge.to, &edge.weight)
}

fn end(edge: &Edge) -> u16 {
    edge.to
}

impl GraphBase for Graph<'_> {
    type EdgeId = (u16, u16);
    type NodeId = u16;
}

impl Data for Graph<'_> {
    type NodeWeight = ();
    type EdgeWeight = i32;
}

impl<'a> IntoEdgeReferences for &'a Graph<'_> {
    type EdgeRef = Link<'a>;
    type EdgeReferences = Links<'a>;

    fn edge_references(self) -> Links<'a> {
        self.edges.iter().map(link)
    }
}

impl<'a> IntoNeighbors for &'a Graph<'_> {
    type Neighbors = Ends<'a>;

    fn neighbors(self, vertex: u16) -> Ends<'a> {
        self.row(vertex).iter().map(end)
    }
}

impl<'a> IntoEdges for &'a Graph<'_> {
    type Edges = Links<'a>;

    fn edges(self, vertex: u16) -> Links<'a> {
        self.row(vertex).iter().map(link)
    }
}

/// Which vertices have been visited.
pub(super) struct Visited(Vec<bool>);

impl VisitMap<u16> for Visited {
    fn visit(&mut self, vertex: u16) -> bool {
        !core::mem::replace(&mut self.0[usize::from(vertex)], true)
    }

    fn is_visited(&self, vertex: &u16) -> bool {
        self.0[usize::from(*vertex)]
    }

    fn unvisit(&mut self, vertex: u16) -> bool {
        core::mem::replace(&mut self.0[usize::from(vertex)], false)
    }
}

impl Visitable for Graph<'_> {
    type Map = Visited;

    fn visit_map(&self) -> Visited {
        Visited(vec![false; self.rows.len() - 1])
    }

    fn reset_map(&self, map: &mut Visited) {
        map.0.fill(false);
    }
}
