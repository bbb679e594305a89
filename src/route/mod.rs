//! Lowest latency path selection (§4.2): for each member the path that frames take.
//!
//! Dijkstra over the latency database gives the best paths of the moment; hysteresis decides when a best
//! path is worth leaving the present one for. Beside each path stands a backup for when it fails. Knows nothing of
//! how latencies are measured or frames sent.

mod backup;
mod bulk;
mod candidates;
mod cost;
mod dijkstra;
mod distrust;
mod estimate;
mod graph;
mod history;
mod hysteresis;
mod load;
mod outcome;
mod path;
mod policy;
mod table;
mod trust;

use core::time::Duration;

use crate::node::NodePrefix;
use crate::node_map::NodeMap;
use crate::rng::Rng;
use crate::time::{Time, nanos};
use crate::wire::latency::{LinkLatency, Transit};
use bulk::BulkChoice;
pub(crate) use candidates::{Candidate, Standing};
use cost::Charges;
pub(crate) use cost::{Cost, Database};
use dijkstra::{Hops, Reach};
use distrust::Distrust;
pub use estimate::Estimate;
use graph::Edge;
use history::History;
pub(crate) use history::PastChange;
pub use history::PathCause;
use hysteresis::{Bar, Comparison, HOLD_DOWN, Penalties, YOUTH, is_clearly_lower_now};
use load::{FULL_CHARGE, LEAVE_WITHIN, has_full_relay, has_overloaded_relay, is_full};
pub(crate) use outcome::{Change, Failover, Selection};
pub(crate) use path::Path;
pub(crate) use policy::Policy;
pub(crate) use table::KnownLink;
use table::Table;
pub(crate) use trust::correction;

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
    /// What frames take when that fails.
    backup: Option<Path>,
    /// The lowest measured path at the last selection, whether or not it was worth changing to.
    lowest: Option<Path>,
    history: History,
    /// When it leaves its relay, which is overloaded.
    leave_at: Option<Time>,
    /// What bulk traffic takes.
    bulk: Option<Path>,
}

impl Choice {
    /// When the path is left for less than now, if there is another one that may then be taken.
    fn old_at(&self, now: Time) -> Time {
        let is_lowest =
            matches!((&self.present, &self.lowest), (Present::Path(path), Some(lowest)) if path == lowest);
        let old_at = self.history.changes().first().map(|change| change.at + YOUTH);
        old_at.filter(|at| *at > now && !is_lowest).unwrap_or(Time::NEVER)
    }
}

/// What is to be done about the path to a member.
struct Decision {
    /// What another path has to be better than; `None` if the present path has no cost.
    bar: Option<Bar>,
    /// The operator has decided.
    is_pinned: bool,
    change: Option<(Path, PathCause)>,
}

/// The chosen paths.
#[derive(Debug)]
pub(crate) struct Router {
    own: NodePrefix,
    charges: Charges,
    choices: NodeMap<Box<Choice>>,
    penalties: Penalties,
    distrust: Distrust,
    rng: Rng,
    /// Bulk traffic has paths of its own.
    has_bulk: bool,
}

impl Router {
    pub(crate) fn new(own: NodePrefix, relay_charge: Duration, policy: Policy, rng: Rng) -> Self {
        let relay = i64::try_from(nanos(relay_charge)).unwrap_or(i64::MAX);
        Router {
            own,
            charges: Charges { relay, policy },
            choices: NodeMap::new(),
            penalties: Penalties::default(),
            distrust: Distrust::default(),
            rng,
            has_bulk: false,
        }
    }

    /// The same with paths of their own for bulk traffic.
    pub(crate) fn with_bulk(self, has_bulk: bool) -> Self {
        Router { has_bulk, ..self }
    }

    /// Replaces what the operator wants; it counts from the next selection on.
    pub(crate) fn set_policy(&mut self, policy: Policy) {
        self.charges.policy = policy;
    }

    /// The path to a member: direct until one is chosen.
    pub(crate) fn path(&self, to: NodePrefix) -> Path {
        match self.choices.get(&to).map(|choice| &choice.present) {
            Some(Present::Path(path)) => path.clone(),
            Some(Present::Lost(_)) | None => Path::direct(to),
        }
    }

    /// The path that frames take when the present one fails, if there is one.
    pub(crate) fn backup(&self, to: NodePrefix) -> Option<&Path> {
        self.choices.get(&to)?.backup.as_ref()
    }

    /// The path that bulk traffic for a member takes, if it is another one.
    pub(crate) fn bulk_path(&self, to: NodePrefix) -> Option<&Path> {
        let choice = self.choices.get(&to)?;
        choice.bulk.as_ref().filter(|bulk| !matches!(&choice.present, Present::Path(path) if path == *bulk))
    }

    /// The last changes of the path to a member, the latest first.
    pub(crate) fn changes(&self, to: NodePrefix) -> &[PastChange] {
        self.choices.get(&to).map_or(&[], |choice| choice.history.changes())
    }

    /// What a path costs now, or `None` if a link of it is down or unmeasured.
    pub(crate) fn cost(&self, path: &Path, database: &impl Database) -> Option<Cost> {
        self.charges.of_path(self.own, path, database)
    }

    /// What the relays of a path are charged with; `None` if one carries no transit.
    pub(crate) fn relay_charge(&self, path: &Path, database: &impl Database) -> Option<i64> {
        self.charges.of_relays(path, database)
    }

    /// What the operator adds to the cost of a path.
    pub(crate) fn price(&self, path: &Path) -> i64 {
        self.charges.price(self.own, path)
    }

    /// A path to a member has done worse than it costs: until `until` it counts as dearer, by `excess` nanoseconds at
    /// first and then by less and less.
    pub(crate) fn penalise(&mut self, to: NodePrefix, path: Path, excess: i64, now: Time, until: Time) {
        self.penalties.add(to, path, excess, now, until);
    }

    /// A path to a member was found to be worse, end to end, than its links say: it counts as dearer by `excess`
    /// nanoseconds for a minute, and for longer each time.
    pub(crate) fn distrust(&mut self, to: NodePrefix, path: Path, excess: i64, now: Time) {
        self.distrust.add(to, path, excess, now);
    }

    /// The path to a member is in doubt: frames take the backup from now on, if there is one that is up.
    pub(crate) fn failover(&mut self, to: NodePrefix, database: &impl Database, now: Time) -> Option<Change> {
        let choice = self.choices.get_mut(&to)?;
        let is_up = |path: &Path| self.charges.of_path(self.own, path, database).is_some();
        let backup = choice.backup.take().filter(is_up)?;
        self.change(to, backup, PathCause::Failover, now);
        Some(Change { to, cause: PathCause::Failover })
    }

    /// The link between two nodes is down: all paths with it change to their backups.
    pub(crate) fn lose_link(
        &mut self,
        one: NodePrefix,
        other: NodePrefix,
        database: &impl Database,
        now: Time,
    ) -> Failover {
        let own = self.own;
        self.lose(|path| path.has_link(own, one, other), database, now)
    }

    /// Drops the path to a member that is gone, and leaves those through it.
    pub(crate) fn remove(&mut self, member: NodePrefix, database: &impl Database, now: Time) -> Failover {
        self.choices.remove(&member);
        self.penalties.remove(member);
        self.distrust.remove(member);
        let failover = self.lose(|path| path.hops().contains(&member), database, now);
        for choice in self.choices.values_mut() {
            choice.lowest.take_if(|path| path.hops().contains(&member));
            if let Present::Path(path) = &choice.present
                && path.hops().contains(&member)
            {
                choice.present = Present::Lost(path.clone());
            }
        }
        failover
    }

    fn lose(&mut self, is_lost: impl Fn(&Path) -> bool, database: &impl Database, now: Time) -> Failover {
        let mut failover = Failover::default();
        let has_lost = |choice: &Choice| match &choice.present {
            Present::Path(path) => is_lost(path),
            Present::Lost(_) => false,
        };
        for choice in self.choices.values_mut() {
            choice.backup.take_if(|path| is_lost(path));
            failover.has_lost_bulk |= choice.bulk.take_if(|path| is_lost(path)).is_some();
        }
        let affected = self.choices.iter_mut().filter(|(_, choice)| has_lost(choice));
        for to in affected.map(|(to, _)| *to).collect::<Vec<_>>() {
            match self.failover(to, database, now) {
                Some(change) => failover.changes.push(change),
                None => failover.is_urgent = true,
            }
        }
        failover
    }

    /// Chooses the path to each other node of `nodes` anew, and its backup. `nodes` are in ascending order; `links`
    /// are those that are known, by the places of their ends in `nodes` and in that order.
    pub(crate) fn select(
        &mut self,
        nodes: &[NodePrefix],
        links: &[KnownLink],
        transit: impl Fn(NodePrefix) -> Option<Transit>,
        now: Time,
    ) -> Selection {
        self.penalties.expire(now);
        self.distrust.expire(now);
        let mut selection = Selection {
            changes: Vec::new(),
            unreachable: Vec::new(),
            has_other_bulk: false,
            again_at: Time::NEVER,
        };
        let Ok(source) = nodes.binary_search(&self.own) else { return selection };
        let (table, edges) = self.read(nodes, links, source, transit);
        let path = |hops: Hops| Path::new(hops.into_iter().map(|hop| nodes[hop]).collect());
        let lowest = dijkstra::lowest_paths(nodes.len(), &edges, source);
        for (to, lowest) in nodes.iter().copied().zip(lowest) {
            if to == self.own {
                continue;
            }
            if lowest == Reach::None {
                selection.unreachable.push(to);
            }
            let lowest = lowest.within_limit().map(path);
            let change = self.decide(to, lowest.as_ref(), &table, now).change;
            let is_free = |(_, cause): &(Path, PathCause)| {
                let is_choice = matches!(cause, PathCause::Better | PathCause::DirectAsGood);
                !is_choice || self.may_leave(to, &table, &mut selection.again_at, now)
            };
            let change = change.filter(is_free);
            if let Some((path, cause)) = change {
                if cause == PathCause::Better {
                    self.hold_down(to, &path, &table, now);
                }
                self.change(to, path, cause, now);
                selection.changes.push(Change { to, cause });
            }
            if let Some(choice) = self.choices.get_mut(&to) {
                choice.lowest = lowest;
                selection.again_at = selection.again_at.min(choice.old_at(now));
            }
        }
        selection.again_at =
            selection.again_at.min(self.penalties.next_end()).min(self.distrust.next_end(now));
        let chosen: Vec<_> = nodes.iter().map(|to| self.hops(*to, &table)).collect();
        for (to, backup) in nodes.iter().zip(backup::backups(&edges, source, &chosen)) {
            if let Some(choice) = self.choices.get_mut(to) {
                choice.backup = backup.map(path);
            }
        }
        if self.has_bulk {
            selection.has_other_bulk = self.select_bulk(&table, source);
        }
        selection
    }

    /// Chooses the paths for bulk traffic anew; true if one has changed. A pin is for bulk traffic, too.
    fn select_bulk(&mut self, table: &Table<'_>, source: usize) -> bool {
        let may_relay = |place: usize| {
            let is_avoided = self.charges.policy.avoids(table.nodes[place]);
            !is_avoided && table.transits[place].is_some_and(|transit| !is_full(transit.load))
        };
        let relayed = bulk::best_relays(table, source, may_relay);
        let slowness = |path: &Path| bulk::slowness(self.own, path, table);
        let mut has_changed = false;
        for (to, relayed) in table.nodes.iter().zip(relayed) {
            let is_pinned = self.charges.policy.pin(*to).is_some();
            let Some(choice) = self.choices.get_mut(to) else { continue };
            let present = choice.bulk.as_ref().filter(|path| !path.is_direct()).and_then(slowness);
            let next = match bulk::choose(present, slowness(&Path::direct(*to)), relayed) {
                _ if is_pinned => None,
                BulkChoice::Keep => continue,
                BulkChoice::Direct => Some(Path::direct(*to)),
                BulkChoice::Relay(relay) => Some(Path::new([table.nodes[relay], *to].into_iter().collect())),
            };
            has_changed |= choice.bulk != next;
            choice.bulk = next;
        }
        has_changed
    }

    /// The latency database, and the links that are up with what they count for in the order of paths.
    fn read<'a>(
        &self,
        nodes: &'a [NodePrefix],
        links: &'a [KnownLink],
        source: usize,
        transit: impl Fn(NodePrefix) -> Option<Transit>,
    ) -> (Table<'a>, Vec<Edge>) {
        let transits: Vec<_> = nodes.iter().map(|node| transit(*node)).collect();
        let charge = |(relay, transit): (&NodePrefix, &Option<Transit>)| {
            if *relay == self.own {
                return Some(0);
            }
            let full = if is_full((*transit)?.load) { FULL_CHARGE } else { 0 };
            Some(self.charges.of_transit((*transit)?) + self.charges.policy.of_relay(*relay) + full)
        };
        let charges: Vec<Option<i64>> = nodes.iter().zip(&transits).map(charge).collect();
        let weigh = |from: usize, to: usize, link: LinkLatency| {
            // Nothing comes back to its source.
            let charge = charges[from].filter(|_| to != source)?;
            Some(micros(Cost::of_link(link).worse().saturating_add(charge)))
        };
        let (table, mut edges) = Table::new(nodes, links, transits, weigh);
        for (one, other, price) in self.charges.policy.links() {
            let Some((one, other)) = table.place(one).zip(table.place(other)) else { continue };
            for (from, to) in [(one as u16, other as u16), (other as u16, one as u16)] {
                if let Ok(at) = edges.binary_search_by_key(&(from, to), |edge| (edge.from, edge.to)) {
                    edges[at].weight = edges[at].weight.saturating_add(micros(price));
                }
            }
        }
        (table, edges)
    }

    /// False while the path to a member is to wait for its moment to leave an overloaded relay.
    fn may_leave(
        &mut self,
        to: NodePrefix,
        database: &impl Database,
        again_at: &mut Time,
        now: Time,
    ) -> bool {
        let Some(choice) = self.choices.get_mut(&to) else { return true };
        let is_overloaded = matches!(&choice.present, Present::Path(path)
            if has_overloaded_relay(path, database)
                && self.charges.of_path(self.own, path, database).is_some());
        if !is_overloaded {
            choice.leave_at = None;
            return true;
        }
        let moment = || now + self.rng.below(LEAVE_WITHIN);
        let leave_at = *choice.leave_at.get_or_insert_with(moment);
        if leave_at > now {
            *again_at = leave_at.min(*again_at);
        }
        leave_at <= now
    }

    /// The chosen path to a member by the places of its nodes.
    fn hops(&self, to: NodePrefix, table: &Table<'_>) -> Option<Hops> {
        match &self.choices.get(&to)?.present {
            Present::Path(path) => path.hops().iter().map(|hop| table.place(*hop)).collect(),
            Present::Lost(_) => None,
        }
    }

    fn change(&mut self, to: NodePrefix, path: Path, cause: PathCause, at: Time) {
        let (mut history, bulk, former) = match self.choices.remove(&to).map(|choice| *choice) {
            Some(Choice { present: Present::Path(path) | Present::Lost(path), history, bulk, .. }) => {
                (history, bulk, Some(path))
            }
            None => (History::default(), None, None),
        };
        history.push(PastChange { at, cause, former });
        let present = Present::Path(path);
        let choice = Choice { present, backup: None, lowest: None, history, leave_at: None, bulk };
        self.choices.insert(to, Box::new(choice));
    }

    /// Holds it against the present path for a while that `better` is better.
    fn hold_down(&mut self, to: NodePrefix, better: &Path, database: &impl Database, now: Time) {
        let former = self.path(to);
        let cost = |path| self.assess(to, path, database, now).map(Cost::worse);
        let excess = cost(&former).zip(cost(better)).map_or(0, |(former, better)| former - better);
        self.penalise(to, former, excess.max(0), now, now + HOLD_DOWN);
    }

    /// How long the path to a member has been what it is.
    fn age(&self, to: NodePrefix, now: Time) -> Duration {
        let last = self.changes(to).first();
        last.map_or(Duration::ZERO, |change| now.since(change.at))
    }

    /// What a path counts for: its cost, and what is held against it.
    fn assess(&self, to: NodePrefix, path: &Path, database: &impl Database, now: Time) -> Option<Cost> {
        let held =
            self.penalties.of(to, path, now).saturating_add(self.distrust.of(to, path, now).unwrap_or(0));
        Some(self.cost(path, database)?.charged(held))
    }

    /// The best of the paths that may be changed to: the lowest one, but perhaps something is held against it, so
    /// also the direct one and the backup.
    fn best(
        &self,
        to: NodePrefix,
        lowest: Option<&Path>,
        database: &impl Database,
        now: Time,
    ) -> Option<(Path, Cost)> {
        let direct = Path::direct(to);
        let candidates = [Some(&direct), lowest, self.backup(to)].into_iter().flatten();
        let assessed = candidates.filter_map(|path| Some((path, self.assess(to, path, database, now)?)));
        let is_full = |path| has_full_relay(path, database);
        let best = assessed.min_by_key(|(path, cost)| (is_full(path), cost.worse(), path.hops().len()));
        best.map(|(path, cost)| (path.clone(), cost))
    }

    /// What is to be done where `lowest` is the lowest measured path, if there is any.
    fn decide(&self, to: NodePrefix, lowest: Option<&Path>, database: &impl Database, now: Time) -> Decision {
        let present = self.choices.get(&to).map(|choice| &choice.present);
        if let Some(pin) = self.charges.policy.pin(to).filter(|pin| self.cost(pin, database).is_some()) {
            let is_taken = matches!(present, Some(Present::Path(path)) if path == pin);
            let change = (!is_taken).then(|| (pin.clone(), PathCause::Pinned));
            return Decision { bar: None, is_pinned: true, change };
        }
        let without_bar = |change| Decision { bar: None, is_pinned: false, change };
        let best = self.best(to, lowest, database, now);
        let target = || best.as_ref().map_or_else(|| Path::direct(to), |(path, _)| path.clone());
        let present = match present {
            Some(Present::Path(path)) => path,
            Some(Present::Lost(_)) => return without_bar(Some((target(), PathCause::Dead))),
            None => return without_bar(Some((target(), PathCause::New))),
        };
        let Some(cost) = self.assess(to, present, database, now) else {
            let target = Some(target()).filter(|path| path != present);
            return without_bar(target.map(|path| (path, PathCause::Dead)));
        };
        let is_as_good = |direct: &Cost| {
            let is_low = direct.fast <= cost.fast && direct.slow <= cost.slow;
            is_low || is_clearly_lower_now(*direct, cost)
        };
        let direct = self.assess(to, &Path::direct(to), database, now);
        let direct = direct.filter(|direct| !present.is_direct() && is_as_good(direct));
        let bar = Bar::new(direct.unwrap_or(cost), self.age(to, now));
        let is_better = |(path, cost): &(Path, Cost)| {
            bar.compare(*cost) == Comparison::Better && !has_full_relay(path, database)
        };
        let is_distrusted = self.distrust.of(to, present, now).is_some();
        let cause = |usual| if is_distrusted { PathCause::Guard } else { usual };
        let change = match best.filter(is_better) {
            Some((path, _)) => Some((path, cause(PathCause::Better))),
            None => direct.map(|_| (Path::direct(to), cause(PathCause::DirectAsGood))),
        };
        Decision { bar: Some(bar), is_pinned: false, change }
    }
}

/// Nanoseconds as microseconds, which half an hour of fits.
fn micros(nanos: i64) -> i32 {
    let most = i64::from(i32::MAX);
    (nanos / 1000).clamp(-most, most) as i32
}

#[cfg(test)]
mod tests;
