//! Control messages and handshakes between the wire and the components.

use core::net::SocketAddr;

use arrayvec::ArrayVec;

use crate::config::MAX_HOPS;
use crate::engine::control::Control;
use crate::latency::LinkState;
use crate::node::{NodePrefix, Segment};
use crate::route::{Cost, Path};
use crate::session::{self, Arrival, Ends, Keys, Route, SealedPath};
use crate::stats::Counter;
use crate::time::Time;
use crate::wire::control::Message;
use crate::wire::header::{self, Fields};
use crate::wire::record::Record;
use crate::wire::{KIND_CONTROL, TYPE_TRANSPORT};

/// Who sent a control message, in a session with this node.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) prefix: NodePrefix,
    pub(crate) epoch: u8,
    /// Where it came from; `None` if it was relayed.
    pub(crate) address: Option<SocketAddr>,
    /// The locators of the relays it came through, in order.
    pub(crate) relays: ArrayVec<SocketAddr, MAX_HOPS>,
}

/// A way through the underlay: the entries of the header's path, the nodes that relay, and where to send.
pub(super) struct Way {
    entries: ArrayVec<SocketAddr, MAX_HOPS>,
    relays: ArrayVec<NodePrefix, MAX_HOPS>,
    next: SocketAddr,
}

impl Way {
    /// Without a relay, to a node that the header calls `entry`.
    fn straight(entry: SocketAddr, next: SocketAddr) -> Self {
        Way { entries: [entry].into_iter().collect(), relays: ArrayVec::new(), next }
    }
}

impl Control {
    /// Takes a datagram of a handshake, opened.
    pub(crate) fn shake_hands(&mut self, arrival: &Arrival<'_>, now: Time) {
        if !self.membership.is_active() {
            return;
        }
        if let Err(reason) = self.sessions.handle(arrival, now) {
            self.counters.bump(reason);
        }
    }

    /// Takes a control message that arrived at `received_at`.
    pub(crate) fn handle(&mut self, source: Source, message: Message, received_at: Time, now: Time) {
        let Source { prefix: from, epoch, address, .. } = source;
        self.sessions.heard(from, epoch, address, now);
        if !self.membership.is_active() {
            return;
        }
        self.membership.hear(from, now);
        match message {
            Message::ListRequest { token } => self.membership.handle_list_request(from, token, now),
            Message::List { token, entries } => self.membership.handle_list(from, token, &entries, now),
            Message::Join { record, known } if self.is_of(&record, from) => {
                self.membership.handle_join(record, known, now);
            }
            Message::JoinAck { known, record } if self.is_of(&record, from) => {
                self.membership.handle_join_ack(known, record, now);
            }
            Message::Join { .. } | Message::JoinAck { .. } => self.counters.bump(Counter::RecordForged),
            Message::JoinReject { version, reason } => {
                self.membership.handle_join_reject(from, version, reason, now);
            }
            Message::Leave { version } => self.membership.handle_leave(from, version, now),
            Message::Probe(probe) => {
                self.latency.handle_probe(from, probe.stamps, received_at);
                self.latency.hear_row_version(from, probe.row_version);
                self.hosts.hear_version(from, probe.hosts_version, now);
                self.membership.compare_digest(from, probe.list_digest, now);
            }
            Message::Row { list_digest, hosts_version, row } => {
                self.latency.handle_row(from, row, now);
                self.hosts.hear_version(from, hosts_version, now);
                self.membership.compare_digest(from, list_digest, now);
            }
            Message::RowRequest { from: version } => self.latency.handle_row_request(from, version, now),
            Message::Confirm => {}
            Message::AddressChallenge { token } => {
                let response = Message::AddressResponse { token };
                // Not through relays: they may be waiting for such a response themselves.
                if self.connections.contains_key(&from) {
                    self.send_direct(from, &response, now);
                } else {
                    self.send_to(from, &response, now);
                }
            }
            Message::AddressResponse { token } => {
                if !self.sessions.prove(from, token) {
                    self.counters.bump(Counter::ControlUnexpected);
                }
            }
            Message::Hosts(part) => self.hosts.handle_hosts(from, part, now),
            Message::HostsRequest { from: version } => self.hosts.handle_request(from, version, now),
            Message::PathProbe(probe) => self.answer(&source, probe, received_at, now),
            Message::PathAnswer(answer) => self.handle_path_answer(from, answer, now),
        }
    }

    /// True if a record is that of the node that sent it: nobody speaks for another.
    fn is_of(&self, record: &Record, from: NodePrefix) -> bool {
        self.sessions.id(from) == Some(record.id)
    }

    /// Sends to a live member on the direct path.
    pub(super) fn send_direct(&mut self, to: NodePrefix, message: &Message, now: Time) {
        if let Some(locator) = self.membership.list().alive(to).map(|record| record.locator) {
            let next = self.sessions.address(to).unwrap_or(locator);
            let way = Way::straight(locator, next);
            self.send(to, &way, message, now);
        }
    }

    /// Sends to a node that there is a session with: to a member straight, if the link is up, as what no frame waits for is
    /// not worth the work of relays, else on the path that frames take; to another by the way that its handshake came.
    pub(super) fn send_to(&mut self, to: NodePrefix, message: &Message, now: Time) {
        let state = self.latency.link_state(to);
        if state == Some(LinkState::Up) {
            return self.send_direct(to, message, now);
        }
        let way = match self.sessions.route(to) {
            Some(route) if state.is_none() => self.way(&route),
            _ if self.router.path(to).is_direct() => self.pathless_way(to).or_else(|| self.chosen_way(to)),
            _ => self.chosen_way(to),
        };
        if let Some(way) = way {
            self.send(to, &way, message, now);
        }
    }

    /// A way to a member to which neither a link nor a path is known to be up: through a member that says it has a link, as when
    /// the row of the far end of that is not up to date here, or the way that its handshake came, as when no row is known yet.
    fn pathless_way(&self, to: NodePrefix) -> Option<Way> {
        let is_down = self.latency.link_state(to) == Some(LinkState::Down);
        let locator = self.membership.list().alive(to)?.locator;
        let through = if is_down { self.reaching(to) } else { None };
        through.and_then(|member| self.way_through(member, locator)).or_else(|| {
            let route = self.sessions.route(to).filter(|route| matches!(route, Route::Relays(_)));
            self.way(&route?)
        })
    }

    pub(super) fn send(&mut self, to: NodePrefix, way: &Way, message: &Message, now: Time) {
        let Some(path) = self.sealed(to, way) else { return };
        let mut content = core::mem::take(&mut self.content);
        content.clear();
        message.write(&mut content);
        let mut ends = Ends::default();
        match path.seal(&mut ends, (KIND_CONTROL, Segment::DEFAULT), &mut content, now) {
            Ok(()) => {
                let bytes = [&ends.head[..], &content, &ends.tail].concat();
                self.counters.bump(Counter::DatagramsOut);
                self.outbox.datagrams.push((path.next, bytes));
            }
            Err(reason) => self.counters.bump(reason),
        }
        self.content = content;
    }

    /// Asks a node whether it is at an address.
    pub(super) fn challenge(&mut self, to: NodePrefix, address: SocketAddr, token: u64, now: Time) {
        let entry = self.membership.list().alive(to).map_or(address, |record| record.locator);
        self.send(to, &Way::straight(entry, address), &Message::AddressChallenge { token }, now);
    }

    /// A path to a live member, ready to seal onto.
    pub(super) fn sealed_path(&self, to: NodePrefix, path: &Path) -> Option<SealedPath> {
        self.sealed(to, &self.way_along(path)?)
    }

    fn sealed(&self, to: NodePrefix, way: &Way) -> Option<SealedPath> {
        let keys = self.sessions.keys(to)?;
        let fields = self.fields(TYPE_TRANSPORT, keys.epoch_out);
        let relays = self.relay_keys(way)?;
        let hops = relays.iter().map(|keys| keys.seal.hop());
        let header = header::build(fields, &way.entries);
        Some(SealedPath::new(header, &way.entries, way.next, hops, keys.clone()))
    }

    /// Sends a datagram of a handshake.
    pub(super) fn send_handshake(&mut self, route: &Route, kind: u8, inner: &[u8]) {
        let Some(way) = self.way(route) else { return };
        self.handshakes += 1;
        let nonce = self.sessions.nonce();
        let mut header = header::build(self.fields(kind, 0), &way.entries);
        match self.relay_keys(&way) {
            Some(relays) => {
                let hops = relays.iter().map(|keys| keys.seal.hop());
                session::tag_relays(&mut header, hops, self.handshakes);
            }
            None => return,
        }
        let mut bytes = header.to_vec();
        self.outer.seal(nonce, &header, inner, &mut bytes);
        self.counters.bump(Counter::DatagramsOut);
        self.outbox.datagrams.push((way.next, bytes));
    }

    fn fields(&self, kind: u8, epoch: u8) -> Fields {
        let source = self.membership.own().id.prefix();
        Fields { kind, is_unsealed: self.is_unsealed, source, epoch }
    }

    /// The keys of those that relay; `None` if one has none.
    fn relay_keys(&self, way: &Way) -> Option<ArrayVec<&Keys, MAX_HOPS>> {
        way.relays.iter().map(|relay| self.sessions.keys(*relay).map(AsRef::as_ref)).collect()
    }

    pub(super) fn way(&self, route: &Route) -> Option<Way> {
        match route {
            Route::Address(address) => Some(Way::straight(*address, *address)),
            Route::Through { relay, to, locator } => {
                // Whoever knew of it mostly has a link to it; to look for the best takes a look at all members.
                let has_link = |relay: &NodePrefix| self.latency.link_to_stranger(*relay, *to).is_some();
                let through = relay.filter(has_link).or_else(|| self.reaching(*to)).or(*relay);
                let way = through.and_then(|member| self.way_through(member, *locator));
                Some(way.unwrap_or_else(|| Way::straight(*locator, *locator)))
            }
            Route::Path(to) => self.chosen_way(*to),
            Route::Relays(path) => {
                let (to, relays) = path.split_last()?;
                let relays: ArrayVec<NodePrefix, MAX_HOPS> = relays
                    .iter()
                    .map(|locator| self.membership.list().at(*locator))
                    .collect::<Option<_>>()?;
                self.relayed_way(&relays, *to)
            }
        }
    }

    /// The way over the path to a member, and on from there to a locator.
    fn way_through(&self, member: NodePrefix, to: SocketAddr) -> Option<Way> {
        let path = self.router.path(member);
        if path.hops().len() == MAX_HOPS { None } else { self.relayed_way(path.hops(), to) }
    }

    /// The member through which a node, which need not be one, is reached the soonest, as the rows of members have it.
    fn reaching(&self, node: NodePrefix) -> Option<NodePrefix> {
        let cost_of = |member: &NodePrefix| {
            let last = Cost::of_link(self.latency.link_to_stranger(*member, node)?);
            let path = self.router.path(*member);
            let cost = self.router.cost(&path, &self.latency)?;
            (path.hops().len() < MAX_HOPS).then(|| cost.plus(last).worse())
        };
        let members = self.connections.keys().filter_map(|member| Some((cost_of(member)?, *member)));
        members.min().map(|(_, member)| member)
    }

    /// The way that frames to a live member take.
    fn chosen_way(&self, to: NodePrefix) -> Option<Way> {
        self.way_along(&self.router.path(to))
    }

    pub(super) fn way_along(&self, path: &Path) -> Option<Way> {
        let (to, relays) = path.hops().split_last()?;
        let locator = self.membership.list().alive(*to)?.locator;
        if relays.is_empty() {
            let next = self.sessions.address(*to).unwrap_or(locator);
            return Some(Way::straight(locator, next));
        }
        self.relayed_way(relays, locator)
    }

    /// The way through one or more relays, which are members, to a locator.
    fn relayed_way(&self, relays: &[NodePrefix], to: SocketAddr) -> Option<Way> {
        let locator = |relay: &NodePrefix| Some(self.membership.list().alive(*relay)?.locator);
        let mut entries: ArrayVec<SocketAddr, MAX_HOPS> =
            relays.iter().map(locator).collect::<Option<_>>()?;
        let next = self.sessions.address(*relays.first()?).or(entries.first().copied())?;
        entries.try_push(to).ok()?;
        Some(Way { entries, relays: relays.iter().copied().collect(), next })
    }
}
