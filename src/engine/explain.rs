//! Puts together why frames for a member take the path they take.
//!
//! The router says where each path stands; here the links get names and what the latency database has of
//! them. Only reads.

use core::time::Duration;

use crate::engine::control::Control;
use crate::engine::explanation::{Candidate, Explanation, LinkState, PastChange, PathLink, Probe, Verdict};
use crate::latency;
use crate::node::{MemberState, NodeId, NodePrefix};
use crate::route::{self, Cost, Database, Path, Standing};
use crate::time::Time;

impl Control {
    pub(super) fn explain(&self, to: NodeId, now: Time) -> Option<Explanation> {
        let prefix = to.prefix();
        let member = self.membership.list().get(prefix).filter(|member| member.record.id == to)?;
        let is_alive = member.state == MemberState::Alive;
        let candidates = if is_alive { self.candidates(prefix, now) } else { self.no_way(prefix, now) };
        let past_change = |change: &route::PastChange| PastChange {
            age: now.since(change.at),
            cause: change.cause,
            former: change.former.as_ref().and_then(|path| self.ids_on(path)),
        };
        let changes = if is_alive { self.router.changes(prefix) } else { &[] };
        Some(Explanation {
            from: self.membership.own().id,
            to,
            name: member.record.name.clone(),
            state: member.state,
            candidates,
            changes: changes.iter().map(past_change).collect(),
        })
    }

    fn candidates(&self, to: NodePrefix, now: Time) -> Vec<Candidate> {
        let members = self.connections.keys().copied();
        let candidates = self.router.candidates(to, members, &self.latency, now);
        let with_names = |candidate: route::Candidate| self.candidate(candidate, now);
        candidates.into_iter().filter_map(with_names).collect()
    }

    /// What there is to say of a member that no frames are sent to.
    fn no_way(&self, to: NodePrefix, now: Time) -> Vec<Candidate> {
        let path = Path::direct(to);
        let links = self.path_links(&path, now);
        let only = |(path, links)| Candidate {
            path,
            verdict: Verdict::Unreachable,
            fast_cost: None,
            slow_cost: None,
            relay_charge: Duration::ZERO,
            price: Duration::ZERO,
            penalty: Duration::ZERO,
            gap: None,
            is_backup: false,
            links,
        };
        self.ids_on(&path).zip(links).map(only).into_iter().collect()
    }

    fn candidate(&self, candidate: route::Candidate, now: Time) -> Option<Candidate> {
        let route::Candidate { path, cost, penalty, gap, is_backup, standing } = candidate;
        Some(Candidate {
            path: self.ids_on(&path)?,
            verdict: self.verdict(standing),
            fast_cost: cost.map(|cost| positive(cost.fast)),
            slow_cost: cost.map(|cost| positive(cost.slow)),
            relay_charge: positive(self.router.relay_charge(&path, &self.latency).unwrap_or_default()),
            price: positive(self.router.price(&path)),
            penalty: positive(penalty),
            gap: gap.map(positive),
            is_backup,
            links: self.path_links(&path, now)?,
        })
    }

    fn path_links(&self, path: &Path, now: Time) -> Option<Vec<PathLink>> {
        let links = path.links(self.membership.own().id.prefix());
        links.map(|(from, to)| self.path_link(from, to, now)).collect()
    }

    fn verdict(&self, standing: Standing) -> Verdict {
        match standing {
            Standing::Chosen => Verdict::Chosen,
            Standing::LastResort => Verdict::LastResort,
            Standing::Due => Verdict::Due,
            Standing::CostsMore(estimate) => Verdict::CostsMore { estimate },
            Standing::WithinHysteresis(estimate) => Verdict::WithinHysteresis { estimate },
            Standing::NotLowest => Verdict::NotLowest,
            Standing::NotPinned => Verdict::NotPinned,
            Standing::RelayFull => Verdict::RelayFull,
            Standing::NoTransit => Verdict::NoTransit,
            Standing::Broken(from, to) => match self.path_link_state(from, to) {
                LinkState::New => Verdict::LinkNew,
                LinkState::Down => Verdict::LinkDown,
                LinkState::Up | LinkState::Unmeasured => Verdict::LinkUnmeasured,
            },
        }
    }

    fn path_link(&self, from: NodePrefix, to: NodePrefix, now: Time) -> Option<PathLink> {
        let latency = Database::link(&self.latency, from, to);
        let micros = |us: u32| Duration::from_micros(u64::from(us));
        let is_own = from == self.membership.own().id.prefix();
        let estimator = self.latency.estimator(to).filter(|_| is_own);
        Some(PathLink {
            from: self.id_of(from)?,
            to: self.id_of(to)?,
            state: self.path_link_state(from, to),
            fast: latency.map(|link| micros(link.fast_us)),
            slow: latency.map(|link| micros(link.slow_us)),
            loss_charge: latency.map_or(Duration::ZERO, |link| positive(Cost::of_loss(link))),
            jitter_charge: latency.map_or(Duration::ZERO, |link| positive(Cost::of_jitter(link))),
            skew_ns: latency.map_or(0, Cost::of_skew),
            probe: estimator.map(|estimator| Probe {
                samples: estimator.samples(),
                age: estimator.last_answer_at().map(|at| now.since(at)),
            }),
        })
    }

    fn path_link_state(&self, from: NodePrefix, to: NodePrefix) -> LinkState {
        let own_state =
            if from == self.membership.own().id.prefix() { self.latency.link_state(to) } else { None };
        match (self.latency.entry(from, to), own_state) {
            (Some(Some(_)), _) if matches!(self.latency.entry(to, from), Some(None)) => LinkState::Down,
            (Some(Some(_)), _) => LinkState::Up,
            // A link that has come back is told of when it is measured anew.
            (_, Some(latency::LinkState::New | latency::LinkState::Up)) => LinkState::New,
            (Some(None), _) | (_, Some(latency::LinkState::Down)) => LinkState::Down,
            (None, None) => LinkState::Unmeasured,
        }
    }

    /// The identity of this node or of one that is remembered.
    pub(super) fn id_of(&self, node: NodePrefix) -> Option<NodeId> {
        let own = self.membership.own().id;
        if node == own.prefix() { Some(own) } else { self.name_of(node).map(|(id, _)| id) }
    }

    /// The identities on a path, if all of them are remembered.
    fn ids_on(&self, path: &Path) -> Option<Vec<NodeId>> {
        path.hops().iter().map(|hop| self.id_of(*hop)).collect()
    }
}

/// A cost for people; what compares directions may make one negative.
pub(super) fn positive(nanos: i64) -> Duration {
    Duration::from_nanos(nanos.max(0) as u64)
}
