//! Puts together what the engine says about itself.

use core::time::Duration;
use std::sync::Arc;

use crate::engine::control::Control;
use crate::engine::explain::positive;
use crate::engine::status::{HostStatus, LinkStatus, MemberStatus, Status};
use crate::forward::fdb::Located;
use crate::host::Host;
use crate::latency::LinkState;
use crate::membership::Member;
use crate::node::MemberState;
use crate::route::Path;
use crate::stats::{CounterSet, Counters};
use crate::time::Time;
use crate::wire::latency::LinkLatency;

impl Control {
    pub(super) fn status(&self, now: Time, sets: &[Arc<CounterSet>]) -> Status {
        let own = self.membership.own();
        Status {
            id: own.id,
            name: own.name.clone(),
            locator: own.locator,
            incarnation: own.version.incarnation,
            list_digest: self.membership.digest(),
            members: self.membership.list().members().map(|member| self.member_status(member)).collect(),
            latency: self.latency_status(),
            fdb: self.fdb_status(now),
            sessions: self.sessions.len(),
            counters: Counters::sum(sets.iter().map(Arc::as_ref)),
        }
    }

    fn member_status(&self, member: &Member) -> MemberStatus {
        let record = &member.record;
        let prefix = record.id.prefix();
        let is_alive = member.state == MemberState::Alive;
        let path = self.router.path(prefix);
        let cost = |path: &Path| {
            let cost = self.router.cost(path, &self.latency);
            cost.filter(|_| is_alive).map(|cost| positive(cost.worse()))
        };
        let estimator = self.latency.estimator(prefix);
        let live = estimator.filter(|_| self.latency.link_state(prefix) == Some(LinkState::Up));
        MemberStatus {
            id: record.id,
            name: record.name.clone(),
            locator: record.locator,
            incarnation: record.version.incarnation,
            state: member.state,
            rtt: live.map(|estimator| estimator.fast()),
            jitter: live.map(|estimator| estimator.jitter()),
            loss: estimator.map_or(0.0, |estimator| estimator.loss()),
            path: if is_alive { self.ids_of(&path) } else { Vec::new() },
            path_cost: cost(&path),
            direct_cost: cost(&Path::direct(prefix)),
            bulk_path: self.router.bulk_path(prefix).map_or_else(Vec::new, |path| self.ids_of(path)),
        }
    }

    fn latency_status(&self) -> Vec<LinkStatus> {
        let table = self.latency.table();
        let ids: Vec<_> = table.nodes.iter().map(|node| self.id_of(*node)).collect();
        let micros = |us: u32| Duration::from_micros(u64::from(us));
        let link_status = |(from, to, link): (u16, u16, Option<LinkLatency>)| {
            Some(LinkStatus {
                from: ids[usize::from(from)]?,
                to: ids[usize::from(to)]?,
                fast: link.map(|link| micros(link.fast_us)),
                slow: link.map(|link| micros(link.slow_us)),
                jitter: link.map(|link| micros(link.jitter_us)),
                loss: link.map_or(u8::MAX, |link| link.loss),
            })
        };
        let mut links: Vec<_> = table.entries.into_iter().filter_map(link_status).collect();
        links.sort_unstable_by_key(|link| (link.from, link.to));
        links
    }

    fn fdb_status(&self, now: Time) -> Vec<HostStatus> {
        let host = |located: Located| {
            let Host { segment, vlan, mac } = located.host;
            // A host of a member that has just gone is not worth a line.
            let member = self.id_at(located.place)?;
            let age = Duration::from_secs(located.age_secs);
            Some(HostStatus { segment, vlan, mac, member, origin: located.origin, age })
        };
        self.fdb.hosts(now.as_secs()).into_iter().filter_map(host).collect()
    }
}
