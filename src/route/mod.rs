//! Lowest latency path selection (§4.2): for each member the path that frames take.
//!
//! Dijkstra over the latency database gives the best paths of the moment; hysteresis decides when a best
//! path is worth leaving the present one for. Knows nothing of how latencies are measured or frames sent.

pub(crate) mod dijkstra;
mod path;

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::node::NodePrefix;
use crate::time::nanos;
use crate::wire::control::LinkLatency;
use dijkstra::{Graph, Reach};
pub(crate) use path::{Cost, Path};

/// A path is left for one that is better by more than this, and by more than a twentieth, so that two nearly
/// equal paths do not alternate. The database is as coarse: it tells smaller movements late.
const HYSTERESIS: Duration = Duration::from_micros(500);
const HYSTERESIS_SHARE: u64 = 20;

/// Why a path was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathCause {
    /// The first path to a new member.
    New,
    /// The new path is better by more than the hysteresis, on the fast and on the slow estimate.
    Better,
    /// The direct path is as good as the relayed one again.
    DirectAsGood,
    /// The former path has a link that is down or unmeasured, or a relay that is gone.
    Dead,
}

impl fmt::Display for PathCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PathCause::New => "the first one",
            PathCause::Better => "which is better",
            PathCause::DirectAsGood => "as direct is as good again",
            PathCause::Dead => "as the former one is dead",
        })
    }
}

/// The path to a member is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) to: NodePrefix,
    pub(crate) cause: PathCause,
}

/// What a choice of paths brought.
#[derive(Debug, Default)]
pub(crate) struct Selection {
    pub(crate) changes: Vec<Change>,
    /// Members that no links lead to, by however many relays.
    pub(crate) unreachable: Vec<NodePrefix>,
}

/// The chosen paths.
#[derive(Debug)]
pub(crate) struct Router {
    own: NodePrefix,
    relay_charge: Duration,
    paths: BTreeMap<NodePrefix, Path>,
}

impl Router {
    pub(crate) fn new(own: NodePrefix, relay_charge: Duration) -> Self {
        Router { own, relay_charge, paths: BTreeMap::new() }
    }

    /// The path to a member: direct until one is chosen.
    pub(crate) fn path(&self, to: NodePrefix) -> Path {
        self.paths.get(&to).cloned().unwrap_or_else(|| Path::direct(to))
    }

    /// True if a chosen path has the link between these two.
    pub(crate) fn uses(&self, from: NodePrefix, to: NodePrefix) -> bool {
        self.paths.values().any(|path| path.links(self.own).any(|link| link == (from, to)))
    }

    /// Drops the path to a member that is gone, and those through it.
    pub(crate) fn remove(&mut self, member: NodePrefix) {
        self.paths.retain(|_, path| !path.hops().contains(&member));
    }

    /// What a path costs now, or `None` if a link of it is down or unmeasured.
    pub(crate) fn cost(
        &self,
        path: &Path,
        link: impl Fn(NodePrefix, NodePrefix) -> Option<LinkLatency>,
    ) -> Option<Cost> {
        path.cost(self.own, self.relay_charge, link)
    }

    /// Chooses the path to each other node of `nodes` anew. `links` are those that are up, by the places of
    /// their ends in `nodes`; `link` finds one of them by its ends.
    pub(crate) fn select(
        &mut self,
        nodes: &[NodePrefix],
        links: impl Iterator<Item = (usize, usize, LinkLatency)>,
        link: impl Fn(NodePrefix, NodePrefix) -> Option<LinkLatency>,
    ) -> Selection {
        let Some(source) = nodes.iter().position(|node| *node == self.own) else {
            return Selection::default();
        };
        let charge = nanos(self.relay_charge);
        // Charging every link for a relay, the first too, leaves the order of the totals as it is.
        let links = links.map(|(from, to, link)| (from, to, Cost::of_link(link).worse() + charge));
        let best = Graph::new(nodes.len(), links).lowest_paths(source);
        let mut selection = Selection::default();
        let others = nodes.iter().copied().zip(best).filter(|(node, _)| *node != self.own);
        for (to, best) in others.collect::<Vec<_>>() {
            let best = match best {
                Reach::Path(hops) => Some(Path::new(hops.into_iter().map(|hop| nodes[hop]).collect())),
                Reach::TooFar => None,
                Reach::None => {
                    selection.unreachable.push(to);
                    None
                }
            };
            if let Some((path, cause)) = self.choose(to, best, &link) {
                self.paths.insert(to, path);
                selection.changes.push(Change { to, cause });
            }
        }
        selection
    }

    /// The path to change to, if any, where `best` is the best measured one.
    fn choose(
        &self,
        to: NodePrefix,
        best: Option<Path>,
        link: impl Fn(NodePrefix, NodePrefix) -> Option<LinkLatency>,
    ) -> Option<(Path, PathCause)> {
        let Some(present) = self.paths.get(&to) else {
            return Some((best.unwrap_or_else(|| Path::direct(to)), PathCause::New));
        };
        let best = best.unwrap_or_else(|| Path::direct(to));
        let Some(cost) = self.cost(present, &link) else {
            return (best != *present).then_some((best, PathCause::Dead));
        };
        let is_as_good = |direct: &Cost| direct.fast <= cost.fast && direct.slow <= cost.slow;
        let direct =
            self.cost(&Path::direct(to), &link).filter(|direct| !present.is_direct() && is_as_good(direct));
        let bar = direct.unwrap_or(cost);
        let is_better = |best: Cost| is_better(best.fast, bar.fast) && is_better(best.slow, bar.slow);
        if self.cost(&best, &link).is_some_and(is_better) {
            return Some((best, PathCause::Better));
        }
        direct.map(|_| (Path::direct(to), PathCause::DirectAsGood))
    }
}

fn is_better(candidate: u64, present: u64) -> bool {
    candidate.saturating_add(nanos(HYSTERESIS).max(present / HYSTERESIS_SHARE)) < present
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: NodePrefix = NodePrefix(0);
    const INAGI: NodePrefix = NodePrefix(1);
    const SEOUL: NodePrefix = NodePrefix(2);

    /// Round-trip times in microseconds of own-Inagi, Inagi-Seoul and own-Seoul; 0 for none.
    fn select(router: &mut Router, [first, second, direct]: [u32; 3]) -> Vec<Change> {
        let link = |from: NodePrefix, to: NodePrefix| {
            let us = match (from.0.min(to.0), from.0.max(to.0)) {
                (0, 1) => first,
                (1, 2) => second,
                _ => direct,
            };
            (us != 0).then_some(LinkLatency { fast_us: us, slow_us: us, loss: 0 })
        };
        select_by(router, &[OWN, INAGI, SEOUL], link)
    }

    fn select_by(
        router: &mut Router,
        nodes: &[NodePrefix],
        link: impl Fn(NodePrefix, NodePrefix) -> Option<LinkLatency>,
    ) -> Vec<Change> {
        let pairs = (0..nodes.len()).flat_map(|from| (0..nodes.len()).map(move |to| (from, to)));
        let links = pairs.filter(|(from, to)| from != to);
        let links = links.filter_map(|(from, to)| Some((from, to, link(nodes[from], nodes[to])?)));
        router.select(nodes, links, &link).changes
    }

    fn router() -> Router {
        Router::new(OWN, Duration::from_micros(100))
    }

    #[test]
    fn the_lowest_path_is_chosen_and_the_direct_one_on_ties() {
        let mut router = router();
        select(&mut router, [4_000, 17_000, 32_000]);
        assert_eq!(router.path(SEOUL).hops(), [INAGI, SEOUL]);
        let mut tie = self::router();
        select(&mut tie, [10_000, 10_000, 20_100]);
        assert!(tie.path(SEOUL).is_direct());
    }

    #[test]
    fn a_path_that_is_better_by_less_than_the_hysteresis_is_not_taken() {
        let mut router = router();
        select(&mut router, [50_000, 50_000, 100_000]);
        assert!(select(&mut router, [47_500, 47_500, 100_000]).is_empty(), "4.9 % better");
        assert_eq!(
            select(&mut router, [47_000, 47_000, 100_000]),
            [Change { to: SEOUL, cause: PathCause::Better }]
        );
        assert!(select(&mut router, [49_000, 50_000, 100_000]).is_empty(), "still better than direct");
        assert_eq!(
            select(&mut router, [50_000, 50_000, 100_000]),
            [Change { to: SEOUL, cause: PathCause::DirectAsGood }]
        );
    }

    #[test]
    fn a_third_path_is_taken_although_the_direct_one_is_as_good_as_the_present_one() {
        let other = NodePrefix(3);
        let mut router = router();
        let mut select = |direct: u32, through_inagi: u32, through_other: u32| {
            let link = |from: NodePrefix, to: NodePrefix| {
                let us = match (from.0.min(to.0), from.0.max(to.0)) {
                    (0, 2) => direct,
                    (1, 2) => through_inagi,
                    (2, 3) => through_other,
                    _ => 1_000,
                };
                (us != 0).then_some(LinkLatency { fast_us: us, slow_us: us, loss: 0 })
            };
            select_by(&mut router, &[OWN, INAGI, SEOUL, other], link);
            router.path(SEOUL).hops().to_vec()
        };
        assert_eq!(select(0, 50_000, 0), [INAGI, SEOUL]);
        assert_eq!(select(40_000, 50_000, 20_000), [other, SEOUL]);
    }

    #[test]
    fn a_dead_path_is_left_at_once_and_for_the_direct_one_if_nothing_is_known() {
        let mut router = router();
        select(&mut router, [4_000, 17_000, 32_000]);
        assert_eq!(select(&mut router, [4_000, 0, 32_000]), [Change { to: SEOUL, cause: PathCause::Dead }]);
        assert!(router.path(SEOUL).is_direct());
        assert_eq!(select(&mut router, [4_000, 17_000, 0]), [Change { to: SEOUL, cause: PathCause::Dead }]);
        select(&mut router, [0, 0, 0]);
        assert!(router.path(SEOUL).is_direct());
    }
}
