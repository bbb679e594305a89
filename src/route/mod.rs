//! Lowest latency path selection (§4.2): for each member the path that frames take.
//!
//! Dijkstra over the latency database gives the best paths of the moment; hysteresis decides when a best
//! path is worth leaving the present one for. Knows nothing of how latencies are measured or frames sent.

mod candidates;
pub(crate) mod dijkstra;
mod path;

use core::fmt;
use core::time::Duration;
use std::collections::BTreeMap;

use crate::node::NodePrefix;
use crate::time::{Time, nanos};
use crate::wire::latency::LinkLatency;
pub(crate) use candidates::{Candidate, Standing};
use dijkstra::{Graph, Reach};
pub(crate) use path::{Cost, Path};

/// A path is left for one that is better by more than this, and by more than a twentieth, so that two nearly
/// equal paths do not alternate. The database is as coarse: it tells smaller movements late.
const HYSTERESIS: Duration = Duration::from_micros(500);
const HYSTERESIS_SHARE: u64 = 20;

/// Why a path was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
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

/// One of the two averages by which paths are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Estimate {
    /// The average over about 3 s.
    Fast,
    /// The average over about 30 s.
    Slow,
    /// Both of them.
    Both,
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Estimate::Fast => "the fast estimate",
            Estimate::Slow => "the slow estimate",
            Estimate::Both => "both estimates",
        })
    }
}

impl Estimate {
    /// The averages for which something holds, if it does for any.
    fn of(fast: bool, slow: bool) -> Option<Self> {
        match (fast, slow) {
            (true, true) => Some(Estimate::Both),
            (true, false) => Some(Estimate::Fast),
            (false, true) => Some(Estimate::Slow),
            (false, false) => None,
        }
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

/// When and why the path to a member became what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastChange {
    pub(crate) at: Time,
    pub(crate) cause: PathCause,
    /// The path before; `None` if there was none.
    pub(crate) former: Option<Path>,
}

/// Where a choice stands between two selections.
#[derive(Debug)]
enum Present {
    /// Frames take this path.
    Path(Path),
    /// A relay of this path is gone; frames go straight until the next selection.
    Lost(Path),
}

/// What is chosen for one member.
#[derive(Debug)]
struct Choice {
    present: Present,
    /// The lowest measured path at the last selection, whether or not it was worth changing to.
    lowest: Option<Path>,
    last_change: LastChange,
}

/// What is to be done about the path to a member.
struct Decision {
    /// What another path has to be better than; `None` if the present path has no cost.
    bar: Option<Cost>,
    change: Option<(Path, PathCause)>,
}

/// How a cost compares with another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    /// Lower by more than the hysteresis on both estimates.
    Better,
    /// Lower on both, but not by more than the hysteresis on these.
    WithinHysteresis(Estimate),
    /// As high or higher on these.
    CostsMore(Estimate),
}

/// The chosen paths.
#[derive(Debug)]
pub(crate) struct Router {
    own: NodePrefix,
    relay_charge: Duration,
    choices: BTreeMap<NodePrefix, Choice>,
}

impl Router {
    pub(crate) fn new(own: NodePrefix, relay_charge: Duration) -> Self {
        Router { own, relay_charge, choices: BTreeMap::new() }
    }

    /// The path to a member: direct until one is chosen.
    pub(crate) fn path(&self, to: NodePrefix) -> Path {
        match self.choices.get(&to).map(|choice| &choice.present) {
            Some(Present::Path(path)) => path.clone(),
            Some(Present::Lost(_)) | None => Path::direct(to),
        }
    }

    /// When and why the path to a member was last changed, if one was ever chosen.
    pub(crate) fn last_change(&self, to: NodePrefix) -> Option<&LastChange> {
        self.choices.get(&to).map(|choice| &choice.last_change)
    }

    /// What passing through each relay adds to a path.
    pub(crate) fn relay_charge(&self) -> Duration {
        self.relay_charge
    }

    /// True if a chosen path has the link between these two.
    pub(crate) fn uses(&self, from: NodePrefix, to: NodePrefix) -> bool {
        let has_link = |choice: &Choice| match &choice.present {
            Present::Path(path) => path.links(self.own).any(|link| link == (from, to)),
            Present::Lost(_) => false,
        };
        self.choices.values().any(has_link)
    }

    /// Drops the path to a member that is gone, and leaves those through it.
    pub(crate) fn remove(&mut self, member: NodePrefix) {
        self.choices.remove(&member);
        for choice in self.choices.values_mut() {
            choice.lowest.take_if(|path| path.hops().contains(&member));
            if let Present::Path(path) = &choice.present
                && path.hops().contains(&member)
            {
                choice.present = Present::Lost(path.clone());
            }
        }
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
        now: Time,
    ) -> Selection {
        let Some(source) = nodes.iter().position(|node| *node == self.own) else {
            return Selection::default();
        };
        let links = links.map(|(from, to, link)| (from, to, self.weight(link)));
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
            if let Some((path, cause)) = self.decide(to, best.clone(), &link).change {
                self.change(to, path, cause, now);
                selection.changes.push(Change { to, cause });
            }
            if let Some(choice) = self.choices.get_mut(&to) {
                choice.lowest = best;
            }
        }
        selection
    }

    /// What a link counts for in the order of paths. Charging every link for a relay, the first too, leaves
    /// the order of the totals as it is.
    fn weight(&self, link: LinkLatency) -> u64 {
        Cost::of_link(link).worse().saturating_add(nanos(self.relay_charge))
    }

    fn change(&mut self, to: NodePrefix, path: Path, cause: PathCause, at: Time) {
        let former = self.choices.remove(&to).map(|choice| match choice.present {
            Present::Path(path) | Present::Lost(path) => path,
        });
        let last_change = LastChange { at, cause, former };
        self.choices.insert(to, Choice { present: Present::Path(path), lowest: None, last_change });
    }

    /// What is to be done where `lowest` is the lowest measured path, if there is any.
    fn decide(
        &self,
        to: NodePrefix,
        lowest: Option<Path>,
        link: impl Fn(NodePrefix, NodePrefix) -> Option<LinkLatency>,
    ) -> Decision {
        let lowest = lowest.unwrap_or_else(|| Path::direct(to));
        let present = match self.choices.get(&to).map(|choice| &choice.present) {
            Some(Present::Path(path)) => path,
            Some(Present::Lost(_)) => {
                return Decision { bar: None, change: Some((lowest, PathCause::Dead)) };
            }
            None => return Decision { bar: None, change: Some((lowest, PathCause::New)) },
        };
        let Some(cost) = self.cost(present, &link) else {
            let change = (lowest != *present).then_some((lowest, PathCause::Dead));
            return Decision { bar: None, change };
        };
        let is_as_good = |direct: &Cost| direct.fast <= cost.fast && direct.slow <= cost.slow;
        let direct =
            self.cost(&Path::direct(to), &link).filter(|direct| !present.is_direct() && is_as_good(direct));
        let bar = direct.unwrap_or(cost);
        let is_better = |lowest: Cost| compare(lowest, bar) == Comparison::Better;
        let change = if self.cost(&lowest, &link).is_some_and(is_better) {
            Some((lowest, PathCause::Better))
        } else {
            direct.map(|_| (Path::direct(to), PathCause::DirectAsGood))
        };
        Decision { bar: Some(bar), change }
    }
}

fn compare(candidate: Cost, bar: Cost) -> Comparison {
    if let Some(estimate) = Estimate::of(candidate.fast >= bar.fast, candidate.slow >= bar.slow) {
        return Comparison::CostsMore(estimate);
    }
    let is_within = |candidate, bar| !is_better(candidate, bar);
    let within = Estimate::of(is_within(candidate.fast, bar.fast), is_within(candidate.slow, bar.slow));
    within.map_or(Comparison::Better, Comparison::WithinHysteresis)
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
            (us != 0).then_some(LinkLatency { fast_us: us, slow_us: us, ..LinkLatency::default() })
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
        router.select(nodes, links, &link, Time::ZERO).changes
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
                (us != 0).then_some(LinkLatency { fast_us: us, slow_us: us, ..LinkLatency::default() })
            };
            select_by(&mut router, &[OWN, INAGI, SEOUL, other], link);
            router.path(SEOUL).hops().to_vec()
        };
        assert_eq!(select(0, 50_000, 0), [INAGI, SEOUL]);
        assert_eq!(select(40_000, 50_000, 20_000), [other, SEOUL]);
    }

    #[test]
    fn a_path_whose_relay_is_gone_is_dead_and_remembered() {
        let mut router = router();
        select(&mut router, [4_000, 17_000, 32_000]);
        let former = router.path(SEOUL);
        router.remove(INAGI);
        assert!(router.path(SEOUL).is_direct(), "until the next selection");
        let link = |_, _| Some(LinkLatency { fast_us: 32_000, slow_us: 32_000, ..LinkLatency::default() });
        let changes = select_by(&mut router, &[OWN, SEOUL], link);
        assert_eq!(changes, [Change { to: SEOUL, cause: PathCause::Dead }]);
        assert_eq!(router.last_change(SEOUL).and_then(|change| change.former.clone()), Some(former));
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
