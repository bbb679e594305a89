//! Puts together why frames for a member take the path they take.
//!
//! The router says where each path stands; here the links get names and what the latency database has of
//! them. Only reads.

use core::time::Duration;

use crate::engine::control::Control;
use crate::engine::explanation::{Candidate, Explanation, LastChange, LinkState, PathLink, Probe, Verdict};
use crate::latency;
use crate::node::{MemberState, NodeId, NodePrefix};
use crate::route::{self, Cost, Path, Standing};
use crate::time::Time;

impl Control {
    pub(super) fn explain(&self, to: NodeId, now: Time) -> Option<Explanation> {
        let prefix = to.prefix();
        let member = self.membership.list().get(prefix).filter(|member| member.record.id == to)?;
        let is_alive = member.state == MemberState::Alive;
        let candidates = if is_alive { self.candidates(prefix, now) } else { self.no_way(prefix, now) };
        let last_change = self.router.last_change(prefix).filter(|_| is_alive);
        Some(Explanation {
            from: self.membership.own().id,
            to,
            name: member.record.name.clone(),
            state: member.state,
            candidates,
            last_change: last_change.map(|change| LastChange {
                age: now.since(change.at),
                cause: change.cause,
                former: change.former.as_ref().and_then(|path| self.ids_on(path)),
            }),
        })
    }

    fn candidates(&self, to: NodePrefix, now: Time) -> Vec<Candidate> {
        let members = self.connections.keys().copied();
        let candidates = self.router.candidates(to, members, |from, to| self.latency.link(from, to));
        let with_names = |route::Candidate { path, cost, standing }: route::Candidate| {
            self.candidate(&path, cost, self.verdict(standing), now)
        };
        candidates.into_iter().filter_map(with_names).collect()
    }

    /// What there is to say of a member that no frames are sent to.
    fn no_way(&self, to: NodePrefix, now: Time) -> Vec<Candidate> {
        self.candidate(&Path::direct(to), None, Verdict::Unreachable, now).into_iter().collect()
    }

    fn candidate(&self, path: &Path, cost: Option<Cost>, verdict: Verdict, now: Time) -> Option<Candidate> {
        let links = path.links(self.membership.own().id.prefix());
        let relays = path.hops().len() as u32 - 1;
        Some(Candidate {
            path: self.ids_on(path)?,
            verdict,
            fast_cost: cost.map(|cost| Duration::from_nanos(cost.fast)),
            slow_cost: cost.map(|cost| Duration::from_nanos(cost.slow)),
            relay_charge: self.router.relay_charge() * relays,
            links: links.map(|(from, to)| self.path_link(from, to, now)).collect::<Option<_>>()?,
        })
    }

    fn verdict(&self, standing: Standing) -> Verdict {
        match standing {
            Standing::Chosen => Verdict::Chosen,
            Standing::LastResort => Verdict::LastResort,
            Standing::Due => Verdict::Due,
            Standing::CostsMore(estimate) => Verdict::CostsMore { estimate },
            Standing::WithinHysteresis(estimate) => Verdict::WithinHysteresis { estimate },
            Standing::NotLowest => Verdict::NotLowest,
            Standing::Broken(from, to) => match self.path_link_state(from, to) {
                LinkState::New => Verdict::LinkNew,
                LinkState::Down => Verdict::LinkDown,
                LinkState::Up | LinkState::Unmeasured => Verdict::LinkUnmeasured,
            },
        }
    }

    fn path_link(&self, from: NodePrefix, to: NodePrefix, now: Time) -> Option<PathLink> {
        let latency = self.latency.link(from, to);
        let micros = |us: u32| Duration::from_micros(u64::from(us));
        let is_own = from == self.membership.own().id.prefix();
        let estimator = self.latency.estimator(to).filter(|_| is_own);
        Some(PathLink {
            from: self.id_of(from)?,
            to: self.id_of(to)?,
            state: self.path_link_state(from, to),
            fast: latency.map(|link| micros(link.fast_us)),
            slow: latency.map(|link| micros(link.slow_us)),
            loss_charge: latency.map_or(Duration::ZERO, |link| Duration::from_nanos(Cost::of_loss(link))),
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
