//! When paths are chosen, and what follows: members that are back or out of reach, events, a new snapshot.

use core::time::Duration;

use crate::config;
use crate::engine::control::Control;
use crate::engine::event::Event;
use crate::latency::{Latency, LinkState};
use crate::node::NodePrefix;
use crate::route::{Change, Database, Failover, Policy, correction};
use crate::time::Time;
use crate::wire::latency::{LinkLatency, Transit};
use crate::wire::record::Record;

/// Paths are chosen this long after a change, a quarter more or less: changes come in bursts, and nodes that all choose
/// at the same moment all make the same choice.
const SELECT_DELAY: Duration = Duration::from_millis(200);
/// With more members than this, after longer in proportion, as there are more changes and a choice takes longer; but not
/// where a link has failed: what has none left is to be known.
const FEW: u32 = 14;
/// With more than this in proportion again, but not after more than so long: rows are told more and more seldom, too, and what
/// any of them tells is less.
const MANY: u32 = 200;
const SELECT_DELAY_MAX: Duration = Duration::from_secs(30);

impl Database for Latency {
    fn link(&self, from: NodePrefix, to: NodePrefix) -> Option<LinkLatency> {
        let link = self.link(from, to)?;
        match self.entry(to, from) {
            // The node at its far end just has not told yet that it is down.
            Some(None) => None,
            Some(Some(other_end)) => Some(correction(link, other_end).unwrap_or(link)),
            None => Some(link),
        }
    }

    fn transit(&self, relay: NodePrefix) -> Option<Transit> {
        self.transit(relay)
    }
}

impl Control {
    /// Chooses all paths anew.
    pub(super) fn select_paths(&mut self, now: Time) {
        let members = self.live_members();
        let table = self.latency.table();
        let selection =
            self.router.select(&table.nodes, &table.entries, |node| self.latency.transit(node), now);
        self.select_at = selection.again_at.max(now + self.select_delay());
        let is_reached = |member: &&NodePrefix| selection.unreachable.binary_search(member).is_err();
        let reached: Vec<NodePrefix> = members.iter().filter(is_reached).copied().collect();
        let is_back = |record: &&Record| {
            let (prefix, incarnation) = (record.id.prefix(), record.version.incarnation);
            reached.iter().any(|member| self.latency.is_linked(*member, prefix, incarnation))
        };
        let back = self.membership.failed().filter(is_back);
        let back: Vec<_> = back.map(|record| (record.id.prefix(), record.id, record.locator)).collect();
        for (prefix, id, locator) in back {
            // A row is hearsay: without keys, it is only worth asking the node itself.
            if self.sessions.keys(prefix).is_some() {
                self.membership.revive(prefix, now);
            } else {
                self.sessions.contact(id, locator, None, now);
            }
        }
        for member in members {
            self.set_patience(member);
            let has_path = selection.unreachable.binary_search(&member).is_err()
                || self.latency.link_state(member) != Some(LinkState::Down);
            let is_linked = has_path || self.is_linked(member, &reached);
            if is_linked && !has_path {
                // Its row says otherwise, as far as it is known here.
                self.latency.ask_for_row(member, now);
            }
            self.membership.set_reachable(member, is_linked, now);
        }
        if selection.has_other_bulk {
            self.note_bulk_changes();
        }
        self.tell_changes(selection.changes);
    }

    /// True if one of these says that it has a link to a member.
    fn is_linked(&self, member: NodePrefix, reached: &[NodePrefix]) -> bool {
        self.connections.get(&member).is_some_and(|connection| {
            reached.iter().any(|other| self.latency.is_linked(*other, member, connection.incarnation))
        })
    }

    /// Replaces what the operator wants of paths.
    pub(super) fn set_policy(&mut self, policy: &config::Policy, now: Time) {
        self.router.set_policy(Policy::new(policy));
        self.select_at = now;
    }

    /// Has paths chosen anew soon: after the first of a burst of changes, so a few times in a round of measurement
    /// at most, and not at the moment when all others do.
    pub(super) fn select_soon(&mut self, now: Time) {
        self.select_within(self.select_delay(), now);
    }

    fn select_within(&mut self, delay: Duration, now: Time) {
        if self.select_at > now + delay + delay / 4 {
            self.select_at = now + self.rng.within(delay, 4);
        }
    }

    fn select_delay(&self) -> Duration {
        let members = u32::try_from(self.connections.len()).unwrap_or(u32::MAX);
        let delay = SELECT_DELAY.saturating_mul(members.max(FEW)) / FEW;
        (delay.saturating_mul(members.max(MANY)) / MANY).min(SELECT_DELAY_MAX)
    }

    /// The own link to a member is down: what is sent over it takes the backup from now on. Where there is none, nothing
    /// is hurried: whoever has no other way may just be slow to answer, and is not to be given up the sooner.
    pub(super) fn lose_own_link(&mut self, to: NodePrefix, now: Time) {
        let own = self.membership.own().id.prefix();
        let failover = self.router.lose_link(own, to, &self.latency, now);
        self.follow(Failover { is_urgent: false, ..failover }, now);
    }

    /// A link between others is down: what is sent over it takes the backup from now on.
    pub(super) fn lose_far_link(&mut self, from: NodePrefix, to: NodePrefix, now: Time) {
        let failover = self.router.lose_link(from, to, &self.latency, now);
        self.follow(failover, now);
    }

    /// A member is gone, and no relay any more.
    pub(super) fn lose_relay(&mut self, member: NodePrefix, now: Time) {
        let failover = self.router.remove(member, &self.latency, now);
        self.follow(failover, now);
    }

    fn follow(&mut self, failover: Failover, now: Time) {
        if failover.is_urgent {
            self.select_at = now;
        } else {
            self.select_within(SELECT_DELAY, now);
        }
        if failover.has_lost_bulk {
            self.note_bulk_changes();
        }
        self.tell_changes(failover.changes);
    }

    pub(super) fn tell_changes(&mut self, changes: Vec<Change>) {
        for Change { to, cause } in changes {
            self.note_change(to);
            self.monitor.dismiss(to);
            self.set_patience(to);
            let path = self.ids_of(&self.router.path(to));
            let event = self.name_of(to).map(|(id, _)| Event::PathChanged { to: id, path, cause });
            self.outbox.events.extend(event);
        }
    }
}
