//! The control plane: connects sessions, membership, latency, route and hosts, and publishes what they come to.
//!
//! One lock guards it. Components say what they want as values; here the values become datagrams, events
//! and snapshots.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

use log::debug;

use crate::config::{Config, Security};
use crate::engine::alarm::Alarms;
use crate::engine::dependents::Dependents;
use crate::engine::event::Event;
use crate::engine::meter::{Reading, RelayMeter};
use crate::engine::outbox::Outbox;
use crate::engine::slots::Slots;
use crate::engine::snapshot::Snapshot;
use crate::error::RejectReason;
use crate::forward::activity::Activity;
use crate::forward::fdb::{Fdb, Slot};
use crate::hash::KeyedHash;
use crate::hosts::{Capacity, Hosts};
use crate::latency::{self, Latency, LinkState};
use crate::membership::{self, Membership};
use crate::monitor::Monitor;
use crate::node::{NodeId, NodePrefix};
use crate::node_map::NodeMap;
use crate::rng::Rng;
use crate::route::{Path, Policy, Router};
use crate::session::{self, OuterKey, Sessions};
use crate::stats::{Counter, CounterSet};
use crate::time::Time;
use crate::wire::control::{MAX_CONTROL_LEN, Message};
use crate::wire::latency::{Probe, Row};
use crate::wire::record::Record;

/// How often hosts that have been silent for too long are cleared out of the FDB, and announced ones put back.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// How often this node looks at what frames go through it: how busy it is as a relay is told about as often.
const READ_INTERVAL: Duration = Duration::from_secs(2);

/// What the control plane keeps about a live member.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) slot: Slot,
    pub(super) incarnation: u64,
    pub(super) activity: Arc<Activity>,
    /// The paths that the data plane has to it.
    pub(super) path: Path,
    pub(super) bulk_path: Option<Path>,
}

impl Connection {
    /// All paths that frames to the member take.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        core::iter::once(&self.path).chain(&self.bulk_path)
    }
}

/// The components and what lies between them.
#[derive(Debug)]
pub(crate) struct Control {
    pub(super) sessions: Sessions,
    pub(super) membership: Membership,
    pub(super) latency: Latency,
    pub(super) router: Router,
    pub(super) hosts: Hosts,
    pub(super) monitor: Monitor,
    pub(super) connections: NodeMap<Box<Connection>>,
    pub(super) dependents: Dependents,
    /// Those of the local network.
    pub(super) alarms: Arc<Alarms>,
    pub(super) meter: Arc<RelayMeter>,
    /// `None` if this node carries no transit.
    reading: Option<Reading>,
    read_at: Time,
    pub(super) relay_limit: u32,
    pub(super) flood_limit: u32,
    pub(super) is_unsealed: bool,
    pub(super) outer: OuterKey,
    /// How many datagrams of handshakes were sent.
    pub(super) handshakes: u64,
    pub(super) rng: Rng,
    pub(super) counters: Arc<CounterSet>,
    pub(super) outbox: Outbox,
    /// Where control messages are sealed.
    pub(super) content: Vec<u8>,
    slots: Slots,
    pub(super) fdb: Arc<Fdb>,
    pub(super) select_at: Time,
    sweep_at: Time,
    /// What the data plane knows.
    pub(super) snapshot: Snapshot,
    /// Nodes of which it does not know the latest changes.
    pub(super) unpublished: BTreeSet<NodePrefix>,
}

impl Control {
    pub(crate) fn new(config: &Config, fdb: Arc<Fdb>, hash: KeyedHash, mut rng: Rng, now: Time) -> Self {
        let own = (config.id().prefix(), config.incarnation);
        let latency_rng = rng.fork();
        let capacity =
            Capacity { of_member: Fdb::member_quota(config.fdb_capacity), of_all: 2 * config.fdb_capacity };
        Control {
            sessions: Sessions::new(config, rng.fork()),
            membership: Membership::new(config, rng.fork()),
            latency: Latency::new(own, config.ping_interval, config.max_members, latency_rng),
            router: Router::new(own.0, config.relay_charge, Policy::new(&config.policy), rng.fork())
                .with_bulk(!config.bulk.is_empty()),
            hosts: Hosts::new(own.0, &config.segments, capacity),
            monitor: Monitor::new(rng.fork()),
            connections: NodeMap::new(),
            dependents: Dependents::default(),
            alarms: Arc::new(Alarms::new()),
            meter: Arc::default(),
            reading: config.transit.then(|| Reading::new(config.relay_capacity, now)),
            read_at: Time::NEVER,
            relay_limit: config.relay_limit,
            flood_limit: config.flood_limit,
            is_unsealed: matches!(config.security, Security::None { .. }),
            outer: OuterKey::of(&config.security),
            handshakes: 0,
            rng,
            counters: Arc::new(CounterSet::new()),
            outbox: Outbox::default(),
            content: Vec::with_capacity(MAX_CONTROL_LEN),
            slots: Slots::new(2 * config.max_members),
            fdb,
            select_at: Time::NEVER,
            sweep_at: Time::NEVER,
            snapshot: Snapshot::new(config.locator, &config.segments, hash),
            unpublished: BTreeSet::new(),
        }
    }

    pub(crate) fn join(&mut self, now: Time) {
        self.sweep_at = now + SWEEP_INTERVAL;
        self.read_at = now;
        self.membership.join(now);
        self.timer(now);
    }

    pub(crate) fn leave(&mut self, now: Time) {
        self.membership.leave(now);
        self.latency.stop();
        self.hosts.stop();
        self.sweep_at = Time::NEVER;
        self.read_at = Time::NEVER;
        self.select_at = Time::NEVER;
        self.timer(now);
    }

    pub(crate) fn timer(&mut self, now: Time) {
        if now >= self.sweep_at {
            self.sweep_at = now + SWEEP_INTERVAL;
            self.sweep_hosts(now);
        }
        if now >= self.read_at {
            self.read_at = now + READ_INTERVAL;
            let transit = self.reading.as_mut().map(|reading| reading.next(&self.meter, now));
            self.latency.set_transit(transit);
            self.latency.expect(self.membership.awaited(now), now);
            self.look_at_traffic(now);
        }
        self.sessions.timer(now);
        self.membership.timer(now);
        self.latency.timer(now);
        self.hosts.timer(now);
        self.monitor.timer(now);
    }

    /// Replaces the addresses of members to fetch the list from.
    pub(crate) fn set_seeds(&mut self, seeds: &[SocketAddr], now: Time) {
        self.membership.set_seeds(seeds, now);
        self.timer(now);
    }

    /// Replaces the list of nodes that may be members.
    pub(crate) fn set_allowed(&mut self, allowed: Option<BTreeSet<NodeId>>, now: Time) {
        for prefix in self.sessions.set_allowed(allowed) {
            self.note_change(prefix);
            self.disconnect(prefix, now);
            if let Some(Record { id, name, .. }) = self.membership.remove(prefix) {
                self.outbox.events.push(Event::MemberRemoved { id, name });
            }
        }
    }

    /// Randomness for a part of the engine of its own.
    pub(crate) fn fork_rng(&mut self) -> Rng {
        self.rng.fork()
    }

    pub(crate) fn deadline(&self) -> Time {
        let components =
            self.sessions.deadline().min(self.membership.deadline()).min(self.latency.deadline());
        let own = self.select_at.min(self.sweep_at).min(self.read_at);
        components.min(self.hosts.deadline()).min(self.monitor.deadline()).min(own)
    }

    /// Carries out what the components want, until they want nothing more and their deadlines lie ahead;
    /// gives a snapshot if the data plane needs a new one.
    pub(crate) fn settle(&mut self, now: Time) -> Option<Snapshot> {
        loop {
            let sessions = self.sessions.take_outputs();
            let membership = self.membership.take_outputs();
            let latency = self.latency.take_outputs();
            let hosts = self.hosts.take_outputs();
            let monitor = self.monitor.take_outputs();
            let is_quiet = sessions.is_empty() && membership.is_empty() && latency.is_empty();
            if is_quiet && hosts.is_empty() && monitor.is_empty() {
                if now >= self.select_at {
                    self.select_paths(now);
                } else if now >= self.deadline() {
                    self.timer(now);
                } else {
                    break;
                }
                continue;
            }
            for output in sessions {
                self.on_session(output, now);
            }
            for output in membership {
                self.on_membership(output, now);
            }
            for output in latency {
                self.on_latency(output, now);
            }
            for output in hosts {
                self.on_hosts(output, now);
            }
            for output in monitor {
                self.on_monitor(output, now);
            }
        }
        self.publish()
    }

    fn on_session(&mut self, output: session::Output, now: Time) {
        use session::Output;
        match output {
            Output::Send { route, kind, inner } => self.send_handshake(&route, kind, &inner),
            Output::Confirm(prefix) => self.confirm(prefix, now),
            Output::Challenge { to, address, token } => self.challenge(to, address, token, now),
            Output::Proven(prefix) => {
                self.latency.prove(prefix);
                // Where it was before it has heard nothing.
                self.latency.check(prefix, now);
            }
            Output::Met(prefix) => self.membership.met(prefix, now),
            Output::Closed(prefix) => self.membership.lose(prefix, now),
            Output::Refused(prefix, reason) => self.membership.be_rejected(prefix, reason, now),
            Output::Changed(prefix) => self.note_change(prefix),
        }
    }

    fn on_membership(&mut self, output: membership::Output, now: Time) {
        use membership::Output;
        match output {
            Output::Greet(address) => self.sessions.greet(address, now),
            Output::Contact(contact) => {
                self.sessions.contact(contact.id, contact.locator, contact.via, now);
            }
            Output::Send(to, message) => self.send_to(to, &message, now),
            Output::SendDirect(to, message) => self.send_direct(to, &message, now),
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
            Output::ListFetched(from) => {
                let from = self.address_of(from);
                self.outbox.events.extend(from.map(|from| Event::ListFetched { from }));
            }
            Output::SeedsSilent => {
                let seeds = self.membership.seeds().to_vec();
                self.outbox.events.push(Event::SeedsSilent { seeds });
            }
            Output::Joined(by) => {
                self.outbox.events.extend(self.name_of(by).map(|(by, _)| Event::Joined { by }));
            }
            // Not before: what is on its way is relayed until now.
            Output::Gone => {
                self.unpublished.extend(self.sessions.nodes());
                self.sessions.stop();
            }
            Output::Withdrawn => {
                for prefix in self.live_members() {
                    self.disconnect(prefix, now);
                }
            }
            Output::Rejected(by, reason) => {
                let by = self.address_of(by);
                self.outbox.events.extend(by.map(|by| Event::JoinRejected { by, reason }));
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
            Output::Probe(to, stamps) => {
                let probe = Probe {
                    stamps,
                    list_digest: self.membership.short_digest(),
                    row_version: self.latency.row_version(),
                    hosts_version: self.hosts.version(),
                };
                self.send_direct(to, &Message::Probe(probe), now);
            }
            Output::Row(to, row) => {
                let message = self.row_message(row);
                self.send_to(to, &message, now);
            }
            Output::RowToAll(row) => {
                let message = self.row_message(row);
                for to in self.live_members() {
                    self.send_to(to, &message, now);
                }
            }
            Output::RowRequest(to, from) => self.send_to(to, &Message::RowRequest { from }, now),
            Output::LinkUp(prefix) => {
                // Long before it carries transit.
                self.membership.set_reachable(prefix, true, now);
                self.outbox.events.extend(self.name_of(prefix).map(|(id, _)| Event::LinkUp { id }));
            }
            Output::LinkDown(prefix) => {
                self.lose_own_link(prefix, now);
                self.outbox.events.extend(self.name_of(prefix).map(|(id, _)| Event::LinkDown { id }));
            }
            Output::Changed => self.select_soon(now),
            Output::Lost(from, to) => self.lose_far_link(from, to, now),
            Output::Unexpected => self.counters.bump(Counter::ControlUnexpected),
        }
    }

    /// Shows a node that this one has the keys of a new session. A probe does, and its answer shows the same of the
    /// node, which may have nothing else to say for long.
    fn confirm(&mut self, prefix: NodePrefix, now: Time) {
        if self.latency.link_state(prefix) == Some(LinkState::Up) {
            self.latency.ask(prefix, now);
        } else {
            self.send_to(prefix, &Message::Confirm, now);
        }
    }

    fn row_message(&self, row: Row) -> Message {
        let (list_digest, hosts_version) = (self.membership.short_digest(), self.hosts.version());
        Message::Row { list_digest, hosts_version, row }
    }

    fn connect(&mut self, prefix: NodePrefix, now: Time) {
        self.note_change(prefix);
        let Some(record) = self.membership.list().alive(prefix) else { return };
        let incarnation = record.version.incarnation;
        if self.connections.get(&prefix).is_some_and(|connection| connection.incarnation == incarnation) {
            return;
        }
        let (id, name, locator) = (record.id, record.name.clone(), record.locator);
        if self.connections.contains_key(&prefix) {
            self.disconnect(prefix, now);
        }
        let Some(slot) = self.slots.take(now) else { return };
        let activity = Arc::new(Activity::new());
        let (path, bulk_path) = (Path::direct(prefix), None);
        let connection = Connection { slot, incarnation, activity, path, bulk_path };
        self.connections.insert(prefix, Box::new(connection));
        self.sessions.set_member(prefix, true);
        self.latency.expect(self.membership.awaited(now), now);
        self.latency.add(prefix, incarnation, now);
        if self.sessions.proven_address(prefix).is_some() {
            self.latency.prove(prefix);
        }
        self.hosts.add(prefix);
        self.select_soon(now);
        self.outbox.events.push(Event::MemberJoined { id, name, locator });
    }

    /// Drops every record tied to a member: its hosts, its latencies, its paths (§4.1).
    fn disconnect(&mut self, prefix: NodePrefix, now: Time) -> Option<(NodeId, String)> {
        let connection = self.connections.remove(&prefix)?;
        for path in connection.paths() {
            self.dependents.remove(prefix, path);
        }
        self.sessions.set_member(prefix, false);
        self.fdb.flush(connection.slot);
        self.slots.free(connection.slot, now);
        self.latency.remove(prefix, now);
        self.hosts.remove(prefix);
        self.monitor.dismiss(prefix);
        self.note_change(prefix);
        self.lose_relay(prefix, now);
        self.name_of(prefix)
    }

    /// Live members in ascending order.
    pub(super) fn live_members(&self) -> Vec<NodePrefix> {
        self.connections.keys().copied().collect()
    }

    /// Where a node is, for people.
    fn address_of(&self, prefix: NodePrefix) -> Option<SocketAddr> {
        self.sessions.address(prefix).or(self.sessions.locator(prefix))
    }

    pub(super) fn name_of(&self, prefix: NodePrefix) -> Option<(NodeId, String)> {
        let record = &self.membership.list().get(prefix)?.record;
        Some((record.id, record.name.clone()))
    }

    pub(super) fn ids_of(&self, path: &Path) -> Vec<NodeId> {
        path.hops().iter().filter_map(|hop| Some(self.membership.list().get(*hop)?.record.id)).collect()
    }
}
