//! The paths to one member side by side, and where each stands: why frames take the one they take.
//!
//! Judges with what the router chooses by, so the two cannot disagree. Changes nothing, and knows nothing of
//! who the nodes are.

use crate::node::NodePrefix;
use crate::route::hysteresis::Comparison;
use crate::route::load::has_full_relay;
use crate::route::{Cost, Database, Decision, Estimate, Path, Router};
use crate::time::Time;

/// So many paths through a single relay are told of: what people read in one look.
const MAX_RELAYED: usize = 8;

/// Where a path stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Frames take it.
    Chosen,
    /// Frames take it although a link of it is not up, since no measured path leads to the member.
    LastResort,
    /// It is changed to at the next selection.
    Due,
    /// It costs as much as the path to beat, or more, on this estimate.
    CostsMore(Estimate),
    /// It is better on both estimates, but not by more than the hysteresis on this one.
    WithinHysteresis(Estimate),
    /// It would be better, but another path comes first by the worse estimate of each link.
    NotLowest,
    /// Another path is pinned.
    NotPinned,
    /// It would be better, but has a relay that takes no new paths.
    RelayFull,
    /// A relay of it carries no transit.
    NoTransit,
    /// This link of it, the first such, is down or has no latency.
    Broken(NodePrefix, NodePrefix),
}

/// A path that frames take or could take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) path: Path,
    /// `None` if a link is down or unmeasured.
    pub(crate) cost: Option<Cost>,
    /// What is held against it, in nanoseconds.
    pub(crate) penalty: i64,
    /// How much cheaper it would have to be to be changed to, in nanoseconds.
    pub(crate) gap: Option<i64>,
    pub(crate) is_backup: bool,
    pub(crate) standing: Standing,
}

/// What paths are ordered by: links without a latency, total weight, hops, and the last relay. For paths that
/// are measured this is Dijkstra's order.
type Rank = (usize, i64, usize, NodePrefix);

impl Router {
    /// The chosen path to a member and its backup, the direct one, the lowest of the last selection, and the best ones
    /// through one of `relays`, best first. The work is that of looking up two links for each relay, and sorting.
    pub(crate) fn candidates(
        &self,
        to: NodePrefix,
        relays: impl Iterator<Item = NodePrefix>,
        database: &impl Database,
        now: Time,
    ) -> Vec<Candidate> {
        let others = relays.filter(|relay| *relay != to && *relay != self.own);
        let mut paths: Vec<Path> = others.map(|relay| Path::new([relay, to].into_iter().collect())).collect();
        paths.sort_by_cached_key(|path| self.rank(path, database));
        paths.truncate(MAX_RELAYED);
        let lowest_then = self.choices.get(&to).and_then(|choice| choice.lowest.clone());
        let kept = lowest_then.into_iter().chain(self.backup(to).cloned());
        for path in [Path::direct(to), self.path(to)].into_iter().chain(kept) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        paths.sort_by_cached_key(|path| self.rank(path, database));
        let lowest = paths.first().filter(|path| self.cost(path, database).is_some());
        let decision = self.decide(to, lowest, database, now);
        let candidate = |path: &Path| {
            let standing = self.standing(to, path, &decision, database, now);
            let is_other = !matches!(standing, Standing::Chosen | Standing::LastResort | Standing::Due);
            let weighed = self.assess(to, path, database, now).zip(decision.bar).filter(|_| is_other);
            Candidate {
                path: path.clone(),
                cost: self.cost(path, database),
                penalty: self.penalties.of(to, path, now),
                gap: weighed.map(|(cost, bar)| bar.gap(cost)),
                is_backup: self.backup(to) == Some(path),
                standing,
            }
        };
        paths.iter().map(candidate).collect()
    }

    fn rank(&self, path: &Path, database: &impl Database) -> Rank {
        let charge = self.charges.of_relays(path, database);
        let mut broken = usize::from(charge.is_none());
        let mut total = charge.unwrap_or_default().saturating_add(self.charges.price(self.own, path));
        let mut previous = self.own;
        for (from, to) in path.links(self.own) {
            previous = from;
            match database.link(from, to) {
                Some(link) => total = total.saturating_add(Cost::of_link(link).worse()),
                None => broken += 1,
            }
        }
        (broken, total, path.hops().len(), previous)
    }

    fn standing(
        &self,
        to: NodePrefix,
        path: &Path,
        decision: &Decision,
        database: &impl Database,
        now: Time,
    ) -> Standing {
        let cost = self.assess(to, path, database, now);
        let is_due = decision.change.as_ref().is_some_and(|(due, _)| due == path);
        if self.path(to) == *path {
            let stays = is_due || decision.change.is_none();
            return if cost.is_none() && stays { Standing::LastResort } else { Standing::Chosen };
        }
        if is_due {
            return Standing::Due;
        }
        let Some(cost) = cost else {
            let mut links = path.links(self.own);
            let broken = links.find(|(from, to)| database.link(*from, *to).is_none());
            return broken.map_or(Standing::NoTransit, |(from, to)| Standing::Broken(from, to));
        };
        if decision.is_pinned {
            return Standing::NotPinned;
        }
        match decision.bar.map(|bar| bar.compare(cost)) {
            Some(Comparison::CostsMore(estimate)) => Standing::CostsMore(estimate),
            Some(Comparison::WithinHysteresis(estimate)) => Standing::WithinHysteresis(estimate),
            Some(Comparison::Better) if has_full_relay(path, database) => Standing::RelayFull,
            Some(Comparison::Better) | None => Standing::NotLowest,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::route::tests::router_of;
    use crate::wire::latency::{LinkLatency, Transit};

    /// Links in both directions: their ends, and the fast and the slow average in microseconds.
    type Links<'a> = &'a [(u64, u64, u32, u32)];

    fn lookup(links: Links<'_>) -> impl Fn(NodePrefix, NodePrefix) -> Option<LinkLatency> {
        let latency = |fast_us, slow_us| LinkLatency { fast_us, slow_us, ..LinkLatency::default() };
        let both = links.iter().flat_map(move |&(one, other, fast, slow)| {
            [((one, other), latency(fast, slow)), ((other, one), latency(fast, slow))]
        });
        let links: BTreeMap<_, _> = both.collect();
        move |from, to| links.get(&(from.0, to.0)).copied()
    }

    fn select(router: &mut Router, nodes: u64, links: Links<'_>) {
        let link = lookup(links);
        let nodes: Vec<_> = (0..nodes).map(NodePrefix).collect();
        let pairs = (0..nodes.len()).flat_map(|from| (0..nodes.len()).map(move |to| (from, to)));
        let links: Vec<_> =
            pairs.map(|(from, to)| (from as u16, to as u16, link(nodes[from], nodes[to]))).collect();
        router.select(&nodes, &links, |_| Some(Transit::default()), Time::ZERO);
    }

    /// Node 0 with a path to node 1, chosen by `before`, and what it says of the paths by `now`.
    fn standings(nodes: u64, before: Links<'_>, now: Links<'_>) -> Vec<(Vec<u64>, Standing)> {
        let mut router = router_of(NodePrefix(0));
        select(&mut router, nodes, before);
        select(&mut router, nodes, now);
        told(&router, nodes, now)
    }

    fn told(router: &Router, nodes: u64, links: Links<'_>) -> Vec<(Vec<u64>, Standing)> {
        let candidates =
            router.candidates(NodePrefix(1), (0..nodes).map(NodePrefix), &lookup(links), Time::ZERO);
        let hops = |path: &Path| path.hops().iter().map(|hop| hop.0).collect();
        candidates.iter().map(|candidate| (hops(&candidate.path), candidate.standing)).collect()
    }

    #[test]
    fn the_estimate_that_holds_a_better_path_back_is_named() {
        let before = [(0, 1, 100_000, 100_000)];
        let told = |fast, slow| {
            let detour = [before[0], (0, 2, 50_000, 50_000), (2, 1, fast, slow)];
            standings(3, &before, &detour)[0].clone()
        };
        let via = vec![2, 1];
        assert_eq!(told(30_000, 46_000), (via.clone(), Standing::WithinHysteresis(Estimate::Slow)));
        assert_eq!(told(46_000, 30_000), (via.clone(), Standing::WithinHysteresis(Estimate::Fast)));
        assert_eq!(told(46_000, 46_000), (via.clone(), Standing::WithinHysteresis(Estimate::Both)));
        assert_eq!(told(30_000, 30_000), (via, Standing::Chosen));
    }

    #[test]
    fn a_path_that_is_better_but_not_the_lowest_is_told_apart() {
        let before = [(0, 1, 100_000, 100_000)];
        let now = [
            before[0],
            (0, 2, 48_000, 48_000),
            (2, 1, 48_000, 48_000),
            (0, 3, 30_000, 50_000),
            (3, 1, 50_000, 30_000),
        ];
        let told = standings(4, &before, &now);
        assert_eq!(
            told,
            [
                (vec![2, 1], Standing::WithinHysteresis(Estimate::Both)),
                (vec![1], Standing::Chosen),
                (vec![3, 1], Standing::NotLowest),
            ]
        );
    }

    #[test]
    fn a_path_of_several_relays_is_told_of_when_it_is_the_lowest() {
        let before = [(0, 1, 100_000, 100_000)];
        let within = [before[0], (0, 2, 32_000, 32_000), (2, 3, 32_000, 32_000), (3, 1, 32_000, 32_000)];
        let told = standings(4, &before, &within);
        assert_eq!(told[0], (vec![2, 3, 1], Standing::WithinHysteresis(Estimate::Both)));
        assert_eq!(told[1], (vec![1], Standing::Chosen));
        assert_eq!(told[2].1, Standing::Broken(NodePrefix(2), NodePrefix(1)));
    }

    #[test]
    fn what_the_next_selection_brings_is_due() {
        let mut router = router_of(NodePrefix(0));
        let before = [(0, 1, 100_000, 100_000)];
        assert_eq!(told(&router, 2, &[]), [(vec![1], Standing::LastResort)], "nothing chosen yet");
        select(&mut router, 3, &before);
        let better = [before[0], (0, 2, 10_000, 10_000), (2, 1, 10_000, 10_000)];
        assert_eq!(told(&router, 3, &better)[0], (vec![2, 1], Standing::Due));
        select(&mut router, 3, &better);
        assert_eq!(told(&router, 3, &better)[0], (vec![2, 1], Standing::Chosen));
        let dead = [before[0], (0, 2, 10_000, 10_000)];
        let standings = told(&router, 3, &dead);
        assert_eq!(standings, [(vec![1], Standing::Due), (vec![2, 1], Standing::Chosen)]);
    }

    #[test]
    fn of_many_relays_the_best_are_told_of() {
        let links: Vec<_> =
            (2..40).flat_map(|node| [(0, node, 10_000, 10_000), (node, 1, node as u32, 1)]).collect();
        let told = standings(40, &links, &links);
        let relays: Vec<_> = told.iter().map(|(path, _)| path[0]).collect();
        assert_eq!(relays, [2, 3, 4, 5, 6, 7, 8, 9, 1], "and the direct path, which is not up");
    }
}
