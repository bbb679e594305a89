//! The control plane: connects membership, latency and route, and publishes what they come to.
//!
//! One lock guards it. Components say what they want as values; here the values become datagrams, events
//! and snapshots.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use log::debug;

use crate::config::Config;
use crate::engine::event::Event;
use crate::engine::outbox::Outbox;
use crate::engine::slots::Slots;
use crate::engine::snapshot::{Peer, Snapshot};
use crate::error::RejectReason;
use crate::forward::fdb::{Fdb, Slot};
use crate::hash::KeyedHash;
use crate::latency::{self, Latency, LinkState};
use crate::membership::{self, Membership};
use crate::node::{NodeId, NodePrefix};
use crate::rng::Rng;
use crate::route::{Change, Path, Router};
use crate::session::Session;
use crate::stats::{Counter, CounterSet};
use crate::time::Time;
use crate::wire::control::{Message, Ping};
use crate::wire::header;
use crate::wire::record::Record;

/// Paths are chosen this long after the first of a burst of changes, so a few times in a round of
/// measurement at most; at once when a used link is lost.
const SELECT_DELAY: Duration = Duration::from_millis(200);
/// How often hosts that have been silent for too long are cleared out of the FDB.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// What the control plane keeps for the data plane about a live member.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) slot: Slot,
    pub(super) incarnation: u64,
    pub(super) session: Arc<Session>,
}

/// The components and what lies between them.
#[derive(Debug)]
pub(crate) struct Control {
    pub(super) membership: Membership,
    pub(super) latency: Latency,
    pub(super) router: Router,
    pub(super) connections: BTreeMap<NodePrefix, Connection>,
    /// Sessions with members that have failed: when one returns in the same life, what was received from it
    /// before must still be known.
    dormant: BTreeMap<NodePrefix, (u64, Arc<Session>)>,
    pub(super) counters: Arc<CounterSet>,
    pub(super) outbox: Outbox,
    slots: Slots,
    pub(super) fdb: Arc<Fdb>,
    hash: KeyedHash,
    select_at: Time,
    sweep_at: Time,
    /// The data plane does not know of the latest changes.
    is_unpublished: bool,
}

impl Control {
    pub(crate) fn new(config: &Config, fdb: Arc<Fdb>, hash: KeyedHash, mut rng: Rng) -> Self {
        let own = (config.id.prefix(), config.incarnation);
        let latency_rng = rng.fork();
        Control {
            membership: Membership::new(config, rng.fork()),
            latency: Latency::new(own, config.ping_interval, config.max_members, latency_rng),
            router: Router::new(own.0, config.relay_charge),
            connections: BTreeMap::new(),
            dormant: BTreeMap::new(),
            counters: Arc::new(CounterSet::new()),
            outbox: Outbox::default(),
            slots: Slots::new(2 * config.max_members),
            fdb,
            hash,
            select_at: Time::NEVER,
            sweep_at: Time::NEVER,
            is_unpublished: true,
        }
    }

    pub(crate) fn join(&mut self, now: Time) {
        self.sweep_at = now + SWEEP_INTERVAL;
        self.membership.join(now);
        self.timer(now);
    }

    pub(crate) fn leave(&mut self, now: Time) {
        self.membership.leave(now);
        self.latency.stop();
        self.sweep_at = Time::NEVER;
        self.select_at = Time::NEVER;
        self.timer(now);
    }

    pub(crate) fn timer(&mut self, now: Time) {
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP_INTERVAL;
            self.fdb.sweep(now.as_secs());
        }
        self.membership.timer(now);
        self.latency.timer(now);
    }

    pub(crate) fn deadline(&self) -> Time {
        let components = self.membership.deadline().min(self.latency.deadline());
        components.min(self.select_at).min(self.sweep_at)
    }

    /// Carries out what the components want, until they want nothing more and their deadlines lie ahead;
    /// gives a snapshot if the data plane needs a new one.
    pub(crate) fn settle(&mut self, now: Time) -> Option<Snapshot> {
        loop {
            let membership = self.membership.take_outputs();
            let latency = self.latency.take_outputs();
            if membership.is_empty() && latency.is_empty() {
                if now >= self.select_at {
                    self.select_paths(now);
                } else if now >= self.deadline() {
                    self.timer(now);
                } else {
                    break;
                }
                continue;
            }
            for output in membership {
                self.on_membership(output, now);
            }
            for output in latency {
                self.on_latency(output, now);
            }
        }
        core::mem::take(&mut self.is_unpublished).then(|| self.snapshot())
    }

    fn on_membership(&mut self, output: membership::Output, now: Time) {
        use membership::Output;
        match output {
            Output::SendTo(to, message) => self.send_to_address(to, &message),
            Output::SendToMember(to, message) => self.send_on_path(to, &message),
            Output::Alive(prefix) => self.connect(prefix, now),
            Output::Left(prefix) => {
                if let Some((id, name)) = self.disconnect(prefix, now) {
                    self.outbox.events.push(Event::MemberLeft { id, name });
                }
            }
            Output::Failed(prefix) => {
                if let Some((id, name)) = self.disconnect(prefix, now) {
                    self.outbox.events.push(Event::MemberFailed { id, name });
                }
            }
            Output::Renewed => {
                let own = self.membership.own().version.incarnation;
                self.latency.renew(own);
                self.dormant.clear();
                for connection in self.connections.values_mut() {
                    connection.session = Arc::new(Session::new(own, connection.incarnation, now));
                }
                self.is_unpublished = true;
            }
            Output::ListFetched(from) => {
                self.outbox.events.push(Event::ListFetched { from });
            }
            Output::Joined(by) => {
                self.outbox.events.extend(self.name_of(by).map(|(by, _)| Event::Joined { by }));
            }
            Output::Gone => self.is_unpublished = true,
            Output::Withdrawn => {
                for prefix in self.live_members() {
                    self.disconnect(prefix, now);
                }
            }
            Output::Rejected(by, reason) => {
                self.outbox.events.push(Event::JoinRejected { by, reason });
            }
            Output::Refused(reason) => {
                debug!("refused a node: {reason}");
                self.counters.bump(match reason {
                    RejectReason::ListFull => Counter::MemberLimit,
                    _ => Counter::MemberConflict,
                });
            }
            Output::Unexpected => self.counters.bump(Counter::ControlUnexpected),
        }
    }

    fn on_latency(&mut self, output: latency::Output, now: Time) {
        use latency::Output;
        match output {
            Output::Ping(to, token) => {
                let (list_digest, row_version) = (self.membership.digest(), self.latency.row_version());
                self.send_direct(to, &Message::Ping(Ping { token, list_digest, row_version }));
            }
            Output::Row(to, row) => self.send_on_path(to, &Message::Row(row)),
            Output::RowToAll(row) => {
                let message = Message::Row(row);
                for to in self.live_members() {
                    self.send_on_path(to, &message);
                }
            }
            Output::RowRequest(to, from) => self.send_on_path(to, &Message::RowRequest { from }),
            Output::LinkUp(prefix) => {
                // Long before it carries transit.
                self.membership.set_reachable(prefix, true, now);
                self.outbox.events.extend(self.name_of(prefix).map(|(id, _)| Event::LinkUp { id }));
            }
            Output::LinkDown(prefix) => {
                self.outbox.events.extend(self.name_of(prefix).map(|(id, _)| Event::LinkDown { id }));
            }
            Output::Changed => self.select_at = self.select_at.min(now + SELECT_DELAY),
            Output::Lost(from, to) => {
                if self.router.uses(from, to) {
                    self.select_at = now;
                }
            }
            Output::Unexpected => self.counters.bump(Counter::ControlUnexpected),
        }
    }

    fn connect(&mut self, prefix: NodePrefix, now: Time) {
        let Some(record) = self.membership.list().alive(prefix) else { return };
        let incarnation = record.version.incarnation;
        self.is_unpublished = true;
        if self.connections.get(&prefix).is_some_and(|connection| connection.incarnation == incarnation) {
            return;
        }
        let (id, name, locator) = (record.id, record.name.clone(), record.locator);
        let own = self.membership.own().version.incarnation;
        if self.connections.contains_key(&prefix) {
            self.disconnect(prefix, now);
        }
        let Some(slot) = self.slots.take(now) else { return };
        let session = match self.dormant.remove(&prefix) {
            Some((life, session)) if life == incarnation => session,
            _ => Arc::new(Session::new(own, incarnation, now)),
        };
        self.connections.insert(prefix, Connection { slot, incarnation, session });
        self.latency.add(prefix, incarnation, now);
        self.select_at = self.select_at.min(now + SELECT_DELAY);
        self.outbox.events.push(Event::MemberJoined { id, name, locator });
    }

    /// Drops every record tied to a member: its hosts, its latencies, its paths (§4.1).
    fn disconnect(&mut self, prefix: NodePrefix, now: Time) -> Option<(NodeId, String)> {
        let connection = self.connections.remove(&prefix)?;
        self.dormant.retain(|prefix, _| self.membership.list().get(*prefix).is_some());
        self.dormant.insert(prefix, (connection.incarnation, connection.session));
        self.fdb.flush(connection.slot);
        self.slots.free(connection.slot, now);
        self.latency.remove(prefix);
        self.router.remove(prefix);
        self.select_at = now;
        self.is_unpublished = true;
        self.name_of(prefix)
    }

    fn select_paths(&mut self, now: Time) {
        self.select_at = Time::NEVER;
        let members = self.live_members();
        let (latency, table) = (&self.latency, self.latency.table());
        let up = table.entries.iter().filter_map(|(from, to, link)| Some((*from, *to, (*link)?)));
        let selection = self.router.select(&table.nodes, up, |from, to| latency.link(from, to));
        let is_reached = |member: &&NodePrefix| selection.unreachable.binary_search(member).is_err();
        let reached: Vec<NodePrefix> = members.iter().filter(is_reached).copied().collect();
        let is_back = |record: &&Record| {
            let (prefix, incarnation) = (record.id.prefix(), record.version.incarnation);
            reached.iter().any(|member| self.latency.is_linked(*member, prefix, incarnation))
        };
        let back: Vec<NodePrefix> =
            self.membership.failed().filter(is_back).map(|record| record.id.prefix()).collect();
        for member in back {
            self.membership.revive(member, now);
        }
        for member in members {
            let is_unreachable = selection.unreachable.binary_search(&member).is_ok()
                && self.latency.link_state(member) == Some(LinkState::Down);
            self.membership.set_reachable(member, !is_unreachable, now);
        }
        for Change { to, cause } in selection.changes {
            self.is_unpublished = true;
            let path = self.ids_of(&self.router.path(to));
            let event = self.name_of(to).map(|(id, _)| Event::PathChanged { to: id, path, cause });
            self.outbox.events.extend(event);
        }
    }

    fn snapshot(&self) -> Snapshot {
        let own = self.membership.own();
        let peers = if self.membership.is_gone() { Vec::new() } else { self.peers() };
        Snapshot::new(own.locator, &own.segments, peers, self.hash)
    }

    fn peers(&self) -> Vec<Arc<Peer>> {
        let peer = |(prefix, connection): (&NodePrefix, &Connection)| {
            let record = self.membership.list().alive(*prefix)?;
            let path = self.locators_on_path(*prefix)?;
            let session = Arc::clone(&connection.session);
            Some(Arc::new(Peer {
                prefix: *prefix,
                slot: connection.slot,
                address: record.locator,
                header: header::build(self.membership.own().id.prefix(), session.epoch_out(), &path),
                next: path[0],
                widest: path.iter().find(|hop| hop.is_ipv6()).unwrap_or(&path[0]).ip(),
                session,
                segments: record.segments.clone(),
            }))
        };
        self.connections.iter().filter_map(peer).collect()
    }

    /// Live members in ascending order.
    pub(super) fn live_members(&self) -> Vec<NodePrefix> {
        self.connections.keys().copied().collect()
    }

    pub(super) fn name_of(&self, prefix: NodePrefix) -> Option<(NodeId, String)> {
        let record = &self.membership.list().get(prefix)?.record;
        Some((record.id, record.name.clone()))
    }

    pub(super) fn ids_of(&self, path: &Path) -> Vec<NodeId> {
        path.hops().iter().filter_map(|hop| Some(self.membership.list().get(*hop)?.record.id)).collect()
    }
}
